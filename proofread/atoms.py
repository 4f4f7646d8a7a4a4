"""Factors: names with their decorations, calls, groups, and everything that begins with a command."""

from __future__ import annotations

import re

from proofread.decorations import DecorationParser, name_like
from proofread.errors import ProofreadError
from proofread.symbols import (
    ACCENTS,
    BIG,
    ELLIPSES,
    EXTREMA,
    FONTS,
    OTHER_COMMANDS,
    PLAIN_NAMES,
    PREFIX_FUNCTIONS,
    PREFIX_NAMES,
    REFUSED,
    RELATIONS,
    STATISTICS,
)
from proofread.tree import (
    At,
    Binomial,
    Call,
    Expectation,
    Indicator,
    Inner,
    Items,
    Labelled,
    Name,
    Node,
    Norm,
    Number,
    Pow,
    Relation,
    Root,
)

_COMMAND_ATOMS = {
    r"\frac",
    r"\sqrt",
    r"\underbrace",
    r"\overbrace",
    r"\langle",
    r"\begin",
    r"\{",
    r"\int",
    r"\iint",
    r"\nabla",
    r"\partial",
    r"\|",
    r"\binom",
}
CLOSING = {"(": ")", "[": "]", r"\{": r"\}", "{": "}", "|": "|", r"\|": r"\|", r"\langle": r"\rangle"}


