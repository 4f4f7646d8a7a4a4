"""A fast proof that an expression vanishes: sparse polynomials over the rationals, not expression trees.

Logarithms are split into those of irreducible factors, exponentials into those of single terms, and what is
left that is neither sum, product nor integer power becomes a generator. The expression is then one fraction
of polynomials in the generators; if its numerator is the zero polynomial, the expression vanishes wherever
it has a value, whatever the generators stand for.
"""

from __future__ import annotations

from math import gcd, lcm
from typing import Any, NamedTuple

import sympy
from sympy.polys.rings import PolyRing

_TERMS, _PRODUCTS, _FACTORED = 3000, 200_000, 60


class _TooLargeError(Exception):
    """A polynomial grew beyond what is worth the time."""


class _Fraction(NamedTuple):
    """A fraction; its denominator is kept as monic factors with their powers."""

    top: Any
    bottom: dict[Any, int]


def vanishes(expression: Any) -> bool | None:
    """Whether a scalar SymPy expression vanishes identically.

    Args:
        expression: over free symbols.

    Returns:
        True if proved; False if it is a rational function of its symbols and not zero; None if undecided.
    """
    try:
        rational = _Rewriter().rewritten(_without_roots(expression))
        generators = _generators(rational)
        top = _Converter(generators).fraction(rational).top
    except (_TooLargeError, ZeroDivisionError):
        return None
    if not top:
        return True
    only_symbols = all(generator.is_Symbol for generator in generators)
    return False if only_symbols and rational == expression else None


def _without_roots(expression: Any) -> Any:
    """Positive symbols with broken exponents as powers of new ones, so that those become whole."""
    degrees: dict[Any, int] = {}
    for power in expression.atoms(sympy.Pow):
        base, exponent = power.base, power.exp
        if base.is_Symbol and base.is_positive and exponent.is_Rational and not exponent.is_Integer:
            degrees[base] = lcm(degrees.get(base, 1), int(exponent.q))
    fresh = {base: sympy.Dummy(base.name, positive=True) ** degree for base, degree in degrees.items()}
    return expression.xreplace(fresh) if fresh else expression


def _generators(expression: Any) -> list[Any]:
    """What an expression is a rational function of."""
    found: dict[Any, None] = {}
    seen: set[Any] = set()
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        if node in seen or node.is_Rational:
            continue
        seen.add(node)
        if node.is_Add or node.is_Mul:
            waiting.extend(node.args)
        elif node.is_Pow and node.exp.is_Integer:
            waiting.append(node.base)
        else:
            found[node] = None
    return sorted(found, key=sympy.default_sort_key)  # one order for all, so that factors are recognised


class _Converter:
    """Turns expressions into fractions over given generators."""

    def __init__(self, generators: list[Any]) -> None:
        names = [f"g{place}" for place in range(max(len(generators), 1))]
        self.ring = PolyRing(names, sympy.QQ, "grevlex")
        self.generators = generators
        self.place = {generator: place for place, generator in enumerate(generators)}
        self.known: dict[Any, _Fraction] = {}

    def expression(self, polynomial: Any) -> Any:
        """A polynomial as an expression."""
        return polynomial.as_expr(*(self.generators or [sympy.Integer(1)]))

    def fraction(self, node: Any) -> _Fraction:
        """An expression as a fraction."""
        if node not in self.known:
            self.known[node] = self._fraction(node)
        return self.known[node]

    def _fraction(self, node: Any) -> _Fraction:
        if node.is_Rational:
            return _Fraction(self.ring.ground_new(sympy.QQ(node.p, node.q)), {})
        if node.is_Add:
            return self._sum([self.fraction(term) for term in node.args])
        if node.is_Mul:
            return self._product([self.fraction(factor) for factor in node.args])
        if node.is_Pow and node.exp.is_Integer:
            base, exponent = self.fraction(node.base), int(node.exp)
            if exponent < 0:
                base, exponent = self._inverse(base), -exponent
            top = self.ring.one
            for _ in range(exponent):
                top = _times(top, base.top)
            return _Fraction(top, {factor: power * exponent for factor, power in base.bottom.items()})
        return _Fraction(self.ring.gens[self.place[node]], {})

    def _sum(self, parts: list[_Fraction]) -> _Fraction:
        bottom: dict[Any, int] = {}
        for part in parts:
            for factor, power in part.bottom.items():
                bottom[factor] = max(power, bottom.get(factor, 0))
        total = self.ring.zero
        for part in parts:
            top = part.top
            for factor, power in bottom.items():
                for _ in range(power - part.bottom.get(factor, 0)):
                    top = _times(top, factor)
            total = total + top
        return _Fraction(total, bottom if total else {})

    def _product(self, parts: list[_Fraction]) -> _Fraction:
        top = self.ring.one
        bottom: dict[Any, int] = {}
        for part in parts:
            top = _times(top, part.top)
            for factor, power in part.bottom.items():
                bottom[factor] = bottom.get(factor, 0) + power
        if not top:
            return _Fraction(top, {})
        for factor in list(bottom) if len(top) < 200 else []:
            while bottom[factor]:
                quotient, rest = top.div(factor)
                if rest:
                    break
                top, bottom[factor] = quotient, bottom[factor] - 1
        return _Fraction(top, {factor: power for factor, power in bottom.items() if power})

    def _inverse(self, part: _Fraction) -> _Fraction:
        if not part.top:
            raise ZeroDivisionError
        top = self.ring.ground_new(1 / part.top.LC)
        for factor, power in part.bottom.items():
            for _ in range(power):
                top = _times(top, factor)
        monic = part.top.monic()
        return _Fraction(top, {} if monic == 1 else {monic: 1})


