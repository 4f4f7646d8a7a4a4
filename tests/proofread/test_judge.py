"""Verdicts, and that nothing passes which was not tested."""

from __future__ import annotations

import pytest

from proofread import (
    Model,
    ProofreadError,
    assume,
    between,
    constant,
    define,
    distribution,
    finite,
    function,
    index,
    law,
    library,
    line,
    matrix,
    model,
    positive,
    positive_definite,
    random_variables,
    real,
    sequence,
    subset,
    table,
    vector,
)
from proofread.errors import Source
from proofread.judge import Case, Step, judge_equation
from proofread.parser import parse
from proofread.values import UndecidableError
from proofread.witness import time_limit


def judge(latex: str, meaning: Model, **options: object) -> list[Step]:
    source = Source(latex, "test.qmd")
    return judge_equation(parse(source), Case(meaning, {}, source, **{"draws": 64, **options}))  # type: ignore[arg-type]


def verdict(latex: str, meaning: Model, **options: object) -> str:
    (step,) = judge(latex, meaning, **options)
    return step.verdict


numbers = model(real("a", "b"), positive("c"))
diffusion = library.markov_chain(2).extended(
    define(r"q(x_{1:T} \mid x_0) = \prod_{t=1}^{T} q(x_t \mid x_{t-1})"),
    define(r"p(x_{0:T}) = p(x_T) \prod_{t=1}^{T} p_\theta(x_{t-1} \mid x_t)"),
)
discrete = model(
    finite("x", 3), finite("y", 2), distribution("p(x, y)"), table("f(x)"), table("g(x)", "positive")
)


@pytest.mark.parametrize(
    ("latex", "meaning"),
    [
        (r"(a + b)^2 = a^2 + 2 a b + b^2", numbers),
        (r"\log \left( c^2 \exp(a) \right) = 2 \log c + a", numbers),
        (r"\frac{\partial}{\partial a} \sin(a b) = b \cos(a b)", numbers),
        (r"\sum_x \sum_y p(x, y) = 1", discrete),
        (r"\E_{p(x, y)}\left[ f(x) \right] = \sum_x f(x) \sum_y p(x, y)", discrete),
        (r"\int_0^c u^2 \,\mathrm d u = \frac{c^3}{3}", numbers),
        (r"x^\top A y = \operatorname{tr}(A y x^\top)", model(vector("x", "y"), matrix("A"))),
        (r"\det(A B) = \det(A) \det(B)", model(matrix("A", "B"))),
        (r"(A B)^{-1} = B^{-1} A^{-1}", model(matrix("A", "B"))),
        (r"\left\| x \right\|^2 = x^\top x", model(vector("x", size=3))),
        (r"\E_{x \sim \mathcal{N}(a, c)}\left[ x^2 \right] = a^2 + c", numbers),
        (r"\E\left[ \epsilon^4 \right] = 3", model(law(r"\epsilon \sim \mathcal{N}(0, 1)"))),
        (r"\frac{\mathrm d}{\mathrm d a} f(a b) = b f'(a b)", model(real("a", "b"), function("f(u)"))),
        (r"\sum_{i=1}^{n} \sum_{j=1}^{n} u_i u_j = \left( \sum_{i=1}^{n} u_i \right)^2",
         model(constant("n", 3), sequence("u", 1, 3))),
        (r"u_i = \sum_{j=1}^{3} \mathbb{1}[i = j] u_j", model(index("i", 1, 3), sequence("u", 1, 3))),
        (r"\Var\left[ a X \right] = a^2 \Var\left[ X \right]", model(real("a"), random_variables("X"))),
        (r"\left. \frac{\partial}{\partial t} \exp(a t) \right|_{t = 0} = a", numbers),
        (r"\frac1n \sum_{i=1}^n u^{(i)} = \frac{u_1 + u_2}{2}", model(constant("n", 2), sequence("u", 1, 2))),
        (r"\E_{q(x_{1:T} \mid x_0)}\left[ \log \frac{p(x_{0:T})}{q(x_{1:T} \mid x_0)} \right]"
         r" = \E_{q(x_{1:T} \mid x_0)}\left[ \log p(x_T)"
         r" + \sum_{t=1}^{T} \log \frac{p_\theta(x_{t-1} \mid x_t)}{q(x_t \mid x_{t-1})} \right]", diffusion),
        (r"\E\left[ (a \epsilon + b)^2 \right] = a^2 + b^2", numbers.extended(law(r"\epsilon \sim \mathcal{N}(0, 1)"))),
        (r"\sum_{i < j} u_i u_j = u_1 u_2 + u_1 u_3 + u_2 u_3",
         model(index("i", 1, 3), index("j", 1, 3), sequence("u", 1, 3))),
    ],
)  # fmt: skip
def test_identities_are_proved_by_both_witnesses(latex: str, meaning: Model) -> None:
    assert verdict(latex, meaning) == "proved"


