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

from agm.convex_generators import GENERATORS, ConvexGenerator, TensorFunction, get_generator


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


def canonical_activation(generator: ConvexGenerator) -> OutputActivation:
    """The activation g_f(v) = f'(exp v) of any differentiable generator, for instance of the alpha-family.

    Args:
        generator: a generator without kinks.

    Returns:
        The activation; prefer ``get_activation`` where the registry has one, it is stable for large |v|.

    Raises:
        ValueError: if the generator has a kink, so that f' jumps and passes no gradient on.
    """
    if generator.second_derivative is None:
        raise ValueError(f"{generator.name} has a kink and no canonical activation; write one by hand")

    def conjugate(v: Tensor) -> Tensor:
        t = torch.exp(v)
        return t * generator.derivative(t) - generator.function(t)  # @eq-fd-conjugate-tangent

    return OutputActivation(generator, lambda v: generator.derivative(torch.exp(v)), conjugate)


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


def _sample_bound(terms_p: Tensor, terms_q: Tensor) -> Bound:
    n, m = terms_p.shape[-1], terms_q.shape[-1]
    if n < 2 or m < 2:
        raise ValueError(f"a bound needs at least two draws of each distribution, got {n} of p and {m} of q")
    on_p, on_q = terms_p.mean(-1), terms_q.mean(-1)
    error = torch.sqrt(terms_p.var(-1) / n + terms_q.var(-1) / m)  # @eq-vd-variance
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
        The bound, its terms and its standard error; the error is nan where the value is minus infinity.

    Raises:
        ValueError: if a sample has fewer than two draws, or the name is unknown.
    """
    generator = get_generator(divergence)
    legal = critic_p <= generator.slope_at_infinity  # false for nan, too
    # @eq-vd-bound
    return _sample_bound(torch.where(legal, critic_p, -math.inf), generator.conjugate(critic_q))


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
        ValueError: if a sample has fewer than two draws, or the name is unknown.
    """
    activation = get_activation(divergence)
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
        ValueError: if a sample has fewer than two draws.
    """
    m = critic_q.shape[-1]
    log_mean = torch.logsumexp(critic_q, -1) - math.log(m)
    plain = _sample_bound(critic_p, torch.exp(critic_q - log_mean.unsqueeze(-1)))
    return Bound(plain.on_p - log_mean, plain.on_p, log_mean, plain.standard_error)  # @eq-vd-donsker-varadhan


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
        The optimal critic, possibly infinite; f'(1) where both vanish.
    """
    generator = get_generator(divergence)
    p, q = torch.broadcast_tensors(p, q)
    both = (p > 0) & (q > 0)
    # @eq-vd-optimal-critic
    critic = generator.derivative(torch.where(both, p, 1.0) / torch.where(both, q, 1.0))
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
    """
    generator = get_generator(divergence)
    legal = torch.where(critic <= generator.slope_at_infinity, critic, -math.inf)
    on_p = torch.where(p > 0, p * legal, 0.0)
    on_q = torch.where(q > 0, q * generator.conjugate(critic), 0.0)
    return (on_p - on_q).sum(-1)  # @eq-vd-objective