def _times(a: Any, b: Any) -> Any:
    if len(a) * len(b) > _PRODUCTS:
        raise _TooLargeError
    product = a * b
    if len(product) > _TERMS:
        raise _TooLargeError
    return product


class _Rewriter:
    """Splits logarithms and exponentials; the same parts always get the same symbols."""

    def __init__(self) -> None:
        self.sizes: dict[Any, Any] = {}

    def rewritten(self, expression: Any) -> Any:
        """The expression with a symbol for each irreducible logarithm and exponential."""
        logarithms = {node: self._logarithm(node.args[0]) for node in expression.atoms(sympy.log)}
        expression = expression.xreplace(logarithms)
        nodes = expression.atoms(sympy.exp, type(sympy.E))
        exponents = {node: self._terms(node.args[0] if node.args else sympy.Integer(1)) for node in nodes}
        units: dict[Any, Any] = {}
        for terms in exponents.values():
            for term, coefficient in terms.items():
                units[term] = _common(units.get(term), coefficient)
        symbols = {term: sympy.Dummy("exp", positive=True) for term in units}
        return expression.xreplace(
            {
                node: sympy.Mul(*(symbols[t] ** (c / units[t]) for t, c in terms.items()))
                for node, terms in exponents.items()
            }
        )

    def _terms(self, exponent: Any) -> dict[Any, Any]:
        """A sum as its terms without their rational factors, and those factors."""
        converter = _Converter(_generators(exponent))
        top, bottom = converter.fraction(exponent)
        below = converter.ring.one
        for factor, power in bottom.items():
            for _ in range(power):
                below = _times(below, factor)
        top, below = top.cancel(below)
        lead = below.LC
        under = converter.expression(below.monic())
        terms: dict[Any, Any] = {}
        for powers, coefficient in top.terms():
            ratio = coefficient / lead
            term = converter.expression(converter.ring({powers: sympy.QQ(1)})) / under
            terms[term] = sympy.Rational(int(ratio.numerator), int(ratio.denominator))
        return terms

    def _logarithm(self, argument: Any) -> Any:
        """A logarithm as a sum over the irreducible factors of its argument.

        The argument is positive wherever the formula has a value, so that the logarithm is the sum of the
        logarithms of the sizes of its factors, whatever their signs.
        """
        argument = argument.xreplace({n: self._logarithm(n.args[0]) for n in argument.atoms(sympy.log)})
        converter = _Converter(_generators(argument))
        top, bottom = converter.fraction(argument)
        if not top:
            raise ZeroDivisionError
        total = sympy.Integer(0)
        for polynomial, power in ((top, 1), *((factor, -times) for factor, times in bottom.items())):
            content, factors = polynomial.LC, [(polynomial.monic(), 1)]
            if len(polynomial) <= _FACTORED:
                content, factors = polynomial.factor_list()
            total += power * self._number(content)
            for factor, times in factors:
                size = self._size(converter.expression(factor.monic()))
                total += power * times * (size + self._number(factor.LC))
        return total

    def _number(self, number: Any) -> Any:
        """The logarithm of the size of a rational, over primes."""
        return sympy.Add(
            *(
                sign * times * self._size(sympy.Integer(prime))
                for whole, sign in ((number.numerator, 1), (number.denominator, -1))
                for prime, times in sympy.factorint(abs(int(whole))).items()
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
