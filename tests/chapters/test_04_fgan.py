"""Chapter 4: f-GANs, their saddle point, gradients, dynamics and training."""

from __future__ import annotations

# book/01-foundations/04-generative-modelling-by-vdm.qmd § Tests
import itertools
import math

import numpy as np
import pytest
import torch
from agm.convex_generators import GENERATORS, alpha_generator
from agm.critics import Critic
from agm.divergences import f_divergence, gaussian_kl
from agm.fgan import (
    GENERATOR_LOSSES,
    GameTraining,
    Generator,
    coverage,
    force,
    game_losses,
    nearest_cell,
    sample,
    train_fgan,
)
from agm.vdm import ACTIVATIONS, finite_bound, optimal_critic

SMOOTH = [name for name, generator in GENERATORS.items() if generator.second_derivative is not None]
NODES, WEIGHTS = (torch.as_tensor(x) for x in np.polynomial.hermite_e.hermegauss(80))
WEIGHTS = WEIGHTS / WEIGHTS.sum()  # average over a standard Gaussian


def random_distributions(*shape: int, seed: int) -> torch.Tensor:
    return torch.softmax(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double(), -1)


@pytest.mark.parametrize("name", SMOOTH)
def test_saddle_point_on_a_finite_set(name: str) -> None:
    f = GENERATORS[name]
    p, q = random_distributions(6, seed=1), random_distributions(300, 6, seed=2)
    silent = torch.full((6,), f.derivative_at_one, dtype=torch.float64)
    # Against the constant critic every generator has the value zero.
    torch.testing.assert_close(finite_bound(p, q, silent, name), torch.zeros(300).double())
    # Against the data no critic gains: take the best critics for all other opponents.
    critics = optimal_critic(p, q, name)
    assert (finite_bound(p, p, critics, name) <= 1e-12).all()
    # Away from the saddle point one of the two gains: the critic's best answer is worth the divergence.
    torch.testing.assert_close(finite_bound(p, q, critics, name), f_divergence(p, q, name))
    assert (f_divergence(p, q, name) > 0).all()
    # Where there are no data, the critic may be lower but not higher.
    hole = torch.tensor([0.5, 0.3, 0.2, 0.0, 0.0, 0.0]).double()
    offset = 0.05 * torch.tensor([0.0, 0.0, 0.0, 1.0, 2.0, 0.5]).double()
    assert (finite_bound(hole, q, silent - offset, name) >= -1e-12).all()
    assert finite_bound(hole, torch.eye(6).double()[4], silent + offset, name).item() < 0


@pytest.mark.parametrize("name", SMOOTH)
def test_critic_gradient_on_a_finite_set(name: str) -> None:
    # Counts make the empirical game an exact one: p = (3, 1, 2, 2) / 8, q = (1, 2, 4, 1) / 8.
    draws_p, draws_q = torch.tensor([0, 0, 0, 1, 2, 2, 3, 3]), torch.tensor([0, 1, 1, 2, 2, 2, 2, 3])
    p, q = torch.bincount(draws_p).double() / 8, torch.bincount(draws_q).double() / 8
    v = torch.tensor([0.4, -0.7, 0.1, 0.9], dtype=torch.float64, requires_grad=True)
    losses = game_losses(v[draws_p], v[draws_q], name)
    second = GENERATORS[name].second_derivative
    assert second is not None
    expected = second(v.exp()) * v.exp() * (p - q * v.exp())
    torch.testing.assert_close(torch.autograd.grad(losses.value, v)[0], expected.detach())
    assert losses.critic.item() == -losses.value.item()


def test_argument_order_is_data_first() -> None:
    # Optimal logit between N(0, 1) and N(0, 4), averaged exactly by repetition of quadrature weights.
    def value(name: str) -> float:
        log_ratio = lambda x: math.log(2) - 0.5 * x**2 + 0.125 * x**2  # noqa: E731
        on_p = (WEIGHTS * ACTIVATIONS[name].critic(log_ratio(NODES))).sum()
        on_q = (WEIGHTS * ACTIVATIONS[name].conjugate(log_ratio(2 * NODES))).sum()
        return (on_p - on_q).item()

    assert value("kl") == pytest.approx(math.log(2) - 3 / 8)
    logits_p, logits_q = torch.randn(2, 50, generator=torch.Generator().manual_seed(0)).double()
    swapped = game_losses(-logits_q, -logits_p, "kl").value
    torch.testing.assert_close(swapped, game_losses(logits_p, logits_q, "reverse_kl").value)
    assert abs(swapped - game_losses(logits_p, logits_q, "kl").value).item() > 0.01


