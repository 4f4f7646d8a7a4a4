"""The synthetic book of the benchmark is a sound book, the same each time, and nothing in it executes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.press_speed import Measured, report, run
from benchmarks.synthetic import Size, drawing, generate, store_outputs
from press.lint import lint
from press.source import Equation, Text, read
from press.tangle import tangle

SMALL = Size(chapters=2, words=6000, equations=20, figures=4)


def test_the_synthetic_book_is_sound_and_fresh(tmp_path: Path) -> None:
    book = generate(tmp_path, SMALL)
    assert [str(finding) for finding in lint(book)] == []
    tangle(book)
    store_outputs(book)  # raises if a chapter counts as stale
    assert len(list((tmp_path / "notebooks").rglob("*.ipynb"))) == len(book.entries)


def test_it_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    book = generate(tmp_path, SMALL)
    chapters = [read(tmp_path, entry.path) for entry in book.entries if entry.path.startswith("book/0")]
    assert sum(isinstance(block, Equation) for chapter in chapters for block in chapter.blocks) == 20
    assert sum(cell.label.startswith("fig-") for chapter in chapters for cell in chapter.cells) == 4
    texts = [block for chapter in chapters for block in chapter.blocks if isinstance(block, Text)]
    assert 0.8 < sum(len(" ".join(text.lines).split()) for text in texts) / 6000 < 1.2


def test_the_same_seed_gives_the_same_book(tmp_path: Path) -> None:
    texts = []
    for name in ("a", "b"):
        book = generate(tmp_path / name, SMALL)
        texts.append({entry.path: read(book.root, entry.path).text for entry in book.entries})
    assert texts[0] == texts[1]
    assert drawing(1) == drawing(1) != drawing(2)


def test_a_missed_target_is_told(tmp_path: Path, capsys) -> None:
    measured = {"lint": Measured(99.0, 2**20), "tangle": Measured(1.0, 2**40)}
    assert not report(measured, {"lint": Measured(198.0, 1)}, full=True)
    shown = capsys.readouterr().out
    assert shown.count("missed") == 2 and "2.0x" in shown
    assert report({"lint": Measured(9.0, 2**20)}, {}, full=True)
    assert 0.0 < run(["sleep", "0.1"], tmp_path).seconds < 5.0
