"""`python -m press VERB`: what the Makefile calls."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from press import config
from press.errors import PressError
from press.files import one_run

Verb = Callable[[config.Book, argparse.Namespace], None]


def _tangle(book: config.Book, options: argparse.Namespace) -> None:
    from press.tangle import tangle

    written = tangle(book, check=getattr(options, "check", False))
    for path in written:
        print(f"tangled {path}")


def _stitch(book: config.Book, options: argparse.Namespace) -> None:
    from press.stitch import stitch

    changed = stitch(book)
    for path in changed:
        print(f"stitched {path}")
    if not changed:
        print("no tangled file was edited")


def _execute(book: config.Book, options: argparse.Namespace) -> None:
    from press.execute import execute

    only = book.entry(options.chapter).path if getattr(options, "chapter", None) else None
    everything, timeout = getattr(options, "all", False), getattr(options, "timeout", 120)
    execute(book, only=only, everything=everything, jobs=options.jobs, timeout=timeout)


def _proofread(book: config.Book, options: argparse.Namespace) -> None:
    from press.proofs import proofread

    only = book.entry(options.chapter).path if getattr(options, "chapter", None) else None
    totals = proofread(book, only=only, label=getattr(options, "eq", "") or "", jobs=options.jobs)
    if totals:
        by_hand = totals["by kind"].get("checked by hand", 0)
        proved = totals["by verdict"].get("proved", 0) - by_hand
        shown = totals["by verdict"] | {"proved": proved} | ({"by hand": by_hand} if by_hand else {})
        verdicts = ", ".join(f"{count} {name}" for name, count in shown.items())
        rate = f"; {totals['kill rate']:.1%} of mutants killed" if totals["kill rate"] is not None else ""
        print(f"{totals['equations']} equations: {verdicts}{rate}")


def _html(book: config.Book, options: argparse.Namespace) -> None:
    from press.html import weave_html

    print(f"HTML: {_shown(book, weave_html(book, jobs=options.jobs))}")


def _pdf(book: config.Book, options: argparse.Namespace) -> None:
    from press.pdf import weave_pdf

    print(f"PDF:  {_shown(book, weave_pdf(book, jobs=options.jobs))}")


def _book(book: config.Book, options: argparse.Namespace) -> None:
    """All stages, each timed."""
    times: list[tuple[str, float]] = []
    stages: list[tuple[str, Verb]] = [
        ("tangle", _tangle),
        ("proofread", _proofread),
        ("execute", _execute),
        ("pdf", _pdf),  # before the site, whose cover links to it
        ("html", _html),
    ]
    for name, stage in stages:
        start = time.monotonic()
        stage(book, options)
        times.append((name, time.monotonic() - start))
    total = sum(seconds for _, seconds in times)
    print(" · ".join(f"{name} {seconds:.1f} s" for name, seconds in [*times, ("total", total)]))


def _check(book: config.Book, options: argparse.Namespace) -> None:
    from press.execute import execute
    from press.tangle import tangle

    tangle(book, check=True)
    execute(book, check=True)
    print("tangled/, tests/chapters/ and notebooks/ are what the chapters make")


def _lint(book: config.Book, options: argparse.Namespace) -> None:
    from press.lint import lint

    findings = lint(book)
    for finding in findings:
        print(finding)
    if findings:
        raise PressError(
            f"{len(findings)} finding{'s' * (len(findings) > 1)} in the chapters", remedy="see above"
        )
    print(f"{len(book.entries)} chapters: nothing to mend")


def _serve(book: config.Book, options: argparse.Namespace) -> None:
    from press.serve import serve

    serve(book, options.port)


def _new_chapter(book: config.Book, options: argparse.Namespace) -> None:
    from press.scaffold import new_chapter

    print(f"written {_shown(book, new_chapter(book, options.part, options.slug, options.title))}")


def _quarto(book: config.Book, options: argparse.Namespace) -> None:
    from press.quarto import render

    render(book, options.arguments)


def _shown(book: config.Book, path: Path) -> str:
    return str(path.relative_to(book.root)) if path.is_relative_to(book.root) else str(path)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    main = argparse.ArgumentParser(prog="press", description="Make the book from its chapters.")
    main.add_argument(
        "--root", type=Path, default=Path(), help="folder of _quarto.yml (default: this folder)"
    )
    verbs = main.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, run: Verb, text: str, jobs: bool = False) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(run=run)
        if jobs:
            sub.add_argument(
                "--jobs", type=int, default=2, metavar="N", help="chapters at work at once (default: 2)"
            )
        return sub

    verb("book", _book, "tangle, execute what is stale, weave HTML and PDF", jobs=True)
    tangle = verb("tangle", _tangle, "write the package and its tests from the chapters")
    tangle.add_argument("--check", action="store_true", help="write nothing; fail if something would change")
    verb("stitch", _stitch, "carry edits made in tangled files back into the chapters")
    execute = verb("execute", _execute, "execute stale chapters into notebooks/", jobs=True)
    execute.add_argument("--chapter", metavar="NAME", help="only this one: path, number or slug")
    execute.add_argument("--all", action="store_true", help="also those that are fresh")
    execute.add_argument(
        "--timeout",
        type=float,
        default=120,
        metavar="S",
        help="seconds that one cell may take (default: 120)",
    )
    proof = verb("proofread", _proofread, "check every labelled equation; keep the ledger", jobs=True)
    proof.add_argument("--chapter", metavar="NAME", help="only this one: path, number or slug")
    proof.add_argument("--eq", metavar="LABEL", help="only this equation, shown line by line")
    verb("html", _html, "weave the site", jobs=True)
    verb("pdf", _pdf, "weave the PDF", jobs=True)
    verb("check", _check, "fail when generated files are not what the chapters make")
    verb("lint", _lint, "check the chapters against the book's rules")
    serve = verb("serve", _serve, "serve the site and reload it when a chapter is saved")
    serve.add_argument("--port", type=int, default=8000, help="port on this machine (default: 8000)")
    new = verb("new-chapter", _new_chapter, "scaffold a chapter")
    new.add_argument("part", help="folder of the part, e.g. 01-foundations")
    new.add_argument("slug", help="file name without .qmd, e.g. 03-name")
    new.add_argument("title", help="title of the chapter")
    quarto = verb("quarto", _quarto, "write Quarto's freeze files and call quarto render")
    quarto.add_argument("arguments", nargs="*", help="passed on to quarto render (after --)")
    return main


def main(arguments: list[str] | None = None) -> int:
    """Run a verb; return the exit status."""
    options = parser().parse_args(arguments)
    try:
        book = config.load(options.root.resolve())
        if options.verb == "serve":
            options.run(book, options)
        else:
            with one_run(book.root):
                options.run(book, options)
    except PressError as error:
        print(f"press: {error}" if "\n" not in str(error) else str(error), file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output went away, as in `press lint | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("press: interrupted; what was finished is kept, run again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
