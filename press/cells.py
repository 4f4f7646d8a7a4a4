"""What a notebook knows about the cells of a chapter: their names, their stored outputs and inline values."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from press.source import Cell, Chapter

if TYPE_CHECKING:
    from nbformat import NotebookNode

NOTEBOOKS = "notebooks"
"""Folder under the root of the book that holds the executed chapters."""


@dataclass(frozen=True)
class Stored:
    """Outputs by cell, in the order of `chapter.cells`, and values of inline code; None where unknown."""

    outputs: list[list[dict[str, Any]] | None]
    counts: list[int | None]
    inline: list[str | None]
    stale: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.stale and None not in self.inline


def notebook_path(root: Path, chapter_path: str) -> Path:
    """Where the executed form of a chapter lies."""
    return root / NOTEBOOKS / (chapter_path.removesuffix(".qmd") + ".ipynb")


def cell_ids(chapter: Chapter) -> list[str]:
    """A name for each cell, a unique valid nbformat id: its label, or its place among the unlabelled."""
    names: list[str] = []
    unlabelled = 0
    for cell in chapter.cells:
        if cell.label:
            name = valid_id(cell.label)
        else:
            unlabelled += 1
            name = f"cell-{unlabelled}"
        while name in names:
            name = valid_id(name + "-again")
        names.append(name)
    return names


def valid_id(text: str) -> str:
    """The text as an nbformat cell id: letters, digits, `-` and `_`, at most 64 of them."""
    name = re.sub(r"[^A-Za-z0-9_-]", "-", text) or "cell"
    if len(name) > 64:
        name = f"{name[:53]}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    return name


def stored(chapter: Chapter, notebook: NotebookNode | None) -> Stored:
    """Read the outputs of a chapter back from its notebook.

    Cells match by order when the code of all evaluated cells is unchanged, else by name where their own
    code is.

    Args:
        chapter: The chapter as it is now.
        notebook: The notebook as it was executed, None when there is none.
    """
    cells, names = chapter.cells, cell_ids(chapter)
    kept = [cell for cell in notebook.cells if cell.cell_type == "code"] if notebook is not None else []
    evaluated = [index for index, cell in enumerate(cells) if cell.evaluated]
    found: dict[int, Any] = {}
    if [cells[index].source for index in evaluated] == [cell.source for cell in kept]:
        found = dict(zip(evaluated, kept, strict=True))
    else:
        by_name = {cell.id: cell for cell in kept}
        for index in evaluated:
            match = by_name.get(names[index])
            if match is not None and match.source == cells[index].source:
                found[index] = match
    outputs: list[list[dict[str, Any]] | None] = []
    for index, cell in enumerate(cells):
        if index in found:
            outputs.append([] if hidden(cell) else list(found[index].outputs))
        else:
            outputs.append(None if cell.evaluated and cell.source.strip() else [])
    record = dict(notebook.metadata.get("press", {})) if notebook is not None else {}
    values: dict[str, list[str]] = {}
    known = record.get("inline", [])
    for item in known:
        values.setdefault(item["code"], []).append(item["value"])
    expressions = [code for _, code in chapter.inline]
    inline: list[str | None]
    if [item["code"] for item in known] == expressions:
        inline = [item["value"] for item in known]
    else:  # the same expression may have several values, so it is known only where it has one
        inline = [values[code][0] if len(set(values.get(code, []))) == 1 else None for code in expressions]
    counts = [found[index].get("execution_count") if index in found else None for index in range(len(cells))]
    stale = [names[index] for index, output in enumerate(outputs) if output is None]
    return Stored(outputs, counts, inline, stale)


def hidden(cell: Cell) -> bool:
    """Whether the cell's outputs are not shown."""
    return cell.options.get("output", True) is False
