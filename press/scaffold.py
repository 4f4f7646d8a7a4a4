"""Scaffold: a new chapter with the whole anatomy, its solutions, and its line in `_quarto.yml`.

What the author has to write is marked ⟪like this⟫; `make lint` lists the marks that are left.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from press.config import CONFIG, Book
from press.errors import PressError
from press.files import read_text, write

PARTS = {
    "01-foundations": "Foundations",
    "02-gans": "GANs",
    "03-latent": "Latent variables and VAEs",
    "04-diffusion": "Diffusion",
    "05-autoregressive": "Autoregressive models and transformers",
    "06-rl": "Reinforcement learning",
    "07-preference-ssm": "Preference optimisation and state spaces",
}
"""Folders of the parts and their titles, in order."""
TEMPLATE = Path(__file__).parent / "templates" / "chapter.qmd"
EXERCISES = ("⋆", "⋆", "⋆⋆", "⋆⋆", "⋆⋆ (code)", "⋆⋆⋆")
SLUG = re.compile(r"(?P<number>\d\d)-(?P<name>[a-z0-9]+(?:-[a-z0-9]+)*)")


def new_chapter(book: Book, part: str, slug: str, title: str) -> Path:
    """Write a chapter and stubs of its solutions, and list both in `_quarto.yml`.

    Args:
        book: The book.
        part: Folder of the part, such as `01-foundations`.
        slug: File name without `.qmd`, such as `03-name`; the digits are the number in the curriculum.
        title: Title of the chapter.

    Returns:
        The new file.

    Raises:
        PressError: Unknown part, malformed slug, a file or number that is taken; nothing is written.
    """
    if part not in PARTS:
        raise PressError(f"no part has the folder '{part}'", remedy=f"name one of: {', '.join(PARTS)}")
    named = SLUG.fullmatch(slug)
    if not named:
        raise PressError(f"'{slug}' is not the name of a chapter", remedy="write it like 03-name")
    title = " ".join(title.split())
    if not title:
        raise PressError("the chapter has no title", remedy='give one: TITLE="…"')
    path = f"book/{part}/{slug}.qmd"
    taken = [entry.path for entry in book.entries if re.match(rf"book/\d.*/{named['number']}-", entry.path)]
    if (book.root / path).exists() or taken:
        remedy = "choose another name, or edit that file"
        raise PressError("the chapter is there already", file=taken[0] if taken else path, remedy=remedy)
    subject = part.split("-", 1)[1]
    values = {"TITLE": title, "NAME": named["name"], "NUMBER": named["number"], "PART": subject}
    values["MODULE"] = named["name"].replace("-", "_")
    exercises = [(f"exr-{named['name']}-{count}", grade) for count, grade in enumerate(EXERCISES, 1)]
    values["EXERCISES"] = "".join(
        f"::: {{#{label}}}\n## ⟪Name⟫ {grade}\n\n⟪The task.⟫\n:::\n\n" for label, grade in exercises
    )
    text = re.sub(r"%([A-Z]+)%", lambda match: values[match[1]], read_text(TEMPLATE))
    appendix, solutions = _solutions(book, part, subject)
    solutions += f"\n## @sec-{named['name']} {{.unnumbered}}\n"
    solutions += "".join(f"\n### @{label} {{.unnumbered}}\n\n⟪The solution.⟫\n" for label, _ in exercises)
    config = _listed(read_text(book.root / CONFIG, CONFIG), part, path, appendix)
    write(book.root / path, text)
    write(book.root / appendix, solutions)
    write(book.root / CONFIG, config)
    return book.root / path


def _solutions(book: Book, part: str, subject: str) -> tuple[str, str]:
    """Path and text of the part's solutions appendix; a new one where there is none."""
    for entry in book.entries:
        if entry.appendix and re.search(rf"(^|[/-])solutions-{re.escape(subject)}$", entry.stem):
            return entry.path, read_text(book.root / entry.path, entry.path).rstrip("\n") + "\n"
    names = [entry.stem.rsplit("/", 1)[-1] for entry in book.entries if entry.appendix]
    letter = max((name[0] for name in names if re.match(r"[a-y]-", name)), default="`")
    path = f"book/appendices/{chr(ord(letter) + 1)}-solutions-{subject}.qmd"
    return path, f"# Solutions: {PARTS[part]} {{#sec-solutions-{subject}}}\n"


def _listed(text: str, part: str, path: str, appendix: str) -> str:
    """`_quarto.yml` with the new files in it, and every other line as it was.

    Raises:
        PressError: The file is laid out in an unexpected way.
    """
    book = _child(yaml.compose(text), "book")
    chapters, appendices = _child(book, "chapters"), _child(book, "appendices")
    later = list(PARTS.values())[list(PARTS).index(part) + 1 :]
    parts = {
        _child(node, "part").value: node for node in chapters.value if isinstance(node, yaml.MappingNode)
    }
    if PARTS[part] in parts:
        new = [_beside(_child(parts[PARTS[part]], "chapters").value, path)]
    else:
        block = f'part: "{PARTS[part]}"\n  chapters:\n    - {path}'
        follower = next((node for title, node in parts.items() if title in later), None)
        new = [_beside(chapters.value, block, follower)]
    if appendices is None:
        indent = " " * (chapters.value[0].start_mark.column - 4)
        new.append((_last(chapters) + 1, [f"{indent}appendices:", f"{indent}  - {appendix}"]))
    elif appendix not in [node.value for node in appendices.value]:
        new.append((_last(appendices) + 1, _item(appendices.value, appendix)))
    lines = text.split("\n")
    for place, added in reversed(new):
        lines[place:place] = added
    result = "\n".join(lines)
    if _paths(result) - _paths(text) != {path, appendix} - _paths(text):
        remedy = f"list {path} and {appendix} there by hand"
        raise PressError("is laid out in an unexpected way", file=CONFIG, remedy=remedy)
    return result


def _child(node: Any, key: str) -> Any:
    """The value of a key in a YAML mapping, None where there is none."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for name, value in pairs if name.value == key), None)


def _beside(items: list[Any], text: str, follower: Any = None) -> tuple[int, list[str]]:
    """Where a list takes a new item, and its lines: before the follower or the next file by name."""
    greater = (node for node in items if isinstance(node, yaml.ScalarNode) and text.startswith("book/"))
    follower = follower or next((node for node in greater if node.value > text), None)
    return follower.start_mark.line if follower else _last(items[-1]) + 1, _item(items, text)


def _item(items: list[Any], text: str) -> list[str]:
    """The lines of a list item, indented like its neighbours."""
    indent = " " * (items[0].start_mark.column - 2)
    first, *rest = text.split("\n")
    return [f"{indent}- {first}", *(f"{indent}{line}" for line in rest)]


def _last(node: Any) -> int:
    """The last line of a YAML node."""
    while isinstance(node, yaml.CollectionNode):
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return int(node.start_mark.line)


def _paths(text: str) -> set[str]:
    """The files that a `_quarto.yml` lists; empty if it cannot be read."""
    try:
        book = yaml.safe_load(text)["book"]
        chapters = [
            item.get("chapters", []) if isinstance(item, dict) else [item] for item in book["chapters"]
        ]
        return {path for paths in chapters for path in paths} | set(book.get("appendices", []))
    except (yaml.YAMLError, KeyError, TypeError, AttributeError):
        return set()
