"""Where a run happens: devices and processes, its folder's lock, signals, and memory that runs out."""

from __future__ import annotations

# book/appendices/b-training.qmd § Where a run happens
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import torch
from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from torch import nn

from agm.training.config import TrainingConfig
from agm.training.errors import TrainingError


def make_fabric(config: TrainingConfig) -> Fabric:
    """Devices and processes, as `torchrun` announced them or else one device here.

    Args:
        config: the settings of the run.

    Returns:
        Fabric, launched.

    Raises:
        TrainingError: if the accelerator or the precision is not to be had.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    try:
        fabric = Fabric(
            accelerator=config.accelerator,
            devices=local,
            num_nodes=max(1, world // local),
            strategy="ddp" if world > 1 else "auto",
            # float64 we see to ourselves: Fabric would round the loss to float32
            precision="bf16-mixed" if config.precision == "bf16-mixed" else "32-true",
        )
    except Exception as error:  # Fabric raises its own kinds, and RuntimeError, and ValueError
        raise TrainingError(
            f"no {config.accelerator} accelerator for {local} processes ({error}): choose accelerator = cpu"
        ) from None
    if config.precision == "bf16-mixed" and not has_bfloat16(fabric.device):
        raise TrainingError(
            f"precision = 'bf16-mixed': this {fabric.device.type} device has no bfloat16 arithmetic; "
            "use '32-true'"
        )
    fabric.launch()
    return fabric


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 itself, instead of emulating it."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def make_optimizer(model: nn.Module, config: TrainingConfig) -> torch.optim.Optimizer:
    """The optimiser of a run; weight decay falls on matrices only.

    Args:
        model: its parameters that require a gradient are optimised.
        config: the settings of the run.

    Returns:
        AdamW or SGD.

    Raises:
        TrainingError: if there is nothing to optimise.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise TrainingError("the model has no parameters that require a gradient: nothing to train")
    decaying = [p for p in parameters if p.ndim >= 2 and config.weight_decay > 0]
    others = [p for p in parameters if p.ndim < 2 or config.weight_decay == 0]
    groups = [
        {"params": chosen, "weight_decay": decay}
        for chosen, decay in ((decaying, config.weight_decay), (others, 0.0))
        if chosen
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, config.learning_rate, momentum=config.betas[0])
    return torch.optim.AdamW(groups, config.learning_rate, betas=config.betas, fused=True)


@contextmanager
def locked(folder: Path, fabric: Fabric) -> Iterator[None]:
    """Hold the folder of a run, so that two runs cannot mix in it.

    Args:
        folder: made if it is missing.
        fabric: only its first process takes the lock.

    Raises:
        TrainingError: if another run holds it, or it cannot be made.
    """
    if not fabric.is_global_zero:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise TrainingError(
            f"{folder}: another run is at work here; wait for it or choose another folder"
        ) from None
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be used ({error.strerror}); choose another folder") from None
    try:
        yield
    finally:
        lock.release()


# book/appendices/b-training.qmd § Where a run happens
@contextmanager
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question that the loop asks between two steps.

    Yields:
        A function that says whether to stop. A second Ctrl-C stops at once.
    """
    asked: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def memory_advice(config: TrainingConfig) -> Iterator[None]:
    """Say what to change when memory runs out.

    Args:
        config: the settings of the run.

    Raises:
        TrainingError: in place of the allocator's error.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        part = config.batch_size // config.accumulate
        divisors: Sequence[int] = [n for n in range(2 * config.accumulate, config.batch_size + 1)]
        next_cut = next((n for n in divisors if config.batch_size % n == 0), config.batch_size)
        raise TrainingError(
            f"out of memory with {part} examples at a time: set accumulate = {next_cut} (same result up to "
            f"rounding, {config.batch_size // next_cut} examples at a time), or lower batch_size "
            f"(now {config.batch_size})"
        ) from error


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says, in one of the ways in use, that there was no memory left."""
    signs = ("not enough memory", "out of memory", "can't allocate memory", "Unable to allocate")
    memory = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return memory or any(sign in str(error) for sign in signs)
