"""Exact rules of the symbolic witness: integrals by parts, waves by half angles."""

from __future__ import annotations

import pytest
import sympy

from proofread.identity import is_zero
from proofread.integrals import integral
from proofread.values import CostlyError, UndecidableError

x, a, b = sympy.symbols("x a b", real=True)
c, d = sympy.symbols("c d", positive=True)


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (x**2 * sympy.exp(-c * x), 0, sympy.oo),
        (sympy.exp(-c * x) * sympy.exp(-d * x), 0, sympy.oo),
        ((1 + x) * sympy.exp(2 * x), 0, 1),
        (x**3 * sympy.exp(a * x + 1), -1, 2),
        (x * sympy.exp(c * x), -sympy.oo, 1),
        (c**x * d ** (1 - x), 0, 1),
        (2 * sympy.exp(x) - x * sympy.exp(-x), 0, 2),
    ],
)
def test_exponentials_of_linear_terms(value: sympy.Expr, low: sympy.Expr, high: sympy.Expr) -> None:
    found = integral(value, x, sympy.sympify(low), sympy.sympify(high))
    place = {a: 0.7, c: 1.3, d: 0.4}
    exact = sympy.Integral(value.subs(place), (x, low, high)).evalf()
    assert abs(complex(found.subs(place).evalf()) - complex(exact)) < 1e-9


def test_a_divergent_integral_has_no_value() -> None:
    assert integral(sympy.exp(c * x), x, sympy.Integer(0), sympy.oo).is_infinite
    with pytest.raises(UndecidableError):
        integral(sympy.exp(a * x**2), x, -sympy.oo, sympy.oo)


def test_a_large_integrand_is_not_tried() -> None:
    value = sum(sympy.sqrt(1 + k * x**3) for k in range(1, 12))
    with pytest.raises(CostlyError):
        integral(value, x, sympy.Integer(0), sympy.Integer(1))


@pytest.mark.parametrize(
    ("expression", "zero"),
    [
        (sympy.sin(a) ** 2 + sympy.cos(a) ** 2 - 1, True),
        (sympy.cos(sympy.pi * a) + 1 - 2 * sympy.cos(sympy.pi * a / 2) ** 2, True),
        (sympy.sin(3 * a) - 3 * sympy.sin(a) + 4 * sympy.sin(a) ** 3, True),
        (sympy.sin(a / 2) ** 2 + sympy.sin(b) ** 2 + sympy.cos(a) / 2 + sympy.cos(2 * b) / 2 - 1, True),
        (sympy.sin(a) - sympy.cos(a), None),
        (sympy.cos(2 * a) - 2 * sympy.cos(a) ** 2, None),
        (sympy.sin(a) * sympy.cos(b) - sympy.sin(b) * sympy.cos(a), None),
    ],
)
def test_waves_of_commensurable_angles(expression: sympy.Expr, zero: bool | None) -> None:
    assert is_zero(expression) is zero
