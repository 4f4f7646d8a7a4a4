"""Which code determines a recipe's weights, and what it cost to train them."""

from __future__ import annotations

# book/appendices/b-training.qmd § Runs and artifacts
import ast
import hashlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agm.recipes import Recipe

OUTSIDE = ("agm.training", "agm.recipes", "agm.plotting", "agm.data")
"""Modules that leave the weights alone, or are accounted for otherwise: the loop by `LOOP_VERSION`, the data
by their checksum."""


def recipe_module(recipe: Recipe[Any]) -> str:
    """The module in which a recipe's functions are defined."""
    return str(recipe.build.__module__)


def code_hashes(recipe: Recipe[Any]) -> dict[str, str]:
    """Digests of the modules that determine a recipe's weights.

    Args:
        recipe: its module is where the search begins.

    Returns:
        Name of the module to digest of its code without docstrings and comments, for the module and all
        that it imports from the package at its top level, directly or not.
    """
    hashes: dict[str, str] = {}
    waiting = [recipe_module(recipe)]
    while waiting:
        name = waiting.pop()
        if name in hashes or any(name == part or name.startswith(f"{part}.") for part in OUTSIDE):
            continue
        path = _source_of(name)
        if path is None:
            continue
        source = path.read_text(encoding="utf-8")
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        waiting += _imports(ast.parse(source), package)
        hashes[name] = code_digest(source)
    return dict(sorted(hashes.items()))


def code_digest(source: str) -> str:
    """Digest of code as it runs: without comments, docstrings and layout.

    Args:
        source: a module.

    Returns:
        16 hexadecimal digits.
    """
    tree = ast.parse(source)
    _drop_docstrings(tree)
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def training_cost(record: Mapping[str, Any]) -> str:
    """What a training cost, in words: time by the clock, which a busy machine stretches, and processor time.

    Args:
        record: with `seconds` and `cpu_seconds`, where they were recorded; earlier versions knew only the
            first.

    Returns:
        Such as "15.0 min, CPU time 14.2 min".
    """
    return f"{duration(record.get('seconds'))}, CPU time {duration(record.get('cpu_seconds'))}"


def duration(seconds: float | None) -> str:
    """Seconds or minutes, whichever read better, with one decimal; None is "not recorded"."""
    if seconds is None:
        return "not recorded"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _source_of(name: str) -> Path | None:
    """The file of a module, None if the name is not one (but, say, a function in one)."""
    try:
        found = importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):
        return None
    return Path(found.origin) if found is not None and found.origin else None


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (name for name in names if name.startswith("agm."))


def _drop_docstrings(tree: ast.Module) -> None:
    """Remove strings that stand for themselves: docstrings of modules, classes, functions and fields."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [
                line
                for line in body
                if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            ]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
