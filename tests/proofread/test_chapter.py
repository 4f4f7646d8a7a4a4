"""Whole files: claims in cells, the ledger, the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proofread import ProofreadError, check, check_file, definition, model, real
from proofread.__main__ import main
from proofread.book import check_files
from proofread.ledger import load

GOOD = r"""# Squares

$$
f(a) = a^2
$$ {#eq-definition}

$$
\begin{aligned}
(a + b)^2 &= a^2 + 2 a b + b^2 \\
&\ge 4 a b
\end{aligned}
$$ {#eq-square}

```{python}
#| label: proofread-squares
from proofread import check, definition, model, real

definition("eq-definition")
check("eq-square", model(real("a", "b")))
```
"""


def write(tmp_path: Path, text: str, name: str = "chapter.qmd") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_labelled_equation_gets_an_entry(tmp_path: Path) -> None:
    first, second = check_file(write(tmp_path, GOOD))
    assert (first.label, first.kind, first.verdict) == ("eq-definition", "definition", "definition")
    assert (second.label, second.kind, second.verdict) == ("eq-square", "derived", "proved")
    assert [step.verdict for step in second.steps] == ["proved", "proved"]
    assert [step.line for step in second.steps] == [9, 10]
    assert (
        second.accepted
        and second.mutants["total"]
        == second.mutants["killed"] + second.mutants["equivalent"] + second.mutants["uninformative"]
    )
    assert second.steps[0].draws >= 256


def test_a_wrong_line_is_refuted_and_the_rest_is_not(tmp_path: Path) -> None:
    _, second = check_file(write(tmp_path, GOOD.replace("2 a b", "3 a b")))
    assert second.verdict == "refuted" and not second.accepted
    assert [step.verdict for step in second.steps] == ["refuted", "holds numerically"]


def test_an_equation_without_a_claim_is_undecided(tmp_path: Path) -> None:
    text = GOOD + "\n$$\na = a\n$$ {#eq-forgotten}\n"
    last = check_file(write(tmp_path, text))[-1]
    assert (last.verdict, last.kind) == ("undecided", "unchecked") and "no interpretation" in last.note


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('check("eq-square"', 'check("eq-squares"', r"no equation is labelled eq-squares"),
        ('definition("eq-definition")', 'definition("eq-square")', r"eq-square is claimed twice"),
        ('definition("eq-definition")', "1 / 0", r"the cell proofread-squares fails"),
        ('definition("eq-definition")', "1 +", r"the cell proofread-squares fails"),
        ('real("a", "b")', '"a"', "is not a declaration"),
    ],
)
def test_broken_cells_are_named_with_their_line(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(ProofreadError, match=words):
        check_file(write(tmp_path, GOOD.replace(old, new)), name="chapter.qmd")


def test_errors_in_an_equation_do_not_stop_the_others(tmp_path: Path) -> None:
    first, second = check_file(write(tmp_path, GOOD.replace("4 a b", r"4 a \foo")), name="c.qmd")
    assert first.accepted
    assert second.verdict == "undecided"
    assert "c.qmd:10:" in second.note and r"\foo is an unknown macro" in second.note and "^" in second.note


def test_undecided_steps_pass_only_with_a_reason(tmp_path: Path) -> None:
    text = GOOD.replace(r"&\ge 4 a b", r"&\to 0").replace('"b")))', '"b")), accept={2: "shown in the text"})')
    second = check_file(write(tmp_path, text))[1]
    assert [step.verdict for step in second.steps] == ["proved", "assumption"]
    assert second.steps[1].reason == "shown in the text"


def test_the_first_relation_may_define(tmp_path: Path) -> None:
    text = GOOD.replace("(a + b)^2 &=", "J &= (a + b)^2 \\\\\n&=").replace('"b")))', '"b")), defines=True)')
    second = check_file(write(tmp_path, text))[1]
    assert [step.verdict for step in second.steps] == ["definition", "proved", "proved"]


def test_checks_by_hand_need_both_witnesses(tmp_path: Path) -> None:
    cell = "from proofread import by_hand, cited\ncited('eq-definition', 'Euclid')\n"
    for symbolic, expected in (("True", "proved"), ("False", "refuted")):
        check_ = f"by_hand('eq-square', 'limit', numeric=lambda: True, symbolic=lambda: {symbolic})\n"
        text = GOOD.split("```{python}")[0] + "```{python}\n#| label: proofread-x\n" + cell + check_ + "```\n"
        first, second = check_file(write(tmp_path, text))
        assert first.verdict == "cited theorem" and first.note == "Euclid"
        assert second.verdict == expected


def test_claims_outside_of_a_run_do_nothing() -> None:
    definition("eq-anything")
    assert check("eq-anything", model(real("a"))).label == "eq-anything"


def test_the_ledger_takes_over_what_did_not_change(tmp_path: Path) -> None:
    path, ledger = write(tmp_path, GOOD), tmp_path / "ledger.json"
    list(check_files([path], ledger, root=tmp_path))
    before = ledger.read_text(encoding="utf-8")
    data = json.loads(before)
    assert data["totals"]["equations"] == 2 and data["totals"]["kill rate"] == 1.0
    assert data["equations"][0]["path"] == "chapter.qmd"
    list(check_files([path], ledger, root=tmp_path))
    assert ledger.read_text(encoding="utf-8") == before  # the times would differ had it been checked again
    path.write_text("\n" + GOOD.replace("2 a b", "3 a b"), encoding="utf-8")
    list(check_files([path], ledger, root=tmp_path))
    entries = load(ledger)
    assert entries["chapter.qmd#eq-square"].verdict == "refuted"
    assert entries["chapter.qmd#eq-definition"].line == 4
    ledger.write_text("{", encoding="utf-8")
    with pytest.raises(ProofreadError, match="not a ledger"):
        load(ledger)


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path, GOOD)
    assert main([str(path), "--eq", "eq-square"]) == 0
    shown = capsys.readouterr().out
    assert "[proved]" in shown and "mutants:" in shown and "1 equations: 1 proved" in shown
    path.write_text(GOOD.replace("2 a b", "3 a b"), encoding="utf-8")
    assert main([str(path)]) == 1
    shown = capsys.readouterr().out
    assert "eq-square: refuted" in shown and "counterexample: a = " in shown
    assert main([str(path), "--eq", "eq-none"]) == 2
    assert "no equation is labelled eq-none" in capsys.readouterr().err
    assert main([str(tmp_path / "absent.qmd")]) == 2


def test_tex_with_claims_beside_it(tmp_path: Path) -> None:
    path = write(
        tmp_path, "\\begin{equation}\\label{eq:s}\n(a+b)(a-b) = a^2 - b^2\n\\end{equation}\n", "paper.tex"
    )
    write(
        tmp_path, 'from proofread import *\ncheck("eq:s", model(real("a", "b")))\n', "paper.tex.proofread.py"
    )
    (result,) = check_file(path)
    assert result.verdict == "proved"


def test_a_trivial_interpretation_is_pointed_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = 'model(define("a = 0"), define("b = 0"))'
    text = GOOD.replace('model(real("a", "b"))', narrow).replace(r"&\ge 4 a b", "&= 4 a b")
    text = text.replace("import check,", "import check, define,")
    path = write(tmp_path, text)
    (_, second) = check_file(path)
    assert second.verdict == "proved" and second.doubtful
    main([str(path)])
    shown = capsys.readouterr().out
    assert "mean the same under the interpretation" in shown and "1 interpretations may be trivial" in shown
    assert not check_file(write(tmp_path, GOOD))[1].doubtful


def test_a_check_without_mutants_shows_its_reason(tmp_path: Path) -> None:
    text = GOOD.replace('real("a", "b")))', 'real("a", "b")), mutants="for the sake of the test")')
    second = check_file(write(tmp_path, text))[1]
    assert second.accepted and second.mutants == {} and second.note == "no mutants: for the sake of the test"


def test_plain_tex_needs_nothing_of_the_book(tmp_path: Path) -> None:
    tex = r"""\documentclass{article}
\newcommand{\mean}[1]{\mathbb{E}\left[ #1 \right]}
\begin{document}
% \begin{equation}\label{eq:no} a = b \end{equation}
\begin{align}
\mean{(X - a)^2} &= \mean{X^2} - 2 a \mean{X} + a^2 \nonumber \\
&\ge \mean{X^2} - \mean{X}^2 \label{eq:spread}
\end{align}
\begin{equation} \lim_{h \downarrow 0} \frac{\exp(a h) - 1}{h} = WRONG a \label{eq:slope} \end{equation}
\end{document}
"""
    write(
        tmp_path,
        "from proofread import *\n"
        'check("eq:spread", model(real("a"), random_variables("X")))\n'
        'check("eq:slope", model(real("a")))\n',
        "paper.tex.proofread.py",
    )
    spread, slope = check_file(write(tmp_path, tex.replace("WRONG ", ""), "paper.tex"))
    assert spread.accepted and slope.verdict == "proved"
    assert check_file(write(tmp_path, tex.replace("WRONG ", "2 "), "paper.tex"))[1].verdict == "refuted"


def test_processes_share_a_chapter_and_keep_its_order(tmp_path: Path) -> None:
    path, ledger = write(tmp_path, GOOD), tmp_path / "ledger.json"
    broken = write(tmp_path, GOOD.replace("real(", "unreal("), "broken.qmd")
    alone = dict(check_files([path], root=tmp_path))["chapter.qmd"]
    shared = dict(check_files([path, broken], ledger, jobs=2, root=tmp_path))
    assert isinstance(alone, list) and isinstance(shared["chapter.qmd"], list)
    assert [(r.label, r.verdict) for r in shared["chapter.qmd"]] == [(r.label, r.verdict) for r in alone]
    assert isinstance(shared["broken.qmd"], ProofreadError)
    assert sorted(load(ledger)) == ["chapter.qmd#eq-definition", "chapter.qmd#eq-square"]