@pytest.mark.parametrize(
    ("latex", "meaning"),
    [
        (r"\log \E_{p(x, y)}[g(x)] \ge \E_{p(x, y)}[\log g(x)]", discrete),
        (r"\left| \sum_x f(x) \right| \le \sum_x \left| f(x) \right|", discrete),
        (r"f(t a + (1 - t) b) \le t f(a) + (1 - t) f(b)",
         model(real("a", "b"), between(0, 1, "t"), function("f(u)", "convex"))),
        (r"\int \mathcal{N}(x; a, 1) \,\mathrm d x = 1", model(real("a"), line("x"))),
        (r"\log \det S \le \operatorname{tr}(S) - 2", model(positive_definite("S"))),
        (r"\max_x f(x) \ge \sum_x f(x) \sum_y p(x, y)", discrete),
        (r"\sup_u \left( a u - \frac{u^2}{2} \right) = \frac{a^2}{2}", model(between(-3, 3, "a"), line("u", -9, 9))),
        (r"\sum_{k=0}^{\infty} a^k = \frac{1}{1 - a}", model(between(0.1, 0.9, "a"))),
        (r"a < b \implies \exp(a) < \exp(b)", numbers),
        (r"\sum_{x \in A} f(x) \le \sum_x \left| f(x) \right|", discrete.extended(subset("A", "x", "f(x) > 0"))),
        (r"\log(1 + c) < c", numbers),
        (r"a \ne b", numbers),
    ],
)  # fmt: skip
def test_inequalities_and_integrals_hold(latex: str, meaning: Model) -> None:
    assert verdict(latex, meaning) in ("holds numerically", "proved")


@pytest.mark.parametrize(
    ("latex", "meaning"),
    [
        (r"(a + b)^2 = a^2 + b^2", numbers),
        (r"a \le b", numbers),
        (r"\exp(a) \ge 1 + a + \frac{a^2}{2}", numbers),
        (r"x^\top A y = y^\top A x", model(vector("x", "y"), matrix("A"))),
        (r"\log(1 + c) < 0.99 c", numbers),
        (r"a = b \implies a^2 = b^2 + 1", model(real("a"), define("b = a"))),
        (r"\frac{a}{c} \propto a c", numbers),
    ],
)
def test_falsehoods_are_refuted(latex: str, meaning: Model) -> None:
    assert verdict(latex, meaning, over="c") == "refuted"


def test_narrow_violations_are_found_by_climbing() -> None:
    (step,) = judge(r"c + \frac1c \ge 2.00005", numbers)
    assert step.verdict == "refuted"
    assert "c = 1" in step.counterexample or "c = 0.99" in step.counterexample


def test_counterexamples_are_small_and_printed() -> None:
    (step,) = judge(r"a b = a + b", numbers)
    assert "a = " in step.counterexample and "left" in step.counterexample


def test_proportionality_needs_its_variable() -> None:
    meaning = model(real("x", "m"), positive("v"))
    latex = r"\mathcal{N}(x; m, v) \propto \exp\left( -\frac{(x - m)^2}{2 v} \right)"
    assert verdict(latex, meaning, over="x") == "holds numerically"
    assert verdict(latex, meaning, over="v") == "refuted"
    assert verdict(latex, meaning) == "undecided"


def test_approximation_needs_a_tolerance() -> None:
    meaning = model(between(0, 0.01, "h"))
    assert verdict(r"\exp(h) \approx 1 + h", meaning) == "undecided"
    assert verdict(r"\exp(h) \approx 1 + h", meaning, approx=1e-3) == "holds numerically"
    assert verdict(r"\exp(h) \approx 1 + 2 h", meaning, approx=1e-4) == "refuted"


