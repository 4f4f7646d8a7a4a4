"""Exact integrals: values against quadrature, and what is refused without losing time."""

from __future__ import annotations

import numpy
import pytest
import sympy

from proofread.integrals import integral
from proofread.sizes import larger
from proofread.symbolic import Symbolic
from proofread.values import UndecidableError

x = sympy.Symbol("x", real=True)
m, c = sympy.symbols("m c", real=True)
s = sympy.Symbol("s", positive=True)
VALUES = {m: 0.3, c: 0.7, s: 1.3}
GAUSSIAN = {
    "density": sympy.exp(-((x - m) ** 2) / (2 * s**2)),
    "fourth moment": x**4 * sympy.exp(-s * x**2 + c * x),
    "two exponentials": (x - m) ** 3 * x * sympy.exp(-((x - m) ** 2) / 2) * sympy.exp(c * x),
    "odd": x**3 * sympy.exp(-s * x**2),
}


@pytest.mark.parametrize("name", GAUSSIAN)
def test_gaussian_integrals_agree_with_quadrature(name):
    found = integral(GAUSSIAN[name], x, -sympy.oo, sympy.oo)
    assert not found.has(sympy.Integral)
    places = numpy.linspace(-30.0, 30.0, 6001)
    heights = sympy.lambdify(x, GAUSSIAN[name].subs(VALUES))(places)
    assert float(found.subs(VALUES)) == pytest.approx(numpy.trapezoid(heights, places), abs=1e-10)


def test_an_exponential_that_may_grow_is_not_taken_for_a_gaussian():
    with pytest.raises(UndecidableError):
        integral(sympy.exp(c * x**2 + sympy.exp(x)), x, -sympy.oo, sympy.oo)


def test_softmax_weights_are_refused_at_once():
    softmax = sympy.exp(m * x) / (sympy.exp(m * x) + sympy.exp(c * x))
    with pytest.raises(UndecidableError):
        integral(softmax, x, 0, 1)


def test_polynomials_are_integrated():
    assert integral(x**2, x, 0, m) == m**3 / 3


@pytest.mark.parametrize("ends", [(m, sympy.oo), (-sympy.oo, m), (m, c)])
def test_bells_between_bounds_agree_with_quadrature(ends):
    bell = 2 * sympy.exp(-s * x**2 + c * x) + sympy.exp(-((x - m) ** 2) / 2)
    found = integral(bell, x, *ends)
    assert not found.has(sympy.Integral)
    low, high = (float(sympy.Max(-30, sympy.Min(30, end)).subs(VALUES)) for end in ends)
    places = numpy.linspace(low, high, 200_001)
    heights = sympy.lambdify(x, bell.subs(VALUES))(places)
    assert float(found.subs(VALUES)) == pytest.approx(numpy.trapezoid(heights, places), abs=1e-7)


def test_sizes_of_formulas_are_those_of_sympy():
    for formula in (x, x / c / s, -m, sum(x**k / (c + k) for k in range(40)), sympy.sqrt(1 / (x - m))):
        operations = sympy.count_ops(formula)
        assert not larger(formula, operations)
        assert larger(formula, operations - 1)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_determinants_are_those_of_sympy(size):
    matrix = sympy.Matrix(size, size, lambda i, j: sympy.Symbol(f"a_{i}{j}"))
    assert sympy.expand(Symbolic().determinant(matrix) - matrix.det(method="berkowitz")) == 0
