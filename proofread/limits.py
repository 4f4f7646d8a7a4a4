"""Limits: along a sequence with extrapolation (numbers), or by SymPy (symbols)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy
import sympy

from proofread import dual
from proofread.errors import ProofreadError
from proofread.parts import Part
from proofread.scope import key
from proofread.tree import Add, Big, Name, Node, Relation, Sub, Tag
from proofread.values import Stored, UndecidableError

ARROWS = {r"\to": 0, r"\downarrow": 1, r"\uparrow": -1}
_SMALLEST = 1e-5  # draws are of order one: smaller limits are compared on this scale
_POWERS = range(3, 13)  # places 2^-3 … 2^-12 from the limit; 2^3 … 2^12 on the way to infinity


class LimitMixin(Part):
    """Limits; part of ``Evaluator``."""

    def limit(self, node: Big) -> Any:
        r"""The limit of a formula.

        Numerically the formula is evaluated at distances 2^-3 … 2^-12 (from both sides, if none is
        named), or at n = 8 … 4096, and extrapolated; how far the last extrapolations differ counts as
        the error of an integral does.

        Args:
            node: ``\lim_{t \to a}``, ``\lim_{t \downarrow 0}``, ``\lim_{n \to \infty}``.

        Raises:
            UndecidableError: if it does not converge along the sequence, or SymPy cannot do it.
        """
        variable, place, side = read_limit(node.index)
        if self.algebra.exact:
            return self._exact_limit(variable, place, side, node.body)
        if infinite(place):
            sign = -1 if isinstance(place, Add) else 1
            values = [self._at(variable, sign * 2**power, node.body) for power in _POWERS]
            return self._extrapolated([values])
        centre = self.value(place)
        runs = []
        for direction in (side,) if side else (1, -1):
            places = [self.algebra.add(centre, direction * 2.0**-power) for power in _POWERS]
            runs.append([self._at(variable, point, node.body) for point in places])
        return self._extrapolated(runs)

    def _at(self, variable: Node, place: Any, body: Node) -> Any:
        """The formula with its variable at a place."""
        bound = place if isinstance(place, int) else Stored(self.algebra.full(place), self.algebra.depth)
        with self.scope.bound({self.bound_key(variable): bound}):
            value = self.algebra.full(self.value(body))
        if isinstance(value, dual.Dual):
            raise UndecidableError("the derivative of a limit")
        return value

    def _extrapolated(self, runs: list[list[Any]]) -> Any:
        """The common limit of sequences, with the disagreement noted as noise."""
        algebra = self.algebra
        results = []
        errors: Any = 0.0
        for values in runs:
            result, error = richardson(values)
            for other, doubt in (wynn(values), (values[-1], abs(values[-1] - values[-2]))):
                better = doubt < error
                result, error = numpy.where(better, other, result), numpy.where(better, doubt, error)
            results.append(result)
            errors = errors + error
        total = results[0] if len(results) == 1 else (results[0] + results[1]) / 2
        if len(results) == 2:
            errors = errors + abs(results[0] - results[1])
        scale = numpy.maximum(numpy.abs(total), _SMALLEST)
        with numpy.errstate(all="ignore"):
            worst = float(numpy.max(errors / scale, initial=0.0))
        if not worst <= 1e-5:
            raise UndecidableError("a limit that does not converge along its sequence")
        algebra.noise = max(algebra.noise, worst)
        return total

    def _exact_limit(self, variable: Node, place: Node, side: int, body: Node) -> Any:
        far = infinite(place)
        symbol = sympy.Dummy("t", real=True, positive=True if far or side > 0 else None)
        with self.scope.bound({self.bound_key(variable): Stored(symbol, 0)}):
            value = self.value(body)
        if far:
            target: Any = sympy.oo
            if isinstance(place, Add):
                value = sympy.sympify(value).subs(symbol, -symbol)
        else:
            target = self.value(place)
        direction = {0: "+-", 1: "+", -1: "-"}[side] if not far else "-"
        if self.algebra.rank(value):
            return value.applyfunc(lambda entry: _sympy_limit(entry, symbol, target, direction))
        return _sympy_limit(value, symbol, target, direction)


def _sympy_limit(value: Any, symbol: Any, target: Any, direction: str) -> Any:
    result = sympy.limit(value, symbol, target, direction)
    unsolved = (sympy.Limit, sympy.AccumBounds, sympy.nan, sympy.zoo, sympy.oo, -sympy.oo)
    if result.has(*unsolved) or result.has(symbol):
        raise UndecidableError("a limit that SymPy cannot do")
    return result


def read_limit(index: tuple[Node, ...]) -> tuple[Node, Node, int]:
    """Variable, place and side (1: from above, -1: from below, 0: both) of ``t \\to a``.

    Raises:
        ProofreadError: for anything else.
    """
    item = index[0]
    if len(index) != 1 or not (isinstance(item, Relation) and len(item.relations) == 1):
        raise ProofreadError("cannot read this limit", r"write \lim_{t \to 0} or \lim_{n \to \infty}")
    variable, place = item.operands
    if item.relations[0] not in ARROWS or not isinstance(variable, Name | Sub | Tag):
        raise ProofreadError("cannot read this limit", r"write \lim_{t \to 0} or \lim_{n \to \infty}")
    side = ARROWS[item.relations[0]]
    if isinstance(place, Tag) and key(place.label) in ("+", "-"):
        return variable, place.base, 1 if key(place.label) == "+" else -1
    return variable, place, side


def infinite(place: Node) -> bool:
    """Whether a place is plus or minus infinity."""
    inner = place.terms[0] if isinstance(place, Add) and len(place.terms) == 1 else place
    return inner == Name(r"\infty")


def richardson(values: list[Any]) -> tuple[Any, Any]:
    """Limit of a sequence whose error has integer powers of the halved distance, and its uncertainty."""
    row = list(values)
    before = row[-1]
    latest = row[-1]
    for order in range(1, 7):
        factor = 2.0**order
        row = [(factor * b - a) / (factor - 1) for a, b in pairwise(row)]
        before, latest = latest, row[-1]
    return latest, abs(latest - before)


def wynn(values: list[Any]) -> tuple[Any, Any]:
    """Limit of a sequence whose error is a sum of geometric terms (any powers), and its uncertainty.

    This is Wynn's epsilon algorithm. Where it divides by zero, because neighbours agree, it stops.
    """
    older: list[Any] = [numpy.zeros_like(values[0])] * (len(values) + 1)
    newer = list(values)
    best, doubt = values[-1], numpy.abs(values[-1] - values[-2])
    bound = 1e3 * numpy.maximum.reduce([numpy.abs(value) for value in values])
    with numpy.errstate(all="ignore"):
        for order in range(1, 9):
            row = [older[i + 1] + 1.0 / (newer[i + 1] - newer[i]) for i in range(len(newer) - 1)]
            older, newer = newer, row
            if order % 2 == 0:
                sound = numpy.abs(newer[-1]) <= bound
                doubt = numpy.where(sound, numpy.abs(newer[-1] - best), doubt)
                best = numpy.where(sound, newer[-1], best)
    return best, doubt
