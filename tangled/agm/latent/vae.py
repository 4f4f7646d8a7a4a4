"""Variational autoencoders: posterior, bound, loss and the module that ties two networks to a likelihood.

Conventions: noise is an argument, never drawn inside a loss; the terms of the bound are per example, in nats,
summed over values and latent dimensions; only ``vae_loss`` averages, and over examples alone.
"""

from __future__ import annotations

# book/03-latent/18-vae.qmd § The model
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from agm.latent.decoders import (
    HALF_LOG_TWO_PI,
    BernoulliLikelihood,
    CategoricalLikelihood,
    GaussianLikelihood,
    Likelihood,
)
from agm.latent.discretised import DiscretisedGaussianLikelihood
from agm.latent.networks import ConvDecoder, conv_encoder, mlp_decoder, mlp_encoder


def standard_kl(
    mean: Float[Tensor, "*batch latent"], log_variance: Float[Tensor, "*batch latent"]
) -> Float[Tensor, "*batch latent"]:
    """KL(N(mean, variance) || N(0, 1)), coordinate by coordinate, in nats.

    Args:
        mean: of every coordinate.
        log_variance: logarithm of its *variance*.

    Returns:
        The divergences, not summed; accurate also where they are tiny.
    """
    return 0.5 * (mean * mean + torch.expm1(log_variance) - log_variance)  # @eq-va-kl


class DiagonalGaussian(NamedTuple):
    """A Gaussian with independent coordinates, by its mean and the *logarithm of its variance*."""

    mean: Float[Tensor, "*batch latent"]
    log_variance: Float[Tensor, "*batch latent"]

    def sample(self, noise: Float[Tensor, "*draws latent"]) -> Float[Tensor, "*draws latent"]:
        """mean + sigma * noise: a draw that is differentiable in mean and log-variance.

        Args:
            noise: standard Gaussian draws, ``(*batch, latent)`` or with further leading axes.

        Returns:
            z, of the shape of the noise.
        """
        return torch.addcmul(self.mean, torch.exp(0.5 * self.log_variance), noise)  # @eq-va-sample

    def kl_per_dimension(self) -> Float[Tensor, "*batch latent"]:
        """Rate of every coordinate: ``standard_kl``."""
        return standard_kl(self.mean, self.log_variance)

    def kl(self) -> Float[Tensor, "*batch"]:
        """KL(q || N(0, I)) in nats, summed over coordinates."""
        return self.kl_per_dimension().sum(-1)

    def log_prob(self, z: Float[Tensor, "*draws latent"]) -> Float[Tensor, "*draws_"]:
        """Log-density of z in nats."""
        # The root of the precision in two factors: one alone overflows for very narrow posteriors, and where
        # z is the mean zero times infinity is not a number.
        root = torch.exp(-0.25 * self.log_variance)
        standardised = (z - self.mean) * root * root
        return (-0.5 * (standardised**2 + self.log_variance) - HALF_LOG_TWO_PI).sum(-1)


def standard_normal_log_prob(z: Float[Tensor, "*draws latent"]) -> Float[Tensor, "*draws_"]:
    """Log-density of the prior N(0, I) in nats."""
    return -0.5 * (z * z).sum(-1) - HALF_LOG_TWO_PI * z.shape[-1]


class ElboTerms(NamedTuple):
    """The bound and its two terms, per example: elbo = reconstruction - kl (@eq-va-elbo)."""

    reconstruction: Float[Tensor, " batch"]
    kl: Float[Tensor, " batch"]
    elbo: Float[Tensor, " batch"]


def vae_loss(terms: ElboTerms, beta: float | Tensor = 1.0) -> Float[Tensor, ""]:
    """Minus the average over examples of reconstruction - beta * kl; with beta = 1 minus the ELBO.

    Args:
        terms: of a batch.
        beta: weight of the KL term; a warm-up goes from 0 to 1.

    Returns:
        The loss in nats per example.
    """
    return (beta * terms.kl - terms.reconstruction).mean()  # @eq-va-loss


