"""Functions on finite sets: entries of tables, and softmax families."""

from __future__ import annotations

from itertools import product
from typing import Any

import sympy

from proofread.errors import ProofreadError
from proofread.parts import Part
from proofread.scope import key
from proofread.tree import (
    Name,
    Node,
)
from proofread.values import (
    Outcome,
    Overload,
    Table,
)


class TableMixin(Part):
    """Look-up in tables; part of ``Evaluator``."""

    def table_entry(
        self, table: Table, overload: Overload, arguments: tuple[Node, ...], indices: dict[str, Any]
    ) -> Any:
        """An entry of a table at the outcomes the arguments stand for."""
        outcomes = []
        for domain, argument in zip(table.domains, arguments, strict=True):
            outcomes.append(self.outcome(argument, domain))
        step = None
        if table.steps is not None:
            if not indices:
                raise ProofreadError("the step of this transition is unknown", "index its variables")
            step = int(next(iter(indices.values()))) - table.steps
            if not 0 <= step < len(table.data if self.algebra.exact else table.data[0]):
                raise ProofreadError(f"there is no step {step + table.steps}", "check the range of the index")
        if table.parameter:
            return self.parametrised(table, outcomes)
        return self.algebra.look_up(table, outcomes, step)

    def outcome(self, node: Node, domain: Any) -> Outcome:
        """The outcome of a domain that an argument stands for."""
        found = self.argument(node)
        if isinstance(found, Outcome):
            if found.domain.name != domain.name and found.domain.size != domain.size:
                raise ProofreadError(f"{key(node)} is not an outcome of {domain.name}", "check the argument")
            return found
        whole = self.algebra.concrete(found)
        if whole is not None and whole in domain.values:
            return Outcome(domain, domain.values.index(whole))
        raise ProofreadError(
            f"{key(node)} is not an outcome of the finite set of {domain.name}",
            "give the set values, or a variable",
        )

    def outcome_value(self, outcome: Outcome) -> Any:
        """The number an outcome stands for: its own, or a free one."""
        domain, algebra = outcome.domain, self.algebra
        if domain.values:
            if algebra.exact:
                return sympy.nsimplify(domain.values[int(outcome.index)])
            if isinstance(outcome.index, int):
                return domain.values[outcome.index]
            return algebra.xp.asarray(domain.values)[algebra.outcome_index(outcome)]
        table = self.scope.symbols.get(f"<values {domain.name}>")
        return algebra.look_up(table, [outcome], None)

    def parametrised(self, table: Table, outcomes: list[Outcome]) -> Any:
        """Softmax probabilities whose logits are linear in a parameter vector."""
        algebra = self.algebra
        found = self.scope.find(table.parameter)
        theta = self.plain(found, Name(table.parameter))
        count = table.normalised
        total: Any = 0
        sizes = [domain.size for domain in table.domains[:count]]
        for combination in product(*(range(size) for size in sizes)):
            logit = self._logit(table, [*combination, *outcomes[count:]], theta)
            total = algebra.add(total, algebra.function(r"\exp", logit))
        chosen = self._logit(table, outcomes, theta)
        return algebra.divide(algebra.function(r"\exp", chosen), total)

    def _logit(self, table: Table, positions: list[Any], theta: Any) -> Any:
        algebra = self.algebra
        outcomes = [
            position if isinstance(position, Outcome) else Outcome(domain, position)
            for position, domain in zip(positions, table.domains, strict=True)
        ]
        total: Any = 0
        size = algebra.shape(theta)[0] if algebra.rank(theta) else 1
        for feature in range(size):
            weights = Table(table.data[..., feature], table.domains)
            weight = algebra.look_up(weights, outcomes, None)
            part = algebra.entry(theta, feature, 0) if algebra.rank(theta) else theta
            total = algebra.add(total, algebra.multiply(weight, part))
        return total
