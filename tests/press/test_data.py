"""Data sets are fetched before the kernels start."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from press.data import fetch, loaded
from press.source import parse

CELL = "```{python}\nfrom agm.data import card, load_mnist, load_digits as digits\n```\n"


def test_only_loaders_of_evaluated_cells_count() -> None:
    skipped = "```{python}\n#| eval: false\nfrom agm.data import load_emoji\n```\n"
    assert loaded([parse(CELL + skipped, "a.qmd"), parse(CELL, "b.qmd")]) == ["digits", "mnist"]


def test_a_cell_that_is_not_python_is_left_to_the_kernel() -> None:
    assert loaded([parse("```{python}\nfrom agm.data import (\n```\n", "a.qmd")]) == []


def test_fetch_calls_the_package_with_the_names(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    package = tmp_path / "tangled" / "agm" / "data"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "__main__.py").write_text("import sys\nprint('asked for', *sys.argv[1:], file=sys.stderr)\n")
    fetch(tmp_path, [parse(CELL, "a.qmd")])
    assert "asked for digits mnist" in capfd.readouterr().err


def test_without_the_package_or_names_nothing_is_called(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[object] = []
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **_: called.append(arguments))
    fetch(tmp_path, [parse(CELL, "a.qmd")])
    fetch(tmp_path, [])
    assert not called and not any(capfd.readouterr())
