"""``agm.convex_generators`` against SymPy's calculus and against SciPy's special functions and optimiser."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import sympy
import torch
from agm.convex_generators import GENERATORS, ConvexGenerator, alpha_generator
from scipy import optimize, special

from tests.oracles.inputs import SEEDS, agree, numbers, tensor

T, Y = sympy.Symbol("t", positive=True), sympy.Symbol("y", real=True)
HALF = sympy.Rational(1, 2)
# As printed in the literature (Liese and Vajda, 2006), scaled to the conventions of the book.
FORMULAS = {
    "kl": T * sympy.log(T),
    "reverse_kl": -sympy.log(T),
    "jensen_shannon": HALF * (T * sympy.log(T) - (T + 1) * sympy.log((T + 1) / 2)),
    "squared_hellinger": HALF * (sympy.sqrt(T) - 1) ** 2,
    "pearson": (T - 1) ** 2,
    "neyman": (1 - T) ** 2 / T,
    "le_cam": (T - 1) ** 2 / (2 * (T + 1)),
    "total_variation": HALF * sympy.Abs(T - 1),
}
ORDERS = ("-3/2", "-1", "1/3", "1/2", "3/2", "2", "3")
SMOOTH = [name for name in FORMULAS if name != "total_variation"] + [f"alpha {order}" for order in ORDERS]
each_smooth = pytest.mark.parametrize("name", SMOOTH)


@functools.cache
def both(name: str) -> tuple[ConvexGenerator, sympy.Expr]:
    """The generator of the package and the formula."""
    if not name.startswith("alpha"):
        return GENERATORS[name], FORMULAS[name]
    order = sympy.Rational(name.split()[1])
    return alpha_generator(float(order)), (T**order - 1 - order * (T - 1)) / (order * (order - 1))


def points(seed: int = 0) -> np.ndarray:
    return np.exp(numbers(seed).uniform(-6, 6, size=50))


def evaluate(expression: sympy.Expr, values: np.ndarray, symbol: sympy.Symbol = T) -> list[float]:
    """Thirty correct digits, rounded once."""
    return [float(expression.evalf(30, subs={symbol: sympy.Float(float(value), 40)})) for value in values]


def test_every_generator_has_a_formula() -> None:
    assert set(FORMULAS) == set(GENERATORS)


@each_smooth
def test_function_and_derivatives_are_those_of_sympy(name: str) -> None:
    generator, formula = both(name)
    t = points()
    agree(generator.function(tensor(t)), evaluate(formula, t), rtol=1e-9, atol=1e-12)
    agree(generator.derivative(tensor(t)), evaluate(sympy.diff(formula, T), t), rtol=1e-9, atol=1e-12)
    assert generator.second_derivative is not None
    agree(generator.second_derivative(tensor(t)), evaluate(sympy.diff(formula, T, 2), t))


@each_smooth
def test_ends_are_the_limits_of_sympy(name: str) -> None:
    generator, formula = both(name)
    slope = sympy.diff(formula, T)
    limits = {
        "value_at_zero": sympy.limit(formula, T, 0, "+"),
        "slope_at_infinity": sympy.limit(slope, T, sympy.oo),
        "derivative_at_zero": sympy.limit(slope, T, 0, "+"),
        "conjugate_at_upper_end": sympy.limit(sympy.simplify(T * slope - formula), T, sympy.oo),
        "derivative_at_one": slope.subs(T, 1),
    }
    for attribute, oracle in limits.items():
        found = getattr(generator, attribute)
        expected = float(oracle)
        assert found == expected or math.isclose(found, expected, rel_tol=1e-14), attribute


@each_smooth
def test_symmetry_is_that_of_the_adjoint(name: str) -> None:
    generator, formula = both(name)
    adjoint = T * formula.subs(T, 1 / T)
    curvature = sympy.diff(formula, T, 2) - sympy.diff(adjoint, T, 2)
    values = evaluate(curvature, np.array([0.2, 3.0]))
    assert generator.symmetric == all(abs(value) < 1e-20 for value in values)


@each_smooth
@pytest.mark.parametrize("seed", SEEDS)
def test_conjugate_is_the_tangent_of_sympy(name: str, seed: int) -> None:
    """With thirty digits: at the slope y = f'(t), the conjugate is t y - f(t)."""
    generator, formula = both(name)
    t = np.exp(numbers(seed).uniform(-2, 2, size=20))
    slope = sympy.diff(formula, T)
    y = np.array(evaluate(slope, t))
    agree(generator.conjugate(tensor(y)), evaluate(T * slope - formula, t), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", [*SMOOTH, "total_variation"])
def test_conjugate_is_the_supremum_that_scipy_finds(name: str) -> None:
    generator, formula = both(name)
    f = sympy.lambdify(T, formula, "numpy")
    end = generator.slope_at_infinity
    lowest = max(generator.derivative_at_zero, -4.0) - 0.5  # some slopes lie below f'(0)
    slopes = numbers(3).uniform(lowest, min(end - 0.02, 4.0), size=25)

    def supremum(y: float) -> float:
        result = optimize.minimize_scalar(
            lambda s: f(math.exp(s)) - math.exp(s) * y,
            bounds=(-40, 12),
            method="bounded",
            options={"xatol": 1e-9},
        )
        ends = [-float(f(math.exp(s)) - math.exp(s) * y) for s in (-40.0, 0.0)]
        return max(-float(result.fun), *ends)

    agree(generator.conjugate(tensor(slopes)), [supremum(y) for y in slopes], rtol=1e-6, atol=1e-6)
    if math.isfinite(end):  # beyond f'(infinity) the objective grows without end
        y = end + 0.01
        assert 1e8 * y - f(1e8) > 1e5 and 1e10 * y - f(1e10) > 1e7
        assert generator.conjugate(tensor([y])).item() == math.inf


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("order", [-1.5, 0.0, 1e-5, 0.5, 1.0, 1 + 1e-5, 2.7])
def test_alpha_family_is_made_of_box_cox_transforms(order: float, seed: int) -> None:
    t = points(seed)
    generator = alpha_generator(order)
    agree(generator.derivative(tensor(t)), special.boxcox(t, order - 1))
    oracle = t * special.boxcox(t, order - 1) - special.boxcox(t, order)
    agree(generator.function(tensor(t)), oracle, rtol=1e-8, atol=1e-10)
    y = special.boxcox(np.exp(numbers(seed).uniform(-2, 2, size=30)), order - 1)
    agree(generator.conjugate(tensor(y)), special.boxcox(special.inv_boxcox(y, order - 1), order), rtol=1e-8)


@pytest.mark.parametrize("seed", SEEDS)
def test_centred_kl_is_the_one_of_scipy(seed: int) -> None:
    t = points(seed)
    agree(GENERATORS["kl"].centred(tensor(t)), special.kl_div(t, 1), atol=1e-10)
    agree(alpha_generator(1).function(tensor(t)), special.kl_div(t, 1), atol=1e-10)
    agree(GENERATORS["reverse_kl"].centred(tensor(t)), special.kl_div(1, t), atol=1e-10)
    agree(GENERATORS["kl"].function(tensor(t)), special.xlogy(t, t))


def test_total_variation_is_piecewise_linear() -> None:
    t = points()
    generator = GENERATORS["total_variation"]
    agree(generator.function(tensor(t)), np.interp(t, [0, 1, 1e3], [0.5, 0, 499.5]), atol=1e-10)
    y = np.linspace(-2, 0.5, 11)
    agree(generator.conjugate(tensor(y)), np.clip(y, -0.5, None))
    assert generator.conjugate(torch.tensor([0.5001], dtype=torch.float64)).item() == math.inf
