"""The files that all pages share: style sheet, scripts, fonts and MathJax."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from press.errors import PressError
from press.files import digest

ASSETS = Path(__file__).parent / "assets"
STYLES = ("fonts", "tokens", "layout", "navigation", "prose", "blocks", "code", "cover", "print")
SCRIPTS = ("math", "page", "previews", "search")
MATHJAX = "sphinx-mathjax-offline"


@cache
def assets() -> dict[str, bytes]:
    """Style sheet, scripts, fonts and MathJax, by their path on the site.

    Raises:
        PressError: The package that carries MathJax is not installed.
    """
    style = "\n".join((ASSETS / f"{name}.css").read_text(encoding="utf-8") for name in STYLES)
    script_text = "\n".join((ASSETS / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    files = {"assets/book.css": style.encode(), "assets/book.js": script_text.encode()}
    files["assets/icon.svg"] = (ASSETS / "icon.svg").read_bytes()
    for path in sorted((ASSETS / "fonts").iterdir()):
        files[f"assets/fonts/{path.name}"] = path.read_bytes()
    source = _mathjax()
    files["assets/mathjax/tex-chtml-full.js"] = (source / "tex-chtml-full.js").read_bytes()
    for path in sorted((source / "output" / "chtml" / "fonts" / "woff-v2").glob("*.woff")):
        files[f"assets/mathjax/fonts/{path.name}"] = path.read_bytes()
    return files


def _mathjax() -> Path:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution(MATHJAX)
    except PackageNotFoundError:
        found = None
    names = [file for file in (found.files or []) if file.name == "tex-chtml-full.js"] if found else []
    if not found or not names:
        raise PressError(
            f"MathJax is missing: the package {MATHJAX} is not installed", remedy="run make setup"
        )
    return Path(str(found.locate_file(names[0]))).parent


@cache
def version() -> str:
    """A short digest of style and scripts, so that a browser never shows a page with an older one."""
    shared = assets()
    return digest(shared["assets/book.css"], shared["assets/book.js"])[:10]
