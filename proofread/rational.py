"""A fast proof that an expression vanishes: sparse polynomials over the rationals, not expression trees.

Logarithms are split into those of irreducible factors, exponentials and powers into those of single terms,
absolute values, maxima and minima into absolute values of irreducible factors; what is left that is neither
sum, product nor integer power becomes a generator. The expression is then one fraction of polynomials in the
generators. If its numerator is the zero polynomial, once roots and absolute values are multiplied out
(√g² = g, |g|² = g²), the expression vanishes wherever it has a value, whatever the generators stand for.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd, lcm
from typing import Any, NamedTuple

import sympy

from proofread.sparse import Converter, TooLargeError, generators_of, times

_FACTORED, _ROUNDS, _CHOICES = 60, 8, 3


class Relation(NamedTuple):
    """``symbol ** degree = value``."""

    symbol: Any
    degree: int
    value: Any


def vanishes(expression: Any) -> bool | None:
    """Whether a scalar SymPy expression vanishes identically.

    Args:
        expression: over free symbols.

    Returns:
        True if proved; False if it is a rational function of its symbols and not zero; None if undecided.
    """
    try:
        rational, relations = _Rewriter().rewritten(_without_roots(expression))
        generators = generators_of(rational, *(relation.value for relation in relations))
        converter = Converter(generators)
        top = _reduced(converter.fraction(rational).top, relations, converter)
    except (TooLargeError, ArithmeticError):
        return None
    if not top:
        return True
    only_symbols = all(generator.is_Symbol for generator in generators)
    return False if only_symbols and rational == expression else None


def _reduced(top: Any, relations: Iterable[Relation], converter: Converter) -> Any:
    """A polynomial without high powers of symbols that relations are known for."""
    for _ in range(_ROUNDS):
        before = top
        for symbol, degree, value in relations:
            place = converter.place.get(symbol)
            if place is None or top.degree(place) < degree:
                continue
            polynomial, bottom = converter.fraction(value)
            if bottom:
                continue
            groups: dict[int, dict[Any, Any]] = {}
            for powers, coefficient in top.terms():
                whole, rest = divmod(powers[place], degree)
                groups.setdefault(whole, {})[(*powers[:place], rest, *powers[place + 1 :])] = coefficient
            top = converter.ring.zero
            for whole, terms in groups.items():
                part = converter.ring.from_dict(terms)
                for _ in range(whole):
                    part = times(part, polynomial)
                top = top + part
        if not top or top == before:
            break
    return top


def _without_roots(expression: Any) -> Any:
    """Positive symbols with broken exponents as powers of new ones, so that those become whole."""
    degrees: dict[Any, int] = {}
    for power in expression.atoms(sympy.Pow):
        base, exponent = power.base, power.exp
        if base.is_Symbol and base.is_positive and exponent.is_Rational and not exponent.is_Integer:
            degrees[base] = lcm(degrees.get(base, 1), int(exponent.q))
    fresh = {base: sympy.Dummy(base.name, positive=True) ** degree for base, degree in degrees.items()}
    return expression.xreplace(fresh) if fresh else expression


def _is_root(power: Any) -> bool:
    """Whether a power has a value only where its base is not negative."""
    return power.exp.is_integer is not True and power.base.is_negative is not True


class _Rewriter:
    """Splits sizes, logarithms, exponentials and powers; the same parts always get the same symbols."""

    def __init__(self) -> None:
        self.sizes: dict[Any, Any] = {}
        self.bounds: dict[Any, Any] = {}
        self.signs: dict[Any, int] = {}

    def rewritten(self, expression: Any) -> tuple[Any, list[Relation]]:
        """The expression with a symbol for each irreducible part, and what is known about those symbols."""
        expression = self._without_sizes(expression)
        whole = sympy.Tuple(expression, *self.bounds)
        whole = whole.xreplace({node: self._logarithm(node.args[0]) for node in whole.atoms(sympy.log)})
        exponents = {
            node: self._terms(node.args[0] if node.args else sympy.Integer(1))
            for node in whole.atoms(sympy.exp, type(sympy.E))
        }
        for node in filter(_is_root, whole.atoms(sympy.Pow)):
            self._signed(node.base)
            exponents[node] = self._terms(node.exp * self._logarithm(node.base))
        units: dict[Any, Any] = {}
        for terms in exponents.values():
            for term, coefficient in terms.items():
                units[term] = _common(units.get(term), coefficient)
        symbols = {term: sympy.Dummy("exp", positive=True) for term in units}
        replaced = {
            node: sympy.Mul(*(symbols[t] ** (c / units[t]) for t, c in terms.items()))
            for node, terms in exponents.items()
        }
        relations = []
        for factor, size in self.sizes.items():
            sign = self._sign(factor)
            if size in units and sign:
                value = (sign * factor.xreplace(replaced)) ** int(units[size].p)
                relations.append(Relation(symbols[size], int(units[size].q), value))
        expression, *factors = whole.xreplace(replaced)
        for symbol, factor in zip(self.bounds.values(), factors, strict=True):
            relations.append(Relation(symbol, 2, factor**2))
        return expression, relations

    def _sign(self, factor: Any) -> int:
        """The sign of a factor wherever the formula has a value; 0 if it is not known."""
        return 1 if factor.is_positive else -1 if factor.is_negative else self.signs.get(factor, 0)

    def _signed(self, base: Any) -> None:
        """Note the sign of the only factor of the base of a root that may have any."""
        sign, unknown = 1, []
        for content, factors in self._factors(base):
            sign *= 1 if content > 0 else -1
            for factor, power in factors:
                known = 1 if power % 2 == 0 else self._sign(factor)
                sign *= known or 1
                unknown += [] if known else [factor]
        if len(unknown) == 1:
            self.signs[unknown[0]] = sign
        elif sign < 0 and not unknown:
            raise ArithmeticError("the root of a negative number")

    def _without_sizes(self, expression: Any) -> Any:
        """Absolute values, maxima and minima by the absolute values of irreducible factors."""
        nodes = expression.atoms(sympy.Abs, sympy.Max, sympy.Min)
        return expression.xreplace({node: self._unsized(node) for node in nodes}) if nodes else expression

    def _unsized(self, node: Any) -> Any:
        """An absolute value, maximum or minimum by the absolute values of irreducible factors."""
        arguments = [self._without_sizes(argument) for argument in node.args]
        if isinstance(node, sympy.Abs):
            return self._size_of(arguments[0])
        if len(arguments) > _CHOICES:
            return node
        result, sign = arguments[0], 1 if isinstance(node, sympy.Max) else -1
        for other in arguments[1:]:
            result = (result + other + sign * self._size_of(result - other)) / 2
        return result

    def _size_of(self, argument: Any) -> Any:
        """An absolute value as a product over irreducible factors."""
        total = sympy.Integer(1)
        for content, factors in self._factors(argument):
            total *= sympy.Rational(int(content.numerator), int(content.denominator))
            total = -total if content < 0 else total
            for factor, power in factors:
                sign = 1 if factor.is_positive else -1 if factor.is_negative else 0
                if sign or power % 2 == 0:
                    total *= (sign * factor if sign else factor) ** power
                    continue
                if factor not in self.bounds:
                    self.bounds[factor] = sympy.Dummy("size", nonnegative=True)
                total *= self.bounds[factor] * factor ** (power - 1)
        return total

    def _terms(self, exponent: Any) -> dict[Any, Any]:
        """A sum as its terms without their rational factors, and those factors."""
        converter = Converter(generators_of(exponent))
        top, bottom = converter.fraction(exponent)
        below = converter.ring.one
        for factor, power in bottom.items():
            for _ in range(power):
                below = times(below, factor)
        top, below = top.cancel(below)
        lead = below.LC
        under = converter.expression(below.monic())
        terms: dict[Any, Any] = {}
        for powers, coefficient in top.terms():
            ratio = coefficient / lead
            term = converter.expression(converter.ring({powers: sympy.QQ(1)})) / under
            terms[term] = sympy.Rational(int(ratio.numerator), int(ratio.denominator))
        return terms

    def _factors(self, argument: Any) -> Iterable[tuple[Any, list[tuple[Any, int]]]]:
        """The numerator and each part of the denominator: a rational, and monic factors with powers."""
        converter = Converter(generators_of(argument))
        top, bottom = converter.fraction(argument)
        if not top:
            raise ZeroDivisionError
        for polynomial, power in ((top, 1), *((factor, -count) for factor, count in bottom.items())):
            content, factors = polynomial.LC, [(polynomial.monic(), 1)]
            if len(polynomial) <= _FACTORED:
                content, factors = polynomial.factor_list()
            found = []
            for factor, count in factors:
                content *= factor.LC**count
                found.append((converter.expression(factor.monic()), power * count))
            yield content**power, [entry for entry in found if entry[0] != 1]

    def _logarithm(self, argument: Any) -> Any:
        """A logarithm as a sum over the irreducible factors of its argument.

        The argument is positive wherever the formula has a value, so that the logarithm is the sum of the
        logarithms of the sizes of its factors, whatever their signs.
        """
        argument = argument.xreplace({n: self._logarithm(n.args[0]) for n in argument.atoms(sympy.log)})
        total = sympy.Integer(0)
        for content, factors in self._factors(argument):
            total += self._number(content)
            total += sympy.Add(*(power * self._size(factor) for factor, power in factors))
        return total

    def _number(self, number: Any) -> Any:
        """The logarithm of the size of a rational, over primes."""
        return sympy.Add(
            *(
                sign * count * self._size(sympy.Integer(prime))
                for whole, sign in ((number.numerator, 1), (number.denominator, -1))
                for prime, count in sympy.factorint(abs(int(whole))).items()
            )
        )

    def _size(self, factor: Any) -> Any:
        """The symbol for the logarithm of the size of a factor."""
        if factor == 1:
            return sympy.Integer(0)
        if isinstance(factor, sympy.exp):
            return factor.args[0]
        if factor.is_Pow and factor.base.is_positive and factor.exp.is_real:
            return factor.exp * self._logarithm(factor.base)
        if factor not in self.sizes:
            self.sizes[factor] = sympy.Dummy("log", real=True)
        return self.sizes[factor]


def _common(unit: Any, number: Any) -> Any:
    """The greatest rational that both numbers are multiples of."""
    if unit is None:
        return abs(number)
    below = lcm(int(unit.q), int(number.q))
    above = gcd(int(unit.p) * below // int(unit.q), int(number.p) * below // int(number.q))
    return sympy.Rational(above, below)
