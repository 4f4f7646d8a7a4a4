"""Artifacts: small trained weights with their provenance, refused when what made them has changed."""

from __future__ import annotations

# book/appendices/b-training.qmd § Artifacts
import ast
import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from agm.recipes import Recipe, get_recipe, recipe_module
from agm.training import LOOP_VERSION, TrainingError, TrainingResult
from agm.training.checkpoint import write_atomically
from agm.training.states import differences, load_weights

LARGEST = 2_000_000
"""Bytes that an artifact's weights may have."""
CURVE_POINTS = 300
OUTSIDE = ("agm.training", "agm.recipes", "agm.artifacts", "agm.plotting", "agm.data")
"""Modules that leave the weights alone, or are accounted for otherwise: the loop by `LOOP_VERSION`, the data
by their checksum."""


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


# book/appendices/b-training.qmd § Artifacts
def code_hashes(recipe: Recipe[Any]) -> dict[str, str]:
    """Digests of the modules that determine a recipe's weights.

    Args:
        recipe: its module is where the search begins.

    Returns:
        Name of the module to digest of its code without docstrings and comments, for the module and all
        that it imports from the package at its top level, directly or not.
    """
    hashes: dict[str, str] = {}
    waiting = [recipe_module(recipe)]
    while waiting:
        name = waiting.pop()
        if name in hashes or any(name == part or name.startswith(f"{part}.") for part in OUTSIDE):
            continue
        path = _source_of(name)
        if path is None:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        waiting += _imports(tree, name if path.name == "__init__.py" else name.rpartition(".")[0])
        _drop_docstrings(tree)
        hashes[name] = hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]
    return dict(sorted(hashes.items()))


def _source_of(name: str) -> Path | None:
    """The file of a module, None if the name is not one (but, say, a function in one)."""
    try:
        found = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return None
    return Path(found.origin) if found is not None and found.origin else None


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.startswith("agm."))


def _drop_docstrings(tree: ast.Module) -> None:
    """Remove strings that stand for themselves: docstrings of modules, classes, functions and fields."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [
                line
                for line in body
                if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            ]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]


# book/appendices/b-training.qmd § Artifacts
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
        "config": _plain(config),
        "code": code_hashes(recipe),
        "loop": LOOP_VERSION,
        "data": result.data,
        "weights": hashlib.sha256(content).hexdigest(),
        "storage": recipe.storage,
        "parameters": sum(parameter.numel() for parameter in result.model.parameters()),
        "device": device if device != "cpu" else f"cpu, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "seconds": round(result.seconds, 1),
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
    folder = artifacts_folder() / name
    record = read_provenance(name)
    trouble = staleness(recipe, record)
    if trouble:
        raise ArtifactError(f"artifacts/{name} is stale: {'; '.join(trouble)}; {_remedy(name)}")
    config = recipe.preset(record["preset"])
    try:
        content = (folder / "model.safetensors").read_bytes()
        if hashlib.sha256(content).hexdigest() != record["weights"]:
            raise ArtifactError(
                f"artifacts/{name}: weights and metrics do not belong together; {_remedy(name)}"
            )
        weights = safetensors.torch.load(content)
    except (OSError, safetensors.SafetensorError) as error:
        raise ArtifactError(f"artifacts/{name}: cannot be read ({error}); {_remedy(name)}") from None
    model = recipe.model(config)
    load_weights(model, _widened(weights), str(folder))
    model.eval()
    return Artifact(name, model, config, record["metrics"], record["curve"], record)


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


def staleness(recipe: Recipe[Any], record: dict[str, Any]) -> list[str]:
    """What has changed since an artifact was made.

    Args:
        recipe: as it is now.
        record: of the artifact.

    Returns:
        One phrase per change; empty if the artifact is fresh.
    """
    try:
        config = recipe.preset(str(record.get("preset")))
    except TrainingError as error:
        return [str(error)]
    old = {name: record.get(name) or {} for name in ("code", "config")}
    new = {"code": code_hashes(recipe), "config": _plain(config)}
    changed = [f"{module} changed" for module in differences(old["code"], new["code"])]
    changed += [
        f"{name} was {before!r}, is now {now!r}"
        for name, (before, now) in differences(old["config"], new["config"]).items()
    ]
    if record.get("loop") != LOOP_VERSION:
        changed.append(f"the training loop is version {LOOP_VERSION}, it was {record.get('loop')}")
    return changed


def _widened(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


def _plain(config: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config), default=str))
    return plain


def _remedy(name: str) -> str:
    return f"run: make train MODEL={name}"
