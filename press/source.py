"""A chapter's `.qmd` as a list of blocks with line numbers.

Pandoc reads the chapter for weaving; this reader finds what the tools need with exact places: cells,
equations, headings, divs and text. It accepts the book's subset of Quarto only, where every block starts at
the margin or inside a list item or quotation, and says so otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from press.errors import PressError
from press.files import read_text

FENCE = re.compile(r"^(\s*)(`{3,}(?=[^`]*$)|~{3,})\s*(.*)$")
DIV = re.compile(r"^\s*(:{3,})\s*(.*?)\s*:*\s*$")
HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*(\{[^{}]*\})?\s*$")
OPTION = re.compile(r"^#\|\s?(.*)$")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader, in C where libyaml is there: a book has a thousand cells."""
INLINE = re.compile(r"(?<!`)`\{python\}\s+([^`]+)`(?!`)")
THEOREMS = {
    "thm": "Theorem", "lem": "Lemma", "cor": "Corollary", "prp": "Proposition", "cnj": "Conjecture",
    "def": "Definition", "exm": "Example", "exr": "Exercise",
}  # fmt: skip
KINDS = {"sec": "Section", "eq": "Equation", "fig": "Figure", "tbl": "Table", "lst": "Listing"} | THEOREMS


@dataclass(frozen=True)
class Attributes:
    """Pandoc attributes: `{#identifier .class key="value"}`."""

    identifier: str = ""
    classes: tuple[str, ...] = ()
    pairs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Heading:
    """A heading; `title_of` names the theorem or callout whose title it is, "" for a section."""

    line: int
    level: int
    text: str
    attributes: Attributes
    title_of: str = ""

    @property
    def numbered(self) -> bool:
        """Whether it is a section that counts."""
        return not self.title_of and "unnumbered" not in self.attributes.classes


@dataclass(frozen=True)
class Cell:
    """An executable cell: `line` and `end` are its fences, `code_line` the first line of `source`."""

    line: int
    end: int
    options: dict[str, Any]
    header: tuple[str, ...]
    source: str
    code_line: int

    @property
    def label(self) -> str:
        """The `label` option, "" if there is none."""
        return str(self.options.get("label", ""))

    @property
    def file(self) -> str:
        """The `file` option, the target the cell tangles to, "" if it is not tangled."""
        return str(self.options.get("file", ""))

    @property
    def evaluated(self) -> bool:
        """Whether the cell runs."""
        return self.options.get("eval", True) is not False


@dataclass(frozen=True)
class Code:
    """A code block that is shown and not run."""

    line: int
    end: int
    attributes: Attributes
    source: str


@dataclass(frozen=True)
class Equation:
    """A display equation; `latex` starts at `latex_line` and is what stands between the dollar signs."""

    line: int
    end: int
    latex: str
    latex_line: int
    label: str


@dataclass(frozen=True)
class DivOpen:
    """The opening line of a fenced div."""

    line: int
    attributes: Attributes


@dataclass(frozen=True)
class DivClose:
    """The closing line of a fenced div."""

    line: int


@dataclass(frozen=True)
class Text:
    """Consecutive lines of anything else: paragraphs, lists, tables, images."""

    line: int
    lines: tuple[str, ...]


Block = Heading | Cell | Code | Equation | DivOpen | DivClose | Text


@dataclass(frozen=True)
class Chapter:
    """A chapter: its path relative to the root of the book, its text, front matter and blocks."""

    path: str
    text: str
    front: dict[str, Any]
    body_line: int
    blocks: tuple[Block, ...]

    @property
    def cells(self) -> list[Cell]:
        """The executable cells in order."""
        return [block for block in self.blocks if isinstance(block, Cell)]

    @property
    def title(self) -> str:
        """The text of the first level-1 heading, or the front matter's title."""
        for block in self.blocks:
            if isinstance(block, Heading) and block.level == 1 and not block.title_of:
                return block.text
        return str(self.front.get("title", self.path))

    @property
    def inline(self) -> list[tuple[int, str]]:
        """Inline code, as pairs of line and expression, in order."""
        return [
            (block.line + offset, match[1].strip())
            for block in self.blocks
            if isinstance(block, Text)
            for offset, line in enumerate(block.lines)
            for match in INLINE.finditer(line)
        ]


