"""``agm.divergences`` against SciPy, scikit-learn, POT, PyTorch's distributions and JAX."""

from __future__ import annotations

import math

import jax
import mpmath
import numpy as np
import ot
import pytest
import torch
from agm.convex_generators import alpha_generator
from agm.divergences import (
    coarse_grain,
    f_divergence,
    gaussian_alpha,
    gaussian_kl,
    gaussian_pearson,
    gaussian_renyi,
    gaussian_squared_hellinger,
    renyi_divergence,
)
from scipy import integrate, optimize, special, stats
from scipy.spatial import distance
from sklearn.metrics import log_loss, mutual_info_score

from tests.oracles.inputs import SEEDS, agree, covariance, integers, numbers, simplex, tensor

ZEROS = (0.0, 0.4)
each_seed = pytest.mark.parametrize("seed", SEEDS)
with_zeros = pytest.mark.parametrize("zeros", ZEROS)


def pair(seed: int, zeros: float = 0.0, rows: int = 40, cells: int = 7):
    return simplex(10 * seed, rows, cells, zeros=zeros), simplex(10 * seed + 1, rows, cells, zeros=zeros)


@each_seed
@with_zeros
def test_kl_is_the_relative_entropy_of_scipy_and_jax(seed: int, zeros: float) -> None:
    p, q = pair(seed, zeros)
    if zeros:
        q[::2] = np.where(p[::2] > 0, q[::2], 0) + p[::2] / 10
        q /= q.sum(1, keepdims=True)
    oracle = stats.entropy(p, q, axis=1)
    assert np.isinf(oracle).any() == (zeros > 0) and np.isfinite(oracle).any()
    agree(f_divergence(tensor(p), tensor(q)), oracle)
    agree(
        f_divergence(tensor(p), tensor(q), "kl"),
        jax.jit(lambda a, b: jax.scipy.special.rel_entr(a, b).sum(1))(p, q),
    )
    agree(f_divergence(tensor(q), tensor(p), "reverse_kl"), special.rel_entr(p, q).sum(1))


@each_seed
def test_kl_is_that_of_torch_categoricals_with_the_same_gradient(seed: int) -> None:
    logits = [
        torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + i))
        for i in (0, 9)
    ]
    ours, theirs = ([x.clone().requires_grad_() for x in logits] for _ in range(2))
    value = f_divergence(*(torch.softmax(x, -1) for x in ours))
    oracle = torch.distributions.kl_divergence(*(torch.distributions.Categorical(logits=x) for x in theirs))
    agree(value, oracle.detach())
    value.sum().backward()
    oracle.sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        agree(mine.grad, other.grad)


@each_seed
def test_kl_of_a_table_from_independence_is_the_mutual_information(seed: int) -> None:
    table = numbers(seed).integers(0, 9, size=(4, 5))
    joint = table / table.sum()
    product = np.outer(joint.sum(1), joint.sum(0))
    found = f_divergence(tensor(joint.ravel()), tensor(product.ravel()))
    agree(found, mutual_info_score(None, None, contingency=table))


@each_seed
def test_kl_is_cross_entropy_minus_entropy(seed: int) -> None:
    p, q = pair(seed, rows=1, cells=5)
    cross = log_loss(np.arange(5), np.repeat(q, 5, axis=0), sample_weight=p[0])
    agree(f_divergence(tensor(p[0]), tensor(q[0])), cross - stats.entropy(p[0]))


@each_seed
@with_zeros
def test_metrics_of_scipy(seed: int, zeros: float) -> None:
    p, q = pair(seed, zeros)
    x, y = tensor(p), tensor(q)
    agree(f_divergence(x, y, "jensen_shannon"), distance.jensenshannon(p, q, axis=1) ** 2)
    halves = [distance.sqeuclidean(np.sqrt(a), np.sqrt(b)) / 2 for a, b in zip(p, q, strict=True)]
    agree(f_divergence(x, y, "squared_hellinger"), halves)
    blocks = [distance.cityblock(a, b) / 2 for a, b in zip(p, q, strict=True)]
    agree(f_divergence(x, y, "total_variation"), blocks)


@each_seed
@with_zeros
def test_total_variation_is_the_cheapest_transport_and_the_best_witness(seed: int, zeros: float) -> None:
    p, q = pair(seed, zeros, rows=5)
    found = f_divergence(tensor(p), tensor(q), "total_variation")
    agree(found, [ot.emd2(a, b, 1 - np.eye(len(a))) for a, b in zip(p, q, strict=True)], rtol=1e-9)
    witness = [-optimize.linprog(b - a, bounds=(-0.5, 0.5)).fun for a, b in zip(p, q, strict=True)]
    agree(found, witness, rtol=1e-9)


