"""Generators of f-divergences: the convex function, its derivatives, its conjugate and its two ends.

Conventions of the book: ``f(1) = 0``, natural logarithms, total variation and squared Hellinger in [0, 1].
"""

from __future__ import annotations

# book/01-foundations/02-f-divergence.qmd § Generators
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from agm.numerics import as_number, log_quotient, priced

TensorFunction = Callable[[Tensor], Tensor]
PairFunction = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ConvexGenerator:
    """The generator f of an f-divergence, with all that is needed to evaluate, bound and estimate it.

    Attributes:
        name: identifier, also the key in ``GENERATORS``.
        function: f(t) for t > 0, elementwise.
        derivative: f'(t) for t > 0.
        second_derivative: f''(t) for t > 0, or None where f has a kink.
        conjugate_inside: f*(y) for slopes y between f'(0) and f'(infinity).
        value_at_zero: f(0), the price of model mass where there are no data.
        slope_at_infinity: f'(infinity), the price of data where there is no model mass.
        derivative_at_zero: f'(0), possibly minus infinity.
        conjugate_at_upper_end: f*(f'(infinity)), possibly infinite.
        symmetric: whether the divergence is symmetric in its arguments.
        summand: q f(p / q) as a function of p, q and log p - log q that never forms the ratio; optional.
    """

    name: str
    function: TensorFunction
    derivative: TensorFunction
    second_derivative: TensorFunction | None
    conjugate_inside: TensorFunction
    value_at_zero: float
    slope_at_infinity: float
    derivative_at_zero: float = -math.inf
    conjugate_at_upper_end: float = math.inf
    symmetric: bool = False
    summand: PairFunction | None = None

    @property
    def derivative_at_one(self) -> float:
        """f'(1), the slope that centring subtracts."""
        return float(self.derivative(torch.ones((), dtype=torch.float64)))

    @property
    def largest_value(self) -> float:
        """f(0) + f'(infinity), the value on disjoint supports (book: range theorem)."""
        return self.value_at_zero + self.slope_at_infinity

    def centred(self, t: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """f(t) - f'(1) (t - 1): the non-negative generator of the same divergence."""
        return self.function(t) - self.derivative_at_one * (t - 1)  # @eq-fd-affine

    def perspective(
        self,
        p: Float[Tensor, "*shape"],
        q: Float[Tensor, "*shape"],
        log_ratio: Float[Tensor, "*shape"] | None = None,
    ) -> Float[Tensor, "*shape"]:
        """q f(p / q) for positive p and q, elementwise.

        Args:
            p: positive numbers.
            q: positive numbers of the same shape.
            log_ratio: log p - log q, if it is known more precisely than p and q.

        Returns:
            The summands of the divergence. Without ``summand``, a ratio at which f is no longer finite in
            floating point gives the limit: p f'(infinity) for large ratios, q f(0) for small ones.
        """
        if self.summand is not None:
            return self.summand(p, q, log_quotient(p, q) if log_ratio is None else log_ratio)
        with torch.no_grad():
            usable = torch.isfinite(self.function(p / q))
        safe_p, safe_q = torch.where(usable, p, 1.0), torch.where(usable, q, 1.0)
        inside = torch.where(usable, safe_q * self.function(safe_p / safe_q), 0.0)
        large = priced(p, ~usable & (p > q), self.slope_at_infinity)
        return inside + large + priced(q, ~usable & (p <= q), self.value_at_zero)

    def conjugate(self, y: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Convex conjugate f*(y) = sup over t >= 0 of t y - f(t), on the whole line.

        Args:
            y: slopes, any shape.

        Returns:
            f*(y); plus infinity above f'(infinity) and at nan, the constant -f(0) below f'(0).

        Raises:
            ValueError: if the slopes are not floating-point numbers.
        """
        if not isinstance(y, Tensor) or not y.is_floating_point():
            raise ValueError(f"slopes: expected a floating-point tensor, got {getattr(y, 'dtype', type(y))}")
        # @eq-fd-conjugate
        inside = (y > self.derivative_at_zero) & (y < self.slope_at_infinity)
        safe = torch.where(inside, y, torch.full_like(y, self.derivative_at_one))
        outside = torch.full_like(y, math.inf)
        outside = outside.masked_fill(y == self.slope_at_infinity, self.conjugate_at_upper_end)
        outside = outside.masked_fill(y <= self.derivative_at_zero, -self.value_at_zero)
        return torch.where(inside, self.conjugate_inside(safe), outside)


# book/01-foundations/02-f-divergence.qmd § Generators
def _half_log_ratio(t: Tensor) -> Tensor:
    return 0.5 * (math.log(2.0) + torch.log(t) - torch.log1p(t))


def _jensen_shannon_summand(p: Tensor, q: Tensor, log_ratio: Tensor) -> Tensor:
    middle = 0.5 * p + 0.5 * q
    return 0.5 * (p * torch.log(p / middle) + q * torch.log(q / middle))


GENERATORS: dict[str, ConvexGenerator] = {
    generator.name: generator
    for generator in (
        ConvexGenerator(
            name="kl",
            function=lambda t: t * torch.log(t),
            derivative=lambda t: torch.log(t) + 1,
            second_derivative=lambda t: 1 / t,
            conjugate_inside=lambda y: torch.exp(y - 1),  # @eq-fd-kl-conjugate
            value_at_zero=0.0,
            slope_at_infinity=math.inf,
            summand=lambda p, q, log_ratio: p * log_ratio,
        ),
        ConvexGenerator(
            name="reverse_kl",
            function=lambda t: -torch.log(t),
            derivative=lambda t: -1 / t,
            second_derivative=lambda t: t**-2,
            conjugate_inside=lambda y: -1 - torch.log(-y),
            value_at_zero=math.inf,
            slope_at_infinity=0.0,
            summand=lambda p, q, log_ratio: -q * log_ratio,
        ),
        ConvexGenerator(
            name="jensen_shannon",
            function=lambda t: t * _half_log_ratio(t) - 0.5 * (torch.log1p(t) - math.log(2.0)),
            derivative=_half_log_ratio,
            second_derivative=lambda t: 0.5 / (t * (1 + t)),
            # @eq-fd-js-conjugate, with a factor 2 taken out of the logarithm: exact up to the end
            conjugate_inside=lambda y: (
                -0.5 * (math.log(2.0) + torch.log(-torch.expm1(2 * y - math.log(2.0))))
            ),
            value_at_zero=0.5 * math.log(2.0),
            slope_at_infinity=0.5 * math.log(2.0),
            symmetric=True,
            summand=_jensen_shannon_summand,
        ),
        ConvexGenerator(
            name="squared_hellinger",
            function=lambda t: 0.5 * (torch.sqrt(t) - 1) ** 2,
            derivative=lambda t: 0.5 * (1 - torch.rsqrt(t)),
            second_derivative=lambda t: 0.25 * t**-1.5,
            conjugate_inside=lambda y: y / (1 - 2 * y),
            value_at_zero=0.5,
            slope_at_infinity=0.5,
            symmetric=True,
            summand=lambda p, q, log_ratio: 0.5 * (torch.sqrt(p) - torch.sqrt(q)) ** 2,
        ),
        ConvexGenerator(
            name="pearson",
            function=lambda t: (t - 1) ** 2,
            derivative=lambda t: 2 * (t - 1),
            second_derivative=lambda t: torch.full_like(t, 2.0),
            conjugate_inside=lambda y: y * (y + 4) / 4,
            value_at_zero=1.0,
            slope_at_infinity=math.inf,
            derivative_at_zero=-2.0,
            summand=lambda p, q, log_ratio: (p - q) * ((p - q) / q),
        ),
        ConvexGenerator(
            name="neyman",
            function=lambda t: (t - 1) ** 2 / t,
            derivative=lambda t: 1 - t**-2,
            second_derivative=lambda t: 2 * t**-3,
            conjugate_inside=lambda y: 2 - 2 * torch.sqrt(1 - y),
            value_at_zero=math.inf,
            slope_at_infinity=1.0,
            conjugate_at_upper_end=2.0,
            summand=lambda p, q, log_ratio: (p - q) * ((p - q) / p),
        ),
        ConvexGenerator(
            name="le_cam",
            function=lambda t: (t - 1) ** 2 / (2 * (t + 1)),
            derivative=lambda t: 0.5 - 2 / (t + 1) ** 2,
            second_derivative=lambda t: 4 / (t + 1) ** 3,
            conjugate_inside=lambda y: 2 - y - 2 * torch.sqrt(1 - 2 * y),
            value_at_zero=0.5,
            slope_at_infinity=0.5,
            derivative_at_zero=-1.5,
            conjugate_at_upper_end=1.5,
            symmetric=True,
            summand=lambda p, q, log_ratio: 0.5 * (p - q) * ((p - q) / (p + q)),
        ),
        ConvexGenerator(
            name="total_variation",
            function=lambda t: 0.5 * torch.abs(t - 1),
            derivative=lambda t: 0.5 * torch.sign(t - 1),
            second_derivative=None,
            conjugate_inside=lambda y: y,
            value_at_zero=0.5,
            slope_at_infinity=0.5,
            derivative_at_zero=-0.5,
            conjugate_at_upper_end=0.5,
            symmetric=True,
            summand=lambda p, q, log_ratio: 0.5 * torch.abs(p - q),
        ),
    )
}


# book/01-foundations/02-f-divergence.qmd § Generators
def _box_cox(log_t: Tensor, exponent: float) -> Tensor:
    """(t ** exponent - 1) / exponent, and its limit log t for exponent zero."""
    return log_t if exponent == 0 else torch.expm1(exponent * log_t) / exponent


def _weighted_box_cox(weight: Tensor, log_t: Tensor, exponent: float) -> Tensor:
    """weight * (t ** exponent - 1) / exponent; the power may overflow if the product does not."""
    if exponent == 0:
        return weight * log_t
    scaled = exponent * log_t
    near = scaled < 1
    log_weight = torch.log(weight.clamp(min=torch.finfo(weight.dtype).tiny))
    product = torch.exp(log_weight + torch.where(near, 0.0, scaled)) - weight
    return torch.where(near, weight * torch.expm1(torch.where(near, scaled, 0.0)), product) / exponent


def alpha_generator(order: float) -> ConvexGenerator:
    """Generator of the alpha-divergence: f(1) = f'(1) = 0 and f''(t) = t ** (order - 2).

    Args:
        order: alpha, any real number; 1 gives KL, 0 reverse KL (both in centred form).

    Returns:
        The generator; its adjoint is ``alpha_generator(1 - order)``.

    Raises:
        TypeError: if the order is not a number.
        ValueError: if the order is not finite.
    """
    order = as_number(order, "order")
    if not math.isfinite(order):
        raise ValueError(f"order must be finite, got {order}; Rényi divergences have an order infinity")

    def function(t: Tensor) -> Tensor:
        log_t = torch.log(t)
        return t * _box_cox(log_t, order - 1) - _box_cox(log_t, order)

    def conjugate_inside(y: Tensor) -> Tensor:
        log_t = y if order == 1 else torch.log1p((order - 1) * y) / (order - 1)
        return _box_cox(log_t, order)

    def summand(p: Tensor, q: Tensor, log_ratio: Tensor) -> Tensor:
        if 0 < order < 1:  # if p and q were clamped and the ratio was not, their powers must still agree
            own = torch.log(p) - torch.log(q)
            log_ratio = torch.where((log_ratio - own).abs() < 1, log_ratio, own)
        if order >= 0.5:
            return (_weighted_box_cox(p, log_ratio, order - 1) - (p - q)) / order  # @eq-fd-alpha-summand
        return (_weighted_box_cox(q, -log_ratio, -order) - (q - p)) / (1 - order)

    return ConvexGenerator(
        name=f"alpha({order:g})",
        function=function,
        derivative=lambda t: _box_cox(torch.log(t), order - 1),
        second_derivative=lambda t: t ** (order - 2),  # @eq-fd-alpha-curvature
        conjugate_inside=conjugate_inside,
        value_at_zero=1 / order if order > 0 else math.inf,
        slope_at_infinity=1 / (1 - order) if order < 1 else math.inf,
        derivative_at_zero=1 / (1 - order) if order > 1 else -math.inf,
        conjugate_at_upper_end=-1 / order if order < 0 else math.inf,
        symmetric=order == 0.5,
        summand=summand,
    )


def get_generator(divergence: str | ConvexGenerator) -> ConvexGenerator:
    """The generator itself, or the registered one of that name.

    Raises:
        TypeError: if it is neither a generator nor a name.
        ValueError: if the name is unknown; the message lists the known names.
    """
    if isinstance(divergence, ConvexGenerator):
        return divergence
    if not isinstance(divergence, str):
        raise TypeError(f"divergence: expected a name or a ConvexGenerator, got {type(divergence).__name__}")
    if divergence not in GENERATORS:
        raise ValueError(f"unknown divergence {divergence!r}; choose one of {', '.join(GENERATORS)}")
    return GENERATORS[divergence]
