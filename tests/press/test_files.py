"""Files written whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from press import files
from press.errors import PressError, PressErrors


def test_a_file_is_written_only_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "deep/er/file.txt"
    assert files.write(path, "é")
    os.utime(path, (1, 1))
    assert not files.write(path, "é")
    assert path.stat().st_mtime == 1
    assert files.write(path, b"other")
    assert path.read_bytes() == b"other" and path.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes go to a device that is always full; the old file stays and nothing is left beside it."""
    path = tmp_path / "file.txt"
    path.write_text("old")
    real = os.fdopen

    def full(handle: int, mode: str):
        os.dup2(os.open("/dev/full", os.O_WRONLY), handle)
        return real(handle, mode)

    monkeypatch.setattr(files.os, "fdopen", full)
    with pytest.raises(PressError, match=r"file.txt: cannot be written: No space left.* – free some space"):
        files.write(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def interrupted(source: str, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.write(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(PressError, match="cannot be written"):
        files.write(tmp_path / "a/b", "x")


def test_other_errors_name_the_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object, **kwargs: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.tempfile, "mkstemp", refused)
    with pytest.raises(PressError, match=r"Permission denied – check the folder's permissions"):
        files.write(tmp_path / "x", "y")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\nb\r\n", r"x\.md:2: Windows line ends"),
        (b"a\nb\n\xe9", r"x\.md:3: not UTF-8 \(byte 0xe9\)"),
        (b"\xef\xbb\xbfa", r"x\.md:1: begins with a byte-order mark"),
    ],
)
def test_text_is_utf8_with_lf(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x.md").write_bytes(data)
    with pytest.raises(PressError, match=message):
        files.read_text(tmp_path / "x.md")


def test_digests_keep_parts_apart() -> None:
    assert files.digest("ab", "c") != files.digest("a", "bc") != files.digest("abc")
    assert files.digest("é") == files.digest("é".encode())


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff"])
def test_a_damaged_cache_counts_as_missing(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "cache.json"
    assert files.read_json(path, 3) == 3
    files.write_json(path, {"a": "é"})
    assert files.read_json(path, None) == {"a": "é"} == json.loads(path.read_text(encoding="utf-8"))
    path.write_bytes(damage)
    assert files.read_json(path, 3) == 3


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from press.files import one_run\n"
        "with one_run(Path(sys.argv[2])): print('held', flush=True); sys.stdin.read()\n"
    )
    root = Path(files.__file__).parent.parent
    command = [sys.executable, "-c", script, str(root), str(tmp_path)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        with pytest.raises(PressError, match="another run is at work"), files.one_run(tmp_path):
            pass
    finally:
        other.kill()
        other.wait()
    with files.one_run(tmp_path):  # a killed run leaves no lock behind
        pass


def test_an_error_is_one_line_with_place_and_remedy() -> None:
    error = PressError("it is wrong", remedy="mend it", file="a.qmd", line=3)
    assert str(error) == "a.qmd:3: it is wrong – mend it"
    assert str(PressError("it is wrong")) == "it is wrong"
    assert str(PressErrors([error, error])).split("\n") == [str(error)] * 2
