"""Pieces of notation: fonts and accents, environments, the upright d of a differential."""

from __future__ import annotations

from abc import abstractmethod

from proofread.cursor import Cursor
from proofread.symbols import ACCENTS, FONTS
from proofread.tree import (
    Call,
    Cases,
    Matrix,
    Name,
    Node,
)

_MATRICES = {"pmatrix", "bmatrix", "matrix", "vmatrix"}


class NotationParser(Cursor):
    """Parser of notation that needs no grammar of expressions."""

    @abstractmethod
    def relation(self) -> Node:
        """A chain of relations or a plain expression."""

    @abstractmethod
    def close(self, closing: str, opening: object = None) -> None:
        """A closing delimiter."""

    def skip_group(self) -> None:
        """Skip one group or token."""
        depth = 0
        while True:
            word = self.take().text
            if word == "":
                raise self.error("a group is not closed", "add the missing }")
            depth += {"{": 1, "}": -1}.get(word, 0)
            if depth <= 0:
                return

    def at_differential(self) -> bool:
        """Whether an upright d begins here."""
        if self.peek().text != r"\mathrm":
            return False
        if self.peek(1).text == "d":
            return True
        return self.peek(1).text == "{" and self.peek(2).text == "d" and self.peek(3).text == "}"

    def _take_differential(self) -> None:
        self.position += 2 if self.peek(1).text == "d" else 4

    def style_text(self) -> str:
        """Canonical text of a name in a font or under an accent."""
        command = self.take().text
        self.enter()
        if command in ACCENTS:
            command = {r"\widehat": r"\hat", r"\widetilde": r"\tilde"}.get(command, command)
        if self.accept("{"):
            pieces: list[str] = []
            while not self.at("}"):
                if self.at(*FONTS, *ACCENTS):
                    pieces.append(self.style_text())
                    continue
                token = self.take()
                plain = token.text.isalnum() or token.text in ("-", "*", "+") or token.text[:1] == "\\"
                if not plain or token.text in (r"\{", r"\}", r"\|", r"\\"):
                    raise self.error(f"{command} around more than a name", "style single symbols only", token)
                pieces.append(token.text)
            self.take()
            inner = _join(pieces)
        elif self.at(*FONTS, *ACCENTS):
            inner = self.style_text()
        else:
            inner = self.take().text
            if not (inner.isalnum() or (inner[:1] == "\\" and inner[1:].isalpha())):
                raise self.error(f"{command} without a name", "put a symbol behind it")
        self.leave()
        if not inner:
            raise self.error(f"{command} around nothing", "put a symbol into it")
        if command == r"\operatorname" or (command == r"\mathrm" and len(inner) > 1):
            command = r"\mathrm"
        return f"{command}{{{inner}}}"

    def environment(self) -> Node:
        """Cases and matrices."""
        start = self.position
        opening = self.take()
        name = self._environment_name()
        if name != "cases" and name not in _MATRICES:
            raise self.error(
                f"the environment {name} is outside the dialect", "use aligned, cases or pmatrix", opening
            )
        rows: list[list[Node]] = []
        row: list[Node] = []
        while not self.at(r"\end"):
            if self.at("&"):
                self.take()
            elif self.peek().text.startswith("\\\\"):
                self.take()
                rows, row = [*rows, row], []
            elif self.accept(",", r"\quad", "."):
                continue
            elif self.peek().text.startswith(r"\text{") and name == "cases":
                words = self.take().text[6:-1]
                if words.startswith(("otherwise", "else")):
                    row.append(Name(r"\mathrm{otherwise}"))
            else:
                row.append(self.relation())
        rows = [*rows, row] if row else rows
        self.take()
        if self._environment_name() != name:
            raise self.error(f"the environment {name} is not closed", rf"add \end{{{name}}}")
        span = self.span_from(start)
        if not rows or any(not entry for entry in rows):
            raise self.error(f"an empty row in {name}", "write every entry")
        if name != "cases":
            if len({len(entry) for entry in rows}) > 1:
                raise self.error("the rows of a matrix differ in length", "write every entry")
            matrix: Node = Matrix(tuple(tuple(entry) for entry in rows), span=span)
            return Call(Name(r"\det"), (matrix,), span=span) if name == "vmatrix" else matrix
        if any(len(entry) != 2 for entry in rows):
            raise self.error("a row of cases needs a value and a condition", "write value & condition")
        otherwise = Name(r"\mathrm{otherwise}")
        return Cases(tuple((a, None if b == otherwise else b) for a, b in rows), span=span)

    def _environment_name(self) -> str:
        self.expect("{", "after the command of an environment")
        letters = []
        while not self.at("}") and self.peek().text:
            letters.append(self.take().text)
        self.close("}")
        return "".join(letters)


def _join(pieces: list[str]) -> str:
    """Concatenate tokens, with a blank where a command would swallow a letter."""
    text = ""
    for piece in pieces:
        if text and piece[0].isalnum() and text[-1].isalnum() and _ends_in_command(text):
            text += " "
        text += piece
    return text


def _ends_in_command(text: str) -> bool:
    tail = text[text.rfind("\\") :] if "\\" in text else ""
    return len(tail) > 1 and tail[1:].isalpha()
