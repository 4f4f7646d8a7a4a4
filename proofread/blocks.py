"""Sizes of the blocks of a matrix."""

from __future__ import annotations

from typing import Any

import sympy

from proofread.errors import ProofreadError


def blocks(algebra: Any, rows: list[list[Any]]) -> list[list[tuple[int, int]]]:
    """The sizes of the blocks of a matrix; numbers other than 0 have one row and one column.

    Raises:
        ProofreadError: if the blocks do not fit together.
    """

    def size(entries: list[Any], axis: int) -> int:
        zeros = [isinstance(entry, int | sympy.Integer) and entry == 0 for entry in entries]
        plain = [entry for entry, zero in zip(entries, zeros, strict=True) if not zero]
        found = {algebra.shape(entry)[axis] if algebra.rank(entry) else 1 for entry in plain}
        if len(found) > 1:
            what = ("rows", "columns")[axis]
            raise ProofreadError(f"blocks with different numbers of {what} side by side", "check their sizes")
        return found.pop() if found else 1

    heights = [size(row, 0) for row in rows]
    widths = [size([row[place] for row in rows], 1) for place in range(len(rows[0]))]
    return [[(height, width) for width in widths] for height in heights]
