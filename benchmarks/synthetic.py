"""A synthetic book of the size of the real one, with its outputs, so that nothing executes.

Every chapter has the anatomy of a real one: prose with formulas, citations and references, labelled
derivations, theorems with proofs, figures, tables, tangled code with tests, exercises with solutions. The
same seed gives the same book.
"""

from __future__ import annotations

import itertools
import math
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from press.config import Book, load
from press.files import write
from press.scaffold import PARTS
from press.source import Chapter

REPOSITORY = Path(__file__).parent.parent
SYLLABLES = (
    "al", "be", "ca", "dor", "el", "fi", "gan", "hu", "in", "jo", "ka", "lu", "mo", "ne", "or", "pi", "qua",
    "ra", "so", "ta", "un", "ve", "wi", "xe", "yo", "zu", "per", "ment", "tion", "lis",
)  # fmt: skip
SECTIONS = ("Theory", "Exploration in JAX", "Implementation in PyTorch", "Experiment", "What can go wrong")
FORMULAS = (
    r"p_\theta(x \mid z)", r"\E_{q_\phi(z \mid x)}\left[ \log p_\theta(x \mid z) \right]", r"\KL{q_\phi}{p}",
    r"\mathbf x \in \R^d", r"\nabla_\theta \mathcal{L}(\theta)", r"\bar\alpha_t = \prod_{s=1}^t \alpha_s",
    r"\sigma^2", r"x_{t-1}", r"\frac{1}{n} \sum_{i=1}^n f(x_i)", r"\lVert \boldsymbol\epsilon \rVert^2",
)  # fmt: skip
DERIVATION = r"""$$
\begin{aligned}
\log p_\theta(x) &= \log \int p_\theta(x, z) \,\mathrm d z \\
&= \log \E_{q_\phi(z \mid x)}\left[ \frac{p_\theta(x, z)}{q_\phi(z \mid x)} \right] \\
&\ge \E_{q_\phi(z \mid x)}\left[ \log p_\theta(x \mid z) \right] - %d \KL{q_\phi(z \mid x)}{p(z)}
\end{aligned}
$$ {#%s}"""
SINGLE = r"""$$
q(x_t \mid x_0) = \mathcal{N}\left( x_t; \sqrt{\bar\alpha_t} \, x_0, (1 - \bar\alpha_t) I_{%d} \right)
$$ {#%s}"""


FIXED_WORDS = 1000
"""Words of a chapter outside the passages that fill it up: theorems, exercises, solutions, notes."""


