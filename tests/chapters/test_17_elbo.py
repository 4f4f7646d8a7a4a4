"""Chapter 17: bounds from log-weights, and the linear-Gaussian model in which they are exact."""

from __future__ import annotations

# book/03-latent/17-elbo.qmd § Tests
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from agm.divergences import gaussian_kl, gaussian_pearson
from agm.latent.elbo import (
    effective_sample_size,
    elbo,
    importance_log_likelihood,
    iwae_bound,
    signal_to_noise,
)
from agm.latent.linear_gaussian import LinearGaussian, fit_ppca
from scipy.special import digamma
from torch import Tensor


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_model(data: int = 6, latent: int = 3, seed: int = 0) -> LinearGaussian:
    random = seeded(seed)
    loadings, mean = torch.randn(data, latent + 1, generator=random, dtype=torch.float64).split(
        [latent, 1], 1
    )
    return LinearGaussian(loadings, mean[:, 0], 0.2 + torch.rand(data, generator=random, dtype=torch.float64))


MODEL = random_model()
X = MODEL.sample(5, seeded(1))
EVIDENCE = MODEL.log_marginal(X)


def weights_of(
    mean: Tensor, covariance: Tensor, model: LinearGaussian = MODEL, x: Tensor = X, seed: int = 2
) -> Callable[[int], Tensor]:
    """A sampler of log-weights (draws, batch) for a Gaussian q."""
    random, q = seeded(seed), torch.distributions.MultivariateNormal(mean, covariance)

    def draw(count: int) -> Tensor:
        noise = torch.randn(count, *mean.shape, generator=random, dtype=torch.float64)
        z = mean + (q.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
        return model.log_joint(x, z) - q.log_prob(z)

    return draw


@pytest.mark.parametrize("seed", range(5))
def test_two_formulas_for_the_evidence(seed: int) -> None:
    model = random_model(data=8, latent=1 + seed, seed=seed)
    x = model.sample(20, seeded(seed))
    reference = torch.distributions.MultivariateNormal(model.mean, model.covariance()).log_prob(x)
    torch.testing.assert_close(model.log_marginal(x), reference, rtol=0, atol=1e-10)
    torch.testing.assert_close(model.log_marginal_dense(x), reference, rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_bound_of_the_posterior_is_the_evidence(seed: int) -> None:
    model = random_model(data=8, latent=1 + seed, seed=seed)
    x = model.sample(20, seeded(seed))
    tight = model.elbo(x, model.posterior_mean(x), model.posterior_covariance())
    torch.testing.assert_close(tight, model.log_marginal(x), rtol=0, atol=1e-10)


def test_every_single_weight_of_the_posterior_is_the_evidence() -> None:
    log_weights = weights_of(MODEL.posterior_mean(X), MODEL.posterior_covariance())(7)
    torch.testing.assert_close(log_weights, EVIDENCE.expand(7, -1), rtol=0, atol=1e-10)
    torch.testing.assert_close(effective_sample_size(log_weights), torch.full((5,), 7.0, dtype=torch.float64))


def test_gap_is_the_divergence_from_the_posterior() -> None:
    random = seeded(3)
    mean = torch.randn(5, 3, generator=random, dtype=torch.float64)
    root = torch.randn(5, 3, 3, generator=random, dtype=torch.float64)
    covariance = root @ root.mT + 0.1 * torch.eye(3)
    posterior = MODEL.posterior_mean(X), MODEL.posterior_covariance().expand(5, 3, 3)
    gap = EVIDENCE - MODEL.elbo(X, mean, covariance)
    torch.testing.assert_close(gap, gaussian_kl(mean, covariance, *posterior), rtol=1e-10, atol=1e-10)
    assert (gap > 0).all()


def test_closed_form_agrees_with_monte_carlo() -> None:
    mean, covariance = MODEL.posterior_mean(X) + 0.2, 1.5 * MODEL.posterior_covariance()
    log_weights = weights_of(mean, covariance)(100_000)
    error = log_weights.std(0) / log_weights.shape[0] ** 0.5
    assert ((elbo(log_weights) - MODEL.elbo(X, mean, covariance)).abs() < 4.5 * error).all()


def test_mean_field_is_the_best_of_its_family() -> None:
    variance, mean = MODEL.mean_field_variance(), MODEL.posterior_mean(X)
    best = MODEL.elbo(X, mean, torch.diag(variance))
    precision = MODEL.posterior_precision()
    gap = 0.5 * (torch.diagonal(precision).log().sum() - precision.logdet())
    torch.testing.assert_close(EVIDENCE - best, gap.expand(5), rtol=1e-10, atol=1e-10)
    random = seeded(4)
    for _ in range(50):
        factor = torch.exp(0.3 * torch.randn(3, generator=random, dtype=torch.float64))
        assert (MODEL.elbo(X, mean, torch.diag(variance * factor)) < best).all()


def test_tight_bound_has_the_gradient_of_the_evidence() -> None:
    def gradient(value: Callable[[LinearGaussian], Tensor]) -> list[Tensor]:
        parts = [part.clone().requires_grad_() for part in (MODEL.loadings, MODEL.mean, MODEL.noise_variance)]
        return list(torch.autograd.grad(value(LinearGaussian(*parts)), parts))

    mean, covariance = MODEL.posterior_mean(X), MODEL.posterior_covariance()
    touching = gradient(lambda model: model.elbo(X, mean, covariance).sum())
    for got, expected in zip(touching, gradient(lambda model: model.log_marginal(X).sum()), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-9)
    loose = gradient(lambda model: model.elbo(X, mean + 0.5, covariance).sum())
    assert (loose[1] - touching[1]).abs().max() > 0.1


def test_rotating_the_latents_moves_the_bound_and_not_the_evidence() -> None:
    x = random_model(data=8, latent=4, seed=9).sample(400, seeded(5))
    angle = torch.tensor(0.7, dtype=torch.float64)
    turn = torch.eye(4, dtype=torch.float64)
    turn[:2, :2] = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
    plain, turned = fit_ppca(x, 4), fit_ppca(x, 4, turn)
    torch.testing.assert_close(plain.log_marginal(x), turned.log_marginal(x))
    bounds = [m.elbo(x, m.posterior_mean(x), torch.diag(m.mean_field_variance())) for m in (plain, turned)]
    torch.testing.assert_close(bounds[0], plain.log_marginal(x), rtol=0, atol=1e-10)
    assert (bounds[0] - bounds[1]).min() > 1e-3


def test_ppca_likelihood_by_eigenvalues_and_its_optimality() -> None:
    x = random_model(data=7, latent=2, seed=6).sample(300, seeded(6))
    model = fit_ppca(x, 2)
    values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    noise = values[2:].mean()
    torch.testing.assert_close(model.noise_variance, noise.expand(7))
    expected = -0.5 * (7 * math.log(2 * math.pi) + values[:2].log().sum() + 5 * noise.log() + 7)
    torch.testing.assert_close(model.log_marginal(x).mean(), expected)
    random = seeded(7)
    for _ in range(20):
        moved = model.loadings + 0.05 * torch.randn(7, 2, generator=random, dtype=torch.float64)
        other = LinearGaussian(moved, model.mean, model.noise_variance * 1.02)
        assert other.log_marginal(x).mean() < expected


def test_bound_rises_with_the_number_of_draws_for_every_set_of_weights() -> None:
    log_weights = 3 * torch.randn(12, 200, generator=seeded(8), dtype=torch.float64)
    previous = elbo(log_weights)
    for size in (2, 3, 4, 6, 12):  # averages over all groups of one partition, nested or not
        grouped = iwae_bound(log_weights.view(12 // size, size, 200), dim=1).mean(0)
        if size in (2, 4, 12):  # each of these partitions refines the one before
            assert (grouped >= previous - 1e-12).all()
            previous = grouped
    assert (iwae_bound(log_weights) >= previous - 1e-12).all()


@pytest.mark.parametrize("size", [1, 4, 16])
def test_bound_of_gamma_weights_is_exact(size: int) -> None:
    shape = 0.8
    draws = np.random.default_rng(size).gamma(shape, 1 / shape, (40_000, size))
    bounds = iwae_bound(torch.as_tensor(np.log(draws)), dim=1)
    exact = digamma(shape * size) - math.log(shape * size)
    assert abs(bounds.mean().item() - exact) < 4.5 * bounds.std().item() / 200


def test_asymptotic_gap_is_half_of_chi_squared_over_draws() -> None:
    mean, covariance = MODEL.posterior_mean(X), 1.3 * MODEL.posterior_covariance()
    chi = gaussian_pearson(mean[0], MODEL.posterior_covariance(), mean[0], covariance)
    log_ratio = weights_of(mean, covariance)(60_000) - EVIDENCE
    log_mean = iwae_bound(log_ratio.view(-1, 40, 5), dim=1)
    gap = (torch.expm1(log_mean) - log_mean).mean()  # the supporting line has mean zero and kills the noise
    assert 40 * gap.item() == pytest.approx(chi.item() / 2, rel=0.05)


def test_plausible_mistakes() -> None:
    x = 3 * MODEL.sample(64, seeded(9))  # data whose evidences differ widely
    exact = MODEL.log_marginal(x)
    mean, covariance = MODEL.posterior_mean(x), 1.3 * MODEL.posterior_covariance()
    log_weights = weights_of(mean, covariance, x=x)(32)
    right = iwae_bound(log_weights)
    assert (right - exact).abs().max() < 0.5
    flat = log_weights.flatten()  # draws first, as they come from a decoder
    torch.testing.assert_close(iwae_bound(flat.view(32, 64)), right)
    assert iwae_bound(flat.view(64, 32), dim=1).mean() > exact.mean() + 1  # beats the truth: impossible
    assert iwae_bound(flat) > exact.mean() + 1
    constant = torch.zeros(10, 3)
    assert iwae_bound(constant).tolist() == [0.0, 0.0, 0.0]  # no log K left over
    assert (elbo(log_weights) < right).all()  # mean of logs, log of mean


def test_streaming_equals_one_pass() -> None:
    mean, covariance = MODEL.posterior_mean(X), 1.5 * MODEL.posterior_covariance()
    whole = weights_of(mean, covariance)(1000)
    chunks = iter(whole.split([300, 300, 300, 100]))
    estimate = importance_log_likelihood(lambda count: next(chunks), 1000, 300)
    torch.testing.assert_close(estimate.log_likelihood, iwae_bound(whole))
    torch.testing.assert_close(estimate.effective_sample_size, effective_sample_size(whole))
    weights = torch.exp(whole - EVIDENCE)
    torch.testing.assert_close(estimate.standard_error, weights.std(0) / weights.mean(0) / 1000**0.5)
    torch.testing.assert_close(estimate.largest_share, weights.amax(0) / weights.sum(0))


def test_standard_error_is_honest_for_a_wide_proposal() -> None:
    mean, covariance = MODEL.posterior_mean(X), 1.5 * MODEL.posterior_covariance()
    draw = weights_of(mean, covariance)
    scores = []
    for _ in range(200):
        estimate = importance_log_likelihood(draw, 400, 400)
        scores.append((estimate.log_likelihood - EVIDENCE) / estimate.standard_error)
    spread = torch.stack(scores).std().item()
    assert 0.93 < spread < 1.08


def test_weights_far_below_one_and_far_above() -> None:
    log_weights = torch.tensor([[-2000.0, 900.0], [-2001.0, 901.0]])
    expected = torch.tensor([-2000.0 + math.log((1 + math.exp(-1)) / 2), 900.0 + math.log((1 + math.e) / 2)])
    torch.testing.assert_close(iwae_bound(log_weights), expected)
    size = effective_sample_size(log_weights)
    assert bool(torch.isfinite(size).all()) and size[0].item() == pytest.approx(size[1].item())
    missing = torch.tensor([0.0, -math.inf])
    assert iwae_bound(missing).item() == pytest.approx(-math.log(2))


def test_signal_to_noise() -> None:
    gradients = torch.tensor([[1.0, -2.0], [3.0, -2.0], [2.0, 1.0]])
    torch.testing.assert_close(signal_to_noise(gradients), torch.tensor([2.0, 1 / math.sqrt(3.0)]))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="no draws on axis 1"):
        iwae_bound(torch.zeros(3), dim=1)
    with pytest.raises(ValueError, match="no draws on axis 0"):
        elbo(torch.zeros(0, 4))
    with pytest.raises(ValueError, match="floating-point"):
        iwae_bound(torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="repeat it"):
        signal_to_noise(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="n_draws >= 2"):
        importance_log_likelihood(lambda count: torch.zeros(count), 1)
    with pytest.raises(ValueError, match="asked for 5 draws, got"):
        importance_log_likelihood(lambda count: torch.zeros(3, count), 5)
    with pytest.raises(ValueError, match="nan or"):
        importance_log_likelihood(lambda count: torch.full((count,), math.nan), 5)
    with pytest.raises(ValueError, match="expected loadings"):
        LinearGaussian(torch.ones(3, 2), torch.zeros(2), torch.ones(3))
    with pytest.raises(ValueError, match="must be positive"):
        LinearGaussian(torch.ones(3, 2), torch.zeros(3), torch.tensor([1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="not positive definite"):
        MODEL.elbo(X, MODEL.posterior_mean(X), -torch.eye(3, dtype=torch.float64))
    with pytest.raises(ValueError, match="expected 1 to 5"):
        fit_ppca(torch.randn(50, 6, generator=seeded(0)), 6)
    with pytest.raises(ValueError, match="use fewer"):
        fit_ppca(torch.randn(50, 2, generator=seeded(0)) @ torch.randn(2, 6, generator=seeded(1)), 3)
