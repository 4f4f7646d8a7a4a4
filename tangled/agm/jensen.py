"""Jensen gaps and what is made of them: predictions, decompositions, log-mean-exp, means and bounds.

Conventions of the book: averages run over the last axis, logarithms are natural, a gap is the average of the
function minus the function of the average, hence non-negative for convex functions.
"""

from __future__ import annotations

# book/01-foundations/05-jensens-inequality.qmd § Implementation in PyTorch
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agm.divergence_estimators import Estimate
from agm.numerics import as_number

TensorFunction = Callable[[Tensor], Tensor]


def _check_values(values: Tensor) -> None:
    if not isinstance(values, Tensor) or not values.is_floating_point():
        found = getattr(values, "dtype", type(values).__name__)
        raise TypeError(f"values: expected a floating-point tensor, got {found}")
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"values: expected (..., n) with n >= 1, got shape {tuple(values.shape)}")


def weighted_mean(
    values: Float[Tensor, "*batch n"], weights: Float[Tensor, "*batch n"] | None = None
) -> Float[Tensor, "*batch"]:
    """Average over the last axis.

    Args:
        values: the numbers; where the weight is zero they may be infinite.
        weights: non-negative weights, one for each value, normalised here; equal weights if None. They may
            lack leading axes: then all rows have the same weights.

    Returns:
        The averages.

    Raises:
        TypeError: if the values are no floating-point tensor.
        ValueError: if there is nothing to average, there is not one weight for each value, a weight is
            negative, or all are zero.
    """
    _check_values(values)
    if weights is None:
        return values.mean(-1)
    own = weights.shape[-1:] == values.shape[-1:]
    pairs = zip(reversed(weights.shape), reversed(values.shape), strict=False)
    if not own or weights.ndim > values.ndim or any(size not in (1, other) for size, other in pairs):
        shapes = f"{tuple(weights.shape)} for values of shape {tuple(values.shape)}"
        raise ValueError(f"weights: expected one for each value, got shape {shapes}")
    weights = weights.to(torch.promote_types(weights.dtype, values.dtype))  # whole numbers would wrap around
    total = weights.sum(-1)
    if bool((weights < 0).any()) or bool((total <= 0).any()) or not bool(torch.isfinite(total).all()):
        raise ValueError("weights: expected finite, non-negative weights with a positive sum")
    return (weights * torch.where(weights > 0, values, 0.0)).sum(-1) / total


def jensen_gap(
    values: Float[Tensor, "*batch n"],
    function: TensorFunction,
    weights: Float[Tensor, "*batch n"] | None = None,
    derivative: TensorFunction | None = None,
) -> Float[Tensor, "*batch"]:
    """Average of a function minus the function of the average.

    Args:
        values: points of the function's domain.
        function: applied elementwise; the gap is non-negative if it is convex.
        weights: non-negative weights; equal weights if None.
        derivative: f', if known; makes small gaps more accurate and changes nothing else.

    Returns:
        The gaps.

    Raises:
        ValueError: if the weights are not weights.
    """
    centre = weighted_mean(values, weights).unsqueeze(-1)
    terms = function(values) - function(centre)
    if derivative is not None:
        terms = terms - derivative(centre) * (values - centre)  # @eq-je-bregman
    return weighted_mean(terms, weights)


