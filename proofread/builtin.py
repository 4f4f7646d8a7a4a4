"""Functions with a meaning of their own, for both algebras."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import sympy

from proofread.errors import ProofreadError


def _one(name: str) -> Callable[[Any, list[Any]], Any]:
    def evaluate(evaluator: Any, values: list[Any]) -> Any:
        if len(values) != 1:
            raise ProofreadError(f"{name} takes one argument", "check the commas")
        return evaluator.algebra.function(name, values[0])

    return evaluate


def _method(name: str) -> Callable[[Any, list[Any]], Any]:
    def evaluate(evaluator: Any, values: list[Any]) -> Any:
        if len(values) != 1:
            raise ProofreadError(f"the {name} takes one argument", "check the commas")
        return getattr(evaluator.algebra, name)(values[0])

    return evaluate


def _extreme(name: str) -> Callable[[Any, list[Any]], Any]:
    def evaluate(evaluator: Any, values: list[Any]) -> Any:
        algebra = evaluator.algebra
        if len(values) == 1:
            if name == "minimum":
                return algebra.negative(algebra.largest(algebra.negative(values[0])))
            return algebra.largest(values[0])
        result = values[0]
        for value in values[1:]:
            result = getattr(algebra, name)(result, value)
        return result

    return evaluate


def _softmax(evaluator: Any, values: list[Any]) -> Any:
    algebra = evaluator.algebra
    logits = values[0]
    if not algebra.exact and algebra.rank(logits):
        # Less the largest one, so that nothing overflows; the quotient stays the same.
        logits = logits - algebra.widen(algebra.largest(logits))
    weights = algebra.function(r"\exp", logits)
    return algebra.divide(weights, algebra.total(weights))


def _sigmoid(evaluator: Any, values: list[Any]) -> Any:
    algebra = evaluator.algebra
    decay = algebra.function(r"\exp", algebra.negative(values[0]))
    if algebra.rank(decay):
        raise ProofreadError("the sigmoid of a vector", "write it for one entry")
    return algebra.divide(algebra.number("1"), algebra.add(algebra.number("1"), decay))


BUILTIN: dict[str, Callable[[Any, list[Any]], Any]] = {
    **{
        name: _one(name)
        for name in (
            r"\log",
            r"\exp",
            r"\sin",
            r"\cos",
            r"\tan",
            r"\tanh",
            r"\sinh",
            r"\cosh",
            r"\arctan",
            r"\arcsin",
            r"\arccos",
            r"\mathrm{sign}",
        )
    },
    r"\det": _method("determinant"),
    r"\mathrm{tr}": _method("trace"),
    r"\mathrm{Tr}": _method("trace"),
    r"\mathrm{diag}": _method("diagonal"),
    r"\max": _extreme("maximum"),
    r"\min": _extreme("minimum"),
    r"\mathrm{softmax}": _softmax,
    r"\mathrm{sigmoid}": _sigmoid,
}


def gaussian_log_density(algebra: Any, point: Any, mean: Any, variance: Any) -> Any:
    """Logarithm of the normal density at a point.

    Args:
        algebra: numeric or symbolic.
        point: scalar or vector.
        mean: of the same type.
        variance: scalar, or covariance matrix for vectors.

    Returns:
        A scalar.
    """
    quadratic, spread = _gaussian_parts(algebra, point, mean, variance)
    total = algebra.add(quadratic, algebra.function(r"\log", spread))
    return algebra.negative(algebra.divide(total, 2))


def gaussian_density(algebra: Any, point: Any, mean: Any, variance: Any) -> Any:
    """Normal density at a point; arguments as for ``gaussian_log_density``."""
    quadratic, spread = _gaussian_parts(algebra, point, mean, variance)
    half = algebra.divide(algebra.number("1"), 2)
    exponent = algebra.negative(algebra.multiply(half, quadratic))
    return algebra.divide(algebra.function(r"\exp", exponent), algebra.power(spread, half))


def check_moments(algebra: Any, mean: Any, variance: Any) -> None:
    """Refuse a normal distribution whose mean is no number or vector, or whose variance does not fit it.

    Args:
        algebra: numeric or symbolic.
        mean: what stands as mean.
        variance: what stands as variance or covariance.

    Raises:
        ProofreadError: if the types do not fit.
    """
    shape, spread = algebra.shape(mean), algebra.shape(variance)
    if shape and shape[1] != 1:
        raise ProofreadError(
            f"a normal distribution whose mean is {algebra.describe(mean)}", "write a number or a vector"
        )
    if spread and spread != (shape[:1] * 2 or (1, 1)):
        raise ProofreadError(
            f"a normal distribution of {algebra.describe(mean)} and variance {algebra.describe(variance)}",
            "the variance is a number, or a square matrix of the size of the mean",
        )


def _gaussian_parts(algebra: Any, point: Any, mean: Any, variance: Any) -> tuple[Any, Any]:
    """The quadratic form of the offset, and the determinant of 2π times the variance."""
    two_pi = 2 * sympy.pi if algebra.exact else 2 * math.pi
    offset = algebra.add(point, algebra.negative(mean))
    check_moments(algebra, offset, variance)
    if not algebra.rank(offset):
        return algebra.divide(algebra.multiply(offset, offset), variance), algebra.multiply(two_pi, variance)
    size = algebra.shape(offset)[0]
    if not algebra.rank(variance):
        variance = algebra.multiply(variance, algebra.identity(size))
    inverse = algebra.power(variance, -1)
    quadratic = algebra.multiply(algebra.multiply(algebra.transpose(offset), inverse), offset)
    return quadratic, algebra.multiply(two_pi**size, algebra.determinant(variance))
