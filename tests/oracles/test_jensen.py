"""``agm.jensen`` against SciPy's means, integrals and analysis of variance, NumPy, JAX and mpmath."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import torch
from agm.jensen import (
    gap_kernel,
    gap_of_averages,
    gap_parts,
    importance_weighted_bound,
    jensen_gap,
    log_gap,
    log_gap_predictions,
    log_mean_exp,
    power_mean,
    second_order_gap,
    spectral_flatness,
    weighted_mean,
)
from scipy import integrate, special, stats

from tests.oracles.inputs import SEEDS, agree, integers, numbers, tensor

each_seed = pytest.mark.parametrize("seed", SEEDS)


def positive(seed: int, rows: int = 4, n: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Values and weights, a few of which are zero."""
    generator = numbers(seed)
    weights = generator.uniform(0.1, 2, size=(rows, n)) * (generator.random((rows, n)) < 0.8)
    weights[:, 0] = 1
    return np.exp(generator.normal(size=(rows, n))), weights


@each_seed
def test_weighted_mean_is_numpys_average(seed: int) -> None:
    values, weights = positive(seed)
    agree(weighted_mean(tensor(values), tensor(weights)), np.average(values, weights=weights, axis=1))
    hidden = np.where(weights > 0, values, np.inf)  # weight zero hides infinity
    agree(weighted_mean(tensor(hidden), tensor(weights)), np.average(values, weights=weights, axis=1))


@each_seed
def test_gap_of_the_square_is_the_variance_of_numpy(seed: int) -> None:
    values, weights = positive(seed)
    oracle = [np.cov(v, aweights=w, ddof=0) for v, w in zip(values, weights, strict=True)]
    agree(jensen_gap(tensor(values), torch.square, tensor(weights)), oracle)
    agree(jensen_gap(tensor(values), torch.square, tensor(weights), lambda x: 2 * x), oracle)
    agree(second_order_gap(tensor(values), lambda x: torch.full_like(x, 2.0), tensor(weights)), oracle)


@each_seed
def test_gap_of_the_logarithm_is_that_of_scipys_means(seed: int) -> None:
    values, weights = positive(seed)
    oracle = np.log(
        np.average(values, weights=weights, axis=1) / stats.gmean(values, axis=1, weights=weights)
    )
    agree(jensen_gap(tensor(values), lambda x: -torch.log(x), tensor(weights)), oracle)
    agree(log_gap(tensor(np.log(values)), tensor(weights)), oracle)
    agree(log_gap(tensor(np.log(values))), np.log(values.mean(1) / stats.gmean(values, axis=1)))


@each_seed
def test_gap_of_t_log_t_is_a_relative_entropy(seed: int) -> None:
    """Theil's index: the entropy of the shares, relative to equal shares."""
    values, _ = positive(seed)
    found = jensen_gap(tensor(values), lambda x: torch.xlogy(x, x))
    agree(found / tensor(values.mean(1)), stats.entropy(values, np.ones_like(values), axis=1))


@each_seed
@pytest.mark.parametrize("scale", [1e-9, 1e-4, 0.1, 1.0, 300.0])
def test_gap_of_the_logarithm_keeps_its_digits(seed: int, scale: float) -> None:
    logs = scale * numbers(seed).normal(size=12)
    with mpmath.mp.workdps(60):
        exact = [mpmath.mpf(float(x)) for x in logs]
        oracle = mpmath.log(mpmath.fsum(map(mpmath.exp, exact)) / 12) - mpmath.fsum(exact) / 12
        agree(log_gap(tensor(logs)), float(oracle), rtol=1e-11 + 4e-16 / scale, atol=0)


