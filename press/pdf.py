"""Weave the PDF: each chapter as a piece of Typst, from the cache or from pandoc, then one run over all."""

from __future__ import annotations

import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from press import index as numbering
from press.bibliography import entries, normalised
from press.config import Book, Entry
from press.errors import PressError, PressErrors
from press.files import digest, read_json, read_text, write, write_json
from press.source import Chapter, read
from press.typeset import FOLDER, Piece, knowledge, piece

ASSETS = Path(__file__).parent / "assets"
TEMPLATE = ("book.typ", "blocks.typ", "style.typ", "book.csl", "code.tmTheme", "python.sublime-syntax")
MAIN = f"{FOLDER}/main.typ"
REFERENCES = f"{FOLDER}/references.bib"
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV", "XV", "XVI")


@dataclass(frozen=True)
class Overfull:
    """An equation that had to shrink more than reads well; `ratio` is its size against the normal one."""

    file: str
    line: int | None
    name: str
    ratio: float

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        name = self.name or "an equation without a label"
        return f"{place}: {name} is too wide, shrunk to {self.ratio:.0%} – break it into lines"


def weave_pdf(book: Book, jobs: int = 2) -> Path:
    """Bring the PDF up to date and say on standard error which equations are too wide.

    Args:
        book: The configuration.
        jobs: Chapters at work at once.

    Returns:
        The PDF.

    Raises:
        PressErrors: All that is wrong, in all chapters; the sound ones are kept in the cache.
        PressError: Typst cannot set the book.
    """
    path, warnings = weave(book, jobs)
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return path


def weave(book: Book, jobs: int = 2) -> tuple[Path, list[Overfull]]:
    """As `weave_pdf`; returns the warnings instead of printing them."""
    chapters = {entry.path: read(book.root, entry.path) for entry in book.entries}
    index, errors = numbering.build(book, chapters)
    if errors:
        raise PressErrors(errors)
    pieces = _pieces(book, chapters, index, jobs)
    _check_images(book, chapters, pieces)
    bibliography = _bibliography(book, chapters, pieces)
    for name in TEMPLATE:
        write(book.root / FOLDER / name, (ASSETS / name).read_bytes())
    main = _main(book, pieces, bibliography)
    write(book.root / MAIN, main)
    write(book.root / REFERENCES, bibliography)
    path = book.root / book.output / f"{_file_name(book.title)}.pdf"
    record = book.root / FOLDER / "main.json"
    images = [_stamp(book.root / image) for made in pieces for image in made.images]
    key = digest(
        main,
        bibliography,
        *((ASSETS / name).read_bytes() for name in TEMPLATE),
        *images,
        *(made.key for made in pieces),
    )
    stored = read_json(record, {})
    if stored.get("key") == key and path.is_file() and digest(path.read_bytes()) == stored.get("pdf"):
        return path, [Overfull(**warning) for warning in stored["overfull"]]
    pdf, overfull = _compile(book, chapters, index)
    write(path, pdf)
    write_json(record, {"key": key, "pdf": digest(pdf), "overfull": [vars(warning) for warning in overfull]})
    return path, overfull


def _file_name(title: str) -> str:
    return re.sub(r"[^\w.-]+", "-", title).strip("-") or "book"


def _pieces(book: Book, chapters: dict[str, Chapter], index: numbering.Index, jobs: int) -> list[Piece]:
    from tqdm import tqdm

    errors: list[PressError] = []

    def work(entry: Entry) -> Piece | None:
        try:
            chapter = chapters[entry.path]
            return piece(book, entry, chapter, knowledge(book, entry, chapter, index))
        except PressErrors as several:
            errors.extend(several.errors)
        except PressError as error:
            errors.append(error)
        return None

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        made = pool.map(work, book.entries)
        pieces = list(
            tqdm(
                made,
                total=len(book.entries),
                desc="typeset",
                unit="chapter",
                delay=2,
                leave=False,
                disable=None,
            )
        )
    if errors:
        raise PressErrors(sorted(errors, key=lambda error: (error.file or "", error.line or 0)))
    return [made for made in pieces if made]


def _check_images(book: Book, chapters: dict[str, Chapter], pieces: list[Piece]) -> None:
    errors = []
    for entry, made in zip(book.entries, pieces, strict=True):
        for image in made.images:
            if not (book.root / image).is_file():
                line = _line(chapters[entry.path].text, image.rsplit("/", 1)[-1])
                what = f"image '{image}' does not exist"
                errors.append(PressError(what, file=entry.path, line=line, remedy="add it or mend the path"))
    if errors:
        raise PressErrors(errors)


