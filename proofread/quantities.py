"""Declarations of numbers, vectors, matrices and sequences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy

from proofread.errors import ProofreadError
from proofread.interpret import Builder, Declaration
from proofread.scope import key
from proofread.values import Stored


def symbol_name(name: str) -> str:
    """A name for a SymPy symbol."""
    return name.replace("\\", "").replace("{", "").replace("}", "").replace(" ", "")


@dataclass
class Numbers(Declaration):
    """Scalars, vectors or matrices of one kind."""

    names: tuple[str, ...]
    kind: str
    shape: tuple[int, ...] = ()
    bounds: tuple[float, float] = (0.0, 1.0)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {name: self.shape for name in self.names}

    def install(self, builder: Builder) -> None:
        for name in self.names:
            text = key(builder.parse(name))
            if builder.raw is None:
                value = self.symbol(text, builder.plain)
            else:
                value = self.number(builder.raw[name], builder.xp)
            builder.store(text, value)
            if self.shape:
                builder.scope.identity_size = builder.scope.identity_size or self.shape[0]

    def number(self, raw: Any, xp: Any) -> Any:
        """Values for raw draws."""
        if self.kind == "real":
            return 1.3 * raw
        if self.kind == "positive":
            return xp.exp(0.7 * raw)
        if self.kind == "between":
            low, high = self.bounds
            return low + (high - low) / (1 + xp.exp(-1.2 * raw))
        lower = xp.tril(raw, -1) + xp.eye(self.shape[0]) * xp.exp(0.4 * raw)
        if self.kind == "lower":
            return lower
        if self.kind == "symmetric":
            return raw + xp.swapaxes(raw, -1, -2)
        if self.kind == "orthogonal":
            return xp.linalg.qr(raw)[0]
        return xp.matmul(lower, xp.swapaxes(lower, -1, -2))

    @property
    def bounded(self) -> bool:
        return self.kind == "between"

    def symbol(self, text: str, plain: str = "") -> Any:
        """Free symbols; ``plain`` as in ``Builder``."""
        name = symbol_name(text)
        if not self.shape:
            return self._scalar(name, plain)
        rows, columns = self.shape

        def entry(i: int, j: int) -> Any:
            return sympy.Symbol(f"{name}_{i + 1}{j + 1}" if columns > 1 else f"{name}_{i + 1}", real=True)

        if self.kind == "real":
            return sympy.Matrix(rows, columns, entry)
        if self.kind == "symmetric":
            return sympy.Matrix(rows, columns, lambda i, j: entry(min(i, j), max(i, j)))
        if self.kind == "orthogonal":
            if rows != 2:
                raise ProofreadError("a symbolic orthogonal matrix has size 2", "use size=2")
            t = sympy.Symbol(f"{name}_t", real=True)
            cosine, sine = (1 - t**2) / (1 + t**2), 2 * t / (1 + t**2)
            return sympy.Matrix([[cosine, -sine], [sine, cosine]])

        def lower(i: int, j: int) -> Any:
            if i < j:
                return sympy.Integer(0)
            return sympy.Symbol(f"{name}_l{i + 1}{j + 1}", real=True, positive=True if i == j else None)

        factor = sympy.Matrix(rows, columns, lower)
        return factor if self.kind == "lower" else factor * factor.T

    def _scalar(self, name: str, plain: str) -> Any:
        if plain == "number" and self.kind == "between":
            return sympy.Symbol(name, real=True, positive=True if self.bounds[0] >= 0 else None)
        if plain == "gap" and self.kind == "between":
            return sympy.nsimplify(self.bounds[1]) - sympy.Symbol(f"gap_{name}", positive=True)
        if self.kind == "real":
            return sympy.Symbol(name, real=True)
        free = sympy.Symbol(name if self.kind == "positive" else f"odds_{name}", positive=True)
        if self.kind == "positive":
            return free
        low, high = (sympy.nsimplify(bound) for bound in self.bounds)
        return (low + high * free) / (1 + free)


@dataclass
class Sequence(Declaration):
    """Indexed numbers ``\\beta_1 … \\beta_T``."""

    name: str
    low: int
    high: int
    numbers: Numbers

    @property
    def bounded(self) -> bool:
        return self.numbers.bounded

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {str(i): self.numbers.shape for i in range(self.low, self.high + 1)}

    def install(self, builder: Builder) -> None:
        text = key(builder.parse(self.name))
        elements = builder.scope.sequences.setdefault(text, {})
        for i in range(self.low, self.high + 1):
            if builder.raw is None:
                elements[(i,)] = Stored(self.numbers.symbol(f"{text}_{i}", builder.plain), 0)
            else:
                elements[(i,)] = Stored(self.numbers.number(builder.raw[str(i)], builder.xp), 1)
        if self.numbers.shape:
            builder.scope.identity_size = builder.scope.identity_size or self.numbers.shape[0]


@dataclass
class Constant(Declaration):
    """A number that is the same in every draw; integers can be bounds and indices."""

    name: str
    number: float

    def install(self, builder: Builder) -> None:
        text = key(builder.parse(self.name))
        whole = float(self.number).is_integer()
        value: Any = int(self.number) if whole else float(self.number)
        builder.store(text, sympy.nsimplify(value) if builder.exact else value)
