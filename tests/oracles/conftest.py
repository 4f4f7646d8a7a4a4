"""Double precision for JAX while the oracles run, and only then."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def double_precision() -> Iterator[None]:
    """Let JAX compute in float64 during a test, and leave the switch as it was."""
    with jax.enable_x64(True):
        yield
