"""Gradient estimators, Gumbel noise and implicit gradients, against NumPy, SciPy, JAX and PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from agm.latent.discrete_vae import CategoricalVae
from agm.latent.gumbel import concrete_log_prob, gumbel_max, gumbel_noise, gumbel_softmax
from agm.latent.implicit import gamma_slope, implicit_gamma, implicit_surrogate
from agm.latent.reparam import (
    ElboEstimator,
    elbo_surrogate,
    flat_gradient,
    gradient_moments,
    leave_one_out,
    optimal_baseline,
    quadratic_variance,
    score_surrogate,
)
from agm.latent.vae import VAE, VaeConfig, build_vae
from scipy import integrate, optimize, special, stats
from torch import Tensor
from torch.distributions import (
    Bernoulli,
    Categorical,
    Distribution,
    Exponential,
    Gamma,
    Gumbel,
    HalfCauchy,
    Independent,
    Kumaraswamy,
    Laplace,
    Normal,
    RelaxedOneHotCategorical,
    Weibull,
    kl_divergence,
)
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli

from tests.oracles.inputs import SEEDS, agree, numbers, simplex, tensor


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def hermite(dimensions: int, nodes: int = 12) -> tuple[Tensor, Tensor]:
    """Nodes and weights that integrate polynomials against a standard Gaussian without error."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = torch.tensor(list(product(points, repeat=dimensions)))
    mass = torch.tensor(list(product(weights / math.sqrt(2 * math.pi), repeat=dimensions))).prod(1)
    return grid, mass


# Score function and baselines


@pytest.mark.parametrize("seed", SEEDS)
def test_score_surrogate_enumerated_against_jax(seed: int) -> None:
    start, values = numbers(seed).normal(size=(2, 5))

    def objective(logits: jax.Array) -> jax.Array:  # f depends on the parameters as well
        return jnp.sum(jax.nn.softmax(logits) * jnp.exp(0.3 * logits[0]) * values)

    logits = tensor(start).requires_grad_()
    distribution = Categorical(logits=logits)
    value, log_prob = torch.exp(0.3 * logits[0]) * tensor(values), distribution.log_prob(torch.arange(5))
    surrogate = score_surrogate(value, log_prob, 4.0)
    agree(surrogate, value.detach(), rtol=1e-14)
    mean = (distribution.probs.detach() * surrogate).sum()
    agree(torch.autograd.grad(mean, logits)[0], jax.grad(objective)(jnp.asarray(start)), rtol=1e-10)


@pytest.mark.parametrize("draws", [2, 3, 7])
def test_leave_one_out_against_deletion_and_sample_covariance(draws: int) -> None:
    values, scores = numbers(draws).normal(size=(2, draws, 4))
    deleted = np.stack([np.delete(values, k, axis=0).mean(0) for k in range(draws)])
    agree(leave_one_out(tensor(values)), deleted)
    estimate = ((values - deleted) * scores).mean(0)
    agree(estimate, [np.cov(values[:, i], scores[:, i])[0, 1] for i in range(4)])


@pytest.mark.parametrize("seed", SEEDS)
def test_optimal_baseline_against_least_squares_and_a_minimiser(seed: int) -> None:
    values, scores = numbers(seed).normal(size=(2, 50))
    found = optimal_baseline(tensor(values), tensor(scores**2)).item()
    regression = np.linalg.lstsq(scores[:, None], values * scores, rcond=None)[0][0]
    searched = optimize.minimize_scalar(lambda b: np.mean(((values - b) * scores) ** 2), tol=1e-12).x
    agree(found, regression)
    agree(found, searched, rtol=1e-6)


# The quadratic


@pytest.mark.parametrize("size", [1, 2, 3])
def test_quadratic_variance_against_cubature(size: int) -> None:
    mean, scale = numbers(size).normal(size=size), 0.7
    grid, mass = hermite(size)
    z = tensor(mean) + scale * grid
    value, score = 0.5 * (z**2).sum(1), grid / scale
    best = (mass * value * (score**2).sum(1)).sum() / (mass * (score**2).sum(1)).sum()
    for name, estimate in (
        ("pathwise", z),
        ("score", value[:, None] * score),
        ("baseline", (value - best)[:, None] * score),
    ):
        total = (mass[:, None] * (estimate - tensor(mean)) ** 2).sum()
        agree(quadratic_variance(tensor(mean @ mean), tensor(scale), size, name), total, rtol=1e-10)


def test_quadratic_variance_against_moments_of_chi_squared() -> None:
    size, scale = 40, 1.7
    second = (0.5 * scale**2) ** 2 * stats.chi2(size).moment(3) / scale**2  # at mean zero f is scale^2 r / 2
    agree(quadratic_variance(0.0, scale, size, "score"), second, rtol=1e-6, atol=0)


