"""Derivatives by dual numbers: an array together with its slopes, on top of NumPy.

A plain array is a constant. A ``Dual`` carries the slopes along some directions; its parts may be ``Dual``
themselves, of a lower level, so that derivatives nest. Batches stay batches: every draw at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
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
    return turned(slope, (*range(1, slope.ndim), 0)).reshape(*slope.shape[1:], *shape)


def jacobian(slope: Any, shape: tuple[int, ...]) -> Any:
    """Slopes of a vector by the entries of a vector (by the first column of a matrix)."""
    columns = slope.reshape(*shape, *slope.shape[1:])[:, 0]
    return turned(columns[..., 0], (*range(1, columns.ndim - 1), 0))


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


def without(value: Any, level: int) -> Any:
    """The value without the slopes of this level and those below."""
    if not isinstance(value, Dual):
        return value
    base = without(value.base, level)
    return base if value.level <= level else Dual(value.level, base, without(value.slope, level))


def nested(value: Any) -> bool:
    """Whether a value carries slopes of slopes."""
    return isinstance(value, Dual) and (isinstance(value.base, Dual) or isinstance(value.slope, Dual))


def level_of(value: Any) -> int:
    return value.level if isinstance(value, Dual) else 0


def highest(*values: Any) -> int:
    return sorted(map(level_of, values))[-1]


def split(value: Any, level: int) -> tuple[Any, Any]:
    """Value and slopes (None for a constant) at a level."""
    return (value.base, value.slope) if level_of(value) == level else (value, None)


def axes(value: Any) -> int:
    return 0 if isinstance(value, (int, float)) else int(value.ndim)


def wide(slope: Any, axes: int) -> Any:
    """Slopes of a value with fewer axes, so that they broadcast like the value itself."""
    missing = axes + 1 - slope.ndim
    return slope.reshape(slope.shape[0], *(1,) * missing, *slope.shape[1:]) if missing > 0 else slope


def joined(level: int, base: Any, *slopes: Any) -> Any:
    """A value with the sum of some slopes, at its full shape."""
    present = [wide(slope, base.ndim) for slope in slopes if slope is not None]
    total = present[0]
    for slope in present[1:]:
        total = total + slope
    return Dual(level, base, broadcast_to(total, (total.shape[0], *base.shape)))


def scaled(slope: Any, factor: Any) -> Any:
    """Slopes times a value (None stays None)."""
    return None if slope is None else wide(slope, axes(factor)) * factor


def _add(a: Any, b: Any) -> Any:
    level = highest(a, b)
    (one, rise), (two, climb) = split(a, level), split(b, level)
    return joined(level, one + two, rise, climb)


def _multiply(a: Any, b: Any) -> Any:
    level = highest(a, b)
    (one, rise), (two, climb) = split(a, level), split(b, level)
    return joined(level, one * two, scaled(rise, two), scaled(climb, one))


def _divide(a: Any, b: Any) -> Any:
    level = highest(a, b)
    (one, rise), (two, climb) = split(a, level), split(b, level)
    inverse = 1.0 / two
    ratio = one * inverse
    return joined(level, one / two, scaled(rise, inverse), scaled(climb, -(ratio * inverse)))


def power(a: Any, b: Any) -> Any:
    """``a`` to the power ``b``."""
    level = highest(a, b)
    if not level:
        return a**b if isinstance(b, int) else numpy.power(a, b)
    (one, rise), (two, climb) = split(a, level), split(b, level)
    result = power(one, two)
    steep = None
    if rise is not None:
        steep = scaled(rise, two * power(one, two - 1))
    if climb is not None:
        climb = scaled(climb, result * log(one))
    return joined(level, result, steep, climb)


def elementary(name: str, rule: Callable[[Any, Any], Any]) -> Callable[[Any], Any]:
    """A function of one array; ``rule(x, y)`` is its slope at x, where it has the value y."""
    operation = getattr(numpy, name)

    def function(a: Any) -> Any:
        if not isinstance(a, Dual):
            return operation(a)
        result = function(a.base)
        return Dual(a.level, result, a.slope * rule(a.base, result))

    return function


log: Elementary = elementary("log", lambda x, y: 1.0 / x)
exp: Elementary = elementary("exp", lambda x, y: y)
sin: Elementary = elementary("sin", lambda x, y: cos(x))
cos: Elementary = elementary("cos", lambda x, y: -sin(x))
tan: Elementary = elementary("tan", lambda x, y: 1.0 + y * y)
tanh: Elementary = elementary("tanh", lambda x, y: 1.0 - y * y)
sinh: Elementary = elementary("sinh", lambda x, y: cosh(x))
cosh: Elementary = elementary("cosh", lambda x, y: sinh(x))
arctan: Elementary = elementary("arctan", lambda x, y: 1.0 / (1.0 + x * x))
arcsin: Elementary = elementary("arcsin", lambda x, y: 1.0 / sqrt(1.0 - x * x))
arccos: Elementary = elementary("arccos", lambda x, y: -1.0 / sqrt(1.0 - x * x))
sqrt: Elementary = elementary("sqrt", lambda x, y: 0.5 / y)
abs: Elementary = elementary("abs", lambda x, y: sign(x))


def sign(a: Any) -> Any:
    """The sign, which has no slope."""
    return numpy.sign(plain(a))


def broadcast_to(a: Any, shape: tuple[int, ...]) -> Any:
    """As in NumPy."""
    if a.shape == shape:
        return a
    if not isinstance(a, Dual):
        return numpy.broadcast_to(a, shape)
    slope = wide(a.slope, len(shape))
    return Dual(a.level, broadcast_to(a.base, shape), broadcast_to(slope, (slope.shape[0], *shape)))


def turned(a: Any, order: tuple[int, ...]) -> Any:
    if not isinstance(a, Dual):
        return numpy.transpose(a, order)
    return Dual(a.level, turned(a.base, order), turned(a.slope, (0, *(entry + 1 for entry in order))))


def shifted(axis: Any) -> Any:
    """An axis of the value as an axis of the slopes."""
    if isinstance(axis, tuple):
        return tuple(shifted(entry) for entry in axis)
    return axis + 1 if axis >= 0 else axis


def sum(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """As in NumPy."""
    if not isinstance(a, Dual):
        return numpy.sum(a, axis=axis, keepdims=keepdims)
    axis = tuple(range(a.ndim)) if axis is None else axis
    return Dual(a.level, sum(a.base, axis, keepdims), sum(a.slope, shifted(axis), keepdims))
