"""Proofreads many files in parallel and keeps the ledger."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from proofread.chapter import check_document, check_file
from proofread.claims import Claim, claims_of
from proofread.errors import ProofreadError
from proofread.extract import Document, read_document
from proofread.ledger import EquationResult, load, save

_PIECE = 4  # equations that a process takes at a time


def check_files(
    paths: Iterable[Path | str],
    ledger: Path | None = None,
    jobs: int = 1,
    labels: Iterable[str] = (),
    root: Path | None = None,
    progress: Callable[[int], object] | None = None,
) -> Iterator[tuple[str, list[EquationResult] | ProofreadError]]:
    """Proofread files; what did not change since the ledger was written is taken over.

    Args:
        paths: the files.
        ledger: JSON file that is read and updated after every file, or None.
        jobs: processes.
        labels: check only these equations.
        root: folder that file names in the ledger are relative to.
        progress: called with the number of equations that were finished.

    Yields:
        (name, entries) as files are finished; (name, error) for a file that cannot be read.
    """
    labels = list(labels)
    tell = progress or (lambda count: None)
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
            outcome = _one(path, labels, known, name, tell)
            finished(name, outcome)
            yield name, outcome
        return
    waiting = [
        _Paper(name, path, _pieces(path, name, labels), _weight(name, path, known))
        for name, path in names.items()
    ]
    for paper in _dealt(waiting, jobs, known, tell):
        outcome = _joined(paper.found)
        finished(paper.name, outcome)
        yield paper.name, outcome


@dataclass
class _Paper:
    """A file that several processes may work at.

    Args:
        name: in messages and in the ledger.
        path: of the file.
        pieces: labels that nobody has taken yet, a few at a time.
        weight: about how long it takes.
        running: pieces that processes work at.
        found: what came back.
    """

    name: str
    path: Path
    pieces: list[list[str]]
    weight: float
    running: int = 0
    found: list[list[EquationResult] | ProofreadError] = field(default_factory=list)


def _dealt(
    papers: list[_Paper], jobs: int, known: Mapping[str, EquationResult], tell: Callable[[int], object]
) -> Iterator[_Paper]:
    """Files as they are finished.

    A process stays with its file, since it has read that already; then it begins the longest fresh one, and
    when there is none it helps with the one that has most left.
    """
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pools = [
            stack.enter_context(ProcessPoolExecutor(max_workers=1, mp_context=context)) for _ in range(jobs)
        ]
        mine: dict[Future[list[EquationResult] | ProofreadError], tuple[int, _Paper]] = {}

        def busy(place: int, last: _Paper | None) -> None:
            """Give a process its next piece, if any is left."""
            left = [paper for paper in papers if paper.pieces]
            if not left:
                return
            fresh = [paper for paper in left if not paper.running and not paper.found]
            paper = max(fresh or left, key=lambda entry: len(entry.pieces) if not fresh else entry.weight)
            if last is not None and last.pieces:
                paper = last
            piece = paper.pieces.pop(0)
            own = {p: r for p, r in known.items() if r.path == paper.name and (not piece or r.label in piece)}
            paper.running += 1
            mine[pools[place].submit(_piece, paper.path, piece, own, paper.name)] = place, paper

        for place in range(jobs):
            busy(place, None)
        while mine:
            for future in wait(mine, return_when=FIRST_COMPLETED).done:
                place, paper = mine.pop(future)
                paper.running -= 1
                paper.found.append(future.result())
                busy(place, paper)
                tell(len(paper.found[-1]) if isinstance(paper.found[-1], list) else 0)
                if not paper.running and not paper.pieces:
                    yield paper


def _pieces(path: Path, name: str, labels: list[str]) -> list[list[str]]:
    """The labels of a file (those wanted, or all), a few at a time."""
    if labels:
        return [labels]
    try:
        labels = [display.label for display in read_document(path, name).displays if display.label]
    except ProofreadError:
        return [[]]  # the process that checks it reports what is wrong
    return [labels[start : start + _PIECE] for start in range(0, len(labels), _PIECE)] or [[]]


def _joined(parts: list[list[EquationResult] | ProofreadError]) -> list[EquationResult] | ProofreadError:
    """The entries of all pieces of a file in its order, or what made one of them fail."""
    entries: list[EquationResult] = []
    for part in parts:
        if isinstance(part, ProofreadError):
            return part
        entries.extend(part)
    return sorted(entries, key=lambda entry: entry.line)


def _weight(name: str, path: Path, known: Mapping[str, EquationResult]) -> float:
    """Seconds that a file took last time; otherwise a guess from its size."""
    before = sum(result.seconds for result in known.values() if result.path == name)
    return before or (path.stat().st_size / 20_000 if path.is_file() else 0.0)


def _exists(name: str, root: Path | None) -> bool:
    return ((root or Path()) / name).exists()


def _name(path: Path, root: Path | None) -> str:
    """The file's name relative to the root, with forward slashes."""
    if root is not None and path.resolve().is_relative_to(root.resolve()):
        return path.resolve().relative_to(root.resolve()).as_posix()
    return path.as_posix()


def _one(
    path: Path,
    labels: list[str],
    known: dict[str, EquationResult],
    name: str,
    tell: Callable[[int], object],
) -> list[EquationResult] | ProofreadError:
    try:
        return check_file(path, labels, known, name, lambda result, kept: tell(1))
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
