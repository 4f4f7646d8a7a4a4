"""Names and what they stand for while a formula is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from proofread.pretty import pretty
from proofread.tree import Name, Node, Number, Prime, Sub, Tag
from proofread.values import Domain, Overload


def key(node: Node) -> str:
    """Canonical text of a name, kept with the node since it is asked for again and again."""
    text: str | None = node.__dict__.get("_key")
    if text is None:
        text = pretty(node)
        object.__setattr__(node, "_key", text)
    return text


def indexed_key(node: Sub, numbers: tuple[int, ...]) -> str:
    """Canonical text of an indexed name with numbers for its indices, kept with the node."""
    texts: dict[tuple[int, ...], str] | None = node.__dict__.get("_indexed")
    if texts is None:
        texts = {}
        object.__setattr__(node, "_indexed", texts)
    if numbers not in texts:
        texts[numbers] = pretty(Sub(node.base, tuple(Number(str(number)) for number in numbers)))
    return texts[numbers]


def root(node: Node) -> str:
    """The bare letter of a name: without primes, labels, indices and accents (``x`` of ``\\hat{x}_{t}'``)."""
    while isinstance(node, (Sub, Tag, Prime)):
        node = node.base
    text = key(node)
    while text.startswith((r"\hat{", r"\tilde{", r"\bar{", r"\check{")):
        text = text[text.index("{") + 1 : -1]
    return text


@dataclass
class Definition:
    """A symbol defined by a formula; ``index`` are the names of its index parameters."""

    head: Node
    body: Node
    index: tuple[str, ...] = ()


@dataclass
class Scope:
    """Everything a model gives meaning to, for one witness.

    Args:
        symbols: canonical text to a value (Stored, Outcome, RandomVariable, FunctionValue, SetValue, int).
        functions: canonical text of a function to its meanings.
        families: base text of an indexed definition or sequence to its definitions.
        sequences: base text to {index: Stored}.
        domains: canonical text or bare letter of a variable to its domain.
        sets: canonical text of a set to its domain.
        laws: canonical text of a random quantity to the tree of its distribution.
        law_nodes: the same to the quantity itself.
        choose: gives a free variable of a domain an outcome or a value ("for all").
        space: table of probabilities of the hidden sample space, if random variables are declared.
        identity_size: size of ``I``, if the model has vectors.
    """

    symbols: dict[str, Any] = field(default_factory=dict)
    functions: dict[str, list[Overload]] = field(default_factory=dict)
    definitions: dict[str, Definition] = field(default_factory=dict)
    families: dict[str, list[Definition]] = field(default_factory=dict)
    sequences: dict[str, dict[tuple[int, ...], Any]] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    sets: dict[str, Domain] = field(default_factory=dict)
    laws: dict[str, Node] = field(default_factory=dict)
    law_nodes: dict[str, Node] = field(default_factory=dict)
    choose: Callable[[str, Domain], Any] | None = None
    space: Any = None
    identity_size: int = 0
    frames: list[dict[str, Any]] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def find(self, name: str) -> Any:
        """The value of a bound or declared symbol, or None."""
        for frame in reversed(self.frames):
            if name in frame:
                return frame[name]
        self.used.add(name)
        return self.symbols.get(name)

    def is_local(self, name: str) -> bool:
        """Whether a name is bound inside the formula at present."""
        return any(name in frame for frame in self.frames)

    @contextmanager
    def bound(self, bindings: dict[str, Any]) -> Iterator[None]:
        """Bind names for the duration of a block."""
        self.frames.append(bindings)
        try:
            yield
        finally:
            self.frames.pop()

    def domain_of(self, variable: Node) -> Domain | None:
        """The domain of a variable: its own, or that of its bare letter."""
        text = key(variable)
        if text in self.domains:
            return self.domains[text]
        return self.domains.get(root(variable))

    def callable_named(self, node: Node) -> list[Overload] | None:
        """The meanings of a function name, or None."""
        from proofread.values import FunctionValue

        text = key(node)
        local = self.find(text)
        if isinstance(local, FunctionValue):
            return list(local.overloads)
        if local is not None:
            return None
        if text in self.functions:
            return self.functions[text]
        if isinstance(node, Sub) and isinstance(node.base, Name):
            return self.functions.get(text_of_family(node))
        return None


def text_of_family(node: Sub) -> str:
    """Key of functions with an index in their name: ``V_{.}``."""
    return f"{key(node.base)}_{{{','.join('.' * len(node.index))}}}"
