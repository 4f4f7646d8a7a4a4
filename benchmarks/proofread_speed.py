"""Time proofreading from nothing, chapter by chapter: `python benchmarks/proofread_speed.py --help`.

Every chapter is checked in a process of its own, without a ledger; what counts is processor time, so that a
busy machine changes little. The mean is extrapolated to a book of 56 chapters on two cores.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CHAPTERS, CORES, TARGET = 56, 2, 180.0
CHECK = (
    "import sys, time; from proofread.chapter import check_file; found = check_file(sys.argv[1]); "
    "slow = sorted(found, key=lambda entry: -entry.seconds)[:int(sys.argv[2])]; "
    "print(len(found), sum(entry.mutants.get('total', 0) for entry in found), "
    "*(f'{entry.label}:{entry.seconds:.1f}' for entry in slow))"
)


def measured(path: Path, slowest: int) -> tuple[float, str]:
    """Processor seconds of one chapter, and what the check printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = os.environ | {
        "PYTHONPATH": f"{REPOSITORY / 'tangled'}:{REPOSITORY}",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "ignore", "-c", CHECK, str(path), str(slowest)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout.strip()


def main() -> None:
    """Measure the chapters named on the command line (by default those of the book)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapters", nargs="*", type=Path, help="chapters (default: all of book/0*/)")
    parser.add_argument("--slowest", type=int, default=3, help="equations to name for each chapter")
    options = parser.parse_args()
    chapters = options.chapters or sorted(REPOSITORY.glob("book/0*/*.qmd"))
    if not chapters:
        parser.error("no chapter was found; name some")
    times = []
    for path in chapters:
        seconds, said = measured(path, options.slowest)
        equations, mutants, *slow = said.split()
        times.append(seconds)
        print(f"{path.name}: {seconds:.1f} CPU s, {equations} equations, {mutants} mutants; {' '.join(slow)}")
    mean = sum(times) / len(times)
    whole = mean * CHAPTERS / CORES
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"mean {mean:.1f} CPU s a chapter, largest memory {peak:.0f} MiB")
    print(f"{CHAPTERS} chapters on {CORES} cores: {whole:.0f} s (target {TARGET:.0f} s)")


if __name__ == "__main__":
    main()
