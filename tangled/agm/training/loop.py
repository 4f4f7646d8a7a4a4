"""The loop: one function that trains any task, on one device or many, and can be killed at any moment."""

from __future__ import annotations

# book/appendices/b-training.qmd § The loop
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agm.training.average import clip_gradients
from agm.training.config import TrainingConfig, learning_rate_at
from agm.training.data import Examples
from agm.training.errors import Interrupted, NonFiniteError, TrainingError
from agm.training.metrics import read_metrics
from agm.training.noise import EVALUATE, GLOBAL, TRAIN, forked, seed_torch
from agm.training.run import Run
from agm.training.surroundings import locked, make_fabric, memory_advice, stop_on_signals
from agm.training.tasks import Evaluated, Task, TrainingResult

ASK_EVERY = 16
"""Steps between two votes of several processes on whether to stop."""


def train(
    task: Task,
    dataset: Examples,
    config: TrainingConfig,
    *,
    folder: str | Path,
    resume: bool = True,
    progress: bool = True,
    description: Mapping[str, Any] | None = None,
) -> TrainingResult:
    """Train a task; a run that was stopped goes on where its last checkpoint stands.

    Args:
        task: model and loss; the model is trained in place.
        dataset: a tensor, a sequence of tensors with one example per row, or a map-style data set.
        config: the settings.
        folder: of the run; holds `checkpoints/`, `metrics.jsonl` and `run.json`.
        resume: go on from the newest checkpoint; otherwise what is there is deleted.
        progress: show it.
        description: what else defines the run, such as the model's settings, ready for JSON; a checkpoint
            with another description is refused.

    Returns:
        The trained model, its metrics and evaluation.

    Raises:
        TrainingError: if something is wrong; the message says what, and the last checkpoint stays.
        Interrupted: on Ctrl-C or SIGTERM, after the state was saved.
    """
    fabric = make_fabric(config)
    folder = Path(folder)
    with forked(fabric.device), locked(folder, fabric):
        run = Run(fabric, task, dataset, config, folder, progress, dict(description or {}))
        run.start(resume)
        with memory_advice(config), stop_on_signals() as stop:
            _make_steps(run, stop)
        return _finish(run)


def _make_steps(run: Run, stop: Callable[[], bool]) -> None:
    """Make all steps that are left."""
    config = run.config
    clock, cpu = time.monotonic(), time.process_time()
    run.module.train()
    while run.step < config.steps:
        values = _one_step(run)
        run.step += 1
        for name, value in values.items():
            run.window[name] = run.window.get(name, 0.0) + value
        run.window_steps += 1
        run.reporter.update(values["loss"])
        last = run.step == config.steps
        if run.step % config.log_every == 0 or last:
            _log_window(run)
        if last or (config.evaluate_every and run.step % config.evaluate_every == 0):
            _evaluate(run)
        now, cpu_now = time.monotonic(), time.process_time()
        run.seconds, clock = run.seconds + now - clock, now
        if run.cpu_seconds is not None:
            run.cpu_seconds += cpu_now - cpu
        cpu = cpu_now
        stopped = _agreed(run, stop) and not last
        if last or stopped or (config.checkpoint_every and run.step % config.checkpoint_every == 0):
            path = run.save()
            if stopped:
                run.reporter.close()
                raise Interrupted(run.step, path)


def _finish(run: Run) -> TrainingResult:
    """Give back what was made."""
    run.reporter.close()
    if run.log is not None:
        run.log.close()
    run.fabric.barrier()
    if run.average is not None:
        run.average.install()
    run.task.model.eval()
    return TrainingResult(
        run.task.model,
        run.step,
        read_metrics(run.folder),
        run.evaluation,
        run.best,
        run.seconds,
        run.cpu_seconds,
        run.data,
        run.folder,
    )


# book/appendices/b-training.qmd § The loop
def _one_step(run: Run) -> dict[str, float]:
    """One step of the optimiser on one global batch; the means that it logs."""
    config, step, parts = run.config, run.step, run.config.accumulate
    rate = learning_rate_at(step, config)
    for group in run.optimizer.param_groups:
        group["lr"] = rate
    size = config.batch_size // parts
    share = size // run.fabric.world_size
    start = step * config.batch_size
    sums: dict[str, Tensor] = {}
    for part in range(parts):
        first = part * size + run.fabric.global_rank * share
        batch = run.batch(start + first, start + first + share)
        context = run.context(range(first, first + share), TRAIN)
        seed_torch(run.fabric.device, config.seed, GLOBAL, step, first)
        waits = part + 1 < parts
        with run.fabric.no_backward_sync(run.module, enabled=waits) if waits else nullcontext():
            losses = run.module(batch, context)
            if step == run.first_step:
                _check_losses(losses)
            run.fabric.backward(losses["loss"] / parts if parts > 1 else losses["loss"])  # @eq-tr-parts
        for name, value in losses.items():
            mean = value.detach() / parts
            sums[name] = sums[name] + mean if name in sums else mean
    norm = clip_gradients(run.parameters, config.gradient_clip)
    names = [*sums, "gradient_norm"]
    numbers = torch.stack([value.to(norm) for value in (*sums.values(), norm)]).tolist()
    values = dict(zip(names, numbers, strict=True))
    if not all(map(math.isfinite, numbers)):
        _explain_non_finite(run, values)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    if run.average is not None:
        run.average.update(step + 1)
    return values | {"learning_rate": rate}


