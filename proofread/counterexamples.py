"""Counterexamples: the smallest draw that refutes a step, in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from proofread.errors import ProofreadError
from proofread.pretty import pretty
from proofread.tree import Node
from proofread.values import Outcome, Overload, RandomVariable, Stored, Table, UndecidableError
from proofread.witness import Draws, Values, flat

Violations = Callable[[str, Values], Any]


def counterexample(
    left: Node, relation: str, right: Node, sample: Draws, assignment: dict[str, int], violated: Violations
) -> str:
    """The smallest interpretation found that refutes a step, printed.

    Simple draws (multiples of one half, many zeros) are tried first.
    """
    from proofread.judge import evaluate_pair

    generator = numpy.random.default_rng(2)
    simple = {
        name: numpy.round(array * 2) / 2 * (generator.random(array.shape) < 0.6)
        for name, array in sample.raw.items()
    }
    for raw in (simple, sample.raw):
        if sample.model.constraints and raw is simple:
            continue
        try:
            values = evaluate_pair(left, right, sample, assignment, raw)
        except (ProofreadError, UndecidableError):
            continue
        places = numpy.flatnonzero(violated(relation, values))
        if not places.size:
            continue
        cost = sum(numpy.abs(array.reshape(array.shape[0], -1)).sum(axis=1) for array in raw.values())
        place = (
            places[int(numpy.argmin(numpy.broadcast_to(cost, (sample.count,))[places]))] if raw else places[0]
        )
        one = {name: array[place : place + 1] for name, array in raw.items()}
        if not _still(left, relation, right, sample, assignment, one, violated):
            one = raw
        return describe(left, right, sample, assignment, one)
    return ""


def _still(
    left: Node,
    relation: str,
    right: Node,
    sample: Draws,
    assignment: dict[str, int],
    one: dict[str, Any],
    violated: Violations,
) -> bool:
    """Whether a single draw (with its own free outcomes) violates the relation."""
    from proofread.judge import evaluate_pair

    return bool(violated(relation, evaluate_pair(left, right, sample, assignment, one)).any())


def describe(left: Node, right: Node, sample: Draws, assignment: dict[str, int], raw: dict[str, Any]) -> str:
    """An interpretation in words: the values of its symbols and of both sides (first draw)."""
    evaluator = sample.evaluator(raw)
    evaluator.scope.symbols.update(assignment)
    count = evaluator.algebra.sizes[0]
    sides = [flat(evaluator.value(node), count)[0] for node in (left, right)]
    return f"{meanings(evaluator, assignment)}: left {_numbers(sides[0])}, right {_numbers(sides[1])}"


def meanings(evaluator: Any, assignment: dict[str, int]) -> str:
    """The values of the symbols and tables of an interpretation (first draw)."""
    parts = [f"{name} = {number}" for name, number in assignment.items()]
    for name, value in evaluator.scope.symbols.items():
        text = _shown(value)
        if text and name not in assignment and not name.startswith("<"):
            parts.append(f"{name} = {text}")
    for name, elements in evaluator.scope.sequences.items():
        parts.extend(f"{name}_{{{','.join(map(str, i))}}} = {_shown(v)}" for i, v in elements.items())
    for name, overloads in evaluator.scope.functions.items():
        for overload in overloads:
            table = overload.body
            if isinstance(table, Table) and not table.parameter and table.data[0].size <= 12:
                parts.append(f"{_head(name, overload)} = {_numbers(table.data[0])}")
    return "; ".join(parts[:14])


def _head(name: str, overload: Overload) -> str:
    """A function with its arguments as the author wrote them, bars included."""
    text = pretty(overload.parameters[0])
    for sign, argument in zip(overload.separators, overload.parameters[1:], strict=True):
        text += f"{'' if sign == ',' else ' '}{sign} {pretty(argument)}"
    return f"{name}({text})"


def _shown(value: Any) -> str:
    if isinstance(value, Stored):
        return _numbers(
            numpy.asarray(value.value if isinstance(value.value, (int, float)) else value.value[0])
        )
    if isinstance(value, Outcome):
        index = (
            value.index if isinstance(value.index, int) else int(numpy.asarray(value.index).reshape(-1)[0])
        )
        return f"outcome {index + 1}"
    if isinstance(value, RandomVariable):
        return _numbers(value.table.data[0])
    return ""


def _numbers(array: Any) -> str:
    array = numpy.squeeze(numpy.asarray(array, dtype=float))
    if array.ndim == 0:
        return f"{float(array) + 0.0:.4g}"  # adding zero turns -0 into 0
    return "[" + ", ".join(_numbers(entry) for entry in array) + "]"
