"""The data sets of the book: fetched once, checked by SHA-256, loaded offline as tensors."""

# book/appendices/c-data.qmd § Cards and licences
from agm.data.cards import Card, card, list_datasets
from agm.data.images import load_digits, load_emoji, load_mnist
from agm.data.records import AudioData, DataError, ImageData, ScoreData, Split, TextData, Vocabulary
from agm.data.scores import load_chorales
from agm.data.speech import load_speech, load_spoken_digits
from agm.data.text import load_shakespeare

__all__ = [
    "AudioData",
    "Card",
    "DataError",
    "ImageData",
    "ScoreData",
    "Split",
    "TextData",
    "Vocabulary",
    "card",
    "list_datasets",
    "load_chorales",
    "load_digits",
    "load_emoji",
    "load_mnist",
    "load_shakespeare",
    "load_speech",
    "load_spoken_digits",
]
