"""The chapter as Quarto's engine would emit it."""

from __future__ import annotations

import base64
import textwrap
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from press.cells import cell_ids
from press.merge import PLACEHOLDER, woven
from press.source import parse

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="453.6pt" height="216pt" viewBox="0 0 453.6 216"></svg>'
PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (192).to_bytes(4, "big") + (96).to_bytes(4, "big")
)
CHAPTER = textwrap.dedent('''\
    # One {#sec-one}

    Text with `{python} 1 + 1` and $x$.

    ```{python}
    #| label: fig-a
    #| fig-cap: "A *curve* of $x$, see @eq-b."
    #| fig-alt: "Says \\"up\\""
    #| code-fold: true
    plot()
    ```

    ```{python}
    #| file: tangled/agm/x.py
    """A module."""
    ```

    $$ a = b $$ {#eq-b}

    ```{python}
    #| label: tbl-t
    #| tbl-cap: "Numbers"
    #| echo: false
    table()
    ```
''')


def notebook(
    sources_outputs: list[tuple[str, str, list[Any]]], inline: list[dict[str, str]]
) -> nbformat.NotebookNode:
    cells = []
    for number, (name, source, outputs) in enumerate(sources_outputs, 1):
        cell = new_code_cell(source, outputs=outputs, execution_count=number)
        cell["id"] = name
        cells.append(cell)
    return new_notebook(cells=cells, metadata={"press": {"inline": inline}})


def display(**data: str) -> Any:
    return new_output(
        "display_data",
        {key.replace("__", "/").replace("svg", "svg+xml"): value for key, value in data.items()},
    )


@pytest.fixture
def executed() -> nbformat.NotebookNode:
    return notebook(
        [
            (
                "fig-a",
                "plot()",
                [new_output("stream", name="stdout", text="hello\n"), display(image__svg=SVG)],
            ),
            ("cell-1", '"""A module."""', []),
            ("tbl-t", "table()", [display(text__markdown="| a |\n|---|\n| 1 |", text__plain="t")]),
        ],
        [{"code": "1 + 1", "value": "2"}],
    )


def test_a_whole_chapter(executed: nbformat.NotebookNode) -> None:
    result = woven(parse(CHAPTER, "a.qmd"), executed, "html", "a_files")
    assert result.markdown == textwrap.dedent('''\
        # One {#sec-one}

        Text with 2 and $x$.

        ::: {#cell-fig-a .cell execution_count=1}
        ``` {.python .cell-code code-fold="true"}
        plot()
        ```

        ::: {.cell-output .cell-output-stdout}
        ```
        hello
        ```
        :::

        ::: {.cell-output .cell-output-display}
        ![A *curve* of $x$, see @eq-b.](a_files/fig-a.svg){#fig-a ATTRIBUTES}
        :::

        :::

        ::: {.cell file="tangled/agm/x.py" execution_count=2}
        ``` {.python .cell-code file="tangled/agm/x.py"}
        """A module."""
        ```

        :::

        $$ a = b $$ {#eq-b}

        ::: {#cell-tbl-t .cell execution_count=3}
        ::: {#tbl-t}
        ::: {.cell-output .cell-output-display}
        | a |
        |---|
        | 1 |
        :::

        Numbers

        :::

        :::
    ''').replace("ATTRIBUTES", 'fig-alt="Says \\"up\\"" width="605" height="288"')
    assert result.files == {"fig-a.svg": SVG.encode()}


def test_widths_are_shares_of_the_text_in_print(executed: nbformat.NotebookNode) -> None:
    result = woven(parse(CHAPTER, "a.qmd"), executed, "typst", "/x")
    assert '(/x/fig-a.svg){#fig-a fig-alt="Says \\"up\\"" width="100%"}' in result.markdown


def test_a_figure_with_a_picture_in_it_keeps_its_colours(executed: nbformat.NotebookNode) -> None:
    drawn = "(f/fig-a.svg){#fig-a .keep-colours "
    assert drawn not in woven(parse(CHAPTER, "a.qmd"), executed, "html", "f").markdown
    output = next(
        o for cell in executed.cells for o in cell.get("outputs", []) if "image/svg+xml" in o.get("data", {})
    )
    output.data["image/svg+xml"] = SVG.replace("></svg>", '><image href="data:"/></svg>')
    assert drawn in woven(parse(CHAPTER, "a.qmd"), executed, "html", "f").markdown


