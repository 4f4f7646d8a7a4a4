"""Variational bounds of f-divergences: output activations, sample and exact bounds, optimal critics.

Conventions of the book: ``p`` comes first; a *critic* value T lies in the domain of the conjugate f*; a
*logit* v is any real number and estimates log p(x) - log q(x).
"""

from __future__ import annotations

# book/01-foundations/03-variational-divergence-minimisation.qmd § Output activations
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from agm.convex_generators import (
    GENERATORS,
    ConvexGenerator,
    TensorFunction,
    alpha_generator,
    get_generator,
)
from agm.divergences import check_distributions


@dataclass(frozen=True)
class OutputActivation:
    """The last step of a critic: from an unrestricted logit v to T = g_f(v) in the domain of f*.

    Attributes:
        generator: the generator f of the divergence.
        critic: g_f(v), increasing in v.
        conjugate: f*(g_f(v)), fused: computed from v, not from T.
    """

    generator: ConvexGenerator
    critic: TensorFunction
    conjugate: TensorFunction


def _in_double(formula: TensorFunction) -> TensorFunction:
    """The formula of t = exp v, evaluated in float64 and rounded once: t f'(t) - f(t) cancels for large t."""
    return lambda v: formula(torch.exp(v.double())).to(v.dtype)


def canonical_activation(generator: ConvexGenerator) -> OutputActivation:
    """The activation g_f(v) = f'(exp v) of any differentiable generator.

    Args:
        generator: a generator without kinks.

    Returns:
        The activation. It composes f, f' and the exponential in float64, so that it fails for |v| beyond
        about 30; prefer ``get_activation`` where the registry has the divergence, and ``alpha_activation``.

    Raises:
        ValueError: if the generator has a kink, so that f' jumps and passes no gradient on.
    """
    if generator.second_derivative is None:
        raise ValueError(f"{generator.name} has a kink and no canonical activation; write one by hand")

    def conjugate(t: Tensor) -> Tensor:
        return t * generator.derivative(t) - generator.function(t)  # @eq-fd-conjugate-tangent

    return OutputActivation(generator, _in_double(generator.derivative), _in_double(conjugate))


def alpha_activation(order: float) -> OutputActivation:
    """The activation of the alpha-divergence, fused: accurate for all logits.

    Args:
        order: alpha, any real number; 1 gives KL, 0 reverse KL (both in centred form).

    Returns:
        The activation of ``alpha_generator(order)``.
    """

    def power(exponent: float) -> TensorFunction:
        """(exp(exponent v) - 1) / exponent, and its limit v."""
        return lambda v: v if exponent == 0 else torch.expm1(exponent * v) / exponent

    return OutputActivation(alpha_generator(order), power(order - 1), power(order))


# book/01-foundations/03-variational-divergence-minimisation.qmd § Output activations
def _half_tanh(v: Tensor) -> Tensor:
    return 0.5 * torch.tanh(0.5 * v)


ACTIVATIONS: dict[str, OutputActivation] = {
    name: OutputActivation(GENERATORS[name], critic, conjugate)
    for name, critic, conjugate in (
        ("kl", lambda v: v + 1, torch.exp),
        ("reverse_kl", lambda v: -torch.exp(-v), lambda v: v - 1),
        (
            "jensen_shannon",
            lambda v: 0.5 * (math.log(2.0) + logsigmoid(v)),
            lambda v: 0.5 * (softplus(v) - math.log(2.0)),
        ),
        ("squared_hellinger", lambda v: -0.5 * torch.expm1(-0.5 * v), lambda v: 0.5 * torch.expm1(0.5 * v)),
        ("pearson", lambda v: 2 * torch.expm1(v), lambda v: torch.expm1(2 * v)),
        ("neyman", lambda v: -torch.expm1(-2 * v), lambda v: -2 * torch.expm1(-v)),
        ("le_cam", lambda v: 0.5 - 2 * torch.sigmoid(-v) ** 2, lambda v: 2 * torch.sigmoid(v) ** 2 - 0.5),
        ("total_variation", _half_tanh, _half_tanh),
    )
}


def get_activation(divergence: str | ConvexGenerator | OutputActivation) -> OutputActivation:
    """The activation itself, the registered one of that divergence, or the canonical one of a generator.

    Args:
        divergence: a registered name, a generator or an activation.

    Returns:
        The activation.

    Raises:
        ValueError: if the name is unknown, or a generator with a kink has no registered activation.
    """
    if isinstance(divergence, OutputActivation):
        return divergence
    generator = get_generator(divergence)
    known = ACTIVATIONS.get(generator.name)
    return known if known is not None and known.generator is generator else canonical_activation(generator)


