"""Exact integrals: values against quadrature, and what is refused without losing time."""

from __future__ import annotations

import numpy
import pytest
import sympy

from proofread.integrals import integral
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
