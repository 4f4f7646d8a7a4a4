"""Equations bound to PyTorch functions: values and gradients must agree."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
import torch

from proofread import ProofreadError, model, positive, real, vector
from proofread.binding import Binding, check_binding, source_of
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


class Terms(NamedTuple):
    kl: torch.Tensor
    half: float


def terms(mean, deviation, other_mean, other_deviation, *, kind, factor):
    value = kl_gaussian(mean, deviation, other_mean, other_deviation)
    return {"tuple": Terms(factor * value, 0.5), "dict": {"kl": factor * value}}[kind]


class Gaussian:
    def __init__(self, mean, deviation, offset):
        self.mean, self.deviation, self.offset = mean, deviation, offset

    def kl(self, other_mean, other_deviation):
        return kl_gaussian(self.mean, self.deviation, other_mean, other_deviation) + self.offset


class Frozen(Gaussian):
    def __init__(self, mean, deviation):
        super().__init__(mean.detach(), deviation.detach(), 0.0)


REGISTRY = {"kl": kl_gaussian, "wrong": kl_without_half, "class": Gaussian}


def case() -> Case:
    return Case(model(real(r"\mu", r"\nu"), positive(r"\sigma", r"\tau")), {}, Source(FORMULA), draws=64)


def test_the_right_code_agrees_in_value_and_gradient() -> None:
    text = check_binding(Binding(f"{__name__}.kl_gaussian", ARGUMENTS), parse_expression(FORMULA), case())
    assert "gradients by mean, deviation, other_mean, other_deviation agree on 32 inputs" in text


@pytest.mark.parametrize(
    ("name", "words"), [("kl_without_half", "its value"), ("kl_detached", "by mean: its gradient")]
)
def test_wrong_code_is_refused(name: str, words: str) -> None:
    with pytest.raises(ProofreadError, match=words):
        check_binding(Binding(f"{__name__}.{name}", ARGUMENTS), parse_expression(FORMULA), case())


def test_functions_of_one_example_are_called_draw_by_draw() -> None:
    vectors = Case(model(vector("x", size=3)), {}, Source("x"), draws=64)
    text = check_binding(
        Binding(f"{__name__}.squared_norm", {"x": "x"}), parse_expression(r"x^\top x"), vectors
    )
    assert "gradients by x agree" in text


def test_bad_bindings_are_refused() -> None:
    with pytest.raises(ProofreadError, match="cannot be imported"):
        check_binding(Binding("nowhere.function", ARGUMENTS), parse_expression(FORMULA), case())
    with pytest.raises(ProofreadError, match="bound without arguments"):
        check_binding(Binding(f"{__name__}.kl_gaussian"), parse_expression(FORMULA), case())


OTHERS = {"other_mean": r"\nu", "other_deviation": r"\tau"}
OWN = {"mean": r"\mu", "deviation": r"\sigma"}
GRADIENTS = "gradients by mean, deviation, other_mean, other_deviation agree"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ('REGISTRY["kl"]', {"arguments": ARGUMENTS}, GRADIENTS),
        ("terms", {"arguments": ARGUMENTS, "fixed": {"kind": "tuple", "factor": 1.0}, "result": "kl"}, GRADIENTS),
        ("terms", {"arguments": ARGUMENTS, "fixed": {"kind": "tuple", "factor": 1.0}, "result": 0}, GRADIENTS),
        ("terms", {"arguments": ARGUMENTS, "fixed": {"kind": "dict", "factor": 1.0}, "result": "kl"}, GRADIENTS),
        ("Gaussian.kl", {"arguments": OTHERS, "build": {**OWN, "offset": 0.0}}, "by other_mean, other_deviation, build mean"),
        ('REGISTRY["class"].kl', {"arguments": OTHERS, "build": {**OWN, "offset": 0.0}}, "build deviation agree"),
        ("Frozen.kl", {"arguments": OTHERS, "build": OWN}, "by other_mean, other_deviation agree"),
    ],
)  # fmt: skip
def test_registries_fields_and_methods_can_be_bound(name: str, options: dict[str, Any], words: str) -> None:
    binding = Binding(f"{__name__}.{name}", **options)
    assert words in check_binding(binding, parse_expression(FORMULA), case())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ('REGISTRY["wrong"]', {"arguments": ARGUMENTS}, "its value"),
        ('REGISTRY["none"]', {"arguments": ARGUMENTS}, "cannot be imported"),
        ("REGISTRY[", {"arguments": ARGUMENTS}, "no dotted name"),
        ("terms", {"arguments": ARGUMENTS, "fixed": {"kind": "tuple", "factor": 2.0}, "result": "kl"}, "its value"),
        ("terms", {"arguments": ARGUMENTS, "fixed": {"kind": "tuple", "factor": 1.0}, "result": "js"}, "no entry 'js'"),
        ("Gaussian.kl", {"arguments": OTHERS, "build": {**OWN, "offset": 0.5}}, "its value"),
    ],
)  # fmt: skip
def test_wrong_registries_fields_and_methods_are_refused(
    name: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ProofreadError, match=words):
        check_binding(Binding(f"{__name__}.{name}", **options), parse_expression(FORMULA), case())


def test_the_source_of_bound_code_counts() -> None:
    for name in ("kl_gaussian", 'REGISTRY["kl"]', "Gaussian.kl"):
        assert b"def kl_without_half" in source_of(f"{__name__}.{name}")
    assert source_of("nowhere.function") == b""
