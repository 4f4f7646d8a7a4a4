"""Judges the steps of a derivation with both witnesses."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import numpy

from proofread.counterexamples import counterexample
from proofread.errors import ProofreadError, Source, placed
from proofread.interpret import Model
from proofread.pretty import pretty
from proofread.search import climb
from proofread.tree import Equation, Logical, Node, Relation, Remark, walk
from proofread.values import UndecidableError
from proofread.witness import (
    PASS,
    REFUTE,
    Draws,
    Macros,
    SymbolicWitness,
    Values,
    flat,
    index_assignments,
    quietly,
    term_scale,
)

PROVED, HOLDS, REFUTED, UNDECIDED, DEFINITION = (
    "proved",
    "holds numerically",
    "refuted",
    "undecided",
    "definition",
)
SMALLEST = 1e-5
# What NumPy and SymPy may raise for a formula that nobody foresaw; never a reason to stop the others.
CRASHES = (ValueError, TypeError, IndexError, AttributeError, ArithmeticError, RecursionError)
EQUALITIES = {"=", r"\equiv", r"\coloneqq"}
ORDERS = {r"\le": 1, "<": 1, r"\ge": -1, ">": -1}


@dataclass
class Step:
    """The verdict on one relation of a chain.

    Args:
        left: LaTeX of the left side.
        relation: the relation.
        right: LaTeX of the right side.
        verdict: proved, holds numerically, refuted, undecided or definition.
        draws: number of random interpretations.
        tolerance: relative to the size of the terms.
        error: largest relative error (equality) or violation (inequality) seen.
        symbolic: what the symbolic witness said.
        reason: why it is undecided, or by whose word it counts.
        counterexample: the smallest one found, if refuted.
        line: line of the file where the right side begins.
        seconds: time it took.
        place: if it is undecided: file, line and column, and the source with carets.
    """

    left: str
    relation: str
    right: str
    verdict: str
    draws: int = 0
    tolerance: float = PASS
    error: float = 0.0
    symbolic: str = ""
    reason: str = ""
    counterexample: str = ""
    line: int = 0
    seconds: float = 0.0
    place: str = ""


@dataclass
class Case:
    """What is needed to judge a display.

    Args:
        model: the interpretation.
        macros: of the document.
        source: of the display.
        approx: tolerance of ``≈`` steps, None if they may not occur.
        over: variable over which ``∝`` is meant.
        draws: number of random interpretations.
        seed: of the draws.
        exact: whether the symbolic witness is asked too.
        limit: what ``O(…)`` and ``≈`` are meant for, such as ``h \\to 0``.
    """

    model: Model
    macros: Macros
    source: Source
    approx: float | None = None
    over: str = ""
    draws: int = 256
    seed: int = 0
    exact: bool = True
    limit: str = ""
    _draws: Draws | None = field(default=None, repr=False)

    def sample(self) -> Draws:
        """The draws, made once."""
        if self._draws is None:
            self._draws = Draws(self.model, self.macros, self.source, self.draws, self.seed)
        return self._draws


def judge_equation(equation: Equation, case: Case) -> list[Step]:
    """Judge all steps of a display.

    Args:
        equation: its tree.
        case: interpretation and settings.

    Returns:
        One verdict for each relation; an empty display or one without a relation is refused.
    """
    from proofread.logic import judge_logical

    steps: list[Step] = []
    for statement in equation.statements:
        if isinstance(statement, Remark):
            continue
        if isinstance(statement, Logical):
            steps.extend(judge_logical(statement, case))
        elif isinstance(statement, Relation):
            pairs = zip(statement.operands, statement.relations, statement.operands[1:], strict=False)
            steps.extend(judge_step(left, relation, right, case) for left, relation, right in pairs)
        else:
            raise ProofreadError(
                "a display without a relation", "write both sides", case.source, statement.span
            )
    if not steps:
        raise ProofreadError("a display without a relation", "write both sides", case.source, equation.span)
    return steps


def judge_step(left: Node, relation: str, right: Node, case: Case) -> Step:
    """Judge ``left relation right``."""
    started = time.perf_counter()
    step = Step(pretty(left), relation, pretty(right), UNDECIDED, line=case.source.place(right.span[0])[0])
    from proofread.asymptotic import concerns, judge_asymptotic

    try:
        if concerns(left, relation, right, case):
            judge_asymptotic(step, left, relation, right, case)
        else:
            quietly(lambda: _numeric(step, left, relation, right, case))
    except UndecidableError as problem:
        step.verdict, step.reason = UNDECIDED, str(problem)
    except CRASHES as problem:
        step.verdict = UNDECIDED
        step.reason = f"the formula cannot be evaluated ({type(problem).__name__}: {problem})"
    if step.verdict == UNDECIDED:
        if "; " not in step.reason:
            step.reason += "; restrict the interpretation, check it by hand, or accept the step with a reason"
        step.place = step.place or placed(case.source, (left.span[0], right.span[1]))
    asked = step.symbolic or relation not in EQUALITIES | set(ORDERS) or concerns(left, relation, right, case)
    if case.exact and step.verdict in (HOLDS, REFUTED) and not asked:
        answer, reason = SymbolicWitness(case.model, case.macros, case.source).judge(relation, left, right)
        step.symbolic = {True: "proved", False: "refuted", None: f"undecided: {reason}"}[answer]
        if answer is True and step.verdict == HOLDS:
            step.verdict = PROVED
        elif (answer is True) != (step.verdict == HOLDS) and answer is not None:
            step.verdict, step.reason = UNDECIDED, "the two witnesses disagree; report this as a bug"
    step.seconds = time.perf_counter() - started
    return step


def _numeric(step: Step, left: Node, relation: str, right: Node, case: Case) -> None:
    """Fill in the numeric verdict."""
    if relation not in EQUALITIES | set(ORDERS) | {r"\approx", r"\propto", r"\ne"}:
        step.reason = (
            f"{relation} cannot be checked; mark the equation as definition, assumption or cited theorem"
        )
        return
    sample = case.sample()
    step.draws = sample.count
    if relation == r"\propto":
        from proofread.logic import proportional

        step.verdict = proportional(step, left, right, case)
        return
    verdicts: list[str] = []
    for assignment in index_assignments(sample.evaluator().scope, (left, right)):
        values = evaluate_pair(left, right, sample, assignment)
        verdicts.append(compare(step, relation, values, case))
        if verdicts[-1] == UNDECIDED and values.trouble is not None:
            known = [part for side in (left, right) for part in walk(side) if part is values.trouble]
            step.place = placed(case.source, known[0].span) if known else ""
        if verdicts[-1] == HOLDS and relation in ORDERS:
            found = climb(left, relation, right, sample, assignment, values)
            if found is not None:
                verdicts[-1] = REFUTED
                step.error, step.counterexample = found
        elif verdicts[-1] == REFUTED:
            step.counterexample = counterexample(left, relation, right, sample, assignment, _violations)
        if verdicts[-1] != HOLDS:
            break
    if not verdicts:
        step.reason = "an index without values: nothing was sampled"
        return
    step.verdict = verdicts[-1]


def evaluate_pair(
    left: Node, right: Node, sample: Draws, assignment: dict[str, int], raw: Any = None
) -> Values:
    """Both sides on all draws.

    Raises:
        ProofreadError: if their types differ.
    """
    evaluator = sample.evaluator(raw)
    evaluator.scope.symbols.update(assignment)
    count = evaluator.algebra.sizes[0]
    a, parts = evaluator.value_with_parts(left)
    b, others = evaluator.value_with_parts(right)
    if evaluator.algebra.shape(a) != evaluator.algebra.shape(b):
        kinds = (
            f"{evaluator.algebra.describe(a)} on the left and {evaluator.algebra.describe(b)} on the right"
        )
        raise ProofreadError(
            f"the sides differ in type: {kinds}", "check the formula", sample.source, right.span
        )
    trouble = evaluator.algebra.trouble
    scale = term_scale([*parts, *others], count)
    return Values(flat(a, count), flat(b, count), scale, evaluator.algebra.noise, trouble)


def compare(step: Step, relation: str, values: Values, case: Case) -> str:
    """Numeric verdict from both sides on all draws."""
    broken = numpy.isnan(values.left) | numpy.isnan(values.right)
    if relation not in ORDERS:
        broken |= numpy.isinf(values.left) | numpy.isinf(values.right)
    if broken.any():
        count = int(broken.any(axis=1).sum())
        part = f", first at {pretty(values.trouble)}" if values.trouble is not None else ""
        step.reason = f"no finite value in {count} of {step.draws} draws{part}; restrict the interpretation"
        return UNDECIDED
    if values.noise > 1e-5:
        step.reason = (
            f"an integral did not converge (relative error {values.noise:.1e}); widen or refine the line"
        )
        return UNDECIDED
    passing, refuting = PASS + 20 * values.noise, REFUTE + 200 * values.noise
    if relation == r"\approx":
        if case.approx is None:
            step.reason = "≈ needs a tolerance: check(…, approx=0.01)"
            return UNDECIDED
        passing = refuting = case.approx
        step.tolerance, step.error = passing, float((abs(values.left - values.right) / values.scale).max())
        return HOLDS if step.error <= passing else REFUTED
    if relation == r"\ne":
        same = violations("=", values) <= passing
        return UNDECIDED if same.any() else HOLDS
    error = violations(relation, values)
    step.tolerance, step.error = passing, float(error.max())
    if relation in ("<", ">") and (error >= 0).any():
        return REFUTED if step.error > -passing else HOLDS
    if step.error <= passing:
        return HOLDS
    if step.error > refuting:
        return REFUTED
    step.reason = f"the relative error {step.error:.1e} lies between rounding and a refutation"
    return UNDECIDED


def violations(relation: str, values: Values) -> Any:
    """Scaled error (equality) or excess (inequality) for each draw, (draws,)."""
    finite = values.scale[numpy.isfinite(values.scale)]
    floor = 1e-3 * float(numpy.median(finite)) if finite.size else 0.0
    # Draws are of order one, so that nothing finer than SMALLEST · PASS = 1e-14 can be told from rounding.
    scale = numpy.maximum(values.scale, max(floor, SMALLEST))
    with numpy.errstate(all="ignore"):
        if relation in ORDERS:
            excess = ORDERS[relation] * (values.left - values.right)
            excess = numpy.where(numpy.isnan(excess) & (values.left == values.right), 0.0, excess)
            return (excess / scale).max(axis=1)
        return (numpy.abs(values.left - values.right) / scale).max(axis=1)


def _violations(relation: str, values: Values) -> Any:
    error = violations(relation, values)
    return numpy.where(numpy.isnan(error), -numpy.inf, error) > REFUTE + 200 * values.noise
