"""Closed forms of KL, Rényi and alpha-divergences between Gaussians, batched, in nats."""

from __future__ import annotations

# book/01-foundations/02-f-divergence.qmd § Gaussians
import math

import torch
from jaxtyping import Float
from torch import Tensor

from agm.numerics import as_number


def _log_determinant(factor: Tensor) -> Tensor:
    return 2 * torch.log(torch.diagonal(factor, dim1=-2, dim2=-1)).sum(-1)


def _quadratic_form(factor: Tensor, vector: Tensor) -> Tensor:
    whitened = torch.linalg.solve_triangular(factor, vector.unsqueeze(-1), upper=False)
    return (whitened**2).sum((-2, -1))


def _cholesky(covariance: Tensor, name: str) -> Tensor:
    factor, info = torch.linalg.cholesky_ex(covariance)
    if bool((info > 0).any()):
        raise ValueError(f"{name}: not positive definite; symmetrise it or add a small diagonal")
    return factor


def _check_gaussians(mean_p: Tensor, covariance_p: Tensor, mean_q: Tensor, covariance_q: Tensor) -> None:
    """Refuse moments of the wrong type, shape or symmetry, by name."""
    moments = {"mean_p": mean_p, "covariance_p": covariance_p, "mean_q": mean_q, "covariance_q": covariance_q}
    for name, value in moments.items():
        if not isinstance(value, Tensor):
            raise TypeError(f"{name}: expected a torch.Tensor, got {type(value).__name__}")
        if not value.is_floating_point() or value.dtype != mean_p.dtype:
            raise ValueError(f"{name}: {value.dtype}, but all moments must share one floating-point type")
        if not bool(torch.isfinite(value).all()):
            raise ValueError(f"{name}: moments must be finite")
    for name, covariance in (("covariance_p", covariance_p), ("covariance_q", covariance_q)):
        if covariance.ndim < 2 or covariance.shape[-1] != covariance.shape[-2] or not covariance.numel():
            raise ValueError(f"{name}: expected covariances (..., d, d), got shape {tuple(covariance.shape)}")
        slack = 10 * torch.finfo(covariance.dtype).eps ** 0.5 * covariance.detach().abs()
        if bool(((covariance - covariance.mT).detach().abs() > slack.amax((-2, -1), keepdim=True)).any()):
            raise ValueError(f"{name}: not symmetric; use (covariance + covariance.mT) / 2")
    size = covariance_p.shape[-1]
    widths = [value.shape[-1] if value.ndim else None for value in moments.values()]
    try:
        torch.broadcast_shapes(mean_p.shape, mean_q.shape, covariance_p.shape[:-1], covariance_q.shape[:-1])
    except RuntimeError:
        widths = []
    if widths != [size] * 4:
        shapes = {name: tuple(value.shape) for name, value in moments.items()}
        raise ValueError(f"means (..., d), covariances (..., d, d): one d, common batch axes; got {shapes}")


def gaussian_kl(
    mean_p: Float[Tensor, "*batch d"],
    covariance_p: Float[Tensor, "*batch d d"],
    mean_q: Float[Tensor, "*batch d"],
    covariance_q: Float[Tensor, "*batch d d"],
) -> Float[Tensor, "*batch"]:
    """KL divergence of N(mean_q, covariance_q) from N(mean_p, covariance_p), i.e. KL(p || q), in nats.

    Args:
        mean_p: mean of p.
        covariance_p: covariance of p, positive definite.
        mean_q: mean of q.
        covariance_q: covariance of q, positive definite.

    Returns:
        The divergences.

    Raises:
        TypeError: if a moment is not a tensor.
        ValueError: if shapes or types do not fit, or a covariance is not symmetric positive definite.
    """
    _check_gaussians(mean_p, covariance_p, mean_q, covariance_q)
    factor_p, factor_q = _cholesky(covariance_p, "covariance_p"), _cholesky(covariance_q, "covariance_q")
    log_determinants = _log_determinant(factor_q) - _log_determinant(factor_p)
    trace = (torch.linalg.solve_triangular(factor_q, factor_p, upper=False) ** 2).sum((-2, -1))
    quadratic = _quadratic_form(factor_q, mean_p - mean_q)
    return 0.5 * (log_determinants + trace + quadratic - mean_p.shape[-1])  # @eq-fd-gaussian-kl


