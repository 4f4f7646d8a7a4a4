"""Chapter 18 (VAEs) against SciPy, scikit-learn, mpmath and PyTorch's distributions and gradients."""

from __future__ import annotations

import math

import jax
import mpmath
import numpy as np
import pytest
import torch
from agm.jax.vae import from_torch, twin_loss
from agm.latent.decoders import (
    CategoricalLikelihood,
    GaussianLikelihood,
    Likelihood,
    bernoulli_log_prob,
    gaussian_log_density,
    optimal_scale,
)
from agm.latent.discretised import DiscretisedGaussianLikelihood, log_interval
from agm.latent.vae import (
    VAE,
    DiagonalGaussian,
    VaeConfig,
    build_vae,
    standard_kl,
    standard_normal_log_prob,
    vae_loss,
)
from scipy import integrate, optimize, special, stats
from sklearn.decomposition import PCA
from torch import nn

from tests.oracles.inputs import SEEDS, agree, covariance, integers, numbers, tensor

each_seed = pytest.mark.parametrize("seed", SEEDS)


def normal(seed: int, *shape: int) -> np.ndarray:
    return numbers(seed).normal(size=shape)


def simplex_points(k: int) -> torch.Tensor:
    """k + 1 points with mean zero and covariance identity, (k + 1, 1, k): by Gram-Schmidt."""
    basis = np.linalg.qr(np.c_[np.ones(k + 1), np.eye(k + 1)[:, :k]])[0][:, 1:]
    return tensor(math.sqrt(k + 1) * basis)[:, None]


@each_seed
def test_kl_is_that_of_torch_with_the_same_gradients_and_the_integral_of_scipy(seed: int) -> None:
    mean, log_variance = (tensor(normal(seed + i, 5, 3)).requires_grad_() for i in (0, 10))
    found = DiagonalGaussian(mean, log_variance).kl()
    ours = torch.autograd.grad(found.sum(), (mean, log_variance))
    q = torch.distributions.Independent(torch.distributions.Normal(mean, (0.5 * log_variance).exp()), 1)
    prior = torch.distributions.MultivariateNormal(torch.zeros(3).double(), torch.eye(3).double())
    full = torch.distributions.MultivariateNormal(mean, torch.diag_embed(log_variance.exp()))
    agree(found, torch.distributions.kl_divergence(full, prior).detach())
    oracle = torch.distributions.kl_divergence(full, prior).sum()
    for mine, theirs in zip(ours, torch.autograd.grad(oracle, (mean, log_variance)), strict=True):
        agree(mine, theirs)
    agree(q.log_prob(mean + 0.3).detach(), DiagonalGaussian(mean, log_variance).log_prob(mean + 0.3).detach())
    m, scale = mean[0, 0].item(), math.exp(0.5 * log_variance[0, 0].item())
    density = stats.norm(m, scale)
    value = integrate.quad(
        lambda z: density.pdf(z) * (density.logpdf(z) - stats.norm.logpdf(z)), m - 12 * scale, m + 12 * scale
    )[0]
    agree(standard_kl(mean, log_variance)[0, 0], value, rtol=1e-8)


@each_seed
def test_densities_are_those_of_scipy(seed: int) -> None:
    x, mean, log_scale = (normal(seed + i, 6, 4) for i in (0, 10, 20))
    agree(
        gaussian_log_density(tensor(x), tensor(mean), tensor(log_scale)),
        stats.norm.logpdf(x, mean, np.exp(log_scale)),
    )
    agree(standard_normal_log_prob(tensor(x)), stats.multivariate_normal(np.zeros(4)).logpdf(x))
    posterior = DiagonalGaussian(tensor(mean[0]), tensor(2 * log_scale[0]))
    oracle = stats.multivariate_normal(mean[0], np.diag(np.exp(2 * log_scale[0])))
    agree(posterior.log_prob(tensor(x)), oracle.logpdf(x))
    noise = tensor(normal(seed + 30, 6, 4))
    agree(posterior.sample(noise), mean[0] + np.exp(log_scale[0]) * noise.numpy())


