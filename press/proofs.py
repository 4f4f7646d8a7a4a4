"""Proofread the chapters, keep the ledger of verdicts, and tell the pages which mark an equation gets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from press.config import Book
from press.errors import PressError, PressErrors
from press.files import CACHE, digest, read_json, write_json
from press.source import Chapter, Equation
from press.source import read as read_chapter

LEDGER = "artifacts/ledger.json"
"""The committed ledger: what a reader can look up, without times and lines."""
WORK = f"{CACHE}/ledger.json"
"""The ledger that proofreading takes unchanged verdicts from."""
PAGE = "sec-ledger"
"""The label of the appendix that shows the ledger."""
WORDS = {
    "proved": ("✓✓", "proved: algebra and random draws agree"),
    "holds numerically": ("✓", "holds in all random draws"),
    "definition": ("def.", "definition"),
    "assumption": ("assumed", "assumption"),
    "cited theorem": ("cited", "cited theorem"),
}


@dataclass(frozen=True)
class Mark:
    """What stands beside the number of an equation."""

    text: str
    title: str


BY_HAND = Mark("by hand", "checked by two hand-written witnesses, which do not read the LaTeX")


def marks(book: Book) -> dict[str, Mark]:
    """The marks of all equations in the committed ledger, by label; empty without a ledger."""
    entries = read_json(book.root / LEDGER, {}).get("equations", [])
    return {
        entry["label"]: BY_HAND if entry.get("kind") == "checked by hand" else Mark(*WORDS[entry["verdict"]])
        for entry in entries
        if entry.get("verdict") in WORDS
    }


def proofread(book: Book, only: str | None = None, label: str = "", jobs: int = 2) -> dict[str, Any] | None:
    """Check the labelled equations of the book; those that did not change keep their verdict.

    Args:
        book: The book.
        only: Path of the one chapter to check, None for all.
        label: Check only this equation.
        jobs: Processes.

    Returns:
        The totals of the ledger, None when no chapter has a labelled equation.

    Raises:
        PressErrors: Equations refuted or undecided, mutants that survived, files that cannot be read.
    """
    chapters = {entry.path: read_chapter(book.root, entry.path) for entry in book.entries}
    wanted = {path: chapter for path, chapter in chapters.items() if only in (None, path)}
    papers = [path for path, chapter in wanted.items() if any(_labels(chapter))]
    if label and not any(label in _labels(chapter) for chapter in wanted.values()):
        raise PressError(f"no equation is labelled '{label}'", remedy="name one of the form eq-…")
    if label:
        papers = [path for path in papers if label in _labels(wanted[path])]
    key = _key(book, chapters)
    done = book.root / CACHE / "proofread.json"
    if not label and only is None and read_json(done, {}) == {"key": key, "ledger": _ledger_digest(book)}:
        totals: dict[str, Any] | None = read_json(book.root / LEDGER, {}).get("totals")
        return totals
    if not papers:
        return None
    errors = list(_check(book, papers, label, jobs))
    totals = _publish(book, set(chapters))
    if errors:
        raise PressErrors(errors)
    if not label and only is None:
        write_json(done, {"key": key, "ledger": _ledger_digest(book)})
    return totals


def _check(book: Book, papers: list[str], label: str, jobs: int) -> Iterator[PressError]:
    from tqdm import tqdm

    from proofread.__main__ import show
    from proofread.book import check_files
    from proofread.errors import ProofreadError
    from proofread.ledger import save

    work = book.root / WORK
    if not work.is_file() and (book.root / LEDGER).is_file():  # a fresh clone starts from the committed one
        save(work, list(_load(book.root / LEDGER).values()))
    count = sum(len(_labels(read_chapter(book.root, path))) for path in papers)
    files, labels = [book.root / path for path in papers], [label] if label else []
    total = len(papers) if label else count
    with tqdm(total=total, desc="proofread", unit="equation", delay=2, disable=None) as bar:
        for path, outcome in check_files(files, work, jobs, labels, book.root, bar.update):
            if isinstance(outcome, ProofreadError):
                yield PressError(str(outcome), file=None if path in str(outcome) else path)
                continue
            for result in outcome:
                if label:
                    print(show(result, steps=True))
                elif not result.accepted:
                    detail = "\n  ".join(show(result, steps=False).splitlines()[1:])
                    what = f"{result.label} is {result.verdict}"
                    if result.mutants.get("survivors"):
                        what = f"{result.label}: {len(result.mutants['survivors'])} mutants survive its check"
                    remedy = f"make proofread EQ={result.label} shows it line by line\n  {detail}"
                    yield PressError(what, file=path, line=result.line, remedy=remedy)


def _load(path: Path) -> dict[str, Any]:
    from proofread.errors import ProofreadError
    from proofread.ledger import load

    try:
        return load(path)
    except ProofreadError as error:
        raise PressError(str(error)) from None


def _publish(book: Book, paths: set[str]) -> dict[str, Any]:
    """Write the committed ledger: the same verdicts, in book order, without what differs from run to run."""
    from dataclasses import asdict

    from proofread.ledger import VERSION
    from proofread.ledger import totals as count

    order = {entry.path: number for number, entry in enumerate(book.entries)}
    found = [result for result in _load(book.root / WORK).values() if result.path in paths]
    found.sort(key=lambda result: (order[result.path], result.line))
    totals = count(found)
    equations = [asdict(result) | {"line": 0, "seconds": 0.0} for result in found]
    for equation in equations:
        for step in equation["steps"]:
            step |= {"line": 0, "seconds": 0.0, "error": float(f"{step['error']:.0e}")}
    write_json(book.root / LEDGER, {"version": VERSION, "totals": totals, "equations": equations})
    return totals


def _labels(chapter: Chapter) -> set[str]:
    return {block.label for block in chapter.blocks if isinstance(block, Equation) and block.label}


def _key(book: Book, chapters: dict[str, Chapter]) -> str:
    """Digest of all that verdicts depend on: equations, cells, macros, the package and the checker."""
    parts = [str(sorted(book.macros.items()))]
    for path, chapter in chapters.items():
        parts += [
            path,
            *(block.latex + block.label for block in chapter.blocks if isinstance(block, Equation)),
        ]
        parts += [cell.source for cell in chapter.cells if cell.label.startswith("proofread-")]
    folders = (Path(__file__).parent.parent / "proofread", book.root / "tangled")
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            state = os.stat(file)
            parts.append(f"{file.name} {state.st_size} {state.st_mtime_ns}")
    return digest(*parts)


def _ledger_digest(book: Book) -> str:
    path = book.root / LEDGER
    return digest(path.read_bytes()) if path.is_file() else ""
