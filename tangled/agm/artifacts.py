"""Artifacts: small trained weights with their provenance, refused when what made them has changed."""

from __future__ import annotations

# book/appendices/b-training.qmd § Runs and artifacts
import argparse
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from agm.data import DataError
from agm.provenance import code_hashes, training_cost
from agm.recipes import Recipe, find_recipes, get_recipe
from agm.runs import default_folder, plain, train_recipe
from agm.training import LOOP_VERSION, MismatchError, TrainingError, TrainingResult
from agm.training.checkpoint import write_atomically
from agm.training.data import make_source
from agm.training.states import differences, load_weights

LARGEST = 2_000_000
"""Bytes that an artifact's weights may have."""
CURVE_POINTS = 300


class ArtifactError(TrainingError):
    """An artifact is missing, damaged or out of date; the message names the command that makes it."""


@dataclass(frozen=True)
class Artifact:
    """A trained model of the book.

    Args:
        name: of its recipe.
        model: with the stored weights, in evaluation mode.
        config: the settings it was trained with.
        metrics: on held-out data, of the stored weights.
        curve: lines of metrics along the way, thinned.
        provenance: everything that is recorded about it.
    """

    name: str
    model: nn.Module
    config: Any
    metrics: dict[str, float]
    curve: list[dict[str, Any]]
    provenance: dict[str, Any]


def artifacts_folder() -> Path:
    """Where artifacts are: `AGM_ARTIFACTS`, else `artifacts/` of the checkout, else of the working folder."""
    if "AGM_ARTIFACTS" in os.environ:
        return Path(os.environ["AGM_ARTIFACTS"])
    checkout = Path(__file__).resolve().parents[2]
    return (checkout if (checkout / "_quarto.yml").is_file() else Path.cwd()) / "artifacts"


