"""One mistake at a time: every tree that differs from the right one by a typical slip of the pen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from proofread.judge import EQUALITIES, ORDERS
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
    Logical,
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

_REVERSED = {r"\le": r"\ge", r"\ge": r"\le", "<": ">", ">": "<"}
_JUDGED = EQUALITIES | set(ORDERS) | {r"\approx", r"\propto"}


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
        case Expectation(operator, over, arguments, given):
            if operator == "Var":
                yield "Var becomes E", Expectation("E", over, arguments, given, span=node.span)
            if given:
                yield f"condition of {pretty(node)} dropped", replace(node, given=())


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


@dataclass(frozen=True)
class Mutant:
    """A wrong copy of one step.

    Args:
        name: line and mistake; unique in a display.
        line: number of the step, from 1.
        pair: both sides, one of them wrong.
        relation: between them.
        original: the right form of the wrong side, None if the relation is what is wrong.
        wrong: the wrong side.
    """

    name: str
    line: int
    pair: tuple[Node, Node]
    relation: str
    original: Node | None = None
    wrong: Node | None = None


def mutants_of(equation: Equation) -> Iterator[Mutant]:
    """All mutants of the chains of a display.

    Line k is the relation number k, counted through the display. A mistake in the first side of a chain is
    called ``line k, left: …``, any other ``line k: …``.
    """
    line = 0
    for statement in equation.statements:
        if isinstance(statement, Relation):
            for position, node in enumerate(statement.operands):
                yield from _of_side(statement, position, node, line + max(position, 1))
            for position, relation in enumerate(statement.relations):
                pair = statement.operands[position], statement.operands[position + 1]
                place = line + position + 1
                if relation in _REVERSED:
                    yield Mutant(f"line {place}: {relation} reversed", place, pair, _REVERSED[relation])
                elif relation in EQUALITIES and not any(_changes(node) for node in pair):
                    wrong = Add(("-",), (pair[1],), span=pair[1].span)
                    name = f"line {place}: sign of {pretty(pair[1])}"
                    yield Mutant(name, place, (pair[0], wrong), relation, pair[1], wrong)
            line += len(statement.relations)
        elif isinstance(statement, Logical):
            for position, connective in enumerate(statement.connectives):
                pair = statement.parts[position], statement.parts[position + 1]
                yield from _of_connective(pair, connective, line + position + 1)
            line += len(statement.connectives)


def _changes(node: Node) -> bool:
    """Whether some mistake shows in a side; where none does in either, its sign is flipped as a whole."""
    return any(pretty(wrong) != pretty(node) for _, wrong in variants(node))


def _of_connective(pair: tuple[Node, Node], connective: str, line: int) -> Iterator[Mutant]:
    """Mutants of a premise and of a conclusion."""
    for side, node in enumerate(pair):
        if not isinstance(node, Relation):
            continue
        place = f"line {line}: " if side else f"line {line}, left: "
        times: Counter[str] = Counter()
        for name, wrong in (*variants(node), *_reversals(node)):
            times[name] += 1
            unique = name if times[name] == 1 else f"{name} ({times[name]})"
            yield Mutant(
                place + unique, line, (pair[0], wrong) if side else (wrong, pair[1]), connective, node
            )


def _reversals(node: Relation) -> Iterator[tuple[str, Node]]:
    for place, relation in enumerate(node.relations):
        if relation in _REVERSED:
            changed = (*node.relations[:place], _REVERSED[relation], *node.relations[place + 1 :])
            yield f"{relation} reversed", replace(node, relations=changed)


def _of_side(statement: Relation, position: int, node: Node, line: int) -> Iterator[Mutant]:
    """Mutants of one side, against the side before it (behind it, for the first one)."""
    relation = statement.relations[max(position - 1, 0)]
    if relation not in _JUDGED:
        return
    neighbour = statement.operands[1 if position == 0 else position - 1]
    place = f"line {line}, left: " if position == 0 else f"line {line}: "
    times: Counter[str] = Counter()
    seen = {pretty(node)}
    for name, wrong in variants(node):
        text = pretty(wrong)
        if text in seen:
            continue
        seen.add(text)
        times[name] += 1
        unique = name if times[name] == 1 else f"{name} ({times[name]})"
        pair = (wrong, neighbour) if position == 0 else (neighbour, wrong)
        yield Mutant(place + unique, line, pair, relation, node, wrong)
