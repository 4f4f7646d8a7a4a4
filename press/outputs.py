"""Outputs as they are stored: the same whenever the code does the same, and no longer than anyone reads."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path
from typing import Any

LONGEST = 10_000
"""Characters of a stream, or of a plain-text result, that are kept."""
KEPT = (
    "image/svg+xml", "image/png", "image/jpeg", "text/html", "text/markdown", "text/latex", "text/plain",
)  # fmt: skip
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROGRESS_TIME = re.compile(r"(\d+%\|.*?\| \S+) \[[^\]\n]*\]")


class Stream:
    """A stream as a terminal would show it: carriage returns overwrite, and what is too long is dropped."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._done: list[str] = []
        self._kept = 0
        self._line = ""
        self._returned = False
        self._dropped = 0

    def feed(self, text: str) -> None:
        """Take in some more text."""
        *lines, rest = ANSI.sub("", text).split("\n")
        for line in lines:
            self._write(line)
            self._end()
        self._write(rest)

    @property
    def text(self) -> str:
        """The text so far, with a note where it was cut."""
        text = "".join(self._done) + (self._line if self._kept < LONGEST else "")
        dropped = self._dropped + (0 if self._kept < LONGEST else len(self._line))
        if len(text) > LONGEST or dropped:
            shown = text[:LONGEST].rstrip("\n")
            text = f"{shown}\n… {len(text) - len(shown) + dropped:,} more characters are not shown\n"
        return PROGRESS_TIME.sub(r"\1", text)

    def _write(self, text: str) -> None:
        """Write into the current line, which is kept no longer than can be shown."""
        overwrites = text.split("\r")
        for position, part in enumerate(overwrites):
            if position:
                self._returned = True
            if part:
                line = part if self._returned else self._line + part
                self._returned = False
                if len(line) > 2 * LONGEST:
                    self._dropped += len(line) - 2 * LONGEST
                    line = line[: 2 * LONGEST]
                self._line = line

    def _end(self) -> None:
        if self._kept < LONGEST:
            self._done.append(self._line + "\n")
        else:
            self._dropped += len(self._line) + 1
        self._kept += len(self._line) + 1
        self._line, self._returned = "", False


def cleaned(outputs: list[Any], cell: int, root: Path) -> list[dict[str, Any]]:
    """The outputs of a cell without what differs between runs and machines.

    Args:
        outputs: As the kernel sent them; streams may hold a `Stream` in place of their text.
        cell: The cell's number among those that ran, which keeps ids within figures apart.
        root: The root of the book, whose path is taken out of messages.

    Returns:
        The outputs: widgets and unknown forms dropped, ids in figures numbered, streams cut.
    """
    kept: list[dict[str, Any]] = []
    # the two streams come over different pipes: their order is chance
    streams = {"stdout": 0, "stderr": 1}
    outputs = [
        output
        for alike, run in itertools.groupby(outputs, key=lambda output: output["output_type"] == "stream")
        for output in (sorted(run, key=lambda output: streams[output["name"]]) if alike else run)
    ]
    for position, output in enumerate(outputs):
        if output["output_type"] == "stream":
            text = _portable(output["text"], root)
            if text.strip():
                kept.append({"output_type": "stream", "name": output["name"], "text": text})
            continue
        data = output.get("data", {})
        if any(form.startswith("application/vnd.jupyter.widget") for form in data):
            continue
        forms = {form: data[form] for form in KEPT if form in data}
        if not forms:
            continue
        for form, value in forms.items():
            value = "".join(value) if isinstance(value, list) else value
            if form == "image/svg+xml":
                value = _figure(value, f"c{cell}-{position + 1}-")
            elif form == "text/plain":
                stream = Stream("result")
                stream.feed(_portable(re.sub(r" at 0x[0-9a-f]{6,}", "", value), root))
                value = stream.text.rstrip("\n")
            elif form == "image/png":
                value = value.replace("\n", "") + "\n"
            forms[form] = value
        sizes = {form: output["metadata"][form] for form in forms if form in output.get("metadata", {})}
        known = {
            form: size
            for form, values in sizes.items()
            if isinstance(values, dict)
            and (size := {key: values[key] for key in ("width", "height", "alt") if key in values})
        }
        # what a cell returns is shown like what it displays, and then has no number to keep in step
        kept.append({"output_type": "display_data", "data": forms, "metadata": known})
    return kept


def _portable(text: str, root: Path) -> str:
    """A message without the folders of this machine."""
    text = re.sub(r"\S*ipykernel_\d+/\d+\.py", "<cell>", text)
    for folder, name in (
        (str(root), ""),
        (sys.prefix, ".venv"),
        (sys.base_prefix, "python"),
        (str(Path.home()), "~"),
    ):
        if len(folder) > 1:
            text = re.sub(rf"(?<![\w.~-]){re.escape(folder)}(?=/|\b)/?", f"{name}/" if name else "", text)
    return text


def _figure(svg: str, prefix: str) -> str:
    """A figure without its date and with its ids numbered in order of appearance."""
    svg = re.sub(r"\s*<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.S)
    names: dict[str, str] = {}
    for found in re.finditer(r'\bid="([A-Za-z]{1,2}[0-9a-f]{10})"', svg):
        names.setdefault(found[1], f"{prefix}{len(names) + 1}")
    if not names:
        return svg
    return re.sub(
        r'(?<=["#])([A-Za-z]{1,2}[0-9a-f]{10})(?=[")])', lambda found: names.get(found[1], found[1]), svg
    )
