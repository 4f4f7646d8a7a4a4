"""Distributions: from what an author writes below an expectation to variables, densities and nodes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from proofread.errors import ProofreadError
from proofread.parts import Part
from proofread.scope import key
from proofread.tree import Add, Call, Frac, Mul, Name, Node, Prime, Relation, Sub, Tag, map_children, walk
from proofread.values import FunctionValue, Outcome, Overload

NORMAL = r"\mathcal{N}"
UNIFORM = r"\mathcal{U}"
SLOT = Name(r"\mathrm{slot}")


@dataclass(frozen=True)
class Measure:
    """A distribution of some variables.

    Args:
        variables: names that it binds.
        density: the formula of its weight at those variables, or None.
        moments: for a normal distribution: a function that returns (mean, variance).
        interval: for a uniform distribution: the nodes of its ends.
    """

    variables: tuple[Node, ...]
    density: Node | None = None
    moments: Callable[[], tuple[Any, Any]] | None = None
    interval: tuple[Node, Node] | None = None


class MeasureMixin(Part):
    """Reading of distributions; part of ``Evaluator``."""

    def measures(self, nodes: tuple[Node, ...]) -> list[Measure]:
        """All distributions written below an expectation."""
        found: list[Measure] = []
        waiting: list[Node] = []
        for node in nodes:
            if isinstance(node, Mul):
                found.extend(self.measure(factor) for factor in node.factors)
            elif isinstance(node, Relation) and node.relations == (r"\sim",):
                variables = (*waiting, node.operands[0])
                waiting = []
                found.extend(self.sampled(variable, node.operands[1]) for variable in variables)
            elif self._plain_variable(node):
                text = key(node)
                if text in self.scope.laws:
                    found.append(self.sampled(node, self.scope.laws[text]))
                else:
                    waiting.append(node)
            else:
                found.append(self.measure(node))
        if waiting:
            raise ProofreadError(
                f"the distribution of {key(waiting[0])} is not given",
                r"write x \sim p, or declare law(r'x \sim p')",
            )
        return found

    def _plain_variable(self, node: Node) -> bool:
        return isinstance(node, Name | Sub | Tag | Prime) and self.scope.callable_named(node) is None

    def sampled(self, variable: Node, distribution: Node) -> Measure:
        """``x ~ p``."""
        if isinstance(distribution, Call) and key(distribution.function) == NORMAL:
            mean, variance = distribution.arguments[-2:]
            return Measure((variable,), moments=lambda: (self.value(mean), self.value(variance)))
        if isinstance(distribution, Call) and key(distribution.function) == UNIFORM:
            low, high = distribution.arguments[-2:]
            return Measure((variable,), interval=(low, high))
        if isinstance(distribution, Call):
            slots = [a for a in distribution.arguments if a == Name(r"\cdot") or key(a) == key(variable)]
            if not slots:
                raise ProofreadError(
                    f"{key(variable)} does not occur in its distribution", r"write p(\cdot \mid z)"
                )
            return self.measure(replace_slot(distribution, variable), (variable,))
        return self.measure(Call(distribution, (variable,), span=distribution.span), (variable,))

    def measure(self, node: Node, variables: tuple[Node, ...] = ()) -> Measure:
        """The distribution that a density such as ``q(z | x)`` or a name such as ``p`` stands for."""
        if isinstance(node, Call) and key(node.function) == NORMAL and len(node.arguments) == 2:
            return self.sampled(SLOT, node)
        if isinstance(node, Call) and key(node.function) == NORMAL:
            variable, mean, variance = node.arguments
            return Measure((variable,), moments=lambda: (self.value(mean), self.value(variance)))
        if isinstance(node, Add | Mul):
            inner = self._function_in(node)
            overload = self.only_overload(inner)
            chosen = variables or self._before_bar(overload.parameters, overload.separators)
            return Measure(chosen, density=self.pointwise(node, chosen))
        if not isinstance(node, Call):
            overload = self.only_overload(node)
            before = self._before_bar(overload.parameters, overload.separators)
            return self.measure(
                Call(node, overload.parameters, overload.separators, span=node.span), variables or before
            )
        arguments = self.expanded(node.arguments)
        if len(arguments) == len(node.arguments):
            before = self._before_bar(node.arguments, node.separators)
        else:
            bar = node.separators.index(r"\mid") if r"\mid" in node.separators else len(node.arguments) - 1
            before = self.expanded(node.arguments[: bar + 1])
        chosen = variables or before
        moments = self._moments(node, chosen)
        return Measure(chosen, density=None if moments else node, moments=moments)

    def _before_bar(self, arguments: tuple[Node, ...], separators: tuple[str, ...]) -> tuple[Node, ...]:
        signs = [position for position, sign in enumerate(separators) if sign in (r"\mid", ";")]
        return arguments[: signs[0] + 1] if signs else arguments

    def only_overload(self, node: Node) -> Overload:
        """The meaning of a distribution given by name only."""
        overloads = self.scope.callable_named(node)
        if not overloads:
            raise ProofreadError(
                f"the distribution {key(node)} has no meaning", "declare it: distribution(…)"
            )
        plain = [overload for overload in overloads if r"\mid" not in overload.separators]
        if len(plain) != 1 and len(overloads) != 1:
            raise ProofreadError(f"{key(node)} has several meanings", "write its arguments")
        return (plain or overloads)[0]

    def _moments(self, node: Call, variables: tuple[Node, ...]) -> Callable[[], tuple[Any, Any]] | None:
        """Mean and variance if the density is defined as a normal one in its first variable."""
        overloads = self.scope.callable_named(node.function)
        if not overloads or len(variables) != 1:
            return None
        arguments = self.expanded(node.arguments)
        fits = [(self._fit(o, arguments, node.separators), o) for o in overloads]
        known = [(fit, overload) for fit, overload in fits if fit is not None]
        if not known:
            return None
        (_, indices), overload = max(known, key=lambda entry: entry[0][0] if entry[0] else 0)
        body = overload.body
        if not (isinstance(body, Call) and key(body.function) == NORMAL and len(body.arguments) == 3):
            return None
        places = [i for i, argument in enumerate(arguments) if key(argument) == key(variables[0])]
        if len(places) != 1 or key(overload.parameters[places[0]]) != key(body.arguments[0]):
            return None

        def evaluate() -> tuple[Any, Any]:
            bindings: dict[str, Any] = dict(indices)
            with self.scope.bound(dict(indices)):
                names = [self.bound_key(parameter) for parameter in overload.parameters]
            for place, (name, argument) in enumerate(zip(names, arguments, strict=True)):
                if place != places[0]:
                    value = self.argument(argument)
                    plain = isinstance(value, Outcome | FunctionValue)
                    bindings[name] = value if plain else self.stored(value)
            with self.scope.bound(bindings):
                return self.value(body.arguments[1]), self.value(body.arguments[2])

        return evaluate

    def _function_in(self, node: Node) -> Node:
        """A distribution named in an arithmetic combination such as ``q + \\varepsilon h``."""
        for part in walk(node):
            if isinstance(part, Name | Sub | Tag) and self.scope.callable_named(part) is not None:
                return part
        raise ProofreadError("a combination without a distribution in it", "name one of its distributions")

    def pointwise(self, node: Node, variables: tuple[Node, ...]) -> Node:
        """An arithmetic combination of distributions at given variables."""
        if isinstance(node, Name | Sub | Tag) and self.scope.callable_named(node) is not None:
            return Call(node, variables, (",",) * (len(variables) - 1), span=node.span)
        if isinstance(node, Add | Mul | Frac):
            return map_children(node, lambda child: self.pointwise(child, variables))
        return node

    def density_at(self, node: Node, variables: tuple[Node, ...]) -> Node:
        """The formula of a distribution's density at given variables."""
        if isinstance(node, Call) and key(node.function) == NORMAL and len(node.arguments) == 2:
            return Call(node.function, (variables[0], *node.arguments), (";", ","), span=node.span)
        if isinstance(node, Call):
            return replace_slot(node, variables[0])
        if isinstance(node, Add | Mul):
            return self.pointwise(node, variables)
        return Call(node, variables, (",",) * (len(variables) - 1), span=node.span)


def replace_slot(node: Call, variable: Node) -> Call:
    """A call with its free slot ``·`` filled."""
    filled = tuple(variable if a == Name(r"\cdot") else a for a in node.arguments)
    return Call(node.function, filled, node.separators, span=node.span)
