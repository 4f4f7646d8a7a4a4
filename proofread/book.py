"""Proofreads many files in parallel and keeps the ledger."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from proofread.chapter import check_file
from proofread.errors import ProofreadError
from proofread.ledger import EquationResult, load, save


def check_files(
    paths: Iterable[Path | str],
    ledger: Path | None = None,
    jobs: int = 1,
    labels: Iterable[str] = (),
    root: Path | None = None,
) -> Iterator[tuple[str, list[EquationResult] | ProofreadError]]:
    """Proofread files; what did not change since the ledger was written is taken over.

    Args:
        paths: the files.
        ledger: JSON file that is read and updated after every file, or None.
        jobs: processes.
        labels: check only these equations.
        root: folder that file names in the ledger are relative to.

    Yields:
        (name, entries) as files are finished; (name, error) for a file that cannot be read.
    """
    labels = list(labels)
    known = load(ledger) if ledger is not None else {}
    names = {_name(Path(path), root): Path(path) for path in paths}
    entries = {
        place: result for place, result in known.items() if result.path in names or _exists(result.path, root)
    }

    def finished(name: str, outcome: list[EquationResult] | ProofreadError) -> None:
        if isinstance(outcome, ProofreadError) or ledger is None:
            return
        if not labels:
            for place in [place for place, result in entries.items() if result.path == name]:
                del entries[place]
        entries.update({f"{name}#{result.label}": result for result in outcome})
        save(ledger, list(entries.values()))

    if jobs <= 1 or len(names) <= 1:
        for name, path in names.items():
            outcome = _one(path, labels, known, name)
            finished(name, outcome)
            yield name, outcome
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=jobs, mp_context=context) as pool:
        mine = {
            pool.submit(_one, path, labels, {p: r for p, r in known.items() if r.path == name}, name): name
            for name, path in sorted(names.items(), key=lambda entry: -_size(entry[1]))
        }
        for future in as_completed(mine):
            name, outcome = mine[future], future.result()
            finished(name, outcome)
            yield name, outcome


def _size(path: Path) -> int:
    """Size of a file; the long ones come first, so that no process is left alone with one at the end."""
    return path.stat().st_size if path.is_file() else 0


def _exists(name: str, root: Path | None) -> bool:
    return ((root or Path()) / name).exists()


def _name(path: Path, root: Path | None) -> str:
    """The file's name relative to the root, with forward slashes."""
    if root is not None and path.resolve().is_relative_to(root.resolve()):
        return path.resolve().relative_to(root.resolve()).as_posix()
    return path.as_posix()


def _one(
    path: Path, labels: list[str], known: dict[str, EquationResult], name: str
) -> list[EquationResult] | ProofreadError:
    try:
        return check_file(path, labels, known, name)
    except ProofreadError as error:
        return ProofreadError(str(error))
