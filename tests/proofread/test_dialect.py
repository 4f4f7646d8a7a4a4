"""Binomial coefficients, limits and block matrices: the right form is accepted, a wrong one refuted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proofread import (
    ProofreadError,
    between,
    constant,
    define,
    finite,
    function,
    index,
    law,
    matrix,
    model,
    positive,
    positive_definite,
    real,
    vector,
)
from proofread.judge import Step

Judge = Callable[..., Step]
numbers = model(
    real("a"), positive("c"), between(0.1, 0.9, "p"), constant("n", 5), constant("k", 2), index("j", 0, 5),
    finite("s", values=(0, 1, 2)), function("f(t)"),
    law(r"\epsilon \sim \mathcal{N}(0, 1)"), define(r"v = \begin{pmatrix} 0 \\ 1 \\ 3 \end{pmatrix}"),
)  # fmt: skip
blocks = model(matrix("A", "B", "C"), positive_definite("S"), vector("x", "y"), real("w"))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"\sum_{j=0}^{n} \binom{n}{j} p^j (1 - p)^{n - j} = 1", r"\sum_{j=0}^{n} \binom{n}{j} p^j = 1"),
        (r"\binom{n}{j} = \binom{n}{n - j}", r"\binom{n}{j} = \binom{n - 1}{n - j}"),
        (r"\binom{n}{k} = \binom{n - 1}{k} + \binom{n - 1}{k - 1}", r"\binom{n}{k} = \binom{n - 1}{k} + \binom{n}{k - 1}"),
        (r"\binom{a}{2}^2 = \frac{a^2 (a - 1)^2}{4}", r"\binom{a}{2} = \frac{a^2}{2}"),
        (r"\binom{2}{s} = \frac{2}{\binom{s}{s} + (s - 1)^2}", r"\binom{2}{s} = 1 + s"),
        (r"\lim_{t \to 0} \frac{\sin(a t)}{t} = a", r"\lim_{t \to 0} \frac{\sin(a t)}{t} = 1"),
        (r"\lim_{n \to \infty} \left( 1 + \frac{a}{n} \right)^n = \exp(a)",
         r"\lim_{n \to \infty} \left( 1 - \frac{a}{n} \right)^n = \exp(a)"),
        (r"\lim_{n \to \infty} p^n = 0", r"\lim_{n \to \infty} p^n = p"),
        (r"\lim_{t \downarrow 0} \operatorname{softmax}\left( \frac{v}{t} \right) = \begin{pmatrix} 0 \\ 0 \\ 1 \end{pmatrix}",
         r"\lim_{t \downarrow 0} \operatorname{softmax}\left( \frac{v}{t} \right) = \begin{pmatrix} 1 \\ 0 \\ 0 \end{pmatrix}"),
        (r"\lim_{t \downarrow 0} t \log(t) = 0", r"\lim_{t \downarrow 0} t^t = 0"),
        (r"\lim_{b \to 1} \frac{1 - c^{1-b}}{1 - b} = -\log(c)", r"\lim_{b \to 1} \frac{1 - c^{1-b}}{1 - b} = \log(c)"),
        (r"\lim_{t \to -\infty} \frac{t}{\sqrt{t^2 + c}} = -1", r"\lim_{t \to -\infty} \frac{t}{\sqrt{t^2 + c}} = 1"),
        (r"\begin{pmatrix} A & B \\ 0 & C \end{pmatrix} \begin{pmatrix} x \\ y \end{pmatrix} = \begin{pmatrix} A x + B y \\ C y \end{pmatrix}",
         r"\begin{pmatrix} A & B \\ 0 & C \end{pmatrix} \begin{pmatrix} x \\ y \end{pmatrix} = \begin{pmatrix} A x \\ B x + C y \end{pmatrix}"),
        (r"\det \begin{pmatrix} S & x \\ x^\top & w \end{pmatrix} = \det(S) \left( w - x^\top S^{-1} x \right)",
         r"\det \begin{pmatrix} S & x \\ x^\top & w \end{pmatrix} = \det(S) \left( w + x^\top S^{-1} x \right)"),
    ],
)  # fmt: skip
def test_both_witnesses_tell_right_from_wrong(judge: Judge, right: str, wrong: str) -> None:
    meaning = blocks if "pmatrix" in right and "lim" not in right else numbers
    assert judge(right, meaning).verdict == "proved"
    assert judge(wrong, meaning).verdict == "refuted"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"\lim_{t \to 0} \frac{f(a + t) - f(a)}{t} = f'(a)", r"\lim_{t \to 0} \frac{f(a + t) - f(a - t)}{t} = f'(a)"),
        (r"\frac{\partial}{\partial a} \E_{x \sim \mathcal{N}(a, c^2)}\left[ f(x) \right]"
         r" = \E_{x \sim \mathcal{N}(a, c^2)}\left[ f(x) \frac{x - a}{c^2} \right]",
         r"\frac{\partial}{\partial a} \E_{x \sim \mathcal{N}(a, c^2)}\left[ f(x) \right]"
         r" = \E_{x \sim \mathcal{N}(a, c^2)}\left[ f(x) \frac{x - a}{c} \right]"),
        (r"\frac{\partial}{\partial c} \E\left[ f(a + c \epsilon) \right] = \E\left[ f'(a + c \epsilon) \epsilon \right]",
         r"\frac{\partial}{\partial c} \E\left[ f(a + c \epsilon) \right] = \E\left[ f'(a + c \epsilon) \right]"),
        (r"\lim_{m \to \infty} \frac1m \sum_{i=1}^m \frac{i}{m} = \frac12",
         r"\lim_{m \to \infty} \frac1m \sum_{i=1}^m \frac{i}{m} = 1"),
    ],
)  # fmt: skip
def test_limits_beyond_algebra_hold_numerically(judge: Judge, right: str, wrong: str) -> None:
    assert judge(right, numbers).verdict == "holds numerically"
    assert judge(wrong, numbers).verdict == "refuted"


@pytest.mark.parametrize(
    "latex",
    [r"\lim_{t \to 0} \frac{t}{| t |} = 1", r"\lim_{t \to \infty} \sin(t) = 0", r"\lim_{t \to \infty} \log(c + t) = 9"],
)  # fmt: skip
def test_limits_that_do_not_exist_are_undecided(judge: Judge, latex: str) -> None:
    step = judge(latex, numbers)
    assert step.verdict == "undecided" and "limit" in step.reason


@pytest.mark.parametrize(
    ("latex", "words"),
    [
        (r"\lim_{t = 0} t = 0", "cannot read this limit"),
        (r"\begin{pmatrix} A & x \\ y & C \end{pmatrix} = A", "different numbers of columns"),
        (r"\binom{x}{2} = 1", "binomial coefficient of a vector"),
    ],
)
def test_what_does_not_fit_is_refused(judge: Judge, latex: str, words: str) -> None:
    with pytest.raises(ProofreadError, match=words) as caught:
        judge(latex, blocks)
    assert str(caught.value).startswith("test.qmd:1:") and "^" in str(caught.value)


def test_a_limit_of_a_definition(judge: Judge) -> None:
    meaning = model(positive("c"), real("h"), define(r"g(h) = \frac{c^h - 1}{h}"))
    assert judge(r"\lim_{h \to 0} g(h) = \log(c)", meaning).verdict == "proved"
