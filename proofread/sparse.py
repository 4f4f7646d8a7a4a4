"""Fractions of sparse polynomials over the rationals, made from SymPy expressions."""

from __future__ import annotations

from typing import Any, NamedTuple

import sympy
from sympy.polys.rings import PolyRing

_TERMS, _PRODUCTS = 3000, 200_000


class TooLargeError(Exception):
    """A polynomial grew beyond what is worth the time."""


class Fraction(NamedTuple):
    """A fraction; its denominator is kept as monic factors with their powers."""

    top: Any
    bottom: dict[Any, int]


def generators_of(*expressions: Any) -> list[Any]:
    """What expressions are rational functions of."""
    found: dict[Any, None] = {}
    seen: set[Any] = set()
    waiting = list(expressions)
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


class Converter:
    """Turns expressions into fractions over given generators."""

    def __init__(self, generators: list[Any]) -> None:
        names = [f"g{place}" for place in range(max(len(generators), 1))]
        self.ring = PolyRing(names, sympy.QQ, "grevlex")
        self.generators = generators
        self.place = {generator: place for place, generator in enumerate(generators)}
        self.known: dict[Any, Fraction] = {}

    def expression(self, polynomial: Any) -> Any:
        """A polynomial as an expression."""
        return polynomial.as_expr(*(self.generators or [sympy.Integer(1)]))

    def fraction(self, node: Any) -> Fraction:
        """An expression as a fraction."""
        if node not in self.known:
            self.known[node] = self._fraction(node)
        return self.known[node]

    def _fraction(self, node: Any) -> Fraction:
        if node.is_Rational:
            return Fraction(self.ring.ground_new(sympy.QQ(node.p, node.q)), {})
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
                top = times(top, base.top)
            return Fraction(top, {factor: power * exponent for factor, power in base.bottom.items()})
        return Fraction(self.ring.gens[self.place[node]], {})

    def _sum(self, parts: list[Fraction]) -> Fraction:
        bottom: dict[Any, int] = {}
        for part in parts:
            for factor, power in part.bottom.items():
                bottom[factor] = max(power, bottom.get(factor, 0))
        total = self.ring.zero
        for part in parts:
            top = part.top
            for factor, power in bottom.items():
                for _ in range(power - part.bottom.get(factor, 0)):
                    top = times(top, factor)
            total = total + top
        return Fraction(total, bottom if total else {})

    def _product(self, parts: list[Fraction]) -> Fraction:
        top = self.ring.one
        bottom: dict[Any, int] = {}
        for part in parts:
            top = times(top, part.top)
            for factor, power in part.bottom.items():
                bottom[factor] = bottom.get(factor, 0) + power
        if not top:
            return Fraction(top, {})
        for factor in list(bottom) if len(top) < 200 else []:
            while bottom[factor]:
                quotient, rest = top.div(factor)
                if rest:
                    break
                top, bottom[factor] = quotient, bottom[factor] - 1
        return Fraction(top, {factor: power for factor, power in bottom.items() if power})

    def _inverse(self, part: Fraction) -> Fraction:
        if not part.top:
            raise ZeroDivisionError
        top = self.ring.ground_new(1 / part.top.LC)
        for factor, power in part.bottom.items():
            for _ in range(power):
                top = times(top, factor)
        monic = part.top.monic()
        return Fraction(top, {} if monic == 1 else {monic: 1})


def times(a: Any, b: Any) -> Any:
    if len(a) * len(b) > _PRODUCTS:
        raise TooLargeError
    product = a * b
    if len(product) > _TERMS:
        raise TooLargeError
    return product
