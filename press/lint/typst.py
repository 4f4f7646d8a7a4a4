"""Which formulas pandoc cannot turn into Typst, found with two calls for the whole book."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from press.config import Book
from press.errors import PressError
from press.prose import inline_math
from press.source import Chapter, Equation

FILTERS = Path(__file__).parent.parent / "filters"


def check(book: Book, chapters: list[Chapter]) -> list[PressError]:
    """Convert every different formula once.

    Returns:
        A finding at the first place of each formula that pandoc leaves as it is.

    Raises:
        PressError: pandoc does not run.
    """
    places: dict[str, tuple[str, int]] = {}
    for chapter in chapters:
        for block in chapter.blocks:
            if isinstance(block, Equation):
                places.setdefault(block.latex.strip(), (chapter.path, block.latex_line))
        for line, latex in inline_math(chapter):
            places.setdefault(latex.strip(), (chapter.path, line))
    formulas = [latex for latex in places if latex]
    document = _document(formulas)
    with tempfile.TemporaryDirectory() as name:
        metadata, log = Path(name, "macros.json"), Path(name, "log.json")
        metadata.write_text(json.dumps({"macros": {key: f"${body}$" for key, body in book.macros.items()}}))
        macros = ["--metadata-file", str(metadata), "--lua-filter", str(FILTERS / "macros.lua")]
        try:
            expanded = _formulas(json.loads(_pandoc(["-f", "json", "-t", "json", *macros], document)))
        except PressError as error:
            guilty = next((latex for latex in formulas if f"in math: {latex}\n" in f"{error.what}\n"), "")
            if guilty not in places:
                return [error]
            path, line = places[guilty]
            return [PressError(error.what, file=path, line=line, remedy=error.remedy)]
        _pandoc(["-f", "json", "-t", "typst", "--quiet", "--log", str(log)], _document(expanded))
        messages = json.loads(log.read_text(encoding="utf-8")) if log.exists() else []
    failed = {entry["contents"]: str(entry.get("message", "")) for entry in messages if "contents" in entry}
    findings = []
    for latex, tex in zip(formulas, expanded, strict=True):
        if tex in failed:
            path, line = places[latex]
            reason = next(
                (text for text in failed[tex].split("\n") if text.startswith("unexpected")), tex[:60]
            )
            what = f"pandoc cannot turn the formula into Typst: {reason}"
            findings.append(PressError(what, file=path, line=line, remedy="write it in the book's dialect"))
    return findings


def _document(formulas: list[str]) -> bytes:
    blocks = [{"t": "Para", "c": [{"t": "Math", "c": [{"t": "DisplayMath"}, latex]}]} for latex in formulas]
    return json.dumps({"pandoc-api-version": [1, 23, 1], "meta": {}, "blocks": blocks}).encode()


def _formulas(document: dict[str, Any]) -> list[str]:
    return [block["c"][0]["c"][1] for block in document["blocks"]]


def _pandoc(arguments: list[str], document: bytes) -> bytes:
    import pypandoc

    command = [pypandoc.get_pandoc_path(), *arguments]
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, input=document, capture_output=True, env=environment)
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").split("stack traceback")[0].strip().split("\n")[-1]
        message = message.split(".lua:")[-1].split(": ", 1)[-1]
        raise PressError(f"pandoc refuses the formulas: {message}", remedy="mend the formula")
    return done.stdout
