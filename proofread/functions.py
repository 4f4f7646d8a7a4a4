"""Free functions: "for every f" as random smooth functions, and as undefined functions in SymPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sympy

from proofread import arguments as given
from proofread.errors import ProofreadError
from proofread.interpret import Builder, Declaration
from proofread.scope import key
from proofread.tree import Name
from proofread.values import Smooth

_FEATURES = 4
_KINDS = ("free", "convex", "positive", "unit", "convex on positive", "concave", "increasing")


@dataclass
class Function(Declaration):
    """A free function of numbers or vectors."""

    head: str
    kind: str
    zero_at: float | None
    parameter: str
    size: int

    def shapes(self) -> dict[str, tuple[int, ...]]:
        # Weights of the features for up to 8 input numbers, a phase, and amplitudes for each output.
        return {"weights": (_FEATURES, 8), "phases": (_FEATURES,), "outputs": (self.size, _FEATURES + 9)}

    def install(self, builder: Builder) -> None:
        head = builder.head(self.head)
        parameter = key(builder.parse(self.parameter)) if self.parameter else ""
        evaluate: Callable[[Any, list[Any]], Any]
        if builder.raw is None:
            evaluate = self._exact(key(head.function), parameter)
        else:
            evaluate = self._numeric(dict(builder.raw), parameter)
        builder.overload(head, Smooth(evaluate))

    def _inputs(self, evaluator: Any, values: list[Any], parameter: str) -> list[Any]:
        """All numbers that enter the function, vectors entry by entry."""
        algebra = evaluator.algebra
        if parameter:
            values = [*values, evaluator.plain(evaluator.scope.find(parameter), Name(parameter))]
        entries: list[Any] = []
        for value in values:
            if algebra.rank(value):
                rows, columns = algebra.shape(value)
                entries.extend(algebra.entry(value, i, j) for i in range(rows) for j in range(columns))
            else:
                entries.append(value)
        if len(entries) > 8:
            raise ProofreadError(f"{self.head} of more than 8 numbers", "use smaller vectors")
        return entries

    def _exact(self, name: str, parameter: str) -> Callable[[Any, list[Any]], Any]:
        plain = name.replace("\\", "").replace("{", "").replace("}", "")
        kind: dict[str, Any] = {"real": True}
        if self.kind in ("positive", "unit"):
            kind["positive"] = True
        functions = [sympy.Function(f"{plain}{i if self.size > 1 else ''}", **kind) for i in range(self.size)]

        def evaluate(evaluator: Any, values: list[Any]) -> Any:
            entries = [sympy.sympify(entry) for entry in self._inputs(evaluator, values, parameter)]
            outputs = [function(*entries) for function in functions]
            if self.zero_at is not None:
                origin = sympy.nsimplify(self.zero_at)
                outputs = [function(entries[0]) - function(origin) for function in functions]
            return sympy.Matrix(outputs) if self.size > 1 else outputs[0]

        return evaluate

    def _numeric(self, raw: dict[str, Any], parameter: str) -> Callable[[Any, list[Any]], Any]:
        def evaluate(evaluator: Any, values: list[Any]) -> Any:
            algebra = evaluator.algebra
            entries = self._inputs(evaluator, values, parameter)

            def at(numbers: list[Any]) -> list[Any]:
                return [self._output(algebra, raw, numbers, output) for output in range(self.size)]

            outputs = at(entries)
            if self.zero_at is not None:
                origin = at([algebra.full(float(self.zero_at))])
                outputs = [a - b for a, b in zip(outputs, origin, strict=True)]
            return algebra.matrix([[output] for output in outputs]) if self.size > 1 else outputs[0]

        return evaluate

    def _output(self, algebra: Any, raw: dict[str, Any], numbers: list[Any], output: int) -> Any:
        """One output as a random sum of features of the right kind."""
        xp = algebra.xp

        def coefficient(name: str, *place: int) -> Any:
            return algebra.lift(raw[name][(slice(None), *place)], 1)

        linear: Any = coefficient("outputs", output, _FEATURES)
        for place, number in enumerate(numbers):
            linear = linear + 0.5 * coefficient("outputs", output, _FEATURES + 1 + place) * number
        total: Any = linear
        if self.kind == "convex on positive":
            t = numbers[0]
            sizes = [xp.abs(coefficient("outputs", output, k)) for k in range(_FEATURES)]
            return (
                total + sizes[0] * t * xp.log(t) - sizes[1] * xp.log(t) + sizes[2] * t**2 + sizes[3] / (t + 1)
            )
        curved = self.kind in ("convex", "concave", "increasing")
        if self.kind == "increasing":
            total = 0.0
        for feature in range(_FEATURES):
            inner: Any = coefficient("phases", feature)
            for place, number in enumerate(numbers):
                weight = coefficient("weights", feature, place)
                inner = inner + (xp.abs(weight) if self.kind == "increasing" else weight) * number
            amplitude = coefficient("outputs", output, feature)
            if curved:
                total = total + xp.abs(amplitude) * xp.logaddexp(0.0, inner)
            else:
                total = total + 0.7 * amplitude * xp.sin(inner)
        if self.kind == "convex":
            total = total + 0.1 * sum(number**2 for number in numbers)
        if self.kind == "concave":
            total = 2 * linear - total
        if self.kind == "positive":
            total = xp.exp(0.6 * xp.tanh(total / 2) * 2)
        if self.kind == "unit":
            total = 1 / (1 + xp.exp(-total))
        return total


def function(
    head: str, kind: str = "free", zero_at: float | None = None, parameter: str = "", size: int = 1
) -> Function:
    """A free function of real numbers or vectors: a formula with it must hold for every such function.

    Args:
        head: name and arguments, ``f(x)``.
        kind: ``free``, ``convex``, ``concave``, ``increasing``, ``positive``, ``unit`` (between 0 and 1)
            or ``convex on positive`` (for generators of f-divergences).
        zero_at: a point where it vanishes.
        parameter: name of a declared number or vector it also depends on.
        size: length of the vector it returns.

    Returns:
        The declaration.
    """
    if kind not in _KINDS:
        raise ProofreadError(f"there is no kind of function {kind!r}", f"use one of {', '.join(_KINDS)}")
    given.text("function", head)
    given.whole("function", size, most=8)
    if zero_at is not None:
        given.number("zero_at of a function", zero_at)
    if parameter:
        given.text("parameter of a function", parameter)
    return Function(head, kind, zero_at, parameter, size)
