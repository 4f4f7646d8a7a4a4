"""What stands inside text: images, table captions, citations, inline math."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from press.source import KINDS, Attributes, Cell, Chapter, Code, DivOpen, Heading, Text, attributes

REFERENCE = re.compile(r"(?<![\w\\@])@((?:" + "|".join(KINDS) + r")-[\w-]*\w)")
CITATION = re.compile(r"(?<![\w\\@])@(?:\{([^{}\s]+)\}|(\w(?:[\w:.#$%&+?<>~/-]*\w)?))")
MATH = re.compile(
    r"(?<![\\$])\$(?![\s$])((?:\\.|[^$\\])*?[^\s$\\]|(?:\\.|[^$\\])*?\\.)\$(?![\d$])", re.DOTALL
)
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
CAPTION = re.compile(r"^\s*(?::|[Tt]able:)[ \t]+(?P<text>\S.*(?:\n[ \t]*\S.*)*)", re.MULTILINE)
LABEL = re.compile(r"\s*\{#(tbl-[\w-]+)[^}]*\}\s*$")


@dataclass(frozen=True)
class Image:
    """An image with its place; `caption` is Markdown on one line, `alone` whether it is a whole paragraph."""

    line: int
    caption: str
    path: str
    attributes: Attributes
    alone: bool


@dataclass(frozen=True)
class TableCaption:
    """The caption of a Markdown table; `label` is "" if it has none."""

    line: int
    label: str
    text: str


def images(block: Text) -> list[Image]:
    """The images of a text block, in order; caption and attributes may run over several lines."""
    text = MATH.sub(_blank, without_code("\n".join(block.lines)))
    original = "\n".join(block.lines)
    found, position = [], 0
    while (start := text.find("![", position)) >= 0:
        position = start + 2
        end = _closing(text, start + 1, "[", "]")
        if end is None or text[end + 1 : end + 2] != "(":
            continue
        stop = _closing(text, end + 1, "(", ")")
        if stop is None:
            continue
        target = text[end + 2 : stop].split()
        named, position = Attributes(), stop + 1
        if text[stop + 1 : stop + 2] == "{":
            match = re.match(r"""\{(?:"(?:\\.|[^"\\])*"|'[^']*'|[^"'}])*\}""", original[stop + 1 :])
            if match:
                named, position = attributes(match[0]), stop + 1 + match.end()
        caption = " ".join(original[start + 2 : end].split())
        line = block.line + text.count("\n", 0, start)
        before, behind = original[:start], original[position:]
        alone = bool(re.search(r"(?:\A|\n[ \t]*\n|\A[ \t]*\n)[ \t]*\Z", before)) and bool(
            re.match(r"[ \t]*(?:\Z|\n[ \t]*(?:\n|\Z))", behind)
        )
        found.append(Image(line, caption, target[0].strip("<>") if target else "", named, alone))
    return found


def table_captions(block: Text) -> list[TableCaption]:
    """The captions of Markdown tables in a text block (`: Caption {#tbl-x}`), in order."""
    text = "\n".join(block.lines)
    found = []
    for match in CAPTION.finditer(text):
        label = LABEL.search(match["text"])
        caption = " ".join(LABEL.sub("", match["text"]).split())
        line = block.line + text.count("\n", 0, match.start("text"))
        found.append(TableCaption(line, label[1] if label else "", caption))
    return found


def passages(chapter: Chapter) -> Iterator[tuple[int, str]]:
    """All prose of a chapter as pairs of first line and text: paragraphs, headings, titles and captions."""
    for block in chapter.blocks:
        match block:
            case Text():
                yield block.line, "\n".join(block.lines)
            case Heading():
                yield block.line, block.text
            case Cell():
                for key in ("fig-cap", "tbl-cap", "lst-cap"):
                    if key in block.options:
                        yield option_line(block, key), str(block.options[key])
            case DivOpen() | Code():
                for key in ("title", "tbl-cap", "lst-cap"):
                    if key in block.attributes.pairs:
                        yield block.line, block.attributes.pairs[key]


def references(chapter: Chapter) -> list[tuple[int, str]]:
    """Every cross-reference in prose, as pairs of line and label, in order."""
    return _found(REFERENCE, chapter)


def citations(chapter: Chapter) -> list[tuple[int, str]]:
    """Every citation of the bibliography in prose, as pairs of line and key, in order."""
    kinds = tuple(f"{kind}-" for kind in KINDS)
    return [(line, key) for line, key in _found(CITATION, chapter) if not key.startswith(kinds)]


def inline_math(chapter: Chapter) -> list[tuple[int, str]]:
    """Every inline formula in prose, as pairs of line and LaTeX."""
    return [
        (line + text.count("\n", 0, match.start()), match[1])
        for line, passage in passages(chapter)
        for text in [without_code(passage)]
        for match in MATH.finditer(text)
    ]


def without_code(text: str) -> str:
    """The text with code spans and comments blanked, each character in its place."""
    return CODE.sub(_blank, re.sub(r"<!--.*?-->", _blank, text, flags=re.DOTALL))


def plain(text: str) -> str:
    """The text with code, comments, formulas, link targets and addresses blanked, each character in place."""
    text = MATH.sub(_blank, without_code(text))
    return re.sub(r"(?<=\])\([^()\s]*\)|<https?:[^>]*>|https?://\S+", _blank, text)


def option_line(cell: Cell, key: str) -> int:
    """The line of a cell's option, the cell's first line if it is not found."""
    for number, line in enumerate(cell.header, cell.line + 1):
        if re.match(rf"#\|\s*{re.escape(key)}\s*:", line):
            return number
    return cell.line


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def _found(pattern: re.Pattern[str], chapter: Chapter) -> list[tuple[int, str]]:
    found = []
    for line, passage in passages(chapter):
        text = plain(passage)
        for match in pattern.finditer(text):
            key = next(group for group in match.groups() if group)
            found.append((line + text.count("\n", 0, match.start()), key))
    return found


def _closing(text: str, start: int, opening: str, closing: str) -> int | None:
    """The position of the bracket that closes the one at `start`."""
    depth, position = 0, start
    while position < len(text):
        character = text[position]
        if character == "\\":
            position += 1
        elif character == opening:
            depth += 1
        elif character == closing:
            depth -= 1
            if depth == 0:
                return position
        position += 1
    return None
