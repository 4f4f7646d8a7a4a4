"""A Flax twin of ``agm.fgan``: same networks, same losses, whole games in the plane as one compiled loop."""

from __future__ import annotations

# book/01-foundations/04-generative-modelling-by-vdm.qmd § The Flax twin
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax  # type: ignore[import-untyped]
from flax import nnx
from jaxtyping import Array, Float

_LOG_2 = math.log(2.0)
Elementwise = Callable[[Array], Array]

# For each divergence g_f(v) and f*(g_f(v)), as in ``agm.vdm.ACTIVATIONS``.
JAX_ACTIVATIONS: dict[str, tuple[Elementwise, Elementwise]] = {
    "kl": (lambda v: v + 1, jnp.exp),
    "reverse_kl": (lambda v: -jnp.exp(-v), lambda v: v - 1),
    "jensen_shannon": (
        lambda v: 0.5 * (_LOG_2 + jax.nn.log_sigmoid(v)),
        lambda v: 0.5 * (jax.nn.softplus(v) - _LOG_2),
    ),
    "squared_hellinger": (lambda v: -0.5 * jnp.expm1(-0.5 * v), lambda v: 0.5 * jnp.expm1(0.5 * v)),
    "pearson": (lambda v: 2 * jnp.expm1(v), lambda v: jnp.expm1(2 * v)),
    "neyman": (lambda v: -jnp.expm1(-2 * v), lambda v: -2 * jnp.expm1(-v)),
    "le_cam": (lambda v: 0.5 - 2 * jax.nn.sigmoid(-v) ** 2, lambda v: 2 * jax.nn.sigmoid(v) ** 2 - 0.5),
    "total_variation": (lambda v: 0.5 * jnp.tanh(0.5 * v), lambda v: 0.5 * jnp.tanh(0.5 * v)),
}
INDEX = {name: index for index, name in enumerate(JAX_ACTIVATIONS)}


class Perceptron(nnx.Module):
    """The multilayer perceptron of ``agm.critics.Critic`` and ``agm.fgan.Generator``."""

    def __init__(self, sizes: Sequence[int], *, rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes)])

    def __call__(self, x: Float[Array, "batch wide"]) -> Float[Array, "batch narrow"]:
        """All layers, with SiLU between them."""
        for layer in list(self.layers)[:-1]:
            x = nnx.silu(layer(x))
        return self.layers[-1](x)


def load_torch_weights(network: Perceptron, state: Mapping[str, Any]) -> Perceptron:
    """Copy the weights of a PyTorch perceptron, given by its ``state_dict``, in order of its layers.

    Args:
        network: overwritten; the sizes must agree.
        state: weights (out, in) and biases, alternating.

    Returns:
        The network.

    Raises:
        ValueError: if number or sizes of the layers differ.
    """
    arrays = [np.asarray(value) for value in state.values()]
    parts = ((layer.kernel.shape[::-1], (layer.out_features,)) for layer in network.layers)
    ours, theirs = list(itertools.chain(*parts)), [array.shape for array in arrays]
    if ours != theirs:
        raise ValueError(f"layers of sizes {theirs} do not fit a network with {ours}")
    for layer, weight, bias in zip(network.layers, arrays[::2], arrays[1::2], strict=True):
        layer.kernel.set_value(jnp.asarray(weight.T))
        layer.bias = nnx.Param(jnp.asarray(bias))
    return network


class TwinLosses(NamedTuple):
    """The value of the game, and what each of the two players minimises."""

    value: Array
    critic: Array
    generator: Array


def twin_losses(
    logits_p: Float[Array, " n"],
    logits_q: Float[Array, " m"],
    divergence: Any,
    heuristic: Any = False,
    critic_divergence: Any = None,
) -> TwinLosses:
    """The losses of ``agm.fgan.game_losses``; divergence and kind of loss may be traced.

    Args:
        logits_p: v(x) at draws of the data.
        logits_q: v(G(z)) at draws of the model.
        divergence: an entry of ``INDEX``.
        heuristic: whether the generator maximises critic values instead of minimising the game's value.
        critic_divergence: an entry of ``INDEX`` for the critic's loss, if it is to differ.

    Returns:
        Value, critic's loss and generator's loss.
    """
    critics, conjugates = zip(*JAX_ACTIVATIONS.values(), strict=True)
    judge = divergence if critic_divergence is None else critic_divergence
    on_p, on_q = jax.lax.switch(judge, critics, logits_p), jax.lax.switch(judge, conjugates, logits_q)
    value = on_p.mean() - on_q.mean()  # @eq-fg-game
    minimax, direct = (jax.lax.switch(divergence, terms, logits_q).mean() for terms in (conjugates, critics))
    return TwinLosses(value, -value, -jnp.where(heuristic, direct, minimax))


