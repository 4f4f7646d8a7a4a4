"""Chapter 18: variational autoencoders, their likelihoods, and the Flax twin."""

from __future__ import annotations

# book/03-latent/18-vae.qmd § Tests
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from agm.baselines import Histogram
from agm.data import load_digits
from agm.divergences import gaussian_kl
from agm.jax.vae import from_torch, gradients, twin_loss
from agm.latent.decoders import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    GaussianLikelihood,
    bernoulli_log_prob,
    gaussian_log_density,
    optimal_scale,
)
from agm.latent.discretised import DiscretisedGaussianLikelihood, log_interval
from agm.latent.linear_gaussian import LinearGaussian, fit_ppca
from agm.latent.vae import VAE, DiagonalGaussian, VaeConfig, build_vae, standard_kl, vae_loss
from flax import nnx
from torch import nn

NAMES = (
    "bernoulli",
    "gaussian",
    "gaussian_per_pixel",
    "gaussian_predicted",
    "discretised_gaussian",
    "categorical",
)
LEVELS = 5


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def data_for(name: str, *shape: int, seed: int = 0) -> torch.Tensor:
    levels = torch.randint(0, LEVELS, shape, generator=seeded(seed))
    if name == "bernoulli":
        return (levels > 2).double()
    return levels if name in ("categorical", "discretised_gaussian") else levels.double() / (LEVELS - 1)


def small(name: str, *, network: str = "mlp", shape: tuple[int, ...] = (1, 4, 4), seed: int = 0) -> VAE:
    hidden = (6, 8) if network == "conv" else (16,)
    return build_vae(VaeConfig(shape, 3, name, LEVELS, network=network, hidden=hidden), seed).double()


def simplex(k: int) -> torch.Tensor:
    """k + 1 points with the mean and the covariance of the noise: exact for quadratics."""
    centred = torch.eye(k + 1).double() - 1 / (k + 1)
    return math.sqrt(k + 1) * torch.linalg.svd(centred).U[:, None, :k]


def test_standard_kl_agrees_with_torch_and_with_the_general_formula() -> None:
    mean, log_variance = 2 * randn(50, 3), 2 * randn(50, 3, seed=1)
    q = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    prior = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    torch.testing.assert_close(standard_kl(mean, log_variance), torch.distributions.kl_divergence(q, prior))
    identity = torch.eye(3).double().expand(50, 3, 3)
    general = gaussian_kl(mean, torch.diag_embed(log_variance.exp()), torch.zeros_like(mean), identity)
    torch.testing.assert_close(DiagonalGaussian(mean, log_variance).kl(), general)


def test_standard_kl_is_accurate_near_the_prior() -> None:
    tiny = torch.tensor([1e-5], dtype=torch.float32)
    assert standard_kl(torch.zeros(1), tiny).item() == pytest.approx(2.5e-11, rel=0.2)


def test_a_draw_has_the_mean_and_the_variance_not_its_root() -> None:
    q = DiagonalGaussian(
        torch.tensor([1.0, -2.0]).double(), torch.tensor([math.log(9.0), math.log(0.25)]).double()
    )
    z = q.sample(simplex(2)[:, 0])
    torch.testing.assert_close(z.mean(0), q.mean)
    torch.testing.assert_close(
        (z - q.mean).T @ (z - q.mean) / 3, torch.diag(torch.tensor([9.0, 0.25]).double())
    )
    reference = torch.distributions.Normal(q.mean, torch.tensor([3.0, 0.5]).double()).log_prob(z).sum(-1)
    torch.testing.assert_close(q.log_prob(z), reference)


