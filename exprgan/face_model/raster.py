"""The 468-vertex face mesh: vertex groups, polygon masks, lip curves and the triangle rasteriser.

Vertex numbers are those of MediaPipe's face mesh; 468..477 are the ten iris points of the landmarker.
"Left" and "right" in names are the subject's. Image points are (x, y) in pixels, pixel centres at whole numbers.
"""

from __future__ import annotations

import cv2
import numpy as np

MOUTH_CORNERS = (78, 308)
UPPER_INNER_LIP = [191, 80, 81, 82, 13, 312, 311, 310, 415]
LOWER_INNER_LIP = [95, 88, 178, 87, 14, 317, 402, 318, 324]
UPPER_INNER_CURVE = [78] + UPPER_INNER_LIP + [308]
LOWER_INNER_CURVE = [78] + LOWER_INNER_LIP + [308]
INNER_MOUTH = [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191]
INNER_MOUTH_OUTLINE = UPPER_INNER_CURVE + LOWER_INNER_CURVE[::-1][1:-1]
OUTER_LIPS = [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185]
UPPER_LIP = sorted(
    {185, 40, 39, 37, 0, 267, 269, 270, 409, 184, 74, 73, 72, 11, 302, 303, 304, 408}
    | {183, 42, 41, 38, 12, 268, 271, 272, 407}
    | set(UPPER_INNER_LIP)
)
LOWER_LIP = sorted(
    {146, 91, 181, 84, 17, 314, 405, 321, 375, 77, 90, 180, 85, 16, 315, 404, 320, 307}
    | {96, 89, 179, 86, 15, 316, 403, 319, 325}
    | set(LOWER_INNER_LIP)
)

RIGHT_EYE = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
LEFT_EYE = [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]
RIGHT_UPPER_LID = [33, 246, 161, 160, 159, 158, 157, 173, 133]
RIGHT_LOWER_LID = [33, 7, 163, 144, 145, 153, 154, 155, 133]
LEFT_UPPER_LID = [362, 398, 384, 385, 386, 387, 388, 466, 263]
LEFT_LOWER_LID = [362, 382, 381, 380, 374, 373, 390, 249, 263]
RIGHT_IRIS_CENTRE = 468
LEFT_IRIS_CENTRE = 473

FACE_OVAL = [
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
]  # fmt: skip
CHEEKS = ([205, 50, 117, 123, 187], [425, 280, 346, 352, 411])
NOSTRILS = [98, 97, 2, 326, 327, 294, 278, 344, 440, 275, 4, 45, 220, 115, 48, 64]


def triangles_within(triangles: np.ndarray, vertices: list[int]) -> np.ndarray:
    """Boolean (T,): which of the triangles (T, 3) use only the given vertices."""
    return np.asarray(np.isin(triangles, vertices).all(axis=1))


def polygon_mask(height: int, width: int, points: np.ndarray, supersample: int = 4) -> np.ndarray:
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


def cheek_mask(shape: tuple[int, ...], landmarks_px: np.ndarray) -> np.ndarray:
    """Boolean (height, width): the two cheek patches that stand for the colour of the skin."""
    mask = np.zeros(shape[:2], np.uint8)
    for cheek in CHEEKS:
        cv2.fillPoly(mask, [np.round(landmarks_px[cheek, :2]).astype(np.int32)], 1)
    return mask > 0


def curves_at(
    points: np.ndarray, upper: list[int], lower: list[int], columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Heights (y, pixels) of two rows of mesh points, lips or lids, at the given x positions."""
    upper_points = points[upper][np.argsort(points[upper][:, 0])]
    lower_points = points[lower][np.argsort(points[lower][:, 0])]
    upper_y = np.interp(columns, upper_points[:, 0], upper_points[:, 1])
    lower_y = np.interp(columns, lower_points[:, 0], lower_points[:, 1])
    return upper_y, lower_y


def signed_areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Twice the signed area (T,) of triangles (T, 3) over points (n, 2+), in squared units of the points."""
    first, second, third = (points[triangles[:, k], :2] for k in range(3))
    along = second - first
    across = third - first
    return along[:, 0] * across[:, 1] - across[:, 0] * along[:, 1]


def rasterise(
    height: int, width: int, points: np.ndarray, triangles: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
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
    weights = np.zeros((height, width, 2), np.float32)
    second = (offset[:, 0] * across[:, 1] - offset[:, 1] * across[:, 0]) / areas
    third = (offset[:, 1] * along[:, 0] - offset[:, 0] * along[:, 1]) / areas
    # the painter also fills pixels that a triangle's edge only touches: keep those close to it
    weights[rows, columns] = np.clip(np.stack([second, third], axis=1), -0.5, 1.5)
    return triangle_map, weights


def interpolate(
    triangle_map: np.ndarray, weights: np.ndarray, triangles: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Per-vertex values (n, c) over the rasterised pixels: covered (height, width) bool and samples (m, c)."""
    covered = triangle_map >= 0
    corner = triangles[triangle_map[covered]]
    base = values[corner[:, 0]]
    second = weights[covered][:, :1]
    third = weights[covered][:, 1:]
    samples = base + second * (values[corner[:, 1]] - base) + third * (values[corner[:, 2]] - base)
    return covered, samples
