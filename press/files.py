"""Files written whole or not at all, one run at a time, and a cache that may be deleted at any moment."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from press.errors import PressError

CACHE = ".press"
"""Folder under the root of the book that holds caches, locks and manifests; never committed."""


def read_text(path: Path, shown: str | Path | None = None) -> str:
    """Read a UTF-8 file with LF line ends; refuse anything else with the place of the first bad byte.

    Args:
        path: The file.
        shown: How messages name it, such as its path relative to the book; the path itself if left out.

    Raises:
        PressError: The file is missing, is not UTF-8, or has Windows line ends.
    """
    shown = path if shown is None else shown
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise PressError(
            "file not found", file=shown, remedy="create it, or take it out of _quarto.yml"
        ) from None
    except OSError as error:
        raise PressError(
            f"cannot be read: {error.strerror}", file=shown, remedy="check its permissions"
        ) from None
    if data.startswith(b"\xef\xbb\xbf"):
        remedy = "save the file as UTF-8 without a byte-order mark"
        raise PressError("begins with a byte-order mark", file=shown, line=1, remedy=remedy)
    if b"\r" in data:
        line = data[: data.index(b"\r")].count(b"\n") + 1
        raise PressError("Windows line ends", file=shown, line=line, remedy="save the file with LF line ends")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PressError(
            f"not UTF-8 (byte 0x{data[error.start]:02x})",
            file=shown,
            line=line,
            remedy="save the file as UTF-8",
        ) from None


def write(path: Path, content: str | bytes) -> bool:
    """Write a file atomically, and only when its content changes.

    Returns:
        Whether the file was written.

    Raises:
        PressError: The disk is full or the folder cannot be written; the old file is left as it was.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(name, 0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        remedy = (
            "free some space and run again"
            if error.errno == errno.ENOSPC
            else "check the folder's permissions"
        )
        raise PressError(f"cannot be written: {error.strerror}", file=path, remedy=remedy) from None
    return True


def digest(*parts: str | bytes) -> str:
    """SHA-256 of the parts, each with its length, so that no two lists of parts collide."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8") if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


def read_json(path: Path, default: Any) -> Any:
    """A JSON cache file, or the default when it is missing or damaged (a cache is only ever a shortcut)."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default


def write_json(path: Path, value: Any) -> bool:
    """Write JSON atomically, with sorted keys."""
    return write(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


@contextmanager
def one_run(root: Path, name: str = "press") -> Iterator[None]:
    """Hold the lock of the book, so that two runs never write the same files.

    Raises:
        PressError: Another run holds it.
    """
    folder = root / CACHE
    try:
        folder.mkdir(exist_ok=True)
        stream = (folder / f"{name}.lock").open("w")
    except OSError as error:
        raise PressError(
            f"cannot be written: {error.strerror}", file=folder, remedy="check the permissions"
        ) from None
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PressError(
                "another run is at work on this book", remedy="wait until it ends, then run again"
            ) from None
        yield