def test_log_probabilities_agree_with_torch_distributions() -> None:
    logits, bits = 3 * randn(20, 7), (randn(20, 7, seed=1) > 0).double()
    expected = torch.distributions.Bernoulli(logits=logits).log_prob(bits)
    torch.testing.assert_close(bernoulli_log_prob(logits, bits), expected)
    x, scale = randn(20, 7, seed=2), 0.3 * randn(20, 7, seed=3)
    normal = torch.distributions.Normal(logits, scale.exp()).log_prob(x)
    torch.testing.assert_close(gaussian_log_density(x, logits, scale), normal)
    table, levels = randn(20, LEVELS, 7, seed=4), torch.randint(0, LEVELS, (20, 7), generator=seeded(5))
    categorical = torch.distributions.Categorical(logits=table.movedim(1, -1)).log_prob(levels)
    found = CategoricalLikelihood((7,), LEVELS).double().log_prob(table, levels)
    torch.testing.assert_close(found, categorical.sum(1))


def test_bernoulli_is_stable_for_large_logits() -> None:
    logits = torch.tensor([200.0, -200.0, 200.0], requires_grad=True)
    values = bernoulli_log_prob(logits, torch.tensor([1.0, 0.0, 0.0]))
    assert values.tolist() == [0.0, 0.0, -200.0]
    values.sum().backward()
    assert logits.grad is not None and logits.grad.tolist() == [0.0, 0.0, -1.0]


@pytest.mark.parametrize("name", ["bernoulli", "discretised_gaussian", "categorical"])
def test_probabilities_of_all_values_sum_to_one(name: str) -> None:
    likelihood = small(name, shape=(2,)).likelihood
    parameters = 3 * randn(40, *likelihood.parameter_shape)
    values = range(2) if name == "bernoulli" else range(LEVELS)
    total = sum(likelihood.log_prob_per_value(parameters, torch.full((40, 2), v)).exp() for v in values)
    torch.testing.assert_close(total, torch.ones(40, 2).double())


@pytest.mark.parametrize("name", ["gaussian", "gaussian_per_pixel", "gaussian_predicted"])
def test_densities_integrate_to_one(name: str) -> None:
    likelihood = small(name, shape=(1,)).likelihood
    parameters = randn(1, *likelihood.parameter_shape).expand(4001, *likelihood.parameter_shape)
    grid = torch.linspace(-20, 20, 4001).double()[:, None]
    assert torch.trapezoid(likelihood.log_prob(parameters, grid).exp(), grid[:, 0]).item() == pytest.approx(
        1, abs=1e-6
    )


def test_intervals_are_exact_in_both_tails() -> None:
    scipy_special = pytest.importorskip("scipy.special")
    lower = torch.tensor([-30.0, -1.0, 0.0, 3.0, 25.0, -math.inf, 1.0]).double().requires_grad_()
    upper = torch.tensor([-29.0, 1.5, 0.1, 3.01, 26.0, 0.3, math.inf]).double()
    found = log_interval(lower, upper)
    a, b = (
        np.where(lower.detach() > 0, -s, t) for s, t in ((upper, lower.detach()), (lower.detach(), upper))
    )
    far, near = (scipy_special.log_ndtr(np.asarray(v, dtype=float)) for v in (a, b))
    np.testing.assert_allclose(found.detach(), near + np.log(-np.expm1(far - near)), rtol=1e-9)
    finite = torch.isfinite(lower.detach())
    found[finite].sum().backward()
    assert (
        lower.grad is not None and torch.isfinite(lower.grad[finite]).all() and (lower.grad[finite] < 0).all()
    )


def test_optimal_scale_beats_its_neighbours() -> None:
    x, mean = randn(30, 5), 0.5 * randn(30, 5, seed=1)
    best = optimal_scale(x, mean).log()

    def total(log_scale: torch.Tensor) -> float:
        return gaussian_log_density(x, mean, log_scale).sum().item()

    assert total(best) > max(total(best + 0.01), total(best - 0.01))
    expected = -0.5 * x.numel() * (1 + math.log(2 * math.pi) + 2 * best.item())
    assert total(best) == pytest.approx(expected)


