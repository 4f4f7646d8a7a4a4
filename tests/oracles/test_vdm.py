"""``agm.vdm`` against mpmath, JAX's gradients, SciPy's optimisers and t-test, scikit-learn's log loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import torch
from agm.convex_generators import alpha_generator
from agm.divergences import f_divergence
from agm.vdm import (
    ACTIVATIONS,
    alpha_activation,
    canonical_activation,
    critic_bound,
    donsker_varadhan_bound,
    finite_bound,
    get_activation,
    logit_bound,
    optimal_critic,
)
from scipy import optimize, special, stats
from scipy.spatial import distance
from sklearn.metrics import log_loss

from tests.oracles.inputs import SEEDS, agree, numbers, simplex, tensor

each_seed = pytest.mark.parametrize("seed", SEEDS)
mp = mpmath.mp
# The derivative f' and the conjugate at it, of t, with as many digits as asked for.
TANGENTS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "kl": (lambda t: mp.log(t) + 1, lambda t: t),
    "reverse_kl": (lambda t: -1 / t, lambda t: mp.log(t) - 1),
    "jensen_shannon": (lambda t: mp.log(2 * t / (1 + t)) / 2, lambda t: mp.log((1 + t) / 2) / 2),
    "squared_hellinger": (lambda t: (1 - 1 / mp.sqrt(t)) / 2, lambda t: (mp.sqrt(t) - 1) / 2),
    "pearson": (lambda t: 2 * (t - 1), lambda t: t**2 - 1),
    "neyman": (lambda t: 1 - 1 / t**2, lambda t: 2 - 2 / t),
    "le_cam": (
        lambda t: (t - 1) * (t + 3) / (2 * (t + 1) ** 2),
        lambda t: 2 * (t / (1 + t)) ** 2 - mp.mpf(1) / 2,
    ),
    "total_variation": (lambda t: mp.tanh(mp.log(t) / 2) / 2, lambda t: mp.tanh(mp.log(t) / 2) / 2),
}


def digits(function: Callable[[Any], Any], logits: np.ndarray) -> list[float]:
    with mp.workdps(120):
        return [float(function(mp.exp(mp.mpf(float(v))))) for v in logits]


@pytest.mark.parametrize("name", TANGENTS)
def test_activations_are_right_to_the_last_digits_even_far_out(name: str) -> None:
    logits = np.concatenate([numbers(1).uniform(-8, 8, 40), [-100.0, -40.0, -1e-9, 1e-9, 40.0, 100.0]])
    critic, conjugate = TANGENTS[name]
    activation = get_activation(name)
    agree(activation.critic(tensor(logits)), digits(critic, logits), rtol=1e-13, atol=1e-15)
    agree(activation.conjugate(tensor(logits)), digits(conjugate, logits), rtol=1e-13, atol=1e-15)


def test_every_activation_has_an_oracle() -> None:
    assert set(TANGENTS) == set(ACTIVATIONS)


@pytest.mark.parametrize("order", [-1.0, 0.3, 1.0, 2.0])
def test_canonical_activation_is_the_gradient_that_jax_finds(order: float) -> None:
    def f(t: Any) -> Any:
        if order == 1:
            return t * jnp.log(t) - t + 1
        return (t**order - 1 - order * (t - 1)) / (order * (order - 1))

    t = np.exp(numbers(2).uniform(-3, 3, 40))
    value, slope = map(np.asarray, jax.jit(jax.vmap(jax.value_and_grad(f)))(t))
    activation = canonical_activation(alpha_generator(order))
    agree(activation.critic(tensor(np.log(t))), slope, rtol=1e-9)
    agree(activation.conjugate(tensor(np.log(t))), t * slope - value, rtol=1e-9, atol=1e-10)


@each_seed
def test_jensen_shannon_bound_is_log_two_minus_the_log_loss(seed: int) -> None:
    logits = [numbers(seed + i).normal(size=30) for i in (0, 40)]
    oracle = math.log(2) - log_loss(np.repeat([1, 0], 30), special.expit(np.concatenate(logits)))
    agree(logit_bound(*map(tensor, logits), "jensen_shannon").value, oracle)


@each_seed
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_standard_error_is_the_one_in_welchs_test(seed: int, name: str) -> None:
    logits_p, logits_q = numbers(seed).normal(size=(4, 20)), numbers(seed + 40).normal(size=(4, 33))
    critic, conjugate = TANGENTS[name]
    terms_p = np.array([digits(critic, row) for row in logits_p])
    terms_q = np.array([digits(conjugate, row) for row in logits_q])
    welch = stats.ttest_ind(terms_p, terms_q, axis=1, equal_var=False)
    found = logit_bound(tensor(logits_p), tensor(logits_q), name)
    agree(found.value, terms_p.mean(1) - terms_q.mean(1))
    agree(found.value / found.standard_error, welch.statistic)
    if name != "total_variation":  # whose activation is not its optimal critic
        same = critic_bound(tensor(terms_p), tensor([digits(critic, row) for row in logits_q]), name)
        agree(same.value / same.standard_error, welch.statistic, rtol=1e-7)


@each_seed
def test_donsker_varadhan_is_an_exponential_average(seed: int) -> None:
    critic_p, critic_q = numbers(seed).normal(size=(2, 9)), 300 * numbers(seed + 40).normal(size=(2, 11))
    found = donsker_varadhan_bound(tensor(critic_p), tensor(critic_q))
    log_mean = special.logsumexp(critic_q, b=1 / 11, axis=1)
    agree(found.value, critic_p.mean(1) - log_mean)
    agree(found.on_q, jax.jit(lambda x: jax.nn.logsumexp(x, axis=1))(critic_q) - np.log(11))
    variance = stats.sem(critic_p, axis=1) ** 2 + stats.sem(np.exp(critic_q - log_mean[:, None]), axis=1) ** 2
    agree(found.standard_error, np.sqrt(variance))


# Conjugates, and the upper ends of their domains (or a slope that no optimum here reaches).
CONJUGATES: dict[str, tuple[Callable[[Any], Any], float]] = {
    "kl": (lambda y: np.exp(y - 1), 9.0),
    "pearson": (lambda y: np.where(y > -2, y + y**2 / 4, -1.0), 90.0),
    "reverse_kl": (lambda y: -1 - np.log(-y), 0.0),
    "jensen_shannon": (lambda y: -0.5 * np.log(2 - np.exp(2 * y)), 0.5 * math.log(2)),
    "squared_hellinger": (lambda y: 0.5 / (1 - 2 * y) - 0.5, 0.5),
    "neyman": (lambda y: 2 - 2 * np.sqrt(1 - y), 1.0),
}


@each_seed
@pytest.mark.parametrize("name", CONJUGATES)
def test_optimal_critic_and_bound_are_those_that_an_optimiser_finds(seed: int, name: str) -> None:
    p, q = simplex(seed, 1, 5)[0] + 0.1, simplex(seed + 10, 1, 5)[0] + 0.1
    p, q = p / p.sum(), q / q.sum()
    conjugate, end = CONJUGATES[name]
    searches = [
        optimize.minimize_scalar(
            lambda y, a=a, b=b: b * conjugate(y) - a * y,
            bounds=(-90, end),
            method="bounded",
            options={"xatol": 1e-10},
        )
        for a, b in zip(p, q, strict=True)
    ]
    critic = optimal_critic(tensor(p), tensor(q), name)
    agree(critic, [search.x for search in searches], rtol=1e-5, atol=1e-6)
    agree(
        finite_bound(tensor(p), tensor(q), critic, name), -sum(search.fun for search in searches), rtol=1e-9
    )
    lower = critic.numpy() - numbers(seed).random(5)  # stays within the domain
    agree(finite_bound(tensor(p), tensor(q), tensor(lower), name), (p * lower - q * conjugate(lower)).sum())


@each_seed
def test_best_bounded_critic_of_linear_programming_is_the_one_of_total_variation(seed: int) -> None:
    p, q = simplex(seed, 1, 6, zeros=0.4)[0], simplex(seed + 10, 1, 6, zeros=0.4)[0]
    program = optimize.linprog(q - p, bounds=(-0.5, 0.5))
    critic = optimal_critic(tensor(p), tensor(q), "total_variation")
    agree(critic[tensor(p) != tensor(q)], program.x[p != q])
    agree(finite_bound(tensor(p), tensor(q), critic, "total_variation"), -program.fun)


@each_seed
def test_bound_at_the_optimal_critic_is_scipys_divergence_with_zeros(seed: int) -> None:
    p, q = simplex(seed, 20, 6, zeros=0.4), simplex(seed + 10, 20, 6, zeros=0.4)
    x, y = tensor(p), tensor(q)
    agree(finite_bound(x, y, optimal_critic(x, y, "kl"), "kl"), stats.entropy(p, q, axis=1))
    critic = optimal_critic(x, y, "jensen_shannon")
    agree(finite_bound(x, y, critic, "jensen_shannon"), distance.jensenshannon(p, q, axis=1) ** 2)
    agree(finite_bound(x, y, critic, "jensen_shannon"), f_divergence(x, y, "jensen_shannon").numpy())


def test_bound_at_the_optimal_critic_in_single_precision() -> None:
    """The critic must not round to the end of the domain, where the conjugate is infinite."""
    p, q = (torch.tensor(x, dtype=torch.float32) for x in ([0.5, 0.5], [1.0, 1e-20]))
    oracle = distance.sqeuclidean(np.sqrt(p.numpy()), np.sqrt(q.numpy())) / 2
    name = "squared_hellinger"
    agree(finite_bound(p, q, optimal_critic(p, q, name), name), oracle, rtol=1e-5)


def test_canonical_conjugate_of_a_moderate_logit() -> None:
    """In float32 t f'(t) - f(t) cancels: reverse KL in centred form has the conjugate v, here 20."""
    found = canonical_activation(alpha_generator(0)).conjugate(torch.tensor([20.0]))
    agree(found, digits(lambda t: t * (1 - 1 / t) - (t - 1 - mp.log(t)), np.array([20.0])), rtol=1e-6)


@pytest.mark.parametrize("order", [-1.0, 0.0, 0.3, 1.0, 2.5])
def test_alpha_activation_is_right_to_the_last_digits_even_far_out(order: float) -> None:
    logits = np.concatenate([numbers(2).uniform(-8, 8, 40), [-100.0, -1e-9, 1e-9, 100.0]])

    def power(t: Any, exponent: float) -> Any:
        return mp.log(t) if exponent == 0 else (t**exponent - 1) / exponent

    activation = alpha_activation(order)
    agree(activation.critic(tensor(logits)), digits(lambda t: power(t, order - 1), logits), rtol=1e-13)
    agree(activation.conjugate(tensor(logits)), digits(lambda t: power(t, order), logits), rtol=1e-13)
