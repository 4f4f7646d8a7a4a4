"""The expression tree: frozen nodes, each with the span of source it was read from.

Equality of nodes ignores spans, so a tree can be compared with its re-parsed print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

from proofread.errors import Span


@dataclass(frozen=True)
class Node:
    """Base of all nodes; ``span`` is (start, end) in the source."""

    span: Span = field(default=(0, 0), compare=False, repr=False, kw_only=True)


@dataclass(frozen=True)
class Number(Node):
    """A decimal literal, kept as text so that it stays exact."""

    text: str


@dataclass(frozen=True)
class Name(Node):
    r"""An identifier in canonical LaTeX: ``x``, ``\theta``, ``\mathbf{x}``, ``\bar{\alpha}``."""

    text: str


@dataclass(frozen=True)
class Sub(Node):
    r"""A subscripted name: ``p_\theta``, ``x_{t-1}``, ``A_{ij}`` (two indices), ``x_{1:T}``."""

    base: Node
    index: tuple[Node, ...]


@dataclass(frozen=True)
class Tag(Node):
    r"""A superscript that is part of the name: ``f^{*}``, ``x^{(i)}``, ``\theta^{\mathrm{old}}``."""

    base: Node
    label: Node
    bracketed: bool = False


@dataclass(frozen=True)
class Prime(Node):
    """A name with primes: another variable, or a derivative if the name is a function."""

    base: Node
    count: int


@dataclass(frozen=True)
class Range(Node):
    """An index range ``1:T`` (``low`` is None for ``<t``, which means everything before t)."""

    low: Node | None
    high: Node


@dataclass(frozen=True)
class Add(Node):
    """A signed sum; ``signs`` holds ``+`` or ``-`` for each term."""

    signs: tuple[str, ...]
    terms: tuple[Node, ...]


@dataclass(frozen=True)
class Mul(Node):
    r"""A product, in order. ``kind`` is ``""`` (ordinary or matrix), ``\odot``, ``\otimes`` or a set sign."""

    factors: tuple[Node, ...]
    kind: str = ""


@dataclass(frozen=True)
class Frac(Node):
    """A quotient, from a fraction or a slash."""

    numerator: Node
    denominator: Node


@dataclass(frozen=True)
class Pow(Node):
    """A power; the exponent -1 of a matrix is its inverse."""

    base: Node
    exponent: Node


@dataclass(frozen=True)
class Binomial(Node):
    """A binomial coefficient."""

    top: Node
    bottom: Node


@dataclass(frozen=True)
class Root(Node):
    """A square root, or another root when ``degree`` is given."""

    radicand: Node
    degree: Node | None = None


@dataclass(frozen=True)
class Transpose(Node):
    """A transposed vector or matrix."""

    body: Node


@dataclass(frozen=True)
class Call(Node):
    r"""A function with arguments; ``separators`` stand between them: ``,`` ``;`` ``\mid`` ``\|``.

    ``a(b)`` is read as a call too; the interpretation decides whether ``a`` is a function or a factor.
    """

    function: Node
    arguments: tuple[Node, ...]
    separators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Big(Node):
    """Sum, product, extremum (``argmax`` and so on are its place) or limit (``lim``) over indices."""

    operator: str
    index: tuple[Node, ...]
    upper: Node | None
    body: Node


@dataclass(frozen=True)
class Integral(Node):
    """An integral with its bounds (or a set) and the variables of its differentials."""

    lower: Node | None
    upper: Node | None
    body: Node
    variables: tuple[Node, ...]


@dataclass(frozen=True)
class Expectation(Node):
    """``E``, ``Var`` or ``Cov`` of its arguments over distributions (none: the model's own randomness)."""

    operator: str
    over: tuple[Node, ...]
    arguments: tuple[Node, ...]
    given: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Derivative(Node):
    r"""A derivative; ``operator`` is ``\partial``, ``d`` or ``\nabla``; one variable per order."""

    operator: str
    variables: tuple[Node, ...]
    body: Node


@dataclass(frozen=True)
class Norm(Node):
    """A norm with its order (None: Euclidean), or an absolute value when ``single``."""

    body: Node
    order: Node | None = None
    single: bool = False


@dataclass(frozen=True)
class Inner(Node):
    """An inner product in angle brackets."""

    left: Node
    right: Node


@dataclass(frozen=True)
class Indicator(Node):
    """One if the condition holds, otherwise zero."""

    condition: Node


@dataclass(frozen=True)
class Cases(Node):
    """Values with conditions; a condition of None means otherwise."""

    rows: tuple[tuple[Node, Node | None], ...]


@dataclass(frozen=True)
class Matrix(Node):
    """An explicit matrix, row by row."""

    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Items(Node):
    r"""A set in braces, or an interval; ``brackets`` is ``\{\}``, ``[]``, ``()``, ``[)`` or ``(]``."""

    brackets: str
    items: tuple[Node, ...]


@dataclass(frozen=True)
class Labelled(Node):
    """An expression with an underbrace; the label is prose."""

    body: Node
    label: str


@dataclass(frozen=True)
class At(Node):
    """An expression at a point: a bar behind it with ``x = a`` below."""

    body: Node
    variable: Node
    place: Node


@dataclass(frozen=True)
class Relation(Node):
    """A chain ``first rel next rel next …``."""

    operands: tuple[Node, ...]
    relations: tuple[str, ...]


@dataclass(frozen=True)
class Logical(Node):
    r"""Statements joined by ``\iff`` or ``\implies``."""

    parts: tuple[Node, ...]
    connectives: tuple[str, ...]


@dataclass(frozen=True)
class Remark(Node):
    """Words beside the mathematics (``for all x``); shown, not judged."""

    text: str


@dataclass(frozen=True)
class Equation(Node):
    """The statements of one display."""

    statements: tuple[Node, ...]


NodeType = TypeVar("NodeType", bound=Node)


def _rebuild(value: Any, change: Callable[[Node], Node]) -> Any:
    if isinstance(value, Node):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_rebuild(item, change) for item in value)
    return value


def map_children(node: NodeType, change: Callable[[Node], Node]) -> NodeType:
    """The same node with ``change`` applied to each direct child."""
    new = {
        entry.name: _rebuild(getattr(node, entry.name), change)
        for entry in fields(node)
        if entry.name != "span"
    }
    return replace(node, **new)


def _nodes_in(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes_in(item)


def children(node: Node) -> tuple[Node, ...]:
    """Direct children from left to right, kept with the node."""
    found: tuple[Node, ...] | None = node.__dict__.get("_children")
    if found is None:
        parts = (getattr(node, entry.name) for entry in fields(node) if entry.name != "span")
        found = tuple(child for part in parts for child in _nodes_in(part))
        object.__setattr__(node, "_children", found)
    return found


def walk(node: Node) -> Iterator[Node]:
    """The node and everything below it, parents first."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(reversed(children(found)))
