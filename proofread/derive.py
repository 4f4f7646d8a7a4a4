"""Derivatives: dual numbers for draws, SymPy for symbols."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
import sympy

from proofread import dual
from proofread.errors import ProofreadError
from proofread.parts import Part
from proofread.scope import key
from proofread.tree import Call, Derivative, Name, Node, Sub
from proofread.values import FunctionValue, Outcome, Stored, UndecidableError


class DeriveMixin(Part):
    """Derivatives; part of ``Evaluator``."""

    def derivative(self, node: Derivative) -> Any:
        """A derivative with respect to each of its variables in turn."""
        body: Callable[[], Any] = lambda: self.value(node.body)  # noqa: E731
        for variable in reversed(node.variables):
            body = self._differentiated(variable, body)
        return body()

    def slope(self, function: Node, order: int, point: Node) -> Any:
        """``f'(x)``: the derivative of a function at a point."""
        slot = Name(r"\mathrm{slot}")
        place = self.value(point)
        call = Call(function, (slot,))
        body: Callable[[], Any] = lambda: self.value(call)  # noqa: E731
        for _ in range(order):
            body = self._differentiated(slot, body)
        if self.algebra.exact:
            symbol = sympy.Dummy("slot", real=True)
            with self.scope.bound({key(slot): Stored(symbol, 0)}):
                return body().subs(symbol, place)
        place = self.algebra.full(place)
        with self.scope.bound({key(slot): Stored(place, self.algebra.depth)}):
            return body()

    def _differentiated(self, variable: Node, body: Callable[[], Any]) -> Callable[[], Any]:
        """A function that evaluates the derivative of ``body`` in the present scope."""
        return lambda: self._exact(variable, body) if self.algebra.exact else self._automatic(variable, body)

    def _target(self, variable: Node) -> tuple[Node, Any, tuple[int, ...] | None]:
        """The bound name to differentiate by, its value, and the entry of it that is meant."""
        found = self.scope.find(key(variable))
        if found is None and isinstance(variable, Sub):
            numbers = self.integers(variable.index)
            if numbers is not None:
                concrete = Sub(variable.base, tuple(Name(str(n)) for n in numbers))
                found = self.scope.find(key(concrete))
                if found is not None:
                    variable = concrete
                sequence = self.scope.sequences.get(key(variable.base) if isinstance(variable, Sub) else "")
                if found is None and sequence is not None and numbers in sequence:
                    return concrete, sequence[numbers], None
                whole = self.scope.find(key(variable.base)) if isinstance(variable, Sub) else None
                if found is None and isinstance(whole, Stored) and isinstance(variable, Sub):
                    return variable.base, whole, numbers
        if isinstance(found, (Outcome, FunctionValue)):
            raise ProofreadError(
                f"a derivative by {key(variable)}, which is not a number", "use a real variable"
            )
        if not isinstance(found, Stored):
            if isinstance(found, (int, float)):
                return variable, Stored(found, self.algebra.depth), None
            raise ProofreadError(
                f"a derivative by {key(variable)}, which has no value", "declare it: real(…), vector(…)"
            )
        return variable, found, None

    def _entry(self, result: Any, numbers: tuple[int, ...] | None) -> Any:
        if numbers is None:
            return result
        row, column = numbers[0] - 1, numbers[1] - 1 if len(numbers) > 1 else 0
        return self.algebra.entry(result, row, column)

    def _exact(self, variable: Node, body: Callable[[], Any]) -> Any:
        node, stored, numbers = self._target(variable)
        place = stored.value
        matrix = isinstance(place, sympy.MatrixBase)
        entries = list(place) if matrix else [place]
        dummies = [
            sympy.Dummy(f"d{i}", real=True, positive=getattr(e, "is_positive", None))
            for i, e in enumerate(entries)
        ]
        point = sympy.Matrix(place.rows, place.cols, dummies) if matrix else dummies[0]
        with self.scope.bound({key(node): Stored(point, 0)}):
            value = body()
        back = dict(zip(dummies, entries, strict=True))
        if isinstance(value, sympy.MatrixBase):
            if not matrix:
                return value.applyfunc(lambda entry: entry.diff(dummies[0])).subs(back)
            if value.cols != 1 or point.cols != 1:
                raise UndecidableError("the derivative of a matrix by a matrix")
            return value.jacobian(point).subs(back)
        value = sympy.sympify(value)
        slopes = [value.diff(dummy).subs(back) for dummy in dummies]
        result = sympy.Matrix(place.rows, place.cols, slopes) if matrix else slopes[0]
        return self._entry(result, numbers)

    def _automatic(self, variable: Node, body: Callable[[], Any]) -> Any:
        """The derivative by dual numbers, on all draws at once."""
        node, stored, numbers = self._target(variable)
        algebra = self.algebra
        outer_module = algebra.xp
        place = dual.asarray(algebra.lift(stored.value, stored.depth), dtype=float)
        if not place.ndim:
            place = place.reshape(*(1,) * algebra.depth)
        matrix = algebra.rank(place) > 0
        point, level = dual.seeded_entries(place) if matrix else dual.seeded(place)
        with self.scope.bound({key(node): Stored(point, algebra.depth)}):
            algebra.xp = dual
            try:
                value = body()
            finally:
                algebra.xp = outer_module
        shape = algebra.shape(value)
        slope = dual.slope_of(value, level)
        if slope is None:
            slope = numpy.zeros((point.slope.shape[0], *(1,) * algebra.depth, *shape))
        if not shape:
            result = dual.entries_last(slope, algebra.shape(place)) if matrix else slope[0]
        elif not matrix:
            result = slope[0]
        elif shape[1] == 1:
            result = dual.jacobian(slope, algebra.shape(place))
        else:
            raise ProofreadError("the derivative of a matrix by a matrix", "write it entry by entry")
        if matrix and numbers is not None and not shape:
            result = self._entry(result, numbers)
        elif numbers is not None:
            raise ProofreadError(
                "the derivative of a vector by one entry", "differentiate by the whole vector"
            )
        return result
