"""Hand the book over to Quarto, with the results of the notebooks, so that Quarto executes nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from press.cells import stored
from press.config import Book
from press.errors import PressError
from press.files import CACHE, digest, write
from press.merge import Target, Woven, woven
from press.notebook import read as read_notebook
from press.source import Chapter
from press.source import read as read_chapter

if TYPE_CHECKING:
    from nbformat import NotebookNode

FREEZE = "_freeze"
OUTPUT = "_book-quarto"
FORMATS: dict[str, tuple[Target, str]] = {
    "html": ("html", "figure-html"),
    "tex": ("latex", "figure-pdf"),
    "typ": ("typst", "figure-typst"),
}
"""Name of the freeze file of each format, what `press.merge` calls it, and the folder of its figures."""


def render(book: Book, arguments: Sequence[str] = ()) -> Path:
    """Write the freeze files, then call `quarto render`.

    Args:
        book: The book.
        arguments: Further arguments for `quarto render`, such as `--to html`.

    Returns:
        The folder that Quarto rendered into.

    Raises:
        PressError: Quarto is not installed, or it failed.
    """
    freeze(book)
    program = shutil.which("quarto")
    if program is None:
        raise PressError(
            "Quarto is not installed; the freeze files are ready in _freeze/",
            remedy="install it from quarto.org (1.4 or newer) and run again; 'make book' needs none of it",
        )
    command = [program, "render", str(book.root), "--output-dir", OUTPUT, *arguments]
    environment = os.environ | {"QUARTO_PYTHON": os.environ.get("QUARTO_PYTHON", sys.executable)}
    done = subprocess.run(command, cwd=book.root, env=environment, check=False)
    if done.returncode:
        raise PressError(
            f"quarto render ended with status {done.returncode}", remedy="see its messages above"
        )
    return book.root / OUTPUT


def freeze(book: Book) -> list[Path]:
    """Write what Quarto would have stored if it had executed the chapters.

    The hash in each file is that of the chapter's whole text, so all are written anew each time.

    Returns:
        The freeze files of all chapters, written or already right.
    """
    paths: list[Path] = []
    for entry in book.entries:
        chapter = read_chapter(book.root, entry.path)
        notebook = read_notebook(book, entry.path)
        if notebook is None and (chapter.cells or chapter.inline):
            print(f"{entry.path}: not executed yet, its results will be missing")
        elif not stored(chapter, notebook).complete:
            print(f"{entry.path}: changed since it was executed, some results will be missing")
        folder = book.root / FREEZE / entry.stem
        for name, (target, figures) in FORMATS.items():
            paths.append(_freeze(book, chapter, notebook, folder, name, target, figures))
    return paths


def _freeze(
    book: Book,
    chapter: Chapter,
    notebook: NotebookNode | None,
    folder: Path,
    name: str,
    target: Target,
    figures: str,
) -> Path:
    stem = folder.name
    made = woven(chapter, notebook, target, f"{stem}_files/{figures}")
    if target == "latex":
        made = _for_latex(book, made, f"{stem}_files/{figures}")
    for file, data in made.files.items():
        write(folder / figures / file, data)
    for old in (folder / figures).glob("*"):
        if old.name not in made.files:
            old.unlink()
    result: dict[str, Any] = {
        "engine": "jupyter",
        "markdown": made.markdown,
        "supporting": [f"{stem}_files"] if made.files else [],
        "filters": [],
    }
    if name == "html":
        result["includes"] = {}
    value = {"hash": hashlib.md5(chapter.text.encode("utf-8")).hexdigest(), "result": result}
    path = folder / "execute-results" / f"{name}.json"
    write(path, json.dumps(value, indent=2, ensure_ascii=False))
    return path


def _for_latex(book: Book, made: Woven, files: str) -> Woven:
    """The same with SVG figures as PDF, which LaTeX can include without further programs."""
    markdown, converted = made.markdown, {}
    for name, data in made.files.items():
        if name.endswith(".svg"):
            pdf = name.removesuffix(".svg") + ".pdf"
            markdown = markdown.replace(f"]({files}/{name})", f"]({files}/{pdf})")
            converted[pdf] = svg_to_pdf(book.root / CACHE / "pdf-figures", data)
        else:
            converted[name] = data
    return Woven(markdown, converted)


def svg_to_pdf(cache: Path, svg: bytes) -> bytes:
    """A figure as a PDF page of its own size.

    Args:
        cache: Folder in which conversions are remembered.
        svg: The figure.
    """
    import typst

    path = cache / f"{digest(svg)}.pdf"
    if path.is_file():
        return path.read_bytes()
    source = "#set document(date: none)\n#set page(width: auto, height: auto, margin: 0pt, fill: none)\n"
    source += '#image(bytes(sys.inputs.svg), format: "svg")\n'
    data = typst.compile(source.encode(), format="pdf", sys_inputs={"svg": svg.decode("utf-8")})
    assert isinstance(data, bytes)
    write(path, data)
    return data