@dataclass(frozen=True)
class Size:
    """How large the book is, in all."""

    chapters: int = 56
    words: int = 377_000
    equations: int = 1680
    figures: int = 336

    def per_chapter(self, total: int) -> int:
        """A chapter's share."""
        return max(1, total // self.chapters)


def generate(root: Path, size: Size | None = None, seed: int = 0) -> Book:
    """Write the chapters, the bibliography and the configuration; the package is not tangled yet.

    Args:
        root: An empty folder.
        size: The size of the whole book.
        seed: Of the random prose.
    """
    size = size or Size()
    maker = _Maker(size, random.Random(seed))
    parts: dict[str, list[str]] = {part: [] for part in PARTS}
    solutions: dict[str, str] = {}
    for number in range(1, size.chapters + 1):
        part = list(PARTS)[(number - 1) * len(PARTS) // size.chapters]
        path = f"book/{part}/{number:02d}-subject-{number}.qmd"
        parts[part].append(path)
        write(root / path, maker.chapter(number, part))
        solutions[part] = solutions.get(part, "") + maker.solutions(number)
    appendices = []
    for letter, (part, text) in zip("abcdefg", solutions.items(), strict=False):
        subject = part.split("-", 1)[1]
        appendices.append(f"book/appendices/{letter}-solutions-{subject}.qmd")
        write(root / appendices[-1], f"# Solutions: {PARTS[part]} {{#sec-solutions-{subject}}}\n\n{text}")
    write(
        root / "index.qmd", f"# Preface {{.unnumbered #sec-preface}}\n\n{maker.paragraph('subject-1', 200)}\n"
    )
    write(root / "references.bib", maker.bibliography())
    write(root / "_quarto.yml", _configuration(parts, appendices))
    for name in ("macros.lua", "quarto.lua"):
        if (REPOSITORY / "press/filters" / name).is_file():
            (root / "press/filters").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / "press/filters" / name, root / "press/filters" / name)
    return load(root)


def store_outputs(book: Book) -> None:
    """Write the notebooks as if every cell had been executed; the package must be tangled already."""
    from press.cells import notebook_path
    from press.execute import execute
    from press.index import build
    from press.notebook import Results, assemble
    from press.source import read
    from press.stale import Modules, chapter_key

    chapters = {entry.path: read(book.root, entry.path) for entry in book.entries}
    index, _ = build(book, chapters)
    known = Modules(book.root)

    def store(number: int, chapter: Chapter) -> None:
        outputs = [
            _outputs(cell.label, 1000 * number + place)
            for place, cell in enumerate(chapter.cells)
            if cell.evaluated
        ]
        results = Results(chapter_key(chapter, known), outputs, ["0.25"] * len(chapter.inline))
        write(notebook_path(book.root, chapter.path), assemble(book, chapter, index, results))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(store, range(len(chapters)), chapters.values()))
    if executed := execute(book):
        raise AssertionError(f"{len(executed)} notebooks do not count as fresh, the first is {executed[0]}")


