"""Whether a SymPy expression vanishes identically."""

from __future__ import annotations

from typing import Any

import sympy

from proofread.rational import vanishes
from proofread.sizes import larger

# Where polynomials decide nothing, trees of expressions help only with small ones.
_MAX_OPERATIONS = 300


def is_zero(expression: Any) -> bool | None:
    """Whether an expression vanishes identically.

    Args:
        expression: a SymPy expression or matrix over free symbols.

    Returns:
        True if proved, False if it is a non-zero number, None if it cannot be decided.
    """
    if isinstance(expression, sympy.MatrixBase):
        answers = [is_zero(entry) for entry in expression]
        return True if all(answers) else False if False in answers else None
    if expression == 0:
        return True
    if expression.has(sympy.nan, sympy.oo, -sympy.oo, sympy.zoo):
        return None
    if expression.is_number:
        value = expression.evalf(50)
        if abs(value) > sympy.Float("1e-30"):
            return False
    fast = vanishes(expression)
    if fast is not None:
        # A rational function that is not zero cannot be proved by any other means either.
        return True if fast else None
    if expression.has(sympy.sin, sympy.cos) and vanishes(_without_waves(expression)):
        return True
    if larger(expression, _MAX_OPERATIONS):
        return None
    if sympy.expand(expression) == 0:
        return True
    normal = _normal_form(expression)
    if normal == 0:
        return True
    if normal.has(sympy.sin, sympy.cos, sympy.tan, sympy.sinh, sympy.cosh, sympy.tanh, sympy.Abs):
        simpler = sympy.simplify(normal.rewrite(sympy.exp) if normal.has(sympy.tanh, sympy.sinh) else normal)
        if simpler == 0:
            return True
    return None


def _without_waves(expression: Any) -> Any:
    """Sines and cosines as rational functions of the tangent of half an angle, which is free.

    Angles that are rational multiples of one another get the same tangent.
    """
    angles = sorted({wave.args[0] for wave in expression.atoms(sympy.sin, sympy.cos)}, key=str)
    groups: list[tuple[Any, dict[Any, Any]]] = []
    for angle in angles:
        for first, ratios in groups:
            ratio = sympy.cancel(angle / first) if first != 0 else sympy.nan
            if ratio.is_Rational:
                ratios[angle] = ratio
                break
        else:
            groups.append((angle, {angle: sympy.Integer(1)}))
    known: dict[Any, Any] = {}
    for _, ratios in groups:
        unit = sympy.gcd_list(list(ratios.values()))
        tangent = sympy.Dummy("tangent", real=True)
        cosine, sine = (1 - tangent**2) / (1 + tangent**2), 2 * tangent / (1 + tangent**2)
        for angle, ratio in ratios.items():
            times, sign = int(abs(ratio / unit)), sympy.sign(ratio)
            known[sympy.cos(angle)] = sympy.chebyshevt(times, cosine)
            known[sympy.sin(angle)] = sign * sine * sympy.chebyshevu(times - 1, cosine)
    return expression.xreplace(known)


_log_of_size = sympy.Function("logabs")


def _log_of_number(number: Any) -> Any:
    """The logarithm of a positive rational as a sum over primes."""
    rational = sympy.Rational(number)
    factors = {**sympy.factorint(rational.p)}
    for prime, exponent in sympy.factorint(rational.q).items():
        factors[prime] = factors.get(prime, 0) - exponent
    return sympy.Add(*(exponent * sympy.log(prime) for prime, exponent in factors.items()))


def same(left: Any, right: Any) -> bool | None:
    """Whether two expressions or matrices are identical.

    Products with exponentials are compared by their logarithms first.

    Args:
        left: a SymPy value.
        right: of the same type.

    Returns:
        As ``is_zero``.
    """
    if not isinstance(left, sympy.MatrixBase):
        pair = [sympy.sympify(side) for side in (left, right)]
        products = all(not side.is_Add and side.has(sympy.exp) and side.is_positive for side in pair)
        if products and is_zero(_log_of_product(pair[0]) - _log_of_product(pair[1])):
            return True
    return is_zero(left - right)


def _log_of_product(expression: Any) -> Any:
    """The logarithm of a positive product, factor by factor."""
    total = sympy.Integer(0)
    for factor in sympy.Mul.make_args(expression):
        base, exponent = factor.as_base_exp()
        if isinstance(factor, sympy.exp):
            total += factor.args[0]
        elif base.is_Mul:
            total += exponent * _log_of_product(base)
        else:
            total += exponent * sympy.log(base)
    return total


def _split_log(argument: Any) -> Any:
    """A logarithm as a sum over the irreducible factors of its argument.

    The argument is positive wherever the formula has a value, so the logarithm is the sum of the
    logarithms of the sizes of its factors, whatever their signs.
    """
    numerator, denominator = sympy.fraction(sympy.together(argument))
    total = sympy.Integer(0)
    for part, sign in ((numerator, 1), (denominator, -1)):
        content, factors = sympy.factor_list(part) if part.free_symbols else (sympy.Integer(1), [(part, 1)])
        if not part.free_symbols and part.is_Rational:
            content, factors = part, []
        if content.is_Rational:
            total += sign * _log_of_number(abs(content)) if content != 1 else 0
        else:
            factors = [(content, 1), *factors]
        for base, exponent in factors:
            if isinstance(base, sympy.Pow):
                base, exponent = base.base, exponent * base.exp
            if base.is_positive:
                total += sign * exponent * sympy.log(base)
            elif isinstance(base, sympy.exp):
                total += sign * exponent * base.args[0]
            else:
                size = -base if base.could_extract_minus_sign() else base
                total += sign * exponent * _log_of_size(sympy.expand(size))
    return total


def _normal_form(expression: Any) -> Any:
    """Logarithms split, exponentials merged, then one fraction with an expanded numerator."""
    expression = expression.replace(
        lambda node: isinstance(node, sympy.log),
        lambda node: _safe_log(node.args[0]),
    )
    expression = sympy.powsimp(sympy.expand_mul(sympy.powdenest(expression)), combine="exp")
    expression = expression.replace(
        lambda node: isinstance(node, sympy.exp), lambda node: sympy.exp(sympy.cancel(node.args[0]))
    )
    numerator, _ = sympy.fraction(sympy.together(expression))
    numerator = sympy.expand(numerator)
    if numerator == 0:
        return numerator
    return sympy.powsimp(sympy.expand_power_exp(numerator), combine="exp", force=False)


def _safe_log(argument: Any) -> Any:
    """Split a logarithm where its argument can be factorised."""
    try:
        return _split_log(argument)
    except sympy.PolynomialError:
        return sympy.log(sympy.together(argument))
