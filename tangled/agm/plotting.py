"""How the book draws: one Matplotlib style, image grids, and pictures of sound."""

from __future__ import annotations

# book/appendices/c-data.qmd § Pictures
import io
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure
from torch import Tensor

from agm.audio import mel_spectrogram

# Okabe & Ito (2008), black last: it vanishes on a dark page unless the page inverts it.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#000000")

_STYLE: Any = {  # the stubs of rcParams want literal keys
    "figure.figsize": (6.3, 3.0),
    "figure.dpi": 100,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "axes.facecolor": "none",
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "font.size": 9,
    "font.family": "DejaVu Sans",
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "image.cmap": "cividis",
    "image.interpolation": "nearest",
    "savefig.facecolor": "none",
    "savefig.bbox": None,
    "svg.fonttype": "path",
    "svg.hashsalt": "agm",
}


class PlotError(ValueError):
    """A picture cannot be drawn from these arguments; the message says why."""


def use_book_style() -> None:
    """Set the style of the book, and vector figures if this is a notebook.

    The SVG files carry no date and fixed identifiers: the same figure is the same file.
    """
    matplotlib.rcParams.update(_STYLE)
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return
    if getattr(get_ipython(), "kernel", None) is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg", metadata={"Date": None}, bbox_inches=None)


# book/appendices/c-data.qmd § Pictures
class PngImage:
    """A picture that shows itself as PNG in notebooks.

    Args:
        pixels: `(height, width, 3)`, uint8.
        alt: a description, for screen readers.
    """

    def __init__(self, pixels: np.ndarray, alt: str = "") -> None:
        self.pixels = pixels
        self.alt = alt

    def __repr__(self) -> str:
        height, width = self.pixels.shape[:2]
        return f"PngImage({width} x {height})"

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        plt.imsave(stream, self.pixels, format="png", metadata={"Software": None})
        return stream.getvalue()

    def save(self, path: str) -> None:
        """Write the picture to a file.

        Args:
            path: the PNG file.
        """
        with open(path, "wb") as stream:
            stream.write(self._repr_png_())


def image_grid(
    images: Tensor, *, columns: int = 8, scale: int | None = None, gap: int = 1, background: float = 0.5
) -> PngImage:
    """Lay images out in rows, each pixel enlarged to a whole square.

    Args:
        images: `(n, channels, height, width)` with 1 or 3 channels, or `(n, height, width)`; values
            outside [0, 1] are clipped.
        columns: images in a row.
        scale: screen pixels per image pixel; by default what brings the grid near 640 pixels.
        gap: image pixels between images.
        background: grey of the gaps, in [0, 1].

    Returns:
        A display object.

    Raises:
        PlotError: if the shape is none of these, there is no image, a value is not finite, or the grid has no
            columns, pixels without size or gaps below zero.
    """
    if not isinstance(images, Tensor):
        raise PlotError(f"images: expected a tensor, got {type(images).__name__}")
    if columns < 1 or gap < 0 or (scale is not None and scale < 1):
        raise PlotError(f"columns {columns}, gap {gap}, scale {scale}: expected at least 1, 0 and 1")
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or images.shape[1] not in (1, 3) or len(images) == 0:
        raise PlotError(
            f"images of shape {tuple(images.shape)}: expected (n, 1 or 3, height, width) with n > 0"
        )
    if not bool(images.isfinite().all()):
        raise PlotError("images: expected finite values; a model may have become infinite")
    n, _, height, width = images.shape
    columns = min(columns, n)
    rows = -(-n // columns)
    shape = (rows * (height + gap) + gap, columns * (width + gap) + gap, 3)
    canvas = np.full(shape, background, dtype=np.float32)
    colours = images.detach().cpu().float().clamp(0.0, 1.0).expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
    for index, image in enumerate(colours):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    scale = scale or max(1, round(640 / shape[1]))
    return PngImage(np.rint(255 * canvas).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1))


# book/appendices/c-data.qmd § Pictures
def waveform_and_spectrogram(waveform: Tensor, sample_rate: int, *, title: str | None = None) -> Figure:
    """Draw a sound: its waveform above, its logarithmic mel spectrogram below.

    Args:
        waveform: `(time,)`, float in [-1, 1].
        sample_rate: samples per second.
        title: what is heard.

    Returns:
        The figure.

    Raises:
        PlotError: if the waveform is not one-dimensional.
    """
    if waveform.ndim != 1:
        raise PlotError(f"waveform of shape {tuple(waveform.shape)}: expected (time,)")
    waveform = waveform.detach().cpu()
    seconds = len(waveform) / sample_rate
    log_mel = mel_spectrogram(waveform, sample_rate).numpy()
    figure, (above, below) = plt.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
    above.plot(np.linspace(0.0, seconds, len(waveform), endpoint=False), waveform.numpy(), linewidth=0.5)
    above.set(ylabel="amplitude", ylim=(-1, 1), xlim=(0, seconds), title=title or "")
    picture = below.imshow(log_mel, origin="lower", aspect="auto", extent=(0, seconds, 0, len(log_mel)))
    below.set(xlabel="time (s)", ylabel="mel band")
    figure.colorbar(picture, ax=below, label="log power")
    return figure
