"""One chapter as a piece of HTML, made by pandoc and cached under the key of all that it depends on."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path, PurePosixPath

from press.cells import notebook_path
from press.config import Book, Entry
from press.errors import PressError, PressErrors
from press.files import CACHE, digest, read_json, write, write_json
from press.index import Index
from press.proofs import PAGE, Mark
from press.prose import references
from press.source import KINDS, Chapter

HERE = Path(__file__).parent
FILTERS = ("macros", "book", "html")
LABEL = re.compile(r"@((?:" + "|".join(KINDS) + r")-[\w-]*\w)")
SOURCES = (
    "fragment.py",
    "merge.py",
    "cells.py",
    "source.py",
    "index.py",
    *(f"filters/{name}.lua" for name in FILTERS),
)
PREVIEW = re.compile(r"<!--preview ([\w-]+)-->")
HEADING = re.compile(r'<h([1-6])\b[^>]*?\bid="([^"]+)"[^>]*>(.*?)</h\1>', re.S)
IMAGE = re.compile(r'<img\b[^>]*?\bsrc="([^"]+)"[^>]*?>')


@dataclass(frozen=True)
class Fragment:
    """A chapter's HTML without the page around it.

    `title` is the inner HTML of the level-1 heading and `anchor` its id, both taken out of `body`; `toc` has
    the headings of levels 2 and 3 as (level, id, inner HTML); `previews` holds what a hover over a reference
    shows, by label; `files` names the figures, which lie in the cache folder `folder`; `images` the author's
    own image files, as the chapter names them.
    """

    key: str
    body: str
    title: str
    anchor: str
    summary: str
    toc: list[tuple[int, str, str]]
    previews: dict[str, str]
    files: list[str]
    images: list[str]
    folder: str = ""


def page_path(entry: Entry) -> str:
    """Where the page of an entry lies under the output folder; the same place as Quarto's."""
    return f"{entry.stem}.html"


def relative(target: str, page: str) -> str:
    """The URL of one file of the site as seen from a page, both relative to the site's root."""
    return os.path.relpath(target, os.path.dirname(page) or ".").replace(os.sep, "/")


def files_prefix(entry: Entry) -> str:
    """Folder beside the page that holds the chapter's figures."""
    return f"{PurePosixPath(entry.stem).name}_files"


def context(
    entry: Entry,
    chapter: Chapter,
    index: Index,
    paths: Mapping[str, str],
    executed: str = "",
    marks: Mapping[str, Mark] | None = None,
) -> dict[str, object]:
    """What `filters/book.lua` must know of the rest of the book: numbers, and labels used or defined here.

    Args:
        entry: The chapter's place in the book.
        chapter: The chapter.
        index: The numbers of the whole book.
        paths: The page of each chapter by path.
        executed: The text of its notebook, whose outputs may refer to labels as well.
        marks: The verdicts on equations by label, from the ledger.

    Raises:
        PressErrors: References to labels that nothing bears.
    """
    missing = [
        PressError(
            f"unknown label '@{label}'",
            file=entry.path,
            line=line,
            remedy="mend the reference or give the label",
        )
        for line, label in references(chapter)
        if label not in index.targets
    ]
    if missing:
        raise PressErrors(missing)
    used = set(LABEL.findall(chapter.text + executed)) & index.targets.keys()
    used |= {target.label for target in index.targets.values() if target.path == entry.path}
    labels = {}
    for label in sorted(used):
        target = index.targets[label]
        page = "" if target.path == entry.path else relative(paths[target.path], paths[entry.path])
        labels[label] = {
            "text": target.text, "number": target.number, "href": f"{page}#{label}", "kind": target.kind,
            "title": target.title,
        }  # fmt: skip
        if marks and label in marks and target.path == entry.path and PAGE in index.targets:
            ledger = index.targets[PAGE].path
            page = "" if ledger == entry.path else relative(paths[ledger], paths[entry.path])
            labels[label] |= {
                "mark": marks[label].text,
                "mark_title": marks[label].title,
                "mark_href": f"{page}#ledger-{label}",
            }
    return {"sections": [section.number for section in index.sections[entry.path]], "labels": labels}


