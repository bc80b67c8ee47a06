"""Polygon masks, lip and lid curves, and the triangle rasteriser of the face mesh (`exprgan.faces.mesh`).

Image points are (x, y) in pixels, pixel centres at whole numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.faces.mesh import CHEEKS


def triangles_within(triangles: NDArray[np.int64], vertices: Sequence[int]) -> NDArray[np.bool_]:
    """Boolean (T,): which of the triangles (T, 3) use only the given vertices."""
    return np.asarray(np.isin(triangles, vertices).all(axis=1))


def polygon_mask(
    height: int, width: int, points: NDArray[np.float64], supersample: int = 4
) -> NDArray[np.float32]:
    """Soft mask (height, width) float32 in 0..1 of the polygon `points` (n, 2) in pixels."""
    mask = np.zeros((height, width), np.float32)
    x0, y0 = np.maximum(np.floor(points.min(axis=0)).astype(int) - 2, 0)
    x1, y1 = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 3, (width, height))
    if x1 <= x0 or y1 <= y0:
        return mask
    fine = np.zeros(((y1 - y0) * supersample, (x1 - x0) * supersample), np.uint8)
    fine_points = (points - (x0, y0)) * supersample + supersample / 2 - 0.5
    cv2.fillPoly(fine, [np.round(fine_points * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    coarse = cv2.resize(fine, (int(x1 - x0), int(y1 - y0)), interpolation=cv2.INTER_AREA)
    mask[y0:y1, x0:x1] = coarse.astype(np.float32) / 255
    return mask


def pixels_around(
    size_hw: tuple[int, int], outline_px: NDArray[np.float64], margin_px: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns (m,) of the pixels inside a polygon (n, 2) or within a margin of it."""
    mask = np.zeros(size_hw, np.uint8)
    points = np.rint(outline_px).astype(np.int32)
    cv2.fillPoly(mask, [points], 1)
    cv2.polylines(mask, [points], True, 1, 2 * margin_px + 1)
    rows, columns = np.nonzero(mask)
    return rows, columns


def cheek_mask(shape: tuple[int, ...], landmarks_px: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Boolean (height, width): the two cheek patches that stand for the colour of the skin."""
    mask = np.zeros(shape[:2], np.uint8)
    for cheek in CHEEKS:
        cv2.fillPoly(mask, [np.round(landmarks_px[list(cheek), :2]).astype(np.int32)], 1)
    return mask > 0


def curves_at(
    points: NDArray[np.float64], upper: NDArray[np.int64], lower: NDArray[np.int64], columns: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights (m,) in pixels of two rows of mesh points (n, 2+), lips or lids, at x positions (m,)."""
    upper_points = points[upper][np.argsort(points[upper][:, 0])]
    lower_points = points[lower][np.argsort(points[lower][:, 0])]
    upper_y = np.interp(columns, upper_points[:, 0], upper_points[:, 1])
    lower_y = np.interp(columns, lower_points[:, 0], lower_points[:, 1])
    return upper_y, lower_y


def signed_areas(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Twice the signed area (T,) of triangles (T, 3) over points (n, 2+), in squared units of the points."""
    first, second, third = (points[triangles[:, k], :2] for k in range(3))
    along = second - first
    across = third - first
    return along[:, 0] * across[:, 1] - across[:, 0] * along[:, 1]


def rasterise(
    height: int, width: int, points: NDArray[np.float64], triangles: NDArray[np.int64]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Paint triangles in the given order; later ones cover earlier ones.

    points (n, 2+) in pixels, triangles (T, 3). Returns the triangle number per pixel
    (height, width) int32, -1 where none, and the weights of its second and third corner
    (height, width, 2) float32.
    """
    triangle_map = np.full((height, width), -1, np.int32)
    fixed_point = np.rint(points[triangles][:, :, :2] * 16).astype(np.int32)
    drawn = np.abs(signed_areas(points, triangles)) >= 1e-6
    for number in np.flatnonzero(drawn):
        cv2.fillConvexPoly(triangle_map, fixed_point[number], int(number), cv2.LINE_8, 4)
    rows, columns = np.nonzero(triangle_map >= 0)
    owner = triangle_map[rows, columns]
    corners = points[triangles[owner]][:, :, :2].astype(np.float32)
    origin = corners[:, 0]
    along, across = corners[:, 1] - origin, corners[:, 2] - origin
    offset = np.stack([columns, rows], axis=1).astype(np.float32) - origin
    areas = along[:, 0] * across[:, 1] - along[:, 1] * across[:, 0]
    areas = np.where(areas == 0, 1, areas)  # a sliver's area may vanish in single precision
    weights = np.zeros((height, width, 2), np.float32)
    second = (offset[:, 0] * across[:, 1] - offset[:, 1] * across[:, 0]) / areas
    third = (offset[:, 1] * along[:, 0] - offset[:, 0] * along[:, 1]) / areas
    # the painter also fills pixels that a triangle's edge only touches: keep those close to it
    weights[rows, columns] = np.clip(np.stack([second, third], axis=1), -0.5, 1.5)
    return triangle_map, weights


def interpolate(
    triangle_map: NDArray[np.int32],
    weights: NDArray[np.float32],
    triangles: NDArray[np.int64],
    values: NDArray[np.float64],
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Per-vertex values (n, c) over the rasterised pixels: covered (height, width) bool and samples (m, c)."""
    covered = triangle_map >= 0
    owner, (second, third) = triangle_map[covered], weights[covered].T[..., None]
    first = values[triangles[:, 0]]
    along, across = values[triangles[:, 1]] - first, values[triangles[:, 2]] - first
    base, right, down = (part.astype(np.float32)[owner] for part in (first, along, across))
    return covered, base + second * right + third * down
