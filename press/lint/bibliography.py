"""The bibliography: every citation has an entry, every entry is cited and complete."""

from __future__ import annotations

import re
from collections.abc import Iterator

from press.bibliography import Reference, parse
from press.config import Book
from press.errors import PressError
from press.files import read_text
from press.prose import citations
from press.source import Chapter

REQUIRED: dict[str, tuple[str, ...]] = {
    "article": ("author", "title", "journal", "year"),
    "inproceedings": ("author", "title", "booktitle", "year"),
    "incollection": ("author", "title", "booktitle", "publisher", "year"),
    "book": ("author|editor", "title", "publisher", "year"),
    "phdthesis": ("author", "title", "school", "year"),
    "techreport": ("author", "title", "institution", "year"),
    "misc": ("author", "title", "year"),
    "software": ("author", "title", "year", "url"),
    "online": ("author", "title", "year", "url"),
}
IDENTIFIERS = ("doi", "eprint", "url", "isbn", "note")


def check(book: Book, chapters: dict[str, Chapter]) -> list[PressError]:
    """Find citations without entry, entries without citation, and entries that lack a field."""
    cited = [(path, line, key) for path, chapter in chapters.items() for line, key in citations(chapter)]
    if not book.bibliography:
        return [_missing(path, line, key, "_quarto.yml") for path, line, key in cited]
    try:
        entries = parse(read_text(book.root / book.bibliography, book.bibliography), book.bibliography)
    except PressError as error:
        return [error]
    known = {entry.key: entry for entry in reversed(entries)}
    findings = [_missing(path, line, key, book.bibliography) for path, line, key in cited if key not in known]
    used = {key for _, _, key in cited}
    for entry in entries:
        problems = list(_problems(entry))
        if known[entry.key] is not entry:
            problems.append(("is there twice", "delete one"))
        if entry.key not in used and "*" not in used:
            problems.append(("is never cited", "cite it, or delete it"))
        for what, remedy in problems:
            findings.append(
                PressError(f"'{entry.key}' {what}", file=book.bibliography, line=entry.line, remedy=remedy)
            )
    return findings


def _missing(path: str, line: int, key: str, where: str) -> PressError:
    return PressError(
        f"'@{key}' is not in {where}", file=path, line=line, remedy="add the reference, or mend the key"
    )


def _problems(entry: Reference) -> Iterator[tuple[str, str]]:
    if entry.kind not in REQUIRED:
        yield f"is of the kind '@{entry.kind}'", f"use one of {', '.join(REQUIRED)}"
        return
    for names in REQUIRED[entry.kind]:
        if not any(entry.fields.get(name) for name in names.split("|")):
            yield f"has no {' or '.join(names.split('|'))}", "add it"
    printed = entry.fields.get("volume") and entry.fields.get("pages")
    if not printed and not any(entry.fields.get(name) for name in IDENTIFIERS):
        yield "cannot be looked up", "add its doi, eprint (arXiv), isbn, url, or volume and pages"
    year = entry.fields.get("year", "")
    if year and not re.fullmatch(r"(1[5-9]|20)\d\d", year):
        yield f"has the year '{year}'", "write four digits"
    doi = entry.fields.get("doi", "")
    if doi and not re.match(r"10\.\d{4,}/\S+$", doi):
        yield f"has the DOI '{doi}'", "write it as 10.…/…, without an address before it"
