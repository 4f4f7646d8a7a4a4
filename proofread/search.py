"""Searches for violations of inequalities."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from proofread import dual
from proofread.counterexamples import describe
from proofread.errors import ProofreadError
from proofread.tree import Node
from proofread.values import UndecidableError
from proofread.witness import REFUTE, Draws, Values

_STARTS, _STEPS, _ROUNDS = 16, 6, 24
_BLOCK, _CHUNK = 9, 40


def climb(
    left: Node, relation: str, right: Node, sample: Draws, assignment: dict[str, int], values: Values
) -> tuple[float, str] | None:
    """Look for a violation of an inequality where it is closest to one.

    First random steps, then gradient ascent on the slack, both from the worst draws.

    Returns:
        The relative violation and the counterexample, or None.
    """
    if not sample.raw:
        return None
    raw, excess = _starts(left, relation, right, sample, assignment, values)
    best = excess(raw)
    raw, best = _wander(raw, best, excess)
    if best.max(initial=-numpy.inf) <= REFUTE:
        raw, best = _ascend(left, relation, right, sample, assignment, raw, best, excess)
    if best.max(initial=-numpy.inf) <= REFUTE:
        return None
    place = int(numpy.argmax(best))
    one = {name: array[place : place + 1] for name, array in raw.items()}
    return float(best[place]), describe(left, right, sample, assignment, one)


def closest(
    left: Node, relation: str, right: Node, sample: Draws, assignment: dict[str, int], values: Values
) -> tuple[dict[str, Any], float]:
    """Raw draws at which an inequality comes closest to equality, found by random steps.

    Returns:
        The draws, and the smallest slack relative to the size of the terms.
    """
    if not sample.raw:
        return {}, 0.0
    # Beside zero every number is as large as its terms; there it is compared with those of other draws.
    share = 1e-3 if values.left.any() and values.right.any() else 1.0
    raw, excess = _starts(left, relation, right, sample, assignment, values, share)
    raw, best = _wander(raw, excess(raw), excess)
    return raw, float(max(0.0, -best.max(initial=-numpy.inf)))


def _starts(
    left: Node,
    relation: str,
    right: Node,
    sample: Draws,
    assignment: dict[str, int],
    values: Values,
    share: float = 1e-3,
) -> tuple[dict[str, Any], Callable[[dict[str, Any]], Any]]:
    """The draws with the least slack, and a function that gives the relative excess on any draws."""
    from proofread.judge import SMALLEST, evaluate_pair, violations

    error = violations(relation, values)
    worst = numpy.argsort(-numpy.where(numpy.isfinite(error), error, -numpy.inf))[:_STARTS]
    floor = max(share * float(numpy.median(values.scale)), SMALLEST)

    def excess(candidate: dict[str, Any]) -> Any:
        try:
            pair = evaluate_pair(left, right, sample, assignment, candidate)
        except (ProofreadError, UndecidableError):
            return numpy.full(len(worst), -numpy.inf)
        scale = numpy.maximum(pair.scale, floor)
        sign = 1.0 if relation in (r"\le", "<") else -1.0
        gap = (sign * (pair.left - pair.right) / scale).max(axis=1)
        allowed = numpy.isfinite(gap) & (pair.noise < 1e-7)
        if sample.model.constraints:
            allowed &= sample.satisfied(candidate)
        return numpy.where(allowed, gap, -numpy.inf)

    return {name: array[worst] for name, array in sample.raw.items()}, excess


def _wander(
    raw: dict[str, Any], best: Any, excess: Callable[[dict[str, Any]], Any]
) -> tuple[dict[str, Any], Any]:
    """Random steps that are kept where they increase the excess."""
    generator = numpy.random.default_rng(1)
    width = 0.8
    for _ in range(_ROUNDS):
        trial = {name: array + width * generator.standard_normal(array.shape) for name, array in raw.items()}
        value = excess(trial)
        better = value > best
        raw = {name: _choose(better, trial[name], raw[name]) for name in raw}
        best = numpy.where(better, value, best)
        width *= 0.93 if better.mean() < 0.3 else 1.05
    return raw, best


def _choose(better: Any, new: Any, old: Any) -> Any:
    return numpy.where(better.reshape(-1, *(1,) * (old.ndim - 1)), new, old)


def _ascend(
    left: Node,
    relation: str,
    right: Node,
    sample: Draws,
    assignment: dict[str, int],
    raw: dict[str, Any],
    best: Any,
    excess: Callable[[dict[str, Any]], Any],
) -> tuple[dict[str, Any], Any]:
    """Normalised gradient ascent on the slack; steps that do not help are halved."""
    sign = 1.0 if relation in (r"\le", "<") else -1.0

    def slack(point: dict[str, Any]) -> Any:
        evaluator = sample.evaluator(point, dual)
        evaluator.scope.symbols.update(assignment)
        gap = evaluator.algebra.add(evaluator.value(left), evaluator.algebra.negative(evaluator.value(right)))
        return evaluator.algebra.total(gap) * sign

    size = numpy.full(best.shape, 0.5)
    active: list[tuple[str, int]] = []
    for _ in range(_STEPS):
        try:
            active = active or _active(slack, raw)
            arrays = _gradient(slack, raw, active)
        except (ProofreadError, UndecidableError, TypeError, ValueError):
            return raw, best
        length = numpy.sqrt(sum((a.reshape(len(best), -1) ** 2).sum(axis=1) for a in arrays.values())) + 1e-12
        trial = {
            name: raw[name] + arrays[name] * (size / length).reshape(-1, *(1,) * (raw[name].ndim - 1))
            for name in raw
        }
        value = excess(trial)
        better = value > best
        raw = {name: _choose(better, trial[name], raw[name]) for name in raw}
        best = numpy.where(better, value, best)
        size = numpy.where(better, size * 1.3, size * 0.4)
        if best.max(initial=-numpy.inf) > REFUTE:
            break
    return raw, best


def _directions(raw: dict[str, Any], rows: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raw draws with one direction for each row: (name of an array, direction of its flattened entries)."""
    level = dual.new_level()
    points = {}
    for name, array in raw.items():
        slopes = numpy.zeros((len(rows), 1, math.prod(array.shape[1:])))
        for place, (owner, direction) in enumerate(rows):
            if owner == name:
                slopes[place, 0] = direction
        shape = (len(rows), *array.shape)
        wide = numpy.broadcast_to(slopes.reshape(len(rows), 1, *array.shape[1:]), shape)
        points[name] = dual.Dual(level, array, wide)
    return points