# Cressie and Read's statistic of n draws with relative frequencies p, divided by 2 n, is the alpha-divergence
# of order lambda + 1.
@each_seed
@pytest.mark.parametrize("order", [-1.5, -1.0, 0.0, 0.3, 0.5, 1.0, 5 / 3, 2.0, 3.5])
def test_power_divergence_statistics_of_scipy(seed: int, order: float) -> None:
    p, q = pair(seed)
    oracle = stats.power_divergence(1000 * p, 1000 * q, axis=1, lambda_=order - 1).statistic / 2000
    agree(f_divergence(tensor(p), tensor(q), alpha_generator(order)), oracle, rtol=1e-8)


@each_seed
def test_chi_squared_statistics_of_scipy(seed: int) -> None:
    p, q = pair(seed)
    x, y = tensor(p), tensor(q)
    statistics = {
        "pearson": stats.chisquare(p, q, axis=1).statistic,
        "neyman": stats.chisquare(q, p, axis=1).statistic,
        "le_cam": stats.chisquare(p, (p + q) / 2, axis=1).statistic,
        "kl": stats.power_divergence(p, q, axis=1, lambda_="log-likelihood").statistic / 2,
        "reverse_kl": stats.power_divergence(p, q, axis=1, lambda_="mod-log-likelihood").statistic / 2,
        "squared_hellinger": stats.power_divergence(p, q, axis=1, lambda_="freeman-tukey").statistic / 8,
    }
    for name, oracle in statistics.items():
        agree(f_divergence(x, y, name), oracle, rtol=1e-9)


@each_seed
@with_zeros
def test_coarse_graining_is_a_weighted_count(seed: int, zeros: float) -> None:
    p, _ = pair(seed, zeros)
    cells = numbers(seed).integers(0, 4, size=p.shape[1])
    oracle = [np.bincount(cells, weights=row, minlength=5) for row in p]
    agree(coarse_grain(tensor(p), integers(cells), 5), oracle)


@each_seed
@with_zeros
@pytest.mark.parametrize("order", [0.0, 0.2, 0.5, 0.999, 1.0, 1.5, 2.0, 7.0, math.inf])
def test_renyi_from_scipy(seed: int, zeros: float, order: float) -> None:
    p, q = pair(seed, zeros)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.where(p > 0, np.log(p) - np.log(q), -np.inf)
        if order == 0:
            oracle = -np.log(np.where(p > 0, q, 0).sum(1))
        elif order == 1:
            oracle = stats.entropy(p, q, axis=1)
        elif math.isinf(order):
            oracle = log_ratio.max(1)
        else:  # an average over p
            exponent = (order - 1) * np.where(p > 0, log_ratio, 0)
            oracle = special.logsumexp(exponent, b=p, axis=1) / (order - 1)
            oracle = np.where((order > 1) & ((p > 0) & (q == 0)).any(1), np.inf, oracle)
    agree(renyi_divergence(tensor(p), tensor(q), order), oracle, rtol=1e-8, atol=1e-11)


def test_disjoint_supports_are_as_far_apart_as_scipy_says() -> None:
    p, q = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.25, 0.75])
    assert f_divergence(tensor(p), tensor(q)) == stats.entropy(p, q) == math.inf
    agree(f_divergence(tensor(p), tensor(q), "jensen_shannon"), distance.jensenshannon(p, q) ** 2)
    assert f_divergence(tensor(p), tensor(q), "total_variation") == distance.cityblock(p, q) / 2 == 1


@each_seed
@pytest.mark.parametrize("size", [1, 2, 5])
def test_gaussian_kl_is_that_of_torch_with_the_same_gradient(seed: int, size: int) -> None:
    means = [numbers(seed + i).normal(size=(3, size)) for i in (0, 50)]
    covariances = [np.stack([covariance(seed + i + j, size) for j in range(3)]) for i in (0, 50)]
    arguments = (means[0], covariances[0], means[1], covariances[1])
    ours, theirs = ([tensor(x).requires_grad_() for x in arguments] for _ in range(2))
    mvn = torch.distributions.MultivariateNormal
    value, oracle = gaussian_kl(*ours), torch.distributions.kl_divergence(mvn(*theirs[:2]), mvn(*theirs[2:]))
    agree(value, oracle.detach())
    value.sum().backward()
    oracle.sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        symmetric = [g if g.ndim == 2 else g + g.mT for g in (mine.grad, other.grad)]
        agree(symmetric[0], symmetric[1], rtol=1e-8, atol=1e-10)


