"""Bad input of every kind: a message with file, line and column, a caret under the place, and advice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from proofread.__main__ import main

CHAPTER = r"""# Bad input

$$
LATEX
$$ {#eq-bad}

```{python}
#| label: proofread-bad
from proofread import *

CLAIM
```
"""
REAL = 'check("eq-bad", model(real("a", "b"), vector("x")))'

EQUATIONS = [
    ("unbalanced braces", r"a = \frac{1}{2", REAL, "never closed; add", r"{2"),
    ("unbalanced brackets", r"a = (b + a", REAL, "expected )", None),
    ("unknown macro", r"a = \foo", REAL, "unknown macro or sign; use the dialect", r"\foo"),
    ("symbol without meaning", r"a = w", REAL, "w has no meaning; declare it", "w"),
    ("type mismatch", r"x + a = x", REAL, "cannot add a vector of 2 and a scalar; check the types", "x + a"),
    ("sides of different types", r"a = x", REAL, "the sides differ in type", "x"),
    ("free index", r"a = \beta_t", 'check("eq-bad", model(real("a"), sequence(r"\\beta", 1, 2)))', r"the index t of \beta has no value; bind it", r"\beta_t"),
    ("domain error", r"\log a = b", REAL, "no finite value in", r"\log a"),
    ("divergent integral", r"a = \int_0^1 \frac1u \,\mathrm d u", REAL, "did not converge", r"a = \int"),
    ("divergent limit", r"a = \lim_{t \to \infty} \sin(t)", REAL, "does not converge", "a = "),
    ("supremum at infinity", r"\sup_{t \ge 0} t = a", 'check("eq-bad", model(real("a"), line("t")))', "stands for infinity", r"\sup"),
    ("nothing is sampled", "a = a", 'check("eq-bad", model(real("a"), assume("a < a - 1")))', "loosen assume", "a"),
    ("no interpretation", "a = b", "pass", "no interpretation; add check", "a"),
    ("ellipsis", r"a = b + \cdots + b", REAL, r"an ellipsis cannot be checked; write the sum", r"\cdots"),
    ("not judged", r"a \subset b", REAL, "cannot be checked; mark the equation", r"a \subset"),
]  # fmt: skip

CELLS = [
    ("absent label", REAL.replace("eq-bad", "eq-absent"), "no equation is labelled eq-absent; labels here: eq-bad", "eq-absent"),
    ("claimed twice", f'definition("eq-bad")\n{REAL}', "eq-bad is claimed twice", None),
    ("empty set", 'check("eq-bad", model(finite("x", 0)))', "samples nothing; give it a size", 'check("eq-bad"'),
    ("cell that fails", "1 / 0", "the cell proofread-bad fails (ZeroDivisionError", "1 / 0"),
    ("cited without source", 'cited("eq-bad", " ")', "cited without a source; say where", 'cited('),
    ("mutants switched off", 'check("eq-bad", model(real("a")), mutants=False)', "without mutants; say why", "check("),
]  # fmt: skip


def shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> str:
    """What the command line says about a chapter, in which something is wrong."""
    (tmp_path / "bad.qmd").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["bad.qmd"]) in (1, 2)
    captured = capsys.readouterr()
    return captured.out + captured.err


def check_place(text: str, message: str, word: str | None, line: int) -> None:
    """File, line and column, carets under the word, and the message with its advice."""
    assert message in text
    assert re.search(rf"bad\.qmd:{line}:\d+", text)
    rows = text.split("\n")
    carets = [row for row in range(1, len(rows)) if set(rows[row].strip()) == {"^"}]
    assert carets
    below, above = rows[carets[0]], rows[carets[0] - 1]
    if word is not None:
        assert above[below.index("^") :].startswith(word)


@pytest.mark.parametrize(
    ("latex", "claim", "message", "word"), [e[1:] for e in EQUATIONS], ids=[e[0] for e in EQUATIONS]
)
def test_equations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    latex: str, claim: str, message: str, word: str | None,
) -> None:  # fmt: skip
    text = shown(tmp_path, monkeypatch, capsys, CHAPTER.replace("LATEX", latex).replace("CLAIM", claim))
    check_place(text, message, word, 4)


@pytest.mark.parametrize(("claim", "message", "word"), [e[1:] for e in CELLS], ids=[e[0] for e in CELLS])
def test_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    claim: str, message: str, word: str | None,
) -> None:  # fmt: skip
    text = shown(tmp_path, monkeypatch, capsys, CHAPTER.replace("LATEX", "a = a").replace("CLAIM", claim))
    check_place(text, message, word, 11 + claim.count("\n"))


def test_a_mistake_in_an_interpretation_names_the_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    claim = 'check("eq-bad", model(real("a"), define("c = a +")))'
    text = shown(tmp_path, monkeypatch, capsys, CHAPTER.replace("LATEX", "a = a").replace("CLAIM", claim))
    assert "an expression is missing" in text and "in the claim at bad.qmd:11:8" in text


def test_a_formula_that_crashes_the_arithmetic_is_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def crash(*_: object) -> None:
        raise ValueError("shapes do not fit")

    monkeypatch.setattr("proofread.judge.evaluate_pair", crash)
    text = shown(tmp_path, monkeypatch, capsys, CHAPTER.replace("LATEX", "a = a").replace("CLAIM", REAL))
    assert "cannot be evaluated (ValueError: shapes do not fit)" in text and "bad.qmd:4:1" in text
