"""A run that the tests kill, share between processes, and start again; importable in a fresh process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from agm.training import Interrupted, StepContext, TrainingConfig, TrainingResult, seeded, train
from torch import Tensor, nn
from torch.nn import functional

SETTINGS: dict[str, Any] = {
    "steps": 60, "batch_size": 24, "learning_rate": 3e-3, "schedule": "cosine", "warmup": 5,
    "weight_decay": 0.1, "gradient_clip": 0.5, "accumulate": 2, "ema_decay": 0.9, "seed": 3,
    "evaluate_every": 10, "checkpoint_every": 4, "log_every": 3, "accelerator": "cpu",
}  # fmt: skip


def data(rows: int = 100) -> tuple[Tensor, Tensor]:
    """Inputs and targets; 100 rows are no multiple of the batch, so that batches straddle epochs."""
    generator = torch.Generator().manual_seed(11)
    inputs = torch.randn(rows, 5, generator=generator)
    return inputs, inputs[:, :2] ** 2


class NoisyRegression:
    """A perceptron that uses every kind of randomness: noise, integers, and dropout."""

    metric = "error"

    def __init__(self, dropout: float = 0.2, pause: float = 0.0) -> None:
        with seeded(5):
            self.model: nn.Module = nn.Sequential(
                nn.Linear(5, 16), nn.BatchNorm1d(16) if dropout else nn.Identity(), nn.Tanh(),
                nn.Dropout(dropout), nn.Linear(16, 2),
            )  # fmt: skip
        self.pause = pause

    def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
        """Mean squared error under noise."""
        time.sleep(self.pause)
        inputs, targets = batch
        noise = 0.1 * context.normal(5) * context.uniform(1)
        sign = 1.0 - 2.0 * context.integers(2, 1)
        error = functional.mse_loss(self.model(inputs + sign * noise), targets)
        return {"loss": error, "size": noise.abs().mean()}

    def evaluate(self, model: nn.Module, context: StepContext) -> dict[str, float]:
        """Error on noisy data."""
        inputs, targets = data()
        noisy = inputs + 0.1 * context.at(0, len(inputs)).normal(5)
        return {"error": functional.mse_loss(model(noisy), targets).item()}


def run(
    folder: Path, settings: Mapping[str, Any] = SETTINGS, dropout: float = 0.2, pause: float = 0.0,
    slow_disk: float = 0.0,
) -> TrainingResult:  # fmt: skip
    """Train in this process with one thread.

    Args:
        folder: of the run.
        settings: of the loop.
        dropout: 0 for a model whose result does not depend on the number of processes.
        pause: seconds per forward pass.
        slow_disk: seconds that every fsync takes, so that a kill hits a save.
    """
    torch.set_num_threads(1)
    if slow_disk:
        fsync = os.fsync
        os.fsync = lambda number: (time.sleep(slow_disk), fsync(number))[1]
    task = NoisyRegression(dropout, pause)
    return train(task, data(), TrainingConfig(**settings), folder=folder, progress=False)


def run_as_rank(rank: int, world: int, port: int, folder: Path, settings: Mapping[str, Any]) -> None:
    """One of several processes, in the surroundings that torchrun makes."""
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "GROUP_RANK": "0", "WORLD_SIZE": str(world),
        "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "test",
    }  # fmt: skip
    run(folder, settings, dropout=0.0)
    torch.distributed.destroy_process_group()


def run_until_interrupted(folder: Path, number: int) -> None:
    """Train slowly; exits with 7 if a signal stopped the run in order."""
    try:
        run(folder, pause=0.01)
    except Interrupted as stop:
        assert stop.step > 0
        os._exit(7)


INTERRUPTS = (signal.SIGINT, signal.SIGTERM)
