"""Wrong copies of a derivation: each must be refuted, otherwise the check proves nothing.

A wrong side of an equality, an approximation or an O-statement that nothing refutes is a *survivor*,
unless algebra shows that it means the same (*equivalent*). With inequalities this would be unjust: a weaker
bound is true, and a stronger one may be. A wrong side of an inequality that is not refuted is therefore *not
informative*: it counts neither for nor against the check. Where a bound is sharp, mistakes that strengthen
it die on the draws closest to equality, which are searched for; where no draw comes close, the report says
so, since a wrong constant could hide there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import numpy

from proofread.asymptotic import concerns, same_but_for_orders
from proofread.bench import Bench
from proofread.errors import ProofreadError
from proofread.judge import (
    CRASHES,
    ORDERS,
    REFUTED,
    Case,
    Step,
    compare,
    evaluate_pair,
    judge_step,
    violations,
)
from proofread.logic import judge_logical, proportional
from proofread.mistakes import Mutant, mutants_of
from proofread.search import closest
from proofread.symbols import CONNECTIVES
from proofread.tree import Equation, Logical, Node, Relation
from proofread.values import UndecidableError
from proofread.witness import PASS, REFUTE, Draws, SymbolicWitness, Values, index_assignments, quietly

_LIMIT = 40
_LOOSE = 1e-3
Raw = dict[str, Any]


@dataclass
class MutantReport:
    """What became of the mutants of one display.

    Args:
        total: mutants made.
        killed: refuted, or no longer a formula with a value.
        equivalents: names of those that mean the same under the interpretation (proved), or are excused.
        uninformative: names of mistakes in inequalities, implications or ∝ that may be true statements.
        survivors: names of the others.
        loose: inequalities that no draw brings near equality, in words.
    """

    total: int = 0
    killed: int = 0
    equivalents: list[str] = field(default_factory=list)
    uninformative: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)
    loose: list[str] = field(default_factory=list)


def _chosen(mutants: list[Mutant]) -> list[Mutant]:
    """An even selection where one side has very many."""
    sides: dict[str, list[Mutant]] = {}
    for mutant in mutants:
        sides.setdefault(
            mutant.name.split(":")[0] if mutant.original is not None else mutant.name, []
        ).append(mutant)
    return [mutant for side in sides.values() for mutant in side[:: max(1, -(-len(side) // _LIMIT))]]


def run_mutants(equation: Equation, case: Case, excuses: dict[str, str]) -> MutantReport:
    """Make mutants of every line of a display and try to refute them.

    Args:
        equation: the correct display.
        case: interpretation and settings.
        excuses: name of a mutant to the reason why it is no mistake.

    Returns:
        The count of the killed and the names of the others.

    Raises:
        ProofreadError: if an excused mutant does not exist.
    """
    report = MutantReport()
    made = list(mutants_of(equation))
    names = [mutant.name for mutant in made]
    unknown = sorted(set(excuses) - set(names))
    if unknown:
        near = get_close_matches(unknown[0], names, 1)
        raise ProofreadError(
            f"the excused mutant {unknown[0]!r} does not exist",
            f"perhaps {near[0]!r} is meant" if near else "copy its name from the list of survivors",
            case.source,
            equation.span,
        )
    trial = replace(case, seed=case.seed + 1, exact=False, _draws=None)
    sharp = _sharpest(equation, trial, report)
    bench = Bench(trial.sample())
    for mutant in _chosen(made):
        _try(mutant, trial, sharp.get(mutant.line, []), excuses, report, case, bench)
    return report


def _sharpest(equation: Equation, case: Case, report: MutantReport) -> dict[int, list[tuple[Any, Raw]]]:
    """For each inequality the draws nearest to equality: line to (values of the free indices, raw draws)."""
    found: dict[int, list[tuple[Any, Raw]]] = {}
    line = 0
    for statement in equation.statements:
        if isinstance(statement, Logical):
            line += len(statement.connectives)
        if not isinstance(statement, Relation):
            continue
        for position, relation in enumerate(statement.relations):
            line += 1
            if relation not in ORDERS:
                continue
            pair = statement.operands[position], statement.operands[position + 1]
            nearest = quietly(lambda p=pair, r=relation: _nearest(p, r, case))  # type: ignore[misc]
            found[line] = [(assignment, raw) for assignment, raw, _ in nearest]
            slack = min((slack for _, _, slack in nearest), default=0.0)
            if slack > _LOOSE:
                report.loose.append(
                    f"line {line}: no draw is nearer to equality than {slack:.1%} of the terms; "
                    "a wrong constant could hide in this bound"
                )
    return found


def _nearest(pair: tuple[Node, Node], relation: str, case: Case) -> list[tuple[Any, Raw, float]]:
    """For each value of the free indices: raw draws near equality, and how near they come."""
    sample = case.sample()
    result = []
    try:
        for assignment in index_assignments(sample.evaluator().scope, pair):
            values = evaluate_pair(*pair, sample, assignment)
            raw, slack = closest(pair[0], relation, pair[1], sample, assignment, values)
            result.append((assignment, raw, slack))
    except (ProofreadError, UndecidableError):
        return []
    return result


def _try(
    mutant: Mutant,
    trial: Case,
    sharp: list[tuple[Any, Raw]],
    excuses: dict[str, str],
    report: MutantReport,
    case: Case,
    bench: Bench,
) -> None:
    """Count one mutant as killed, equivalent, not informative or surviving."""
    report.total += 1
    if quietly(lambda: _killed(mutant, trial, sharp, bench)):
        report.killed += 1
    elif mutant.name in excuses:
        report.equivalents.append(mutant.name)
    elif mutant.original is not None and _may_be_true(mutant, case):
        report.uninformative.append(mutant.name)
    elif _same(mutant, case, bench):
        report.equivalents.append(mutant.name)
    else:
        report.survivors.append(mutant.name)


def _may_be_true(mutant: Mutant, case: Case) -> bool:
    """Whether a mutant that is not refuted can simply be another true statement."""
    if mutant.relation in ORDERS or mutant.relation in CONNECTIVES | {r"\propto"}:
        return True
    assert mutant.original is not None and mutant.wrong is not None
    orders = concerns(mutant.pair[0], mutant.relation, mutant.pair[1], case)
    return orders and same_but_for_orders(mutant.wrong, mutant.original, case)


def _same(mutant: Mutant, case: Case, bench: Bench) -> bool:
    """Whether algebra shows that a mutant means the same; it is not asked if a draw shows the contrary."""
    if mutant.original is None or mutant.wrong is None or _differs(mutant.wrong, mutant.original, bench):
        return False
    witness = SymbolicWitness(case.model, case.macros, case.source, 2.0)
    return witness.judge("=", mutant.wrong, mutant.original)[0] is True


def _differs(wrong: Node, original: Node, bench: Bench) -> bool:
    """Whether two formulas have different values on some draw."""
    try:
        for assignment in index_assignments(bench.scope, (wrong, original)):
            values = quietly(lambda a=assignment: bench.values((wrong, original), a))  # type: ignore[misc]
            error = violations("=", values) - REFUTE - 200 * values.noise
            if values.noise < 1e-5 and (error > 0).any():
                return True
    except (ProofreadError, UndecidableError, *CRASHES):
        pass
    return False


def _killed(mutant: Mutant, case: Case, sharp: list[tuple[Any, Raw]], bench: Bench) -> bool:
    """Whether some draw refutes the mutant, or it has no value at all."""
    sample = case.sample()
    left, right = mutant.pair
    try:
        if mutant.relation in CONNECTIVES:
            return judge_logical(Logical(mutant.pair, (mutant.relation,)), case)[0].verdict == REFUTED
        if concerns(left, mutant.relation, right, case):
            return judge_step(left, mutant.relation, right, case).verdict == REFUTED
        if mutant.relation == r"\propto":
            return proportional(_blank(mutant, sample), left, right, case) == REFUTED
        assignments = list(index_assignments(bench.scope, mutant.pair))
        if mutant.relation == r"\approx":
            pairs = (evaluate_pair(left, right, sample, assignment) for assignment in assignments)
            return any(_refuted(mutant, values, case) for values in pairs)
        # Most mistakes show on a few draws, where they cost little.
        trials = [(assignment, bench.few) for assignment in assignments]
        trials += [(assignment, sample.raw) for assignment in assignments]
        return any(_refuted(mutant, bench.values(mutant.pair, *t), case) for t in (*trials, *sharp))
    except (ProofreadError, UndecidableError, *CRASHES):
        return True
    return False


def _blank(mutant: Mutant, sample: Draws) -> Step:
    return Step("", mutant.relation, "", "", sample.count)


def _refuted(mutant: Mutant, values: Values, case: Case) -> bool:
    """Whether the values of both sides refute a relation, or are none."""
    if mutant.relation == r"\approx":
        return compare(_blank(mutant, case.sample()), mutant.relation, values, case) != "holds numerically"
    if values.noise > 1e-5 or not (numpy.isfinite(values.left).all() and numpy.isfinite(values.right).all()):
        return True
    sizes = numpy.maximum(numpy.abs(values.left), numpy.abs(values.right)).max(axis=1, keepdims=True)
    error = violations(mutant.relation, replace(values, scale=sizes))
    limit = PASS if mutant.relation in ORDERS else REFUTE
    return bool(error.max() > limit + 200 * values.noise)
