"""The reader of chapters: blocks with exact places, in agreement with pandoc."""

from __future__ import annotations

import json
import subprocess

import pytest

from press.errors import PressError
from press.prose import citations, images, inline_math, references, table_captions
from press.source import Cell, Code, DivOpen, Equation, Heading, Text, attributes, parse, read

TORTURE = r"""# The title $x_1$ and `code` {#sec-title}

Opening with @csiszar1967, [@ali1966; see @lin1991, p. 3], @eq-one, [-@eq-two] and [@fig-image; @thm-main].
An address a@eq-no.org, `@eq-code`, <https://x.org/@eq-link>, \@eq-escaped and $a@eq-math$.

$$
a = b
$$ {#eq-one}

In a paragraph
$$ c \le d $$ {#eq-two}
which goes on.

- item

  $$
  e = f
  $$ {#eq-three}

  ```python
  # not a heading
  ::: not a div
  $$ not an equation
  ```

- another

::: {#thm-main}
## Its title

Body with $y$.

$$ g $$ {#eq-four}
:::

::: {.callout-note title="At a glance with @sec-title"}
Text.

::: {.content-visible when-format="html"}
Nested.
:::
:::

## A section {.unnumbered}

![A caption with $[0, 1)$, [a link](x.html) and
a second line](images/a_(b).png){#fig-image
fig-alt="With } and { and #hash .dot" width=50%}

| a | b |
|---|---|
| $x$ | `|` |

: A caption of
  two lines {#tbl-table}

### Below {#sec-below}

````markdown
```{python}
not a cell
```
# not a heading
````

~~~
# not a heading either
~~~

```x``` is code in a paragraph.

```{.python #lst-listing lst-cap="A listing"}
# not a heading
```

<!-- # not a heading
::: {#thm-hidden}
-->

Heading with setext?

# Second {-}

A footnote.[^note]

[^note]: It has $z$.

> A quotation
> of two lines.

::: {#exr-last}
## Last ⋆

Task.
:::
"""


def pandoc(text: str) -> dict:
    import pypandoc

    done = subprocess.run(
        [pypandoc.get_pandoc_path(), "-f", "markdown", "-t", "json"], input=text.encode(), capture_output=True
    )
    return json.loads(done.stdout)


def walk(node: object):
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from walk(child)


def test_our_view_of_a_torture_chapter_is_pandocs() -> None:
    chapter = parse(TORTURE, "torture.qmd")
    nodes = list(walk(pandoc(TORTURE)))

    def of(kind: str) -> list:
        return [node["c"] for node in nodes if node.get("t") == kind]

    headings = [block for block in chapter.blocks if isinstance(block, Heading)]
    assert [block.level for block in headings] == [content[0] for content in of("Header")]
    given = [block.attributes.identifier for block in headings if block.attributes.identifier]
    assert given == [content[1][0] for content in of("Header") if content[1][0].startswith("sec-")]
    assert [not block.numbered and not block.title_of for block in headings] == [
        "unnumbered" in content[1][1] for content in of("Header")
    ]
    divs = [block.attributes for block in chapter.blocks if isinstance(block, DivOpen)]
    assert [[d.identifier, list(d.classes), [list(p) for p in d.pairs.items()]] for d in divs] == [
        content[0] for content in of("Div")
    ]
    equations = [block for block in chapter.blocks if isinstance(block, Equation)]
    display = [content[1] for content in of("Math") if content[0]["t"] == "DisplayMath"]
    assert [block.latex.split() for block in equations] == [latex.split() for latex in display]
    assert [block.label for block in equations] == ["eq-one", "eq-two", "eq-three", "eq-four"]
    inline = [content[1] for content in of("Math") if content[0]["t"] == "InlineMath"]
    assert {latex for _, latex in inline_math(chapter)} == set(inline)
    assert [block.source for block in chapter.blocks if isinstance(block, Code)] == [
        content[1] for content in of("CodeBlock")
    ]
    texts = [block for block in chapter.blocks if isinstance(block, Text)]
    ours = [image for block in texts for image in images(block)]
    ((attribute, _, target),) = of("Image")
    assert [image.path for image in ours] == [target[0]]
    assert ours[0].attributes.pairs == dict(attribute[2]) and ours[0].alone
    assert [caption.label for block in texts for caption in table_captions(block)] == [
        content[0][0] for content in of("Table")
    ]
    cited = [citation["citationId"] for content in of("Cite") for citation in content[0]]
    mine = [key for _, key in [*references(chapter), *citations(chapter)]]
    assert sorted(mine) == sorted([*cited, "sec-title"])  # pandoc reads the title of a callout later


def test_places_are_exact() -> None:
    chapter = parse(TORTURE, "torture.qmd")
    lines = TORTURE.split("\n")
    for block in chapter.blocks:
        line = lines[block.line - 1]
        match block:
            case Heading():
                assert block.text in line and line.startswith("#")
            case Equation():
                assert line.lstrip().startswith("$$")
                assert block.label in lines[block.end - 1]
            case DivOpen():
                assert line.startswith(":::")
            case Code():
                assert lines[block.end - 1].strip() in ("```", "````", "~~~")
            case Text():
                assert tuple(lines[block.line - 1 : block.line - 1 + len(block.lines)]) == block.lines
    for line, label in references(chapter):
        assert f"@{label}" in lines[line - 1]


