"""A chapter as a Jupyter notebook: plain Markdown cells, code cells and the outputs stored for them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from press.bibliography import normalised
from press.cells import cell_ids, hidden, notebook_path, valid_id
from press.config import Book
from press.errors import PressError
from press.files import CACHE, digest, read_json, read_text, write_json
from press.index import Index
from press.merge import fenced
from press.prose import references
from press.source import INLINE, Cell, Chapter, Text

if TYPE_CHECKING:
    from nbformat import NotebookNode

FILTERS = Path(__file__).parent / "filters"
WRITER = "gfm-tex_math_gfm+tex_math_dollars"
LARGEST = 1_500_000
"""Bytes a notebook may have."""
LEFTOVERS = [
    (re.compile(r"^\s*(>\s*)*:{3,}", re.M), "a div (':::')"),
    (re.compile(r"\{#(eq|fig|tbl|lst|sec|thm|lem|cor|prp|cnj|def|exm|exr)-"), "a label"),
    (re.compile(r"(?<![\w@\\/#-])@(eq|fig|tbl|lst|sec|thm|lem|cor|prp|cnj|def|exm|exr)-\w"), "a reference"),
]


@dataclass(frozen=True)
class Results:
    """What executing a chapter gave: the outputs of its evaluated cells and the values of its inline code."""

    key: str
    outputs: list[list[dict[str, Any]]]
    inline: list[str]


@dataclass(frozen=True)
class Prose:
    """Markdown with the place of every cell: pairs of name and text, or of name and number of the cell."""

    pieces: list[tuple[str, str | int]]


def read(book: Book, path: str) -> NotebookNode | None:
    """The notebook of a chapter, None when there is none or it cannot be read."""
    import nbformat

    file = notebook_path(book.root, path)
    try:
        return nbformat.reads(file.read_text(encoding="utf-8"), as_version=4)
    except (OSError, ValueError, AttributeError, KeyError, nbformat.ValidationError):
        return None


def results_of(notebook: NotebookNode | None) -> Results | None:
    """What was stored in a notebook when it was executed."""
    record = {} if notebook is None else notebook.metadata.get("press", {})
    if notebook is None or not isinstance(record, dict) or "key" not in record:
        return None
    outputs = [list(cell.outputs) for cell in notebook.cells if cell.cell_type == "code"]
    return Results(record["key"], outputs, [item["value"] for item in record.get("inline", [])])


def inputs(book: Book, chapter: Chapter, index: Index, key: str) -> str:
    """Digest of all that decides what the notebook of a chapter holds; `key` stands for its outputs."""
    context = json.dumps(_context(book, chapter, index), sort_keys=True)
    entries = _bibliography(book, chapter)
    return digest(chapter.text, key, context, json.dumps(book.macros), entries, *_code())


def assemble(book: Book, chapter: Chapter, index: Index, results: Results) -> str:
    """The notebook's text.

    Args:
        book: The book.
        chapter: The chapter.
        index: The numbers of the whole book.
        results: What its cells gave, one list of outputs for each evaluated cell.

    Raises:
        PressError: The prose cannot be converted, or the notebook is larger than notebooks may be.
    """
    import nbformat
    from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

    outputs = iter(results.outputs)
    by_cell = {number: next(outputs) for number, cell in enumerate(chapter.cells) if cell.evaluated}
    counts = {number: count for count, number in enumerate(running(chapter), 1)}
    cells = []
    for name, content in prose(book, chapter, index, results.inline).pieces:
        if isinstance(content, int):
            source = chapter.cells[content]
            made = new_code_cell(
                source.source,
                outputs=[nbformat.from_dict(output) for output in by_cell[content]],
                execution_count=counts.get(content),
            )
            if source.options.get("echo", True) is False or source.options.get("code-fold") in (True, "true"):
                made.metadata["jupyter"] = {"source_hidden": True}
        else:
            made = new_markdown_cell(content)
        made["id"] = name
        cells.append(made)
    expressions = [code for _, code in chapter.inline]
    inline = [{"code": code, "value": value} for code, value in zip(expressions, results.inline, strict=True)]
    record: dict[str, Any] = {"chapter": chapter.path, "key": results.key}
    if inline:
        record["inline"] = inline
    notebook = new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "press": record,
        },
    )
    notebook.nbformat_minor = 5
    nbformat.validate(notebook)
    text = nbformat.writes(notebook).rstrip("\n") + "\n"
    if len(text.encode()) > LARGEST:
        _too_large(chapter, by_cell, len(text.encode()))
    return text


def running(chapter: Chapter) -> list[int]:
    """The numbers of the cells that the kernel runs, in order: evaluated and not empty."""
    return [number for number, cell in enumerate(chapter.cells) if cell.evaluated and cell.source.strip()]


def _too_large(chapter: Chapter, outputs: dict[int, list[dict[str, Any]]], size: int) -> None:
    sizes = {number: len(json.dumps(output)) for number, output in outputs.items()}
    number = max(sizes, key=lambda cell: sizes[cell])
    raise PressError(
        f"the notebook has {size / 1e6:.1f} MB, more than {LARGEST / 1e6:.1f} MB; cell "
        f"'{cell_ids(chapter)[number]}' alone has {sizes[number] / 1e6:.1f} MB of output",
        file=chapter.path,
        line=chapter.cells[number].line,
        remedy="make its figure coarser, its sound shorter, or show less",
    )


def prose(book: Book, chapter: Chapter, index: Index, inline: list[str]) -> Prose:
    """The chapter's text as Markdown that Jupyter shows well; converted once, then taken from the cache."""
    markdown = _prepared(book, chapter, index, inline)
    context = _context(book, chapter, index)
    entries = _bibliography(book, chapter)
    key = digest(markdown, json.dumps([context, book.macros], sort_keys=True), entries, *_code())
    cached = book.root / CACHE / "prose" / f"{key}.json"
    pieces = read_json(cached, None)
    if pieces is None:
        pieces = _split(chapter, _pandoc(book, chapter, markdown, context))
        write_json(cached, pieces)
    return Prose([(name, content) for name, content in pieces])


