"""A chapter with its outputs, as Markdown in the shape that Quarto's Jupyter engine emits.

The HTML weaver, the Typst weaver and Quarto's freeze files all start from this text. Everything outside
cells and inline code stays as the author wrote it.
"""

from __future__ import annotations

import re
import textwrap
from base64 import b64decode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from press.cells import Stored, cell_ids, hidden, stored
from press.source import INLINE, Cell, Chapter, Heading, Text

if TYPE_CHECKING:
    from nbformat import NotebookNode

Target = Literal["html", "typst", "latex"]
FULL_WIDTH = 6.3
"""Width in inches of a figure as wide as the text, the book style's width."""
IMAGES = {"image/svg+xml": "svg", "image/png": "png", "image/jpeg": "jpg"}
UNITS = {"pt": 1 / 72, "in": 1.0, "px": 1 / 96, "": 1 / 96, "cm": 1 / 2.54, "mm": 1 / 25.4}


@dataclass(frozen=True)
class Woven:
    """The chapter as Markdown, and the figures it shows by file name."""

    markdown: str
    files: dict[str, bytes] = field(default_factory=dict)


def woven(chapter: Chapter, notebook: NotebookNode | None, target: Target, files: str) -> Woven:
    """Merge a chapter with the outputs stored in its notebook.

    Args:
        chapter: The chapter.
        notebook: Its notebook, None when it was never executed: then its code is shown, with a note.
        target: What the Markdown is for, which decides between the forms of an output.
        files: URL prefix under which the returned figures will lie.

    Returns:
        The Markdown and the figures.
    """
    known = stored(chapter, notebook)
    names = cell_ids(chapter)
    figures: dict[str, bytes] = {}
    lines = chapter.text.split("\n")
    out: list[str] = []
    position, cell_number, inline_number = 0, 0, 0
    note = None if known.complete else _note(notebook is None, known)
    for block in chapter.blocks:
        if isinstance(block, Cell):
            out += lines[position : block.line - 1]
            position = block.end
            emitter = _Emitter(block, names[cell_number], target, files.rstrip("/"), figures)
            gap_before = [""] if out and out[-1].strip() else []
            gap_after = [""] if position < len(lines) and lines[position].strip() else []
            cell = emitter.cell(known.outputs[cell_number], known.counts[cell_number])
            out += [*gap_before, *cell, *gap_after]
            cell_number += 1
        elif isinstance(block, Text):
            out += lines[position : block.line - 1]
            position = block.line - 1 + len(block.lines)
            for line in block.lines:
                values = []
                for _ in INLINE.finditer(line):
                    value = known.inline[inline_number]
                    values.append("**??**" if value is None else value)
                    inline_number += 1
                remaining = iter(values)
                out.append(INLINE.sub(lambda _, rest=remaining: next(rest), line))  # type: ignore[misc]
        elif note and isinstance(block, Heading) and block.level == 1 and not block.title_of:
            out += [*lines[position : block.line], "", *note, ""]
            position, note = block.line, None
    out += lines[position:]
    return Woven("\n".join(out), figures)


def _note(never: bool, known: Stored) -> list[str]:
    if never:
        text = "This chapter has not been executed yet, so its outputs are missing. Run `make execute`."
    else:
        cells = ", ".join(f"`{name}`" for name in known.stale) or "inline code"
        text = f"Changed since the chapter was executed: {cells}. Run `make execute` to see the results."
    return ['::: {.callout-important title="Results are missing"}', text, ":::"]