@each_seed
def test_bernoulli_and_categorical_are_those_of_scipy(seed: int) -> None:
    logits = 4 * normal(seed, 50)
    bits = numbers(seed + 1).integers(0, 2, 50)
    agree(
        bernoulli_log_prob(tensor(logits), tensor(bits)), stats.bernoulli.logpmf(bits, special.expit(logits))
    )
    table, levels = 3 * normal(seed + 2, 7, 5, 4), numbers(seed + 3).integers(0, 5, (7, 4))
    likelihood = CategoricalLikelihood((4,), 5).double()
    one_hot = np.moveaxis(np.eye(5, dtype=int)[levels], -1, 1)
    probabilities = special.softmax(table, axis=1)
    oracle = stats.multinomial.logpmf(np.moveaxis(one_hot, 1, -1), 1, np.moveaxis(probabilities, 1, -1))
    agree(likelihood.log_prob(tensor(table), integers(levels)), oracle.sum(1))
    agree(likelihood.mean(tensor(table)), np.tensordot(np.arange(5) / 4, probabilities, (0, 1)))


def test_intervals_are_those_of_mpmath_also_in_the_tails() -> None:
    ends = [(-30, -29), (-1, 1.5), (0, 0.1), (3, 3.01), (25, 26), (-200, -199.9), (-0.3, 40), (90, math.inf)]
    with mpmath.workdps(60):
        root = mpmath.sqrt(2)
        mass = [
            (mpmath.erfc(mpmath.mpf(a) / root) - mpmath.erfc(mpmath.mpf(b) / root)) / 2
            if a > 0
            else (mpmath.erfc(-mpmath.mpf(b) / root) - mpmath.erfc(-mpmath.mpf(a) / root)) / 2
            for a, b in ends
        ]
        oracle = [float(mpmath.log(value)) for value in mass]
    lower, upper = tensor([a for a, _ in ends]), tensor([b for _, b in ends])
    agree(log_interval(lower, upper), oracle, rtol=1e-9)
    agree(log_interval(-upper, -lower), oracle, rtol=1e-9)  # the mirror image


@each_seed
def test_slopes_of_intervals_are_the_densities_at_the_ends(seed: int) -> None:
    lower = tensor(4 * normal(seed, 30)).requires_grad_()
    upper = (lower.detach() + tensor(numbers(seed + 1).uniform(0.1, 3, 30))).requires_grad_()
    found = log_interval(lower, upper)
    slopes = torch.autograd.grad(found.sum(), (lower, upper))
    for slope, end, sign in zip(slopes, (lower, upper), (-1, 1), strict=True):
        agree(slope, sign * np.exp(stats.norm.logpdf(end.detach()) - found.detach().numpy()), rtol=1e-8)


def test_cells_have_the_probabilities_of_rounded_and_clipped_gaussians() -> None:
    likelihood = DiscretisedGaussianLikelihood((1,), 17, initial_scale=0.2).double()
    scale = likelihood.log_scale.exp().item()  # 0.2 in single precision
    for mean in (-0.4, 0.0, 0.33, 1.7):
        values = torch.arange(17)[:, None]
        found = likelihood.log_prob(tensor([[mean]]).expand(17, 1), values)
        edges = (np.arange(18) - 0.5) / 16
        edges[0], edges[-1] = -np.inf, np.inf
        agree(found.exp(), np.diff(stats.norm.cdf(edges, mean, scale)), rtol=1e-9, atol=1e-15)


@each_seed
def test_the_best_scale_is_the_fit_of_scipy(seed: int) -> None:
    x, mean = normal(seed, 8, 5), normal(seed + 1, 8, 5)
    agree(optimal_scale(tensor(x), tensor(mean)), stats.norm.fit((x - mean).ravel(), floc=0)[1])
    best = optimize.minimize_scalar(
        lambda log_scale: -stats.norm.logpdf(x, mean, np.exp(log_scale)).sum(), tol=1e-12
    )
    agree(optimal_scale(tensor(x), tensor(mean)), math.exp(best.x), rtol=1e-6)