def test_every_line_is_in_one_block_at_most() -> None:
    taken: list[int] = []
    for block in parse(TORTURE, "t.qmd").blocks:
        last = (
            len(block.lines) + block.line
            if isinstance(block, Text)
            else getattr(block, "end", block.line) + 1
        )
        taken += range(block.line, last)
    assert len(taken) == len(set(taken)) and taken == sorted(taken)


def test_a_cell_is_read_with_its_options() -> None:
    options = '#| label: fig-x\n#| fig-cap: "A: b"\n#| eval: false\n'
    text = f"# T\n\n```{{python}}\n{options}\nx = 1\n#| not an option\n```\n"
    (cell,) = parse(text, "t.qmd").cells
    assert isinstance(cell, Cell)
    assert (cell.line, cell.end, cell.code_line, cell.label) == (3, 10, 7, "fig-x")
    assert cell.options == {"label": "fig-x", "fig-cap": "A: b", "eval": False} and not cell.evaluated
    assert cell.source == "\nx = 1\n#| not an option"


def test_inline_code_is_found_with_its_line() -> None:
    chapter = parse('# T\n\nA `{python} f"{x:.2f}"` and\n`{python} y`, ``{python} no``.\n', "t.qmd")
    assert chapter.inline == [(3, 'f"{x:.2f}"'), (4, "y")]


def test_front_matter_is_read() -> None:
    chapter = parse("---\ntitle: Front\n---\n\nText.\n", "t.qmd")
    assert (chapter.front, chapter.title, chapter.body_line) == ({"title": "Front"}, "Front", 4)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("# T\n\n```python\nx\n", 3, "code fence is not closed"),
        ("# T\n\n```{python}\nx\n\n```{python}\ny\n```\n", 3, "code fence is not closed"),
        ("# T\n\n::: {.x}\n\n::: {.y}\n:::\n", 3, "div is not closed"),
        ("# T\n\n:::\n", 3, "closes no div"),
        ("# T\n\n$$\na\n", 3, "equation is not closed"),
        ("# T\n\n$$\na\n\nb\n$$\n", 5, "empty line inside an equation"),
        ("# T\n\n<!-- a\n", 3, "comment is not closed"),
        ("---\ntitle: x\n", 1, "front matter is not closed"),
        ("---\ntitle: [\n---\n", 2, "front matter is not valid YAML"),
        ("---\njust text\n---\n", 1, "front matter is not a list of keys"),
        ("# T\n\n```{r}\nx\n```\n", 3, r"unknown language \{r\}"),
        ("# T\n\n- item\n\n  ```{python}\n  x\n  ```\n", 5, "an indented cell"),
        ("# T\n\n```{python}\n#| label: [\nx\n```\n", 4, "cell options are not valid YAML"),
        ("# T\n\n```{python}\n#| just text\nx\n```\n", 4, "cell options are not 'key: value'"),
        ("# T\n\npara\n::: {.x}\n:::\n", 4, "a div in the middle of a paragraph"),
        ("# T\n\n$$ x $$\n::: {.x}\n:::\n", 4, "a div in the middle of a paragraph"),
        ("# T\n\npara\n## H\n", 4, "a heading in the middle of a paragraph"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(PressError, match=rf"^bad\.qmd:{line}: .*{message}.* – \S"):
        parse(text, "bad.qmd")


def test_blocks_may_follow_each_other_without_empty_lines() -> None:
    text = "# T\n::: {.x}\n## H\nText.\n:::\n::: {.y}\nText.\n:::\n## I\n```\nx\n```\n## J\n"
    headings = [block.text for block in parse(text, "t.qmd").blocks if isinstance(block, Heading)]
    assert headings == ["T", "H", "I", "J"]
    assert sum(node.get("t") == "Header" for node in walk(pandoc(text))) == 4


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"# T\n\n\xff\n", r"^t\.qmd:3: not UTF-8 \(byte 0xff\) – save"),
        (b"# T\r\n\r\nx\r\n", r"^t\.qmd:1: Windows line ends – save"),
        (None, r"^t\.qmd: file not found – "),
    ],
)
def test_bad_files_are_refused(tmp_path, data: bytes | None, message: str) -> None:
    if data is not None:
        (tmp_path / "t.qmd").write_bytes(data)
    with pytest.raises(PressError, match=message):
        read(tmp_path, "t.qmd")


def test_attributes() -> None:
    given = attributes("""{#fig-x .a .b-c key=1 other="x #y .z" third='q "r"'}""")
    assert (given.identifier, given.classes) == ("fig-x", ("a", "b-c"))
    assert given.pairs == {"key": "1", "other": "x #y .z", "third": 'q "r"'}
    assert attributes("callout-note").classes == ("callout-note",)
    assert attributes("{-}").classes == ("unnumbered",)
