"""Statements about a limit: ``a = b + O(h^2)``, ``a = b + o(h)``, and ``a ≈ b`` as h tends to 0."""

from __future__ import annotations

from typing import Any

import numpy

from proofread.counterexamples import meanings
from proofread.errors import Source
from proofread.judge import HOLDS, PROVED, REFUTED, UNDECIDED, Case, Step
from proofread.limits import infinite, read_limit
from proofread.parser import parse_expression
from proofread.pretty import pretty
from proofread.scope import key
from proofread.tree import Add, Big, Call, Frac, Labelled, Node, Norm, Number
from proofread.values import Stored, UndecidableError
from proofread.witness import SymbolicWitness, flat, index_assignments, quietly, term_scale

_ORDERS = {"O": "O", r"\mathcal{O}": "O", "o": "o"}
_POWERS = range(5, 11)
_ROUNDING = 1e-11
# Growth of the ratio when the distance is halved: sqrt(2) is half an order, 1.03 less than any logarithm.
_GROWS, _RESTS, _SHRINKS, _STAYS = 2**0.5, 1.03, 0.8, 0.95


def split(node: Node, case: Case) -> tuple[Node, list[tuple[str, Node]]]:
    """A side without its O-terms, and these: kind (O or o) and what is in their brackets."""
    inner = node.body if isinstance(node, Labelled) else node
    signs, terms = (inner.signs, inner.terms) if isinstance(inner, Add) else (("+",), (inner,))
    orders: list[tuple[str, Node]] = []
    kept: list[tuple[str, Node]] = []
    for sign, term in zip(signs, terms, strict=True):
        name = key(term.function) if isinstance(term, Call) and len(term.arguments) == 1 else ""
        if name in _ORDERS and isinstance(term, Call) and not _declared(case, name):
            orders.append((_ORDERS[name], term.arguments[0]))
        else:
            kept.append((sign, term))
    if not orders:
        return node, []
    if not kept:
        return Number("0", span=node.span), orders
    if len(kept) == 1 and kept[0][0] == "+":
        return kept[0][1], orders
    return Add(tuple(sign for sign, _ in kept), tuple(term for _, term in kept), span=node.span), orders


def _declared(case: Case, name: str) -> bool:
    scope = case.sample().evaluator().scope
    return name in scope.symbols or name in scope.functions or name in scope.definitions


def concerns(left: Node, relation: str, right: Node, case: Case) -> bool:
    """Whether a step speaks of a limit: it has an O-term, or is an approximation with a limit."""
    if relation == r"\approx" and case.limit:
        return True
    return bool(split(left, case)[1] or split(right, case)[1])


def judge_asymptotic(step: Step, left: Node, relation: str, right: Node, case: Case) -> None:
    """Fill in the verdict on a step that speaks of a limit.

    Args:
        step: gets verdict, draws, error, counterexample and the word of algebra.
        left: a side.
        relation: ``=`` (with O-terms) or ``≈``.
        right: a side.
        case: with ``limit``.
    """
    (one, before), (two, behind) = split(left, case), split(right, case)
    orders = before + behind
    step.draws = case.sample().count
    if not case.limit:
        step.reason = "O(…) needs the limit that is meant: check(…, limit=r'h \\to 0')"
        return
    if relation not in ("=", r"\approx"):
        step.reason = f"O(…) beside {relation} cannot be checked; write an equality"
        return
    # a ≈ b says that the difference is o(b).
    sizes = orders or [("o", two)]
    kind = "o" if any(name == "o" for name, _ in sizes) else "O"
    bound = Add(("+",) * len(sizes), tuple(Norm(size, None, True) for _, size in sizes), span=right.span)
    verdicts = []
    for assignment in index_assignments(case.sample().evaluator().scope, (one, two)):
        verdicts.append(quietly(lambda a=assignment: _verdict(step, kind, (one, two, bound), a, case)))  # type: ignore[misc]
        if verdicts[-1] != HOLDS:
            break
    step.verdict = verdicts[-1] if verdicts else UNDECIDED
    if step.verdict == HOLDS and case.exact:
        _ask_algebra(step, kind, Add(("+", "-"), (one, two)), sizes, case)