class AtomParser(DecorationParser):
    """Parser of single factors."""

    def starts_factor(self) -> bool:
        """Whether the next token can begin a factor."""
        token = self.peek()
        word = token.text
        if word == "" or token.side in ("right", "middle"):
            return False
        if word == ".":
            return token.side == "left"
        if word in ("|", r"\|"):
            return token.side == "left" or self.modes[-1] == "plain"
        if word in FONTS:
            return not self.at_differential()
        if word[0] == "\\":
            known = _COMMAND_ATOMS | PLAIN_NAMES | ACCENTS | PREFIX_FUNCTIONS | set(BIG)
            return word in known or simple_words(word)
        return word.isalnum() or word in ("(", "[", "{")

    def factor(self) -> Node:
        """An atom with its subscripts, superscripts, primes and arguments."""
        self.enter()
        try:
            return self._postfixed()
        finally:
            self.leave()

    def _postfixed(self) -> Node:
        start = self.position
        node = self.operator()
        if node is not None and not isinstance(node, Expectation) and not _closed(node):
            return node
        node = node or self.atom()
        while True:
            here = self.position
            node = self.decorated(node, start)
            node = self._called(node, start)
            if self.position == here:
                return node

    def _called(self, node: Node, start: int) -> Node:
        """Arguments in parentheses or brackets directly behind a name."""
        head = node.base if isinstance(node, Pow) else node
        if not name_like(head) or self.peek().side in ("right", "middle"):
            return node
        if self.at("(", "["):
            opening = self.peek().text
            arguments, separators = self.arguments(CLOSING[opening])
            return Call(node, arguments, separators, span=self.span_from(start))
        if isinstance(node, Name) and node.text in PREFIX_NAMES:
            return Call(node, (self.prefix_argument(),), span=self.span_from(start))
        return node

    def arguments(self, closing: str) -> tuple[tuple[Node, ...], tuple[str, ...]]:
        """Everything between two delimiters, with the separators between the arguments."""
        opening = self.take()
        self.open("args")
        items, separators = [self._argument(closing)], []
        while self.at(",", ";", r"\mid", "|", r"\|", ":"):
            sign = self.take().text
            separators.append({"|": r"\mid"}.get(sign, sign))
            items.append(self._argument(closing))
        self.shut()
        self.close(closing, opening)
        return tuple(items), tuple(separators)

    def _argument(self, closing: str) -> Node:
        """One argument; a lone dot stands for a free slot."""
        if self.at(r"\cdot") and self.peek(1).text in (closing, ",", ";", r"\mid", "|", r"\|"):
            token = self.take()
            return Name(token.text, span=token.span)
        return self.relation()

    def close(self, closing: str, opening: object = None) -> None:
        """Read a closing delimiter."""
        if self.peek().text != closing:
            raise self.error(f"expected {closing}", "balance the delimiters")
        self.take()

    def atom(self) -> Node:
        """A number, a name, or something between delimiters."""
        self.enter()
        node = self._read_atom()
        self.leave()
        return node

    def _read_atom(self) -> Node:
        start = self.position
        token = self.peek()
        word = token.text
        if word in REFUSED:
            raise self.unreadable()
        if word in ELLIPSES:
            raise self.error("an ellipsis cannot be checked", r"write the sum or product with \sum or \prod")
        if word == "":
            raise self.error("an expression is missing", "write the operand")
        if word[0].isdigit() or (word[0] == "." and len(word) > 1):
            self.take()
            return Number(word if word[0] != "." else "0" + word, span=token.span)
        if len(word) == 1 and word.isalpha():
            self.take()
            return Name(word, span=token.span)
        if word in PLAIN_NAMES or word.startswith(r"\text{"):
            self.take()
            text = word
            if word.startswith(r"\text{"):
                words = re.sub(r"[^A-Za-z0-9]+", "-", word[6:-1]).strip("-")
                if not words:
                    raise self.error("an empty text inside a formula", "remove it", token)
                text = rf"\mathrm{{{words}}}"
            return Name({r"\Pr": r"\mathbb{P}"}.get(text, text), span=token.span)
        if word in FONTS or word in ACCENTS:
            return self.styled()
        if word in ("(", "[", "{", r"\{"):
            return self._group(start)
        if word in ("|", r"\|"):
            return self._bars(start)
        if word == r"\langle":
            self.take()
            self.open("args")
            left = self.expression()
            self.expect(",", "between the arguments of an inner product")
            right = self.expression()
            self.shut()
            self.close(r"\rangle")
            return Inner(left, right, span=self.span_from(start))
        if word == "." and token.side == "left":
            return self._at_a_point(start)
        if word == r"\sqrt":
            return self._root(start)
        if word in (r"\underbrace", r"\overbrace"):
            return self._brace(start)
        if word == r"\begin":
            return self.environment()
        if word in RELATIONS or word in (
            "+",
            "-",
            ")",
            "]",
            "}",
            r"\mid",
            ",",
            "^",
            "_",
            "&",
            "<break>",
            "'",
        ):
            raise self.error(f"an expression is missing before {word}", "write the operand")
        raise self.unreadable()

    def unreadable(self) -> ProofreadError:
        """The error for a token that cannot stand where it stands."""
        word = self.peek().text
        if word in REFUSED:
            return self.error(f"{word} is outside the dialect", REFUSED[word])
        known = _COMMAND_ATOMS | PLAIN_NAMES | ACCENTS | FONTS | PREFIX_FUNCTIONS | set(BIG) | OTHER_COMMANDS
        if word[:1] == "\\" and word not in known and not word.startswith(r"\text{"):
            return self.error(f"{word} is an unknown macro or sign", "use the dialect or declare the macro")
        return self.error(f"cannot read {word} here")

    def styled(self) -> Node:
        """A name in a font or under an accent; ``\\mathbb{1}`` is an indicator."""
        start = self.position
        text = self.style_text()
        span = self.span_from(start)
        if text == r"\mathrm{d}":
            raise self.error(
                "an upright d that belongs to no integral or derivative", "name it", self.tokens[start]
            )
        if text in STATISTICS:
            raise self.error(
                f"{text} without its brackets", r"write \E_{p}\left[ … \right]", self.tokens[start]
            )
        if text in (r"\mathbb{1}", r"\mathbb{I}", r"\mathbf{1}") and (
            self.at(r"\{", "[", "_") or self.at("(")
        ):
            if self.accept("_"):
                self.expect("{", "around the condition of an indicator")
                condition = self.relation()
                self.close("}")
            else:
                closing = CLOSING[self.take().text]
                self.open("args")
                condition = self.relation()
                self.shut()
                self.close(closing)
            return Indicator(condition, span=self.span_from(start))
        return Name(text, span=span)

    def _group(self, start: int) -> Node:
        """Parentheses, brackets, braces: a group, an interval, a tuple or a set."""
        opening = self.take().text
        self.open("plain" if opening in ("(", "[", "{") else "args")
        items = [self.relation()]
        while opening != "{" and self.accept(","):
            items.append(self.relation())
        self.shut()
        closing = CLOSING[opening]
        if opening in ("(", "[") and self.at(")", "]") and len(items) == 2:
            closing = self.peek().text
        self.close(closing)
        if len(items) == 1 and opening != r"\{":
            return items[0]
        if len(items) == 1 and not self._set_expected(start):
            return items[0]
        return Items(opening + closing, tuple(items), span=self.span_from(start))

    def _set_expected(self, start: int) -> bool:
        return start > 0 and self.tokens[start - 1].text in (r"\in", r"\notin", r"\subset", r"\subseteq")

    def _bars(self, start: int) -> Node:
        """An absolute value or a norm, with the order of the norm."""
        token = self.take()
        self.open("bar")
        body = self.expression()
        self.shut()
        self.close(token.text)
        if token.text == "|":
            return Norm(body, None, True, span=self.span_from(start))
        order: Node | None = None
        if self.accept("_"):
            order = self.subscript()[0]
        return Norm(body, order, False, span=self.span_from(start))

    def _at_a_point(self, start: int) -> Node:
        """``\\left. f \\right|_{x = a}``."""
        self.take()
        self.open("bar")
        body = self.expression()
        self.shut()
        self.close("|")
        self.expect("_", "and the point behind the bar")
        (point,) = self.subscript()
        if not (isinstance(point, Relation) and point.relations == ("=",)):
            raise self.error("expected a point behind the bar", r"write \right|_{x = a}")
        return At(body, point.operands[0], point.operands[1], span=self.span_from(start))

    def _root(self, start: int) -> Node:
        self.take()
        degree: Node | None = None
        if self.accept("["):
            degree = self.expression()
            self.close("]")
        return Root(self.braced(), degree, span=self.span_from(start))

    def _brace(self, start: int) -> Node:
        self.take()
        body = self.braced()
        label = ""
        if self.accept("_", "^"):
            begin = self.position
            self.skip_group()
            words = [token.text for token in self.tokens[begin : self.position]]
            label = " ".join(words[1:-1] if words[0] == "{" else words)
        return Labelled(body, label, span=self.span_from(start))


def _closed(node: Node) -> bool:
    """Whether an operator ends with its brackets, so that a power can follow."""
    if isinstance(node, Call):
        return isinstance(node.function, Name) and node.function.text in EXTREMA
    return isinstance(node, Binomial)


def simple_words(token: str) -> bool:
    """Whether a text token is a single word that can be a name."""
    words = token[6:-1] if token.startswith(r"\text{") else ""
    return words.isalnum() and words not in (
        "if",
        "for",
        "where",
        "and",
        "with",
        "or",
        "as",
        "when",
        "otherwise",
    )