def test_cross_entropy_of_grey_values_lacks_the_constant_of_the_continuous_bernoulli() -> None:
    """@eq-va-grey-integral is one over the normaliser, and at most a half."""
    logits = tensor([-6.0, -2.0, -0.7, 0.6, 1.5, 9.0])
    density = torch.distributions.ContinuousBernoulli(logits=logits)
    x = tensor(0.37).expand(6)
    gap = density.log_prob(x) - bernoulli_log_prob(logits, x)
    rate = special.expit(logits.numpy())
    integral = (2 * rate - 1) / (np.log(rate) - np.log1p(-rate))
    agree(gap, -np.log(integral), rtol=1e-6)  # torch clamps its probabilities in single precision
    assert (gap >= math.log(2)).all()


def linear_vae(x: np.ndarray, k: int) -> tuple[VAE, PCA]:
    """A VAE whose decoder is scikit-learn's PCA and whose encoder is the posterior of that model."""
    pca = PCA(k).fit(x)
    size, noise = x.shape[1], pca.noise_variance_
    loadings = pca.components_.T * np.sqrt(pca.explained_variance_ - noise)
    precision = np.eye(k) + loadings.T @ loadings / noise
    weight = np.linalg.solve(precision, loadings.T) / noise
    encoder, decoder = nn.Linear(size, 2 * k).double(), nn.Linear(k, size).double()
    with torch.no_grad():
        encoder.weight.copy_(tensor(np.r_[weight, np.zeros_like(weight)]))
        encoder.bias.copy_(tensor(np.r_[-weight @ pca.mean_, -np.log(np.diag(precision))]))
        decoder.weight.copy_(tensor(loadings))
        decoder.bias.copy_(tensor(pca.mean_))
    likelihood = GaussianLikelihood((size,), "fixed").double()
    likelihood.log_scale.fill_(0.5 * math.log(noise))
    return VAE(encoder, decoder, likelihood), pca


@each_seed
def test_the_bound_of_the_linear_vae_is_the_score_of_pca(seed: int) -> None:
    x = normal(seed, 40, 6) @ np.linalg.cholesky(covariance(seed + 1, 6)).T + 3
    vae, pca = linear_vae(x, 2)
    bound = vae(tensor(x), simplex_points(2).expand(-1, 40, -1)).elbo.mean(0)
    agree(bound, pca.score_samples(x), rtol=1e-9)
    agree(vae.log_weights(tensor(x), tensor(normal(seed + 2, 3, 40, 2)))[1], pca.score_samples(x), rtol=1e-9)


@each_seed
def test_water_filling_is_the_cheapest_description(seed: int) -> None:
    """The linear VAE's rate at the theorem's optimum, against a search over all distortions by SciPy."""
    variances, level = numbers(seed).uniform(0.2, 3.0, 5), 0.9
    gain = np.sqrt(np.maximum(variances - level, 0.0))
    weight, width = gain / (gain**2 + level), level / (gain**2 + level)
    distortion = variances * (1 - gain * weight) ** 2 + gain**2 * width
    rate = 0.5 * (variances * weight**2 + width - 1 - np.log(width))
    agree(distortion, np.minimum(variances, level))

    def nats(errors: np.ndarray) -> float:
        return float(0.5 * np.log(variances / errors).sum())

    search = optimize.minimize(
        nats,
        0.4 * variances,
        bounds=[(1e-3, v) for v in variances],
        constraints={"type": "ineq", "fun": lambda errors: distortion.sum() - errors.sum()},
        tol=1e-12,
    )
    assert search.success
    agree(rate.sum(), nats(search.x), rtol=1e-6)


