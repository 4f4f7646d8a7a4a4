"""Sound: mel spectrograms and back, a player for the page, and a small additive synthesiser."""

from __future__ import annotations

# book/appendices/c-data.qmd § Sound
import base64
import functools
import importlib
import importlib.util
import io
import itertools
import sys
from collections.abc import Iterable
from html import escape
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

AUDIO_BYTES = 60_000
PLAYER_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # those of MP3


class AudioError(RuntimeError):
    """A sound cannot be analysed or encoded; the message says why and what to do."""


@functools.cache
def torchaudio_transforms() -> ModuleType:
    """Import `torchaudio.transforms`, without torchaudio's compiled extension where that cannot load.

    The wheel on the package index is linked against CUDA, and its extension does not load beside a
    CPU-only torch. The transforms are pure PyTorch, so a stand-in for the extension that says
    "not available" is all they need. Only `lfilter` (slow) and alignment (absent) suffer.

    Returns:
        The module.

    Raises:
        AudioError: if torchaudio is not installed or cannot be imported even so.
    """
    if "torchaudio" not in sys.modules and importlib.util.find_spec("torchaudio") is None:
        raise AudioError("torchaudio is not installed: run `pip install torchaudio`")
    try:
        return importlib.import_module("torchaudio.transforms")
    except OSError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
            del sys.modules[name]
    absent: Any = ModuleType("torchaudio._extension")
    absent._IS_TORCHAUDIO_EXT_AVAILABLE = False
    absent._IS_ALIGN_AVAILABLE = False
    absent.fail_if_no_align = lambda function: function
    sys.modules["torchaudio._extension"] = absent
    try:
        return importlib.import_module("torchaudio.transforms")
    except (ImportError, OSError, AttributeError) as error:
        raise AudioError(
            f"torchaudio cannot be imported ({error}): install the version in the lock file"
        ) from None


# book/appendices/c-data.qmd § Sound
@functools.cache
def _mel_transform(sample_rate: int, n_fft: int, hop_length: int, n_mels: int) -> Any:
    """Build the mel power spectrogram of these settings once."""
    return torchaudio_transforms().MelSpectrogram(
        sample_rate=sample_rate, n_fft=n_fft, hop_length=hop_length, n_mels=n_mels, power=2.0
    )


def mel_spectrogram(
    waveform: Tensor,
    sample_rate: int = 8000,
    *,
    n_fft: int = 256,
    hop_length: int = 64,
    n_mels: int = 40,
    floor: float = 1e-5,
) -> Tensor:
    """Compute the logarithmic mel spectrogram of a waveform, @eq-data-mel.

    Args:
        waveform: `(..., time)`, float in [-1, 1]; computed in single precision.
        sample_rate: samples per second.
        n_fft: samples in a window (Hann).
        hop_length: samples between windows.
        n_mels: number of mel bands, from 0 to half the sample rate.
        floor: power below which everything counts as silence.

    Returns:
        `(..., n_mels, frames)`, float32, natural logarithm of mel power, at least `log(floor)`;
        `frames = 1 + time // hop_length`.

    Raises:
        AudioError: if the waveform is not floating-point, or shorter than half a window, or if there are no
            bands or no steps between windows.
    """
    if min(n_fft, hop_length, n_mels) < 1 or not floor > 0:
        settings = f"n_fft {n_fft}, hop_length {hop_length}, n_mels {n_mels}, floor {floor}"
        raise AudioError(f"{settings}: expected positive numbers")
    if not waveform.is_floating_point() or waveform.ndim == 0:
        raise AudioError(
            f"waveform of {waveform.dtype} and shape {tuple(waveform.shape)}: expected floats (..., time)"
        )
    if waveform.shape[-1] <= n_fft // 2:
        raise AudioError(
            f"waveform of {waveform.shape[-1]} samples: expected more than n_fft / 2 = {n_fft // 2}"
        )
    power: Tensor = _mel_transform(sample_rate, n_fft, hop_length, n_mels)(waveform.float())
    return power.clamp(min=floor).log()


