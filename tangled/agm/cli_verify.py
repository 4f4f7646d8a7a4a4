"""`agm verify`: the derivations of the book, line by line, with the verdict on each."""

from __future__ import annotations

# book/appendices/b-training.qmd § The command line
import importlib
import re
import sys
from pathlib import Path

from agm.recipes import unknown
from agm.training import TrainingError

_LABEL = re.compile(r"\{#(eq-[\w-]+)\}")


def verify(what: str) -> int:
    """Check an equation or a chapter and print its derivations.

    Args:
        what: a label such as `eq-tr-ema`, or a chapter: its number, its slug, or its file.

    Returns:
        0 if every line is accepted, 1 if not.

    Raises:
        TrainingError: outside a checkout of the book, or if there is no such equation or chapter.
    """
    root = _checkout()
    chapters = sorted((root / "book").rglob("*.qmd"))
    arguments: list[str]
    if what.startswith("eq-"):
        labels = {label: path for path in chapters for label in _LABEL.findall(path.read_text("utf-8"))}
        if what not in labels:
            raise TrainingError(unknown("equation", what, labels))
        arguments = [str(labels[what]), "--eq", what]
    else:
        stem = Path(what).name.removesuffix(".qmd")
        found = [path for path in chapters if stem in (path.stem, *path.stem.split("-", 1))]
        if not found:
            raise TrainingError(unknown("chapter", what, (path.stem.split("-", 1)[-1] for path in chapters)))
        arguments = [str(found[0]), "--steps"]
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        proofread = importlib.import_module("proofread.__main__")
    except ImportError as error:
        raise TrainingError(f"the proofreader cannot be imported ({error}): run `make setup`") from None
    return int(proofread.main(arguments))


def _checkout() -> Path:
    """The book's folder: the working folder or one above it, else that of the package."""
    for folder in (Path.cwd(), *Path.cwd().parents, *Path(__file__).resolve().parents):
        if (folder / "_quarto.yml").is_file() and (folder / "proofread").is_dir():
            return folder
    raise TrainingError("no chapters here: `agm verify` needs a checkout of the book; change into its folder")
