"""Wrong copies of a derivation: each must be refuted, otherwise the check proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy

from proofread.errors import ProofreadError
from proofread.judge import EQUALITIES, ORDERS, Case, violations
from proofread.pretty import pretty
from proofread.tree import (
    Add,
    Big,
    Binomial,
    Call,
    Derivative,
    Equation,
    Expectation,
    Frac,
    Integral,
    Mul,
    Name,
    Node,
    Number,
    Pow,
    Relation,
    Root,
    Sub,
    Transpose,
)
from proofread.values import UndecidableError
from proofread.witness import PASS, REFUTE, Draws, SymbolicWitness, Values, flat, index_assignments, quietly

_REVERSED = {r"\le": r"\ge", r"\ge": r"\le", "<": ">", ">": "<"}
_LIMIT = 40


@dataclass
class MutantReport:
    """What became of the mutants of one display.

    Args:
        total: mutants made.
        killed: refuted, or no longer a formula with a value.
        equivalents: names of those that mean the same under the interpretation (proved), or are excused.
        survivors: names of the others.
    """

    total: int = 0
    killed: int = 0
    equivalents: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)


def variants(node: Node) -> Iterator[tuple[str, Node]]:
    """Every tree with one mistake in it, with the name of the mistake."""
    yield from _own(node)
    for entry in fields(node):
        if entry.name == "span" or _fixed(node, entry.name):
            continue
        value = getattr(node, entry.name)
        for name, changed in _changed(value):
            yield name, replace(node, **{entry.name: changed})


def _fixed(node: Node, part: str) -> bool:
    """Parts that are names rather than values."""
    if isinstance(node, Call):
        return part == "function" and not isinstance(node.function, Pow)
    if isinstance(node, Sub):
        return part == "base" or not any(_is_index(entry) for entry in node.index)
    return (isinstance(node, (Derivative, Integral)) and part == "variables") or (
        isinstance(node, Big) and part == "index" and all(isinstance(item, Name) for item in node.index)
    )


def _is_index(node: Node) -> bool:
    letter = isinstance(node, Name) and len(node.text) == 1 and node.text.isalpha()
    return letter or isinstance(node, (Number, Add))


def _changed(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Node):
        yield from variants(value)
    elif isinstance(value, tuple):
        for place, item in enumerate(value):
            for name, changed in _changed(item):
                yield name, (*value[:place], changed, *value[place + 1 :])


def _own(node: Node) -> Iterator[tuple[str, Node]]:
    """Mistakes at the top of a tree."""
    match node:
        case Number(text) if "." not in text:
            yield f"{text} becomes {int(text) + 1}", Number(str(int(text) + 1), span=node.span)
        case Add(signs, terms):
            for place, term in enumerate(terms):
                flipped = "-" if signs[place] == "+" else "+"
                changed = replace(node, signs=(*signs[:place], flipped, *signs[place + 1 :]))
                yield f"sign of {pretty(term)}", changed
                if len(terms) > 1:
                    rest = replace(
                        node,
                        signs=(*signs[:place], *signs[place + 1 :]),
                        terms=(*terms[:place], *terms[place + 1 :]),
                    )
                    yield f"term {pretty(term)} dropped", rest
        case Mul(factors, kind):
            for place, factor in enumerate(factors):
                rest_factors = (*factors[:place], *factors[place + 1 :])
                left = rest_factors[0] if len(rest_factors) == 1 else Mul(rest_factors, kind, span=node.span)
                yield f"factor {pretty(factor)} dropped", left
        case Frac(numerator, denominator):
            yield f"{pretty(node)} inverted", Frac(denominator, numerator, span=node.span)
        case Binomial(top, bottom):
            yield f"{pretty(node)} swapped", Binomial(bottom, top, span=node.span)
        case Pow(base, _):
            yield f"exponent of {pretty(base)} dropped", base
        case Root(radicand, _):
            yield f"root of {pretty(radicand)} dropped", radicand
        case Transpose(body):
            yield f"transpose of {pretty(body)} dropped", body
        case Sub(base, index) if any(isinstance(entry, Name) and _is_index(entry) for entry in index):
            for place, entry in enumerate(index):
                if isinstance(entry, Name) and _is_index(entry):
                    shifted = Add(("+", "-"), (entry, Number("1")), span=entry.span)
                    yield (
                        f"index of {pretty(node)} shifted",
                        Sub(base, (*index[:place], shifted, *index[place + 1 :])),
                    )
        case Big(operator, index, upper, body):
            if upper is not None:
                shifted = Add(("+", "-"), (upper, Number("1")), span=upper.span)
                yield f"upper bound {pretty(upper)} lowered", replace(node, upper=shifted)
            if operator in ("sum", "prod"):
                other = "prod" if operator == "sum" else "sum"
                yield f"{operator} becomes {other}", Big(other, index, upper, body, span=node.span)
            elif operator in ("max", "min", "sup", "inf"):
                other = {"max": "min", "min": "max", "sup": "inf", "inf": "sup"}[operator]
                yield f"{operator} becomes {other}", Big(other, index, upper, body, span=node.span)
        case Call(function, arguments, separators):
            yield from _call_mistakes(node, function, arguments, separators)
        case Expectation(operator, over, arguments, given) if operator == "Var":
            yield "Var becomes E", Expectation("E", over, arguments, given, span=node.span)


def _call_mistakes(
    node: Call, function: Node, arguments: tuple[Node, ...], separators: tuple[str, ...]
) -> Iterator[tuple[str, Node]]:
    name = pretty(function)
    if len(arguments) == 1 and name in (r"\log", r"\exp"):
        yield f"{name} of {pretty(arguments[0])} dropped", arguments[0]
    if len(arguments) == 1 and name == r"\log":
        yield f"log of {pretty(arguments[0])} becomes exp", Call(Name(r"\exp"), arguments, span=node.span)
    if len(arguments) == 2 and separators in ((",",), (r"\|",)) and name not in (r"\max", r"\min"):
        swapped = (arguments[1], arguments[0])
        yield f"arguments of {name} swapped", Call(function, swapped, separators, span=node.span)


def run_mutants(equation: Equation, case: Case, excuses: dict[str, str]) -> MutantReport:
    """Make mutants of every line of a display and try to refute them.

    Args:
        equation: the correct display.
        case: interpretation and settings.
        excuses: name of a mutant to the reason why it is no mistake.

    Returns:
        The count of the killed and the names of the survivors.
    """
    report = MutantReport()
    sample = Draws(case.model, case.macros, case.source, case.draws, case.seed + 1)
    for statement in equation.statements:
        if not isinstance(statement, Relation):
            continue
        for position, node in enumerate(statement.operands):
            before = position - 1 if position else 0
            relation = statement.relations[before]
            neighbour = statement.operands[1 if position == 0 else before]
            _mutate(node, neighbour, relation, position, (sample, case, excuses, report))
        for position, relation in enumerate(statement.relations):
            if relation in _REVERSED:
                pair = statement.operands[position], statement.operands[position + 1]
                name = f"line {position + 1}: {relation} reversed"
                _try(name, pair, _REVERSED[relation], None, (sample, case, excuses, report))
    unknown = set(excuses) - report_names(equation)
    if unknown:
        raise ProofreadError(
            f"the excused mutant {sorted(unknown)[0]!r} does not exist",
            "copy its name from the list of survivors",
            case.source,
            equation.span,
        )
    return report


def report_names(equation: Equation) -> set[str]:
    """Names of all mutants of a display."""
    names: set[str] = set()
    for statement in equation.statements:
        if isinstance(statement, Relation):
            for position, node in enumerate(statement.operands):
                names.update(f"line {max(position, 1)}: {name}" for name, _ in variants(node))
            names.update(f"line {p + 1}: {r} reversed" for p, r in enumerate(statement.relations))
    return names


def _mutate(node: Node, neighbour: Node, relation: str, position: int, context: Any) -> None:
    """Mutants of one side, against the side next to it."""
    made: list[tuple[str, Node]] = []
    if relation in EQUALITIES:
        seen: set[str] = set()
        for name, mutant in variants(node):
            text = pretty(mutant)
            if text not in seen and text != pretty(node):
                seen.add(text)
                made.append((name, mutant))
        step = max(1, -(-len(made) // _LIMIT))
        made = made[::step]
    for name, mutant in made:
        _try(f"line {max(position, 1)}: {name}", (neighbour, mutant), "=", node, context)


def _try(name: str, pair: tuple[Node, Node], relation: str, original: Node | None, context: Any) -> None:
    """Count one mutant as killed, equivalent or surviving."""
    sample, case, excuses, report = context
    report.total += 1
    if quietly(lambda: _killed(pair, relation, sample)):
        report.killed += 1
    elif name in excuses or (original is not None and _same(pair[1], original, case)):
        report.equivalents.append(name)
    else:
        report.survivors.append(name)


def _same(mutant: Node, original: Node, case: Case) -> bool:
    return SymbolicWitness(case.model, case.macros, case.source, 2.0).judge("=", mutant, original)[0] is True


def _killed(pair: tuple[Node, Node], relation: str, sample: Draws) -> bool:
    """Whether some draw refutes the mutant, or it has no value at all."""
    probe = sample.evaluator()
    try:
        for assignment in index_assignments(probe.scope, pair):
            evaluator = sample.evaluator()
            evaluator.scope.symbols.update(assignment)
            algebra = evaluator.algebra
            a, b = (evaluator.value(node) for node in pair)
            if algebra.shape(a) != algebra.shape(b):
                return True
            if algebra.noise > 1e-5:
                return True
            left, right = flat(a, sample.count), flat(b, sample.count)
            if not (numpy.isfinite(left).all() and numpy.isfinite(right).all()):
                return True
            scale = numpy.maximum(numpy.abs(left), numpy.abs(right)).max(axis=1, keepdims=True)
            error = violations(relation, Values(left, right, scale, algebra.noise, None))
            limit = PASS if relation in ORDERS else REFUTE
            if error.max() > limit + 200 * algebra.noise:
                return True
    except (ProofreadError, UndecidableError):
        return True
    return False
