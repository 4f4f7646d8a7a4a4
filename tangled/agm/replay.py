"""Replays: whether changed code still makes the artifact that is there, without making all of it."""

from __future__ import annotations

# book/appendices/b-training.qmd § Replays
import json
import os
import signal
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agm.artifacts import ArtifactError, artifacts_folder, read_provenance, stored_model
from agm.provenance import code_hashes
from agm.recipes import Recipe
from agm.runs import plain
from agm.training import LOOP_VERSION, Interrupted, StepContext, Task, train
from agm.training.checkpoint import write_atomically
from agm.training.data import make_source
from agm.training.metrics import read_metrics
from agm.training.states import differences

STEPS = 300
"""Steps that are made again."""


class _Stopping:
    """A task that asks its run to stop, as Ctrl-C would, once enough steps were made."""

    def __init__(self, task: Task, steps: int) -> None:
        self.task, self.steps = task, steps
        self.model: nn.Module = task.model

    def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
        """The loss of the task, and a signal in the last step."""
        if context.step + 1 >= self.steps:
            os.kill(os.getpid(), signal.SIGINT)
        return self.task.loss(batch, context)


def replay_artifact(recipe: Recipe[Any], steps: int = STEPS) -> str:
    """Make the first steps of an artifact's run again, and evaluate its weights again.

    If the losses are those of the record to the last bit, the record is given the new metrics and the digests
    of the present code, and keeps those of the code that trained it.

    Args:
        recipe: of the model.
        steps: how many to make.

    Returns:
        One line that says what was compared.

    Raises:
        ArtifactError: if the settings, the data or the loop have changed, which no replay can excuse, or if a
            loss differs: then the model has to be trained anew.
    """
    name = recipe.name
    record = read_provenance(name)
    config = recipe.preset(str(record.get("preset")))
    anew = f"run: make train MODEL={name}"
    task, dataset = recipe.build(config)
    if differences(record.get("config") or {}, plain(config)) or record.get("loop") != LOOP_VERSION:
        raise ArtifactError(f"artifacts/{name}: settings or loop have changed, a replay cannot help; {anew}")
    if record.get("data") != make_source(dataset, torch.device("cpu")).checksum():
        raise ArtifactError(f"artifacts/{name}: the data have changed, a replay cannot help; {anew}")
    before = {line["step"]: line for line in record["curve"] if line["kind"] == "train"}
    compared = [step for step in before if step <= steps]
    if not compared:
        raise ArtifactError(
            f"artifacts/{name}: no loss recorded in {steps} steps; replay {min(before, default=0)}"
        )
    with tempfile.TemporaryDirectory() as folder:
        with suppress(Interrupted):
            train(_Stopping(task, steps), dataset, config.training, folder=folder, progress=False)
        after = {line["step"]: line for line in read_metrics(Path(folder)) if line["kind"] == "train"}
    for step in compared:
        for key, value in before[step].items():
            if key != "items_per_second" and after.get(step, {}).get(key) != value:
                found = after.get(step, {}).get(key)
                raise ArtifactError(
                    f"artifacts/{name}: {key} of step {step} was {value!r}, is {found!r}; {anew}"
                )
    evaluation = recipe.evaluate(stored_model(recipe, record), config)
    record["metrics"] = {key: float(value) for key, value in evaluation.items()}
    record["trained_by"] = record.get("trained_by", record["code"])
    record |= {"code": code_hashes(recipe), "replayed": max(compared)}
    path = artifacts_folder() / name / "metrics.json"
    write_atomically(path, (json.dumps(record, indent=1) + "\n").encode())
    return f"{name}: the losses up to step {max(compared)} are the same; evaluated anew"
