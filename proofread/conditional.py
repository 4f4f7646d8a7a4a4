"""Conditional expectations, given random variables, events, or variables of a named distribution."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy

from proofread.builtin import gaussian_density
from proofread.errors import ProofreadError
from proofread.measures import Measure
from proofread.parts import Part
from proofread.scope import key
from proofread.tree import Node, Relation
from proofread.values import Outcome, RandomVariable, Stored

SPACE = "<space>"
Mean = Callable[[Callable[[], Any]], Any]


class ConditionalMixin(Part):
    """Means given something; part of ``Evaluator``."""

    def conditional_mean(self, measures: list[Measure], given: tuple[Node, ...]) -> Mean:
        """The mean under a product of distributions, given something.

        Args:
            measures: the distributions.
            given: events (relations); variables of the distributions, which then keep the value they have
                outside; random variables with few values; or anything that is not random at all.

        Returns:
            A function of the quantity whose mean is wanted.
        """
        held: set[str] = set()
        tests: list[Callable[[], Any]] = []
        bound = {key(variable) for measure in measures for variable in measure.variables}
        for node in given:
            if isinstance(node, Relation):
                tests.append(lambda event=node: self.truth(event))  # type: ignore[misc]
            elif key(node) in bound:
                held.add(key(node))
            elif SPACE in bound and self._random(node):
                tests.append(self._same_as_outside(node))
            elif not isinstance(self.scope.find(key(node)), Stored) and self.reachable((node,)) & bound:
                raise ProofreadError(
                    f"{key(node)} is a function of random quantities",
                    "condition on these quantities themselves",
                )
        free, weights = self._hold(measures, held)

        def weighted(body: Callable[[], Any]) -> Any:
            result = body()
            for test in tests:
                result = self.algebra.multiply(self._indicator(test()), result)
            for weight in weights:
                result = self.algebra.multiply(weight(), result)
            return result

        def mean(body: Callable[[], Any]) -> Any:
            total = self.under(free, lambda: weighted(body))
            if not tests and not held:
                return total
            return self.algebra.divide(
                total, self.under(free, lambda: weighted(lambda: self.algebra.number("1")))
            )

        return mean

    def _indicator(self, truth: Any) -> Any:
        return self.algebra.where(truth, self.algebra.number("1"), self.algebra.number("0"))

    def _hold(self, measures: list[Measure], held: set[str]) -> tuple[list[Measure], list[Callable[[], Any]]]:
        """Distributions without the variables that are held, whose densities become weights."""
        free: list[Measure] = []
        weights: list[Callable[[], Any]] = []
        for measure in measures:
            left = tuple(variable for variable in measure.variables if key(variable) not in held)
            if len(left) == len(measure.variables):
                free.append(measure)
            elif measure.density is not None:
                free.append(replace(measure, variables=left))
            elif measure.moments is not None:
                weights.append(self._normal_weight(measure))
            else:
                raise ProofreadError(
                    f"a mean given {key(measure.variables[0])}, which is uniform",
                    "name the conditional distribution",
                )
        return free, weights

    def _normal_weight(self, measure: Measure) -> Callable[[], Any]:
        moments = measure.moments
        assert moments is not None
        return lambda: gaussian_density(self.algebra, self.value(measure.variables[0]), *moments())

    def _random(self, node: Node) -> bool:
        """Whether a formula depends on random variables; those must take few values."""
        found = [
            (name, self.scope.symbols[name])
            for name in self.reachable((node,))
            if isinstance(self.scope.symbols.get(name), RandomVariable)
        ]
        for name, variable in found:
            if variable.domain is None:
                raise ProofreadError(
                    f"{name} takes another value at every outcome, so that it tells everything",
                    f'give it few values: random_variables("X", "{name}", levels={{"{name}": 2}})',
                )
        return bool(found)

    def _same_as_outside(self, node: Node) -> Callable[[], Any]:
        """A test whether a random quantity has the value that it has outside of the expectation."""
        self.free_outcome()
        outside = self.argument(node)
        kept = outside if isinstance(outside, Outcome) else self.stored(outside)

        def test() -> Any:
            inside = self.argument(node)
            if isinstance(kept, Outcome):
                return self.algebra.outcome_index(kept) == self.algebra.outcome_index(inside)
            before = self.algebra.lift(kept.value, kept.depth)
            if self.algebra.exact:
                return self.algebra.compare("=", before, inside)
            return numpy.abs(before - inside) <= 1e-9 * (1 + numpy.abs(before))

        return test

    def free_outcome(self) -> Any:
        """The outcome at which random variables outside of an expectation are taken: any."""
        found = self.scope.find(SPACE)
        if found is None:
            assert self.scope.choose is not None  # every model sets it
            found = self.scope.symbols[SPACE] = self.scope.choose(SPACE, self.scope.space.domains[0])
        return found

    def random_value(self, variable: RandomVariable) -> Any:
        """A random variable at the present outcome: an outcome of its own if it has few values."""
        here = self.free_outcome()
        if variable.domain is None:
            return self.algebra.look_up(variable.table, [here], None)
        level = numpy.asarray(variable.levels)[here.index]
        return Outcome(variable.domain, int(level) if level.ndim == 0 else level, here.depth)
