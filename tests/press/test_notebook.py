"""The notebook of a chapter, as Jupyter shows it."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest

from press.config import Book
from press.errors import PressError
from press.index import build
from press.notebook import Results, assemble
from press.source import read

MakeBook = Callable[[Path, Mapping[str, str]], Book]
CHAPTER = r"""
# Title $x$ {#sec-one}

See @eq-kl, [-@eq-kl], @thm-a, [@fig-x; @fig-y], @doe2020, [@doe2020, p. 3] and @sec-two.^[A note, $y$.]

![A *static* one](pictures/a.png){#fig-y fig-alt="Alt"}

$$
\begin{aligned}
\KL{p}{q} &= 1 \\
&\ge 0
\end{aligned}
$$ {#eq-kl}

::: {#thm-a}

## Name $y$

Body.

$$
a
= b
$$ {#eq-b}

```{python}
1 + 1
```

More.
:::

::: {.proof}
Easy.
:::

## Section {#sec-inner}

::: {.callout-note title="At a $glance$" collapse="true"}
Value `{python} 1.5`.

- a list
:::

::: {.content-visible when-format="html"}
On screen.
:::

::: {.content-visible when-format="pdf"}
On paper.
:::

```{python}
#| label: fig-x
#| fig-cap: "Curve of @eq-b"
#| fig-alt: "alt"
#| echo: false
plot()
```

| a | b |
|---|---|
| 1 | $\alpha_t$ |

: Caption {#tbl-z}

```{python}
#| lst-label: lst-a
#| lst-cap: "Code of @tbl-z"
#| file: tangled/agm/x.py
y = "@eq-kl ::: {#eq-b}"
```

```{python}
#| eval: false
never()
```

Code `@eq-kl` stays; [a link](two.qmd#sec-two), [out](https://example.org/x.qmd).
"""
BIB = "@article{doe2020, author={Doe, Jane}, title={On Things}, journal={J}, year={2020}}\n"
Assemble = Callable[[str], Any]


@pytest.fixture
def made(tmp_path: Path, make_book: MakeBook) -> Assemble:
    """`made(chapter text) -> notebook`, with a figure as the only output."""

    def function(text: str) -> Any:
        files = {"book/01/one.qmd": text, "book/02/two.qmd": "# Two {#sec-two}\n", "references.bib": BIB}
        book = make_book(tmp_path, files)
        chapters = {entry.path: read(tmp_path, entry.path) for entry in book.entries}
        chapter = chapters["book/01/one.qmd"]
        index, errors = build(book, chapters)
        assert not errors
        count = sum(cell.evaluated for cell in chapter.cells)
        results = Results("k", [[] for _ in range(count)], ["1.5"] * len(chapter.inline))
        first = assemble(book, chapter, index, results)
        assert first == assemble(book, chapter, index, results)
        return nbformat.reads(first, as_version=4)

    return function


def plain(text: str) -> str:
    """The text with plain spaces where lines must not break."""
    return text.replace("\xa0", " ")


@pytest.fixture
def cells(made: Assemble) -> dict[str, Any]:
    notebook = made(CHAPTER)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    return {cell.id: cell for cell in notebook.cells}


def test_cells_are_named_by_their_labels(cells: dict[str, Any]) -> None:
    assert list(cells) == [
        "sec-one", "cell-1", "after-cell-1", "sec-inner", "fig-x", "after-fig-x", "cell-2", "after-cell-2",
        "references", "notes",
    ]  # fmt: skip
    assert [name for name, cell in cells.items() if cell.cell_type == "code"] == ["cell-1", "fig-x", "cell-2"]


def test_prose_math_and_references(cells: dict[str, Any]) -> None:
    text = cells["sec-one"].source
    assert "# 1 Title $x$" in text
    assert "See [Equation 1.1](#eq-kl), [1.1](#eq-kl), [Theorem 1.1](#thm-a), [Figure 1.2](#fig-x)" in plain(
        text
    )
    assert "Doe (2020), (Doe 2020, 3) and [Chapter 2](../02/two.ipynb#sec-two).<sup>1</sup>" in plain(text)
    equation = r"""
$$
\begin{aligned}
D\left(p \,\middle\|\, q\right) &= 1 \\
&\ge 0
\end{aligned} \tag{1.1}
$$"""
    assert f'<a id="eq-kl"></a>{equation}' in text
    assert "![Alt](../../../book/01/pictures/a.png)" in text
    assert '<a id="fig-y"></a>**Figure 1.1:** A *static* one' in text


def test_theorems_are_quoted_with_math_on_one_line_and_cells_outside(cells: dict[str, Any]) -> None:
    quote = r"""> <a id="thm-a"></a>**Theorem 1.1 (Name $y$)**
>
> Body.
>
> <a id="eq-b"></a> $$ a = b \tag{1.2} $$"""
    assert cells["sec-one"].source.endswith(quote)
    assert cells["after-cell-1"].source == "> More.\n\n*Proof.* Easy. ∎"


def test_callouts_and_conditional_content(cells: dict[str, Any]) -> None:
    text = cells["sec-inner"].source
    assert "## 1.1 Section" in text and "> **At a $glance$**\n>\n> Value 1.5.\n>\n> - a list" in text
    assert "On screen." in text and "On paper." not in text


def test_code_cells_hold_the_code_alone(cells: dict[str, Any]) -> None:
    assert cells["fig-x"].source == "plot()" and cells["fig-x"].execution_count == 2
    assert cells["fig-x"].metadata == {"jupyter": {"source_hidden": True}}
    assert cells["cell-2"].source == 'y = "@eq-kl ::: {#eq-b}"'


def test_captions_of_figures_tables_and_listings(cells: dict[str, Any]) -> None:
    text = plain(cells["after-fig-x"].source)
    assert text.startswith('<a id="fig-x"></a>**Figure 1.2:** Curve of [Equation 1.2](#eq-b)')
    assert '<a id="tbl-z"></a>**Table 1.1:** Caption\n\n| a ' in text and "$\\alpha_t$ |" in text
    assert text.endswith('<a id="lst-a"></a>**Listing 1.1:** Code of [Table 1.1](#tbl-z)')


def test_code_that_does_not_run_is_shown_as_text(cells: dict[str, Any]) -> None:
    assert "``` python\nnever()\n```" in cells["after-cell-2"].source


def test_links_lead_to_notebooks(cells: dict[str, Any]) -> None:
    text = cells["after-cell-2"].source
    assert "Code `@eq-kl` stays; [a link](../../../book/01/two.ipynb#sec-two)" in text
    assert "[out](https://example.org/x.qmd)" in text


def test_citations_and_notes_stand_at_the_end(cells: dict[str, Any]) -> None:
    assert cells["references"].source == "## References\n\nDoe, Jane. 2020. “On Things.” *J*."
    assert cells["notes"].source == "## Notes\n\n1.  A note, $y$."


def test_nothing_is_left_that_only_quarto_knows(cells: dict[str, Any]) -> None:
    prose = "\n".join(cell.source for cell in cells.values() if cell.cell_type == "markdown")
    for leftover in (":::", "{#", "#|", "@doe", "{python}", "{.", "press:", "press-"):
        assert leftover not in prose


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# A\n\nSee\n@eq-none.\n", r"one.qmd:4: unknown label '@eq-none'"),
        ("# A\n\n$x$ and {#eq-lost} this\n", r"one.qmd: a label is left in the notebook: .*eq-lost"),
    ],
)
def test_what_cannot_become_a_notebook_is_an_error(made: Assemble, text: str, said: str) -> None:
    with pytest.raises(PressError, match=said):
        made(text)


def test_labels_that_no_cell_id_may_hold(made: Assemble) -> None:
    long = "x" * 100
    notebook = made(
        textwrap.dedent(f"# A\n\n```{{python}}\n#| label: a.b\n1\n```\n\n## B {{#sec-{long}}}\n\nText\n")
    )
    nbformat.validate(notebook)
    assert notebook.cells[1].id == "a-b"
