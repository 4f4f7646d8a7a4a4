"""How a model is trained: every setting with its meaning, its default and its limits."""

from __future__ import annotations

# book/appendices/b-training.qmd § Settings
import math
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import torch
from torch import Tensor

from agm.training.errors import TrainingError

LOOP_VERSION = 1
"""Raised whenever the loop's arithmetic changes, so that artifacts of the old one count as stale."""

FREE = {"free": True}
"""Marks settings that may change between the parts of a resumed run: they leave the weights alone."""


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of one run.

    Raises:
        TrainingError: if a value is outside its range; names the setting.
    """

    steps: int = 1000
    """Number of optimiser steps."""
    batch_size: int = 128
    """Examples per step, over all processes and accumulated parts together."""
    learning_rate: float = 1e-3
    """Step size after warm-up."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Course of the learning rate after warm-up."""
    warmup: int = 0
    """Steps over which the learning rate rises linearly from zero."""
    final_fraction: float = 0.0
    """Learning rate at the end of a linear or cosine schedule, as a fraction of `learning_rate`."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or plain gradient descent with momentum `betas[0]`."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of the running mean and of the running square of the gradient."""
    weight_decay: float = 0.0
    """Decoupled decay (AdamW) of parameters with two or more dimensions; biases and gains are spared."""
    gradient_clip: float = 0.0
    """Largest Euclidean norm of the whole gradient; 0 switches clipping off."""
    accumulate: int = 1
    """Parts into which a batch is cut so that it fits into memory; gradients are averaged over them."""
    ema_decay: float = 0.0
    """Decay of the running average of the weights, which then is the model; 0 switches averaging off."""
    precision: Literal["32-true", "64-true", "bf16-mixed"] = "32-true"
    """Arithmetic: float32, float64, or bfloat16 in the forward pass with float32 weights."""
    noise: Literal["host", "device"] = "host"
    """Where noise is drawn: on the CPU, the same for any number of processes, or faster on the device."""
    seed: int = 0
    """Determines data order, noise and dropout."""
    evaluate_every: int = field(default=0, metadata=FREE)
    """Steps between evaluations; 0 evaluates once, at the end."""
    checkpoint_every: int = field(default=500, metadata=FREE)
    """Steps between checkpoints; one is always written at the end and on Ctrl-C."""
    keep: int = field(default=2, metadata=FREE)
    """Number of latest checkpoints that stay on disk, besides the best one."""
    log_every: int = field(default=50, metadata=FREE)
    """Steps between two lines of metrics, each the mean over the steps since the last."""
    accelerator: Literal["auto", "cpu", "cuda", "mps"] = field(default="auto", metadata=FREE)
    """Device to train on; "auto" takes a GPU if there is one."""
    tensorboard: bool = field(default=False, metadata=FREE)
    """Write metrics for TensorBoard as well."""

    def __post_init__(self) -> None:
        for name, least in (
            ("steps", 1),
            ("batch_size", 1),
            ("accumulate", 1),
            ("keep", 1),
            ("log_every", 1),
        ):
            _require(getattr(self, name) >= least, self, name, f"at least {least}")
        for name in ("warmup", "evaluate_every", "checkpoint_every"):
            _require(getattr(self, name) >= 0, self, name, "0 or more")
        _require(0 <= self.seed < 2**63, self, "seed", "0 or more, and less than 2^63")
        for name in ("gradient_clip", "weight_decay"):
            value = getattr(self, name)
            _require(math.isfinite(value) and value >= 0, self, name, "finite and not negative")
        positive = math.isfinite(self.learning_rate) and self.learning_rate > 0
        _require(positive, self, "learning_rate", "finite and positive")
        _require(0 <= self.final_fraction <= 1, self, "final_fraction", "between 0 and 1")
        _require(0 <= self.ema_decay < 1, self, "ema_decay", "at least 0 and less than 1")
        _require(all(0 <= beta < 1 for beta in self.betas), self, "betas", "two numbers in [0, 1)")
        _require(self.warmup <= self.steps, self, "warmup", f"at most steps = {self.steps}")
        whole = self.batch_size % self.accumulate == 0
        _require(whole, self, "accumulate", f"a divisor of batch_size = {self.batch_size}")


def _require(holds: bool, config: TrainingConfig, name: str, expected: str) -> None:
    if not holds:
        raise TrainingError(f"{name} = {getattr(config, name)!r}: expected {expected}")


def fixed_settings(config: TrainingConfig) -> dict[str, Any]:
    """The settings on which the weights or the metrics depend, ready for JSON.

    Args:
        config: the settings of a run.

    Returns:
        Name to value. `steps` is left out where the schedule does not know the end: such a run may be
        prolonged.
    """
    values = {
        entry.name: getattr(config, entry.name) for entry in fields(config) if not entry.metadata.get("free")
    }
    if config.schedule == "constant":
        del values["steps"]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


# book/appendices/b-training.qmd § Settings
def warmup_factor(step: float, warmup: float) -> float:
    """Fraction of the learning rate while it rises.

    Args:
        step: number of steps already made, from 0.
        warmup: number of steps of the rise.

    Returns:
        (step + 1) / warmup, at most 1.
    """
    return min(1.0, (step + 1) / warmup) if warmup > 0 else 1.0  # @eq-tr-warmup


def cosine_factor(step: float, warmup: float, steps: float, final: float) -> Tensor:
    """Fraction of the learning rate while it falls along half a cosine (Loshchilov & Hutter, 2017).

    Args:
        step: number of steps already made, from `warmup` to `steps`.
        warmup: number of steps of the rise before.
        steps: number of all steps.
        final: fraction at the end.

    Returns:
        1 at the end of the warm-up, `final` after the last step.
    """
    progress = torch.as_tensor((step - warmup) / (steps - warmup), dtype=torch.float64)
    return final + (1 - final) * (1 + torch.cos(math.pi * progress)) / 2  # @eq-tr-cosine


def learning_rate_at(step: int, config: TrainingConfig) -> float:
    """Learning rate of one step.

    Args:
        step: number of steps already made, from 0 to `config.steps - 1`.
        config: the settings of the run.

    Returns:
        The rate; the step after the last would have `final_fraction` of the full one.
    """
    factor = 1.0
    if step < config.warmup:
        factor = warmup_factor(step, config.warmup)
    elif config.schedule == "cosine":
        factor = float(cosine_factor(step, config.warmup, config.steps, config.final_fraction))
    elif config.schedule == "linear":
        progress = (step - config.warmup) / (config.steps - config.warmup)
        factor = 1 - (1 - config.final_fraction) * progress
    return config.learning_rate * factor
