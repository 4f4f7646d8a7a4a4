"""Prints a tree as canonical LaTeX; parsing the print gives the tree back."""

from __future__ import annotations

from proofread.symbols import PREFIX_FUNCTIONS
from proofread.tree import (
    Add,
    At,
    Big,
    Binomial,
    Call,
    Cases,
    Derivative,
    Equation,
    Expectation,
    Frac,
    Indicator,
    Inner,
    Integral,
    Items,
    Labelled,
    Logical,
    Matrix,
    Mul,
    Name,
    Node,
    Norm,
    Number,
    Pow,
    Prime,
    Range,
    Relation,
    Remark,
    Root,
    Sub,
    Tag,
    Transpose,
)

_BIG = {
    "sum": r"\sum",
    "prod": r"\prod",
    "max": r"\max",
    "min": r"\min",
    "sup": r"\sup",
    "inf": r"\inf",
    "argmax": r"\arg\max",
    "argmin": r"\arg\min",
    "argsup": r"\arg\sup",
    "arginf": r"\arg\inf",
    "lim": r"\lim",
}


def pretty(node: Node) -> str:
    """The LaTeX of a tree, fully parenthesised where the dialect could be misread."""
    if isinstance(node, Equation):
        return " \\\\ ".join(pretty(item) for item in node.statements)
    if isinstance(node, Logical):
        parts = [pretty(node.parts[0])]
        for sign, part in zip(node.connectives, node.parts[1:], strict=True):
            parts.append(f"{sign} {pretty(part)}")
        return " ".join(parts)
    if isinstance(node, Remark):
        return node.text
    if isinstance(node, Relation):
        parts = [_operand(node.operands[0])]
        for sign, part in zip(node.relations, node.operands[1:], strict=True):
            parts.append(f"{sign} {_operand(part)}")
        return " ".join(parts)
    return _expression(node)


def _operand(node: Node) -> str:
    return _paren(pretty(node)) if isinstance(node, Relation) else _expression(node)


def _paren(text: str) -> str:
    return rf"\left({text}\right)"


def _expression(node: Node) -> str:
    if isinstance(node, Add):
        text = ""
        for sign, term in zip(node.signs, node.terms, strict=True):
            text += ("" if not text and sign == "+" else f"{sign} " if not text else f" {sign} ") + _term(
                term
            )
        return text
    return _term(node)


def _term(node: Node) -> str:
    if isinstance(node, Mul):
        return _product(node)
    if isinstance(node, Big):
        return _big(node)
    return _factor(node)


def _product(node: Mul) -> str:
    text = ""
    for position, factor in enumerate(node.factors):
        last = position == len(node.factors) - 1
        piece = _big(factor) if isinstance(factor, Big) and last and not node.kind else _factor(factor)
        if not text:
            text = piece
        elif node.kind:
            text += f" {node.kind} {piece}"
        else:
            command = piece[0] == "\\" and not piece.startswith((r"\left", r"\{", r"\mathrm{d}"))
            text += (" " if piece[0].isalpha() or command else r" \cdot ") + piece
    return text


def _factor(node: Node) -> str:
    if isinstance(node, (Add, Mul, Big, Relation, Logical, Integral)):
        return _paren(_integral(node) if isinstance(node, Integral) else pretty(node))
    return _atom(node)


