"""Speech: digits, words and short phrases by five voices in five languages."""

from __future__ import annotations

# book/appendices/c-data.qmd § Speech
import io
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
import torch

from agm.data.archives import read_members
from agm.data.cache import processed
from agm.data.fetch import Source
from agm.data.images import DIGIT_NAMES, held_out, select
from agm.data.records import AudioData, DataError, Split, check_split
from agm.data.registries import Package

SAMPLE_RATE = 8000
_DIGIT_PROMPTS = {f"digits/{digit}" for digit in DIGIT_NAMES}
_NO_SPEECH = {f"{direction}-2tone" for direction in ("ascending", "descending")} | {
    *("beep", "beeperr", "confbridge-join", "confbridge-leave", "silence/1", "silence/2")
}

_PACKAGES = (
    ("en", 18272864, "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d"),
    ("es", 23767256, "9283a09a6d56fccdcc2bcfe86c48f0f844289cfbd46a3184d8785a6f7f569903"),
    ("fr", 18516060, "8d4e1bc32ed5ba7fbda40841ca1825ed20cc6232724a473c90f8bb0e53e6073e"),
    ("it", 18262124, "5a26638089e134b8ac39363fe249c5c93c50cd8bfdc9b2499ae61ec4a35e2fcb"),
    ("ru", 18788860, "ccbfaebfa450b7a9ddf644ae0f3d1e9017d5df7c0aebe816e946345589d38201"),
)


def _debian(language: str, size: int, sha256: str) -> Source:
    """Describe the Debian package with the recordings of one language."""
    name, version = f"asterisk-core-sounds-{language}-wav", "1.6.1-1"
    return Source(f"{name}_{version}_all.deb", sha256, size, package=Package("apt", name, version))


SPEECH_SOURCES = (tuple(_debian(*package) for package in _PACKAGES),)


# book/appendices/c-data.qmd § Speech
def trim(waveform: np.ndarray, threshold: float = 0.01, margin: int = 200) -> np.ndarray:
    """Cut the silence before and after a clip and bring its peak to 0.9.

    Args:
        waveform: `(time,)`, float.
        threshold: what counts as sound, as a part of the peak.
        margin: samples kept on both sides.

    Returns:
        The shorter waveform, float32, with mean removed; empty if nothing sounds.
    """
    if len(waveform) == 0 or not np.ptp(waveform) > 0:
        return np.zeros(0, dtype=np.float32)
    centred = waveform - waveform.mean()
    peak = np.abs(centred).max()
    loud = np.flatnonzero(np.abs(centred) > threshold * peak)
    kept = centred[max(loud[0] - margin, 0) : loud[-1] + margin]
    return (0.9 / peak * kept).astype(np.float32)


def _build(paths: list[Path], pattern: str, longest: float) -> dict[str, np.ndarray]:
    """Take the recordings of every voice whose names match and that last at most so many seconds."""
    clips, names, voices = [], [], []
    for path in paths:
        for name, content in read_members(path, pattern).items():
            samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
            if rate != SAMPLE_RATE or samples.ndim != 1:
                raise DataError(f"{path}: {name} is not mono at {SAMPLE_RATE} Hz: fetch the package again")
            clip = trim(samples)
            if 0 < len(clip) <= longest * SAMPLE_RATE:
                voice, _, prompt = name.partition("/sounds/")[2].partition("/")
                clips.append(np.rint(clip * 32767).astype(np.int16))
                names.append(prompt.removesuffix(".wav"))
                voices.append(voice)
    lengths = np.array([len(clip) for clip in clips])
    return {
        "samples": np.concatenate(clips),
        "lengths": lengths,
        "names": np.array(names),
        "voices": np.array(voices),
    }


def _batch(arrays: dict[str, np.ndarray], chosen: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad the chosen clips to one batch; return it with their lengths."""
    lengths = arrays["lengths"]
    ends = np.cumsum(lengths)
    waveforms = torch.zeros(len(chosen), int(lengths[chosen].max()))
    for row, index in enumerate(chosen):
        clip = arrays["samples"][ends[index] - lengths[index] : ends[index]]
        waveforms[row, : lengths[index]] = torch.from_numpy(clip.astype(np.float32) / 32767)
    return waveforms, torch.from_numpy(lengths[chosen]).long()


# book/appendices/c-data.qmd § Speech
def load_spoken_digits(split: Split = "train") -> AudioData:
    """Load the digits 0 to 9 spoken by five professional voices, each in another language.

    There is one recording for every voice and digit. A voice left out would be a language left
    out; so of every voice two digits are held out, in such a way that every digit is held out
    exactly once: voice v keeps back the digits 2v and 2v + 1. No recording is in both splits.

    Args:
        split: `train` (40 clips), `test` (10) or `all`; ordered by voice, then digit.

    Returns:
        Clips at 8 kHz without leading and trailing silence, peak 0.9; labels: the digit.

    Raises:
        DataError: if the recordings are not in the cache and cannot be fetched.
    """
    check_split(split)
    build = partial(_build, pattern="*/digits/[0-9].wav", longest=2.0)
    arrays = processed("spoken-digits", SPEECH_SOURCES, build, recipe=2)
    labels = np.array([int(name.removeprefix("digits/")) for name in arrays["names"]])
    voice_numbers = np.unique(arrays["voices"], return_inverse=True)[1]
    chosen = select(split, labels // 2 == voice_numbers)
    return AudioData(
        "spoken_digits",
        split,
        *_batch(arrays, chosen),
        torch.from_numpy(labels[chosen]).long(),
        DIGIT_NAMES,
        tuple(arrays["voices"][chosen].tolist()),
        SAMPLE_RATE,
    )


# book/appendices/c-data.qmd § Speech
def load_speech(split: Split = "train") -> AudioData:
    """Load words and short phrases by the same five voices, for models that need more than 50 clips.

    A prompt has the same name in every language; it is held out in all of them or in none. The
    digits of `load_spoken_digits` are not among the clips, nor are the prompts that nobody speaks: six
    signals and two pieces of silence.

    Args:
        split: `train` (about nine tenths), `test` or `all`; ordered by voice, then prompt.

    Returns:
        Clips of at most two seconds at 8 kHz without leading and trailing silence, peak 0.9;
        labels: the voice.

    Raises:
        DataError: if the recordings are not in the cache and cannot be fetched.
    """
    check_split(split)
    arrays = processed("speech", SPEECH_SOURCES, partial(_build, pattern="*.wav", longest=2.0), recipe=1)
    left_out = np.array([name in _DIGIT_PROMPTS | _NO_SPEECH for name in arrays["names"]])
    chosen = select(split, held_out(arrays["names"].tolist(), 0.1))
    chosen = chosen[~left_out[chosen]]
    voices, labels = np.unique(arrays["voices"], return_inverse=True)
    return AudioData(
        "speech",
        split,
        *_batch(arrays, chosen),
        torch.from_numpy(labels[chosen]).long(),
        tuple(voices.tolist()),
        tuple(arrays["voices"][chosen].tolist()),
        SAMPLE_RATE,
    )