def density_integral(seed: int, function) -> tuple[tuple[torch.Tensor, ...], float]:
    """Two Gaussians on the line whose q is the wider, and the integral of function(p, q) by quadrature."""
    generator = numbers(seed)
    mean_p, mean_q, scale_p = [*generator.normal(size=2).tolist(), generator.uniform(0.5, 1.0)]
    scale_q = scale_p * generator.uniform(1.05, 1.5)
    log_p, log_q = stats.norm(mean_p, scale_p).logpdf, stats.norm(mean_q, scale_q).logpdf
    value, _ = integrate.quad(lambda x: function(log_p(x), log_q(x)), -14, 14, epsabs=1e-12, limit=200)
    found = [tensor(x) for x in ([mean_p], [[scale_p**2]], [mean_q], [[scale_q**2]])]
    return tuple(found), value


@each_seed
def test_gaussian_forms_against_quadrature(seed: int) -> None:
    gaussians, kl = density_integral(seed, lambda a, b: np.exp(a) * (a - b))
    agree(gaussian_kl(*gaussians), kl, rtol=1e-8)
    gaussians, chi = density_integral(seed, lambda a, b: np.exp(2 * a - b) - 2 * np.exp(a) + np.exp(b))
    agree(gaussian_pearson(*gaussians), chi, rtol=1e-8)
    gaussians, hellinger = density_integral(seed, lambda a, b: 0.5 * (np.exp(a / 2) - np.exp(b / 2)) ** 2)
    agree(gaussian_squared_hellinger(*gaussians), hellinger, rtol=1e-8)


@each_seed
@pytest.mark.parametrize("order", [-0.3, 0.0, 0.4, 1.0, 1.7, 2.5])
def test_gaussian_alpha_and_renyi_against_quadrature(seed: int, order: float) -> None:
    if order in (0.0, 1.0):
        gaussians, oracle = density_integral(
            seed, lambda a, b: np.exp(a) * (a - b) if order == 1 else np.exp(b) * (b - a)
        )
        agree(gaussian_alpha(*gaussians, order), oracle, rtol=1e-8)
        return
    gaussians, affinity = density_integral(seed, lambda a, b: np.exp(order * a + (1 - order) * b))
    agree(gaussian_alpha(*gaussians, order), (affinity - 1) / (order * (order - 1)), rtol=1e-7)
    if order > 0:
        agree(gaussian_renyi(*gaussians, order), np.log(affinity) / (order - 1), rtol=1e-7)


@each_seed
@pytest.mark.parametrize("order", [0.3, 2.0])
def test_gaussian_renyi_adds_up_in_common_coordinates(seed: int, order: float) -> None:
    """Of a linear map of independent coordinates, the divergence is a sum of one-dimensional ones."""
    parts = [
        density_integral(10 * seed + i, lambda a, b: np.exp(order * a + (1 - order) * b)) for i in range(3)
    ]
    mix = tensor(numbers(seed).normal(size=(3, 3)))
    mean_p, variance_p, mean_q, variance_q = (
        torch.stack([g[i].squeeze() for g, _ in parts]) for i in range(4)
    )
    found = gaussian_renyi(
        mix @ mean_p, mix * variance_p @ mix.T, mix @ mean_q, mix * variance_q @ mix.T, order
    )
    agree(found, sum(np.log(affinity) for _, affinity in parts) / (order - 1), rtol=1e-7)


TINY = ([0.5, 0.5], [1.0, 1e-20], torch.float32), ([0.5, 0.5], [1.0, 1e-310], torch.float64)


@pytest.mark.parametrize(("p", "q", "dtype"), TINY, ids=("single", "subnormal"))
@pytest.mark.parametrize("swap", [False, True])
def test_probabilities_too_small_for_their_ratio(p: list, q: list, dtype: torch.dtype, swap: bool) -> None:
    """Every divergence whose value is a number is found, although p / q or its square is none."""
    p, q = (q, p) if swap else (p, q)
    x, y = (torch.tensor(z, dtype=dtype) for z in (p, q))
    a, b = x.double().numpy(), y.double().numpy()
    oracles = {
        "kl": stats.entropy(a, b),
        "reverse_kl": stats.entropy(b, a),
        "jensen_shannon": distance.jensenshannon(a, b) ** 2,
        "squared_hellinger": distance.sqeuclidean(np.sqrt(a), np.sqrt(b)) / 2,
        "le_cam": np.sum((a - b) ** 2 / (a + b)) / 2,
        "total_variation": distance.cityblock(a, b) / 2,
    }
    if swap or dtype == torch.float32:
        oracles["pearson"] = stats.chisquare(a, b).statistic
    if not swap or dtype == torch.float32:
        oracles["neyman"] = stats.chisquare(b, a).statistic
    for name, oracle in oracles.items():
        agree(f_divergence(x, y, name).double(), oracle, rtol=1e-5)


