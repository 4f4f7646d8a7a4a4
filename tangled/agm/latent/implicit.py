"""Implicit reparameterisation: draws that are differentiable at a fixed quantile."""

from __future__ import annotations

# book/03-latent/19-reparameterisation.qmd § Implicit gradients
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def implicit_surrogate(
    sample: Float[Tensor, "*n"], cdf: Float[Tensor, "*n"], log_prob: Float[Tensor, "*n"]
) -> Float[Tensor, "*n"]:
    """A draw with the gradient that holds its quantile fixed (@eq-rp-implicit; Figurnov et al., 2018).

    Args:
        sample: draws, from whatever sampler, without gradient.
        cdf: distribution function at the draws, differentiable in the parameters.
        log_prob: log-density at the draws.

    Returns:
        The draws, now differentiable in the parameters.

    Raises:
        ValueError: if the three differ in shape, or the density is zero or infinite at a draw.
    """
    if not sample.shape == cdf.shape == log_prob.shape:
        shapes = f"{tuple(sample.shape)}, {tuple(cdf.shape)} and {tuple(log_prob.shape)}"
        raise ValueError(f"sample, cdf and log_prob: expected one shape, got {shapes}")
    inverse_density = torch.exp(-log_prob.detach())
    if not bool(torch.isfinite(inverse_density).all()):
        raise ValueError("log_prob: the density must be positive, and not too small to be inverted")
    return sample.detach() - (cdf - cdf.detach()) * inverse_density


_NODES, _WEIGHTS = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(120))


def gamma_slope(z: Float[Tensor, "*n"], shape: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Derivative of a gamma draw by its shape, at fixed quantile and unit rate (@eq-rp-gamma).

    Args:
        z: draws of Gamma(shape, 1), positive.
        shape: a, positive.

    Returns:
        The slopes, computed in float64.

    Raises:
        ValueError: if something is not positive, or not finite, or the shapes do not fit.
    """
    if not all(bool(((v > 0) & torch.isfinite(v)).all()) for v in (z, shape)):
        raise ValueError("shape and sample: a gamma variable and its shape are positive and finite")
    try:
        z, a = torch.broadcast_tensors(z.double(), shape.double())
    except RuntimeError:
        raise ValueError(f"shapes differ: {tuple(z.shape)} and {tuple(shape.shape)}") from None
    side = torch.where(z < a, -1.0, 1.0).to(z)  # integrate over the tail that is the nearer one

    def log_ratio(s: Tensor) -> Tensor:  # t q(t) / (z q(z)) at t = z exp(side * s), at most 1
        return side * a * s - z * torch.expm1(side * s)

    low, high = torch.zeros_like(z), 60.0 / torch.minimum(a, torch.ones_like(a))
    for _ in range(60):  # bisection for the s beyond which nothing is left
        middle = (low + high) / 2
        beyond = log_ratio(middle) < -45.0
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    half = torch.log1p(high) / 2
    total = torch.zeros_like(z)
    for node, weight in zip(_NODES.tolist(), _WEIGHTS.tolist(), strict=True):
        u = half * (1 + node)
        s = torch.expm1(u)  # dense near the draw, far-reaching where a is small
        total += weight * torch.exp(u + log_ratio(s)) * (torch.log(z) + side * s - torch.digamma(a))
    return side * z * half * total


class _ImplicitGamma(torch.autograd.Function):
    @staticmethod
    def forward(ctx, shape: Tensor, sample: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(shape, sample)
        return sample.clone()

    @staticmethod
    @once_differentiable  # the slope's own derivative would need that of the draw
    def backward(ctx, grad_output: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        shape, sample = ctx.saved_tensors
        return grad_output * gamma_slope(sample, shape).to(grad_output.dtype), None


def implicit_gamma(shape: Float[Tensor, "*n"], sample: Float[Tensor, "*draws"]) -> Float[Tensor, "*draws"]:
    """Attach to draws of Gamma(shape, 1) their derivative by the shape; it can be taken once.

    Args:
        shape: a, positive, differentiable; may lack leading axes of the draws.
        sample: draws from any sampler.

    Returns:
        The draws, differentiable in the shape.

    Raises:
        ValueError: if something is not positive, or the shape has more entries than draws.
    """
    if not bool((shape > 0).all() and (sample > 0).all()):
        raise ValueError("shape and sample: a gamma variable and its shape are positive")
    try:
        expanded = shape.expand(sample.shape)
    except RuntimeError:
        shapes = f"{tuple(shape.shape)} and {tuple(sample.shape)}"
        raise ValueError(f"shape and sample: expected one shape for each draw, got {shapes}") from None
    return _ImplicitGamma.apply(expanded, sample.detach())
