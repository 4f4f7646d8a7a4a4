"""Finds the labelled displays of a document: Quarto/Markdown ``$$ … $$ {#eq-x}`` and LaTeX environments."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from proofread.errors import ProofreadError, Source
from proofread.lexer import read_macros

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$")
_LABEL = re.compile(r"\s*\{#(eq-[A-Za-z0-9_-]+)[^}\n]*\}")
_TEX = re.compile(r"\\begin\{(equation|align|gather|multline)(\*?)\}(.*?)\\end\{\1\2\}", re.DOTALL)
_TEX_LABEL = re.compile(r"\\label\{([^}]+)\}")
_QUARTO_MACRO = re.compile(r"""^\s+([A-Za-z]+):\s*(['"])\$(.*)\$\2\s*$""")


@dataclass(frozen=True)
class Display:
    """One display equation.

    Args:
        label: its label, or "" if it has none.
        source: its LaTeX with the place of the first character.
    """

    label: str
    source: Source


@dataclass(frozen=True)
class Cell:
    """A Python cell labelled ``proofread-…``, or a file ``NAME.proofread.py`` beside the document.

    Args:
        label: its label.
        code: its text.
        line: of the first line of code in its file.
        path: of that file, if it is not the document itself.
    """

    label: str
    code: str
    line: int
    path: str = ""


@dataclass(frozen=True)
class Document:
    """What the checker reads from one file."""

    path: str
    displays: tuple[Display, ...]
    cells: tuple[Cell, ...]
    macros: dict[str, tuple[int, str]]

    def display(self, label: str) -> Display:
        """The display with this label.

        Raises:
            ProofreadError: if there is none; the nearest labels are named.
        """
        for display in self.displays:
            if display.label == label:
                return display
        known = ", ".join(d.label for d in self.displays if d.label) or "none at all"
        raise ProofreadError(f"no equation is labelled {label}", f"labels here: {known}")


def quarto_macros(text: str) -> dict[str, tuple[int, str]]:
    """Macros of the ``macros:`` map of a ``_quarto.yml`` (``KL: '$D(#1)$'``).

    Args:
        text: content of the file.

    Returns:
        Name with backslash to (number of arguments, body).
    """
    found: dict[str, tuple[int, str]] = {}
    inside = False
    for line in text.splitlines():
        if line and not line[0].isspace():
            inside = line.startswith("macros:")
        match = _QUARTO_MACRO.match(line) if inside else None
        if match:
            numbers = [int(digit) for digit in re.findall(r"#(\d)", match.group(3))]
            found["\\" + match.group(1)] = (max(numbers, default=0), match.group(3))
    return found


def book_macros(path: Path) -> dict[str, tuple[int, str]]:
    """Macros of the nearest ``_quarto.yml`` above ``path``."""
    for folder in path.resolve().parents:
        configuration = folder / "_quarto.yml"
        if configuration.is_file():
            return quarto_macros(configuration.read_text(encoding="utf-8"))
    return {}


def read_document(path: Path | str, name: str = "") -> Document:
    """Read displays, proofread cells and macros of a ``.qmd``, ``.md`` or ``.tex`` file.

    Args:
        path: the file.
        name: how messages call it (default: as given).

    Returns:
        The document.

    Raises:
        ProofreadError: if the file is missing or not UTF-8, or a display or a fence is not closed.
    """
    path = Path(path)
    shown = name or str(path)
    try:
        text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as problem:
        raise ProofreadError(f"{shown}: cannot be read ({problem})", "give a UTF-8 text file") from problem
    if path.suffix == ".tex":
        displays = _tex_displays(text, shown)
        cells: list[Cell] = []
        macros = read_macros(text)
    else:
        displays, cells = _markdown(text, shown)
        macros = {**book_macros(path), **read_macros(text)}
    beside = path.with_name(path.name + ".proofread.py")
    if beside.is_file():
        cells = [*cells, Cell("file", beside.read_text(encoding="utf-8"), 1, shown + ".proofread.py")]
    labels: dict[str, int] = {}
    for display in displays:
        if display.label in labels:
            raise ProofreadError(
                f"the label {display.label} is used twice (first in line {labels[display.label]})",
                "rename one",
                display.source,
                (0, 1),
            )
        if display.label:
            labels[display.label] = display.source.line
    return Document(shown, tuple(displays), tuple(cells), macros)


def _place(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _tex_displays(text: str, shown: str) -> list[Display]:
    displays = []
    visible = re.sub(r"(?<!\\)%[^\n]*", lambda match: " " * len(match.group()), text)
    for match in _TEX.finditer(visible):
        body = match.group(3)
        label = _TEX_LABEL.search(body)
        clean = _TEX_LABEL.sub(lambda found: " " * len(found.group()), body)
        line, column = _place(text, match.start(3))
        displays.append(Display(label.group(1) if label else "", Source(clean, shown, line, column)))
    return displays


def _markdown(text: str, shown: str) -> tuple[list[Display], list[Cell]]:
    """Walk through the lines; fenced blocks are either proofread cells or skipped."""
    displays: list[Display] = []
    cells: list[Cell] = []
    visible = list(text)
    lines = text.splitlines(keepends=True)
    offset, number = 0, 0
    while number < len(lines):
        match = _FENCE.match(lines[number].rstrip("\n"))
        if not match:
            offset += len(lines[number])
            number += 1
            continue
        first, fence, header = number, match.group(1), match.group(2).strip()
        number += 1
        while number < len(lines) and not _closes(lines[number], fence):
            number += 1
        if number >= len(lines):
            raise ProofreadError(f"{shown}:{first + 1}: the code block is not closed", f"add {fence}")
        if header.startswith("{python"):
            cell = _cell(lines[first + 1 : number], first + 2)
            if cell is not None:
                cells.append(cell)
        length = sum(len(line) for line in lines[first : number + 1])
        visible[offset : offset + length] = [
            c if c == "\n" else " " for c in visible[offset : offset + length]
        ]
        offset += length
        number += 1
    prose = re.sub(r"`[^`\n]*`", lambda found: " " * len(found.group()), "".join(visible))
    position = 0
    while (start := prose.find("$$", position)) >= 0:
        end = prose.find("$$", start + 2)
        if end < 0:
            line, column = _place(text, start)
            raise ProofreadError(f"{shown}:{line}:{column}: the display is not closed", "add $$")
        label = _LABEL.match(prose, end + 2)
        line, column = _place(text, start + 2)
        source = Source(text[start + 2 : end], shown, line, column)
        displays.append(Display(label.group(1) if label else "", source))
        position = end + 2
    return displays, cells


def _closes(line: str, fence: str) -> bool:
    stripped = line.strip()
    return stripped.startswith(fence) and set(stripped) == {fence[0]}


def _cell(lines: list[str], line: int) -> Cell | None:
    """The cell, if its options give it a label that begins with ``proofread-``."""
    label = ""
    for text in lines:
        if not text.startswith("#|"):
            break
        key, _, value = text[2:].partition(":")
        if key.strip() == "label":
            label = value.strip().strip("\"'")
    return Cell(label, "".join(lines), line) if label.startswith("proofread-") else None