@pytest.mark.parametrize(
    ("latex", "meaning", "words"),
    [
        (r"\log a = \log a", numbers, "no finite value"),
        (r"\frac{a}{a - a} = 1", numbers, "no finite value"),
        (r"\int_0^1 \frac{1}{u} \,\mathrm d u = c", numbers, "converge"),
        (r"a > 5 \implies a > 4", model(between(0, 1, "a")), "nothing was tested"),
        (r"x \sim p", numbers, "cannot be checked"),
    ],
)
def test_what_was_not_tested_is_undecided(latex: str, meaning: Model, words: str) -> None:
    (step,) = judge(latex, meaning)
    assert step.verdict == "undecided"
    assert words in step.reason


@pytest.mark.parametrize(
    ("latex", "meaning", "words"),
    [
        (r"a = w", numbers, "w has no meaning"),
        (r"x + 1 = x", model(vector("x")), "cannot add a vector of 2 and a scalar"),
        (r"x x = 1", model(vector("x")), "cannot multiply"),
        (r"x = x^\top x", model(vector("x")), "differ in type"),
        (r"h(a, b) = a", numbers, "function h has no meaning"),
        (r"\sum_w a = a", numbers, "not known what w runs over"),
        (r"p(x) = 1", discrete, "fits these arguments"),
        (r"\E_{z}\left[ a \right] = a", model(real("a", "z")), "distribution of z is not given"),
        (r"u_9 = u_1", model(sequence("u", 1, 3)), "has no element"),
        (r"a", numbers, "without a relation"),
        (r"\text{only words}", numbers, "without a relation"),
        (r"f(a) = 1", discrete.extended(real("a")), "not an outcome"),
        (r"x_3 = 1", model(vector("x")), "outside of a vector of 2"),
    ],
)
def test_errors_name_the_place_and_the_remedy(latex: str, meaning: Model, words: str) -> None:
    with pytest.raises(ProofreadError) as caught:
        judge(latex, meaning)
    message = str(caught.value)
    assert words in message
    assert message.startswith("test.qmd:1:") and "; " in message and "^" in message


def test_constraints_thin_out_the_draws_and_may_not_empty_them() -> None:
    meaning = model(real("a", "b"), assume("a < b"))
    assert verdict(r"\exp(a) \le \exp(b)", meaning) == "holds numerically"
    with pytest.raises(ProofreadError, match=r"only 0 of .* draws satisfy"):
        judge("a = a", model(real("a"), assume("a < a - 1")))
    with pytest.raises(ProofreadError, match="samples nothing"):
        finite("x", 0)


def test_rounding_is_neither_an_error_nor_hides_one() -> None:
    assert verdict(r"(a + 1000000) - 1000000 = a", numbers, exact=False) in ("holds numerically", "undecided")
    assert verdict(r"a + 0.0001 = a", numbers) == "refuted"
    (step,) = judge(r"a + 0.0000000001 = a", numbers, exact=False)
    assert step.verdict == "undecided" and "between rounding and a refutation" in step.reason


def test_a_free_index_must_hold_for_every_value() -> None:
    meaning = model(
        index("t", 1, 3), sequence("u", 1, 3), define(r"v_1 = u_1"), define(r"v_2 = u_2"), define("v_3 = 0")
    )
    assert verdict("v_t = u_t", meaning) == "refuted"


def test_derivatives_of_derivatives_and_of_definitions() -> None:
    meaning = model(vector(r"\theta"), define(r"J(\theta) = \frac{\theta_1^3 \theta_2}{3}"))
    hessian = r"\nabla_\theta^2 J(\theta) = \begin{pmatrix} 2 \theta_1 \theta_2 & \theta_1^2 \\ \theta_1^2 & 0 \end{pmatrix}"
    assert verdict(hessian, meaning) == "proved"
    assert verdict(hessian.replace(r"2 \theta_1", r"3 \theta_1"), meaning) == "refuted"


def test_the_time_limit_stops_a_computation_that_never_ends() -> None:
    with pytest.raises(UndecidableError, match="not decided within"), time_limit(0.2):
        while True:
            pass
