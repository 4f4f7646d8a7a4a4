"""What names can stand for while a formula is evaluated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from proofread.tree import Node

MINIMUM_DRAWS = 32


class UndecidableError(Exception):
    """A witness cannot judge this formula; the reason is its message."""


class CostlyError(UndecidableError):
    """A witness does not even try, since it would only lose time: also not with other symbols."""


@dataclass(frozen=True)
class Domain:
    """What a variable ranges over.

    Args:
        kind: ``finite`` or ``line``.
        name: canonical text of the variable that declared it.
        size: number of outcomes (finite), or of quadrature nodes (line).
        values: numbers of the outcomes; empty if they are only labels or have free values.
        bounds: ends of the line.
        set_name: canonical text of the set, or "".
    """

    kind: str
    name: str
    size: int
    values: tuple[float, ...] = ()
    bounds: tuple[float, float] = (0.0, 0.0)
    set_name: str = ""


@dataclass(frozen=True)
class Outcome:
    """One outcome (or an array of outcomes, one per draw) of a finite domain, counted from 0."""

    domain: Domain
    index: Any
    depth: int = 0


@dataclass(frozen=True)
class Stored:
    """A number or array together with the number of batch axes it was made with."""

    value: Any
    depth: int


@dataclass(frozen=True)
class Table:
    """Values over finite domains, one axis for each argument.

    Args:
        data: array (draws, [steps,] sizes …), or an object array of SymPy expressions without draws.
        domains: of the arguments.
        steps: first step if there is an axis of steps, otherwise None.
        parameter: canonical name of the parameter vector if ``data`` are features of logits
            (last axis: the features), otherwise "".
        normalised: how many leading arguments the softmax of a parametrised table runs over.
    """

    data: Any
    domains: tuple[Domain, ...]
    steps: int | None = None
    parameter: str = ""
    normalised: int = 0


@dataclass(frozen=True)
class Smooth:
    """A free function of numbers and vectors: ``evaluate(algebra, scope lookup, values)``."""

    evaluate: Any


@dataclass(frozen=True)
class Overload:
    """One meaning of a function name.

    Args:
        parameters: the argument patterns of its head.
        separators: what stands between them.
        body: a tree (definition), a Table, a Smooth function, or a Divergence.
        index: index parameters of the function's own name (``t`` in ``V_t(x)``).
        free: index parameters in the arguments of its head (``t`` in ``q(x_t | x_{t-1})``).
    """

    parameters: tuple[Node, ...]
    separators: tuple[str, ...]
    body: Any
    index: tuple[str, ...] = ()
    free: tuple[str, ...] = ()


@dataclass(frozen=True)
class FunctionValue:
    """A function passed by name: all its overloads, and how to call it in messages."""

    name: str
    overloads: tuple[Overload, ...]


@dataclass(frozen=True)
class Divergence:
    """A divergence given by its summand at one point; the names of its two arguments are bound to values."""

    integrand: Node
    left: str
    right: str


@dataclass(frozen=True)
class SetValue:
    """A subset of a finite domain by a condition on its variable, or a union, difference and so on."""

    variable: Node
    condition: Node


@dataclass(frozen=True)
class RandomVariable:
    """Values of a random variable on the hidden sample space: a table over its outcomes.

    Args:
        table: the values.
        domain: the finite set of its values if there are fewer of them than outcomes, otherwise None.
        levels: which of them it takes at each outcome.
    """

    table: Table
    domain: Domain | None = None
    levels: tuple[int, ...] = ()
