"""The vocabulary of interpretations: one short function for each kind of declaration."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Sequence as Values

from proofread import arguments as given
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
    return Numbers(given.names("real", names, 'write real("a", "b")'), "real")


def positive(*names: str) -> Numbers:
    """Free positive numbers."""
    return Numbers(given.names("positive", names, 'write positive("a", "b")'), "positive")


def between(low: float, high: float, *names: str) -> Numbers:
    """Free numbers strictly between two bounds."""
    given.ordered("between", low, high)
    for name in names:
        given.text("between", name, 'write between(0, 1, "a")')
    return Numbers(names, "between", (), (low, high))


def vector(*names: str, size: int = 2) -> Numbers:
    """Free column vectors."""
    return _arrays("vector", names, "real", size, 1)


def matrix(*names: str, rows: int = 2, columns: int = 2) -> Numbers:
    """Free matrices."""
    return _arrays("matrix", names, "real", rows, columns)


def positive_definite(*names: str, size: int = 2) -> Numbers:
    """Free symmetric positive definite matrices."""
    return _arrays("positive_definite", names, "definite", size, size)


def symmetric(*names: str, size: int = 2) -> Numbers:
    """Free symmetric matrices."""
    return _arrays("symmetric", names, "symmetric", size, size)


def orthogonal(*names: str, size: int = 2) -> Numbers:
    """Free orthogonal matrices."""
    return _arrays("orthogonal", names, "orthogonal", size, size)


def _arrays(word: str, names: tuple[str, ...], kind: str, rows: int, columns: int) -> Numbers:
    """Vectors or matrices of one kind, whose names and sizes make sense."""
    sizes = "rows=2, columns=3" if word == "matrix" else "size=2"
    given.names(word, names, f'write {word}("a", {sizes})')
    return Numbers(names, kind, (given.whole(word, rows, most=8), given.whole(word, columns, most=8)))


def sequence(name: str, low: int, high: int, kind: Numbers | None = None) -> Sequence:
    """Indexed numbers, e.g. ``sequence(r"\\beta", 1, 3, between(0, 1))``."""
    given.text("sequence", name)
    given.span("sequence", low, high)
    if kind is not None and not isinstance(kind, Numbers):
        raise ProofreadError(f"sequence: {kind!r} is no kind of number", "write between(0, 1) or positive()")
    return Sequence(name, low, high, kind or Numbers((), "real"))


def constant(name: str, number: float) -> Constant:
    """A fixed number, e.g. the length ``T`` of a chain."""
    return Constant(given.text("constant", name), given.number("constant", number))


def finite(name: str, size: int = 3, values: Values[float] = ()) -> Finite:
    """A finite set: ``finite("x", 3)`` or ``finite(r"x \\in \\mathcal X", values=(0, 1))``.

    Without values, the numbers that the outcomes stand for are free. Symbolically, sets without
    values have two elements, to keep the algebra small.
    """
    given.text("finite", name)
    for value in values:
        given.number("finite", value)
    if len(values) == 0 and given.whole("finite", size, 0) < 1:
        raise ProofreadError("a finite set without elements samples nothing", "give it a size of at least 2")
    return Finite(name, len(values) or size, tuple(map(float, values)))


def line(name: str, low: float = -24.0, high: float = 24.0, nodes: int = 961) -> Line:
    """A real variable to integrate or maximise over."""
    given.text("line", name)
    given.ordered("line", low, high)
    given.whole("line", nodes, 3, 1_000_000)
    return Line(name, low, high, nodes)


def index(name: str, low: int, high: int) -> Index:
    """An integer variable; a formula in which it is free must hold for every value."""
    given.text("index", name)
    given.span("index", low, high)
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
    given.steps("distribution", steps)
    return Distribution(given.text("distribution", head), (), steps, parameter)


def table(head: str, kind: str = "real", steps: tuple[int, int] | None = None) -> Distribution:
    """A free function on finite sets; ``kind`` is ``real`` or ``positive``."""
    given.steps("table", steps)
    if kind not in ("real", "positive"):
        raise ProofreadError(f"there is no kind of table {kind!r}", "use real or positive")
    return Distribution(given.text("table", head), (), steps, "", False, kind)


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
    given.names("random_variables", names, 'write random_variables("X", "Y")')
    given.whole("random_variables", outcomes)
    chosen = given.mapping("random_variables", levels, str, 'levels={"Y": 2}')
    for level in chosen.values():
        if not isinstance(level, str):
            given.whole("levels of random_variables", level)
    return RandomVariables(names, outcomes, chosen)


def define(latex: str) -> Define:
    """A definition ``left = right``; indices and arguments on the left may be variables."""
    return Define(given.text("define", latex, 'write define("a = b")'))


def law(latex: str) -> Law:
    """The distribution of a random quantity, ``\\epsilon \\sim \\Normal(0, 1)``."""
    return Law(given.text("law", latex))


def subset(name: str, variable: str, condition: str) -> Subset:
    """A subset, ``subset("A", "x", "p(x) > q(x)")``."""
    for entry in (name, variable, condition):
        given.text("subset", entry, 'write subset("A", "x", "p(x) > q(x)")')
    return Subset(name, variable, condition)


def divergence(head: str, summand: str) -> DivergenceForm:
    """A divergence, ``divergence(r"\\TV{p}{q}", r"\\frac12 |p - q|")``."""
    return DivergenceForm(given.text("divergence", head), given.text("divergence", summand))


def assume(latex: str) -> Assume:
    """A constraint; draws that violate it are thrown away."""
    return Assume(given.text("assume", latex, 'write assume("a < b")'))
