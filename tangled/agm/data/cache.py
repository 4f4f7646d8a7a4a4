"""Processed data sets: built once from their sources, kept as one `.npz` file each."""

from __future__ import annotations

# book/appendices/c-data.qmd § Getting the files
import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from agm.data.fetch import Source, cache_directory, exclusive, fetch, prepare_directory
from agm.data.records import DataError

Arrays = dict[str, np.ndarray]


def sources_at_hand(alternatives: tuple[tuple[Source, ...], ...]) -> list[Path]:
    """Get the files of the first alternative that can be had.

    Args:
        alternatives: sets of sources that hold the same data; those whose files all lie in the
            cache come first, then the given order.

    Returns:
        The paths of one complete alternative, in its order.

    Raises:
        DataError: if none is complete; with the reason of every one.
    """
    downloads = cache_directory() / "downloads"

    def is_missing(sources: tuple[Source, ...]) -> bool:
        return not all((downloads / source.file).is_file() for source in sources)

    troubles = []
    for sources in sorted(alternatives, key=is_missing):
        try:
            return [fetch(source) for source in sources]
        except DataError as error:
            troubles.append(str(error))
    raise DataError(" | ".join(troubles))


def processed(
    name: str,
    alternatives: tuple[tuple[Source, ...], ...],
    build: Callable[[list[Path]], Mapping[str, np.ndarray]],
    recipe: int,
) -> Arrays:
    """Load the arrays of a data set, building them first if need be.

    The file name holds a digest of sources and recipe, so that arrays made from other sources or by
    an older recipe are never taken for current ones. A damaged file is built anew.

    Args:
        name: the data set.
        alternatives: see `sources_at_hand`.
        build: makes the arrays from the source files; must not depend on which alternative it gets.
        recipe: raise it whenever `build` gives another result.

    Returns:
        Name to array; nothing is unpickled.

    Raises:
        DataError: if the sources cannot be had or the result cannot be written.
    """
    key = hashlib.sha256(repr([[s.sha256 for s in sources] for sources in alternatives]).encode())
    target = cache_directory() / "processed" / f"{name}-{recipe}-{key.hexdigest()[:12]}.npz"
    arrays = _load(target)
    if arrays is not None:
        return arrays
    prepare_directory(target.parent)
    with exclusive(target):
        arrays = _load(target)
        if arrays is None:
            arrays = dict(build(sources_at_hand(alternatives)))
            _store(target, arrays)
    return arrays


# book/appendices/c-data.qmd § Getting the files
def _load(path: Path) -> Arrays | None:
    """Read every array of a file, or return nothing if it is absent or damaged (each has a CRC)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError:
        return None
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return None


def _store(path: Path, arrays: Arrays) -> None:
    """Write arrays to a file in one step."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
    except OSError as error:
        raise DataError(f"{path}: cannot write ({error.strerror}): free some space or set AGM_DATA") from None
    finally:
        part.unlink(missing_ok=True)
