"""Equations bound to PyTorch functions: values and gradients must agree."""

from __future__ import annotations

import pytest
import torch

from proofread import ProofreadError, model, positive, real, vector
from proofread.binding import check_binding
from proofread.errors import Source
from proofread.judge import Case
from proofread.parser import parse_expression

FORMULA = r"\log \frac{\tau}{\sigma} + \frac{\sigma^2 + (\mu - \nu)^2}{2 \tau^2} - \frac12"
ARGUMENTS = {"mean": r"\mu", "deviation": r"\sigma", "other_mean": r"\nu", "other_deviation": r"\tau"}


def kl_gaussian(mean, deviation, other_mean, other_deviation):
    ratio = (deviation**2 + (mean - other_mean) ** 2) / (2 * other_deviation**2)
    return torch.log(other_deviation / deviation) + ratio - 0.5


def kl_without_half(mean, deviation, other_mean, other_deviation):
    return kl_gaussian(mean, deviation, other_mean, other_deviation) + 0.5


def kl_detached(mean, deviation, other_mean, other_deviation):
    return kl_gaussian(mean.detach(), deviation, other_mean, other_deviation)


def squared_norm(x):
    if x.dim() != 1:
        raise ValueError("one vector at a time")
    return x @ x


def case() -> Case:
    return Case(model(real(r"\mu", r"\nu"), positive(r"\sigma", r"\tau")), {}, Source(FORMULA), draws=64)


def test_the_right_code_agrees_in_value_and_gradient() -> None:
    text = check_binding(f"{__name__}.kl_gaussian", ARGUMENTS, parse_expression(FORMULA), case())
    assert "gradients by mean, deviation, other_mean, other_deviation agree on 32 inputs" in text


@pytest.mark.parametrize(
    ("name", "words"), [("kl_without_half", "its value"), ("kl_detached", "by mean: its gradient")]
)
def test_wrong_code_is_refused(name: str, words: str) -> None:
    with pytest.raises(ProofreadError, match=words):
        check_binding(f"{__name__}.{name}", ARGUMENTS, parse_expression(FORMULA), case())


def test_functions_of_one_example_are_called_draw_by_draw() -> None:
    vectors = Case(model(vector("x", size=3)), {}, Source("x"), draws=64)
    text = check_binding(f"{__name__}.squared_norm", {"x": "x"}, parse_expression(r"x^\top x"), vectors)
    assert "gradients by x agree" in text


def test_bad_bindings_are_refused() -> None:
    with pytest.raises(ProofreadError, match="cannot be imported"):
        check_binding("nowhere.function", ARGUMENTS, parse_expression(FORMULA), case())
    with pytest.raises(ProofreadError, match="bound without arguments"):
        check_binding(f"{__name__}.kl_gaussian", {}, parse_expression(FORMULA), case())
