"""The bibliography: BibTeX read with places, and written as it is printed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from press.errors import PressError


@dataclass(frozen=True)
class Reference:
    """One entry of the bibliography; `fields` have lower-case names."""

    key: str
    kind: str
    line: int
    fields: dict[str, str]


def parse(text: str, path: str = "references.bib") -> list[Reference]:
    """Read BibTeX.

    Raises:
        PressError: An entry that is not closed, or is no entry.
    """
    entries = []
    position = 0
    while match := re.compile(r"^[ \t]*@\s*(\w+)\s*\{", re.MULTILINE).search(text, position):
        line = text.count("\n", 0, match.start(1)) + 1
        end = _end(text, match.end())
        if end is None:
            raise PressError("entry is not closed", file=path, line=line, remedy="pair its braces")
        body, position = text[match.end() : end], end + 1
        kind = match[1].lower()
        if kind in ("comment", "preamble", "string"):
            continue
        key, _, rest = body.partition(",")
        if not re.fullmatch(r"[\w:.+/-]+", key.strip()):
            raise PressError(
                f"entry without a key: '{key.strip()[:40]}'", file=path, line=line, remedy="add one"
            )
        entries.append(Reference(key.strip(), kind, line, _fields(rest, path, line)))
    return entries


def entries(text: str) -> dict[str, tuple[str, dict[str, str]]]:
    """The entries of a BibTeX file: type and fields by key, values without their outer braces or quotes."""
    return {entry.key: (entry.kind, dict(entry.fields)) for entry in parse(text)}


def normalised(text: str) -> str:
    """The bibliography as it is printed, the same in all outputs.

    Titles keep the capitals that the author gave them; the volume of proceedings becomes part of their title,
    which Typst would take for a special issue, and so does that of their series; a report names its number,
    a preprint its arXiv number, and a paper without another address links to its preprint.
    """
    out = []
    for key, (kind, fields) in sorted(entries(text).items()):
        archive = fields.get("archiveprefix", fields.get("eprinttype", "")).lower()
        if archive == "arxiv" and fields.get("eprint") and "doi" not in fields:
            fields.setdefault("url", f"https://arxiv.org/abs/{fields['eprint']}")
            if not fields.keys() & {"journal", "journaltitle", "booktitle"}:
                kind, fields["journal"] = "article", f"arXiv:{fields['eprint']}"
        if kind in ("inproceedings", "incollection", "conference") and "booktitle" in fields:
            series, volume = fields.pop("series", ""), fields.pop("volume", "")
            place = f"{fields['booktitle']}, {series}" if series else fields["booktitle"]
            fields["booktitle"] = f"{place} {volume}".strip()
            fields.pop("number", None)
        if kind == "techreport":
            report = f"Technical report {fields.pop('number', '')}".strip()
            kind, fields["publisher"] = "book", f"{report}, {fields.pop('institution', '')}".strip(", ")
        if kind == "misc" and "howpublished" in fields:
            fields["publisher"] = fields.pop("howpublished")
        for name in ("title", "booktitle", "journal", "journaltitle", "series"):
            if name in fields:
                fields[name] = f"{{{_typographic(fields[name])}}}"
        body = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
        out.append(f"@{kind}{{{key},\n{body}}}\n")
    return "\n".join(out)


def _typographic(text: str) -> str:
    """A title with its quotation marks and apostrophes as characters."""
    return re.sub(r"(?<=\w)'(?=\w)", "’", text.replace("``", "“").replace("''", "”"))


def _end(text: str, start: int) -> int | None:
    """The position of the brace that ends an entry whose body starts at `start`."""
    depth = 1
    for match in re.compile(r"\\.|[{}]|^[ \t]*@\w+\s*\{", re.MULTILINE | re.DOTALL).finditer(text, start):
        if match[0].lstrip().startswith("@"):
            return None
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    return None


def _fields(text: str, path: str, line: int) -> dict[str, str]:
    fields: dict[str, str] = {}
    position = 0
    while match := re.compile(r"[\s,]*([A-Za-z][\w-]*)\s*=\s*").match(text, position):
        start = match.end()
        if text[start : start + 1] == "{":
            end = _end(text, start + 1)
            value = text[start + 1 : end]
        elif text[start : start + 1] == '"':
            end = text.find('"', start + 1)
            value = text[start + 1 : end]
        else:
            bare = re.compile(r"[^,}\s]*").match(text, start)
            value = bare[0] if bare else ""
            end = start + len(value) - 1
        if end is None or end < start - 1:
            place = line + text.count("\n", 0, start)
            raise PressError(f"field '{match[1]}' is not closed", file=path, line=place, remedy="close it")
        fields[match[1].lower()] = " ".join(value.split())
        position = end + 1
    if rest := text[position:].lstrip(" \t\n,"):
        place = line + text[: len(text) - len(rest)].count("\n")
        rest = rest.split("\n")[0].rstrip(", ")[:40]
        raise PressError(f"not a field: '{rest}'", file=path, line=place, remedy="write 'name = {value},'")
    return fields
