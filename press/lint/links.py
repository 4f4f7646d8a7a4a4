"""What must resolve: cross-references, labels, images, footnotes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from press.config import Book
from press.errors import PressError
from press.index import Index
from press.prose import Image, images, passages, references, table_captions, without_code
from press.source import KINDS, Cell, Chapter, Code, Heading, Text

SHOWN = ("fig", "tbl", "lst")
"""Kinds that the text must refer to."""
COMMENT = re.compile(r"#[^#\n]*?@((?:" + "|".join(KINDS) + r")-[\w-]*\w)")
LABELLED = re.compile(r"\{#((?:" + "|".join(KINDS) + r")-[^\s}]+)")


def check(book: Book, chapters: dict[str, Chapter], index: Index) -> Iterator[PressError]:
    """Find references to nothing, labels that cannot work, and images that are not there."""
    used = {label for chapter in chapters.values() for _, label in references(chapter)}
    for entry in book.entries:
        chapter = chapters[entry.path]
        for line, label in [*references(chapter), *_comments(chapter)]:
            if label not in index.targets:
                near = [other for other in index.targets if other.split("-", 1)[1] == label.split("-", 1)[1]]
                remedy = f"perhaps '@{near[0]}' is meant" if near else "mend the reference, or give the label"
                yield PressError(f"unknown label '@{label}'", file=entry.path, line=line, remedy=remedy)
            elif not index.targets[label].number:
                what = f"'@{label}' is an unnumbered section, to which Quarto cannot refer"
                remedy = "write a link: [text](path/to/file.qmd)"
                yield PressError(what, file=entry.path, line=line, remedy=remedy)
        for target in index.targets.values():
            if target.path != entry.path:
                continue
            if not entry.number and target.kind != "sec":
                what = f"'{target.label}' in an unnumbered chapter would have no number"
                yield PressError(
                    what, file=entry.path, line=target.line, remedy="number the chapter, or drop the label"
                )
            if target.kind in SHOWN and target.label not in used:
                what = f"{KINDS[target.kind].lower()} '{target.label}' is not referred to"
                yield PressError(
                    what, file=entry.path, line=target.line, remedy=f"mention @{target.label} in the text"
                )
            if target.kind in SHOWN and not target.title.strip():
                remedy = f"add '{target.kind}-cap'"
                yield PressError(
                    f"'{target.label}' has no caption", file=entry.path, line=target.line, remedy=remedy
                )
        for block in chapter.blocks:
            if isinstance(block, Text):
                for image in images(block):
                    yield from _image(book, chapter, image)
                yield from _lost_labels(chapter, block, index)
            elif (
                isinstance(block, Cell)
                and block.label.startswith("fig-")
                and not block.options.get("fig-alt")
            ):
                what, remedy = (
                    f"figure '{block.label}' has no alt text",
                    "add '#| fig-alt: …', for those who cannot see it",
                )
                yield PressError(what, file=entry.path, line=block.line, remedy=remedy)
            elif isinstance(block, Heading) and not block.title_of:
                identifier = block.attributes.identifier
                if identifier and not re.fullmatch(r"sec-[a-z0-9]+(-[a-z0-9]+)*", identifier):
                    remedy = "write {#sec-…} with small letters, digits and '-'"
                    yield PressError(
                        f"heading label '{identifier}'", file=entry.path, line=block.line, remedy=remedy
                    )
        yield from _footnotes(chapter)


def _comments(chapter: Chapter) -> list[tuple[int, str]]:
    """References in the comments of code, which name the equation that a line implements."""
    return [
        (number, match[1])
        for block in chapter.blocks
        if isinstance(block, Cell | Code)
        for number, line in enumerate(block.source.split("\n"), block.line + 1)
        for match in COMMENT.finditer(line)
    ]


def _image(book: Book, chapter: Chapter, image: Image) -> Iterator[PressError]:
    def found(what: str, remedy: str) -> PressError:
        return PressError(what, file=chapter.path, line=image.line, remedy=remedy)

    if "://" in image.path or image.path.startswith(("//", "data:")):
        yield found(f"image '{image.path[:60]}' comes from elsewhere", "keep a copy beside the chapter")
    else:
        base = PurePosixPath(chapter.path).parent
        path = PurePosixPath(image.path[1:]) if image.path.startswith("/") else base / image.path
        if not image.path or not (book.root / path).is_file():
            yield found(f"image '{path}' does not exist", "make it in a cell, or add the file")
    label = image.attributes.identifier
    if not label:
        yield found("image without a label", "add {#fig-…} behind it")
    elif not image.alone:
        yield found(f"image '{label}' inside a paragraph", "put an empty line before and behind it")
    elif not re.fullmatch(r"fig-[a-z0-9]+(-[a-z0-9]+)*", label):
        yield found(f"image label '{label}'", "write {#fig-…} with small letters, digits and '-'")
    if not image.attributes.pairs.get("fig-alt"):
        yield found(
            f"image '{label or image.path}' has no alt text", 'add fig-alt="…", for those who cannot see it'
        )


def _lost_labels(chapter: Chapter, block: Text, index: Index) -> Iterator[PressError]:
    """Labels in text that stand where nothing takes them up."""
    known = {image.attributes.identifier for image in images(block)}
    known |= {caption.label for caption in table_captions(block)}
    text = without_code("\n".join(block.lines))
    for match in LABELLED.finditer(text):
        if match[1] not in known and not match[1].startswith("eq-"):
            line = block.line + text.count("\n", 0, match.start())
            what, remedy = (
                f"label '{match[1]}' belongs to nothing",
                "put it behind its image, table caption or heading",
            )
            yield PressError(what, file=chapter.path, line=line, remedy=remedy)


def _footnotes(chapter: Chapter) -> Iterator[PressError]:
    defined: dict[str, int] = {}
    used: dict[str, int] = {}
    for first, passage in passages(chapter):
        text = without_code(passage)
        for match in re.finditer(r"(^[ ]{0,3})?\[\^([^\]\s]+)\](:)?", text, re.MULTILINE):
            line = first + text.count("\n", 0, match.start())
            definition = match[1] is not None and match[3]
            if definition and match[2] in defined:
                what, remedy = f"footnote '{match[2]}' is defined twice", "rename one"
                yield PressError(what, file=chapter.path, line=line, remedy=remedy)
            (defined if definition else used).setdefault(match[2], line)
    for name, line in used.items():
        if name not in defined:
            remedy = f"add a paragraph '[^{name}]: …'"
            yield PressError(f"footnote '{name}' is not defined", file=chapter.path, line=line, remedy=remedy)
    for name, line in defined.items():
        if name not in used:
            remedy = "refer to it, or delete it"
            yield PressError(f"footnote '{name}' is not used", file=chapter.path, line=line, remedy=remedy)
