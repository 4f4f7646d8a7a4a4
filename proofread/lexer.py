"""Tokens of the dialect, and expansion of macros with their positions kept."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from proofread.errors import ProofreadError, Source, Span

MAX_TOKENS = 20_000

DEFAULT_MACROS: dict[str, tuple[int, str]] = {
    r"\E": (0, r"\mathbb{E}"),
    r"\R": (0, r"\mathbb{R}"),
    r"\Normal": (0, r"\mathcal{N}"),
    r"\KL": (2, r"D_{\mathrm{KL}}(#1 \| #2)"),
    r"\Var": (0, r"\operatorname{Var}"),
    r"\Cov": (0, r"\operatorname{Cov}"),
    r"\tr": (0, r"\operatorname{tr}"),
    r"\diag": (0, r"\operatorname{diag}"),
    r"\ind": (0, r"\mathbb{1}"),
    r"\dd": (0, r"\mathrm{d}"),
    r"\softmax": (0, r"\operatorname{softmax}"),
    r"\sigmoid": (0, r"\operatorname{sigmoid}"),
}

SPACING = {
    r"\,",
    r"\;",
    r"\:",
    r"\ ",
    r"\>",
    r"\thinspace",
    r"\medspace",
    r"\thickspace",
    r"\!",
    r"\displaystyle",
    r"\textstyle",
    r"\limits",
    r"\nolimits",
    r"\nonumber",
    r"\notag",
    r"\hfill",
}
ALIASES = {
    r"\leq": r"\le",
    r"\geq": r"\ge",
    r"\neq": r"\ne",
    r"\lvert": "|",
    r"\rvert": "|",
    r"\vert": "|",
    r"\lVert": r"\|",
    r"\rVert": r"\|",
    r"\Vert": r"\|",
    r"\lbrace": r"\{",
    r"\rbrace": r"\}",
    r"\lbrack": "[",
    r"\rbrack": "]",
    r"\Leftrightarrow": r"\iff",
    r"\Longleftrightarrow": r"\iff",
    r"\Rightarrow": r"\implies",
    r"\Longrightarrow": r"\implies",
    r"\dfrac": r"\frac",
    r"\tfrac": r"\frac",
    r"\star": "*",
    r"\ast": "*",
    r"\given": r"\mid",
    r"\parallel": r"\|",
    r"\rightarrow": r"\to",
    r"\colon": ":",
    r"\leqslant": r"\le",
    r"\geqslant": r"\ge",
    r"\triangleq": r"\coloneqq",
    r"\qquad": r"\quad",
}
TEXT_COMMANDS = {r"\text", r"\textrm", r"\mbox", r"\textit", r"\textbf"}
DELIMITERS = {"(", ")", "[", "]", "|", r"\|", r"\{", r"\}", r"\langle", r"\rangle", ".", "/"}

_TOKEN = re.compile(r"\\[A-Za-z]+|\\\\(?:\[[^\]\n]*\])?|\\.|\d+(?:\.\d+)?|\.\d+|\S", re.DOTALL)


@dataclass(frozen=True)
class Token:
    r"""One token; ``side`` is ``left``, ``right``, ``middle`` for delimiters with ``\left`` and so on."""

    text: str
    span: Span
    side: str = ""


def _scan(source: Source) -> list[Token]:
    tokens: list[Token] = []
    text, position = source.text, 0
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif text[position] == "%":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end
        else:
            match = _TOKEN.match(text, position)
            if match is None:
                raise ProofreadError(
                    "a lone backslash", "remove it or complete the command", source, (position, position + 1)
                )
            word = match.group()
            if word in TEXT_COMMANDS:
                position = _scan_text(source, match.end(), tokens, position)
                continue
            tokens.append(Token(word, match.span()))
            position = match.end()
        if len(tokens) > MAX_TOKENS:
            raise ProofreadError("the equation is too long to be read", "split it", source, (0, 1))
    return tokens


def _scan_text(source: Source, position: int, tokens: list[Token], start: int) -> int:
    """Keep the argument of a text command as one token, spaces included."""
    text = source.text
    while position < len(text) and text[position].isspace():
        position += 1
    if position >= len(text) or text[position] != "{":
        raise ProofreadError("a text command without braces", "write \\text{…}", source, (start, position))
    depth, begin = 0, position
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == "{":
            depth += 1
        elif text[position] == "}":
            depth -= 1
            if depth == 0:
                words = " ".join(text[begin + 1 : position].split())
                tokens.append(Token("\\text{" + words + "}", (start, position + 1)))
                return position + 1
        position += 1
    raise ProofreadError("a text command is not closed", "add the missing }", source, (start, begin + 1))


def _argument(tokens: list[Token], position: int, source: Source, call: Token) -> tuple[list[Token], int]:
    """Read one macro argument: a group or a single token."""
    if position >= len(tokens):
        raise ProofreadError(f"{call.text} lacks an argument", "add it in braces", source, call.span)
    if tokens[position].text != "{":
        return [tokens[position]], position + 1
    depth = 0
    for end in range(position, len(tokens)):
        depth += {"{": 1, "}": -1}.get(tokens[end].text, 0)
        if depth == 0:
            return tokens[position + 1 : end], end + 1
    raise ProofreadError("a brace is not closed", "add the missing }", source, tokens[position].span)


def _expand(
    tokens: list[Token], macros: Mapping[str, tuple[int, str]], source: Source, level: int
) -> list[Token]:
    if level > 12:
        raise ProofreadError(
            "macros refer to each other without end", "mend their definitions", source, (0, 1)
        )
    result: list[Token] = []
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token.text not in macros:
            result.append(token)
            continue
        count, body = macros[token.text]
        arguments = []
        for _ in range(count):
            argument, position = _argument(tokens, position, source, token)
            arguments.append(_expand(argument, macros, source, level + 1))
        if arguments:
            token = replace(token, span=(token.span[0], tokens[position - 1].span[1]))
        template = _scan(Source(body, f"the definition of {token.text}"))
        filled: list[Token] = []
        index = 0
        while index < len(template):
            piece = template[index].text
            if piece == "#" and index + 1 < len(template) and template[index + 1].text.isdigit():
                number = int(template[index + 1].text)
                if not 1 <= number <= count:
                    raise ProofreadError(
                        f"{token.text} uses #{number}", f"it takes {count}", source, token.span
                    )
                filled.extend(arguments[number - 1])
                index += 2
                continue
            filled.append(replace(template[index], span=token.span))
            index += 1
        result.extend(
            _expand(filled, {k: v for k, v in macros.items() if k != token.text}, source, level + 1)
        )
        if len(result) > MAX_TOKENS:
            raise ProofreadError("macros expand to too much", "simplify them", source, token.span)
    return result


def tokenize(source: Source, macros: Mapping[str, tuple[int, str]] | None = None) -> list[Token]:
    r"""Tokens of ``source`` with macros expanded, spacing removed, ``\left`` folded into delimiters.

    Args:
        source: the LaTeX.
        macros: ``{"\\KL": (2, "D(#1 \\| #2)")}``; they are added to (and override) the default ones.

    Returns:
        The tokens.

    Raises:
        ProofreadError: for broken macros, lone backslashes and unbalanced braces.
    """
    table = {**DEFAULT_MACROS, **(macros or {})}
    raw = _expand(_scan(source), table, source, 0)
    tokens: list[Token] = []
    position = 0
    depth: list[Token] = []
    while position < len(raw):
        token = raw[position]
        position += 1
        word = ALIASES.get(token.text, token.text)
        if word in SPACING or word == "~":
            continue
        if word in (r"\left", r"\right", r"\middle"):
            if position >= len(raw) or ALIASES.get(raw[position].text, raw[position].text) not in DELIMITERS:
                raise ProofreadError(
                    f"{word} without a delimiter", "follow it with ( [ | …", source, token.span
                )
            delimiter = ALIASES.get(raw[position].text, raw[position].text)
            tokens.append(Token(delimiter, (token.span[0], raw[position].span[1]), word[1:]))
            position += 1
            continue
        if word == "{":
            depth.append(token)
        elif word == "}":
            if not depth:
                raise ProofreadError("} without {", "remove it or open the group", source, token.span)
            depth.pop()
        if word == ":" and position < len(raw) and raw[position].text == "=":
            tokens.append(Token(r"\coloneqq", (token.span[0], raw[position].span[1])))
            position += 1
            continue
        tokens.append(Token(word, token.span))
    if depth:
        raise ProofreadError("{ is never closed", "add the missing }", source, depth[-1].span)
    return tokens


_NEW_COMMAND = re.compile(r"\\(?:re)?newcommand\*?\s*\{?(\\[A-Za-z]+)\}?\s*(?:\[(\d)\])?\s*\{")
_OPERATOR = re.compile(r"\\DeclareMathOperator(\*?)\s*\{?(\\[A-Za-z]+)\}?\s*\{([^}]*)\}")


def read_macros(text: str) -> dict[str, tuple[int, str]]:
    r"""Macros declared in any text by ``\newcommand``, ``\renewcommand`` or ``\DeclareMathOperator``.

    Args:
        text: a ``_quarto.yml``, a preamble, a chapter…

    Returns:
        Name to (number of arguments, body).
    """
    found: dict[str, tuple[int, str]] = {}
    for match in _NEW_COMMAND.finditer(text):
        depth, end = 1, match.end()
        while end < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0) if text[end - 1] != "\\" else 0
            end += 1
        if depth == 0:
            found[match.group(1)] = (int(match.group(2) or 0), text[match.end() : end - 1])
    for match in _OPERATOR.finditer(text):
        found[match.group(2)] = (0, rf"\operatorname{{{match.group(3)}}}")
    return found
