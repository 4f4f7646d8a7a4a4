"""Random inputs for comparisons with independent implementations, and the comparison itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]
SEEDS = (0, 1, 2)


def numbers(seed: int) -> np.random.Generator:
    """The source of randomness of one test."""
    return np.random.default_rng(seed)


def simplex(seed: int, rows: int, cells: int, *, zeros: float = 0.0) -> Array:
    """Random probability vectors, (rows, cells), each cell empty with probability ``zeros``; never all."""
    generator = numbers(seed)
    weights = generator.gamma(0.7, size=(rows, cells)) + 1e-3
    weights[:, 1:] *= generator.random((rows, cells - 1)) >= zeros
    return generator.permuted(weights / weights.sum(1, keepdims=True), axis=1)


def covariance(seed: int, size: int) -> Array:
    """A random, well-conditioned covariance matrix."""
    root = numbers(seed).normal(size=(size, size))
    return root @ root.T + 0.5 * np.eye(size)


def tensor(values: Any) -> torch.Tensor:
    """The same numbers for PyTorch, in float64."""
    return torch.tensor(np.array(values, dtype=np.float64))


def integers(values: Any) -> torch.Tensor:
    """The same whole numbers for PyTorch, in int64."""
    return torch.tensor(np.array(values, dtype=np.int64))


def agree(found: Any, oracle: Any, *, rtol: float = 1e-10, atol: float = 1e-12) -> None:
    """Assert equality of shapes and, within the tolerance, of values; infinities match, nan never does."""
    found = found.detach().numpy() if isinstance(found, torch.Tensor) else np.asarray(found)
    expected = np.asarray(oracle)
    assert found.shape == expected.shape, f"shape {found.shape}, the oracle has {expected.shape}"
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, equal_nan=False)
