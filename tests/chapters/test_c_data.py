"""The data sets hold what their loaders promise, and pictures and sounds mean what they show."""

from __future__ import annotations

# book/appendices/c-data.qmd § Tests
import io
import math
import os
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest
import soundfile
import torch
from agm.audio import AudioError, audio_player, griffin_lim, mel_spectrogram, synthesise_chorale
from agm.data import AudioData, DataError, ImageData, TextData, Vocabulary, card, list_datasets
from agm.data.images import held_out, parse_idx, rasterise
from agm.data.scores import midi_pitch, parse_chorale
from agm.data.text import tidy
from agm.plotting import PlotError, image_grid, use_book_style, waveform_and_spectrogram


def load(name: str, split: str):  # type: ignore[no-untyped-def]
    """Load a data set; only a machine that is told to stay offline may do without."""
    try:
        return card(name).load(split)  # type: ignore[arg-type]
    except DataError as error:
        if os.environ.get("AGM_OFFLINE") == "1":
            pytest.skip(str(error))
        raise


def test_vocabulary_is_a_bijection() -> None:
    vocabulary = Vocabulary("to be, or not to be")
    assert vocabulary.characters == tuple(sorted(set("to be, or not to be")))
    assert vocabulary.decode(vocabulary.encode("not to be")) == "not to be"
    assert torch.equal(vocabulary.encode("".join(vocabulary.characters)), torch.arange(len(vocabulary)))
    with pytest.raises(DataError, match="character 'x' at position 3"):
        vocabulary.encode("to x")
    with pytest.raises(DataError, match="id -1 is outside"):
        vocabulary.decode([-1])


def test_idx_format() -> None:
    values = bytes(range(6))
    content = b"\0\0\x08\x02" + (2).to_bytes(4, "big") + (3).to_bytes(4, "big") + values
    assert parse_idx(content, "x").tolist() == [[0, 1, 2], [3, 4, 5]]
    for broken in (content[:-1], content + b"\0", b"\0\0\x0d" + content[3:], b"", content[:6]):
        with pytest.raises(DataError, match="not a complete IDX file"):
            parse_idx(broken, "x")


def test_held_out_depends_on_the_keys_only() -> None:
    keys = [f"item {number % 50}" for number in range(80)]
    chosen = {key for key, out in zip(keys, held_out(keys, 0.2), strict=True) if out}
    assert len(chosen) == 10
    again = held_out(keys[::-1], 0.2)
    assert chosen == {key for key, out in zip(keys[::-1], again, strict=True) if out}


def test_tidy_text() -> None:
    assert tidy("\n\na \r\n\r\n\r\n\r\nb\t\n\n") == "a\n\nb\n"


CHORALE = """<score-partwise><part-list>{names}</part-list>{parts}</score-partwise>"""


def score(*melodies: str) -> bytes:
    """Write four parts in MusicXML, given their measures."""
    parts = ("Soprano", "Alto", "Tenor", "Bass")
    names = "".join(f'<score-part id="{p}"><part-name>{p}</part-name></score-part>' for p in parts)
    bodies = "".join(f'<part id="{p}">{melody}</part>' for p, melody in zip(parts, melodies, strict=True))
    return CHORALE.format(names=names, parts=bodies).encode()


def note(step: str, octave: int, duration: int, extra: str = "", alter: int = 0) -> str:
    """Write one note in MusicXML."""
    pitch = f"<pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>"
    return f"<note>{extra}{pitch}<duration>{duration}</duration></note>"


def test_chorale_parser_on_a_score_written_by_hand() -> None:
    start = "<measure><attributes><divisions>8</divisions></attributes>"
    soprano = start + note("A", 4, 4) + note("B", 4, 4, alter=-1) + note("G", 4, 8, "<chord/>")
    soprano += (
        "<note><rest/><duration>8</duration></note></measure><measure>" + note("C", 5, 2) + "</measure>"
    )
    alto = start + note("F", 4, 16, alter=1) + "</measure><measure>" + note("E", 4, 2) + "</measure>"
    tenor = start + note("C", 4, 16) + "<backup><duration>16</duration></backup>"
    tenor += note("C", 2, 16, "<voice>2</voice>") + "</measure><measure>" + note("B", 3, 2) + "</measure>"
    bass = start + note("D", 3, 1) + note("E", 3, 15) + "</measure><measure>" + note("C", 3, 2) + "</measure>"
    grid = parse_chorale(score(soprano, alto, tenor, bass))
    assert grid is not None
    assert grid[:, 0].tolist() == [69, 69, 70, 70, -1, -1, -1, -1, 72]
    assert grid[:, 1].tolist() == [66] * 8 + [64]
    assert grid[:, 2].tolist() == [60] * 8 + [59], "the second voice of a part must not be heard"
    assert grid[:, 3].tolist() == [50] + [52] * 7 + [48]
    assert parse_chorale(score(soprano, alto, tenor, "<measure/>")) is None


