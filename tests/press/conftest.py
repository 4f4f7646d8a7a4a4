"""Small books for the tests of the press."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml

from press.config import Book, load

MakeBook = Callable[[Path, Mapping[str, str]], Book]


def write_book(folder: Path, files: Mapping[str, str]) -> Book:
    """Write a book whose chapters are the `.qmd` files given, in their order, and load it.

    Args:
        folder: An empty folder.
        files: Text by path; `_quarto.yml` may be among them, else one is written that lists every `.qmd`.
    """
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    if "_quarto.yml" not in files:
        chapters = [path for path in files if path.endswith(".qmd")]
        config = {
            "project": {"type": "book", "output-dir": "_book"},
            "book": {"title": "A Small Book", "author": "Nobody", "chapters": chapters},
            "macros": {"E": r"$\mathbb{E}$", "KL": r"$D\left(#1 \,\middle\|\, #2\right)$"},
            "lang": "en-GB",
        }
        if "references.bib" in files:
            config["bibliography"] = "references.bib"
        (folder / "_quarto.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return load(folder)


@pytest.fixture(scope="session")
def make_book() -> MakeBook:
    """`make_book(tmp_path, {path: text}) -> Book`."""
    return write_book
