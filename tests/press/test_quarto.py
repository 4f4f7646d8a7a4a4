"""Quarto's freeze files, pinned to the format that Quarto reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from press.config import Book
from press.errors import PressError
from press.index import build
from press.notebook import Results, assemble
from press.quarto import freeze, render
from press.source import read

MakeBook = Callable[[Path, Mapping[str, str]], Book]
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt" viewBox="0 0 72 36"></svg>'
CHAPTER = """# One

Value `{python} x`.

```{python}
#| label: fig-a
#| fig-cap: "Caption."
#| fig-alt: "Alt"
plot()
```
"""


@pytest.fixture
def book(tmp_path: Path, make_book: MakeBook) -> Book:
    """A book with one executed chapter and one without code."""
    made = make_book(tmp_path, {"index.qmd": "# Preface {.unnumbered}\n", "book/01/one.qmd": CHAPTER})
    chapters = {entry.path: read(tmp_path, entry.path) for entry in made.entries}
    output = {"output_type": "display_data", "data": {"image/svg+xml": SVG}, "metadata": {}}
    results = Results("k", [[output]], ["3"])
    text = assemble(made, chapters["book/01/one.qmd"], build(made, chapters)[0], results)
    (tmp_path / "notebooks/book/01").mkdir(parents=True)
    (tmp_path / "notebooks/book/01/one.ipynb").write_text(text)
    return made


def load(book: Book, chapter: str, name: str) -> Any:
    return json.loads((book.root / "_freeze" / chapter / "execute-results" / f"{name}.json").read_text())


def test_the_format(book: Book) -> None:
    paths = freeze(book)
    assert len(paths) == 6 and all(path.is_file() for path in paths)
    found = load(book, "book/01/one", "html")
    assert list(found) == ["hash", "result"]
    assert found["hash"] == hashlib.md5(CHAPTER.encode()).hexdigest()
    result = found["result"]
    assert list(result) == ["engine", "markdown", "supporting", "filters", "includes"]
    assert result["engine"] == "jupyter" and result["supporting"] == ["one_files"]
    assert result["filters"] == [] and result["includes"] == {}
    assert result["markdown"] == CHAPTER.split("```")[0].replace("`{python} x`", "3") + (
        "::: {#cell-fig-a .cell execution_count=1}\n``` {.python .cell-code}\nplot()\n```\n\n"
        "::: {.cell-output .cell-output-display}\n"
        '![Caption.](one_files/figure-html/fig-a.svg){#fig-a fig-alt="Alt" width="96" height="48"}\n'
        ":::\n\n:::\n"
    )
    text = (book.root / "_freeze/book/01/one/execute-results/html.json").read_text()
    assert text.startswith('{\n  "hash": "') and not text.endswith("\n")


@pytest.mark.parametrize(
    ("name", "figure"),
    [("html", "figure-html/fig-a.svg"), ("tex", "figure-pdf/fig-a.pdf"), ("typ", "figure-typst/fig-a.svg")],
)
def test_each_format_has_its_figures(book: Book, name: str, figure: str) -> None:
    freeze(book)
    result = load(book, "book/01/one", name)["result"]
    assert f"](one_files/{figure})" in result["markdown"]
    assert (book.root / "_freeze/book/01/one" / figure).stat().st_size > 50
    assert ("includes" in result) == (name == "html")


def test_figures_for_latex_are_pages_of_their_own_size(book: Book) -> None:
    freeze(book)
    pdf = (book.root / "_freeze/book/01/one/figure-pdf/fig-a.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"/MediaBox[0 0 72 36]" in pdf and b"CreationDate" not in pdf


def test_prose_counts_in_the_hash_and_old_figures_go(book: Book) -> None:
    freeze(book)
    path = book.root / "book/01/one.qmd"
    path.write_text(CHAPTER.replace("fig-a", "fig-b") + "\nMore.\n")
    freeze(book)
    assert load(book, "book/01/one", "html")["hash"] == hashlib.md5(path.read_bytes()).hexdigest()
    names = [found.name for found in (book.root / "_freeze/book/01/one/figure-html").iterdir()]
    assert names == ["fig-b.svg"]


def test_a_chapter_that_was_not_executed_is_told(book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    (book.root / "notebooks/book/01/one.ipynb").unlink()
    freeze(book)
    assert "book/01/one.qmd: not executed yet" in capsys.readouterr().out
    assert "not been executed" in load(book, "book/01/one", "html")["result"]["markdown"]


def test_without_quarto_the_remedy_is_said(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        PressError, match=r"Quarto is not installed.*quarto\.org.*'make book' needs none of it"
    ):
        render(book, [])
    assert (book.root / "_freeze").is_dir()


@pytest.mark.parametrize("status", [0, 3])
def test_quarto_is_called_when_it_is_there(
    book: Book, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    program = tmp_path / "bin/quarto"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/called"\nexit {status}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    if status:
        with pytest.raises(PressError, match="status 3"):
            render(book, ["--to", "html"])
    else:
        assert render(book, ["--to", "html"]) == book.root / "_book-quarto"
    called = (tmp_path / "called").read_text()
    assert called == f"render {book.root} --output-dir _book-quarto --to html\n"