@pytest.mark.parametrize("order", [-1.5, -1e-9, 0.0, 1e-9, 0.3, 0.5, 0.7, 1 - 1e-9, 1.0, 1 + 1e-9, 1.5, 2.5])
@pytest.mark.parametrize("small", [1e-10, 1e-38])
def test_alpha_of_tiny_single_precision_probabilities(order: float, small: float) -> None:
    for p, q in (([0.5, 0.5], [1.0, small]), ([1.0, small], [0.5, 0.5]), ([0.9, 0.1], [0.1, 0.9])):
        x, y = (torch.tensor(z, dtype=torch.float32) for z in (p, q))
        with mpmath.workdps(60):
            a = mpmath.mpf(order)
            if order in (0.0, 1.0):
                terms = [(u, v) if order else (v, u) for u, v in zip(x.tolist(), y.tolist(), strict=True)]
                oracle = mpmath.fsum(u * mpmath.log(mpmath.mpf(u) / v) - u + v for u, v in terms)
            else:
                oracle = mpmath.fsum(
                    (mpmath.mpf(u) ** a * mpmath.mpf(v) ** (1 - a) - a * u - (1 - a) * v) / (a * (a - 1))
                    for u, v in zip(x.tolist(), y.tolist(), strict=True)
                )
        if oracle < 1e38:
            agree(f_divergence(x, y, alpha_generator(order)).double(), float(oracle), rtol=3e-5)


@each_seed
@pytest.mark.parametrize("distance_to_one", [1e-3, 1e-8, 1e-13, -1e-3, -1e-8, -1e-13])
def test_renyi_and_gaussian_alpha_near_order_one(seed: int, distance_to_one: float) -> None:
    """The first two terms of the expansion in the order; single precision sums are not exactly one."""
    x, y = (tensor(z[0]).float().double() for z in pair(seed))
    p, q = x.numpy() / x.numpy().sum(), y.numpy() / y.numpy().sum()
    kl, log_ratio = stats.entropy(p, q), np.log(p / q)
    variance = np.sum(p * log_ratio**2) - kl**2
    third = np.sum(p * (log_ratio - kl) ** 3)
    oracle = kl + distance_to_one * variance / 2 + distance_to_one**2 * third / 6
    agree(renyi_divergence(x, y, 1 + distance_to_one), oracle, rtol=3e-6)
    gaussians, _ = density_integral(seed, lambda a, b: np.exp(a))
    kl = float(gaussian_kl(*gaussians))
    for found in (gaussian_renyi, gaussian_alpha):
        agree(found(*gaussians, 1 + distance_to_one), kl, rtol=1e-13 + 5 * abs(distance_to_one))


@each_seed
def test_orders_near_zero_have_their_limits(seed: int) -> None:
    """R / order tends to the KL divergence of the exchanged arguments."""
    p, q = pair(seed)
    agree(renyi_divergence(tensor(p), tensor(q), 1e-12) / 1e-12, stats.entropy(q, p, axis=1), rtol=1e-9)
    gaussians, _ = density_integral(seed, lambda a, b: np.exp(a))
    reverse = gaussian_kl(*gaussians[2:], *gaussians[:2])
    agree(gaussian_renyi(*gaussians, 1e-12) / 1e-12, reverse, rtol=1e-9)
    agree(gaussian_alpha(*gaussians, 1e-12), reverse, rtol=1e-9)
    agree(gaussian_alpha(*gaussians, -1e-12), reverse, rtol=1e-9)


@pytest.mark.parametrize("order", [0.2, 0.999, 1.001, 3.0])
def test_renyi_passes_gradients_to_its_order_and_stays_silent(order: float, recwarn) -> None:
    p, q = (tensor(z[0]) for z in pair(4))
    alpha = tensor(order).requires_grad_()
    (slope,) = torch.autograd.grad(renyi_divergence(p, q, alpha), alpha)
    step = 1e-5
    difference = renyi_divergence(p, q, order + step) - renyi_divergence(p, q, order - step)
    agree(slope, difference / (2 * step), rtol=1e-6)
    assert not recwarn.list
