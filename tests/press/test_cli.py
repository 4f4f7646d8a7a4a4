"""The command line: the whole book from one call, again, interrupted at any moment, and two calls at once."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from press.__main__ import main
from press.files import one_run
from tests.press.conftest import MakeBook

ROOT = Path(__file__).parents[2]
CHAPTER = """# One {#sec-one}

In @eq-one.

$$
a + a = 2 a
$$ {#eq-one}

```{python}
#| label: proofread-one
#| eval: false
from proofread import check, model, real

check("eq-one", model(real("a")))
```

```{python}
#| file: tangled/agm/one.py
\"\"\"A module.\"\"\"


def double(x: float) -> float:
    \"\"\"Twice x.\"\"\"
    return 2 * x
```

```{python}
value = double(21)
```

The value is `{python} value`.
"""
FILES = {
    "index.qmd": "# Preface {.unnumbered}\n\nText.\n",
    "one.qmd": CHAPTER,
    "two.qmd": "# Two {#sec-two}\n\n@sec-one.\n",
}


def command(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "press", "--root", str(root), *arguments]


def call(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command(root, *arguments), env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def snapshot(root: Path) -> dict[str, bytes]:
    folders = ("tangled", "artifacts", "notebooks", "_book")
    files = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): path.read_bytes() for path in files if "pagefind" not in path.parts
    }


def test_one_call_makes_the_book_and_the_second_does_nothing(make_book: MakeBook, tmp_path: Path) -> None:
    make_book(tmp_path, FILES)
    first = call(tmp_path, "book")
    assert first.returncode == 0, first.stderr
    assert "tangled/agm/one.py" in first.stdout
    assert "PDF:  _book/A-Small-Book.pdf" in first.stdout and "HTML: _book/index.html" in first.stdout
    stages = ("tangle", "proofread", "execute", "pdf", "html", "total")
    assert re.search(" · ".join(rf"{stage} [\d.]+ s" for stage in stages) + r"\n\Z", first.stdout)
    assert "42" in (tmp_path / "_book" / "one.html").read_text(encoding="utf-8")
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "_book").rglob("*") if path.is_file()}
    start = time.monotonic()
    again = call(tmp_path, "book")
    assert again.returncode == 0 and "tangled " not in again.stdout and "executed" not in again.stdout
    assert time.monotonic() - start < 10
    assert made == {
        path: path.stat().st_mtime_ns for path in (tmp_path / "_book").rglob("*") if path.is_file()
    }
    assert call(tmp_path, "check").returncode == 0


def test_a_run_killed_at_any_moment_is_completed_by_the_next(make_book: MakeBook, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
        make_book(folder, FILES)
    start = time.monotonic()
    assert call(whole, "book").returncode == 0
    seconds = time.monotonic() - start
    for part in (0.2, 0.4, 0.55, 0.7, 0.85):
        process = subprocess.Popen(
            command(broken, "book"), env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(part * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    last = call(broken, "book")
    assert last.returncode == 0, last.stderr
    assert snapshot(broken) == snapshot(whole)


def test_two_runs_at_once(make_book: MakeBook, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_book(tmp_path, FILES)
    with one_run(tmp_path):
        assert main(["--root", str(tmp_path), "html"]) == 1
    assert capsys.readouterr().err.startswith("press: another run is at work on this book – wait")


@pytest.mark.parametrize("verb", ["book", "tangle", "execute", "html", "pdf", "check", "lint"])
def test_a_malformed_chapter_is_one_line(
    verb: str, make_book: MakeBook, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_book(tmp_path, FILES)
    (tmp_path / "two.qmd").write_text("# Two\n\n::: {.proof}\nNo end.\n", encoding="utf-8")
    assert main(["--root", str(tmp_path), verb]) == 1
    output = capsys.readouterr()
    assert "two.qmd:3: div is not closed – " in output.out + output.err
    assert "Traceback" not in output.err


def test_a_folder_without_a_book(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--root", str(tmp_path), "html"]) == 1
    assert re.match(r"press: \S*_quarto.yml: no book here – \S.*\n\Z", capsys.readouterr().err)


def test_every_verb_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["book", "--help"], ["execute", "--help"], ["new-chapter", "--help"]):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
    assert "usage: press execute" in capsys.readouterr().out
