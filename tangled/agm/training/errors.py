"""What can go wrong in training, as exceptions whose messages name place, cause and remedy."""

from __future__ import annotations

# book/appendices/b-training.qmd § What can go wrong
from collections.abc import Mapping
from typing import Any


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what to do."""


class CheckpointError(TrainingError):
    """A checkpoint cannot be read, written or used."""


class MismatchError(CheckpointError):
    """A checkpoint belongs to another run.

    Args:
        message: what to tell the user.
        differences: name to (value in the checkpoint, value now).
    """

    def __init__(self, message: str, differences: Mapping[str, tuple[Any, Any]]) -> None:
        super().__init__(message)
        self.differences = dict(differences)


class NonFiniteError(TrainingError):
    """A loss or a gradient is infinite or not a number.

    Args:
        message: what to tell the user.
        step: the step at which it happened, from 0.
        tensor: name of the loss or of the parameter whose gradient it was.
    """

    def __init__(self, message: str, step: int, tensor: str) -> None:
        super().__init__(message)
        self.step = step
        self.tensor = tensor


class Interrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C or SIGTERM after its state had been saved.

    Args:
        step: number of steps made.
        path: the checkpoint.
    """

    def __init__(self, step: int, path: object) -> None:
        super().__init__(f"stopped after step {step}; saved in {path}; the same command goes on from there")
        self.step = step