@pytest.mark.parametrize(
    ("step", "octave", "pitch"), [("C", 4, 60), ("A", 4, 69), ("B", 3, 59), ("C", -1, 0)]
)
def test_midi_pitch(step: str, octave: int, pitch: int) -> None:
    text = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    assert midi_pitch(ElementTree.fromstring(text)) == pitch


def test_rasterise_draws_on_white() -> None:
    half = (
        '<svg viewBox="0 0 2 2" xmlns="http://www.w3.org/2000/svg"><path d="M0 0h1v2h-1z" fill="#f00"/></svg>'
    )
    image = rasterise(half)
    assert (image[:, :, :16] == np.array([255, 0, 0])[:, None, None]).all()
    assert (image[:, :, 16:] == 255).all()


@pytest.mark.parametrize("name", list_datasets())
def test_splits_partition_the_data_set(name: str) -> None:
    train, test, everything = (load(name, split) for split in ("train", "test", "all"))
    assert len(train) > len(test) > 0
    if isinstance(train, ImageData):
        assert len(train) + len(test) == len(everything)
        for data in (train, test):
            assert data.images.dtype == torch.float32 and data.images.shape[0] == len(data.labels)
            assert data.images.min() >= 0 and data.images.max() <= 1
            assert set(data.labels.tolist()) == set(range(len(data.classes)))
            assert len(data.captions) in (0, len(data))
    elif isinstance(train, TextData):
        assert not set(train.works) & set(test.works)
        assert sorted(train.works + test.works) == sorted(everything.works)
        assert len(train.vocabulary) == len(test.vocabulary)
        assert test.vocabulary.decode(test.ids) == test.text
        for data in (train, test):
            assert "\n".join(data.work(title) for title in data.works) == data.text
            assert all(data.work(title) == everything.work(title) for title in data.works)
            assert all(data.work(title).count("by William Shakespeare") == 1 for title in data.works)
        with pytest.raises(DataError, match="perhaps macbeth"):
            everything.work("mcbeth")
    elif isinstance(train, AudioData):
        clips = {
            part: {data.clip(index).numpy().tobytes() for index in range(len(data))}
            for part, data in (("train", train), ("test", test), ("all", everything))
        }
        assert not clips["train"] & clips["test"] and clips["train"] | clips["test"] == clips["all"]
        assert set(train.voices) == set(test.voices) == set(everything.voices)
        assert train.lengths.max() == train.waveforms.shape[1] and train.waveforms.abs().max() <= 1
    else:
        assert not {t.split(".")[0] for t in train.titles} & {t.split(".")[0] for t in test.titles}
        assert sorted(train.titles + test.titles) == sorted(everything.titles)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(DataError, match="did you mean mnist"):
        card("minst")
    with pytest.raises(DataError, match="unknown split 'dev'"):
        card("digits").load("dev")  # type: ignore[arg-type]


def test_mnist_is_the_canonical_one() -> None:
    train, test = load("mnist", "train"), load("mnist", "test")
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.images.double().mean().item() == pytest.approx(0.1307, abs=5e-5)
    assert train.images.double().std().item() == pytest.approx(0.3081, abs=5e-5)


def test_emoji_have_their_names() -> None:
    data = load("emoji", "all")
    assert len(set(data.captions)) == len(data)
    heart = data.images[data.captions.index("red heart")]
    assert heart[0, 16, 16] > 0.7 and heart[1, 16, 16] < 0.5 and (heart[:, 0, 0] == 1).all()
    france = data.images[data.captions.index("flag: France")]
    assert france[2, 16, 8] > france[0, 16, 8] and france[0, 16, 24] > france[2, 16, 24]


