"""What of Quarto a chapter may use: the constructs that every output of the book renders alike."""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterator

from press.config import Book
from press.errors import PressError
from press.prose import option_line, passages, plain, without_code
from press.source import KINDS, Cell, Chapter, Code, DivClose, DivOpen, Equation, Heading, Text

CALLOUTS = {f"callout-{kind}" for kind in ("note", "tip", "warning", "important", "caution")}
CONDITIONAL = {"content-visible", "content-hidden"}
CLASSES = CALLOUTS | CONDITIONAL | {"proof", "remark", "solution"}
FORMATS = {"html", "pdf"}
LABELLED_DIVS = set(KINDS) - {"sec", "eq", "lst"} | {"sol"}
OPTIONS: dict[str, tuple[type, ...]] = {
    "label": (str,), "fig-cap": (str,), "fig-alt": (str,), "tbl-cap": (str,), "lst-cap": (str,),
    "lst-label": (str,), "file": (str,), "echo": (bool,), "eval": (bool,), "code-fold": (bool,),
    "output": (bool,),
}  # fmt: skip
WIDTH = 110
"""Longest line of code, the same as ruff's in pyproject.toml."""
TAG = re.compile(r"<(/?[A-Za-z][\w-]*)(?:\s[^<>]*)?/?>")
RAW_LATEX = re.compile(
    r"(?<!\\)\\(?:begin|end|[a-zA-Z]{2,})\s*[\[{]|(?<!\\)\\(?:newpage|clearpage|vspace|noindent)\b"
)
WORDS = "Chapter|Appendix|Section|Equation|Eq|Figure|Fig|Table|Listing|Theorem|Lemma|Corollary|Proposition|" \
    "Conjecture|Definition|Example|Exercise"  # fmt: skip
TWICE = re.compile(rf"\b(?:{WORDS})s?\.?[\s~]+\[?@(?=(?:{'|'.join(KINDS)})-)", re.IGNORECASE)
LABEL = re.compile(r"[a-z]+-[a-z0-9]+(-[a-z0-9]+)*")


def check(book: Book, chapter: Chapter) -> Iterator[PressError]:
    """Find what lies outside the subset."""
    lines = chapter.text.split("\n")

    def found(line: int, what: str, remedy: str) -> PressError:
        return PressError(what, file=chapter.path, line=line, remedy=remedy)

    for key in chapter.front:
        yield found(1, f"front matter '{key}'", "delete it; _quarto.yml and the heading say all")
    unnumbered = {entry.path for entry in book.entries if not entry.number}
    labels: dict[str, int] = {}
    open_divs: list[DivOpen] = []
    for block in chapter.blocks:
        match block:
            case DivOpen():
                open_divs.append(block)
                yield from (found(block.line, *problem) for problem in _div(block, open_divs))
            case DivClose():
                open_divs.pop()
            case Cell():
                yield from (found(*problem) for problem in _cell(block, labels))
            case Code():
                yield from (found(block.line, *problem) for problem in _code(lines[block.line - 1]))
            case Heading() if not block.title_of and open_divs:
                yield found(block.line, "a section inside a div", "end the div before the heading")
            case Equation():
                tail = lines[block.end - 1].split("$$")[-1]
                if re.sub(r"\{#[^}]*\}", "", tail).strip():
                    yield found(block.end, "text after '$$' on its line", "put it on the next line")
            case Text():
                yield from (found(*problem) for problem in _text(block, chapter.path, unnumbered))
    for line, text in passages(chapter):
        for match in TWICE.finditer(plain(text)):
            number = line + text.count("\n", 0, match.start())
            shown = " ".join(match[0].split())
            yield found(number, f"'{shown}…' prints the word twice", "write only the reference")
    for number, text in enumerate(lines, 1):
        for gap in re.findall(r"⟪[^⟫]*⟫?", text):
            yield found(number, f"a gap: {gap[:60]}", "fill it")
    for line, expression in chapter.inline:
        try:
            ast.parse(expression, mode="eval")
        except SyntaxError as error:
            yield found(line, f"inline code is not an expression: {error.msg}", "compute it in a cell above")


def _div(block: DivOpen, open_divs: list[DivOpen]) -> Iterator[tuple[str, str]]:
    given = block.attributes
    kind = given.identifier.split("-", 1)[0]
    if given.identifier and (kind not in LABELLED_DIVS or not LABEL.fullmatch(given.identifier)):
        yield (
            f"div with the label '#{given.identifier}'",
            f"use one of #{'-, #'.join(sorted(LABELLED_DIVS))}-",
        )
    if kind == "fig":
        yield "a figure made of a div", "give each image or cell a label of its own"
    outer = open_divs[-2].attributes.identifier if len(open_divs) > 1 else ""
    if outer and given.identifier and kind not in ("tbl", "sol"):
        yield f"'#{given.identifier}' inside the labelled div '#{outer}'", "put one after the other"
    for name in given.classes:
        if name not in CLASSES:
            yield (
                f"div class '.{name}' is not in the book's subset",
                f"use one of {', '.join(sorted(CLASSES))}",
            )
    for key, value in given.pairs.items():
        wanted = {"title"} if CALLOUTS & set(given.classes) else set()
        wanted |= (
            {"collapse"}
            if wanted
            else {"when-format", "unless-format"}
            if CONDITIONAL & set(given.classes)
            else set()
        )
        wanted |= {"tbl-cap"} if kind == "tbl" else set()
        if key not in wanted:
            yield f"div attribute '{key}'", "titles of theorems are headings; delete other attributes"
        elif key.endswith("format") and value not in FORMATS:
            yield f"format '{value}'", f"use one of {', '.join(sorted(FORMATS))}"
    if CONDITIONAL & set(given.classes) and not {"when-format", "unless-format"} & set(given.pairs):
        yield "conditional content without its condition", 'add when-format="html" or when-format="pdf"'
    if not given.identifier and not given.classes:
        yield "div without class or label", "delete it"


