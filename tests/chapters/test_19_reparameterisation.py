"""Chapter 19: estimators of gradients against enumeration, closed forms and differences."""

from __future__ import annotations

# book/03-latent/19-reparameterisation.qmd § Tests
import itertools
import math

import numpy as np
import pytest
import torch
from agm.latent.discrete_vae import CategoricalVae
from agm.latent.gumbel import concrete_log_prob, gumbel_max, gumbel_noise, gumbel_softmax
from agm.latent.implicit import gamma_slope, implicit_gamma, implicit_surrogate
from agm.latent.reparam import (
    ElboEstimator,
    GradientMoments,
    elbo_surrogate,
    flat_gradient,
    gradient_moments,
    leave_one_out,
    optimal_baseline,
    quadratic_variance,
    score_surrogate,
)
from agm.latent.vae import VaeConfig, build_vae
from scipy.special import gammaincinv
from torch import Tensor

LOGITS = torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64)
VALUES = torch.tensor([1.0, 4.0, -2.0], dtype=torch.float64)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def exact_gradient() -> Tensor:
    probability = torch.softmax(LOGITS, 0)
    return probability * (VALUES - (probability * VALUES).sum())


def expected_gradient(draws: int, baseline: str) -> Tensor:
    """Expectation of an estimator over every outcome of a few draws of three categories."""
    logits = LOGITS.clone().requires_grad_()
    log_p = torch.log_softmax(logits, 0)
    total = torch.zeros(3, dtype=torch.float64)
    for outcome in itertools.product(range(3), repeat=draws):
        value, log_prob = VALUES[list(outcome)], log_p[list(outcome)]
        subtract: Tensor | float = {
            "none": lambda v: 0.0,
            "constant": lambda v: 7.0,
            "others": leave_one_out,
            "all": lambda v: v.mean(),
        }[baseline](value)
        surrogate = score_surrogate(value, log_prob, subtract).mean()
        chance = log_prob.detach().sum().exp()
        total += chance * torch.autograd.grad(surrogate, logits, retain_graph=True)[0]
    return total


@pytest.mark.parametrize(
    ("draws", "baseline"), [(1, "none"), (1, "constant"), (2, "others"), (3, "others"), (4, "others")]
)
def test_score_function_is_unbiased_by_enumeration(draws: int, baseline: str) -> None:
    torch.testing.assert_close(expected_gradient(draws, baseline), exact_gradient(), rtol=0, atol=1e-12)


def test_a_baseline_that_has_seen_the_draw_shrinks_the_gradient() -> None:
    for draws in (2, 3):
        shrunk = (1 - 1 / draws) * exact_gradient()
        torch.testing.assert_close(expected_gradient(draws, "all"), shrunk, rtol=0, atol=1e-12)


def test_surrogate_keeps_value_and_direct_gradient() -> None:
    parameter = torch.tensor(2.0, requires_grad=True)
    value, log_prob = parameter * torch.tensor([3.0, 5.0]), parameter * torch.tensor([1.0, -1.0])
    surrogate = score_surrogate(value, log_prob, 1.0)
    assert surrogate.tolist() == [6.0, 10.0]
    surrogate.sum().backward()
    assert parameter.grad is not None and parameter.grad.item() == 3 + 5 + (6 - 1) * 1 - (10 - 1) * 1


@pytest.mark.parametrize("size", [1, 5])
def test_quadratic_variances(size: int) -> None:
    mean, scale, n = torch.zeros(size, dtype=torch.float64), 0.8, 400_000
    mean[0] = 1.3
    noise = torch.randn(n, size, generator=seeded(0), dtype=torch.float64)
    z = mean + scale * noise
    value, score = 0.5 * (z**2).sum(-1, keepdim=True), noise / scale
    best = 0.5 * (mean.square().sum() + (size + 2) * scale**2)
    estimated = optimal_baseline(value[:, 0], (score**2).sum(-1))
    assert estimated.item() == pytest.approx(best.item(), rel=0.02)
    for name, estimates in (("pathwise", z), ("score", value * score), ("baseline", (value - best) * score)):
        assert (estimates.mean(0) - mean).abs().max() < 5 * estimates.std(0).max() / n**0.5
        told = quadratic_variance(mean.square().sum(), scale, size, name)
        assert estimates.var(0).sum().item() == pytest.approx(told.item(), rel=0.03)


def test_gradient_moments() -> None:
    parameter = torch.tensor([1.0, 2.0], requires_grad=True)
    unused = torch.tensor(3.0, requires_grad=True)
    factors = iter(torch.tensor([[1.0, 0.0], [3.0, 4.0], [2.0, 2.0]]))
    moments = gradient_moments(lambda: (next(factors) * parameter).sum(), [parameter, unused], 3)
    torch.testing.assert_close(moments.mean, torch.tensor([2.0, 2.0, 0.0], dtype=torch.float64))
    assert moments.variance == pytest.approx(1 + 4)
    exact = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)
    assert moments.squared_bias(exact) == pytest.approx(1 - 5 / 3)


