"""Evaluates a tree under an interpretation, with any of the two algebras."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy
import sympy

from proofread.calls import CallMixin
from proofread.derive import DeriveMixin
from proofread.errors import ProofreadError, Source
from proofread.expectations import ExpectationMixin
from proofread.names import NameMixin
from proofread.scope import Scope, key
from proofread.tree import (
    Add,
    At,
    Big,
    Binomial,
    Call,
    Cases,
    Derivative,
    Expectation,
    Frac,
    Indicator,
    Inner,
    Integral,
    Items,
    Labelled,
    Logical,
    Matrix,
    Mul,
    Name,
    Node,
    Norm,
    Number,
    Pow,
    Prime,
    Relation,
    Root,
    Sub,
    Tag,
    Transpose,
)
from proofread.values import FunctionValue, Outcome, RandomVariable, SetValue, Stored, UndecidableError


class Evaluator(CallMixin, ExpectationMixin, DeriveMixin, NameMixin):
    """Evaluates formulas.

    Args:
        algebra: a Numeric or Symbolic algebra.
        scope: the meanings of the names, made for that algebra.
        source: where the formula stands, for messages.
    """

    def __init__(self, algebra: Any, scope: Scope, source: Source) -> None:
        self.algebra, self.scope, self.source = algebra, scope, source
        self.level = 0
        self.watched: Node | None = None
        self.parts: list[Any] = []
        self.known: dict[str, tuple[Stored, float]] = {}
        self.shared: dict[int, tuple[Node, Any, float]] | None = None
        self.needs: dict[str, set[str]] = {}

    def value(self, node: Node) -> Any:
        """The value of a formula as a number, array or SymPy expression."""
        self.level += 1
        try:
            if self.level > 150:
                raise ProofreadError("definitions refer to each other without end", "give the base case")
            result = self._value(node) if self.shared is None else self._once(node, self.shared)
        except ProofreadError as error:
            raise error.at(self.source, node.span) from None
        finally:
            self.level -= 1
        if self.algebra.exact or self.algebra.trouble is not None:
            return result
        watched = isinstance(node, (Call, Frac, Pow, Root)) and isinstance(result, numpy.ndarray)
        if watched and not numpy.isfinite(result).all():
            self.algebra.trouble = node
        return result

    def _once(self, node: Node, shared: dict[int, tuple[Node, Any, float]]) -> Any:
        """The value of a node; remembered with its noise as long as no variable is bound around it."""
        algebra = self.algebra
        if self.scope.frames or algebra.depth != 1 or algebra.xp is not numpy:
            return self._value(node)
        if id(node) not in shared:
            before, algebra.noise = algebra.noise, 0.0
            try:
                shared[id(node)] = node, self._value(node), algebra.noise
            finally:
                algebra.noise = max(before, algebra.noise)
        _, value, noise = shared[id(node)]
        algebra.noise = max(algebra.noise, noise)
        return value

    def value_with_parts(self, node: Node) -> tuple[Any, list[Any]]:
        """The value of a formula, and the terms of the sum it is (or the value alone)."""
        inner = node
        while isinstance(inner, Labelled):
            inner = inner.body
        self.watched, self.parts = inner, []
        result = self.value(node)
        self.watched = None
        return result, self.parts or [result]

    def _value(self, node: Node) -> Any:
        rule = _RULES.get(type(node))
        if rule is None:
            raise ProofreadError(f"{type(node).__name__} has no value", "write it as a number")
        return rule(self, node)

    def _named(self, node: Node) -> Any:
        return self.plain(self.meaning(node), node)

    def _sum(self, node: Add) -> Any:
        algebra = self.algebra
        total: Any = 0
        for sign, term in zip(node.signs, node.terms, strict=True):
            part = self.value(term)
            if node is self.watched:
                self.parts.append(part)
            total = algebra.add(total, part if sign == "+" else algebra.negative(part))
        return total

    def _root(self, node: Root) -> Any:
        algebra = self.algebra
        half = algebra.divide(algebra.number("1"), 2 if node.degree is None else self.value(node.degree))
        inside = self.value(node.radicand)
        if algebra.exact or node.degree is not None:
            return algebra.power(inside, half)
        return algebra.xp.sqrt(algebra.full(inside) if isinstance(inside, (int, float)) else inside)

    def _transpose(self, node: Transpose) -> Any:
        split = self.as_product(node.body, lambda inner: Transpose(inner, span=node.span))
        return self.value(split) if split is not None else self.algebra.transpose(self.value(node.body))

    def _at_place(self, node: At) -> Any:
        place = self.stored(self.value(node.place))
        with self.scope.bound({self.bound_key(node.variable): place}):
            return self.value(node.body)

    def _inner(self, node: Inner) -> Any:
        return self.algebra.multiply(self.algebra.transpose(self.value(node.left)), self.value(node.right))

    def _indicator_of(self, node: Indicator) -> Any:
        return self.algebra.where(
            self.truth(node.condition), self.algebra.number("1"), self.algebra.number("0")
        )

    def _matrix(self, node: Matrix) -> Any:
        return self.algebra.matrix([[self.value(entry) for entry in row] for row in node.rows])

    def plain(self, found: Any, node: Node) -> Any:
        """A meaning as a value the algebra can calculate with."""
        if isinstance(found, Stored):
            return self.algebra.lift(found.value, found.depth)
        if isinstance(found, Outcome):
            return self.outcome_value(found)
        if isinstance(found, FunctionValue):
            return self.called_bare(found, node)
        if isinstance(found, RandomVariable):
            value = self.random_value(found)
            return self.outcome_value(value) if isinstance(value, Outcome) else value
        if isinstance(found, SetValue):
            raise ProofreadError(f"the set {key(node)} stands where a number is needed", "check the formula")
        return found

    def _product(self, node: Mul) -> Any:
        factors, kind = node.factors, node.kind
        if kind in (r"\setminus", r"\cup", r"\cap"):
            raise ProofreadError("a set stands where a number is needed", "check the formula")
        result = self.value(factors[0])
        for factor in factors[1:]:
            other = self.value(factor)
            if kind == r"\odot":
                result = self.algebra.hadamard(result, other)
            elif kind == r"\otimes":
                raise ProofreadError(r"\otimes has no meaning here", "write the product out")
            else:
                result = self.algebra.multiply(result, other)
        return result

    def _power(self, node: Pow) -> Any:
        base, exponent = node.base, node.exponent
        split = self.as_product(base, lambda inner: Pow(inner, exponent, span=base.span))
        if split is not None:
            return self.value(split)
        if isinstance(base, Name) and base.text == "e" and self.scope.find("e") is None:
            return self.algebra.function(r"\exp", self.value(exponent))
        text = key(node) if isinstance(base, Name | Sub) else ""
        if (
            text
            and (text in self.scope.symbols or text in self.scope.definitions)
            and key(base) not in self.scope.symbols
        ):
            return self.plain(self.meaning_of_text(text), base)
        return self.algebra.power(self.value(base), self.value(exponent))

    def _norm(self, node: Norm) -> Any:
        body = self.value(node.body)
        algebra = self.algebra
        if node.single:
            return algebra.determinant(body) if algebra.rank(body) else algebra.absolute(body)
        if not algebra.rank(body):
            return algebra.absolute(body)
        order = "2" if node.order is None else key(node.order)
        if order == "1":
            return algebra.total(algebra.absolute(body) if not algebra.exact else body.applyfunc(sympy.Abs))
        if order == r"\infty":
            return algebra.largest(algebra.absolute(body) if not algebra.exact else body.applyfunc(sympy.Abs))
        if order in ("2", "F"):
            half = algebra.divide(algebra.number("1"), 2)
            return algebra.power(algebra.total(algebra.hadamard(body, body)), half)
        weight = self.value(node.order) if node.order is not None else None
        squared = algebra.multiply(algebra.multiply(algebra.transpose(body), weight), body)
        return algebra.power(squared, algebra.divide(algebra.number("1"), 2))

    def _cases(self, node: Cases) -> Any:
        last_value, last_condition = node.rows[-1]
        algebra = self.algebra
        if algebra.exact:
            for value, condition in node.rows:
                if condition is None or self.truth(condition):
                    return self.value(value)
            raise UndecidableError("no case applies")
        result = self.value(last_value)
        if last_condition is not None:
            result = algebra.where(self.truth(last_condition), result, math.nan)
        for value, condition in reversed(node.rows[:-1]):
            if condition is None:
                raise ProofreadError("otherwise must be the last case", "reorder the cases")
            result = algebra.where(self.truth(condition), self.value(value), result)
        return result


def _no_number(evaluator: Evaluator, node: Node) -> Any:
    raise ProofreadError("a set or interval stands where a number is needed", "check the formula")


def _no_relation(evaluator: Evaluator, node: Node) -> Any:
    raise ProofreadError("a relation stands where a number is needed", "check the parentheses")


_RULES: dict[type[Node], Callable[[Evaluator, Any], Any]] = {
    Number: lambda evaluator, node: evaluator.algebra.number(node.text),
    **dict.fromkeys((Name, Sub, Tag, Prime), Evaluator._named),
    Add: Evaluator._sum,
    Mul: Evaluator._product,
    Frac: lambda evaluator, node: evaluator.algebra.divide(
        evaluator.value(node.numerator), evaluator.value(node.denominator)
    ),
    Pow: Evaluator._power,
    Binomial: lambda evaluator, node: evaluator.algebra.binomial(
        evaluator.value(node.top), evaluator.value(node.bottom)
    ),
    Root: Evaluator._root,
    Transpose: Evaluator._transpose,
    Call: Evaluator.call,
    Big: Evaluator.big,
    Integral: Evaluator.integral,
    Expectation: Evaluator.expectation,
    Derivative: Evaluator.derivative,
    Norm: Evaluator._norm,
    At: Evaluator._at_place,
    Inner: Evaluator._inner,
    Indicator: Evaluator._indicator_of,
    Cases: Evaluator._cases,
    Matrix: Evaluator._matrix,
    Labelled: lambda evaluator, node: evaluator.value(node.body),
    Items: _no_number,
    **dict.fromkeys((Relation, Logical), _no_relation),
}