@pytest.mark.parametrize("name", SMOOTH)
def test_forces(name: str) -> None:
    v = torch.linspace(-3, 3, 61, dtype=torch.float64)
    second = GENERATORS[name].second_derivative
    assert second is not None
    torch.testing.assert_close(force(v, name), torch.exp(2 * v) * second(v.exp()))
    torch.testing.assert_close(force(v, name, "heuristic"), torch.exp(v) * second(v.exp()))


def test_heuristic_lowers_the_order_by_one() -> None:
    v = torch.linspace(-2, 2, 41, dtype=torch.float64)
    for order in (-1.0, 0.0, 0.5, 1.0, 1.7, 2.0):
        lowered = force(v, alpha_generator(order - 1), "minimax")
        torch.testing.assert_close(force(v, alpha_generator(order), "heuristic"), lowered)
    torch.testing.assert_close(force(v, "pearson", "heuristic"), 2 * force(v, "kl"))
    torch.testing.assert_close(force(v, "kl", "heuristic"), force(v, "reverse_kl"))
    torch.testing.assert_close(2 * force(v, "reverse_kl", "heuristic"), force(v, "neyman"))
    torch.testing.assert_close(force(v, "jensen_shannon", "heuristic"), 0.5 * torch.sigmoid(-v))


def test_frozen_optimal_critic_gives_the_gradient_of_the_divergence() -> None:
    # p = N(0, 1), model N(theta, 1): the derivatives in theta are known in closed form.
    theta = 0.6
    known = {
        "kl": theta,
        "reverse_kl": theta,
        "pearson": 2 * theta * math.exp(theta**2),
        "neyman": 2 * theta * math.exp(theta**2),
        "squared_hellinger": theta / 4 * math.exp(-(theta**2) / 8),
    }
    for name, derivative in known.items():
        parameter = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
        examples = parameter + NODES
        logits = -theta * examples + theta**2 / 2  # log p - log p_theta, frozen
        loss = -(WEIGHTS * ACTIVATIONS[name].conjugate(logits)).sum()
        assert torch.autograd.grad(loss, parameter)[0].item() == pytest.approx(derivative, rel=1e-9), name


def location_field(name: str, players: torch.Tensor) -> torch.Tensor:
    """(dF/dtheta, -dF/dphi, -dF/dbeta) of the Gaussian location game."""

    def value(x: torch.Tensor) -> torch.Tensor:
        on_p = ACTIVATIONS[name].critic(x[1] * NODES + x[2])
        on_q = ACTIVATIONS[name].conjugate(x[1] * (x[0] + NODES) + x[2])
        return (WEIGHTS * (on_p - on_q)).sum()

    return torch.func.grad(value)(players) * torch.tensor([1.0, -1.0, -1.0]).double()


