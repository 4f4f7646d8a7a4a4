"""``agm.fgan`` against PyTorch's cross-entropy, JAX's gradients, SciPy's entropy and nearest neighbours."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from agm.critics import Critic
from agm.fgan import (
    GameTraining,
    Generator,
    coverage,
    force,
    game_losses,
    nearest_cell,
    sample,
    train_fgan,
)
from agm.jax.fgan import Game, Perceptron, load_torch_weights
from flax import nnx
from scipy import stats
from scipy.spatial import KDTree
from sklearn.neighbors import NearestNeighbors
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from tests.oracles.inputs import SEEDS, agree, integers, numbers, tensor

each_seed = pytest.mark.parametrize("seed", SEEDS)


@each_seed
def test_jensen_shannon_game_is_the_original_gan(seed: int) -> None:
    """Half the binary cross-entropies, up to the constant log 2; the heuristic is the non-saturating loss."""
    real, fake = tensor(numbers(seed).normal(size=20)), tensor(numbers(seed + 9).normal(size=30))
    ones, zeros = torch.ones_like, torch.zeros_like
    critic = 0.5 * (cross_entropy(real, ones(real)) + cross_entropy(fake, zeros(fake))) - math.log(2)
    minimax = game_losses(real, fake, "jensen_shannon", "minimax")
    heuristic = game_losses(real, fake, "jensen_shannon", "heuristic")
    for found in (minimax, heuristic):
        agree(found.critic, critic)
        agree(found.value, -critic)
    agree(minimax.generator, 0.5 * (math.log(2) - cross_entropy(fake, zeros(fake))))
    agree(heuristic.generator, 0.5 * (cross_entropy(fake, ones(fake)) - math.log(2)))


FORMULAS: dict[str, Any] = {
    "kl": lambda t: t * jnp.log(t),
    "reverse_kl": lambda t: -jnp.log(t),
    "jensen_shannon": lambda t: 0.5 * (t * jnp.log(t) - (t + 1) * jnp.log((t + 1) / 2)),
    "squared_hellinger": lambda t: 0.5 * (jnp.sqrt(t) - 1) ** 2,
    "pearson": lambda t: (t - 1) ** 2,
    "neyman": lambda t: (t - 1) ** 2 / t,
    "le_cam": lambda t: (t - 1) ** 2 / (2 * (t + 1)),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_force_is_made_of_the_curvature_that_jax_finds(name: str) -> None:
    logits = numbers(4).uniform(-4, 4, size=(5, 6))
    t = np.exp(logits)
    curvature = np.asarray(jax.jit(jax.vmap(jax.grad(jax.grad(FORMULAS[name]))))(t.ravel())).reshape(t.shape)
    agree(force(tensor(logits), name, "minimax"), t**2 * curvature, rtol=1e-8)
    agree(force(tensor(logits), name, "heuristic"), t * curvature, rtol=1e-8)


@each_seed
@pytest.mark.parametrize("unit_interval", [False, True])
def test_generator_network_is_the_one_written_in_jax(seed: int, unit_interval: bool) -> None:
    torch.manual_seed(seed)
    generator = Generator(3, (2, 4), (7, 5), unit_interval)
    state = [jnp.asarray(weights.numpy()) for weights in generator.state_dict().values()]
    noise = torch.randn(10, 3, generator=torch.Generator().manual_seed(seed))
    x = jnp.asarray(noise.numpy())
    for weight, bias in zip(state[:-2:2], state[1:-2:2], strict=True):
        x = jax.nn.silu(x @ weight.T + bias)
    x = x @ state[-2].T + state[-1]
    oracle = np.asarray(jax.nn.sigmoid(x) if unit_interval else x).reshape(10, 2, 4)
    agree(generator(noise), oracle, rtol=1e-4, atol=1e-6)
    agree(sample(generator, 10, seed), oracle, rtol=1e-4, atol=1e-6)


@each_seed
def test_affine_generator_samples_the_gaussian_of_its_weights(seed: int) -> None:
    torch.manual_seed(seed)
    generator = Generator(2, (2,), hidden=())
    weight, bias = (weights.numpy().astype(float) for weights in generator.state_dict().values())
    x = sample(generator, 2000, seed).numpy()
    for direction in np.eye(2):
        scale = np.linalg.norm(weight.T @ direction)
        assert stats.kstest(x @ direction, stats.norm(bias @ direction, scale).cdf).pvalue > 1e-3


@each_seed
@pytest.mark.parametrize("radius", [math.inf, 0.6])
def test_nearest_cell_is_that_of_a_tree(seed: int, radius: float) -> None:
    generator = numbers(seed)
    x, centres = generator.normal(size=(200, 2, 2)), generator.normal(size=(9, 2, 2))
    _, oracle = KDTree(centres.reshape(9, 4)).query(x.reshape(200, 4), distance_upper_bound=radius)
    found = nearest_cell(tensor(x), tensor(centres), radius)
    agree(found, oracle)
    agree(nearest_cell(tensor(x), tensor(centres).flatten(1), radius), oracle)
    if math.isinf(radius):
        search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(centres.reshape(9, 4))
        agree(found, search.kneighbors(x.reshape(200, 4), return_distance=False)[:, 0])
    else:
        assert (oracle == 9).any() and (oracle < 9).any()


@each_seed
@pytest.mark.parametrize("pseudo_count", [0.5, 2.0])
def test_coverage_is_measured_by_scipys_entropies(seed: int, pseudo_count: float) -> None:
    counts_p, counts_q = numbers(seed).integers(0, 6, 12), numbers(seed + 9).integers(0, 6, 12)
    found = coverage(integers(counts_p), integers(counts_q), pseudo_count=pseudo_count)
    p, q = counts_p + pseudo_count, counts_q + pseudo_count
    agree(found.forward_kl, stats.entropy(p, q))
    agree(found.reverse_kl, stats.entropy(q, p))
    occupied = np.flatnonzero(counts_p)
    shares = [
        stats.relfreq(np.repeat(np.arange(12), c), 12, (-0.5, 11.5)).frequency for c in (counts_p, counts_q)
    ]
    assert found.cells == len(occupied)
    assert found.covered == np.sum(shares[1][occupied] / shares[0][occupied] >= 0.25)


AFFINE = Generator(2, (2,), hidden=())
COUNTS = integers([5, 5, 0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: coverage(COUNTS, integers([0, 0, 0])), ValueError, "at least one observation"),
        (lambda: coverage(COUNTS, integers([1, 2])), ValueError, "same cells"),
        (lambda: coverage(COUNTS, integers([[1, 2, 3]])), ValueError, "same cells"),
        (lambda: coverage(COUNTS, [1, 2, 3]), TypeError, "counts"),
        (lambda: force(integers([1, 2])), TypeError, "floating-point"),
        (lambda: nearest_cell(tensor([[0, 0]]), tensor([[0, 0, 0]])), ValueError, "as many coordinates"),
        (lambda: nearest_cell(tensor([[0, 0]]), tensor(np.zeros((0, 2)))), ValueError, "at least one"),
        (lambda: Generator(0, (2,)), ValueError, "at least 1"),
        (lambda: AFFINE(torch.zeros(5, 3)), ValueError, "expected noise"),
        (lambda: sample(AFFINE, 0), ValueError, "at least one"),
        (lambda: GameTraining(batch_size=1), ValueError, "batch_size"),
        (lambda: GameTraining(momentum=1.0), ValueError, "momentum"),
        (lambda: GameTraining(generator_loss="saturating"), ValueError, "saturating"),
        (lambda: GameTraining(critic_rate=math.nan), ValueError, "critic_rate"),
        (lambda: train_fgan(AFFINE, Critic(2), torch.zeros(9, 3)), ValueError, "examples of shape"),
        (lambda: train_fgan(AFFINE, Critic(2), torch.zeros(0, 2)), ValueError, "examples of shape"),
        (lambda: train_fgan(AFFINE, Critic(2), integers([[1, 2]])), TypeError, "floating-point"),
        (lambda: train_fgan(AFFINE, torch.nn.Linear(2, 1), torch.zeros(9, 2)), ValueError, "one logit"),
    ],
)
def test_meaningless_questions_are_refused(call, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


def test_games_are_played_in_double_precision_too() -> None:
    generator, data = Generator(2, (2,), hidden=()).double(), torch.zeros(9, 2).double()
    train_fgan(generator, Critic(2, (4,)).double(), data, "kl", GameTraining(steps=2, instance_noise=0.1))
    assert sample(generator, 3).dtype == torch.float64


def test_twin_refuses_what_it_does_not_know() -> None:
    def draw(key: jax.Array, n: int) -> jax.Array:
        return jax.random.normal(key, (n, 2))

    with pytest.raises(ValueError, match="numbered from 0"):
        Game(draw, steps=1).compiled()(0, 99, False, 0)
    with pytest.raises(ValueError, match="do not fit"):
        load_torch_weights(Perceptron((3, 2), rngs=nnx.Rngs(0)), AFFINE.state_dict())
