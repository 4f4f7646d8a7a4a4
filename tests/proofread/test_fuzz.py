"""Random trees survive printing and parsing; random text never hangs or crashes the parser."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proofread import finite, function, index, line, matrix, model, positive, real, vector
from proofread import tree as t
from proofread.errors import ProofreadError, Source
from proofread.judge import Case, judge_equation
from proofread.parser import parse
from proofread.pretty import pretty

LETTERS = [
    "x",
    "y",
    "z",
    "p",
    "f",
    "T",
    r"\theta",
    r"\alpha",
    r"\mathbf{x}",
    r"\bar{\alpha}",
    r"\mathcal{L}",
    r"\pi",
]
names = st.sampled_from(LETTERS).map(t.Name)
numbers = st.sampled_from(["0", "1", "2", "10", "0.5", "2.25"]).map(t.Number)
indices = st.one_of(numbers, names, st.builds(lambda n: t.Add(("+", "-"), (n, t.Number("1"))), names))
decorated = st.one_of(
    names,
    st.builds(t.Sub, names, st.tuples(indices)),
    st.builds(t.Sub, names, st.tuples(indices, indices)),
    st.builds(t.Tag, names, st.just(t.Name("*"))),
    st.builds(t.Tag, names, names, st.just(True)),
    st.builds(t.Prime, names, st.integers(1, 2)),
)
variables = st.one_of(names, st.builds(t.Sub, names, st.tuples(indices)))
functions = st.sampled_from([r"\log", r"\exp", r"\sin", r"\det"]).map(t.Name)


def _compound(inner: st.SearchStrategy[t.Node]) -> st.SearchStrategy[t.Node]:
    pairs = st.lists(inner, min_size=2, max_size=3).map(tuple)
    signs = st.sampled_from(["+", "-"])
    separators = st.sampled_from([",", ";", r"\mid", r"\|"])
    return st.one_of(
        st.builds(lambda a, b, s: t.Add((s[0], s[1]), (a, b)), inner, inner, st.tuples(signs, signs)),
        st.builds(lambda a: t.Add(("-",), (a,)), inner),
        st.builds(t.Mul, pairs),
        st.builds(t.Mul, pairs, st.just(r"\odot")),
        st.builds(t.Frac, inner, inner),
        st.builds(t.Pow, inner, inner.filter(lambda n: not isinstance(n, (t.Relation, t.Integral)))),
        st.builds(t.Root, inner, st.none()),
        st.builds(t.Binomial, inner, inner),
        st.builds(
            lambda v, a, s, b: t.Big("lim", (t.Relation((v, a), (s,)),), None, b),
            names,
            inner,
            st.sampled_from([r"\to", r"\downarrow"]),
            inner,
        ),
        st.builds(t.Transpose, inner),
        st.builds(lambda f, a: t.Call(f, (a,)), functions, inner),
        st.builds(lambda f, a: t.Call(f, (a,)), decorated, inner),
        st.builds(lambda f, a, b, s: t.Call(f, (a, b), (s,)), decorated, inner, inner, separators),
        st.builds(
            lambda o, i, u, b: t.Big(o, (i,), u, b),
            st.sampled_from(["sum", "prod", "sup"]),
            names,
            inner,
            inner,
        ),
        st.builds(
            lambda o, i, b: t.Big(o, (t.Relation((i, t.Number("1")), ("=",)),), None, b),
            st.sampled_from(["sum", "argmin", "max"]),
            names,
            inner,
        ),
        st.builds(t.Integral, st.none() | inner, st.none(), inner, st.tuples(variables)),
        st.builds(t.Integral, inner, inner, inner, st.tuples(names, names)),
        st.builds(t.Expectation, st.sampled_from(["E", "Var"]), st.tuples(inner), st.tuples(inner)),
        st.builds(t.Derivative, st.sampled_from([r"\nabla", r"\partial"]), st.tuples(decorated), inner),
        st.builds(t.Derivative, st.just("d"), st.tuples(variables), inner),
        st.builds(t.Norm, inner, st.none() | numbers, st.just(False)),
        st.builds(t.Norm, inner, st.none(), st.just(True)),
        st.builds(t.At, inner, variables, inner),
        st.builds(t.Inner, inner, inner),
        st.builds(lambda a, b: t.Indicator(t.Relation((a, b), ("=",))), inner, inner),
        st.builds(lambda a, b, c: t.Cases(((a, t.Relation((a, b), ("<",))), (c, None))), inner, inner, inner),
        st.builds(lambda a, b: t.Matrix(((a, b), (b, a))), inner, inner),
        st.builds(lambda a: t.Labelled(a, r"\text{term}"), inner),
        st.builds(lambda a, b: t.Relation((a, b), (r"\le",)), inner, inner),
    )


expressions = st.recursive(st.one_of(numbers, decorated), _compound, max_leaves=12)
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def _readable(text: str) -> t.Equation | None:
    """The parse, or None where nesting passes the documented limit."""
    try:
        return parse(text)
    except ProofreadError as error:
        if "nested too deeply" in error.message:
            return None
        raise


@settings(max_examples=250, deadline=None, suppress_health_check=SLOW)
@given(expressions, expressions, st.sampled_from(["=", r"\le", r"\propto"]))
def test_parsing_the_print_gives_the_tree(left: t.Node, right: t.Node, relation: str) -> None:
    equation = t.Equation((t.Relation((left, right), (relation,)),))
    again = _readable(pretty(equation))
    if again is not None:
        assert again == equation


TOKENS = [*LETTERS, "{", "}", "(", ")", "[", "]", "_", "^", "=", "+", "-", "&", "\\\\", r"\frac", r"\sum", r"\int", "|",
          r"\|", r"\left(", r"\right)", r"\mid", r"\E", r"\KL", r"\log", "'", "1", "12", r"\mathrm d", r"\nabla", ",",
          r"\begin{aligned}", r"\end{aligned}", r"\begin{cases}", r"\end{cases}", r"\text{if}", r"\quad", "/", r"\cdot",
          r"\underbrace", r"\top", "*", r"\le", r"\iff", r"\partial", r"\sqrt", r"\{", r"\}", r"\left.", r"\binom", r"\lim", r"\to", "#1", "%", "é"]  # fmt: skip


@settings(max_examples=500, deadline=2000, suppress_health_check=SLOW)
@given(st.lists(st.sampled_from(TOKENS), max_size=40))
def test_random_tokens_give_a_tree_or_an_error_with_a_place(tokens: list[str]) -> None:
    text = " ".join(tokens)
    try:
        tree = parse(text)
    except ProofreadError as error:
        assert error.source is not None
        assert "\n" not in error.headline
        return
    assert parse(pretty(tree)) == tree


@settings(max_examples=300, deadline=2000, suppress_health_check=SLOW)
@given(st.text(max_size=60))
def test_random_text_never_crashes(text: str) -> None:
    try:
        parse(text)
    except ProofreadError as error:
        assert str(error)


@pytest.mark.parametrize(
    "piece", ["(", "{", r"\left(", r"\sqrt", r"\frac{", r"\log", "x_{", "x^{", "-", r"\sum_i", r"\bar"]
)
def test_absurd_nesting_is_refused_quickly(piece: str) -> None:
    with pytest.raises(ProofreadError):
        parse(piece * 3000)


MEANING = model(
    real("x", "y", r"\alpha"), positive(r"\theta", r"\pi"), matrix("p"), vector(r"\mathbf{x}"), function("f(t)"),
    finite("z", 2), index("T", 1, 2), line("u"),
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(expressions, expressions, st.sampled_from(["=", r"\le", r"\approx"]))
def test_judging_random_formulas_gives_a_verdict_or_an_error_with_a_place(
    left: t.Node, right: t.Node, relation: str
) -> None:
    equation = t.Equation((t.Relation((left, right), (relation,)),))
    source = Source(pretty(equation), "fuzz.qmd")
    again = _readable(source.text)
    if again is None:
        return
    try:
        judge_equation(again, Case(MEANING, {}, source, approx=0.1, draws=8, exact=False))
    except ProofreadError as error:
        assert error.source is not None