@each_seed
@pytest.mark.parametrize("name", ["exp", "square", "softplus"])
def test_gap_is_the_integral_of_curvature_times_kernel(seed: int, name: str) -> None:
    function = {"exp": jnp.exp, "square": jnp.square, "softplus": jax.nn.softplus}[name]
    curvature = jax.jit(jax.vmap(jax.grad(jax.grad(function))))
    values = np.sort(numbers(seed).normal(size=6))
    weights = numbers(seed).uniform(size=6)
    corners = np.sort([*values, np.average(values, weights=weights)])
    oracle = sum(
        integrate.fixed_quad(
            lambda t: (
                np.asarray(curvature(t)) * gap_kernel(tensor(values), tensor(t), tensor(weights)).numpy()
            ),
            low,
            high,
            n=9,
        )[0]
        for low, high in itertools.pairwise(corners)
    )
    torch_function = {"exp": torch.exp, "square": torch.square, "softplus": torch.nn.functional.softplus}[
        name
    ]
    agree(jensen_gap(tensor(values), torch_function, tensor(weights)), oracle, rtol=1e-7)


@each_seed
def test_kernel_is_a_difference_of_integrated_survival_functions(seed: int) -> None:
    values = numbers(seed).normal(size=8)
    survival = stats.ecdf(values).sf
    thresholds = np.linspace(-2, 2, 9)

    def hinge(t: float) -> float:
        corners = [t, *sorted(x for x in values if x > t)]
        return sum(survival.evaluate(low) * (high - low) for low, high in itertools.pairwise(corners))

    oracle = [hinge(t) - max(values.mean() - t, 0) for t in thresholds]
    agree(gap_kernel(tensor(values), tensor(thresholds)), oracle, atol=1e-12)


@each_seed
def test_parts_of_the_variance_give_the_f_statistic_of_scipy(seed: int) -> None:
    values, groups = numbers(seed).normal(size=40), numbers(seed).permutation(np.repeat([0, 2, 3, 7], 10))
    within, between = gap_parts(tensor(values), integers(groups), torch.square)
    oracle = stats.f_oneway(*(values[groups == g] for g in np.unique(groups))).statistic
    agree((between / 3) / (within / 36), oracle)


@each_seed
def test_log_mean_exp_is_that_of_scipy_and_jax(seed: int) -> None:
    logs = 500 * numbers(seed).normal(size=(5, 8))
    logs[0, :3], logs[1] = -np.inf, -np.inf
    _, weights = positive(seed, 5, 8)
    agree(log_mean_exp(tensor(logs)), jax.jit(lambda x: jax.nn.logsumexp(x, axis=1))(logs) - np.log(8))
    oracle = special.logsumexp(logs, b=weights, axis=1) - np.log(weights.sum(1))
    agree(log_mean_exp(tensor(logs), tensor(weights)), oracle)


@each_seed
def test_predictions_are_coefficient_of_variation_and_log_variance(seed: int) -> None:
    values, weights = positive(seed)
    found = log_gap_predictions(tensor(np.log(values)))
    agree(found.linear, stats.variation(values, axis=1) ** 2 / 2)
    agree(found.logarithmic, np.log(values).var(1) / 2)
    weighted = log_gap_predictions(tensor(np.log(values)), tensor(weights))
    oracle = [np.cov(v, aweights=w, ddof=0) / 2 for v, w in zip(np.log(values), weights, strict=True)]
    agree(weighted.logarithmic, oracle)


@each_seed
def test_flatness_is_geometric_over_arithmetic_mean(seed: int) -> None:
    values, _ = positive(seed)
    agree(spectral_flatness(tensor(np.log(values))), stats.gmean(values, axis=1) / values.mean(1))


@each_seed
@pytest.mark.parametrize("order", [-7.5, -1.0, -0.01, 0.0, 0.3, 1.0, 2.0, 20.0])
def test_power_means_are_those_of_scipy(seed: int, order: float) -> None:
    values, weights = positive(seed)
    agree(power_mean(tensor(values), order), stats.pmean(values, order, axis=1))
    agree(
        power_mean(tensor(values), order, tensor(weights)),
        stats.pmean(values, order, axis=1, weights=weights),
    )


