"""One chapter as a piece of Typst, made by pandoc and kept in a cache under the key of all that it needs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from press.cells import notebook_path
from press.config import Book, Entry
from press.errors import PressError, PressErrors
from press.files import CACHE, digest, read_json, write, write_json
from press.fragment import context, page_path
from press.index import Index
from press.proofs import marks
from press.prose import inline_math
from press.source import Chapter, Equation

HERE = Path(__file__).parent
FILTERS = ("macros", "book", "typst")
SOURCES = (
    "typeset.py", "fragment.py", "merge.py", "cells.py", "source.py", "index.py", "filters/typst_math.lua",
    *(f"filters/{name}.lua" for name in FILTERS),
)  # fmt: skip
FOLDER = f"{CACHE}/typst"
"""Where the pieces, their figures and the main file lie under the root of the book."""

PACKAGE = "tangled/agm/"
CITATION = re.compile(r'#cite\(label\("((?:[^"\\]|\\.)+)"\)')
JUMP = re.compile(r'#jump\("((?:[^"\\]|\\.)+)"\)')
PLACE = re.compile(r'\bname: "((?:[^"\\]|\\.)+)"')
IMAGE = re.compile(r'#picture\("/((?:[^"\\]|\\.)+)"')


@dataclass(frozen=True)
class Piece:
    """A chapter in Typst: its cache key and its file, relative to the root of the book.

    `citations` holds the keys it cites, `jumps` the places it links to, `places` those it has, `images` the
    images it shows (relative to the root of the book); `names` tells whether it defines names for the index.
    """

    key: str
    file: str
    citations: list[str]
    jumps: list[str]
    places: list[str]
    images: list[str]
    names: bool


@cache
def tool_key() -> str:
    """Digest of the code that makes pieces, so that a change of the press makes them anew."""
    import pypandoc

    pandoc = Path(pypandoc.get_pandoc_path())
    return digest(str(pandoc.stat().st_size), *((HERE / name).read_bytes() for name in SOURCES))


def public_names(chapter: Chapter) -> dict[str, list[str]]:
    """The public names that the chapter's cells define in the package, by tangled file."""
    found: dict[str, list[str]] = {}
    for cell in chapter.cells:
        if not (cell.file.startswith(PACKAGE) and cell.file.endswith(".py")):
            continue
        try:
            statements = ast.parse(cell.source).body
        except SyntaxError:
            continue
        names: list[str] = []
        for node in statements:
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                    names.append(node.name)
                case ast.Assign():
                    names += [target.id for target in node.targets if isinstance(target, ast.Name)]
                case ast.AnnAssign(target=ast.Name(id=name)):
                    names.append(name)
        found.setdefault(cell.file, []).extend(name for name in names if not name.startswith("_"))
    return found


def knowledge(book: Book, entry: Entry, chapter: Chapter, index: Index) -> dict[str, object]:
    """What the filters must know about the chapter and the rest of the book.

    Raises:
        PressErrors: References to labels that nothing bears.
    """
    executed = notebook_path(book.root, entry.path)
    outputs = executed.read_text(encoding="utf-8", errors="replace") if executed.is_file() else ""
    paths = {other.path: page_path(other) for other in book.entries}
    known = context(entry, chapter, index, paths, outputs, marks(book))
    labels: dict[str, dict[str, str]] = known["labels"]  # type: ignore[assignment]
    return known | {
        "labels": {label: target | {"href": f"#{label}"} for label, target in labels.items()},
        "stem": entry.stem,
        "folder": str(PurePosixPath(entry.path).parent),
        "depth": 2 if entry.part else 1,
        "names": public_names(chapter),
    }


