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
    BernoulliLikelihood,
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


def exact_interval(a: float, b: float) -> tuple[float, float, float]:
    """Log-mass of an interval and its slopes in both ends."""
    with mpmath.workdps(120):
        ends = (
            sorted((mpmath.mpf(a), mpmath.mpf(b)), key=abs) if a * b > 0 else (-mpmath.mpf(b), -mpmath.mpf(a))
        )
        near, far = (abs(end) for end in ends) if a * b > 0 else ends
        root = mpmath.sqrt(2)
        mass = abs(mpmath.erfc(near / root) - mpmath.erfc(far / root)) / 2
        slopes = (0 if math.isinf(end) else mpmath.npdf(end) / mass for end in (a, b))
        left, right = (float(slope) for slope in slopes)
        return float(mpmath.log(mass)), -left, right


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_intervals_of_every_kind_and_their_slopes_are_those_of_mpmath(dtype: torch.dtype) -> None:
    random = numbers(0)
    middles = random.choice((-1, 1), 400) * 10 ** random.uniform(-2, 1.6, 400)
    widths = 10 ** random.uniform(-4, 1, 400)
    lower = [*(middles - widths / 2), 0.0, -1e-9, -math.inf, 1.0, -math.inf, -math.inf, 20.0, -50.0, 35.0]
    upper = [*(middles + widths / 2), 1e-7, 1e-8, 0.5, math.inf, math.inf, -30.0, math.inf, 60.0, 36.0]
    ends = torch.tensor([lower, upper], dtype=dtype).requires_grad_()
    found = log_interval(*ends)
    slopes = torch.autograd.grad(found.sum(), ends)[0]
    oracle = np.array([exact_interval(a, b) for a, b in ends.detach().T.double().tolist()])
    precision = torch.finfo(dtype).eps
    agree(found.detach().double(), oracle[:, 0], rtol=1e3 * precision, atol=1e3 * precision)
    scale = (
        np.abs(oracle[:, 1:]).max(1, keepdims=True) + 1
    )  # the slope of a far end is nothing beside the other
    agree(slopes.T.double() / tensor(scale), oracle[:, 1:] / scale, rtol=0, atol=1e4 * precision)


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


def test_outermost_cells_reach_to_infinity_also_far_from_the_mean() -> None:
    likelihood = DiscretisedGaussianLikelihood((1,), 17, "fixed", 1e-5).double()
    scale = likelihood.log_scale.exp().item()
    mean = tensor([[0.5]]).requires_grad_()
    found = likelihood.log_prob(mean, torch.zeros(1, 1))
    edge = (0.5 / 16 - 0.5) / scale
    agree(found.detach(), stats.norm.logcdf([edge]), rtol=1e-12)
    slope = torch.autograd.grad(found.sum(), mean)[0].item()
    assert slope == pytest.approx(
        edge / scale, rel=1e-6
    )  # Mills: the ratio of density to tail is its distance


def test_gradients_of_cells_under_hopeless_means_stay_numbers() -> None:
    """A mean so far away that both edges of a cell are rounded to the same number."""
    likelihood = DiscretisedGaussianLikelihood((3,), 17, "fixed", 0.1)
    mean = torch.full((1, 3), 1e8).requires_grad_()
    found = likelihood.log_prob(mean, torch.tensor([[0, 8, 16]]))
    assert torch.isfinite(found).all() and torch.isfinite(torch.autograd.grad(found.sum(), mean)[0]).all()


@pytest.mark.parametrize("log_variance", [-300.0, -170.0, 100.0])
def test_extreme_posteriors_have_a_density_where_they_are(log_variance: float) -> None:
    place = torch.tensor([[0.7, log_variance]]).requires_grad_()
    posterior = DiagonalGaussian(place[:, :1], place[:, 1:])
    z = posterior.sample(torch.zeros(1, 1))
    found = posterior.log_prob(z.detach())
    agree(found.detach(), [-0.5 * log_variance - 0.5 * math.log(2 * math.pi)], rtol=1e-6)
    agree(torch.autograd.grad(found.sum(), place)[0], [[0.0, -0.5]])


@pytest.mark.parametrize("scale", [math.nan, math.inf, 0.0, -1.0])
def test_scales_that_are_no_positive_numbers_are_refused(scale: float) -> None:
    for kind in ("fixed", "shared", "per_pixel", "predicted"):
        with pytest.raises(ValueError, match="scale"):
            GaussianLikelihood((2,), kind, scale)


@pytest.mark.parametrize("levels", [5.5, 5.0, math.nan, 1])
def test_levels_that_are_not_whole_are_refused(levels: float) -> None:
    with pytest.raises(ValueError, match="levels"):
        DiscretisedGaussianLikelihood((2,), levels)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="levels"):
        CategoricalLikelihood((2,), levels)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parameters", "x"),
    [((3, 4), (3, 1)), ((3, 1), (3, 4)), ((1, 4), (3, 4)), ((3, 4), (1, 4)), ((4,), (3, 4)), ((3, 4), ())],
)
@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "discretised_gaussian"])
def test_data_of_another_shape_are_refused(name, parameters: tuple[int, ...], x: tuple[int, ...]) -> None:
    likelihood: Likelihood = build_vae(VaeConfig((4,), likelihood=name)).likelihood
    with pytest.raises(ValueError, match="shape"):
        likelihood.log_prob(torch.zeros(parameters), torch.zeros(x))


def test_draws_and_single_examples_have_likelihoods() -> None:
    likelihood = BernoulliLikelihood((2, 3))
    logits, x = tensor(normal(0, 5, 4, 2, 3)), tensor(numbers(1).integers(0, 2, (4, 2, 3)))
    found = likelihood.log_prob(logits, x)
    assert found.shape == (5, 4)
    agree(likelihood.log_prob(logits[2, 1], x[1]), found[2, 1].item())


def test_whole_numbers_are_no_pictures_of_coins() -> None:
    for x in (torch.tensor([[True, False]]), torch.tensor([[1, 0]]), torch.tensor([[math.nan, 0.0]])):
        with pytest.raises(ValueError, match="zeros and ones only, as floating-point"):
            BernoulliLikelihood((2,)).check(x)


def test_truth_values_are_levels() -> None:
    likelihood, x = CategoricalLikelihood((2,), 2), torch.tensor([[True, False]])
    likelihood.check(x)
    table = tensor(normal(0, 1, 2, 2))
    agree(likelihood.log_prob(table, x), likelihood.log_prob(table, x.long()))
    with pytest.raises(ValueError, match="whole numbers"):
        likelihood.check(torch.tensor([[0.5, math.nan]]))
