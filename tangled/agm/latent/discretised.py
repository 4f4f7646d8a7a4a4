"""Whole-number levels with the probabilities of cells under a Gaussian."""

from __future__ import annotations

# book/03-latent/18-vae.qmd § Likelihoods
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from agm.latent.decoders import GaussianLikelihood, ScaleKind, check_levels, refuse_levels

ROOT_HALF = math.sqrt(0.5)
FAR = 40.0
"""Number of scales beyond which the rest of a tail is nothing beside its beginning, even in float64."""


def log_interval(lower: Float[Tensor, "*n"], upper: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """log of the mass that a standard Gaussian gives to an interval, precise in tails and for narrow ones.

    Args:
        lower: left ends; minus infinity is allowed and has the gradient zero.
        upper: right ends, larger than ``lower`` (not checked); plus infinity likewise.

    Returns:
        log(Phi(upper) - Phi(lower)), a logarithm of a probability (@eq-va-interval). An interval whose ends
        are equal is given the smallest positive width that is a normal number.
    """
    number = torch.finfo(lower.dtype)
    mirrored = lower + upper < 0
    near = torch.where(mirrored, -upper, lower)
    far = torch.where(mirrored, -lower, upper)
    around_zero = near < 0
    width = (upper - lower).clamp(number.tiny, FAR)
    start = torch.where(around_zero, 1.0, near)  # of the intervals on one side; a stand-in for the others
    middle = start + 0.5 * width
    narrow = width * middle.clamp(min=1) < 4 * number.eps**0.2  # where both errors are about the same
    two_sides = torch.erf(ROOT_HALF * far) - torch.erf(ROOT_HALF * near)
    one_side = torch.special.erfcx(ROOT_HALF * start)
    one_side = one_side - torch.special.erfcx(ROOT_HALF * (start + width)) * torch.exp(-width * middle)
    thin = math.sqrt(2 / math.pi) * width
    mass = torch.where(around_zero, two_sides, torch.where(narrow, thin, one_side))  # @eq-va-tail-mass
    exponent = torch.where(narrow, (middle**2 - 1) * width**2 / 12 - middle**2, -(start**2))
    return torch.log(0.5 * mass) + 0.5 * torch.where(around_zero, 0.0, exponent)


class DiscretisedGaussianLikelihood(GaussianLikelihood):
    """Whole-number levels 0 … L - 1, each with the mass of its cell under a Gaussian: a probability.

    Means and scales are in units of ``level / (L - 1)``; the outermost cells reach to infinity.

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
        lower = torch.where(level == 0, -math.inf, lower)
        upper = torch.where(level == self.levels - 1, math.inf, upper)
        return log_interval(lower, upper)  # @eq-va-interval

    def sample(self, parameters: Tensor, generator: torch.Generator) -> Tensor:
        """The nearest level to a Gaussian draw."""
        drawn = super().sample(parameters, generator) * (self.levels - 1)
        return drawn.round().clamp(0, self.levels - 1).long()

    def check(self, x: Tensor) -> None:
        """Refuse anything but whole numbers in the range of the levels."""
        self._refuse_shape(x)
        refuse_levels(x, self.levels)
