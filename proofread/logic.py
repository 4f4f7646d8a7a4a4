"""Judgements that compare draws with each other: proportionality, implication, equivalence."""

from __future__ import annotations

from typing import Any

import numpy

from proofread.errors import ProofreadError, Source
from proofread.judge import HOLDS, REFUTED, UNDECIDED, Case, Step, compare, evaluate_pair, violations
from proofread.parser import parse_expression
from proofread.pretty import pretty
from proofread.scope import key
from proofread.tree import Logical, Name, Node, Relation
from proofread.values import Outcome, Stored
from proofread.witness import (
    PASS,
    Draws,
    Values,
    flat,
)


def proportional(step: Step, left: Node, right: Node, case: Case) -> str:
    """Whether the ratio of both sides stays the same when the named variable changes."""
    if not case.over:
        step.reason = "∝ needs the variable over which it is meant: check(…, over='x')"
        return UNDECIDED
    sample = case.sample()
    name = key(parse_expression(Source(case.over), case.macros))
    evaluator = sample.evaluator()
    ratios = []
    for binding in alternatives(evaluator, name):
        with evaluator.scope.bound({name: binding}):
            ratios.append(
                flat(evaluator.value(left), sample.count) / flat(evaluator.value(right), sample.count)
            )
    step.error = 0.0
    for ratio in ratios[1:]:
        values = Values(
            ratio, ratios[0], numpy.abs(ratios[0]), evaluator.algebra.noise, evaluator.algebra.trouble
        )
        verdict = compare(step, "=", values, case)
        if verdict != HOLDS:
            return verdict
    return HOLDS


def alternatives(evaluator: Any, name: str) -> list[Any]:
    """Several values of a variable: all outcomes of a finite one, other draws of a real one."""
    domain = evaluator.scope.domain_of(Name(name))
    if domain is not None and domain.kind == "finite":
        return [Outcome(domain, place) for place in range(domain.size)]
    found = evaluator.scope.find(name)
    if not isinstance(found, Stored):
        raise ProofreadError(f"the variable {name} of ∝ has no values", "declare it: finite(…) or real(…)")
    return [Stored(numpy.roll(found.value, shift, axis=0), found.depth) for shift in (0, 1, 2)]


def judge_logical(statement: Logical, case: Case) -> list[Step]:
    """Implications and equivalences: on the draws where the premise holds, the conclusion must hold."""
    steps = []
    for left, sign, right in zip(statement.parts, statement.connectives, statement.parts[1:], strict=False):
        step = Step(pretty(left), sign, pretty(right), UNDECIDED, line=case.source.place(right.span[0])[0])
        steps.append(step)
        if not (isinstance(left, Relation) and isinstance(right, Relation)):
            step.reason = "both sides of a connective must be relations"
            continue
        sample = case.sample()
        step.draws = sample.count
        with numpy.errstate(all="ignore"):
            premise, conclusion = _holds(left, sample), _holds(right, sample)
        forward = bool((premise & ~conclusion).any())
        backward = sign == r"\iff" and bool((conclusion & ~premise).any())
        if forward or backward:
            step.verdict = REFUTED
            step.counterexample = "one side holds where the other does not"
        elif premise.sum() < 16 or (sign == r"\iff" and (~premise).sum() < 16):
            step.reason = (
                f"the premise holds in {int(premise.sum())} of {step.draws} draws: nothing was tested"
            )
        else:
            step.verdict = HOLDS
    return steps


def _holds(relation: Relation, sample: Draws) -> Any:
    """On which draws a chain holds."""
    truth = numpy.ones(sample.count, dtype=bool)
    for left, sign, right in zip(relation.operands, relation.relations, relation.operands[1:], strict=False):
        values = evaluate_pair(left, right, sample, {})
        error = violations(sign, values)
        if numpy.isnan(error).any():
            raise ProofreadError(
                "a premise without a finite value", "restrict the draws", sample.source, left.span
            )
        if sign in ("<", ">"):
            truth &= error < 0
        elif sign == r"\ne":
            truth &= violations("=", values) > PASS
        else:
            truth &= error <= PASS
    return truth
