"""The state of a run between two steps, and how it becomes a checkpoint and is made again from one."""

from __future__ import annotations

# book/appendices/b-training.qmd § The loop
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from agm.training.average import AveragedWeights
from agm.training.checkpoint import (
    Checkpoint,
    CheckpointFolder,
    write_atomically,
)
from agm.training.config import LOOP_VERSION, TrainingConfig, fixed_settings
from agm.training.data import Examples, make_source
from agm.training.errors import TrainingError
from agm.training.metrics import MetricsLog, Reporter
from agm.training.noise import DataOrder, StepContext
from agm.training.states import flatten_optimizer, load_weights, require_same_run, restore_optimizer
from agm.training.surroundings import make_optimizer
from agm.training.tasks import Task


class _Weighed(nn.Module):
    """The loss as the forward pass of a module, which is what distributed wrappers synchronise."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.model = task.model
        self._loss = task.loss

    def forward(self, batch: tuple[Tensor, ...], context: StepContext) -> dict[str, Tensor]:
        return dict(self._loss(batch, context))


class Run:
    """The state of a run, and its parts in the order in which they happen."""

    def __init__(
        self,
        fabric: Fabric,
        task: Task,
        dataset: Examples,
        config: TrainingConfig,
        folder: Path,
        progress: bool,
        description: dict[str, Any],
    ) -> None:
        parts = fabric.world_size * config.accumulate
        if config.batch_size % parts:
            raise TrainingError(
                f"batch_size = {config.batch_size} cannot be cut into {fabric.world_size} processes times "
                f"{config.accumulate} parts: choose a multiple of {parts}"
            )
        self.fabric, self.task, self.config, self.folder = fabric, task, config, folder
        self.source = make_source(dataset, fabric.device)
        self.order = DataOrder(config.seed, len(self.source))
        self.dtype = torch.float64 if config.precision == "64-true" else torch.float32
        self.module = fabric.setup_module(_Weighed(task).to(self.dtype))
        self.optimizer = make_optimizer(task.model, config)
        self.parameters = [p for p in task.model.parameters() if p.requires_grad]
        self.average = AveragedWeights(task.model, config.ema_decay) if config.ema_decay > 0 else None
        self.checkpoints = CheckpointFolder(folder, config.keep)
        self.progress = progress and fabric.is_global_zero
        described = {**description, "loop": LOOP_VERSION}
        self.description = json.loads(json.dumps(described, default=str))
        self.data = self.source.checksum()
        self.step = self.first_step = 0
        self.window: dict[str, float] = {}
        self.window_steps = 0
        self.best: dict[str, Any] | None = None
        self.evaluation: dict[str, float] = {}
        self.seconds = 0.0
        self.cpu_seconds: float | None = 0.0

    def start(self, resume: bool) -> None:
        """Find the checkpoint to go on from, and open the files."""
        found, troubles = self.checkpoints.latest() if resume else (None, [])
        if found is not None:
            self._restore(found)
        self.fabric.barrier()  # every process has read what process 0 is about to change
        self.first_step = self.step
        self.reporter = Reporter(self.config.steps, self.step, self.config.batch_size, self.progress)
        for trouble in troubles:
            self.reporter.say(f"passed over: {trouble}")
        if found is not None:
            self.reporter.say(f"{self.folder}: going on after step {self.step} of {self.config.steps}")
            before = found.state["processes"]
            if before != self.fabric.world_size:
                self.reporter.say(
                    f"{self.fabric.world_size} processes, {before} before: the same run up to rounding, "
                    "not bit for bit"
                )
        self.log: MetricsLog | None = None
        if self.fabric.is_global_zero:
            if found is None:
                self.checkpoints.clear()
            self.checkpoints.clean()
            self.log = MetricsLog(
                self.folder, self.step if found is not None else -1, self.config.tensorboard
            )
            record = {"config": asdict(self.config), "description": self.description, "data": self.data}
            write_atomically(self.folder / "run.json", (json.dumps(record, indent=2) + "\n").encode())

    def batch(self, first: int, end: int) -> tuple[Tensor, ...]:
        """The examples at these places of the endless sequence, in the precision of the run."""
        parts = self.source.fetch(self.order.slice(first, end))
        return tuple(part.to(self.dtype) if part.is_floating_point() else part for part in parts)

    def context(self, rows: range, stream: int) -> StepContext:
        on_device = self.config.noise == "device"
        return StepContext(
            rows, self.step, self.config.seed, self.fabric.device, self.dtype, stream, on_device
        )

    def checkpoint(self, with_tensors: bool = True) -> Checkpoint:
        """The state of the run as it is now."""
        tensors: dict[str, Tensor] = {}
        if with_tensors:
            tensors |= {f"model/{k}": v for k, v in self.task.model.state_dict().items()}
            tensors |= {
                f"optimizer/{k}": v for k, v in flatten_optimizer(self.optimizer, self.task.model).items()
            }
            if self.average is not None:
                tensors |= {f"average/{k}": v for k, v in self.average.state().items()}
        state = {
            "window": self.window,
            "window_steps": self.window_steps,
            "best": self.best,
            "evaluation": self.evaluation,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
            "processes": self.fabric.world_size,
            "order": self._order_digest(),
        }
        settings = fixed_settings(self.config)
        return Checkpoint(self.step, tensors, settings, self.description, self.data, state)

    def save(self) -> Path:
        if self.fabric.is_global_zero:
            self.checkpoints.save(self.checkpoint())
        return self.checkpoints.folder / f"step-{self.step:08d}.safetensors"

    def _restore(self, found: Checkpoint) -> None:
        """Become the run that wrote a checkpoint."""
        require_same_run(found, self.checkpoint(with_tensors=False), self.folder)
        if found.step > self.config.steps:
            raise TrainingError(
                f"{self.folder}: already at step {found.step}, steps = {self.config.steps}: ask for more "
                "steps or choose another folder"
            )
        load_weights(self.task.model, found.part("model"), str(self.folder))
        restore_optimizer(self.optimizer, self.task.model, found.part("optimizer"))
        if self.average is not None:
            self.average.load(found.part("average"))
        self.step, self.window = found.step, dict(found.state["window"])
        self.window_steps = found.state["window_steps"]
        self.best, self.evaluation = found.state["best"], dict(found.state["evaluation"])
        self.seconds = found.state["seconds"]
        self.cpu_seconds = found.state.get("cpu_seconds")  # checkpoints of earlier versions have none
        if found.state["order"] != self._order_digest():
            raise TrainingError(
                f"{self.folder}: this version of NumPy gives another data order than the one the run began "
                "with; finish with the old version or start afresh (resume=False, --fresh)"
            )

    def _order_digest(self) -> str:
        """Digest of the permutation that the next example comes from."""
        epoch = self.step * self.config.batch_size // len(self.source)
        return hashlib.sha256(self.order.epoch(epoch).tobytes()).hexdigest()
