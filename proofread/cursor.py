"""A place in a list of tokens, with lookahead and errors that know where they are."""

from __future__ import annotations

from proofread.errors import ProofreadError, Source, Span
from proofread.lexer import Token

MAX_DEPTH = 90
END = Token("", (0, 0))


class Cursor:
    """Reads tokens from left to right.

    Args:
        tokens: what ``tokenize`` returned.
        source: where they came from.
    """

    def __init__(self, tokens: list[Token], source: Source) -> None:
        self.tokens, self.source = tokens, source
        self.position, self.depth = 0, 0
        self.modes: list[str] = ["plain"]
        self.integrals = 0
        self._outer: list[int] = []

    def peek(self, ahead: int = 0) -> Token:
        """The token ``ahead`` places further, or an empty one behind the end."""
        place = self.position + ahead
        if 0 <= place < len(self.tokens):
            return self.tokens[place]
        last = self.tokens[-1].span[1] if self.tokens else 0
        return Token("", (last, last + 1))

    def at(self, *texts: str) -> bool:
        """Whether the next token is one of ``texts``; the empty delimiter ``\\left.`` is no full stop."""
        token = self.peek()
        return token.text in texts and token.text != "" and not (token.text == "." and token.side)

    def take(self) -> Token:
        """Read one token."""
        token = self.peek()
        self.position += 1
        return token

    def split_number(self) -> None:
        r"""Leave only the first digit of a number as the next token, as TeX does in ``\frac12``."""
        token = self.peek()
        if len(token.text) > 1 and token.text.isdigit():
            middle = token.span[0] + 1
            self.tokens[self.position : self.position + 1] = [
                Token(token.text[0], (token.span[0], middle)),
                Token(token.text[1:], (middle, token.span[1])),
            ]

    def accept(self, *texts: str) -> bool:
        """Read the next token if it is one of ``texts``."""
        if self.at(*texts):
            self.position += 1
            return True
        return False

    def expect(self, text: str, why: str) -> Token:
        """Read exactly this token or complain."""
        if not self.at(text):
            raise self.error(f"expected {text} {why}")
        return self.take()

    def span_from(self, start: int) -> Span:
        """The span from a token index to the token read last."""
        if start >= len(self.tokens):
            return self.peek().span
        last = self.tokens[max(start, min(self.position, len(self.tokens)) - 1)]
        return self.tokens[start].span[0], max(last.span[1], self.tokens[start].span[1])

    def error(self, message: str, remedy: str = "", token: Token | None = None) -> ProofreadError:
        """An error at a token (by default the next one)."""
        token = token or self.peek()
        if token.text == "":
            message += " at the end"
        elif token is self.peek() and message.startswith("expected"):
            message += f", found {token.text}"
        return ProofreadError(message, remedy or "see authoring.md, Mathematics", self.source, token.span)

    def open(self, mode: str) -> None:
        """Enter delimiters; ``mode`` tells what a bare bar means inside: plain, args or bar."""
        self.modes.append(mode)
        self._outer.append(self.integrals)
        self.integrals = 0

    def shut(self) -> None:
        """Leave delimiters."""
        self.modes.pop()
        self.integrals = self._outer.pop()

    def enter(self) -> None:
        """Count one level of nesting; refuse absurd depth."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.error("the expression is nested too deeply", "name its parts")

    def leave(self) -> None:
        """Leave one level of nesting."""
        self.depth -= 1
