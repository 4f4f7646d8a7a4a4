"""Chapter 3: variational bounds of f-divergences, output activations, critics."""

from __future__ import annotations

# book/01-foundations/03-variational-divergence-minimisation.qmd § Tests
import math

import pytest
import torch
from agm.convex_generators import GENERATORS, ConvexGenerator, alpha_generator
from agm.critics import Critic, CriticTraining, estimate_divergence, evaluate_critic, train_critic
from agm.divergences import f_divergence
from agm.vdm import (
    ACTIVATIONS,
    OutputActivation,
    alpha_activation,
    canonical_activation,
    critic_bound,
    donsker_varadhan_bound,
    finite_bound,
    get_activation,
    logit_bound,
    optimal_critic,
)

ALPHAS = (-1.0, 0.0, 0.3, 0.5, 1.0, 1.5, 2.0)
ALL = (*GENERATORS.values(), *(alpha_generator(order) for order in ALPHAS))
SMOOTH = [generator for generator in ALL if generator.second_derivative is not None]
BOUNDED_DOMAIN = [generator for generator in ALL if math.isfinite(generator.slope_at_infinity)]
by_name = {"ids": lambda item: item.name if isinstance(item, ConvexGenerator) else str(item)}


def random_distributions(*shape: int, seed: int) -> torch.Tensor:
    return torch.softmax(
        1.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double(), -1
    )


