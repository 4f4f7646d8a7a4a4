"""Weights of a run, for everything that is not training."""

from __future__ import annotations

# book/appendices/b-training.qmd § Checkpoints
from pathlib import Path
from typing import Any

from torch import nn

from agm.training.checkpoint import BEST, CheckpointFolder, read_checkpoint
from agm.training.errors import CheckpointError
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
    path = Path(path)
    if path.is_dir():
        folder = CheckpointFolder(path)
        candidates = [folder.folder / BEST, *folder.paths()]
        found = next((candidate for candidate in candidates if candidate.is_file()), None)
        if found is None:
            raise CheckpointError(f"{path}: no checkpoint in this folder; train first, or name another one")
        path = found
    checkpoint = read_checkpoint(path)
    weights = checkpoint.part("model")
    if averaged:
        weights |= checkpoint.part("average")
    load_weights(model, weights, str(path))
    model.eval()
    return dict(checkpoint.description)
