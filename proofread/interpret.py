"""Interpretations: what the symbols of a derivation mean, for both witnesses.

An interpretation is a list of declarations in the notation of the formula itself::

    model(finite("x", 3), finite("z", 3), distribution(r"p_\\theta(x, z)"),
          define(r"p_\\theta(x) = \\sum_z p_\\theta(x, z)"))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy
import sympy

from proofread.errors import ProofreadError, Source
from proofread.parser import parse_expression
from proofread.scope import Definition, Scope, key, text_of_family
from proofread.tree import Call, Name, Node, Number, Relation, Sub, walk
from proofread.values import Domain, Outcome, Overload, Stored


@lru_cache(maxsize=8192)
def _parsed(latex: str, macros: tuple[tuple[str, tuple[int, str]], ...]) -> Node:
    """A declaration's LaTeX, read once."""
    return parse_expression(Source(latex, "interpretation"), dict(macros))


@dataclass
class Builder:
    """What a declaration needs to add itself to a scope.

    Args:
        scope: what is being built.
        macros: of the document.
        raw: raw standard normal draws by name (numeric), or None (symbolic).
        xp: ``numpy`` or ``proofread.dual``.
        draws: number of draws.
        plain: how symbols stand for numbers between bounds: ``"number"`` (one symbol), ``"gap"`` (the upper
            bound less a symbol) or ``""`` (a rational function of a symbol, which keeps to the bounds).
    """

    scope: Scope
    macros: Mapping[str, tuple[int, str]]
    raw: Mapping[str, Any] | None = None
    xp: Any = numpy
    draws: int = 1
    plain: str = ""
    frozen: tuple[tuple[str, tuple[int, str]], ...] = ()

    def __post_init__(self) -> None:
        self.frozen = tuple(sorted(self.macros.items()))

    @property
    def exact(self) -> bool:
        """Whether the scope is symbolic."""
        return self.raw is None

    def parse(self, latex: str) -> Node:
        """Read LaTeX of a declaration."""
        return _parsed(latex, self.frozen)

    def store(self, name: str, value: Any) -> None:
        """Give a symbol a value."""
        self.scope.symbols[name] = (
            value if isinstance(value, Outcome) else Stored(value, 0 if self.exact else 1)
        )

    def domain(self, variable: Node) -> Domain:
        """The declared domain of a variable."""
        found = self.scope.domain_of(variable)
        if found is None:
            name = key(variable)
            raise ProofreadError(f"nothing is known about {name}", f'declare finite("{name}", 3) first')
        return found

    def head(self, latex: str) -> Call:
        """A function head such as ``p(x, z)``."""
        node = self.parse(latex)
        if not isinstance(node, Call):
            raise ProofreadError(f"{latex} is not a function with its arguments", "write f(x)")
        return node

    def index_names(self, nodes: Iterable[Node]) -> tuple[str, ...]:
        """Letters in indices that are parameters, because nothing else gives them a meaning."""
        names: list[str] = []
        for node in nodes:
            for part in walk(node):
                if not isinstance(part, Sub):
                    continue
                for entry in part.index:
                    for leaf in walk(entry):
                        plain = isinstance(leaf, Name) and len(leaf.text) == 1 and leaf.text.isalpha()
                        if (
                            plain
                            and isinstance(leaf, Name)
                            and self._unknown(leaf.text)
                            and leaf.text not in names
                        ):
                            names.append(leaf.text)
        return tuple(names)

    def counts(self, letter: str) -> bool:
        """Whether a letter in the name of a function counts (``V_t``) rather than labels (``D_f``)."""
        return letter in "ijklmnst" or letter in self.scope.domains

    def _unknown(self, name: str) -> bool:
        domain = self.scope.domains.get(name)
        return name not in self.scope.symbols and (domain is None or domain.kind == "index")

    def overload(self, head: Call, body: Any) -> None:
        """Add one meaning of a function."""
        function = head.function
        index: tuple[str, ...] = ()
        name = key(function)
        if isinstance(function, Sub):
            letters = tuple(letter for letter in self.index_names([function]) if self.counts(letter))
            if letters and len(letters) == len(function.index):
                index, name = letters, text_of_family(function)
        free = self.index_names(head.arguments)
        entry = Overload(head.arguments, head.separators, body, index, free)
        self.scope.functions.setdefault(name, []).append(entry)

    def define(self, left: Node, right: Node) -> None:
        """``left = right`` as the meaning of ``left``."""
        if isinstance(left, Call):
            if any(isinstance(a, Number) or key(a) == r"\infty" for a in left.arguments):
                self.scope.definitions[key(left)] = Definition(left, right)
                return
            self.overload(left, right)
            return
        if isinstance(left, Sub):
            letters = self.index_names([Sub(left.base, left.index)])
            plain = [entry.text for entry in left.index if isinstance(entry, Name)]
            used = {part.text for part in walk(right) if isinstance(part, Name)}
            if letters and list(letters) == plain and used & set(letters):
                self.scope.families.setdefault(key(left.base), []).append(Definition(left, right, letters))
                return
        self.scope.definitions[key(left)] = Definition(left, right)


