"""Statements about a limit: O-terms, o-terms and approximations."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proofread import between, distribution, finite, function, model, positive, real
from proofread.judge import Step

Judge = Callable[..., Step]
numbers = model(real("a", "h"), between(0.5, 2, "b"), function("f(t)"))
TO_ZERO, TO_INFINITY = r"h \to 0", r"n \to \infty"


@pytest.mark.parametrize(
    ("limit", "expected", "right", "wrong"),
    [
        (TO_ZERO, "holds numerically", r"f(a + h) = f(a) + h f'(a) + O(h^2)", r"f(a + h) = f(a) + h f'(a) + O(h^3)"),
        (TO_ZERO, "holds numerically", r"f(a + h) - f(a - h) = 2 h f'(a) + O(h^3)", r"f(a + h) - f(a - h) = h f'(a) + O(h^3)"),
        (TO_ZERO, "holds numerically", r"f(a + h) = f(a) + h f'(a) + \frac{h^2}{2} f''(a) + o(h^2)",
         r"f(a + h) = f(a) + h f'(a) + h^2 f''(a) + o(h^2)"),
        (TO_ZERO, "proved", r"\exp(a h) = 1 + a h + \frac{a^2 h^2}{2} + O(h^3)", r"\exp(a h) = 1 + a h + \frac{a^2 h^2}{3} + O(h^3)"),
        (TO_ZERO, "proved", r"\exp(a h) - 1 = O(h)", r"\exp(a h) - 1 = o(h)"),
        (TO_ZERO, "proved", r"\exp(a h) - 1 \approx a h", r"\exp(a h) - 1 \approx 2 a h"),
        (TO_INFINITY, "proved", r"\frac{1}{n + b} = \frac1n - \frac{b}{n^2} + O\left(\frac{1}{n^3}\right)",
         r"\frac{1}{n + b} = \frac1n + \frac{b}{n^2} + O\left(\frac{1}{n^3}\right)"),
    ],
)  # fmt: skip
def test_orders_are_told_apart(judge: Judge, limit: str, expected: str, right: str, wrong: str) -> None:
    assert judge(right, numbers, limit=limit).verdict == expected
    step = judge(wrong, numbers, limit=limit)
    assert step.verdict == "refuted" and "on the way to the limit" in step.counterexample


@pytest.mark.parametrize(
    ("latex", "limit", "words"),
    [
        (r"h \log(h) = O(h)", TO_ZERO, "neither rests nor clearly grows"),
        (r"h = O(h)", "", "needs the limit"),
        (r"h \le O(h)", TO_ZERO, "write an equality"),
    ],
)
def test_what_cannot_be_judged_is_undecided(judge: Judge, latex: str, limit: str, words: str) -> None:
    step = judge(latex, model(positive("h")), limit=limit)
    assert step.verdict == "undecided" and words in step.reason


def test_a_declared_function_called_O_is_no_order(judge: Judge) -> None:
    assert judge("O(a) + 1 = 1 + O(a)", model(real("a"), function("O(t)"))).verdict == "proved"


def test_counterexamples_keep_bars_and_have_no_negative_zero(judge: Judge) -> None:
    meaning = model(finite("x", 2), finite("z", 2), distribution(r"q(z \mid x)"), real("a"))
    step = judge(r"q(z \mid x) = a", meaning)
    assert step.verdict == "refuted" and r"q(z \mid x) = [[" in step.counterexample
    zero = judge(r"-\left( a - a \right) = 1 + a^2", meaning)
    assert "left 0," in zero.counterexample and "-0," not in zero.counterexample
