"""The PDF: the conversion of mathematics, the pieces, the book as Typst sees it, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pypandoc
import pytest
import typst

from press import pdf, typeset
from press.bibliography import entries, normalised
from press.config import Book
from press.errors import PressError, PressErrors
from press.source import parse

MakeBook = Callable[[Path, Mapping[str, str]], Book]

CHAPTER = r"""# f-divergences {#sec-first}

We write $\KL{p}{q}$ and cite @csiszar1967 [see @goodfellow2014, p. 3].
See @eq-kl, @thm-one and @sec-second.[^n]

[^n]: A footnote.

## Definitions {#sec-definitions}

$$
\begin{aligned}
\KL{p}{q} &= \sum_x p(x) \log \frac{p(x)}{q(x)} \\
  &\ge 0
\end{aligned}
$$ {#eq-kl}

::: {#thm-one}

## Title with $x$

Body with `a.long_function_name(x)`.
:::

::: {.proof}
It ends with an equation:
$$ a = b $$
:::

::: {.callout-note title="At a glance"}
Text.
:::

```{python}
#| file: tangled/agm/thing.py
"Doc."

LIMIT: int = 3


def public(x: int) -> int:
    return x  # @eq-kl


def _private() -> None: ...
```

| a | b |
|---|---|
| 1 | 2 |

: A caption. {#tbl-one}
"""
SECOND = "# Second {#sec-second}\n\nAs in @eq-kl and [there](one.qmd).\n\n## Unlabelled\n\nText.\n"
BIBLIOGRAPHY = """@article{csiszar1967, author={Csiszár, Imre}, title={On {KL} divergence}, journal={Studia},
  year={1967}, volume={2}, pages={299--318}}
@inproceedings{goodfellow2014, author={Goodfellow, Ian}, title="Generative Adversarial Nets",
  booktitle={Advances}, volume={27}, year=2014}
@misc{nowozin2016, author={Nowozin, S.}, title={f-{GAN}}, year={2016}, eprint={1606.00709},
  archivePrefix={arXiv}}
"""

# LaTeX, and what its Typst must contain
MATH = {
    r"D_{\mathrm{KL}}": 'D_("KL")',
    r"\mathrm{sign}(x)": r'"sign"\( x',
    r"\mathrm d x": "upright(d) x",
    r"\text{if } x > 0": '"if "x',
    r"\operatorname{Var}(x)": r'op("Var") \( x',
    r"\operatorname*{arg\,max}_\theta f": 'op("arg\u2006max", limits: #true)_theta',
    r"\arg\min_\theta f": "arg min_theta",
    r"p(x \mid y)": "x divides y",
    r"\left( p \,\middle\|\, q \right)": "thin mid(‖) thin",
    r"\left( \frac{a}{b} \right)": "(a / b)",
    r"\left\| \frac{a}{b} \right\|": "lr(‖a / b‖)",
    r"\left. f \right|_{x=0}": "lr(f|)_(x = 0)",
    r"\left\{ x \right.": r"lr(\{x)",
    r"\|x\|": 'class("normal", ‖) x class("normal", ‖)',
    r"|x|": r'class("normal", \|) x',
    r"A \setminus B": "A without B",
    r"A \cap B \otimes C": "A inter B times.o C",
    r"1{,}000": '1","000',
    r"a \; b": "thick",
    r"\begin{cases} x & \text{if } x > 0, \\ 0 & \text{otherwise} \end{cases}": 'cases(delim:"{"',
    r"\underbrace{a + b}_{\text{bound}}": 'underbrace(a + b,"bound")',
    r"\boldsymbol\epsilon + \mathbf x + \mathbb 1": "bold(epsilon.alt) + upright(bold(x)) + bb(1)",
    r"\begin{aligned} a &= b \\ &\le c && \text{(why)} \end{aligned}": '"(why)"',
    r"\begin{pmatrix} a & b \\ c & d \end{pmatrix}^{-1}": 'mat(delim:"(", a, b; c, d)^(- 1)',
    r"\sum_{\substack{i < j \\ k}} x_i": "sum_(i < j",
    r"\widehat{xy} + \overline{x} + \tilde x": "accent(x y",
    r"\max_{x \in \mathcal X} f^{**}(x) \iff g": "max_(x in cal(X)) f^(* *)",
}


def pages(path: Path) -> int:
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", path.read_bytes()))


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Each formula in Typst, alone and learnt in one go; both must agree."""
    folder = tmp_path_factory.mktemp("math")
    (folder / "in.json").write_text(json.dumps(list(MATH)))
    script = """
package.path = arg[1] .. "/?.lua;" .. package.path
local source = pandoc.json.decode(io.open(arg[2]):read("a"), false)
local elements, out = {}, {}
for i, tex in ipairs(source) do elements[i] = pandoc.Math("DisplayMath", tex) end
local alone = require("typst_math")
for i, element in ipairs(elements) do out[i] = { alone.convert(element) or "" } end
package.loaded["typst_math"] = nil
local together = require("typst_math")
together.learn(elements)
for i, element in ipairs(elements) do out[i][2] = together.convert(element) or "" end
print(pandoc.json.encode(out))
"""
    (folder / "script.lua").write_text(script)
    filters = Path(typeset.__file__).parent / "filters"
    command = [
        pypandoc.get_pandoc_path(),
        "lua",
        str(folder / "script.lua"),
        str(filters),
        str(folder / "in.json"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    pairs = json.loads(result.stdout)
    assert all(alone == together for alone, together in pairs)
    return {latex: alone for latex, (alone, _) in zip(MATH, pairs, strict=True)}


@pytest.mark.parametrize("latex", MATH)
def test_formula_converts(latex: str, converted: dict[str, str]) -> None:
    assert MATH[latex] in converted[latex]


def test_every_formula_compiles(converted: dict[str, str]) -> None:
    _, warnings = typst.compile_with_warnings(
        "\n\n".join(converted.values()).encode(), ignore_system_fonts=True
    )
    assert [warning.message for warning in warnings] == []


@pytest.fixture(scope="module")
def woven(tmp_path_factory: pytest.TempPathFactory) -> tuple[Book, Path]:
    """A small book with a preface, two parts and an appendix, woven once."""
    from press.config import load

    root = tmp_path_factory.mktemp("book")
    files = {
        "_quarto.yml": r"""
project: {type: book, output-dir: _book}
book:
  title: "A Small Book"
  author: "Nobody"
  description: "What it is."
  chapters:
    - index.qmd
    - part: "First part"
      chapters: [book/one.qmd]
    - part: "Second part"
      chapters: [book/two.qmd]
  appendices: [book/app.qmd]
bibliography: references.bib
lang: en-GB
macros: {KL: '$D_{\mathrm{KL}}\left(#1 \,\middle\|\, #2\right)$'}
""",
        "index.qmd": "# Preface {.unnumbered}\n\nRead @sec-first.\n\n## How to read\n\nText.\n",
        "book/one.qmd": CHAPTER,
        "book/two.qmd": SECOND,
        "book/app.qmd": "# Data {#sec-data}\n\n$$ x = y $$ {#eq-data}\n\nSee @eq-data.\n",
        "references.bib": BIBLIOGRAPHY,
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    book = load(root)
    path, overfull = pdf.weave(book)
    assert overfull == []
    return book, path


def asked(book: Book, selector: str, field: str = "value") -> list:  # type: ignore[type-arg]
    main = str(book.root / pdf.MAIN)
    return json.loads(typst.query(main, selector, field=field, root=str(book.root), ignore_system_fonts=True))


def test_the_pdf_is_a_book(woven: tuple[Book, Path]) -> None:
    book, path = woven
    data = path.read_bytes()
    assert path == book.root / "_book" / "A-Small-Book.pdf"
    assert pages(path) >= 16
    assert data.count(b"/FontFile") >= 4 and b"/BaseFont/Helvetica" not in data
    for wanted in (b"/Outlines", b"/Lang(en-GB)", b"/PageLabels"):
        assert wanted in data
    marks = asked(book, "<entry>")
    assert [(mark["kind"], mark["number"]) for mark in marks] == [
        ("chapter", None), ("part", "Part I"), ("chapter", "1"), ("section", "1.1"), ("part", "Part II"),
        ("chapter", "2"), ("section", "2.1"), ("part", None), ("chapter", "A"),
        ("chapter", None), ("chapter", None),
    ]  # fmt: skip
    assert sorted((mark["name"], mark["module"]) for mark in asked(book, "<identifier>")) == [
        ("LIMIT", "agm.thing"), ("public", "agm.thing"),
    ]  # fmt: skip


def test_numbers_are_the_index_s(woven: tuple[Book, Path]) -> None:
    book, _ = woven
    piece = (book.root / typeset.FOLDER / "book/one.typ").read_text()
    assert '#equation("1.1", name: "eq-kl")[$ D_("KL")' in piece
    assert '#jump("eq-kl")[Equation~1.1];' in piece and '#jump("sec-second")[Chapter~2];' in piece
    assert '#theorem("thm", [Theorem 1.1], [Title with $x$], name: "thm-one")[' in piece
    assert '#section(3, "1.1", name: "sec-definitions")[Definitions]' in piece
    assert "#equation(qed: true, none)[$ a = b $];" in piece
    assert "@eq-kl (1.1)" in piece and 'file: "tangled/agm/thing.py"' in piece
    assert '#equation("A.1", name: "eq-data")' in (book.root / typeset.FOLDER / "book/app.typ").read_text()
    assert '#jump("book/one")[there];' in (book.root / typeset.FOLDER / "book/two.typ").read_text()


def test_weaving_again_makes_nothing(woven: tuple[Book, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    book, path = woven
    before = path.stat().st_mtime_ns

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("called")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(typst, "Compiler", refuse)
    assert pdf.weave_pdf(book) == path and path.stat().st_mtime_ns == before


def test_a_damaged_pdf_is_made_anew(woven: tuple[Book, Path]) -> None:
    book, path = woven
    sound = path.read_bytes()
    path.write_bytes(sound[:1000])
    pdf.weave_pdf(book)
    assert path.read_bytes() == sound


def test_wide_equation_is_reported(
    make_book: MakeBook, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide = " + ".join(["x_{ijk}"] * 40)
    book = make_book(
        tmp_path, {"one.qmd": f"# One\n\nText.\n\n$$ a = {wide} $$ {{#eq-wide}}\n\n$$ a = b $$ {{#eq-b}}\n"}
    )
    pdf.weave_pdf(book)
    assert re.search(r"one\.qmd:5: eq-wide is too wide, shrunk to \d\d% – break it", capsys.readouterr().err)
    assert [warning.name for warning in pdf.weave(book)[1]] == ["eq-wide"]


def test_long_lines_of_code_are_broken(make_book: MakeBook, tmp_path: Path) -> None:
    line = "    result = function(" + ", ".join(f"argument_{n}" for n in range(30)) + ")"
    book = make_book(tmp_path, {"one.qmd": f"# One\n\n```python\n{line}\n{'x' * 250}\n```\n"})
    pdf.weave_pdf(book)
    piece = (tmp_path / typeset.FOLDER / "one.typ").read_text()
    source = re.search(r'#listing\("(.*?)", lang', piece, re.S)
    assert source
    parts = re.split("[\ue000\n]", source[1])
    assert len(parts) >= 6 and max(map(len, parts)) <= 110
    assert re.sub("\ue000\u00a0*", "", source[1]) == f"{line}\n{'x' * 250}"


def test_an_opening_figure_stays_below_the_title(make_book: MakeBook, tmp_path: Path) -> None:
    image = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>'
    text = "# One\n\n![A](a.svg){#fig-a}\n\n## Two\n\n![B](a.svg){#fig-b}\n"
    pdf.weave_pdf(make_book(tmp_path, {"one.qmd": text, "a.svg": image}))
    piece = (tmp_path / typeset.FOLDER / "one.typ").read_text()
    assert re.findall(r'name: "fig-(.)", float: (\w+)', piece) == [("a", "bottom"), ("b", "auto")]


def table(label: str, rows: int, rule: str = "|:--|:--|", cell: str = "x") -> str:
    filled = "".join(f"| {cell} | {'long words ' * 12}|\n" for _ in range(rows))
    return f"| A | B |\n{rule}\n{filled}\n: Caption {{#tbl-{label}}}\n\n"


def test_short_tables_float_long_ones_run_over_pages(make_book: MakeBook, tmp_path: Path) -> None:
    text = f"# One\n\n{table('a', 3)}## Two\n\n{table('b', 3)}{table('c', 40)}"
    pdf.weave_pdf(make_book(tmp_path, {"one.qmd": text}))
    piece = (tmp_path / typeset.FOLDER / "one.typ").read_text()
    found = re.findall(r'name: "tbl-(.)"(?:, float: (\w+))?\)', piece)
    assert found == [("a", "none"), ("b", "auto"), ("c", "")]


def test_columns_drawn_equally_wide_take_what_their_cells_need(make_book: MakeBook, tmp_path: Path) -> None:
    text = f"# One\n\n{table('a', 2)}{table('b', 2, '|:-|:---|')}"
    pdf.weave_pdf(make_book(tmp_path, {"one.qmd": text}))
    piece = (tmp_path / typeset.FOLDER / "one.typ").read_text()
    assert re.findall(r"columns: (.*),", piece) == ["2", "(33.33%, 66.67%)"]


def test_cells_of_a_table(make_book: MakeBook, tmp_path: Path) -> None:
    names = table("a", 1, cell="agm.latent.linear_gaussian")
    fractions = table("b", 1, cell=r"$\frac{1}{2}$")
    pdf.weave_pdf(make_book(tmp_path, {"one.qmd": f"# One\n\n{names}{fractions}"}))
    piece = (tmp_path / typeset.FOLDER / "one.typ").read_text()
    assert "agm.\u200blatent.\u200blinear\\_\u200bgaussian" in piece
    assert piece.count("#tall-rows[") == 1 and piece.index("#tall-rows[") > piece.index("tbl-b")


def test_years_of_one_author_share_a_parenthesis(make_book: MakeBook, tmp_path: Path) -> None:
    entry = "@book{%s, author = {A, B}, title = {T}, year = {%s}, publisher = {P}}\n"
    files = {
        "one.qmd": "# One\n\nA [-@a1; -@a2] wrote.\n",
        "references.bib": entry % ("a1", 1948) + entry % ("a2", 1951),
    }
    pdf.weave_pdf(make_book(tmp_path, files))
    piece = (tmp_path / typeset.FOLDER / "one.typ").read_text()
    assert re.search(
        r'\(#cite\(label\("a1"\), form: "year"\);, #cite\(label\("a2"\), form: "year"\);\)', piece
    )


def test_folded_code_is_counted_not_printed(make_book: MakeBook, tmp_path: Path) -> None:
    cells = (
        "```{python}\n#| label: tbl-a\n#| tbl-cap: N.\n#| code-fold: true\nfirst = 1\nsecond = 2\n```\n\n"
        "```{python}\n#| file: tests/chapters/test_a.py\n#| code-fold: true\nthird = 3\n```\n\n"
        "```{python}\n#| code-fold: show\nfourth = 4\n```\n"
    )
    book = make_book(tmp_path, {"one.qmd": f"# One\n\n{cells}"})
    pdf.weave_pdf(book)
    piece = (tmp_path / typeset.FOLDER / "one.typ").read_text()
    assert '#folded(2, draws: "Table 1.1")' in piece
    assert '#folded(1, file: "tests/chapters/test_a.py")' in piece
    assert re.findall("first|second|third|fourth", piece) == ["fourth"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("Some\n\nmath $\\unknown{x}$ here.", "one.qmd:5", r"math that cannot be converted: \\unknown"),
        ("Cite\n@nobody2000.", "one.qmd:4", "unknown citation '@nobody2000' – add it to references.bib"),
        ("See @eq-none.", "one.qmd:3", "unknown label '@eq-none'"),
        ("$$ a $$ {#eq-a}\n\n![Cap.](none.svg)\n", "one.qmd:5", "image 'none.svg' does not exist"),
        ("$$ a $$ {#eq-a}\n\n```{=typst}\n#unheard-of\n```\n", "one.qmd:3",
         r"unknown variable.*near @eq-a.*#unheard-of"),
    ],
)  # fmt: skip
def test_errors_have_a_place(make_book: MakeBook, tmp_path: Path, text: str, place: str, words: str) -> None:
    book = make_book(tmp_path, {"one.qmd": f"# One\n\n{text}\n", "references.bib": BIBLIOGRAPHY})
    with pytest.raises(PressError) as caught:
        pdf.weave_pdf(book)
    first = caught.value.errors[0] if isinstance(caught.value, PressErrors) else caught.value
    assert str(first).startswith(place + ":") and re.search(words, str(first))
    assert not list((tmp_path / "_book").glob("*.pdf"))


def test_public_names_come_from_tangled_cells() -> None:
    assert typeset.public_names(parse(CHAPTER, "one.qmd")) == {"tangled/agm/thing.py": ["LIMIT", "public"]}


def test_bibliography_is_put_right() -> None:
    found = entries(BIBLIOGRAPHY)
    assert (
        found["csiszar1967"][1]["title"] == "On {KL} divergence"
        and found["goodfellow2014"][1]["year"] == "2014"
    )
    text = normalised(BIBLIOGRAPHY)
    assert "booktitle = {{Advances 27}}" in text and "title = {{On {KL} divergence}}" in text
    assert "journal = {{arXiv:1606.00709}}" in text and "@article{nowozin2016," in text
    assert entries(text).keys() == found.keys()


def test_bibliography_says_where() -> None:
    text = normalised(
        "@inproceedings{one, title = {Don't {ELBO}}, booktitle = {Proceedings of {ICML}},\n"
        "series = {Research}, volume = {80}, number = {2}, eprint = {1711.00464}, archiveprefix = {arXiv}}\n"
        "@techreport{two, title = {Two}, institution = {Institute}, number = {TR-5}}\n"
        "@misc{three, title = {Three}, howpublished = {Issue 3 of a/b}, url = {https://b.org}}\n"
        "@article{four, title = {Four}, journal = {J}, doi = {1}, eprint = {1}, archiveprefix = {arXiv}}\n"
    )
    found = entries(text)
    assert found["one"][1]["booktitle"] == "{Proceedings of {ICML}, Research 80}"
    assert found["one"][1]["title"] == "{Don’t {ELBO}}"
    assert found["one"][1]["url"] == "https://arxiv.org/abs/1711.00464"
    assert not found["one"][1].keys() & {"series", "volume", "number"}
    assert found["two"][0] == "book" and found["two"][1]["publisher"] == "Technical report TR-5, Institute"
    assert found["three"][1]["publisher"] == "Issue 3 of a/b" and found["three"][1]["url"] == "https://b.org"
    assert "url" not in found["four"][1]
