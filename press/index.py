"""The number of everything that has one, given once and used by HTML, PDF, notebooks and lint alike.

The rules are Quarto's for books with `number-sections` and `crossref: chapters`: every kind counts for
itself, anew in each chapter, and carries the number of the chapter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from press.config import Book, Entry
from press.errors import PressError
from press.prose import images, table_captions
from press.source import KINDS, THEOREMS, Cell, Chapter, Code, DivOpen, Equation, Heading, Text, parse


@dataclass(frozen=True)
class Target:
    """Something that can be referred to.

    `number` is "2.3", `text` what a reference prints ("Theorem 2.3"), `title` its heading, title or caption.
    """

    label: str
    kind: str
    number: str
    text: str
    path: str
    line: int
    title: str


@dataclass(frozen=True)
class Section:
    """A heading with its number, "" where it has none."""

    line: int
    level: int
    number: str
    text: str
    identifier: str


@dataclass(frozen=True)
class Index:
    """All targets of the book by label, and the sections of each chapter by path, in order."""

    targets: dict[str, Target]
    sections: dict[str, tuple[Section, ...]]


def build(book: Book, chapters: dict[str, Chapter]) -> tuple[Index, list[PressError]]:
    """Number the book.

    Args:
        book: The configuration, which gives the order and the chapter numbers.
        chapters: The parsed chapters by path.

    Returns:
        The index, and the errors found: labels used twice.
    """
    targets: dict[str, Target] = {}
    sections: dict[str, tuple[Section, ...]] = {}
    errors: list[PressError] = []
    for entry in book.entries:
        numbered, found = _chapter(entry, chapters[entry.path].text)
        sections[entry.path] = tuple(numbered)
        for target in found:
            first = targets.setdefault(target.label, target)
            if first is not target:
                errors.append(
                    PressError(
                        f"label '{target.label}' is used twice",
                        file=target.path,
                        line=target.line,
                        remedy=f"rename it; the first is at {first.path}:{first.line}",
                    )
                )
    return Index(targets, sections), errors


@lru_cache(maxsize=512)
def _chapter(entry: Entry, text: str) -> tuple[list[Section], list[Target]]:
    sections: list[Section] = []
    targets: list[Target] = []
    counters: dict[str, int] = {}
    levels = [0] * 7

    def add(label: str, line: int, title: str) -> None:
        kind = label.split("-", 1)[0]
        counters[kind] = counters.get(kind, 0) + 1
        number = f"{entry.number}.{counters[kind]}" if entry.number else str(counters[kind])
        targets.append(Target(label, kind, number, f"{KINDS[kind]} {number}", entry.path, line, title))

    blocks = parse(text, entry.path).blocks
    for position, block in enumerate(blocks):
        match block:
            case Heading() if not block.title_of:
                number = _section_number(block, entry, levels)
                identifier = block.attributes.identifier
                sections.append(Section(block.line, block.level, number, block.text, identifier))
                if identifier.startswith("sec-"):
                    word = "Section" if block.level > 1 else "Appendix" if entry.appendix else "Chapter"
                    text = f"{word} {number}" if number else block.text
                    targets.append(
                        Target(identifier, "sec", number, text, entry.path, block.line, block.text)
                    )
            case Equation() if block.label.startswith("eq-"):
                add(block.label, block.line, "")
            case Cell():
                if block.label.split("-", 1)[0] in ("fig", "tbl"):
                    add(block.label, block.line, str(block.options.get(block.label[:3] + "-cap", "")))
                listing = str(block.options.get("lst-label", ""))
                if listing.startswith("lst-"):
                    add(listing, block.line, str(block.options.get("lst-cap", "")))
            case Code() if block.attributes.identifier.startswith("lst-"):
                add(block.attributes.identifier, block.line, block.attributes.pairs.get("lst-cap", ""))
            case DivOpen() if block.attributes.identifier.split("-", 1)[0] in {*THEOREMS, "fig", "tbl"}:
                following = blocks[position + 1] if position + 1 < len(blocks) else None
                title = block.attributes.pairs.get("tbl-cap", "")
                if isinstance(following, Heading) and following.title_of:
                    title = following.text
                add(block.attributes.identifier, block.line, title)
            case Text():
                figures = [
                    (image.line, image.attributes.identifier, image.caption) for image in images(block)
                ]
                tables = [(table.line, table.label, table.text) for table in table_captions(block)]
                for line, label, title in sorted(figures + tables):
                    if label.startswith(("fig-", "tbl-")):
                        add(label, line, title)
    return sections, targets


def _section_number(heading: Heading, entry: Entry, levels: list[int]) -> str:
    if not heading.numbered or (heading.level > 1 and not entry.number):
        return ""
    if heading.level == 1:
        return entry.number
    levels[heading.level] += 1
    levels[heading.level + 1 :] = [0] * (6 - heading.level)
    return ".".join([entry.number, *(str(count) for count in levels[2 : heading.level + 1])])