class _Emitter:
    """Writes one cell."""

    def __init__(self, cell: Cell, name: str, target: Target, files: str, figures: dict[str, bytes]) -> None:
        self.cell_, self.name, self.target, self.files, self.figures = cell, name, target, files, figures
        self.kind = cell.label.split("-", 1)[0] if cell.label.startswith(("fig-", "tbl-")) else ""
        self.captioned = False

    def cell(self, outputs: list[dict[str, Any]] | None, count: int | None) -> list[str]:
        """The whole cell, code and outputs, as lines."""
        options = self.cell_.options
        pairs = {"file": self.cell_.file}
        if count is not None and self.target != "typst":
            pairs["execution_count"] = str(count)
        identifier = f"cell-{self.cell_.label}" if self.cell_.label else ""
        out = [f"::: {_attributes(identifier, ('cell',), pairs)}"]
        if options.get("echo", True) is not False:
            pairs = {"file": self.cell_.file}
            if options.get("code-fold") is not None:
                pairs["code-fold"] = str(options["code-fold"]).lower()
            listing = str(options.get("lst-label", ""))
            if listing:
                pairs["lst-cap"] = _line(options.get("lst-cap", ""))
            opening = _attributes(listing, ("python", "cell-code"), pairs)
            out += [*fenced(self.cell_.source, opening), ""]
        if outputs is None and self.kind and not hidden(self.cell_):
            out += self._missing()
        shown = [
            lines for number, output in enumerate(outputs or [], 1) if (lines := self._output(output, number))
        ]
        body = [line for lines in shown for line in [*lines, ""]]
        if self.kind == "tbl" and body:
            caption = _line(options.get("tbl-cap", ""))
            body = [f"::: {{#{self.cell_.label}}}", *body, *([caption, ""] if caption else []), ":::", ""]
        return [*out, *body, ":::"]

    def _missing(self) -> list[str]:
        if self.kind == "tbl":
            note = "*Not executed yet: run* `make execute`*.*"
            caption = _line(self.cell_.options.get("tbl-cap", ""))
            return [f"::: {{#{self.cell_.label}}}", note, "", caption or "No caption.", ":::", ""]
        return [*self._image("image/svg+xml", PLACEHOLDER, f"{self.name}-missing.svg", {}), ""]

    def _output(self, output: dict[str, Any], number: int) -> list[str]:
        if output["output_type"] == "stream":
            classes = ("cell-output", f"cell-output-{output['name']}")
            return _div(classes, fenced(_text(output["text"]).rstrip("\n")))
        data = output.get("data", {})
        form = self._form(data)
        content = _text(data.get(form, ""))
        classes = ("cell-output", "cell-output-display")
        if form in IMAGES:
            alone = self.kind == "fig" and not self.captioned
            name = f"{self.name}.{IMAGES[form]}" if alone else f"{self.name}-output-{number}.{IMAGES[form]}"
            size = output.get("metadata", {}).get(form, {})
            return _div(classes, self._image(form, content, name, size if isinstance(size, dict) else {}))
        if form == "text/html" and self.target == "html":
            return _div(classes, fenced(content.strip("\n"), "{=html}"))
        if form == "text/html":
            return _div(classes, [f"*{self._pointer(content, _text(data.get('text/plain', '')))}*"])
        if form in ("text/markdown", "text/latex"):
            return _div(classes, content.strip("\n").split("\n"))
        return _div(classes, fenced(content.rstrip("\n"))) if content else []

    def _form(self, data: dict[str, Any]) -> str:
        """The form of an output to show: the richest one that the target can."""
        order = [*IMAGES, "text/html", "text/markdown", "text/latex", "text/plain"]
        if self.target != "html":
            order.remove("text/html")
            audio = "<audio" in _text(data.get("text/html", ""))
            plain = _text(data.get("text/plain", ""))
            order.insert(0 if audio else order.index("text/plain") + (not _hollow(plain)), "text/html")
        return next((form for form in order if form in data), "")

    @staticmethod
    def _pointer(html: str, plain: str) -> str:
        if not _hollow(plain):
            return escaped(_line(plain))
        label = re.search(r'aria-label="([^"]*)"', html)
        what = "A sound" if "<audio" in html else "An interactive output"
        named = f" ({escaped(_unescape(label[1]))})" if label else ""
        verb = "heard" if "<audio" in html else "seen"
        return f"{what}, to be {verb} in the HTML edition{named}."

    def _image(self, form: str, content: str, name: str, size: dict[str, Any]) -> list[str]:
        self.figures[name] = content.encode("utf-8") if form == "image/svg+xml" else b64decode(content)
        options, pairs = self.cell_.options, {}
        label, caption = "", ""
        if not self.captioned and self.kind != "tbl":
            label = self.cell_.label if self.kind == "fig" else ""
            caption = _line(options.get("fig-cap", ""))
            pairs["fig-alt"] = _line(options.get("fig-alt", ""))
            self.captioned = True
        width, height = image_size(form, self.figures[name], size)
        if width and self.target == "html":
            pairs |= {"width": str(round(width)), "height": str(round(height))}
        elif width:
            pairs["width"] = f"{min(100.0, 100 * width / 96 / FULL_WIDTH):.4g}%"
        painted = self.target == "html" and form == "image/svg+xml" and "<image" in content
        classes = ("keep-colours",) if painted else ()  # a heat map must not be turned into its negative
        return [f"![{caption}]({self.files}/{name}){_attributes(label, classes, pairs)}"]