def _verdict(step: Step, kind: str, nodes: tuple[Node, Node, Node], assignment: Any, case: Case) -> str:
    """Numeric verdict: how the ratio of the difference to its bound changes when the distance is halved."""
    ratios, resolved = [], []
    for power in _POWERS:
        gap, bound, scale = _at(power, nodes, assignment, case)
        ratios.append(gap / bound)
        resolved.append(gap > _ROUNDING * scale)
    if not all(numpy.isfinite(ratio).all() for ratio in ratios):
        step.reason = "no finite value on the way to the limit; restrict the interpretation"
        return UNDECIDED
    growth = [b / numpy.maximum(a, 1e-300) for a, b in zip(ratios[-4:], ratios[-3:], strict=False)]
    clear = numpy.logical_and.reduce(resolved[-4:])
    grows, rests = (_GROWS, _RESTS) if kind == "O" else (_STAYS, _SHRINKS)
    wrong = clear & numpy.logical_and.reduce([factor > grows for factor in growth])
    doubtful = clear & numpy.logical_and.reduce([factor > rests for factor in growth])
    step.error = float(max(ratio.max() for ratio in ratios[-1:]))
    if wrong.any():
        place = int(numpy.argmax(wrong.any(axis=1)))
        raw = {name: array[place : place + 1] for name, array in case.sample().raw.items()}
        trend = ", ".join(f"{ratio[place].max():.3g}" for ratio in ratios[-4:])
        shown = meanings(case.sample().evaluator(raw), assignment)
        step.counterexample = f"{shown}: ratio to the bound on the way to the limit {trend}"
        return REFUTED
    if doubtful.mean() > 0.05:
        step.reason = "the ratio to the O-term neither rests nor clearly grows on the way to the limit"
        return UNDECIDED
    return HOLDS


def _at(power: int, nodes: tuple[Node, Node, Node], assignment: Any, case: Case) -> tuple[Any, Any, Any]:
    """Difference, bound and size of the terms on the way to the limit, (draws, entries)."""
    sample = case.sample()
    evaluator = sample.evaluator()
    evaluator.scope.symbols.update(assignment)
    variable, place, side = read_limit((_limit_of(case),))
    declared = evaluator.scope.find(key(variable))
    if isinstance(declared, Stored) and not side and not infinite(place):
        negative = isinstance(declared.value, numpy.ndarray) and (declared.value < 0).any()
        side = -1 if negative and power % 2 else 1
    point: Any = (-1 if isinstance(place, Add) else 1) * 2**power
    if not infinite(place):
        shift = (side or 1) * 2.0**-power
        point = Stored(evaluator.algebra.full(evaluator.algebra.add(evaluator.value(place), shift)), 1)
    with evaluator.scope.bound({key(variable): point}):
        values = [flat(evaluator.value(node), sample.count) for node in nodes]
        terms = [values[0], values[1]]
        for node in nodes[:2]:
            terms.extend(evaluator.value(term) for term in (node.terms if isinstance(node, Add) else ()))
    if evaluator.algebra.noise > 1e-9:
        raise UndecidableError("an integral or extremum is not exact enough for a statement about a limit")
    return numpy.abs(values[0] - values[1]), numpy.abs(values[2]), term_scale(terms, sample.count)


def _limit_of(case: Case) -> Node:
    return parse_expression(Source(case.limit, "limit"), case.macros)


def _ask_algebra(step: Step, kind: str, gap: Node, sizes: list[tuple[str, Node]], case: Case) -> None:
    """Prove it by the limit of the ratio: 0 for o, finite for O."""
    size = sizes[0][1] if len(sizes) == 1 else Add(("+",) * len(sizes), tuple(node for _, node in sizes))
    ratio = Big("lim", (_limit_of(case),), None, Frac(gap, size))
    witness = SymbolicWitness(case.model, case.macros, case.source)
    # To the witness an infinite or missing limit is undecidable: a limit that equals itself is finite.
    answer, reason = witness.judge("=", ratio, ratio if kind == "O" else Number("0"))
    step.symbolic = "proved" if answer else f"undecided: {reason}"
    if answer:
        step.verdict = PROVED


def same_but_for_orders(mutant: Node, original: Node, case: Case) -> bool:
    """Whether two sides differ in their O-terms only."""
    return pretty(split(mutant, case)[0]) == pretty(split(original, case)[0])
