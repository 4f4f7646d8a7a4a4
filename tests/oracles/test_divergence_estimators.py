"""``agm.divergence_estimators`` against SciPy, scikit-learn's leave-one-out and JAX's second derivatives."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from agm.divergence_estimators import bias_corrected, delta_bias, frequencies, jackknife, monte_carlo, plug_in
from scipy import special, stats
from scipy.spatial import distance
from sklearn.model_selection import LeaveOneOut

from tests.oracles.inputs import SEEDS, agree, integers, numbers, simplex, tensor

each_seed = pytest.mark.parametrize("seed", SEEDS)


def counts(seed: int, rows: int = 6, cells: int = 5) -> tuple[np.ndarray, np.ndarray]:
    generator = numbers(seed)
    return generator.integers(0, 8, (rows, cells)) + np.eye(cells, dtype=int)[0], generator.integers(
        1, 9, (rows, cells)
    )


@each_seed
@pytest.mark.parametrize("pseudo_count", [0.0, 0.5])
def test_plug_in_is_the_entropy_of_counts(seed: int, pseudo_count: float) -> None:
    n, m = counts(seed)
    oracle = stats.entropy(n + pseudo_count, m + pseudo_count, axis=1)  # SciPy normalises
    agree(plug_in(integers(n), integers(m), "kl", pseudo_count), oracle)
    metric = distance.jensenshannon(n + pseudo_count, m + pseudo_count, axis=1)
    agree(plug_in(integers(n), integers(m), "jensen_shannon", pseudo_count), metric**2)


def test_frequencies_are_those_of_numpy() -> None:
    sample = numbers(0).integers(0, 6, size=100)
    density, _ = np.histogram(sample, bins=np.arange(8), density=True)
    agree(frequencies(integers(np.bincount(sample, minlength=7))), density)


DIVERGENCES = {
    "kl": lambda p, q: jax.scipy.special.rel_entr(p, q).sum(),
    "jensen_shannon": lambda p, q: (
        0.5 * (jax.scipy.special.rel_entr(p, (p + q) / 2) + jax.scipy.special.rel_entr(q, (p + q) / 2)).sum()
    ),
    "pearson": lambda p, q: (p**2 / q).sum() - 1,
    "neyman": lambda p, q: (q**2 / p).sum() - 1,
    "squared_hellinger": lambda p, q: 1 - jnp.sqrt(p * q).sum(),
    "le_cam": lambda p, q: 1 - 2 * (p * q / (p + q)).sum(),
}


HESSIANS = {
    name: jax.jit(lambda p, q, f=f: [jax.hessian(f, i)(p, q) for i in (0, 1)])
    for name, f in DIVERGENCES.items()
}


@each_seed
@pytest.mark.parametrize("name", DIVERGENCES)
def test_bias_is_half_the_trace_of_curvature_times_covariance(seed: int, name: str) -> None:
    """The general delta method, with JAX's Hessian and SciPy's covariance of multinomial counts."""
    p, q = simplex(seed, 1, 5)[0], simplex(seed + 10, 1, 5)[0]
    n, m = 30, 47
    curvature = HESSIANS[name](p, q)
    covariance = [stats.multinomial.cov(n, p) / n**2, stats.multinomial.cov(m, q) / m**2]
    oracle = sum(0.5 * np.trace(np.asarray(h) @ c) for h, c in zip(curvature, covariance, strict=True))
    agree(delta_bias(tensor(p), tensor(q), n, m, name), oracle, rtol=1e-8)


@each_seed
def test_corrected_estimate_subtracts_the_bias_of_the_frequencies(seed: int) -> None:
    n, m = counts(seed, rows=1)
    n = n[0] + 1
    p, q = n / n.sum(), m[0] / m.sum()
    hessians = HESSIANS["kl"](p, q)
    covariances = [stats.multinomial.cov(k.sum(), k / k.sum()) / k.sum() ** 2 for k in (n, m[0])]
    bias = sum(0.5 * np.trace(np.asarray(h) @ c) for h, c in zip(hessians, covariances, strict=True))
    agree(bias_corrected(integers(n), integers(m[0])), stats.entropy(n, m[0]) - bias, rtol=1e-9)


@each_seed
@pytest.mark.parametrize("pseudo_count", [0.0, 0.5])
def test_jackknife_is_leave_one_out_over_the_draws(seed: int, pseudo_count: float) -> None:
    generator = numbers(seed)
    cells = 4
    draws = [generator.integers(0, cells, 13), generator.integers(0, cells, 17)]

    def estimate(x: np.ndarray, y: np.ndarray) -> float:
        n, m = (np.bincount(z, minlength=cells) + pseudo_count for z in (x, y))
        return float(distance.jensenshannon(n, m) ** 2)

    full, value, variance = estimate(*draws), estimate(*draws), 0.0
    for which, sample in enumerate(draws):
        left = []
        for kept, _ in LeaveOneOut().split(sample):
            samples = [*draws]
            samples[which] = sample[kept]
            left.append(estimate(*samples))
        value -= (len(sample) - 1) * (np.mean(left) - full)
        variance += (len(sample) - 1) * np.var(left)
    histograms = [integers(np.bincount(sample, minlength=cells)) for sample in draws]
    found = jackknife(*histograms, "jensen_shannon", pseudo_count)
    agree(found.value, value)
    agree(found.standard_error, np.sqrt(variance))


@each_seed
def test_monte_carlo_is_mean_and_standard_error_of_scipy(seed: int) -> None:
    log_ratio = numbers(seed).normal(size=(3, 50))
    ratio = np.exp(log_ratio)
    cases = {
        ("q", False): special.xlogy(ratio, ratio),
        ("q", True): special.kl_div(ratio, 1),
        ("p", False): log_ratio,
        ("p", True): special.kl_div(ratio, 1) / ratio,
    }
    for (drawn_from, centred), terms in cases.items():
        found = monte_carlo(tensor(log_ratio), "kl", drawn_from=drawn_from, centred=centred)
        agree(found.value, terms.mean(1))
        agree(found.standard_error, stats.sem(terms, axis=1))


@each_seed
@pytest.mark.parametrize("drawn_from", ["p", "q"])
def test_monte_carlo_of_all_draws_of_a_uniform_reference_is_exact(seed: int, drawn_from: str) -> None:
    """Each cell once is an exact average over a uniform distribution."""
    uniform, other = np.full(8, 1 / 8), simplex(seed, 1, 8)[0]
    p, q = (uniform, other) if drawn_from == "p" else (other, uniform)
    found = monte_carlo(tensor(np.log(p / q)), "jensen_shannon", drawn_from=drawn_from)
    agree(found.value, distance.jensenshannon(p, q) ** 2, rtol=1e-9)


def test_draws_that_the_other_distribution_excludes() -> None:
    """Draws of q where p vanishes, each cell once: the price is f(0), not nan."""
    p, q = np.array([0.75, 0.25, 0.0, 0.0]), np.full(4, 0.25)
    with np.errstate(divide="ignore"):
        log_ratio = tensor(np.log(p / q))
    for centred in (True, False):
        agree(monte_carlo(log_ratio, "kl", centred=centred).value, stats.entropy(p, q))
        agree(
            monte_carlo(log_ratio, "jensen_shannon", centred=centred).value,
            distance.jensenshannon(p, q) ** 2,
        )
        backwards = monte_carlo(-log_ratio, "reverse_kl", drawn_from="p", centred=centred)
        agree(backwards.value, stats.entropy(p, q))
    infinite = monte_carlo(log_ratio, "reverse_kl")
    assert infinite.value == infinite.standard_error == math.inf


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_log_ratios(dtype: torch.dtype) -> None:
    """At draws of p, plain KL is the mean of the log-ratios; bounded divergences tend to their prices."""
    log_ratio = torch.tensor([0.0, 3000.0], dtype=dtype)
    assert monte_carlo(log_ratio, "kl", drawn_from="p", centred=False).value == 1500
    assert monte_carlo(-log_ratio, "reverse_kl", centred=False).value == 1500
    agree(monte_carlo(log_ratio, "kl", drawn_from="p").value, (3000 - 1) / 2, rtol=1e-6)
    for name, price in (("jensen_shannon", math.log(2) / 2), ("squared_hellinger", 0.5), ("le_cam", 0.5)):
        agree(monte_carlo(log_ratio, name, drawn_from="p").value, price / 2, rtol=1e-6)
    assert monte_carlo(log_ratio, "pearson", drawn_from="p").value > 1e37


def test_centred_terms_of_close_distributions_keep_their_digits() -> None:
    log_ratio = 1e-6 * numbers(0).normal(size=100)
    for drawn_from in ("p", "q"):
        found = monte_carlo(tensor(log_ratio), "kl", drawn_from=drawn_from)
        agree(found.value, np.mean(log_ratio**2) / 2, rtol=1e-4)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -1.0])
def test_frequencies_refuse_what_is_no_count(bad: float) -> None:
    with pytest.raises(ValueError, match="finite, non-negative"):
        frequencies(tensor([1.0, bad]))