def test_chorales_begin_as_printed() -> None:
    data = load("chorales", "all")
    first = data.scores[data.titles.index("BWV 269")]
    assert first[0].tolist() == [67, 62, 59, 43], "g' d' b G: Aus meines Herzens Grunde, in G major"
    voices = torch.cat(data.scores)
    medians = [voices[:, part][voices[:, part] >= 0].float().median().item() for part in range(4)]
    assert medians == sorted(medians, reverse=True)


def test_spoken_digits_are_trimmed_clips() -> None:
    data, test = load("spoken_digits", "all"), load("spoken_digits", "test")
    pairs = set(zip(data.voices, data.labels.tolist(), strict=True))
    assert len(pairs) == len(data) == 50
    assert sorted(test.labels.tolist()) == list(range(10))
    assert {clip.tobytes() for clip in load("speech", "all").waveforms[:, :1000].numpy()}.isdisjoint(
        clip.tobytes() for clip in data.waveforms[:, :1000].numpy()
    )
    for index in range(len(data)):
        clip = data.clip(index)
        assert clip.abs().max().item() == pytest.approx(0.9, abs=1e-4)
        assert not data.waveforms[index, len(clip) :].any()
        assert clip[:400].abs().max() > 0.005 and clip[-400:].abs().max() > 0.005


