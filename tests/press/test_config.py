"""`_quarto.yml`: what is accepted, what is refused, and how chapters are numbered."""

from __future__ import annotations

from pathlib import Path

import pytest

from press.config import load
from press.errors import PressError

GOOD = """\
project:
  type: book
  output-dir: _site
book:
  title: "The Title"
  chapters:
    - index.qmd
    - part: "One"
      chapters:
        - book/01-one/01-first.qmd
        - book/01-one/02-second.qmd
    - book/last.qmd
  appendices:
    - book/a.qmd
    - book/b.qmd
bibliography: references.bib
macros:
  E: '$\\mathbb{E}$'
"""


def write(root: Path, config: str, titles: dict[str, str] | None = None) -> None:
    (root / "_quarto.yml").write_text(config, encoding="utf-8")
    paths = ("index", "book/01-one/01-first", "book/01-one/02-second", "book/last", "book/a", "book/b")
    for path in paths:
        file = root / f"{path}.qmd"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text((titles or {}).get(path, f"# {path.title()}") + "\n", encoding="utf-8")


def test_a_book_is_read(tmp_path: Path) -> None:
    write(tmp_path, GOOD, {"index": "# Preface {.unnumbered #sec-preface}"})
    book = load(tmp_path)
    assert (book.title, book.output, book.bibliography) == ("The Title", "_site", "references.bib")
    assert book.macros == {"E": r"\mathbb{E}"} and book.parts == ["One", "Appendices"]
    assert [(entry.stem, entry.number, entry.part) for entry in book.entries] == [
        ("index", "", ""), ("book/01-one/01-first", "1", "One"), ("book/01-one/02-second", "2", "One"),
        ("book/last", "3", ""), ("book/a", "A", "Appendices"), ("book/b", "B", "Appendices"),
    ]  # fmt: skip


def test_a_chapter_is_found_by_path_number_or_slug(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    book = load(tmp_path)
    for name in ("02", "second", "book/01-one/02-second", "./book/01-one/02-second.qmd"):
        assert book.entry(name).stem == "book/01-one/02-second"
    with pytest.raises(PressError, match=r"no chapter is called 'zzz' – name one of: index, "):
        book.entry("zzz")
    with pytest.raises(PressError, match="more than one chapter is called"):
        book.entry("s")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("book:\n", "book: [\n", r"_quarto.yml:\d+: not valid YAML"),
        (GOOD, "project:\n  type: book\n", "_quarto.yml: not a book"),
        (GOOD, "- a\n", "_quarto.yml: not a book"),
        (GOOD, "book:\n  title: x\n", "_quarto.yml: the book has no chapters"),
        ("bibliography:", "bibliographie:", r"_quarto.yml:16: unknown key 'bibliographie'"),
        ("  title:", "  titel:", r"_quarto.yml:5: unknown key 'titel' in 'book'"),
        (
            "    - index.qmd",
            "    - gone.qmd",
            r"_quarto.yml:7: chapter 'gone.qmd' does not exist – create it",
        ),
        ("    - index.qmd", "    - index.md", r"_quarto.yml:7: 'index.md' is not a .qmd file"),
        ("    - index.qmd", "    - ../index.qmd", r"_quarto.yml:7: '../index.qmd' is not a plain path"),
        ("    - index.qmd", "    - /index.qmd", r"_quarto.yml:7: '/index.qmd' is not a plain path"),
        ("book/b.qmd", "book/a.qmd", r"_quarto.yml:\d+: chapter 'book/a.qmd' is listed twice"),
        ('part: "One"', "prat: One", r"_quarto.yml:\d+: unknown key 'prat' in a part"),
        ('part: "One"', "part: 1", r"_quarto.yml:\d+: a part needs a title"),
        ("'$\\mathbb{E}$'", '"E"', r"_quarto.yml:18: macro 'E' is not math – write its body as"),
        ("  E: '", "  E2: '", r"_quarto.yml:18: macro name 'E2'"),
        ("_site", "../..", r"_quarto.yml:3: output-dir '../..'"),
        (
            "  appendices:\n    - book/a.qmd\n    - book/b.qmd\n",
            "  appendices: x\n",
            "'appendices' is not a list",
        ),
    ],
)
def test_a_bad_configuration_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(PressError, match=message) as caught:
        load(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_book_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PressError, match=r"_quarto.yml: no book here – run in the folder"):
        load(tmp_path)


def test_a_chapter_that_is_not_utf8_is_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    (tmp_path / "book/last.qmd").write_bytes(b"# \xff\n")
    with pytest.raises(PressError, match=r"^book/last.qmd:1: not UTF-8"):
        load(tmp_path)
