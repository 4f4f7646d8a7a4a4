"""Weave the site: each chapter's fragment from the cache or from pandoc, then the pages around them."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from press import index as numbering
from press.bibliography import normalised
from press.cells import notebook_path
from press.config import Book, Entry
from press.errors import PressError, PressErrors
from press.files import CACHE, digest, read_json, read_text, write, write_json
from press.fragment import Fragment, context, files_prefix, fragment, page_path
from press.proofs import marks
from press.search import indexing
from press.source import Chapter, read


def weave_html(book: Book, jobs: int = 2, only: Sequence[str] | None = None, search: bool = True) -> Path:
    """Bring the site up to date.

    Args:
        book: The configuration.
        jobs: Chapters at work at once.
        only: Paths of the chapters whose pages to write; all when None. Nothing is removed then, nor indexed.
        search: Whether to bring the search index up to date as well.

    Returns:
        The site's first page.

    Raises:
        PressErrors: All that is wrong, in all chapters; the sound ones are kept in the cache.
    """
    from press import shared, site

    chapters = {entry.path: read(book.root, entry.path) for entry in book.entries}
    index, errors = numbering.build(book, chapters)
    if errors:
        raise PressErrors(errors)
    wanted = [entry for entry in book.entries if only is None or entry.path in only]
    fragments = _fragments(book, wanted, chapters, index, jobs)
    with indexing(book, fragments) if search and only is None else nullcontext():
        files: dict[str, bytes] = {}
        for place, (entry, made) in enumerate(fragments):
            beside = _beside(book, entry, made)
            fragments[place] = entry, sized(made, entry, beside)
            files |= beside
        files |= site.pages(book, chapters, fragments, set(files))
        files |= shared.assets()
        _publish(book, files, complete=only is None)
    return book.root / book.output / page_path(book.entries[0])


def _fragments(
    book: Book, wanted: Sequence[Entry], chapters: dict[str, Chapter], index: numbering.Index, jobs: int
) -> list[tuple[Entry, Fragment]]:
    from tqdm import tqdm

    paths = {entry.path: page_path(entry) for entry in book.entries}
    bibliography = references(book)
    errors: list[PressError] = []
    verdicts = marks(book)

    def work(entry: Entry) -> tuple[Entry, Fragment] | None:
        chapter = chapters[entry.path]
        try:
            executed = notebook_path(book.root, entry.path)
            outputs = executed.read_text(encoding="utf-8", errors="replace") if executed.is_file() else ""
            known = context(entry, chapter, index, paths, outputs, verdicts)
            return entry, fragment(book, entry, chapter, known, bibliography)
        except PressErrors as several:
            errors.extend(several.errors)
        except PressError as error:
            errors.append(error)
        return None

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        finished = tqdm(
            pool.map(work, wanted),
            total=len(wanted),
            desc="weave",
            unit="chapter",
            delay=2,
            leave=False,
            disable=None,
        )
        done = [made for made in finished if made]
    if errors:
        raise PressErrors(sorted(errors, key=lambda error: (error.file or "", error.line or 0)))
    return done


def references(book: Book) -> dict[str, object]:
    """The bibliography as CSL JSON by key, converted anew only when the file changes.

    Raises:
        PressError: The file is missing or pandoc cannot read it.
    """
    if not book.bibliography:
        return {}
    path = book.root / book.bibliography
    if not path.is_file():
        raise PressError(
            "the bibliography does not exist", file=book.bibliography, remedy="create it or unlist it"
        )
    data = normalised(read_text(path)).encode()
    key, cached = digest(data), book.root / CACHE / "html" / "references.json"
    stored = read_json(cached, None)
    if not (isinstance(stored, dict) and stored.get("key") == key):
        import pypandoc

        command = [pypandoc.get_pandoc_path(), "-f", "biblatex", "-t", "csljson"]
        result = subprocess.run(command, input=data, capture_output=True, check=False)
        if result.returncode:
            message = result.stderr.decode("utf-8", "replace").strip().splitlines() or ["pandoc failed"]
            raise PressError(
                f"cannot be read: {' '.join(message)[:300]}", file=book.bibliography, remedy="mend the entry"
            )
        stored = {"key": key, "items": {item["id"]: item for item in json.loads(result.stdout)}}
        write_json(cached, stored)
    items: dict[str, object] = stored["items"]
    return items


def _beside(book: Book, entry: Entry, made: Fragment) -> dict[str, bytes]:
    """The files that lie beside a page: its figures, the author's images, the notebook and its script."""
    folder = PurePosixPath(entry.stem).parent
    files = {
        f"{folder / files_prefix(entry) / name}": (Path(made.folder) / name).read_bytes()
        for name in made.files
    }
    for image in made.images:
        source = book.root / folder / image
        if not source.is_file():
            raise PressError(
                f"image '{image}' does not exist", file=entry.path, remedy="add it or mend the path"
            )
        files[_site_path(entry, image)] = source.read_bytes()
    executed = notebook_path(book.root, entry.path)
    if executed.is_file():
        data = executed.read_bytes()
        files[f"{entry.stem}.ipynb"] = data
        files[f"{entry.stem}.py"] = script(json.loads(data)).encode()
    return {name.removeprefix("./"): data for name, data in files.items()}


def sized(made: Fragment, entry: Entry, files: dict[str, bytes]) -> Fragment:
    """The fragment with the size of the author's images in it, so that the page keeps room for them."""
    from press.merge import image_size

    body = made.body
    for image in made.images:
        data = files[_site_path(entry, image)]
        width, height = image_size("image/svg+xml" if image.endswith(".svg") else "image/png", data, {})
        if width and height:
            size = f'width="{width:.0f}" height="{height:.0f}"'
            body = re.sub(
                rf'<img(?! width)([^>]*?) src="{re.escape(image)}"', rf'<img {size}\1 src="{image}"', body
            )
    return replace(made, body=body)


def _site_path(entry: Entry, image: str) -> str:
    return "/".join(_normal(PurePosixPath(entry.stem).parent / image))


def _normal(path: PurePosixPath) -> list[str]:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            if not parts:
                raise PressError(
                    f"image '{path}' lies outside the book", remedy="move it into the book's folder"
                )
            parts.pop()
        else:
            parts.append(part)
    return parts


def _publish(book: Book, files: dict[str, bytes], complete: bool) -> None:
    """Write what changed, and remove what an earlier run wrote and nothing needs any more."""
    output, manifest = book.root / book.output, book.root / CACHE / "html" / "site.json"
    before = set(read_json(manifest, []))
    write_json(manifest, sorted(before | files.keys()))
    for name, data in files.items():
        write(output / name, data)
    if not complete:
        return
    for name in before - files.keys():
        (output / name).unlink(missing_ok=True)
        for folder in (output / name).parents:
            if folder == output or not folder.is_dir() or any(folder.iterdir()):
                break
            folder.rmdir()
    write_json(manifest, sorted(files))


def script(notebook: dict[str, Any]) -> str:
    """A notebook as a Python script in the percent format: prose as comments, code as it is."""
    out = []
    for cell in notebook.get("cells", []):
        source = cell.get("source", "")
        text = "".join(source) if isinstance(source, list) else str(source)
        if cell.get("cell_type") == "code":
            out.append(f"# %%\n{text.rstrip()}\n")
        elif cell.get("cell_type") == "markdown":
            lines = "\n".join(f"# {line}".rstrip() for line in text.rstrip().split("\n"))
            out.append(f"# %% [markdown]\n{lines}\n")
    return "\n".join(out)
