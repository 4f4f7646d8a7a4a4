"""The rules of a chapter, checked without executing or weaving anything.

Each rule gives file, line, what is wrong and what to do. `subset` says which Quarto a chapter may use,
`formulas` which LaTeX, `links` what must resolve, `bibliography` what a reference needs, `anatomy` what a
chapter is made of, and `typst` which formulas pandoc cannot convert.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from press.config import Book
from press.errors import PressError, PressErrors
from press.source import Chapter, read


def lint(book: Book) -> list[PressError]:
    """Check every chapter of the book.

    Returns:
        The findings, in book order and by line; an empty list means that there is nothing to mend.
    """
    from press import modules
    from press.index import build
    from press.lint import anatomy, bibliography, formulas, links, subset, typst

    chapters: dict[str, Chapter] = {}
    findings: list[PressError] = []
    for entry in book.entries:
        try:
            chapters[entry.path] = read(book.root, entry.path)
        except PressError as error:
            findings.append(error)
    whole = len(chapters) == len(book.entries)
    with ThreadPoolExecutor(1) as background:
        conversion = background.submit(typst.check, book, list(chapters.values()))
        for chapter in chapters.values():
            findings += subset.check(book, chapter)
            findings += formulas.check(book, chapter)
        if whole:
            index, doubled = build(book, chapters)
            findings += doubled
            findings += links.check(book, chapters, index)
            findings += bibliography.check(book, chapters)
            findings += anatomy.check(book, chapters)
            try:
                modules.modules(book, chapters)
            except PressErrors as errors:
                findings += errors.errors
        findings += conversion.result()
    order = {entry.path: number for number, entry in enumerate(book.entries)}
    findings.sort(key=lambda found: (order.get(found.file or "", -1), found.file or "", found.line or 0))
    return list({str(found): found for found in findings}.values())
