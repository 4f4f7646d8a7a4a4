"""Choices, joins, sums and extrema of dual numbers, named as in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from proofread.duals import (
    Dual,
    broadcast_to,
    exp,
    highest,
    joined,
    plain,
    scaled,
    shifted,
    split,
    turned,
    wide,
)


def logaddexp(a: Any, b: Any) -> Any:
    """The logarithm of the sum of two exponentials."""
    level = highest(a, b)
    if not level:
        return numpy.logaddexp(a, b)
    (one, rise), (two, climb) = split(a, level), split(b, level)
    result = logaddexp(one, two)
    parts = [None if s is None else scaled(s, exp(x - result)) for s, x in ((rise, one), (climb, two))]
    return joined(level, result, *parts)


def where(condition: Any, a: Any, b: Any) -> Any:
    """``a`` where the condition holds, else ``b``."""
    level = highest(a, b)
    if not level:
        return numpy.where(condition, a, b)
    (one, rise), (two, climb) = split(a, level), split(b, level)
    base = where(condition, one, two)
    slopes = [0.0 if s is None else wide(s, base.ndim) for s in (rise, climb)]
    slope = where(condition, *slopes)
    return Dual(level, base, broadcast_to(slope, (slope.shape[0], *base.shape)))


def maximum(a: Any, b: Any) -> Any:
    """The larger of two, entry by entry."""
    if not isinstance(a, Dual) and not isinstance(b, Dual):
        return numpy.maximum(a, b)
    one, two = plain(a), plain(b)
    return where((one >= two) | numpy.isnan(one), a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two, entry by entry."""
    return -maximum(-a, -b)


def asarray(a: Any, dtype: Any = None) -> Any:
    """An array; a ``Dual`` stays as it is."""
    return a if isinstance(a, Dual) else numpy.asarray(a, dtype=dtype)


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """As in NumPy, for a negative axis."""
    level = highest(*arrays)
    if not level:
        return numpy.stack(arrays, axis=axis)
    parts = [split(array, level) for array in arrays]
    directions = next(slope.shape[0] for _, slope in parts if slope is not None)
    shape = numpy.broadcast_shapes(*(base.shape for base, _ in parts))
    slopes = [
        numpy.zeros((directions, *shape))
        if slope is None
        else broadcast_to(wide(slope, len(shape)), (directions, *shape))
        for _, slope in parts
    ]
    bases = [broadcast_to(base, shape) for base, _ in parts]
    return Dual(level, stack(bases, axis), stack(slopes, axis))


def concatenate(arrays: Sequence[Any], axis: int) -> Any:
    """As in NumPy, for a negative axis."""
    level = highest(*arrays)
    if not level:
        return numpy.concatenate(arrays, axis=axis)
    parts = [split(array, level) for array in arrays]
    directions = next(slope.shape[0] for _, slope in parts if slope is not None)
    slopes = [numpy.zeros((directions, *base.shape)) if slope is None else slope for base, slope in parts]
    return Dual(level, concatenate([base for base, _ in parts], axis), concatenate(slopes, axis))


def _linear(name: str) -> Callable[..., Any]:
    """A linear operation that keeps to the last two axes, or to those it is told."""
    operation = getattr(numpy, name)

    def function(a: Any, *places: int, **named: int) -> Any:
        if not isinstance(a, Dual):
            return operation(a, *places, **named)
        return Dual(a.level, function(a.base, *places, **named), function(a.slope, *places, **named))

    return function


swapaxes = _linear("swapaxes")
trace = _linear("trace")
diagonal = _linear("diagonal")
tril = _linear("tril")


def _flattened(a: Any, axis: Any) -> Any:
    """The reduced axes as one last axis."""
    axes = [entry % a.ndim for entry in (axis if isinstance(axis, tuple) else (axis,))]
    kept = [entry for entry in range(a.ndim) if entry not in axes]
    last = turned(a, (*kept, *axes))
    return last.reshape(*(a.shape[entry] for entry in kept), -1)


def prod(a: Any, axis: Any) -> Any:
    """As in NumPy."""
    if not isinstance(a, Dual):
        return numpy.prod(a, axis=axis)
    flat = _flattened(a, axis)
    result = flat[..., 0]
    for place in range(1, flat.shape[-1]):
        result = result * flat[..., place]
    return result


def max(a: Any, axis: Any) -> Any:
    """As in NumPy."""
    if not isinstance(a, Dual):
        return numpy.max(a, axis=axis)
    flat = _flattened(a, axis)
    index = numpy.argmax(plain(flat), axis=-1)[..., None]
    return take_along_axis(flat, index, axis=-1)[..., 0]


def min(a: Any, axis: Any) -> Any:
    """As in NumPy."""
    return -max(-a, axis=axis)


def take_along_axis(a: Any, index: Any, axis: int) -> Any:
    """As in NumPy; the index is a plain array."""
    if not isinstance(a, Dual):
        return numpy.take_along_axis(a, index, axis=axis)
    base = take_along_axis(a.base, index, axis)
    return Dual(a.level, base, take_along_axis(a.slope, index[None], shifted(axis)))
