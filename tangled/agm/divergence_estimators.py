"""Estimating f-divergences from samples: plug-in, bias-corrected and jackknifed histograms, Monte Carlo."""

from __future__ import annotations

# book/01-foundations/02-f-divergence.qmd § Estimators
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Num
from torch import Tensor

from agm.convex_generators import ConvexGenerator, get_generator
from agm.divergences import f_divergence


class Estimate(NamedTuple):
    """An estimate and its standard error."""

    value: Tensor
    standard_error: Tensor


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
        ValueError: if a count is negative or a histogram is empty.
    """
    smoothed = counts.double() + pseudo_count
    total = smoothed.sum(-1, keepdim=True)
    if bool((counts < 0).any()) or bool((total <= 0).any()):
        raise ValueError("counts: every histogram needs non-negative counts and at least one observation")
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
        ValueError: if the generator has a kink.
    """
    generator = get_generator(divergence)
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
        ValueError: if a sample is too small, or an unbounded divergence is asked for without pseudo-counts.
    """
    generator = get_generator(divergence)
    counts_p, counts_q = torch.broadcast_tensors(counts_p.double(), counts_q.double())
    n, m = counts_p.sum(-1), counts_q.sum(-1)
    if bool((n < 2).any()) or bool((m < 2).any()):
        raise ValueError("jackknife needs at least two observations in each sample")
    if generator.largest_value == float("inf") and pseudo_count <= 0:
        raise ValueError(f"{generator.name} can be infinite on a leave-one-out sample; pass pseudo_count > 0")
    full = plug_in(counts_p, counts_q, generator, pseudo_count)
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
    """Unbiased estimate of D_f(p || q) from values of log p(x) - log q(x) at independent draws x.

    Args:
        log_ratio: log p(x) - log q(x) at the draws, at least two of them.
        divergence: a registered name or a generator.
        drawn_from: which of the two distributions the draws come from.
        centred: use the non-negative generator; same expectation, usually less variance.

    Returns:
        Mean and its standard error.

    Raises:
        ValueError: if ``drawn_from`` is neither "p" nor "q".
    """
    if drawn_from not in ("p", "q"):
        raise ValueError(f'drawn_from must be "p" or "q", got {drawn_from!r}')
    generator = get_generator(divergence)
    ratio = torch.exp(log_ratio)
    terms = generator.centred(ratio) if centred else generator.function(ratio)
    if drawn_from == "p":
        terms = terms / ratio  # @eq-fd-centred
    return Estimate(terms.mean(-1), terms.std(-1) / terms.shape[-1] ** 0.5)