@pytest.mark.parametrize("name", NAMES)
def test_terms_are_per_example_sums(name: str) -> None:
    vae, x, noise = small(name), data_for(name, 6, 1, 4, 4), randn(6, 3, seed=3)
    terms = vae(x, noise)
    assert all(part.shape == (6,) for part in terms)
    torch.testing.assert_close(terms.elbo, terms.reconstruction - terms.kl)
    parts = [vae(x[i : i + 1], noise[i : i + 1]) for i in range(6)]  # no example sees another one
    torch.testing.assert_close(terms.elbo, torch.cat([part.elbo for part in parts]))
    per_value = vae.likelihood.log_prob_per_value(vae.decoder(vae.encode(x).sample(noise)), x)
    torch.testing.assert_close(terms.reconstruction, per_value.sum((1, 2, 3)))


def test_loss_weights_only_the_rate_and_averages_only_examples() -> None:
    terms = small("bernoulli")(data_for("bernoulli", 8, 1, 4, 4), randn(8, 3))
    expected = (
        sum(-r + 0.3 * k for r, k in zip(terms.reconstruction.tolist(), terms.kl.tolist(), strict=True)) / 8
    )
    assert vae_loss(terms, 0.3).item() == pytest.approx(expected)
    assert vae_loss(terms).item() == pytest.approx(-terms.elbo.mean().item())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_shapes_gradients_and_samples(name: str, network: str) -> None:
    vae, x = small(name, network=network), data_for(name, 5, 1, 4, 4)
    vae.likelihood.check(x)
    vae_loss(vae(x, randn(5, 3))).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in vae.parameters())
    assert vae.log_weights(x, randn(7, 5, 3)).shape == (7, 5)
    assert vae.reconstruct(x).shape == (5, 1, 4, 4)
    drawn = vae.sample(randn(2, 9, 3), seeded(1))
    assert drawn.shape == (2, 9, 1, 4, 4)
    vae.likelihood.check(drawn.flatten(0, 1))
    assert torch.equal(drawn, vae.sample(randn(2, 9, 3), seeded(1)))
    assert vae.sample(randn(9, 3)).shape == (9, 1, 4, 4)


@pytest.mark.parametrize("name", NAMES)
def test_samples_have_the_mean_that_is_promised(name: str) -> None:
    likelihood = small(name, shape=(3,)).likelihood
    parameters = randn(*likelihood.parameter_shape, seed=2)
    drawn = likelihood.sample(parameters.expand(40_000, *likelihood.parameter_shape), seeded(3))
    if name == "discretised_gaussian":  # its mean is that of the Gaussian before rounding and clipping
        frequency = torch.stack([(drawn == v).double().mean(0) for v in range(LEVELS)])
        values = [torch.full((1, 3), v) for v in range(LEVELS)]
        expected = torch.cat([likelihood.log_prob_per_value(parameters[None], v).exp() for v in values])
        torch.testing.assert_close(frequency, expected, atol=0.01, rtol=0)
    else:
        found = likelihood.features(drawn.double()).mean(0)
        torch.testing.assert_close(found, likelihood.mean(parameters), atol=0.03, rtol=0)


def test_log_weights_average_to_the_bound_and_their_exponentials_to_the_evidence() -> None:
    vae, x = small("bernoulli", shape=(4,)), data_for("bernoulli", 3, 4)
    noise = randn(200_000, 3, 3, seed=5)
    log_weights = vae.log_weights(x, noise)
    error = 4 * (log_weights.std(0) + 1) / math.sqrt(len(noise))
    assert ((log_weights.mean(0) - vae(x, noise).elbo.mean(0)).abs() < error).all()
    prior = randn(200_000, 1, 3, seed=6)
    direct = vae.likelihood.log_prob(vae.decoder(prior).expand(-1, 3, -1), x).logsumexp(0) - math.log(200_000)
    torch.testing.assert_close(log_weights.logsumexp(0) - math.log(200_000), direct, atol=5e-3, rtol=0)


