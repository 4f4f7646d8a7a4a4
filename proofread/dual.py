"""Derivatives by dual numbers: an array together with its slopes, on top of NumPy.

This module stands in for ``numpy`` where something is differentiated. A plain array is a constant. A ``Dual``
carries the slopes along some directions; its parts may be ``Dual`` themselves, of a lower level, so that
derivatives nest. Batches stay batches: nothing is compiled, and every draw is differentiated at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy

Elementary = Callable[[Any], Any]
_levels = count(1)


class Dual:
    """An array and its slopes.

    Args:
        level: of the derivative it belongs to; those inside have higher levels.
        base: the value, an array or a ``Dual`` of a lower level.
        slope: the slopes, likewise, with one more axis in front: (directions, *shape of the value).
    """

    __slots__ = ("base", "level", "slope")
    __array_ufunc__ = None  # arrays leave the arithmetic to this class

    def __init__(self, level: int, base: Any, slope: Any) -> None:
        self.level, self.base, self.slope = level, base, slope

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return tuple(self.base.shape)

    @property
    def ndim(self) -> int:
        """Number of axes of the value."""
        return int(self.base.ndim)

    def __getitem__(self, place: Any) -> Dual:
        inner = (slice(None), *place) if isinstance(place, tuple) else (slice(None), place)
        return Dual(self.level, self.base[place], self.slope[inner])

    def reshape(self, *shape: int) -> Dual:
        """The same entries in another shape."""
        return Dual(self.level, self.base.reshape(*shape), self.slope.reshape(self.slope.shape[0], *shape))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As of an array."""
        return sum(self, axis, keepdims)

    def __neg__(self) -> Dual:
        return Dual(self.level, -self.base, -self.slope)

    def __abs__(self) -> Any:
        return abs(self)

    def __add__(self, other: Any) -> Any:
        return _add(self, other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return _add(self, -other)

    def __rsub__(self, other: Any) -> Any:
        return _add(-self, other)

    def __mul__(self, other: Any) -> Any:
        return _multiply(self, other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        return _divide(self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _divide(other, self)

    def __pow__(self, other: Any) -> Any:
        return power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return power(other, self)

    def __lt__(self, other: Any) -> Any:
        return plain(self) < plain(other)

    def __le__(self, other: Any) -> Any:
        return plain(self) <= plain(other)

    def __gt__(self, other: Any) -> Any:
        return plain(self) > plain(other)

    def __ge__(self, other: Any) -> Any:
        return plain(self) >= plain(other)

    def __eq__(self, other: object) -> Any:
        return plain(self) == plain(other)

    def __ne__(self, other: object) -> Any:
        return plain(self) != plain(other)

    __hash__ = None  # type: ignore[assignment]


def new_level() -> int:
    """A level above all that are in use."""
    return next(_levels)


def seeded(value: Any) -> tuple[Dual, int]:
    """A new variable of one direction, and the level of its derivative."""
    level = next(_levels)
    return Dual(level, value, numpy.ones((1, *value.shape))), level


def seeded_entries(value: Any) -> tuple[Dual, int]:
    """A matrix (two last axes) with one direction for each entry, and the level of its derivative."""
    level = next(_levels)
    rows, columns = value.shape[-2:]
    units = numpy.eye(rows * columns).reshape(rows * columns, *(1,) * (value.ndim - 2), rows, columns)
    return Dual(level, value, numpy.broadcast_to(units, (rows * columns, *value.shape))), level


def entries_last(slope: Any, shape: tuple[int, ...]) -> Any:
    """Slopes of a scalar by the entries of a matrix, as a matrix: (\*batch, rows, columns)."""
    return _turned(slope, (*range(1, slope.ndim), 0)).reshape(*slope.shape[1:], *shape)


def jacobian(slope: Any, shape: tuple[int, ...]) -> Any:
    """Slopes of a vector by the entries of a vector (by the first column of a matrix)."""
    columns = slope.reshape(*shape, *slope.shape[1:])[:, 0]
    return _turned(columns[..., 0], (*range(1, columns.ndim - 1), 0))


def slope_of(value: Any, level: int) -> Any:
    """The slopes of a value with the directions in front; None if it does not depend on the variable."""
    return value.slope if isinstance(value, Dual) and value.level == level else None


def plain(value: Any) -> Any:
    """The value without any slopes."""
    while isinstance(value, Dual):
        value = value.base
    return value


def leaves(value: Any, lead: int = 0) -> Iterator[tuple[Any, int]]:
    """All plain arrays in a value, each with the number of axes it has in front of the value's own."""
    if isinstance(value, Dual):
        yield from leaves(value.base, lead)
        yield from leaves(value.slope, lead + 1)
    else:
        yield value, lead


def nested(value: Any) -> bool:
    """Whether a value carries slopes of slopes."""
    return isinstance(value, Dual) and (isinstance(value.base, Dual) or isinstance(value.slope, Dual))


def _level(value: Any) -> int:
    return value.level if isinstance(value, Dual) else 0


def _highest(*values: Any) -> int:
    return sorted(map(_level, values))[-1]


def _split(value: Any, level: int) -> tuple[Any, Any]:
    """Value and slopes (None for a constant) at a level."""
    return (value.base, value.slope) if _level(value) == level else (value, None)


def _axes(value: Any) -> int:
    return 0 if isinstance(value, (int, float)) else int(value.ndim)


def _wide(slope: Any, axes: int) -> Any:
    """Slopes of a value with fewer axes, so that they broadcast like the value itself."""
    missing = axes + 1 - slope.ndim
    return slope.reshape(slope.shape[0], *(1,) * missing, *slope.shape[1:]) if missing > 0 else slope


def _joined(level: int, base: Any, *slopes: Any) -> Any:
    """A value with the sum of some slopes, at its full shape."""
    present = [_wide(slope, base.ndim) for slope in slopes if slope is not None]
    total = present[0]
    for slope in present[1:]:
        total = total + slope
    return Dual(level, base, broadcast_to(total, (total.shape[0], *base.shape)))


def _scaled(slope: Any, factor: Any) -> Any:
    """Slopes times a value (None stays None)."""
    return None if slope is None else _wide(slope, _axes(factor)) * factor


def _add(a: Any, b: Any) -> Any:
    level = _highest(a, b)
    (one, rise), (two, climb) = _split(a, level), _split(b, level)
    return _joined(level, one + two, rise, climb)


def _multiply(a: Any, b: Any) -> Any:
    level = _highest(a, b)
    (one, rise), (two, climb) = _split(a, level), _split(b, level)
    return _joined(level, one * two, _scaled(rise, two), _scaled(climb, one))


def _divide(a: Any, b: Any) -> Any:
    level = _highest(a, b)
    (one, rise), (two, climb) = _split(a, level), _split(b, level)
    inverse = 1.0 / two
    ratio = one * inverse
    return _joined(level, one / two, _scaled(rise, inverse), _scaled(climb, -(ratio * inverse)))


def power(a: Any, b: Any) -> Any:
    """``a`` to the power ``b``."""
    level = _highest(a, b)
    if not level:
        return a**b if isinstance(b, int) else numpy.power(a, b)
    (one, rise), (two, climb) = _split(a, level), _split(b, level)
    result = power(one, two)
    steep = None
    if rise is not None:
        steep = _scaled(rise, two * power(one, two - 1))
    if climb is not None:
        climb = _scaled(climb, result * log(one))
    return _joined(level, result, steep, climb)


def _elementary(name: str, rule: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A function of one array; ``rule(x, y)`` is its slope at x, where it has the value y."""
    operation = getattr(numpy, name)

    def function(a: Any) -> Any:
        if not isinstance(a, Dual):
            return operation(a)
        result = function(a.base)
        return Dual(a.level, result, a.slope * rule(a.base, result))

    return function


log: Elementary = _elementary("log", lambda x, y: 1.0 / x)
exp: Elementary = _elementary("exp", lambda x, y: y)
sin: Elementary = _elementary("sin", lambda x, y: cos(x))
cos: Elementary = _elementary("cos", lambda x, y: -sin(x))
tan: Elementary = _elementary("tan", lambda x, y: 1.0 + y * y)
tanh: Elementary = _elementary("tanh", lambda x, y: 1.0 - y * y)
sinh: Elementary = _elementary("sinh", lambda x, y: cosh(x))
cosh: Elementary = _elementary("cosh", lambda x, y: sinh(x))
arctan: Elementary = _elementary("arctan", lambda x, y: 1.0 / (1.0 + x * x))
arcsin: Elementary = _elementary("arcsin", lambda x, y: 1.0 / sqrt(1.0 - x * x))
arccos: Elementary = _elementary("arccos", lambda x, y: -1.0 / sqrt(1.0 - x * x))
sqrt: Elementary = _elementary("sqrt", lambda x, y: 0.5 / y)
abs: Elementary = _elementary("abs", lambda x, y: sign(x))


def sign(a: Any) -> Any:
    """The sign, which has no slope."""
    return numpy.sign(plain(a))


def logaddexp(a: Any, b: Any) -> Any:
    """The logarithm of the sum of two exponentials."""
    level = _highest(a, b)
    if not level:
        return numpy.logaddexp(a, b)
    (one, rise), (two, climb) = _split(a, level), _split(b, level)
    result = logaddexp(one, two)
    parts = [None if s is None else _scaled(s, exp(x - result)) for s, x in ((rise, one), (climb, two))]
    return _joined(level, result, *parts)


def where(condition: Any, a: Any, b: Any) -> Any:
    """``a`` where the condition holds, else ``b``."""
    level = _highest(a, b)
    if not level:
        return numpy.where(condition, a, b)
    (one, rise), (two, climb) = _split(a, level), _split(b, level)
    base = where(condition, one, two)
    slopes = [0.0 if s is None else _wide(s, base.ndim) for s in (rise, climb)]
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


def broadcast_to(a: Any, shape: tuple[int, ...]) -> Any:
    """As in NumPy."""
    if a.shape == shape:
        return a
    if not isinstance(a, Dual):
        return numpy.broadcast_to(a, shape)
    slope = _wide(a.slope, len(shape))
    return Dual(a.level, broadcast_to(a.base, shape), broadcast_to(slope, (slope.shape[0], *shape)))


def stack(arrays: Sequence[Any], axis: int = 0) -> Any:
    """As in NumPy, for a negative axis."""
    level = _highest(*arrays)
    if not level:
        return numpy.stack(arrays, axis=axis)
    parts = [_split(array, level) for array in arrays]
    directions = next(slope.shape[0] for _, slope in parts if slope is not None)
    shape = numpy.broadcast_shapes(*(base.shape for base, _ in parts))
    slopes = [
        numpy.zeros((directions, *shape))
        if slope is None
        else broadcast_to(_wide(slope, len(shape)), (directions, *shape))
        for _, slope in parts
    ]
    bases = [broadcast_to(base, shape) for base, _ in parts]
    return Dual(level, stack(bases, axis), stack(slopes, axis))


def concatenate(arrays: Sequence[Any], axis: int) -> Any:
    """As in NumPy, for a negative axis."""
    level = _highest(*arrays)
    if not level:
        return numpy.concatenate(arrays, axis=axis)
    parts = [_split(array, level) for array in arrays]
    directions = next(slope.shape[0] for _, slope in parts if slope is not None)
    slopes = [numpy.zeros((directions, *base.shape)) if slope is None else slope for base, slope in parts]
    return Dual(level, concatenate([base for base, _ in parts], axis), concatenate(slopes, axis))


def _shifted(axis: Any) -> Any:
    """An axis of the value as an axis of the slopes."""
    if isinstance(axis, tuple):
        return tuple(_shifted(entry) for entry in axis)
    return axis + 1 if axis >= 0 else axis


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


def sum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """As in NumPy."""
    if not isinstance(a, Dual):
        return numpy.sum(a, axis=axis, keepdims=keepdims)
    axis = tuple(range(a.ndim)) if axis is None else axis
    return Dual(a.level, sum(a.base, axis, keepdims), sum(a.slope, _shifted(axis), keepdims))


def _flattened(a: Any, axis: Any) -> Any:
    """The reduced axes as one last axis."""
    axes = [entry % a.ndim for entry in (axis if isinstance(axis, tuple) else (axis,))]
    kept = [entry for entry in range(a.ndim) if entry not in axes]
    turned = _turned(a, (*kept, *axes))
    return turned.reshape(*(a.shape[entry] for entry in kept), -1)


def _turned(a: Any, order: tuple[int, ...]) -> Any:
    if not isinstance(a, Dual):
        return numpy.transpose(a, order)
    return Dual(a.level, _turned(a.base, order), _turned(a.slope, (0, *(entry + 1 for entry in order))))


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
    return Dual(a.level, base, take_along_axis(a.slope, index[None], _shifted(axis)))


def matmul(a: Any, b: Any) -> Any:
    """Matrix product."""
    level = _highest(a, b)
    if not level:
        return numpy.matmul(a, b)
    (one, rise), (two, climb) = _split(a, level), _split(b, level)
    left = None if rise is None else matmul(_wide(rise, _axes(two)), two)
    right = None if climb is None else matmul(one, _wide(climb, _axes(one)))
    return _joined(level, matmul(one, two), left, right)


def regular(operation: Callable[[Any], Any], a: Any) -> Any:
    """A matrix operation draw by draw where some draw has no result; those become NaN."""
    try:
        return operation(a)
    except numpy.linalg.LinAlgError:
        result = numpy.full(a.shape, numpy.nan)
        for place in numpy.ndindex(*a.shape[:-2]):
            with contextlib.suppress(numpy.linalg.LinAlgError):
                result[place] = operation(a[place])
        return result


def _turn(a: Any) -> Any:
    return swapaxes(a, -1, -2)


def inv(a: Any) -> Any:
    """Inverse matrix."""
    if not isinstance(a, Dual):
        return regular(numpy.linalg.inv, a)
    result = inv(a.base)
    return Dual(a.level, result, -matmul(matmul(result, a.slope), result))


def det(a: Any) -> Any:
    """Determinant."""
    if not isinstance(a, Dual):
        return numpy.linalg.det(a)
    result = det(a.base)
    return Dual(a.level, result, trace(matmul(inv(a.base), a.slope), axis1=-2, axis2=-1) * result)


def matrix_power(a: Any, exponent: int) -> Any:
    """Integer power of a square matrix."""
    if not isinstance(a, Dual) or exponent == 0:
        return numpy.linalg.matrix_power(plain(a), exponent)
    factor = a if exponent > 0 else inv(a)
    result = factor
    for _ in range(1, exponent if exponent > 0 else -exponent):
        result = matmul(result, factor)
    return result


def cholesky(a: Any) -> Any:
    """Lower Cholesky factor."""
    if not isinstance(a, Dual):
        return regular(numpy.linalg.cholesky, a)
    factor = cholesky(a.base)
    inverse = inv(factor)
    change = 0.5 * (a.slope + _turn(a.slope))
    inner = matmul(matmul(inverse, change), _turn(inverse))
    half = numpy.tril(numpy.ones(a.shape[-2:]), -1) + 0.5 * numpy.eye(a.shape[-1])
    return Dual(a.level, factor, matmul(factor, inner * half))


def qr(a: Any) -> tuple[Any, Any]:
    """Factors of a square matrix: an orthogonal and an upper triangular one."""
    if not isinstance(a, Dual):
        factors = numpy.linalg.qr(a)
        return factors[0], factors[1]
    orthogonal, upper = qr(a.base)
    inner = matmul(matmul(_turn(orthogonal), a.slope), inv(upper))
    low = tril(inner, -1)
    turn = low - _turn(low)
    change = matmul(_turn(orthogonal), a.slope) - matmul(turn, upper)
    return Dual(a.level, orthogonal, matmul(orthogonal, turn)), Dual(a.level, upper, change)


linalg = SimpleNamespace(
    inv=inv,
    det=det,
    matrix_power=matrix_power,
    cholesky=cholesky,
    qr=qr,
    LinAlgError=numpy.linalg.LinAlgError,
)
eye, full, isnan, isfinite = numpy.eye, numpy.full, numpy.isnan, numpy.isfinite
logical_and, logical_not, arange = numpy.logical_and, numpy.logical_not, numpy.arange
