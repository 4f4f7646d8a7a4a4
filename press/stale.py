"""What the outputs of a chapter depend on, as one key; prose is no part of it."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from press.cells import hidden
from press.files import CACHE, digest, read_json, read_text, write_json
from press.source import Chapter, Heading

FORMAT = "1"
"""Counted up when the executor stores outputs differently, which makes every chapter stale."""
PACKAGE = "agm"
CHECKER = "proofread"
LOCK = "requirements.lock"
ARTIFACTS = "artifacts"


class Modules:
    """The tangled package as far as staleness needs it: imports, code without comments, artifacts named.

    What a file says is remembered in the cache by the digest of its text.
    """

    def __init__(self, root: Path, chapters: Iterable[Chapter] = ()) -> None:
        self.root = root
        self._chapters = tuple(chapters)
        self._source = root / "tangled"
        self._cache_path = root / CACHE / "modules.json"
        self._cache: dict[str, dict[str, list[str]]] = read_json(self._cache_path, {})
        self._known = set(self._cache)
        self._facts: dict[str, dict[str, list[str]]] = {}
        self._digests: dict[Path, str] = {}

    def save(self) -> None:
        """Keep what was learnt for the next run."""
        if set(self._cache) != self._known:
            used = {fact["text"][0]: fact for fact in self._facts.values() if fact["text"][0]}
            write_json(self._cache_path, self._cache | used)

    @cached_property
    def book_code(self) -> str:
        """Digest of all cells of the book and the names of its chapters, for a chapter that reads them."""
        parts: list[str] = []
        for chapter in self._chapters:
            titles = [
                block.attributes.identifier
                for block in chapter.blocks
                if isinstance(block, Heading) and block.level == 1
            ]
            parts += [chapter.path, *titles[:1], *(cell.file + "\n" + cell.source for cell in chapter.cells)]
        return digest(*parts)

    @cached_property
    def checker(self) -> str:
        """Digest of the proofreader, for chapters that show it at work."""
        return digest(*(path.read_bytes() for path in sorted((self.root / CHECKER).glob("*.py"))))

    def every(self) -> set[str]:
        """The names of all modules of the package."""
        found = (path.relative_to(self._source).with_suffix("") for path in self._source.rglob("*.py"))
        return {".".join(path.parts).removesuffix(".__init__") for path in found}

    def path(self, name: str) -> Path | None:
        """The file of a module, None when the package has no such module."""
        base = self._source / Path(*name.split("."))
        for path in (base / "__init__.py", base.with_suffix(".py")):
            if path.is_file():
                return path
        return None

    def closure(self, names: set[str]) -> list[str]:
        """The modules and everything of the package that they import, directly or not, sorted."""
        found: set[str] = set()
        waiting = {part for name in names for part in _parents(name)}
        while waiting:
            name = waiting.pop()
            if name in found or self.path(name) is None:
                continue
            found.add(name)
            waiting |= {part for other in self._fact(name)["imports"] for part in _parents(other)}
        return sorted(found)

    def code(self, name: str) -> str:
        """Digest of a module's code without whole-line comments."""
        return self._fact(name)["code"][0]

    def strings(self, name: str) -> list[str]:
        """String constants of a module that may name artifacts."""
        return self._fact(name)["strings"]

    def artifacts(self, strings: set[str]) -> list[Path]:
        """The files under `artifacts/` that the strings name, wholly or by their beginning."""
        folder = self.root / ARTIFACTS
        if not folder.is_dir():
            return []
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        relative = {path: path.relative_to(folder).as_posix() for path in files}
        wanted = {
            string.removeprefix(f"{ARTIFACTS}/"): string.startswith(f"{ARTIFACTS}/") for string in strings
        }
        return [
            path
            for path, name in relative.items()
            if any(
                name == text or name.startswith(text.rstrip("/") + "/") or (prefix and name.startswith(text))
                for text, prefix in wanted.items()
                if text
            )
        ]

    def file_digest(self, path: Path) -> str:
        """Digest of a file's bytes, read once."""
        if path not in self._digests:
            self._digests[path] = digest(path.read_bytes())
        return self._digests[path]

    def _fact(self, name: str) -> dict[str, list[str]]:
        if name not in self._facts:
            path = self.path(name)
            assert path is not None
            text = read_text(path)
            key = digest(FORMAT, name, text)
            if key not in self._cache:
                package = name if path.name == "__init__.py" else name.rpartition(".")[0]
                imports, strings = facts(text, package)
                self._cache[key] = {
                    "text": [key], "code": [digest(without_comments(text))],
                    "imports": sorted(imports), "strings": sorted(strings),
                }  # fmt: skip
            self._facts[name] = self._cache[key]
        return self._facts[name]


