"""Fetch the data sets that chapters load, with progress, before a kernel asks for them in silence."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import warnings
from collections.abc import Iterable
from pathlib import Path

from press.source import Chapter

MODULE = "agm.data"


def loaded(chapters: Iterable[Chapter]) -> list[str]:
    """The data sets whose loaders the chapters' evaluated cells import, in alphabetical order."""
    names: set[str] = set()
    for chapter in chapters:
        for cell in chapter.cells:
            if not cell.evaluated or MODULE not in cell.source:
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    tree = ast.parse(cell.source)
            except (SyntaxError, ValueError):  # the kernel will say so, with the line
                continue
            for node in ast.walk(tree):
                if isinstance(node, ast.ImportFrom) and node.module == MODULE:
                    names |= {
                        alias.name.removeprefix("load_")
                        for alias in node.names
                        if alias.name.startswith("load_")
                    }
    return sorted(names)


def fetch(root: Path, chapters: Iterable[Chapter]) -> None:
    """Have the data sets of the chapters in the cache, as far as they can be had.

    What cannot be fetched is told on standard error; the cell that loads it then fails with its place, and
    chapters that need no data run all the same.

    Args:
        root: The root of the book, whose `tangled/` holds the package.
        chapters: Those about to be executed.
    """
    names = loaded(chapters)
    if names and (root / "tangled" / "agm" / "data" / "__main__.py").is_file():
        environment = os.environ | {"PYTHONPATH": str(root / "tangled")}
        command = [sys.executable, "-m", MODULE, *names]
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)
