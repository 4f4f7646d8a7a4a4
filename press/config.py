"""`_quarto.yml`: the only list of chapters, read and checked once."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from press.errors import PressError
from press.files import read_text

CONFIG = "_quarto.yml"
BOOK_KEYS = {
    "title", "subtitle", "author", "description", "search", "page-navigation", "reader-mode", "chapters",
    "appendices", "repo-url", "site-url", "cover-image", "output-file",
}  # fmt: skip
TOP_KEYS = {
    "project", "book", "bibliography", "link-citations", "lang", "number-sections", "crossref", "execute",
    "jupyter", "macros", "filters", "format", "profile", "csl",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One file of the book, in book order.

    `number` is "1", "2", … for chapters, "A", "B", … for appendices and "" for unnumbered front matter;
    `part` is the title of the part it belongs to, "" before the first part.
    """

    path: str
    number: str
    part: str
    appendix: bool

    @property
    def stem(self) -> str:
        """The path without `.qmd`, the key of everything made from this file."""
        return self.path.removesuffix(".qmd")


@dataclass(frozen=True)
class Book:
    """The book's configuration."""

    root: Path
    title: str
    subtitle: str
    author: str
    description: str
    language: str
    bibliography: str
    csl: str
    macros: dict[str, str]
    entries: tuple[Entry, ...]
    output: str

    @cached_property
    def parts(self) -> list[str]:
        """Titles of the parts in order."""
        return list(dict.fromkeys(entry.part for entry in self.entries if entry.part))

    @cached_property
    def citation_style(self) -> str:
        """The text of the CSL file, "" for pandoc's own style."""
        return read_text(self.root / self.csl) if self.csl else ""

    def entry(self, path: str) -> Entry:
        """Find a chapter by path, stem or unique piece of its file name (`02`, `f-divergence`).

        Raises:
            PressError: No chapter, or several, fit.
        """
        wanted = path.removesuffix(".qmd").removeprefix("./")
        exact = [entry for entry in self.entries if entry.stem == wanted]
        found = exact or [entry for entry in self.entries if wanted in entry.stem.rsplit("/", 1)[-1]]
        if len(found) == 1:
            return found[0]
        names = ", ".join(entry.stem for entry in found or self.entries)
        raise PressError(
            f"{'no' if not found else 'more than one'} chapter is called '{path}'",
            remedy=f"name one of: {names}",
        )


def load(root: Path) -> Book:
    """Read `_quarto.yml` under `root`.

    Raises:
        PressError: Not a book, malformed YAML, an unknown key, a missing or doubly listed chapter.
    """
    if not (root / CONFIG).is_file():
        raise PressError(
            "no book here", file=CONFIG, remedy="run in the folder of a book, or name it by --root"
        )
    text = read_text(root / CONFIG, CONFIG)
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else None
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise PressError(
            f"not valid YAML: {problem}", file=CONFIG, line=line, remedy="mend the line"
        ) from None
    if not isinstance(data, dict) or not isinstance(data.get("book"), dict):
        raise PressError("not a book", file=CONFIG, remedy="it needs a 'book:' section with 'chapters:'")
    _known(text, data, TOP_KEYS, "")
    book = data["book"]
    _known(text, book, BOOK_KEYS, "book")
    macros = data.get("macros") or {}
    if not isinstance(macros, dict):
        raise PressError("'macros' is not a list of names", file=CONFIG, line=_line(text, "macros:"))
    for name, body in macros.items():
        if not re.fullmatch("[A-Za-z]+", str(name)):
            what, line = f"macro name '{name}'", _line(text, f"{name}:")
            raise PressError(what, file=CONFIG, line=line, remedy="use letters only, as TeX does")
        if not (isinstance(body, str) and len(body) > 1 and body[0] == body[-1] == "$"):
            raise PressError(
                f"macro '{name}' is not math",
                file=CONFIG,
                line=_line(text, f"{name}:"),
                remedy="write its body as '$…$'",
            )
    project = data.get("project") or {}
    if not isinstance(project, dict):
        raise PressError("'project' is not a list of keys", file=CONFIG, line=_line(text, "project:"))
    output = str(project.get("output-dir", "_book"))
    if not re.fullmatch(r"[\w-]+", output):
        what, line = f"output-dir '{output}'", _line(text, "output-dir:")
        raise PressError(
            what, file=CONFIG, line=line, remedy="name a folder beside _quarto.yml, such as _book"
        )
    return Book(
        root=root,
        title=str(book.get("title", "Untitled")),
        subtitle=str(book.get("subtitle", "")),
        author=str(book.get("author", "")),
        description=str(book.get("description", "")),
        language=str(data.get("lang", "en-GB")),
        bibliography=str(data.get("bibliography", "")),
        csl=_style(root, text, data),
        macros={name: body[1:-1] for name, body in macros.items()},
        entries=_entries(root, text, book),
        output=output,
    )


