"""Stitch: edits of tangled files go back into their cells, and nothing else changes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from press.config import Book
from press.errors import PressError
from press.files import CACHE
from press.stitch import stitch
from press.tangle import tangle

CHAPTER = '''# Waves {#sec-waves}

Prose with `code` and trailing spaces.  

```{python}
#| label: setup
#| file: tangled/agm/waves.py
"""Waves."""

from __future__ import annotations

import math
```

## Sines {#sec-sines}

```{python}
#| label: sine
#| file: tangled/agm/waves.py
#| echo: true

def sine(x: float) -> float:
    return math.sin(x)

```

- A list.

```{python}
#| label: other
#| file: tangled/agm/waves.py
OTHER = 4
```
'''
TARGET = "tangled/agm/waves.py"


@pytest.fixture
def book(make_book, tmp_path: Path) -> Book:
    book = make_book(tmp_path, {"a.qmd": CHAPTER, "b.qmd": "# B {#sec-b}\n"})
    tangle(book)
    return book


def edit(book: Book, path: str, old: str, new: str) -> None:
    file = book.root / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def chapter(book: Book) -> str:
    return (book.root / "a.qmd").read_text(encoding="utf-8")


def test_nothing_edited_changes_nothing(book: Book) -> None:
    assert stitch(book) == []
    assert chapter(book) == CHAPTER


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    return math.sin(x)\n", "    y = math.sin(x)\n\n    return y\n"),
        ("OTHER = 4", "OTHER = 5\n\n\ndef more() -> None:\n    pass"),
        ('"""Waves."""', '"""Waves and more.\n\nAt length.\n"""'),
        ("import math", "import cmath\nimport math"),
        ("OTHER = 4", "# A comment.\nOTHER = '§ ü'"),
    ],
)
def test_an_edit_goes_into_its_cell(book: Book, old: str, new: str) -> None:
    edit(book, TARGET, old, new)
    edited = (book.root / TARGET).read_text(encoding="utf-8")
    assert stitch(book) == [Path("a.qmd")]
    assert chapter(book) == CHAPTER.replace(old, new)
    assert tangle(book, check=True) == []
    assert (book.root / TARGET).read_text(encoding="utf-8") == edited
    assert stitch(book) == []


def test_edits_of_several_blocks_at_once(book: Book) -> None:
    for old, new in (("OTHER = 4", "OTHER = 5"), ("import math", "import math  # sines")):
        edit(book, TARGET, old, new)
    stitch(book)
    assert chapter(book) == CHAPTER.replace("OTHER = 4", "OTHER = 5").replace(
        "import math", "import math  # sines"
    )


def test_an_import_above_the_first_comment_goes_into_the_first_cell(book: Book) -> None:
    edit(book, TARGET, "# a.qmd § Waves\nimport math", "import cmath\n\n# a.qmd § Waves\nimport math")
    stitch(book)
    assert "annotations\n\nimport cmath\n\nimport math\n```" in chapter(book)
    assert tangle(book) == [Path(TARGET)]
    assert tangle(book, check=True) == []


def test_the_chapter_as_it_was_is_kept(book: Book) -> None:
    edit(book, TARGET, "OTHER = 4", "OTHER = 5")
    stitch(book)
    assert (book.root / CACHE / "stitched/a.qmd").read_text(encoding="utf-8") == CHAPTER


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# a.qmd § Waves\n", "", r"waves.py:\d+: provenance comment .*§ Waves"),
        (
            "\n\n# a.qmd § Sines\ndef",
            "\n\ndef",
            r"waves.py: provenance comment is missing: '# a.qmd § Sines'",
        ),
        ("§ Waves", "§ Garbled", r"waves.py:\d+: provenance comment changed"),
        ("OTHER = 4", "# c.qmd § New\nNEW = 1\nOTHER = 4", r"waves.py:\d+: provenance comment of no block"),
        ("OTHER = 4\n", "", r"waves.py:\d+: the block's code is gone"),
        ("    return math.sin(x)", "    return (", r"waves.py:11: not valid Python"),
        ("OTHER = 4", 'OTHER = """\n```\n"""', r"waves.py: the edit cannot stand in a cell of a.qmd"),
        ("OTHER = 4", "#| echo: false\nOTHER = 4", r"waves.py: the edit cannot stand in a cell of a.qmd"),
        ("OTHER = 4", "OTHER = 4\r", r"waves.py:\d+: Windows line ends"),
    ],
)
def test_an_edit_that_cannot_go_back_is_refused(book: Book, old: str, new: str, message: str) -> None:
    path = book.root / TARGET
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_bytes(text.replace(old, new).encode())
    before = path.read_bytes()
    with pytest.raises(PressError, match=message):
        stitch(book)
    assert chapter(book) == CHAPTER
    assert path.read_bytes() == before


def test_a_block_changed_on_both_sides_is_refused(book: Book) -> None:
    edit(book, TARGET, "OTHER = 4", "OTHER = 5")
    edit(book, "a.qmd", "OTHER = 4", "OTHER = 6")
    with pytest.raises(PressError, match=r"waves.py:15: changed here and in a.qmd:32"):
        stitch(book)


def test_edits_of_different_blocks_on_the_two_sides_are_merged(book: Book) -> None:
    edit(book, TARGET, "OTHER = 4", "OTHER = 5")
    edit(book, "a.qmd", "return math.sin(x)", "return math.sin(1.0 * x)")
    edit(book, "a.qmd", "## Sines", "## All sines")
    stitch(book)
    assert "OTHER = 5" in chapter(book) and "1.0 * x" in chapter(book)
    assert tangle(book) == [Path(TARGET)]
    text = (book.root / TARGET).read_text(encoding="utf-8")
    assert "OTHER = 5" in text and "1.0 * x" in text and "§ All sines" in text


def test_a_chapter_edited_after_tangling_is_not_turned_back(book: Book) -> None:
    edit(book, "a.qmd", "OTHER = 4", "OTHER = 6")
    assert stitch(book) == []
    assert "OTHER = 6" in chapter(book)


def test_without_a_record_the_edit_wins_and_the_chapter_is_kept(book: Book) -> None:
    shutil.rmtree(book.root / CACHE)
    edit(book, TARGET, "OTHER = 4", "OTHER = 5")
    assert stitch(book) == [Path("a.qmd")]
    assert "OTHER = 5" in chapter(book)
    assert (book.root / CACHE / "stitched/a.qmd").read_text(encoding="utf-8") == CHAPTER


def test_a_refused_file_leaves_every_chapter_alone(book: Book, make_book, tmp_path: Path) -> None:
    second = CHAPTER.replace("waves", "tides")
    book = make_book(tmp_path / "two", {"a.qmd": CHAPTER, "b.qmd": second})
    tangle(book)
    edit(book, TARGET, "OTHER = 4", "OTHER = 5")
    edit(book, "tangled/agm/tides.py", "§ Waves", "§ Garbled")
    with pytest.raises(PressError):
        stitch(book)
    assert chapter(book) == CHAPTER
