"""What names, indexed names and defined symbols stand for."""

from __future__ import annotations

import math
from typing import Any

import sympy

from proofread.errors import ProofreadError
from proofread.parts import Part
from proofread.scope import indexed_key, key
from proofread.tree import (
    Call,
    Name,
    Node,
    Number,
    Sub,
    Tag,
)
from proofread.values import Domain, FunctionValue, Stored, UndecidableError

_ANY = Domain("line", "", 961, bounds=(-24.0, 24.0))


class NameMixin(Part):
    """Look-up of names; part of ``Evaluator``."""

    def meaning(self, node: Node) -> Any:
        """What a name stands for."""
        text, name = key(node), self.bound_key(node)
        found = self.scope.find(name)
        if found is None and name != text:
            found = self.scope.find(text)
        if found is not None:
            return found
        for known in (name, text):
            if known in self.scope.definitions:
                return self._defined(known)
        if isinstance(node, Sub):
            found = self._indexed(node)
            if found is not None:
                return found
        if isinstance(node, Tag) and isinstance(node.label, Name | Number) and node.bracketed:
            found = self._indexed(Sub(node.base, (node.label,), span=node.span))
            if found is not None:
                return found
        if self.scope.callable_named(node) is not None:
            return FunctionValue(text, tuple(self.scope.callable_named(node) or ()))
        constant = self._constant(text)
        if constant is not None:
            return constant
        domain = self.scope.domain_of(node)
        if domain is None and text in self.scope.laws:
            domain = _ANY  # outside of an expectation: for every value
        if domain is not None and self.scope.choose is not None:
            self.scope.symbols[name] = self.scope.choose(name, domain)
            return self.scope.symbols[name]
        raise ProofreadError(
            f"{text} has no meaning", "declare it in the interpretation, e.g. real(…) or define(…)"
        )

    def _constant(self, text: str) -> Any:
        exact = self.algebra.exact
        if text == r"\pi":
            return sympy.pi if exact else math.pi
        if text == "e":
            return sympy.E if exact else math.e
        if text == r"\infty":
            return sympy.oo if exact else math.inf
        if text in ("I", r"\mathbf{I}", r"\mathrm{I}") and self.scope.identity_size:
            return self.algebra.identity(self.scope.identity_size)
        if text in (r"\mathbf{1}", r"\mathbf{0}") and self.scope.identity_size:
            number = self.algebra.number("1" if "1" in text else "0")
            return self.algebra.matrix([[number]] * self.scope.identity_size)
        return None

    def _defined(self, name: str) -> Any:
        """The value of a defined symbol; computed once as long as nothing it depends on is bound."""
        body = self.scope.definitions[name].body
        if self.algebra.exact:
            return self.value(body)
        if name not in self.needs:
            self.needs[name] = {_letter(part) for part in self.reachable((body,))}
        bound = {_letter(part) for frame in self.scope.frames for part in frame}
        if "<space>" in bound or bound & self.needs[name]:
            return self.value(body)
        if name not in self.known:
            sizes, before = self.algebra.sizes, self.algebra.noise
            self.algebra.sizes, self.algebra.noise = sizes[:1], 0.0
            try:
                self.known[name] = Stored(self.value(body), 1), self.algebra.noise
            finally:
                self.algebra.sizes = sizes
                self.algebra.noise = max(before, self.algebra.noise)
        found, noise = self.known[name]
        self.algebra.noise = max(self.algebra.noise, noise)
        return found

    def bound_key(self, node: Node) -> str:
        """The name under which a variable is bound: indices are replaced by their values."""
        if type(node) is Sub and not all(type(index) is Number for index in node.index):
            numbers = self.integers(node.index)
            if numbers is not None:
                return indexed_key(node, numbers)
        return key(node)

    def integers(self, nodes: tuple[Node, ...]) -> tuple[int, ...] | None:
        """Concrete integers of indices, or None if one of them is not an integer."""
        numbers = []
        for node in nodes:
            if type(node) is Number and "." not in node.text:
                numbers.append(int(node.text))
                continue
            try:
                value = self.value(node)
            except (ProofreadError, UndecidableError):
                return None
            whole = self.algebra.concrete(value)
            if whole is None:
                return None
            numbers.append(whole)
        return tuple(numbers)

    def _indexed(self, node: Sub) -> Any:
        """An element of a sequence, of a defined family, or an entry of a vector or matrix."""
        base = key(node.base)
        scope = self.scope
        has_base = base in scope.sequences or base in scope.families or scope.find(base) is not None
        if not has_base and base not in scope.definitions and isinstance(node.base, Name):
            return self._outcome_indexed(node)
        numbers = self.integers(node.index)
        if numbers is None and base in scope.sequences:
            letters = ", ".join(map(key, node.index))
            raise ProofreadError(
                f"the index {letters} of {base} has no value",
                f'bind it by a sum, or declare index("{letters}", 1, 3)',
            )
        if numbers is None:
            return self._outcome_indexed(node)
        evaluated = indexed_key(node, numbers)
        found = scope.find(evaluated)
        if found is not None:
            return found
        if evaluated in scope.definitions:
            return self.value(scope.definitions[evaluated].body)
        if base in scope.sequences:
            sequence = scope.sequences[base]
            if numbers not in sequence:
                raise ProofreadError(f"{base} has no element {list(numbers)}", f"it has {sorted(sequence)}")
            return sequence[numbers]
        for definition in scope.families.get(base, []):
            if len(definition.index) == len(numbers):
                bindings: dict[str, Any] = dict(zip(definition.index, numbers, strict=True))
                if self.algebra.exact:
                    bindings = {name: sympy.Integer(number) for name, number in bindings.items()}
                with scope.bound(bindings):
                    return self.value(definition.body)
        value = self.value(node.base)
        if not self.algebra.rank(value):
            return None
        row, column = numbers[0] - 1, numbers[1] - 1 if len(numbers) > 1 else 0
        rows, columns = self.algebra.shape(value)
        if not (0 <= row < rows and 0 <= column < columns):
            raise ProofreadError(
                f"index {list(numbers)} outside of {self.algebra.describe(value)}", "check the range"
            )
        return self.algebra.entry(value, row, column)

    def _outcome_indexed(self, node: Sub) -> Any:
        """``T_x`` for a table with one argument written as an index."""
        functions = self.scope.functions.get(key(node.base))
        if functions is None:
            return None
        return self.value(Call(node.base, node.index, (",",) * (len(node.index) - 1), span=node.span))

    def meaning_of_text(self, text: str) -> Any:
        """The meaning of a declared name such as ``\\sigma^{2}`` given by its canonical text."""
        found = self.scope.find(text)
        return found if found is not None else self.value(self.scope.definitions[text].body)


def _letter(name: str) -> str:
    """A name without its indices and primes."""
    return name.split("_{")[0].rstrip("'")