ESTIMATORS: tuple[ElboEstimator, ...] = ("score", "leave_one_out", "pathwise", "analytic_kl", "stl")


def test_elbo_estimators_agree_in_value_and_mean_gradient() -> None:
    vae = build_vae(VaeConfig((6,), latent=1, hidden=(4,)), 0).double()
    x = (torch.rand(2, 6, generator=seeded(1)) > 0.5).double()
    # the 60 draws are the nodes of a Gauss-Hermite rule: expectations without sampling error
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    noise = torch.from_numpy(nodes).view(-1, 1, 1).expand(-1, 2, 1)
    weight = torch.from_numpy(weights / weights.sum()).unsqueeze(1)
    parameters = list(vae.encoder.parameters())
    gradients = {
        name: flat_gradient((weight * elbo_surrogate(vae, x, noise, name)).sum(), parameters)
        for name in ESTIMATORS
        if name != "leave_one_out"
    }
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, gradients["analytic_kl"], rtol=1e-6, atol=1e-9, msg=name)
    with_baseline = flat_gradient(
        (weight * elbo_surrogate(vae, x, noise, "score", torch.tensor([3.0, -8.0]))).sum(), parameters
    )
    torch.testing.assert_close(with_baseline, gradients["score"], rtol=1e-6, atol=1e-9)
    values = {name: (weight * elbo_surrogate(vae, x, noise, name)).sum(0) for name in ESTIMATORS}
    for value in values.values():
        torch.testing.assert_close(value, values["analytic_kl"])


def test_sticking_the_landing_has_no_variance_at_the_posterior() -> None:
    vae = build_vae(VaeConfig((6,), latent=2, hidden=()), 0)
    with torch.no_grad():
        for parameter in (*vae.encoder.parameters(), vae.decoder[0].weight):  # type: ignore[index]
            parameter.zero_()  # the code says nothing, and the posterior is the prior
    x, generator = torch.ones(3, 6), seeded(2)

    def variance(name: ElboEstimator) -> float:
        noise = torch.randn
        return gradient_moments(
            lambda: elbo_surrogate(vae, x, noise(2, 3, 2, generator=generator), name).mean(),
            list(vae.encoder.parameters()),
            10,
        ).variance

    assert variance("stl") < 1e-12 < 1e-3 < variance("pathwise")


def test_gumbel_noise_is_finite_and_gumbel() -> None:
    noise = gumbel_noise((200_000,), seeded(3), torch.float64)
    assert bool(torch.isfinite(noise).all())
    assert noise.mean().item() == pytest.approx(0.5772156649, abs=0.01)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, rel=0.02)
    assert gumbel_noise((3, 2), seeded(3)).equal(gumbel_noise((3, 2), seeded(3)))


def test_gumbel_max_draws_the_softmax() -> None:
    n = 100_000
    noise = gumbel_noise((n, 3), seeded(4), torch.float64)
    frequency = gumbel_max(LOGITS, noise).mean(0)
    probability = torch.softmax(LOGITS, 0)
    assert bool(((frequency - probability).abs() < 5 * (probability * (1 - probability) / n).sqrt()).all())
    cold = gumbel_softmax(LOGITS, noise[:100], 1e-4)
    torch.testing.assert_close(cold, gumbel_max(LOGITS, noise[:100]), atol=1e-6, rtol=0)


