"""Dual numbers against JAX: the same slopes for every operation, in one and in two levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy
import pytest

from proofread import dual

SCALAR: dict[str, Callable[[Any, Any], Any]] = {
    "sum and product": lambda xp, x: 3 * x * x - x / 2 + 1 - (2 - x) * -x,
    "quotients": lambda xp, x: (1 + x) / (x * x + 2) + 1 / x,
    "powers": lambda xp, x: x**3 + x**-2 + xp.power(x, 1.7) + xp.power(x, x) + xp.power(2.0, x),
    "exp, log and sqrt": lambda xp, x: xp.exp(xp.sqrt(x) - xp.log(x)),
    "circular": lambda xp, x: xp.sin(x) * xp.cos(2 * x) + xp.tan(x / 3),
    "hyperbolic": lambda xp, x: xp.tanh(x) + xp.sinh(x) / xp.cosh(2 * x),
    "inverse circular": lambda xp, x: xp.arctan(x) + xp.arcsin(x / 4) - xp.arccos(x / 5),
    "sizes": lambda xp, x: xp.abs(x - 1.3) * xp.sign(x - 1) + abs(0.2 - x) ** 2,
    "softplus": lambda xp, x: xp.logaddexp(0.0, 2 * x) + xp.logaddexp(x, -x * x),
    "choice": lambda xp, x: xp.where(xp.asarray(x) > 1, x**2, xp.log(x)),
    "extremes": lambda xp, x: xp.maximum(x, 1.1) * xp.minimum(x * x, 1.5),
}
MATRIX: dict[str, Callable[[Any, Any], Any]] = {
    "inverse": lambda xp, a: xp.sum(xp.linalg.inv(a) * WEIGHTS, axis=(-1, -2)),
    "determinant": lambda xp, a: xp.log(xp.linalg.det(a)) ** 2,
    "powers": lambda xp, a: xp.sum((xp.linalg.matrix_power(a, 3)) * WEIGHTS, axis=(-1, -2)),
    "inverse powers": lambda xp, a: xp.sum(xp.linalg.matrix_power(a, -2) * WEIGHTS, axis=(-1, -2)),
    "cholesky": lambda xp, a: xp.sum(xp.linalg.cholesky(a) * WEIGHTS, axis=(-1, -2)),
    "orthogonal factor": lambda xp, a: xp.sum(xp.linalg.qr(a)[0] * WEIGHTS, axis=(-1, -2)),
    "triangular factor": lambda xp, a: xp.sum(xp.linalg.qr(a)[1] * WEIGHTS, axis=(-1, -2)),
    "products": lambda xp, a: xp.trace(xp.matmul(xp.matmul(a, WEIGHTS), a), axis1=-2, axis2=-1),
    "transposes": lambda xp, a: xp.sum(xp.matmul(xp.swapaxes(a, -1, -2), a) * WEIGHTS, axis=(-1, -2)),
    "reductions": lambda xp, a: xp.prod(xp.sum(a, axis=-1), axis=-1) * xp.max(a, axis=(-1, -2)),
    "smallest": lambda xp, a: xp.min(a**2, axis=-1).sum(axis=-1),
    "stacks": lambda xp, a: xp.prod(
        xp.stack([a[..., 0, 0] ** 2, 2 * xp.exp(a[..., 1, 2]), WEIGHTS[0, 0] + 0 * a[..., 0, 0]], axis=-1),
        axis=-1,
    ),
    "diagonals": lambda xp, a: (
        xp.prod(xp.diagonal(a, axis1=-2, axis2=-1), axis=-1) + xp.sum(xp.tril(a, -1) ** 2, axis=(-1, -2))
    ),
}
WEIGHTS = numpy.array([[1.0, -0.5, 2.0], [0.3, 0.7, -1.1], [0.2, 1.4, 0.9]])


@pytest.fixture(autouse=True)
def _double():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def _numbers() -> Any:
    return numpy.random.default_rng(0).uniform(0.4, 2.0, 7)


def _matrices() -> Any:
    raw = numpy.random.default_rng(1).standard_normal((5, 3, 3))
    return raw @ raw.swapaxes(-1, -2) + 0.5 * numpy.eye(3)


@pytest.mark.parametrize("name", SCALAR)
def test_slopes_of_functions_of_a_number(name):
    function, x = SCALAR[name], _numbers()
    point, level = dual.seeded(x)
    value = function(dual, point)
    expected = jax.vmap(jax.grad(lambda y: function(jnp, y)))(x)
    numpy.testing.assert_allclose(dual.plain(value), function(numpy, x), rtol=1e-13)
    numpy.testing.assert_allclose(dual.slope_of(value, level)[0], expected, rtol=1e-10)


@pytest.mark.parametrize("name", SCALAR)
def test_slopes_of_slopes(name):
    function, x = SCALAR[name], _numbers()
    outer, first = dual.seeded(x)
    inner, second = dual.seeded(outer)
    slope = dual.slope_of(function(dual, inner), second)[0]
    expected = jax.vmap(jax.grad(jax.grad(lambda y: function(jnp, y))))(x)
    got = dual.slope_of(slope, first)
    numpy.testing.assert_allclose(0 if got is None else got[0], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", MATRIX)
def test_slopes_by_the_entries_of_a_matrix(name):
    function, a = MATRIX[name], _matrices()
    point, level = dual.seeded_entries(a)
    slope = dual.entries_last(dual.slope_of(function(dual, point), level), (3, 3))
    expected = jax.vmap(jax.grad(lambda b: function(jnp, b)))(a)
    numpy.testing.assert_allclose(slope, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["inverse", "determinant", "powers", "cholesky", "products", "reductions"])
def test_mixed_slopes_by_a_matrix_and_a_number(name):
    """The slope by t of the gradient by A of f(t A): two levels with different numbers of directions."""
    function, a = MATRIX[name], _matrices()
    t = numpy.random.default_rng(2).uniform(0.6, 1.5, 5)
    outer, first = dual.seeded(t)
    inner, second = dual.seeded_entries(a)
    slope = dual.slope_of(function(dual, outer[..., None, None] * inner), second)
    got = dual.entries_last(dual.slope_of(slope, first)[0], (3, 3))
    expected = jax.vmap(jax.jacfwd(jax.grad(lambda b, s: function(jnp, s * b)), argnums=1))(a, t)
    numpy.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-10)


def test_arrays_of_fewer_axes_broadcast():
    x = _numbers()
    point, level = dual.seeded(x.reshape(7, 1))
    value = dual.sum(numpy.arange(3.0) * point + dual.exp(point), axis=1)
    assert value.shape == (7,)
    numpy.testing.assert_allclose(dual.slope_of(value, level)[0], 3.0 + 3.0 * numpy.exp(x), rtol=1e-12)


def test_a_singular_matrix_has_no_inverse_in_its_own_draw_only():
    stack = numpy.stack([numpy.eye(2), numpy.zeros((2, 2))])
    point, level = dual.seeded_entries(stack)
    slope = dual.slope_of(dual.linalg.inv(point), level)
    assert numpy.isfinite(slope[:, 0]).all()
    assert numpy.isnan(slope[:, 1]).all()