P, Q = random_distributions(200, 6, seed=1), random_distributions(200, 6, seed=2)


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_biconjugate_is_the_generator(generator: ConvexGenerator) -> None:
    t = torch.tensor([0.2, 0.7, 1.0, 1.6, 4.0]).double()
    around = generator.derivative(torch.logspace(-1.5, 1.5, 40_001, dtype=torch.float64))
    slopes = torch.cat(
        [around, torch.linspace(-0.49, 0.49, 99).double() * (generator.name == "total_variation")]
    )
    values = (t[:, None] * slopes - generator.conjugate(slopes)).amax(-1)
    assert (values <= generator.function(t) + 1e-12).all()
    torch.testing.assert_close(values, generator.function(t), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("generator", SMOOTH, **by_name)
def test_activation_is_the_slope_at_the_exponential(generator: ConvexGenerator) -> None:
    v = torch.linspace(-4, 4, 81, dtype=torch.float64)
    for activation in (get_activation(generator), canonical_activation(generator)):
        critic = activation.critic(v)
        torch.testing.assert_close(critic, generator.derivative(torch.exp(v)))
        torch.testing.assert_close(
            activation.conjugate(v), generator.conjugate(critic), rtol=1e-8, atol=1e-10
        )
        assert (critic.diff() > 0).all()


@pytest.mark.parametrize("order", ALPHAS)
def test_activation_of_the_alpha_family(order: float) -> None:
    v = torch.linspace(-4, 4, 81, dtype=torch.float64)
    fused, composed = alpha_activation(order), canonical_activation(alpha_generator(order))
    torch.testing.assert_close(fused.critic(v), composed.critic(v))
    torch.testing.assert_close(fused.conjugate(v), composed.conjugate(v), rtol=1e-8, atol=1e-10)
    far = torch.tensor([-40.0, 40.0])
    assert torch.isfinite(fused.critic(far) - fused.conjugate(far)).all()


def test_total_variation_has_a_smooth_activation_with_its_range() -> None:
    activation, v = ACTIVATIONS["total_variation"], torch.linspace(-60, 60, 241, dtype=torch.float64)
    critic = activation.critic(v)
    assert (critic.abs() <= 0.5).all() and critic[0] == -0.5 and critic[-1] == 0.5
    torch.testing.assert_close(activation.conjugate(v), activation.generator.conjugate(critic))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_extreme_logits_stay_finite_in_single_precision(name: str) -> None:
    v = torch.tensor([-40.0, -20.0, 0.0, 20.0, 40.0], requires_grad=True)
    activation = ACTIVATIONS[name]
    total = activation.critic(v) - activation.conjugate(v)
    assert torch.isfinite(total).all()
    assert torch.isfinite(torch.autograd.grad(total.sum(), v)[0]).all()


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_bound_equals_divergence_at_the_optimal_critic(generator: ConvexGenerator) -> None:
    best = optimal_critic(P, Q, generator)
    torch.testing.assert_close(finite_bound(P, Q, best, generator), f_divergence(P, Q, generator))
    p = torch.tensor(
        [[0.5, 0.3, 0.2, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0, 0.0]]
    ).double()
    q = torch.tensor(
        [[0.2, 0.3, 0.0, 0.5, 0.0], [0.5, 0.25, 0.25, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5, 0.0]]
    ).double()
    with_zeros = finite_bound(p, q, optimal_critic(p, q, generator), generator)
    torch.testing.assert_close(with_zeros, f_divergence(p, q, generator))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("generator", ALL, **by_name)
def test_extreme_probabilities_keep_the_optimal_critic_legal(
    generator: ConvexGenerator, dtype: torch.dtype
) -> None:
    draws = torch.Generator().manual_seed(12)
    p, q = torch.softmax(20 * torch.randn(2, 300, 4, generator=draws), -1).to(dtype)
    scores = finite_bound(p, q, optimal_critic(p, q, generator), generator).double()
    truth = f_divergence(p.double(), q.double(), generator)
    assert not scores.isnan().any()
    assert (scores <= truth * (1 + 1e-5) + 1e-6).all()
    tame = (truth < 100) & (p > 1e-36).all(-1)  # beyond, the critic is out of the range of float32
    torch.testing.assert_close(scores[tame], truth[tame], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_gradients_of_the_exact_bound_are_finite_where_probabilities_vanish(
    generator: ConvexGenerator,
) -> None:
    p = torch.tensor([0.5, 0.3, 0.2, 0.0]).double().requires_grad_()
    q = torch.tensor([0.2, 0.3, 0.5, 0.0]).double().requires_grad_()
    critic = optimal_critic(p.detach(), q.detach(), generator)
    critic[3] = -math.inf
    critic.requires_grad_()
    gradients = torch.autograd.grad(finite_bound(p, q, critic, generator), (p, q, critic))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("generator", ALL, **by_name)
def test_no_critic_exceeds_the_divergence(generator: ConvexGenerator) -> None:
    noise = torch.randn(50, 200, 6, generator=torch.Generator().manual_seed(3)).double()
    wild = torch.cat([noise, 0.1 * noise, 20 * noise, optimal_critic(P, Q, generator) + 0.2 * noise])
    scores = finite_bound(P, Q, wild, generator)
    assert (scores <= f_divergence(P, Q, generator) + 1e-12).all()


@pytest.mark.parametrize("generator", BOUNDED_DOMAIN, **by_name)
def test_outside_its_domain_the_conjugate_pays_nothing(generator: ConvexGenerator) -> None:
    """The trap of this chapter: the interior formula is often finite there, and a critic would cash it in."""
    end = generator.slope_at_infinity
    inside, outside = (
        torch.full((4,), end - 0.5).double(),
        torch.tensor([end - 0.5, end - 0.4, end + 1e-9, end - 1]),
    )
    outside = outside.double()
    outside[2] = end + 1e-9
    assert torch.isfinite(critic_bound(inside, inside, generator).value)
    assert critic_bound(inside, outside, generator).value.item() == -math.inf
    assert (
        critic_bound(outside, inside, generator).value.item() == -math.inf
    )  # draws of p are policed as well
    p, q = torch.tensor([0.5, 0.5, 0.0]).double(), torch.tensor([0.0, 0.5, 0.5]).double()
    for place in (0, 1, 2):
        critic = torch.full((3,), end - 0.5).double()
        critic[place] = end + 3
        assert finite_bound(p, q, critic, generator).item() == -math.inf
    naive = {"squared_hellinger": lambda y: y / (1 - 2 * y), "total_variation": lambda y: y}
    if generator.name in naive:
        greedy = torch.tensor([40.0, 40.0]).double()
        assert torch.isfinite(naive[generator.name](greedy)).all()
        assert (generator.conjugate(greedy) == math.inf).all()


def test_a_critic_that_is_no_number_certifies_nothing() -> None:
    fine = torch.full((3,), -1.0)
    for value in (math.nan, math.inf):
        broken = torch.tensor([-1.0, value, -1.0])
        for values in ((fine, broken), (broken, fine)):
            assert critic_bound(*values, "kl").value.item() == -math.inf
            assert donsker_varadhan_bound(*values).value.item() == -math.inf
    overflown = torch.tensor([-1.0, -math.inf, -1.0])  # the price of reverse KL there is minus infinity
    assert critic_bound(fine, overflown, "reverse_kl").value.item() == -math.inf
    half = torch.tensor([0.5, 0.5]).double()
    for value in (math.nan, math.inf, -math.inf):
        critic = torch.tensor([value, -1.0]).double()
        for name in ACTIVATIONS:
            assert finite_bound(half, half, critic, name).item() == -math.inf


@pytest.mark.parametrize("generator", SMOOTH, **by_name)
def test_gap_is_a_bregman_divergence_of_second_order(generator: ConvexGenerator) -> None:
    best = optimal_critic(P, Q, generator)
    noise = torch.randn(200, 6, generator=torch.Generator().manual_seed(4)).double()
    log_ratio = torch.log(P / Q)
    activation = get_activation(generator)
    for scale in (1.0, 1e-3):
        logits = (log_ratio + scale * noise).requires_grad_()
        gap = f_divergence(P, Q, generator) - (
            P * activation.critic(logits) - Q * activation.conjugate(logits)
        ).sum(-1)
        critic = activation.critic(logits.detach())
        bregman = generator.conjugate(critic) - generator.conjugate(best) - P / Q * (critic - best)
        torch.testing.assert_close(gap.detach(), (Q * bregman).sum(-1), rtol=1e-5, atol=1e-10)
        ratio = P / Q
        quadratic = 0.5 * (Q * ratio**2 * generator.second_derivative(ratio) * (scale * noise) ** 2).sum(-1)
        if scale < 1e-2:
            torch.testing.assert_close(gap.detach(), quadratic, rtol=3e-2, atol=1e-10)
        (slope,) = torch.autograd.grad(-gap.sum(), logits)
        t = torch.exp(logits.detach())
        torch.testing.assert_close(
            slope, generator.second_derivative(t) * t * (P - Q * t), rtol=1e-6, atol=1e-9
        )


def test_classification_losses() -> None:
    draws = torch.Generator().manual_seed(5)
    v_p, v_q = (
        2 * torch.randn(300, generator=draws).double() + 1,
        2 * torch.randn(300, generator=draws).double() - 1,
    )
    d_p, d_q = torch.sigmoid(v_p), torch.sigmoid(v_q)
    logits, labels = torch.cat([v_p, v_q]), torch.cat([torch.ones(300), torch.zeros(300)]).double()
    value = {name: logit_bound(v_p, v_q, name).value for name in ACTIVATIONS}
    expected = {
        "jensen_shannon": math.log(2) - torch.nn.functional.binary_cross_entropy_with_logits(logits, labels),
        "le_cam": 1 - 2 * ((1 - d_p) ** 2 + d_q**2).mean(),
        "squared_hellinger": 1 - 0.5 * (torch.exp(-v_p / 2) + torch.exp(v_q / 2)).mean(),
        "pearson": 2 * torch.exp(v_p).mean() - torch.exp(2 * v_q).mean() - 1,
        "kl": 1 + v_p.mean() - torch.exp(v_q).mean(),
    }
    for name, loss in expected.items():
        torch.testing.assert_close(value[name], loss)
    hard = critic_bound(0.5 * torch.sign(v_p), 0.5 * torch.sign(v_q), "total_variation").value
    accuracy = 0.5 * ((v_p > 0).double().mean() + (v_q < 0).double().mean())
    torch.testing.assert_close(hard, 2 * accuracy - 1)


def test_donsker_varadhan_is_sharper_and_ignores_constants() -> None:
    draws = torch.Generator().manual_seed(6)
    critic_p, critic_q = (
        torch.randn(40, 30, generator=draws).double(),
        torch.randn(40, 50, generator=draws).double(),
    )
    sharp = donsker_varadhan_bound(critic_p, critic_q)
    assert (sharp.value >= critic_bound(critic_p, critic_q, "kl").value - 1e-12).all()
    torch.testing.assert_close(donsker_varadhan_bound(critic_p + 700, critic_q + 700).value, sharp.value)
    shifted = [x + 1 - sharp.on_q.unsqueeze(-1) for x in (critic_p, critic_q)]
    torch.testing.assert_close(critic_bound(*shifted, "kl").value, sharp.value)  # the best constant


def test_chapman_robbins_never_exceeds_chi_squared() -> None:
    critic = torch.randn(100, 200, 6, generator=torch.Generator().manual_seed(7)).double()
    difference = ((P - Q) * critic).sum(-1)
    variance = (Q * critic**2).sum(-1) - (Q * critic).sum(-1) ** 2
    truth = f_divergence(P, Q, "pearson")
    assert (difference**2 / variance <= truth + 1e-10).all()
    ratio = P / Q
    best = ((P - Q) * ratio).sum(-1) ** 2 / ((Q * ratio**2).sum(-1) - 1)
    torch.testing.assert_close(best, truth)


@pytest.mark.parametrize("name", ["kl", "jensen_shannon", "le_cam"])
def test_best_table_in_training_is_the_plug_in_estimate(name: str) -> None:
    draws_p = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
    draws_q = torch.tensor([0, 1, 1, 1, 2, 2])
    counts = [torch.bincount(x, minlength=3).double() for x in (draws_p, draws_q)]
    frequencies = [c / c.sum() for c in counts]
    table = torch.log(frequencies[0] / frequencies[1])
    bound = logit_bound(table[draws_p], table[draws_q], name).value
    torch.testing.assert_close(bound, f_divergence(*frequencies, name))
    noise = torch.randn(500, 3, generator=torch.Generator().manual_seed(8)).double()
    assert (logit_bound((table + noise)[:, draws_p], (table + noise)[:, draws_q], name).value <= bound).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_standard_error_is_the_true_one(name: str) -> None:
    p, q = random_distributions(2, 4, seed=9)
    logits = torch.tensor([0.5, -0.4, 0.1, 0.9]).double()
    on_p, on_q = ACTIVATIONS[name].critic(logits), ACTIVATIONS[name].conjugate(logits)
    variances = [(w * x**2).sum() - (w * x).sum() ** 2 for w, x in ((p, on_p), (q, on_q))]
    draws = torch.Generator().manual_seed(10)
    cells = [torch.multinomial(w, n, True, generator=draws) for w, n in ((p, 40_000), (q, 10_000))]
    bound = logit_bound(logits[cells[0]], logits[cells[1]], name)
    exact = math.sqrt(variances[0].item() / 40_000 + variances[1].item() / 10_000)
    assert bound.standard_error.item() == pytest.approx(exact, rel=0.05)
    expected = (p * on_p).sum() - (q * on_q).sum()
    assert abs(bound.value - expected).item() < 5 * bound.standard_error.item()
    torch.testing.assert_close(bound.value, bound.on_p - bound.on_q)


def test_variance_of_jensen_shannon_is_universally_bounded() -> None:
    p = torch.cat([P, torch.softmax(12 * torch.log(P), -1)])
    q = torch.cat([Q, torch.softmax(12 * torch.log(Q), -1)])
    js, log_ratio = ACTIVATIONS["jensen_shannon"], torch.log(p / q)
    for weights, terms in ((p, js.critic(log_ratio)), (q, js.conjugate(log_ratio))):
        variance = (weights * terms**2).sum(-1) - (weights * terms).sum(-1) ** 2
        assert (variance <= 1 / 6).all()


def gaussian_samples(n: int, shift: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = torch.randn(2, n, 3, generator=torch.Generator().manual_seed(seed))
    x[:, 0] += shift
    return x, y


QUICK = CriticTraining(steps=120, batch_size=128, learning_rate=5e-3, evaluate_every=20, seed=1)


def test_trained_critic_comes_close_and_stays_below() -> None:
    line = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    cells = [torch.softmax(-0.5 * (line - shift) ** 2, -1) for shift in (2.0, 0.0)]
    truth = f_divergence(cells[0], cells[1], "jensen_shannon").item()
    held_out = estimate_divergence(*gaussian_samples(3000, 2.0, 2), settings=QUICK).held_out
    assert held_out.value.item() > 0.8 * truth
    assert held_out.value.item() < truth + 4 * held_out.standard_error.item()


def test_identical_distributions_are_not_told_apart() -> None:
    estimate = estimate_divergence(*gaussian_samples(400, 0.0, 3), settings=QUICK)
    assert estimate.held_out.value.item() < max(0.01, 3 * estimate.held_out.standard_error.item())


def test_held_out_draws_are_held_out() -> None:
    clean = gaussian_samples(400, 1.0, 4)
    spoiled = tuple(x.clone() for x in clean)
    for x in spoiled:
        x[300:] = math.nan
    first, second = (estimate_divergence(*sample, settings=QUICK) for sample in (clean, spoiled))
    assert first.history == second.history
    assert math.isfinite(first.held_out.value.item()) and math.isnan(second.held_out.value.item())


def test_best_weights_on_validation_are_kept() -> None:
    torch.manual_seed(0)
    critic = Critic(3, (64, 64))
    validation = gaussian_samples(200, 0.5, 6)
    history = train_critic(critic, gaussian_samples(60, 0.5, 5), validation, settings=QUICK)
    assert history[-1].training > history[-1].validation  # it overfits
    with torch.no_grad():
        kept = logit_bound(critic(validation[0]), critic(validation[1]), "jensen_shannon").value.item()
    assert kept == pytest.approx(max(progress.validation for progress in history))
    assert [progress.step for progress in history] == [0, 20, 40, 60, 80, 100, 120]


def test_dropout_is_for_training_only() -> None:
    critic = torch.nn.Sequential(Critic(3, (16,)).layers, torch.nn.Dropout(0.9), torch.nn.Flatten(0))
    critic.eval()
    samples = gaussian_samples(64, 1.0, 13)
    best = max(look.validation for look in train_critic(critic, samples, samples, settings=QUICK))
    assert not critic.training
    assert evaluate_critic(critic, *samples).value.item() == pytest.approx(best)
    critic.train()
    values = {evaluate_critic(critic, *samples).value.item() for _ in range(3)}
    assert len(values) == 1 and critic.training


def test_same_seed_same_result_and_global_state_untouched() -> None:
    samples = gaussian_samples(100, 1.0, 7)
    torch.manual_seed(11)
    before = torch.random.get_rng_state()
    first = estimate_divergence(*samples, settings=QUICK)
    assert torch.equal(before, torch.random.get_rng_state())
    second = estimate_divergence(*samples, settings=QUICK)
    assert first.history == second.history
    other = estimate_divergence(*samples, settings=CriticTraining(steps=120, seed=2))
    assert first.history != other.history


def test_shapes_dtypes_and_gradients() -> None:
    v_p, v_q = torch.randn(4, 5, requires_grad=True), torch.randn(4, 7, requires_grad=True)
    for name in ACTIVATIONS:
        bound = logit_bound(v_p, v_q, name)
        assert bound.value.shape == bound.standard_error.shape == (4,) and bound.value.dtype == torch.float32
        for gradient in torch.autograd.grad(bound.value.sum(), (v_p, v_q)):
            assert torch.isfinite(gradient).all() and (gradient != 0).any()
    assert Critic(12, (8,))(torch.zeros(5, 3, 2, 2)).shape == (5,)
    assert sum(parameter.numel() for parameter in Critic(12, ()).parameters()) == 13
    assert finite_bound(P[0], Q[:3], torch.zeros(2, 3, 6).double()).shape == (2, 3)


def test_activations_are_found_or_built() -> None:
    assert get_activation("kl") is ACTIVATIONS["kl"] and get_activation(GENERATORS["kl"]) is ACTIVATIONS["kl"]
    own = OutputActivation(GENERATORS["kl"], lambda v: v, lambda v: torch.exp(v - 1))
    assert get_activation(own) is own
    torch.testing.assert_close(get_activation(alpha_generator(2.0)).critic(torch.zeros(1)), torch.zeros(1))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: logit_bound(torch.zeros(1), torch.zeros(5)), "at least two draws"),
        (lambda: critic_bound(torch.zeros(3), torch.zeros(3), "kullback"), "unknown divergence 'kullback'"),
        (lambda: get_activation("kullback"), "unknown divergence"),
        (lambda: canonical_activation(GENERATORS["total_variation"]), "kink"),
        (lambda: estimate_divergence(torch.zeros(7, 2), torch.zeros(9, 2)), "at least 8"),
        (lambda: estimate_divergence(torch.zeros(9, 2), torch.zeros(9, 3)), "one shape"),
        (lambda: estimate_divergence(torch.zeros(9, 2), torch.zeros(9, 2).double()), "shape and type"),
        (lambda: estimate_divergence(torch.zeros(9, 2).int(), torch.zeros(9, 2).int()), "floating-point"),
        (lambda: estimate_divergence([[0.0]] * 9, torch.zeros(9, 1)), "tensors of examples, got list"),
        (lambda: logit_bound([0.0, 1.0], torch.zeros(2)), "draws of p: expected a tensor .* got list"),
        (lambda: logit_bound(torch.zeros(2), torch.tensor([0, 1])), "draws of q: expected floating-point"),
        (lambda: critic_bound(torch.zeros(()), torch.zeros(3)), "floating-point values"),
        (lambda: donsker_varadhan_bound(torch.zeros(3, 4), torch.zeros(2, 4)), "batch axes of p and q"),
        (lambda: finite_bound(P[0], Q[0], torch.zeros(1).double()), r"floating-point values \(..., 6\)"),
        (lambda: finite_bound(P[0], Q[0], [0.0] * 6), "critic: expected a tensor"),
        (lambda: finite_bound(P[0], 2 * Q[0], P[0]), "q: probabilities sum to 2"),
        (lambda: optimal_critic(P[0], -Q[0]), "q: probabilities must be"),
        (lambda: Critic(0), "at least one unit"),
        (lambda: Critic(3)(torch.zeros(5, 4)), "examples with 3 numbers, got"),
        (lambda: CriticTraining(evaluate_every=0), "evaluate_every must be at least 1"),
        (lambda: CriticTraining(learning_rate=math.nan), "learning_rate must be positive"),
        (lambda: evaluate_critic(torch.nn.Linear(2, 1), P[:, :2].float(), P[:, :2].float()), "one logit per"),
    ],
)
def test_bad_input_gives_a_clear_error(call, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_a_bound_that_explodes_is_reported() -> None:
    far = CriticTraining(steps=50, learning_rate=10.0, largest_gradient=1e9)
    with pytest.raises(FloatingPointError, match=r"neyman bound is .* at step"):
        estimate_divergence(*gaussian_samples(100, 5.0, 8), "neyman", settings=far)
    broken = torch.full((9, 2), math.nan)
    with pytest.raises(FloatingPointError, match="step 0; look for nan"):
        estimate_divergence(broken, broken, settings=QUICK)
