"""Extrema over parts of a line, and derivatives of what they define."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proofread import Model, assume, between, define, index, line, model, real, sequence
from proofread.judge import Step
from proofread.parser import parse
from proofread.pretty import pretty

Judge = Callable[..., Step]
numbers = model(between(-3, 3, "a"), between(0.1, 2, "c"), line("u", -9, 9), line("t"))
SQUARE = r"\left( a u - \frac{u^2}{2} \right)"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (rf"\sup_{{u \ge 0}} {SQUARE} = \frac{{\max(a, 0)^2}}{{2}}", rf"\sup_{{u \ge 0}} {SQUARE} = \frac{{a^2}}{{2}}"),
        (rf"\sup_{{u \in \R}} {SQUARE} = \frac{{a^2}}{{2}}", rf"\sup_{{u \le 0}} {SQUARE} = \frac{{a^2}}{{2}}"),
        (r"\inf_{t > 0} \left( c t - \log(t) \right) = 1 + \log(c)", r"\inf_{t > 1} \left( c t - \log(t) \right) = 1 + \log(c)"),
        (r"\sup_{t \in [0, c]} t = c", r"\sup_{t \in [0, c]} t = 2 c"),
        (r"\sup_{0 < t < 1, t^2 < c} t (2 - t) = \min(1, \sqrt c) (2 - \min(1, \sqrt c))",
         r"\sup_{0 < t < 1, t^2 < c} t (2 - t) = 1"),
        (r"\arg\max_{t > 0} \left( \log(t) - c t \right) = \frac1c", r"\arg\max_{t > 0} \left( \log(t) - c t \right) = c"),
    ],
)  # fmt: skip
def test_extrema_over_part_of_a_line(judge: Judge, right: str, wrong: str) -> None:
    assert parse(pretty(parse(right))) == parse(right)
    assert judge(right, numbers).verdict == "holds numerically"
    assert judge(wrong, numbers).verdict == "refuted"


@pytest.mark.parametrize(
    ("latex", "words"),
    [
        (r"\sup_{t \ge 0} c t = c", "stands for infinity"),
        (r"\sup_{t > 1, t < 0} t = c", "empty range"),
    ],
)
def test_extrema_that_do_not_exist_are_undecided(judge: Judge, latex: str, words: str) -> None:
    step = judge(latex, numbers)
    assert step.verdict == "undecided" and words in step.reason


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (r"\frac{\partial}{\partial a} f^*(a) = a", r"\frac{\partial}{\partial a} f^*(a) = 2 a"),
        (r"{f^*}'(a) = a", r"{f^*}'(a) = -a"),
        (r"\frac{\partial}{\partial a} g(a) = 0.1 + \exp(-a)", r"\frac{\partial}{\partial a} g(a) = 0"),
    ],
)
def test_derivatives_of_functions_defined_by_suprema(judge: Judge, right: str, wrong: str) -> None:
    meaning = numbers.extended(
        define(r"f^*(y) = \sup_{u} \left( y u - \frac{u^2}{2} \right)"),
        define(r"g(y) = \sup_{u \le y} \left( 0.1 u - \exp(-u) \right)"),
    )
    assert judge(right, meaning).verdict == "holds numerically"
    assert judge(wrong, meaning).verdict == "refuted"
    assert "the second derivative of an extremum" in judge(r"{f^*}''(a) = 1", meaning).reason


def test_nested_line_integrals_converge(judge: Judge) -> None:
    lines = model(real("a"), between(0.3, 2, "c"), line("u", nodes=241), line("t", nodes=241))
    joint = r"\int \int \mathcal{N}(u; t, 1) \mathcal{N}(t; a, c) u^2 \,\mathrm d u \,\mathrm d t"
    assert judge(rf"{joint} = a^2 + c + 1", lines, exact=False).verdict == "holds numerically"
    assert judge(rf"{joint} = a^2 + c", lines, exact=False).verdict == "refuted"


@pytest.mark.parametrize("extend", [False, True])
def test_constraints_with_a_free_index_hold_for_every_value(judge: Judge, extend: bool) -> None:
    base = model(index("t", 1, 3), sequence(r"\beta", 1, 3, between(0, 1)))
    constraint = assume(r"\beta_t < 0.5")
    meaning: Model = base.extended(constraint) if extend else model(base, constraint)
    assert judge(r"\beta_t \le \frac12", meaning).verdict != "refuted"
    assert judge(r"\beta_3 \le \frac25", meaning).verdict == "refuted"
