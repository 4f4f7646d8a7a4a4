"""Dependent random variables on a hidden sample space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy
import sympy

from proofread.errors import ProofreadError
from proofread.interpret import Builder, Declaration
from proofread.quantities import symbol_name
from proofread.scope import key
from proofread.values import Domain, RandomVariable, Table

MAX_OUTCOMES = 24


@dataclass
class RandomVariables(Declaration):
    """Dependent random variables on a hidden finite sample space."""

    names: tuple[str, ...]
    outcomes: int
    levels: Mapping[str, int | str] = field(default_factory=dict)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        sizes = {name: (MAX_OUTCOMES,) for name in self.names}
        return {"<weights>": (MAX_OUTCOMES,), **sizes}

    def install(self, builder: Builder) -> None:
        unknown = set(self.levels) - set(self.names)
        if unknown:
            raise ProofreadError(
                f"levels of {sorted(unknown)[0]}, which is not declared here", "name it first"
            )
        domains = {name: self._domain(builder, name, level) for name, level in self.levels.items()}
        combinations = int(numpy.prod([domain.size for domain in domains.values()], initial=1))
        count = min(self.outcomes, 3) if builder.exact else self.outcomes
        if domains:
            count = max(count, 2 * combinations)
        if count > MAX_OUTCOMES:
            raise ProofreadError(
                f"a sample space of {count} outcomes", f"at most {MAX_OUTCOMES} are possible"
            )
        space = Domain("finite", "<space>", count)
        if builder.raw is None:
            weights = numpy.array([sympy.Symbol(f"w{i}", positive=True) for i in range(count)], dtype=object)
            total = weights.sum()
        else:
            weights = builder.xp.exp(builder.raw["<weights>"][:, :count])
            total = weights.sum(axis=1, keepdims=True)
        builder.scope.space = Table(weights / total, (space,))
        step = 1
        for name in self.names:
            text = key(builder.parse(name))
            domain = domains.get(name)
            if domain is None:
                builder.scope.symbols[text] = RandomVariable(
                    Table(self._free(builder, name, count), (space,))
                )
                continue
            # The levels of all variables together run through all combinations.
            levels = tuple(int(level) for level in numpy.arange(count) // step % domain.size)
            step *= domain.size
            values = self._values(builder, domain)
            table = Table(values[list(levels)] if builder.exact else values[:, list(levels)], (space,))
            builder.scope.symbols[text] = RandomVariable(table, domain, levels)

    def _domain(self, builder: Builder, name: str, level: int | str) -> Domain:
        """The values of a random variable: those of a declared finite set, or as many as wanted."""
        if isinstance(level, str):
            found = builder.domain(builder.parse(level))
            if found.kind != "finite":
                raise ProofreadError(
                    f"{level} is no variable of a finite set", f'declare finite("{level}", 2)'
                )
            return found
        if level < 2:
            raise ProofreadError(f"{name} with {level} levels is not random", "give it at least 2")
        text = key(builder.parse(name))
        domain = Domain("finite", text, min(level, 2) if builder.exact else level)
        builder.scope.symbols[f"<values {text}>"] = Table(self._free(builder, name, domain.size), (domain,))
        return domain

    def _free(self, builder: Builder, name: str, count: int) -> Any:
        """Free values, one for each outcome or level."""
        if builder.raw is None:
            text = symbol_name(key(builder.parse(name)))
            return numpy.array([sympy.Symbol(f"{text}{i}", real=True) for i in range(count)], dtype=object)
        return 1.3 * builder.raw[name][:, :count]

    def _values(self, builder: Builder, domain: Domain) -> Any:
        """The numbers that the outcomes of a domain stand for."""
        if not domain.values:
            return builder.scope.symbols[f"<values {domain.name}>"].data
        if builder.exact:
            return numpy.array([sympy.nsimplify(value) for value in domain.values], dtype=object)
        return numpy.broadcast_to(numpy.array(domain.values), (builder.draws, domain.size))
