"""Bounds from log-weights and the linear-Gaussian model, against SciPy, scikit-learn, NumPy, JAX, PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import jax
import numpy as np
import pytest
import torch
from agm.latent.elbo import (
    effective_sample_size,
    elbo,
    importance_log_likelihood,
    iwae_bound,
    signal_to_noise,
)
from agm.latent.linear_gaussian import LinearGaussian, fit_ppca, gaussian_log_density
from scipy import optimize, special, stats
from sklearn.decomposition import PCA, FactorAnalysis
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from tests.oracles.inputs import agree


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def factor_model(data: int = 7, latent: int = 3, seed: int = 0) -> LinearGaussian:
    noise = 0.2 + torch.rand(data, generator=seeded(seed + 2), dtype=torch.float64)
    return LinearGaussian(normal(data, latent, seed=seed), normal(data, seed=seed + 1), noise)


def twin(model: LinearGaussian) -> FactorAnalysis:
    """scikit-learn's factor analysis with the parameters of a model."""
    oracle = FactorAnalysis(n_components=model.latent_size)
    oracle.components_, oracle.mean_ = model.loadings.T.numpy(), model.mean.numpy()
    oracle.noise_variance_, oracle.n_features_in_ = model.noise_variance.numpy(), len(model.mean)
    return oracle


def hermite(dimensions: int, nodes: int = 6) -> tuple[Tensor, Tensor]:
    """Nodes and weights that integrate polynomials against a standard Gaussian without error."""
    points, weights = np.polynomial.hermite_e.hermegauss(nodes)
    grid = torch.tensor(list(product(points, repeat=dimensions)))
    mass = torch.tensor(list(product(weights / math.sqrt(2 * math.pi), repeat=dimensions))).prod(1)
    return grid, mass


MODEL = factor_model()
X = MODEL.sample(9, seeded(3))
ROOT = normal(9, 3, 3, seed=4)
COVARIANCE = ROOT @ ROOT.mT / 3 + 0.1 * torch.eye(3, dtype=torch.float64)
MEAN = normal(9, 3, seed=5)


@pytest.mark.parametrize("latent", [1, 3, 7, 9])
def test_evidence_against_scipy_and_factor_analysis(latent: int) -> None:
    model = factor_model(latent=latent, seed=latent)
    x = model.sample(20, seeded(1))
    expected = stats.multivariate_normal(model.mean, model.covariance()).logpdf(x)
    agree(model.log_marginal(x), expected, rtol=1e-11)
    agree(model.log_marginal_dense(x), expected, rtol=1e-11)
    agree(model.log_marginal(x), twin(model).score_samples(x.numpy()), rtol=1e-11)
    agree(gaussian_log_density(x, model.mean, model.covariance()), expected, rtol=1e-11)


def test_posterior_against_factor_analysis_and_the_conditional_of_the_joint() -> None:
    agree(MODEL.posterior_mean(X), twin(MODEL).transform(X.numpy()), rtol=1e-10)
    gain = np.linalg.solve(MODEL.covariance().numpy(), MODEL.loadings.numpy()).T  # W' C^-1
    agree(MODEL.posterior_mean(X), (X - MODEL.mean).numpy() @ gain.T, rtol=1e-10)
    agree(MODEL.posterior_covariance(), np.eye(3) - gain @ MODEL.loadings.numpy(), rtol=1e-10, atol=1e-12)


def test_joint_density_against_scipy() -> None:
    z = normal(9, 3, seed=6)
    expected = stats.norm.logpdf(z).sum(1)
    expected += stats.norm.logpdf(X, MODEL.decode(z), MODEL.noise_variance.sqrt()).sum(1)
    agree(MODEL.log_joint(X, z), expected, rtol=1e-12)


@pytest.mark.parametrize("shared", [True, False])
def test_closed_form_bound_against_quadrature_and_torch(shared: bool) -> None:
    covariance = COVARIANCE[0] if shared else COVARIANCE
    grid, mass = hermite(3)
    z = MEAN + (torch.linalg.cholesky(covariance) @ grid[:, None, :, None]).squeeze(-1)  # (nodes, batch, 3)
    q = MultivariateNormal(MEAN, covariance)
    prior = MultivariateNormal(torch.zeros(3, dtype=torch.float64), torch.eye(3, dtype=torch.float64))
    log_likelihood = MODEL.log_joint(X, z) - prior.log_prob(z)
    reconstruction = (mass[:, None] * log_likelihood).sum(0)
    agree(MODEL.expected_log_likelihood(X, MEAN, covariance), reconstruction, rtol=1e-10)
    agree(MODEL.elbo(X, MEAN, covariance), reconstruction - kl_divergence(q, prior), rtol=1e-10)
    log_weights = MODEL.log_joint(X, z) - q.log_prob(z)
    agree(MODEL.elbo(X, MEAN, covariance), (mass[:, None] * log_weights).sum(0), rtol=1e-10)


def test_gap_against_torch() -> None:
    posterior = MultivariateNormal(MODEL.posterior_mean(X), MODEL.posterior_covariance())
    gap = kl_divergence(MultivariateNormal(MEAN, COVARIANCE), posterior)
    agree(MODEL.log_marginal(X) - MODEL.elbo(X, MEAN, COVARIANCE), gap, rtol=1e-9)


