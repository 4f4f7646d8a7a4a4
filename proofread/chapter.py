"""The check of one equation and of a whole file."""

from __future__ import annotations

import gc
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from proofread.claims import Claim, claims_of, place_of
from proofread.errors import ProofreadError, Source, placed
from proofread.extract import Display, Document, read_document
from proofread.interpret import Declaration, Model
from proofread.judge import Case, Step, judge_equation
from proofread.ledger import EquationResult, worst
from proofread.mutants import run_mutants
from proofread.parser import parse
from proofread.tree import Equation, Relation
from proofread.values import UndecidableError

_SNIPPETS = ("interpretation", "constraint", "limit", "<latex>")
_COLLECTED = (50_000, 20, 50)  # new objects before the garbage collector looks through its generations


@cache
def _own_fingerprint() -> str:
    """Hash of this package, so that a changed checker checks again."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def fingerprint(display: Display, claim: Claim | None, document: Document) -> str:
    """Hash of everything a verdict depends on."""
    digest = hashlib.sha256(_own_fingerprint().encode())
    digest.update(display.source.text.encode())
    digest.update(repr(sorted(document.macros.items())).encode())
    if claim is not None:
        # Interpretations may use names of earlier cells, so all of them count.
        digest.update("".join(cell.code for cell in document.cells).encode())
        digest.update(_bound_source(claim.options.get("implements", "")))
    return digest.hexdigest()[:24]


def _bound_source(name: str) -> bytes:
    if not name:
        return b""
    from proofread.binding import source_of

    return source_of(name)


def check_display(display: Display, claim: Claim | None, document: Document) -> EquationResult:
    """The ledger entry of one equation.

    Args:
        display: the equation.
        claim: what the chapter says about it, or None.
        document: where it stands.

    Returns:
        The entry; an equation without a claim is undecided.
    """
    started = time.perf_counter()
    source = display.source
    result = EquationResult(
        display.label,
        source.path,
        source.line,
        " ".join(source.text.split()),
        claim.kind if claim else "unchecked",
        "",
    )
    try:
        if claim is None:
            raise ProofreadError(
                "no interpretation",
                "add check(…), definition(…), assumption(…) or cited(…)",
                source,
                source.start,
            )
        elif claim.kind == "derived":
            _derive(result, source, claim, document.macros)
        elif claim.kind == "checked by hand":
            _by_hand(result, claim)
        else:
            parse(source, document.macros)
            result.verdict, result.note = claim.kind, claim.note
    except ProofreadError as error:
        result.verdict, result.note = "undecided", str(error.at(source, source.start))
        if claim is not None and error.source is not None and error.source.path in _SNIPPETS:
            result.note += f"\nin the claim at {placed(*place_of(claim, document))}"
    result.seconds = time.perf_counter() - started
    return result


def _by_hand(result: EquationResult, claim: Claim) -> None:
    answers = []
    for name in ("numeric", "symbolic"):
        try:
            answers.append(claim.options[name]())
        except Exception as problem:
            raise ProofreadError(
                f"the {name} witness fails ({type(problem).__name__}: {problem})",
                f"mend it: line {claim.line} of the file claims {claim.label}",
            ) from problem
    result.verdict = "proved" if all(answer is True for answer in answers) else "refuted"
    names = ("numeric", "symbolic")
    failed = [name for name, answer in zip(names, answers, strict=True) if answer is not True]
    result.note = claim.note + (f" – the {' and '.join(failed)} witness says no" if failed else "")


def _derive(
    result: EquationResult, source: Source, claim: Claim, macros: Mapping[str, tuple[int, str]]
) -> None:
    """Judge the steps, the mutants and the bound code."""
    options = claim.options
    assert claim.model is not None
    equation = parse(source, macros)
    interpretation = claim.model
    if options["defines"]:
        interpretation, equation, first = _definition_first(interpretation, equation, source)
        result.steps.append(first)
    case = Case(
        interpretation,
        macros,
        source,
        options["approx"],
        options["over"],
        options["draws"],
        0,
        options["exact"],
        options["limit"],
    )
    judged = judge_equation(equation, case)
    result.steps.extend(judged)
    for number, reason in options["accept"].items():
        if not 1 <= number <= len(result.steps):
            raise ProofreadError(
                f"step {number} is accepted but does not exist", "count the relations", source
            )
        step = result.steps[number - 1]
        if step.verdict == "undecided":
            step.verdict, step.reason = "assumption", reason
    result.verdict = worst(
        [step.verdict for step in result.steps if step.verdict != "definition"] or ["definition"]
    )
    if options["implements"] and result.verdict not in ("refuted", "undecided"):
        from proofread.binding import Binding, check_binding

        right = equation.statements[0]
        assert isinstance(right, Relation)
        try:
            binding = Binding(options["implements"], **options["binding"])
            result.code = check_binding(binding, right.operands[-1], case)
        except UndecidableError as problem:
            raise ProofreadError(
                f"{options['implements']} cannot be compared: {problem}", "bind another formula", source
            ) from problem
    if isinstance(options["mutants"], str):
        result.note = f"no mutants: {options['mutants']}"
    elif result.verdict in ("proved", "holds numerically"):
        report = run_mutants(equation, case, options["excuse"])
        result.mutants = {
            "total": report.total,
            "killed": report.killed,
            "equivalent": len(report.equivalents),
            "equivalents": report.equivalents,
            "uninformative": len(report.uninformative),
            "loose": report.loose,
            "survivors": report.survivors,
            "excused": options["excuse"],
        }


class _Defined(Declaration):
    """A definition taken from the first relation of a display."""

    def __init__(self, relation: Relation) -> None:
        self.relation = relation

    def install(self, builder: Any) -> None:
        builder.define(self.relation.operands[0], self.relation.operands[1])


def _definition_first(
    interpretation: Model, equation: Equation, source: Source
) -> tuple[Model, Equation, Step]:
    """Split the first relation of a display off as a definition."""
    from proofread.pretty import pretty

    first = equation.statements[0]
    if not isinstance(first, Relation) or first.relations[0] not in ("=", r"\coloneqq", r"\equiv"):
        raise ProofreadError(
            "a display that defines must begin with left = right", "drop defines=True", source
        )
    if len(first.relations) < 2:
        raise ProofreadError(
            "nothing is left to check", "mark the equation with definition(…)", source, first.span
        )
    step = Step(
        pretty(first.operands[0]),
        first.relations[0],
        pretty(first.operands[1]),
        "definition",
        line=source.line,
    )
    rest = Relation(first.operands[1:], first.relations[1:], span=first.span)
    extended = interpretation.extended(_Defined(first))
    return extended, Equation((rest, *equation.statements[1:]), span=equation.span), step


def check_file(
    path: Path | str,
    labels: Iterable[str] = (),
    known: Mapping[str, EquationResult] | None = None,
    name: str = "",
    progress: Callable[[EquationResult, bool], object] | None = None,
) -> list[EquationResult]:
    """Proofread all labelled equations of a file.

    Args:
        path: a ``.qmd``, ``.md`` or ``.tex`` file.
        labels: check only these (all if empty).
        known: ledger entries by ``file#label``; those whose fingerprint still fits are taken over.
        name: how the file is called in messages and in the ledger (default: as given).
        progress: called after each equation with its entry and whether it was taken over.

    Returns:
        One entry for each labelled equation, in order.

    Raises:
        ProofreadError: if the file or one of its cells cannot be read, or a label does not exist.
    """
    document = read_document(path, name)
    return check_document(document, claims_of(document), labels, known, progress)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let the garbage collector look less often: algebra makes millions of small objects."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*_COLLECTED)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def check_document(
    document: Document,
    claims: Mapping[str, Claim],
    labels: Iterable[str] = (),
    known: Mapping[str, EquationResult] | None = None,
    progress: Callable[[EquationResult, bool], object] | None = None,
) -> list[EquationResult]:
    """Proofread labelled equations of a file that was read; as ``check_file``."""
    wanted = set(labels)
    for label in wanted:
        document.display(label)
    results = []
    for display in document.displays:
        if not display.label or (wanted and display.label not in wanted):
            continue
        claim = claims.get(display.label)
        mark = fingerprint(display, claim, document)
        old = (known or {}).get(f"{document.path}#{display.label}")
        kept = old is not None and old.fingerprint == mark
        if old is not None and kept:
            old.line = display.source.line
            result = old
        else:
            with _rare_collections():
                result = check_display(display, claim, document)
            result.fingerprint = mark
        results.append(result)
        if progress is not None:
            progress(result, kept)
    return results
