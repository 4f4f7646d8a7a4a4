"""Proofreading as a stage of the press: verdicts, the committed ledger, and marks on the pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from press.errors import PressError, PressErrors
from press.html import weave_html
from press.proofs import LEDGER, marks, proofread
from tests.press.conftest import MakeBook

CLAIMS = """
```{python}
#| label: proofread-one
#| eval: false
from proofread import by_hand, check, definition, model, real

definition("eq-name")
check("eq-square", model(real("a", "b")))
```
"""
BY_HAND_CLAIM = 'by_hand("eq-square", "reason", lambda: 2 + 2 == 4, lambda: True)'
RIGHT = "(a + b)^2 = a^2 + 2 a b + b^2"
CHAPTER = f"# One {{#sec-one}}\n\n$$\n{RIGHT}\n$$ {{#eq-square}}\n\n$$\nc = a b\n$$ {{#eq-name}}\n{CLAIMS}"
APPENDIX = "# Ledger {#sec-ledger}\n\n[@eq-square]{#ledger-eq-square} [@eq-name]{#ledger-eq-name}\n"


def test_verdicts_are_kept_without_what_differs_from_run_to_run(make_book: MakeBook, tmp_path: Path) -> None:
    book = make_book(tmp_path, {"one.qmd": CHAPTER})
    totals = proofread(book, jobs=1)
    assert totals is not None and totals["by verdict"] == {"definition": 1, "proved": 1}
    first = (tmp_path / LEDGER).read_bytes()
    entries = json.loads(first)["equations"]
    assert [entry["label"] for entry in entries] == ["eq-square", "eq-name"]
    assert all(entry["seconds"] == 0 and entry["line"] == 0 for entry in entries)
    assert {label: mark.text for label, mark in marks(book).items()} == {"eq-square": "✓✓", "eq-name": "def."}
    (tmp_path / ".press" / "ledger.json").unlink()
    (tmp_path / ".press" / "proofread.json").unlink()
    proofread(book, jobs=1)
    assert (tmp_path / LEDGER).read_bytes() == first


def test_what_did_not_change_is_not_checked_again(
    make_book: MakeBook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = make_book(tmp_path, {"one.qmd": CHAPTER})
    totals = proofread(book, jobs=1)
    monkeypatch.setattr("proofread.book.check_file", lambda *_: pytest.fail("checked again"))
    assert proofread(book, jobs=1) == totals
    path = tmp_path / "one.qmd"
    path.write_text("Prose.\n\n".join(path.read_text().split("\n\n", 1)), encoding="utf-8")
    path.write_text(path.read_text().replace("2 a b", "3 a b"), encoding="utf-8")
    with pytest.raises(pytest.fail.Exception, match="checked again"):
        proofread(book, jobs=1)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2 a b", "3 a b", "one.qmd:3: eq-square is refuted – make proofread EQ=eq-square"),
        ("2 a b", "2 a \\nonsense", "one.qmd:3: eq-square is undecided"),
        ('definition("eq-name")\n', "", "one.qmd:7: eq-name is undecided"),
        ('definition("eq-name")', 'definition("eq-gone")', "eq-gone"),
        ('real("a", "b")', 'real("a")', "one.qmd:3: eq-square is undecided"),
    ],
)
def test_what_is_not_accepted_fails_with_its_place(
    make_book: MakeBook, tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in CHAPTER
    with pytest.raises(PressErrors, match=message):
        proofread(make_book(tmp_path, {"one.qmd": CHAPTER.replace(old, new)}), jobs=1)


def test_one_equation_is_shown_line_by_line(
    make_book: MakeBook, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    book = make_book(tmp_path, {"one.qmd": CHAPTER})
    proofread(book, label="eq-square", jobs=1)
    assert "[proved]" in capsys.readouterr().out
    with pytest.raises(PressError, match="no equation is labelled 'eq-other'"):
        proofread(book, label="eq-other", jobs=1)


def test_a_damaged_ledger_is_told(make_book: MakeBook, tmp_path: Path) -> None:
    book = make_book(tmp_path, {"one.qmd": CHAPTER})
    (tmp_path / "artifacts").mkdir()
    (tmp_path / LEDGER).write_text('{"version": 1, "equations": 3}', encoding="utf-8")
    with pytest.raises(PressError, match="not a ledger"):
        proofread(book, jobs=1)


def test_a_book_without_equations_needs_no_ledger(make_book: MakeBook, tmp_path: Path) -> None:
    assert proofread(make_book(tmp_path, {"one.qmd": "# One {#sec-one}\n\nProse.\n"}), jobs=1) is None
    assert not (tmp_path / LEDGER).exists()


def test_each_equation_bears_a_mark_that_leads_to_its_line(make_book: MakeBook, tmp_path: Path) -> None:
    book = make_book(tmp_path, {"one.qmd": CHAPTER, "d.qmd": APPENDIX})
    proofread(book, jobs=1)
    weave_html(book, search=False)
    page = (tmp_path / "_book" / "one.html").read_text(encoding="utf-8")
    assert 'class="equation-mark" href="d.html#ledger-eq-square"' in page and ">✓✓</a>" in page
    assert 'id="ledger-eq-square"' in (tmp_path / "_book" / "d.html").read_text(encoding="utf-8")


def test_what_was_checked_by_hand_is_not_called_proved(make_book: MakeBook, tmp_path: Path) -> None:
    claims = CLAIMS.replace('check("eq-square", model(real("a", "b")))', BY_HAND_CLAIM)
    book = make_book(tmp_path, {"one.qmd": CHAPTER.replace(CLAIMS, claims)})
    totals = proofread(book, jobs=1)
    assert totals is not None and totals["by kind"] == {"checked by hand": 1, "definition": 1}
    assert marks(book)["eq-square"].text == "by hand"
