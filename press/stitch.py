"""Stitch: edits made in tangled files go back into the cells they came from.

The provenance comments of a tangled file say which of its lines came from which cell. A block that differs
from what was last tangled replaces the code of its cell; a block that was changed on both sides is refused.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from press.config import Book
from press.errors import PressError, PressErrors
from press.files import CACHE, read_text, write
from press.modules import PROVENANCE, Block, blocks_of, modules, render
from press.source import parse, read
from press.tangle import committed, known, ours


@dataclass(frozen=True)
class Piece:
    """The lines of a tangled file that belong to one block, and the line they start at."""

    provenance: str
    line: int
    lines: list[str]


def stitch(book: Book) -> list[Path]:
    """Carry hand-made edits of tangled files into the chapters.

    The chapters as they were are kept under `.press/stitched/`.

    Returns:
        The chapters rewritten, relative to the book.

    Raises:
        PressErrors: An edit cannot be carried back; no chapter is written then.
    """
    found = modules(book)
    errors: list[PressError] = []
    edits: dict[str, list[tuple[Block, list[str]]]] = {}
    wanted: dict[str, list[Piece]] = {}
    for target, blocks in found.items():
        path = book.root / target
        try:
            text = read_text(path, target) if path.is_file() else None
            if text is None or text == render(blocks) or ours(book.root, target, text):
                continue
            wanted[target] = split(text)
            changes = _changes(book.root, target, text, blocks)
            edits.setdefault(blocks[0].path, []).extend(changes)
        except PressError as error:
            errors.append(error)
    texts = {}
    for chapter, changes in edits.items():
        try:
            texts[chapter] = _rewritten(book.root, chapter, changes, wanted)
        except PressError as error:
            errors.append(error)
    if errors:
        raise PressErrors(errors)
    for chapter, text in texts.items():
        write(book.root / CACHE / "stitched" / chapter, (book.root / chapter).read_bytes())
        write(book.root / chapter, text)
    for target in wanted:
        write(book.root / CACHE / "tangled" / target, (book.root / target).read_bytes())
    return [Path(chapter) for chapter in texts]


def split(text: str) -> list[Piece]:
    """Cut a tangled file at its provenance comments; what stands before the first belongs to the first."""
    lines = text.rstrip().split("\n")
    marks = [number for number, line in enumerate(lines) if PROVENANCE.match(line)]
    pieces = []
    for mark, end in zip(marks, [*marks[1:], len(lines)], strict=True):
        body = lines[mark + 1 : end]
        if mark == marks[0]:
            body = lines[:mark] + body
        while body and not body[-1].strip():
            body.pop()
        pieces.append(Piece(lines[mark], 1 if mark == marks[0] else mark + 2, body))
    return pieces


def _changes(root: Path, target: str, text: str, blocks: list[Block]) -> list[tuple[Block, list[str]]]:
    """The cells whose code the edited file changes, with their new lines."""
    pieces, now = split(text), split(render(blocks))
    before = next(iter(known(root, target)), None) or committed(root, target, text)
    base = split(before) if before else now
    if [piece.provenance for piece in pieces] != [piece.provenance for piece in now] and (
        len(base) != len(now)
        or [piece.provenance for piece in pieces] != [piece.provenance for piece in base]
    ):
        raise _lost(target, pieces, now)
    if len(base) != len(now):
        base = now
    changes = []
    for piece, current, old, block in zip(pieces, now, base, blocks, strict=True):
        if piece.lines in (current.lines, old.lines):
            continue
        if current.lines != old.lines:
            what = f"changed here and in {block.path}:{block.cell.code_line} since it was tangled"
            raise PressError(what, file=target, line=piece.line, remedy="make the two the same by hand")
        _valid(target, piece)
        changes.append((block, piece.lines))
    return changes


def _valid(target: str, piece: Piece) -> None:
    """Refuse a block that is empty or not Python, with its line in the tangled file."""
    if not any(line.strip() for line in piece.lines):
        remedy = "put it back, or delete the cell in the chapter"
        raise PressError("the block's code is gone", file=target, line=piece.line, remedy=remedy)
    try:
        ast.parse("\n".join(piece.lines))
    except (SyntaxError, ValueError) as error:
        line = piece.line + (getattr(error, "lineno", None) or 1) - 1
        remedy = "mend it, then stitch again"
        raise PressError(f"not valid Python: {error}", file=target, line=line, remedy=remedy) from None


def _lost(target: str, pieces: list[Piece], expected: list[Piece]) -> PressError:
    """The error for provenance comments that are not those of the chapter's blocks."""
    for piece, want in zip(pieces, expected, strict=False):
        if piece.provenance != want.provenance:
            what = f"provenance comment changed, moved or missing: '{want.provenance}' belongs here or above"
            return PressError(what, file=target, line=max(piece.line - 1, 1), remedy="put it back")
    if len(pieces) < len(expected):
        what = f"provenance comment is missing: '{expected[len(pieces)].provenance}'"
        return PressError(what, file=target, remedy="put it back before its block")
    line = pieces[len(expected)].line - 1
    remedy = "delete the comment; new blocks are added in the chapter"
    return PressError("provenance comment of no block", file=target, line=line, remedy=remedy)


def _rewritten(
    root: Path, path: str, changes: list[tuple[Block, list[str]]], wanted: dict[str, list[Piece]]
) -> str:
    """The chapter's text with the new code, after checking that it tangles to the edited files."""
    lines = read(root, path).text.split("\n")
    for block, new in sorted(changes, key=lambda change: -change[0].cell.line):
        cell = block.cell
        old = lines[cell.code_line - 1 : cell.end - 1]
        filled = [number for number, line in enumerate(old) if line.strip()]
        lines[cell.code_line - 1 : cell.end - 1] = [*old[: filled[0]], *new, *old[filled[-1] + 1 :]]
    text = "\n".join(lines)
    touched = {block.cell.file for block, _ in changes}
    try:
        blocks = blocks_of(parse(text, path))
        for target in touched:
            made = split(render([block for block in blocks if block.cell.file == target]))
            unlike = [a for a, b in zip(wanted[target], made, strict=True) if a.lines != b.lines]
            expected = {tuple(new) for block, new in changes if block.cell.file == target}
            if any(tuple(piece.lines) in expected for piece in unlike):
                raise ValueError
    except (PressError, ValueError):
        first = next(iter(touched))
        what = f"the edit cannot stand in a cell of {path}"
        remedy = (
            "a line of backticks ends a cell, '#|' starts an option; imports go below the provenance comment"
        )
        raise PressError(what, file=first, remedy=remedy) from None
    return text
