"""Bounds on the evidence, made of log-weights: ELBO, importance-weighted bound, likelihood with its error.

A log-weight is ``log p(x, z) - log q(z | x)`` for a draw z of q. Log-weights carry an axis of draws beside
the axes of the batch: the first one by convention, and by default.
"""

from __future__ import annotations

# book/03-latent/17-elbo.qmd § Bounds from log-weights
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


def _count_draws(values: Tensor, dim: int) -> int:
    if not isinstance(values, Tensor) or not isinstance(dim, int):
        found = f"{type(values).__name__} and axis {dim!r}"
        raise TypeError(f"log_weights: expected a tensor and one axis as an integer, got {found}")
    if values.ndim == 0 or not values.is_floating_point():
        found = f"{values.dtype} of shape {tuple(values.shape)}"
        raise ValueError(f"log_weights: expected a floating-point tensor with an axis of draws, got {found}")
    if not -values.ndim <= dim < values.ndim or values.shape[dim] == 0:
        raise ValueError(f"log_weights: no draws on axis {dim} of shape {tuple(values.shape)}; name another")
    return values.shape[dim]


def elbo(log_weights: Float[Tensor, "*shape"], dim: int = 0) -> Float[Tensor, "*rest"]:
    """Monte Carlo ELBO: the mean of the log-weights over the axis of draws (@eq-eb-elbo).

    Args:
        log_weights: log p(x, z) - log q(z | x) at draws z of q, in nats.
        dim: the axis of draws.

    Returns:
        One unbiased estimate of the ELBO for each entry of the other axes.

    Raises:
        ValueError: if there is no such axis, or no draw along it.
    """
    _count_draws(log_weights, dim)
    return log_weights.mean(dim)


def iwae_bound(log_weights: Float[Tensor, "*shape"], dim: int = 0) -> Float[Tensor, "*rest"]:
    """Importance-weighted bound: the log of the mean weight (Burda, Grosse & Salakhutdinov, 2016).

    Args:
        log_weights: log p(x, z) - log q(z | x) at K draws z of q, in nats.
        dim: the axis of draws, whose length is K.

    Returns:
        ``logsumexp - log K`` over that axis, an unbiased estimate of the K-sample bound (@eq-eb-iwae).
        Minus infinity, with a gradient of nan, where all weights are zero.

    Raises:
        ValueError: if there is no such axis, or no draw along it.
    """
    count = _count_draws(log_weights, dim)
    return torch.logsumexp(log_weights, dim) - math.log(count)


def effective_sample_size(log_weights: Float[Tensor, "*shape"], dim: int = 0) -> Float[Tensor, "*rest"]:
    """Squared sum of the weights over the sum of their squares, between 1 and K (Kong, Liu & Wong, 1994).

    Args:
        log_weights: log p(x, z) - log q(z | x) at K draws z of q; any constant may be added.
        dim: the axis of draws.

    Returns:
        K if all weights are equal, 1 if one of them outweighs all others; nan if all are zero.

    Raises:
        ValueError: if there is no such axis, or no draw along it.
    """
    _count_draws(log_weights, dim)
    weights = torch.exp(log_weights - log_weights.detach().amax(dim, keepdim=True))  # the largest is one
    return weights.sum(dim) ** 2 / weights.square().sum(dim)  # @eq-eb-ess


def signal_to_noise(gradients: Float[Tensor, "*shape"], dim: int = 0) -> Float[Tensor, "*rest"]:
    """Absolute mean over standard deviation of repeated gradient estimates (Rainforth et al., 2018).

    Args:
        gradients: independent estimates of a gradient along one axis.
        dim: the axis of repetitions, of length at least two.

    Returns:
        The ratio for each component: infinite where all estimates are the same, nan where all are zero.

    Raises:
        ValueError: if there are fewer than two repetitions.
    """
    if _count_draws(gradients, dim) < 2:
        raise ValueError(f"gradients: one estimate along axis {dim} has no spread; repeat it")
    return gradients.mean(dim).abs() / gradients.std(dim)


# book/03-latent/17-elbo.qmd § Bounds from log-weights
class ImportanceEstimate(NamedTuple):
    """Estimated log p(x) for each example, and how far to trust it.

    Attributes:
        log_likelihood: the K-sample bound, in nats; below log p(x) on average.
        standard_error: of ``log_likelihood``, by the delta method; honest only if the two below are healthy.
        effective_sample_size: between 1 and K.
        largest_share: part of the sum of weights that comes from the largest of them.
    """

    log_likelihood: Tensor
    standard_error: Tensor
    effective_sample_size: Tensor
    largest_share: Tensor


@torch.no_grad()
def importance_log_likelihood(
    draw_log_weights: Callable[[int], Float[Tensor, "draws *batch"]], n_draws: int, chunk: int = 100
) -> ImportanceEstimate:
    """Estimate log p(x) from many draws, a few at a time: memory does not grow with ``n_draws``.

    Args:
        draw_log_weights: called with a number k, draws k fresh z from q for every example and returns the
            log-weights, draws first: ``(k, *batch)``.
        n_draws: K, the number of draws for each example, at least 2.
        chunk: the largest k asked for at once.

    Returns:
        Estimates of shape ``batch``. How the draws are cut into chunks changes nothing but rounding.
        Where all weights are zero the estimate is minus infinity and its diagnostics are nan.

    Raises:
        ValueError: if a number is out of range, the shape is wrong or changes between chunks, or a log-weight
            is nan or plus infinity.
    """
    if n_draws < 2 or chunk < 1:
        raise ValueError(f"expected n_draws >= 2 and chunk >= 1, got {n_draws} and {chunk}")
    log_sum = log_sum_of_squares = log_largest = reference = None
    for start in range(0, n_draws, chunk):
        size = min(chunk, n_draws - start)
        log_weights = draw_log_weights(size)
        if log_weights.ndim == 0 or log_weights.shape[0] != size:
            raise ValueError(f"asked for {size} draws, got log-weights of shape {tuple(log_weights.shape)}")
        if bool((log_weights.isnan() | (log_weights == math.inf)).any()):
            raise ValueError(f"nan or +inf among log-weights {start} to {start + size - 1}; check q and p")
        largest = log_weights.amax(0)
        if reference is None:  # weights relative to an early one: logarithms of thousands lack digits
            reference = largest.nan_to_num(neginf=0.0)
        if log_weights.shape[1:] != reference.shape:
            shapes = f"{tuple(reference.shape)} and {tuple(log_weights.shape[1:])}"
            raise ValueError(f"the batch of log-weights changed between chunks: {shapes}")
        log_weights, largest = log_weights - reference, largest - reference
        first, second = torch.logsumexp(log_weights, 0), torch.logsumexp(2 * log_weights, 0)
        if log_sum is None or log_sum_of_squares is None or log_largest is None:
            log_sum, log_sum_of_squares, log_largest = first, second, largest
        else:
            log_sum = torch.logaddexp(log_sum, first)
            log_sum_of_squares = torch.logaddexp(log_sum_of_squares, second)
            log_largest = torch.maximum(log_largest, largest)
    assert log_sum is not None and log_sum_of_squares is not None and log_largest is not None
    assert reference is not None
    size_ratio = torch.exp(2 * log_sum - log_sum_of_squares)
    variance = (1 / size_ratio - 1 / n_draws).clamp(min=0) * n_draws / (n_draws - 1)  # @eq-eb-delta
    return ImportanceEstimate(
        reference + log_sum - math.log(n_draws),
        variance.sqrt(),
        size_ratio,
        torch.exp(log_largest - log_sum),
    )
