"""f-divergences and Rényi divergences: exact values on finite sets, closed forms between Gaussians.

Conventions of the book: ``p`` comes first, natural logarithms. Functions broadcast over leading batch axes.
"""

from __future__ import annotations

# book/01-foundations/02-f-divergence.qmd § Values on finite sets
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agm.convex_generators import GENERATORS, ConvexGenerator, alpha_generator, get_generator

__all__ = [
    "GENERATORS",
    "ConvexGenerator",
    "alpha_generator",
    "check_distributions",
    "coarse_grain",
    "f_divergence",
    "gaussian_alpha",
    "gaussian_kl",
    "gaussian_pearson",
    "gaussian_renyi",
    "gaussian_squared_hellinger",
    "get_generator",
    "renyi_divergence",
]


def check_distributions(**distributions: Float[Tensor, "*batch support"]) -> None:
    """Refuse tensors that are not probability vectors along their last axis, or that do not fit together.

    Args:
        distributions: the tensors, by the name to use in messages.

    Raises:
        ValueError: naming the tensor, what is wrong with it and what to do.
    """
    for name, values in distributions.items():
        if values.ndim == 0 or not values.is_floating_point():
            found = f"{values.dtype} of shape {tuple(values.shape)}"
            raise ValueError(f"{name}: expected floating-point probabilities (..., support), got {found}")
        if not bool(torch.isfinite(values).all()) or bool((values < 0).any()):
            raise ValueError(
                f"{name}: probabilities must be finite and non-negative; look for log or sign slips"
            )
        total = values.detach().double().sum(-1)
        tolerance = max(1e-6, 4 * values.shape[-1] * torch.finfo(values.dtype).eps)
        if bool(((total - 1).abs() > tolerance).any()):
            worst = total.flatten()[(total.flatten() - 1).abs().argmax()]
            raise ValueError(f"{name}: probabilities sum to {worst:.6g}, not 1; normalise over the last axis")
    sizes = {name: values.shape[-1] for name, values in distributions.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"supports of different sizes {sizes}; use one common set of cells")


# book/01-foundations/02-f-divergence.qmd § Values on finite sets
def _priced(mass: Tensor, selected: Tensor, price: float) -> Tensor:
    """mass * price on the selected cells and zero elsewhere; an infinite price never multiplies."""
    if math.isinf(price):
        return torch.where(selected, math.inf, 0.0).to(mass)
    return torch.where(selected, mass, 0.0) * price


def f_divergence(
    p: Float[Tensor, "*batch support"],
    q: Float[Tensor, "*batch support"],
    divergence: str | ConvexGenerator = "kl",
    *,
    validate: bool = True,
) -> Float[Tensor, "*batch"]:
    """D_f(p || q) on a finite set, with all conventions for zeros (@eq-fd-conventions).

    Args:
        p: probabilities; batch axes broadcast against those of ``q``.
        q: probabilities.
        divergence: a registered name or a generator.
        validate: check that both are distributions; switch off inside compiled or vmapped code.

    Returns:
        The divergences, plus infinity where it is infinite. Gradients flow through the cells where both are
        positive, and through finite prices of the others.

    Raises:
        ValueError: if ``p`` or ``q`` is not a distribution, or the name is unknown.
    """
    generator = get_generator(divergence)
    if validate:
        check_distributions(p=p, q=q)
    p, q = torch.broadcast_tensors(p, q)
    both = (p > 0) & (q > 0)
    safe_p, safe_q = torch.where(both, p, 1.0), torch.where(both, q, 1.0)
    inside = torch.where(both, safe_q * generator.function(safe_p / safe_q), 0.0)
    invented = _priced(q, (p <= 0) & (q > 0), generator.value_at_zero)
    missing = _priced(p, (q <= 0) & (p > 0), generator.slope_at_infinity)
    return (inside + invented + missing).sum(-1)  # @eq-fd-conventions


# book/01-foundations/02-f-divergence.qmd § Values on finite sets
def coarse_grain(
    p: Float[Tensor, "*batch support"], cell_of: Int[Tensor, " support"], n_cells: int
) -> Float[Tensor, "*batch cells"]:
    """Push distributions through the deterministic channel x -> cell_of[x].

    Args:
        p: probabilities.
        cell_of: for each point of the support the index of its cell, in [0, n_cells).
        n_cells: number of cells.

    Returns:
        Probabilities of the cells.

    Raises:
        ValueError: if ``cell_of`` does not label the support of ``p``.
    """
    if cell_of.shape != p.shape[-1:] or int(cell_of.min()) < 0 or int(cell_of.max()) >= n_cells:
        raise ValueError(f"cell_of: expected {p.shape[-1]} indices in [0, {n_cells}), one per support point")
    return p.new_zeros((*p.shape[:-1], n_cells)).index_add(-1, cell_of, p)


