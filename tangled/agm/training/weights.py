"""Weights of a run, for everything that is not training."""

from __future__ import annotations

# book/appendices/b-training.qmd § Checkpoints
from pathlib import Path
from typing import Any

from torch import nn

from agm.training.checkpoint import find_checkpoint, read_checkpoint
from agm.training.states import load_weights


def load_model(model: nn.Module, path: str | Path, *, averaged: bool = True) -> dict[str, Any]:
    """Load the weights of a run into a model.

    Args:
        model: of the architecture that was trained; changed in place and put into evaluation mode.
        path: the folder of a run, whose best checkpoint is taken if it has one and else its newest; or a
            checkpoint.
        averaged: take the running average of the weights, if the run kept one.

    Returns:
        The description that the run was given.

    Raises:
        CheckpointError: if there is no checkpoint, it is damaged, or it belongs to another model.
    """
    path = find_checkpoint(Path(path))
    checkpoint = read_checkpoint(path)
    weights = checkpoint.part("model")
    if averaged:
        weights |= checkpoint.part("average")
    load_weights(model, weights, str(path))
    model.eval()
    return dict(checkpoint.description)