class Declaration:
    """Base of all declarations."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Raw standard normal draws it needs: name to shape for one draw."""
        return {}

    def install(self, builder: Builder) -> None:
        """Add it to a scope."""
        raise NotImplementedError

    @property
    def bounded(self) -> bool:
        """Whether it declares numbers between bounds."""
        return False


@dataclass
class Model:
    """An interpretation.

    Args:
        declarations: in order; later ones may use earlier ones.
        constraints: LaTeX of relations that draws must satisfy.
    """

    declarations: tuple[Declaration, ...]
    constraints: tuple[str, ...] = ()

    def extended(self, *more: Declaration | Model) -> Model:
        """The same model with more declarations and constraints."""
        return model(self, *more)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of all raw draws, by name; the declaration's position keeps names apart."""
        found: dict[str, tuple[int, ...]] = {}
        for place, declaration in enumerate(self.declarations):
            for name, shape in declaration.shapes().items():
                found[f"{place}/{name}"] = shape
        return found

    @property
    def bounded(self) -> bool:
        """Whether some numbers lie between bounds."""
        return any(declaration.bounded for declaration in self.declarations)

    def draw(self, generator: numpy.random.Generator, draws: int) -> dict[str, Any]:
        """Raw standard normal draws."""
        return {name: generator.standard_normal((draws, *shape)) for name, shape in self.shapes().items()}

    def build(
        self,
        macros: Mapping[str, tuple[int, str]],
        raw: Mapping[str, Any] | None = None,
        xp: Any = numpy,
        draws: int = 1,
        seed: int = 0,
        plain: str = "",
    ) -> Scope:
        """A scope for one witness.

        Args:
            macros: of the document.
            raw: raw draws, or None for symbols.
            xp: array module.
            draws: number of draws.
            seed: of the outcomes chosen for free variables.
            plain: as in ``Builder``.

        Returns:
            The scope.
        """
        scope = Scope()
        builder = Builder(scope, macros, raw, xp, draws, plain)
        for place, declaration in enumerate(self.declarations):
            if raw is not None:
                prefix = f"{place}/"
                builder.raw = {n[len(prefix) :]: v for n, v in raw.items() if n.startswith(prefix)}
            declaration.install(builder)
        scope.choose = _symbol_for if raw is None else _Chooser(draws, seed)
        return scope


class _Chooser:
    """Random outcomes and points for free variables, the same for the same name and seed."""

    def __init__(self, draws: int, seed: int) -> None:
        self.draws, self.seed = draws, seed

    def __call__(self, name: str, domain: Domain) -> Any:
        generator = numpy.random.default_rng([self.seed, *name.encode()])
        if domain.kind == "finite":
            return Outcome(domain, generator.integers(0, domain.size, self.draws), 1)
        low, high = domain.bounds
        if domain.kind == "line" and high - low > 10:
            return Stored(generator.standard_normal(self.draws), 1)
        if domain.kind == "line":
            return Stored(generator.uniform(low, high, self.draws), 1)
        raise ProofreadError(f"the index {name} is free here", "bind it by a sum")


def _symbol_for(name: str, domain: Domain) -> Any:
    if domain.kind == "finite":
        return Outcome(domain, 0)
    if domain.kind == "line":
        return Stored(sympy.Symbol(name, real=True), 0)
    raise ProofreadError(f"the index {name} is free here", "bind it by a sum")


def relation_of(node: Node, sign: str, latex: str) -> tuple[Node, Node]:
    """Both sides of ``left sign right``."""
    if not (isinstance(node, Relation) and node.relations and node.relations[0] in (sign, r"\coloneqq")):
        raise ProofreadError(f"{latex} does not have the form left {sign} right", "write it so")
    return node.operands[0], node.operands[1]


def model(*declarations: Declaration | Model) -> Model:
    """An interpretation from declarations and other models.

    Args:
        declarations: declarations, or whole models whose declarations are taken over.

    Returns:
        The model.
    """
    from proofread.declarations import Assume

    flat: list[Declaration] = []
    constraints: list[str] = []
    for entry in declarations:
        if isinstance(entry, Model):
            flat.extend(entry.declarations)
            constraints.extend(entry.constraints)
        elif isinstance(entry, Assume):
            constraints.append(entry.latex)
        elif isinstance(entry, Declaration):
            flat.append(entry)
        else:
            raise ProofreadError(
                f"{entry!r} is not a declaration", "use real(…), finite(…), define(…) and so on"
            )
    return Model(tuple(flat), tuple(constraints))