@dataclass(frozen=True)
class Game:
    """A game in the plane, played by the single-step method.

    Attributes:
        draw: function of a key and a number that draws the data, (n, 2).
        hidden: width of the two hidden layers of both networks.
        latent_features: dimension of the noise.
        batch_size: draws of data and of model per step.
        steps: number of steps.
        generator_rate: learning rate of the generator's Adam.
        critic_rate: learning rate of the critic's Adam.
        largest_gradient: norm to which each player's gradient is clipped.
        draws: size of the sample that is returned.
    """

    draw: Callable[[Array, int], Array]
    hidden: int = 32
    latent_features: int = 4
    batch_size: int = 128
    steps: int = 2000
    generator_rate: float = 5e-4
    critic_rate: float = 2e-3
    largest_gradient: float = 5.0
    draws: int = 4000

    def compiled(self) -> Callable[[int, int, bool, int], tuple[Array, Array]]:
        """A compiled function of a seed and of the last three arguments of ``twin_losses``.

        Returns:
            The function; it returns a sample of the trained model and the value of the game at each step,
            and raises a ValueError for numbers that are not in ``INDEX``.
        """
        sizes = (
            (2, self.hidden, self.hidden, 1),
            (self.latent_features, self.hidden, self.hidden, 2),
        )
        graphs = [nnx.split(Perceptron(shape, rngs=nnx.Rngs(0)))[0] for shape in sizes]
        optimisers = [
            optax.chain(optax.clip_by_global_norm(self.largest_gradient), optax.adam(rate, b1=0.5))
            for rate in (self.critic_rate, self.generator_rate)
        ]

        def play(seed: int, divergence: int, heuristic: bool, critic_divergence: int) -> tuple[Array, Array]:
            keys = jax.random.split(jax.random.key(seed), 4)
            players = [
                nnx.split(Perceptron(shape, rngs=nnx.Rngs(key)))[1]
                for shape, key in zip(sizes, keys, strict=False)
            ]
            states = [optimiser.init(player) for optimiser, player in zip(optimisers, players, strict=True)]

            def fake(generator: Any, key: Array, n: int) -> Array:
                return nnx.merge(graphs[1], generator)(
                    jax.random.normal(key, (n, self.latent_features), "float32")
                )

            def step(carry: Any, key: Array) -> tuple[Any, Array]:
                players, states = carry
                key_p, key_q = jax.random.split(key)
                real = self.draw(key_p, self.batch_size)

                def losses(critic: Any, generator: Any) -> tuple[Array, Array]:
                    both = jnp.concatenate([real, fake(generator, key_q, self.batch_size)])
                    logits = nnx.merge(graphs[0], critic)(both)[:, 0]
                    on_p, on_q = jnp.split(logits, 2)
                    result = twin_losses(on_p, on_q, divergence, heuristic, critic_divergence)
                    return result.critic, result.generator

                (loss, _), pull_back = jax.vjp(losses, *players)
                one, zero = jnp.ones_like(loss), jnp.zeros_like(loss)
                gradients = pull_back((one, zero))[0], pull_back((zero, one))[1]
                moved = [
                    optimiser.update(gradient, state)
                    for optimiser, gradient, state in zip(optimisers, gradients, states, strict=True)
                ]
                players = [
                    optax.apply_updates(p, update) for p, (update, _) in zip(players, moved, strict=True)
                ]
                return (players, [state for _, state in moved]), -loss

            carry, values = jax.lax.scan(step, (players, states), jax.random.split(keys[2], self.steps))
            return fake(carry[0][1], keys[3], self.draws), values

        jitted = jax.jit(play)

        def checked(
            seed: int, divergence: int, heuristic: bool, critic_divergence: int
        ) -> tuple[Array, Array]:
            for number in (divergence, critic_divergence):  # lax.switch would clamp them silently
                if number not in INDEX.values():
                    raise ValueError(f"divergences are numbered from 0 to {len(INDEX) - 1}, got {number}")
            return jitted(seed, divergence, heuristic, critic_divergence)

        return checked
