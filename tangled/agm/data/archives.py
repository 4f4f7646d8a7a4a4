"""Read named members of zip, tar and Debian archives into memory; nothing is ever unpacked to disk."""

from __future__ import annotations

# book/appendices/c-data.qmd § Getting the files
import fnmatch
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from agm.data.records import DataError

MEMBER_BYTES = 256 * 1024 * 1024


def read_members(path: Path, pattern: str) -> dict[str, bytes]:
    """Read the members of an archive whose names match a pattern.

    Args:
        path: a `.zip`, `.whl`, `.mxl`, `.tgz`, `.tar.gz` or `.deb` file.
        pattern: shell pattern for the whole name of a member; `*` also matches `/`.

    Returns:
        Name to contents, sorted by name.

    Raises:
        DataError: if the archive is damaged, if a member has an unsafe name or is absurdly
            large, or if none matches.
    """
    try:
        if path.suffix in {".zip", ".whl", ".mxl"}:
            found = dict(_zip_members(path, pattern))
        elif path.suffix == ".deb":
            found = dict(_tar_members(_debian_payload(path), path, pattern))
        else:
            found = dict(_tar_members(path.read_bytes(), path, pattern))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file: run `python -m agm.data` to fetch it") from None
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise DataError(
            f"{path}: damaged archive ({error}): delete it and run `python -m agm.data`"
        ) from None
    if not found:
        raise DataError(f"{path}: no member matches {pattern}: the archive is not the expected release")
    return dict(sorted(found.items()))


def check_member(path: Path, name: str, size: int) -> None:
    """Refuse a member that could leave a folder when unpacked, or that is absurdly large.

    Args:
        path: the archive, for the message.
        name: the member's name as stored.
        size: its size in bytes as stored.

    Raises:
        DataError: if the name is absolute, climbs with `..`, or the size is above `MEMBER_BYTES`.
    """
    pure = PurePosixPath(name.replace("\\", "/"))
    if pure.is_absolute() or ".." in pure.parts or ":" in name.split("/")[0]:
        raise DataError(f"{path}: unsafe member name {name!r}: do not use this archive, fetch it again")
    if size > MEMBER_BYTES:
        raise DataError(f"{path}: member {name!r} has {size} bytes: do not use this archive, fetch it again")


# book/appendices/c-data.qmd § Getting the files
def _zip_members(path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield matching members of a zip file; reading checks their CRC."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            check_member(path, member.filename, member.file_size)
            if not member.is_dir() and fnmatch.fnmatchcase(member.filename, pattern):
                yield member.filename, archive.read(member)


def _tar_members(payload: bytes, path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield matching regular files of a tar archive; links are passed over."""
    with tarfile.open(fileobj=io.BytesIO(payload), mode="r:*") as archive:
        for member in archive:
            check_member(path, member.name, member.size)
            if member.isfile() and fnmatch.fnmatchcase(member.name, pattern):
                stream = archive.extractfile(member)
                assert stream is not None
                yield member.name, stream.read()


def _debian_payload(path: Path) -> bytes:
    """Return the compressed `data.tar` of a Debian package, which is a Unix `ar` archive.

    An `ar` archive is a magic line and then, for each member, a header of 60 characters (name in
    16, size in decimal in columns 48 to 58, end mark) and the contents, padded to an even length.
    """
    content = path.read_bytes()
    if not content.startswith(b"!<arch>\n"):
        raise ValueError("not a Debian package")
    place = 8
    while place + 60 <= len(content):
        header = content[place : place + 60]
        if header[58:] != b"`\n":
            raise ValueError(f"broken header at byte {place}")
        size = int(header[48:58])
        if header[:16].startswith(b"data.tar"):
            payload = content[place + 60 : place + 60 + size]
            if len(payload) < size:
                raise ValueError("truncated")
            return payload
        place += 60 + size + size % 2
    raise ValueError("no data.tar inside")