def test_without_notebook_labels_stay_and_a_note_is_visible() -> None:
    result = woven(parse(CHAPTER, "a.qmd"), None, "html", "f")
    assert result.markdown.index("Results are missing") > result.markdown.index("# One")
    assert "{#fig-a " in result.markdown and "{#tbl-t}" in result.markdown and "**??**" in result.markdown
    assert result.files == {"fig-a-missing.svg": PLACEHOLDER.encode()}
    assert "plot()" in result.markdown


def test_changed_code_loses_only_its_own_outputs(executed: nbformat.NotebookNode) -> None:
    result = woven(parse(CHAPTER.replace("plot()", "plot(2)"), "a.qmd"), executed, "html", "f")
    assert "Changed since the chapter was executed: `fig-a`" in result.markdown
    assert "hello" not in result.markdown and "| 1 |" in result.markdown


def test_prose_edits_and_renamed_labels_keep_outputs(executed: nbformat.NotebookNode) -> None:
    text = CHAPTER.replace("fig-a", "fig-renamed").replace("Text with", "New text, with")
    result = woven(parse(text, "a.qmd"), executed, "html", "f")
    assert "hello" in result.markdown and "missing" not in result.markdown
    assert list(result.files) == ["fig-renamed.svg"]


def one(source: str, outputs: list[Any], target: Any, header: str = "") -> str:
    chapter = parse(f"```{{python}}\n{header}{source}\n```\n", "a.qmd")
    return woven(chapter, notebook([("cell-1", source, outputs)], []), target, "f").markdown


def test_options_drop_code_or_outputs() -> None:
    shown = [new_output("stream", name="stdout", text="seen\n")]
    assert "seen" not in one("x", shown, "html", "#| output: false\n")
    assert "```" not in one("x", [], "html", "#| echo: false\n")
    not_run = woven(parse("```{python}\n#| eval: false\nx\n```\n", "a.qmd"), None, "html", "f").markdown
    assert "missing" not in not_run and ".cell-code" in not_run


def test_a_listing_keeps_label_and_caption() -> None:
    text = one("x", [], "html", '#| lst-label: lst-a\n#| lst-cap: "Cap $\\\\mu$"\n')
    assert '``` {#lst-a .python .cell-code lst-cap="Cap $\\\\mu$"}' in text


def test_sound_is_a_player_in_html_and_a_pointer_in_print() -> None:
    player = [
        display(text__html='<audio aria-label="A &quot;note&quot;"></audio>', text__plain="<x.Audio object>")
    ]
    assert "``` {=html}\n<audio" in one("x", player, "html")
    for target in ("typst", "latex"):
        text = one("x", player, target)
        assert 'A sound, to be heard in the HTML edition (A "note")' in text and "<audio" not in text


def test_a_pointer_says_what_the_sound_says_of_itself() -> None:
    player = [display(text__html="<audio></audio>", text__plain="Sound: a *note* (1 s)")]
    assert "\n*Sound: a \\*note\\* (1 s)*\n" in one("x", player, "typst")


def test_html_without_a_better_form_falls_back_to_plain_text() -> None:
    text = one("x", [display(text__html="<table></table>", text__plain="a  b")], "latex")
    assert "```\na  b\n```" in text and "<table" not in text
    hollow = one("x", [display(text__html="<b>x</b>", text__plain="<foo.Bar object>")], "latex")
    assert "An interactive output" in hollow


def test_png_size_comes_from_the_file_or_the_metadata() -> None:
    image = new_output("display_data", {"image/png": PNG.decode()})
    assert 'width="192" height="96"' in one("x", [image], "html")
    image.metadata = {"image/png": {"width": 96}}
    assert 'width="96" height="48"' in one("x", [image], "html")


def test_code_with_fences_gets_a_longer_fence() -> None:
    assert "```` {.python .cell-code}\ns = '```'\n````" in one("s = '```'", [], "html")


def test_everything_else_is_verbatim() -> None:
    text = "---\ntitle: x\n---\n\n# A\n\n<!-- c `{python} 1` -->\n\n"
    text += "``` python\n`{python} 2`\n```\n\n::: {.x}\n- a\n:::\n\n"
    assert woven(parse(text, "a.qmd"), None, "html", "f").markdown == text


def test_names_of_cells_are_valid_and_unique() -> None:
    cell = "```{python}\n#| label: {}\n1\n```\n"
    text = "".join(cell.replace("{}", label) for label in ("a.b", "a-b", "x" * 90)) + "```{python}\n1\n```\n"
    names = cell_ids(parse(text, "a.qmd"))
    assert names[:2] == ["a-b", "a-b-again"] and names[3] == "cell-1"
    assert len(set(names)) == 4 and all(len(name) <= 64 for name in names)
