"""Statements, sums and products: the upper half of the recursive-descent parser."""

from __future__ import annotations

from collections.abc import Mapping

from proofread.atoms import AtomParser
from proofread.errors import Source
from proofread.lexer import Token, tokenize
from proofread.symbols import CONNECTIVES, ELLIPSES, PRODUCT_KINDS, RELATIONS
from proofread.tree import Add, Equation, Frac, Logical, Mul, Node, Relation, Remark

_ENVIRONMENTS = {"aligned", "align", "align*", "split", "gathered", "equation", "equation*"}
_BREAK = Token("<break>", (0, 0))


class Parser(AtomParser):
    """Parser of whole displays."""

    def equation(self) -> Equation:
        """Read everything: statements separated by line breaks or by a comma and space."""
        start = self.position
        statements: list[Node] = []
        while self.position < len(self.tokens):
            while self.accept("<break>", r"\quad", ",", ";", "."):
                pass
            if self.position >= len(self.tokens):
                break
            statements.append(self.statement())
            if self.position < len(self.tokens) and not self.at("<break>", r"\quad", ",", ";", "."):
                if self.peek().text.startswith(r"\text{"):
                    continue
                raise self.unreadable()
        if not statements:
            raise self.error("the equation is empty", "write a relation between two sides")
        return Equation(tuple(statements), span=self.span_from(start))

    def statement(self) -> Node:
        """One chain, several chains joined by connectives, or a remark in words."""
        start = self.position
        if self.peek().text.startswith(r"\text{"):
            return self._remark(start)
        parts, connectives = [self.relation()], []
        while self.at(*CONNECTIVES):
            connectives.append(self.take().text)
            parts.append(self.relation())
        if not connectives:
            return parts[0]
        return Logical(tuple(parts), tuple(connectives), span=self.span_from(start))

    def _remark(self, start: int) -> Remark:
        """Words, and the formula that belongs to them, up to the next line."""
        while self.position < len(self.tokens) and not self.at("<break>"):
            self.take()
        span = self.span_from(start)
        return Remark(" ".join(self.source.text[span[0] : span[1]].split()), span=span)

    def relation(self) -> Node:
        """``a = b ≤ c …``, or a plain expression when no relation follows."""
        start = self.position
        operands, relations = [self.expression()], []
        while self.at(*RELATIONS) or self.at(r"\overset", r"\stackrel", r"\underset"):
            relations.append(self._relation_sign())
            operands.append(self.expression())
        if not relations:
            return operands[0]
        return Relation(tuple(operands), tuple(relations), span=self.span_from(start))

    def _relation_sign(self) -> str:
        token = self.take()
        if token.text not in (r"\overset", r"\stackrel", r"\underset"):
            return token.text
        self.skip_group()
        braced = self.accept("{")
        sign = self.take()
        if sign.text not in RELATIONS:
            raise self.error(
                f"{token.text} is only read above a relation", "put the words into the prose", token
            )
        if braced:
            self.expect("}", "after the relation")
        return sign.text

    def expression(self) -> Node:
        """A signed sum of products."""
        self.enter()
        start = self.position
        signs, terms = [], []
        sign = self.take().text if self.at("+", "-") else "+"
        while True:
            signs.append(sign)
            terms.append(self.product())
            if not self.at("+", "-"):
                break
            sign = self.take().text
        self.leave()
        if signs == ["+"]:
            return terms[0]
        return Add(tuple(signs), tuple(terms), span=self.span_from(start))

    def product(self) -> Node:
        """Factors side by side, with dots, crosses, slashes or element-wise signs between them."""
        self.enter()
        start = self.position
        factors, kind = [self.signed_factor()], ""
        slashed = False
        while True:
            if self.at(r"\cdot", r"\times", *PRODUCT_KINDS):
                sign = self.take().text
                here = sign if sign in PRODUCT_KINDS else ""
                if here != kind and len(factors) > 1:
                    factors = [Mul(tuple(factors), kind, span=self.span_from(start))]
                kind = here
                factors.append(self.signed_factor())
                slashed = False
            elif self.at("/"):
                self.take()
                denominator = self.signed_factor()
                numerator = factors.pop()
                factors.append(Frac(numerator, denominator, span=self.span_from(start)))
                slashed = True
            elif self.at(*ELLIPSES):
                raise self.error(
                    "an ellipsis cannot be checked", r"write the sum or product with \sum or \prod"
                )
            elif self.starts_factor():
                if slashed:
                    raise self.error("a slash before a product is ambiguous", r"use \frac or parentheses")
                if kind:
                    factors, kind = [Mul(tuple(factors), kind, span=self.span_from(start))], ""
                factors.append(self.factor())
            else:
                break
        self.leave()
        if len(factors) == 1:
            return factors[0]
        return Mul(tuple(factors), kind, span=self.span_from(start))

    def signed_factor(self) -> Node:
        """A factor, possibly with a sign in front (after a dot or a slash)."""
        start = self.position
        if self.at("-"):
            self.take()
            return Add(("-",), (self.factor(),), span=self.span_from(start))
        return self.factor()