def _bibliography(book: Book, chapters: dict[str, Chapter], pieces: list[Piece]) -> str:
    """The bibliography for Typst, "" if nothing is cited; refuse citations that it does not have."""
    if not any(made.citations for made in pieces):
        return ""
    text = read_text(book.root / book.bibliography) if book.bibliography else ""
    keys = entries(text).keys()
    errors = []
    for entry, made in zip(book.entries, pieces, strict=True):
        for citation in made.citations:
            if citation not in keys:
                line = _line(chapters[entry.path].text, f"@{citation}")
                remedy = f"add it to {book.bibliography or 'a bibliography'} or mend the key"
                errors.append(
                    PressError(f"unknown citation '@{citation}'", file=entry.path, line=line, remedy=remedy)
                )
    if errors:
        raise PressErrors(errors)
    return normalised(text)


def _line(text: str, needle: str) -> int | None:
    return next((number for number, line in enumerate(text.split("\n"), 1) if needle in line), None)


def _stamp(path: Path) -> str:
    return digest(path.read_bytes())


def _main(book: Book, pieces: list[Piece], bibliography: str) -> str:
    """The main file: front matter in roman numbers, the parts and their chapters, references and index."""
    language, _, region = book.language.partition("-")
    places = {place for made in pieces for place in made.places} | {entry.stem for entry in book.entries}
    numerals = iter(ROMAN)
    out = [
        f'#import "/{FOLDER}/book.typ": *',
        f"#show: book.with(title: {_quoted(book.title)}, author: {_quoted(book.author)}, "
        f"description: {_quoted(book.description)}, language: {_quoted(language)}, "
        f"region: {_quoted(region) if region else 'none'})",
        "#title-pages("
        + ", ".join(map(_quoted, (book.title, book.subtitle, book.author, book.description)))
        + ")",
        "#contents()",
    ]
    part, main_matter = "", False
    for entry, made in zip(book.entries, pieces, strict=True):
        if not main_matter and (entry.number or entry.part):
            main_matter = True
            out.append('#to-right-page()\n#set page(numbering: "1")\n#counter(page).update(1)')
        if entry.part and entry.part != part:
            numeral = "none" if entry.appendix else _quoted(next(numerals, ""))
            out.append(f"#part({numeral}, {_quoted(entry.part)})")
            part = entry.part
        homeless = sorted(set(made.jumps) - places)
        places |= set(homeless)
        out += [f"#anchor(name: {_quoted(place)})" for place in (entry.stem, *homeless)]
        out.append(f'#source.update({_quoted(entry.path)})\n#include "/{made.file}"')
    if bibliography:
        out += ["#back-matter([References])", f'#references("/{REFERENCES}", "/{FOLDER}/book.csl")']
    if any(made.names for made in pieces):
        out += ["#back-matter([Index])", "#identifier-index()"]
    return "\n".join(out) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _compile(
    book: Book, chapters: dict[str, Chapter], index: numbering.Index
) -> tuple[bytes, list[Overfull]]:
    import typst

    compiler = typst.Compiler(str(book.root / MAIN), root=str(book.root), ignore_system_fonts=True)
    try:
        pdf = compiler.compile(format="pdf")
        found = json.loads(compiler.query("<overfull>", field="value"))
    except typst.TypstError as error:
        raise _placed(book, chapters, index, error.message, error.diagnostic) from None
    assert isinstance(pdf, bytes)
    overfull = {}
    for value in found:
        target = index.targets.get(value["name"] or "")
        file = target.path if target else value["file"]
        warning = Overfull(
            file, target.line if target else None, value["name"] or "", round(value["ratio"], 3)
        )
        overfull[warning.file, warning.name, warning.ratio] = warning
    return pdf, list(overfull.values())


def _placed(
    book: Book, chapters: dict[str, Chapter], index: numbering.Index, message: str, diagnostic: str
) -> PressError:
    """Typst's error as one about a chapter, at the last labelled place before it."""
    what = f"Typst cannot set it: {message.splitlines()[0]}"
    for file, line in re.findall(r"(\S+\.typ):(\d+):\d+", diagnostic):
        entry = next((entry for entry in book.entries if file.endswith(f"{FOLDER}/{entry.stem}.typ")), None)
        if entry is None:
            continue
        lines = (
            (book.root / FOLDER / f"{entry.stem}.typ").read_text(encoding="utf-8").split("\n")[: int(line)]
        )
        source = lines[-1].strip()
        names = [
            name for text in lines for name in re.findall(r'name: "([^"]+)"', text) if name in index.targets
        ]
        target = index.targets[names[-1]] if names else None
        near = f" (near @{target.label})" if target else ""
        place = target.line if target else None
        remedy = f"mend the source of: {source[:100]}"
        return PressError(f"{what}{near}", file=entry.path, line=place, remedy=remedy)
    return PressError(
        f"{what} [{' '.join(diagnostic.split())[:300]}]", remedy="mend the template or the bibliography"
    )