# book/01-foundations/02-f-divergence.qmd § Values on finite sets
def renyi_divergence(
    p: Float[Tensor, "*batch support"], q: Float[Tensor, "*batch support"], order: float
) -> Float[Tensor, "*batch"]:
    """Rényi divergence R_order(p || q) on a finite set, in log-space; orders 0, 1 and infinity are limits.

    Args:
        p: probabilities.
        q: probabilities.
        order: alpha >= 0; ``math.inf`` gives log max p / q.

    Returns:
        The divergences, plus infinity where it is infinite.

    Raises:
        ValueError: if the order is negative or ``p`` or ``q`` is not a distribution.
    """
    if not order >= 0:
        raise ValueError(f"order must be non-negative, got {order}; swap p and q and use 1 - order instead")
    if order == 1:
        return f_divergence(p, q, "kl")
    check_distributions(p=p, q=q)
    p, q = torch.broadcast_tensors(p, q)
    both = (p > 0) & (q > 0)
    log_p, log_q = torch.log(torch.where(both, p, 1.0)), torch.log(torch.where(both, q, 1.0))
    if math.isinf(order):
        value = torch.where(both, log_p - log_q, -math.inf).amax(-1)
    else:
        exponent = torch.where(both, order * log_p + (1 - order) * log_q, -math.inf)
        value = torch.logsumexp(exponent, -1) / (order - 1)  # @eq-fd-renyi
    if order > 1:
        value = torch.where(((q <= 0) & (p > 0)).any(-1), math.inf, value)
    return value


# book/01-foundations/02-f-divergence.qmd § Gaussians
def _log_determinant(factor: Tensor) -> Tensor:
    return 2 * torch.log(torch.diagonal(factor, dim1=-2, dim2=-1)).sum(-1)


def _quadratic_form(factor: Tensor, vector: Tensor) -> Tensor:
    whitened = torch.linalg.solve_triangular(factor, vector.unsqueeze(-1), upper=False)
    return (whitened**2).sum((-2, -1))


def _cholesky(covariance: Tensor, name: str) -> Tensor:
    if covariance.ndim < 2 or covariance.shape[-1] != covariance.shape[-2]:
        raise ValueError(f"{name}: expected covariances (..., d, d), got shape {tuple(covariance.shape)}")
    factor, info = torch.linalg.cholesky_ex(covariance)
    if bool((info > 0).any()):
        raise ValueError(f"{name}: not positive definite; symmetrise it or add a small diagonal")
    return factor


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
        ValueError: if a covariance is not positive definite.
    """
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
    order: float,
) -> Float[Tensor, "*batch"]:
    """Rényi divergence between Gaussians, for order > 0 (Gil, Alajaji & Linder, 2013).

    Args:
        mean_p: mean of p.
        covariance_p: covariance of p, positive definite.
        mean_q: mean of q.
        covariance_q: covariance of q, positive definite.
        order: alpha > 0; 1 gives KL.

    Returns:
        The divergences, plus infinity where order * covariance_q + (1 - order) * covariance_p is not
        positive definite.

    Raises:
        ValueError: if the order is not positive or a covariance not positive definite.
    """
    if not 0 < order < math.inf:
        raise ValueError(f"order must be positive and finite, got {order}")
    if order == 1:
        return gaussian_kl(mean_p, covariance_p, mean_q, covariance_q)
    log_det_p = _log_determinant(_cholesky(covariance_p, "covariance_p"))
    log_det_q = _log_determinant(_cholesky(covariance_q, "covariance_q"))
    mixed = order * covariance_q + (1 - order) * covariance_p
    finite = torch.linalg.cholesky_ex(mixed.detach()).info == 0
    identity = torch.eye(mixed.shape[-1], dtype=mixed.dtype, device=mixed.device)
    factor = torch.linalg.cholesky(torch.where(finite[..., None, None], mixed, identity))
    log_ratio = _log_determinant(factor) - (1 - order) * log_det_p - order * log_det_q
    quadratic = _quadratic_form(factor, mean_p - mean_q)
    value = 0.5 * order * quadratic - 0.5 * log_ratio / (order - 1)  # @eq-fd-gaussian-renyi
    return torch.where(finite, value, math.inf)


def gaussian_alpha(
    mean_p: Float[Tensor, "*batch d"],
    covariance_p: Float[Tensor, "*batch d d"],
    mean_q: Float[Tensor, "*batch d"],
    covariance_q: Float[Tensor, "*batch d d"],
    order: float,
) -> Float[Tensor, "*batch"]:
    """Alpha-divergence between Gaussians, any real order; arguments as in ``gaussian_renyi``."""
    if order <= 0:  # the adjoint has order 1 - order
        mean_p, covariance_p, mean_q, covariance_q = mean_q, covariance_q, mean_p, covariance_p
        order = 1 - order
    renyi = gaussian_renyi(mean_p, covariance_p, mean_q, covariance_q, order)
    if order == 1:
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