def test_speech_has_neither_noise_nor_signals() -> None:
    data = load("speech", "all")
    assert len(data) == 1698
    for index in range(len(data)):
        clip = data.clip(index)
        frames = clip[: len(clip) // 256 * 256].view(-1, 256) * torch.hann_window(256)
        power = torch.fft.rfft(frames).abs() ** 2
        energy = power.sum(1)
        share = power[energy > 1e-3 * energy.max()] / energy[energy > 1e-3 * energy.max(), None]
        flatness = torch.exp((share + 1e-12).log().mean(1)) / share.mean(1)
        assert flatness.median() < 0.4, f"clip {index} is noise"
        assert share.topk(3).values.sum(1).median() < 0.975, f"clip {index} is a tone"


def tone(frequency: float, seconds: float = 0.5, rate: int = 8000) -> torch.Tensor:
    """A sine wave of amplitude one half."""
    return 0.5 * torch.sin(2 * math.pi * frequency * torch.arange(int(seconds * rate)) / rate)


def test_mel_spectrogram_of_a_tone_and_its_scaling() -> None:
    low, high = (mel_spectrogram(tone(frequency)) for frequency in (500.0, 2000.0))
    assert low.shape == (40, 1 + 4000 // 64)
    edges = np.linspace(0, 2595 * np.log10(1 + 4000 / 700), 42)  # the HTK mel scale, cut into equal parts
    centres = 700 * (10 ** (edges[1:-1] / 2595) - 1)
    for spectrogram, frequency in ((low, 500.0), (high, 2000.0)):
        assert abs(int(spectrogram[:, 20].argmax()) - int(np.abs(centres - frequency).argmin())) <= 1
    louder = mel_spectrogram(2 * tone(500.0))
    audible = low > math.log(1e-5) + 0.1
    assert torch.allclose(louder[audible], low[audible] + 2 * math.log(2), atol=1e-4)
    assert mel_spectrogram(torch.zeros(1000)).unique().tolist() == [pytest.approx(math.log(1e-5))]
    with pytest.raises(AudioError, match="more than n_fft / 2"):
        mel_spectrogram(torch.zeros(128))


def test_mel_spectrogram_is_the_displayed_sum() -> None:
    """@eq-data-mel written out, with filters made from the formula of the mel scale."""
    size, hop, bands, rate = 64, 16, 5, 8000
    noise = np.random.default_rng(0).normal(size=200)
    padded = np.pad(noise, size // 2, mode="reflect")
    n, j = np.arange(size), np.arange(size // 2 + 1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / size)
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2) / 2595) - 1)
    left, centre, right = (edges[k : k + bands, None] for k in range(3))
    frequency = j * rate / size
    rising, falling = (frequency - left) / (centre - left), (right - frequency) / (right - centre)
    filters = np.minimum(rising, falling).clip(min=0)
    columns = []
    for k in range(1 + len(noise) // hop):
        waves = np.exp(-2j * np.pi * np.outer(j, n) / size)
        power = np.abs(waves @ (window * padded[n + k * hop])) ** 2
        columns.append(np.log(np.maximum(1e-5, filters @ power)))
    waveform = torch.tensor(noise, dtype=torch.float32)
    got = mel_spectrogram(waveform, rate, n_fft=size, hop_length=hop, n_mels=bands)
    np.testing.assert_allclose(got.numpy(), np.stack(columns, axis=1), atol=2e-4)


def test_griffin_lim_gives_the_tone_back() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    sound = griffin_lim(mel_spectrogram(tone(1000.0)), length=4000)
    assert torch.equal(torch.rand(4), expected), "the global generator must not move"
    assert sound.shape == (4000,) and sound.abs().max() <= 1
    peak = torch.fft.rfft(sound).abs().argmax().item() * 8000 / 4000
    assert abs(peak - 1000) < 8000 / 256 * 2
    assert torch.equal(sound, griffin_lim(mel_spectrogram(tone(1000.0)), length=4000))


def test_audio_player_is_small_deterministic_and_named() -> None:
    player = audio_player(tone(440.0, 1.0), 8000, 'the "a" of an orchestra')
    assert (
        player._repr_html_() == audio_player(tone(440.0, 1.0), 8000, 'the "a" of an orchestra')._repr_html_()
    )
    assert 'aria-label="the &quot;a&quot; of an orchestra"' in player._repr_html_()
    assert "1.0 s" in repr(player) and len(player.encoded) < 10_000
    samples, rate = soundfile.read(io.BytesIO(player.encoded))
    assert rate == 8000 and np.abs(np.fft.rfft(samples[:8000])).argmax() == 440
    for bad in (torch.zeros(0), torch.zeros(2, 10), torch.tensor([0.0, math.nan])):
        with pytest.raises(AudioError, match=r"expected \(time,\)"):
            audio_player(bad, 8000, "bad")
    with pytest.raises(AudioError, match=r"shorten it to"):
        audio_player(torch.rand(16000 * 120) - 0.5, 16000, "two minutes of noise")


def test_synthesiser_plays_the_written_pitches() -> None:
    chord = torch.tensor([[69, -1, 57, -1]] * 16)
    sound = synthesise_chorale(chord, quarters_per_minute=60, sample_rate=8000)
    assert sound.shape == (4 * 8000,) and sound.abs().max().item() == pytest.approx(0.9)
    spectrum = torch.fft.rfft(sound.double()).abs()
    strongest = {round(index * 8000 / len(sound)) for index in spectrum.topk(2).indices.tolist()}
    assert strongest & {220, 440}, strongest
    assert not synthesise_chorale(torch.full((4, 4), -1)).any()


def test_image_grid_puts_every_pixel_in_its_place() -> None:
    images = torch.arange(6.0).reshape(3, 1, 1, 2) / 5
    pixels = image_grid(images, columns=2, scale=2, gap=1, background=1.0).pixels
    small = pixels[::2, ::2, 0]
    assert pixels.shape == (10, 14, 3) and (small.repeat(2, 0).repeat(2, 1) == pixels[..., 0]).all()
    assert small.tolist() == [
        [255] * 7,
        [255, 0, 51, 255, 102, 153, 255],
        [255] * 7,
        [255, 204, 255, 255, 255, 255, 255],
        [255] * 7,
    ]
    for bad in (torch.zeros(0, 1, 2, 2), torch.zeros(1, 2, 2, 2), torch.zeros(4)):
        with pytest.raises(PlotError, match="expected"):
            image_grid(bad)
    for settings in ({"columns": 0}, {"scale": 0}, {"gap": -1}):
        with pytest.raises(PlotError, match="expected at least"):
            image_grid(images, **settings)
    with pytest.raises(PlotError, match="finite"):
        image_grid(images * math.inf)


def test_figures_are_reproducible_files() -> None:
    use_book_style()
    files = []
    for _ in range(2):
        stream = io.BytesIO()
        figure = waveform_and_spectrogram(tone(440.0), 8000, title="a tone")
        figure.savefig(stream, format="svg", metadata={"Date": None})
        matplotlib.pyplot.close(figure)
        files.append(stream.getvalue())
    assert files[0] == files[1] and b"<dc:date>" not in files[0] and b"<text" not in files[0]
    with pytest.raises(PlotError):
        waveform_and_spectrogram(torch.zeros(2, 9000), 8000)