def test_straight_through_is_one_hot_forward_and_relaxed_backward() -> None:
    logits = LOGITS.clone().requires_grad_()
    noise = gumbel_noise((5, 3), seeded(5), torch.float64)
    hard = gumbel_softmax(logits, noise, 0.7, hard=True)
    assert hard.equal(gumbel_max(LOGITS, noise))
    gradients = [
        torch.autograd.grad((y * VALUES).sum(), logits)[0] for y in (hard, gumbel_softmax(logits, noise, 0.7))
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_concrete_density_integrates_to_one(temperature: float) -> None:
    # in log-ratios u = log(y1/y3), v = log(y2/y3) the simplex is the plane, with Jacobian y1 y2 y3
    line = torch.linspace(-60, 60, 1201, dtype=torch.float64) / temperature
    u, v = torch.meshgrid(line, line, indexing="ij")
    log_y = torch.log_softmax(torch.stack([u, v, torch.zeros_like(u)], -1), -1)
    inside = log_y.exp().clamp(min=1e-300)
    log_density = concrete_log_prob(inside, LOGITS, temperature) + log_y.sum(-1)
    total = log_density.exp().nan_to_num(0.0).sum() * (line[1] - line[0]) ** 2
    assert total.item() == pytest.approx(1.0, abs=1e-3)


def test_gamma_slope_against_differences_of_the_inverse() -> None:
    shape, quantile = np.array([0.02, 0.3, 1.0, 3.0, 30.0, 1000.0]), np.array([[0.01], [0.3], [0.7], [0.999]])
    z, step = gammaincinv(shape, quantile), 1e-5 * shape
    differences = (gammaincinv(shape + step, quantile) - gammaincinv(shape - step, quantile)) / (2 * step)
    ours = gamma_slope(torch.tensor(z), torch.tensor(shape)).numpy()
    np.testing.assert_allclose(ours, differences, rtol=1e-5)


def test_implicit_gamma_gradient_and_torch() -> None:
    shape = torch.tensor([0.5, 2.0, 9.0], dtype=torch.float64, requires_grad=True)
    theirs = torch.distributions.Gamma(shape, torch.ones_like(shape)).rsample((50,))
    ours = implicit_gamma(shape.expand(50, 3), theirs.detach())
    assert ours.equal(theirs)
    gradients = [torch.autograd.grad(z.pow(2).sum(), shape)[0] for z in (ours, theirs)]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=0)  # PyTorch's is an approximation


def test_implicit_surrogate_gives_back_the_gaussian_path() -> None:
    mean = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    scale = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    normal = torch.distributions.Normal(mean, scale)
    noise = torch.tensor([-1.2, 0.3, 2.0], dtype=torch.float64)
    sample = (mean + scale * noise).detach()
    z = implicit_surrogate(sample, normal.cdf(sample), normal.log_prob(sample))
    by_mean, by_scale = (torch.autograd.grad(z.sum(), p, retain_graph=True)[0] for p in (mean, scale))
    assert by_mean.item() == pytest.approx(3.0) and by_scale.item() == pytest.approx(noise.sum().item())


def test_discrete_vae_enumeration() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vae = CategoricalVae(5, variables=1, categories=3, hidden=4).double()
    x = (torch.rand(2, 5, generator=seeded(6)) > 0.5).double()
    log_q = vae.encode(x)
    table = torch.stack(
        [
            vae.reconstruction(x, torch.eye(3).double()[k].view(1, 1, 1, 3).expand(1, 2, 1, 3))[0]
            for k in range(3)
        ]
    )
    prior = -math.log(3)
    by_hand = (log_q[:, 0].exp() * (table.T + prior - log_q[:, 0])).sum(-1)
    torch.testing.assert_close(vae.elbo(x), by_hand)
    # the score function, averaged over every code, is the exact gradient
    parameters = list(vae.encoder.parameters())
    exact = flat_gradient(vae.elbo(x).sum(), parameters)
    total = torch.zeros_like(exact)
    for k in range(3):
        noise = torch.full((1, 2, 1, 3), -1e3, dtype=torch.float64)
        noise[..., k] = 1e3  # forces the draw
        chance = log_q[:, 0, k].detach().exp()
        total += flat_gradient((chance * vae.surrogate(x, noise, "score")[0]).sum(), parameters)
    torch.testing.assert_close(total, exact)


def test_training_with_each_estimator_beats_the_start() -> None:
    x = torch.eye(4).repeat(16, 2)
    for name in ("leave_one_out", "gumbel_softmax", "straight_through"):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            vae = CategoricalVae(8, variables=2, categories=2, hidden=16)
        generator, optimiser = seeded(7), torch.optim.Adam(vae.parameters(), lr=0.02)
        best_without_code = 8 * (0.25 * math.log(0.25) + 0.75 * math.log(0.75))
        for _ in range(200):
            noise = gumbel_noise((4, len(x), 2, 2), generator)
            loss = -vae.surrogate(x, noise, name, 0.5).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        assert vae.elbo(x).mean().item() > best_without_code + 1.0, name


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="one shape"):
        score_surrogate(torch.zeros(3), torch.zeros(3, 1))
    with pytest.raises(ValueError, match="two draws"):
        leave_one_out(torch.zeros(1, 4))
    with pytest.raises(ValueError, match="expected pathwise"):
        quadratic_variance(1.0, 1.0, 2, "magic")
    with pytest.raises(ValueError, match="no spread"):
        gradient_moments(lambda: torch.zeros(()), [], 1)
    with pytest.raises(ValueError, match="must be positive"):
        gumbel_softmax(LOGITS, torch.zeros(3), 0.0)
    with pytest.raises(ValueError, match="as many values as categories"):
        gumbel_max(LOGITS, torch.zeros(4))
    with pytest.raises(ValueError, match="are positive"):
        implicit_gamma(torch.tensor([1.0]), torch.tensor([0.0]))
    vae = build_vae(VaeConfig((6,), latent=1, hidden=(4,)), 0)
    with pytest.raises(ValueError, match="unknown name"):
        elbo_surrogate(vae, torch.zeros(1, 6), torch.zeros(1, 1, 1), "magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown name"):
        discrete = CategoricalVae(5, 1, 3, 4)
        discrete.surrogate(torch.zeros(1, 5), torch.zeros(1, 1, 1, 3), "magic")  # type: ignore[arg-type]
    assert GradientMoments(torch.zeros(1), 1.0, 2).squared_bias(torch.zeros(1)) == -0.5


