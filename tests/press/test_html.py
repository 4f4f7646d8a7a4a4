"""The site as files: structure, numbers, links, downloads, cache, and bad input."""

from __future__ import annotations

import errno
import json
import re
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import html5lib
import pytest
from html5lib.html5parser import ParseError

from press import files as press_files
from press import fragment as fragments
from press import shared
from press.config import Book, load
from press.errors import PressError, PressErrors
from press.html import references, script, weave_html
from press.site import inline, plain
from tests.press.site_book import FILES, FIRST, write_site_book

DATA, OTHER = "book/appendices/a-data.qmd", "book/01-first/02-other.qmd"
ID = re.compile(r'\sid="([^"]+)"')


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Book, Path]:
    """The book of every construct, woven once; tests that take it only look."""
    book = write_site_book(tmp_path_factory.mktemp("site"))
    return book, weave_html(book).parent


@pytest.fixture
def woven(tmp_path: Path) -> Book:
    """A woven book of one's own to change, without a search index, which takes a second."""
    book = write_site_book(tmp_path)
    weave_html(book, search=False)
    return book


def pages(output: Path) -> list[Path]:
    return sorted(path for path in output.rglob("*.html") if "pagefind" not in path.parts)


def edit(book: Book, path: str, old: str, new: str) -> Book:
    text = (book.root / path).read_text(encoding="utf-8")
    assert old in text
    (book.root / path).write_text(text.replace(old, new), encoding="utf-8")
    return load(book.root)


def count_pandoc(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []
    real = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        calls.append(command)
        return real(command, **options)

    monkeypatch.setattr(fragments.subprocess, "run", run)
    return calls


def test_every_chapter_has_quartos_page_path(built: tuple[Book, Path]) -> None:
    book, output = built
    assert [str(path.relative_to(output)) for path in pages(output)] == sorted(
        entry.stem + ".html" for entry in book.entries
    )


def test_pages_are_valid_html_with_unique_ids(built: tuple[Book, Path]) -> None:
    for page in pages(built[1]):
        text = page.read_text(encoding="utf-8")
        try:
            html5lib.HTMLParser(strict=True).parse(text)
        except ParseError as error:
            pytest.fail(f"{page}: {error}")
        ids = ID.findall(text)
        assert len(ids) == len(set(ids)), page


def test_headings_nest(built: tuple[Book, Path]) -> None:
    for page in pages(built[1]):
        levels = [int(level) for level in re.findall(r"<h([1-6])\b", page.read_text(encoding="utf-8"))]
        assert levels[0] == 1 and levels.count(1) == 1, page
        assert all(after <= before + 1 for before, after in pairwise(levels)), page


def test_every_link_inside_the_site_leads_somewhere(built: tuple[Book, Path]) -> None:
    output = built[1]
    known = {page: set(ID.findall(page.read_text(encoding="utf-8"))) for page in pages(output)}
    seen = 0
    for page in known:
        for link in re.findall(r'(?:href|src)="([^"]+)"', page.read_text(encoding="utf-8")):
            if re.match(r"https?:|data:", link):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path.split("?")[0]).resolve() if path else page
            assert target.is_file(), f"{page}: {link}"
            assert not anchor or anchor in known[target], f"{page}: {link}"
            seen += 1
    assert seen > 100


def test_numbers_and_texts_of_references(built: tuple[Book, Path]) -> None:
    text = (built[1] / "book/01-first/02-other.html").read_text(encoding="utf-8")
    found = re.findall(r'<a href="([^"]+)" class="xref[^>]*>([^<]+)</a>', text)
    first = "01-every.html"
    assert [(href, words.replace("\u00a0", " ")) for href, words in found] == [
        (f"{first}#eq-kl", "Equation 1.1"), (f"{first}#thm-gibbs", "Theorem 1.1"),
        (f"{first}#fig-line", "Figure 1.1"), (f"{first}#tbl-hand", "Table 1.1"),
        (f"{first}#lst-loop", "Listing 1.1"), (f"{first}#exr-one", "Exercise 1.1"),
        (f"{first}#sec-every", "Chapter 1"), (f"{first}#sec-divergences", "Section 1.1"),
    ]  # fmt: skip


