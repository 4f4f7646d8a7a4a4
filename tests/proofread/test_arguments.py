"""Wrong arguments in a cell are refused with file, line and remedy, never as a raw exception."""

from __future__ import annotations

from pathlib import Path

import pytest

from proofread.chapter import check_file
from proofread.errors import ProofreadError

PAGE = """$$ x = x $$ {#eq-a}

```{python}
#| label: proofread-a
from proofread import *
%s
```
"""

DECLARATIONS = [
    ('vector("x", 2)', 'write vector("a", size=2)'),
    ('matrix("x", 2, 2)', 'write matrix("a", rows=2, columns=3)'),
    ('real("x", 3)', 'write real("a", "b")'),
    ('real(["x", "y"])', 'write real("a", "b")'),
    ('between("x", 0, 1)', "'x' is not a finite number"),
    ('between(1, 0, "x")', "write the lower bound first"),
    ('between(0, float("inf"), "x")', "inf is not a finite number"),
    ('vector("x", size=0)', "0 is out of range"),
    ('vector("x", size="2")', "'2' is not an integer"),
    ('matrix("x", rows=2.0)', "2.0 is not an integer"),
    ('finite("x", "3")', "'3' is not an integer"),
    ('finite("x", 2.5)', "2.5 is not an integer"),
    ('finite("x", values=("a", "b"))', "'a' is not a finite number"),
    ('line("x", 1, 0)', "1 is not below 0"),
    ('line("x", nodes=0)', "0 is out of range"),
    ('index("i", 3, 1)', "nothing lies from 3 to 1"),
    ('index("i", 1, 10**9)', "out of range"),
    ('sequence("b", 1, 3, between)', "no kind of number"),
    ('sequence("b", 1, "T")', "'T' is not an integer"),
    ('constant("T", "3")', "'3' is not a finite number"),
    ('constant("T", float("nan"))', "nan is not a finite number"),
    ('distribution("p(y)", steps=3)', "write steps=(1, 3)"),
    ('table("f(y)", "reel")', "use real or positive"),
    ('function("f(t)", size="2")', "'2' is not an integer"),
    ('random_variables("X", outcomes="5")', "'5' is not an integer"),
    ('random_variables("X", levels={"X": None})', "None is not an integer"),
    ('random_variables("X", levels=2)', 'write levels={"Y": 2}'),
    ("define(3)", 'write define("a = b")'),
    ("assume(3)", 'write assume("a < b")'),
    ('subset("A", "x", 3)', 'write subset("A"'),
]

CLAIMS = [
    ('check(3, model(real("x")))', "begin with the label"),
    ('check("eq-a", real("x"))', "write model(…)"),
    ('check("eq-a", model(real("x")), draws="256")', "'256' is not an integer"),
    ('check("eq-a", model(real("x")), draws=0)', "0 is out of range"),
    ('check("eq-a", model(real("x")), approx="0.1")', "is not a finite number"),
    ('check("eq-a", model(real("x")), accept={"1": "so"})', 'write {2: "reason"}'),
    ('check("eq-a", model(real("x")), excuse=["a"])', 'write {"name of a mutant": "reason"}'),
    ('check("eq-a", model(real("x")), implements=3)', "no name or formula"),
    ('check("eq-a", model(real("x")), mutants=3)', "say why"),
    ('by_hand("eq-a", "so", 1, 2)', "give a function that returns True"),
    ('cited("eq-a", 3)', "say where it is proved"),
    ("definition(3)", "begin with the label"),
]


def page(tmp_path: Path, code: str) -> Path:
    path = tmp_path / "chapter.qmd"
    path.write_text(PAGE % code, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("code", "said"), [(f'check("eq-a", model({code}))', said) for code, said in DECLARATIONS] + CLAIMS
)
def test_a_wrong_argument_is_refused_where_it_stands(tmp_path: Path, code: str, said: str) -> None:
    with pytest.raises(ProofreadError) as refused:
        check_file(page(tmp_path, code), name="chapter.qmd")
    message = str(refused.value)
    assert message.startswith("chapter.qmd:6:") and said in message
    assert "^" in message and "TypeError" not in message and "ValueError" not in message


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            'by_hand("eq-a", "so", lambda: 1 / 0, lambda: True)',
            "the numeric witness fails (ZeroDivisionError",
        ),
        (
            'check("eq-a", model(real("x")), implements="math.sin", arguments={"x": "x"})',
            "math.sin cannot be called so",
        ),
    ],
)
def test_code_that_fails_leaves_its_equation_undecided(tmp_path: Path, code: str, said: str) -> None:
    (result,) = check_file(page(tmp_path, code), name="chapter.qmd")
    assert result.verdict == "undecided" and said in result.note and "chapter.qmd:" in result.note
