"""Proofreads many files in parallel and keeps the ledger."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from functools import lru_cache
from pathlib import Path

from proofread.chapter import check_document, check_file
from proofread.claims import Claim, claims_of
from proofread.errors import ProofreadError
from proofread.extract import Document, read_document
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

    if jobs <= 1:
        for name, path in names.items():
            outcome = _one(path, labels, known, name)
            finished(name, outcome)
            yield name, outcome
        return
    context = multiprocessing.get_context("spawn")
    longest = sorted(names.items(), key=lambda entry: -_size(entry[1]))
    found: dict[str, list[list[EquationResult] | ProofreadError]] = {name: [] for name in names}
    with ProcessPoolExecutor(max_workers=jobs, mp_context=context) as pool:
        mine: dict[Future[list[EquationResult] | ProofreadError], str] = {}
        parts: dict[str, int] = {}
        for place, (name, path) in enumerate(longest):
            own = {p: r for p, r in known.items() if r.path == name}
            # The last files are cut into pieces, so that no process is left alone with one at the end.
            pieces = _pieces(path, name, labels, 2 * jobs if place >= len(longest) - jobs else 1)
            parts[name] = len(pieces)
            mine |= {pool.submit(_piece, path, piece, own, name): name for piece in pieces}
        for future in as_completed(mine):
            name = mine[future]
            found[name].append(future.result())
            if len(found[name]) == parts[name]:
                outcome = _joined(found[name])
                finished(name, outcome)
                yield name, outcome


def _pieces(path: Path, name: str, labels: list[str], count: int) -> list[list[str]]:
    """The labels of a file (those wanted, or all), dealt into at most that many piles."""
    if count > 1 and not labels:
        try:
            labels = [display.label for display in read_document(path, name).displays if display.label]
        except ProofreadError:
            return [[]]  # the process that checks it reports what is wrong
    count = min(count, len(labels)) if count > 1 else 1
    return [labels[start::count] for start in range(count)] if labels else [[]]


def _joined(parts: list[list[EquationResult] | ProofreadError]) -> list[EquationResult] | ProofreadError:
    """The entries of all pieces of a file in its order, or what made one of them fail."""
    entries: list[EquationResult] = []
    for part in parts:
        if isinstance(part, ProofreadError):
            return part
        entries.extend(part)
    return sorted(entries, key=lambda entry: entry.line)


def _size(path: Path) -> int:
    """Size of a file; the long ones come first."""
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


@lru_cache(maxsize=2)
def _opened(path: Path, name: str) -> tuple[Document, dict[str, Claim]]:
    """A file and its claims, read once by each process of a run."""
    document = read_document(path, name)
    return document, claims_of(document)


def _piece(
    path: Path, labels: list[str], known: dict[str, EquationResult], name: str
) -> list[EquationResult] | ProofreadError:
    """Some equations of a file, in a process of its own."""
    try:
        return check_document(*_opened(path, name), labels, known)
    except ProofreadError as error:
        return ProofreadError(str(error))