def gaussian_renyi(
    mean_p: Float[Tensor, "*batch d"],
    covariance_p: Float[Tensor, "*batch d d"],
    mean_q: Float[Tensor, "*batch d"],
    covariance_q: Float[Tensor, "*batch d d"],
    order: float | Tensor,
) -> Float[Tensor, "*batch"]:
    """Rényi divergence between Gaussians, for order > 0 (Gil, Alajaji & Linder, 2013).

    Args:
        mean_p: mean of p.
        covariance_p: covariance of p, positive definite.
        mean_q: mean of q.
        covariance_q: covariance of q, positive definite.
        order: alpha > 0, a number or a tensor with one element; 1 gives KL.

    Returns:
        The divergences, plus infinity where order * covariance_q + (1 - order) * covariance_p is not
        positive definite.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if the order is not positive, or the moments are refused by ``gaussian_kl``.
    """
    number = as_number(order, "order")
    if not 0 < number < math.inf:
        raise ValueError(f"order must be positive and finite, got {number}")
    if number == 1:
        return gaussian_kl(mean_p, covariance_p, mean_q, covariance_q)
    if number < 0.5:
        swapped = gaussian_renyi(mean_q, covariance_q, mean_p, covariance_p, 1 - order)
        return order / (1 - order) * swapped
    _check_gaussians(mean_p, covariance_p, mean_q, covariance_q)
    factor_p, factor_q = _cholesky(covariance_p, "covariance_p"), _cholesky(covariance_q, "covariance_q")
    log_det_p, log_det_q = _log_determinant(factor_p), _log_determinant(factor_q)
    whitened = torch.linalg.solve_triangular(factor_q, factor_p, upper=False)
    stretch = (1 - order) * (torch.linalg.eigvalsh(whitened @ whitened.mT) - 1)
    mixed = order * covariance_q + (1 - order) * covariance_p
    finite = (stretch > -1).all(-1) & (torch.linalg.cholesky_ex(mixed.detach()).info == 0)
    identity = torch.eye(mixed.shape[-1], dtype=mixed.dtype, device=mixed.device)
    factor = torch.linalg.cholesky(torch.where(finite[..., None, None], mixed, identity))
    close = stretch.abs().amax(-1, keepdim=True) < 0.5
    by_spectrum = torch.log1p(torch.where(close, stretch, 0.0)).sum(-1)
    growth = torch.where(close.squeeze(-1), by_spectrum, _log_determinant(factor) - log_det_q)
    quadratic = _quadratic_form(factor, mean_p - mean_q)
    value = order * quadratic + growth / (1 - order) - (log_det_p - log_det_q)
    return torch.where(finite, 0.5 * value, math.inf)  # @eq-fd-gaussian-renyi, @eq-fd-gaussian-spectrum


def gaussian_alpha(
    mean_p: Float[Tensor, "*batch d"],
    covariance_p: Float[Tensor, "*batch d d"],
    mean_q: Float[Tensor, "*batch d"],
    covariance_q: Float[Tensor, "*batch d d"],
    order: float | Tensor,
) -> Float[Tensor, "*batch"]:
    """Alpha-divergence between Gaussians, any real order; arguments as in ``gaussian_renyi``."""
    if as_number(order, "order") < 0.5:  # the adjoint has order 1 - order
        mean_p, covariance_p, mean_q, covariance_q = mean_q, covariance_q, mean_p, covariance_p
        order = 1 - order
    renyi = gaussian_renyi(mean_p, covariance_p, mean_q, covariance_q, order)
    if as_number(order, "order") == 1:
        return renyi
    return torch.expm1((order - 1) * renyi) / (order * (order - 1))  # @eq-fd-renyi-alpha


def gaussian_squared_hellinger(
    mean_p: Float[Tensor, "*batch d"],
    covariance_p: Float[Tensor, "*batch d d"],
    mean_q: Float[Tensor, "*batch d"],
    covariance_q: Float[Tensor, "*batch d d"],
) -> Float[Tensor, "*batch"]:
    """Squared Hellinger divergence between Gaussians, in [0, 1]; arguments as in ``gaussian_kl``."""
    return -torch.expm1(-0.5 * gaussian_renyi(mean_p, covariance_p, mean_q, covariance_q, 0.5))


def gaussian_pearson(
    mean_p: Float[Tensor, "*batch d"],
    covariance_p: Float[Tensor, "*batch d d"],
    mean_q: Float[Tensor, "*batch d"],
    covariance_q: Float[Tensor, "*batch d d"],
) -> Float[Tensor, "*batch"]:
    """Pearson's chi-squared between Gaussians, possibly infinite; arguments as in ``gaussian_kl``."""
    return torch.expm1(gaussian_renyi(mean_p, covariance_p, mean_q, covariance_q, 2.0))
