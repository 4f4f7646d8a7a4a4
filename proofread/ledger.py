"""The ledger: the verdict on every labelled equation, as JSON."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from proofread.errors import ProofreadError
from proofread.judge import Step

VERSION = 1
ORDER = ["refuted", "undecided", "holds numerically", "proved", "definition", "assumption", "cited theorem"]


@dataclass
class EquationResult:
    """The entry of one labelled equation.

    Args:
        label: its label.
        path: file.
        line: line of its first character.
        latex: what the reader sees.
        kind: derived, checked by hand, definition, assumption, cited theorem or unchecked.
        verdict: the worst verdict of its steps, or the kind if nothing is to be checked.
        steps: the verdict on each relation.
        note: reason, or the theorem's source.
        code: name of the function it is bound to, and what that check said.
        mutants: made, killed, equivalent, not informative, names of survivors, and loose bounds.
        seconds: time it took.
        fingerprint: of everything the verdict depends on.
    """

    label: str
    path: str
    line: int
    latex: str
    kind: str
    verdict: str
    steps: list[Step] = field(default_factory=list)
    note: str = ""
    code: str = ""
    mutants: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    fingerprint: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the equation may stand in the book."""
        return self.verdict not in ("refuted", "undecided") and not self.mutants.get("survivors")

    @property
    def doubtful(self) -> bool:
        """Whether more than a third of the mutants mean the same: the interpretation may be trivial."""
        same = set(self.mutants.get("equivalents", [])) - set(self.mutants.get("excused", {}))
        return 3 * len(same) > max(self.mutants.get("total", 0), 1)


def worst(verdicts: list[str]) -> str:
    """The verdict that an equation with these steps has."""
    return min(verdicts, key=ORDER.index)


def totals(results: list[EquationResult]) -> dict[str, Any]:
    """Numbers for the preface: equations by kind and verdict, steps by verdict, draws, mutants."""
    steps = [step for result in results for step in result.steps]
    made = sum(result.mutants.get("total", 0) for result in results)
    equivalent = sum(result.mutants.get("equivalent", 0) for result in results)
    killed = sum(result.mutants.get("killed", 0) for result in results)
    silent = sum(result.mutants.get("uninformative", 0) for result in results)
    telling = made - equivalent - silent
    return {
        "equations": len(results),
        "by kind": _count(result.kind for result in results),
        "by verdict": _count(result.verdict for result in results),
        "steps": len(steps),
        "steps by verdict": _count(step.verdict for step in steps),
        "draws": sum(step.draws for step in steps),
        "mutants": made,
        "mutants killed": killed,
        "mutants equivalent": equivalent,
        "mutants not informative": silent,
        "kill rate": killed / telling if telling > 0 else None,
        "perhaps trivial": sum(result.doubtful for result in results),
        "bound to code": sum(bool(result.code) for result in results),
    }


def _count(names: Any) -> dict[str, int]:
    table: dict[str, int] = {}
    for name in names:
        table[name] = table.get(name, 0) + 1
    return dict(sorted(table.items()))


def load(path: Path) -> dict[str, EquationResult]:
    """Entries by ``file#label``; an absent or outdated ledger is empty.

    Raises:
        ProofreadError: if the file is not a ledger.
    """
    if not path.exists():
        return {}
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.get("version") != VERSION:
            return {}
        entries = {}
        for entry in data["equations"]:
            steps = [Step(**step) for step in entry.pop("steps")]
            result = EquationResult(**entry, steps=steps)
            entries[f"{result.path}#{result.label}"] = result
        return entries
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ProofreadError(
            f"{path}: not a ledger ({problem})", "delete it and proofread again"
        ) from problem


def save(path: Path, results: list[EquationResult]) -> None:
    """Write the ledger atomically, sorted by file and line, with a final line break."""
    ordered = sorted(results, key=lambda result: (result.path, result.line, result.label))
    data = {
        "version": VERSION,
        "totals": totals(ordered),
        "equations": [asdict(result) for result in ordered],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(data, stream, ensure_ascii=False, indent=1)
            stream.write("\n")
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