@each_seed
def test_named_means_and_extremes(seed: int) -> None:
    values, weights = positive(seed)
    x, w = tensor(values), tensor(weights)
    agree(power_mean(x, -1, w), stats.hmean(values, axis=1, weights=weights))
    agree(power_mean(x, 0, w), stats.gmean(values, axis=1, weights=weights))
    agree(power_mean(x, math.inf), values.max(1))
    agree(power_mean(x, -math.inf, w), np.ma.min(np.ma.masked_array(values, weights == 0), axis=1))
    agree(power_mean(x, 0.5), np.sqrt(values).mean(1) ** 2)


@each_seed
@pytest.mark.parametrize("size", [1, 3, 5])
def test_averages_in_groups_are_those_of_scipy(seed: int, size: int) -> None:
    logs = 2 * numbers(seed).normal(size=(2, 17))
    kept = logs[:, : 17 // size * size].reshape(2, -1, size)
    means = special.logsumexp(kept, b=1 / size, axis=2)
    found = importance_weighted_bound(tensor(logs), size)
    agree(found.value, means.mean(1))
    agree(found.standard_error, stats.sem(means, axis=1))
    log_mean = np.array([2.0, 1.5])
    excess = special.expm1(means - log_mean[:, None]) - (means - log_mean[:, None])
    gap = gap_of_averages(tensor(logs), size, tensor(log_mean))
    agree(gap.value, excess.mean(1))
    agree(gap.standard_error, stats.sem(excess, axis=1))


@each_seed
@pytest.mark.parametrize("order", [1e-300, -1e-13, 1e-13, 1e-7, -1e-3, 0.02])
def test_power_mean_keeps_its_digits_near_order_zero(seed: int, order: float) -> None:
    values, weights = (row[:1] for row in positive(seed))
    with mpmath.mp.workdps(400):
        share = [mpmath.mpf(float(w)) / mpmath.fsum(map(float, weights[0])) for w in weights[0]]
        powers = [mpmath.mpf(float(v)) ** mpmath.mpf(order) for v in values[0]]
        oracle = mpmath.fsum(w * p for w, p in zip(share, powers, strict=True)) ** (1 / mpmath.mpf(order))
    agree(power_mean(tensor(values[0]), order, tensor(weights[0])), float(oracle), rtol=1e-12)
    agree(power_mean(tensor([1.0, 4.0]), order), 2.0, rtol=2 * abs(order) + 1e-14)


def test_weights_of_bytes_do_not_wrap_around() -> None:
    values = numbers(0).normal(size=3)
    weights = np.array([200, 100, 250])
    agree(
        weighted_mean(tensor(values), integers(weights).to(torch.uint8)), np.average(values, weights=weights)
    )
    agree(
        log_mean_exp(tensor(values), integers(weights)), special.logsumexp(values, b=weights / weights.sum())
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: weighted_mean(tensor([1, 2, 3]), tensor([1])), ValueError, "one for each value"),
        (lambda: weighted_mean(tensor([1, 2]), tensor([[1, 2], [3, 4]])), ValueError, "one for each value"),
        (lambda: weighted_mean(tensor([1, 2]), tensor([1, math.nan])), ValueError, "finite"),
        (lambda: weighted_mean(integers([1, 2])), TypeError, "floating-point"),
        (lambda: weighted_mean([1.0, 2.0]), TypeError, "floating-point"),
        (lambda: log_mean_exp(tensor([])), ValueError, "n >= 1"),
        (lambda: gap_parts(tensor([]), integers([]), torch.square), ValueError, "n >= 1"),
        (lambda: gap_parts(tensor([1, 2]), tensor([0, 1]), torch.square), ValueError, "whole numbers"),
        (lambda: power_mean(tensor([1, 4]), math.inf, tensor([0, 0])), ValueError, "positive sum"),
        (lambda: power_mean(tensor([1, 4]), math.nan), ValueError, "order"),
        (lambda: power_mean(tensor([1, 4]), "2"), TypeError, "order"),
        (lambda: importance_weighted_bound(tensor([1, 2, 3, 4]), 1.5), ValueError, "size"),
    ],
)
def test_meaningless_questions_are_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
