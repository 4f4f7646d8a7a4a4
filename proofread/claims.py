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

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proofread.errors import ProofreadError
from proofread.extract import Cell, Document
from proofread.interpret import Model


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
        self.cell: Cell | None = None

    def add(self, claim: Claim) -> Claim:
        """Note a claim; two claims about one equation are refused."""
        if claim.label in self.claims:
            raise ProofreadError(f"{claim.label} is claimed twice", "keep one check(…)")
        if self.cell is not None:
            claim.path, claim.line = self.cell.path, self.cell.line
        self.claims[claim.label] = claim
        return claim


def _note(claim: Claim) -> Claim:
    return Session.active.add(claim) if Session.active is not None else claim


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
    if mutants is False or mutants == "":
        raise ProofreadError(f"{label} is checked without mutants", 'say why: mutants="…"')
    options = {
        "defines": defines,
        "implements": implements,
        "binding": {
            "arguments": dict(arguments or {}),
            "fixed": dict(fixed or {}),
            "build": dict(build or {}),
            "result": result,
        },
        "approx": approx,
        "over": over,
        "limit": limit,
        "excuse": dict(excuse or {}),
        "accept": dict(accept or {}),
        "mutants": mutants,
        "exact": exact,
        "draws": draws,
    }
    return _note(Claim(label, "derived", interpretation, "", options))


def by_hand(label: str, reason: str, numeric: Callable[[], bool], symbolic: Callable[[], bool]) -> Claim:
    """Claim an equation that needs hand-written witnesses; both must return True."""
    return _note(Claim(label, "checked by hand", None, reason, {"numeric": numeric, "symbolic": symbolic}))


def definition(*labels: str, note: str = "") -> None:
    """Mark equations as definitions: there is nothing to check."""
    for label in labels:
        _note(Claim(label, "definition", None, note))


def assumption(*labels: str, note: str = "") -> None:
    """Mark equations as assumptions."""
    for label in labels:
        _note(Claim(label, "assumption", None, note))


def cited(label: str, source: str) -> None:
    """Mark an equation as a theorem that is cited, with its source."""
    if not source.strip():
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
            session.cell = cell
            filler = "\n" * (cell.line - 1)
            path = cell.path or document.path
            try:
                exec(compile(filler + cell.code, path, "exec"), namespace)
            except ProofreadError as error:
                if error.source is None:
                    error.message = f"{path}:{_line(path, cell, error)}: {error.message}"
                raise
            except Exception as problem:
                line = _line(path, cell, problem)
                raise ProofreadError(
                    f"{path}:{line}: the cell {cell.label} fails ({type(problem).__name__}: {problem})",
                    "mend the cell; it runs without the other cells of the chapter",
                ) from problem
    finally:
        Session.active = before
    for claim in session.claims.values():
        try:
            document.display(claim.label)
        except ProofreadError as error:
            place = f"{claim.path or document.path}:{claim.line}"
            raise ProofreadError(f"{place}: {error.message}", error.remedy) from None
    return session.claims


def _line(path: str, cell: Cell, problem: BaseException | None = None) -> int:
    """Line of the document that was running when a cell failed."""
    if isinstance(problem, SyntaxError) and problem.lineno:
        return problem.lineno
    trace = problem.__traceback__ if problem is not None else None
    lines = [frame.lineno for frame in traceback.extract_tb(trace) if frame.filename == path]
    return lines[-1] if lines and lines[-1] else cell.line
