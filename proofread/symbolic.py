"""Exact arithmetic with SymPy, and the decision whether an expression is zero."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import sympy

from proofread.blocks import blocks
from proofread.errors import ProofreadError
from proofread.sizes import larger
from proofread.values import Outcome, Table, UndecidableError

_FUNCTIONS: dict[str, Any] = {
    r"\log": sympy.log,
    r"\exp": sympy.exp,
    r"\sin": sympy.sin,
    r"\cos": sympy.cos,
    r"\tan": sympy.tan,
    r"\tanh": sympy.tanh,
    r"\sinh": sympy.sinh,
    r"\cosh": sympy.cosh,
    r"\arctan": sympy.atan,
    r"\arcsin": sympy.asin,
    r"\arccos": sympy.acos,
    r"\mathrm{sign}": sympy.sign,
}


_FACTORED = 60
_WRITTEN_OUT = 3  # size of a determinant


class Symbolic:
    """The symbolic algebra: scalars are SymPy expressions, vectors and matrices SymPy matrices."""

    exact = True
    depth = 0

    def rank(self, value: Any) -> int:
        """0 for scalars, 2 for matrices."""
        return 2 if isinstance(value, sympy.MatrixBase) else 0

    def shape(self, value: Any) -> tuple[int, ...]:
        """Shape of a matrix, () for scalars."""
        return tuple(value.shape) if self.rank(value) else ()

    def lift(self, value: Any, depth: int) -> Any:
        """Nothing to do: there are no batch axes."""
        return value

    def number(self, text: str) -> Any:
        """A literal, as an exact rational."""
        return sympy.Rational(text)

    def concrete(self, value: Any) -> int | None:
        """The integer a value is, or None."""
        return int(value) if isinstance(value, int) or getattr(value, "is_Integer", False) else None

    def _matched(self, a: Any, b: Any, what: str) -> None:
        if self.shape(a) != self.shape(b):
            raise ProofreadError(
                f"cannot {what} {self.describe(a)} and {self.describe(b)}", "check the types"
            )

    def describe(self, value: Any) -> str:
        """Type of a value in words."""
        shape = self.shape(value)
        if not shape:
            return "a scalar"
        return f"a vector of {shape[0]}" if shape[1] == 1 else f"a {shape[0]}×{shape[1]} matrix"

    def add(self, a: Any, b: Any) -> Any:
        """Sum of two values of the same type."""
        if not self.rank(a) and a == 0:
            return b
        if not self.rank(b) and b == 0:
            return a
        self._matched(a, b, "add")
        return a + b

    def negative(self, a: Any) -> Any:
        """Minus a value."""
        return -a

    def multiply(self, a: Any, b: Any) -> Any:
        """Product of scalars, of a scalar and a matrix, or of matrices."""
        if self.rank(a) and self.rank(b):
            if a.shape[1] != b.shape[0]:
                raise ProofreadError(
                    f"cannot multiply {self.describe(a)} by {self.describe(b)}", r"is a \top missing?"
                )
            product = a * b
            return product[0, 0] if product.shape == (1, 1) else product
        return a * b

    def hadamard(self, a: Any, b: Any) -> Any:
        """Element-wise product."""
        self._matched(a, b, "multiply element by element")
        return a.multiply_elementwise(b) if self.rank(a) else a * b

    def divide(self, a: Any, b: Any) -> Any:
        """Quotient by a scalar."""
        if self.rank(b):
            raise ProofreadError(f"cannot divide by {self.describe(b)}", "write the inverse ^{-1}")
        if b == 0:
            raise UndecidableError("a division by zero")
        return a / b

    def power(self, a: Any, b: Any) -> Any:
        """Power of a scalar, or integer power of a square matrix."""
        if self.rank(a):
            if a.shape[0] != a.shape[1]:
                raise ProofreadError(f"cannot raise {self.describe(a)} to this power", r"write x^\top x")
            return a.inv() if b == -1 else a ** int(b)
        small = not getattr(b, "is_integer", True) and not larger(a, _FACTORED)
        if small and a.is_positive is None and a.is_rational_function():
            # In factorised form SymPy sees that 1 - 1/(1 + u) = u/(1 + u) is positive.
            a = sympy.factor(a)
        return a**b

    def binomial(self, a: Any, b: Any) -> Any:
        """Binomial coefficient of scalars."""
        if self.rank(a) or self.rank(b):
            raise ProofreadError("a binomial coefficient of a vector or matrix", "take it of numbers")
        return sympy.expand_func(sympy.binomial(a, b))

    def function(self, name: str, a: Any) -> Any:
        """An elementary function, element by element."""
        function = _FUNCTIONS[name]
        if name == r"\log" and a == 0:
            raise UndecidableError("a logarithm of zero")
        return a.applyfunc(function) if self.rank(a) else function(a)

    def absolute(self, a: Any) -> Any:
        """Absolute value."""
        return sympy.Abs(a)

    def transpose(self, a: Any) -> Any:
        """Transpose; a scalar stays as it is."""
        return a.T if self.rank(a) else a

    def determinant(self, a: Any) -> Any:
        """Determinant."""
        if not self.rank(a):
            return a
        if not 2 <= a.shape[0] <= _WRITTEN_OUT:
            return a.det(method="berkowitz")
        # Written out: SymPy would simplify it, which may cost seconds; polynomials compare it as it is.
        rows, total = range(a.shape[0]), sympy.Integer(0)
        for order in permutations(rows):
            turns = sum(order[j] > order[i] for i in rows for j in range(i))
            total += (-1) ** turns * sympy.Mul(*(a[row, order[row]] for row in rows))
        return total

    def trace(self, a: Any) -> Any:
        """Trace."""
        return a.trace() if self.rank(a) else a

    def diagonal(self, a: Any) -> Any:
        """Diagonal matrix of a vector; the diagonal (a vector) of a matrix."""
        return sympy.diag(*a) if a.shape[1] == 1 else sympy.Matrix(a.diagonal()).T

    def total(self, a: Any) -> Any:
        """Sum of all entries."""
        return sympy.Add(*a) if self.rank(a) else a

    def largest(self, a: Any) -> Any:
        """Largest entry."""
        return sympy.Max(*a) if self.rank(a) else a

    def entry(self, a: Any, row: int, column: int) -> Any:
        """One entry of a matrix, counted from 0."""
        return a[row, column]

    def matrix(self, rows: list[list[Any]]) -> Any:
        """A matrix from scalars, or from blocks."""
        if any(self.rank(entry) for row in rows for entry in row):
            wide = [
                [e if self.rank(e) else sympy.ones(*shape) * e for e, shape in zip(*pair, strict=True)]
                for pair in zip(rows, blocks(self, rows), strict=True)
            ]
            return sympy.Matrix.vstack(*(sympy.Matrix.hstack(*row) for row in wide))
        return sympy.Matrix(rows)

    def identity(self, size: int) -> Any:
        """The identity matrix."""
        return sympy.eye(size)

    def cholesky(self, a: Any) -> Any:
        """Lower Cholesky factor."""
        return a.cholesky(hermitian=False)

    def maximum(self, a: Any, b: Any) -> Any:
        """The larger of two scalars."""
        return sympy.Max(a, b)

    def minimum(self, a: Any, b: Any) -> Any:
        """The smaller of two scalars."""
        return sympy.Min(a, b)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """``a`` if the condition is true, ``b`` if it is false."""
        return a if condition else b

    def compare(self, relation: str, a: Any, b: Any) -> bool:
        """Truth of a relation; undecidable unless SymPy knows it."""
        difference = sympy.expand(a - b)
        known: dict[str, Any] = {
            "=": difference.is_zero, r"\equiv": difference.is_zero,
            "<": difference.is_negative, ">": difference.is_positive,
            r"\le": difference.is_nonpositive, r"\ge": difference.is_nonnegative,
            r"\ne": None if difference.is_zero is None else not difference.is_zero,
        }  # fmt: skip
        if relation not in known:
            raise ProofreadError(f"{relation} cannot stand in a condition", "use = < > ≤ ≥ or ∈")
        if known[relation] is None:
            raise UndecidableError(f"whether {a} {relation} {b} depends on free symbols")
        return bool(known[relation])

    def both(self, a: Any, b: Any) -> bool:
        """Logical and."""
        return bool(a) and bool(b)

    def negate(self, a: Any) -> bool:
        """Logical not."""
        return not a

    def outcome_index(self, outcome: Outcome) -> int:
        """The number of an outcome."""
        return int(outcome.index)

    def look_up(self, table: Table, outcomes: list[Outcome], step: int | None, logits: Any = None) -> Any:
        """The entry of a table at outcomes (one for each argument)."""
        data = table.data if logits is None else logits
        if step is not None:
            data = data[step]
        return data[tuple(int(outcome.index) for outcome in outcomes)]
