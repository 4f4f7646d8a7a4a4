"""The math dialect: LaTeX that MathJax, Typst, LaTeX and the proofreader all understand alike."""

from __future__ import annotations

import re
from collections.abc import Iterator

from press.config import Book
from press.errors import PressError
from press.lint.commands import COMMANDS, ENVIRONMENTS, REFUSED
from press.prose import inline_math
from press.source import Chapter, Equation

TOKEN = re.compile(r"\\([a-zA-Z]+\*?|.)", re.DOTALL)
RELATION = (
    r"(?:=|<|>|\\(?:le|ge|leq|geq|approx|propto|equiv|sim|ll|gg|neq|to|coloneqq|Leftrightarrow|implies|iff))"
)


def check(book: Book, chapter: Chapter) -> Iterator[PressError]:
    """Find formulas outside the dialect."""
    for block in chapter.blocks:
        if isinstance(block, Equation):
            for offset, what, remedy in [*_formula(block.latex, book), *_display(block)]:
                line = block.latex_line + block.latex.count("\n", 0, offset)
                yield PressError(what, file=chapter.path, line=line, remedy=remedy)
    for line, latex in inline_math(chapter):
        for offset, what, remedy in _formula(latex, book):
            place = line + latex.count("\n", 0, offset)
            yield PressError(what, file=chapter.path, line=place, remedy=remedy)


def _formula(latex: str, book: Book) -> Iterator[tuple[int, str, str]]:
    """Problems of one formula, with their offsets."""
    environments: list[str] = []
    delimiters = 0
    for match in TOKEN.finditer(latex):
        name = match[1]
        if name.endswith("*") and name[:-1] != "operatorname":
            name = name[:-1]
        if name in REFUSED:
            yield match.start(), f"'\\{name}' is not in the math dialect", REFUSED[name]
        elif name[0].isalpha() and name not in COMMANDS and name not in book.macros:
            yield (
                match.start(),
                f"unknown macro '\\{name}'",
                "use the dialect, or add it to 'macros' in _quarto.yml",
            )
        elif name == "\\" and not environments:
            yield match.start(), "'\\\\' outside an environment", "put the lines into \\begin{aligned}"
        elif name in ("begin", "end"):
            argument = re.compile(r"\s*\{([^{}]*)\}").match(latex, match.end())
            given = argument[1] if argument else ""
            if given not in ENVIRONMENTS:
                remedy = f"use one of {', '.join(sorted(ENVIRONMENTS))}"
                yield match.start(), f"environment '{given}' is not in the math dialect", remedy
            if name == "begin":
                environments.append(given)
            elif not environments or environments.pop() != given:
                yield match.start(), f"'\\end{{{given}}}' ends nothing", "pair it with its \\begin"
        delimiters += (name == "left") - (name == "right")
    if environments:
        yield len(latex) - 1, f"'\\begin{{{environments[-1]}}}' is not ended", "pair it with its \\end"
    if delimiters:
        yield 0, "'\\left' and '\\right' do not pair", "write one for the other; '.' is an empty one"
    bare = re.sub(r"\\[{}\\]", "  ", latex)
    if bare.count("{") != bare.count("}"):
        yield 0, "braces do not pair", "close each '{'"
    for match in re.finditer(r"(?<!\\)\|", latex):
        before = latex[: match.start()].rstrip()
        if not re.search(r"\\(left|right|middle)$", before):
            remedy = (
                "write \\mid for conditioning, \\lvert … \\rvert for absolute values, \\middle\\| between"
            )
            yield match.start(), "a bare '|'", remedy
    for match in re.finditer(r"(?<!\\)(?:\\\\)*%|(?<![\\\w])~", latex):
        yield match.start(), f"'{match[0]}' in math", "delete it"


def _display(block: Equation) -> Iterator[tuple[int, str, str]]:
    """Problems of a display equation as a whole."""
    latex = block.latex
    if not latex.strip():
        yield 0, "an empty equation", "delete it"
    if block.label and not re.fullmatch(r"eq-[a-z0-9]+(-[a-z0-9]+)*", block.label):
        yield (
            len(latex) - 1,
            f"equation label '{block.label}'",
            "write {#eq-…} with small letters, digits and '-'",
        )
    aligned = re.fullmatch(r"\s*\\begin\{aligned\}(.*)\\end\{aligned\}[\s.,;]*", latex, re.DOTALL)
    if not aligned:
        return
    start = aligned.start(1)
    rows, depth = [], 0
    position = 0
    for match in re.finditer(r"\\begin|\\end|\\\\", aligned[1]):
        depth += {"\\begin": 1, "\\end": -1}.get(match[0], 0)
        if match[0] == "\\\\" and depth == 0:
            rows.append((position, aligned[1][position : match.start()]))
            position = match.end()
    rows.append((position, aligned[1][position:]))
    if len(rows) > 1 and not block.label:
        yield 0, "a derivation of several lines without a label", "add {#eq-…} behind the closing '$$'"
    for place, row in rows:
        first = start + place + len(row) - len(row.lstrip())
        if not row.strip():
            yield min(first, len(latex) - 1), "an empty line of 'aligned'", "delete the '\\\\' before it"
        elif len(rows) > 1 and "&" not in row.replace("\\&", ""):
            yield first, "a line of 'aligned' without '&'", "put '&' before the relation: &= , &\\le"
        elif behind := re.search(RELATION + r"\s*(?<!\\)&(?!\s*" + RELATION + ")", row):
            yield first + behind.start(), "'&' behind the relation", "put it before the relation: &="