# book/01-foundations/03-variational-divergence-minimisation.qmd § Bounds
class Bound(NamedTuple):
    """A variational bound and its two terms: value = on_p - on_q."""

    value: Tensor
    on_p: Tensor
    on_q: Tensor
    standard_error: Tensor


def _check_draws(at_p: Tensor, at_q: Tensor) -> None:
    """Refuse values at draws that are not float tensors (*batch, draws), or do not fit together."""
    for name, values in (("p", at_p), ("q", at_q)):
        if not isinstance(values, Tensor):
            raise TypeError(f"draws of {name}: expected a tensor of values, got {type(values).__name__}")
        if values.ndim == 0 or not values.is_floating_point():
            found = f"{values.dtype} of shape {tuple(values.shape)}"
            raise ValueError(f"draws of {name}: expected floating-point values (*batch, draws), got {found}")
    n, m = at_p.shape[-1], at_q.shape[-1]
    if n < 2 or m < 2:
        raise ValueError(f"a bound needs at least two draws of each distribution, got {n} of p and {m} of q")
    if at_p.shape[:-1] != at_q.shape[:-1]:
        shapes = f"{tuple(at_p.shape)} and {tuple(at_q.shape)}"
        raise ValueError(f"the batch axes of p and q differ, got {shapes}; expand one of them")


def _sample_bound(terms_p: Tensor, terms_q: Tensor) -> Bound:
    on_p, on_q = terms_p.mean(-1), terms_q.mean(-1)
    # @eq-vd-variance
    error = torch.sqrt(terms_p.var(-1) / terms_p.shape[-1] + terms_q.var(-1) / terms_q.shape[-1])
    return Bound(on_p - on_q, on_p, on_q, error)


def critic_bound(
    critic_p: Float[Tensor, "*batch n"],
    critic_q: Float[Tensor, "*batch m"],
    divergence: str | ConvexGenerator = "kl",
) -> Bound:
    """Sample version of E_p[T] - E_q[f*(T)] from critic values; minus infinity off the domain of f*.

    Args:
        critic_p: T(x) at draws of p.
        critic_q: T(x) at draws of q.
        divergence: a registered name or a generator.

    Returns:
        The bound, its terms and its standard error; the error is nan where the value is minus infinity. A
        critic that is nan, or so infinite that it would certify an infinite divergence, certifies nothing.

    Raises:
        TypeError: if the values are no tensors.
        ValueError: if they are not floating-point, of unequal batch axes, fewer than two draws of a
            distribution, or the name is unknown.
    """
    generator = get_generator(divergence)
    _check_draws(critic_p, critic_q)
    legal = (critic_p <= generator.slope_at_infinity) & (critic_p < math.inf)  # false for nan, too
    price = generator.conjugate(critic_q)
    price = price.masked_fill(price == -math.inf, math.inf)
    return _sample_bound(torch.where(legal, critic_p, -math.inf), price)  # @eq-vd-bound


def logit_bound(
    logits_p: Float[Tensor, "*batch n"],
    logits_q: Float[Tensor, "*batch m"],
    divergence: str | ConvexGenerator | OutputActivation = "kl",
) -> Bound:
    """Sample version of the bound for T = g_f(v), from logits v; differentiable, always in the domain.

    Args:
        logits_p: v(x) at draws of p.
        logits_q: v(x) at draws of q.
        divergence: a registered name, a generator or an activation.

    Returns:
        The bound, its terms and its standard error.

    Raises:
        TypeError: if the logits are no tensors.
        ValueError: if they are not floating-point, of unequal batch axes, fewer than two draws of a
            distribution, or the name is unknown.
    """
    activation = get_activation(divergence)
    _check_draws(logits_p, logits_q)
    # @eq-vd-logit-objective
    return _sample_bound(activation.critic(logits_p), activation.conjugate(logits_q))


def donsker_varadhan_bound(critic_p: Float[Tensor, "*batch n"], critic_q: Float[Tensor, "*batch m"]) -> Bound:
    """Sample version of E_p[T] - log E_q[exp T] <= KL(p || q); biased upwards by the logarithm of a mean.

    Args:
        critic_p: T(x) at draws of p, any real numbers.
        critic_q: T(x) at draws of q.

    Returns:
        The bound, its terms, and a standard error by the delta method.

    Raises:
        TypeError: if the values are no tensors.
        ValueError: if they are not floating-point, of unequal batch axes, or fewer than two draws of a
            distribution.
    """
    _check_draws(critic_p, critic_q)
    on_p = torch.where(critic_p < math.inf, critic_p, -math.inf)  # nan and infinity certify nothing
    on_q = torch.where(critic_q < math.inf, critic_q, math.inf)
    log_mean = torch.logsumexp(on_q, -1) - math.log(on_q.shape[-1])
    plain = _sample_bound(on_p, torch.exp(on_q - log_mean.unsqueeze(-1)))
    value = torch.where(plain.on_p > -math.inf, plain.on_p - log_mean, -math.inf)  # @eq-vd-donsker-varadhan
    return Bound(value, plain.on_p, log_mean, plain.standard_error)


