"""Declarations of symbols: what each puts into a scope, as draws and as SymPy symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
import sympy

from proofread.errors import ProofreadError
from proofread.interpret import Builder, Declaration, relation_of
from proofread.quantities import symbol_name
from proofread.scope import key, root
from proofread.tree import Relation, Sub
from proofread.values import Divergence, Domain, SetValue, Table

MAX_ENTRIES = 243


@dataclass
class Finite(Declaration):
    """A finite set and the variable that runs over it."""

    name: str
    size: int
    values: tuple[float, ...] = ()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {} if self.values else {"values": (self.size,)}

    def install(self, builder: Builder) -> None:
        node = builder.parse(self.name)
        set_name = ""
        if isinstance(node, Relation) and node.relations == (r"\in",):
            set_name = key(node.operands[1])
            node = node.operands[0]
        text = key(node)
        size = self.size if self.values or not builder.exact else min(self.size, 2)
        domain = Domain("finite", text, size, self.values, set_name=set_name)
        builder.scope.domains[text] = domain
        if isinstance(node, Sub) and builder.index_names([node]):
            builder.scope.domains[root(node)] = domain
        if set_name:
            builder.scope.sets[set_name] = domain
        if self.values:
            return
        if builder.raw is None:
            data = numpy.array(
                [sympy.Symbol(f"{symbol_name(text)}{i}", real=True) for i in range(size)], dtype=object
            )
        else:
            data = 1.3 * builder.raw["values"]
        builder.scope.symbols[f"<values {text}>"] = Table(data, (domain,))


@dataclass
class Line(Declaration):
    """A real variable that is integrated or maximised over."""

    name: str
    low: float
    high: float
    nodes: int

    def install(self, builder: Builder) -> None:
        text = key(builder.parse(self.name))
        builder.scope.domains[text] = Domain("line", text, self.nodes, bounds=(self.low, self.high))


@dataclass
class Index(Declaration):
    """An integer variable with its range."""

    name: str
    low: int
    high: int

    def install(self, builder: Builder) -> None:
        text = key(builder.parse(self.name))
        numbers = tuple(map(float, range(self.low, self.high + 1)))
        builder.scope.domains[text] = Domain("index", text, len(numbers), numbers)


@dataclass
class Distribution(Declaration):
    """Free positive probabilities on finite sets, normalised over the arguments before the bar."""

    head: str
    sizes: tuple[int, ...] = ()
    steps: tuple[int, int] | None = None
    parameter: str = ""
    normalised: bool = True
    kind: str = "positive"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"entries": (MAX_ENTRIES,)}

    def install(self, builder: Builder) -> None:
        head = builder.head(self.head)
        domains = tuple(builder.domain(argument) for argument in head.arguments)
        bar = head.separators.index(r"\mid") + 1 if r"\mid" in head.separators else len(domains)
        sizes = tuple(domain.size for domain in domains)
        shape = sizes if self.steps is None else (self.steps[1] - self.steps[0] + 1, *sizes)
        start = None if self.steps is None else self.steps[0]
        if any(domain.kind != "finite" for domain in domains):
            raise ProofreadError(
                f"{self.head} over a continuous variable", "define it, e.g. by \\Normal(x; m, v)"
            )
        if self.parameter:
            self._parametrised(builder, head, domains, sizes, bar)
            return
        offset = 0 if self.steps is None else 1
        axes = tuple(range(offset, offset + bar))
        if builder.raw is None:
            name = symbol_name(key(head))
            positive = True if self.kind == "positive" else None
            data = numpy.empty(shape, dtype=object)
            for place in numpy.ndindex(*shape):
                data[place] = sympy.Symbol(f"{name}_{''.join(map(str, place))}", real=True, positive=positive)
            if self.normalised:
                data = data / data.sum(axis=axes, keepdims=True)
        else:
            raw = _late(builder, shape)
            data = builder.xp.exp(1.2 * raw) if self.kind == "positive" else 1.3 * raw
            if self.normalised:
                data = data / data.sum(axis=tuple(axis + 1 for axis in axes), keepdims=True)
        builder.overload(head, Table(data, domains, start))

    def _parametrised(
        self, builder: Builder, head: Any, domains: tuple[Domain, ...], sizes: tuple[int, ...], bar: int
    ) -> None:
        text = key(builder.parse(self.parameter))
        found = builder.scope.symbols.get(text)
        if found is None:
            raise ProofreadError(
                f"the parameter {self.parameter} is not declared", "declare vector(…) before it"
            )
        value = found.value
        features = 1
        if builder.raw is None:
            features = value.rows if isinstance(value, sympy.MatrixBase) else 1
            numbers = numpy.random.default_rng(7).integers(-2, 3, (*sizes, features))
            data: Any = numpy.vectorize(sympy.Integer, otypes=[object])(numbers)
        else:
            features = value.shape[1] if value.ndim == 3 else 1
            data = _late(builder, (*sizes, features))
        builder.overload(head, Table(data, domains, None, text, bar))


def _late(builder: Builder, shape: tuple[int, ...]) -> Any:
    """Raw draws for a table whose shape is known only now."""
    assert builder.raw is not None
    size = int(numpy.prod(shape))
    if size > MAX_ENTRIES:
        raise ProofreadError(
            f"a table with {size} entries", f"use smaller sets (at most {MAX_ENTRIES} entries)"
        )
    entries = builder.raw["entries"]
    return entries[:, :size].reshape(entries.shape[0], *shape)


@dataclass
class Define(Declaration):
    """A symbol or function defined by a formula."""

    latex: str

    def install(self, builder: Builder) -> None:
        left, right = relation_of(builder.parse(self.latex), "=", self.latex)
        builder.define(left, right)


@dataclass
class Law(Declaration):
    """The distribution of a random quantity, for expectations that do not name it."""

    latex: str

    def install(self, builder: Builder) -> None:
        left, right = relation_of(builder.parse(self.latex), r"\sim", self.latex)
        builder.scope.laws[key(left)] = right
        builder.scope.law_nodes[key(left)] = left


@dataclass
class Subset(Declaration):
    """A subset given by a condition on its variable."""

    name: str
    variable: str
    condition: str

    def install(self, builder: Builder) -> None:
        value = SetValue(builder.parse(self.variable), builder.parse(self.condition))
        builder.scope.symbols[key(builder.parse(self.name))] = value


@dataclass
class DivergenceForm(Declaration):
    """A divergence by its summand, in terms of the two probabilities at one point."""

    head: str
    summand: str

    def install(self, builder: Builder) -> None:
        head = builder.head(self.head)
        if len(head.arguments) != 2:
            raise ProofreadError(f"{self.head} is not a divergence of two distributions", r"write \KL{p}{q}")
        left, right = (key(argument) for argument in head.arguments)
        builder.overload(head, Divergence(builder.parse(self.summand), left, right))


@dataclass
class Assume(Declaration):
    """A relation that every draw must satisfy."""

    latex: str

    def install(self, builder: Builder) -> None:
        raise ProofreadError("a constraint outside of a model", "put it into model(…)")
