"""What the training loop costs per step, beside the shortest loop that PyTorch allows, in interleaved runs.

    python benchmarks/training_speed.py [--width 512] [--steps 200] [--rounds 7]

Both train the same network on the same batches with the same optimiser. The bare loop does nothing else: no
clipping, no average, no metrics, no check for numbers that are not finite.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping

import torch
from agm.training import StepContext, TrainingConfig, seeded, train
from torch import Tensor, nn
from torch.nn import functional


class Regression:
    """A perceptron that predicts its input."""

    def __init__(self, width: int) -> None:
        with seeded(0):
            self.model: nn.Module = nn.Sequential(
                nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 784)
            )

    def loss(self, batch: tuple[Tensor, ...], context: StepContext) -> Mapping[str, Tensor]:
        """Mean squared error."""
        return {"loss": functional.mse_loss(self.model(batch[0]), batch[0])}


def bare(width: int, data: Tensor, steps: int, batch_size: int) -> float:
    """Milliseconds per step of the shortest loop."""
    task = Regression(width)
    optimizer = torch.optim.AdamW(task.model.parameters(), 1e-3, fused=True)
    start = time.perf_counter()
    for _ in range(steps):
        batch = data[torch.randint(len(data), (batch_size,))]
        loss = functional.mse_loss(task.model(batch), batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
    return 1e3 * (time.perf_counter() - start) / steps


def ours(width: int, data: Tensor, steps: int, batch_size: int, **settings: float) -> float:
    """Milliseconds per step of `agm.training.train`, without its set-up."""
    config = TrainingConfig(steps=steps, batch_size=batch_size, checkpoint_every=0, **settings)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        result = train(Regression(width), data, config, folder=folder, progress=False)
    return 1e3 * result.seconds / steps


def main() -> None:
    """Measure and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    data = torch.rand(4096, 784, generator=torch.Generator().manual_seed(0))
    common = (options.width, data, options.steps, options.batch_size)
    contenders = {
        "bare loop": lambda: bare(*common),
        "agm.training": lambda: ours(*common),
        "with clipping and average": lambda: ours(*common, gradient_clip=1.0, ema_decay=0.99),
    }
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for round_ in range(options.rounds + 1):
        for name, measure in contenders.items():
            elapsed = measure()
            if round_:  # the first round warms up
                times[name].append(elapsed)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, {options.rounds} rounds")
    print(f"{'ms a step':<26} median     best   best beside the bare loop")
    base = min(times["bare loop"])
    for name, values in times.items():
        best = min(values)  # what other work on the machine disturbed least
        print(
            f"{name:<26} {statistics.median(values):6.3f}   {best:6.3f}   "
            f"{best - base:+6.3f}  × {best / base:.3f}"
        )


if __name__ == "__main__":
    main()
