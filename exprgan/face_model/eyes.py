"""Source positions inside the eyes: the eyeball stays with the skull while the lids slide over it.

A mesh warp would stretch the iris with the lids. Here a column of pixels between the lids takes its rows from the
same place on the eyeball, near a lid from the lid, and where the photo's lid hid the iris from the iris's lower
half. Lengths are in units of 0.108 cm on the face (`Pose.unit_px` pixels).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.faces import mesh

EYES = (
    (mesh.RIGHT_UPPER_LID, mesh.RIGHT_LOWER_LID, mesh.RIGHT_IRIS_CENTRE),
    (mesh.LEFT_UPPER_LID, mesh.LEFT_LOWER_LID, mesh.LEFT_IRIS_CENTRE),
)


def move_lids(
    source_map: NDArray[np.float32],
    landmarks_px: NDArray[np.float64],
    target_px: NDArray[np.float64],
    unit_px: float,
) -> NDArray[np.bool_]:
    """Rewrite `source_map` (height, width, 2), where each output pixel is taken from, inside both eyes.

    landmarks_px (478, 3) of the photo, target_px (468, 2+) of the output, unit_px of the pose. Returns a boolean mask
    (height, width) of invented pixels: iris bared by a rising lid, filled with the mirrored lower half.
    """
    invented = np.zeros(source_map.shape[:2], bool)
    for upper, lower, iris in EYES:
        _move_one_eye(source_map, invented, landmarks_px, target_px, unit_px, (upper, lower, iris))
    return invented


def _move_one_eye(
    source_map: NDArray[np.float32],
    invented: NDArray[np.bool_],
    landmarks_px: NDArray[np.float64],
    target_px: NDArray[np.float64],
    unit_px: float,
    eye: tuple[NDArray[np.int64], NDArray[np.int64], int],
) -> None:
    upper, lower, iris = eye
    outline = np.r_[upper, lower[-2:0:-1]]
    mask = raster.polygon_mask(source_map.shape[0], source_map.shape[1], target_px[outline, :2])
    rows, columns = np.where(mask > 0.02)
    if not len(rows):
        return
    photo_upper, photo_lower = raster.curves_at(landmarks_px, upper, lower, columns)
    new_upper, new_lower = raster.curves_at(target_px, upper, lower, columns)
    # the corners hang on the skull, so their motion is that of the eyeball's image
    corners = [upper[0], upper[-1]]
    drift = (target_px[corners, :2] - landmarks_px[corners, :2]).mean(axis=0)

    # the eyeball: same place as in the photo, kept off the lashes, which are longer on the upper lid; a lid
    # that opens would otherwise repeat them on the eyeball, and one that closes has its rows in the skin
    eyeball_rows = rows - drift[1]
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
    # gives streaks. The radius is a little wider than the landmarks', so that the dark rim of the iris is in
    centre = landmarks_px[iris, :2]
    radius = np.linalg.norm(landmarks_px[iris + 1 : iris + 5, :2] - centre, axis=1).mean()
    mirrored_rows = 2 * centre[1] - eyeball_rows
    edge = highest + 0.8 * margin
    in_iris = np.hypot(columns - drift[0] - centre[0], eyeball_rows - centre[1]) < radius * 1.12
    bared = (eyeball_rows < edge) & in_iris & (mirrored_rows < lowest) & (mirrored_rows > highest)
    # half-way to the mirrored half at about 0.5 units above the edge, so that the seam does not show
    mirror_weight = np.clip((edge - eyeball_rows) / (0.96 * unit_px), 0, 1) * bared
    inside_rows = inside_rows * (1 - mirror_weight) + mirrored_rows * mirror_weight
    rim_weight = rim_weight * (1 - 0.6 * mirror_weight)

    source_rows = inside_rows * (1 - rim_weight) + rim_rows * rim_weight
    alpha = mask[rows, columns][:, None]
    moved = np.stack([columns - drift[0], source_rows], axis=1)
    source_map[rows, columns] = source_map[rows, columns] * (1 - alpha) + moved * alpha
    invented[rows, columns] |= mirror_weight > 0
