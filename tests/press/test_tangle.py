"""Tangle: clean modules from cells, and no file lost."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from press.config import Book, load
from press.errors import PressError
from press.files import CACHE
from press.tangle import tangle

FIRST = '''# Waves {#sec-waves}

```{python}
#| label: setup
#| file: tangled/agm/waves.py
"""Waves."""

from __future__ import annotations

import math

LIMIT = 3
```

```{python}
#| label: shown
print("not tangled")
```

## Sines

```{python}
#| label: sine
#| file: tangled/agm/waves.py
#| code-fold: true

def sine(x: float) -> float:
    """Sine."""
    return math.sin(x)


class Wave:
    """A wave."""
```

```{python}
#| label: other
#| file: tangled/agm/waves.py
OTHER = 4
```

## Tests

```{python}
#| label: tests
#| file: tests/chapters/test_waves.py
"""Tests of waves."""

from agm.waves import sine


```

```{python}
#| label: more-tests
#| file: tests/chapters/test_waves.py
def test_sine() -> None:
    """Sine of zero."""
    assert sine(0.0) == 0.0
```
'''
SECOND = '''# Deep {#sec-deep}

```{python}
#| label: deep
#| file: tangled/agm/deep/sea.py
"""Sea."""


class Sea:
    """A sea."""
```
'''
WAVES = '''"""Waves."""

from __future__ import annotations

# a.qmd § Waves
import math

LIMIT = 3


# a.qmd § Sines
def sine(x: float) -> float:
    """Sine."""
    return math.sin(x)


class Wave:
    """A wave."""


# a.qmd § Sines
OTHER = 4
'''


@pytest.fixture
def book(make_book, tmp_path: Path) -> Book:
    return make_book(tmp_path, {"a.qmd": FIRST, "b.qmd": SECOND})


def cell(target: str, code: str, title: str = "T") -> str:
    return (
        f"# {title} {{#sec-{title.lower()}}}\n\n```{{python}}\n#| label: x\n#| file: {target}\n{code}\n```\n"
    )


def edit(book: Book, path: str, old: str, new: str) -> None:
    file = book.root / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for folder in ("tangled", "tests")
        for path in (root / folder).rglob("*")
        if path.is_file()
    }


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=N", "-c", "user.email=n@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def test_a_module_reads_like_written_by_hand(book: Book) -> None:
    written = tangle(book)
    assert (book.root / "tangled/agm/waves.py").read_text(encoding="utf-8") == WAVES
    assert {str(path) for path in written} == {
        "tangled/agm/__init__.py", "tangled/agm/waves.py", "tangled/agm/deep/__init__.py",
        "tangled/agm/deep/sea.py", "tests/chapters/test_waves.py",
    }  # fmt: skip
    assert (book.root / "tangled/agm/deep/__init__.py").read_text() == (
        '"""The package `agm.deep`, tangled from the book."""\n'
    )


def test_ruff_is_content_with_what_is_tangled(book: Book) -> None:
    tangle(book)
    options = ["--line-length", "110", "--no-cache", "--isolated", "tangled", "tests"]
    for verb in (["format", "--check"], ["check", "--select", "E,F,W,I"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *verb, *options], cwd=book.root, capture_output=True
        )
        assert done.returncode == 0, done.stdout.decode()


def test_tangling_twice_changes_nothing(book: Book) -> None:
    tangle(book)
    before = snapshot(book.root)
    assert tangle(book) == []
    assert tangle(book, check=True) == []
    assert snapshot(book.root) == before


def test_docstring_alone_and_definition_first(make_book, tmp_path: Path) -> None:
    text = cell("tangled/agm/a.py", '"""Doc."""') + "\n```{python}\n#| file: tangled/agm/a.py\nX = 1\n```\n"
    text += '\n```{python}\n#| file: tangled/agm/b.py\n# Licence.\n"""Doc."""\ndef f(): ...\n```\n'
    book = make_book(tmp_path, {"a.qmd": text})
    tangle(book)
    assert (tmp_path / "tangled/agm/a.py").read_text() == '"""Doc."""\n\n# a.qmd § T\n\n# a.qmd § T\nX = 1\n'
    assert (
        tmp_path / "tangled/agm/b.py"
    ).read_text() == '# Licence.\n"""Doc."""\n\n# a.qmd § T\ndef f(): ...\n'


def test_a_long_section_title_is_cut_to_the_width_of_code(make_book, tmp_path: Path) -> None:
    book = make_book(tmp_path, {"a.qmd": cell("tangled/agm/a.py", "X = 1", "Word" * 40)})
    tangle(book)
    first = (tmp_path / "tangled/agm/a.py").read_text(encoding="utf-8").split("\n")[0]
    assert len(first) <= 110 and first.startswith("# a.qmd § WordWord") and first.endswith("…")


def test_check_reports_drift_and_writes_nothing(book: Book) -> None:
    tangle(book)
    edit(book, "a.qmd", "LIMIT = 3", "LIMIT = 5")
    before = snapshot(book.root)
    with pytest.raises(PressError, match=r"tangled/agm/waves.py: differs .* – run 'make tangle'"):
        tangle(book, check=True)
    assert snapshot(book.root) == before
    assert tangle(book) == [Path("tangled/agm/waves.py")]


def test_a_changed_chapter_changes_its_files_only(book: Book) -> None:
    tangle(book)
    os.utime(book.root / "tangled/agm/deep/sea.py", (1, 1))
    edit(book, "a.qmd", "LIMIT = 3", "LIMIT = 5")
    assert tangle(book) == [Path("tangled/agm/waves.py")]
    assert (book.root / "tangled/agm/deep/sea.py").stat().st_mtime == 1


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/etc/x.py", "plain relative path"),
        ("tangled/../x.py", "plain relative path"),
        ("tangled/./x.py", "plain relative path"),
        ("tangled//x.py", "plain relative path"),
        ("tangled\\\\x.py", "plain relative path"),
        ("src/x.py", "outside tangled/ and tests/chapters/"),
        ("tests/press/x.py", "outside tangled/ and tests/chapters/"),
        ("tangledx/x.py", "outside tangled/ and tests/chapters/"),
        ("tangled/agm/x.txt", "not the name of a Python module"),
        ("tangled/agm/x y.py", "not the name of a Python module"),
        ("tangled/agm/.py", "not the name of a Python module"),
    ],
)
def test_a_target_outside_the_folders_is_refused(
    make_book, tmp_path: Path, target: str, message: str
) -> None:
    book = make_book(tmp_path, {"a.qmd": cell(f'"{target}"', "X = 1")})
    with pytest.raises(PressError, match=rf"^a\.qmd:5: tangle target .*{message}.* – "):
        tangle(book)
    assert not (tmp_path / "tangled").exists()


@pytest.mark.parametrize("link", ["tangled", "tangled/agm", "tangled/agm/x.py"])
def test_a_target_through_a_symbolic_link_is_refused(make_book, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.py").write_text("precious\n")
    root = tmp_path / "book"
    book = make_book(root, {"a.qmd": cell("tangled/agm/x.py", "X = 1")})
    (root / link).parent.mkdir(parents=True, exist_ok=True)
    (root / link).symlink_to(outside / "x.py" if link.endswith(".py") else outside)
    with pytest.raises(PressError, match=rf"a.qmd:5: .*symbolic link '{link}'"):
        tangle(book)
    assert [path.name for path in outside.iterdir()] == ["x.py"]
    assert (outside / "x.py").read_text() == "precious\n"


def test_a_module_fed_by_two_chapters_is_refused(make_book, tmp_path: Path) -> None:
    texts = {f"{name}.qmd": cell("tangled/agm/x.py", "X = 1", name.upper()) for name in "ab"}
    with pytest.raises(PressError, match=r"^b.qmd:3: 'tangled/agm/x.py' is already tangled by a.qmd"):
        tangle(make_book(tmp_path, texts))


def test_a_module_that_hides_a_package_is_refused(make_book, tmp_path: Path) -> None:
    texts = {"a.qmd": cell("tangled/agm/x.py", "X = 1"), "b.qmd": cell("tangled/agm/x/y.py", "X = 1", "B")}
    with pytest.raises(PressError, match=r"^a.qmd:3: .*hide the package"):
        tangle(make_book(tmp_path, texts))


@pytest.mark.parametrize(
    ("code", "line", "message"),
    [
        ("x = 1\ny = (", 7, "not valid Python"),
        ("x = 1\n%matplotlib inline", 7, "not valid Python"),
        ("x = 1\nreturn x", 7, "'return' outside function"),
        ("def f():", 6, "expected an indented block"),
        ("", 3, "empty"),
        ("x = 1\n# a.qmd § T", 7, "looks like a provenance comment"),
    ],
)
def test_an_invalid_block_is_refused_with_its_line(
    make_book, tmp_path: Path, code: str, line: int, message: str
) -> None:
    with pytest.raises(PressError, match=rf"^a.qmd:{line}: .*{message}"):
        tangle(make_book(tmp_path, {"a.qmd": cell("tangled/agm/x.py", code)}))


def test_a_future_import_in_a_later_block_is_refused(make_book, tmp_path: Path) -> None:
    text = cell("tangled/agm/x.py", "X = 1")
    text += "\n```{python}\n#| file: tangled/agm/x.py\nfrom __future__ import annotations\n```\n"
    with pytest.raises(PressError, match=r"^a.qmd:11: 'from __future__' in a later block"):
        tangle(make_book(tmp_path, {"a.qmd": text}))


def test_all_problems_are_told_at_once(make_book, tmp_path: Path) -> None:
    texts = {"a.qmd": cell("/x.py", "X = 1"), "b.qmd": cell("tangled/agm/x.py", "X = (", "B")}
    with pytest.raises(PressError) as caught:
        tangle(make_book(tmp_path, texts))
    assert [line[:7] for line in str(caught.value).split("\n")] == ["a.qmd:5", "b.qmd:6"]


def test_an_edited_file_is_not_overwritten(book: Book) -> None:
    tangle(book)
    edit(book, "tangled/agm/waves.py", "LIMIT = 3", "LIMIT = 9")
    edit(book, "b.qmd", "A sea.", "The sea.")
    before = snapshot(book.root)
    with pytest.raises(PressError, match=r"tangled/agm/waves.py:8: edited by hand.*make stitch"):
        tangle(book)
    assert snapshot(book.root) == before


def test_an_unknown_file_in_the_way_is_not_overwritten(book: Book) -> None:
    target = book.root / "tangled/agm/waves.py"
    target.parent.mkdir(parents=True)
    target.write_text("mine = 1\n")
    with pytest.raises(PressError, match="edited by hand"):
        tangle(book)
    assert target.read_text() == "mine = 1\n"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_a_fresh_clone_tangles_an_edited_chapter_but_keeps_an_edited_file(book: Book) -> None:
    tangle(book)
    git(book.root, "init", "-q")
    git(book.root, "add", "a.qmd", "b.qmd", "tangled", "tests")
    git(book.root, "commit", "-qm", "book")
    shutil.rmtree(book.root / CACHE)
    edit(book, "a.qmd", "LIMIT = 3", "LIMIT = 5")
    assert tangle(book) == [Path("tangled/agm/waves.py")]
    shutil.rmtree(book.root / CACHE)
    git(book.root, "commit", "-qam", "more")
    edit(book, "a.qmd", "LIMIT = 5", "LIMIT = 6")
    edit(book, "tangled/agm/waves.py", "OTHER = 4", "OTHER = 7")
    with pytest.raises(PressError, match="edited by hand"):
        tangle(book)


def test_files_no_longer_made_are_deleted_if_unedited(book: Book) -> None:
    tangle(book)
    (book.root / "b.qmd").write_text("# Deep {#sec-deep}\n")
    with pytest.raises(PressError, match=r"tangled/agm/deep/sea.py: no chapter tangles this file"):
        tangle(book, check=True)
    gone = ["tangled/agm/deep/__init__.py", "tangled/agm/deep/sea.py"]
    assert [str(path) for path in tangle(book)] == gone
    assert not (book.root / "tangled/agm/deep").exists()


def test_files_no_longer_made_are_kept_if_edited(book: Book) -> None:
    tangle(book)
    edit(book, "tangled/agm/deep/sea.py", "A sea.", "My sea.")
    (book.root / "b.qmd").write_text("# Deep {#sec-deep}\n")
    with pytest.raises(
        PressError, match=r"tangled/agm/deep/sea.py: no chapter tangles this file – move its code"
    ):
        tangle(book)
    assert "My sea." in (book.root / "tangled/agm/deep/sea.py").read_text()


def test_a_stray_file_is_reported_and_kept(book: Book) -> None:
    stray = book.root / "tests/chapters/test_mine.py"
    stray.parent.mkdir(parents=True)
    stray.write_text("x = 1\n")
    with pytest.raises(PressError, match=r"tests/chapters/test_mine.py: no chapter"):
        tangle(book)
    assert stray.read_text() == "x = 1\n"


def test_a_renamed_target_moves_the_file(book: Book) -> None:
    tangle(book)
    edit(book, "b.qmd", "deep/sea.py", "deep/ocean.py")
    moved = {"tangled/agm/deep/ocean.py", "tangled/agm/deep/sea.py"}
    assert {str(path) for path in tangle(book)} == moved
    assert not (book.root / "tangled/agm/deep/sea.py").exists()


@pytest.mark.parametrize("after", range(8))
def test_an_interrupted_run_can_be_run_again(book: Book, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Killed after any number of writes, and a chapter edited: no file counts as edited by hand."""
    import press.tangle

    tangle(book)
    edit(book, "a.qmd", "LIMIT = 3", "LIMIT = 5")
    edit(book, "b.qmd", "A sea.", "The sea.")
    calls = iter(range(100))
    real = press.tangle.write

    def killed(path: Path, content: str | bytes) -> bool:
        if next(calls) >= after:
            raise KeyboardInterrupt
        return real(path, content)

    monkeypatch.setattr(press.tangle, "write", killed)
    with contextlib.suppress(KeyboardInterrupt):
        tangle(book)
    monkeypatch.undo()
    edit(book, "a.qmd", "LIMIT = 5", "LIMIT = 6")
    tangle(book)
    assert "LIMIT = 6" in (book.root / "tangled/agm/waves.py").read_text()
    assert "The sea." in (book.root / "tangled/agm/deep/sea.py").read_text()
    tangle(book, check=True)
    assert not list(book.root.rglob("*.part"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_one_line(book: Book) -> None:
    (book.root / "tangled").mkdir(mode=0o500)
    with pytest.raises(PressError, match=r"cannot be written.*permissions"):
        tangle(book)


def test_a_tangled_file_that_is_not_text_is_kept(book: Book) -> None:
    tangle(book)
    (book.root / "tangled/agm/waves.py").write_bytes(b"\xff\xfe")
    with pytest.raises(PressError, match=r"tangled/agm/waves.py: cannot be read"):
        tangle(book)
    assert (book.root / "tangled/agm/waves.py").read_bytes() == b"\xff\xfe"


def test_the_docstring_of_a_package_may_be_worded_by_hand(book: Book) -> None:
    tangle(book)
    path = book.root / "tangled/agm/__init__.py"
    path.write_text('"""My words."""\n')
    assert tangle(book) == [] == tangle(book, check=True)
    path.write_text('"""My words."""\n\nimport os\n')
    with pytest.raises(PressError, match=r"__init__.py:1: edited by hand.* – move the code into a cell"):
        tangle(book)


def test_the_file_of_an_unlisted_chapter_names_the_chapter(book: Book) -> None:
    tangle(book)
    shutil.rmtree(book.root / CACHE)
    listing = book.root / "_quarto.yml"
    listing.write_text(listing.read_text().replace("  - b.qmd\n", ""))
    with pytest.raises(PressError, match=r"sea.py: no chapter tangles this file – list b.qmd in _quarto.yml"):
        tangle(load(book.root))
