"""Quadrature, extrema and Gaussian means: how bound variables become axes, nodes or symbols."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy
import sympy

from proofread import dual
from proofread.builtin import check_moments
from proofread.errors import ProofreadError
from proofread.extrema import ExtremumMixin
from proofread.integrals import gaussian_mean, integral
from proofread.scope import key
from proofread.tree import Node
from proofread.values import Domain, Outcome, Stored, UndecidableError

_NEUTRAL = {"sum": 0.0, "prod": 1.0, "max": -numpy.inf, "sup": -numpy.inf, "min": numpy.inf, "inf": numpy.inf}
_METHOD = {"sum": "sum", "prod": "prod", "max": "max", "sup": "max", "min": "min", "inf": "min"}


class GridMixin(ExtremumMixin):
    """Axes for bound variables; part of ``Evaluator``."""

    def over_axes(
        self,
        operator: str,
        variables: list[tuple[Node, Domain]],
        conditions: list[Node],
        body: Callable[[], Any],
    ) -> Any:
        """Combine over finite sets, one axis for each variable (numeric only)."""
        algebra = self.algebra
        outer = algebra.depth
        bindings: dict[str, Any] = {}
        for variable, domain in variables:
            algebra.sizes.append(domain.size)
            index = numpy.arange(domain.size).reshape((1,) * (algebra.depth - 1) + (domain.size,))
            bindings[self.bound_key(variable)] = Outcome(domain, index, algebra.depth)
        try:
            with self.scope.bound(bindings):
                value = self._spread(body(), outer)
                if conditions:
                    mask: Any = True
                    for condition in conditions:
                        mask = algebra.both(mask, self.truth(condition))
                    if operator not in _NEUTRAL:
                        raise ProofreadError("the place of an extremum under a condition", "restrict the set")
                    value = algebra.where(mask, value, _NEUTRAL[operator])
                if operator in ("argmax", "argmin"):
                    return self._place(operator, value, outer, variables)
        finally:
            del algebra.sizes[outer:]
        axes = tuple(range(outer, outer + len(variables)))
        return getattr(algebra.xp, _METHOD[operator])(value, axis=axes)

    def _spread(self, value: Any, outer: int) -> Any:
        """A value with the axes from ``outer`` on at their full size."""
        algebra = self.algebra
        if isinstance(value, (int, float)):
            value = algebra.xp.full((1,) * algebra.depth, float(value))
        shape = (*value.shape[:outer], *algebra.sizes[outer:], *value.shape[algebra.depth :])
        return algebra.xp.broadcast_to(value, shape)

    def _place(self, operator: str, value: Any, outer: int, variables: list[tuple[Node, Domain]]) -> Any:
        if len(variables) != 1 or self.algebra.rank(value):
            raise UndecidableError("the place of an extremum over several variables")
        choose = numpy.argmax if operator == "argmax" else numpy.argmin
        index = choose(numpy.asarray(dual.plain(value)), axis=outer)
        size = self.algebra.sizes.pop()
        result = self.outcome_value(Outcome(variables[0][1], index, outer))
        self.algebra.sizes.append(size)
        return result

    def over_nodes(self, variable: Node, points: Any, weights: list[Any], body: Callable[[], Any]) -> Any:
        """Weighted sums over nodes on a new last axis; two rules give the value and its error.

        Args:
            variable: what is bound.
            points: array with the new axis (behind the present batch axes).
            weights: two arrays that broadcast against ``body``'s batch axes; the first gives the result.
            body: the integrand.
        """
        algebra = self.algebra
        outer = algebra.depth
        algebra.sizes.append(points.shape[outer])
        try:
            with self.scope.bound({self.bound_key(variable): Stored(points, algebra.depth)}):
                value = self._spread(body(), outer)
            matrix = algebra.rank(value) > 0
        finally:
            del algebra.sizes[outer:]
        wide = [w[..., None, None] if matrix else w for w in weights]
        result = algebra.xp.sum(value * wide[0], axis=outer)
        for array, lead in dual.leaves(value):
            fine, other = (numpy.sum(array * weight, axis=outer + lead) for weight in map(dual.plain, wide))
            size = numpy.sum(numpy.abs(array * dual.plain(wide[0])), axis=outer + lead)
            if outer > 1:
                # Inside another integral only an error beside the largest of its nodes matters.
                size = size.max(axis=tuple(range(lead + 1, lead + outer)), keepdims=True)
            with numpy.errstate(all="ignore"):
                error = numpy.abs(fine - other) / (size + 1e-300)
            algebra.noise = max(algebra.noise, float(numpy.nanmax(error, initial=0.0)))
        return result

    def over_line(self, variable: Node, domain: Domain, body: Callable[[], Any]) -> Any:
        """Integral over a whole line."""
        algebra = self.algebra
        if algebra.exact:
            infinite = domain.bounds[0] <= -8 and domain.bounds[1] >= 8
            ends = (
                (-sympy.oo, sympy.oo)
                if infinite
                else (sympy.nsimplify(domain.bounds[0]), sympy.nsimplify(domain.bounds[1]))
            )
            return self.exact_integral(variable, ends[0], ends[1], body)
        low, high = domain.bounds
        count = domain.size | 1
        points = numpy.linspace(low, high, count)
        step = (high - low) / (count - 1)
        weights = numpy.full(count, step)
        weights[[0, -1]] = step / 2
        coarse = numpy.zeros(count)
        coarse[::2] = 2 * step
        coarse[[0, -1]] = step
        shape = (1,) * algebra.depth + (count,)
        return self.over_nodes(
            variable, points.reshape(shape), [w.reshape(shape) for w in (weights, coarse)], body
        )

    def over_interval(self, variable: Node, low: Any, high: Any, body: Callable[[], Any]) -> Any:
        """Integral between two bounds, which may be infinite."""
        algebra = self.algebra
        infinite = [isinstance(end, float) and numpy.isinf(end) for end in (low, high)]
        if all(infinite):
            return self.over_line(variable, self.scope.domain_of(variable) or _WIDE, body)
        fine, coarse = map(_legendre, (48, 40))
        unit = numpy.concatenate([fine[0], coarse[0]])
        zeros = numpy.zeros_like
        pair = [
            numpy.concatenate([fine[1], zeros(coarse[1])]),
            numpy.concatenate([zeros(fine[1]), coarse[1]]),
        ]
        shape = (1,) * algebra.depth + (unit.size,)
        unit = unit.reshape(shape)
        weights = [w.reshape(shape) for w in pair]
        if any(infinite):
            ratio = (1 + unit) / (1 - unit)
            scale = 2 / (1 - unit) ** 2
            end = algebra.full(low if infinite[1] else high)[..., None]
            points = end + ratio if infinite[1] else end - ratio
            return self.over_nodes(variable, points, [w * scale for w in weights], body)
        middle = algebra.full(algebra.divide(algebra.add(low, high), 2))[..., None]
        half = algebra.full(algebra.divide(algebra.add(high, algebra.negative(low)), 2))[..., None]
        return self.over_nodes(variable, middle + half * unit, [w * half for w in weights], body)

    def over_normal(self, variable: Node, mean: Any, variance: Any, body: Callable[[], Any]) -> Any:
        """Mean under a normal distribution of a scalar or a vector."""
        algebra = self.algebra
        size = algebra.shape(mean)[0] if algebra.rank(mean) else 1
        if not algebra.rank(mean) and algebra.rank(variance):
            size = algebra.shape(variance)[0]
            ones = algebra.matrix([[algebra.number("1")]] * size)
            mean = algebra.multiply(mean, ones)
        check_moments(algebra, mean, variance)
        if algebra.exact:
            return self.exact_normal(variable, mean, variance, body)
        fine, coarse = (40, 32) if size == 1 else (14, 10) if size == 2 else (7, 5)
        points, weights = hermite(fine, coarse, size)
        if not algebra.rank(mean):
            before, algebra.noise = algebra.noise, 0.0
            result = self._scalar_normal(variable, mean, variance, (points, weights), body)
            noise, algebra.noise = algebra.noise, 0.0
            if noise > _ENOUGH:
                # Fast oscillation: many equal steps resolve what few clever nodes do not.
                other = self._scalar_normal(variable, mean, variance, equal_steps(), body)
                result, noise = (other, algebra.noise) if algebra.noise < noise else (result, noise)
            algebra.noise = max(before, noise)
            return result
        shape = (1,) * algebra.depth + (points.shape[0],)
        pair = [w.reshape(shape) for w in weights]
        if not algebra.rank(variance):
            variance = algebra.multiply(variance, algebra.identity(size))
        factor = algebra.full(algebra.cholesky(variance))[..., None, :, :]
        unit = points.reshape(*shape, size, 1)
        offset = algebra.xp.matmul(factor, unit)
        return self.over_nodes(variable, algebra.full(mean)[..., None, :, :] + offset, pair, body)

    def _scalar_normal(
        self, variable: Node, mean: Any, variance: Any, rule: tuple[Any, list[Any]], body: Callable[[], Any]
    ) -> Any:
        """Mean under a normal distribution of a number by one quadrature rule for the standard normal."""
        algebra = self.algebra
        points, weights = rule
        shape = (1,) * algebra.depth + (points.shape[0],)
        deviation = algebra.xp.sqrt(algebra.full(variance))[..., None]
        places = algebra.full(mean)[..., None] + deviation * points[:, 0].reshape(shape)
        return self.over_nodes(variable, places, [weight.reshape(shape) for weight in weights], body)

    def exact_normal(self, variable: Node, mean: Any, variance: Any, body: Callable[[], Any]) -> Any:
        """Exact mean of a polynomial in a normal variable, by its moments."""
        algebra = self.algebra
        size = algebra.shape(mean)[0] if algebra.rank(mean) else 1
        units = [sympy.Dummy(f"n{i}", real=True) for i in range(size)]
        if not algebra.rank(mean):
            point = mean + sympy.sqrt(variance) * units[0]
        else:
            full = variance if algebra.rank(variance) else variance * sympy.eye(size)
            point = mean + algebra.cholesky(full) * sympy.Matrix(units)
        with self.scope.bound({self.bound_key(variable): Stored(point, 0)}):
            value = body()
        if algebra.rank(value):
            return value.applyfunc(lambda entry: gaussian_mean(entry, units))
        return gaussian_mean(value, units)

    def exact_integral(self, variable: Node, low: Any, high: Any, body: Callable[[], Any]) -> Any:
        """Exact integral by SymPy."""
        symbol = sympy.Dummy(key(variable).replace("\\", ""), real=True)
        with self.scope.bound({self.bound_key(variable): Stored(symbol, 0)}):
            value = body()
        if self.algebra.rank(value):
            raise UndecidableError("an integral of a matrix")
        return integral(value, symbol, low, high)


_ENOUGH = 1e-11
_WIDE = Domain("line", "", 961, bounds=(-24.0, 24.0))


@cache
def _legendre(count: int) -> tuple[Any, Any]:
    """Nodes and weights of a Gauss–Legendre rule on (-1, 1)."""
    return numpy.polynomial.legendre.leggauss(count)


@cache
def hermite(fine: int, coarse: int, size: int) -> tuple[Any, list[Any]]:
    """Nodes (count, size) and two weightings of a Gauss–Hermite rule for the standard normal.

    Args:
        fine: nodes for each dimension of the rule that is used.
        coarse: nodes for each dimension of the rule that tells the error.
        size: dimension.
    """
    points, weights = [], []
    for count in (fine, coarse):
        nodes, weight = numpy.polynomial.hermite_e.hermegauss(count)
        weight = weight / weight.sum()
        grid = numpy.stack(numpy.meshgrid(*[nodes] * size, indexing="ij"), axis=-1).reshape(-1, size)
        total = numpy.ones(1)
        for _ in range(size):
            total = numpy.multiply.outer(total, weight).reshape(-1)
        points.append(grid)
        weights.append(total)
    blank = [numpy.zeros_like(weight) for weight in weights]
    pair = [numpy.concatenate([weights[0], blank[1]]), numpy.concatenate([blank[0], weights[1]])]
    return numpy.concatenate(points), pair


@cache
def equal_steps() -> tuple[Any, list[Any]]:
    """Nodes (count, 1) and two weightings of a trapezoidal rule for the standard normal.

    Its error falls faster than any power of the step as soon as the step resolves the integrand.
    """
    points = numpy.linspace(-12.0, 12.0, 241)
    density = numpy.exp(-(points**2) / 2)
    coarse = numpy.where(numpy.arange(points.size) % 2 == 0, density, 0.0)
    return points[:, None], [density / density.sum(), coarse / coarse.sum()]