def _prepared(book: Book, chapter: Chapter, index: Index, inline: list[str]) -> str:
    """The chapter with a mark for each cell, its captions as text, and values for inline code."""
    lines, out, position, number = chapter.text.split("\n"), [], 0, 0
    values = iter(inline)

    def caption(label: str, text: Any) -> list[str]:
        if label not in index.targets or not str(text).strip():
            return []
        named = f'{{.press-caption label="{label}" text="{index.targets[label].text}"}}'
        return [f"::: {named}", " ".join(str(text).split()), ":::", ""]

    for block in chapter.blocks:
        if isinstance(block, Cell):
            out += [*lines[position : block.line - 1], ""]
            position = block.end
            listing = caption(str(block.options.get("lst-label", "")), block.options.get("lst-cap", ""))
            kind = block.label.split("-", 1)[0]
            shown = [] if hidden(block) else caption(block.label, block.options.get(f"{kind}-cap", ""))
            if block.evaluated:
                mark = [f'::: {{.press-cell number="{number}"}}', ":::", ""]
                out += [*listing, *mark, *shown]
            else:
                out += [*listing, *fenced(block.source, "python"), "", *shown]
            number += 1
        elif isinstance(block, Text):
            out += lines[position : block.line - 1]
            position = block.line - 1 + len(block.lines)
            out += [INLINE.sub(lambda _: next(values), line) for line in block.lines]
    return "\n".join(out + lines[position:])


def _context(book: Book, chapter: Chapter, index: Index) -> dict[str, Any]:
    """What the filters need: numbers of sections, labels used or defined, ways to other files."""
    up = "../" * (chapter.path.count("/") + 1)
    folder = chapter.path.rpartition("/")[0]
    used = {label for _, label in references(chapter)}
    labels = {}
    for line, label in references(chapter):
        if label not in index.targets:
            remedy = "correct it, or label what it means"
            raise PressError(f"unknown label '@{label}'", file=chapter.path, line=line, remedy=remedy)
    for label, target in index.targets.items():
        if label in used or target.path == chapter.path:
            notebook = target.path.removesuffix(".qmd") + ".ipynb"
            here = os.path.relpath(notebook, folder or ".") if target.path != chapter.path else ""
            labels[label] = {
                "text": target.text, "number": target.number, "kind": target.kind, "title": target.title,
                "href": f"{here}#{label}",
            }  # fmt: skip
    sections = [section.number for section in index.sections[chapter.path]]
    return {"sections": sections, "labels": labels, "folder": f"{up}{folder}/" if folder else up, "root": up}