# The ELBO, in five ways


def by_distributions(vae: VAE, x: Tensor, noise: Tensor, exact_kl: bool) -> Tensor:
    posterior = vae.encode(x)
    q = Independent(Normal(posterior.mean, torch.exp(0.5 * posterior.log_variance)), 1)
    prior = Independent(Normal(torch.zeros_like(posterior.mean), 1.0), 1)
    z = posterior.mean + torch.exp(0.5 * posterior.log_variance) * noise
    likelihood = Independent(Bernoulli(logits=vae.decoder(z)), 1).log_prob(x.expand(len(noise), -1, -1))
    return (
        likelihood - kl_divergence(q, prior) if exact_kl else likelihood + prior.log_prob(z) - q.log_prob(z)
    )


@pytest.mark.parametrize("estimator", get_args(ElboEstimator))
def test_elbo_surrogates_against_torch_distributions(estimator: ElboEstimator) -> None:
    vae = build_vae(VaeConfig((5,), latent=2, hidden=(4,)), 1).double()
    x = (torch.rand(3, 5, generator=seeded(0)) > 0.5).double()
    noise = torch.randn(4, 3, 2, generator=seeded(1), dtype=torch.float64)
    expected = by_distributions(vae, x, noise, estimator == "analytic_kl")
    agree(elbo_surrogate(vae, x, noise, estimator), expected.detach(), rtol=1e-12)
    decoder = list(vae.decoder.parameters())
    agree(
        flat_gradient(elbo_surrogate(vae, x, noise, estimator).mean(), decoder),
        flat_gradient(expected.mean(), decoder),
        rtol=1e-10,
    )


