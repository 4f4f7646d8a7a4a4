"""Scores: four-part chorales of J. S. Bach as grids of pitches."""

from __future__ import annotations

# book/appendices/c-data.qmd § Chorales
import fnmatch
import io
import re
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from tqdm import tqdm

from agm.data.archives import check_member, read_members
from agm.data.cache import processed
from agm.data.fetch import Source
from agm.data.images import held_out, select
from agm.data.records import DataError, ScoreData, Split, check_split
from agm.data.registries import Package

CHORALES_SOURCES = (
    (
        Source(
            "music21-10.5.1-py3-none-any.whl",
            "dc3309498c4c95cebdf8d4f20c868deb6b63bce1d929cad4f51a7ccc982987b1",
            20118992,
            package=Package("pip", "music21", "10.5.1"),
        ),
    ),
)
PARTS = ("Soprano", "Alto", "Tenor", "Bass")
STEPS_PER_QUARTER = 4
REST = -1
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


# book/appendices/c-data.qmd § Chorales
def midi_pitch(pitch: ElementTree.Element) -> int:
    """Number a pitch of MusicXML: 60 is middle C, one step a semitone.

    Args:
        pitch: a `pitch` element.

    Returns:
        The MIDI pitch.
    """
    octave = int(pitch.findtext("octave", "0"))
    alteration = round(float(pitch.findtext("alter", "0")))
    return 12 * (octave + 1) + _SEMITONES[pitch.findtext("step", "C")] + alteration


def _notes(part: ElementTree.Element) -> Iterator[tuple[int, int, int]]:
    """Yield first step, end and pitch of every note of a part's main voice.

    Time is counted in `divisions` of a quarter note. Steps are sampled where they begin, so that a
    note shorter than a step is kept only if it sounds there.
    """
    divisions, measure_start = 1, 0
    for measure in part.iter("measure"):
        now = reached = measure_start
        for element in measure:
            if element.tag == "attributes":
                divisions = int(element.findtext("divisions", str(divisions)))
            duration = int(element.findtext("duration", "0"))
            if element.tag == "backup":
                now -= duration
            elif element.tag == "forward":
                now += duration
            elif element.tag == "note" and element.find("chord") is None and element.find("grace") is None:
                pitch = element.find("pitch")
                if pitch is not None and element.findtext("voice", "1") in {"1", "5"}:
                    first, end = (-(-STEPS_PER_QUARTER * time // divisions) for time in (now, now + duration))
                    yield first, end, midi_pitch(pitch)
                now += duration
            reached = max(reached, now)
        measure_start = reached


def parse_chorale(xml: bytes) -> np.ndarray | None:
    """Turn a MusicXML score into a grid, as it is written: repeats are not played out.

    Args:
        xml: the score.

    Returns:
        `(n_steps, 4)`, int8 MIDI pitch or -1; nothing if the score is not for these four parts.
    """
    root = ElementTree.fromstring(xml)
    names = {part.get("id"): (part.findtext("part-name") or "").split() for part in root.iter("score-part")}
    chosen: dict[str, list[tuple[int, int, int]]] = {}
    for part in root.iter("part"):
        words = names.get(part.get("id"), [])
        if words and words[0] in PARTS and "2" not in words[1:2]:
            if words[0] in chosen:
                return None
            chosen[words[0]] = list(_notes(part))
    if len(chosen) < len(PARTS) or not all(chosen.values()):
        return None
    length = max(end for notes in chosen.values() for _, end, _ in notes)
    grid = np.full((length, len(PARTS)), REST, dtype=np.int8)
    for column, name in enumerate(PARTS):
        for first, end, pitch in chosen[name]:
            grid[first:end, column] = pitch
    return grid


# book/appendices/c-data.qmd § Chorales
def _build_chorales(paths: list[Path]) -> dict[str, np.ndarray]:
    """Parse every score for four voices; keep one copy of scores that are the same."""
    grids: dict[str, np.ndarray] = {}
    seen: set[bytes] = set()
    for name, content in tqdm(
        read_members(paths[0], "music21/corpus/bach/bwv*.mxl").items(), desc="reading scores", disable=None
    ):
        grid = parse_chorale(_musicxml(paths[0], name, content))
        if grid is not None and grid.tobytes() not in seen:
            seen.add(grid.tobytes())
            grids[PurePosixPath(name).stem.replace("bwv", "BWV ")] = grid
    return {
        "titles": np.array(list(grids)),
        "lengths": np.array([len(grid) for grid in grids.values()]),
        "steps": np.concatenate(list(grids.values())),
    }


def _musicxml(path: Path, name: str, content: bytes) -> bytes:
    """Return the score inside a compressed MusicXML file."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            check_member(path, member.filename, member.file_size)
            if not member.filename.startswith("META-INF") and fnmatch.fnmatch(member.filename, "*xml"):
                return archive.read(member)
    raise DataError(f"{path}: {name} holds no score: fetch the package again")


def _piece(title: str) -> str:
    """Return the catalogue number without the movement's variant, shared by versions of one piece."""
    return re.split(r"[.-]", title)[0]


def load_chorales(split: Split = "train") -> ScoreData:
    """Load four-part chorales of J. S. Bach on a grid of sixteenth notes.

    All movements and versions under one number of the catalogue are in the same split.

    Args:
        split: `train` (about nine tenths), `test` or `all`; ordered by title.

    Returns:
        Scores of different lengths; columns soprano, alto, tenor, bass; -1 where a part rests.

    Raises:
        DataError: if the scores are not in the cache and cannot be fetched.
    """
    check_split(split)
    arrays = processed("chorales", CHORALES_SOURCES, _build_chorales, recipe=1)
    titles = arrays["titles"].tolist()
    chosen = select(split, held_out([_piece(title) for title in titles], 0.1))
    ends = np.cumsum(arrays["lengths"])
    grids = [arrays["steps"][ends[index] - arrays["lengths"][index] : ends[index]] for index in chosen]
    scores = tuple(torch.from_numpy(grid).long() for grid in grids)
    return ScoreData("chorales", split, scores, tuple(titles[index] for index in chosen), STEPS_PER_QUARTER)
