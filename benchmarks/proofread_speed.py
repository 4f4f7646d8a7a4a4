"""Time proofreading from nothing, chapter by chapter: `python benchmarks/proofread_speed.py --help`.

Every file is checked in a process of its own, without a ledger; what counts is processor time, so that a
busy machine changes less. Imports (SymPy, PyTorch, JAX) come first and are timed apart, since a run pays
for them once in each process. Appendices count as time, not as chapters: their solutions grow with the book.
The time of a book of 56 chapters on two cores is that of the imports, and 56 times the mean by two.
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
    "import sys, time; import jax, torch; from proofread.chapter import check_file; "
    "start = time.process_time(); found = check_file(sys.argv[1]); "
    "print(start, time.process_time() - start); "
    "slow = sorted(found, key=lambda entry: -entry.seconds)[:int(sys.argv[2])]; "
    "print(len(found), sum(entry.mutants.get('total', 0) for entry in found), "
    "*(f'{entry.label}:{entry.seconds:.1f}' for entry in slow))"
)


def measured(path: Path, slowest: int) -> tuple[float, float, str]:
    """Processor seconds of the imports and of one file, and what else the check printed."""
    environment = os.environ | {
        "PYTHONPATH": f"{REPOSITORY / 'tangled'}:{REPOSITORY}",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-W", "ignore", "-c", CHECK, str(path), str(slowest)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    times, said = done.stdout.strip().splitlines()
    start, seconds = map(float, times.split())
    return start, seconds, said


def main() -> None:
    """Measure the chapters named on the command line (by default those of the book)."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapters", nargs="*", type=Path, help="files (default: chapters and appendices)")
    parser.add_argument("--slowest", type=int, default=3, help="equations to name for each chapter")
    options = parser.parse_args()
    everything = [
        path for part in ("0*", "appendices") for path in sorted(REPOSITORY.glob(f"book/{part}/*.qmd"))
    ]
    files = options.chapters or everything
    chapters = sum(path.resolve().parent.name != "appendices" for path in files)
    if not chapters:
        parser.error("no chapter was found; name some")
    starts, times = [], []
    for path in files:
        start, seconds, said = measured(path, options.slowest)
        equations, mutants, *slow = said.split()
        starts.append(start)
        times.append(seconds)
        print(f"{path.name}: {seconds:.1f} CPU s, {equations} equations, {mutants} mutants; {' '.join(slow)}")
    mean, constant = sum(times) / chapters, sum(starts) / len(starts)
    whole = constant + mean * CHAPTERS / CORES
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"imports {constant:.1f} CPU s, then {mean:.1f} a chapter; largest memory {peak:.0f} MiB")
    print(f"{CHAPTERS} chapters on {CORES} cores: {whole:.0f} s (target {TARGET:.0f} s)")


if __name__ == "__main__":
    main()