class _Maker:
    """Writes the parts of the book."""

    def __init__(self, size: Size, chance: random.Random) -> None:
        self.size, self.chance = size, chance
        self.words = ["".join(chance.choices(SYLLABLES, k=chance.randint(1, 3))) for _ in range(4000)]
        self.references = 4 * size.chapters
        self.cited = itertools.cycle(range(1, self.references + 1))
        self.weights = [1 / (rank + 3) for rank in range(len(self.words))]

    def paragraph(self, name: str, count: int, references: tuple[str, ...] = ()) -> str:
        """Prose of `count` words, with formulas, a citation and the references."""
        words = self.chance.choices(self.words, self.weights, k=count)
        for position in range(11, count, 12):
            words[position] += "."
            if position + 1 < count:
                words[position + 1] = words[position + 1].capitalize()
        for position in range(7, count, 30):
            words[position] += f" ${self.chance.choice(FORMULAS)}$"
        extras = [f"@{label}" for label in references]
        if self.chance.random() < 0.6:
            extras.append(f"[@author{next(self.cited)}]")
        for extra in extras:
            words[self.chance.randrange(count)] += f" {extra}"
        words[count // 3] = f"*{words[count // 3]}*"
        text = " ".join(words)
        return text[0].upper() + text[1:]

    def chapter(self, number: int, part: str) -> str:
        """A chapter with its share of words, equations and figures."""
        name = f"subject-{number}"
        equations = [f"eq-{name}-{count}" for count in range(self.size.per_chapter(self.size.equations))]
        figures = [f"fig-{name}-{count}" for count in range(self.size.per_chapter(self.size.figures))]
        pieces = [_derivation(label, count) for count, label in enumerate(equations)]
        pieces += [_figure(label) for label in figures]
        pieces += [self._theorem(name, count) for count in range(4)] + [self._table(name)]
        self.chance.shuffle(pieces)
        labels = [*equations, *figures, f"tbl-{name}", *(f"thm-{name}-{count}" for count in range(4))]
        share = self.size.per_chapter(self.size.words) - FIXED_WORDS
        words = max(30, share // len(pieces))
        out = [f"# Subject {number}: {self.words[number]} {{#sec-{name}}}", self.paragraph(name, 120)]
        out += ['::: {.callout-note title="At a glance"}\n' + self.paragraph(name, 60) + "\n:::"]
        per_section = math.ceil(len(pieces) / len(SECTIONS))
        for position, title in enumerate(SECTIONS):
            out.append(f"## {title} {{#sec-{name}-{position}}}")
            for count, piece in enumerate(pieces[position * per_section : (position + 1) * per_section]):
                if count % 4 == 2:
                    out.append(f"### {' '.join(self.chance.choices(self.words, k=3)).capitalize()}")
                used = tuple(labels.pop() for _ in range(min(len(labels), 1 + count % 2)))
                earlier = (f"sec-subject-{self.chance.randint(1, number)}",) * (count % 3 == 0)
                out += [self.paragraph(name, words, used + earlier), piece]
        out.append(self.paragraph(name, 30 + len(labels), tuple(labels)) + ' It is `{python} f"{0.25}"`.')
        out += [_module(number), self._exercises(name), _tests(number), _claims(name, len(equations))]
        out += [f"## Notes and references {{#sec-{name}-notes}}", self.paragraph(name, 100)]
        return "\n\n".join(out) + "\n"

    def solutions(self, number: int) -> str:
        """Solutions of a chapter's exercises."""
        name = f"subject-{number}"
        stubs = [f"### @exr-{name}-{n} {{.unnumbered}}\n\n{self.paragraph(name, 30)}\n" for n in range(6)]
        return "\n".join([f"## @sec-{name} {{.unnumbered}}\n", *stubs, ""])

    def bibliography(self) -> str:
        """The references, four for each chapter, all of them cited."""
        entry = (
            "@article{{author{0},\n  author = {{{1}, Anna and {2}, Bo}},\n  title = {{{3}}},\n"
            "  journal = {{Journal of {1}}},\n  year = {{{4}}},\n  doi = {{10.1000/{0}}},\n}}\n"
        )
        return "\n".join(
            entry.format(
                n, self.words[n].capitalize(), self.words[n + 1].capitalize(),
                " ".join(self.words[n : n + 6]).capitalize(), 1950 + n % 70,
            )
            for n in range(1, self.references + 1)
        )  # fmt: skip

    def _theorem(self, name: str, count: int) -> str:
        statement, proof = self.paragraph(name, 30), self.paragraph(name, 40)
        return (
            f"::: {{#thm-{name}-{count}}}\n## Law {count}\n\n{statement}\n:::\n\n::: {{.proof}}\n{proof}\n:::"
        )

    def _table(self, name: str) -> str:
        rows = [f"| {self.words[n]} | $x_{n}$ | {n / 7:.3f} |" for n in range(8)]
        return "\n".join(
            ["| Name | Symbol | Value |", "|:--|:-:|--:|", *rows, "", f": Values {{#tbl-{name}}}"]
        )

    def _exercises(self, name: str) -> str:
        out = [f"## Exercises {{#sec-{name}-exercises}}"]
        for count in range(6):
            out.append(f"::: {{#exr-{name}-{count}}}\n## Task ⋆\n\n{self.paragraph(name, 30)}\n:::")
        return "\n\n".join(out)


def _derivation(label: str, count: int) -> str:
    return (DERIVATION if count % 2 else SINGLE) % (count, label)


def _claims(name: str, count: int) -> str:
    """The equations are drawn at random, so nothing is claimed of them: they stand as definitions."""
    code = f'from proofread import definition\n\ndefinition(*(f"eq-{name}-{{n}}" for n in range({count})))'
    return f"```{{python}}\n#| label: proofread-{name}\n#| eval: false\n#| code-fold: true\n{code}\n```"


def _figure(label: str) -> str:
    return (
        f'```{{python}}\n#| label: {label}\n#| fig-cap: "What to see in {label}: $x_t$ falls."\n'
        f'#| fig-alt: "A falling curve."\n#| code-fold: true\nfrom agm.drawing import curve\n\n'
        f'for step in range(10):\n    curve("{label}", step)\n```'
    )


def _module(number: int) -> str:
    functions = "\n\n\n".join(
        f'def function_{n}(x: float, scale: float = {n}.0) -> float:\n    """Scale and shift."""\n'
        f"    shifted = x - {n}\n    if shifted < 0:\n        raise ValueError('x is too small')\n"
        "    return scale * shifted"
        for n in range(12)
    )
    return (
        f"```{{python}}\n#| file: tangled/agm/subject_{number}.py\n"
        f'"""Subject {number}."""\n\nfrom __future__ import annotations\n\nLIMIT = {number}\n```\n\n'
        f"```{{python}}\n#| file: tangled/agm/subject_{number}.py\n{functions}\n```\n\n"
        f"```{{python}}\n#| label: run-{number}\nprint(function_1(3.0))\n```"
    )


def _tests(number: int) -> str:
    checks = "\n\n\n".join(
        f"def test_{n}() -> None:\n    assert function_{n}({n}.0) == 0.0" for n in range(12)
    )
    names = ",\n    ".join(f"function_{n}" for n in range(12))
    return (
        f"## Tests {{#sec-subject-{number}-tests}}\n\nThey are folded.\n\n"
        f"```{{python}}\n#| file: tests/chapters/test_subject_{number}.py\n#| code-fold: true\n"
        f'"""Tests."""\n\nfrom agm.subject_{number} import (\n    {names},\n)\n\n\n{checks}\n```'
    )


def _outputs(label: str, seed: int) -> list[dict[str, Any]]:
    if label.startswith("fig-"):
        data = {"image/svg+xml": drawing(seed), "text/plain": "<Figure size 630x300>"}
        return [{"output_type": "display_data", "data": data, "metadata": {}}]
    if label.startswith("run-"):
        return [{"output_type": "stream", "name": "stdout", "text": f"{seed}\n" * 5}]
    return []


def drawing(seed: int) -> str:
    """A picture of about 15 kB: axes, a grid and four curves, like Matplotlib's but drawn at once."""
    curves = []
    for count, colour in enumerate(("#0072B2", "#E69F00", "#009E73", "#D55E00")):
        points = " ".join(
            f"{40 + x:.2f},{110 - 80 * math.exp(-x / 90) * math.cos(x / (9 + count) + seed):.2f}"
            for x in range(0, 400, 2)
        )
        curves.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.4"/>')
    ticks = "".join(f'<path d="M{x} 200v4M36 {x // 2}h4" stroke="#333"/>' for x in range(40, 440, 40))
    frame = '<path d="M40 10V200H440" fill="none" stroke="#333"/>'
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="453pt" height="216pt" viewBox="0 0 453 216">'
        f"{frame}{ticks}{''.join(curves)}</svg>"
    )


def _configuration(parts: dict[str, list[str]], appendices: list[str]) -> str:
    lines = ["project:", "  type: book", "  output-dir: _book", "book:", "  title: A Synthetic Book"]
    lines += ["  author: Nobody", "  chapters:", "    - index.qmd"]
    for part, paths in parts.items():
        if paths:
            lines += [
                f'    - part: "{PARTS[part]}"',
                "      chapters:",
                *(f"        - {path}" for path in paths),
            ]
    lines += ["  appendices:", *(f"    - {path}" for path in appendices)]
    lines += ["bibliography: references.bib", "number-sections: true", "crossref:", "  chapters: true"]
    lines += ["execute:", "  freeze: auto", "jupyter: python3", "filters:", "  - press/filters/macros.lua"]
    if (REPOSITORY / "press/filters/quarto.lua").is_file():
        lines.append("  - press/filters/quarto.lua")
    lines += ["format:", "  html: default", "  pdf: default", "macros:", "  E: '$\\mathbb{E}$'"]
    lines += ["  R: '$\\mathbb{R}$'", "  KL: '$D_{\\mathrm{KL}}\\left(#1 \\,\\middle\\|\\, #2\\right)$'"]
    return "\n".join(lines) + "\n"
