"""What a chapter is made of: headings in order, and the sections that every numbered chapter has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from press.config import Book, Entry
from press.errors import PressError
from press.prose import REFERENCE
from press.source import Chapter, DivOpen, Heading, Text

SECTIONS = ("Exercises", "Tests", "What can go wrong", "Notes and references")
EXERCISES = (6, 12)
GRADE = re.compile(r"[⋆★]{1,3}")
GLANCE = "At a glance"


def check(book: Book, chapters: dict[str, Chapter]) -> Iterator[PressError]:
    """Find missing sections, headings out of order, and exercises without solution."""
    solved = {
        label
        for entry in book.entries
        if entry.appendix and "solution" in entry.path
        for label in _solved(chapters[entry.path])
    }
    for entry in book.entries:
        chapter = chapters[entry.path]
        yield from _headings(entry, chapter)
        if entry.number and not entry.appendix and re.match(r"book/\d", entry.path):
            yield from _parts(chapter)
        for position, block in enumerate(chapter.blocks):
            if isinstance(block, DivOpen) and block.attributes.identifier.startswith("exr-"):
                label = block.attributes.identifier
                if label not in solved:
                    remedy = "solve it in the part's solutions appendix, under a line '*Solution of @exr-….*'"
                    what = f"exercise '{label}' has no solution"
                    yield PressError(what, file=chapter.path, line=block.line, remedy=remedy)
                beginning = chapter.blocks[position + 1 : position + 3]
                shown = " ".join(
                    part.text if isinstance(part, Heading) else "\n".join(part.lines)
                    for part in beginning
                    if isinstance(part, Heading | Text)
                )
                if not GRADE.search(shown):
                    remedy = "begin its title with ⋆, ⋆⋆ or ⋆⋆⋆"
                    what = f"exercise '{label}' has no grade"
                    yield PressError(what, file=chapter.path, line=block.line, remedy=remedy)


def _headings(entry: Entry, chapter: Chapter) -> Iterator[PressError]:
    headings = [block for block in chapter.blocks if isinstance(block, Heading) and not block.title_of]
    tops = [heading for heading in headings if heading.level == 1]
    first = chapter.blocks[0] if chapter.blocks else None
    if not tops or first is not tops[0]:
        what, remedy = "the chapter does not begin with its title", "begin with '# Title {#sec-…}'"
        yield PressError(what, file=chapter.path, line=chapter.body_line, remedy=remedy)
    for heading in tops[1:]:
        what, remedy = "a second heading of level 1", "use '##'; a file is one chapter"
        yield PressError(what, file=chapter.path, line=heading.line, remedy=remedy)
    if tops and entry.number and not tops[0].attributes.identifier:
        what, remedy = "the chapter has no label", "add {#sec-…} to its title"
        yield PressError(what, file=chapter.path, line=tops[0].line, remedy=remedy)
    for before, heading in pairwise(headings):
        if heading.level > before.level + 1:
            what = f"a heading of level {heading.level} below one of level {before.level}"
            remedy = f"use '{'#' * (before.level + 1)}'"
            yield PressError(what, file=chapter.path, line=heading.line, remedy=remedy)


def _parts(chapter: Chapter) -> Iterator[PressError]:
    """The callout and the sections that the anatomy asks for."""
    blocks = chapter.blocks
    sections = [
        block for block in blocks if isinstance(block, Heading) and block.level == 2 and not block.title_of
    ]
    opening = sections[0].line if sections else len(chapter.text)
    titles = [
        block.attributes.pairs.get("title", "") or (following.text if isinstance(following, Heading) else "")
        for block, following in zip(blocks, [*blocks[1:], None], strict=True)
        if isinstance(block, DivOpen) and block.line < opening
        if any(name.startswith("callout-") for name in block.attributes.classes)
    ]
    line = chapter.body_line
    if GLANCE not in titles:
        what, remedy = (
            f"no callout '{GLANCE}' before the first section",
            "add it; authoring.md says what it holds",
        )
        yield PressError(what, file=chapter.path, line=line, remedy=remedy)
    for wanted in SECTIONS:
        if not any(heading.text.strip().lower() == wanted.lower() for heading in sections):
            what, remedy = f"no section '{wanted}'", f"add '## {wanted}'"
            yield PressError(what, file=chapter.path, line=line, remedy=remedy)
    exercises = [
        block
        for block in blocks
        if isinstance(block, DivOpen) and block.attributes.identifier.startswith("exr-")
    ]
    least, most = EXERCISES
    if not least <= len(exercises) <= most:
        place = next((heading.line for heading in sections if heading.text.strip() == "Exercises"), line)
        what = f"{len(exercises)} exercise{'s' * (len(exercises) != 1)}"
        yield PressError(what, file=chapter.path, line=place, remedy=f"a chapter has {least} to {most}")


def _solved(chapter: Chapter) -> Iterator[str]:
    """Labels of the exercises that a solutions chapter solves: after "Solution of", or in a heading."""
    for block in chapter.blocks:
        if isinstance(block, Heading):
            yield from REFERENCE.findall(block.text)
        elif isinstance(block, Text):
            for line in block.lines:
                if line.startswith("*Solution of @"):
                    yield from REFERENCE.findall(line.split("*")[1])
