"""Clipping of gradients, and the running average of weights."""

from __future__ import annotations

# book/appendices/b-training.qmd § One step
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def clip_factor(norm: Tensor, largest: float | Tensor) -> Tensor:
    """Factor that shortens a gradient to a largest norm (Pascanu, Mikolov & Bengio, 2013).

    Args:
        norm: Euclidean norm of the gradient.
        largest: the norm that it may have at most.

    Returns:
        min(1, largest / norm), of the shape of the norm.
    """
    return torch.clamp(largest / norm, max=1.0)  # @eq-tr-clip


def clip_gradients(parameters: Iterable[Tensor], largest: float) -> Tensor:
    """Shorten the gradients of all parameters, taken as one vector, in place.

    Args:
        parameters: those without a gradient are left out.
        largest: Euclidean norm that the whole may have at most; 0 leaves it as it is.

    Returns:
        The norm before, a scalar.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.get_total_norm(gradients)
    if largest > 0:
        # Not `if norm > largest`: a comparison on the host would wait for the device.
        torch._foreach_mul_(gradients, clip_factor(norm, largest))
    return norm


def averaging_weight(step: float, decay: float) -> float:
    """Weight of the newest point in a running average that never counts its starting point.

    Args:
        step: number of points so far, the newest included, from 1.
        decay: factor by which the weight of a point falls with every later one.

    Returns:
        (1 - decay) / (1 - decay^step): 1 for the first point, near 1 - decay after many.
    """
    return (1 - decay) / (1 - decay**step)  # @eq-tr-ema-weight


class AveragedWeights:
    """Running average of the parameters of a model.

    Args:
        model: its parameters are averaged; buffers are not.
        decay: factor by which the weight of old parameters falls per step.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._parameters = dict(model.named_parameters())
        self._averages = {name: value.detach().clone() for name, value in self._parameters.items()}

    def update(self, step: int) -> None:
        """Take the present parameters into the average.

        Args:
            step: number of steps made, from 1.
        """
        weight = averaging_weight(step, self.decay)
        with torch.no_grad():
            torch._foreach_lerp_(  # @eq-tr-ema
                list(self._averages.values()), list(self._parameters.values()), weight
            )

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the average into the model, and the parameters back afterwards, bit for bit."""
        kept = {name: value.detach().clone() for name, value in self._parameters.items()}
        self._put(self._averages)
        try:
            yield
        finally:
            self._put(kept)

    def install(self) -> None:
        """Put the average into the model for good."""
        self._put(self._averages)

    def state(self) -> dict[str, Tensor]:
        """Name of the parameter to its average."""
        return dict(self._averages)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Set the average.

        Args:
            state: as given by `state`.
        """
        for name, value in self._averages.items():
            value.copy_(state[name])

    def _put(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(values[name])
