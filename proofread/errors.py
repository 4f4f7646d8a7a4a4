"""One-line errors that point at the character of the source they complain about."""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True)
class Source:
    """A piece of LaTeX and the place in a file where it stands.

    Args:
        text: the LaTeX itself.
        path: file name shown in messages.
        line: line number (from 1) of the first character of ``text``.
        column: column number (from 1) of the first character of ``text``.
    """

    text: str
    path: str = "<latex>"
    line: int = 1
    column: int = 1

    @property
    def start(self) -> Span:
        """The first character that is no blank."""
        begin = len(self.text) - len(self.text.lstrip())
        return begin, begin + 1

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column (both from 1) in the file of a character of ``text``."""
        before = self.text[: max(0, min(offset, len(self.text)))]
        breaks = before.count("\n")
        if breaks == 0:
            return self.line, self.column + len(before)
        return self.line + breaks, len(before) - before.rfind("\n")

    def excerpt(self, span: Span) -> str:
        """The source line of ``span`` with carets under it (two lines)."""
        start = max(0, min(span[0], len(self.text)))
        begin = self.text.rfind("\n", 0, start) + 1
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        line = self.text[begin:end].replace("\t", " ")
        width = max(1, min(span[1], end) - start)
        return f"    {line}\n    {' ' * (start - begin)}{'^' * width}"


def placed(source: Source, span: Span) -> str:
    """Where something stands: ``file:line:column`` and the source line with carets (three lines)."""
    line, column = source.place(span[0])
    return f"{source.path}:{line}:{column}\n{source.excerpt(span)}"


class ProofreadError(Exception):
    """Something the checker refuses, with its place and its remedy.

    Args:
        message: what was wrong.
        remedy: what the author can do about it.
        source: the LaTeX in question, if there is any.
        span: offsets into ``source.text``.
    """

    def __init__(
        self, message: str, remedy: str = "", source: Source | None = None, span: Span = (0, 0)
    ) -> None:
        self.message, self.remedy, self.source, self.span = message, remedy, source, span
        super().__init__(message, remedy)

    def at(self, source: Source, span: Span) -> ProofreadError:
        """The same error with a place, unless it already has one."""
        if self.source is None:
            self.source, self.span = source, span
        return self

    @property
    def headline(self) -> str:
        """The message on one line: ``file:line:column: what; remedy``."""
        text = f"{self.message}; {self.remedy}" if self.remedy else self.message
        if self.source is None:
            return text
        line, column = self.source.place(self.span[0])
        return f"{self.source.path}:{line}:{column}: {text}"

    def __str__(self) -> str:
        if self.source is None:
            return self.headline
        return f"{self.headline}\n{self.source.excerpt(self.span)}"
