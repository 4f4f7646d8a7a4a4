"""Command line: ``python -m proofread FILE… [--eq eq-x]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from proofread.book import check_files
from proofread.errors import ProofreadError
from proofread.extract import read_document
from proofread.ledger import EquationResult, totals

MARKS = {"proved": "✓✓", "holds numerically": "✓ ", "refuted": "✗ ", "undecided": "? ", "definition": ":="}


def show(result: EquationResult, steps: bool) -> str:
    """One equation for people: its verdict, and line by line if wanted or if something is wrong."""
    lines = [f"{result.path}:{result.line}: {result.label}: {result.verdict}"]
    if steps or not result.accepted:
        for step in result.steps:
            mark = MARKS.get(step.verdict, "  ")
            lines.append(f"  {mark} {step.left}\n       {step.relation} {step.right}    [{step.verdict}]")
            if step.reason:
                lines.append(f"       {step.reason}")
            if step.place:
                lines.extend(f"       {line}" for line in step.place.split("\n"))
            if step.counterexample:
                lines.append(f"       counterexample: {step.counterexample}")
    if result.note:
        lines.append("  " + result.note.replace("\n", "\n  "))
    if result.code and steps:
        lines.append(f"  {result.code}")
    if result.mutants and (steps or result.mutants["survivors"]):
        found = result.mutants
        lines.append(
            f"  mutants: {found['killed']} of {found['total']} killed, {found['equivalent']} equivalent, "
            f"{found.get('uninformative', 0)} not informative"
        )
        lines.extend(f"  {sentence}" for sentence in found.get("loose", []))
        lines.extend(f"  survivor: {name}" for name in found["survivors"])
    if result.doubtful:
        found = result.mutants
        lines.append(
            f"  warning: {found['equivalent']} of {found['total']} mutants mean the same under the "
            "interpretation: is it so narrow that anything passes?"
        )
    return "\n".join(lines)


def _labelled(files: list[Path], wanted: list[str]) -> int:
    """How many equations are to be checked, as far as the files can be read."""
    count = 0
    for path in files:
        try:
            labels = {display.label for display in read_document(path).displays} - {"", None}
        except ProofreadError:
            continue
        count += len(labels & set(wanted) if wanted else labels)
    return count


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 if every equation is accepted, 1 if not, 2 for unusable input."""
    parser = argparse.ArgumentParser(prog="python -m proofread", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help=".qmd, .md or .tex files")
    parser.add_argument(
        "--eq", action="append", default=[], metavar="LABEL", help="only this equation, line by line"
    )
    parser.add_argument(
        "--ledger", type=Path, help="JSON file with verdicts; unchanged equations are taken from it"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes (default 1)")
    parser.add_argument("--steps", action="store_true", help="show every line of every derivation")
    options = parser.parse_args(arguments)
    results: list[EquationResult] = []
    unreadable = 0
    bar = tqdm(total=_labelled(options.files, options.eq), unit="equation", disable=not sys.stderr.isatty())
    try:
        for name, outcome in check_files(
            options.files, options.ledger, options.jobs, options.eq, Path.cwd(), bar.update
        ):
            if isinstance(outcome, ProofreadError):
                unreadable += 1
                tqdm.write(f"{outcome}" if name in str(outcome) else f"{name}: {outcome}", file=sys.stderr)
                continue
            results.extend(outcome)
            for result in outcome:
                if not result.accepted or result.doubtful or options.eq or options.steps:
                    tqdm.write(show(result, bool(options.eq) or options.steps))
    except ProofreadError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        bar.close()
    found = totals(results)
    verdicts = ", ".join(f"{count} {name}" for name, count in found["by verdict"].items())
    telling = found["mutants"] - found["mutants equivalent"] - found["mutants not informative"]
    rate = "" if found["kill rate"] is None else f"; {found['kill rate']:.1%} of {telling} mutants killed"
    print(f"{found['equations']} equations: {verdicts or 'none'}{rate}")
    if found["perhaps trivial"]:
        print(f"{found['perhaps trivial']} interpretations may be trivial: see the warnings")
    if unreadable:
        return 2
    return 0 if all(result.accepted for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
