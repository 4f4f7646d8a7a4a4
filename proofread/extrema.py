"""Suprema, infima and their places over a line or a part of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy

from proofread import dual
from proofread.errors import ProofreadError
from proofread.measures import MeasureMixin
from proofread.scope import key
from proofread.tree import Items, Name, Node, Relation, walk
from proofread.values import Domain, Stored, UndecidableError

REALS = r"\mathbb{R}"
_NODES, _ROUNDS = 65, 12
_FAR = 8.0  # ends of a declared line that lie further out stand for infinity
_MIRRORED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}


class ExtremumMixin(MeasureMixin):
    """Extrema over lines; part of ``Evaluator``."""

    def extremum(
        self, operator: str, variable: Node, domain: Domain, conditions: list[Node], body: Callable[[], Any]
    ) -> Any:
        """Supremum or infimum over an interval: a grid, then smaller grids around its best point.

        Args:
            operator: ``sup``, ``inf``, ``max``, ``min``, or one of them with ``arg`` in front.
            variable: what is bound.
            domain: the declared line.
            conditions: what its points must satisfy; bounds on the variable itself narrow the grid.
            body: the formula.

        Returns:
            The extremum, or its place.

        Raises:
            UndecidableError: symbolically, for a second derivative, or if nothing satisfies the conditions.
        """
        algebra = self.algebra
        if algebra.exact:
            raise UndecidableError("an extremum over an interval")
        sign = 1.0 if operator.removeprefix("arg") in ("sup", "max") else -1.0
        first, last, open_ended, others = self._part(variable, domain, conditions)
        outer = algebra.depth
        low, high = dual.plain(first), dual.plain(last)
        if (low > high).any():
            raise UndecidableError("an extremum over an empty range")
        with self._valued():
            best, place = self._best(variable, (low, high, open_ended), sign, others, body)
        algebra.noise = max(algebra.noise, 1e-7 if operator.startswith("arg") else 1e-12)
        if algebra.xp is not numpy:
            with self.scope.bound({self.bound_key(variable): Stored(place, outer)}):
                value = body()
            if dual.nested(value):
                raise UndecidableError("the second derivative of an extremum")
            if operator.startswith("arg") and isinstance(value, dual.Dual):
                raise UndecidableError("the derivative of the place of an extremum")
            if any(isinstance(part, dual.Dual) for part in (value, first, last)):
                best = self._with_slopes(variable, place, (first, last), body)
        return place if operator.startswith("arg") else best

    @contextmanager
    def _valued(self) -> Iterator[None]:
        """Values alone: where the place is best, its own change does not count (the envelope theorem)."""
        algebra = self.algebra
        before = algebra.level, self.known
        if algebra.xp is not numpy:
            algebra.level, self.known = dual.new_level(), dict(self.known)
        try:
            yield
        finally:
            algebra.level, self.known = before

    def _best(
        self,
        variable: Node,
        part: tuple[Any, Any, list[bool]],
        sign: float,
        others: list[Node],
        body: Callable[[], Any],
    ) -> tuple[Any, Any]:
        """The largest value (for ``sign`` -1 the smallest) on a part of a line, and its place."""
        algebra = self.algebra
        low, high, open_ended = part
        outer = algebra.depth
        unit = numpy.linspace(0.0, 1.0, _NODES)
        for turn in range(_ROUNDS):
            points = low[..., None] + (high - low)[..., None] * unit
            algebra.sizes.append(unit.size)
            try:
                with self.scope.bound({self.bound_key(variable): Stored(points, algebra.depth)}):
                    value = self._spread(body(), outer)
                    allowed = [self.truth(condition) for condition in others]
            finally:
                del algebra.sizes[outer:]
            if value.ndim > outer + 1:
                raise ProofreadError("an extremum of a vector or matrix", "take it of a number")
            value = dual.plain(value)
            height = sign * value
            height = numpy.where(numpy.isnan(height), -numpy.inf, height)
            for truth in allowed:
                height = numpy.where(truth, height, -numpy.inf)
            if turn == 0:
                _refuse_runaway(height, open_ended)
            index = numpy.argmax(height, axis=outer)[..., None]
            wide = numpy.broadcast_to(points, height.shape)
            best = numpy.take_along_axis(value, index, axis=outer)[..., 0]
            place = numpy.take_along_axis(wide, index, axis=outer)[..., 0]
            low = numpy.take_along_axis(wide, numpy.maximum(index - 1, 0), axis=outer)[..., 0]
            high = numpy.take_along_axis(wide, numpy.minimum(index + 1, unit.size - 1), axis=outer)[..., 0]
        return best, place

    def _with_slopes(self, variable: Node, place: Any, ends: tuple[Any, Any], body: Callable[[], Any]) -> Any:
        """The formula at the best place; if that is an end of the range, it moves with this end."""
        algebra = self.algebra
        for end in ends:
            place = dual.where(numpy.abs(place - dual.plain(end)) < 1e-9, end, place)
        # The place is known to about the square root of the rounding error, and so is the slope there.
        algebra.noise = max(algebra.noise, 1e-8)
        with self.scope.bound({self.bound_key(variable): Stored(place, algebra.depth)}):
            return algebra.full(body())

    def _part(
        self, variable: Node, domain: Domain, conditions: list[Node]
    ) -> tuple[Any, Any, list[bool], list[Node]]:
        """The ends of the part of a line that conditions leave, and the conditions that are no bounds."""
        algebra = self.algebra
        low, high = (numpy.full((1,) * algebra.depth, end) for end in domain.bounds)
        open_ended = [domain.bounds[0] <= -_FAR, domain.bounds[1] >= _FAR]
        others: list[Node] = []
        for condition in conditions:
            bounds = _bounds(variable, condition)
            if bounds is None:
                others.append(condition)
                continue
            for side, limit in bounds:
                value = algebra.full(self.value(limit))
                if side < 0:
                    low, open_ended[0] = algebra.xp.maximum(low, value), False
                else:
                    high, open_ended[1] = algebra.xp.minimum(high, value), False
        return low, high, open_ended, others


def _refuse_runaway(height: Any, open_ended: list[bool]) -> None:
    """Refuse an empty range, and a formula that still grows at an end which stands for infinity."""
    top = height.max(axis=-1)
    if numpy.isneginf(top).any():
        raise UndecidableError("an extremum over an empty range, or of a formula without values")
    best = numpy.argmax(height, axis=-1)
    at_end = (best == 0) & open_ended[0] | (best == _NODES - 1) & open_ended[1]
    margins = [_NODES // 8 if infinite else 0 for infinite in open_ended]
    inner = height[..., margins[0] : _NODES - margins[1]].max(axis=-1)
    size = numpy.maximum(numpy.abs(top), max(1e-3 * float(numpy.median(numpy.abs(top))), 1e-5))
    if (at_end & numpy.isfinite(top) & (top - inner > 1e-9 * size)).any():
        raise UndecidableError(
            "an extremum lies at the end of the declared line, which stands for infinity; "
            "restrict the interpretation or widen the line"
        )


def _bounds(variable: Node, condition: Node) -> list[tuple[int, Node]] | None:
    """Bounds (-1: from below, 1: from above) that a condition puts on a variable; None if it is none."""
    if not isinstance(condition, Relation):
        return None
    name = key(variable)
    if condition.relations == (r"\in",):
        container = condition.operands[1]
        if key(container) == REALS:
            return []
        if isinstance(container, Items) and container.brackets[0] in "[(" and len(container.items) == 2:
            ends = zip((-1, 1), container.items, strict=True)
            return [(side, end) for side, end in ends if not _infinite(end)]
        return None
    found: list[tuple[int, Node]] = []
    pairs = zip(condition.operands, condition.relations, condition.operands[1:], strict=False)
    for left, relation, right in pairs:
        if key(right) == name:
            left, relation, right = right, _MIRRORED.get(relation, relation), left
        if key(left) != name or relation not in _MIRRORED or _mentions(right, name):
            return None
        if not _infinite(right):
            found.append((-1 if relation in (">", r"\ge") else 1, right))
    return found


def _infinite(node: Node) -> bool:
    return any(part == Name(r"\infty") for part in walk(node))


def _mentions(node: Node, name: str) -> bool:
    return any(key(part) == name for part in walk(node))