def test_constructs_of_a_chapter(built: tuple[Book, Path]) -> None:
    text = (built[1] / f"{FIRST}.html").read_text(encoding="utf-8")
    for expected in (
        '<p class="code-file"><span>tangled/agm/divergences.py</span></p>',
        '<details class="code-fold"><summary>Show the code</summary>',
        '<details class="callout callout-warning">',
        'alt="A rising line."',
        'alt="Three bars."',
        'width="400" height="120"',
        '<span class="header-number">1.1</span> Divergences',
        'href="#eq-kl" aria-label="Equation 1.1">(1.1)</a>',
        "<pre><code>hello</code></pre>",
        '<audio controls="controls" aria-label="A click">',
        'id="ref-kingma2014"',
        '<h2 id="references">References</h2>',
        '<a href="01-every.ipynb" download>',
        '<div class="table-scroll">',
    ):
        assert expected in text, expected
    assert "\\KL" not in text and "\\E_" not in text


def test_previews_are_whole_and_without_ids(built: tuple[Book, Path]) -> None:
    text = (built[1] / f"{FIRST}.previews.js").read_text(encoding="utf-8")
    page, previews = json.loads("[" + text.removeprefix("bookPreviews(").removesuffix(");\n") + "]")
    assert page == f"{FIRST}.html"
    assert {
        "eq-kl",
        "thm-gibbs",
        "fig-line",
        "tbl-hand",
        "lst-loop",
        "exr-one",
        "sec-every",
    } <= previews.keys()
    assert "Gibbs" in previews["thm-gibbs"] and "</div>" in previews["thm-gibbs"]
    assert "A generative model" in previews["sec-every"]
    assert not any(ID.search(html) for html in previews.values())
    assert "<!--preview" not in (built[1] / f"{FIRST}.html").read_text(encoding="utf-8")


def test_downloads_are_the_notebook_and_its_script(built: tuple[Book, Path]) -> None:
    book, output = built
    notebook = (book.root / "notebooks" / f"{FIRST}.ipynb").read_bytes()
    assert (output / f"{FIRST}.ipynb").read_bytes() == notebook
    made = (output / f"{FIRST}.py").read_text(encoding="utf-8")
    assert "# %% [markdown]\n# # Every construct\n" in made and "\nimport torch\n" in made
    compile(made, "script", "exec")
    assert "download" not in (output / "book/01-first/02-other.html").read_text(encoding="utf-8")


def test_script_takes_sources_as_lists() -> None:
    cells = [{"cell_type": "code", "source": ["a = 1\n", "b = 2"]}, {"cell_type": "raw", "source": "no"}]
    assert script({"cells": cells}) == "# %%\na = 1\nb = 2\n"


def test_nothing_is_loaded_from_elsewhere(built: tuple[Book, Path]) -> None:
    for page in pages(built[1]):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|link|img|source|iframe)\b[^>]*?(?:src|href)="([^"]+)"', text)
        assert loaded and not [url for url in loaded if re.match(r"(https?:)?//", url)], page
    style = (built[1] / "assets/book.css").read_text(encoding="utf-8")
    urls = re.findall(r'url\("([^"]+)"\)', style)
    assert urls and all((built[1] / "assets" / url).is_file() for url in urls)


def test_a_second_run_calls_no_pandoc_and_writes_nothing(
    woven: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count_pandoc(monkeypatch)
    output = woven.root / woven.output
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()}
    weave_html(woven, search=False)
    assert not calls
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*") if path.is_file()} == before


