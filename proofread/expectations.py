"""Expectations, variances and divergences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proofread.binders import LINE, NAMES, BinderMixin
from proofread.conditional import ConditionalMixin
from proofread.errors import ProofreadError
from proofread.measures import Measure
from proofread.scope import key
from proofread.tree import (
    Expectation,
    Name,
    Node,
    Sub,
    walk,
)
from proofread.values import Divergence


class ExpectationMixin(BinderMixin, ConditionalMixin):
    """Means under distributions; part of ``Evaluator``."""

    def expectation(self, node: Expectation) -> Any:
        """Expectation, variance or covariance."""
        wanted = 2 if node.operator == "Cov" else 1
        if len(node.arguments) != wanted:
            raise ProofreadError(f"{node.operator} takes {wanted} argument(s)", "check the commas")
        algebra = self.algebra
        quantities = (*node.arguments, *node.given)
        measures = self.measures(node.over) if node.over else self.default_measures(quantities)
        mean = self.conditional_mean(measures, node.given)
        first = node.arguments[0]
        if node.operator == "E":
            return mean(lambda: self.value(first))
        second = node.arguments[-1]
        means = [self.stored(mean(lambda n=n: self.value(n))) for n in (first, second)]  # type: ignore[misc]

        def spread() -> Any:
            offsets = [
                algebra.add(self.value(n), algebra.negative(algebra.lift(m.value, m.depth)))
                for n, m in zip((first, second), means, strict=True)
            ]
            right = algebra.transpose(offsets[1])
            return algebra.multiply(offsets[0], right)

        return mean(spread)

    def default_measures(self, arguments: tuple[Node, ...]) -> list[Measure]:
        """The laws of all random quantities that occur below, directly or through definitions."""
        names = self.reachable(arguments)
        while not names >= (
            more := self.reachable(tuple(law for n, law in self.scope.laws.items() if n in names))
        ):
            names |= more
        found = [
            self.sampled(self.scope.law_nodes[n], law) for n, law in self.scope.laws.items() if n in names
        ]
        if self.scope.space is not None:
            found.append(Measure((Name("<space>"),)))
        if not found:
            raise ProofreadError(
                r"an expectation without a distribution", r"write \E_{p}[…] or declare a law(…)"
            )
        return found

    def reachable(self, nodes: tuple[Node, ...]) -> set[str]:
        """Names in formulas and in the definitions they use."""
        names: set[str] = set()
        waiting = list(nodes)
        while waiting:
            for part in walk(waiting.pop()):
                if not isinstance(part, NAMES) or key(part) in names:
                    continue
                names.add(key(part))
                if key(part) in self.scope.definitions:
                    waiting.append(self.scope.definitions[key(part)].body)
                if isinstance(part, Sub):
                    waiting.extend(d.body for d in self.scope.families.get(key(part.base), []))
                overloads = self.scope.callable_named(part) or []
                waiting.extend(overload.body for overload in overloads if isinstance(overload.body, Node))
        return names

    def under(self, measures: list[Measure], body: Callable[[], Any]) -> Any:
        """The mean of ``body`` under the product of distributions."""
        ordered = sorted(measures, key=lambda measure: measure.moments is not None)
        densities = [measure.density for measure in ordered if measure.density is not None]

        def weighted() -> Any:
            result = body()
            for density in densities:
                result = self.algebra.multiply(self.value(density), result)
            return result

        step: Callable[[], Any] = weighted
        for measure in reversed(ordered):
            step = self._layer(measure, step)
        return step()

    def _layer(self, measure: Measure, inner: Callable[[], Any]) -> Callable[[], Any]:
        """One integration around ``inner``."""
        if measure.moments is not None:
            moments = measure.moments
            return lambda: self.over_normal(measure.variables[0], *moments(), inner)
        if measure.interval is not None:
            return lambda: self.over_uniform(measure, inner)
        if not measure.variables:
            return inner  # all of them are held: the density is a weight
        if measure.variables == (Name("<space>"),):
            return lambda: self.over_space(inner)
        variables = [(variable, self._domain(variable)) for variable in measure.variables]
        if all(domain.kind == "finite" for _, domain in variables):
            return lambda: self.reduce("sum", variables, [], inner, measure.variables[0])
        for variable, domain in variables:
            inner = self._line_integral(variable, domain, inner)
        return inner

    def over_uniform(self, measure: Measure, inner: Callable[[], Any]) -> Any:
        """The mean under a uniform distribution: over integers for an index, otherwise over an interval."""
        assert measure.interval is not None
        variable = measure.variables[0]
        declared = self.scope.domain_of(variable)
        low, high = (self.value(end) for end in measure.interval)
        if declared is not None and declared.kind == "index":
            domain = self._range(*measure.interval)
            total = self.reduce("sum", [(variable, domain)], [], inner, variable)
            return self.algebra.divide(total, self.algebra.number(str(domain.size)))
        length = self.algebra.add(high, self.algebra.negative(low))
        if self.algebra.exact:
            return self.algebra.divide(self.exact_integral(variable, low, high, inner), length)
        return self.algebra.divide(self.over_interval(variable, low, high, inner), length)

    def over_space(self, inner: Callable[[], Any]) -> Any:
        """The mean over the hidden sample space of the random variables."""
        table = self.scope.space
        domain = table.domains[0]

        def weighted() -> Any:
            outcome = self.scope.find("<space>")
            return self.algebra.multiply(self.algebra.look_up(table, [outcome], None), inner())

        return self.reduce("sum", [(Name("<space>"), domain)], [], weighted, Name("<space>"))

    def divergence(self, left: Node, right: Node, form: Divergence | None) -> Any:
        """A divergence between two distributions (form None: Kullback–Leibler)."""
        algebra = self.algebra
        measure = self.measure(left)
        variables = measure.variables
        at_left, at_right = self.density_at(left, variables), self.density_at(right, variables)
        if form is None:

            def log_ratio() -> Any:
                values = [self.log_of(node) for node in (at_left, at_right)]
                return algebra.add(values[0], algebra.negative(values[1]))

            return self.under([measure], log_ratio)

        def summand() -> Any:
            values = {
                form.left: self.stored(self.value(at_left)),
                form.right: self.stored(self.value(at_right)),
            }
            with self.scope.bound(values):
                return self.value(form.integrand)

        domains = [(variable, self.scope.domain_of(variable) or LINE) for variable in variables]
        if all(domain.kind == "finite" for _, domain in domains):
            return self.reduce("sum", domains, [], summand, left)
        body: Callable[[], Any] = summand
        for variable, domain in domains:
            body = self._line_integral(variable, domain, body)
        return body()
