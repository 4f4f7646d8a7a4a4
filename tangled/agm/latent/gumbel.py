"""Categories from noise: Gumbel-max, its Gumbel-softmax (Concrete) relaxation, and straight-through."""

from __future__ import annotations

# book/03-latent/19-reparameterisation.qmd § Gumbel noise and what is made of it
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def gumbel_noise(
    shape: Sequence[int], generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "..."]:
    """Standard Gumbel noise, -log of an exponential variable; always finite.

    Args:
        shape: of the result.
        generator: source of randomness, and device.
        dtype: of the result, floating-point; the noise is made in float64.

    Returns:
        The noise, between about -3.6 and 37.4.

    Raises:
        ValueError: if the dtype cannot hold it.
    """
    if not dtype.is_floating_point:
        raise ValueError(f"dtype: Gumbel noise needs a floating-point type, got {dtype}")
    uniform = torch.rand(tuple(shape), generator=generator, dtype=torch.float64, device=generator.device)
    exponential = -torch.log1p(-uniform.clamp(min=2.0**-54))  # u = 0 would give an infinite value
    return -torch.log(exponential).to(dtype)


def _check(logits: Tensor, noise: Tensor, temperature: float) -> None:
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature: must be positive, got {temperature}; for the limit use gumbel_max")
    shapes = f"{tuple(noise.shape)} and {tuple(logits.shape)}"
    if logits.ndim == 0 or noise.shape[-1:] != logits.shape[-1:]:
        raise ValueError(f"noise and logits: expected as many values as categories, got {shapes}")
    if noise.shape[-logits.ndim :] != logits.shape:
        raise ValueError(f"noise and logits: the noise must end in the shape of the logits, got {shapes}")


def gumbel_max(
    logits: Float[Tensor, "*batch categories"], noise: Float[Tensor, "*draws categories"]
) -> Float[Tensor, "*draws categories"]:
    """One-hot draws of softmax(logits): the argmax of logits plus Gumbel noise (@eq-rp-gumbel-max).

    Args:
        logits: unnormalised log-probabilities.
        noise: Gumbel noise, one number for every category and draw.

    Returns:
        One-hot vectors, without gradient.

    Raises:
        ValueError: if the shapes do not fit, or no category is possible or comparable.
    """
    _check(logits, noise, 1.0)
    perturbed = (logits + noise).detach()
    if not bool(torch.isfinite(perturbed.amax(-1)).all()):
        raise ValueError("logits: nan, infinite, or minus infinity for every category")
    return torch.nn.functional.one_hot(perturbed.argmax(-1), perturbed.shape[-1]).to(perturbed.dtype)


def gumbel_softmax(
    logits: Float[Tensor, "*batch categories"],
    noise: Float[Tensor, "*draws categories"],
    temperature: float,
    hard: bool = False,
) -> Float[Tensor, "*draws categories"]:
    """Relaxed draws (@eq-rp-softmax), or with ``hard`` their straight-through version.

    Args:
        logits: unnormalised log-probabilities.
        noise: Gumbel noise.
        temperature: tau, positive.
        hard: forward the one-hot vector of *the same* noise, backward the gradient of the relaxed one.

    Returns:
        Points of the simplex.

    Raises:
        ValueError: if the temperature is not positive or the shapes do not fit.
    """
    _check(logits, noise, temperature)
    soft = torch.softmax((logits + noise) / temperature, -1)
    if not hard:
        return soft
    one_hot = gumbel_max(logits, noise)
    return one_hot + (soft - soft.detach())  # exactly one-hot in value


def concrete_log_prob(
    y: Float[Tensor, "*batch categories"],
    logits: Float[Tensor, "*batch categories"],
    temperature: Float[Tensor, ""] | float,
) -> Float[Tensor, "*batch"]:
    """Log-density of the Concrete distribution (@eq-rp-concrete; Maddison et al., 2017).

    Args:
        y: points inside the simplex.
        logits: unnormalised log-probabilities.
        temperature: tau, positive.

    Returns:
        Logarithm of the density with respect to all but one coordinate.

    Raises:
        ValueError: if the temperature is not positive, the numbers of categories differ, or a point is not
            inside the simplex (cold draws can underflow to its edge).
    """
    if not bool((torch.as_tensor(temperature) > 0).all()):
        raise ValueError(f"temperature: must be positive, got {temperature}")
    if y.ndim == 0 or logits.shape[-1:] != y.shape[-1:]:
        raise ValueError(f"y and logits: categories differ, {tuple(y.shape)} and {tuple(logits.shape)}")
    if not bool((y > 0).all() and ((y.sum(-1) - 1).abs() < 1e-3).all()):
        raise ValueError("y: expected positive numbers that sum to one along the last axis")
    n, log_y, tau = y.shape[-1], torch.log(y), torch.as_tensor(temperature, dtype=y.dtype, device=y.device)
    score = logits - tau * log_y
    normaliser = torch.logsumexp(score, -1)
    return (
        math.lgamma(n) + (n - 1) * torch.log(tau) + (score - log_y).sum(-1) - n * normaliser
    )  # (n - 1)! = gamma(n)
