"""The pages around the fragments: navigation, cover, previews, downloads, and what all pages share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape, unescape

from press.config import Book, Entry
from press.cover import art
from press.fragment import Fragment, page_path, relative
from press.shared import version
from press.source import Chapter

THEME = (
    "(()=>{let t='auto';try{t=localStorage.getItem('theme')||t}catch{}"
    "const d=document.documentElement;d.dataset.choice=t;"
    "d.dataset.theme=t!=='auto'?t:matchMedia('(prefers-color-scheme:dark)').matches?'dark':'light';"
    "if(location.protocol!=='file:')for(const f of ['source-serif-4-latin-opsz','ibm-plex-sans-latin-wght'])"
    "document.head.append(Object.assign(document.createElement('link'),{rel:'preload',as:'font',type:'font/woff2',"
    "crossOrigin:'',href:'ROOTassets/fonts/'+f+'-normal.woff2'}))})()"
)
"""Runs before the first paint: the reader's colours, and the two fonts that the first screen needs."""
FOLD = "<script>document.querySelector('.toc details').open=matchMedia('(min-width:75rem)').matches</script>"


def pages(
    book: Book, chapters: Mapping[str, Chapter], fragments: Sequence[tuple[Entry, Fragment]], files: set[str]
) -> dict[str, bytes]:
    """Every page and its previews, by path on the site.

    Args:
        book: The configuration.
        chapters: All chapters by path, for their titles.
        fragments: The chapters to make pages of.
        files: What lies beside the pages, to know which downloads there are.
    """
    titles = {path: inline(chapter.title) for path, chapter in chapters.items()}
    made: dict[str, bytes] = {}
    for entry, fragment in fragments:
        path = page_path(entry)
        made[path] = _page(book, entry, fragment, titles, files).encode()
        previews = json.dumps(fragment.previews, ensure_ascii=False, sort_keys=True).replace("</", "<\\/")
        made[f"{entry.stem}.previews.js"] = f"bookPreviews({json.dumps(path)}, {previews});\n".encode()
    return made


def inline(markdown: str) -> str:
    """A title's Markdown as HTML: math, code and emphasis."""
    out = []
    for part in re.split(r"(\$[^$]+\$|`[^`]+`)", markdown):
        if part.startswith("$") and len(part) > 2:
            out.append(f'<span class="math inline">\\({escape(part[1:-1], quote=False)}\\)</span>')
        elif part.startswith("`") and len(part) > 2:
            out.append(f"<code>{escape(part[1:-1], quote=False)}</code>")
        else:
            text = escape(part, quote=False).replace("---", "—").replace("--", "–").replace("'", "’")
            out.append(re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text))
    return "".join(out)


def plain(html: str) -> str:
    """HTML's text, TeX delimiters and markup taken out."""
    return re.sub(r"\\[()]|<[^>]+>", "", html).replace('"', "&quot;")


def _kicker(entry: Entry) -> str:
    if entry.appendix:
        return f"Appendix {entry.number}" if entry.number else "Appendix"
    return entry.part


def _page(book: Book, entry: Entry, fragment: Fragment, titles: Mapping[str, str], files: set[str]) -> str:
    page, cover = page_path(entry), entry.path == book.entries[0].path
    root = relative(".", page) + "/"
    title = fragment.title or titles[entry.path]
    name = plain(titles[entry.path])
    full = book.title if cover else f"{entry.number + ' ' if entry.number else ''}{name} – {book.title}"
    summary = book.description if cover else re.sub(r"\\\(.*?\\\)", "…", fragment.summary)
    anchor = f' id="{fragment.anchor}"' if fragment.anchor else ""
    if cover:
        top = _cover(book, entry)
        head = f'<header class="chapter-head"><h2{anchor}>{title}</h2></header>'
    else:
        top = ""
        kicker = f'<p class="kicker">{inline(_kicker(entry))}</p>' if _kicker(entry) else ""
        words = f"{kicker}<h1{anchor}>{title}</h1>{_downloads(entry, files)}"
        head = f'<header class="chapter-head">{words}</header>'
    body = fragment.body
    contents = _contents(book, page, titles) if cover else ""
    mathjax = f'<script defer src="{root}assets/mathjax/tex-chtml-full.js"></script>'
    math = mathjax if 'class="math' in body + title else ""
    footer = " · ".join(escape(name) for name in (book.title, book.author) if name)
    return f"""<!DOCTYPE html>
<html lang="{escape(book.language)}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{full}</title>
<meta name="description" content="{escape(unescape(summary))}">
<meta name="author" content="{escape(book.author)}">
<script>{THEME.replace("ROOT", root)}</script>
<link rel="icon" href="{root}assets/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="{root}assets/book.css?{version()}">
<script defer src="{root}assets/book.js?{version()}"></script>
{math}
</head>
<body class="{"cover-page" if cover else "chapter-page"}" data-root="{root}" data-page="{page}">
<a class="skip-link" href="#site-content">Skip to the text</a>
{_header(book, root)}
<nav id="site-nav" class="site-nav" aria-label="Chapters">
{_navigation(book, entry, page, titles)}
</nav>
<main id="site-content" tabindex="-1">
{top}
<div class="text">
{head}
{_toc(fragment, cover)}
<article class="prose">
{body}
</article>
{contents}
</div>
{_pager(book, entry, page, titles)}
</main>
<footer class="site-footer"><p>{footer}</p></footer>
</body>
</html>
"""