def test_posterior_and_mean_field_are_found_by_a_general_optimiser() -> None:
    x = X[:1]

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        values = torch.tensor(parameters, requires_grad=True)
        bound = MODEL.elbo(x, values[None, :3], torch.diag_embed(values[None, 3:].exp())).sum()
        return -bound.item(), -torch.autograd.grad(bound, values)[0].numpy()

    found = optimize.minimize(loss, np.zeros(6), jac=True, method="BFGS", options={"gtol": 1e-9})
    agree(MODEL.posterior_mean(x)[0], found.x[:3], rtol=1e-5, atol=1e-6)
    agree(MODEL.mean_field_variance(), np.exp(found.x[3:]), rtol=1e-5)


@pytest.mark.parametrize("latent", [1, 2, 5])
def test_ppca_against_scikit_learn(latent: int) -> None:
    x = factor_model(data=6, latent=3, seed=7).sample(200, seeded(8))
    model, oracle = fit_ppca(x, latent), PCA(latent).fit(x.numpy())
    n = len(x)  # scikit-learn divides by n - 1 where maximum likelihood divides by n
    agree(model.covariance() * n / (n - 1), oracle.get_covariance(), rtol=1e-9, atol=1e-10)
    agree(model.noise_variance, np.full(6, oracle.noise_variance_ * (n - 1) / n), rtol=1e-10)
    scaled = LinearGaussian(
        model.loadings * math.sqrt(n / (n - 1)), model.mean, model.noise_variance * n / (n - 1)
    )
    agree(scaled.log_marginal(x), oracle.score_samples(x.numpy()), rtol=1e-10)
    assert model.log_marginal(x).mean() > oracle.score(x.numpy())


def test_ppca_is_a_maximum_that_factor_analysis_only_beats_with_more_parameters() -> None:
    x = factor_model(data=6, latent=2, seed=11).sample(300, seeded(12))
    general = FactorAnalysis(2, tol=1e-8, max_iter=5000).fit(x.numpy())
    assert fit_ppca(x, 2).log_marginal(x).mean().item() < general.score(x.numpy())


def test_samples_have_the_distribution_of_the_model() -> None:
    x = MODEL.sample(4000, seeded(9))
    white = np.linalg.solve(np.linalg.cholesky(MODEL.covariance().numpy()), (x - MODEL.mean).numpy().T)
    assert stats.kstest((white**2).sum(0), stats.chi2(7).cdf).pvalue > 1e-3
    assert all(stats.kstest(row, stats.norm.cdf).pvalue > 1e-3 for row in white)


LOG_WEIGHTS = 4 * normal(60, 5, seed=13) - 300


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_bounds_against_scipy_jax_and_numpy(dim: int) -> None:
    count, values = LOG_WEIGHTS.shape[dim], LOG_WEIGHTS.numpy()
    agree(iwae_bound(LOG_WEIGHTS, dim), special.logsumexp(values, axis=dim, b=1 / count), rtol=1e-12)
    agree(
        iwae_bound(LOG_WEIGHTS, dim),
        jax.nn.logsumexp(values, axis=dim, b=np.full((1, 1), 1 / count)),
        rtol=1e-12,
    )
    agree(elbo(LOG_WEIGHTS, dim), np.mean(values, axis=dim), rtol=1e-12)
    weights = np.exp(values + 300)
    expected = weights.sum(dim) ** 2 / (weights**2).sum(dim)
    agree(effective_sample_size(LOG_WEIGHTS, dim), expected, rtol=1e-10)
    agree(
        effective_sample_size(LOG_WEIGHTS, dim),
        count / (1 + stats.variation(weights, axis=dim) ** 2),
        rtol=1e-10,
    )
    agree(
        signal_to_noise(LOG_WEIGHTS, dim), 1 / np.abs(stats.variation(values, axis=dim, ddof=1)), rtol=1e-10
    )


def test_gradient_of_the_bound_is_the_softmax() -> None:
    log_weights = LOG_WEIGHTS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(iwae_bound(log_weights).sum(), log_weights)
    agree(gradient, special.softmax(LOG_WEIGHTS.numpy(), axis=0), rtol=1e-10)


@pytest.mark.parametrize("chunk", [1, 7, 60, 1000])
def test_streamed_estimate_against_numpy(chunk: int) -> None:
    rows = iter(LOG_WEIGHTS)
    estimate = importance_log_likelihood(lambda k: torch.stack([next(rows) for _ in range(k)]), 60, chunk)
    weights = np.exp(LOG_WEIGHTS.numpy() + 300)
    agree(estimate.log_likelihood, np.log(weights.mean(0)) - 300, rtol=1e-12)
    agree(estimate.standard_error, stats.sem(weights, axis=0) / weights.mean(0), rtol=1e-9)
    agree(estimate.largest_share, weights.max(0) / weights.sum(0), rtol=1e-10)
    agree(estimate.effective_sample_size, weights.sum(0) ** 2 / (weights**2).sum(0), rtol=1e-10)


