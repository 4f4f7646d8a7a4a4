"""Subscripts, superscripts and primes."""

from __future__ import annotations

from proofread.operators import OperatorParser
from proofread.tree import (
    Add,
    Mul,
    Name,
    Node,
    Number,
    Pow,
    Prime,
    Range,
    Sub,
    Tag,
    Transpose,
)


class DecorationParser(OperatorParser):
    """Parser of what hangs on a name."""

    def decorated(self, node: Node, start: int) -> Node:
        """Primes, subscript and superscript in any order; the subscript binds closest."""
        index: tuple[Node, ...] | None = None
        power: tuple[str, Node] | None = None
        primes = 0
        while self.at("_", "^", "'", r"\prime"):
            token = self.take()
            if token.text in ("'", r"\prime"):
                primes += 1
            elif token.text == "_":
                if index is not None:
                    raise self.error("two subscripts", "put both into one group", token)
                index = self.subscript()
            else:
                if power is not None:
                    raise self.error("two superscripts", "group the first one with braces", token)
                kind, label = self.superscript(node)
                if kind == "prime":
                    primes += 1
                else:
                    power = (kind, label)
        span = self.span_from(start)
        sided = isinstance(node, Number) and power is not None and power[1] in (Name("+"), Name("-"))
        if (primes or (power and power[0] in ("label", "bracketed"))) and not (name_like(node) or sided):
            raise self.error("a prime, star or label on an expression", "give the expression a name")
        if index is not None:
            node = Sub(node, index, span=span)
        if primes:
            node = Prime(node, primes, span=span)
        if power is None:
            return node
        kind, label = power
        if kind == "power":
            return Pow(node, label, span=span)
        if kind == "transpose":
            return Transpose(node, span=span)
        if kind == "inverse transpose":
            return Transpose(Pow(node, label, span=span), span=span)
        return Tag(node, label, kind == "bracketed", span=span)

    def subscript(self) -> tuple[Node, ...]:
        """The indices below a name."""
        if not self.at("{"):
            self.split_number()
            return (self.atom(),)
        opening = self.take()
        self.open("args")
        items: list[Node] = []
        while True:
            start = self.position
            item: Node
            if self.accept("<"):
                item = Range(None, self.expression(), span=self.span_from(start))
            elif self.at("+", "*", "-", r"\cdot") and self.peek(1).text in ("}", ","):
                token = self.take()
                item = Name(token.text, span=token.span)
            else:
                item = self.relation()
                if self.accept(":"):
                    item = Range(item, self.expression(), span=self.span_from(start))
            items.extend(_separate(item))
            if not self.accept(","):
                break
        self.shut()
        self.close("}", opening)
        return tuple(items)

    def superscript(self, base: Node) -> tuple[str, Node]:
        """The kind of a superscript (power, transpose, label, bracketed) and its content."""
        start = self.position
        if not self.at("{"):
            if self.at("*", "+", "-", r"\top", r"\dagger", r"\prime"):
                return self._marker(self.take().text, start)
            self.split_number()
            content = self.atom()
            return ("label" if _is_words(content) else "power"), content
        opening = self.take()
        if self.peek(1).text == "}" and self.at("*", "+", "-", r"\top", r"\dagger", r"\prime"):
            marker = self._marker(self.take().text, start)
            self.close("}", opening)
            return marker
        if self.at("-") and self.peek(1).text == r"\top" and self.peek(2).text == "}":
            self.position += 3
            span = self.span_from(start)
            return "inverse transpose", Add(("-",), (Number("1"),), span=span)
        if self.at("(") and name_like(base) and self._wrapped():
            self.take()
            label = self.expression()
            self.close(")")
            self.close("}", opening)
            return "bracketed", label
        content = self.relation()
        self.close("}", opening)
        return ("label" if _is_words(content) else "power"), content

    def _marker(self, text: str, start: int) -> tuple[str, Node]:
        kind = {r"\top": "transpose", r"\prime": "prime"}.get(text, "label")
        return kind, Name(text, span=self.span_from(start))

    def _wrapped(self) -> bool:
        """Whether the group that begins here is one pair of parentheses around everything."""
        depth, place = 0, self.position
        while place < len(self.tokens):
            depth += {"(": 1, ")": -1}.get(self.tokens[place].text, 0)
            place += 1
            if depth == 0:
                return place < len(self.tokens) and self.tokens[place].text == "}"
        return False


def name_like(node: Node) -> bool:
    """Whether a node can be the name of a function."""
    if isinstance(node, Name):
        return True
    return isinstance(node, (Sub, Tag, Prime)) and name_like(node.base)


def _is_words(node: Node) -> bool:
    return isinstance(node, Name) and node.text.startswith(r"\mathrm{")


def _separate(item: Node) -> tuple[Node, ...]:
    """``ij`` as two indices; ``2i`` stays a product."""
    if isinstance(item, Mul) and all(isinstance(factor, Name) for factor in item.factors):
        return item.factors
    return (item,)