@pytest.mark.parametrize("name", SMOOTH)
def test_dynamics_near_the_solution_depend_on_the_second_derivative_only(name: str) -> None:
    second = GENERATORS[name].second_derivative
    assert second is not None
    curvature = second(torch.ones(()).double()).item()
    zero = torch.zeros(3).double()
    jacobian = torch.func.jacrev(lambda x: location_field(name, x))(zero)
    expected = torch.tensor([[0.0, -1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]).double()
    torch.testing.assert_close(jacobian, curvature * expected)
    players = torch.tensor([1e-4, 0.0, 0.0]).double()
    for _ in range(60):  # a multiple of the period, 6
        players = players - 0.5 / curvature * location_field(name, players)
    assert (players.norm() / 1e-4).item() == pytest.approx(0.75**30, rel=0.02)


def test_location_game_in_closed_form_and_total_variation_runs_away() -> None:
    theta, phi, beta = 0.3, -0.4, 0.2
    e = math.exp(theta * phi + phi**2 / 2 + beta)
    expected = torch.tensor([-phi * e, (theta + phi) * e, e - 1]).double()
    torch.testing.assert_close(location_field("kl", torch.tensor([theta, phi, beta]).double()), expected)
    players = torch.tensor([1e-3, 0.0, 0.0]).double()
    for _ in range(100):
        players = players - location_field("total_variation", players)
    assert players.norm().item() == pytest.approx(1e-3 * (1 + 1 / 16) ** 50, rel=1e-3)


def test_single_step_rate_on_the_quadratic_game() -> None:
    delta, coupling = 0.3, 1.1
    jacobian = torch.tensor([[delta, coupling], [-coupling, delta]]).double()
    rate = delta / (delta**2 + coupling**2)
    step = torch.eye(2).double() - rate * jacobian
    point = torch.tensor([0.4, -0.9]).double()
    shrink = (step @ point).norm() ** 2 / point.norm() ** 2
    assert shrink.item() == pytest.approx(1 - delta**2 / torch.linalg.matrix_norm(jacobian, 2).item() ** 2)
    a, b = 1 - rate * delta, rate * coupling
    alternating = torch.linalg.eigvals(torch.tensor([[a, -b], [a * b, a - b * b]]).double()).abs()
    torch.testing.assert_close(alternating, torch.full((2,), a).double())


def new_players(seed: int = 0) -> tuple[Generator, Critic]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Generator(3, (2,), (8,)), Critic(2, (8,))


DATA = torch.randn(200, 2, generator=torch.Generator().manual_seed(4)) * 0.5 + 1


@pytest.mark.parametrize("generator_loss", GENERATOR_LOSSES)
@pytest.mark.parametrize("critic_steps", [0, 1])
def test_first_step_moves_both_players_along_their_own_gradients(generator_loss, critic_steps: int) -> None:
    settings = GameTraining(
        steps=1, batch_size=32, generator_loss=generator_loss, critic_steps=critic_steps, largest_gradient=1e9
    )
    trained, initial = new_players(), new_players()
    train_fgan(*trained, DATA, "squared_hellinger", settings)
    draws = torch.Generator().manual_seed(settings.seed)
    generator, critic = initial

    def losses():
        real = DATA[torch.randint(len(DATA), (32,), generator=draws)]
        fake = generator(torch.randn(32, 3, generator=draws))
        return game_losses(critic(real), critic(fake), "squared_hellinger", generator_loss)

    # Adam's first step is the learning rate times the sign of the gradient.
    first = losses()
    for_critic = torch.autograd.grad(first.critic, list(critic.parameters()), retain_graph=True)
    for before, after, g in zip(critic.parameters(), trained[1].parameters(), for_critic, strict=True):
        expected = settings.critic_rate * g / (g.abs() + 1e-8)
        torch.testing.assert_close(before - after, expected.detach(), atol=2e-6, rtol=1e-3)
    if critic_steps:  # the generator sees the critic that has moved, on a fresh batch
        critic.load_state_dict(trained[1].state_dict())
        first = losses()
    for_generator = torch.autograd.grad(first.generator, list(generator.parameters()))
    for before, after, g in zip(generator.parameters(), trained[0].parameters(), for_generator, strict=True):
        expected = settings.generator_rate * g / (g.abs() + 1e-8)
        torch.testing.assert_close(before - after, expected.detach(), atol=2e-6, rtol=1e-3)


def test_training_is_deterministic_and_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    runs = []
    for _ in range(2):
        generator, critic = new_players()
        settings = GameTraining(steps=20, instance_noise=0.1, record_every=5)
        history = train_fgan(generator, critic, DATA, "jensen_shannon", settings)
        runs.append((history, sample(generator, 5, seed=1)))
    assert runs[0][0] == runs[1][0]
    assert [move.step for move in runs[0][0]] == [0, 5, 10, 15]
    torch.testing.assert_close(runs[0][1], runs[1][1], rtol=0, atol=0)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "critic_divergence"),
    [("kl", None), ("jensen_shannon", None), ("le_cam", None), ("reverse_kl", "jensen_shannon")],
)
def test_tiny_game_finds_a_gaussian(name: str, critic_divergence: str | None) -> None:
    # Data N(1, 1/4) in the plane. Baseline: the standard Gaussian moved to the data's mean.
    data = 1 + 0.5 * torch.randn(4000, 2, generator=torch.Generator().manual_seed(5))
    mean, covariance = torch.ones(2), 0.25 * torch.eye(2)
    baseline = gaussian_kl(mean, covariance, mean, torch.eye(2)).item()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator, critic = Generator(2, (2,), ()), Critic(2, (32, 32))
        torch.nn.init.eye_(generator.layers[0].weight)
    settings = GameTraining(
        steps=800, generator_rate=2e-3, critic_rate=1e-2, critic_divergence=critic_divergence
    )
    train_fgan(generator, critic, data, name, settings)
    weight, bias = (parameter.detach() for parameter in generator.layers[0].parameters())
    assert gaussian_kl(mean, covariance, bias, weight @ weight.T).item() < 0.25 * baseline