def linear_vae(exact: LinearGaussian) -> VAE:
    """The VAE whose decoder is the given model and whose encoder is its posterior, if that is diagonal."""
    size, latent = exact.loadings.shape
    encoder, decoder = nn.Linear(size, 2 * latent).double(), nn.Linear(latent, size).double()
    weight = exact.posterior_covariance() @ exact.loadings.T / exact.noise_variance
    with torch.no_grad():
        encoder.weight.copy_(torch.cat([weight, torch.zeros_like(weight)]))
        encoder.bias.copy_(torch.cat([-weight @ exact.mean, exact.posterior_covariance().diagonal().log()]))
        decoder.weight.copy_(exact.loadings)
        decoder.bias.copy_(exact.mean)
    scale = float(exact.noise_variance[0]) ** 0.5
    likelihood = GaussianLikelihood((size,), "fixed").double()
    likelihood.log_scale.fill_(math.log(scale))
    return VAE(encoder, decoder, likelihood)


def test_linear_vae_at_the_posterior_is_ppca() -> None:
    x = randn(60, 5) @ randn(5, 5, seed=1)
    exact = fit_ppca(x, 2)
    terms = linear_vae(exact)(x, simplex(2).expand(-1, 60, -1))
    torch.testing.assert_close(terms.elbo.mean(0), exact.log_marginal(x), atol=1e-10, rtol=0)
    log_weights = linear_vae(exact).log_weights(x, randn(3, 60, 2))  # constant: q is the posterior
    torch.testing.assert_close(log_weights, exact.log_marginal(x).expand(3, 60), atol=1e-10, rtol=0)


def test_wrong_axes_cost_what_they_should() -> None:
    angle = torch.tensor(0.6).double()
    turn = torch.stack([torch.stack([angle.cos(), -angle.sin()]), torch.stack([angle.sin(), angle.cos()])])
    x = randn(60, 5) @ randn(5, 5, seed=1)
    exact = fit_ppca(x, 2, turn)
    vae, precision = linear_vae(exact), exact.posterior_precision()
    with torch.no_grad():
        vae.encoder.bias[2:] = -precision.diagonal().log()
    gap = exact.log_marginal(x).mean() - vae(x, simplex(2).expand(-1, 60, -1)).elbo.mean()
    expected = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))
    assert gap.item() == pytest.approx(expected.item(), rel=1e-8) and gap > 0.01


def test_training_a_linear_vae_reaches_the_ppca_likelihood() -> None:
    x = randn(80, 4) @ torch.diag(torch.tensor([2.0, 1.2, 0.5, 0.4]).double()) + 1
    vae = build_vae(VaeConfig((4,), 2, "gaussian", hidden=(), initial_scale=0.5)).double()
    optimiser = torch.optim.LBFGS(
        vae.parameters(), max_iter=400, history_size=20, line_search_fn="strong_wolfe"
    )
    corners = simplex(2).expand(-1, 80, -1)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = vae_loss(vae(x, corners))
        loss.backward()
        return loss

    optimiser.step(closure)
    best = fit_ppca(x, 2).log_marginal(x).mean().item()
    assert best - 1e-3 < vae(x, corners).elbo.mean().item() <= best + 1e-9


@pytest.mark.parametrize(("level", "alive"), [(0.5, True), (2.0, False)])
def test_collapse_is_where_the_theorem_puts_it(level: float, alive: bool) -> None:
    x = randn(500, 1)
    x = (x - x.mean()) / x.std(correction=0)  # variance one
    vae = build_vae(VaeConfig((1,), 1, "gaussian", hidden=())).double()
    vae.likelihood = GaussianLikelihood((1,), "fixed", math.sqrt(level)).double()
    optimiser = torch.optim.LBFGS(
        vae.parameters(), max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-10
    )
    corners = simplex(1).expand(-1, 500, -1)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = vae_loss(vae(x, corners))
        loss.backward()
        return loss

    optimiser.step(closure)
    rate = vae(x, corners).kl.mean().item()
    assert rate == pytest.approx(0.5 * math.log(1 / level) if alive else 0.0, abs=1e-4)


