"""Arithmetic on arrays of draws: NumPy for plain values, ``dual`` where something is differentiated.

Every array begins with the batch axes (draws, then one for each bound variable); behind them it is a
scalar (no axis) or a matrix (two axes; vectors are columns). Python numbers are scalars too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy
import scipy.special

from proofread import dual
from proofread.blocks import blocks
from proofread.dual import regular
from proofread.errors import ProofreadError
from proofread.values import Outcome, Table, UndecidableError

FUNCTIONS: dict[str, str] = {
    r"\log": "log",
    r"\exp": "exp",
    r"\sin": "sin",
    r"\cos": "cos",
    r"\tan": "tan",
    r"\tanh": "tanh",
    r"\sinh": "sinh",
    r"\cosh": "cosh",
    r"\arctan": "arctan",
    r"\arcsin": "arcsin",
    r"\arccos": "arccos",
    r"\mathrm{sign}": "sign",
}


class Numeric:
    """The numeric algebra.

    Args:
        draws: size of the first batch axis.
        module: ``numpy`` or ``proofread.dual``.
    """

    exact = False

    def __init__(self, draws: int, module: Any = numpy) -> None:
        self.xp = module
        self.sizes = [draws]
        self.noise = 0.0
        self.trouble: Any = None
        self.level = 0  # slopes of this level and those below are left out of what is looked up

    @property
    def depth(self) -> int:
        """Number of batch axes."""
        return len(self.sizes)

    def with_module(self, module: Any) -> Numeric:
        """The same state with another array module."""
        other = Numeric(self.sizes[0], module)
        other.sizes, other.level = list(self.sizes), self.level
        return other

    def rank(self, value: Any) -> int:
        """0 for scalars, 2 for matrices."""
        return 0 if isinstance(value, (int, float)) else value.ndim - self.depth

    def shape(self, value: Any) -> tuple[int, ...]:
        """Shape behind the batch axes."""
        return () if isinstance(value, (int, float)) else tuple(value.shape[self.depth :])

    def lift(self, value: Any, depth: int) -> Any:
        """A value made with ``depth`` batch axes, with as many as there are now."""
        if isinstance(value, (int, float)):
            return value
        if self.level:
            value = dual.without(value, self.level)
        if depth == self.depth:
            return value
        return value.reshape(*value.shape[:depth], *(1,) * (self.depth - depth), *value.shape[depth:])

    def full(self, value: Any) -> Any:
        """A value broadcast over all batch axes."""
        shape = self.shape(value)
        return self.xp.broadcast_to(self.xp.asarray(value, dtype=float), (*self.sizes, *shape))

    def number(self, text: str) -> Any:
        """A literal."""
        return float(text) if "." in text else int(text)

    def concrete(self, value: Any) -> int | None:
        """The integer a value is, if it is the same plain integer everywhere."""
        if isinstance(value, int):
            return value
        return int(value) if isinstance(value, float) and value.is_integer() else None

    def _matched(self, a: Any, b: Any, what: str) -> tuple[Any, Any]:
        if self.rank(a) != self.rank(b) or (self.rank(a) and self.shape(a) != self.shape(b)):
            raise ProofreadError(
                f"cannot {what} {self.describe(a)} and {self.describe(b)}",
                "check the types; multiply a scalar by I or by a vector of ones",
            )
        return a, b

    def describe(self, value: Any) -> str:
        """Type of a value in words."""
        shape = self.shape(value)
        if not shape:
            return "a scalar"
        return f"a vector of {shape[0]}" if shape[1] == 1 else f"a {shape[0]}×{shape[1]} matrix"

    def _zero(self, value: Any) -> bool:
        return isinstance(value, (int, float)) and value == 0

    def add(self, a: Any, b: Any) -> Any:
        """Sum of two values of the same type."""
        if self._zero(a):
            return b
        if self._zero(b):
            return a
        self._matched(a, b, "add")
        return a + b

    def negative(self, a: Any) -> Any:
        """Minus a value."""
        return -a

    def widen(self, scalar: Any) -> Any:
        """A scalar with two axes behind the batch axes."""
        return scalar if isinstance(scalar, (int, float)) else scalar[..., None, None]

    def multiply(self, a: Any, b: Any) -> Any:
        """Product: of scalars, of a scalar and a matrix, or of matrices."""
        left, right = self.rank(a), self.rank(b)
        if not left and not right:
            return a * b
        if not left or not right:
            return (self.widen(a) if not left else a) * (self.widen(b) if not right else b)
        if self.shape(a)[1] != self.shape(b)[0]:
            raise ProofreadError(
                f"cannot multiply {self.describe(a)} by {self.describe(b)}",
                r"is a \top missing, or \odot meant?",
            )
        product = self.xp.matmul(a, b)
        return product[..., 0, 0] if self.shape(product) == (1, 1) else product

    def hadamard(self, a: Any, b: Any) -> Any:
        """Element-wise product."""
        self._matched(a, b, "multiply element by element")
        return a * b

    def divide(self, a: Any, b: Any) -> Any:
        """Quotient by a scalar."""
        if self.rank(b):
            raise ProofreadError(f"cannot divide by {self.describe(b)}", "write the inverse ^{-1}")
        if isinstance(a, (int, float)) and isinstance(b, (int, float)):
            return a / b if b != 0 else float("nan") if a == 0 else float("inf") * a
        return a / (self.widen(b) if self.rank(a) else b)

    def power(self, a: Any, b: Any) -> Any:
        """Power of a scalar, or integer power of a square matrix."""
        if isinstance(b, float) and b.is_integer():
            b = int(b)
        if self.rank(b):
            raise ProofreadError("a power must be a scalar", "check the exponent")
        if self.rank(a):
            if not isinstance(b, int) or self.shape(a)[0] != self.shape(a)[1]:
                raise ProofreadError(f"cannot raise {self.describe(a)} to this power", r"write x^\top x")
            return regular(self.xp.linalg.inv, a) if b == -1 else self.xp.linalg.matrix_power(a, b)
        if isinstance(a, (int, float)) and isinstance(b, (int, float)):
            try:
                result = a**b
            except (ZeroDivisionError, OverflowError):
                return float("inf")
            return result if isinstance(result, (int, float)) else float("nan")
        if isinstance(b, int):
            return a**b if b >= 0 else 1.0 / a ** (-b)
        return self.xp.power(a, b)

    def binomial(self, a: Any, b: Any) -> Any:
        """Binomial coefficient of scalars; the lower one may not be negative."""
        if self.rank(a) or self.rank(b):
            raise ProofreadError("a binomial coefficient of a vector or matrix", "take it of numbers")
        if isinstance(a, int) and isinstance(b, int) and a >= 0 <= b:
            return math.comb(a, b)
        if isinstance(b, int) and 0 <= b <= 64:
            total: Any = 1.0
            for step in range(b):
                total = total * (a - step) / (step + 1)
            return total
        if not any(isinstance(value, dual.Dual) for value in (a, b)):
            return scipy.special.binom(a, b)
        raise UndecidableError("a derivative through a binomial coefficient with a free lower number")

    def function(self, name: str, a: Any) -> Any:
        """An elementary function, element by element."""
        if isinstance(a, (int, float)):
            a = self.full(a)
        return getattr(self.xp, FUNCTIONS[name])(a)

    def absolute(self, a: Any) -> Any:
        """Absolute value."""
        return abs(a) if isinstance(a, (int, float)) else self.xp.abs(a)

    def transpose(self, a: Any) -> Any:
        """Transpose; a scalar stays as it is."""
        return self.xp.swapaxes(a, -1, -2) if self.rank(a) else a

    def determinant(self, a: Any) -> Any:
        """Determinant."""
        return self.xp.linalg.det(self._square(a, "a determinant")) if self.rank(a) else a

    def trace(self, a: Any) -> Any:
        """Trace."""
        return self.xp.trace(self._square(a, "a trace"), axis1=-2, axis2=-1) if self.rank(a) else a

    def _square(self, a: Any, what: str) -> Any:
        if self.shape(a)[0] != self.shape(a)[1]:
            raise ProofreadError(f"{what} of {self.describe(a)}", "it needs a square matrix")
        return a

    def diagonal(self, a: Any) -> Any:
        """Diagonal matrix of a vector; the diagonal (a vector) of a matrix."""
        if self.shape(a)[1] == 1:
            return a * self.xp.eye(self.shape(a)[0])
        return self.xp.diagonal(a, axis1=-2, axis2=-1)[..., None]

    def total(self, a: Any) -> Any:
        """Sum of all entries behind the batch axes."""
        return self.xp.sum(a, axis=(-1, -2)) if self.rank(a) else a

    def largest(self, a: Any) -> Any:
        """Largest entry behind the batch axes."""
        return self.xp.max(a, axis=(-1, -2)) if self.rank(a) else a

    def entry(self, a: Any, row: int, column: int) -> Any:
        """One entry of a matrix, counted from 0."""
        return a[..., row, column]

    def matrix(self, rows: list[list[Any]]) -> Any:
        """A matrix from scalars, or from blocks."""
        if any(self.rank(entry) for row in rows for entry in row):
            wide = [
                [self._block(entry, shape) for entry, shape in zip(*pair, strict=True)]
                for pair in zip(rows, blocks(self, rows), strict=True)
            ]
            return dual.concatenate([dual.concatenate(row, axis=-1) for row in wide], axis=-2)
        lines = [self.xp.stack([self.full(entry) for entry in row], axis=-1) for row in rows]
        return self.xp.stack(lines, axis=-2)

    def _block(self, entry: Any, shape: tuple[int, int]) -> Any:
        """A block at its full size; a zero fills it."""
        body = self.full(entry)
        return (
            body if self.rank(entry) else self.xp.broadcast_to(body[..., None, None], (*self.sizes, *shape))
        )

    def identity(self, size: int) -> Any:
        """The identity matrix."""
        return self.xp.eye(size).reshape((1,) * self.depth + (size, size))

    def cholesky(self, a: Any) -> Any:
        """Lower Cholesky factor."""
        return regular(self.xp.linalg.cholesky, a)

    def _plain(self, *values: Any) -> bool:
        return all(isinstance(value, (int, float)) for value in values)

    def maximum(self, a: Any, b: Any) -> Any:
        """The larger of two scalars."""
        return max(a, b) if self._plain(a, b) else self.xp.maximum(a, b)

    def minimum(self, a: Any, b: Any) -> Any:
        """The smaller of two scalars."""
        return min(a, b) if self._plain(a, b) else self.xp.minimum(a, b)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """``a`` where the condition holds, else ``b``."""
        if isinstance(condition, bool) or condition.ndim == 0:
            return a if condition else b
        if self.rank(a) or self.rank(b):
            condition = self.xp.asarray(condition)[..., None, None]
        return self.xp.where(condition, a, b)

    def compare(self, relation: str, a: Any, b: Any) -> Any:
        """Truth of a relation between scalars."""
        if self.rank(a) or self.rank(b):
            self._matched(a, b, "compare")
        operations: dict[str, Callable[[], Any]] = {
            "=": lambda: a == b,
            r"\equiv": lambda: a == b,
            r"\ne": lambda: a != b,
            "<": lambda: a < b,
            ">": lambda: a > b,
            r"\le": lambda: a <= b,
            r"\ge": lambda: a >= b,
        }
        if relation not in operations:
            raise ProofreadError(f"{relation} cannot stand in a condition", "use = < > ≤ ≥ or ∈")
        return operations[relation]()

    def both(self, a: Any, b: Any) -> Any:
        """Logical and."""
        return self.xp.logical_and(a, b)

    def negate(self, a: Any) -> Any:
        """Logical not."""
        return self.xp.logical_not(a)

    def outcome_index(self, outcome: Outcome) -> Any:
        """The index array of an outcome with all present batch axes."""
        return (
            self.lift(outcome.index, outcome.depth) if not isinstance(outcome.index, int) else outcome.index
        )

    def look_up(self, table: Table, outcomes: list[Outcome], step: int | None, logits: Any = None) -> Any:
        """Entries of a table at outcomes (one for each argument)."""
        data = dual.without(table.data if logits is None else logits, self.level)
        if step is not None:
            data = data[:, step]
        draws = numpy.arange(data.shape[0]).reshape((-1,) + (1,) * (self.depth - 1))
        return data[(draws, *(self.outcome_index(outcome) for outcome in outcomes))]