def mel_frames(clips: Iterable[Tensor], sample_rate: int = 8000, **settings: int) -> Tensor:
    """Stack the mel frames of several clips, for statistics that ignore time.

    Args:
        clips: waveforms `(time,)` of any length.
        sample_rate: samples per second.
        settings: as for `mel_spectrogram`.

    Returns:
        `(frames of all clips, n_mels)`.

    Raises:
        AudioError: if there is no clip, or one of them is not a waveform of half a window at least.
    """
    frames = [mel_spectrogram(clip, sample_rate, **settings) for clip in clips]
    if not frames or any(spectrogram.ndim != 2 for spectrogram in frames):
        raise AudioError("clips: expected at least one waveform, each of shape (time,)")
    return torch.cat([spectrogram.T for spectrogram in frames])


def griffin_lim(
    log_mel: Tensor,
    sample_rate: int = 8000,
    *,
    n_fft: int = 256,
    hop_length: int = 64,
    n_iterations: int = 32,
    seed: int = 0,
    length: int | None = None,
) -> Tensor:
    """Find a waveform whose mel spectrogram is near the given one (Griffin & Lim, 1984).

    Args:
        log_mel: `(n_mels, frames)`, as from `mel_spectrogram` with the same settings.
        sample_rate: samples per second.
        n_fft: samples in a window.
        hop_length: samples between windows.
        n_iterations: rounds of phase estimation.
        seed: of the random first phase; the global generator is left as it was.
        length: samples wanted; by default `hop_length * (frames - 1)`.

    Returns:
        `(length,)`, float32, peak at most 1.

    Raises:
        AudioError: if the spectrogram is not `(n_mels, frames)` in floating point.
    """
    if log_mel.ndim != 2 or not log_mel.is_floating_point():
        raise AudioError(
            f"log_mel of {log_mel.dtype} and shape {tuple(log_mel.shape)}: expected floats (n_mels, frames)"
        )
    transform = _mel_transform(sample_rate, n_fft, hop_length, log_mel.shape[-2])
    filters: Tensor = transform.mel_scale.fb  # (n_fft / 2 + 1, n_mels)
    power = (torch.linalg.pinv(filters.T) @ log_mel.float().exp()).clamp(min=0.0)  # (n_fft / 2 + 1, frames)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        invert = torchaudio_transforms().GriffinLim(n_fft, n_iterations, hop_length=hop_length, length=length)
        waveform: Tensor = invert(power)
    return waveform / waveform.abs().max().clamp(min=1.0)


# book/appendices/c-data.qmd § Sound
class AudioPlayer:
    """A sound that shows itself as a player on HTML pages and as a line of text elsewhere.

    Args:
        encoded: the sound as an MP3 file.
        label: what is heard, for screen readers and for print.
        seconds: its length.
    """

    def __init__(self, encoded: bytes, label: str, seconds: float) -> None:
        self.encoded = encoded
        self.label = label
        self.seconds = seconds

    def __repr__(self) -> str:
        return f"Sound: {self.label} ({self.seconds:.1f} s; listen to it in the HTML edition)"

    def _repr_html_(self) -> str:
        data = base64.b64encode(self.encoded).decode("ascii")
        name = escape(self.label, quote=True)
        return (
            f'<figure class="sound"><audio controls preload="metadata" aria-label="{name}" '
            f'src="data:audio/mpeg;base64,{data}"></audio><figcaption>{name}</figcaption></figure>'
        )


