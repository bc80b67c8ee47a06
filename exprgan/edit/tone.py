"""Pictures of one tone, grey or sepia, in which an edit may bring no other colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SMOOTHED = 6
"""Levels over which the tone is averaged, to either side."""
SPREAD, PERCENTILE = 8.5, 99.0
"""Largest difference of a channel from the tone, of 255, and the share of pixels that keep to it: lips, eyes and skin
of a picture with colours differ by more (open-faces: toned ones by 2 to 8, others by 9 to 60)."""


def tone_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Colours (256, 3), RGB in [0, 1], by the channels' mean, of a picture (h, w, 3) of one tone; None of another."""
    level = np.rint(pixels.mean(axis=2)).astype(int).ravel()
    count = np.bincount(level, minlength=256).astype(np.float64)
    sums = np.stack([np.bincount(level, pixels[..., k].ravel(), 256) for k in range(3)], axis=1)
    around = np.ones(2 * SMOOTHED + 1)
    weight = np.convolve(count, around, "same")
    offset = np.stack(
        [np.convolve(part, around, "same") for part in (sums - sums.mean(1, keepdims=True)).T], 1
    )
    known = weight > 0
    offset = offset[known] / weight[known, None]
    levels = np.arange(256)
    tone = np.stack([levels + np.interp(levels, levels[known], part) for part in offset.T], axis=1)
    off = np.abs(pixels.reshape(-1, 3) - tone[level]).max(axis=1)
    if np.percentile(off, PERCENTILE) > SPREAD:
        return None
    return np.clip(tone / 255, 0, 1).astype(np.float32)


def toned(grey: NDArray[np.float32], tone: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours (h, w, 3) of a tone for lightnesses (h, w), both in [0, 1]; beyond 1 is white."""
    levels = np.linspace(0, 1, len(tone))
    return np.stack([np.interp(grey, levels, tone[:, channel]) for channel in range(3)], 2).astype(np.float32)
