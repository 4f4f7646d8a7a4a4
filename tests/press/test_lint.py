"""The rules of a chapter: each finding with file, line, what and remedy, and none in a good chapter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from press.lint import lint

GOOD = r"""# Good {#sec-good}

The question of @fig-answer. It follows @csiszar1967 and $\KL{p}{q} \ge 0$.

```{python}
#| label: fig-answer
#| fig-cap: "What to see."
#| fig-alt: "A line."
#| code-fold: true
x = 1  # @eq-first
```

::: {.callout-note title="At a glance"}
**Derive** everything.
:::

## Theory {#sec-theory}

$$
\begin{aligned}
a &= \E\left[ x \mid y \right] \\
&\le \sum_{i=1}^n \frac{1}{n} \left\lvert x_i \right\rvert
\end{aligned}
$$ {#eq-first}

By @eq-first and `{python} f"{x:.2f}"`, a note.[^note]

[^note]: It is `$unchecked |` code.

| a | b |
|---|---|
| 1 | 2 |

: A table {#tbl-a}

See @tbl-a.

## What can go wrong {#sec-wrong}

Much.

## Exercises {#sec-exercises}

EXERCISES

## Tests {#sec-tests}

None.

## Notes and references {#sec-notes}

Read.
"""
EXERCISES = "\n\n".join(f"::: {{#exr-{n}}}\n## Name ⋆\n\nTask.\n:::" for n in range(6))
SOLUTIONS = "# Solutions {#sec-solutions}\n" + "".join(
    f"\n## @exr-{n} {{.unnumbered}}\n\nSo.\n" for n in range(6)
)
BIB = """@article{csiszar1967,
  author = {Csisz{\\'a}r, Imre},
  title = {On Topological Properties of f-Divergences},
  journal = "Studia Scientiarum Mathematicarum Hungarica",
  year = 1967,
  url = {https://example.org/a?b={c}},
}
"""
CONFIG = """book:
  title: T
  chapters: [book/01-a/01-good.qmd]
  appendices: [book/g-solutions.qmd]
bibliography: references.bib
macros:
  E: '$\\mathbb{E}$'
  KL: '$D\\left(#1 \\,\\middle\\|\\, #2\\right)$'
"""
PATH = "book/01-a/01-good.qmd"


def files(**changes: str) -> dict[str, str]:
    return {
        PATH: changes.get("chapter", GOOD.replace("EXERCISES", EXERCISES)),
        "book/g-solutions.qmd": changes.get("solutions", SOLUTIONS),
        "references.bib": changes.get("bib", BIB),
        "_quarto.yml": changes.get("config", CONFIG),
    }


def with_text(text: str) -> str:
    """The good chapter with a passage in its section on theory, which begins at line 100."""
    head, tail = GOOD.replace("EXERCISES", EXERCISES).split("See @tbl-a.")
    head += "See @tbl-a.\n"
    return head + "\n" * (99 - head.count("\n")) + text + "\n" + tail


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave pandoc out where it has no say."""
    given = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    if "pandoc" not in given.get("message", "") and "allowed" not in request.node.name and given:
        monkeypatch.setattr("press.lint.typst.check", lambda book, chapters: [])


def test_a_good_chapter_has_no_findings(make_book, tmp_path: Path) -> None:
    assert [str(finding) for finding in lint(make_book(tmp_path, files()))] == []


TEXTS: list[tuple[str, int, str]] = [
    # outside the Quarto subset
    ("::: {.panel-tabset}\nx\n:::", 100, "div class '.panel-tabset'"),
    ("::: {.callout-info}\nx\n:::", 100, "div class '.callout-info'"),
    ("::: {#thm-x name='N'}\nx\n:::", 100, "div attribute 'name'"),
    ("::: {.content-hidden}\nx\n:::", 100, "conditional content without its condition"),
    ("::: {}\nx\n:::", 100, "div without class or label"),
    ("::: {#fig-x}\nx\n:::", 100, "a figure made of a div"),
    ("::: {#theorem-x}\nx\n:::", 100, "div with the label '#theorem-x'"),
    ("::: {.content-visible when-format='docx'}\nx\n:::", 100, "format 'docx'"),
    ("::: {#thm-x}\n\n::: {#lem-x}\nx\n:::\n:::", 102, "'#lem-x' inside the labelled div '#thm-x'"),
    ("::: {.proof}\n\n### H\n:::", 102, "a section inside a div"),
    ("{{< video a.mp4 >}}", 100, "shortcode"),
    ("a <b>c</b>", 100, "raw HTML '<b>'"),
    ("<img src='x'>", 100, "raw HTML '<img>'"),
    ("a `<b>`{=html}", 100, "raw html"),
    ("```{=typst}\nx\n```", 100, "raw typst"),
    ("a \\textbf{b}", 100, r"LaTeX outside math '\\textbf\{'"),
    ("a\n\\newpage", 101, "LaTeX outside math"),
    ("a $$ b $$ {#eq-x}", 100, "inside a paragraph"),
    ("$$ b $$\n{#eq-x}", 101, "the label of an equation on a line of its own"),
    ("$$ b $$ {#eq-x} and", 100, r"text after '\$\$'"),
    ("[a](02-b.qmd#sec-x)", 100, "link to the file '02-b.qmd#sec-x'"),
    ("@eq-first. Text", 100, "is taken for a list"),
    ("Text\n\n(@eq-first) holds", 102, "is taken for a list"),
    ("[see @eq-first]", 100, "has words beside its references"),
    ("[@eq-first; @csiszar1967]", 100, "has words beside its references"),
    ("By Equation @eq-first", 100, r"'Equation @…' prints the word twice"),
    ("By equations\n@eq-first", 100, "prints the word twice"),
    ("By Chapter [@sec-good]", 100, "prints the word twice"),
    ("a `{python} x = 1`", 100, "inline code is not an expression"),
    ("a ⟪to do⟫", 100, "a gap: ⟪to do⟫"),
    ("```{python, echo=FALSE}\nx\n```", 100, "cell options behind the language"),
    ("```{r}\nx\n```", 100, "unknown language"),
    # cells
    ("```{python}\n#| fig-width: 3\nx\n```", 101, "cell option 'fig-width'"),
    ("```{python}\n#| echo: 'no'\nx\n```", 101, "cell option 'echo' is 'no'"),
    ("```{python}\n#| output: asis\nx\n```", 101, "cell option 'output' is 'asis'"),
    (
        "```{python}\n#| label: fig-answer\n#| fig-cap: x\n#| fig-alt: x\nx\n```",
        101,
        "label 'fig-answer' is used twice",
    ),
    ("```{python}\n#| label: a\n#| fig-cap: x\nx\n```", 102, "'fig-cap' and a label 'fig-…' belong together"),
    ("```{python}\n#| label: tbl-b\nx\n```", 100, "'tbl-cap' and a label 'tbl-…' belong together"),
    ("```{python}\n#| label: eq-b\nx\n```", 101, "begins like that of another kind"),
    ("```{python}\n#| label: B_c\nx\n```", 101, "cell label 'B_c'"),
    ("```{python}\nx = 1\n#| echo: false\n```", 102, "an option below code"),
    (f"```{{python}}\nx = {'1' * 110}\n```", 101, "a line of code of 114 columns"),
    ("```{python}\n#| file: /x.py\nx\n```", 101, "tangle target '/x.py'"),
    ("```{python}\nx  # @eq-none\n```", 101, "unknown label '@eq-none'"),
    # the math dialect
    ("$a \\! b$", 100, r"'\\!' is not in the math dialect"),
    ("$\\bigl( a \\bigr)$", 100, r"'\\bigl' .* write \\left"),
    ("$\\big( a$", 100, r"'\\big'"),
    ("a\n$\\operatorname*{argmax} x$", 101, r"'\\operatorname\*' .* \\arg\\min"),
    ("$$\na \\tag{1}\n$$", 101, r"'\\tag' .* label the equation"),
    ("$\\ensuremath{a}$", 100, r"'\\ensuremath'"),
    ("$a \\hspace{1em} b$", 100, r"'\\hspace'"),
    ("$a \\; b$", 100, r"'\\;'"),
    ("$$\n\\begin{align}\na\n\\end{align}\n$$", 101, "environment 'align'"),
    ("$$\n\\begin{eqnarray}\na\n\\end{eqnarray}\n$$", 101, "environment 'eqnarray'"),
    ("$p(x | y)$", 100, r"a bare '\|' – write \\mid"),
    ("$\\left( x$", 100, r"'\\left' and '\\right' do not pair"),
    ("$\\frac{a}{b$", 100, "braces do not pair"),
    ("$$\na \\\\\nb\n$$", 101, "outside an environment"),
    ("$$\n\\begin{aligned}\na &= b \\\\\n&= c\n\\end{aligned}\n$$", 100, "several lines without a label"),
    ("$$\n\\begin{aligned}\na &= b \\\\\n= c\n\\end{aligned}\n$$ {#eq-x}", 103, "without '&'"),
    ("$$\n\\begin{aligned}\na =& b \\\\\n&= c\n\\end{aligned}\n$$ {#eq-x}", 102, "'&' behind the relation"),
    ("$$\n\\begin{aligned}\na &= b \\\\\n\\end{aligned}\n$$ {#eq-x}", 103, "an empty line of 'aligned'"),
    ("$$ a $$ {#eq-A_b}", 100, "equation label 'eq-A_b'"),
    ("$$ a $$ {#first}", 100, "equation label 'first'"),
    ("$\\PKL{p}$", 100, r"unknown macro '\\PKL'"),
    ("$\\newcommand{\\a}{b}$", 100, r"'\\newcommand' .*macros"),
    ("$x_$", 100, "pandoc cannot turn the formula into Typst"),
    ("$\\KL{p}$", 100, "pandoc refuses the formulas: macro"),
    # what must resolve
    ("See @eq-none.", 100, "unknown label '@eq-none'"),
    ("See @eq-good.", 100, "perhaps '@sec-good' is meant"),
    ("$$ a $$ {#eq-first}", 100, f"label 'eq-first' is used twice – rename it; the first is at {PATH}:19"),
    ("As @nobody2000 says", 100, "'@nobody2000' is not in references.bib"),
    ("A note.[^none]", 100, r"footnote 'none' is not defined"),
    ("[^other]: Text.", 100, r"footnote 'other' is not used"),
    ("Text {#fig-lost} here.", 100, "label 'fig-lost' belongs to nothing"),
    # figures and tables
    ("![Cap](gone.png){#fig-x fig-alt='a'}\n\n@fig-x", 100, "image 'book/01-a/gone.png' does not exist"),
    ("![Cap](){#fig-x fig-alt='a'}\n\n@fig-x", 100, "does not exist"),
    ("![Cap](https://x.org/a.png){#fig-x fig-alt='a'}", 100, "comes from elsewhere"),
    ("![Cap](/references.bib){#fig-x}\n\n@fig-x", 100, "has no alt text"),
    ("![](/references.bib){#fig-x fig-alt='a'}\n\n@fig-x", 100, "'fig-x' has no caption"),
    ("![Cap](/references.bib){fig-alt='a'}", 100, "image without a label"),
    ("![Cap](/references.bib){#fig-x fig-alt='a'}", 100, "figure 'fig-x' is not referred to"),
    ("![Cap](/references.bib){#fig-x fig-alt='a'}\nText @fig-x", 100, "inside a paragraph"),
    ("```{python}\n#| label: fig-x\n#| fig-cap: a\nx\n```\n\n@fig-x", 100, "figure 'fig-x' has no alt text"),
    ("| a |\n|---|\n| b |\n\n: Cap {#tbl-x}", 104, "table 'tbl-x' is not referred to"),
    # headings and exercises
    ("#### Deep", 100, "a heading of level 4 below one of level 2"),
    ("# Second", 100, "a second heading of level 1"),
    ("### A {.unnumbered #sec-none}\n\nSee @sec-none.", 102, "an unnumbered section"),
    ("### A {#other}", 100, "heading label 'other'"),
    ("::: {#exr-new}\n## N ⋆\nT.\n:::", 100, "exercise 'exr-new' has no solution"),
    ("::: {#exr-0a}\n## N\nT.\n:::", 100, "exercise 'exr-0a' has no grade"),
]


@pytest.mark.parametrize(("text", "line", "message"), TEXTS, ids=[f"{text[:30]!r}" for text, _, _ in TEXTS])
def test_a_fault_is_found_at_its_line(make_book, tmp_path: Path, text: str, line: int, message: str) -> None:
    findings = [str(finding) for finding in lint(make_book(tmp_path, files(chapter=with_text(text))))]
    pattern = rf"^{PATH}:{line}: .*{message}"
    assert any(re.search(pattern, finding) for finding in findings), "\n".join(findings)
    assert all(re.match(r"\S+:\d+: .* – \S.*\Z", finding) for finding in findings), "\n".join(findings)


FINE = [
    "Text with `<b>`, `{{< x >}}`, `\\textbf{x}` and `$$`; 5 < 6 > 4, <https://x.org>, costs \\$5 or \\$6.",
    "$\\left\\{ x \\mid y \\right\\}$, $\\{a, b\\}$",
    "$\\lVert x \\rVert$, $\\left| x \\right|$, $\\|x\\|$, $50\\%$",
    "$$\n\\begin{aligned}\na = b\n\\end{aligned}\n$$",
    "$$\nA = \\begin{pmatrix} a & b \\\\ c & d \\end{pmatrix}\n$$",
    "$$\n\\begin{aligned}\na &= "
    "\\begin{cases} 1 & x > 0 \\\\ 0 & x \\le 0 \\end{cases} \\\\\n&\\approx c\n\\end{aligned}\n$$ {#eq-x}",
    "$x = \\text{if } y$, $\\mathrm d x$, $\\arg\\min_\\theta f$, $\\E_{x}$, $a \\, b \\quad c$",
    "::: {#exm-x}\n## Name $x$\nText.\n:::",
    "::: {.callout-tip collapse=\"true\"}\n## Title\nText.\n:::",
    "::: {.content-hidden when-format=\"pdf\"}\nText.\n:::",
    "::: {#thm-x}\nT.\n\n::: {.proof}\nP.\n:::\n:::",
    "[@eq-first; @tbl-a], [-@eq-first], [see @csiszar1967, p. 3], -@csiszar1967, a@eq-mail.org",
    "1. item\n\n    ```python\n    x\n    ```\n\n    $$ a $$",
    "```html\n<b>x</b> {{< y >}} ⁅\n```",
    "```{.python #lst-x lst-cap=\"Cap\"}\nx\n```\n\n@lst-x",
    "::: {#tbl-x tbl-cap=\"Cap\"}\n\n| a |\n|---|\n| b |\n\n:::\n\n@tbl-x",
]  # fmt: skip


@pytest.mark.parametrize("text", FINE)
def test_what_is_allowed_is_not_found(make_book, tmp_path: Path, text: str) -> None:
    assert [str(finding) for finding in lint(make_book(tmp_path, files(chapter=with_text(text))))] == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title="At a glance"', 'title="At first"', "no callout 'At a glance'"),
        ("## Tests", "## Proofs", "no section 'Tests'"),
        ("## What can go wrong", "## Pitfalls", "no section 'What can go wrong'"),
        ("## Notes and references", "## Notes", "no section 'Notes and references'"),
        ("::: {#exr-5}\n## Name ⋆\n\nTask.\n:::\n", "", "5 exercises – a chapter has 6 to 12"),
        ("# Good {#sec-good}", "# Good", "the chapter has no label"),
        ("# Good {#sec-good}", "Text first.\n\n# Good {#sec-good}", "does not begin with its title"),
        ("@csiszar1967", "someone", "'csiszar1967' is never cited"),
        ("# Good", "---\ntitle: x\n---\n\n# Good", "front matter 'title'"),
    ],
)
def test_a_part_of_the_anatomy_is_missed(make_book, tmp_path: Path, old: str, new: str, message: str) -> None:
    good = GOOD.replace("EXERCISES", EXERCISES)
    assert old in good
    findings = [str(finding) for finding in lint(make_book(tmp_path, files(chapter=good.replace(old, new))))]
    assert any(message in finding for finding in findings), "\n".join(findings)


def test_the_anatomy_is_asked_of_numbered_chapters_only(make_book, tmp_path: Path) -> None:
    config = CONFIG.replace("[book/01-a/01-good.qmd]", "[index.qmd, book/01-a/01-good.qmd]")
    book = make_book(tmp_path, {"index.qmd": "# Preface {.unnumbered}\n", **files(config=config)})
    assert lint(book) == []


def test_an_unnumbered_chapter_is_linked_to_by_its_file(make_book, tmp_path: Path) -> None:
    config = CONFIG.replace("[book/01-a/01-good.qmd]", "[index.qmd, book/01-a/01-good.qmd]")
    chapter = with_text("See the [preface](../../index.qmd).")
    book = make_book(
        tmp_path, {"index.qmd": "# Preface {.unnumbered}\n", **files(config=config, chapter=chapter)}
    )
    assert lint(book) == []


def test_labels_in_an_unnumbered_chapter_are_refused(make_book, tmp_path: Path) -> None:
    config = CONFIG.replace("[book/01-a/01-good.qmd]", "[index.qmd, book/01-a/01-good.qmd]")
    front = "# Preface {.unnumbered}\n\n$$ x $$ {#eq-front}\n"
    (found,) = lint(make_book(tmp_path, {"index.qmd": front, **files(config=config)}))
    assert str(found).startswith("index.qmd:3: 'eq-front' in an unnumbered chapter")


@pytest.mark.parametrize(
    ("bib", "line", "message"),
    [
        (BIB.replace("journal", "booktitle"), 1, "'csiszar1967' has no journal"),
        (BIB.replace("  url", "  x-url"), 1, "cannot be looked up"),
        (BIB.replace("year = 1967", "year = 67"), 1, "has the year '67'"),
        (BIB.replace("url = {https:", "doi = {https:"), 1, "has the DOI"),
        (BIB.replace("@article", "@paper"), 1, "is of the kind '@paper'"),
        (BIB + BIB, 8, "is there twice"),
        (BIB + "\n@misc{b, title={B}, author={B}, year={2001}, doi={10.1000/b}}\n", 9, "'b' is never cited"),
        (BIB.replace('Hungarica",', 'Hungarica"'), 4, ""),
        (BIB.rstrip().rstrip("}"), 1, "entry is not closed"),
        (BIB.replace("csiszar1967,", "Csiszár 67,"), 1, "entry without a key"),
        (BIB.replace("  year = 1967", "  1967"), 5, "not a field: '1967'"),
    ],
)
def test_the_bibliography_is_checked(make_book, tmp_path: Path, bib: str, line: int, message: str) -> None:
    findings = [str(finding) for finding in lint(make_book(tmp_path, files(bib=bib)))]
    if message:
        assert any(re.search(rf"^references.bib:{line}: .*{message}", finding) for finding in findings), (
            findings
        )
    else:
        assert findings == []  # BibTeX wants the comma; every reader we use does without


def test_a_missing_bibliography_is_one_finding(make_book, tmp_path: Path) -> None:
    texts = files()
    del texts["references.bib"]
    (found,) = lint(make_book(tmp_path, texts))
    assert str(found).startswith("references.bib: file not found")


def test_a_chapter_that_cannot_be_read_does_not_hide_the_others(make_book, tmp_path: Path) -> None:
    texts = files(chapter=with_text("$a \\! b$"), solutions="# S {#sec-s}\n\n::: {.x}\n")
    findings = [str(finding) for finding in lint(make_book(tmp_path, texts))]
    assert any(re.match(rf"{PATH}:100: '\\!'", finding) for finding in findings)
    assert any(finding.startswith("book/g-solutions.qmd:3: div is not closed") for finding in findings)


def test_findings_come_in_book_order_and_once(make_book, tmp_path: Path) -> None:
    text = with_text("$a \\! b \\! c$ @eq-none @eq-none")
    findings = [str(finding) for finding in lint(make_book(tmp_path, files(chapter=text)))]
    assert len(findings) == len(set(findings)) == 2