def test_an_edit_makes_one_chapter_anew(woven: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_pandoc(monkeypatch)
    book = edit(woven, "book/02-second/03-plain.qmd", "Only prose", "Nothing but prose")
    weave_html(book, search=False)
    assert len(calls) == 1
    assert "Nothing but prose" in (book.root / "_book/book/02-second/03-plain.html").read_text(
        encoding="utf-8"
    )


def test_an_edit_of_a_title_changes_every_page(woven: Book) -> None:
    book = edit(woven, "book/02-second/03-plain.qmd", "Without math", "With $x^2$ and `code`")
    weave_html(book, search=False)
    for page in pages(book.root / book.output):
        assert "<code>code</code>" in page.read_text(encoding="utf-8"), page


def test_a_new_number_reaches_the_chapters_that_refer_to_it(woven: Book) -> None:
    book = edit(woven, f"{FIRST}.qmd", "## Divergences", "$$ 0 = 0 $$ {#eq-zero}\n\n## Divergences")
    weave_html(book, search=False)
    text = (book.root / "_book/book/01-first/02-other.html").read_text(encoding="utf-8")
    assert "Equation\u00a01.2" in text and "Equation\u00a01.1" not in text


def test_the_page_of_a_removed_chapter_goes_and_other_files_stay(woven: Book) -> None:
    output = woven.root / woven.output
    (output / "A-Book.pdf").write_bytes(b"%PDF")
    edit(woven, OTHER, ", @sec-every", "")
    config = FILES["_quarto.yml"].replace("appendices: [book/appendices/a-data.qmd]", "appendices: []")
    (woven.root / "_quarto.yml").write_text(config, encoding="utf-8")
    weave_html(load(woven.root), search=False)
    assert not (output / "book/appendices").exists()
    assert (output / "A-Book.pdf").is_file() and (output / "index.html").is_file()
    assert 'href="A-Book.pdf"' in (output / "index.html").read_text(encoding="utf-8")


def test_an_interrupted_run_is_completed(woven: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book = edit(woven, DATA, "Text, and", "New text, and")
    done: list[Path] = []
    real = press_files.write

    def write(path: Path, content: str | bytes) -> bool:
        if "_book" in path.parts:
            done.append(path)
            if len(done) > 3:
                raise KeyboardInterrupt
        return real(path, content)

    monkeypatch.setattr("press.html.write", write)
    with pytest.raises(KeyboardInterrupt):
        weave_html(book, search=False)
    monkeypatch.undo()
    for path in done:
        path.unlink(missing_ok=True)
    weave_html(book, search=False)
    assert "New text, and" in (book.root / "_book/book/appendices/a-data.html").read_text(encoding="utf-8")
    assert all(path.is_file() for path in done)


def test_a_damaged_cache_is_made_anew(woven: Book) -> None:
    page = woven.root / f"_book/{FIRST}.html"
    before = page.read_bytes()
    for stored in (woven.root / ".press/html").rglob("*.json"):
        stored.write_text("{", encoding="utf-8")
    page.unlink()
    weave_html(woven, search=False)
    assert page.read_bytes() == before


def test_a_full_disk_leaves_the_old_page(woven: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book = edit(woven, DATA, "Text, and", "New text, and")
    page = book.root / "_book/book/appendices/a-data.html"
    before = page.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(press_files.os, "replace", full)
    with pytest.raises(PressError, match=r"No space left.*free some space"):
        weave_html(book, search=False)
    assert page.read_bytes() == before
    assert not list((book.root / "_book").rglob("*.part"))


def test_only_some_chapters(woven: Book) -> None:
    book = edit(woven, DATA, "Text, and", "New text, and")
    edit(book, "book/02-second/03-plain.qmd", "Only prose", "Other prose")
    weave_html(book, only=[DATA])
    read = {path.stem: path.read_text(encoding="utf-8") for path in pages(book.root / book.output)}
    assert "New text, and" in read["a-data"] and "Other prose" not in read["03-plain"]


@pytest.mark.parametrize(
    ("path", "old", "new", "message"),
    [
        (DATA, "@sec-every", "@sec-nowhere", r"a-data\.qmd:3: unknown label '@sec-nowhere' – "),
        (OTHER, "@cover2006", "@cover2007", r"02-other\.qmd:5: unknown citation '@cover2007'"),
        (f"{FIRST}.qmd", "(picture.svg)", "(no.svg)", r"01-every\.qmd: image 'no\.svg' does not exist"),
        (f"{FIRST}.qmd", "(picture.svg)", "(../../../x.svg)", r"image '.*' (lies outside|does not exist)"),
        ("references.bib", "@book{cover2006,", "@book{cover2006, title={", r"\.bib:2: entry is not closed"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_with_place_and_remedy(
    woven: Book, path: str, old: str, new: str, message: str
) -> None:
    book = edit(woven, path, old, new)
    with pytest.raises(PressError, match=message) as caught:
        weave_html(book, search=False)
    for line in str(caught.value).splitlines():
        assert " – " in line


def test_all_errors_are_told_at_once_and_the_sound_chapters_kept(
    woven: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(woven, DATA, "@sec-every", "@sec-nowhere")
    edit(woven, f"{FIRST}.qmd", "[@kingma2014]", "[@nobody1900]")
    book = edit(woven, "book/02-second/03-plain.qmd", "Only prose", "Other prose")
    with pytest.raises(PressErrors) as caught:
        weave_html(book, search=False)
    assert len(caught.value.errors) == 2
    edit(woven, DATA, "@sec-nowhere", "@sec-every")
    edit(woven, f"{FIRST}.qmd", "[@nobody1900]", "[@kingma2014]")
    calls = count_pandoc(monkeypatch)
    weave_html(book, search=False)
    assert len(calls) <= 1


def test_a_notebook_that_is_none(woven: Book) -> None:
    (woven.root / "notebooks" / f"{FIRST}.ipynb").write_text("{", encoding="utf-8")
    with pytest.raises(PressError, match=r"01-every\.ipynb: not a notebook.* – "):
        weave_html(woven, search=False)


def test_a_book_without_notebooks_and_bibliography(tmp_path: Path, make_book: Any) -> None:
    files = {
        "index.qmd": "# Start\n\nHello.\n",
        "a.qmd": "# A {#sec-a}\n\n```{python}\n#| label: fig-x\nplot()\n```\n",
    }
    book = make_book(tmp_path, files)
    weave_html(book, search=False)
    assert "has not been executed yet" in (tmp_path / "_book/a.html").read_text(encoding="utf-8")


def test_references_are_converted_once(woven: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = count_pandoc(monkeypatch)
    assert sorted(references(woven)) == ["cover2006", "kingma2014"]
    assert not calls


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("A & B's `x<y` *z*", "A &amp; B’s <code>x&lt;y</code> <em>z</em>"),
        ("The $f<g$-case", r'The <span class="math inline">\(f&lt;g\)</span>-case'),
        ("a -- b", "a – b"),
    ],
)
def test_titles(markdown: str, html: str) -> None:
    assert inline(markdown) == html


def test_plain_text_of_a_title() -> None:
    assert plain(inline('The $f$-case of "x"')) == "The f-case of &quot;x&quot;"


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_text_has_the_contrast_of_wcag_aa(theme: int) -> None:
    style = shared.assets()["assets/book.css"].decode()
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", style)
    colours = {name: luminance(pair[theme]) for name, *pair in found}
    grounds = {name: colours[name] for name in ("paper", "panel", "raised", "code")}
    texts = {"ink", "strong", "muted", "link", "accent", "theorem", "definition", "example", "exercise"}
    texts |= {"warning", "danger"} | {name for name in colours if name.startswith("tok-")}
    assert len(texts) == 19
    for text in texts:
        for ground in grounds if not text.startswith("tok-") else ["code"]:
            low, high = sorted((colours[text], colours[ground]))
            assert (high + 0.05) / (low + 0.05) >= 4.5, f"{text} on {ground}"