def _pandoc(book: Book, chapter: Chapter, markdown: str, context: dict[str, Any]) -> str:
    import pypandoc

    with tempfile.TemporaryDirectory() as folder:
        metadata, context_file = Path(folder) / "metadata.json", Path(folder) / "context.json"
        macros = {name: f"${body}$" for name, body in book.macros.items()}
        metadata.write_text(json.dumps({"macros": macros, "link-citations": False}), encoding="utf-8")
        context_file.write_text(json.dumps(context), encoding="utf-8")
        command = [pypandoc.get_pandoc_path(), "-f", "markdown", "-t", WRITER, "--wrap=preserve"]
        command += ["--metadata-file", str(metadata)]
        command += ["--lua-filter", str(FILTERS / "macros.lua"), "--lua-filter", str(FILTERS / "book.lua")]
        if book.bibliography and (book.root / book.bibliography).is_file():
            sources = Path(folder) / "references.bib"
            sources.write_text(normalised(read_text(book.root / book.bibliography)), encoding="utf-8")
            command += ["--citeproc", "--bibliography", str(sources)]
            command += ["--csl", str(book.root / book.csl)] if book.csl else []
        command += ["--lua-filter", str(FILTERS / "notebook.lua")]
        environment = os.environ | {"PRESS_CONTEXT": str(context_file)}
        done = subprocess.run(
            command, input=markdown.encode(), capture_output=True, env=environment, check=False
        )
    if done.returncode:
        problem = done.stderr.decode("utf-8", "replace").strip().splitlines()
        what = next((line for line in problem if "filters/" in line or "rror" in line), "no reason given")
        raise PressError(f"pandoc cannot read it: {what}", file=chapter.path, remedy="run 'make lint'")
    return done.stdout.decode("utf-8")


def _split(chapter: Chapter, markdown: str) -> list[tuple[str, str | int]]:
    """Cut the Markdown at the marks into cells, each with a unique id."""
    names = cell_ids(chapter)
    taken = {names[number] for number, cell in enumerate(chapter.cells) if cell.evaluated}
    pieces: list[tuple[str, str | int]] = []
    seen: list[int] = []

    def unique(name: str) -> str:
        wanted, count = valid_id(name), 1
        while wanted in taken:
            count += 1
            wanted = valid_id(f"{name}-{count}")
        taken.add(wanted)
        return wanted

    parts = re.split(r"^<!--press:(section|cell):(.*?)-->\n?", markdown, flags=re.M)
    name = "start"
    for position in range(0, len(parts), 3):
        if position:
            kind, argument = parts[position - 2 : position]
            if kind == "cell":
                pieces.append((names[int(argument)], int(argument)))
                seen.append(int(argument))
                name = f"after-{names[int(argument)]}"
            else:
                name = argument or "section"
        text = parts[position].strip("\n")
        if text.strip():
            _clean(chapter, text)
            pieces.append((unique(name), text))
    for number, cell in enumerate(chapter.cells):
        if cell.evaluated and number not in seen:
            raise PressError(
                "cell is lost in hidden or nested text", file=chapter.path, line=cell.line,
                remedy="move it to the margin",
            )  # fmt: skip
    return pieces


def _clean(chapter: Chapter, text: str) -> None:
    plain = re.sub(r"^([> ]*)(`{3,}|~{3,}).*?^\1\2[`~]*\s*$|`[^`\n]*`", "", text, flags=re.M | re.S)
    for pattern, what in LEFTOVERS:
        if match := pattern.search(plain):
            around = plain[max(0, match.start() - 30) : match.end() + 30].replace("\n", " ")
            raise PressError(
                f"{what} is left in the notebook: …{around}…", file=chapter.path, remedy="run 'make lint'"
            )


@cache
def _code() -> tuple[str, ...]:
    """The text of what makes notebooks, so that a change of it makes them anew."""
    filters = (FILTERS / f"{name}.lua" for name in ("macros", "book", "notebook"))
    made = (Path(__file__), Path(__file__).with_name("bibliography.py"))
    return tuple(read_text(path) for path in (*made, *filters))


def _bibliography(book: Book, chapter: Chapter) -> str:
    """The entries of the bibliography that the chapter cites."""
    path = book.root / book.bibliography
    if not book.bibliography or not path.is_file():
        return ""
    entries = re.findall(r"^@\w+\{\s*([^,\s]+),(.*?)(?=^@|\Z)", read_text(path), re.M | re.S)
    cited = set(re.findall(r"@([\w:.#$%&+?<>~/-]*\w)", chapter.text))
    return json.dumps([book.citation_style, [[key, body] for key, body in entries if key in cited]])
