"""Values of many similar formulas: what two of them share is calculated once."""

from __future__ import annotations

from typing import Any

import numpy

from proofread.evaluate import Evaluator
from proofread.tree import Node
from proofread.witness import Draws, Values, flat

FEW = 16


class Bench:
    """Evaluates pairs of formulas that have parts in common, such as a side and its mutants.

    Args:
        sample: the draws.
    """

    def __init__(self, sample: Draws) -> None:
        self.sample = sample
        self.few = {name: array[:FEW] for name, array in sample.raw.items()}
        self.scope = sample.evaluator().scope
        self.evaluators: dict[tuple[int, tuple[tuple[str, int], ...]], Evaluator] = {}

    def values(self, pair: tuple[Node, Node], assignment: dict[str, int], raw: Any = None) -> Values:
        """Both sides on raw draws (by default those of the sample).

        Args:
            pair: left and right side.
            assignment: values of the free indices.
            raw: raw draws; the same object must have the same values in every call.

        Returns:
            The values; sides of different types have none (NaN).
        """
        raw = self.sample.raw if raw is None else raw
        place = id(raw), tuple(sorted(assignment.items()))
        if place not in self.evaluators:
            made = self.sample.evaluator(raw)
            made.scope.symbols.update(assignment)
            made.shared = {}
            self.evaluators[place] = made
        evaluator = self.evaluators[place]
        algebra = evaluator.algebra
        algebra.noise, algebra.trouble = 0.0, None
        left, right = (evaluator.value(node) for node in pair)
        count = algebra.sizes[0]
        if algebra.shape(left) != algebra.shape(right):
            nothing = numpy.full((count, 1), numpy.nan)
            return Values(nothing, nothing, nothing, 0.0, None)
        one, two = flat(left, count), flat(right, count)
        sizes = numpy.maximum(numpy.abs(one), numpy.abs(two)).max(axis=1, keepdims=True)
        return Values(one, two, sizes, algebra.noise, algebra.trouble)
