"""Displays, cells and macros are found in documents, with their places."""

from __future__ import annotations

from pathlib import Path

import pytest

from proofread.errors import ProofreadError
from proofread.extract import quarto_macros, read_document
from proofread.lexer import read_macros

CHAPTER = """# Title

Code is skipped: `$$ a $$` and

```{python}
x = "$$ not = this $$ {#eq-no}"
```

$$
a = b
$$ {#eq-first}

Words $$ c = d $$ without a label.

```{python}
#| label: proofread-chapter
#| code-fold: true
from proofread import definition
```
"""


def test_markdown_displays_cells_and_positions(tmp_path: Path) -> None:
    path = tmp_path / "chapter.qmd"
    path.write_text(CHAPTER, encoding="utf-8")
    document = read_document(path, "chapter.qmd")
    assert [display.label for display in document.displays] == ["eq-first", ""]
    assert document.display("eq-first").source.place(1) == (10, 1)
    assert [cell.label for cell in document.cells] == ["proofread-chapter"]
    assert document.cells[0].line == 16
    with pytest.raises(ProofreadError, match=r"no equation is labelled eq-none.*eq-first"):
        document.display("eq-none")


def test_windows_line_ends_do_not_move_positions(tmp_path: Path) -> None:
    path = tmp_path / "chapter.qmd"
    path.write_bytes(CHAPTER.replace("\n", "\r\n").encode())
    assert read_document(path).display("eq-first").source.place(1) == (10, 1)


def test_tex_environments_and_macros(tmp_path: Path) -> None:
    path = tmp_path / "paper.tex"
    path.write_text(
        "\\newcommand{\\div}[2]{D(#1 \\| #2)}\n\\DeclareMathOperator{\\rank}{rank}\n"
        "% \\begin{equation} x \\end{equation}\n"
        "\\begin{equation}\\label{eq:one}\na = b\n\\end{equation}\n\\begin{align*} c &= d \\end{align*}\n",
        encoding="utf-8",
    )
    document = read_document(path)
    assert [display.label for display in document.displays] == ["eq:one", ""]
    assert document.macros[r"\div"] == (2, r"D(#1 \| #2)")
    assert document.macros[r"\rank"][1] == r"\operatorname{rank}"


def test_quarto_macros_count_their_arguments() -> None:
    text = "format: html\nmacros:\n  E: '$\\mathbb{E}$'\n  KL: '$D(#1 \\,\\middle\\|\\, #2)$'\nother:\n  X: '$no$'\n"
    assert quarto_macros(text) == {r"\E": (0, r"\mathbb{E}"), r"\KL": (2, r"D(#1 \,\middle\|\, #2)")}
    assert read_macros("nothing") == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("$$\na = b\n", r"bad.qmd:1:1: the display is not closed; add \$\$"),
        ("\n```{python}\nx\n", r"bad.qmd:2: the code block is not closed"),
        (
            "$$a=b$$ {#eq-x}\n\n$$c=d$$ {#eq-x}\n",
            r"bad.qmd:3:3: the label eq-x is used twice \(first in line 1\)",
        ),
    ],
)
def test_broken_documents_are_refused_with_their_place(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.qmd"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ProofreadError, match=words):
        read_document(path, "bad.qmd")


def test_missing_and_binary_files(tmp_path: Path) -> None:
    with pytest.raises(ProofreadError, match="cannot be read"):
        read_document(tmp_path / "absent.qmd")
    binary = tmp_path / "binary.qmd"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProofreadError, match="UTF-8"):
        read_document(binary)
