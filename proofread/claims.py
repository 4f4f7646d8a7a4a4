"""What a chapter says about its equations.

A chapter declares its checks in cells whose label begins with ``proofread-``; they are ordinary Python and
run without the other cells of the chapter::

    from proofread import check, definition, distribution, finite, model

    latent = model(finite("x", 3), finite("z", 3), distribution(r"p_\\theta(x, z)"))
    definition("eq-model")
    check("eq-elbo", latent)

Outside of a proofreading run the calls only return what they were given, so the cell also runs in a notebook.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from proofread import arguments as given
from proofread.errors import ProofreadError, Source, Span
from proofread.extract import Cell, Document
from proofread.interpret import Model
from proofread.values import MINIMUM_DRAWS


@dataclass
class Claim:
    """What a chapter says about one equation."""

    label: str
    kind: str
    model: Model | None = None
    note: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    path: str = ""
    line: int = 0


class Session:
    """The claims collected while the cells of one document run."""

    active: Session | None = None

    def __init__(self) -> None:
        self.claims: dict[str, Claim] = {}
        self.path = ""

    def add(self, claim: Claim) -> Claim:
        """Note a claim; two claims about one equation are refused."""
        if claim.label in self.claims:
            first = self.claims[claim.label].line
            raise ProofreadError(f"{claim.label} is claimed twice (first in line {first})", "keep one claim")
        frame: FrameType | None = sys._getframe()
        while frame is not None and self.path and frame.f_code.co_filename != self.path:
            frame = frame.f_back
        if frame is not None:
            claim.path, claim.line = self.path, frame.f_lineno
        self.claims[claim.label] = claim
        return claim


def _note(claim: Claim) -> Claim:
    return Session.active.add(claim) if Session.active is not None else claim


def _label(label: str) -> str:
    return given.text("a claim", label, 'begin with the label, "eq-…"')


def check(
    label: str,
    interpretation: Model,
    *,
    defines: bool = False,
    implements: str = "",
    arguments: Mapping[str, Any] | None = None,
    fixed: Mapping[str, Any] | None = None,
    build: Mapping[str, Any] | None = None,
    result: str | int | None = None,
    approx: float | None = None,
    over: str = "",
    limit: str = "",
    excuse: Mapping[str, str] | None = None,
    accept: Mapping[int, str] | None = None,
    mutants: bool | str = True,
    exact: bool = True,
    draws: int = 256,
) -> Claim:
    """Claim that every step of an equation holds under an interpretation.

    Args:
        label: label of the equation.
        interpretation: what its symbols mean.
        defines: whether the first relation defines its left side, so that only the later steps are judged.
        implements: dotted name of the function that computes the right-hand side; ``["key"]`` looks into a
            registry, and the last word may be a method of a class (see ``build``).
        arguments: parameter of that function to the LaTeX of its value; what is no string is passed as it is.
        fixed: further parameters with fixed values, such as ``{"name": "kl"}``.
        build: arguments of the class, for a method, in the form of ``arguments``.
        result: the field (or number) of the result that is meant, if there are several.
        approx: relative tolerance of ``≈`` steps.
        over: variable over which ``∝`` steps are meant.
        limit: what ``O(…)`` and ``o(…)`` are meant for, ``h \\to 0`` or ``n \\to \\infty``; a ``≈`` step then
            says that the relative error vanishes there.
        excuse: name of a surviving mutant to the reason why it is no mistake.
        accept: number of an undecided step (from 1) to the reason why it may stand.
        mutants: why no mutants are tried (a reason in words), if none are.
        exact: whether the symbolic witness is asked.
        draws: number of random interpretations.

    Returns:
        The claim.
    """
    _label(label)
    if not isinstance(interpretation, Model):
        raise ProofreadError(f"{label}: {interpretation!r} is no interpretation", "write model(…)")
    for what, word in (("implements", implements), ("over", over), ("limit", limit)):
        if word:
            given.text(f"{what} of {label}", word)
    if approx is not None:
        given.number(f"approx of {label}", approx)
    given.whole(f"draws of {label}", draws, MINIMUM_DRAWS)
    if not isinstance(mutants, (bool, str)):
        raise ProofreadError(f"{label}: mutants={mutants!r}", 'leave it out, or say why: mutants="…"')
    if mutants is False or mutants == "":
        raise ProofreadError(f"{label} is checked without mutants", 'say why: mutants="…"')
    options = {
        "defines": defines,
        "implements": implements,
        "binding": {
            "arguments": given.mapping(f"arguments of {label}", arguments, str, '{"mean": r"\\mu"}'),
            "fixed": given.mapping(f"fixed of {label}", fixed, str, '{"name": "kl"}'),
            "build": given.mapping(f"build of {label}", build, str, '{"mean": r"\\mu"}'),
            "result": result,
        },
        "approx": approx,
        "over": over,
        "limit": limit,
        "excuse": given.mapping(f"excuse of {label}", excuse, str, '{"name of a mutant": "reason"}'),
        "accept": given.mapping(f"accept of {label}", accept, int, '{2: "reason"}'),
        "mutants": mutants,
        "exact": exact,
        "draws": draws,
    }
    return _note(Claim(label, "derived", interpretation, "", options))


def by_hand(label: str, reason: str, numeric: Callable[[], bool], symbolic: Callable[[], bool]) -> Claim:
    """Claim an equation that needs hand-written witnesses; both must return True."""
    _label(label)
    for witness in (numeric, symbolic):
        if not callable(witness):
            raise ProofreadError(f"{label}: {witness!r} is no witness", "give a function that returns True")
    return _note(Claim(label, "checked by hand", None, reason, {"numeric": numeric, "symbolic": symbolic}))


def definition(*labels: str, note: str = "") -> None:
    """Mark equations as definitions: there is nothing to check."""
    for label in map(_label, labels):
        _note(Claim(label, "definition", None, note))


def assumption(*labels: str, note: str = "") -> None:
    """Mark equations as assumptions."""
    for label in map(_label, labels):
        _note(Claim(label, "assumption", None, note))


def cited(label: str, source: str) -> None:
    """Mark an equation as a theorem that is cited, with its source."""
    _label(label)
    if not isinstance(source, str) or not source.strip():
        raise ProofreadError(f"{label} is cited without a source", "say where it is proved")
    _note(Claim(label, "cited theorem", None, source))


def claims_of(document: Document) -> dict[str, Claim]:
    """Run the proofread cells of a document and collect what they claim.

    Raises:
        ProofreadError: with file and line, if a cell fails or claims an equation that does not exist.
    """
    session = Session()
    namespace: dict[str, Any] = {"__name__": "proofread_cell"}
    before, Session.active = Session.active, session
    try:
        for cell in document.cells:
            filler = "\n" * (cell.line - 1)
            path = session.path = cell.path or document.path
            try:
                exec(compile(filler + cell.code, path, "exec"), namespace)
            except ProofreadError as error:
                raise error.at(*_in_cell(cell, path, _line(path, cell, error))) from None
            except Exception as problem:
                line = _line(path, cell, problem)
                raise ProofreadError(
                    f"the cell {cell.label} fails ({type(problem).__name__}: {problem})",
                    "mend the cell; it runs without the other cells of the chapter",
                    *_in_cell(cell, path, line),
                ) from problem
    finally:
        Session.active = before
    for claim in session.claims.values():
        try:
            document.display(claim.label)
        except ProofreadError as error:
            raise error.at(*place_of(claim, document)) from None
    return session.claims


def place_of(claim: Claim, document: Document) -> tuple[Source, Span]:
    """Where a claim is made: its label in a cell of the document."""
    for cell in document.cells:
        path = cell.path or document.path
        if path == claim.path and cell.line <= claim.line <= cell.line + cell.code.count("\n"):
            return _in_cell(cell, path, claim.line, claim.label)
    return Source("", claim.path or document.path, claim.line), (0, 0)


def _in_cell(cell: Cell, path: str, line: int, word: str = "") -> tuple[Source, Span]:
    """A line of a cell as a place, or the first mention of a word from there on."""
    source = Source(cell.code, path, cell.line)
    lines = cell.code.splitlines(keepends=True)
    row = min(max(line - cell.line, 0), max(len(lines) - 1, 0))
    start = sum(map(len, lines[:row]))
    found = cell.code.find(word, start) if word else -1
    if found >= 0:
        return source, (found, found + len(word))
    text = lines[row] if lines else ""
    return source, (start + len(text) - len(text.lstrip()), start + len(text.rstrip()))


def _line(path: str, cell: Cell, problem: BaseException | None = None) -> int:
    """Line of the document that was running when a cell failed."""
    if isinstance(problem, SyntaxError) and problem.lineno:
        return problem.lineno
    trace = problem.__traceback__ if problem is not None else None
    lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == path]
    return lines[-1] if lines and lines[-1] else cell.line