def piece(book: Book, entry: Entry, chapter: Chapter, known: dict[str, object]) -> Piece:
    """The chapter's piece, from the cache or made anew.

    Raises:
        PressError: Pandoc or a filter refuses the chapter, or an equation of it cannot be converted.
    """
    executed = notebook_path(book.root, entry.path)
    notebook = executed.read_bytes() if executed.is_file() else b""
    key = digest(tool_key(), chapter.text, notebook, json.dumps([known, book.macros], sort_keys=True))
    file, record = f"{FOLDER}/{entry.stem}.typ", book.root / FOLDER / f"{entry.stem}.json"
    stored = read_json(record, None)
    if (
        isinstance(stored, dict)
        and stored.get("key") == key
        and all((book.root / name).is_file() for name in (file, *stored["images"]))
    ):
        return Piece(**stored)
    from press.merge import woven

    files = f"{FOLDER}/{entry.stem}_files"
    merged = woven(chapter, _notebook(book, entry, notebook), "typst", f"/{files}")
    text = f'#import "/{FOLDER}/book.typ": *\n\n{_pandoc(book, entry, chapter, merged.markdown, known)}'
    record.unlink(missing_ok=True)
    for name, data in merged.files.items():
        write(book.root / files / name, data)
    for old in (book.root / files).glob("*"):
        if old.name not in merged.files:
            old.unlink()
    write(book.root / file, text)
    citations, jumps, places, images = (
        sorted(set(each.findall(text))) for each in (CITATION, JUMP, PLACE, IMAGE)
    )
    made = Piece(key, file, citations, jumps, places, images, "#identifier(" in text)
    write_json(record, asdict(made))
    return made


def _notebook(book: Book, entry: Entry, data: bytes):  # type: ignore[no-untyped-def]
    if not data:
        return None
    import nbformat

    try:
        return nbformat.reads(data.decode("utf-8"), 4)
    except Exception as error:
        place = notebook_path(book.root, entry.path).relative_to(book.root)
        what = f"not a notebook: {str(error).splitlines()[0]}"
        raise PressError(what, file=place, remedy="delete it and run make execute") from None


def _pandoc(book: Book, entry: Entry, chapter: Chapter, markdown: str, known: dict[str, object]) -> str:
    import pypandoc

    with tempfile.TemporaryDirectory(prefix="press-") as name:
        folder = Path(name)
        macros = {macro: f"${body}$" for macro, body in book.macros.items()}
        (folder / "meta.json").write_text(json.dumps({"macros": macros}))
        (folder / "context.json").write_text(json.dumps(known))
        command = [pypandoc.get_pandoc_path(), "-f", "markdown", "-t", "typst", "--wrap=none"]
        command += ["--metadata-file", str(folder / "meta.json")]
        for filter_name in FILTERS:
            command += ["--lua-filter", str(HERE / "filters" / f"{filter_name}.lua")]
        environment = {**os.environ, "PRESS_CONTEXT": str(folder / "context.json"), "LC_ALL": "C.UTF-8"}
        result = subprocess.run(
            command, input=markdown.encode(), capture_output=True, env=environment, check=False
        )
    messages = result.stderr.decode("utf-8", "replace").strip()
    refused = [
        line.removeprefix("PRESS-MATH ") for line in messages.splitlines() if line.startswith("PRESS-MATH ")
    ]
    if refused:
        raise PressErrors([_math_error(chapter, latex) for latex in refused])
    if result.returncode:
        lines = [line.strip() for line in messages.split("stack traceback")[0].splitlines() if line.strip()]
        raise PressError(
            f"pandoc refuses the chapter: {' '.join(lines)[:400]}", file=entry.path, remedy="run make lint"
        )
    return result.stdout.decode("utf-8")


def _math_error(chapter: Chapter, latex: str) -> PressError:
    """Say where the math is that pandoc cannot convert: its macros are expanded, so the likest one is it."""
    wanted = set(re.findall(r"\\?\w+", latex))
    best, line = 0.0, None
    displayed = [(block.line, block.latex) for block in chapter.blocks if isinstance(block, Equation)]
    for number, text in [*displayed, *inline_math(chapter)]:
        pieces = set(re.findall(r"\\?\w+", text))
        score = len(pieces & wanted) / max(1, len(pieces | wanted))
        if score > best:
            best, line = score, number
    remedy = "keep to the math dialect of CONTRIBUTING.md"
    return PressError(
        f"math that cannot be converted: {latex[:120]}", file=chapter.path, line=line, remedy=remedy
    )
