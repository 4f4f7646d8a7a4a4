"""Data sets as the loop wants them: batches by index, a checksum, and no surprises inside."""

from __future__ import annotations

# book/appendices/b-training.qmd § Data
import hashlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from agm.training.errors import TrainingError

RESIDENT_BYTES = 1 << 30
"""Tensors up to this size are kept on the device, so that batches need no transfer."""

Examples = Tensor | Sequence[Tensor] | Dataset[Any]


class Source(Protocol):
    """Where batches come from."""

    def __len__(self) -> int: ...

    def fetch(self, indices: np.ndarray) -> tuple[Tensor, ...]:
        """The examples with these indices, each tensor `(len(indices), ...)`."""
        ...

    def checksum(self) -> str:
        """Digest of the content."""
        ...


class TensorSource:
    """Tensors with one example per row, gathered by index.

    Args:
        tensors: each `(n, ...)`.
        device: where batches are wanted.
    """

    def __init__(self, tensors: Sequence[Tensor], device: torch.device) -> None:
        self._original = tuple(tensor.detach() for tensor in tensors)
        lengths = {len(tensor) if tensor.ndim else 0 for tensor in tensors}
        if len(lengths) > 1:
            shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
            raise TrainingError(f"data tensors of shapes {shapes}: expected the same number of rows")
        for number, tensor in enumerate(self._original):
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
                flat = torch.isfinite(tensor.reshape(len(tensor), -1)).all(1)
                row = int(torch.nonzero(~flat)[0])
                raise TrainingError(
                    f"data tensor {number} has a value that is infinite or not a number, first in example "
                    f"{row}: remove or mend {int((~flat).sum())} of {len(flat)} examples"
                )
        self._device = device
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        self._resident = size <= RESIDENT_BYTES
        self._tensors = tuple(
            tensor.to(device) if self._resident else tensor.cpu() for tensor in self._original
        )

    def __len__(self) -> int:
        return len(self._tensors[0])

    def fetch(self, indices: np.ndarray) -> tuple[Tensor, ...]:
        """The examples with these indices, each tensor `(len(indices), ...)`."""
        index = torch.from_numpy(indices).to(self._tensors[0].device)
        batch = tuple(tensor.index_select(0, index) for tensor in self._tensors)
        return batch if self._resident else tuple(part.to(self._device) for part in batch)

    def checksum(self) -> str:
        """SHA-256 of shapes, types and all values."""
        return tensors_digest({str(number): tensor for number, tensor in enumerate(self._original)})


class MapSource:
    """A map-style data set whose items are tensors, numbers, or tuples of them.

    Args:
        dataset: with `__len__` and `__getitem__`; its own `checksum()` is used if it has one.
        device: where batches are wanted.
    """

    def __init__(self, dataset: Any, device: torch.device) -> None:
        self._dataset = dataset
        self._device = device

    def __len__(self) -> int:
        return len(self._dataset)

    def fetch(self, indices: np.ndarray) -> tuple[Tensor, ...]:
        """The examples with these indices, each tensor `(len(indices), ...)`."""
        items = [self._item(int(index)) for index in indices]
        try:
            batch = tuple(torch.stack(parts) for parts in zip(*items, strict=True))
        except (RuntimeError, ValueError) as error:
            raise TrainingError(f"examples of a batch differ in shape: pad or crop them ({error})") from None
        return tuple(part.to(self._device) for part in batch)

    def checksum(self) -> str:
        """The data set's own digest, or that of its length and of 64 items spread evenly over it."""
        if hasattr(self._dataset, "checksum"):
            return str(self._dataset.checksum())
        places = np.unique(np.linspace(0, len(self) - 1, 64).astype(int))
        items = {f"{place}/{k}": part for place in places for k, part in enumerate(self._item(int(place)))}
        return hashlib.sha256(f"{len(self)} {tensors_digest(items)}".encode()).hexdigest()

    def _item(self, index: int) -> tuple[Tensor, ...]:
        item = self._dataset[index]
        parts = tuple(torch.as_tensor(part) for part in (item if isinstance(item, tuple | list) else (item,)))
        for part in parts:
            if part.is_floating_point() and not bool(torch.isfinite(part).all()):
                raise TrainingError(f"example {index} has a value that is infinite or not a number: mend it")
        return parts


def make_source(examples: Examples, device: torch.device) -> Source:
    """Wrap a data set for the loop.

    Args:
        examples: a tensor, a sequence of tensors with one example per row, or a map-style data set.
        device: where batches are wanted.

    Returns:
        The source of batches.

    Raises:
        TrainingError: if it is empty, its tensors differ in length, or a value is not finite.
    """
    source: Source
    if isinstance(examples, Tensor):
        source = TensorSource((examples,), device)
    elif isinstance(examples, TensorDataset):
        source = TensorSource(examples.tensors, device)
    elif isinstance(examples, Sequence) and examples and all(isinstance(part, Tensor) for part in examples):
        source = TensorSource(examples, device)
    elif hasattr(examples, "__getitem__") and hasattr(examples, "__len__"):
        source = MapSource(examples, device)
    else:
        raise TrainingError(
            f"a data set of type {type(examples).__name__}: expected tensors or a map-style data set"
        )
    if len(source) == 0:
        raise TrainingError("the data set has no examples: check the split and the filters that made it")
    return source


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of named tensors: names, types, shapes and bytes.

    Args:
        tensors: name to tensor.

    Returns:
        64 hexadecimal digits; the order of the names does not matter.
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