def second_order_gap(
    values: Float[Tensor, "*batch n"],
    second_derivative: TensorFunction,
    weights: Float[Tensor, "*batch n"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Half the variance times the curvature at the mean (@eq-je-third bounds the error).

    Args:
        values: points of the function's domain.
        second_derivative: f'', elementwise.
        weights: non-negative weights; equal weights if None.

    Returns:
        The predicted gaps.
    """
    centre = weighted_mean(values, weights)
    variance = weighted_mean((values - centre.unsqueeze(-1)) ** 2, weights)
    return 0.5 * second_derivative(centre) * variance


def gap_kernel(
    values: Float[Tensor, "*batch n"],
    thresholds: Float[Tensor, " m"],
    weights: Float[Tensor, "*batch n"] | None = None,
) -> Float[Tensor, "*batch m"]:
    """G(t), the gap of the hinge max(x - t, 0): the gap of f is the integral of f'' times G.

    Args:
        values: the points.
        thresholds: the places t.
        weights: non-negative weights; equal weights if None.

    Returns:
        G at every threshold; its integral over t is half the variance.
    """
    spread = None if weights is None else weights.unsqueeze(-2)
    hinges = torch.relu(values.unsqueeze(-2) - thresholds.unsqueeze(-1))  # (..., m, n)
    centre = weighted_mean(values, weights).unsqueeze(-1)
    return weighted_mean(hinges, spread) - torch.relu(centre - thresholds)  # @eq-je-kernel


# book/01-foundations/05-jensens-inequality.qmd § Implementation in PyTorch
class GapParts(NamedTuple):
    """A gap, split by groups: average gap within groups, and gap of the group means."""

    within: Tensor
    between: Tensor


def gap_parts(values: Float[Tensor, " n"], groups: Int[Tensor, " n"], function: TensorFunction) -> GapParts:
    """Split the gap of equally weighted values into a part within groups and a part between them.

    Args:
        values: points of the function's domain.
        groups: for each value the number of its group, from 0.
        function: applied elementwise.

    Returns:
        The parts; their sum is ``jensen_gap(values, function)``.

    Raises:
        TypeError: if the values are no floating-point tensor.
        ValueError: if there are no values, or the groups are not whole numbers from 0, one for each value.
    """
    _check_values(values)
    whole = not groups.is_floating_point() and groups.dtype != torch.bool
    if values.ndim != 1 or groups.shape != values.shape or not whole or int(groups.min()) < 0:
        raise ValueError(f"groups: expected {len(values)} whole numbers from 0, one per value")
    labels, index, counts = torch.unique(groups, return_inverse=True, return_counts=True)
    shares = counts.to(values.dtype) / len(values)
    means = values.new_zeros(len(labels)).index_add(0, index, values) / counts
    within = (function(values) - function(means)[index]).mean()
    return GapParts(within, jensen_gap(means, function, shares))  # @eq-je-chain


# book/01-foundations/05-jensens-inequality.qmd § Implementation in PyTorch
def log_mean_exp(
    log_values: Float[Tensor, "*batch n"], weights: Float[Tensor, "*batch n"] | None = None
) -> Float[Tensor, "*batch"]:
    """Logarithm of an average, from logarithms, without overflow or underflow.

    Args:
        log_values: logarithms; minus infinity stands for zero.
        weights: non-negative weights; equal weights if None.

    Returns:
        log of the weighted average of ``exp(log_values)``.

    Raises:
        TypeError: if the values are no floating-point tensor.
        ValueError: if there is nothing to average, or the weights are not weights.
    """
    _check_values(log_values)
    if weights is None:
        return torch.logsumexp(log_values, -1) - math.log(log_values.shape[-1])
    weights = weights.to(torch.promote_types(weights.dtype, log_values.dtype))
    total = weighted_mean(torch.ones_like(log_values), weights) * weights.sum(-1)  # checks the weights
    positive = weights > 0
    log_weights = torch.where(positive, torch.log(torch.where(positive, weights, 1.0)), -math.inf)
    return torch.logsumexp(torch.where(positive, log_values, 0.0) + log_weights, -1) - torch.log(total)


def log_gap(
    log_values: Float[Tensor, "*batch n"], weights: Float[Tensor, "*batch n"] | None = None
) -> Float[Tensor, "*batch"]:
    """Log of the mean minus mean of the log: the gap of minus the logarithm, from logarithms.

    Args:
        log_values: logarithms of positive numbers; minus infinity (for zero) makes the gap infinite.
        weights: non-negative weights; equal weights if None.

    Returns:
        The gaps in nats; accurate also when they are tiny.
    """
    centre = weighted_mean(log_values, weights)
    infinite = torch.isinf(centre)
    deviation = log_values - torch.where(infinite, 0.0, centre).unsqueeze(-1)
    near = deviation.abs().amax(-1) < 0.5
    small = torch.where(near.unsqueeze(-1), deviation, 0.0)
    precise = torch.log1p(weighted_mean(torch.expm1(small) - small, weights))
    plain = log_mean_exp(torch.where(infinite.unsqueeze(-1), 0.0, deviation), weights)
    return torch.where(infinite, math.inf, torch.where(near, precise, plain))


class LogGapPredictions(NamedTuple):
    """Second-order predictions of ``log_gap``: from the variance of x, and from that of log x."""

    linear: Tensor
    logarithmic: Tensor


def log_gap_predictions(
    log_values: Float[Tensor, "*batch n"], weights: Float[Tensor, "*batch n"] | None = None
) -> LogGapPredictions:
    """Half the squared coefficient of variation, and half the variance of the logarithms.

    Args:
        log_values: logarithms of positive numbers.
        weights: non-negative weights; equal weights if None.

    Returns:
        Both predictions in nats; the second is exact for lognormal values (@eq-je-tilt).
    """
    excess = log_mean_exp(2 * log_values, weights) - 2 * log_mean_exp(log_values, weights)
    centre = weighted_mean(log_values, weights).unsqueeze(-1)
    return LogGapPredictions(
        0.5 * torch.expm1(excess), 0.5 * weighted_mean((log_values - centre) ** 2, weights)
    )


def spectral_flatness(log_power: Float[Tensor, "*batch bands"]) -> Float[Tensor, "*batch"]:
    """Geometric over arithmetic mean of a power spectrum, in (0, 1] (Gray & Markel, 1974).

    Args:
        log_power: natural logarithm of the power in each band.

    Returns:
        One for a flat spectrum, near zero for a pure tone.
    """
    return torch.exp(-log_gap(log_power))  # @eq-je-am-gm


def power_mean(
    values: Float[Tensor, "*batch n"],
    order: float,
    weights: Float[Tensor, "*batch n"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Power mean of any real order: 1 arithmetic, 0 geometric, -1 harmonic, infinite orders the extremes.

    Args:
        values: positive numbers.
        order: the exponent; plus or minus infinity allowed.
        weights: non-negative weights; equal weights if None.

    Returns:
        The means, which increase with the order; accurate also for orders near zero.

    Raises:
        TypeError: if the values are no floating-point tensor, or the order is no number.
        ValueError: if a value is not positive, the order is not a number, or the weights are not weights.
    """
    _check_values(values)
    order = as_number(order, "order")
    if not bool((values > 0).all()):
        raise ValueError("power_mean: expected positive values; add an offset or drop zeros, and say so")
    if math.isnan(order):
        raise ValueError("order: expected a real number or an infinity, got nan")
    log_values = torch.log(values)
    centre = weighted_mean(log_values, weights)  # checks the weights
    if math.isinf(order):
        sign = math.copysign(1.0, order)
        used = log_values if weights is None else torch.where(weights > 0, log_values, -sign * math.inf)
        return torch.exp(sign * (sign * used).amax(-1))
    if order == 0:
        return torch.exp(centre)
    # Dividing by a small order would magnify rounding errors: divide only what exceeds the geometric mean.
    near = (order * (log_values - centre.unsqueeze(-1))).abs().amax(-1) < 0.5
    inside = torch.where(near.unsqueeze(-1), log_values, 0.0)
    precise = weighted_mean(inside, weights) + log_gap(order * inside, weights) / order
    plain = log_mean_exp(torch.where(near.unsqueeze(-1), 0.0, order * log_values), weights) / order
    return torch.exp(torch.where(near, precise, plain))


# book/01-foundations/05-jensens-inequality.qmd § Implementation in PyTorch
def _group_log_means(log_values: Tensor, size: int) -> Tensor:
    _check_values(log_values)
    n = log_values.shape[-1]
    if not isinstance(size, int) or size < 1 or n < 2 * size:
        raise ValueError(f"size: need at least two groups of whole size, got {n} draws for groups of {size}")
    kept = log_values[..., : n - n % size]
    return log_mean_exp(kept.unflatten(-1, (-1, size)))


def _estimate(terms: Tensor) -> Estimate:
    return Estimate(terms.mean(-1), terms.std(-1) / terms.shape[-1] ** 0.5)


def importance_weighted_bound(log_weights: Float[Tensor, "*batch draws"], size: int) -> Estimate:
    """Importance-weighted bound, E log of an average of ``size`` weights (@eq-je-iwae).

    Args:
        log_weights: log p(x, z) - log q(z) at independent draws z of q; size 1 gives the ELBO.
        size: number K of weights to average inside the logarithm; draws beyond a multiple are dropped.

    Returns:
        The bound, averaged over groups of draws, and its standard error.

    Raises:
        ValueError: if there are fewer than two groups.
    """
    return _estimate(_group_log_means(log_weights, size))


def gap_of_averages(
    log_values: Float[Tensor, "*batch draws"], size: int, log_mean: Float[Tensor, "*batch"]
) -> Estimate:
    """Gap of the logarithm for averages of ``size`` independent draws, when their mean is known.

    Args:
        log_values: logarithms of independent draws of a positive random variable.
        size: number of draws in an average.
        log_mean: logarithm of the variable's expectation.

    Returns:
        log E[X] - E[log of average] and its standard error, with the supporting line as control variate;
        prefer ``importance_weighted_bound`` if the variance is infinite.

    Raises:
        ValueError: if there are fewer than two groups.
    """
    log_ratio = _group_log_means(log_values, size) - log_mean.unsqueeze(-1)
    return _estimate(torch.expm1(log_ratio) - log_ratio)  # @eq-je-bregman for minus the logarithm