@pytest.mark.parametrize("estimator", ["score", "analytic_kl", "stl"])
def test_expected_encoder_gradient_against_cubature(estimator: ElboEstimator) -> None:
    vae = build_vae(VaeConfig((5,), latent=2, hidden=(4,)), 1).double()
    x, (grid, mass) = (torch.rand(2, 5, generator=seeded(0)) > 0.5).double(), hermite(2, 30)
    noise, encoder = grid[:, None].expand(-1, 2, -1), list(vae.encoder.parameters())
    exact = flat_gradient((mass[:, None] * by_distributions(vae, x, noise, False)).sum(), encoder)
    found = flat_gradient((mass[:, None] * elbo_surrogate(vae, x, noise, estimator)).sum(), encoder)
    agree(found, exact, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("width", [0.6, 0.8, 1.0, 1.4])
def test_sticking_the_landing_in_the_gaussian_example(width: float) -> None:
    mean, (grid, mass) = torch.tensor(0.9, dtype=torch.float64, requires_grad=True), hermite(1)
    scale = torch.tensor(width, dtype=torch.float64, requires_grad=True)
    variances = []
    for frozen in (False, True):
        estimates = []
        for noise in grid[:, 0]:
            z = mean + scale * noise
            q = Normal(mean.detach(), scale.detach()) if frozen else Normal(mean, scale)
            log_weight = Normal(torch.zeros(()).double(), 1.0).log_prob(z) - q.log_prob(z)
            estimates.append(torch.stack(torch.autograd.grad(log_weight, (mean, scale))))
        centred = torch.stack(estimates) - (mass[:, None] * torch.stack(estimates)).sum(0)
        variances.append((mass[:, None] * centred**2).sum(0))
    gap = width - 1 / width
    agree(variances[0], [width**2, 0.81 + 2 * width**2], rtol=1e-9)
    agree(variances[1], [gap**2, 0.81 + 2 * gap**2], rtol=1e-9, atol=1e-12)


def test_gradient_moments_against_numpy() -> None:
    rows = numbers(0).normal(size=(40, 6)) * 3 + 100
    parameter, queue = torch.zeros(2, 3, requires_grad=True, dtype=torch.float64), iter(tensor(rows))
    moments = gradient_moments(lambda: (next(queue) * parameter.flatten()).sum(), [parameter], len(rows))
    agree(moments.mean, rows.mean(0), rtol=1e-12)
    agree(moments.variance, rows.var(0, ddof=1).sum(), rtol=1e-10)


# Gumbel noise and the Concrete distribution


def test_gumbel_noise_against_scipy_and_torch() -> None:
    noise = gumbel_noise((20_000,), seeded(0), torch.float64)
    assert stats.kstest(noise.numpy(), "gumbel_r").pvalue > 1e-3
    uniform = torch.rand(20_000, generator=seeded(0), dtype=torch.float64)
    agree(noise, stats.gumbel_r.ppf(1 - uniform.numpy()), rtol=1e-9, atol=1e-9)
    log_density = Gumbel(torch.zeros(()).double(), 1.0).log_prob(noise)
    agree(log_density, stats.gumbel_r.logpdf(noise.numpy()), rtol=1e-10)


def test_gumbel_max_draws_categories_independent_of_the_maximum() -> None:
    logits, n = tensor([0.3, -1.2, 2.0, 0.1]), 40_000
    noise = gumbel_noise((n, 4), seeded(1), torch.float64)
    winner = gumbel_max(logits, noise).argmax(1).numpy()
    counts = np.bincount(winner, minlength=4)
    assert stats.chisquare(counts, n * special.softmax(logits.numpy())).pvalue > 1e-3
    maximum = (logits + noise).amax(1).numpy() - special.logsumexp(logits.numpy())
    assert stats.kstest(maximum, "gumbel_r").pvalue > 1e-3
    by_winner = [maximum[winner == k] for k in range(4)]
    assert stats.kruskal(*by_winner).pvalue > 1e-3


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("temperature", [0.1, 0.7, 3.0])
def test_concrete_density_against_torch(seed: int, temperature: float) -> None:
    y, logits = tensor(simplex(seed, 8, 4)), tensor(numbers(seed).normal(size=4))
    oracle = RelaxedOneHotCategorical(torch.tensor(temperature, dtype=torch.float64), logits=logits)
    agree(concrete_log_prob(y, logits, temperature), oracle.log_prob(y), rtol=1e-9)
    agree(concrete_log_prob(y, logits + 5, temperature), oracle.log_prob(y), rtol=1e-9)  # any logits


def test_concrete_density_of_two_categories_against_the_relaxed_coin_and_an_integral() -> None:
    logit, temperature = 0.8, 0.6
    y = torch.linspace(0.05, 0.95, 10, dtype=torch.float64)
    coin = LogitRelaxedBernoulli(
        torch.tensor(temperature, dtype=torch.float64), logits=torch.tensor(logit, dtype=torch.float64)
    )
    expected = coin.log_prob(torch.logit(y)) - torch.log(y * (1 - y))
    both, logits = torch.stack([1 - y, y], -1), tensor([0.0, logit])
    agree(concrete_log_prob(both, logits, temperature), expected, rtol=1e-9)

    def density(v: float) -> float:
        return concrete_log_prob(tensor([1 - v, v]), logits, temperature).exp().item()

    agree(integrate.quad(density, 0, 1, limit=200)[0], 1.0, rtol=1e-6)


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax_and_its_gradient_against_jax(hard: bool) -> None:
    start, noise = numbers(3).normal(size=4), numbers(4).gumbel(size=(6, 4))
    weights = numbers(5).normal(size=4)

    def objective(logits: jax.Array) -> jax.Array:
        return jnp.sum(jax.nn.softmax((logits + noise) / 0.4, axis=-1) * weights)

    logits = tensor(start).requires_grad_()
    y = gumbel_softmax(logits, tensor(noise), 0.4, hard=hard)
    relaxed = np.asarray(jax.nn.softmax((start + noise) / 0.4, axis=-1))
    agree(y, np.eye(4)[(start + noise).argmax(1)] if hard else relaxed, rtol=1e-12)
    agree(torch.autograd.grad((y * tensor(weights)).sum(), logits)[0], jax.grad(objective)(start), rtol=1e-10)


@pytest.mark.parametrize("power", [2, 3, 4])
def test_first_order_bias_of_the_relaxation_by_adaptive_quadrature(power: int) -> None:
    logit, temperature = 0.7, 1e-3
    chance = special.expit(logit)

    def slope(
        v: float,
    ) -> float:  # relaxed minus exact, over the temperature, with the noise at tau v - logit
        rest = stats.logistic.pdf(temperature * v - logit) * stats.logistic.pdf(v)
        return float(power * special.expit(v) ** (power - 1) * rest)

    gradient = integrate.quad(slope, -40, 40, epsabs=1e-13, limit=400)[0]
    chord = integrate.quad(lambda y: (y**power - y) / (y * (1 - y)), 0, 1)[0]
    exact = chance * (1 - chance)
    agree((gradient - exact) / temperature, exact * (1 - 2 * chance) * chord, rtol=0.02)


# Implicit reparameterisation


@pytest.mark.parametrize("shape", [1e-3, 0.02, 0.3, 1.0, 4.0, 50.0, 3e3])
def test_gamma_slope_against_jax(shape: float) -> None:
    quantiles = np.array([1e-6, 0.01, 0.2, 0.5, 0.9, 0.999, 1 - 1e-9])
    z = special.gammaincinv(shape, quantiles)
    z = z[z > 1e-300]  # a small shape has most of its draws near zero
    expected = jax.vmap(jax.lax.random_gamma_grad)(jnp.full(len(z), shape), jnp.asarray(z))
    agree(gamma_slope(tensor(z), tensor(np.full(len(z), shape))), expected, rtol=1e-9)


def test_implicit_gamma_estimates_moments() -> None:
    shape = tensor([0.5, 2.0, 9.0]).requires_grad_()
    nodes, weights = np.polynomial.legendre.leggauss(400)  # over the quantile, where the sample is exact
    quantiles = (nodes[:, None] + 1) / 2
    sample = tensor(special.gammaincinv(shape.detach().numpy(), quantiles))
    mean = (tensor(weights)[:, None] / 2 * implicit_gamma(shape, sample).pow(2)).sum()
    agree(torch.autograd.grad(mean, shape)[0], 2 * shape.detach() + 1, rtol=1e-3)  # E z^2 = a + a^2
    ours = implicit_gamma(shape, sample).pow(2).sum()
    theirs = Gamma(shape, torch.ones_like(shape))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = theirs.rsample((100,))
    pair = [torch.autograd.grad(d.pow(2).sum(), shape)[0] for d in (implicit_gamma(shape, drawn), drawn)]
    agree(pair[0], pair[1], rtol=1e-3)  # PyTorch's is an approximation
    assert ours.requires_grad


def families() -> list[tuple[str, Callable[..., Distribution], list[float]]]:
    return [
        ("normal", Normal, [0.4, 1.7]),
        ("laplace", Laplace, [-0.3, 0.8]),
        ("exponential", Exponential, [1.4]),
        ("weibull", Weibull, [1.2, 0.7]),
        ("kumaraswamy", Kumaraswamy, [1.3, 0.6]),
        ("half-cauchy", HalfCauchy, [0.9]),
    ]


@pytest.mark.parametrize(("name", "family", "values"), families(), ids=[f[0] for f in families()])
def test_implicit_gradients_against_explicit_paths(
    name: str, family: Callable[..., Distribution], values: list[float]
) -> None:
    parameters = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in values]
    distribution = family(*parameters)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        path = distribution.rsample(torch.Size((30,)))
    sample = path.detach()
    ours = implicit_surrogate(sample, distribution.cdf(sample), distribution.log_prob(sample))
    agree(ours, sample)
    for parameter in parameters:
        expected, found = (
            torch.autograd.grad(torch.sin(z).sum(), parameter, retain_graph=True)[0] for z in (path, ours)
        )
        agree(found, expected, rtol=1e-8)


