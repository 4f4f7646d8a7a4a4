"""``agm.critics`` against JAX and Optax, and against scikit-learn's logistic regression."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from agm.critics import Critic, CriticTraining, estimate_divergence, train_critic
from scipy import special, stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from tests.oracles.inputs import SEEDS, agree, numbers, tensor

each_seed = pytest.mark.parametrize("seed", SEEDS)
Parameters = list[tuple[Any, Any]]


def clouds(seed: int, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    generator = numbers(seed)
    return generator.normal(size=(n, 3)) + 0.7, generator.normal(size=(n, 3)) * 1.2


def critic_and_parameters(seed: int, hidden: tuple[int, ...]) -> tuple[Critic, Parameters]:
    torch.manual_seed(seed)
    critic = Critic(3, hidden).double()
    values = [jnp.asarray(parameter.detach().numpy()) for parameter in critic.parameters()]
    return critic, list(zip(values[::2], values[1::2], strict=True))


def forward(parameters: Parameters, x: Any) -> Any:
    for weight, bias in parameters[:-1]:
        x = jax.nn.silu(x @ weight.T + bias)
    weight, bias = parameters[-1]
    return (x @ weight.T + bias)[:, 0]


@pytest.mark.parametrize("hidden", [(), (16, 5)])
def test_critic_and_its_gradients_are_those_of_jax(hidden: tuple[int, ...]) -> None:
    critic, parameters = critic_and_parameters(3, hidden)
    x, _ = clouds(3)
    logits = critic(tensor(x))
    agree(logits, jax.jit(forward)(parameters, x))
    logits.square().mean().backward()
    gradients = jax.tree.leaves(jax.jit(jax.grad(lambda w: jnp.square(forward(w, x)).mean()))(parameters))
    for parameter, oracle in zip(critic.parameters(), gradients, strict=True):
        agree(parameter.grad, oracle, atol=1e-11)


def test_training_steps_are_those_of_optax() -> None:
    """On samples whose rows are all alike every batch is the whole sample, whatever the draws."""
    largest_gradient = 0.4  # clips some of the steps, but not all
    settings = CriticTraining(
        steps=6,
        batch_size=4,
        learning_rate=0.02,
        weight_decay=0.1,
        largest_gradient=largest_gradient,
        evaluate_every=1,
    )
    critic, parameters = critic_and_parameters(0, (6,))
    p, q = np.repeat([[1.0, 2.0, -1.0]], 4, axis=0), np.repeat([[0.0, -1.0, 0.5]], 4, axis=0)
    history = train_critic(
        critic, (tensor(p), tensor(q)), (tensor(p), tensor(q)), "squared_hellinger", settings
    )

    def bound(w: Parameters) -> Any:
        on_p, on_q = jnp.exp(-forward(w, p) / 2), jnp.exp(forward(w, q) / 2)
        return ((1 - on_p) / 2).mean() - ((on_q - 1) / 2).mean()

    optimiser = optax.chain(
        optax.clip_by_global_norm(largest_gradient), optax.adamw(settings.learning_rate, weight_decay=0.1)
    )

    @jax.jit
    def step(weights: Parameters, state: Any) -> Any:
        value, gradient = jax.value_and_grad(bound)(weights)
        descent = jax.tree.map(jnp.negative, gradient)
        updates, state = optimiser.update(descent, state, weights)
        return value, optax.apply_updates(weights, updates), state

    state, oracle = optimiser.init(parameters), []
    for _ in range(settings.steps + 1):
        final = parameters
        value, parameters, state = step(parameters, state)
        oracle.append(float(value))
    assert oracle[-1] == max(oracle) > oracle[0] + 0.1  # hence the last weights are kept
    # PyTorch divides by the norm plus 1e-6 when it clips.
    agree([look.validation for look in history], oracle, rtol=1e-4)
    for parameter, other in zip(critic.parameters(), jax.tree.leaves(final), strict=True):
        agree(parameter, other, rtol=1e-4, atol=1e-5)


@each_seed
def test_affine_critic_of_jensen_shannon_is_logistic_regression(seed: int) -> None:
    p, q = clouds(seed)
    data, labels = np.concatenate([p, q]), np.repeat([1, 0], len(p))
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(data, labels)
    best = math.log(2) - log_loss(labels, oracle.predict_proba(data)[:, 1])
    critic, _ = critic_and_parameters(seed, ())
    settings = CriticTraining(steps=250, batch_size=len(p), learning_rate=0.02, weight_decay=0.0)
    sample = (tensor(p), tensor(q))
    history = train_critic(critic, sample, sample, "jensen_shannon", settings)
    assert all(look.training <= best + 1e-12 for look in history)
    reached = max(look.validation for look in history)
    assert reached > best - 2e-3 > history[0].training
    agreement = np.corrcoef(oracle.decision_function(data), critic(tensor(data)).detach().numpy())[0, 1]
    assert agreement > 0.99


@each_seed
def test_reported_bounds_are_log_losses_of_the_critic_on_its_parts(seed: int) -> None:
    p, q = clouds(seed)
    found = estimate_divergence(tensor(p), tensor(q), settings=CriticTraining(steps=10))
    for part, bound in ((slice(90, 120), found.held_out), (slice(0, 60), found.training)):
        logits = [found.critic(tensor(x[part])).detach().numpy() for x in (p, q)]
        labels = np.repeat([1, 0], len(logits[0]))
        agree(bound.value, math.log(2) - log_loss(labels, special.expit(np.concatenate(logits))))
        terms = 0.5 * special.log_expit(logits[0]), -0.5 * special.log_expit(-logits[1])
        welch = stats.ttest_ind(terms[0] + math.log(2) / 2, terms[1] - math.log(2) / 2, equal_var=False)
        agree(bound.value / bound.standard_error, welch.statistic)