@each_seed
def test_gradients_of_both_terms_are_those_of_the_theory(seed: int) -> None:
    """@eq-va-slope-mean and @eq-va-slope-width for g = sin, whose Gaussian averages are known."""
    mean, spread = (float(v) for v in numbers(seed).uniform((-2, 0.3), (2, 1.5)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    place = tensor([mean, 2 * math.log(spread)]).requires_grad_()
    q = DiagonalGaussian(place[:1], place[1:])
    value = tensor(weights / weights.sum()) @ torch.sin(q.sample(tensor(nodes)[:, None]))[:, 0]
    slope = torch.autograd.grad(value, place)[0]
    damping = math.exp(-(spread**2) / 2)  # E sin(mean + spread e) = sin(mean) damping
    curvature = -math.sin(mean) * damping
    agree(slope, [math.cos(mean) * damping, 0.5 * spread**2 * curvature])


def test_flax_twin_of_unsupported_perceptrons_is_refused() -> None:
    """A twin that dropped a last activation, a missing bias or an option would be silently another model."""
    good = build_vae(VaeConfig((4,), 2, hidden=(5,)))
    for layers in (
        [nn.Linear(4, 4), nn.ReLU()],
        [nn.Linear(4, 4, bias=False)],
        [nn.Linear(4, 5), nn.ELU(alpha=0.3), nn.Linear(5, 4)],
        [nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 4)],
        [],
    ):
        with pytest.raises(TypeError, match="twin"):
            from_torch(VAE(nn.Sequential(*layers), good.decoder, good.likelihood))


@pytest.mark.parametrize("activation", ["elu", "relu", "silu", "softplus", "tanh"])
def test_flax_twin_agrees_for_every_activation(activation: str) -> None:
    vae = build_vae(VaeConfig((4,), 2, "gaussian", hidden=(5, 3), activation=activation)).double()
    x, noise = tensor(5 * normal(0, 9, 4)), tensor(normal(1, 9, 2))
    with jax.enable_x64(True):
        found = float(twin_loss(from_torch(vae), x.numpy(), noise.numpy(), 0.3))
    assert found == pytest.approx(vae_loss(vae(x, noise), 0.3).item(), rel=1e-8)


# Where the chapter's modules still disagree with what a user may expect. Their code determines trained
# weights, so that mending it means training again: do it before the next training, and delete the mark.


def infinite_ends_have_gradients() -> None:
    lower, upper = tensor([-math.inf, 1.0]).requires_grad_(), tensor([0.5, math.inf]).requires_grad_()
    slopes = torch.autograd.grad(log_interval(lower, upper).sum(), (lower, upper))
    assert all(bool(torch.isfinite(slope).all()) for slope in slopes)


def outermost_cells_reach_to_infinity() -> None:
    likelihood = DiscretisedGaussianLikelihood((1,), 17, "fixed", 1e-5).double()
    mean = tensor([[0.5]]).requires_grad_()
    slope = torch.autograd.grad(likelihood.log_prob(mean, torch.zeros(1, 1)).sum(), mean)[0]
    assert bool(torch.isfinite(slope).all())


def narrow_intervals_keep_their_digits() -> None:
    found = log_interval(torch.tensor([0.0]), torch.tensor([1e-7]))
    agree(found, [math.log(1e-7) + stats.norm.logpdf(0)], rtol=1e-3)


def scales_that_are_not_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="scale"):
        GaussianLikelihood((2,), "fixed", math.nan)


def levels_that_are_not_whole_are_refused() -> None:
    with pytest.raises(ValueError, match="levels"):
        DiscretisedGaussianLikelihood((2,), 5.5)  # type: ignore[arg-type]


def data_of_another_shape_are_refused() -> None:
    likelihood: Likelihood = build_vae(VaeConfig((4,))).likelihood
    with pytest.raises(ValueError, match="shape"):
        likelihood.log_prob(torch.zeros(3, 4), torch.zeros(3, 1))


@pytest.mark.xfail(strict=True, raises=(AssertionError, pytest.fail.Exception), reason="known and reported")
@pytest.mark.parametrize(
    "case",
    [
        infinite_ends_have_gradients,
        outermost_cells_reach_to_infinity,
        narrow_intervals_keep_their_digits,
        scales_that_are_not_numbers_are_refused,
        levels_that_are_not_whole_are_refused,
        data_of_another_shape_are_refused,
    ],
    ids=lambda case: case.__name__,
)
def test_known_defect(case) -> None:
    case()
