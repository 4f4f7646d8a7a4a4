"""Exact integrals.

Polynomials times exponentials of quadratic polynomials over the whole line are integrated by completing the
square, such exponentials between bounds by error functions, polynomials times exponentials of linear ones by
parts; everything else by SymPy, unless it has a form or a size with which SymPy only loses time.
"""

from __future__ import annotations

from typing import Any

import sympy
from sympy.core.function import AppliedUndef

from proofread.sizes import larger
from proofread.values import CostlyError, UndecidableError

_DEGREE = 8
# Integrands without a rule of their own: beyond these sizes SymPy was never seen to finish within its time.
_EXPANDED, _GENERAL = 400, 20
_OPERATIONS = 600  # of a formula whose exact mean is worth expanding it


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
    if larger(value, _EXPANDED) or _hopeless(value, symbol):
        raise CostlyError("an integral that SymPy cannot do")
    value = sympy.expand(value)
    if (low, high) == (-sympy.oo, sympy.oo):
        found = _gaussian(value, symbol)
    else:
        found = _exponential(value, symbol, low, high)
        found = _bell(value, symbol, low, high) if found is None else found
    if found is not None:
        return found
    if not value.is_polynomial(symbol) and larger(value, _GENERAL):
        raise CostlyError("an integral that SymPy cannot do")
    result = sympy.integrate(value, (symbol, low, high))
    if result.has(sympy.Integral, sympy.Piecewise, sympy.nan):
        raise UndecidableError("an integral that SymPy cannot do")
    return result


def _hopeless(value: Any, symbol: Any) -> bool:
    """Whether SymPy can only lose time.

    So it is if different exponentials of the variable are divided by, or stand below a root or a logarithm;
    if the variable stands beside an exponential of an exponential; and with free functions, not their slopes.
    """
    for call in value.atoms(AppliedUndef):
        if symbol in call.free_symbols and not value.has(sympy.Derivative, sympy.Subs):
            return True
    for factor in value.args if value.is_Mul else ():
        if factor == symbol and any(node.args[0].has(sympy.exp) for node in value.atoms(sympy.exp)):
            return True
    for node in value.atoms(sympy.Pow, sympy.log):
        inside = node.base if node.is_Pow else node.args[0]
        if node.is_Pow and node.exp.is_Integer and node.exp > 0:
            continue
        if len([part for part in inside.atoms(sympy.exp) if symbol in part.free_symbols]) > 1:
            return True
    return False


def _split(term: Any, symbol: Any) -> tuple[Any, Any]:
    """A product as the exponent of all its exponentials, and the rest of its factors."""
    exponent, others = sympy.Integer(0), []
    for factor in sympy.Mul.make_args(term):
        base, power = factor.as_base_exp()
        if base is sympy.E:
            exponent += power
        elif isinstance(base, sympy.exp):
            exponent += base.args[0] * power
        elif symbol in power.free_symbols and symbol not in base.free_symbols and base.is_positive:
            exponent += power * sympy.log(base)
        else:
            others.append(factor)
    return exponent, sympy.Mul(*others)


def _exponential(value: Any, symbol: Any, low: Any, high: Any) -> Any:
    """The integral of a sum of polynomials times exponentials of linear polynomials, by parts.

    Returns:
        The integral; None if a term has another form, or does not vanish at an infinite end.
    """
    total = sympy.Integer(0)
    for term in sympy.Add.make_args(value):
        exponent, part = _split(term, symbol)
        exponent = sympy.expand(exponent)
        if not (exponent.is_polynomial(symbol) and part.is_polynomial(symbol)):
            return None
        linear = sympy.Poly(exponent, symbol)
        if linear.degree() != 1 or sympy.Poly(part, symbol).degree() > _DEGREE:
            return None
        slope = linear.coeff_monomial(symbol)
        primitive, sign = sympy.Integer(0), sympy.Integer(1)
        while part != 0:
            primitive, sign, part = primitive + sign * part, -sign / slope, sympy.diff(part, symbol)
        for end, way in ((high, 1), (low, -1)):
            if end.is_infinite:
                if not (slope.is_negative if end is sympy.oo else slope.is_positive):
                    return None
            else:
                place = (primitive / slope * sympy.exp(exponent)).subs(symbol, end)
                total += way * place
    return total


