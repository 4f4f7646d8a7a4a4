"""Conditional expectations: given random variables, events, variables of a distribution, Gaussians."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proofread import (
    Model,
    ProofreadError,
    define,
    distribution,
    finite,
    function,
    law,
    model,
    random_variables,
    real,
    table,
)
from proofread.judge import Step

Judge = Callable[..., Step]
variables = model(
    random_variables("X", "Z", "Y", levels={"Y": 2}), function("g(t)"), function("h(t)", "convex")
)
nested = model(random_variables("X", "Y", "Z", levels={"Y": 2, "Z": 2}))
declared = model(finite("y", 3), random_variables("X", "Y", levels={"Y": "y"}), table("f(y)"))
joint = model(
    finite("x", 3), finite("y", 2), distribution("p(x, y)"), distribution("q(x)"), distribution(r"r(y \mid x)"),
    table("f(x)"), define(r"p(x \mid y) = \frac{p(x, y)}{\sum_x p(x, y)}"),
)  # fmt: skip
normal = model(
    law(r"x \sim \mathcal{N}(0, 1)"), law(r"y \sim \mathcal{N}(x, 1)"), law(r"\epsilon \sim \mathcal{N}(0, 1)"),
    real("x_0", "a"), define(r"x_t = a x_0 + \epsilon"),
)  # fmt: skip
GIVEN = r"\E\left[ X \mid Y \right]"
CASES: list[tuple[str, Model, str, str]] = [
    ("proved", variables, rf"\E\left[ {GIVEN} \right] = \E[X]", rf"\E\left[ {GIVEN} \right] = \E[Y]"),
    ("proved", variables, rf"\E\left[ g(Y) X \mid Y \right] = g(Y) {GIVEN}", rf"\E\left[ g(Z) X \mid Y \right] = g(Z) {GIVEN}"),
    ("numeric", variables, rf"\Var[X] = \E\left[ \Var\left[ X \mid Y \right] \right] + \Var\left[ {GIVEN} \right]",
     rf"\Var[X] = \Var\left[ {GIVEN} \right]"),
    ("holds numerically", variables, rf"\E\left[ h(X) \mid Y \right] \ge h\left( {GIVEN} \right)",
     rf"\E\left[ h(X) \mid Y \right] \le h\left( {GIVEN} \right)"),
    ("numeric", nested, rf"\E\left[ \E\left[ X \mid Y, Z \right] \mid Y \right] = {GIVEN}",
     r"\E\left[ \E\left[ X \mid Y, Z \right] \mid Y \right] = \E\left[ X \mid Z \right]"),
    ("proved", declared, r"\sum_y \E\left[ \mathbb 1[Y = y] \right] \E\left[ X \mid Y = y \right] = \E[X]",
     r"\sum_y \E\left[ X \mid Y = y \right] = \E[X]"),
    ("proved", declared, r"\E\left[ X f(Y) \mid Y = y \right] = f(y) \E\left[ X \mid Y = y \right]",
     r"\E\left[ X f(Y) \mid Y = y \right] = f(y) \E\left[ X \right]"),
    ("proved", joint, r"\E_{p(x, y)}\left[ f(x) \mid y \right] = \E_{p(x \mid y)}\left[ f(x) \right]",
     r"\E_{p(x, y)}\left[ f(x) \mid y \right] = \E_{p(x, y)}\left[ f(x) \right]"),
    ("proved", joint, r"\E_{q(x) r(y \mid x)}\left[ f(x) \mid y \right] = \frac{\sum_x q(x) r(y \mid x) f(x)}{\sum_x q(x) r(y \mid x)}",
     r"\E_{q(x) r(y \mid x)}\left[ f(x) \mid y \right] = \sum_x q(x) r(y \mid x) f(x)"),
    ("holds numerically", normal, r"\E\left[ x \mid y \right] = \frac{y}{2}", r"\E\left[ x \mid y \right] = y"),
    ("proved", normal, r"\E\left[ x_t^2 \mid x_0 \right] = a^2 x_0^2 + 1", r"\E\left[ x_t^2 \mid x_0 \right] = a^2 + 1"),
]  # fmt: skip


@pytest.mark.parametrize(("expected", "meaning", "right", "wrong"), CASES, ids=[case[2] for case in CASES])
def test_right_is_accepted_and_wrong_refuted(
    judge: Judge, expected: str, meaning: Model, right: str, wrong: str
) -> None:
    exact = expected != "numeric"
    assert judge(right, meaning, exact=exact).verdict == (expected if exact else "holds numerically")
    assert judge(wrong, meaning, exact=exact).verdict == "refuted"


@pytest.mark.parametrize(
    ("latex", "meaning", "words"),
    [
        (r"\E\left[ X \mid Z \right] = X", variables, "give it few values"),
        (r"\E\left[ x \mid x_t \right] = 0", normal, "condition on these quantities"),
    ],
)
def test_conditions_that_would_test_nothing_are_refused(
    judge: Judge, latex: str, meaning: Model, words: str
) -> None:
    with pytest.raises(ProofreadError, match=words):
        judge(latex, meaning)


def test_an_impossible_event_is_undecided(judge: Judge) -> None:
    meaning = model(finite("x", values=(0, 1)), distribution("q(x)"))
    assert judge(r"\E_{q(x)}\left[ x \mid x > 2 \right] = 0", meaning).verdict == "undecided"


def test_levels_are_checked(judge: Judge) -> None:
    for levels, words in (({"Y": 1}, "not random"), ({"W": 2}, "not declared here"), ({"Y": 23}, "at most")):
        with pytest.raises(ProofreadError, match=words):
            judge("X = X", model(random_variables("X", "Y", levels=levels)))
