"""The commands of `agm` that work on models: list, train, sample, evaluate."""

from __future__ import annotations

# book/appendices/b-training.qmd § The command line
import argparse
import contextlib
import io
import os
import re
import sys
from pathlib import Path
from typing import Any

from agm.artifacts import ArtifactError, load_artifact, read_provenance, staleness
from agm.data import list_datasets
from agm.provenance import training_cost
from agm.recipes import Recipe, find_recipes, get_recipe, unknown
from agm.runs import default_folder, find_runs, load_run, train_recipe
from agm.training import TrainingError
from agm.training.checkpoint import CheckpointFolder, find_checkpoint
from agm.training.surroundings import out_of_memory


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
    if os.environ.get("RANK", "0") != "0":
        return 0  # one of several processes speaks for all
    for name, value in result.evaluation.items():
        print(f"{name} {value:.6g}")
    print(f"{folder}: {result.step} steps in {training_cost(vars(result))}")
    example = {"image": "grid.png", "text": "text.txt", "audio": "clip.wav"}[recipe.modality]
    print(f"next: agm sample {recipe.name} --from {folder} --out {example}")
    return 0


def sample_command(options: argparse.Namespace) -> int:
    """Draw samples into a file."""
    if options.count < 1:
        raise UsageError(f"--count {options.count}: expected at least 1")
    if not 0 <= options.seed < 2**63:
        raise UsageError(f"--seed {options.seed}: expected 0 or more, and less than 2^63")
    recipe = _recipe(options.model)
    suffix = {"image": ".png", "text": ".txt", "audio": ".wav"}[recipe.modality]
    if Path(options.out).suffix.lower() != suffix:
        raise UsageError(f"--out {options.out}: samples of {recipe.name} go into a {suffix} file")
    model, config, origin = _trained(recipe, options)
    try:
        samples = recipe.sample(model, config, options.count, options.seed)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        advice = "draw fewer, several times with other seeds"
        raise TrainingError(f"out of memory with --count {options.count}: {advice}") from error
    samples.save(Path(options.out))
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

    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
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
    except SystemExit as stop:
        if not stop.code:
            raise  # help was shown
        raise UsageError(f"{_first_words(told.getvalue())}; see: agm train {recipe.name} --help") from None


def _first_words(box: str) -> str:
    """What tyro's box of complaint begins with, on one line, and the option that it thinks was meant."""
    drawn = box.startswith("╭")  # with the title in its frame; where there is no Unicode, above a rule
    sections = re.split(r"^[ │]*[─-]{3,}[ │]*$", box, flags=re.MULTILINE)[0 if drawn else 1 :] or [box]
    text, *rest = (re.sub(r"[╭╰].*|│", "", section) for section in sections)
    text = " ".join(text.split()).rstrip(".")
    meant = (section for section in rest if "you meant" in section)
    near = next((word for word in "".join(meant).split() if word.startswith("--")), None)
    return text if near is None or near in re.findall(r"[\w-]+", text) else f"{text}: did you mean {near}?"


def _with_data(recipe: Recipe[Any], config: Any, name: str) -> Any:
    import dataclasses

    if name not in list_datasets():
        takes = f"{recipe.name} takes {', '.join(recipe.datasets)}"
        raise UsageError(f"{unknown('data set', name, list_datasets())} ({takes})")
    if name not in recipe.datasets:
        raise UsageError(f"{recipe.name} is not made for {name}: choose {', '.join(recipe.datasets)}")
    return dataclasses.replace(config, data=name) if hasattr(config, "data") else config


def _trained(recipe: Recipe[Any], options: argparse.Namespace) -> tuple[Any, Any, str]:
    """Model, settings and origin: what the options name, else the newest finished run, else the artifact."""
    runs = find_runs(recipe)
    if options.source and not Path(options.source).exists():
        raise UsageError(unknown("run or checkpoint", options.source, (str(run.folder) for run in runs)))
    if options.source:
        return _from_run(recipe, Path(options.source))
    if options.preset:
        _preset(recipe, options.preset)
        folder = default_folder(recipe, options.preset)
        if not CheckpointFolder(folder).paths():
            command = f"agm train {recipe.name} --preset {options.preset}"
            raise UsageError(f"{folder}: no run of this preset here; run: {command}")
        return _from_run(recipe, folder)
    finished = [run.folder for run in runs if run.finished]
    if finished:
        others = f" of {len(finished)}" if len(finished) > 1 else ""
        _note(f"{recipe.name}: taking {finished[0]}, the newest finished run{others}; --from takes another")
        return _from_run(recipe, finished[0])
    halfway = f" ({runs[0].folder} is not finished; --from takes it as it is)" if runs else ""
    try:
        artifact = load_artifact(recipe.name)
    except ArtifactError as error:
        raise TrainingError(
            f"{recipe.name}: no finished run below runs/{halfway}, `agm train {recipe.name}` makes one; and "
            f"no model of the book: {error}"
        ) from None
    _note(f"{recipe.name}: no finished run below runs/{halfway}: taking the model of the book")
    return artifact.model, artifact.config, f"artifacts/{recipe.name}"


def _from_run(recipe: Recipe[Any], path: Path) -> tuple[Any, Any, str]:
    return *load_run(recipe, path), str(find_checkpoint(path))


def _note(text: str) -> None:
    print(text, file=sys.stderr)


def _artifact_state(recipe: Recipe[Any]) -> str:
    try:
        record = read_provenance(recipe.name)
    except TrainingError:
        return "none"
    state = "stale" if staleness(recipe, record) else "fresh"
    return f"{state} ({record.get('preset')}; {training_cost(record)})"


def complain(text: object) -> None:
    """Print an error on one line."""
    print(f"error: {' '.join(str(text).split())}", file=sys.stderr)
