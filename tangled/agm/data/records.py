"""What the loaders return: small frozen records of tensors, with shapes and ranges fixed here."""

from __future__ import annotations

# book/appendices/c-data.qmd § What a loader returns
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

Split = Literal["train", "test", "all"]


class DataError(RuntimeError):
    """A data set cannot be had or cannot be trusted; the message names the file and the remedy."""


def check_split(split: str) -> None:
    """Refuse a split that does not exist.

    Args:
        split: the name given by the caller.

    Raises:
        DataError: if it is not `train`, `test` or `all`.
    """
    if split not in get_args(Split):
        raise DataError(f"unknown split {split!r}: expected one of {', '.join(get_args(Split))}")


@dataclass(frozen=True)
class ImageData:
    """Images with labels.

    Args:
        name: the data set, as `card` knows it.
        split: `train`, `test` or `all`.
        images: `(n, channels, height, width)`, float32 in [0, 1].
        labels: `(n,)`, int64; an index into `classes`.
        classes: the name of every label.
        captions: one text per image, or empty where the data set has none.
    """

    name: str
    split: str
    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    captions: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)


class Vocabulary:
    """A sorted set of characters and its numbering.

    Args:
        characters: the characters, in any order and with repetitions.
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters: tuple[str, ...] = tuple(sorted(set(characters)))
        self._codes = np.array([ord(character) for character in self.characters], dtype=np.uint32)

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> Tensor:
        """Number the characters of a text.

        Args:
            text: any text over the vocabulary.

        Returns:
            `(len(text),)`, int64.

        Raises:
            DataError: if a character is not in the vocabulary.
        """
        codes = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
        ids = np.searchsorted(self._codes, codes).clip(max=len(self) - 1)
        unknown = np.flatnonzero(self._codes[ids] != codes)
        if len(unknown):
            place = int(unknown[0])
            raise DataError(
                f"character {text[place]!r} at position {place} is not in the vocabulary "
                f"of {len(self)} characters: remove or replace it"
            )
        return torch.from_numpy(ids.astype(np.int64))

    def decode(self, ids: Tensor | Iterable[int]) -> str:
        """Turn numbers back into text.

        Args:
            ids: `(n,)` integers in `[0, len(self))`.

        Returns:
            The text of `n` characters.

        Raises:
            DataError: if a number is outside the vocabulary.
        """
        numbers = ids.flatten().tolist() if isinstance(ids, Tensor) else list(ids)
        for number in numbers:
            if not 0 <= number < len(self):
                raise DataError(f"id {number} is outside the vocabulary: expected 0 to {len(self) - 1}")
        return "".join(self.characters[number] for number in numbers)


@dataclass(frozen=True)
class TextData:
    """Running text with a character vocabulary.

    Args:
        name: the data set.
        split: `train`, `test` or `all`.
        text: the works of the split, one after the other.
        vocabulary: the characters of the whole data set, the same for every split.
        works: the titles in the split, in the order in which they stand in `text`.
        starts: the position in `text` at which each of the works begins.
    """

    name: str
    split: str
    text: str
    vocabulary: Vocabulary
    works: tuple[str, ...]
    starts: tuple[int, ...]

    def work(self, title: str) -> str:
        """The text of one work.

        Raises:
            DataError: if there is no work of that title in the split; the message names the nearest.
        """
        if title not in self.works:
            near = ", ".join(get_close_matches(str(title), self.works)) or ", ".join(self.works)
            raise DataError(f"{self.name}: no work {title!r} in the split {self.split!r}; perhaps {near}")
        index = self.works.index(title)
        ends = (*(start - 1 for start in self.starts[1:]), len(self.text))  # one empty line between works
        return self.text[self.starts[index] : ends[index]]

    def __len__(self) -> int:
        return len(self.text)

    @cached_property
    def ids(self) -> Tensor:
        """The text as numbers, `(len(text),)`, int64."""
        return self.vocabulary.encode(self.text)


@dataclass(frozen=True)
class AudioData:
    """Labelled sound clips of unequal length, padded with zeros to a batch.

    Args:
        name: the data set.
        split: `train`, `test` or `all`.
        waveforms: `(n, time)`, float32 in [-1, 1]; zero from `lengths[i]` on.
        lengths: `(n,)`, int64; samples that belong to the clip.
        labels: `(n,)`, int64; an index into `classes`.
        classes: the name of every label.
        voices: the speaker of every clip.
        sample_rate: samples per second.
    """

    name: str
    split: str
    waveforms: Tensor
    lengths: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    voices: tuple[str, ...]
    sample_rate: int

    def __len__(self) -> int:
        return len(self.waveforms)

    def clip(self, index: int) -> Tensor:
        """Return one clip without its padding.

        Args:
            index: which clip.

        Returns:
            `(lengths[index],)`, float32 in [-1, 1].
        """
        return self.waveforms[index, : int(self.lengths[index])]


@dataclass(frozen=True)
class ScoreData:
    """Four-part music on a regular time grid.

    Args:
        name: the data set.
        split: `train`, `test` or `all`.
        scores: one `(n_steps, 4)` int64 tensor a piece: MIDI pitch of soprano, alto, tenor
            and bass in every step, -1 for a rest.
        titles: the name of every piece.
        steps_per_quarter: grid steps in a quarter note.
    """

    name: str
    split: str
    scores: tuple[Tensor, ...]
    titles: tuple[str, ...]
    steps_per_quarter: int

    def __len__(self) -> int:
        return len(self.scores)