def chapter_key(chapter: Chapter, modules: Modules) -> str:
    """Digest of everything that the outputs of the chapter depend on.

    That is: the code of its evaluated cells and whether their output is kept, its inline expressions, the
    tangled modules that they import (comments aside), the artifacts that either names, and the lock file. A
    chapter that imports the proofreader depends on it; one whose cells name the folder `tangled/agm`, on the
    whole package; one that names `book`, on the code of all chapters.
    """
    parts: list[str] = [FORMAT]
    imports: set[str] = set()
    strings: set[str] = set()
    for cell in chapter.cells:
        if cell.evaluated:
            parts += ["cell", cell.source, str(hidden(cell))]
            cell_imports, cell_strings = facts(cell.source, "")
            imports |= cell_imports
            strings |= cell_strings
    if f"tangled/{PACKAGE}" in strings:
        imports |= modules.every()
    if any(re.search(rf"^\s*(?:from|import) {CHECKER}\b", part, re.MULTILINE) for part in parts):
        parts += [CHECKER, modules.checker]
    if "book" in strings:
        parts += ["book", modules.book_code]
    if len(parts) == 1 and not chapter.inline:
        return digest(FORMAT, "nothing to execute")
    for place, code in inline_places(chapter):
        parts += ["inline", str(place), code]
    for name in modules.closure(imports):
        parts += ["module", name, modules.code(name)]
        strings |= set(modules.strings(name))
    for path in modules.artifacts(strings):
        parts += ["artifact", path.relative_to(modules.root).as_posix(), modules.file_digest(path)]
    lock = modules.root / LOCK
    if lock.is_file():
        lines = [line.split("#")[0].strip() for line in read_text(lock).splitlines()]
        parts += ["lock", *sorted(line for line in lines if line)]
    return digest(*parts)


def inline_places(chapter: Chapter) -> list[tuple[int, str]]:
    """Inline expressions with the number of evaluated cells above them."""
    ends = [cell.line for cell in chapter.cells if cell.evaluated]
    return [(sum(end < line for end in ends), code) for line, code in chapter.inline]


def facts(source: str, package: str) -> tuple[set[str], set[str]]:
    """What code imports from the package, and its string constants that may name artifacts.

    Args:
        source: Python, perhaps with lines of IPython magics, which are left out.
        package: The package that relative imports are relative to, "" outside one.
    """
    tree = _parse(source)
    imports: set[str] = set()
    strings: set[str] = set()
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            imports |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _like_a_path(node.value):
            strings.add(node.value.removeprefix("./"))
    return {name for name in imports if name.split(".")[0] == PACKAGE}, strings


def without_comments(text: str) -> str:
    """The code without lines that hold only a comment: tangled provenance changes with prose."""
    lines = text.split("\n")
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            row, column = token.start
            if token.type == tokenize.COMMENT and not lines[row - 1][:column].strip():
                lines[row - 1] = ""
    except (tokenize.TokenError, SyntaxError):
        return text
    return "\n".join(line for line in lines if line.strip())


def _parse(source: str) -> ast.Module | None:
    for text in (
        source,
        "\n".join("" if line.lstrip()[:1] in ("%", "!") else line for line in source.split("\n")),
    ):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse(text)
        except (SyntaxError, ValueError):
            continue
    return None


def _parents(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _like_a_path(text: str) -> bool:
    return (
        2 < len(text) < 200
        and text != ARTIFACTS
        and not any(character in text for character in "\n\t <>{}\\")
    )
