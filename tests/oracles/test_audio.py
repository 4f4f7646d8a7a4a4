"""``agm.audio`` against SciPy's Fourier transforms and libsndfile's decoder."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
import torch
from agm.audio import (
    PLAYER_RATES,
    AudioError,
    audio_player,
    griffin_lim,
    mel_frames,
    mel_spectrogram,
    synthesise_chorale,
)
from scipy import signal

from tests.oracles.inputs import SEEDS, agree, integers, numbers

each_seed = pytest.mark.parametrize("seed", SEEDS)


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(0.3 * numbers(seed).normal(size=shape).astype(np.float32))


def power_spectrogram(waveform: np.ndarray, n_fft: int, hop_length: int) -> np.ndarray:
    """Windowed power spectra by SciPy, windows centred on every hop, the ends mirrored."""
    padded = np.pad(waveform.astype(np.float64), n_fft // 2, mode="reflect")
    transform = signal.ShortTimeFFT(signal.windows.hann(n_fft, sym=False), hop_length, fs=1.0)
    first = n_fft // 2 // hop_length
    count = 1 + len(waveform) // hop_length
    slices = transform.stft(padded, p0=first, p1=first + count, k_offset=n_fft // 2 - first * hop_length)
    return np.abs(slices) ** 2


def mel_filters(sample_rate: int, n_fft: int, n_mels: int) -> np.ndarray:
    """Triangles on the scale of O'Shaughnessy (1987), 2595 log10(1 + f / 700), from 0 to half the rate."""
    top = 2595 * np.log10(1 + sample_rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595) - 1)
    frequencies = np.linspace(0, sample_rate // 2, n_fft // 2 + 1)
    return np.stack([np.interp(frequencies, corners[i : i + 3], [0, 1, 0]) for i in range(n_mels)])


SETTINGS = [(8000, 256, 64, 40), (16000, 512, 128, 64), (8000, 200, 80, 20)]


@each_seed
@pytest.mark.parametrize(("sample_rate", "n_fft", "hop_length", "n_mels"), SETTINGS)
def test_mel_spectrogram_is_that_of_scipy(
    seed: int, sample_rate: int, n_fft: int, hop_length: int, n_mels: int
) -> None:
    waveform = noise(seed, 2001)
    settings = {"n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels}
    power = mel_filters(sample_rate, n_fft, n_mels) @ power_spectrogram(waveform.numpy(), n_fft, hop_length)
    found = mel_spectrogram(waveform, sample_rate, **settings)
    agree(found, np.log(np.maximum(power, 1e-5)), rtol=2e-4, atol=2e-3)
    stacked = mel_frames([waveform, waveform[:700]], sample_rate, **settings)
    agree(stacked[: found.shape[1]], found.T)
    assert len(stacked) == found.shape[1] + 1 + 700 // hop_length


def test_silence_is_at_the_floor() -> None:
    agree(mel_spectrogram(torch.zeros(2, 500), floor=1e-3), np.full((2, 40, 8), np.log(1e-3)), rtol=1e-6)


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_griffin_lim_finds_the_spectrum_again(seed: int) -> None:
    """SciPy sees, in the sound that was found, nearly the power that went in, and the same strongest tone."""
    frequency = 300.0 * (seed + 2)
    time = np.arange(4000) / 8000
    tone = torch.from_numpy((0.5 * np.sin(2 * np.pi * frequency * time)).astype(np.float32))
    found = griffin_lim(mel_spectrogram(tone), length=4000, seed=seed).numpy()
    frequencies, power = signal.welch(found, fs=8000, nperseg=1024)
    assert abs(frequencies[power.argmax()] - frequency) < 60
    assert 0.5 < np.mean(found**2) / np.mean(tone.numpy() ** 2) < 1.5
    assert np.abs(found).max() <= 1


@each_seed
@pytest.mark.parametrize("sample_rate", PLAYER_RATES)
def test_player_holds_the_sound(seed: int, sample_rate: int) -> None:
    time = np.arange(sample_rate) / sample_rate
    sound = 0.4 * np.sin(2 * np.pi * (220 + 40 * seed) * time) + 0.2 * np.sin(2 * np.pi * 550 * time)
    player = audio_player(torch.from_numpy(sound), sample_rate, "two tones")
    decoded, rate = soundfile.read(io.BytesIO(player.encoded))
    assert rate == sample_rate and player.seconds == pytest.approx(1.0)
    correlation = signal.correlate(decoded, sound, mode="full", method="fft")
    assert correlation.max() / np.linalg.norm(sound) / np.linalg.norm(decoded) > 0.95


@each_seed
def test_chorale_sounds_at_the_pitches_written(seed: int) -> None:
    """The fundamental that SciPy's periodogram finds for a single part is the equally tempered pitch."""
    pitches = numbers(seed).choice(np.arange(48, 84), size=4, replace=False)
    score = integers(np.repeat(pitches, 4)[:, None])
    sound = synthesise_chorale(score, sample_rate=16000).numpy()
    assert len(sound) == int(16 * 60 / 80 / 4 * 16000) and np.abs(sound).max() == pytest.approx(0.9)
    for pitch, note in zip(pitches, np.split(sound, 4), strict=True):
        frequencies, power = signal.periodogram(note, 16000, window="hann", nfft=2**16)
        assert 12 * np.log2(frequencies[power.argmax()] / 440) + 69 == pytest.approx(pitch, abs=0.1)


def test_spectra_do_not_depend_on_the_precision_of_the_waveform() -> None:
    waveform = torch.from_numpy(numbers(0).normal(size=700)) / 10
    agree(mel_spectrogram(waveform), mel_spectrogram(waveform.float()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: audio_player(torch.zeros(900), 11000, "nothing"), "11000"),
        (lambda: mel_spectrogram(torch.zeros(900, dtype=torch.int16)), "int16"),
        (lambda: mel_spectrogram(torch.zeros(900), n_mels=0), "n_mels 0"),
        (lambda: audio_player(torch.ones(900, dtype=torch.int16), 8000, "loud"), "finite floats"),
        (lambda: synthesise_chorale(integers([60, 62])), "n_steps"),
        (lambda: synthesise_chorale(integers(np.zeros((0, 4)))), "not empty"),
        (lambda: mel_frames([]), "at least one"),
        (lambda: mel_frames([torch.zeros(2, 900)]), "time"),
        (lambda: griffin_lim(torch.zeros(40)), "n_mels"),
    ],
)
def test_sounds_that_are_none_are_refused(call, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        call()
