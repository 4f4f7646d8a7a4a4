"""The commands of `agm` that work on models: list, train, sample, evaluate."""

from __future__ import annotations

# book/appendices/b-training.qmd § The command line
import argparse
import sys
from pathlib import Path
from typing import Any

from agm.artifacts import load_artifact, read_provenance, staleness
from agm.data import list_datasets
from agm.recipes import Recipe, find_recipes, get_recipe, unknown
from agm.runs import default_folder, load_run, train_recipe
from agm.training import TrainingError
from agm.training.checkpoint import CheckpointFolder


class UsageError(Exception):
    """The command was given something that does not exist or does not fit; exit status 2."""


def list_command(options: argparse.Namespace) -> int:
    """Print models with their presets and artifacts, and the data sets."""
    recipes = find_recipes()
    width = max(map(len, recipes), default=0)
    print("models")
    for name, recipe in recipes.items():
        presets = ", ".join(recipe.presets)
        print(f"  {name:<{width}}  {recipe.modality:<5}  {recipe.title}")
        data = ", ".join(recipe.datasets)
        print(f"  {'':<{width}}         presets {presets}; data {data}; artifact {_artifact_state(recipe)}")
    print("data sets\n  " + ", ".join(list_datasets()))
    return 0


def train_command(options: argparse.Namespace, rest: list[str]) -> int:
    """Train a model, or go on training it."""
    recipe = _recipe(options.model)
    preset = _preset(recipe, options.preset)
    config = _settings(recipe, preset, rest)
    data = options.data
    if data is not None:
        config = _with_data(recipe, config, data)
    folder = Path(options.out) if options.out else default_folder(recipe, options.preset)
    result = train_recipe(recipe, config, folder, resume=not options.fresh, progress=not options.quiet)
    for name, value in result.evaluation.items():
        print(f"{name} {value:.6g}")
    print(f"{folder}: {result.step} steps, {result.seconds:.1f} s")
    example = {"image": "grid.png", "text": "text.txt", "audio": "clip.wav"}[recipe.modality]
    print(f"next: agm sample {recipe.name} --from {folder} --out {example}")
    return 0


def sample_command(options: argparse.Namespace) -> int:
    """Draw samples into a file."""
    if options.count < 1:
        raise UsageError(f"--count {options.count}: expected at least 1")
    recipe = _recipe(options.model)
    model, config, origin = _trained(recipe, options)
    recipe.sample(model, config, options.count, options.seed).save(Path(options.out))
    print(f"{options.out}: {options.count} samples of {recipe.name} from {origin}, seed {options.seed}")
    return 0


def evaluate_command(options: argparse.Namespace) -> int:
    """Evaluate a trained model on held-out data."""
    recipe = _recipe(options.model)
    model, config, origin = _trained(recipe, options)
    for name, value in recipe.evaluate(model, config).items():
        print(f"{name} {value:.6g}")
    print(f"of {origin}")
    return 0


def show_settings(name: str, preset: str) -> None:
    """Print the options of a model's settings, with the preset's values as defaults."""
    recipe = _recipe(name)
    _settings(recipe, _preset(recipe, preset), ["--help"])


# book/appendices/b-training.qmd § The command line
def _recipe(name: str) -> Recipe[Any]:
    recipes = find_recipes()
    if name not in recipes:
        raise UsageError(unknown("model", name, recipes))
    return get_recipe(name)


def _preset(recipe: Recipe[Any], name: str) -> Any:
    if name not in recipe.presets:
        raise UsageError(unknown("preset", name, recipe.presets))
    return recipe.presets[name]


def _settings(recipe: Recipe[Any], preset: Any, arguments: list[str]) -> Any:
    """The preset with what the command line changes in it."""
    import tyro

    try:
        return tyro.cli(
            type(preset),
            default=preset,
            args=arguments,
            prog=f"agm train {recipe.name}",
            description=f"Settings of {recipe.name}: {recipe.title}.",
            config=(tyro.conf.OmitArgPrefixes,),
        )
    except TrainingError as error:
        raise UsageError(str(error)) from None


def _with_data(recipe: Recipe[Any], config: Any, name: str) -> Any:
    import dataclasses

    if name not in list_datasets():
        raise UsageError(unknown("data set", name, list_datasets()))
    if name not in recipe.datasets:
        raise UsageError(f"{recipe.name} is not made for {name}: choose {', '.join(recipe.datasets)}")
    return dataclasses.replace(config, data=name) if hasattr(config, "data") else config


def _trained(recipe: Recipe[Any], options: argparse.Namespace) -> tuple[Any, Any, str]:
    """Model, settings and origin: what `--from` names, else the run of the preset, else the artifact."""
    if options.source:
        return *load_run(recipe, Path(options.source)), options.source
    folder = default_folder(recipe, options.preset)
    if CheckpointFolder(folder).paths():
        return *load_run(recipe, folder), str(folder)
    artifact = load_artifact(recipe.name)
    return artifact.model, artifact.config, f"artifacts/{recipe.name}"


def _artifact_state(recipe: Recipe[Any]) -> str:
    try:
        record = read_provenance(recipe.name)
    except TrainingError:
        return "none"
    state = "stale" if staleness(recipe, record) else "fresh"
    return f"{state} ({record.get('preset')}, {record.get('seconds')} s)"


def complain(text: object) -> None:
    """Print an error on one line."""
    print(f"error: {' '.join(str(text).split())}", file=sys.stderr)
