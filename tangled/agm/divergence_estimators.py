"""Estimating f-divergences from samples: plug-in, bias-corrected and jackknifed histograms, Monte Carlo."""

from __future__ import annotations

# book/01-foundations/02-f-divergence.qmd § Estimators
import math
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor

from agm.convex_generators import ConvexGenerator, get_generator
from agm.divergences import check_distributions, f_divergence


class Estimate(NamedTuple):
    """An estimate and its standard error."""

    value: Tensor
    standard_error: Tensor


def _check_counts(counts: Tensor, name: str) -> None:
    if not isinstance(counts, Tensor):
        raise TypeError(f"{name}: expected a torch.Tensor of counts, got {type(counts).__name__}")
    if counts.ndim == 0 or counts.dtype == torch.bool or counts.is_complex():
        found = f"{counts.dtype} of shape {tuple(counts.shape)}"
        raise ValueError(f"{name}: expected real counts (..., cells), got {found}")
    if not bool(torch.isfinite(counts).all()) or bool((counts < 0).any()):
        raise ValueError(f"{name}: every histogram needs finite, non-negative counts")


def frequencies(
    counts: Num[Tensor, "*batch cells"], pseudo_count: float = 0.0
) -> Float[Tensor, "*batch cells"]:
    """Relative frequencies of counts, in float64.

    Args:
        counts: non-negative counts per cell.
        pseudo_count: added to every cell first.

    Returns:
        Probabilities.

    Raises:
        TypeError: if the counts are not a tensor.
        ValueError: if a count is negative or not finite, or a histogram is empty.
    """
    _check_counts(counts, "counts")
    if not 0 <= pseudo_count < math.inf:
        raise ValueError(f"pseudo_count must be non-negative and finite, got {pseudo_count}")
    smoothed = counts.double() + pseudo_count
    total = smoothed.sum(-1, keepdim=True)
    if bool((total <= 0).any()):
        raise ValueError("counts: every histogram needs at least one observation, or a pseudo-count")
    return smoothed / total


def plug_in(
    counts_p: Num[Tensor, "*batch cells"],
    counts_q: Num[Tensor, "*batch cells"],
    divergence: str | ConvexGenerator = "kl",
    pseudo_count: float = 0.0,
) -> Float[Tensor, "*batch"]:
    """Divergence between two histograms; without pseudo-counts it is biased upwards (@thm-fd-bias)."""
    return f_divergence(frequencies(counts_p, pseudo_count), frequencies(counts_q, pseudo_count), divergence)


# book/01-foundations/02-f-divergence.qmd § Estimators
def delta_bias(
    p: Float[Tensor, "*batch cells"],
    q: Float[Tensor, "*batch cells"],
    n: Num[Tensor, "*batch"] | int,
    m: Num[Tensor, "*batch"] | int,
    divergence: str | ConvexGenerator = "kl",
) -> Float[Tensor, "*batch"]:
    """Second-order bias of the plug-in estimate, summed over the cells where both distributions are positive.

    Args:
        p: first distribution (true or estimated).
        q: second distribution.
        n: number of draws from p.
        m: number of draws from q.
        divergence: a registered name or a generator with a second derivative.

    Returns:
        The bias, of order cells / n + cells / m.

    Raises:
        TypeError: if a distribution is not a tensor.
        ValueError: if the generator has a kink, a distribution is none, or a number of draws is not positive.
    """
    generator = get_generator(divergence)
    check_distributions(p=p, q=q)
    if any(bool((torch.as_tensor(draws) <= 0).any()) for draws in (n, m)):
        raise ValueError("n, m: the numbers of draws must be positive")
    if generator.second_derivative is None:
        raise ValueError(f"{generator.name} has a kink and no delta correction; use jackknife or plug_in")
    both = (p > 0) & (q > 0)
    ratio = torch.where(both, p, 1.0) / torch.where(both, q, 1.0)
    curvature = torch.where(both, ratio * generator.second_derivative(ratio), 0.0)
    from_p = (curvature * (1 - p)).sum(-1)
    from_q = (curvature * ratio * (1 - q)).sum(-1)
    return from_p / (2 * n) + from_q / (2 * m)  # @eq-fd-delta


def bias_corrected(
    counts_p: Num[Tensor, "*batch cells"],
    counts_q: Num[Tensor, "*batch cells"],
    divergence: str | ConvexGenerator = "kl",
    pseudo_count: float = 0.0,
) -> Float[Tensor, "*batch"]:
    """Plug-in estimate minus its estimated second-order bias (generalises Miller, 1955); may be negative."""
    p, q = frequencies(counts_p, pseudo_count), frequencies(counts_q, pseudo_count)
    bias = delta_bias(p, q, counts_p.sum(-1), counts_q.sum(-1), divergence)
    return f_divergence(p, q, divergence) - bias