def _flatten(tokens: list[Token]) -> list[Token]:
    """Drop the alignment environment; keep a break only where a new statement begins."""
    result: list[Token] = []
    position, inner = 0, 0
    while position < len(tokens):
        token = tokens[position]
        if token.text in (r"\begin", r"\end") and position + 1 < len(tokens):
            name, after = _environment(tokens, position)
            if name in _ENVIRONMENTS:
                position = after
                continue
            inner = max(0, inner + (1 if token.text == r"\begin" else -1))
        if inner > 0:
            result.append(token)
        elif token.text.startswith(r"\\"):
            position = _line(tokens, position, result)
            continue
        elif token.text != "&":
            result.append(token)
        position += 1
    return result


def _environment(tokens: list[Token], position: int) -> tuple[str, int]:
    """Name of the environment at ``\\begin`` or ``\\end`` and the position after it."""
    letters: list[str] = []
    place = position + 1
    if place < len(tokens) and tokens[place].text == "{":
        place += 1
        while place < len(tokens) and tokens[place].text != "}" and len(letters) < 12:
            letters.append(tokens[place].text)
            place += 1
        return "".join(letters), place + 1
    return "", position + 1


def _line(tokens: list[Token], position: int, result: list[Token]) -> int:
    """Decide what a line break means; returns the position after it."""
    after = position + 1
    aligned = False
    while after < len(tokens) and tokens[after].text in ("&", r"\quad"):
        aligned = aligned or tokens[after].text == "&"
        after += 1
    following = tokens[after].text if after < len(tokens) else ""
    joins = {r"\cdot", r"\times", r"\odot", r"\overset", r"\stackrel"} | RELATIONS | CONNECTIVES
    if following in joins or (aligned and following in ("+", "-")):
        return after
    result.append(Token("<break>", tokens[position].span))
    return after


def parse(latex: str | Source, macros: Mapping[str, tuple[int, str]] | None = None) -> Equation:
    """Read one display.

    Args:
        latex: the LaTeX between the dollar signs.
        macros: additional macros, name to (number of arguments, body).

    Returns:
        Its statements.

    Raises:
        ProofreadError: with place and remedy, for anything outside the dialect.
    """
    source = latex if isinstance(latex, Source) else Source(latex)
    return Parser(_flatten(tokenize(source, macros)), source).equation()


def parse_expression(latex: str | Source, macros: Mapping[str, tuple[int, str]] | None = None) -> Node:
    """Read one expression (or relation) and nothing else."""
    source = latex if isinstance(latex, Source) else Source(latex)
    parser = Parser(tokenize(source, macros), source)
    node = parser.relation()
    if parser.position < len(parser.tokens):
        raise parser.error(f"cannot read {parser.peek().text} here", "give one expression")
    return node
