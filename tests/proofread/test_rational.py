"""The fast proof of identities: what vanishes is proved, what does not never is."""

from __future__ import annotations

import pytest
import sympy
from sympy import exp, log, sqrt

from proofread.rational import vanishes

a, b, c = sympy.symbols("a b c", positive=True)
x, y = sympy.symbols("x y", real=True)
f = sympy.Function("f")(x)
TRUE = {
    "fractions": 1 / (a + b) - (a - b) / (a**2 - b**2),
    "nested fractions": a / (1 + a / b) - a * b / (a + b),
    "logarithms": log(a / (a + b)) + log(1 + b / a),
    "numbers in logarithms": log(12 * a) - 2 * log(2) - log(3) - log(a),
    "common factors in logarithms": log(a**2 - b**2) - log(a + b) - log(2 * a - 2 * b) + log(2),
    "powers in logarithms": log(sqrt(a) * b ** sympy.Rational(1, 3)) - log(a) / 2 - log(b) / 3,
    "exponentials": exp(x + y) * exp(-y) - exp(x),
    "fractions of exponents": exp(x / 2) ** 2 - exp(x),
    "numbers in exponents": exp(x + 1) - sympy.E * exp(x),
    "quotients in exponents": exp((a**2 - b**2) / (a + b)) - exp(a) / exp(b),
    "logistic": 1 / (1 + exp(-x)) + 1 / (1 + exp(x)) - 1,
    "roots": (sqrt(a) - sqrt(b)) * (sqrt(a) + sqrt(b)) - a + b,
    "free functions": (f + 1) ** 2 - f**2 - 2 * f - 1,
    "roots of polynomials": sqrt(a + b) * sqrt(a * b + b**2) - sqrt(b) * (a + b),
    "products of roots": (sqrt(1 - x) - sqrt(1 + x)) * (sqrt(1 - x) + sqrt(1 + x)) + 2 * x,
    "cube roots": (a + b) ** sympy.Rational(1, 3) * (a + b) ** sympy.Rational(2, 3) - a - b,
    "free exponents": (a / (a + b)) ** x * (1 + b / a) ** x - 1,
    "shifted exponents": (a + b) ** (x + 1) - (a + b) * (a + b) ** x,
    "absolute values": sympy.Abs(a * x - b * x) - sympy.Abs(x) * sympy.Abs(b - a),
    "squares of absolute values": sympy.Abs(x - y) ** 2 - (x - y) ** 2,
    "maxima": sympy.Max(x, y) - (x + y + sympy.Abs(y - x)) / 2,
    "maxima and minima": sympy.Max(x, y) * sympy.Min(x, y) - x * y,
    "total variation": sympy.Abs(a / (a + b) - c / (c + b)) / 2
    + sympy.Abs(b / (a + b) - b / (c + b)) / 2
    - sympy.Max(a / (a + b) - c / (c + b), 0)
    - sympy.Max(b / (a + b) - b / (c + b), 0),
}
FALSE = {
    "fractions": 1 / (a + b) - (a - b) / (a**2 + b**2),
    "logarithms": log(a / (a + b)) + log(1 + a / b),
    "a lost number": log(12 * a) - log(2) - log(3) - log(a),
    "a lost sign": log(a - b) + log(b + a) - log(a**2 + b**2),
    "exponentials": exp(x + y) * exp(y) - exp(x),
    "numbers in exponents": exp(x + 1) - exp(x),
    "logistic": 1 / (1 + exp(-x)) - 1 / (1 + exp(x)),
    "roots": (sqrt(a) - sqrt(b)) * (sqrt(a) + sqrt(b)) - a - b,
    "roots of squares": sqrt(x**2) - x,
    "free functions": (f + 1) ** 2 - f**2 - 2 * f - 2,
    "roots of polynomials": sqrt(a + b) * sqrt(a * b + b**2) - sqrt(a) * (a + b),
    "roots of squared differences": sqrt((a - b) ** 2) - (a - b),
    "signs below roots": sqrt(1 - x) ** 2 - (x - 1),
    "free exponents": (a / (a + b)) ** x * (1 + a / b) ** x - 1,
    "powers of negative numbers": (-x) ** y - x**y,
    "whole exponents": sympy.Integer(-1) ** sympy.Symbol("n", integer=True) - 1,
    "absolute values": sympy.Abs(x - y) - (x - y),
    "maxima": sympy.Max(x, y) - (x + y - sympy.Abs(y - x)) / 2,
    "maxima and minima": sympy.Max(x, y) - sympy.Min(x, y) - (x - y),
}


@pytest.mark.parametrize("name", TRUE)
def test_identities_are_proved(name):
    assert vanishes(TRUE[name]) is True


@pytest.mark.parametrize("name", FALSE)
def test_nothing_else_is(name):
    assert vanishes(FALSE[name]) is not True


def test_what_is_rational_and_not_zero_is_known():
    assert vanishes(1 / (a + b) - 1 / a) is False


def test_what_grows_too_large_is_given_up():
    many = sympy.symbols("s0:12")
    assert vanishes(sum(many) ** 20 - sum(many) ** 19 * sum(many[:-1])) is None


def test_a_zero_below_a_fraction_is_given_up():
    assert vanishes(sympy.Add(1, sympy.Pow(sympy.Mul(a, a + b, evaluate=False) - a**2 - a * b, -1))) is None