def test_generators_and_samples() -> None:
    generator = Generator(5, (1, 4, 4), (7,), unit_interval=True)
    images = sample(generator, 6, seed=3)
    assert images.shape == (6, 1, 4, 4) and not images.requires_grad
    assert images.min() > 0 and images.max() < 1
    torch.testing.assert_close(images, sample(generator, 6, seed=3))
    assert not torch.equal(images, sample(generator, 6, seed=4))


def test_coverage_of_known_histograms() -> None:
    centres = torch.tensor([[0.0, 0.0], [4.0, 0.0]])
    points = torch.tensor([[0.1, 0.0], [3.9, 0.3], [2.0, 0.0], [4.0, -0.5]])
    assert nearest_cell(points, centres, 1.0).tolist() == [0, 1, 2, 1]
    data, model = torch.tensor([40, 40, 20, 0]), torch.tensor([97, 0, 3, 0])
    result = coverage(data, model, pseudo_count=0.0)
    assert result[:2] == (1, 3) and result.forward_kl == math.inf
    assert result.reverse_kl == pytest.approx(0.97 * math.log(0.97 / 0.4) + 0.03 * math.log(0.03 / 0.2))
    same = coverage(data, data)
    assert same == (3, 3, pytest.approx(0), pytest.approx(0))
    assert math.isfinite(coverage(data, model).forward_kl)


def test_twins_agree() -> None:
    nnx = pytest.importorskip("flax.nnx")
    jax = pytest.importorskip("jax")
    from agm.jax.fgan import INDEX, Perceptron, load_torch_weights, twin_losses

    generator, critic = new_players(seed=6)
    real, noise = DATA[:64], torch.randn(64, 3, generator=torch.Generator().manual_seed(7))
    twin_generator = load_torch_weights(Perceptron((3, 8, 2), rngs=nnx.Rngs(0)), generator.state_dict())
    twin_critic = load_torch_weights(Perceptron((2, 8, 1), rngs=nnx.Rngs(0)), critic.state_dict())
    graph, weights = nnx.split((twin_critic, twin_generator))

    @jax.jit
    def twins(index: int, heuristic: bool):
        def losses(weights):
            judge, source = nnx.merge(graph, weights)
            return twin_losses(
                judge(real.numpy())[:, 0], judge(source(noise.numpy()))[:, 0], index, heuristic
            )

        return losses(weights), jax.jacrev(lambda w: losses(w)[1:])(weights)

    assert set(INDEX) == set(ACTIVATIONS)
    for name, kind in itertools.product(INDEX, GENERATOR_LOSSES):
        losses = game_losses(critic(real), critic(generator(noise)), name, kind)
        twin, gradients = twins(INDEX[name], kind == "heuristic")
        np.testing.assert_allclose([float(x) for x in twin], [x.item() for x in losses], atol=1e-5)
        for player, network in enumerate((critic, generator)):
            ours = torch.autograd.grad(losses[1 + player], list(network.parameters()), retain_graph=True)
            layers = gradients[player][player]["layers"]
            theirs = [layers[i][part].get_value() for i in range(2) for part in ("kernel", "bias")]
            for mine, other in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(mine.numpy().T, np.asarray(other), atol=1e-5)


def test_compiled_game_is_deterministic() -> None:
    pytest.importorskip("flax.nnx")
    import jax
    from agm.jax.fgan import INDEX, Game

    play = Game(
        lambda key, n: jax.random.normal(key, (n, 2), "float32"), hidden=4, steps=5, draws=7
    ).compiled()
    index = INDEX["jensen_shannon"]
    points, values = play(0, index, False, index)
    assert points.shape == (7, 2) and values.shape == (5,)
    assert np.array_equal(points, play(0, index, False, index)[0])
    assert not np.array_equal(points, play(1, index, False, index)[0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: game_losses(DATA[:, 0], DATA[:, 1], "kl", "saturating"), ValueError, "'saturating'"),
        (lambda: game_losses(DATA[:, 0], DATA[:, 1], "kullback"), ValueError, "unknown divergence"),
        (lambda: game_losses(DATA[:1, 0], DATA[:, 1]), ValueError, "at least two draws"),
        (lambda: coverage(torch.tensor([0, 0]), torch.tensor([1, 2]), pseudo_count=0), ValueError, "counts"),
        (
            lambda: train_fgan(*new_players(), DATA * math.inf, "kl", GameTraining(steps=2)),
            FloatingPointError,
            "the kl game has value .* at step 0",
        ),
    ],
)
def test_bad_input_gives_a_clear_error(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
