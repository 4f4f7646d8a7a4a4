"""Truth of conditions: relations, membership in sets."""

from __future__ import annotations

from typing import Any

from proofread.errors import ProofreadError
from proofread.parts import Part
from proofread.scope import key
from proofread.tree import (
    Items,
    Mul,
    Name,
    Node,
    Prime,
    Relation,
    Sub,
)
from proofread.values import (
    Outcome,
    SetValue,
)


class ConditionMixin(Part):
    """Evaluation of conditions; part of ``Evaluator``."""

    def truth(self, node: Node) -> Any:
        """Truth of a condition: a boolean array, or a plain boolean."""
        if not isinstance(node, Relation):
            raise ProofreadError("a condition is expected here", "write a relation")
        result: Any = None
        for left, relation, right in zip(node.operands, node.relations, node.operands[1:], strict=False):
            part = self._relation(left, relation, right)
            result = part if result is None else self.algebra.both(result, part)
        return result

    def _relation(self, left: Node, relation: str, right: Node) -> Any:
        if relation in (r"\in", r"\notin"):
            inside = self.member(left, right)
            return inside if relation == r"\in" else self.algebra.negate(inside)
        if (
            relation in ("=", r"\ne")
            and isinstance(left, Name | Sub | Prime)
            and isinstance(right, Name | Sub | Prime)
        ):
            a, b = self.argument(left), self.argument(right)
            if isinstance(a, Outcome) and isinstance(b, Outcome) and a.domain.name == b.domain.name:
                one, two = self.algebra.outcome_index(a), self.algebra.outcome_index(b)
                return one == two if relation == "=" else one != two
        return self.algebra.compare(relation, self.value(left), self.value(right))

    def member(self, element: Node, container: Node) -> Any:
        """Whether an element lies in a set."""
        if isinstance(container, Mul) and container.kind in (r"\setminus", r"\cup", r"\cap"):
            inside = self.member(element, container.factors[0])
            for factor in container.factors[1:]:
                other = self.member(element, factor)
                if container.kind == r"\setminus":
                    inside = self.algebra.both(inside, self.algebra.negate(other))
                elif container.kind == r"\cap":
                    inside = self.algebra.both(inside, other)
                else:
                    negated = self.algebra.both(self.algebra.negate(inside), self.algebra.negate(other))
                    inside = self.algebra.negate(negated)
            return inside
        text = key(container)
        if text in self.scope.sets:
            return True
        found = self.scope.find(text)
        if isinstance(found, SetValue):
            with self.scope.bound({key(found.variable): self.argument(element)}):
                return self.truth(found.condition)
        if isinstance(container, Items) and len(container.items) == 2 and container.brackets[0] in "[(":
            low = r"\le" if container.brackets[0] == "[" else "<"
            high = r"\le" if container.brackets[-1] == "]" else "<"
            value = self.value(element)
            above = self.algebra.compare(low, self.value(container.items[0]), value)
            return self.algebra.both(above, self.algebra.compare(high, value, self.value(container.items[1])))
        if isinstance(container, Items):
            found_in: Any = None
            for item in container.items:
                same = self._relation(element, "=", item)
                if found_in is None:
                    found_in = same
                else:
                    both = self.algebra.both(self.algebra.negate(found_in), self.algebra.negate(same))
                    found_in = self.algebra.negate(both)
            return found_in
        raise ProofreadError(f"the set {text} has no meaning", "declare it with subset(…) or finite(…)")
