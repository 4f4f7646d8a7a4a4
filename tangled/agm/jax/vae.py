"""A Flax twin of ``agm.latent.vae`` for perceptrons: the same weights and noise give the same loss."""

from __future__ import annotations

# book/03-latent/18-vae.qmd § The Flax twin
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from jaxtyping import Array, Float
from torch import nn

from agm.latent.decoders import (
    BernoulliLikelihood,
    CategoricalLikelihood,
    GaussianLikelihood,
    Likelihood,
)
from agm.latent.discretised import DiscretisedGaussianLikelihood
from agm.latent.vae import VAE

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_ACTIVATIONS: dict[type[nn.Module], Callable[[Array], Array]] = {
    nn.ELU: nnx.elu,
    nn.ReLU: nnx.relu,
    nn.SiLU: nnx.silu,
    nn.Softplus: nnx.softplus,
    nn.Tanh: jnp.tanh,
}


class TwinTerms(NamedTuple):
    """The terms of ``agm.latent.vae.ElboTerms``."""

    reconstruction: Array
    kl: Array
    elbo: Array


class TwinPerceptron(nnx.Module):
    """Linear layers with an activation between them."""

    def __init__(self, sizes: Sequence[int], activation: Callable[[Array], Array], rngs: nnx.Rngs) -> None:
        self.layers = nnx.List([nnx.Linear(a, b, rngs=rngs) for a, b in itertools.pairwise(sizes)])
        self.activation = activation

    def __call__(self, x: Float[Array, "... wide"]) -> Float[Array, "... narrow"]:
        """All layers."""
        for layer in list(self.layers)[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class TwinVae(nnx.Module):
    """Encoder, decoder and a likelihood; made by ``from_torch``.

    Args:
        encoder: from flat examples to means and log-variances.
        decoder: from latent codes to flat parameters of the likelihood.
        likelihood: "bernoulli", "gaussian" or "categorical".
        levels: of the categorical likelihood.
        log_scale: of the Gaussian likelihood, a number or one for every value.
        learn_scale: whether the scale is a parameter.
    """

    def __init__(
        self,
        encoder: TwinPerceptron,
        decoder: TwinPerceptron,
        likelihood: str,
        levels: int = 1,
        log_scale: Array | None = None,
        learn_scale: bool = False,
    ) -> None:
        self.encoder, self.decoder = encoder, decoder
        self.likelihood, self.levels = likelihood, levels
        start = jnp.zeros(()) if log_scale is None else log_scale
        self.log_scale = nnx.Param(start) if learn_scale else nnx.Variable(start)

    def log_prob(
        self, parameters: Float[Array, "batch out"], x: Float[Array, "batch d"]
    ) -> Float[Array, " batch"]:
        """log p(x | z), summed over values, as in ``agm.latent.decoders``."""
        if self.likelihood == "bernoulli":
            return (x * parameters - nnx.softplus(parameters)).sum(-1)  # @eq-va-bernoulli
        if self.likelihood == "gaussian":
            log_scale = self.log_scale[...]
            standardised = (x - parameters) * jnp.exp(-log_scale)
            return (-0.5 * standardised**2 - log_scale - _HALF_LOG_TWO_PI).sum(-1)  # @eq-va-gaussian
        table = nnx.log_softmax(parameters.reshape(len(x), self.levels, -1), axis=1)
        index = x.astype(jnp.int32)[:, None]
        return jnp.take_along_axis(table, index, 1).sum((1, 2))  # @eq-va-categorical

    def __call__(self, x: Float[Array, "batch ..."], noise: Float[Array, "batch latent"]) -> TwinTerms:
        """The terms of ``VAE.forward``.

        Args:
            x: data; flattened here.
            noise: standard Gaussian draws, one row for every example.

        Returns:
            Reconstruction, KL and ELBO, per example.
        """
        x = x.reshape(len(x), -1).astype(noise.dtype)
        features = x / (self.levels - 1) if self.likelihood == "categorical" else x
        mean, log_variance = jnp.split(self.encoder(features), 2, -1)
        z = mean + jnp.exp(0.5 * log_variance) * noise  # @eq-va-sample
        reconstruction = self.log_prob(self.decoder(z), x)
        kl = 0.5 * (mean**2 + jnp.expm1(log_variance) - log_variance).sum(-1)  # @eq-va-kl
        return TwinTerms(reconstruction, kl, reconstruction - kl)


def twin_loss(twin: TwinVae, x: Array, noise: Array, beta: float = 1.0) -> Float[Array, ""]:
    """The loss of ``agm.latent.vae.vae_loss``.

    Args:
        twin: the model.
        x: data.
        noise: standard Gaussian draws.
        beta: weight of the KL term.

    Returns:
        The loss in nats per example; differentiate it with ``nnx.grad``.
    """
    terms = twin(x, noise)
    return (beta * terms.kl - terms.reconstruction).mean()  # @eq-va-loss


def from_torch(vae: VAE) -> TwinVae:
    """The twin of a PyTorch VAE: the same weights, in the same precision.

    Args:
        vae: a VAE of perceptrons.

    Returns:
        A new twin; double precision needs ``jax_enable_x64``.

    Raises:
        TypeError: if the VAE is not made of perceptrons, or its likelihood has no twin.
    """
    encoder, decoder = _perceptron(vae.encoder), _perceptron(vae.decoder)
    name, levels = _named(vae.likelihood)
    if not isinstance(vae.likelihood, GaussianLikelihood):
        return TwinVae(encoder, decoder, name, levels)
    learnt = isinstance(vae.likelihood.log_scale, nn.Parameter)
    log_scale = _array(vae.likelihood.log_scale).reshape(-1 if vae.likelihood.log_scale.ndim else ())
    return TwinVae(encoder, decoder, name, levels, log_scale, learnt)


def gradients(state: nnx.State) -> list[np.ndarray]:
    """Gradients of a twin in PyTorch's order and orientation.

    Args:
        state: what ``nnx.grad`` of ``twin_loss`` returns.

    Returns:
        For encoder and decoder the weights (out, in) and biases of every layer, then the scale if learnt.
    """
    pure = nnx.to_pure_dict(state)
    found = []
    for part in ("encoder", "decoder"):
        layers = pure[part]["layers"]
        for index in sorted(layers):
            found += [np.asarray(layers[index]["kernel"]).T, np.asarray(layers[index]["bias"])]
    return found + ([np.asarray(pure["log_scale"])] if "log_scale" in pure else [])


def _array(tensor: torch.Tensor) -> Array:
    return jnp.asarray(tensor.detach().cpu().numpy())


def _named(likelihood: Likelihood) -> tuple[str, int]:
    if isinstance(likelihood, BernoulliLikelihood):
        return "bernoulli", 1
    if isinstance(likelihood, CategoricalLikelihood):
        return "categorical", likelihood.levels
    plain = isinstance(likelihood, GaussianLikelihood) and likelihood.scale_kind != "predicted"
    if plain and not isinstance(likelihood, DiscretisedGaussianLikelihood):
        return "gaussian", 1
    raise TypeError(f"no twin of {type(likelihood).__name__} with these options; use the PyTorch model")


def _perceptron(network: nn.Module) -> TwinPerceptron:
    parts: Iterable[nn.Module] = network if isinstance(network, nn.Sequential) else [network]
    inner = [part for part in parts if not isinstance(part, nn.Flatten | nn.Unflatten)]
    layers = [part for part in inner[::2] if isinstance(part, nn.Linear) and part.bias is not None]
    between = {type(part) for part in inner[1::2]}
    if 2 * len(layers) != len(inner) + 1 or not between <= set(_ACTIVATIONS):
        raise TypeError(
            f"no twin of {type(network).__name__}: expected linear layers with biases, activations in turn, "
            "and a linear layer at the end"
        )
    if len({str(part) for part in inner[1::2]}) > 1 or any(str(kind()) != str(inner[1]) for kind in between):
        raise TypeError("no twin of a network with several kinds of activations, or options of theirs")
    sizes = [layers[0].in_features, *(layer.out_features for layer in layers)]
    activation = _ACTIVATIONS[between.pop()] if between else nnx.identity
    twin = TwinPerceptron(sizes, activation, nnx.Rngs(0))
    for mine, theirs in zip(twin.layers, layers, strict=True):
        mine.kernel.set_value(_array(theirs.weight.T))
        mine.bias = nnx.Param(_array(theirs.bias))
    return twin