def _style(root: Path, text: str, data: dict[str, Any]) -> str:
    style = str(data.get("csl") or "")
    if style and not (root / style).is_file():
        line = _line(text, "csl:")
        raise PressError(
            f"citation style '{style}' does not exist", file=CONFIG, line=line, remedy="mend the path"
        )
    return style


def _entries(root: Path, text: str, book: dict[str, Any]) -> tuple[Entry, ...]:
    found: list[Entry] = []
    chapters, letters = iter(range(1, 1000)), iter(string.ascii_uppercase)

    def add(path: Any, part: str, appendix: bool) -> None:
        if not isinstance(path, str) or not path.endswith(".qmd"):
            raise PressError(f"'{path}' is not a .qmd file", file=CONFIG, line=_line(text, str(path)))
        if path.startswith("/") or {"..", ".", ""} & set(path.split("/")):
            remedy = "write it from the root of the book"
            raise PressError(
                f"'{path}' is not a plain path", file=CONFIG, line=_line(text, path), remedy=remedy
            )
        if not (root / path).is_file():
            raise PressError(
                f"chapter '{path}' does not exist",
                file=CONFIG,
                line=_line(text, path),
                remedy="create it or unlist it",
            )
        if any(entry.path == path for entry in found):
            raise PressError(f"chapter '{path}' is listed twice", file=CONFIG, line=_line(text, path))
        number = ""
        if not _unnumbered(root, path):
            number = next(letters) if appendix else str(next(chapters))
        found.append(Entry(path, number, part, appendix))

    for key in ("chapters", "appendices"):
        if not isinstance(book.get(key) or [], list):
            remedy = "write one file a line, behind '- '"
            raise PressError(
                f"'{key}' is not a list", file=CONFIG, line=_line(text, f"{key}:"), remedy=remedy
            )
    for item in book.get("chapters") or []:
        if isinstance(item, dict):
            unknown = set(item) - {"part", "chapters"}
            if unknown or not isinstance(item.get("part"), str):
                what = f"unknown key '{unknown.pop()}' in a part" if unknown else "a part needs a title"
                raise PressError(what, file=CONFIG, line=_line(text, str(item.get("part", "chapters"))))
            for path in item.get("chapters") or []:
                add(path, item["part"], False)
        else:
            add(item, "", False)
    for path in book.get("appendices") or []:
        add(path, "Appendices", True)
    if not found:
        raise PressError("the book has no chapters", file=CONFIG, remedy="list some under 'chapters:'")
    return tuple(found)


def _unnumbered(root: Path, path: str) -> bool:
    """Whether the chapter's title carries `.unnumbered` (read here, since it shifts every later number)."""
    for line in read_text(root / path, path).splitlines():
        if line.startswith("# "):
            return ".unnumbered" in line or line.rstrip().endswith("{-}")
    return False


def _known(text: str, data: dict[str, Any], known: set[str], where: str) -> None:
    for key in data:
        if key not in known:
            place = f" in '{where}'" if where else ""
            raise PressError(
                f"unknown key '{key}'{place}",
                file=CONFIG,
                line=_line(text, str(key)),
                remedy="see press/config.py",
            )


def _line(text: str, needle: str) -> int | None:
    return next((number for number, line in enumerate(text.splitlines(), 1) if needle in line), None)