def read(root: Path, path: str) -> Chapter:
    """Read and parse a chapter, given its path relative to the root of the book."""
    return parse(read_text(root / path, path), path)


@lru_cache(maxsize=512)
def parse(text: str, path: str) -> Chapter:
    """Parse a chapter; remembered, since every stage of a run reads the same ones.

    Raises:
        PressError: Malformed front matter or cell options; an unclosed fence, div or equation.
    """
    lines = text.split("\n")
    front, start = _front_matter(lines, path)
    blocks = _titles(list(_blocks(lines, start, path)))
    return Chapter(path, text, front, start + 1, tuple(blocks))


def attributes(text: str) -> Attributes:
    """Parse `{#identifier .class key="value"}`, or the bare class name of a div."""
    text = text.strip()
    if not text.startswith("{"):
        return Attributes(classes=(text,)) if text else Attributes()
    identifier, classes, pairs = "", ["unnumbered"] if text == "{-}" else [], {}
    for match in re.finditer(r"""#([^\s}]+)|\.([^\s}=]+)|([\w-]+)=("[^"]*"|'[^']*'|[^\s}]+)""", text[1:-1]):
        if match[1]:
            identifier = match[1]
        elif match[2]:
            classes.append(match[2])
        else:
            pairs[match[3]] = match[4][1:-1] if match[4][0] in "\"'" else match[4]
    return Attributes(identifier, tuple(classes), pairs)


def _front_matter(lines: list[str], path: str) -> tuple[dict[str, Any], int]:
    if not lines or lines[0].strip() != "---":
        return {}, 0
    for number in range(1, len(lines)):
        if lines[number].strip() in ("---", "..."):
            try:
                front = yaml.load("\n".join(lines[1:number]), LOADER) or {}
            except yaml.YAMLError as error:
                mark = getattr(error, "problem_mark", None)
                place = min(2 + (mark.line if mark else 0), number)
                raise PressError(
                    "front matter is not valid YAML", file=path, line=place, remedy="mend it"
                ) from None
            if not isinstance(front, dict):
                raise PressError(
                    "front matter is not a list of keys", file=path, line=1, remedy="write 'key: value'"
                )
            return front, number + 1
    raise PressError("front matter is not closed", file=path, line=1, remedy="add a line '---' after it")


def _blocks(lines: list[str], start: int, path: str) -> Iterator[Block]:
    number, text_start, divs, in_equation = start, start, [], False

    def text_until(stop: int) -> Iterator[Text]:
        if any(line.strip() for line in lines[text_start:stop]):
            yield Text(text_start + 1, tuple(lines[text_start:stop]))

    while number < len(lines):
        line = lines[number]
        block: Block | None = None
        end = number
        ended = number == text_start and not in_equation
        in_equation = False
        if match := FENCE.match(line):
            end = _fence_end(lines, number, match[2], path)
            block = _code(lines, number, end, match[3], path, match[1])
        elif line.lstrip().startswith("$$"):
            block = _equation(lines, number, path)
            end = block.end - 1
            in_equation = True
        elif match := DIV.match(line):
            if match[2]:
                block = DivOpen(number + 1, attributes(match[2]))
                divs.append(number + 1)
            elif divs:
                block = DivClose(number + 1)
                divs.pop()
            else:
                raise PressError(
                    "':::' closes no div", file=path, line=number + 1, remedy="delete it or open the div"
                )
        elif match := HEADING.match(line):
            block = Heading(number + 1, len(match[1]), match[2], attributes(match[3] or ""))
        elif line.lstrip().startswith("<!--"):
            while end < len(lines) and "-->" not in lines[end]:
                end += 1
            if end == len(lines):
                raise PressError("comment is not closed", file=path, line=number + 1, remedy="add '-->'")
            yield from text_until(number)
            number = text_start = end + 1
            continue
        if isinstance(block, Heading | DivOpen) and not ended and lines[number - 1].strip():
            what = f"a {'heading' if isinstance(block, Heading) else 'div'} in the middle of a paragraph"
            raise PressError(what, file=path, line=number + 1, remedy="put an empty line before it")
        if block is not None:
            yield from text_until(number)
            yield block
            text_start = end + 1
        number = end + 1
    yield from text_until(len(lines))
    if divs:
        raise PressError(
            "div is not closed", file=path, line=divs[-1], remedy="add a line ':::' where it ends"
        )