# book/03-latent/18-vae.qmd § The model
class VAE(nn.Module):
    """Two networks and a likelihood.

    Args:
        encoder: from ``(batch, *event)`` to ``(batch, 2 * latent)``: means, then log-variances.
        decoder: from ``(*lead, latent)`` to ``(*lead, *likelihood.parameter_shape)``.
        likelihood: what the decoder's output means.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, likelihood: Likelihood) -> None:
        super().__init__()
        self.encoder, self.decoder, self.likelihood = encoder, decoder, likelihood

    def encode(self, x: Tensor) -> DiagonalGaussian:
        """The approximate posterior q(z | x) of every example of ``(batch, *event)``."""
        mean, log_variance = self.encoder(self.likelihood.features(x)).chunk(2, -1)
        return DiagonalGaussian(mean, log_variance)

    def forward(self, x: Tensor, noise: Float[Tensor, "batch latent"]) -> ElboTerms:
        """One-sample estimate of the ELBO with the KL term in closed form.

        Args:
            x: data, ``(batch, *event)``.
            noise: standard Gaussian draws, one row for every example; with a leading axis of draws the
                reconstruction and the elbo have it, too.

        Returns:
            The terms, per example.
        """
        posterior = self.encode(x)
        reconstruction = self.likelihood.log_prob(self.decoder(posterior.sample(noise)), x)
        kl = posterior.kl()
        return ElboTerms(reconstruction, kl, reconstruction - kl)  # @eq-va-elbo

    def log_weights(
        self, x: Tensor, noise: Float[Tensor, "draws batch latent"]
    ) -> Float[Tensor, "draws batch"]:
        """log p(x, z) - log q(z | x) at draws z of q: what importance-weighted bounds average.

        Args:
            x: data, ``(batch, *event)``.
            noise: standard Gaussian draws.

        Returns:
            The log-weights; their mean over draws estimates the ELBO, log-mean-exp estimates log p(x).
        """
        posterior = self.encode(x)
        z = posterior.sample(noise)
        # At z = mean + sigma * noise the log-density of q needs no division.
        log_q = standard_normal_log_prob(noise) - 0.5 * posterior.log_variance.sum(-1)
        return self.likelihood.log_prob(self.decoder(z), x) + standard_normal_log_prob(z) - log_q

    def reconstruct(self, x: Tensor) -> Float[Tensor, "batch ..."]:
        """The decoder's mean at the posterior mean: no noise, the same picture every time."""
        return self.likelihood.mean(self.decoder(self.encode(x).mean))

    def sample(self, z: Float[Tensor, "*lead latent"], generator: torch.Generator | None = None) -> Tensor:
        """Pictures for given latent codes, for instance draws of the prior.

        Args:
            z: latent codes.
            generator: source of randomness of p(x | z); without it the decoder's mean is returned.

        Returns:
            Data ``(*lead, *event)``, or their means.
        """
        parameters = self.decoder(z)
        if generator is None:
            return self.likelihood.mean(parameters)
        return self.likelihood.sample(parameters, generator)


# book/03-latent/18-vae.qmd § The model
LikelihoodName = Literal[
    "bernoulli", "gaussian", "gaussian_per_pixel", "gaussian_predicted", "discretised_gaussian", "categorical"
]


@dataclass(frozen=True)
class VaeConfig:
    """A VAE in numbers.

    Attributes:
        event_shape: shape of one example.
        latent: latent dimensions.
        likelihood: name of the decoder's distribution.
        levels: number of grey levels, for the discretised Gaussian and the categorical likelihood.
        initial_scale: of Gaussian likelihoods, in units of the data.
        network: "mlp", or "conv" for images.
        hidden: widths (mlp) or channels (conv) of the encoder; the decoder has them reversed.
        activation: of the hidden layers.
    """

    event_shape: tuple[int, ...]
    latent: int = 2
    likelihood: LikelihoodName = "bernoulli"
    levels: int = 2
    initial_scale: float = 0.25
    network: Literal["mlp", "conv"] = "mlp"
    hidden: tuple[int, ...] = (256, 256)
    activation: str = "silu"


def build_likelihood(config: VaeConfig) -> Likelihood:
    """The likelihood that a configuration names.

    Args:
        config: what to build.

    Returns:
        The likelihood.

    Raises:
        ValueError: if the name is unknown.
    """
    shape, scale = config.event_shape, config.initial_scale
    if config.likelihood == "bernoulli":
        return BernoulliLikelihood(shape)
    if config.likelihood == "categorical":
        return CategoricalLikelihood(shape, config.levels)
    if config.likelihood == "discretised_gaussian":
        return DiscretisedGaussianLikelihood(shape, config.levels, initial_scale=scale)
    if config.likelihood == "gaussian":
        return GaussianLikelihood(shape, "shared", scale)
    if config.likelihood == "gaussian_per_pixel":
        return GaussianLikelihood(shape, "per_pixel", scale)
    if config.likelihood == "gaussian_predicted":
        return GaussianLikelihood(shape, "predicted", scale)
    known = ", ".join(get_args(LikelihoodName))
    raise ValueError(f"likelihood: expected one of {known}; got {config.likelihood!r}")


def build_vae(config: VaeConfig, seed: int = 0) -> VAE:
    """A freshly initialised VAE; the global random state is left alone.

    Args:
        config: what to build.
        seed: of the initial weights.

    Returns:
        The model, in training mode.

    Raises:
        ValueError: if a name is unknown or the shapes do not fit.
    """
    if config.network not in ("mlp", "conv") or config.latent < 1:
        raise ValueError(
            f"network: expected mlp or conv, latent >= 1; got {config.network!r}, {config.latent}"
        )
    likelihood = build_likelihood(config)
    outwards: Sequence[int] = config.hidden[::-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder: nn.Module
        decoder: nn.Module
        if config.network == "conv":
            encoder = conv_encoder(config.event_shape, config.latent, config.hidden, config.activation)
            decoder = ConvDecoder(
                config.latent, config.event_shape, likelihood.parameter_shape, outwards, config.activation
            )
        else:
            encoder = mlp_encoder(config.event_shape, config.latent, config.hidden, config.activation)
            decoder = mlp_decoder(config.latent, likelihood.parameter_shape, outwards, config.activation)
    return VAE(encoder, decoder, likelihood)
