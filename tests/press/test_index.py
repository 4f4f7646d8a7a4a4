"""Numbers: Quarto's rules, and the same in the normal form that pandoc's filters make."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import press
from press.config import Book
from press.index import Index, build
from press.source import Chapter, read

from .test_source import TORTURE, walk

FILTERS = Path(press.__file__).parent / "filters"
FRONT = "# Preface {.unnumbered #sec-preface}\n\n## Why\n\nText.\n"
ONE = """# One {#sec-one}

## First {#sec-first}

### Deep {#sec-deep}

## Aside {.unnumbered}

## Second {#sec-second}

### Again

$$ a $$ {#eq-a}

$$ unlabelled $$

$$ b $$ {#eq-b}

::: {#thm-a}
## Name
T.
:::

::: {#lem-a}
L.
:::

::: {#thm-b}
T.
:::

![Cap](a.svg){#fig-a fig-alt="x"}

```{python}
#| label: fig-b
#| fig-cap: "Cell"
x
```

```{python}
#| label: plain
#| lst-label: lst-a
#| lst-cap: "Code"
x
```

::: {#tbl-div tbl-cap="In a div"}
| a |
|---|
| b |
:::

| a |
|---|
| b |

: Below {#tbl-a}
"""
APPENDIX = "# More {#sec-more}\n\n## Part {#sec-part}\n\n$$ z $$ {#eq-z}\n"


def index_of(book: Book) -> tuple[Index, list, dict[str, Chapter]]:
    chapters = {entry.path: read(book.root, entry.path) for entry in book.entries}
    index, errors = build(book, chapters)
    return index, errors, chapters


def small(make_book, tmp_path: Path) -> Book:
    listing = "book:\n  title: T\n  chapters: [index.qmd, one.qmd, two.qmd]\n  appendices: [a.qmd]\n"
    two = "# Two {#sec-two}\n\n$$ c $$ {#eq-c}\n"
    files = {"index.qmd": FRONT, "one.qmd": ONE, "two.qmd": two, "a.qmd": APPENDIX, "_quarto.yml": listing}
    return make_book(tmp_path, files)


def test_every_kind_counts_for_itself_in_each_chapter(make_book, tmp_path: Path) -> None:
    index, errors, _ = index_of(small(make_book, tmp_path))
    assert errors == []
    assert {label: target.text for label, target in index.targets.items()} == {
        "sec-preface": "Preface", "sec-one": "Chapter 1", "sec-first": "Section 1.1",
        "sec-deep": "Section 1.1.1", "sec-second": "Section 1.2",
        "eq-a": "Equation 1.1", "eq-b": "Equation 1.2", "thm-a": "Theorem 1.1",
        "lem-a": "Lemma 1.1", "thm-b": "Theorem 1.2", "fig-a": "Figure 1.1", "fig-b": "Figure 1.2",
        "lst-a": "Listing 1.1", "tbl-div": "Table 1.1", "tbl-a": "Table 1.2", "sec-two": "Chapter 2",
        "eq-c": "Equation 2.1", "sec-more": "Appendix A", "sec-part": "Section A.1", "eq-z": "Equation A.1",
    }  # fmt: skip
    titles = {label: target.title for label, target in index.targets.items()}
    assert (titles["thm-a"], titles["thm-b"], titles["fig-a"], titles["fig-b"]) == ("Name", "", "Cap", "Cell")
    assert (titles["tbl-div"], titles["tbl-a"], titles["lst-a"]) == ("In a div", "Below", "Code")
    numbers = [section.number for section in index.sections["one.qmd"]]
    assert numbers == ["1", "1.1", "1.1.1", "", "1.2", "1.2.1"]
    assert [section.number for section in index.sections["index.qmd"]] == ["", ""]


def test_places_of_targets(make_book, tmp_path: Path) -> None:
    book = small(make_book, tmp_path)
    index, _, _ = index_of(book)
    for target in index.targets.values():
        lines = (book.root / target.path).read_text().split("\n")[target.line - 1 :]
        assert any(target.label in line for line in lines[:3])


def test_a_label_used_twice_is_reported_with_both_places(make_book, tmp_path: Path) -> None:
    texts = {f"{name}.qmd": f"# T {{#sec-{name}}}\n\n$$ x $$ {{#eq-same}}\n" for name in "ab"}
    index, errors, _ = index_of(make_book(tmp_path, texts))
    assert [str(error) for error in errors] == [
        "b.qmd:3: label 'eq-same' is used twice – rename it; the first is at a.qmd:3"
    ]
    assert index.targets["eq-same"].path == "a.qmd"


def test_pandocs_filters_find_what_the_index_counts(make_book, tmp_path: Path) -> None:
    """book.lua fails when its headings or labels are not those of the index; its numbers are ours."""
    import pypandoc

    text = TORTURE.replace("images/a_(b).png", "a.png")
    book = make_book(tmp_path, {"t.qmd": text})
    index, _, _ = index_of(book)
    labels = {
        label: {"text": t.text, "number": t.number, "href": f"#{label}", "kind": t.kind, "title": t.title}
        for label, t in index.targets.items()
    }
    context = {"sections": [section.number for section in index.sections["t.qmd"]], "labels": labels}
    (tmp_path / "context.json").write_text(json.dumps(context))
    (tmp_path / "meta.json").write_text(json.dumps({"macros": {"E": "$\\mathbb{E}$"}}))
    command = [pypandoc.get_pandoc_path(), "-f", "markdown", "-t", "json", "--metadata-file", "meta.json"]
    for name in ("macros", "book"):
        command += ["--lua-filter", str(FILTERS / f"{name}.lua")]
    environment = {**os.environ, "PRESS_CONTEXT": "context.json"}
    done = subprocess.run([*command, "t.qmd"], cwd=tmp_path, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    nodes = list(walk(json.loads(done.stdout)))
    headers = [dict(node["c"][1][2]).get("number", "") for node in nodes if node.get("t") == "Header"]
    assert headers == context["sections"]
    identifiers = {
        attribute[0]
        for node in nodes
        if node.get("t") in ("Header", "Div", "Span", "Figure")
        for attribute in [node["c"][1] if node["t"] == "Header" else node["c"][0]]
    }
    assert set(labels) <= identifiers
    links = [dict(n["c"][0][2])["label"] for n in nodes if n.get("t") == "Link" and "xref" in n["c"][0][1]]
    assert links == ["eq-one", "eq-two", "fig-image", "thm-main", "sec-title"]
