"""A scaffolded chapter: whole by the anatomy, clean but for its marked gaps, and listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from press.config import Book, load
from press.errors import PressError
from press.lint import lint
from press.modules import modules
from press.scaffold import PARTS, new_chapter

CONFIG = """\
# The book.
book:
  title: "T"  # a comment
  chapters:
    - index.qmd
    - part: "Foundations"   # the first part
      chapters:
        # in the order of reading
        - book/01-foundations/02-second.qmd   # second
        - book/01-foundations/05-fifth.qmd
    - part: "Diffusion"
      chapters:
        - book/04-diffusion/24-overview.qmd
  appendices:
    - book/appendices/a-data.qmd
    - book/appendices/b-solutions-foundations.qmd

# What follows stays.
macros:
  E: '$\\mathbb{E}$'
"""
APPENDIX = "book/appendices/b-solutions-foundations.qmd"


@pytest.fixture
def book(make_book, tmp_path: Path) -> Book:
    return make_book(
        tmp_path,
        {
            "index.qmd": "# Preface {.unnumbered}\n",
            "book/01-foundations/02-second.qmd": "# Second {#sec-second}\n",
            "book/01-foundations/05-fifth.qmd": "# Fifth {#sec-fifth}\n",
            "book/04-diffusion/24-overview.qmd": "# Overview {#sec-overview}\n",
            "book/appendices/a-data.qmd": "# Data {#sec-data}\n",
            APPENDIX: "# Solutions: Foundations {#sec-solutions-foundations}\n\nBefore.\n",
            "_quarto.yml": CONFIG,
        },
    )


def added(root: Path) -> list[str]:
    """Lines added to the configuration; fails if any other line changed."""
    lines = iter((root / "_quarto.yml").read_text(encoding="utf-8").split("\n"))
    new = []
    for old in CONFIG.split("\n"):
        while (line := next(lines)) != old:
            new.append(line)
    assert list(lines) == []
    return new


def test_a_new_chapter_is_clean_but_for_its_gaps(book: Book) -> None:
    path = new_chapter(book, "01-foundations", "03-f-gan", "Bounds & more")
    assert path == book.root / "book/01-foundations/03-f-gan.qmd"
    whole = load(book.root)
    mine = ("book/01-foundations/03-f-gan.qmd", APPENDIX)
    findings = [finding for finding in lint(whole) if finding.file in mine]
    assert findings and all(finding.what.startswith("a gap: ⟪") for finding in findings), findings
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# Bounds & more {#sec-f-gan}\n") and "%" not in text
    assert set(modules(whole)) == {"tangled/agm/f_gan.py", "tests/chapters/test_03_f_gan.py"}


def test_the_configuration_keeps_its_comments_and_order(book: Book) -> None:
    new_chapter(book, "01-foundations", "03-third", "Third")
    assert added(book.root) == ["        - book/01-foundations/03-third.qmd"]
    new_chapter(load(book.root), "01-foundations", "09-last", "Last")
    new_chapter(load(book.root), "01-foundations", "01-first", "First")
    stems = [entry.stem.split("/")[-1] for entry in load(book.root).entries]
    assert stems[:6] == ["index", "01-first", "02-second", "03-third", "05-fifth", "09-last"]


def test_a_new_part_takes_its_place_and_its_solutions(book: Book) -> None:
    new_chapter(book, "02-gans", "06-gan", "GAN")
    assert added(book.root) == [
        '    - part: "GANs"',
        "      chapters:",
        "        - book/02-gans/06-gan.qmd",
        "    - book/appendices/c-solutions-gans.qmd",
    ]
    new_chapter(load(book.root), "07-preference-ssm", "50-dpo", "DPO")
    whole = load(book.root)
    assert whole.parts == ["Foundations", "GANs", "Diffusion", list(PARTS.values())[-1], "Appendices"]
    assert whole.entry("d-solutions-preference-ssm").number == "D"


def test_a_book_without_appendices_gets_them(make_book, tmp_path: Path) -> None:
    text = "book:\n  title: T\n  chapters:\n    - index.qmd\nlang: en\n"
    book = make_book(tmp_path, {"index.qmd": "# P {.unnumbered}\n", "_quarto.yml": text})
    new_chapter(book, "01-foundations", "01-first", "First")
    assert [entry.path for entry in load(tmp_path).entries] == [
        "index.qmd", "book/01-foundations/01-first.qmd", "book/appendices/a-solutions-foundations.qmd",
    ]  # fmt: skip


def test_the_solutions_are_added_to(book: Book) -> None:
    new_chapter(book, "01-foundations", "03-third", "Third")
    text = (book.root / APPENDIX).read_text(encoding="utf-8")
    assert "Before.\n\n## @sec-third {.unnumbered}\n\n### @exr-third-1 {.unnumbered}\n" in text


@pytest.mark.parametrize(
    ("part", "slug", "title", "message"),
    [
        ("09-none", "03-x", "X", "no part has the folder '09-none' – name one of: 01-foundations, "),
        ("", "03-x", "X", "no part has the folder ''"),
        ("01-foundations", "x", "X", "'x' is not the name of a chapter – write it like 03-name"),
        ("01-foundations", "03-X", "X", "'03-X' is not the name of a chapter"),
        ("01-foundations", "../03-x", "X", "is not the name of a chapter"),
        ("01-foundations", "03-x", "  ", "the chapter has no title"),
        ("01-foundations", "02-second", "X", "02-second.qmd: the chapter is there already"),
        ("04-diffusion", "02-other", "X", "02-second.qmd: the chapter is there already"),
    ],
)
def test_bad_input_is_refused_and_nothing_written(
    book: Book, part: str, slug: str, title: str, message: str
) -> None:
    before = sorted(book.root.rglob("*"))
    with pytest.raises(PressError, match=message):
        new_chapter(book, part, slug, title)
    assert sorted(book.root.rglob("*")) == before and added(book.root) == []


def test_an_unlisted_file_is_not_overwritten(book: Book) -> None:
    path = book.root / "book/01-foundations/03-x.qmd"
    path.write_text("mine")
    with pytest.raises(PressError, match="the chapter is there already"):
        new_chapter(book, "01-foundations", "03-x", "X")
    assert path.read_text() == "mine"


def test_a_configuration_in_another_style_is_left_alone(make_book, tmp_path: Path) -> None:
    text = "book: {title: T, chapters: [index.qmd]}\n"
    book = make_book(tmp_path, {"index.qmd": "# P {.unnumbered}\n", "_quarto.yml": text})
    with pytest.raises(PressError, match=r"_quarto.yml: is laid out in an unexpected way – list book/01"):
        new_chapter(book, "01-foundations", "01-first", "First")
    assert (tmp_path / "_quarto.yml").read_text() == text and not (tmp_path / "book").exists()