def _slopes(slack: Callable[[dict[str, Any]], Any], raw: dict[str, Any], rows: list[tuple[str, Any]]) -> Any:
    """Slopes of the slack along directions, (directions, draws); zero where there is none."""
    count = len(next(iter(raw.values())))
    pieces = []
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        value = slack(_directions(raw, chunk))
        slope = numpy.zeros((len(chunk), 1)) if not isinstance(value, dual.Dual) else value.slope
        pieces.append(numpy.broadcast_to(numpy.nan_to_num(slope), (len(chunk), count)))
    return numpy.concatenate(pieces)


def _active(slack: Callable[[dict[str, Any]], Any], raw: dict[str, Any]) -> list[tuple[str, int]]:
    """Entries of the raw draws that the slack depends on (tables reserve more than they use)."""
    generator = numpy.random.default_rng(3)
    blocks: list[tuple[str, Any]] = []
    for name, array in raw.items():
        entries = math.prod(array.shape[1:])
        for start in range(0, entries, _BLOCK):
            direction = numpy.zeros(entries)
            direction[start : start + _BLOCK] = generator.standard_normal(min(_BLOCK, entries - start))
            blocks.append((name, direction))
    used = numpy.abs(_slopes(slack, raw, blocks)).max(axis=1) > 0
    return [
        (name, int(entry))
        for (name, direction), counts in zip(blocks, used, strict=True)
        if counts
        for entry in numpy.flatnonzero(direction)
    ]


def _gradient(
    slack: Callable[[dict[str, Any]], Any], raw: dict[str, Any], active: list[tuple[str, int]]
) -> dict[str, Any]:
    """The gradient of the slack by the raw draws, draw by draw."""
    arrays = {name: numpy.zeros((len(array), math.prod(array.shape[1:]))) for name, array in raw.items()}
    rows = []
    for name, entry in active:
        direction = numpy.zeros(arrays[name].shape[1])
        direction[entry] = 1.0
        rows.append((name, direction))
    if rows:
        for (name, entry), slope in zip(active, _slopes(slack, raw, rows), strict=True):
            arrays[name][:, entry] = slope
    return {name: array.reshape(raw[name].shape) for name, array in arrays.items()}
