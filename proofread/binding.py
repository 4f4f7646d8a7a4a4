"""Binds an equation to the function that implements it: same values, same gradients."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

import numpy

from proofread.errors import ProofreadError
from proofread.judge import Case
from proofread.parser import parse_expression
from proofread.scope import key
from proofread.tree import Name, Node, Sub
from proofread.values import Stored
from proofread.witness import flat, quietly

_TOLERANCE = 1e-5
_DRAWS = 32


def find(name: str) -> Any:
    """The function with a dotted name.

    Raises:
        ProofreadError: if it cannot be imported.
    """
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as problem:
        raise ProofreadError(
            f"{name} cannot be imported ({problem})", "tangle the book, or mend the name"
        ) from problem


def source_of(name: str) -> bytes:
    """Source of the function's module, for fingerprints (empty if it cannot be found)."""
    try:
        return inspect.getsource(inspect.getmodule(find(name)) or find(name)).encode()
    except (ProofreadError, OSError, TypeError):
        return b""


def check_binding(name: str, arguments: Mapping[str, str], formula: Node, case: Case) -> str:
    """Compare a formula with a PyTorch function on random inputs.

    Args:
        name: dotted name of the function; it gets float64 tensors with a leading axis of draws
            (vectors: (draws, n), matrices: (draws, n, m)), or is called draw by draw if that fails.
        arguments: parameter to the LaTeX of its value.
        formula: the right-hand side.
        case: the interpretation.

    Returns:
        What was compared, for the ledger.

    Raises:
        ProofreadError: if values or gradients differ, or nothing was compared.
    """
    import torch

    function = find(name)
    if not arguments:
        raise ProofreadError(
            f"{name} is bound without arguments", 'say which: arguments={"mean": r"\\mu"}', case.source
        )
    sample = case.sample()
    raw = {key_: array[:_DRAWS] for key_, array in sample.raw.items()}
    count = min(_DRAWS, sample.count)
    nodes = {parameter: parse_expression(latex, case.macros) for parameter, latex in arguments.items()}
    evaluator = sample.evaluator(raw)
    expected = quietly(lambda: flat(evaluator.value(formula), count))
    inputs: dict[str, Any] = {}
    for parameter, node in nodes.items():
        array = numpy.broadcast_to(_squeezed(evaluator, node), (count, *_squeezed(evaluator, node).shape[1:]))
        inputs[parameter] = torch.tensor(array.copy(), dtype=torch.float64, requires_grad=True)
    output = _call(function, inputs, count)
    got = output.detach().reshape(count, -1).numpy()
    if got.shape != expected.shape:
        raise ProofreadError(
            f"{name} returns {got.shape[1]} numbers, the formula {expected.shape[1]}", "compare them"
        )
    _compare(name, "value", expected, got)
    compared = _gradients(name, nodes, formula, output, inputs, (sample, raw, count))
    return (
        f"{name}: values and gradients by {compared} agree on {count} inputs"
        if compared
        else f"{name}: values agree"
    )


def _squeezed(evaluator: Any, node: Node) -> Any:
    value = evaluator.value(node)
    if isinstance(value, (int, float)):
        return numpy.full((1,), float(value))
    array = numpy.asarray(value)
    return array[..., 0] if array.ndim == 3 and array.shape[-1] == 1 else array


def _call(function: Any, inputs: dict[str, Any], count: int) -> Any:
    """Call on the whole batch, or draw by draw if the function does not take batches."""
    import torch

    try:
        output = function(**inputs)
        if isinstance(output, torch.Tensor) and output.shape[:1] == (count,):
            return output
    except (RuntimeError, ValueError, IndexError, TypeError):
        pass
    rows = [function(**{name: tensor[row] for name, tensor in inputs.items()}) for row in range(count)]
    return torch.stack([torch.as_tensor(row, dtype=torch.float64) for row in rows])


def _compare(name: str, what: str, expected: Any, got: Any) -> None:
    scale = numpy.maximum(numpy.abs(expected).max(initial=0.0), 1e-12)
    error = numpy.abs(expected - got).max(initial=0.0) / scale
    if not error <= _TOLERANCE:
        place = int(numpy.argmax(numpy.abs(expected - got).max(axis=1)))
        raise ProofreadError(
            f"{name}: its {what} {got[place]} is not the formula's {expected[place]} (relative {error:.1e})",
            "mend the code or the formula",
        )


def _gradients(
    name: str, nodes: dict[str, Node], formula: Node, output: Any, inputs: dict[str, Any], context: Any
) -> str:
    """Compare gradients by those arguments that are plain symbols; returns their names."""
    import torch

    from proofread.tree import Derivative

    sample, raw, count = context
    plain = {}
    evaluator = sample.evaluator(raw)
    for parameter, node in nodes.items():
        if isinstance(node, (Name, Sub)) and isinstance(evaluator.scope.find(key(node)), Stored):
            plain[parameter] = node
    if not plain or output.reshape(count, -1).shape[1] != 1 or not output.requires_grad:
        return ""
    slopes = torch.autograd.grad(output.sum(), [inputs[parameter] for parameter in plain], allow_unused=True)
    for (parameter, node), slope in zip(plain.items(), slopes, strict=True):
        with numpy.errstate(all="ignore"):
            value = sample.evaluator(raw).value(Derivative(r"\nabla", (node,), formula))
        got = torch.zeros_like(inputs[parameter]) if slope is None else slope
        _compare(f"{name} by {parameter}", "gradient", flat(value, count), got.reshape(count, -1).numpy())
    return ", ".join(plain)