# book/appendices/b-training.qmd § Runs and artifacts
def save_artifact(recipe: Recipe[Any], preset: str, result: TrainingResult) -> Path:
    """Store the weights of a finished run as the book's artifact, and evaluate them as stored.

    Args:
        recipe: of the model.
        preset: whose settings it was trained with.
        result: of the run.

    Returns:
        The artifact's folder.

    Raises:
        ArtifactError: if the weights are too large.
    """
    config = recipe.preset(preset)
    folder = artifacts_folder() / recipe.name
    storage = getattr(torch, recipe.storage)
    weights = {
        name: (value.to(storage) if value.is_floating_point() else value).cpu().contiguous()
        for name, value in result.model.state_dict().items()
    }
    content = safetensors.torch.save(weights)
    if len(content) > LARGEST:
        raise ArtifactError(
            f"{recipe.name}: {len(content) / 1e6:.2f} MB of weights, at most {LARGEST / 1e6:.0f} MB are "
            "allowed: choose a smaller preset, or storage = 'float16' in its recipe"
        )
    model = recipe.model(config)
    load_weights(model, _widened(weights), str(folder))
    model.eval()
    metrics = {name: float(value) for name, value in recipe.evaluate(model, config).items()}
    lines = result.metrics
    thinned = lines[:: -(-len(lines) // CURVE_POINTS) or 1]
    device = next(result.model.parameters()).device.type
    record = {
        "recipe": recipe.name,
        "preset": preset,
        "config": plain(config),
        "code": code_hashes(recipe),
        "loop": LOOP_VERSION,
        "data": result.data,
        "weights": hashlib.sha256(content).hexdigest(),
        "storage": recipe.storage,
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "device": device if device != "cpu" else f"cpu, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "seconds": round(result.seconds, 1),
        "cpu_seconds": None if result.cpu_seconds is None else round(result.cpu_seconds, 1),
        "steps": result.step,
        "metrics": metrics,
        "curve": thinned,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "model.safetensors", content)
    write_atomically(folder / "metrics.json", (json.dumps(record, indent=1) + "\n").encode())
    return folder


def load_artifact(name: str) -> Artifact:
    """Load a trained model of the book.

    Args:
        name: of its recipe.

    Returns:
        The model with its metrics and provenance.

    Raises:
        ArtifactError: if it is missing, damaged, or made by other code or settings than there are now.
    """
    recipe = get_recipe(name)
    record = read_provenance(name)
    trouble = staleness(recipe, record)
    if trouble:
        replay = "(with REPLAY=1 if the change cannot matter)"
        raise ArtifactError(f"artifacts/{name} is stale: {'; '.join(trouble)}; {_remedy(name)} {replay}")
    config = recipe.preset(record["preset"])
    model = stored_model(recipe, record)
    return Artifact(name, model, config, record["metrics"], record["curve"], record)


def stored_model(recipe: Recipe[Any], record: dict[str, Any]) -> nn.Module:
    """The model with the weights of an artifact, in evaluation mode, stale or not.

    Args:
        recipe: of the model.
        record: of the artifact.

    Raises:
        ArtifactError: if the weights are missing, damaged, or not those of the record.
    """
    name = recipe.name
    folder = artifacts_folder() / name
    try:
        content = (folder / "model.safetensors").read_bytes()
        if hashlib.sha256(content).hexdigest() != record["weights"]:
            raise ArtifactError(
                f"artifacts/{name}: weights and metrics do not belong together; {_remedy(name)}"
            )
        weights = safetensors.torch.load(content)
    except (OSError, safetensors.SafetensorError) as error:
        raise ArtifactError(f"artifacts/{name}: cannot be read ({error}); {_remedy(name)}") from None
    model = recipe.model(recipe.preset(record["preset"]))
    load_weights(model, _widened(weights), str(folder))
    model.eval()
    return model


def read_provenance(name: str) -> dict[str, Any]:
    """The record of an artifact, unchecked.

    Args:
        name: of its recipe.

    Raises:
        ArtifactError: if there is none that can be read.
    """
    path = artifacts_folder() / name / "metrics.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ArtifactError(f"artifacts/{name} does not exist; {_remedy(name)}") from None
    except (OSError, ValueError) as error:
        raise ArtifactError(f"artifacts/{name}: cannot be read ({error}); {_remedy(name)}") from None
    return record


def staleness(recipe: Recipe[Any], record: dict[str, Any], data: str | None = None) -> list[str]:
    """What has changed since an artifact was made.

    Args:
        recipe: as it is now.
        record: of the artifact.
        data: checksum of the data set as it is now, if it is known.

    Returns:
        One phrase per change; empty if the artifact is fresh.
    """
    try:
        config = recipe.preset(str(record.get("preset")))
    except TrainingError as error:
        return [str(error)]
    old = {name: record.get(name) or {} for name in ("code", "config")}
    new = {"code": code_hashes(recipe), "config": plain(config)}
    changed = [f"{module} changed" for module in differences(old["code"], new["code"])]
    changed += [
        f"{name} was {before!r}, is now {now!r}"
        for name, (before, now) in differences(old["config"], new["config"]).items()
    ]
    if data is not None and record.get("data") != data:
        changed.append("the data set changed")
    if record.get("loop") != LOOP_VERSION:
        changed.append(f"the training loop is version {LOOP_VERSION}, it was {record.get('loop')}")
    return changed


def _widened(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


def _remedy(name: str) -> str:
    return f"run: make train MODEL={name}"


# book/appendices/b-training.qmd § Runs and artifacts
def make_artifact(recipe: Recipe[Any], preset: str, *, progress: bool = True) -> str:
    """Make the artifact of a recipe unless it is fresh; an interrupted run is resumed.

    Args:
        recipe: of the model.
        preset: whose settings to use.
        progress: show it.

    Returns:
        One line that says what was done and what it cost.
    """
    config = recipe.preset(preset)
    try:
        record = read_provenance(recipe.name)
        data = make_source(recipe.build(config)[1], torch.device("cpu")).checksum()
        trouble = staleness(recipe, record, data)
        trouble += [] if record.get("preset") == preset else [f"preset {record.get('preset')}"]
        if not trouble:
            return f"{recipe.name}: fresh; it took {training_cost(record)} on {record['device']}"
        why = f"{'; '.join(trouble)}; it took {training_cost(record)}"
    except ArtifactError:
        why = "there is none"
    folder = default_folder(recipe, preset)
    print(f"{recipe.name}: training in {folder} ({why})", file=sys.stderr)
    try:
        result = train_recipe(recipe, config, folder, progress=progress)
    except MismatchError as error:
        print(f"{recipe.name}: starting afresh ({', '.join(error.differences)} changed)", file=sys.stderr)
        result = train_recipe(recipe, config, folder, resume=False, progress=progress)
    save_artifact(recipe, preset, result)
    return f"{recipe.name}: made in {training_cost(vars(result))}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the artifacts of the book: `python -m agm.artifacts [MODEL ...] [--preset small | --replay]`.

    Returns:
        0 if all are there and fresh, 1 if one could not be made, 2 for wrong arguments, 130 if interrupted.
    """
    parser = argparse.ArgumentParser(prog="python -m agm.artifacts", description="Make the book's artifacts.")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="by default all")
    parser.add_argument("--preset", default="small")
    parser.add_argument(
        "--replay", action="store_true", help="check that changed code makes the same, train nothing"
    )
    options = parser.parse_args(arguments)
    failed = 0
    try:
        recipes = [get_recipe(name) for name in options.models] or list(find_recipes().values())
        for recipe in recipes:
            recipe.preset(options.preset)
    except TrainingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for recipe in recipes:
        try:
            if options.replay:
                from agm.replay import replay_artifact

                print(replay_artifact(recipe))
            else:
                print(make_artifact(recipe, options.preset))
        except (TrainingError, DataError) as error:
            failed = 1
            print(f"error: {recipe.name}: {error}", file=sys.stderr)
        except KeyboardInterrupt as error:
            print(f"{recipe.name}: {error}", file=sys.stderr)
            return 130
    return failed


if __name__ == "__main__":
    sys.exit(main())
