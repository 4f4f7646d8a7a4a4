"""Runs of recipes: training them under a description that is checked on resume, and loading what came out."""

from __future__ import annotations

# book/appendices/b-training.qmd § Runs and artifacts
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from torch import nn

from agm.provenance import code_hashes
from agm.recipes import Recipe
from agm.training import TrainingError, TrainingResult, load_model, train
from agm.training.checkpoint import CheckpointFolder, find_checkpoint, read_checkpoint

T = TypeVar("T")


def default_folder(recipe: Recipe[Any], preset: str) -> Path:
    """Where a run goes unless it is told otherwise: `runs/<model>/<preset>` below the working folder."""
    return Path("runs") / recipe.name / preset


def plain(config: Any) -> dict[str, Any]:
    """Settings as JSON gives them back."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(config), default=str))
    return values


def describe(recipe: Recipe[Any], config: Any) -> dict[str, Any]:
    """What defines a run beside the settings of the loop: recipe, settings of the model, and code."""
    settings = {name: value for name, value in plain(config).items() if name != "training"}
    return {"recipe": recipe.name, "config": settings, "code": code_hashes(recipe)}


def train_recipe(
    recipe: Recipe[Any], config: Any, folder: Path, *, resume: bool = True, progress: bool = True
) -> TrainingResult:
    """Train a recipe's model.

    Args:
        recipe: what to train.
        config: its settings.
        folder: of the run.
        resume: go on from the newest checkpoint; otherwise what is there is deleted.
        progress: show it.

    Returns:
        The result of `agm.training.train`, and its errors.
    """
    data = getattr(config, "data", None)
    if data is not None and data not in recipe.datasets:
        raise TrainingError(
            f"{recipe.name} cannot be trained on {data!r}: choose {', '.join(recipe.datasets)}"
        )
    task, examples = recipe.build(config)
    return train(
        task,
        examples,
        config.training,
        folder=folder,
        resume=resume,
        progress=progress,
        description=describe(recipe, config),
    )


class FoundRun(NamedTuple):
    """A run on disk: its folder, and whether it made all its steps."""

    folder: Path
    finished: bool


def find_runs(recipe: Recipe[Any]) -> list[FoundRun]:
    """The runs of a recipe below `runs/` of the working folder that have a checkpoint, the newest first."""
    found: list[tuple[float, FoundRun]] = []
    for path in Path("runs").glob("**/run.json"):
        checkpoints = CheckpointFolder(path.parent).paths()
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            own, steps = record["description"]["recipe"] == recipe.name, int(record["config"]["steps"])
            if own and checkpoints:
                step = int(checkpoints[0].stem.removeprefix("step-"))
                found.append((checkpoints[0].stat().st_mtime, FoundRun(path.parent, step >= steps)))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # not a run of ours, or one that is being deleted
    return [run for _, run in sorted(found, reverse=True)]


def load_run(recipe: Recipe[Any], path: Path) -> tuple[nn.Module, Any]:
    """The model of a run, and the settings it was trained with.

    Args:
        recipe: of the model.
        path: the folder of the run, or a checkpoint.

    Returns:
        Model in evaluation mode, settings.

    Raises:
        CheckpointError: if there is none, it is damaged, or it belongs to another model.
    """
    path = find_checkpoint(path)
    description = read_checkpoint(path).description
    if description.get("recipe") != recipe.name:
        raise TrainingError(
            f"{path}: a checkpoint of {description.get('recipe', 'no recipe')}, not of {recipe.name}: name "
            "the right model or another checkpoint"
        )
    config = with_values(next(iter(recipe.presets.values())), description["config"])
    model = recipe.model(config)
    load_model(model, path)
    return model, config


def with_values(config: T, values: Mapping[str, Any]) -> T:
    """Settings with some values replaced by what JSON gave back.

    Args:
        config: a dataclass, perhaps of dataclasses.
        values: name to value; unknown names are left out.

    Returns:
        A changed copy; lists have become tuples where the old value was one.
    """
    changed: dict[str, Any] = {}
    for name, value in values.items():
        old = getattr(config, name, None)
        if dataclasses.is_dataclass(old) and isinstance(value, Mapping):
            changed[name] = with_values(old, value)
        elif hasattr(config, name):
            changed[name] = tuple(value) if isinstance(value, list) else value
    return dataclasses.replace(config, **changed)  # type: ignore[type-var]