def _check_losses(losses: Mapping[str, Tensor]) -> None:
    """Refuse what cannot be minimised or logged."""
    if "loss" not in losses:
        raise TrainingError(f"the task's loss returned {', '.join(losses) or 'nothing'}: 'loss' is missing")
    for name, value in losses.items():
        if value.numel() != 1 or value.ndim:
            raise TrainingError(
                f"the task's {name!r} has shape {tuple(value.shape)}: expected a mean over examples, a scalar"
            )
    if not losses["loss"].requires_grad:
        raise TrainingError("the task's 'loss' depends on no parameter: was it detached?")


def _explain_non_finite(run: Run, values: Mapping[str, float]) -> None:
    """Name what is not finite, and say what usually helps."""
    run.reporter.close()
    lost = [f"the value {name!r}" for name, value in values.items() if not math.isfinite(value)]
    broken = [
        f"the gradient of {name}"
        for name, parameter in run.task.model.named_parameters()
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
    ]
    culprit = lost[0] if not math.isfinite(values["loss"]) else (broken or lost)[0]
    saved = run.checkpoints.paths()
    where = f"the checkpoint {saved[0]} is intact" if saved else "no checkpoint had been written yet"
    raise NonFiniteError(
        f"step {run.step}: {culprit} is infinite or not a number (loss {values['loss']:.4g}, gradient "
        f"norm {values['gradient_norm']:.4g}); lower learning_rate (now "
        f"{run.optimizer.param_groups[0]['lr']:.3g}), set gradient_clip (now "
        f"{run.config.gradient_clip:g}) or lengthen warmup; {where}",
        run.step,
        culprit,
    )


# book/appendices/b-training.qmd § The loop
def _log_window(run: Run) -> None:
    """Write the means since the last line; over all processes where there are several."""
    means = {name: total / run.window_steps for name, total in run.window.items()}
    if run.fabric.world_size > 1:
        local = torch.tensor(list(means.values()), dtype=torch.float64)
        total = run.fabric.all_reduce(local.to(run.fabric.device, run.dtype), reduce_op="mean")
        means = dict(zip(means, total.tolist(), strict=True))  # type: ignore[union-attr]
    run.window, run.window_steps = {}, 0
    if run.log is not None:
        speed = {"items_per_second": round(run.reporter.rate(), 1)}
        run.log.write({"kind": "train", "step": run.step, **means, **speed})


def _evaluate(run: Run) -> None:
    """Evaluate, and keep the weights if they are the best so far."""
    if not hasattr(run.task, "evaluate"):
        return
    if not isinstance(run.task, Evaluated):
        raise TrainingError("the task has evaluate() but no `metric`: name the entry that decides")
    model = run.task.model
    model.eval()
    averaged = run.average.applied() if run.average is not None else nullcontext()
    with torch.no_grad(), averaged:
        context = run.context(range(0), EVALUATE)
        run.evaluation = {k: float(v) for k, v in run.task.evaluate(model, context).items()}
    model.train()
    if run.task.metric not in run.evaluation:
        names = ", ".join(run.evaluation) or "nothing"
        raise TrainingError(f"the task's metric is {run.task.metric!r}, but it evaluates {names}")
    value = run.evaluation[run.task.metric]
    if run.log is not None:
        run.log.write({"kind": "evaluate", "step": run.step, **run.evaluation})
    if math.isfinite(value) and (run.best is None or value < run.best["value"]):
        run.best = {"step": run.step, "metric": run.task.metric, "value": value}
        if run.fabric.is_global_zero:
            run.checkpoints.save_best(run.checkpoint())


def _agreed(run: Run, stop: Callable[[], bool]) -> bool:
    """Whether to stop; several processes ask one another now and then, so that all stop together."""
    if run.fabric.world_size == 1:
        return stop()
    if run.step % ASK_EVERY:
        return False
    vote = torch.tensor(float(stop()), device=run.fabric.device)
    votes = run.fabric.all_reduce(vote, reduce_op="sum")
    return bool(votes > 0)  # type: ignore[operator]
