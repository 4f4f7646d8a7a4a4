"""The modules a book tangles to: which cells they are made of, and their text.

A module is its cells in book order. Each cell is preceded by one comment that names its chapter and section,
the *provenance comment*, by which `press.stitch` finds the way back; in a module's first cell it follows the
docstring and the `from __future__` imports, which must stay first. Nothing is formatted: the lines of a
module are the lines of its chapter.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from press.config import Book
from press.errors import PressError, PressErrors
from press.source import Cell, Chapter, Heading, read

FOLDERS = ("tangled", "tests/chapters")
"""The only folders a cell may write to."""
PROVENANCE = re.compile(r"^# (?P<path>\S.*?\.qmd) § .+$")
WIDTH = 110
"""Longest provenance comment; a longer section title is cut."""
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True)
class Block:
    """One tangled cell: the chapter it stands in, its cell, and the title of the section around it."""

    path: str
    section: str
    cell: Cell

    @cached_property
    def lines(self) -> list[str]:
        """The cell's code without empty lines at either end."""
        return self.cell.source.strip("\n").rstrip().split("\n")

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed code.

        Raises:
            PressError: It is not valid Python on its own; the place is the line in the chapter.
        """
        source = self.cell.source
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(source)
                compile(tree, self.path, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            line = self.cell.code_line + (getattr(error, "lineno", None) or 1) - 1
            what = f"not valid Python: {getattr(error, 'msg', None) or error}"
            remedy = "mend it; a tangled block holds whole statements, without magics"
            raise PressError(what, file=self.path, line=line, remedy=remedy) from None
        return tree

    @property
    def provenance(self) -> str:
        """The comment that names chapter and section."""
        comment = f"# {self.path} § {self.section}"
        return comment if len(comment) <= WIDTH else comment[: WIDTH - 1].rstrip() + "…"


def blocks_of(chapter: Chapter) -> list[Block]:
    """The tangled cells of a chapter with the titles of their sections, in order."""
    section, found = chapter.title, []
    for block in chapter.blocks:
        if isinstance(block, Heading) and not block.title_of:
            section = block.text
        elif isinstance(block, Cell) and block.file:
            found.append(Block(chapter.path, section, block))
    return found


def render(blocks: list[Block]) -> str:
    """A module's text from its blocks.

    Raises:
        PressError: A block is not valid Python.
    """
    first = blocks[0]
    cut = _head(first.tree) - _leading(first.cell.source)
    head, rest = first.lines[:cut] if cut > 0 else [], first.lines[max(cut, 0) :]
    blank = next((number for number, line in enumerate(rest) if line.strip()), len(rest))
    lines = [*head, *([""] * max(blank, 1) if head else []), first.provenance, *rest[blank:]]
    for before, block in pairwise(blocks):
        definitions = isinstance(before.tree.body[-1:] and before.tree.body[-1], DEFINITIONS)
        definitions |= isinstance(block.tree.body[:1] and block.tree.body[0], DEFINITIONS)
        lines += ["", *([""] if definitions else []), block.provenance, *block.lines]
    return "\n".join(lines) + "\n"


def modules(book: Book, chapters: dict[str, Chapter] | None = None) -> dict[str, list[Block]]:
    """The blocks of every module the book tangles, by target, in book order.

    Args:
        book: The book.
        chapters: Its parsed chapters by path, if they are at hand.

    Raises:
        PressErrors: Targets outside the allowed folders, modules fed by two chapters, invalid blocks.
    """
    found: dict[str, list[Block]] = {}
    errors: list[PressError] = []
    for entry in book.entries:
        chapter = chapters[entry.path] if chapters else read(book.root, entry.path)
        for block in blocks_of(chapter):
            try:
                target = _target(book.root, block)
                owner = found.get(target, [block])[0].path
                if owner != block.path:
                    what = f"'{target}' is already tangled by {owner}"
                    remedy = "give it a module of its own"
                    raise PressError(what, file=block.path, line=block.cell.line, remedy=remedy)
                _check(block, first=target not in found)
                found.setdefault(target, []).append(block)
            except PressError as error:
                errors.append(error)
    for target, blocks in found.items():
        package = target.removesuffix(".py") + "/"
        if inner := next((other for other in found if other.startswith(package)), None):
            what, remedy = f"'{target}' would hide the package of '{inner}'", "rename one of them"
            errors.append(PressError(what, file=blocks[0].path, line=blocks[0].cell.line, remedy=remedy))
    if errors:
        raise PressErrors(errors)
    return found


def _check(block: Block, first: bool) -> None:
    if not block.cell.source.strip():
        what, remedy = "tangled cell is empty", "write code or delete it"
        raise PressError(what, file=block.path, line=block.cell.line, remedy=remedy)
    for offset, line in enumerate(block.cell.source.split("\n")):
        if PROVENANCE.match(line):
            what = "this comment looks like a provenance comment"
            remedy, number = "word it differently; tangle writes those itself", block.cell.code_line + offset
            raise PressError(what, file=block.path, line=number, remedy=remedy)
    for node in block.tree.body:
        if not first and isinstance(node, ast.ImportFrom) and node.module == "__future__":
            number, remedy = block.cell.code_line + node.lineno - 1, "move it to the module's first block"
            raise PressError(
                "'from __future__' in a later block", file=block.path, line=number, remedy=remedy
            )


def _target(root: Path, block: Block) -> str:
    """The target of a block, checked to lie in the allowed folders without links."""
    target = block.cell.file
    if fault := _fault(root, target):
        header = enumerate(block.cell.header, block.cell.line + 1)
        line = next((number for number, text in header if re.match(r"#\|\s*file\s*:", text)), block.cell.line)
        raise PressError(f"tangle target '{target}' {fault[0]}", file=block.path, line=line, remedy=fault[1])
    return target


def _fault(root: Path, target: str) -> tuple[str, str] | None:
    """What is wrong with a target, and the remedy."""
    parts = target.split("/")
    if target.startswith("/") or "\\" in target or {"..", ".", ""} & set(parts):
        return "is not a plain relative path", "write it from the root of the book, without '..'"
    if not target.startswith(tuple(f"{name}/" for name in FOLDERS)):
        return f"lies outside {' and '.join(f'{name}/' for name in FOLDERS)}", "tangle into one of them"
    if not re.fullmatch(r"(\w+/)*\w+\.py", target, re.ASCII):
        return "is not the name of a Python module", "use letters, digits and '_', and end it in '.py'"
    for depth in range(1, len(parts) + 1):
        name = "/".join(parts[:depth])
        place = root / name
        if place.is_symlink():
            return f"passes through the symbolic link '{name}'", "remove the link"
        if place.exists() and place.is_dir() != (depth < len(parts)):
            return (
                f"cannot be written: '{name}' is {'a folder' if place.is_dir() else 'a file'}",
                "rename one",
            )
    return None


def _head(tree: ast.Module) -> int:
    """The last line of the docstring and the `from __future__` imports, 0 if there are none."""
    end = 0
    for position, node in enumerate(tree.body):
        docstring = position == 0 and ast.get_docstring(tree, clean=False) is not None
        if docstring or (isinstance(node, ast.ImportFrom) and node.module == "__future__"):
            end = node.end_lineno or end
        else:
            break
    return end


def _leading(source: str) -> int:
    """The number of empty lines a cell starts with."""
    return len(source) - len(source.lstrip("\n"))
