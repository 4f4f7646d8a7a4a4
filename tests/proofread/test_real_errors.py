"""The field's real errors: the wrong form is refuted, the right one accepted."""

from __future__ import annotations

import pytest

from proofread.errors import Source
from proofread.judge import Case, Step, judge_equation
from proofread.parser import parse
from tests.proofread.real_errors import REAL_ERRORS, RealError

MACROS = {r"\TV": (2, r"D_{\mathrm{TV}}\left(#1, #2\right)")}


def judge(latex: str, error: RealError, exact: bool) -> list[Step]:
    """Verdicts on the steps of a statement."""
    source = Source(latex, error.name)
    return judge_equation(parse(source, MACROS), Case(error.meaning, MACROS, source, draws=128, exact=exact))


def test_there_are_at_least_25() -> None:
    assert len(REAL_ERRORS) >= 25
    assert len({error.name for error in REAL_ERRORS}) == len(REAL_ERRORS)


@pytest.mark.parametrize("error", REAL_ERRORS, ids=lambda error: error.name)
def test_wrong_form_is_refuted_with_a_counterexample(error: RealError) -> None:
    (step,) = judge(error.wrong, error, exact=False)
    assert step.verdict == "refuted", step
    assert "left" in step.counterexample and "right" in step.counterexample


@pytest.mark.parametrize("error", REAL_ERRORS, ids=lambda error: error.name)
def test_right_form_is_accepted(error: RealError) -> None:
    (step,) = judge(error.right, error, exact=error.algebra)
    assert step.verdict in ("proved", "holds numerically"), step
    assert step.draws == 128
