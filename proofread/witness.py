"""The two witnesses: draws of numbers, and exact algebra."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy
import sympy

from proofread.errors import ProofreadError, Source
from proofread.evaluate import Evaluator
from proofread.identity import same
from proofread.interpret import Model
from proofread.numeric import Numeric
from proofread.parser import parse_expression
from proofread.scope import Scope, key
from proofread.sizes import larger
from proofread.symbolic import Symbolic
from proofread.tree import Node, walk
from proofread.values import MINIMUM_DRAWS, CostlyError, Domain, Outcome, Stored, UndecidableError

PASS, REFUTE = 1e-9, 1e-6
_SIGNED = 60
Macros = Mapping[str, tuple[int, str]]


@dataclass
class Values:
    """Both sides of a step on all draws: arrays (draws,), scaled error and what went wrong."""

    left: Any
    right: Any
    scale: Any
    noise: float
    trouble: Node | None


@dataclass
class Draws:
    """Random interpretations of one model.

    Args:
        model: the interpretation.
        macros: of the document.
        source: of the equation.
        count: how many draws.
        seed: of the generator.
    """

    model: Model
    macros: Macros
    source: Source
    count: int = 256
    seed: int = 0
    raw: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        generator = numpy.random.default_rng(self.seed)
        if not self.model.constraints:
            self.raw = self.model.draw(generator, self.count)
            return
        raw = self.model.draw(generator, self.count * 16)
        keep = numpy.flatnonzero(self.satisfied(raw))[: self.count]
        if keep.size < MINIMUM_DRAWS:
            raise ProofreadError(
                f"only {keep.size} of {self.count * 16} draws satisfy the constraints of the interpretation",
                "loosen assume(…), or build the constraint into the declarations",
                self.source,
                self.source.start,
            )
        self.raw = {name: array[keep] for name, array in raw.items()}
        self.count = int(keep.size)

    def satisfied(self, raw: Mapping[str, Any]) -> Any:
        """Which raw draws satisfy the constraints of the model."""
        count = _length(raw, self.count)
        keep = numpy.ones(count, dtype=bool)
        for latex in self.model.constraints:
            condition = parse_expression(Source(latex, "constraint"), self.macros)
            for assignment in index_assignments(self.evaluator(raw).scope, (condition,)):
                evaluator = self.evaluator(raw)
                evaluator.scope.symbols.update(assignment)
                with numpy.errstate(all="ignore"):
                    truth = evaluator.truth(condition)
                keep &= numpy.broadcast_to(numpy.asarray(truth, dtype=bool), (count,))
        return keep

    def evaluator(self, raw: Mapping[str, Any] | None = None, xp: Any = numpy) -> Evaluator:
        """An evaluator on raw draws (by default its own)."""
        raw = self.raw if raw is None else raw
        count = _length(raw, self.count)
        scope = self.model.build(self.macros, raw, xp, count, self.seed)
        return Evaluator(Numeric(count, xp), scope, self.source)


def _length(raw: Mapping[str, Any], default: int) -> int:
    for array in raw.values():
        return int(array.shape[0])
    return default


def flat(value: Any, count: int) -> Any:
    """A value as an array (draws, entries)."""
    if isinstance(value, (int, float, bool)):
        return numpy.full((count, 1), float(value))
    array = numpy.asarray(value, dtype=float)
    return numpy.broadcast_to(array, (count, *array.shape[1:])).reshape(count, -1)


def term_scale(parts: list[Any], count: int) -> Any:
    """Size of the largest term of a sum on each draw, (draws, 1)."""
    size = numpy.zeros((count, 1))
    for part in parts:
        size = numpy.maximum(size, numpy.abs(flat(part, count)).max(axis=1, keepdims=True))
    return size


def index_assignments(scope: Scope, nodes: tuple[Node, ...]) -> Iterator[dict[str, int]]:
    """All values of the index variables that occur in formulas (one empty assignment if there are none)."""
    found: dict[str, Domain] = {}
    for node in nodes:
        for part in walk(node):
            domain = scope.domains.get(key(part)) if type(part).__name__ in ("Name", "Sub") else None
            if domain is not None and domain.kind == "index":
                found[key(part)] = domain
    names = list(found)
    for combination in product(*(found[name].values for name in names)):
        yield {name: int(number) for name, number in zip(names, combination, strict=True)}


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stop a block after it used that much processor time (only possible in the main thread).

    Processor time, so that a verdict does not depend on how busy the machine is.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number: int, frame: Any) -> None:
        if frame is None or frame.f_code.co_name not in ("_xla_gc_callback", "__del__"):
            raise CostlyError(f"not decided within {seconds:g} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    # Again and again, since an exception inside a finaliser would be swallowed.
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 0.25)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class SymbolicWitness:
    """Exact judgements on one model.

    Args:
        model: the interpretation.
        macros: of the document.
        source: of the equation.
        seconds: limit for one judgement.
    """

    def __init__(self, model: Model, macros: Macros, source: Source, seconds: float = 1.0) -> None:
        self.model, self.macros, self.source, self.seconds = model, macros, source, seconds
        self.plain, self.costly = "", False

    def judge(self, relation: str, left: Node, right: Node) -> tuple[bool | None, str]:
        """Whether the relation holds identically.

        Numbers between bounds are plain symbols at first, which keeps the algebra small: what holds for more
        numbers holds for these. If that does not suffice, they are written so that SymPy knows their bounds.

        Returns:
            True, False or None (undecided), and the reason if undecided.
        """
        if relation in ("=", r"\equiv", r"\coloneqq") and self.model.bounded:
            for self.plain in ("number", "gap"):
                answer, reason = self._limited(relation, left, right, self.seconds / 2)
                if answer is True or self.costly:
                    break  # what takes too long with plain symbols only takes longer with others
            self.plain = ""
            if answer is True or self.costly:
                return answer, reason
        return self._limited(relation, left, right, self.seconds)

    def _limited(self, relation: str, left: Node, right: Node, seconds: float) -> tuple[bool | None, str]:
        """A judgement that takes no longer than it may."""
        self.costly = False
        try:
            with time_limit(seconds):
                return self._judge(relation, left, right)
        except UndecidableError as reason:
            self.costly = isinstance(reason, CostlyError)
            return None, str(reason)
        except ProofreadError as problem:
            return None, problem.message
        except (
            ArithmeticError,
            ValueError,
            TypeError,
            NotImplementedError,
            AttributeError,
            RecursionError,
        ) as problem:
            return None, f"SymPy gave up ({type(problem).__name__})"

    def _judge(self, relation: str, left: Node, right: Node) -> tuple[bool | None, str]:
        probe = self.model.build(self.macros, plain=self.plain)
        answers: list[bool | None] = []
        for assignment in index_assignments(probe, (left, right)):
            answers.extend(self._outcomes(relation, left, right, assignment))
            if None in answers:
                return None, "not decided by algebra"
        return all(answers), ""

    def _outcomes(
        self, relation: str, left: Node, right: Node, assignment: dict[str, int]
    ) -> Iterator[bool | None]:
        """One judgement for each outcome of the free variables."""
        first = _Recorder({})
        yield self._once(relation, left, right, assignment, first)
        names = [name for name, domain in first.seen.items() if domain.kind == "finite"]
        combinations = list(product(*(range(first.seen[name].size) for name in names)))
        if len(combinations) > 16:
            raise UndecidableError("too many free variables")
        for combination in combinations[1:]:
            chosen = dict(zip(names, combination, strict=True))
            yield self._once(relation, left, right, assignment, _Recorder(chosen))

    def _once(
        self, relation: str, left: Node, right: Node, assignment: dict[str, int], chooser: _Recorder
    ) -> bool | None:
        scope = self.model.build(self.macros, plain=self.plain)
        scope.choose = chooser
        for name, number in assignment.items():
            scope.symbols[name] = sympy.Integer(number)
        evaluator = Evaluator(Symbolic(), scope, self.source)
        a, b = evaluator.value(left), evaluator.value(right)
        if evaluator.algebra.shape(a) != evaluator.algebra.shape(b):
            raise UndecidableError("the two sides have different types")
        if relation in ("=", r"\equiv", r"\coloneqq"):
            return same(a, b)
        return True if _has_sign(b - a if relation in (r"\le", "<") else a - b, relation) else None


def _has_sign(difference: Any, relation: str) -> bool:
    """Whether SymPy knows that a difference is positive (or not negative), as it stands or factorised."""
    if larger(difference, _SIGNED):
        return False  # beyond this size the questions cost seconds, and the answer is "not known"
    question = "is_positive" if relation in ("<", ">") else "is_nonnegative"
    if getattr(difference, question):
        return True
    return bool(getattr(sympy.factor(sympy.together(difference)), question))


class _Recorder:
    """Chooses outcomes of free variables and remembers which were asked for."""

    def __init__(self, chosen: dict[str, int]) -> None:
        self.chosen = chosen
        self.seen: dict[str, Domain] = {}

    def __call__(self, name: str, domain: Domain) -> Any:
        self.seen[name] = domain
        if domain.kind == "finite":
            return Outcome(domain, self.chosen.get(name, 0))
        if domain.kind == "line":
            return Stored(sympy.Symbol(name.replace("\\", ""), real=True), 0)
        raise ProofreadError(f"the index {name} is free here", "bind it by a sum")


def quietly(work: Callable[[], Any]) -> Any:
    """Run a numeric computation without floating-point warnings; non-finite results are judged later."""
    with numpy.errstate(all="ignore"):
        return work()
