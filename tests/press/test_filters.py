"""The filters that every output shares: macros, and the normal form of references."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pypandoc
import pytest

import press

FILTERS = Path(press.__file__).parent / "filters"
MACROS = {
    "E": r"\mathbb{E}", "R": r"\mathbb R", "KL": r"D\left(#1 \,\middle\|\, #2\right)",
    "twice": r"\KL{#1}{#1}", "loop": r"\loop",
}  # fmt: skip


def run(folder: Path, text: str, names: tuple[str, ...], form: str, context: dict | None = None):
    macros = {name: f"${body}$" for name, body in MACROS.items()}
    (folder / "meta.json").write_text(json.dumps({"macros": macros}))
    command = [pypandoc.get_pandoc_path(), "-f", "markdown", "-t", form, "--wrap=none"]
    command += ["--metadata-file", str(folder / "meta.json")]
    for name in names:
        command += ["--lua-filter", str(FILTERS / f"{name}.lua")]
    environment = dict(os.environ)
    if context is not None:
        (folder / "context.json").write_text(json.dumps(context))
        environment["PRESS_CONTEXT"] = str(folder / "context.json")
    return subprocess.run(command, input=text.encode(), env=environment, capture_output=True)


@pytest.mark.parametrize(
    ("tex", "expanded"),
    [
        (r"\E_{x} y", r"\mathbb{E}_{x} y"),
        (r"\KL{p}{q}", r"D\left(p \,\middle\|\, q\right)"),
        (r"\KL p q", r"D\left(p \,\middle\|\, q\right)"),
        (r"\KL{p_{a}}\alpha", r"D\left(p_{a} \,\middle\|\, \alpha\right)"),
        (r"\twice{\E}", r"D\left(\mathbb{E} \,\middle\|\, \mathbb{E}\right)"),
        (r"\R x + \Re y + \\E", r"\mathbb R x + \Re y + \\E"),
        (r"a \% b", r"a \% b"),
    ],
)
def test_macros_are_expanded(tmp_path: Path, tex: str, expanded: str) -> None:
    done = run(tmp_path, f"${tex}$\n", ("macros",), "json")
    (block,) = json.loads(done.stdout)["blocks"]
    assert block["c"][0]["c"][1] == expanded


def test_macros_are_expanded_in_titles_and_captions(tmp_path: Path) -> None:
    text = '::: {.callout-note title="On $\\E$"}\nx\n:::\n\n```{.python lst-cap="$\\R$"}\nx\n```\n'
    done = run(tmp_path, text, ("macros",), "json")
    div, code = json.loads(done.stdout)["blocks"]
    assert div["c"][0][2] == [["title", r"On $\mathbb{E}$"]]
    assert code["c"][0][2] == [["lst-cap", r"$\mathbb R$"]]


@pytest.mark.parametrize(
    ("tex", "message"),
    [
        (r"\KL{p}", "macro without its argument"),
        (r"\KL{p}{q", "macro argument is not closed"),
        (r"\loop", "macros that expand to themselves"),
    ],
)
def test_a_macro_used_wrongly_is_refused(tmp_path: Path, tex: str, message: str) -> None:
    done = run(tmp_path, f"${tex}$\n", ("macros",), "json")
    assert done.returncode and message in done.stderr.decode()


def label(text: str) -> dict[str, str]:
    kind, number = text.split()[0].lower(), text.split()[1]
    return {"text": text, "number": number, "href": f"#{kind}", "kind": kind[:2], "title": ""}


CONTEXT = {"sections": ["1"], "labels": {"eq-a": label("Equation 1.1"), "exr-a": label("Exercise 1.1")}}
HEADING = "# T\n\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("See @eq-a.", "See Equation 1.1."),
        ("[@eq-a; @exr-a]", "Equation 1.1, Exercise 1.1"),
        ("[-@eq-a]", "1.1"),
        ("By @eq-a [@someone].", "By Equation 1.1 [@someone]."),
        ("By @someone [@eq-a].", "By [@someone] Equation 1.1."),
        ("By @eq-a [the first].", "By Equation 1.1 [the first]."),
    ],
)
def test_references_beside_citations(tmp_path: Path, text: str, shown: str) -> None:
    done = run(tmp_path, HEADING + text, ("book",), "plain", CONTEXT)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().strip().split("\n")[-1].replace("\u00a0", " ") == shown


def test_an_unknown_label_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path, HEADING + "@eq-none", ("book",), "plain", CONTEXT)
    assert done.returncode and "unknown label @eq-none" in done.stderr.decode()


def test_a_heading_that_is_a_reference_does_not_take_its_name(tmp_path: Path) -> None:
    text = "# @exr-a {.unnumbered}\n\n::: {#exr-a}\n## N\nx\n:::\n"
    done = run(tmp_path, text, ("book",), "html", CONTEXT)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().count('id="exr-a"') == 1


def test_more_or_fewer_headings_than_the_index_are_an_error(tmp_path: Path) -> None:
    for text in ("# A\n\n# B\n", "Text.\n"):
        done = run(tmp_path, text, ("book",), "html", CONTEXT)
        assert done.returncode and "headings than the index knows" in done.stderr.decode()


def test_the_same_text_gives_the_same_bytes(tmp_path: Path) -> None:
    text = HEADING + "@eq-a, @exr-a\n"
    made = {run(tmp_path, text, ("macros", "book"), "html", CONTEXT).stdout for _ in range(8)}
    assert len(made) == 1
