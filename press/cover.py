"""The picture on the book's cover: a distribution on its way from noise to data, computed, not drawn."""

from __future__ import annotations

import math
from functools import cache

MODES = (
    (-2.35, 0.16, 0.13),
    (-1.55, 0.10, 0.24),
    (-0.45, 0.30, 0.16),
    (0.35, 0.12, 0.09),
    (1.25, 0.22, 0.30),
    (2.3, 0.10, 0.11),
)
"""Mean, weight and standard deviation of the components of the data."""
ROWS, POINTS = 46, 180
WIDTH, HEIGHT, TOP, RANGE = 900.0, 760.0, 150.0, 3.9


@cache
def art() -> str:
    """An SVG of ridgelines: each line is the density of a Gaussian mixture after a little less noise.

    The line at the top is the standard normal distribution, the last one is the mixture itself; between them
    is the variance-preserving diffusion, exactly. The style sheet colours each `.ridge` by its `--t`.
    """
    lines = []
    for row in range(ROWS):
        time = 1 - row / (ROWS - 1)
        signal = math.cos(0.5 * math.pi * time) ** 2
        base = TOP + (HEIGHT - TOP - 20) * row / (ROWS - 1)
        points = []
        for step in range(POINTS + 1):
            place = -RANGE + 2 * RANGE * step / POINTS
            points.append((WIDTH * step / POINTS, base - 118 * _density(place, signal) ** 0.85))
        path = "M" + "L".join(f"{x:.0f} {y:.1f}" for x, y in points)
        lines.append(f'<path class="ridge" style="--t:{1 - time:.3f}" d="{path}"/>')
    return (
        f'<svg class="cover-art" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" '
        'role="img" aria-label="Ridgelines: at the top the bell of pure noise, line by line sharpening '
        'into the many peaks of the data at the bottom.">' + "".join(lines) + "</svg>"
    )


def _density(place: float, signal: float) -> float:
    total = 0.0
    for mean, weight, deviation in MODES:
        variance = signal * deviation**2 + (1 - signal)
        total += (
            weight * math.exp(-0.5 * (place - math.sqrt(signal) * mean) ** 2 / variance) / math.sqrt(variance)
        )
    return total
