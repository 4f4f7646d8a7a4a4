"""Mutants are made, killed, recognised as equivalent, or reported."""

from __future__ import annotations

import pytest

from proofread import Model, ProofreadError, define, distribution, finite, model, real, vector
from proofread.errors import Source
from proofread.judge import Case
from proofread.mutants import MutantReport, run_mutants, variants
from proofread.parser import parse, parse_expression
from proofread.pretty import pretty


def names(latex: str) -> set[str]:
    return {pretty(mutant) for _, mutant in variants(parse_expression(latex))}


def report(latex: str, meaning: Model, excuses: dict[str, str] | None = None) -> MutantReport:
    source = Source(latex, "test.qmd")
    return run_mutants(parse(source), Case(meaning, {}, source, draws=64), excuses or {})


def test_the_kinds_of_mistakes() -> None:
    assert {"a + b", "- a - b", "a", "- b"} <= names("a - b")
    assert {"a", "b"} <= names("a b")
    assert r"\frac{b}{a}" in names(r"\frac{a}{b}")
    assert (
        "x" in names("x^2")
        and "x" in names(r"\sqrt{x}")
        and "x" in names(r"x^\top")
        and "x" in names(r"\log x")
    )
    assert r"D_{\mathrm{KL}}\left(q \| p\right)" in names(r"\KL{p}{q}")
    assert r"\sum_{i = 1}^{n - 1} i" in names(r"\sum_{i=1}^n i") and r"\sum_{i = 2}^{n} i" in names(
        r"\sum_{i=1}^n i"
    )
    assert r"\prod_{i = 1}^{n} i" in names(r"\sum_{i=1}^n i")
    assert "x_{t - 1}" in names("x_t") and "x_{t + 1}" in names("x_{t-1}")
    assert names(r"p_\theta") == set() and r"\exp\left(x\right)" in names(r"\log x")
    assert "q\\left(x \\mid z\\right)" not in names(r"q(z \mid x)")


def test_a_sound_check_kills_all() -> None:
    found = report(r"(a - b)^2 = a^2 - 2 a b + b^2", model(real("a", "b")))
    assert found.total > 15
    assert found.survivors == [] and found.killed == found.total


def test_a_blind_interpretation_is_found_out() -> None:
    symmetric = report(r"a^\top A b = b^\top A a", model(vector("a", "b"), define(r"A = I")))
    assert symmetric.equivalents == ["line 1: factor A dropped"] * 2
    zero = model(real("a"), define("b = \\log \\exp(0 a)"))
    assert report(r"\left| b \right| + a = a + \sqrt{b^2}", zero).equivalents != []


def test_survivors_are_excused_by_name_only() -> None:
    meaning = model(finite("x", 3), distribution("p(x)"), distribution("q(x)"))
    latex = r"\max(p(x), q(x)) \ge p(x)"
    assert report(latex, meaning).survivors == []
    with pytest.raises(ProofreadError, match="does not exist"):
        report(latex, meaning, {"line 1: nonsense": "no reason"})


def test_reversed_inequalities_are_tried() -> None:
    found = report(r"a^2 \ge 0", model(real("a")))
    assert (found.total, found.killed) == (1, 1)
    found = report(r"a \le a", model(real("a")))
    assert found.survivors == [r"line 1: \le reversed"]
