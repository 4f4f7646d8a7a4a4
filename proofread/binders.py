"""Sums, products, extrema, integrals, expectations and divergences."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import sympy

from proofread.errors import ProofreadError
from proofread.extrema import REALS
from proofread.grids import GridMixin
from proofread.limits import LimitMixin
from proofread.scope import key
from proofread.tree import (
    Big,
    Integral,
    Items,
    Name,
    Node,
    Norm,
    Prime,
    Relation,
    Sub,
    Tag,
    walk,
)
from proofread.values import Domain, Outcome, UndecidableError

LINE = Domain("line", "", 961, bounds=(-24.0, 24.0))
NAMES = Name | Sub | Tag | Prime


class BinderMixin(GridMixin, LimitMixin):
    """Operators that bind variables; part of ``Evaluator``."""

    def big(self, node: Big) -> Any:
        """A sum, product or extremum over its indices."""
        if isinstance(node.body, Norm) and node.body.single and not node.index:
            raise ProofreadError("an operator without an index", "say what it runs over")
        if node.operator == "lim":
            return self.limit(node)
        variables: list[tuple[Node, Domain]] = []
        conditions: list[Node] = []
        for item in node.index:
            self._index_item(item, node, variables, conditions)
        names = [key(variable) for variable, _ in variables]
        if len(set(names)) < len(names):
            raise ProofreadError("an index occurs twice", "rename one")
        return self.reduce(node.operator, variables, conditions, lambda: self.value(node.body), node)

    def _index_item(
        self, item: Node, node: Big, variables: list[tuple[Node, Domain]], conditions: list[Node]
    ) -> None:
        if isinstance(item, NAMES):
            variables.append((item, self._domain(item)))
            return
        if not isinstance(item, Relation):
            raise ProofreadError(
                "cannot read what this operator runs over", r"write \sum_{i=1}^{n} or \sum_{x \in A}"
            )
        first = item.operands[0]
        if item.relations == ("=",) and node.upper is not None:
            variables.append((first, self._range(item.operands[1], node.upper)))
            return
        if item.relations == (r"\in",) and isinstance(first, NAMES):
            container = item.operands[1]
            domain = self.scope.sets.get(key(container))
            if domain is None and isinstance(container, Items) and key(first) not in self.scope.domains:
                numbers = self.integers(container.items)
                if numbers is None:
                    raise ProofreadError("the elements of this set must be integers", "declare the set")
                domain = Domain("index", key(first), len(numbers), tuple(map(float, numbers)))
            if domain is None:
                whole = key(container) == REALS and self.scope.domain_of(first) is None
                domain = LINE if whole else self._domain(first)
                conditions.append(item)
            variables.append((first, domain))
            return
        for operand in item.operands:
            for part in walk(operand):
                fresh = isinstance(part, NAMES) and not self.scope.is_local(key(part))
                if (
                    fresh
                    and key(part) in self.scope.domains
                    and key(part) not in [key(v) for v, _ in variables]
                ):
                    variables.append((part, self.scope.domains[key(part)]))
        conditions.append(item)

    def _domain(self, variable: Node) -> Domain:
        domain: Domain | None = self.scope.domain_of(variable)
        if domain is None:
            raise ProofreadError(
                f"it is not known what {key(variable)} runs over", f'declare it: finite("{key(variable)}", 3)'
            )
        return domain

    def _range(self, low: Node, high: Node) -> Domain:
        """Integers from low to high; infinity is cut off where the terms must have vanished."""
        first = self.integers((low,))
        if key(high) == r"\infty":
            if self.algebra.exact:
                raise UndecidableError("an infinite sum")
            last: tuple[int, ...] | None = (first[0] + 400,) if first else None
        else:
            last = self.integers((high,))
        if first is None or last is None:
            raise ProofreadError(
                "the bounds of this range must be integers", "give them values with constant(…)"
            )
        return Domain(
            "index", "", max(0, last[0] - first[0] + 1), tuple(map(float, range(first[0], last[0] + 1)))
        )

    def reduce(
        self,
        operator: str,
        variables: list[tuple[Node, Domain]],
        conditions: list[Node],
        body: Callable[[], Any],
        node: Node,
    ) -> Any:
        """Combine the values of ``body`` over all variables for which the conditions hold."""
        lines = [entry for entry in variables if entry[1].kind == "line"]
        if lines and operator in ("sup", "max", "inf", "min", "argmax", "argmin") and len(variables) == 1:
            return self.extremum(operator, lines[0][0], lines[0][1], conditions, body)
        if lines:
            raise ProofreadError("a sum over a continuous variable", "write an integral")
        loops = [entry for entry in variables if entry[1].kind == "index" or self.algebra.exact]
        axes = [entry for entry in variables if entry not in loops]
        results: list[tuple[dict[str, Any], Any]] = []
        for combination in product(*(range(domain.size) for _, domain in loops)):
            bindings: dict[str, Any] = {}
            for (variable, domain), place in zip(loops, combination, strict=True):
                bindings[self.bound_key(variable)] = (
                    self.algebra.number(str(int(domain.values[place])))
                    if domain.kind == "index"
                    else Outcome(domain, place)
                )
            with self.scope.bound(bindings):
                if axes:
                    results.append((bindings, self.over_axes(operator, axes, conditions, body)))
                elif all(self._holds(condition) for condition in conditions):
                    results.append((bindings, body()))
        return self._combine(operator, results, node)

    def _holds(self, condition: Node) -> bool:
        truth = self.truth(condition)
        if isinstance(truth, bool) or getattr(truth, "shape", None) == ():
            return bool(truth)
        raise ProofreadError(
            "the condition on an index differs between draws", "sum over a finite set instead"
        )

    def _combine(self, operator: str, results: list[tuple[dict[str, Any], Any]], node: Node) -> Any:
        algebra = self.algebra
        if not results:
            if operator in ("sum", "prod"):
                return algebra.number("0" if operator == "sum" else "1")
            raise ProofreadError("an extremum over nothing", "check the range")
        total = results[0][1]
        if operator in ("argmax", "argmin"):
            if len(results) > 1 or algebra.exact:
                raise UndecidableError("the place of an extremum")
            return total
        for _, value in results[1:]:
            if operator == "sum":
                total = algebra.add(total, value)
            elif operator == "prod":
                total = algebra.multiply(total, value)
            else:
                total = (
                    algebra.maximum(total, value)
                    if operator in ("max", "sup")
                    else algebra.minimum(total, value)
                )
        return total

    def integral(self, node: Integral) -> Any:
        """An integral: over given bounds, a declared line, or (as a sum) a finite set."""
        if node.upper is not None:
            if len(node.variables) != 1 or node.lower is None:
                raise ProofreadError("bounds for more than one variable", "nest the integrals")
            return self._bounded(node)
        variables = [(variable, self._domain(variable)) for variable in node.variables]
        if all(domain.kind == "finite" for _, domain in variables):
            conditions: list[Node] = []
            if node.lower is not None and key(node.lower) not in self.scope.sets:
                conditions = [Relation((v, node.lower), (r"\in",)) for v in node.variables]
            return self.reduce("sum", variables, conditions, lambda: self.value(node.body), node)
        if node.lower is not None and key(node.lower) not in self.scope.sets and key(node.lower) != REALS:
            raise ProofreadError("an integral over a set of reals", "write its bounds")
        body: Callable[[], Any] = lambda: self.value(node.body)  # noqa: E731
        for variable, domain in reversed(variables):
            body = self._line_integral(variable, domain, body)
        return body()

    def _line_integral(self, variable: Node, domain: Domain, body: Callable[[], Any]) -> Callable[[], Any]:
        if domain.kind == "finite":
            return lambda: self.reduce("sum", [(variable, domain)], [], body, variable)
        return lambda: self.over_line(variable, domain, body)

    def _bounded(self, node: Integral) -> Any:
        assert node.lower is not None and node.upper is not None
        low, high = self.value(node.lower), self.value(node.upper)
        variable = node.variables[0]
        if self.algebra.exact:
            return self.exact_integral(variable, low, high, lambda: self.value(node.body))
        return self.over_interval(variable, low, high, lambda: self.value(node.body))


def contains(expression: Any, symbol: Any) -> bool:
    """Whether a SymPy value depends on a symbol."""
    return symbol in getattr(sympy.sympify(expression), "free_symbols", set())
