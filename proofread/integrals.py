"""Exact integrals.

Polynomials times exponentials of quadratic polynomials over the whole line are integrated by completing the
square; everything else by SymPy, unless it has a form with which SymPy only loses time.
"""

from __future__ import annotations

from typing import Any

import sympy

from proofread.values import UndecidableError

_DEGREE = 8


def integral(value: Any, symbol: Any, low: Any, high: Any) -> Any:
    """A definite integral.

    Args:
        value: the integrand.
        symbol: the variable.
        low: lower bound.
        high: upper bound.

    Raises:
        UndecidableError: if SymPy cannot do it, or would only lose time.
    """
    if _hopeless(value, symbol):
        raise UndecidableError("an integral that SymPy cannot do")
    value = sympy.expand(value)
    if (low, high) == (-sympy.oo, sympy.oo):
        found = _gaussian(value, symbol)
        if found is not None:
            return found
    result = sympy.integrate(value, (symbol, low, high))
    if result.has(sympy.Integral, sympy.Piecewise, sympy.nan):
        raise UndecidableError("an integral that SymPy cannot do")
    return result


def _hopeless(value: Any, symbol: Any) -> bool:
    """Whether different exponentials of the variable are divided by, or stand below a root or a logarithm."""
    for node in value.atoms(sympy.Pow, sympy.log):
        inside = node.base if node.is_Pow else node.args[0]
        if node.is_Pow and node.exp.is_Integer and node.exp > 0:
            continue
        if len([part for part in inside.atoms(sympy.exp) if symbol in part.free_symbols]) > 1:
            return True
    return False


def _gaussian(value: Any, symbol: Any) -> Any:
    """The integral over the line of a sum of polynomials times exponentials of quadratic polynomials.

    Returns:
        The integral; None if a term has another form, or the sign of its quadratic part is not known.
    """
    total = sympy.Integer(0)
    for term in sympy.Add.make_args(value):
        exponent, others = sympy.Integer(0), []
        for factor in sympy.Mul.make_args(term):
            base, power = factor.as_base_exp()
            if base is sympy.E:
                exponent += power
            elif isinstance(base, sympy.exp):
                exponent += base.args[0] * power
            else:
                others.append(factor)
        part = sympy.Mul(*others)
        if not (exponent.is_polynomial(symbol) and part.is_polynomial(symbol)):
            return None
        quadratic = sympy.Poly(exponent, symbol)
        if quadratic.degree() != 2 or sympy.Poly(part, symbol).degree() > _DEGREE:
            return None
        second, first, constant = (quadratic.coeff_monomial(symbol**power) for power in (2, 1, 0))
        curvature = sympy.factor(-2 * second)
        if not curvature.is_positive:
            return None
        middle = sympy.cancel(first / curvature)
        mean = sympy.Integer(0)
        shifted = sympy.Poly(part.subs(symbol, symbol + middle), symbol)
        for (power,), coefficient in shifted.terms():
            if power % 2 == 0:
                mean += coefficient * sympy.factorial2(max(power - 1, 0)) / curvature ** (power // 2)
        peak = sympy.exp(sympy.cancel(constant + first**2 / (2 * curvature)))
        total += sympy.sqrt(2 * sympy.pi / curvature) * peak * mean
    return total
