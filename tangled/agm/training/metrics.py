"""What a run tells: metrics as JSON lines, a progress bar, TensorBoard for those who want it."""

from __future__ import annotations

# book/appendices/b-training.qmd § Telling
import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from agm.training.checkpoint import write_atomically
from agm.training.errors import CheckpointError, TrainingError

FILE = "metrics.jsonl"
QUIET_SECONDS = 30.0
"""Seconds between two lines of progress where there is no terminal to draw a bar on."""


class MetricsLog:
    """A file with one JSON object per line; a line is there entirely or not at all.

    Args:
        folder: of the run.
        last_step: lines of later steps are dropped: the run is about to make those steps again.
        tensorboard: write scalars for TensorBoard as well.

    Raises:
        TrainingError: if TensorBoard is wanted and not installed.
    """

    def __init__(self, folder: Path, last_step: int, tensorboard: bool = False) -> None:
        self.path = folder / FILE
        old = read_metrics(folder)
        kept = [line for line in old if line["step"] <= last_step]
        write_atomically(self.path, b"".join(_line(entry) for entry in kept))
        self._board: Any = None
        if tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                raise TrainingError(
                    "tensorboard = True, but TensorBoard is not installed: pip install tensorboard"
                ) from None
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=last_step + 1)

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one line.

        Args:
            entry: with "step" and "kind".

        Raises:
            CheckpointError: if the disk is full.
        """
        try:
            # Unbuffered and for appending: one system call, at the end of the file.
            with self.path.open("ab", buffering=0) as stream:
                stream.write(_line(entry))
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: cannot write ({error.strerror}): free some space and run the command again"
            ) from None
        if self._board is not None:
            for name, value in entry.items():
                if isinstance(value, float):
                    self._board.add_scalar(f"{entry['kind']}/{name}", value, entry["step"])

    def close(self) -> None:
        """Finish what TensorBoard still holds back."""
        if self._board is not None:
            self._board.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The metrics of a run so far.

    Args:
        folder: of the run.

    Returns:
        One record per line, without a last line that a killed run left unfinished.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if isinstance(entry, dict) and "step" in entry:
            entries.append(entry)
    return entries


def _line(entry: Mapping[str, Any]) -> bytes:
    plain = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in entry.items()
    }
    return (json.dumps(plain) + "\n").encode()


# book/appendices/b-training.qmd § Telling
class Reporter:
    """Shows progress: a bar on a terminal, a line now and then elsewhere, nothing if not wanted.

    Args:
        steps: of the whole run.
        done: steps made before.
        batch_size: examples per step.
        wanted: whether to show anything.
    """

    def __init__(self, steps: int, done: int, batch_size: int, wanted: bool) -> None:
        self._wanted = wanted
        self._terminal = sys.stderr.isatty()
        self._steps, self._first, self._step = steps, done, done
        self._batch_size = batch_size
        self._start = self._told = time.monotonic()
        self._bar = tqdm(
            total=steps, initial=done, unit="step", disable=not (wanted and self._terminal), mininterval=0.2
        )

    def update(self, loss: float) -> None:
        """Count one step.

        Args:
            loss: of the step.
        """
        self._step += 1
        if not self._wanted:
            return
        now = time.monotonic()
        if self._terminal:
            if now - self._told >= 0.2:
                self._told = now
                self._bar.set_postfix_str(f"loss {loss:.4g}, {self.rate(now):.0f} items/s", refresh=False)
            self._bar.update()
        elif now - self._told >= QUIET_SECONDS:
            self._told = now
            left = (self._steps - self._step) * (now - self._start) / max(1, self._step - self._first)
            self.say(
                f"step {self._step} of {self._steps}, loss {loss:.4g}, {self.rate(now):.0f} items/s, "
                f"{left:.0f} s left"
            )

    def rate(self, now: float | None = None) -> float:
        """Examples per second since the start."""
        elapsed = (now or time.monotonic()) - self._start
        return (self._step - self._first) * self._batch_size / max(elapsed, 1e-9)

    def say(self, text: str) -> None:
        """Print a line without disturbing the bar."""
        if self._wanted:
            tqdm.write(text, file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()
