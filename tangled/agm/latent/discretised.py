"""Whole-number levels with the probabilities of cells under a Gaussian."""

from __future__ import annotations

# book/03-latent/18-vae.qmd § Likelihoods
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from agm.latent.decoders import GaussianLikelihood, ScaleKind, check_levels, refuse_levels


def log_interval(lower: Float[Tensor, "*n"], upper: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """log of the mass that a standard Gaussian gives to an interval, stable in both tails.

    Args:
        lower: left ends; minus infinity is allowed for values, but has no gradient.
        upper: right ends, larger than ``lower`` (not checked); plus infinity likewise.

    Returns:
        log(Phi(upper) - Phi(lower)), a logarithm of a probability (@eq-va-interval). Intervals so narrow that
        both ends have the same Phi in this precision get the logarithm of its smallest normal number.
    """
    right = lower > 0  # mirror intervals of the right tail into the left one
    near, far = torch.where(right, -lower, upper), torch.where(right, -upper, lower)
    log_near, log_far = torch.special.log_ndtr(near), torch.special.log_ndtr(far)
    tiny = torch.finfo(near.dtype).tiny
    return log_near + torch.log(-torch.expm1(log_far - log_near).clamp(max=-tiny))


class DiscretisedGaussianLikelihood(GaussianLikelihood):
    """Whole-number levels 0 … L - 1, each with the mass of its cell under a Gaussian: a probability.

    Means and scales are in units of ``level / (L - 1)``; the outermost cells reach (up to 10 000 scales) to
    infinity.

    Args:
        event_shape: shape of one example.
        levels: number L of levels.
        scale: as for ``GaussianLikelihood``.
        initial_scale: the standard deviation at the start.
    """

    def __init__(
        self,
        event_shape: Sequence[int],
        levels: int,
        scale: ScaleKind = "shared",
        initial_scale: float = 0.25,
    ) -> None:
        super().__init__(event_shape, scale, initial_scale)
        self.levels = check_levels(levels)

    def features(self, x: Tensor) -> Tensor:
        """Levels divided by L - 1."""
        return x.to(self.log_scale.dtype) / (self.levels - 1)

    def log_prob_per_value(self, parameters: Tensor, x: Tensor) -> Tensor:
        """Log-mass of the cell around the level."""
        location, log_scale = self.location_and_log_scale(parameters)
        level, inverse = x.to(location.dtype), torch.exp(-log_scale)
        lower = ((level - 0.5) / (self.levels - 1) - location) * inverse
        upper = ((level + 0.5) / (self.levels - 1) - location) * inverse
        # The outermost cells end far beyond any scale, not at infinity: gradients stay numbers.
        lower = torch.where(level == 0, torch.full_like(lower, -1e4), lower)
        upper = torch.where(level == self.levels - 1, torch.full_like(upper, 1e4), upper)
        return log_interval(lower, upper)  # @eq-va-interval

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """The nearest level to a Gaussian draw."""
        drawn = super().sample(parameters, generator) * (self.levels - 1)
        return drawn.round().clamp(0, self.levels - 1).long()

    def check(self, x: Tensor) -> None:
        """Refuse anything but whole numbers in the range of the levels."""
        self._refuse_shape(x)
        refuse_levels(x, self.levels)
