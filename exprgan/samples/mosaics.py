"""Pictures of several faces at all sizes, put together from single ones, that the face proposer learns from.

Sample number n of a seed is a pure function of (seed, n) and of the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.faces.mesh import face_square
from exprgan.faces.proposer import STRIDE_PX, UNIT_SIDE_PX
from exprgan.samples.landmarks import spoil, texture
from exprgan.samples.picture import Picture

SMALLEST_SIDE_PX, LARGEST_SIDE_SHARE = 18.0, 1.15
CENTRE_SD_SHARE = 0.09
"""Standard deviation of the heat map's hills, in shares of a face's side."""


def sample_mosaic(pictures: Sequence[Picture], rng: np.random.Generator, size: int) -> dict[str, Any]:
    """One training picture.

    Returns:
        picture (3, size, size) float32 RGB in [-1, 1], and on the grid of cells of `STRIDE_PX`: heat (h, w)
        with hills of height 1 on face centres, target (3, h, w) offset x, y in cells and log side, weight
        (h, w) of that target, counted (h, w) 0 where a half-covered face lies.
    """
    canvas = _background(pictures, rng, size)
    squares: list[NDArray[np.float64]] = []
    hidden: list[NDArray[np.float64]] = []
    for _ in range(int(rng.choice(7, p=(0.06, 0.26, 0.2, 0.16, 0.12, 0.1, 0.1)))):
        picture = pictures[int(rng.integers(len(pictures)))]
        square = _random_square(rng, size)
        if all(np.hypot(*(square[:2] - s[:2])) > 0.42 * (square[2] + s[2]) for s in squares):
            covered = _paste(canvas, picture, square, rng)
            squares, lost = _split_covered(squares, covered)
            hidden += lost
            squares.append(square)
    canvas = spoil(canvas, rng)
    if rng.random() < 0.5:
        canvas = canvas[:, ::-1]
        for square in (*squares, *hidden):
            square[0] = size - 1 - square[0]
    crop = np.ascontiguousarray(canvas.transpose(2, 0, 1), dtype=np.float32) / 127.5 - 1
    return {"picture": crop, **_targets(squares, hidden, size // STRIDE_PX)}


def _random_square(rng: np.random.Generator, size: int) -> NDArray[np.float64]:
    side = float(np.exp(rng.uniform(np.log(SMALLEST_SIDE_PX), np.log(LARGEST_SIDE_SHARE * size))))
    inset = min(0.3 * side, 0.45 * size)
    x, y = rng.uniform(inset, size - inset, 2)
    return np.array([x, y, side, rng.uniform(-45, 45)])


def _background(pictures: Sequence[Picture], rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """A texture, or a strip of a picture beside its face, stretched."""
    if rng.random() < 0.35:
        return texture(rng, size)
    picture = pictures[int(rng.integers(len(pictures)))]
    height, width = picture.image.shape[:2]
    x, _, side, _ = face_square(picture.landmarks_xy)
    if rng.random() < 0.5:
        x0, x1 = 0, int(np.clip(x - 0.48 * side, 8, width))
    else:
        x0, x1 = int(np.clip(x + 0.48 * side, 0, width - 8)), width
    y0 = int(rng.integers(0, height // 2))
    y1 = int(rng.integers(y0 + height // 4, height))
    return cv2.resize(picture.image[y0:y1, x0:x1], (size, size), interpolation=cv2.INTER_LINEAR)


def _paste(
    canvas: NDArray[np.uint8], picture: Picture, square: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Lay a picture over the canvas so that its face fills `square`; the pixels it covers, (size, size)."""
    size = len(canvas)
    x, y, side, roll = face_square(picture.landmarks_xy)
    image, scale = picture.image, square[2] / side
    if scale < 0.6:
        small = max(2, round(image.shape[1] * scale)), max(2, round(image.shape[0] * scale))
        ratio = small[0] / image.shape[1]
        image = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        x, y, scale = (x + 0.5) * ratio - 0.5, (y + 0.5) * ratio - 0.5, scale / ratio
    factor = scale * np.exp(1j * np.radians(square[3] - roll))
    offset = complex(*square[:2]) - factor * complex(x, y)
    matrix = np.array([[factor.real, -factor.imag, offset.real], [factor.imag, factor.real, offset.imag]])
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.float32)
    if rng.random() < 0.55:
        # a head cut out roughly, along an oval
        axes = rng.uniform(0.42, 0.6) * square[2] / scale, rng.uniform(0.52, 0.72) * square[2] / scale
        centre = int(x), int(y - 0.06 * square[2] / scale)
        cv2.ellipse(mask, centre, (int(axes[0]), int(axes[1])), roll, 0, 360, 1.0, -1)
    else:
        # a rectangle of the picture with the head's surroundings
        reach = rng.uniform(0.5, 0.8, 4) * square[2] / scale
        x0, y0 = max(0, int(x - reach[0])), max(0, int(y - reach[1]))
        mask[y0 : int(y + reach[2]) + 1, x0 : int(x + reach[3]) + 1] = 1
    # only the part of the canvas that the head can reach is worked on
    reach_px = 0.9 * square[2] + 8
    x0, y0 = (int(max(0, v - reach_px)) for v in square[:2])
    part = canvas[y0 : int(square[1] + reach_px) + 1, x0 : int(square[0] + reach_px) + 1]
    matrix[:, 2] -= (x0, y0)
    part_wh = part.shape[1], part.shape[0]
    alpha = cv2.warpAffine(mask, matrix, part_wh)
    if rng.random() < 0.6:
        alpha = cv2.GaussianBlur(alpha, (0, 0), max(0.6, 0.02 * square[2]))
    pasted = cv2.warpAffine(image, matrix, part_wh, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    part[:] = (part + alpha[..., None] * (pasted - part) + 0.5).astype(np.uint8)
    covered = np.zeros((size, size), bool)
    covered[y0 : y0 + part_wh[1], x0 : x0 + part_wh[0]] = alpha > 0.5
    return covered


def _split_covered(
    squares: list[NDArray[np.float64]], covered: NDArray[np.bool_]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """The squares still in sight, and those of which more than a fifth is now covered."""
    kept: list[NDArray[np.float64]] = []
    lost: list[NDArray[np.float64]] = []
    for square in squares:
        half = 0.4 * square[2]
        x0, y0, x1, y1 = (int(max(0, v)) for v in (*(square[:2] - half), *(square[:2] + half + 1)))
        (lost if covered[y0:y1, x0:x1].mean() > 0.2 else kept).append(square)
    return kept, lost


def _targets(
    squares: Sequence[NDArray[np.float64]], hidden: Sequence[NDArray[np.float64]], cells: int
) -> dict[str, NDArray[np.float32]]:
    """Heat, target, weight and counted on the grid of cells."""
    heat = np.zeros((cells, cells), np.float32)
    target = np.zeros((3, cells, cells), np.float32)
    weight = np.zeros((cells, cells), np.float32)
    counted = np.ones((cells, cells), np.float32)
    columns, rows = np.meshgrid(np.arange(cells), np.arange(cells))
    for square in sorted(squares, key=lambda square: -square[2]):
        x, y = (square[:2] + 0.5) / STRIDE_PX - 0.5
        sd = max(0.5, CENTRE_SD_SHARE * square[2] / STRIDE_PX)
        hill = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sd**2)).astype(np.float32)
        hill[int(np.clip(round(y), 0, cells - 1)), int(np.clip(round(x), 0, cells - 1))] = 1
        near = hill > 0.4
        np.maximum(heat, hill, out=heat)
        target[:, near] = np.stack(
            [x - columns, y - rows, np.full(rows.shape, np.log(square[2] / UNIT_SIDE_PX))]
        )[:, near]
        weight[near] = 1 / near.sum()
    for square in hidden:
        x, y = (square[:2] + 0.5) / STRIDE_PX - 0.5
        counted[np.hypot(columns - x, rows - y) < 0.35 * square[2] / STRIDE_PX] = 0
    counted[heat > 0.4] = 1
    return {"heat": heat, "target": target, "weight": weight, "counted": counted}
