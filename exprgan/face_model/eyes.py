"""What is seen between the lids: the eyeball stays with the skull while the lids slide over it, or turns with the gaze.

A mesh warp would stretch the iris with the lids. Here a column of pixels between the lids takes its rows from the
same place on the eyeball, near a lid from the lid, and where the photo's lid hid the iris from the iris's lower
half. Lengths are in units of 0.108 cm on the face (`Pose.unit_px` pixels).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.faces import mesh

EYES = (
    (mesh.RIGHT_UPPER_LID, mesh.RIGHT_LOWER_LID, mesh.RIGHT_IRIS_CENTRE),
    (mesh.LEFT_UPPER_LID, mesh.LEFT_LOWER_LID, mesh.LEFT_IRIS_CENTRE),
)
LEAST_IRIS_IN_SIGHT = 0.35
"""How far inside the corners the middle of an iris stays, as a share of its radius."""

LEAST_MOTION_UNITS = 0.6
"""Motion of the lids from which the eye is shown as the eyeball and the rims say."""
LID_SHADOW, LID_SHADOW_UNITS = 0.6, 1.2
"""Share of the light that an upper lid and its lashes take from the eyeball at their rim as they are about to touch
the lower ones, and how fast that fades downwards."""


@dataclass(frozen=True)
class EyeOpening:
    """Where the pixels in and around the opening between two lids are taken from.

    outline_px (n, 2): the opening in the output. rows, columns (m,): pixels of the opening and a margin around it.
    source_px (m, 2): (x, y) in the photo. shade (m,): natural log of a factor on it. invented (m,): iris bared by a
    rising lid, filled with its mirrored half.
    """

    outline_px: NDArray[np.float64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    source_px: NDArray[np.float64]
    shade: NDArray[np.float64]
    invented: NDArray[np.bool_]


def eye_openings_of(
    size_hw: tuple[int, int],
    landmarks_px: NDArray[np.float64],
    target_px: NDArray[np.float64],
    unit_px: float,
    gaze_px: NDArray[np.float64] | None = None,
) -> list[EyeOpening]:
    """The openings of the right and the left eye in an output of a size (height, width).

    landmarks_px (478, 3) of the photo, target_px (468, 2+) of the output, unit_px of the pose, gaze_px (2, 2) the
    way of the right and the left iris.
    """
    ways = np.zeros((2, 2)) if gaze_px is None else gaze_px
    return [
        _eye_opening(size_hw, landmarks_px, target_px, unit_px, eye, way)
        for eye, way in zip(EYES, ways, strict=True)
    ]


def _eye_opening(
    size_hw: tuple[int, int],
    landmarks_px: NDArray[np.float64],
    target_px: NDArray[np.float64],
    unit_px: float,
    eye: tuple[NDArray[np.int64], NDArray[np.int64], int],
    gaze_px: NDArray[np.float64],
) -> EyeOpening:
    upper, lower, iris = eye
    outline = np.r_[upper, lower[-2:0:-1]]
    outline_px = target_px[outline, :2]
    rows, columns = raster.pixels_around(size_hw, outline_px, margin_px=3)
    photo_upper, photo_lower = raster.curves_at(landmarks_px, upper, lower, columns)
    new_upper, new_lower = raster.curves_at(target_px, upper, lower, columns)
    centre = landmarks_px[iris, :2]
    # the radius is a little wider than the landmarks', so that the dark rim of the iris is in
    radius = 1.12 * np.linalg.norm(landmarks_px[iris + 1 : iris + 5, :2] - centre, axis=1).mean()
    # the corners hang on the skull, so their motion is that of the eyeball's image
    corners = [upper[0], upper[-1]]
    drift = (target_px[corners, :2] - landmarks_px[corners, :2]).mean(axis=0)
    source_x = _turned_columns(
        columns, target_px[corners, 0], landmarks_px[corners, 0], centre[0], radius, drift[0] + gaze_px[0]
    )

    # the eyeball: same place as in the photo, kept off the lashes, which are longer on the upper lid; a lid
    # that opens would otherwise repeat them on the eyeball, and one that closes has its rows in the skin
    eyeball_rows = rows - drift[1] - gaze_px[1]
    margin = 0.8 * unit_px
    middle = (photo_upper + photo_lower) / 2
    highest = np.minimum(photo_upper + margin, middle)
    lowest = np.maximum(photo_lower - margin * 0.7, middle)
    inside_rows = np.clip(eyeball_rows, highest, lowest)

    # close to a rim follow the lid, which keeps the shadow of the lashes; the way back to the eyeball is
    # exponential, since a hard border would show as a second rim
    rim_distance = np.maximum(np.minimum(rows - new_upper, new_lower - rows), 0)
    rim_weight = np.exp(-rim_distance / (1.1 * unit_px))
    nearer_upper = rows - new_upper < new_lower - rows
    rim_rows = np.where(nearer_upper, photo_upper + (rows - new_upper), photo_lower - (new_lower - rows))

    # iris that the lid hid in the photo: mirror the visible half through the iris centre. Clamping to the edge
    # gives streaks
    mirrored_rows = 2 * centre[1] - eyeball_rows
    edge = highest + 0.8 * margin
    in_iris = np.hypot(source_x - centre[0], eyeball_rows - centre[1]) < radius
    bared = (eyeball_rows < edge) & in_iris & (mirrored_rows < lowest) & (mirrored_rows > highest)
    # half-way to the mirrored half at about 0.5 units above the edge, so that the seam does not show
    mirror_weight = np.clip((edge - eyeball_rows) / (0.96 * unit_px), 0, 1) * bared
    inside_rows = inside_rows * (1 - mirror_weight) + mirrored_rows * mirror_weight
    rim_weight = rim_weight * (1 - 0.6 * mirror_weight)

    source_rows = inside_rows * (1 - rim_weight) + rim_rows * rim_weight
    # at a rim the columns are those of the lid, which does not turn with the eyeball
    source_columns = source_x * (1 - rim_weight) + (columns - drift[0]) * rim_weight
    source_px = np.stack([source_columns, source_rows], axis=1)
    # lids that hardly move leave what is between them as it is
    moved = np.abs(outline_px - landmarks_px[outline, :2] - drift).max() + np.hypot(*gaze_px)
    share = min(1.0, moved / (LEAST_MOTION_UNITS * unit_px))
    source_px = share * source_px + (1 - share) * (np.stack([columns, rows], axis=1) - drift)
    gap, own_gap = ((points[lower, 1] - points[upper, 1]).max() for points in (target_px, landmarks_px))
    closing = float(np.clip(1 - gap / max(own_gap, 1e-6), 0, 1))
    below = np.maximum(rows - new_upper, 0) / (LID_SHADOW_UNITS * unit_px)
    shade = np.log1p(-LID_SHADOW * closing * share * np.exp(-below))
    return EyeOpening(outline_px, rows, columns, source_px, shade, mirror_weight * share > 0.5)


def _turned_columns(
    columns: NDArray[np.int64],
    new_corners_x: NDArray[np.float64],
    corners_x: NDArray[np.float64],
    iris_x: float,
    radius: float,
    way_x: float,
) -> NDArray[np.float64]:
    """Columns (m,) in the photo that show at columns of the output: the iris keeps its form, the white gives way."""
    (new_first, new_last), (first, last) = np.sort(new_corners_x), np.sort(corners_x)
    reach = LEAST_IRIS_IN_SIGHT * radius
    if new_last - new_first < 4 * reach or last - first < 4 * reach:
        return columns.astype(np.float64) - way_x
    new_iris = np.clip(iris_x + way_x, new_first + reach, new_last - reach)
    left = min(radius, new_iris - new_first, iris_x - first)
    right = min(radius, new_last - new_iris, last - iris_x)
    if min(left, right) <= 0:
        return columns.astype(np.float64) - way_x
    knots = np.array([new_first - 8, new_first, new_iris - left, new_iris + right, new_last, new_last + 8])
    places = np.array([first - 8, first, iris_x - left, iris_x + right, last, last + 8])
    return np.interp(columns, np.maximum.accumulate(knots + 1e-6 * np.arange(6)), places)
