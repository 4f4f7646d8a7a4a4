"""The vocabulary of interpretations: one short function for each kind of declaration."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Values

from proofread.declarations import (
    Assume,
    Define,
    Distribution,
    DivergenceForm,
    Finite,
    Index,
    Law,
    Line,
    Subset,
)
from proofread.errors import ProofreadError
from proofread.quantities import Constant, Numbers, Sequence
from proofread.randomness import RandomVariables


def real(*names: str) -> Numbers:
    """Free real numbers."""
    return Numbers(names, "real")


def positive(*names: str) -> Numbers:
    """Free positive numbers."""
    return Numbers(names, "positive")


def between(low: float, high: float, *names: str) -> Numbers:
    """Free numbers strictly between two bounds."""
    return Numbers(names, "between", (), (low, high))


def vector(*names: str, size: int = 2) -> Numbers:
    """Free column vectors."""
    return Numbers(names, "real", (size, 1))


def matrix(*names: str, rows: int = 2, columns: int = 2) -> Numbers:
    """Free matrices."""
    return Numbers(names, "real", (rows, columns))


def positive_definite(*names: str, size: int = 2) -> Numbers:
    """Free symmetric positive definite matrices."""
    return Numbers(names, "definite", (size, size))


def symmetric(*names: str, size: int = 2) -> Numbers:
    """Free symmetric matrices."""
    return Numbers(names, "symmetric", (size, size))


def orthogonal(*names: str, size: int = 2) -> Numbers:
    """Free orthogonal matrices."""
    return Numbers(names, "orthogonal", (size, size))


def sequence(name: str, low: int, high: int, kind: Numbers | None = None) -> Sequence:
    """Indexed numbers, e.g. ``sequence(r"\\beta", 1, 3, between(0, 1))``."""
    return Sequence(name, low, high, kind or Numbers((), "real"))


def constant(name: str, number: float) -> Constant:
    """A fixed number, e.g. the length ``T`` of a chain."""
    return Constant(name, number)


def finite(name: str, size: int = 3, values: Values[float] = ()) -> Finite:
    """A finite set: ``finite("x", 3)`` or ``finite(r"x \\in \\mathcal X", values=(0, 1))``.

    Without values, the numbers that the outcomes stand for are free. Symbolically, sets without
    values have two elements, to keep the algebra small.
    """
    if (len(values) or size) < 1:
        raise ProofreadError("a finite set without elements samples nothing", "give it a size of at least 2")
    return Finite(name, len(values) or size, tuple(map(float, values)))


def line(name: str, low: float = -24.0, high: float = 24.0, nodes: int = 961) -> Line:
    """A real variable to integrate or maximise over."""
    return Line(name, low, high, nodes)


def index(name: str, low: int, high: int) -> Index:
    """An integer variable; a formula in which it is free must hold for every value."""
    return Index(name, low, high)


def distribution(head: str, steps: tuple[int, int] | None = None, parameter: str = "") -> Distribution:
    """Free probabilities, e.g. ``distribution(r"q(z \\mid x)")``.

    Args:
        head: the function with its variables; it is normalised over those before the bar.
        steps: first and last step, for transitions that differ at every step.
        parameter: name of a declared vector on which the logits depend linearly.

    Returns:
        The declaration.
    """
    return Distribution(head, (), steps, parameter)


def table(head: str, kind: str = "real", steps: tuple[int, int] | None = None) -> Distribution:
    """A free function on finite sets; ``kind`` is ``real`` or ``positive``."""
    return Distribution(head, (), steps, "", False, kind)


def random_variables(
    *names: str, outcomes: int = 5, levels: Mapping[str, int | str] | None = None
) -> RandomVariables:
    """Dependent random variables for ``\\E[…]`` without a named distribution.

    Args:
        names: of the variables.
        outcomes: of the hidden sample space.
        levels: how many values a variable takes, or the variable of the finite set that it takes them from;
            only on such variables can others be conditioned, as in ``\\E[X \\mid Y]``.

    Returns:
        The declaration.
    """
    return RandomVariables(names, outcomes, dict(levels or {}))


def define(latex: str) -> Define:
    """A definition ``left = right``; indices and arguments on the left may be variables."""
    return Define(latex)


def law(latex: str) -> Law:
    """The distribution of a random quantity, ``\\epsilon \\sim \\Normal(0, 1)``."""
    return Law(latex)


def subset(name: str, variable: str, condition: str) -> Subset:
    """A subset, ``subset("A", "x", "p(x) > q(x)")``."""
    return Subset(name, variable, condition)


def divergence(head: str, summand: str) -> DivergenceForm:
    """A divergence, ``divergence(r"\\TV{p}{q}", r"\\frac12 |p - q|")``."""
    return DivergenceForm(head, summand)


def assume(latex: str) -> Assume:
    """A constraint; draws that violate it are thrown away."""
    return Assume(latex)
