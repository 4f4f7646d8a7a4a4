"""Binds an equation to the function that implements it: same values, same gradients."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
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
_BUILD = "build "
_PIECE = re.compile(r"""(?:^|\.)(\w+)|\[["'](.+?)["']\]""")


@dataclass(frozen=True)
class Binding:
    """The code that an equation is bound to.

    Args:
        name: dotted name of a function, with registry entries in brackets: ``agm.x.TABLE["kl"].conjugate``.
            It gets float64 tensors with a leading axis of draws (vectors: (draws, n), matrices:
            (draws, n, m)), or is called draw by draw if that fails.
        arguments: parameter to the LaTeX of its value; what is no string is passed as it is.
        fixed: parameters with fixed values, strings among them.
        build: if the name is that of a method: the arguments of its class, as in ``arguments``.
        result: the field or the number of the entry that is meant, if the function returns several.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)
    result: str | int | None = None

    def call(self, inputs: Mapping[str, Any], parts: Mapping[str, Any]) -> Any:
        """The value of the code at tensors for ``arguments`` and for ``build``."""
        if self.build:
            owner, _, method = self.name.rpartition(".")
            function = getattr(find(owner)(**parts), method)
        else:
            function = find(self.name)
        output = function(**inputs, **self.fixed)
        if self.result is None:
            return output
        try:
            return output[self.result] if isinstance(self.result, int) else _field(output, self.result)
        except (AttributeError, KeyError, IndexError, TypeError) as problem:
            raise ProofreadError(
                f"the result of {self.name} has no entry {self.result!r}",
                "name a field, or give a number",
            ) from problem


def _field(output: Any, name: str) -> Any:
    return output[name] if isinstance(output, Mapping) else getattr(output, name)


def find(name: str) -> Any:
    """The object with a dotted name; ``["…"]`` looks into a mapping.

    Raises:
        ProofreadError: if it cannot be imported.
    """
    pieces: list[tuple[str, str]] = _PIECE.findall(name)
    if not name or _PIECE.sub("", name) or pieces[0][1]:
        raise ProofreadError(f"{name} cannot be imported (no dotted name)", 'write package.module.f["key"]')
    found: Any = None
    try:
        for count in range(len(pieces), 0, -1):
            words = [word for word, entry in pieces[:count] if not entry]
            if len(words) < count:
                continue
            try:
                found = importlib.import_module(".".join(words))
            except ModuleNotFoundError as problem:
                if count == 1 or not ".".join(words).startswith(problem.name or " "):
                    raise
                continue
            for word, entry in pieces[count:]:
                found = found[entry] if entry else getattr(found, word)
            return found
    except (ImportError, AttributeError, ValueError, KeyError, TypeError) as problem:
        raise ProofreadError(
            f"{name} cannot be imported ({problem})", "tangle the book, or mend the name"
        ) from problem
    return found


def source_of(name: str) -> bytes:
    """Source of the module of a function, for fingerprints (empty if it cannot be found)."""
    try:
        words = name.split("[")[0].split(".")
        for count in range(len(words) - 1, 0, -1):
            module = sys.modules.get(".".join(words[:count]))
            if module is None:
                find(name)
                module = sys.modules.get(".".join(words[:count]))
            if module is not None:
                return inspect.getsource(module).encode()
    except (ProofreadError, OSError, TypeError):
        pass
    return b""


def check_binding(binding: Binding, formula: Node, case: Case) -> str:
    """Compare a formula with PyTorch code on random inputs.

    Args:
        binding: the code.
        formula: the right-hand side.
        case: the interpretation.

    Returns:
        What was compared, for the ledger.

    Raises:
        ProofreadError: if values or gradients differ, or nothing was compared.
    """

    name = binding.name
    find(name)
    if not (binding.arguments or binding.build):
        raise ProofreadError(
            f"{name} is bound without arguments", 'say which: arguments={"mean": r"\\mu"}', case.source
        )
    sample = case.sample()
    raw = {key_: array[:_DRAWS] for key_, array in sample.raw.items()}
    count = min(_DRAWS, sample.count)
    evaluator = sample.evaluator(raw)
    expected = quietly(lambda: flat(evaluator.value(formula), count))
    nodes: dict[str, Node] = {}
    inputs = _tensors(evaluator, binding.arguments, nodes, count, case, "")
    parts = _tensors(evaluator, binding.build, nodes, count, case, _BUILD)
    output = _call(binding, inputs, parts, count)
    got = output.detach().reshape(count, -1).numpy()
    if got.shape != expected.shape:
        raise ProofreadError(
            f"{name} returns {got.shape[1]} numbers, the formula {expected.shape[1]}", "compare them"
        )
    _compare(name, "value", expected, got)
    built = {_BUILD + parameter: tensor for parameter, tensor in parts.items()}
    compared = _gradients(name, nodes, formula, output, {**inputs, **built}, (sample, raw, count))
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


def _tensors(
    evaluator: Any, entries: Mapping[str, Any], nodes: dict[str, Node], count: int, case: Case, place: str
) -> dict[str, Any]:
    """Random inputs; the formulas of those that are not fixed are noted in ``nodes``."""
    import torch

    inputs: dict[str, Any] = {}
    for parameter, latex in entries.items():
        if not isinstance(latex, str):
            inputs[parameter] = latex
            continue
        node = nodes[place + parameter] = parse_expression(latex, case.macros)
        with numpy.errstate(all="ignore"):
            array = _squeezed(evaluator, node)
        array = numpy.broadcast_to(array, (count, *array.shape[1:]))
        inputs[parameter] = torch.tensor(array.copy(), dtype=torch.float64, requires_grad=True)
    return inputs


def _call(binding: Binding, inputs: dict[str, Any], parts: dict[str, Any], count: int) -> Any:
    """Call on the whole batch, or draw by draw if the code does not take batches."""
    import torch

    try:
        output = binding.call(inputs, parts)
        if isinstance(output, torch.Tensor) and output.shape[:1] == (count,):
            return output
    except (RuntimeError, ValueError, IndexError, TypeError):
        pass

    def row(entries: dict[str, Any], place: int) -> dict[str, Any]:
        return {
            name: entry[place] if isinstance(entry, torch.Tensor) and entry.requires_grad else entry
            for name, entry in entries.items()
        }

    try:
        rows = [binding.call(row(inputs, place), row(parts, place)) for place in range(count)]
        return torch.stack([torch.as_tensor(entry, dtype=torch.float64) for entry in rows])
    except (RuntimeError, ValueError, IndexError, TypeError, AttributeError) as problem:
        raise ProofreadError(
            f"{binding.name} cannot be called so ({type(problem).__name__}: {problem})",
            "compare its parameters with arguments={…}, fixed={…} and build={…}",
        ) from problem


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
    compared = []
    for (parameter, node), slope in zip(plain.items(), slopes, strict=True):
        if slope is None and parameter.startswith(_BUILD):
            continue  # a class may keep copies of what it is built from
        with numpy.errstate(all="ignore"):
            value = sample.evaluator(raw).value(Derivative(r"\nabla", (node,), formula))
        got = torch.zeros_like(inputs[parameter]) if slope is None else slope
        _compare(f"{name} by {parameter}", "gradient", flat(value, count), got.reshape(count, -1).numpy())
        compared.append(parameter)
    return ", ".join(compared)
