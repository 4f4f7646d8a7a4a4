"""Operators with a body: sums, integrals, expectations, derivatives, extrema, functions."""

from __future__ import annotations

from abc import abstractmethod

from proofread.notation import NotationParser
from proofread.symbols import BIG, EXTREMA, FONTS, PREFIX_FUNCTIONS, STATISTICS
from proofread.tree import (
    Big,
    Binomial,
    Call,
    Derivative,
    Expectation,
    Frac,
    Integral,
    Mul,
    Name,
    Node,
    Number,
    Pow,
    Prime,
    Sub,
)


class OperatorParser(NotationParser):
    """Parser of operators; the rest of the grammar is supplied by the classes built on it."""

    @abstractmethod
    def relation(self) -> Node:
        """A chain of relations or a plain expression."""

    @abstractmethod
    def expression(self) -> Node:
        """A sum."""

    @abstractmethod
    def product(self) -> Node:
        """A product."""

    @abstractmethod
    def factor(self) -> Node:
        """A factor."""

    @abstractmethod
    def atom(self) -> Node:
        """An atom."""

    @abstractmethod
    def starts_factor(self) -> bool:
        """Whether a factor can begin here."""

    @abstractmethod
    def arguments(self, closing: str) -> tuple[tuple[Node, ...], tuple[str, ...]]:
        """Arguments between delimiters."""

    @abstractmethod
    def subscript(self) -> tuple[Node, ...]:
        """Indices."""

    @abstractmethod
    def close(self, closing: str, opening: object = None) -> None:
        """A closing delimiter."""

    def operator(self) -> Node | None:
        """An operator if one begins here, otherwise None."""
        word = self.peek().text
        start = self.position
        if word in PREFIX_FUNCTIONS:
            return self._function(start)
        if word in BIG:
            return self._big(start)
        if word in (r"\int", r"\iint"):
            return self._integral(start)
        if word == r"\nabla" or (word == r"\partial" and self.peek(1).text == "_"):
            return self._gradient(start)
        if word == r"\frac":
            return self._fraction(start)
        if word == r"\binom":
            self.take()
            top = self.braced()
            return Binomial(top, self.braced(), span=self.span_from(start))
        if word in FONTS:
            text = self.style_text()
            if text in STATISTICS:
                return self._statistic(STATISTICS[text], start)
            self.position = start
        return None

    def _function(self, start: int) -> Node:
        """A logarithm, sine and so on, with an optional power or base."""
        token = self.take()
        function: Node = Name({r"\ln": r"\log", r"\lg": r"\log"}.get(token.text, token.text), span=token.span)
        power: Node | None = None
        while self.at("^", "_"):
            if self.take().text == "^":
                power = self._small()
            else:
                function = Sub(function, self.subscript(), span=self.span_from(start))
        argument = self.prefix_argument()
        node: Node = Call(function, (argument,), span=self.span_from(start))
        return node if power is None else Pow(node, power, span=self.span_from(start))

    def prefix_argument(self) -> Node:
        """The argument of a function: a group in parentheses, or the following product."""
        start = self.position
        if self.at("(", "[", r"\{") and self.peek().side != "right":
            argument = self.atom()
            if self.at("_", "^", "'"):
                raise self.error("a power after the argument of a function is ambiguous", "add parentheses")
            return argument
        if self.at("-", "+"):
            raise self.error("a sign after a function is ambiguous", "put the argument in parentheses")
        factors = [self.factor()]
        while self.starts_factor() and not self.at(*PREFIX_FUNCTIONS, *BIG, r"\int", r"\iint", r"\nabla"):
            factors.append(self.factor())
        if self.at(r"\cdot", r"\times", "/", r"\odot"):
            raise self.error(
                f"{self.peek().text} after a function without parentheses is ambiguous",
                "put the argument of the function in parentheses",
            )
        return factors[0] if len(factors) == 1 else Mul(tuple(factors), span=self.span_from(start))

    def _big(self, start: int) -> Node:
        """A sum, a product, or an extremum."""
        token = self.take()
        operator = BIG[token.text]
        if operator == "arg":
            if not self.at(r"\min", r"\max"):
                raise self.error(r"expected \min or \max after \arg")
            operator = "arg" + EXTREMA[self.take().text]
        index: tuple[Node, ...] = ()
        upper: Node | None = None
        while self.at("_", "^"):
            if self.take().text == "_":
                index = self._index()
            else:
                upper = self._small()
        if not index and operator in ("max", "min", "sup", "inf") and self.at("(", "[", r"\{"):
            closing = {"(": ")", "[": "]", r"\{": r"\}"}[self.peek().text]
            items, separators = self.arguments(closing)
            return Call(Name(token.text, span=token.span), items, separators, span=self.span_from(start))
        if not index:
            raise self.error(
                f"{token.text} without an index", r"write what it runs over: \sum_{i=1}^{n}", token
            )
        body = self.product()
        return Big(operator, index, upper, body, span=self.span_from(start))

    def _index(self) -> tuple[Node, ...]:
        """What an operator runs over: relations separated by commas."""
        if not self.at("{"):
            return (self.atom(),)
        self.take()
        self.open("args")
        items = [self.relation()]
        while self.accept(","):
            items.append(self.relation())
        self.shut()
        self.close("}")
        return tuple(items)

    def _small(self) -> Node:
        """A group in braces or a single atom."""
        return self.braced()

    def braced(self) -> Node:
        """A group in braces (or the single token LaTeX would take)."""
        if not self.at("{"):
            self.split_number()
            return self.atom()
        self.take()
        self.open("plain")
        node = self.relation()
        self.shut()
        self.close("}")
        return node

    def _integral(self, start: int) -> Node:
        """An integral; it ends with its differentials."""
        sign = self.take()
        count = 2 if sign.text == r"\iint" else 1
        lower: Node | None = None
        upper: Node | None = None
        while self.at("_", "^"):
            if self.take().text == "_":
                lower = self._small()
            else:
                upper = self._small()
        self.integrals += 1
        body = self.expression()
        self.integrals -= 1
        if not self.at_differential():
            raise self.error(
                "expected a differential behind the integrand", r"end the integral with \mathrm d x"
            )
        most = count if self.integrals or upper is not None or count > 1 else 9
        variables: list[Node] = []
        while self.at_differential() and len(variables) < most:
            self._take_differential()
            variables.append(self._variable())
        return Integral(lower, upper, body, tuple(variables), span=self.span_from(start))

    def _variable(self) -> Node:
        """A variable with its subscript, nothing called or multiplied."""
        start = self.position
        node = self.atom()
        while self.at("_", "'"):
            if self.take().text == "_":
                node = Sub(node, self.subscript(), span=self.span_from(start))
            else:
                node = Prime(node, 1, span=self.span_from(start))
        return node

    def _gradient(self, start: int) -> Node:
        r"""``\nabla_\theta``, ``\partial_x``, with the following product as body."""
        token = self.take()
        variables: tuple[Node, ...] = ()
        order = 1
        while self.at("_", "^"):
            if self.take().text == "_":
                variables = self.subscript()
            else:
                exponent = self._small()
                if not (isinstance(exponent, Number) and exponent.text in ("1", "2", "3")):
                    raise self.error("expected a small order of the derivative", r"write \nabla^2")
                order = int(exponent.text)
        if not variables:
            raise self.error(f"{token.text} without a variable", rf"write {token.text}_\theta", token)
        return Derivative(token.text, variables * order, self.prefix_argument(), span=self.span_from(start))

    def _fraction(self, start: int) -> Node:
        """A quotient or a derivative in quotient form."""
        self.take()
        sign = self._derivative_sign()
        if sign is None:
            numerator = self.braced()
            return Frac(numerator, self.braced(), span=self.span_from(start))
        self.take()
        self._take_sign(sign)
        order = 1
        if self.accept("^"):
            exponent = self._small()
            if not (isinstance(exponent, Number) and exponent.text in ("1", "2", "3")):
                raise self.error("expected a small order of the derivative", "use order 1, 2 or 3")
            order = int(exponent.text)
        body = None if self.at("}") else self.product()
        self.close("}")
        self.expect("{", "under a derivative")
        variables: list[Node] = []
        while not self.at("}"):
            self._take_sign(sign)
            variable = self._variable()
            times = 1
            if self.accept("^"):
                exponent = self._small()
                if not (isinstance(exponent, Number) and exponent.text in ("1", "2", "3")):
                    raise self.error("expected a small order of the derivative", "use order 1, 2 or 3")
                times = int(exponent.text)
            variables.extend([variable] * times)
        self.close("}")
        if len(variables) != order:
            raise self.error("the orders above and below a derivative differ", "make them agree")
        if body is None:
            body = self.prefix_argument()
        return Derivative(sign, tuple(variables), body, span=self.span_from(start))

    def _derivative_sign(self) -> str | None:
        """The sign of a derivative if numerator and denominator both begin with it."""
        if not self.at("{"):
            return None
        place, depth = self.position, 0
        while place < len(self.tokens):
            depth += {"{": 1, "}": -1}.get(self.tokens[place].text, 0)
            place += 1
            if depth == 0:
                break
        before = self.position
        try:
            self.position += 1
            above = r"\partial" if self.at(r"\partial") else "d" if self.at_differential() else None
            self.position = place
            if above is None or not self.accept("{"):
                return None
            below = r"\partial" if self.at(r"\partial") else "d" if self.at_differential() else None
            return above if above == below else None
        finally:
            self.position = before

    def _take_sign(self, sign: str) -> None:
        if sign == "d" and self.at_differential():
            self._take_differential()
        elif sign == r"\partial" and self.at(r"\partial"):
            self.take()
        else:
            raise self.error("expected the sign of the derivative", r"write \partial before each variable")

    def _statistic(self, operator: str, start: int) -> Node:
        """An expectation, variance or covariance with its brackets."""
        over: tuple[Node, ...] = ()
        if self.accept("_"):
            over = self._index()
        if not self.at("[", "(", r"\{"):
            raise self.error(
                f"expected brackets after the {operator} operator", r"write \E_{p}\left[ … \right]"
            )
        closing = {"(": ")", "[": "]", r"\{": r"\}"}[self.peek().text]
        items, separators = self.arguments(closing)
        given: tuple[Node, ...] = ()
        if r"\mid" in separators:
            bar = separators.index(r"\mid")
            items, given = items[: bar + 1], items[bar + 1 :]
        return Expectation(operator, over, items, given, span=self.span_from(start))