def _gaussian(value: Any, symbol: Any) -> Any:
    """The integral over the line of a sum of polynomials times exponentials of quadratic polynomials.

    Returns:
        The integral; None if a term has another form, or the sign of its quadratic part is not known.
    """
    total = sympy.Integer(0)
    for term in sympy.Add.make_args(value):
        exponent, part = _split(term, symbol)
        if not (exponent.is_polynomial(symbol) and part.is_polynomial(symbol)):
            return None
        quadratic = sympy.Poly(exponent, symbol)
        if quadratic.degree() != 2 or sympy.Poly(part, symbol).degree() > _DEGREE:
            return None
        second, first, constant = (quadratic.coeff_monomial(symbol**power) for power in (2, 1, 0))
        curvature = sympy.factor(-2 * second)
        if not curvature.is_positive:
            raise UndecidableError("an integral that converges only for some values of its symbols")
        middle = sympy.cancel(first / curvature)
        mean = sympy.Integer(0)
        shifted = sympy.Poly(part.subs(symbol, symbol + middle), symbol)
        for (power,), coefficient in shifted.terms():
            if power % 2 == 0:
                mean += coefficient * sympy.factorial2(max(power - 1, 0)) / curvature ** (power // 2)
        peak = sympy.exp(sympy.cancel(constant + first**2 / (2 * curvature)))
        total += sympy.sqrt(2 * sympy.pi / curvature) * peak * mean
    return total


def _bell(value: Any, symbol: Any, low: Any, high: Any) -> Any:
    """The integral of a sum of exponentials of quadratic polynomials between bounds, by error functions.

    Returns:
        The integral; None if a term has another form, or the sign of its quadratic part is not known.
    """
    total = sympy.Integer(0)
    for term in sympy.Add.make_args(value):
        exponent, part = _split(term, symbol)
        if symbol in part.free_symbols or not exponent.is_polynomial(symbol):
            return None
        quadratic = sympy.Poly(exponent, symbol)
        if quadratic.degree() != 2:
            return None
        second, first, constant = (quadratic.coeff_monomial(symbol**power) for power in (2, 1, 0))
        half = sympy.factor(-second)
        if not half.is_positive:
            return None
        middle = sympy.cancel(first / (2 * half))
        above, below = (
            sympy.sign(end) if end.is_infinite else sympy.erf(sympy.sqrt(half) * (end - middle))
            for end in (high, low)
        )
        peak = sympy.exp(sympy.cancel(constant + first**2 / (4 * half)))
        total += part * peak * sympy.sqrt(sympy.pi / half) / 2 * (above - below)
    return total


def gaussian_mean(value: Any, units: list[Any]) -> Any:
    """Mean of a polynomial in independent standard normal symbols.

    Raises:
        UndecidableError: if the value is not a polynomial in them.
    """
    if larger(value, _OPERATIONS):
        raise CostlyError("the mean of too large a formula")
    expanded = sympy.expand(sympy.expand_log(sympy.expand(value), force=True))
    try:
        polynomial = sympy.Poly(expanded, *units)
    except sympy.PolynomialError as problem:
        raise UndecidableError("the mean of something that is not a polynomial") from problem
    total = sympy.Integer(0)
    for powers, coefficient in polynomial.terms():
        if any(contains_unit(coefficient, unit) for unit in units):
            raise UndecidableError("the mean of something that is not a polynomial")
        if all(power % 2 == 0 for power in powers):
            moment = sympy.Integer(1)
            for power in powers:
                moment *= sympy.factorial2(power - 1) if power else 1
            total += coefficient * moment
    return total


def contains_unit(coefficient: Any, unit: Any) -> bool:
    """Whether a coefficient still depends on the integration symbol."""
    return unit in coefficient.free_symbols
