"""Logarithms, products and numbers, safe at the ends of floating point."""

from __future__ import annotations

# book/01-foundations/02-f-divergence.qmd § Generators
import math

import torch
from jaxtyping import Float
from torch import Tensor


def as_number(value: float | Tensor, name: str) -> float:
    """The value of a number or of a tensor with one element; gradients are left alone.

    Raises:
        TypeError: if it is neither.
    """
    if isinstance(value, Tensor) and value.numel() == 1:
        return float(value.detach())
    if isinstance(value, str | bytes) or not hasattr(value, "__float__") or isinstance(value, Tensor):
        raise TypeError(f"{name}: expected one real number, got {value!r}")
    return float(value)


def log_quotient(p: Float[Tensor, "*shape"], q: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log(p / q) for positive p and q, also where the quotient overflows or loses digits to underflow."""
    difference = torch.log(p) - torch.log(q)
    with torch.no_grad():  # the quotient has the better digits, the difference the better gradient
        quotient = p / q
        limits = torch.finfo(quotient.dtype)
        normal = (quotient >= limits.tiny) & (quotient <= limits.max)
        correction = torch.where(normal, torch.log(quotient) - difference, 0.0)
    return difference + correction


def priced(mass: Tensor, selected: Tensor, price: float) -> Tensor:
    """mass * price on the selected cells and zero elsewhere; an infinite price never multiplies."""
    if math.isinf(price):
        return torch.where(selected, price, 0.0).to(mass)
    return torch.where(selected, mass, 0.0) * price