# book/01-foundations/02-f-divergence.qmd § Estimators
def _leave_one_out(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Histograms (..., cells, cells) that lack one observation of cell i, and the weight of each."""
    fewer = counts.unsqueeze(-2) - torch.diag_embed((counts > 0).to(counts))
    return fewer, counts / counts.sum(-1, keepdim=True)


def jackknife(
    counts_p: Num[Tensor, "*batch cells"],
    counts_q: Num[Tensor, "*batch cells"],
    divergence: str | ConvexGenerator = "kl",
    pseudo_count: float = 0.0,
) -> Estimate:
    """Two-sample jackknife: first-order bias removed, with a standard error; cost and memory cells**2.

    Args:
        counts_p: counts of the first sample, at least two observations.
        counts_q: counts of the second sample, at least two observations.
        divergence: a registered name or a generator.
        pseudo_count: added to every cell; must be positive if the divergence can be infinite.

    Returns:
        Estimate and standard error.

    Raises:
        TypeError: if the counts are not tensors.
        ValueError: if a sample is too small, the counts are not whole numbers or do not fit together, or an
            unbounded divergence is asked for without pseudo-counts.
    """
    generator = get_generator(divergence)
    for name, counts in (("counts_p", counts_p), ("counts_q", counts_q)):
        _check_counts(counts, name)
        if counts.is_floating_point() and bool((counts != counts.round()).any()):
            raise ValueError(f"{name}: the jackknife leaves out single observations; give whole numbers")
    full = plug_in(counts_p, counts_q, generator, pseudo_count)
    counts_p, counts_q = torch.broadcast_tensors(counts_p.double(), counts_q.double())
    n, m = counts_p.sum(-1), counts_q.sum(-1)
    if bool((n < 2).any()) or bool((m < 2).any()):
        raise ValueError("jackknife needs at least two observations in each sample")
    if generator.largest_value == float("inf") and pseudo_count <= 0:
        raise ValueError(f"{generator.name} can be infinite on a leave-one-out sample; pass pseudo_count > 0")
    fewer_p, weight_p = _leave_one_out(counts_p)
    fewer_q, weight_q = _leave_one_out(counts_q)
    without_p = plug_in(fewer_p, counts_q.unsqueeze(-2), generator, pseudo_count)
    without_q = plug_in(counts_p.unsqueeze(-2), fewer_q, generator, pseudo_count)
    mean_p, mean_q = (weight_p * without_p).sum(-1), (weight_q * without_q).sum(-1)
    value = full - (n - 1) * (mean_p - full) - (m - 1) * (mean_q - full)  # @eq-fd-jackknife
    variance_p = (n - 1) * (weight_p * (without_p - mean_p.unsqueeze(-1)) ** 2).sum(-1)
    variance_q = (m - 1) * (weight_q * (without_q - mean_q.unsqueeze(-1)) ** 2).sum(-1)
    return Estimate(value, torch.sqrt(variance_p + variance_q))


# book/01-foundations/02-f-divergence.qmd § Estimators
def monte_carlo(
    log_ratio: Float[Tensor, "*batch draws"],
    divergence: str | ConvexGenerator = "kl",
    *,
    drawn_from: Literal["p", "q"] = "q",
    centred: bool = True,
) -> Estimate:
    """Estimate D_f(p || q) from values of log p(x) - log q(x) at independent draws x.

    Unbiased if draws can come from everywhere: from p they must reach all of q's mass (unless f(0), less
    f'(1) if centred, is zero), from q all of p's.

    Args:
        log_ratio: log p(x) - log q(x) at the draws, at least two of them; minus infinity where p vanishes at
            a draw of q, plus infinity where q vanishes at a draw of p.
        divergence: a registered name or a generator.
        drawn_from: which of the two distributions the draws come from.
        centred: use the non-negative generator; same expectation, usually less variance.

    Returns:
        Mean and its standard error, which is infinite if the mean is.

    Raises:
        TypeError: if ``log_ratio`` is not a tensor.
        ValueError: if ``drawn_from`` is neither "p" nor "q", or a log-ratio is impossible.
    """
    if drawn_from not in ("p", "q"):
        raise ValueError(f'drawn_from must be "p" or "q", got {drawn_from!r}')
    generator = get_generator(divergence)
    if not isinstance(log_ratio, Tensor):
        raise TypeError(f"log_ratio: expected a torch.Tensor, got {type(log_ratio).__name__}")
    if not log_ratio.is_floating_point() or log_ratio.ndim == 0 or log_ratio.shape[-1] < 2:
        found = f"{log_ratio.dtype} of shape {tuple(log_ratio.shape)}"
        raise ValueError(f"log_ratio: expected at least two floating-point values (..., draws), got {found}")
    sign = 1.0 if drawn_from == "q" else -1.0
    if bool(torch.isnan(log_ratio).any()) or bool((sign * log_ratio == math.inf).any()):
        raise ValueError(f"log_ratio: nan, or the density of {drawn_from} vanishes at one of its own draws")
    finite = torch.isfinite(log_ratio)
    safe = torch.where(finite, log_ratio, 0.0)
    limits = torch.finfo(safe.dtype)
    other = torch.exp(sign * safe).clamp(limits.tiny, limits.max / 8)  # r, or 1 / r
    unit = torch.ones_like(other)
    p, q = (other, unit) if drawn_from == "q" else (unit, other)
    terms = generator.perspective(p, q, safe)
    price = generator.value_at_zero if drawn_from == "q" else generator.slope_at_infinity
    if centred:
        slope = generator.derivative_at_one
        terms = terms - slope * sign * torch.expm1(sign * safe).clamp(max=limits.max / 8)  # @eq-fd-centred
        price = price + sign * slope
    terms = torch.where(finite, terms, price)
    value = terms.mean(-1)
    error = torch.where(torch.isinf(value), math.inf, terms.std(-1) / terms.shape[-1] ** 0.5)
    return Estimate(value, error)