def _header(book: Book, root: str) -> str:
    return f"""<header class="site-header">
<button type="button" class="icon-button nav-button" aria-expanded="false" aria-controls="site-nav">
<svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 7h16M4 12h16M4 17h10"/></svg>
<span class="hidden">Chapters</span></button>
<a class="site-title" href="{root}index.html">{escape(book.title)}</a>
<button type="button" class="search-button" aria-label="Search" aria-haspopup="dialog">
<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="11" cy="11" r="6.5"/><path d="m16 16 4.5 4.5"/></svg>
<span>Search</span><kbd aria-hidden="true">/</kbd></button>
<button type="button" class="icon-button theme-button" aria-label="Colours: automatic">
<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="8"/>
<path class="half" d="M12 4a8 8 0 0 1 0 16z"/></svg></button>
</header>"""


def _link(entry: Entry, page: str, titles: Mapping[str, str], current: bool = False) -> str:
    number = f'<span class="number">{entry.number}</span> ' if entry.number else ""
    mark = ' aria-current="page"' if current else ""
    return f'<a href="{relative(page_path(entry), page)}"{mark}>{number}<span>{titles[entry.path]}</span></a>'


def _navigation(book: Book, current: Entry, page: str, titles: Mapping[str, str]) -> str:
    out = []
    for part, entries in _parts(book):
        items = "".join(f"<li>{_link(entry, page, titles, entry == current)}</li>" for entry in entries)
        if part:
            opened = " open" if part == (current.part or book.parts[0]) else ""
            out.append(f"<details{opened}><summary>{inline(part)}</summary><ol>{items}</ol></details>")
        else:
            out.append(f"<ol>{items}</ol>")
    return "\n".join(out)


def _parts(book: Book) -> list[tuple[str, list[Entry]]]:
    """Runs of entries of the same part, in book order."""
    found: list[tuple[str, list[Entry]]] = []
    for entry in book.entries:
        if not found or found[-1][0] != entry.part:
            found.append((entry.part, []))
        found[-1][1].append(entry)
    return found


def _toc(fragment: Fragment, cover: bool) -> str:
    if cover or len(fragment.toc) < 2:
        return ""
    items: list[str] = []
    depth = 2
    for level, identifier, html in fragment.toc:
        if level > depth and items:
            items.append("<ol>")
        elif level < depth:
            items.append("</li></ol></li>")
        elif items:
            items.append("</li>")
        depth = level if items else 2
        items.append(f'<li><a href="#{identifier}">{html}</a>')
    closing = "</li></ol></li>" if depth == 3 else "</li>"
    tree = "".join(items) + closing
    return (
        '<nav class="toc" aria-label="On this page"><details open><summary>On this page</summary>'
        f"<ol>{tree}</ol></details></nav>{FOLD}"
    )


def _downloads(entry: Entry, files: set[str]) -> str:
    name = entry.stem.rsplit("/", 1)[-1]
    links = [
        f'<a href="{name}{suffix}" download>{text}</a>'
        for suffix, text in ((".ipynb", "Notebook"), (".py", "Python script"))
        if entry.stem + suffix in files
    ]
    if not links:
        return ""
    return f'<p class="downloads"><span>This chapter as</span> {" ".join(links)}</p>'


def _pager(book: Book, entry: Entry, page: str, titles: Mapping[str, str]) -> str:
    place = book.entries.index(entry)
    links = []
    if place:
        before = book.entries[place - 1]
        links.append(f'<div class="before"><span>Previous</span>{_link(before, page, titles)}</div>')
    if place + 1 < len(book.entries):
        after = book.entries[place + 1]
        links.append(f'<div class="after"><span>Next</span>{_link(after, page, titles)}</div>')
    if not links:
        return ""
    return f'<nav class="pager" aria-label="Previous and next chapter">{"".join(links)}</nav>'


def _cover(book: Book, entry: Entry) -> str:
    page = page_path(entry)
    first = next((other for other in book.entries if other.number and not other.appendix), None)
    links = (
        [f'<a class="primary" href="{relative(page_path(first), page)}">Start reading</a>'] if first else []
    )
    links.append('<a href="#site-contents">Contents</a>')
    links += [
        f'<a href="{escape(path.name)}">PDF</a>' for path in sorted((book.root / book.output).glob("*.pdf"))
    ]
    return f"""<section class="cover" aria-label="Cover">
<div class="cover-words"><h1>{escape(book.title)}</h1>
<p class="cover-subtitle">{escape(book.subtitle)}</p>
<p class="cover-author">{escape(book.author)}</p>
<p class="cover-links">{" ".join(links)}</p></div>
{art()}
</section>"""


def _contents(book: Book, page: str, titles: Mapping[str, str]) -> str:
    out = []
    for part, entries in _parts(book):
        shown = [entry for entry in entries if page_path(entry) != page]
        if not shown:
            continue
        items = "".join(f"<li>{_link(entry, page, titles)}</li>" for entry in shown)
        heading = f"<h3>{inline(part)}</h3>" if part else ""
        out.append(f'<section class="part">{heading}<ol>{items}</ol></section>')
    return '<section class="contents" id="site-contents"><h2>Contents</h2>' + "".join(out) + "</section>"