def _cell(cell: Cell, labels: dict[str, int]) -> Iterator[tuple[int, str, str]]:
    for key, value in cell.options.items():
        place = option_line(cell, str(key))
        if key not in OPTIONS:
            yield (
                place,
                f"cell option '{key}' is not in the book's subset",
                f"use one of {', '.join(sorted(OPTIONS))}",
            )
        elif not isinstance(value, OPTIONS[key]):
            wanted = "true or false" if OPTIONS[key] == (bool,) else "text; quote it"
            yield place, f"cell option '{key}' is {value!r}", f"it must be {wanted}"
    for number, line in enumerate(cell.source.split("\n"), cell.code_line):
        if len(line) > WIDTH:
            yield number, f"a line of code of {len(line)} columns", f"break it at {WIDTH}"
        if line.startswith("#|"):
            yield number, "an option below code", "move it to the top of the cell"
    label = cell.label
    place = option_line(cell, "label")
    if label in labels:
        yield place, f"cell label '{label}' is used twice", f"rename it; the first is at line {labels[label]}"
    elif label and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", label):
        yield place, f"cell label '{label}'", "use small letters, digits and '-'"
    if label:
        labels.setdefault(label, place)
    for prefix in ("fig", "tbl", "lst"):
        given = str(cell.options.get("lst-label", "")) if prefix == "lst" else label
        if (f"{prefix}-cap" in cell.options) != given.startswith(f"{prefix}-"):
            key = "lst-label" if prefix == "lst" else "label"
            what = f"'{prefix}-cap' and a {key} '{prefix}-…' belong together"
            yield option_line(cell, f"{prefix}-cap"), what, "add the missing one"
    if label.split("-", 1)[0] in set(KINDS) - {"fig", "tbl"} and "-" in label:
        yield place, f"cell label '{label}' begins like that of another kind", "rename it"


def _code(opening: str) -> Iterator[tuple[str, str]]:
    info = opening.strip().lstrip("`~").strip()
    if re.match(r"\{=\w+\}", info):
        yield f"raw {info[2:-1]}", "write it in Markdown, or as a cell's output"
    elif re.match(r"\{\w+[\s,]", info):
        yield "cell options behind the language", "write them as '#|' lines"


def _text(block: Text, path: str, unnumbered: set[str]) -> Iterator[tuple[int, str, str]]:
    text = "\n".join(block.lines)
    bare, prose = without_code(text), plain(text)

    def line(match: re.Match[str]) -> int:
        return block.line + text.count("\n", 0, match.start())

    for match in re.finditer(r"\{\{<|>\}\}", bare):
        yield line(match), "shortcode", "shortcodes work in Quarto only; write it in Markdown"
    for match in TAG.finditer(prose):
        yield line(match), f"raw HTML '<{match[1]}>'", "write it in Markdown"
    for match in re.finditer(r"`\{=(\w+)\}", text):
        yield line(match), f"raw {match[1]}", "write it in Markdown"
    for match in RAW_LATEX.finditer(prose):
        yield line(match), f"LaTeX outside math '{match[0]}'", "write it in Markdown, or as math"
    for match in re.finditer(r"\$\$", bare):
        yield line(match), "'$$' inside a paragraph", "start the display equation on a line of its own"
    for match in re.finditer(r"^\s*\{#eq-[^}]*\}", bare, re.MULTILINE):
        yield line(match), "the label of an equation on a line of its own", "put it behind the closing '$$'"
    for match in re.finditer(r"(?<!!)\[[^\[\]]*\]\(([^()\s]+\.(?:qmd|ipynb|html)(?:#[^()]*)?)\)", bare):
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), match[1].split("#")[0]))
        if "://" not in match[1] and target not in unnumbered:  # which have no number to refer to
            yield line(match), f"link to the file '{match[1]}'", "refer to its label, such as @sec-…"
    for match in re.finditer(r"\[([^\[\]]*@(?:" + "|".join(KINDS) + r")-[^\[\]]*)\]", prose):
        items = [item.strip() for item in match[1].split(";")]
        if not all(re.fullmatch(rf"-?@(?:{'|'.join(KINDS)})-[\w-]+", item) for item in items):
            yield (
                line(match),
                f"'[{match[1]}]' has words beside its references",
                "put them outside the brackets",
            )
    for match in re.finditer(r"(?:\A|\n[ \t]*\n)[ \t]*(\(?@[\w-]+[.)])(?=\s)", bare):
        place = block.line + text.count("\n", 0, match.start(1))
        yield place, f"a paragraph that begins with '{match[1]}' is taken for a list", "begin it otherwise"
    for match in re.finditer(r"^(?: {4,}|\t)(?:[`:$#]|```)", bare, re.MULTILINE):
        if not re.match(r"\s*(?:[-*+:]|\d+[.)])\s", block.lines[0]):
            yield line(match), "an indented block", "start it at the margin"