@pytest.mark.parametrize("name", ["bernoulli", "gaussian", "gaussian_per_pixel", "categorical"])
@pytest.mark.parametrize(
    ("dtype", "loss_error", "slope_error"), [("float32", 1e-5, 1e-4), ("float64", 1e-10, 1e-10)]
)
def test_flax_twin_has_the_same_loss_and_gradients(
    name: str, dtype: str, loss_error: float, slope_error: float
) -> None:
    exact = getattr(torch, dtype)
    vae = small(name).to(exact)
    x, noise = data_for(name, 20, 1, 4, 4), randn(20, 3, seed=7).to(exact)
    x = x.to(exact) if x.is_floating_point() else x
    loss = vae_loss(vae(x, noise), 0.7)
    loss.backward()
    with jax.enable_x64(dtype == "float64"):
        twin = from_torch(vae)
        value, slopes = nnx.value_and_grad(twin_loss)(
            twin, jnp.asarray(x.numpy()), jnp.asarray(noise.numpy()), 0.7
        )
        assert str(value.dtype) == dtype
        assert float(value) == pytest.approx(loss.item(), rel=loss_error)
        for ours, theirs in zip(gradients(slopes), vae.parameters(), strict=True):
            assert theirs.grad is not None
            expected = theirs.grad.numpy()
            np.testing.assert_allclose(
                ours.reshape(expected.shape), expected, atol=slope_error, rtol=slope_error
            )


def test_building_is_deterministic_and_leaves_the_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    one, two, other = small("gaussian"), small("gaussian"), small("gaussian", seed=1)
    assert torch.equal(before, torch.random.get_rng_state())
    pairs = zip(one.state_dict().values(), two.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.encoder[1].weight, other.encoder[1].weight)


def test_a_short_training_beats_independent_pixels() -> None:
    images = load_digits("train").images.flatten(1)
    x, held_out = (images[:1200] >= 0.5).float(), (images[1200:] >= 0.5).float()
    baseline = Histogram.fit(x.long(), 2).log_prob(held_out.long()).mean().item()
    vae, draw = build_vae(VaeConfig((64,), 4, "bernoulli", hidden=(64,))), seeded(0)
    optimiser = torch.optim.Adam(vae.parameters(), lr=5e-3)
    for _ in range(300):
        batch = x[torch.randint(len(x), (100,), generator=draw)]
        optimiser.zero_grad()
        vae_loss(vae(batch, torch.randn(100, 4, generator=draw))).backward()
        optimiser.step()
    with torch.no_grad():
        found = vae(held_out, torch.randn(len(held_out), 4, generator=draw)).elbo.mean().item()
    assert found > baseline + 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BernoulliLikelihood((2,)).check(torch.full((3, 2), 0.4)), "zeros and ones only"),
        (lambda: BernoulliLikelihood((2,)).check(torch.zeros(3, 4)), r"expected shape \(n, 2\)"),
        (lambda: GaussianLikelihood((2,)).check(torch.full((3, 2), math.nan)), "finite"),
        (lambda: GaussianLikelihood((2,)).check(torch.zeros(3, 2, dtype=torch.int64)), "floating-point"),
        (lambda: CategoricalLikelihood((2,), 5).check(torch.full((3, 2), 0.4)), "whole numbers from 0 to 4"),
        (
            lambda: DiscretisedGaussianLikelihood((2,), 5).check(torch.full((3, 2), 5)),
            "whole numbers from 0 to 4",
        ),
        (lambda: CategoricalLikelihood((2,), 1), "levels"),
        (lambda: GaussianLikelihood((2,), "fixed", 0.0), "positive number"),
        (lambda: BernoulliLikelihood(()), "event_shape"),
        (lambda: build_vae(VaeConfig((4,), likelihood="poisson")), "bernoulli, gaussian"),
        (lambda: build_vae(VaeConfig((4,), network="transformer")), "mlp or conv"),
        (lambda: build_vae(VaeConfig((1, 7, 7), network="conv", hidden=(4,))), "divisible by 2"),
        (lambda: build_vae(VaeConfig((4,), activation="gelish")), "activation"),
    ],
)
def test_bad_input_gives_a_clear_error(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_no_twin_of_what_has_none() -> None:
    with pytest.raises(TypeError, match="DiscretisedGaussianLikelihood"):
        from_torch(small("discretised_gaussian"))
    with pytest.raises(TypeError, match="linear layers"):
        from_torch(small("bernoulli", network="conv"))
