"""f-divergences and Rényi divergences on finite sets; closed forms between Gaussians are passed on.

Conventions of the book: ``p`` comes first, natural logarithms. Functions broadcast over leading batch axes.
"""

from __future__ import annotations

# book/01-foundations/02-f-divergence.qmd § Values on finite sets
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from agm.convex_generators import GENERATORS, ConvexGenerator, alpha_generator, get_generator
from agm.gaussian_divergences import (
    gaussian_alpha,
    gaussian_kl,
    gaussian_pearson,
    gaussian_renyi,
    gaussian_squared_hellinger,
)
from agm.numerics import as_number, log_quotient, priced

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
        TypeError: if something is not a tensor.
        ValueError: naming the tensor, what is wrong with it and what to do.
    """
    for name, values in distributions.items():
        if not isinstance(values, Tensor):
            raise TypeError(f"{name}: expected a torch.Tensor, got {type(values).__name__}")
        if values.ndim == 0 or not values.is_floating_point():
            found = f"{values.dtype} of shape {tuple(values.shape)}"
            raise ValueError(f"{name}: expected floating-point probabilities (..., support), got {found}")
        if not bool(torch.isfinite(values).all()) or bool((values < 0).any()):
            raise ValueError(
                f"{name}: probabilities must be finite and non-negative; look for log or sign slips"
            )
        total = values.detach().double().sum(-1)
        tolerance = max(1e-6, 4 * math.sqrt(values.shape[-1]) * torch.finfo(values.dtype).eps)
        if bool(((total - 1).abs() > tolerance).any()):
            worst = total.flatten()[(total.flatten() - 1).abs().argmax()]
            raise ValueError(f"{name}: probabilities sum to {worst:.6g}, not 1; normalise over the last axis")
    sizes = {name: values.shape[-1] for name, values in distributions.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"supports of different sizes {sizes}; use one common set of cells")
    shapes = {name: tuple(values.shape[:-1]) for name, values in distributions.items()}
    try:
        torch.broadcast_shapes(*shapes.values())
    except RuntimeError:
        raise ValueError(f"batch shapes {shapes} do not broadcast; insert axes of length one") from None


# book/01-foundations/02-f-divergence.qmd § Values on finite sets
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
        TypeError: if an argument is of the wrong type.
        ValueError: if ``p`` or ``q`` is not a distribution, or the name is unknown.
    """
    generator = get_generator(divergence)
    if validate:
        check_distributions(p=p, q=q)
    p, q = torch.broadcast_tensors(p, q)
    both = (p > 0) & (q > 0)
    safe_p, safe_q = torch.where(both, p, 1.0), torch.where(both, q, 1.0)
    inside = torch.where(both, generator.perspective(safe_p, safe_q), 0.0)
    invented = priced(q, (p <= 0) & (q > 0), generator.value_at_zero)
    missing = priced(p, (q <= 0) & (p > 0), generator.slope_at_infinity)
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
    if not isinstance(p, Tensor) or p.ndim == 0 or p.shape[-1] == 0:
        raise ValueError(f"p: expected a tensor of probabilities (..., support), got {p!r:.60}")
    expected = f"cell_of: expected {p.shape[-1]} indices in [0, {n_cells}), one per support point"
    if not isinstance(cell_of, Tensor) or cell_of.dtype not in (torch.int32, torch.int64):
        raise ValueError(f"{expected}, as an integer tensor")
    if cell_of.shape != p.shape[-1:] or int(cell_of.min()) < 0 or int(cell_of.max()) >= n_cells:
        raise ValueError(expected)
    return p.new_zeros((*p.shape[:-1], n_cells)).index_add(-1, cell_of, p)


# book/01-foundations/02-f-divergence.qmd § Values on finite sets
def _log_power_sum(p: Tensor, q: Tensor, both: Tensor, order: float | Tensor, from_p: bool) -> Tensor:
    """log of the sum of p ** order * q ** (1 - order), as an average over p or over q."""
    log_ratio = log_quotient(torch.where(both, p, 1.0), torch.where(both, q, 1.0))
    base, exponent = (p, order - 1) if from_p else (q, order)
    weight, scaled = torch.where(both, base, 0.0), torch.where(both, exponent * log_ratio, 0.0)
    total = base.sum(-1).detach()  # one, up to rounding
    near = scaled.detach().abs().amax(-1, keepdim=True) <= 1
    mass = weight.sum(-1)
    growth = (weight * torch.expm1(torch.where(near, scaled, 0.0))).sum(-1) + (mass - mass.detach())
    outside = torch.where(both, 0.0, base).sum(-1).detach()
    log_weight = torch.log(torch.where(both, base, 1.0))
    far = torch.logsumexp(torch.where(both & ~near, log_weight + scaled, -math.inf), -1) - torch.log(total)
    return torch.where(near.squeeze(-1), torch.log1p((growth - outside) / total), far)


def renyi_divergence(
    p: Float[Tensor, "*batch support"],
    q: Float[Tensor, "*batch support"],
    order: float | Tensor,
    *,
    validate: bool = True,
) -> Float[Tensor, "*batch"]:
    """Rényi divergence R_order(p || q) on a finite set, in log-space; orders 0, 1 and infinity are limits.

    Args:
        p: probabilities.
        q: probabilities.
        order: alpha >= 0, a number or a tensor with one element; ``math.inf`` gives log max p / q.
        validate: check that both are distributions; switch off inside compiled or vmapped code.

    Returns:
        The divergences, plus infinity where it is infinite.

    Raises:
        TypeError: if an argument is of the wrong type.
        ValueError: if the order is negative or ``p`` or ``q`` is not a distribution.
    """
    number = as_number(order, "order")
    if not number >= 0:
        raise ValueError(
            f"order must be non-negative, got {number}; for order < 0 exchange p and q and use 1 - order"
        )
    if validate:
        check_distributions(p=p, q=q)
    if number == 1:
        return f_divergence(p, q, "kl", validate=False)
    p, q = torch.broadcast_tensors(p, q)
    both = (p > 0) & (q > 0)
    if number > torch.finfo(p.dtype).eps ** -2:  # the limit, to the last digit
        log_ratio = log_quotient(torch.where(both, p, 1.0), torch.where(both, q, 1.0))
        value = torch.where(both, log_ratio, -math.inf).amax(-1)
    else:
        value = _log_power_sum(p, q, both, order, number >= 0.5) / (order - 1)  # @eq-fd-renyi
    if number > 1:
        value = torch.where(((q <= 0) & (p > 0)).any(-1), math.inf, value)
    return value