# The discrete VAE


def test_enumerated_bound_against_torch_distributions() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = CategoricalVae(6, variables=2, categories=3, hidden=5).double()
    x = (torch.rand(4, 6, generator=seeded(2)) > 0.5).double()
    q = Independent(Categorical(logits=vae.encode(x)), 1)
    prior = Independent(Categorical(logits=torch.zeros(4, 2, 3).double()), 1)
    bound = -kl_divergence(q, prior)
    agree(vae.rate(vae.encode(x)), kl_divergence(q, prior).detach())
    for code in product(range(3), repeat=2):
        index = torch.tensor(code)
        logits = vae.decoder(torch.nn.functional.one_hot(index, 3).double().flatten())
        likelihood = Independent(Bernoulli(logits=logits.expand(4, -1)), 1).log_prob(x)
        bound = bound + q.log_prob(index.expand(4, -1)).exp() * likelihood
    agree(vae.elbo(x), bound.detach(), rtol=1e-10)
    parameters = list(vae.parameters())
    agree(flat_gradient(vae.elbo(x).sum(), parameters), flat_gradient(bound.sum(), parameters), rtol=1e-8)


def test_leave_one_out_gradient_of_the_discrete_vae_over_every_pair_of_draws() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = CategoricalVae(4, variables=1, categories=3, hidden=3).double()
    x, parameters = torch.tensor([[1.0, 0.0, 1.0, 1.0]]).double(), list(vae.parameters())
    chances = vae.encode(x).exp().detach()[0, 0]
    total = torch.zeros(sum(p.numel() for p in parameters), dtype=torch.float64)
    for first, second in product(range(3), repeat=2):
        noise = torch.zeros(2, 1, 1, 3, dtype=torch.float64)
        noise[0, ..., first], noise[1, ..., second] = 1e3, 1e3  # forces the draws
        gradient = flat_gradient(vae.surrogate(x, noise, "leave_one_out").mean(), parameters)
        total += chances[first] * chances[second] * gradient
    agree(total, flat_gradient(vae.elbo(x).sum(), parameters), rtol=1e-9)
