"""Mutants are made, killed, recognised as equivalent, or reported."""

from __future__ import annotations

from typing import Any

import pytest

from proofread import (
    Model,
    ProofreadError,
    between,
    define,
    distribution,
    divergence,
    finite,
    model,
    positive,
    positive_definite,
    real,
    vector,
)
from proofread.errors import Source
from proofread.judge import Case
from proofread.mistakes import mutants_of, variants
from proofread.mutants import MutantReport, run_mutants
from proofread.parser import parse, parse_expression
from proofread.pretty import pretty


def names(latex: str) -> set[str]:
    return {pretty(mutant) for _, mutant in variants(parse_expression(latex))}


def report(latex: str, meaning: Model, excuses: dict[str, str] | None = None, **options: Any) -> MutantReport:
    source = Source(latex, "test.qmd")
    return run_mutants(parse(source), Case(meaning, {}, source, draws=64, **options), excuses or {})


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
    assert symmetric.equivalents == ["line 1, left: factor A dropped", "line 1: factor A dropped"]
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
    assert found.survivors == [] and found.killed >= 1
    found = report(r"a \le a", model(real("a")))
    assert found.survivors == [r"line 1: \le reversed"]


def test_a_wrong_constant_in_a_sharp_bound_is_found() -> None:
    sharp = report(r"a^2 + b^2 \ge 2 a b", model(real("a", "b")))
    assert sharp.survivors == [] and sharp.loose == []
    # Every mistake that strengthens the bound dies; the two that weaken it may be true.
    assert sharp.uninformative == ["line 1: factor b dropped (2)"] or len(sharp.uninformative) <= 4
    pinsker = model(
        finite("x", 2), distribution("p(x)"), distribution("q(x)"),
        divergence(r"D_{\mathrm{TV}}(p, q)", r"\frac12 \left| p - q \right|"),
    )  # fmt: skip
    good = report(r"\KL{p}{q} \ge 2 D_{\mathrm{TV}}(p, q)^2", pinsker)
    assert good.survivors == [] and "line 1: 2 becomes 3" not in good.uninformative
    weak = report(r"\KL{p}{q} \ge 1 D_{\mathrm{TV}}(p, q)^2", pinsker)
    assert "line 1: 1 becomes 2" in weak.uninformative


def test_bounds_that_are_never_tight_are_named() -> None:
    found = report(r"a^2 + 7 \ge 2", model(real("a")))
    assert found.survivors == [] and "line 1: 2 becomes 3" in found.uninformative
    assert "a wrong constant could hide" in found.loose[0]


def test_names_tell_sides_lines_and_repetitions_apart() -> None:
    equation = parse(r"\begin{aligned} a + a &= 2 a \\ &= a + a \\ b + b &\le 2 b \end{aligned}")
    every = [mutant.name for mutant in mutants_of(equation)]
    assert len(every) == len(set(every))
    assert {
        "line 1, left: sign of a",
        "line 1: 2 becomes 3",
        "line 2: sign of a",
        "line 3, left: sign of b",
    } <= set(every)
    assert "line 1, left: sign of a (2)" in every and r"line 3: \le reversed" in every


def test_approximations_and_proportions_have_mutants() -> None:
    near = model(between(0.001, 0.01, "h"))
    found = report(r"\exp(h) \approx 1 + h", near, approx=1e-4)
    assert found.survivors == [] and found.killed > 5
    loose = report(r"\exp(h) \approx 1 + h", near, approx=0.05)
    assert "line 1: sign of h" in loose.survivors
    order = report(r"\exp(h) = 1 + h + \frac{h^2}{2} + O(h^3)", model(positive("h")), limit=r"h \to 0")
    assert order.survivors == [] and "line 1: sign of h" not in order.uninformative
    ratio = report(r"\exp(a - b) \propto 2 \exp(a)", model(real("a", "b")), over="a")
    assert ratio.survivors == [] and "line 1: 2 becomes 3" in ratio.uninformative


def test_implications_have_mutants() -> None:
    found = report(r"a \ge b \implies \exp(a) \ge \exp(b)", model(real("a", "b")))
    assert found.survivors == [] and found.killed >= 2


def test_vector_gaussians_with_swapped_arguments_die() -> None:
    meaning = model(vector("m", "x"), positive_definite("S"))
    found = report(r"\log \mathcal{N}(x; m, S) = \log \mathcal{N}(m; x, S)", meaning)
    assert found.survivors == [] and found.killed > 0


def test_a_line_in_which_nothing_can_be_changed_gets_its_sign_flipped() -> None:
    expected = {"line 1: sign of y"}
    assert {mutant.name for mutant in mutants_of(parse(Source("x = y", "test.qmd")))} == expected
    found = report("x = y", model(real("x"), define("y = x")))
    assert (found.total, found.killed, found.survivors) == (1, 1, [])
    assert not {mutant.name for mutant in mutants_of(parse(Source("x = 2 y", "test.qmd")))} & expected
