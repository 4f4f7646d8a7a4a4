"""Randomness without state: every random number is a function of seed, step, draw and example."""

from __future__ import annotations

# book/appendices/b-training.qmd § Randomness without state
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

BLOCK = 32
"""Examples whose noise is drawn together."""

# Streams: the second word of the generator's key.
TRAIN, EVALUATE, ORDER, GLOBAL = range(4)


def philox(seed: int, stream: int, step: int = 0, call: int = 0, block: int = 0) -> np.random.Generator:
    """A random generator that is found, not carried along: the counter-based Philox.

    Args:
        seed: of the run.
        stream: what the numbers are for.
        step: of the run.
        call: how many draws came before it in this step.
        block: number of the group of examples.

    Returns:
        A generator that shares none of its 2^64 numbers with that of any other arguments.
    """
    key = np.array([seed, stream], dtype=np.uint64)
    # The lowest word counts the numbers drawn; the others say where we are.
    counter = np.array([0, block, call, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


class StepContext:
    """What a loss may know beside its batch: the step, and the noise of its examples.

    Each draw gives one slice per example, along the first dimension. The k-th draw for the example at
    place i of the batch depends on (seed, step, k, i) and on nothing else: neither on what was drawn
    before, nor on how the batch is cut among processes or accumulated parts.

    Args:
        rows: number of examples, or their places `range(first, end)` in the whole batch.
        step: number of steps already made.
        seed: of the run.
        device: where noise is wanted.
        dtype: of normal and uniform numbers.
        stream: what the numbers are for.
        on_device: draw on the device, from a generator seeded by (seed, step, draw, first place).
    """

    def __init__(
        self,
        rows: int | range,
        step: int = 0,
        seed: int = 0,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        stream: int = TRAIN,
        on_device: bool = False,
    ) -> None:
        places = range(rows) if isinstance(rows, int) else rows
        self.first, self.end = places.start, places.stop
        self.step = step
        self.seed = seed
        self.device = torch.device(device)
        self.dtype = dtype
        self._stream = stream
        self._on_device = on_device
        self._calls = 0

    @property
    def rows(self) -> int:
        """Number of examples in this process's part of the batch."""
        return self.end - self.first

    def at(self, first: int, end: int) -> StepContext:
        """The context of other examples, for instance of a slice of the test set; draws count from 0.

        Args:
            first: place of the first example.
            end: place after the last.

        Returns:
            A context with the same step, seed, device and stream.
        """
        return StepContext(
            range(first, end), self.step, self.seed, self.device, self.dtype, self._stream, self._on_device
        )

    def normal(self, *shape: int) -> Tensor:
        """Standard Gaussian noise.

        Args:
            shape: of one example's noise; nothing for a single number.

        Returns:
            `(rows, *shape)`.
        """
        wide = self.dtype == torch.float64
        return self._draw(
            shape,
            lambda generator, size: generator.standard_normal(size, np.float64 if wide else np.float32),
            lambda size, generator: torch.randn(
                size, generator=generator, device=self.device, dtype=self.dtype
            ),
        )

    def uniform(self, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1).

        Args:
            shape: of one example's noise.

        Returns:
            `(rows, *shape)`.
        """
        wide = self.dtype == torch.float64
        return self._draw(
            shape,
            lambda generator, size: generator.random(size, np.float64 if wide else np.float32),
            lambda size, generator: torch.rand(
                size, generator=generator, device=self.device, dtype=self.dtype
            ),
        )

    def integers(self, high: int, *shape: int) -> Tensor:
        """Integers from 0 to `high - 1`, all equally likely.

        Args:
            high: their number.
            shape: of one example's draw.

        Returns:
            `(rows, *shape)`, int64.
        """
        return self._draw(
            shape,
            lambda generator, size: generator.integers(high, size=size),
            lambda size, generator: torch.randint(high, size, generator=generator, device=self.device),
        )

    def _draw(
        self,
        shape: tuple[int, ...],
        on_host: Callable[[np.random.Generator, tuple[int, ...]], np.ndarray],
        on_device: Callable[[tuple[int, ...], torch.Generator], Tensor],
    ) -> Tensor:
        call = self._calls
        self._calls += 1
        if self._on_device:
            generator = torch.Generator(self.device)
            generator.manual_seed(_mix(self.seed, self._stream, self._counter, call, self.first))
            return on_device((self.rows, *shape), generator)
        blocks = range(self.first // BLOCK, -(-self.end // BLOCK))
        parts = [
            on_host(philox(self.seed, self._stream, self._counter, call, block), (BLOCK, *shape))
            for block in blocks
        ]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts)
        start = self.first - blocks.start * BLOCK
        return torch.from_numpy(whole[start : start + self.rows]).to(self.device, non_blocking=True)

    @property
    def _counter(self) -> int:
        # All evaluations see the same noise, so that two of them differ by the model alone.
        return 0 if self._stream == EVALUATE else self.step


# book/appendices/b-training.qmd § Randomness without state
def epoch_order(seed: int, epoch: int, size: int) -> np.ndarray:
    """The order in which one epoch visits the examples.

    Args:
        seed: of the run.
        epoch: its number, from 0.
        size: number of examples.

    Returns:
        A permutation of 0 … size - 1, int64.
    """
    return philox(seed, ORDER, epoch).permutation(size)


class DataOrder:
    """The endless sequence of examples: one permutation after the other, batches cut from it as it comes.

    Args:
        seed: of the run.
        size: number of examples.
    """

    def __init__(self, seed: int, size: int) -> None:
        self.seed = seed
        self.size = size
        self._epoch = -1
        self._order = np.empty(0, dtype=np.int64)

    def epoch(self, number: int) -> np.ndarray:
        """The permutation of an epoch; the last one asked for is remembered."""
        if number != self._epoch:
            self._epoch, self._order = number, epoch_order(self.seed, number, self.size)
        return self._order

    def slice(self, first: int, end: int) -> np.ndarray:
        """Examples at the places `first` to `end - 1` of the sequence, (end - first,), int64."""
        parts = []
        while first < end:
            number, place = divmod(first, self.size)
            part = self.epoch(number)[place : place + end - first]
            parts.append(part)
            first += len(part)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


# book/appendices/b-training.qmd § Randomness without state
def _mix(*words: int) -> int:
    """Hash of integers to 63 bits (the finaliser of SplitMix64, once per word)."""
    state = 0
    for word in words:
        state = (state + word + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


def seed_torch(device: torch.device, *words: int) -> None:
    """Seed the generators that layers such as dropout draw from.

    Args:
        device: where the model is.
        words: what the seed depends on.
    """
    seed = _mix(*words)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


@contextmanager
def forked(device: torch.device) -> Iterator[None]:
    """Leave torch's generators, here and on a device, as they were before."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch inside, for instance to initialise a model, and leave it outside as it was.

    Args:
        seed: what the numbers inside depend on.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
