"""Tangle: the cells that name a `file` become clean Python modules, exactly line for line.

A file is overwritten or deleted only when its content is known to come from the book: it is what was last
tangled (copies lie in `.press/tangled/`), or what the chapter as committed in git tangles to.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path

from press.config import Book
from press.errors import PressError, PressErrors
from press.files import CACHE, write
from press.modules import FOLDERS, PROVENANCE, blocks_of, modules, render
from press.source import Chapter, parse


def tangle(book: Book, check: bool = False, chapters: dict[str, Chapter] | None = None) -> list[Path]:
    """Write every module the book tangles to, and delete those it no longer makes.

    Args:
        book: The book.
        check: Write nothing; raise if the files are not what the book tangles to.
        chapters: The parsed chapters by path, if they are at hand.

    Returns:
        The files written or deleted, relative to the book.

    Raises:
        PressErrors: A block is refused, a file was edited by hand, or (`check`) a file has drifted. In each
            case nothing is written.
    """
    found = modules(book, chapters)
    errors: list[PressError] = []
    texts = {target: render(blocks) for target, blocks in found.items()}
    for package in {package for target in found for package in _packages(target)}:
        target = f"{package}/__init__.py"
        if target not in texts:
            old = _existing(book.root / target, errors, target)
            texts[target] = old if old is not None and _only_docstring(target, old) else _init(package)
    changed: list[str] = []
    for target, text in sorted(texts.items()):
        path = book.root / target
        old = _existing(path, errors, target)
        if old != text:
            changed.append(target)
            if old is not None and not ours(book.root, target, old):
                errors.append(_edited(target, old, text, target in found))
            elif check:
                what, remedy = "differs from what the book tangles to", "run 'make tangle'"
                errors.append(PressError(what, file=target, remedy=remedy))
    orphans = _orphans(book.root, texts)
    for target in orphans:
        old = _existing(book.root / target, errors, target)
        mine = old is not None and ours(book.root, target, old)
        if check or not mine:
            remedy = "run 'make tangle'" if mine else "move its code into a chapter, or delete the file"
            named = next(
                (match["path"] for match in map(PROVENANCE.match, (old or "").split("\n")) if match), ""
            )
            if (
                not mine
                and named not in {entry.path for entry in book.entries}
                and (book.root / named).is_file()
            ):
                remedy = f"list {named} in _quarto.yml, or delete the file"
            errors.append(PressError("no chapter tangles this file", file=target, remedy=remedy))
    if errors:
        raise PressErrors(errors)
    if not check:
        for target, text in texts.items():
            _write(book.root, target, text)
        for target in orphans:
            _delete(book.root, target)
    return [Path(target) for target in [*changed, *orphans]]


def known(root: Path, target: str) -> list[str]:
    """What was last tangled to a target, newest first; two texts when a run was interrupted between them."""
    copies = [root / CACHE / folder / target for folder in ("tangling", "tangled")]
    return [copy.read_text(encoding="utf-8") for copy in copies if copy.is_file()]


def committed(root: Path, target: str, text: str) -> str | None:
    """What the chapter named in a tangled text tangles to `target` in the last commit, None if unknown."""
    import subprocess

    paths = {match["path"] for match in map(PROVENANCE.match, text.split("\n")) if match}
    if len(paths) != 1:
        return None
    path = paths.pop()
    try:
        shown = subprocess.run(["git", "show", f"HEAD:./{path}"], cwd=root, capture_output=True, timeout=20)
        if shown.returncode:
            return None
        blocks = [b for b in blocks_of(parse(shown.stdout.decode("utf-8"), path)) if b.cell.file == target]
        return render(blocks) if blocks else None
    except (OSError, UnicodeDecodeError, PressError, subprocess.TimeoutExpired):
        return None


def ours(root: Path, target: str, text: str) -> bool:
    """Whether a file's text came from the book and may be overwritten or deleted without loss."""
    if text in known(root, target) or _only_docstring(target, text):
        return True
    return committed(root, target, text) == text


def _packages(target: str) -> list[str]:
    """The packages of a module: `tangled/agm` and `tangled/agm/gans` for `tangled/agm/gans/gan.py`."""
    parts = target.split("/")[:-1]
    return ["/".join(parts[:depth]) for depth in range(2, len(parts) + 1)] if parts[0] == "tangled" else []


def _init(package: str) -> str:
    """The text of a package's `__init__.py` that no cell writes."""
    return f'"""The package `{".".join(package.split("/")[1:])}`, tangled from the book."""\n'


def _existing(path: Path, errors: list[PressError], target: str) -> str | None:
    """A file's text, None if there is none; a file that is not text counts as edited."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        errors.append(PressError(f"cannot be read: {error}", file=target, remedy="delete it, tangle again"))
        return None


def _only_docstring(target: str, text: str) -> bool:
    """Whether a file is the `__init__.py` of a package and holds no code."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return False
    return target.endswith("/__init__.py") and all(
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body
    )


def _edited(target: str, old: str, new: str, stitchable: bool) -> PressError:
    pairs = zip(old.split("\n"), new.split("\n"), strict=False)
    line = next((number for number, (a, b) in enumerate(pairs, 1) if a != b), None)
    remedy = "run 'make stitch' to carry the edit into the chapter, or delete the file to drop it"
    if not stitchable:
        remedy = "move the code into a cell with this file, or delete it"
    return PressError("edited by hand, and about to be overwritten", file=target, line=line, remedy=remedy)


def _orphans(root: Path, texts: dict[str, str]) -> list[str]:
    """Python files in the generated folders that no chapter makes; links are never followed."""
    found: list[str] = []
    for folder in FOLDERS:
        for place, folders, names in os.walk(root / folder):
            folders[:] = [name for name in folders if not name.startswith((".", "__pycache__"))]
            inside = Path(place).relative_to(root).as_posix()
            targets = (f"{inside}/{name}" for name in names if name.endswith(".py"))
            found += [target for target in targets if target not in texts]
    return sorted(found)


def _write(root: Path, target: str, text: str) -> None:
    """Write a file and its copy, so that at each moment the file's text is one of the known ones."""
    copy, coming = root / CACHE / "tangled" / target, root / CACHE / "tangling" / target
    path = root / target
    if path.is_file() and copy.is_file() and path.read_bytes() == copy.read_bytes() == text.encode("utf-8"):
        return
    write(coming, text)
    write(path, text)
    write(copy, text)
    coming.unlink()


def _delete(root: Path, target: str) -> None:
    (root / target).unlink(missing_ok=True)
    (root / CACHE / "tangled" / target).unlink(missing_ok=True)
    folder = (root / target).parent
    while folder != root and folder.relative_to(root).as_posix() not in FOLDERS and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