def optimal_critic(
    p: Float[Tensor, "*batch support"],
    q: Float[Tensor, "*batch support"],
    divergence: str | ConvexGenerator = "kl",
) -> Float[Tensor, "*batch support"]:
    """T* = f'(p / q) on a finite set, with its limits f'(0) and f'(infinity) where one of the two vanishes.

    Args:
        p: probabilities; batch axes broadcast against those of ``q``.
        q: probabilities.
        divergence: a registered name or a generator.

    Returns:
        The optimal critic, possibly infinite; f'(1) where both vanish. Where both are positive it is finite,
        and rounding stops short of an end of the domain at which f* is infinite.

    Raises:
        TypeError: if the probabilities are no tensors.
        ValueError: if they are not floating-point, finite and non-negative, or the name is unknown.
    """
    generator = get_generator(divergence)
    for label, values in (("p", p), ("q", q)):
        if not isinstance(values, Tensor):
            raise TypeError(f"{label}: expected a tensor of probabilities, got {type(values).__name__}")
        if not values.is_floating_point() or not bool(((values >= 0) & (values < math.inf)).all()):
            raise ValueError(f"{label}: probabilities must be floating-point, finite and non-negative")
    p, q = torch.broadcast_tensors(p, q)
    both = (p > 0) & (q > 0)
    ratio = torch.where(both, p, 1.0).double() / torch.where(both, q, 1.0).double()
    critic = generator.derivative(ratio.clamp(max=torch.finfo(ratio.dtype).max))  # @eq-vd-optimal-critic
    limits, end = torch.finfo(torch.result_type(p, q)), generator.slope_at_infinity
    if math.isfinite(end) and math.isinf(generator.conjugate_at_upper_end):
        critic = critic.clamp(max=end - 4 * limits.eps * abs(end) - limits.tiny)
    critic = critic.clamp(limits.min, limits.max).to(torch.result_type(p, q))
    critic = critic.masked_fill((p <= 0) & (q > 0), generator.derivative_at_zero)
    return critic.masked_fill((p > 0) & (q <= 0), generator.slope_at_infinity)


def finite_bound(
    p: Float[Tensor, "*batch support"],
    q: Float[Tensor, "*batch support"],
    critic: Float[Tensor, "*batch support"],
    divergence: str | ConvexGenerator = "kl",
) -> Float[Tensor, "*batch"]:
    """Exact value of sum p T - sum q f*(T) on a finite set; minus infinity if T leaves the domain.

    Args:
        p: probabilities.
        q: probabilities.
        critic: T(x) for each point, plus or minus infinity allowed as limits.
        divergence: a registered name or a generator.

    Returns:
        The bounds, at most the divergences; equal to them for ``optimal_critic(p, q, divergence)``.

    Raises:
        TypeError: if the critic is no tensor.
        ValueError: if ``p`` or ``q`` is not a distribution, if the critic does not have one floating-point
            value for each point, or the name is unknown.
    """
    generator = get_generator(divergence)
    check_distributions(p=p, q=q)
    if not isinstance(critic, Tensor):
        raise TypeError(f"critic: expected a tensor of values, got {type(critic).__name__}")
    if not critic.is_floating_point() or critic.shape[-1:] != p.shape[-1:]:
        found = f"{critic.dtype} of shape {tuple(critic.shape)}"
        raise ValueError(f"critic: expected floating-point values (..., {p.shape[-1]}), got {found}")
    on_p, on_q = p > 0, q > 0
    above = ~(critic <= generator.slope_at_infinity)  # true for nan, too
    # In float32 f* overflows where q(x) f*(T(x)) is small, and the end of the domain is rounded.
    values = critic.double().clamp(max=generator.slope_at_infinity)
    conjugate = generator.conjugate(values)
    ruinous = on_p & (above | (critic == -math.inf)) | on_q & (above | ~(conjugate < math.inf))
    gains = p * torch.where(on_p & ~ruinous, values, 0.0)
    prices = q * torch.where(on_q & ~ruinous, conjugate, 0.0)
    total = (gains - prices).sum(-1).to(torch.promote_types(torch.result_type(p, q), critic.dtype))
    return torch.where(ruinous.any(-1), -math.inf, total)  # @eq-vd-objective
