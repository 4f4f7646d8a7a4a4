"""What is trained and what comes out: the task's side of the contract, and the result."""

from __future__ import annotations

# book/appendices/b-training.qmd § The contract
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from agm.training.noise import StepContext


class Task(Protocol):
    """What is trained: a model and the loss of a batch.

    A task may also have `evaluate(model, context) -> Mapping[str, float]`, called with the averaged weights
    if weights are averaged, and `metric`, the name of the entry whose smallest value is the best.
    """

    model: nn.Module

    def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
        """Means over the examples of the batch; "loss" is minimised, the others are logged."""
        ...


@runtime_checkable
class Evaluated(Protocol):
    """A task that can be evaluated."""

    metric: str

    def evaluate(self, model: nn.Module, context: StepContext) -> Mapping[str, float]:
        """Metrics on held-out data; `context.at(first, end)` has noise for some of the examples."""
        ...


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Args:
        model: the trained model, with averaged weights if weights were averaged; in evaluation mode.
        step: number of steps made.
        metrics: the lines of the metrics file.
        evaluation: the last evaluation, empty if the task has none.
        best: step and value of the best evaluation, None if the task has none.
        seconds: training time by the clock, over all parts of a resumed run.
        cpu_seconds: processor time of the same steps, over all threads of the first process; None if a part
            of the run did not record it.
        data: checksum of the data set.
        folder: of the run.
    """

    model: nn.Module
    step: int
    metrics: list[dict[str, Any]]
    evaluation: dict[str, float]
    best: dict[str, Any] | None
    seconds: float
    cpu_seconds: float | None
    data: str
    folder: Path

    def curve(self, name: str = "loss", kind: str = "train") -> tuple[list[int], list[float]]:
        """Steps and values of one metric.

        Args:
            name: of the metric.
            kind: "train" or "evaluate".
        """
        lines = [line for line in self.metrics if line["kind"] == kind and name in line]
        return [line["step"] for line in lines], [line[name] for line in lines]