def audio_player(waveform: Tensor, sample_rate: int, label: str) -> AudioPlayer:
    """Wrap a waveform in a player; the sound is compressed and travels inside the page.

    Args:
        waveform: `(time,)`, float in [-1, 1]; values outside are clipped.
        sample_rate: samples per second, one of `PLAYER_RATES`.
        label: what is heard.

    Returns:
        A display object, at most 60 kB of sound.

    Raises:
        AudioError: if the waveform is empty, not one-dimensional, not finite, or too long, or MP3 files
            do not have the sample rate.
    """
    import soundfile

    if sample_rate not in PLAYER_RATES:
        rates = ", ".join(map(str, PLAYER_RATES))
        raise AudioError(f"sample rate {sample_rate}: players need one of {rates}; resample first")
    usable = waveform.ndim == 1 and len(waveform) > 0 and waveform.is_floating_point()
    if not usable or not bool(waveform.isfinite().all()):
        raise AudioError(
            f"waveform of {waveform.dtype} and shape {tuple(waveform.shape)}: expected (time,), not empty, "
            "finite floats"
        )
    samples = waveform.detach().cpu().clamp(-1.0, 1.0).to(torch.float32).numpy()
    stream = io.BytesIO()
    # MP3 because every browser plays it and because, unlike Ogg, equal sounds give equal bytes.
    soundfile.write(stream, samples, sample_rate, format="MP3", compression_level=0.9)
    encoded = stream.getvalue()
    if len(encoded) > AUDIO_BYTES:
        limit = AUDIO_BYTES / len(encoded) * len(samples) / sample_rate
        raise AudioError(
            f"sound of {len(encoded)} bytes: shorten it to {limit:.1f} s to stay below {AUDIO_BYTES}"
        )
    return AudioPlayer(encoded, label, len(samples) / sample_rate)


# book/appendices/c-data.qmd § Sound
def synthesise_chorale(
    score: Tensor, *, steps_per_quarter: int = 4, quarters_per_minute: float = 80.0, sample_rate: int = 16000
) -> Tensor:
    """Render a four-part score with an organ-like sound: a few decaying partials a note.

    Equal pitches in consecutive steps of a part are one held note.

    Args:
        score: `(n_steps, parts)`, int64 MIDI pitch, -1 for a rest.
        steps_per_quarter: grid steps in a quarter note.
        quarters_per_minute: tempo.
        sample_rate: samples per second.

    Returns:
        `(time,)`, float32, peak 0.9 (zero if all is rest).

    Raises:
        AudioError: if the score is empty or not `(n_steps, parts)`, or tempo, grid or rate are not positive.
    """
    if score.ndim != 2 or score.numel() == 0:
        raise AudioError(f"score of shape {tuple(score.shape)}: expected (n_steps, parts), not empty")
    if not min(steps_per_quarter, quarters_per_minute, sample_rate) > 0:
        raise AudioError("steps_per_quarter, quarters_per_minute, sample_rate: expected positive numbers")
    step = 60.0 / quarters_per_minute / steps_per_quarter * sample_rate
    total = int(len(score) * step)
    sound = np.zeros(total)
    for part in score.T.tolist():
        edges = [0, *(i for i in range(1, len(part)) if part[i] != part[i - 1]), len(part)]
        for first, last in itertools.pairwise(edges):
            if part[first] >= 0:
                begin, end = int(first * step), min(int(last * step), total)
                sound[begin:end] += _note(part[first], end - begin, sample_rate)
    peak = np.abs(sound).max(initial=0.0)
    return torch.from_numpy((0.9 / peak * sound if peak > 0 else sound).astype(np.float32))


def _note(pitch: int, length: int, sample_rate: int) -> np.ndarray:
    """Add up the partials of one note that lie below half the sample rate; fade in and out."""
    time = np.arange(length) / sample_rate
    frequency = 440.0 * 2.0 ** ((pitch - 69) / 12)
    partials = [k for k in range(1, 7) if k * frequency < sample_rate / 2]
    tone = sum(np.sin(2 * np.pi * k * frequency * time) * np.exp(-0.4 * k * time) / k**1.5 for k in partials)
    fade = np.minimum(1.0, np.minimum(time, time[::-1]) / 0.015)
    return np.asarray(tone * fade)
