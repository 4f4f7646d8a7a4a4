"""States of models and optimisers as named tensors, and whether they fit."""

from __future__ import annotations

# book/appendices/b-training.qmd § Checkpoints
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agm.training.checkpoint import Checkpoint
from agm.training.errors import CheckpointError, MismatchError


def flatten_optimizer(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The state of an optimiser as named tensors, "<name of the parameter>/<name>".

    Args:
        optimizer: one whose state is made of tensors, like those of torch.
        model: whose parameters it optimises.

    Returns:
        Name to tensor.
    """
    return {
        f"{name}/{entry}": torch.as_tensor(value)
        for name, parameter in model.named_parameters()
        for entry, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Put a flattened state back; learning rates and other settings stay those of the optimiser.

    Args:
        optimizer: one over the same parameters.
        model: whose parameters it optimises.
        tensors: as given by `flatten_optimizer`.

    Raises:
        CheckpointError: if the state is of other parameters.
    """
    packed = optimizer.state_dict()
    names = {parameter: name for name, parameter in model.named_parameters()}
    order = [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for path, value in tensors.items():
        name, _, entry = path.rpartition("/")
        if name not in order:
            raise CheckpointError(f"the optimiser's state is of {name!r}, which the model does not train")
        state.setdefault(order.index(name), {})[entry] = value
    optimizer.load_state_dict({"state": state, "param_groups": packed["param_groups"]})


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], origin: str) -> None:
    """Load weights into a model of the same architecture.

    Args:
        model: changed in place.
        tensors: name to weights.
        origin: the file they come from, for the message.

    Raises:
        CheckpointError: if names or shapes differ; names the first few. The model is not changed then.
    """
    own = model.state_dict()
    problems = [f"{name} is missing" for name in own if name not in tensors]
    problems += [f"{name} is not in the model" for name in tensors if name not in own]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)}, the model wants {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(
            f"{origin}: not a checkpoint of this model: {'; '.join(problems[:3])}{more}; "
            "use the model and the settings that it was trained with"
        )
    model.load_state_dict(dict(tensors))


def differences(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> dict[str, tuple[Any, Any]]:
    """Where two nested records differ.

    Args:
        old: the record in a checkpoint.
        new: the record of this run.
        prefix: put before all names.

    Returns:
        Dotted name to (old value, new value).
    """
    found: dict[str, tuple[Any, Any]] = {}
    for name in dict.fromkeys((*old, *new)):
        before, now = old.get(name), new.get(name)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            found |= differences(before, now, f"{prefix}{name}.")
        elif before != now:
            found[f"{prefix}{name}"] = (before, now)
    return found


def require_same_run(checkpoint: Checkpoint, expected: Checkpoint, folder: Path) -> None:
    """Refuse to go on from a checkpoint of another run.

    Args:
        checkpoint: what was found.
        expected: what this run would have written; only settings, description and data are compared.
        folder: of the run, for the message.

    Raises:
        MismatchError: if they differ; names the fields.
    """
    found = differences(checkpoint.settings, expected.settings)
    found |= differences(checkpoint.description, expected.description)
    remedy = "choose another folder, or start this one afresh (resume=False, --fresh)"
    if "recipe" in found:
        old, new = found["recipe"]
        raise MismatchError(f"{folder}: a run of {old}, not of {new}: {remedy}", found)
    if found:
        listed = [
            f"the code of {name.removeprefix('code.')} changed"
            if name.startswith("code.")
            else f"{name} was {old!r}, is now {new!r}"
            for name, (old, new) in found.items()
        ]
        more = f"; and {len(listed) - 6} more" if len(listed) > 6 else ""
        what = f"{'; '.join(listed[:6])}{more}"
        raise MismatchError(f"{folder}: a run with other settings: {what}. Restore them, {remedy}", found)
    if checkpoint.data != expected.data:
        raise MismatchError(
            f"{folder}: the data set has changed since step {checkpoint.step} (checksum "
            f"{checkpoint.data[:12]}, now {expected.data[:12]}). Restore it, {remedy}",
            {"data": (checkpoint.data, expected.data)},
        )
