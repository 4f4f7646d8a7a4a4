"""Time the press on a synthetic book of 56 chapters: `python benchmarks/press_speed.py --help`.

Each stage is the command that an author runs, in a process of its own, timed by the wall clock; memory is the
largest sum over the process and its children. Nothing is executed: the notebooks are written beforehand.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

TARGETS = {
    "tangle": 3.0, "lint": 10.0, "html, full": 25.0, "html, one chapter edited": 2.0, "pdf, full": 30.0,
    "book, nothing to do": 3.0,
}  # fmt: skip
"""Seconds on two cores."""
MEMORY = 2 * 1024**3
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measured:
    """What one stage took: seconds by the wall clock, bytes at its peak, seconds of all cores together."""

    seconds: float
    memory: int
    processor: float = 0.0


def run(command: list[str], folder: Path, quiet: bool = True) -> Measured:
    """Run a command and measure it.

    Raises:
        SystemExit: The command failed; its output is shown.
    """
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with tempfile.TemporaryFile() as output:
        start, before = time.monotonic(), _processor()
        shown = output if quiet else None
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=shown, stderr=shown)
        peak = [0]
        watcher = threading.Thread(target=_watch, args=(process, peak), daemon=True)
        watcher.start()
        status = process.wait()
        seconds, processor = time.monotonic() - start, _processor() - before
        watcher.join()
        if status:
            output.seek(0)
            sys.stderr.write(output.read().decode("utf-8", "replace")[-4000:])
            raise SystemExit(f"benchmark: {' '.join(command)} failed with status {status}")
    return Measured(seconds, peak[0], processor)


def _processor() -> float:
    """Processor seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    """Note the largest memory of a process and all below it, twenty times a second."""
    while process.poll() is None:
        peak[0] = max(peak[0], _memory(process.pid))
        time.sleep(0.05)


def _memory(root: int) -> int:
    """Resident bytes of a process and its descendants."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        parents[int(name)], sizes[int(name)] = int(fields[1]), int(fields[21]) * PAGE
    below = {root}
    while grown := {child for child, parent in parents.items() if parent in below} - below:
        below |= grown
    return sum(sizes.get(pid, 0) for pid in below)


def press(root: Path, *arguments: str, profile: Path | None = None) -> list[str]:
    """The command line of a verb."""
    measured = ["-m", "cProfile", "-o", str(profile)] if profile else []
    return [sys.executable, *measured, "-m", "press", "--root", str(root), *arguments]


def edit(root: Path) -> None:
    """Add a sentence to a chapter in the middle of the book."""
    chapters = sorted((root / "book").glob("0*/*.qmd"))
    chapter = chapters[len(chapters) // 2]
    text = chapter.read_text(encoding="utf-8")
    chapter.write_text(text.rstrip() + " One more sentence.\n", encoding="utf-8")


def prepare(root: Path, chapters: int) -> Measured:
    """Write the book and its notebooks; return what tangling it took."""
    from benchmarks.synthetic import Size, generate, store_outputs

    whole = Size()
    share = chapters / whole.chapters
    size = Size(chapters, int(whole.words * share), int(whole.equations * share), int(whole.figures * share))
    book = generate(root, size)
    tangled = run(press(root, "tangle"), root)
    store_outputs(book)
    return tangled


def measure(root: Path, chapters: int, jobs: int) -> dict[str, Measured]:
    """All stages in order."""
    workers = ("--jobs", str(jobs))
    found: dict[str, Measured] = {}

    def stage(name: str, measured: Measured) -> None:
        found[name] = measured
        print(f"{name}: {measured.seconds:.2f} s", file=sys.stderr)

    print(f"making a book of {chapters} chapters and its notebooks", file=sys.stderr)
    stage("tangle", prepare(root, chapters))
    stage("lint", run(press(root, "lint"), root))
    stage("html, full", run(press(root, "html", *workers), root))
    edit(root)
    stage("html, one chapter edited", run(press(root, "html", *workers), root))
    stage("pdf, full", run(press(root, "pdf", *workers), root))
    run(press(root, "book", *workers), root)
    stage("book, nothing to do", run(press(root, "book", *workers), root))
    return found


def quarto(root: Path) -> dict[str, Measured]:
    """The same book through Quarto, where it is installed; its freeze files are written by the press."""
    if shutil.which("quarto") is None:
        return {}
    stages = {"html, full": "html"} | ({"pdf, full": "pdf"} if shutil.which("xelatex") else {})
    return {name: run(press(root, "quarto", "--", "--to", form), root) for name, form in stages.items()}


def report(found: dict[str, Measured], peers: dict[str, Measured], full: bool) -> bool:
    """Print the table; return whether every target was met."""
    print(f"{'stage':<26}{'seconds':>9}{'target':>9}{'CPU s':>8}{'MiB':>8}{'Quarto':>10}{'ratio':>8}")
    good = True
    for name, measured in found.items():
        met = measured.seconds <= TARGETS[name] and measured.memory <= MEMORY
        good &= met
        peer = peers.get(name)
        other = (
            f"{peer.seconds:>10.1f}{peer.seconds / measured.seconds:>7.1f}x" if peer else f"{'–':>10}{'–':>8}"
        )
        mark = "" if met else "  missed"
        size = measured.memory / 1024**2
        times = f"{measured.seconds:>9.2f}{TARGETS[name]:>9.0f}{measured.processor:>8.1f}{size:>8.0f}"
        print(f"{name:<26}{times}{other}{mark if full else ''}")
    if not peers:
        print("Quarto is not installed, so nothing is compared with it.")
    return good


def profile(root: Path, verb: str, jobs: int) -> None:
    """Show where a verb spends its time in Python, from a cold cache."""
    import pstats

    if verb in ("html", "pdf", "book"):
        shutil.rmtree(root / "_book", ignore_errors=True)
        for cache in ("html", "pdf", "typst"):
            shutil.rmtree(root / ".press" / cache, ignore_errors=True)
    workers = ("--jobs", str(jobs)) if verb in ("html", "pdf", "book") else ()
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder, "profile")
        run(press(root, verb, *workers, profile=record), root)
        pstats.Stats(str(record)).sort_stats("cumulative").print_stats(35)


def main() -> int:
    """Run the benchmark; the exit status is 1 when the full book misses a target."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chapters", type=int, default=56, help="a smaller book (default: 56)")
    parser.add_argument("--jobs", type=int, default=2, help="chapters at work at once (default: 2)")
    parser.add_argument(
        "--folder", type=Path, help="make the book here and keep it (default: a folder that goes)"
    )
    parser.add_argument(
        "--profile", metavar="VERB", help="show the profile of tangle, lint, html, pdf or book"
    )
    options = parser.parse_args()
    if options.folder and options.folder.exists() and any(options.folder.iterdir()):
        parser.error(f"{options.folder} is not empty; name a new folder")
    with tempfile.TemporaryDirectory(prefix="press-speed-") as temporary:
        root = (options.folder or Path(temporary)).resolve()
        root.mkdir(parents=True, exist_ok=True)
        if options.profile:
            prepare(root, options.chapters)
            profile(root, options.profile, options.jobs)
            return 0
        found = measure(root, options.chapters, options.jobs)
        full = options.chapters >= 56
        good = report(found, quarto(root), full)
        pages = next(iter((root / "_book").glob("*.pdf")), None)
        if pages:
            megabytes = pages.stat().st_size / 1e6
            print(f"PDF of {megabytes:.1f} MB, {options.chapters} chapters, {options.jobs} jobs")
    return 0 if good or not full else 1


if __name__ == "__main__":
    sys.exit(main())
