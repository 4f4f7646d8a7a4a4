"""How large SymPy expressions are, without counting what is far beyond a limit."""

from __future__ import annotations

from typing import Any

import sympy

_PARTS = 8  # a tree has fewer parts than this for each operation


def larger(expression: Any, limit: int) -> bool:
    """Whether an expression has more operations than a limit.

    Args:
        expression: a SymPy expression.
        limit: number of operations, as ``sympy.count_ops`` counts them.
    """
    left, count = [expression], 0
    while left:
        count += 1
        if count > _PARTS * (limit + 2):
            return True
        left.extend(left.pop().args)
    return bool(sympy.count_ops(expression) > limit)