def _fence_end(lines: list[str], start: int, fence: str, path: str) -> int:
    for number in range(start + 1, len(lines)):
        stripped = lines[number].strip()
        if set(stripped) == {fence[0]} and len(stripped) >= len(fence):
            return number
        match = FENCE.match(lines[number])
        if match and match[3].startswith("{python}") and not match[1] and match[2].startswith(fence):
            break
    raise PressError(
        "code fence is not closed", file=path, line=start + 1, remedy=f"add a line '{fence}' after it"
    )


def _code(lines: list[str], start: int, end: int, info: str, path: str, indent: str) -> Cell | Code:
    body = lines[start + 1 : end]
    if not re.match(r"\{\w+\}\s*$", info):
        named = (
            attributes(info if info.startswith("{") else f"{{.{info.split()[0]}}}") if info else Attributes()
        )
        source = "\n".join(line.removeprefix(indent) for line in body)
        return Code(start + 1, end + 1, named, source)
    if indent:
        what, remedy = "an indented cell", "start it at the margin"
        raise PressError(what, file=path, line=start + 1, remedy=remedy)
    if info.strip() != "{python}":
        raise PressError(
            f"cell in an unknown language {info}", file=path, line=start + 1, remedy="use {python}"
        )
    header: list[str] = []
    for line in body:
        if not OPTION.match(line):
            break
        header.append(line)
    options_text = "\n".join(OPTION.match(line)[1] for line in header)  # type: ignore[index]
    try:
        options = yaml.load(options_text, LOADER) or {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = start + 2 + min(mark.line if mark else 0, len(header) - 1)
        raise PressError(
            "cell options are not valid YAML", file=path, line=place, remedy="quote the value"
        ) from None
    if not isinstance(options, dict):
        raise PressError(
            "cell options are not 'key: value' lines", file=path, line=start + 2, remedy="write them so"
        )
    source = "\n".join(body[len(header) :])
    return Cell(start + 1, end + 1, options, tuple(header), source, start + 2 + len(header))


def _equation(lines: list[str], start: int, path: str) -> Equation:
    rest = lines[start].lstrip()[2:]
    end, collected = start, []
    current = rest
    while "$$" not in current:
        collected.append(current)
        end += 1
        blank = end >= len(lines) or not lines[end].strip()
        if blank and not (any(map(str.strip, collected)) and any(map(str.strip, lines[end:]))):
            raise PressError("equation is not closed", file=path, line=start + 1, remedy="add '$$' after it")
        if blank:
            raise PressError(
                "empty line inside an equation, or '$$' missing before it", file=path, line=end + 1,
                remedy="delete the empty line, or close the equation",
            )  # fmt: skip
        current = lines[end]
    latex, tail = current.split("$$", 1)
    collected.append(latex)
    label = re.match(r"\s*\{#([^\s}]+)[^}]*\}", tail)
    return Equation(start + 1, end + 1, "\n".join(collected), start + 1, label[1] if label else "")


def _titles(blocks: list[Block]) -> list[Block]:
    """Mark the headings that are titles of theorems and callouts."""
    for index, block in enumerate(blocks[1:], 1):
        before = blocks[index - 1]
        if isinstance(block, Heading) and isinstance(before, DivOpen):
            owner = before.attributes
            kind = owner.identifier.split("-", 1)[0]
            if kind in THEOREMS or any(name.startswith("callout-") for name in owner.classes):
                title_of = owner.identifier or owner.classes[0]
                blocks[index] = Heading(block.line, block.level, block.text, block.attributes, title_of)
    return blocks