def cited(chapter: Chapter, bibliography: Mapping[str, object]) -> list[object]:
    """The references whose keys the chapter names, sorted by key."""
    names = {name.rstrip(".:") for name in re.findall(r"@\{?([\w][\w:.+/-]*)", chapter.text)}
    return [bibliography[name] for name in sorted(names & bibliography.keys())]


@cache
def tool_key() -> str:
    """Digest of the code that makes fragments, so that a change of the press makes them anew."""
    import pypandoc

    pandoc = Path(pypandoc.get_pandoc_path())
    return digest(str(pandoc.stat().st_size), *((HERE / name).read_bytes() for name in SOURCES))


def fragment(
    book: Book, entry: Entry, chapter: Chapter, known: dict[str, object], bibliography: Mapping[str, object]
) -> Fragment:
    """The chapter's fragment, from the cache or made anew.

    Args:
        book: The configuration.
        entry: The chapter's place in the book.
        chapter: The chapter.
        known: What `context` returned.
        bibliography: All references as CSL JSON, by key.

    Raises:
        PressError: Pandoc or a filter refuses the chapter; a citation has no entry in the bibliography.
    """
    executed = notebook_path(book.root, entry.path)
    notebook = executed.read_bytes() if executed.is_file() else b""
    sources = cited(chapter, bibliography)
    inputs = json.dumps(
        [known, sources, book.macros, book.language, files_prefix(entry), book.citation_style], sort_keys=True
    )
    key = digest(tool_key(), chapter.text, notebook, inputs)
    parent = book.root / CACHE / "html" / entry.stem
    folder = parent / key[:20]
    stored = read_json(folder / "fragment.json", None)
    if (
        isinstance(stored, dict)
        and stored.get("key") == key
        and all((folder / name).is_file() for name in stored["files"])
    ):
        return Fragment(**(stored | {"folder": str(folder)}))
    made, figures = _make(book, entry, chapter, known, sources, notebook, key)
    for name, data in figures.items():
        write(folder / name, data)
    write_json(
        folder / "fragment.json", {name: value for name, value in asdict(made).items() if name != "folder"}
    )
    for old in parent.iterdir():
        if old.is_dir() and old != folder and (old / "fragment.json").is_file():
            shutil.rmtree(old, ignore_errors=True)
    return Fragment(**(asdict(made) | {"folder": str(folder)}))


def _make(
    book: Book,
    entry: Entry,
    chapter: Chapter,
    known: dict[str, object],
    sources: list[object],
    notebook: bytes,
    key: str,
) -> tuple[Fragment, dict[str, bytes]]:
    from press.merge import woven

    node = None
    if notebook:
        import nbformat

        try:
            node = nbformat.reads(notebook.decode("utf-8"), 4)
        except Exception as error:
            place = notebook_path(book.root, entry.path).relative_to(book.root)
            raise PressError(
                f"not a notebook: {str(error).splitlines()[0]}",
                file=place,
                remedy="delete it and run make execute",
            ) from None
    merged = woven(chapter, node, "html", files_prefix(entry))
    html = _pandoc(book, entry, chapter, merged.markdown, known, sources)
    return _dissect(html, key, sorted(merged.files), files_prefix(entry)), merged.files