def fenced(text: str, info: str = "") -> list[str]:
    """A fenced code block whose fence is longer than any in the text."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return [f"{fence} {info}".rstrip(), *text.split("\n"), fence]


def escaped(text: str) -> str:
    """The text with every character that Markdown would read as markup taken literally."""
    return re.sub(r"([\\`*_{}\[\]<>#$@^~|!&])", r"\\\1", text)


def _div(classes: tuple[str, ...], body: list[str]) -> list[str]:
    return [f"::: {_attributes('', classes, {})}", *body, ":::"] if body else []


def _attributes(identifier: str, classes: tuple[str, ...], pairs: dict[str, str]) -> str:
    parts = [f"#{identifier}"] if identifier else []
    parts += [f".{name}" for name in classes]
    for key, value in pairs.items():
        if value:
            safe = value.replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
            parts.append(
                f'{key}="{safe}"' if re.search(r"\W", value) or key != "execution_count" else f"{key}={safe}"
            )
    return "{" + " ".join(parts) + "}" if parts else ""


def _hollow(plain: str) -> bool:
    """Whether the plain form of an output says nothing but its type."""
    return not plain or re.match(r"<[\w.]+( (object|at|size)\b|>)", plain) is not None


def _line(text: Any) -> str:
    return " ".join(str(text).split())


def _text(value: Any) -> str:
    return "".join(value) if isinstance(value, list) else str(value)


def _unescape(text: str) -> str:
    from html import unescape

    return unescape(text)


def image_size(form: str, data: bytes, metadata: dict[str, Any]) -> tuple[float, float]:
    """Width and height in CSS pixels: as the output says, else as the image does; zeros when neither does."""
    width = height = 0.0
    if form == "image/svg+xml":
        opening = re.search(rb"<svg\b[^>]*>", data, re.S)
        found = dict(
            re.findall(r'\b(width|height|viewBox)="([^"]*)"', opening[0].decode() if opening else "")
        )
        sizes = [
            re.fullmatch(r"([\d.]+)(pt|in|px|cm|mm|)", found.get(key, "").strip())
            for key in ("width", "height")
        ]
        box = [float(part) for part in re.findall(r"-?[\d.]+", found.get("viewBox", ""))]
        if sizes[0] and sizes[1]:
            width, height = (float(size[1]) * UNITS[size[2]] * 96 for size in sizes if size)
        elif len(box) == 4:
            width, height = box[2], box[3]
    elif form == "image/png" and data[12:16] == b"IHDR":
        width, height = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if metadata.get("width"):
        wanted = float(metadata["width"])
        height = float(metadata.get("height") or (height * wanted / width if width else 0))
        width = wanted
    return width, height


PLACEHOLDER = textwrap.dedent(
    """\
    <svg xmlns="http://www.w3.org/2000/svg" width="605" height="120" viewBox="0 0 605 120">
    <rect x="1" y="1" width="603" height="118" rx="6" fill="none" stroke="#888888" stroke-dasharray="6 4"/>
    <text x="302" y="66" font-family="sans-serif" font-size="16" fill="#888888"
      text-anchor="middle">Not executed yet: run make execute</text>
    </svg>
    """
)
