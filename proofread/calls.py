"""Functions: which meaning a call has, its arguments, the built-in functions, and truth of conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from proofread.builtin import BUILTIN, gaussian_density, gaussian_log_density
from proofread.conditions import ConditionMixin
from proofread.errors import ProofreadError
from proofread.scope import key, root
from proofread.tables import TableMixin
from proofread.tree import (
    Call,
    Frac,
    Labelled,
    Mul,
    Name,
    Node,
    Number,
    Pow,
    Prime,
    Range,
    Sub,
    Tag,
)
from proofread.values import (
    Divergence,
    FunctionValue,
    Outcome,
    Overload,
    RandomVariable,
    Smooth,
    Stored,
    Table,
)

NORMAL = r"\mathcal{N}"


class CallMixin(ConditionMixin, TableMixin):
    """Evaluation of calls and conditions; part of ``Evaluator``."""

    def is_function(self, node: Node) -> bool:
        """Whether a name stands for a function."""
        if self.scope.callable_named(node) is not None:
            return True
        text = key(node)
        if text in self.scope.symbols or text in self.scope.definitions or self.scope.is_local(text):
            return False
        if text in BUILTIN or text == NORMAL or text in (r"D_{\mathrm{KL}}", r"\mathrm{KL}"):
            return True
        return isinstance(node, Prime) and self.is_function(node.base)

    def as_product(self, node: Node, decorate: Callable[[Node], Node]) -> Node | None:
        """``a(b)^2`` as ``a · b^2`` if ``a`` is not a function; otherwise None."""
        if not isinstance(node, Call) or len(node.arguments) != 1 or key(node) in self.scope.symbols:
            return None
        head = node.function.base if isinstance(node.function, Pow) else node.function
        if self.is_function(head) or self.is_function(node.function):
            return None
        return Mul((node.function, decorate(node.arguments[0])), span=node.span)

    def call(self, node: Call) -> Any:
        """The value of a call (or of a product that looks like one)."""
        text = key(node)
        if text in self.scope.symbols or text in self.scope.definitions:
            return self.plain(self.meaning_of_text(text), node)
        function = node.function
        overloads = self.scope.callable_named(function)
        if overloads is not None:
            return self.apply(function, overloads, node)
        if isinstance(function, Pow) and self.is_function(function.base):
            inner = Call(function.base, node.arguments, node.separators, span=node.span)
            return self.algebra.power(self.value(inner), self.value(function.exponent))
        name = key(function)
        if self.is_function(function):
            if name in (r"D_{\mathrm{KL}}", r"\mathrm{KL}"):
                if len(node.arguments) != 2:
                    raise ProofreadError("a divergence needs two arguments", r"write \KL{p}{q}")
                return self.divergence(node.arguments[0], node.arguments[1], None)
            if name == NORMAL:
                return self.normal_density(node)
            if isinstance(function, Prime):
                return self.slope(function.base, function.count, node.arguments[0])
            if name == r"\log" and len(node.arguments) == 1:
                return self.log_of(node.arguments[0])
            return BUILTIN[name](self, [self.value(argument) for argument in node.arguments])
        if isinstance(function, Sub) and key(function.base) == r"\log":
            base = self.value(function.index[0])
            top = self.algebra.function(r"\log", self.value(node.arguments[0]))
            return self.algebra.divide(top, self.algebra.function(r"\log", base))
        if len(node.arguments) == 1:
            left = self.value(function)
            return self.algebra.multiply(left, self.value(node.arguments[0]))
        raise ProofreadError(
            f"the function {name} has no meaning", "declare it: function(…), distribution(…), define(…)"
        )

    def normal_density(self, node: Call) -> Any:
        """``N(x; m, v)``: the density at x."""
        if len(node.arguments) != 3:
            raise ProofreadError(
                "a normal density needs a point, a mean and a variance", r"write \Normal(x; m, v)"
            )
        point, mean, variance = (self.value(argument) for argument in node.arguments)
        return gaussian_density(self.algebra, point, mean, variance)

    def log_of(self, node: Node) -> Any:
        """The logarithm of a formula; with normal densities term by term, so that none underflows."""
        algebra = self.algebra
        if algebra.exact or NORMAL not in self.reachable((node,)):
            return algebra.function(r"\log", self.value(node))
        match node:
            case Labelled(body, _):
                return self.log_of(body)
            case Mul(factors, ""):
                total: Any = 0
                for factor in factors:
                    total = algebra.add(total, self.log_of(factor))
                return total
            case Frac(numerator, denominator):
                return algebra.add(self.log_of(numerator), algebra.negative(self.log_of(denominator)))
            case Call() if key(node.function) == NORMAL and len(node.arguments) == 3:
                return gaussian_log_density(algebra, *(self.value(argument) for argument in node.arguments))
            case Call():
                overloads = self.scope.callable_named(node.function)
                if overloads is not None and key(node) not in self.scope.definitions:
                    return self.apply(node.function, overloads, node, logarithm=True)
        return algebra.function(r"\log", self.value(node))

    def expanded(self, arguments: tuple[Node, ...]) -> tuple[Node, ...]:
        """Arguments with ranges ``x_{1:T}`` written out."""
        result: list[Node] = []
        for argument in arguments:
            spread = self.spread(argument)
            result.extend(spread if spread is not None else [argument])
        return tuple(result)

    def spread(self, node: Node) -> list[Node] | None:
        """``x_{a:b}`` as ``x_a, …, x_b``; None if the node has no range."""
        if not (isinstance(node, Sub) and len(node.index) == 1 and isinstance(node.index[0], Range)):
            return None
        span = node.index[0]
        low = (1,) if span.low is None else self.integers((span.low,))
        high = self.integers((span.high,))
        if low is None or high is None:
            raise ProofreadError("the ends of a range must be integers", "give them values with constant(…)")
        last = high[0] - (1 if span.low is None else 0)
        return [Sub(node.base, (Number(str(i)),), span=node.span) for i in range(low[0], last + 1)]

    def apply(self, function: Node, overloads: list[Overload], node: Call, logarithm: bool = False) -> Any:
        """Choose the meaning that fits the arguments, and evaluate it."""
        arguments = self.expanded(node.arguments)
        separators = node.separators if len(arguments) == len(node.arguments) else ()
        fitting: list[tuple[int, Overload, dict[str, Any]]] = []
        for overload in overloads:
            fit = self._fit(overload, arguments, separators, len(overloads) == 1)
            if fit is not None:
                fitting.append((fit[0], overload, fit[1]))
        if not fitting:
            heads = "; ".join(
                f"{key(function)}({', '.join(key(parameter) for parameter in overload.parameters)})"
                for overload in overloads
            )
            raise ProofreadError(
                f"no meaning of {key(function)} fits these arguments", f"declared are {heads}"
            )
        best = max(score for score, _, _ in fitting)
        _, overload, indices = next(entry for entry in fitting if entry[0] == best)
        if overload.index and isinstance(function, Sub):
            numbers = self.integers(function.index)
            if numbers is None:
                raise ProofreadError(
                    f"the index of {key(function)} must be an integer", "bind it by a sum or constant"
                )
            indices = {
                **indices,
                **dict(zip(overload.index, map(self.algebra.number, map(str, numbers)), strict=True)),
            }
        if logarithm and not isinstance(overload.body, Node):
            return self.algebra.function(r"\log", self.evaluate_overload(overload, arguments, indices))
        return self.evaluate_overload(overload, arguments, indices, self.log_of if logarithm else self.value)

    def _fit(
        self,
        overload: Overload,
        arguments: tuple[Node, ...],
        separators: tuple[str, ...],
        alone: bool = False,
    ) -> tuple[int, dict[str, Any]] | None:
        """How well arguments fit a head, and the index parameters it binds; None if not at all.

        A head that is alone need not be compared with others: it fits or it does not.
        """
        parameters = self.expanded(overload.parameters)
        if len(parameters) != len(arguments):
            return None
        if len(parameters) != len(overload.parameters):
            overload = replace(overload, parameters=parameters, separators=())
        bars = [s == r"\mid" for s in overload.separators], [s == r"\mid" for s in separators]
        if separators and overload.separators and bars[0] != bars[1]:
            return None
        indices = self._indices(overload, arguments)
        if indices is None:
            return None
        if alone:
            return 0, indices
        score = 0
        for parameter, argument in zip(overload.parameters, arguments, strict=True):
            if root(parameter) == root(argument):
                score += 3 if key(parameter) == key(argument) else 2
            elif self.scope.domain_of(parameter) is not None and self.scope.domain_of(argument) is not None:
                score += 1 if self.scope.domain_of(parameter) == self.scope.domain_of(argument) else -4
        return score, indices

    def _indices(self, overload: Overload, arguments: tuple[Node, ...]) -> dict[str, Any] | None:
        """Unify ``x_t`` with ``x_3`` (binds t) and check ``x_{t-1}`` against ``x_2``; None if they differ."""
        indices: dict[str, Any] = {}
        pairs: list[tuple[Node, int]] = []
        for parameter, argument in zip(overload.parameters, arguments, strict=True):
            alike = (
                isinstance(parameter, Sub) and isinstance(argument, Sub) and root(parameter) == root(argument)
            )
            if not alike or not isinstance(parameter, Sub) or not isinstance(argument, Sub):
                continue
            wanted = self.integers(argument.index)
            if wanted is None or len(parameter.index) != len(wanted):
                continue
            for pattern, number in zip(parameter.index, wanted, strict=True):
                if (
                    isinstance(pattern, Name)
                    and pattern.text in overload.free
                    and pattern.text not in indices
                ):
                    indices[pattern.text] = self.algebra.number(str(number))
                else:
                    pairs.append((pattern, number))
        with self.scope.bound(dict(indices)):
            for pattern, number in pairs:
                have = self.integers((pattern,))
                if have is not None and have[0] != number:
                    return None
        return indices

    def argument(self, node: Node) -> Any:
        """An argument as an outcome or a function where it is one, otherwise its value."""
        if isinstance(node, Name | Sub | Tag | Prime):
            found = self.meaning(node)
            if isinstance(found, RandomVariable):
                return self.random_value(found)
            if isinstance(found, Outcome | FunctionValue):
                return found
            return self.plain(found, node)
        return self.value(node)

    def evaluate_overload(
        self,
        overload: Overload,
        arguments: tuple[Node, ...],
        indices: dict[str, Any],
        how: Callable[[Node], Any] | None = None,
    ) -> Any:
        """One meaning of a function at its arguments; ``how`` evaluates the body of a definition."""
        parameters = self.expanded(overload.parameters)
        body = overload.body
        if isinstance(body, Divergence):
            return self.divergence(arguments[0], arguments[1], body)
        if isinstance(body, Table):
            return self.table_entry(body, overload, arguments, indices)
        if isinstance(body, Smooth):
            return body.evaluate(self, [self.value(argument) for argument in arguments])
        values = [self.argument(argument) for argument in arguments]
        bindings: dict[str, Any] = dict(indices)
        with self.scope.bound(dict(indices)):
            names = [self.bound_key(parameter) for parameter in parameters]
        for name, value in zip(names, values, strict=True):
            bindings[name] = value if isinstance(value, Outcome | FunctionValue) else self.stored(value)
        with self.scope.bound(bindings):
            return (how or self.value)(body)

    def stored(self, value: Any) -> Stored:
        """A value with its present number of batch axes."""
        return Stored(value, self.algebra.depth)

    def called_bare(self, function: FunctionValue, node: Node) -> Any:
        """A function without arguments: its value at the variables of its head, if those are bound."""
        for overload in function.overloads:
            bound = [self.scope.find(key(parameter)) is not None for parameter in overload.parameters]
            if overload.parameters and all(bound):
                return self.evaluate_overload(overload, overload.parameters, {})
        raise ProofreadError(f"the function {function.name} without arguments", "give its arguments")
