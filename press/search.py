"""Full-text search: Pagefind's index of the prose, made while the pages are written."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path

from press.config import Book, Entry
from press.errors import PressError
from press.files import CACHE, digest, read_json, write, write_json
from press.fragment import Fragment, page_path

FOLDER = "pagefind"
"""Where the index lies under the output folder."""
CODE = re.compile(
    r'<div class="sourceCode">.*?</div>|<audio\b.*?</audio>|<span class="equation-side">.*?</span>', re.S
)
MATH = re.compile(r'<span class="math[^>]*>\\[(\[]([^<]*)\\[)\]]</span>')
INLINE = re.compile(r"</?(?:span|a|em|strong|code|sup|img)\b[^>]*>")


@contextmanager
def indexing(book: Book, fragments: Sequence[tuple[Entry, Fragment]]) -> Iterator[None]:
    """Bring the index up to date while the body of the `with` writes the pages; put it in place at the end.

    Args:
        book: The configuration.
        fragments: Every chapter of the book.

    Raises:
        PressError: Pagefind fails.
    """
    state = book.root / CACHE / "html" / "search"
    stamp, texts, fresh, old = (state / name for name in ("stamp.json", "texts", "fresh", "old"))
    target = book.root / book.output / FOLDER
    from importlib.metadata import version

    maker = digest(version("pagefind"), Path(__file__).read_bytes(), book.language)
    keys = {page_path(entry): digest(maker, entry.part, made.key) for entry, made in fragments}
    before = read_json(stamp, {})
    if before == keys and (target / "pagefind.js").is_file():
        yield
        return
    stamp.unlink(missing_ok=True)
    for entry, made in fragments:
        path = page_path(entry)
        if before.get(path) != keys[path] or not (texts / path).is_file():
            write(texts / path, _text(book, entry, made))
    for stale in [path for path in texts.rglob("*.html") if str(path.relative_to(texts)) not in keys]:
        stale.unlink()
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    process = subprocess.Popen(
        _command(texts, fresh), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield
        problem = process.communicate()[1].strip()
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    if process.returncode:
        raise PressError(f"Pagefind cannot index the site: {problem[:300]}", remedy="run make html again")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    write_json(stamp, keys)


def _command(source: Path, target: Path) -> list[str]:
    from pagefind_bin import get_executable  # type: ignore[import-untyped]

    return [str(get_executable()), "--site", str(source), "--output-path", str(target), "--silent"]


def _text(book: Book, entry: Entry, made: Fragment) -> str:
    """The prose of a page as Pagefind shall see it: no code, short formulas as letters, long ones as "…"."""
    body = CODE.sub("", made.body)
    title = made.title or escape(entry.stem)
    html = f'<h1 id="{made.anchor}">{title}</h1>\n{body}'
    html = MATH.sub(lambda match: match[1] if re.fullmatch(r"\w{1,3}", match[1]) else "…", html)
    part = escape(entry.part, quote=True).replace(",", " ")
    return (
        f'<!DOCTYPE html>\n<html lang="{escape(book.language)}">'
        f"<head><title>{escape(entry.stem)}</title></head>"
        f'<body><main data-pagefind-body data-pagefind-meta="part:{part}">'
        f"{INLINE.sub('', html)}</main></body></html>\n"
    )