def _atom(node: Node) -> str:
    match node:
        case Number(text) | Name(text):
            return text
        case Sub(base, index):
            return f"{_name(base, (Name,))}_{{{_list(index)}}}"
        case Prime(base, count):
            return _name(base, (Name, Sub)) + "'" * count
        case Tag(base, label, bracketed):
            inner = pretty(label)
            return f"{_name(base, (Name, Sub, Prime, Number))}^{{{f'({inner})' if bracketed else inner}}}"
        case Pow(base, exponent):
            return f"{_base(base)}^{{{pretty(exponent)}}}"
        case Transpose(base):
            return rf"{_base(base)}^{{\top}}"
        case Range(low, high):
            return f"{pretty(low)}:{pretty(high)}" if low is not None else f"< {pretty(high)}"
        case Frac(numerator, denominator):
            return rf"\frac{{{pretty(numerator)}}}{{{pretty(denominator)}}}"
        case Binomial(top, bottom):
            return rf"\binom{{{pretty(top)}}}{{{pretty(bottom)}}}"
        case Root(radicand, degree):
            return rf"\sqrt{'' if degree is None else f'[{pretty(degree)}]'}{{{pretty(radicand)}}}"
        case Call():
            return _call(node)
        case Expectation():
            return _expectation(node)
        case Derivative():
            return _derivative(node)
        case Norm(body, order, single):
            bar = "|" if single else r"\|"
            below = "" if order is None else f"_{{{pretty(order)}}}"
            return rf"\left{bar}{_space(_expression(body))}\right{bar}{below}"
        case At(body, variable, place):
            return rf"\left. {_expression(body)} \right|_{{{pretty(variable)} = {_operand(place)}}}"
        case Inner(left, right):
            return rf"\left\langle {_expression(left)}, {_expression(right)} \right\rangle"
        case Indicator(condition):
            return rf"\mathbb{{1}}\left[{pretty(condition)}\right]"
        case Cases(rows):
            conditions = [r"\text{otherwise}" if b is None else pretty(b) for _, b in rows]
            lines = [f"{pretty(a)} & {b}" for (a, _), b in zip(rows, conditions, strict=True)]
            return r"\begin{cases} " + r" \\ ".join(lines) + r" \end{cases}"
        case Matrix(rows):
            lines = [" & ".join(pretty(entry) for entry in row) for row in rows]
            return r"\begin{pmatrix} " + r" \\ ".join(lines) + r" \end{pmatrix}"
        case Items(brackets, items):
            half = len(brackets) // 2
            return f"{brackets[:half]}{_space(_list(items))}{brackets[half:]}"
        case Labelled(body, label):
            return rf"\underbrace{{{pretty(body)}}}" + (f"_{{{label}}}" if label else "")
    raise TypeError(f"no print for {type(node).__name__}")


def _space(text: str) -> str:
    return f" {text} "


def _list(items: tuple[Node, ...]) -> str:
    return ", ".join(pretty(item) for item in items)


def _name(node: Node, plain: tuple[type[Node], ...]) -> str:
    if isinstance(node, plain):
        return _atom(node)
    if isinstance(node, (Name, Sub, Prime, Tag)):
        return f"{{{_atom(node)}}}"
    return _paren(pretty(node))


def _base(node: Node) -> str:
    if isinstance(node, (Name, Number, Sub, Prime, Norm)):
        return _atom(node)
    if isinstance(node, Tag):
        return f"{{{_atom(node)}}}"
    if isinstance(node, Call) and not _is_prefix(node.function):
        return _call(node)
    return _paren(_integral(node) if isinstance(node, Integral) else pretty(node))


def _is_prefix(function: Node) -> bool:
    name = function.base if isinstance(function, Sub) else function
    return isinstance(name, Name) and name.text in PREFIX_FUNCTIONS | {r"\max", r"\min", r"\sup", r"\inf"}


def _call(node: Call) -> str:
    text = pretty(node.arguments[0])
    for sign, argument in zip(node.separators, node.arguments[1:], strict=True):
        text += f"{sign} {pretty(argument)}" if sign == "," else f" {sign} {pretty(argument)}"
    return f"{_atom(node.function)}{_paren(text)}"


def _big(node: Big) -> str:
    above = "" if node.upper is None else f"^{{{pretty(node.upper)}}}"
    return f"{_BIG[node.operator]}_{{{_list(node.index)}}}{above} {_term(node.body)}"


def _integral(node: Integral) -> str:
    bounds = "" if node.lower is None else f"_{{{pretty(node.lower)}}}"
    bounds += "" if node.upper is None else f"^{{{pretty(node.upper)}}}"
    sign = r"\iint" if len(node.variables) == 2 else r"\int"
    ends = "".join(rf" \mathrm{{d}} {_atom(variable)}" for variable in node.variables)
    return f"{sign}{bounds} {_factor(node.body)}{ends}"


def _expectation(node: Expectation) -> str:
    sign = {"E": r"\mathbb{E}", "Var": r"\mathrm{Var}", "Cov": r"\mathrm{Cov}"}[node.operator]
    below = f"_{{{_list(node.over)}}}" if node.over else ""
    given = rf" \mid {_list(node.given)}" if node.given else ""
    return rf"{sign}{below}\left[{_space(_list(node.arguments) + given)}\right]"


def _derivative(node: Derivative) -> str:
    body = _paren(pretty(node.body))
    if node.operator == "d":
        order = len(node.variables)
        below = " ".join(rf"\mathrm{{d}} {_atom(variable)}" for variable in node.variables)
        return rf"\frac{{\mathrm{{d}}^{{{order}}}}}{{{below}}} {body}"
    return f"{node.operator}_{{{_list(node.variables)}}} {body}"
