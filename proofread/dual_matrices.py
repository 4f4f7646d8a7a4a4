"""Matrices of dual numbers, with the functions of ``numpy.linalg``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy

from proofread.dual_arrays import swapaxes, trace, tril
from proofread.duals import Dual, axes, highest, joined, plain, split, wide


def matmul(a: Any, b: Any) -> Any:
    """Matrix product."""
    level = highest(a, b)
    if not level:
        return numpy.matmul(a, b)
    (one, rise), (two, climb) = split(a, level), split(b, level)
    left = None if rise is None else matmul(wide(rise, axes(two)), two)
    right = None if climb is None else matmul(one, wide(climb, axes(one)))
    return joined(level, matmul(one, two), left, right)


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