def _pandoc(
    book: Book, entry: Entry, chapter: Chapter, markdown: str, known: dict[str, object], sources: list[object]
) -> str:
    import pypandoc

    with tempfile.TemporaryDirectory(prefix="press-") as name:
        folder = Path(name)
        macros = {macro: f"${body}$" for macro, body in book.macros.items()}
        (folder / "meta.json").write_text(
            json.dumps({"macros": macros, "lang": book.language, "link-citations": True})
        )
        (folder / "context.json").write_text(json.dumps(known))
        command = [pypandoc.get_pandoc_path(), "-f", "markdown", "-t", "html5", "--mathjax", "--wrap=none"]
        command += ["--email-obfuscation=none", "--metadata-file", str(folder / "meta.json")]
        for filter_name in FILTERS:
            if filter_name == "html" and (sources or "[@" in markdown):
                (folder / "refs.json").write_text(json.dumps(sources))
                command += ["--citeproc", "--bibliography", str(folder / "refs.json")]
                command += ["--csl", str(book.root / book.csl)] if book.csl else []
            command += ["--lua-filter", str(HERE / "filters" / f"{filter_name}.lua")]
        environment = {**os.environ, "PRESS_CONTEXT": str(folder / "context.json"), "LC_ALL": "C.UTF-8"}
        result = subprocess.run(
            command, input=markdown.encode(), capture_output=True, env=environment, check=False
        )
    messages = result.stderr.decode("utf-8", "replace").strip()
    if result.returncode:
        lines = [line.strip() for line in messages.split("stack traceback")[0].splitlines() if line.strip()]
        raise PressError(
            f"pandoc refuses the chapter: {' '.join(lines)[:400]}", file=entry.path, remedy="run make lint"
        )
    unknown = re.findall(r"[Cc]itation (\S+) not found", messages)
    if unknown:
        raise PressErrors(
            [
                PressError(
                    f"unknown citation '@{name}'", file=entry.path, line=_line(chapter, f"@{name}"),
                    remedy=f"add it to {book.bibliography or 'a bibliography'} or mend the key",
                )
                for name in dict.fromkeys(unknown)
            ]
        )  # fmt: skip
    return result.stdout.decode("utf-8")


def _line(chapter: Chapter, needle: str) -> int | None:
    return next((number for number, line in enumerate(chapter.text.split("\n"), 1) if needle in line), None)


def _dissect(html: str, key: str, files: list[str], prefix: str) -> Fragment:
    """Take the title, headings and previews out of pandoc's HTML."""
    html = re.sub(r'<span id="cb[\w-]+">(?:<a href="#cb[^>]*></a>)?', "<span>", html)
    html = re.sub(r'<div class="sourceCode" id="cb\w+"[^>]*>', '<div class="sourceCode">', html)
    html = IMAGE.sub(lambda match: f'<img loading="lazy" decoding="async"{match[0][4:]}', html)
    previews = {}
    for match in PREVIEW.finditer(html):
        end = html.find(f"<!--/preview {match[1]}-->", match.end())
        previews[match[1]] = _bare(html[match.end() : end])
    html = re.sub(r"<!--/?preview [\w-]+-->\n?", "", html)
    title = anchor = ""
    toc: list[tuple[int, str, str]] = []
    spans: list[tuple[int, int]] = []
    for match in HEADING.finditer(html):
        level, identifier, inner = int(match[1]), match[2], match[3]
        if level == 1 and not title:
            title, anchor = inner, identifier
            spans.append(match.span())
        elif 2 <= level <= 3:
            toc.append((level, identifier, _bare(inner)))
        if identifier.startswith("sec-"):
            first = re.compile(r"\s*<p>(.*?)</p>", re.S).search(html, match.end())
            text = f"<p>{_bare(first[1])}</p>" if first else ""
            previews[identifier] = f'<p class="preview-title">{_bare(inner)}</p>{text}'
    for start, end in spans:
        html = html[:start] + html[end:]
    opening = re.search(r"<p>(.*?)</p>", html, re.S)
    summary = " ".join(re.sub(r"<[^>]+>", "", opening[1]).split())[:300] if opening else ""
    images = [
        source for source in dict.fromkeys(IMAGE.findall(html)) if not re.match(r"[a-z]+:|//|/", source)
    ]
    own = {f"{prefix}/{name}" for name in files}
    return Fragment(
        key,
        html.strip(),
        title,
        anchor,
        summary,
        toc,
        previews,
        files,
        [image for image in images if image not in own],
    )


def _bare(html: str) -> str:
    """HTML that may be shown a second time on a page: without comments, ids and footnote marks."""
    html = re.sub(r"<!--.*?-->\n?", "", html, flags=re.S)
    html = re.sub(r'<a href="#fn\d+".*?</a>', "", html)
    return re.sub(r' id="[^"]*"', "", html).strip()
