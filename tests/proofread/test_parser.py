"""What the parser reads, how it binds, and how it refuses."""

from __future__ import annotations

import pytest

from proofread import tree as t
from proofread.errors import ProofreadError, Source
from proofread.parser import parse, parse_expression
from proofread.pretty import pretty

READABLE = [
    r"\log p_\theta(x) = \log \sum_z p_\theta(x, z) \ge \E_{q_\phi(z \mid x)}\left[ \log \frac{p_\theta(x, z)}{q_\phi(z \mid x)} \right]",
    r"\KL{q(z \mid x)}{p(z)} = \int q(z \mid x) \log \frac{q(z \mid x)}{p(z)} \,\mathrm d z",
    r"f^*(t) = \sup_{u \ge 0} \left\{ u t - f(u) \right\}",
    r"\theta^* = \arg\min_\theta \max_\phi V(\theta, \phi)",
    r"\nabla_\theta \E_{x \sim p_\theta}\left[ f(x) \right] = \E_{x \sim p_\theta}\left[ f(x) \nabla_\theta \log p_\theta(x) \right]",
    r"\frac{\partial^2}{\partial t^2} f(t) = f''(t), \qquad \frac{\mathrm d x}{\mathrm d t} = A x",
    r"q(x_{1:T} \mid x_0) \coloneqq \prod_{t=1}^{T} q(x_t \mid x_{t-1})",
    r"p(x) = \prod_{i=1}^n p(x_i \mid x_{<i})",
    r"\mathbf x^\top \boldsymbol\Sigma^{-1} \mathbf x = \left\| \mathbf L^{-1} \mathbf x \right\|_2^2 = \langle u, u \rangle",
    r"f(x) = \begin{cases} x & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}",
    r"\operatorname{tr}(A B) = \tr B A, \quad \det A^\top = \det A",
    r"\mathcal L = \underbrace{a}_{\text{reconstruction}} - \underbrace{b}_{\text{rate}} \quad \text{for all } x \in \R",
    r"a \le b \implies \exp(a) \le \exp(b)",
    r"\Var_{p}\left[ X \right] = \E\left[ X^2 \right] - \E\left[ X \right]^2, \quad \Cov[X, Y] = 0",
    r"R = \begin{pmatrix} \cos\theta & -\sin\theta \\ \sin\theta & \cos\theta \end{pmatrix}",
    r"g = \left. \frac{\partial}{\partial t} f(t) \right|_{t = 0}",
    r"\mathbb 1\{x = y\} \le \max(a, b) \overset{(i)}{=} \bar\alpha_{t-1} x^{(k)}",
    r"\binom{n}{k} = \binom{n - 1}{k}^2, \quad \max(a, b)^2 \ge 0",
    r"\lim_{t \to 0^+} f(t) = \lim_{n \to \infty} \frac{a_n}{n} = \lim_{h \downarrow 0} g(h)",
    r"\begin{pmatrix} A & B \\ B^\top & 0 \end{pmatrix} = \E\left[ X \mid Y, Z = z \right]",
    r"\pi^*(y) \propto \pi_{\mathrm{ref}}(y) \exp\left(\tfrac1\beta r(y)\right)",
]


@pytest.mark.parametrize("latex", READABLE)
def test_reads_the_dialect_and_prints_it_back(latex: str) -> None:
    tree = parse(latex)
    assert parse(pretty(tree)) == tree


def test_aligned_lines_form_one_chain() -> None:
    tree = parse("\\begin{aligned}\na &= b + c \\\\\n&\\quad - d \\\\\n&\\le e\n\\end{aligned}")
    (chain,) = tree.statements
    assert isinstance(chain, t.Relation)
    assert chain.relations == ("=", r"\le")
    assert pretty(chain.operands[1]) == "b + c - d"


def test_lines_without_a_leading_relation_are_statements_of_their_own() -> None:
    assert len(parse(r"\begin{aligned} a &= b \\ c &= d \end{aligned}").statements) == 2
    assert len(parse(r"a = b, \qquad c = d").statements) == 2


@pytest.mark.parametrize(
    ("latex", "meant"),
    [
        (r"\log a b", r"\log(a b)"),
        (r"\log(a) b", r"\left(\log(a)\right) b"),
        (r"\log a + b", r"\left(\log(a)\right) + b"),
        (r"\log x \log y", r"\log(x) \log(y)"),
        (r"\sum_i a_i b_i + c", r"\left(\sum_i (a_i b_i)\right) + c"),
        (r"\frac12 x", r"\frac{1}{2} x"),
        (r"x^2_i", r"x_i^2"),
        (r"-x y", r"-(x y)"),
        (r"\int f(x) \mathrm dx\, g", r"\left(\int f(x) \,\mathrm{d} x\right) g"),
        (r"A^{-\top}", r"\left(A^{-1}\right)^\top"),
        (r"\nabla_x f(x) + g", r"\left(\nabla_x (f(x))\right) + g"),
        (r"\operatorname{tr} A B", r"\operatorname{tr}(A B)"),
        (r"a / b", r"\frac{a}{b}"),
    ],
)
def test_binding(latex: str, meant: str) -> None:
    assert parse_expression(latex) == parse_expression(meant)


REFUSED = [
    (r"a = b + \cdots + c", 9, "ellipsis"),
    (r"a = \foo", 5, "unknown"),
    (r"a = \frac{1}{2", 13, "never closed"),
    (r"a = \left( b", 12, "expected )"),
    (r"a = \log b \cdot c", 12, "ambiguous"),
    (r"a = \log -b", 10, "ambiguous"),
    (r"a = 1/2 b", 9, "ambiguous"),
    (r"a = b c) d", 8, "cannot read )"),
    (r"x_1_2 = 3", 4, "two subscripts"),
    (r"x^1^2 = 3", 4, "two superscripts"),
    (r"a = \int f(x)", 14, "differential"),
    (r"a = \sum x", 5, "without an index"),
    (r"a = \E_{p} f", 12, "brackets"),
    (r"a = \big( b )", 5, r"\left("),
    (r"a = \begin{tabular} x \end{tabular}", 5, "outside the dialect"),
    (r"a = b \tag{1}", 7, "label"),
    (r"= b", 1, "missing"),
    ("", 1, "empty"),
    (r"a = (b + c", 11, "expected )"),
    (r"\frac{\partial^2 f}{\partial x} = 0", 32, "orders"),
]


@pytest.mark.parametrize(("latex", "column", "words"), REFUSED)
def test_refuses_with_column_caret_and_remedy(latex: str, column: int, words: str) -> None:
    with pytest.raises(ProofreadError) as caught:
        parse(Source(latex, "chapter.qmd", 10, 1))
    message = str(caught.value)
    assert words in message
    headline, *excerpt = message.split("\n")
    path, line, place, _ = headline.split(":", 3)
    assert (path, line) == ("chapter.qmd", "10")
    assert abs(int(place) - column) <= 1
    assert "; " in headline
    assert excerpt[-1].strip().startswith("^")


def test_macros_expand_with_arguments_and_point_at_their_use() -> None:
    macros = {r"\Df": (2, r"D_f\left(#1 \,\middle\|\, #2\right)"), r"\loop": (0, r"\loop")}
    assert parse(r"\Df{p}{q} = 0", macros) == parse(r"D_f(p \| q) = 0")
    with pytest.raises(ProofreadError) as caught:
        parse(Source(r"a = \Df{p}", "x.qmd"), macros)
    assert "lacks an argument" in str(caught.value) and "x.qmd:1:5" in str(caught.value)
    with pytest.raises(ProofreadError):
        parse(r"\loop = 1", macros)
