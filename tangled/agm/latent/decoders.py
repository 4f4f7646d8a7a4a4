"""Likelihoods p(x | z) of decoders: what the numbers that a decoder network emits mean.

Conventions: a likelihood knows the shape of one example, ``event_shape``, and of the parameters that the
network must deliver for it, ``parameter_shape``. Leading axes of parameters are free: ``(batch, …)`` when
training, ``(draws, batch, …)`` for importance weights. Log-likelihoods are summed over the example, in nats.
"""

from __future__ import annotations

# book/03-latent/18-vae.qmd § Likelihoods
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus

HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
ScaleKind = Literal["fixed", "shared", "per_pixel", "predicted"]


class Likelihood(nn.Module, ABC):
    """A family of distributions of x, indexed by what the decoder network emits.

    Args:
        event_shape: shape of one example.
        per_value: numbers that the network emits for every value of an example.
    """

    def __init__(self, event_shape: Sequence[int], per_value: int = 1) -> None:
        super().__init__()
        self.event_shape = tuple(event_shape)
        if not self.event_shape or min(self.event_shape) < 1 or per_value < 1:
            raise ValueError(f"event_shape: expected positive sizes, got {self.event_shape}")
        self.parameter_shape = self.event_shape if per_value == 1 else (per_value, *self.event_shape)

    @abstractmethod
    def log_prob_per_value(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Logarithm of the density or probability of every single value of x, ``(*lead, *event)``."""

    @abstractmethod
    def mean(self, parameters: Tensor) -> Tensor:
        """E[features(x) | z], ``(*lead, *event)``: the picture to show."""

    @abstractmethod
    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """Draw x given z, ``(*lead, *event)``, in the units of the data."""

    @abstractmethod
    def check(self, x: Tensor) -> None:
        """Refuse data of which the log-likelihood would mean nothing; call it once, before training.

        Args:
            x: the data, ``(n, *event)``.

        Raises:
            ValueError: saying which values are out of place and what to do.
        """

    def log_prob(self, parameters: Float[Tensor, "..."], x: Tensor) -> Float[Tensor, "*lead"]:
        """log p(x | z) of every example, in nats: the *sum* over the example's values.

        Args:
            parameters: what the decoder emitted, ``(*lead, *parameter_shape)``.
            x: data, ``(batch, *event)``; broadcast over further leading axes of the parameters.

        Returns:
            One number for every leading index.

        Raises:
            ValueError: if the shapes are others, and would be broadcast within an example or a batch.
        """
        lead = parameters.shape[: parameters.ndim - len(self.parameter_shape)]
        batch = x.shape[: x.ndim - len(self.event_shape)]
        if (
            parameters.shape != (*lead, *self.parameter_shape)
            or x.shape != (*batch, *self.event_shape)
            or batch != lead[len(lead) - len(batch) :]
        ):
            wanted = f"(*lead, {', '.join(map(str, self.parameter_shape))}) and data of the same batch"
            raise ValueError(
                f"expected parameters of shape {wanted}, (batch, {', '.join(map(str, self.event_shape))}); "
                f"got {tuple(parameters.shape)} and {tuple(x.shape)}"
            )
        return self.log_prob_per_value(parameters, x).flatten(-len(self.event_shape)).sum(-1)

    def features(self, x: Tensor) -> Float[Tensor, "batch ..."]:
        """What the encoder sees of x: floating-point numbers of order one."""
        return x

    def _refuse_shape(self, x: Tensor) -> None:
        if tuple(x.shape[1:]) != self.event_shape or len(x) == 0:
            raise ValueError(
                f"x: expected shape (n, {', '.join(map(str, self.event_shape))}), got {tuple(x.shape)}"
            )


# book/03-latent/18-vae.qmd § Likelihoods
def bernoulli_log_prob(logits: Float[Tensor, "*n"], x: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """log-probability of coins, fused: x log sigmoid(l) + (1 - x) log sigmoid(-l).

    Args:
        logits: l, any real numbers.
        x: zeros and ones, of the same shape.

    Returns:
        The logarithms; stable for large logits.
    """
    return -binary_cross_entropy_with_logits(logits, x, reduction="none")  # @eq-va-bernoulli


class BernoulliLikelihood(Likelihood):
    """Independent coins; the decoder emits logits. A probability of *binary* data only."""

    def __init__(self, event_shape: Sequence[int]) -> None:
        super().__init__(event_shape)

    def log_prob_per_value(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-probability of every coin."""
        return bernoulli_log_prob(parameters, x.to(parameters.dtype).expand_as(parameters))

    def mean(self, parameters: Tensor) -> Tensor:
        """The probabilities of a one."""
        return torch.sigmoid(parameters)

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """Zeros and ones."""
        uniform = torch.rand(
            parameters.shape, generator=generator, dtype=parameters.dtype, device=parameters.device
        )
        return (uniform < torch.sigmoid(parameters)).to(parameters.dtype)

    def check(self, x: Tensor) -> None:
        """Refuse anything but zeros and ones."""
        self._refuse_shape(x)
        if not x.is_floating_point() or not bool(((x == 0) | (x == 1)).all()):
            raise ValueError(
                "x: a Bernoulli decoder has a likelihood for zeros and ones only, as floating-point numbers; "
                "binarise the data, or use a Gaussian or a categorical decoder for grey values"
            )


# book/03-latent/18-vae.qmd § Likelihoods
def gaussian_log_density(
    x: Float[Tensor, "*n"], mean: Float[Tensor, "*n"], log_scale: Float[Tensor, "*n"]
) -> Float[Tensor, "*n"]:
    """Log-density of a Gaussian.

    Args:
        x: where.
        mean: its mean.
        log_scale: logarithm of its standard deviation (not of its variance).

    Returns:
        The log-densities; positive ones are nothing unusual.
    """
    standardised = (x - mean) * torch.exp(-log_scale)
    return -0.5 * standardised**2 - log_scale - HALF_LOG_TWO_PI  # @eq-va-gaussian


def optimal_scale(x: Float[Tensor, "*shape"], mean: Float[Tensor, "*shape"]) -> Float[Tensor, ""]:
    """The common standard deviation of greatest likelihood: the root of the mean squared error.

    Args:
        x: data.
        mean: their reconstructions.

    Returns:
        The scale.
    """
    return (x - mean).square().mean().sqrt()  # @eq-va-scale


class GaussianLikelihood(Likelihood):
    """Independent Gaussians around the emitted means; log-likelihoods are log-*densities*.

    Args:
        event_shape: shape of one example.
        scale: "fixed" (given), "shared" (one learnt number), "per_pixel" (one for every value of an
            example), "predicted" (emitted by the network, after the means).
        initial_scale: the standard deviation at the start, in units of the data; for predicted scales
            nearly that of a network which emits zeros.
        floor: lower limit of predicted log-scales, without which the likelihood is unbounded.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        scale: ScaleKind = "shared",
        initial_scale: float = 1.0,
        floor: float = -5.0,
    ) -> None:
        super().__init__(event_shape, 2 if scale == "predicted" else 1)
        if scale not in ("fixed", "shared", "per_pixel", "predicted") or not 0 < initial_scale < math.inf:
            raise ValueError(
                f"scale: expected a kind of scale and a positive number, got {scale}, {initial_scale}"
            )
        self.scale_kind, self.floor = scale, floor
        shape = self.event_shape if scale == "per_pixel" else ()
        start = torch.full(shape, math.log(initial_scale))
        self.log_scale: Tensor
        if scale in ("fixed", "predicted"):
            self.register_buffer("log_scale", start)
        else:
            self.log_scale = nn.Parameter(start)

    def location_and_log_scale(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation of every value.

        Args:
            parameters: what the decoder emitted.

        Returns:
            The means, and log-scales that broadcast against them.
        """
        if self.scale_kind != "predicted":
            return parameters, self.log_scale
        location, raw = parameters.unbind(-1 - len(self.event_shape))
        return location, self.floor + softplus(raw + self.log_scale - self.floor)

    def log_prob_per_value(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-density of every value."""
        return gaussian_log_density(x, *self.location_and_log_scale(parameters))

    def mean(self, parameters: Tensor) -> Tensor:
        """The means."""
        return self.location_and_log_scale(parameters)[0]

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """Mean plus scaled noise."""
        location, log_scale = self.location_and_log_scale(parameters)
        noise = torch.randn(location.shape, generator=generator, dtype=location.dtype, device=location.device)
        return location + torch.exp(log_scale) * noise

    def check(self, x: Tensor) -> None:
        """Refuse integers and numbers that are not finite."""
        self._refuse_shape(x)
        if not x.is_floating_point() or not bool(torch.isfinite(x).all()):
            raise ValueError(f"x: a Gaussian decoder needs finite floating-point data, got {x.dtype}")


# book/03-latent/18-vae.qmd § Likelihoods
class CategoricalLikelihood(Likelihood):
    """A free table over L levels for every value; the decoder emits L logits each.

    Args:
        event_shape: shape of one example.
        levels: number L of levels; data are whole numbers 0 … L - 1.
    """

    def __init__(self, event_shape: Sequence[int], levels: int) -> None:
        super().__init__(event_shape, check_levels(levels))
        self.levels, self._axis = levels, -1 - len(self.event_shape)
        self.greys: Tensor
        self.register_buffer("greys", torch.linspace(0.0, 1.0, levels), persistent=False)

    def features(self, x: Tensor) -> Tensor:
        """Levels divided by L - 1."""
        return x.to(self.greys.dtype) / (self.levels - 1)

    def log_prob_per_value(self, parameters: Tensor, x: Tensor) -> Tensor:
        """The logit of the level minus the log-sum of all."""
        log_table = torch.log_softmax(parameters, self._axis)
        lead = parameters.shape[: self._axis]
        index = x.long().expand(*lead, *self.event_shape).unsqueeze(self._axis)
        return log_table.gather(self._axis, index).squeeze(self._axis)  # @eq-va-categorical

    def mean(self, parameters: Tensor) -> Tensor:
        """Mean level divided by L - 1."""
        return torch.softmax(parameters, self._axis).movedim(self._axis, -1) @ self.greys

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """Levels, drawn from the tables."""
        # Imported here, because trained models do not depend on it: an edit there leaves artifacts fresh.
        from agm.baselines import inverse_cdf

        table = torch.softmax(parameters, self._axis).movedim(self._axis, -1)
        uniform = torch.rand(table.shape[:-1], generator=generator, dtype=torch.float64, device=table.device)
        return inverse_cdf(table, uniform)

    def check(self, x: Tensor) -> None:
        """Refuse anything but whole numbers in the range of the levels."""
        self._refuse_shape(x)
        refuse_levels(x, self.levels)


def check_levels(levels: int) -> int:
    """The number of levels itself, if it is a whole number and at least two.

    Args:
        levels: number of levels.

    Returns:
        The same number.

    Raises:
        ValueError: if it is not whole, or less than two.
    """
    if not isinstance(levels, int) or levels < 2:
        raise ValueError(f"levels: expected a whole number, at least 2, got {levels!r}")
    return levels


def refuse_levels(x: Tensor, levels: int) -> None:
    """Refuse data that are no levels.

    Args:
        x: the data.
        levels: number of levels.

    Raises:
        ValueError: if a value is not a whole number in the range.
    """
    fractional = x != x.round() if x.is_floating_point() else torch.zeros_like(x, dtype=torch.bool)
    if bool(((x < 0) | (x > levels - 1) | fractional).any()):
        raise ValueError(
            f"x: expected whole numbers from 0 to {levels - 1}; multiply grey values by {levels - 1}"
        )