def test_nothing_is_broadcast_in_silence() -> None:
    vae, x = build_vae(VaeConfig((6,), latent=2, hidden=(4,)), 0), torch.zeros(3, 6)
    for shape in ((2,), (3, 2), (4, 1, 2)):  # one noise for all examples, or no axis of draws
        with pytest.raises(ValueError, match="expected shape"):
            elbo_surrogate(vae, x, torch.zeros(shape), "pathwise")
    with pytest.raises(ValueError, match=r"only .score. takes one"):
        elbo_surrogate(vae, x, torch.zeros(4, 3, 2), "stl", 1.0)
    for baseline in (torch.zeros(4, 3), torch.zeros(2), torch.zeros(1, 3, 1)):
        with pytest.raises(ValueError, match="without enlarging"):
            score_surrogate(torch.zeros(3), torch.zeros(3), baseline)
    with pytest.raises(ValueError, match="end in the shape"):
        gumbel_softmax(torch.zeros(4, 3), torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match="one shape"):
        optimal_baseline(torch.zeros(5), torch.ones(5, 1))
    with pytest.raises(ValueError, match="expected one shape"):
        implicit_surrogate(torch.zeros(3), torch.zeros(1), torch.zeros(3))
    with pytest.raises(ValueError, match=r"expected \(2,\)"):
        GradientMoments(torch.zeros(2), 1.0, 2).squared_bias(torch.zeros(1))


def test_unusable_values_are_refused() -> None:
    with pytest.raises(TypeError, match="expected tensors"):
        score_surrogate([1.0], [2.0])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="floating-point"):
        leave_one_out(torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="not all of them zero"):
        optimal_baseline(torch.ones(3), torch.zeros(3))
    with pytest.raises(ValueError, match="scale > 0"):
        quadratic_variance(1.0, 0.0, 2, "score")
    with pytest.raises(ValueError, match="differentiable scalar"):
        flat_gradient(torch.zeros(()), [torch.zeros(1, requires_grad=True)])
    with pytest.raises(ValueError, match="must be positive"):
        concrete_log_prob(torch.full((3,), 1 / 3), torch.zeros(3), -1.0)
    with pytest.raises(ValueError, match="sum to one"):
        concrete_log_prob(torch.tensor([0.0, 1.0]), torch.zeros(2), 1.0)
    with pytest.raises(ValueError, match="categories differ"):
        concrete_log_prob(torch.tensor([0.5, 0.5]), torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match="shapes differ"):
        gamma_slope(torch.ones(2), torch.ones(3))
    assert gumbel_noise((), seeded(0)).shape == ()
    with pytest.raises(ValueError, match="nan"):
        gumbel_max(torch.tensor([math.nan, 0.0]), torch.zeros(2))
    with pytest.raises(ValueError, match="floating-point"):
        gumbel_noise((2,), seeded(0), torch.int64)
    with pytest.raises(ValueError, match="too small"):
        implicit_surrogate(torch.zeros(1), torch.zeros(1), torch.tensor([-math.inf]))
    with pytest.raises(ValueError, match="one shape for each draw"):
        implicit_gamma(torch.ones(2, 3), torch.ones(3))
    with pytest.raises(ValueError, match="can be enumerated"):
        CategoricalVae(5, variables=40, categories=5)
    with pytest.raises(ValueError, match=r"\(batch, 5\)"):
        CategoricalVae(5, 1, 3, 4).elbo(torch.zeros(2, 6))
    shape = torch.tensor([2.0], requires_grad=True)
    slope = torch.autograd.grad(implicit_gamma(shape, torch.ones(1)).sum(), shape, create_graph=True)[0]
    with pytest.raises(RuntimeError):  # a second derivative would silently be wrong
        torch.autograd.grad(slope.sum(), shape)


def test_integers_do_not_wrap_around() -> None:
    value = torch.tensor([0, 2], dtype=torch.uint8)
    log_prob = torch.zeros(2, requires_grad=True)
    score_surrogate(value, log_prob, 1).sum().backward()
    assert log_prob.grad is not None and log_prob.grad.tolist() == [-1.0, 1.0]
