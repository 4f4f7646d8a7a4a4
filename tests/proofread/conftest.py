"""One way to judge a formula, for all tests of the checker."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proofread import Model
from proofread.errors import Source
from proofread.judge import Case, Step, judge_equation
from proofread.parser import parse

Judge = Callable[..., Step]


def judge_one(latex: str, meaning: Model, **options: object) -> Step:
    """The verdict on a display with one relation, from 64 draws."""
    source = Source(latex, "test.qmd")
    (step,) = judge_equation(parse(source), Case(meaning, {}, source, **{"draws": 64, **options}))  # type: ignore[arg-type]
    return step


@pytest.fixture
def judge() -> Judge:
    """``judge(latex, meaning, **options)``."""
    return judge_one