def test_bound_of_a_finite_model_by_enumeration() -> None:
    random = np.random.default_rng(14)
    joint, encoder = random.dirichlet(np.ones(4)) * 0.1, random.dirichlet(np.ones(4))
    log_ratio = torch.tensor(np.log(joint / encoder))
    bounds = []
    for size in range(1, 6):
        chosen = torch.tensor(list(product(range(4), repeat=size)))  # every outcome of the draws
        chance = torch.tensor(encoder)[chosen].prod(1)
        bounds.append((chance * iwae_bound(log_ratio[chosen], dim=1)).sum().item())
    kl = stats.entropy(encoder, joint / joint.sum())
    assert bounds[0] == pytest.approx(math.log(joint.sum()) - kl, abs=1e-12)
    assert np.all(np.diff(bounds) > 0) and bounds[-1] < math.log(joint.sum())


def test_rate_of_the_bound_for_gamma_weights() -> None:
    shape, sizes = 1.7, np.array([16, 64, 256])
    gaps = []
    for size in sizes:  # the mean of gamma weights is a gamma variable; its quantiles make an even grid
        levels = (np.arange(400_000) + 0.5) / 400_000
        log_mean = np.log(stats.gamma(shape * size, scale=1 / (shape * size)).ppf(levels))
        gaps.append(-elbo(torch.tensor(log_mean)).item())
    expected = np.log(shape * sizes) - special.digamma(shape * sizes)
    np.testing.assert_allclose(gaps, expected, rtol=1e-3)
    np.testing.assert_allclose(sizes * expected, 1 / (2 * shape), rtol=0.01)


def narrow_data() -> None:
    with pytest.raises(ValueError):
        MODEL.log_marginal(X[:, :1])


def ragged_chunks() -> None:
    widths = iter((1, 2))
    with pytest.raises(ValueError):
        importance_log_likelihood(lambda k: torch.zeros(k, next(widths)), 10, 5)


def equal_weights_in_single_precision() -> None:
    assert effective_sample_size(torch.full((10_000,), -1e5)).item() <= 10_000 * (1 + 1e-5)


def spread_without_a_matrix() -> None:
    with pytest.raises(ValueError):
        MODEL.expected_log_likelihood(X, MEAN, torch.ones(3, dtype=torch.float64))


def rotation_that_is_none() -> None:
    with pytest.raises(ValueError):
        fit_ppca(X.repeat(5, 1) + normal(45, 7, seed=15), 2, torch.ones(2, 2, dtype=torch.float64))


def unfinished_data() -> None:
    with pytest.raises(ValueError):
        fit_ppca(torch.full((50, 4), math.nan), 1)


def lists() -> None:
    with pytest.raises(TypeError):
        iwae_bound([0.0, 1.0])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "case",
    [narrow_data, spread_without_a_matrix, rotation_that_is_none, unfinished_data, ragged_chunks, lists],
)
def test_bad_input(case: Callable[[], None]) -> None:
    case()


@pytest.mark.parametrize("level", [0.0, -1e5, 1e30])
def test_equal_weights_count_fully_in_single_precision(level: float) -> None:
    log_weights = torch.full((10_000, 1), level)
    assert effective_sample_size(log_weights).item() == 10_000
    estimate = importance_log_likelihood(lambda k: log_weights[:k], 10_000, 37)
    assert estimate.effective_sample_size.item() == pytest.approx(10_000, rel=1e-5)
    assert estimate.standard_error.item() < 1e-4  # of nothing: a hundredth of that of weights 0 and 1
    assert estimate.log_likelihood.item() == pytest.approx(level, rel=1e-6, abs=1e-5)


def test_far_log_weights_keep_their_digits_in_single_precision() -> None:
    log_weights = normal(400, 6, seed=16).float()
    far = log_weights - 2.0**17  # a power of two: what is lost here are digits of the weights themselves
    expected = effective_sample_size((far + 2.0**17).double())
    agree(effective_sample_size(far), expected, rtol=1e-5)
    rows = iter(far)
    estimate = importance_log_likelihood(lambda k: torch.stack([next(rows) for _ in range(k)]), 400, 7)
    agree(estimate.effective_sample_size, expected, rtol=1e-4)


def test_slope_of_the_effective_sample_size() -> None:
    log_weights = LOG_WEIGHTS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(effective_sample_size(log_weights).sum(), log_weights)
    weights = np.exp(LOG_WEIGHTS.numpy() + 300)
    total, squares = weights.sum(0), (weights**2).sum(0)
    agree(
        gradient,
        2 * total * weights / squares - 2 * total**2 * weights**2 / squares**2,
        rtol=1e-9,
        atol=1e-12,
    )


def test_chunks_without_any_weight_come_before_the_others() -> None:
    chunks = iter((torch.full((3, 2), -math.inf), torch.tensor([[-5.0, -math.inf]]).expand(3, 2)))
    estimate = importance_log_likelihood(lambda k: next(chunks), 6, 3)
    agree(estimate.log_likelihood, [-5 - math.log(2), -math.inf], rtol=1e-6)
    assert estimate.effective_sample_size[0].item() == pytest.approx(3)
