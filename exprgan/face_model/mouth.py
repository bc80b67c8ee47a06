"""Where the chart of the mouth's inside shows in an opened mouth, and in what light.

Upper teeth stand on the skull, lower ones on the jaw; both arches are one surface, a curve extruded
downwards, which every pixel's line of sight meets. So teeth keep their place while lips uncover them, turn
with the head and are the same at every strength.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.face_model.fit import FaceAnalysis
from exprgan.faces import mesh
from exprgan.models import mouth_interior

LIP_MIDDLE = [13, 14]
EDGE_BELOW_LIPS_CM = 0.28
"""The upper incisors' edge is this far below the line of the closed lips."""
TEETH_BEHIND_LIPS_CM = 0.3
OVERBITE_CM = 0.2
"""How far the upper incisors cover the lower ones while the jaw is shut."""
JAW_PER_CHIN = 1.2
"""The lower incisors' way down for each cm of the mesh's chin, whose skin follows the jaw in part."""
CHIN_SLACK_CM = 0.1
SMILE_ARC_PER_CM = 0.025
"""The edges of the upper teeth rise to the sides: cm for each squared cm."""
ARCH = (0.20, 0.03)
"""Depth of the arch behind its front: first a factor on x**2, then on x**4, in cm."""
BRIGHT_SKIN, BRIGHT_SCLERA = 180.0, 165.0
"""Lightness (0..255) of cheeks and of the whites of the eyes at which the chart's colours are taken as they are."""
CHEEK_COLOUR = np.array([0.19, -0.05, -0.20])
"""Logarithm of the channels of a light skin over their mean, in neutral light."""


def place_on_chart(
    analysis: FaceAnalysis,
    target_cm: NDArray[np.float64],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> NDArray[np.float32]:
    """Place on the chart (n, 2) in cm, as `exprgan.models.mouth_interior.sample` takes it, of image pixels.

    Args:
        analysis: The photo.
        target_cm: Target shape (468, 3), canonical cm.
        columns, rows: Pixels (n,) of the image.
    """
    front = analysis.neutral_cm[LIP_MIDDLE].mean(axis=0)
    edge_y, front_z = front[1] - EDGE_BELOW_LIPS_CM, front[2] - TEETH_BEHIND_LIPS_CM
    x, y = _meet_arch(analysis, columns, rows, front_z)
    drop = JAW_PER_CHIN * (analysis.neutral_cm[mesh.CHIN, 1] - target_cm[mesh.CHIN, 1] - CHIN_SLACK_CM)
    lower_y = edge_y + OVERBITE_CM - max(0.0, drop)
    along = x * (1 + 0.20 * np.minimum(np.abs(x), 3) ** 2 / 3)  # length of the arch, near enough
    y = y - SMILE_ARC_PER_CM * np.minimum(np.abs(along), 4) ** 2
    throat = mouth_interior.LOWER_EDGE_CM - mouth_interior.UPPER_EDGE_CM
    share = (edge_y - y) / max(edge_y - lower_y, 1e-3)
    down = mouth_interior.UPPER_EDGE_CM + np.where(
        y >= edge_y, edge_y - y, np.where(y <= lower_y, throat + lower_y - y, throat * np.clip(share, 0, 1))
    )
    return np.stack([along, down], axis=1).astype(np.float32)


def _meet_arch(
    analysis: FaceAnalysis, columns: NDArray[np.int64], rows: NDArray[np.int64], front_z: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Canonical x and y (n,) in cm where the lines of sight through pixels meet the dental arch."""
    pose = analysis.pose
    inner = list(mesh.INNER_LIPS)
    offset = analysis.landmarks_px[inner] - pose.to_pixels(analysis.shape_cm[inner])
    pixels = np.stack([columns, rows, np.zeros(len(rows))], axis=1) - offset.mean(axis=0) * (1, 1, 0)
    start = pose.to_canonical(pixels)
    sight = pose.rotation.T @ (0.0, 0.0, 1.0)  # towards the camera
    way = np.zeros(len(start))
    for _ in range(8):  # Newton's method; lines of sight are nearly parallel to the arch's depth
        x, z = start[:, 0] + way * sight[0], start[:, 2] + way * sight[2]
        bounded = np.clip(x, -3.2, 3.2)
        error = z - front_z + ARCH[0] * bounded**2 + ARCH[1] * bounded**4
        slope = sight[2] + (2 * ARCH[0] * bounded + 4 * ARCH[1] * bounded**3) * sight[0]
        way = way - error / np.maximum(slope, 0.3)
    met = start + way[:, None] * sight
    return met[:, 0], met[:, 1]


def log_light(
    image: NDArray[np.uint8], analysis: FaceAnalysis, columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Natural log (n, 3) of the photo's light on the mouth's inside at columns of the image."""
    return _light_of(image, analysis) + _light_across(image, analysis, columns)[:, None]


def contact_shadow(
    analysis: FaceAnalysis,
    target_px: NDArray[np.float64],
    columns: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Share (n,) of the light that the lips take from what stands behind them."""
    unit = analysis.pose.unit_px
    upper, lower = raster.curves_at(target_px, mesh.UPPER_INNER_CURVE, mesh.LOWER_INNER_CURVE, columns)
    shadow = 0.42 * np.exp(-np.maximum(rows - upper, 0) / (1.8 * unit))
    return shadow + 0.15 * np.exp(-np.maximum(lower - rows, 0) / (1.2 * unit))


def _light_of(image: NDArray[np.uint8], analysis: FaceAnalysis) -> NDArray[np.float64]:
    """Logarithm (3,) of the light on the teeth, judged by cheeks and the whites of the eyes."""
    cheeks = image[raster.cheek_mask(image.shape, analysis.landmarks_px)]
    if not len(cheeks):
        return np.zeros(3)
    skin = cheeks.astype(np.float32).mean(axis=0) + 1
    # dark skin is no sign of little light, the whites of the eyes are
    amount = 0.1 + 0.1 * np.log(skin.mean() / BRIGHT_SKIN)
    whites = _whites_of_eyes(image, analysis.landmarks_px)
    if whites > 0:
        amount += 0.4 * np.log(whites / BRIGHT_SCLERA)
    tint = np.clip(0.35 * (np.log(skin / skin.mean()) - CHEEK_COLOUR), -0.12, 0.12)
    return np.clip(amount, -0.45, 0.15) + tint


def _whites_of_eyes(image: NDArray[np.uint8], landmarks_px: NDArray[np.float64]) -> float:
    """Brightness (0..255) that the brighter parts of both eye openings reach; 0 where none is seen."""
    mask = np.zeros(image.shape[:2], np.uint8)
    for outline in (mesh.RIGHT_EYE, mesh.LEFT_EYE):
        cv2.fillPoly(mask, [np.rint(landmarks_px[list(outline), :2]).astype(np.int32)], 1)
    seen = image[mask > 0]
    return float(np.percentile(seen.mean(axis=1), 80)) if len(seen) else 0.0


def _light_across(
    image: NDArray[np.uint8], analysis: FaceAnalysis, columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Logarithm (n,) of how the light changes from one side of the mouth to the other, as on the cheeks."""
    points = analysis.landmarks_px
    grey = cv2.GaussianBlur(image.mean(axis=2).astype(np.float32), (0, 0), 4 * analysis.pose.unit_px)
    sides = []
    for cheek in mesh.CHEEKS:
        x, y = np.rint(points[list(cheek), :2].mean(axis=0)).astype(int)
        height, width = grey.shape
        sides.append((float(x), float(grey[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]) + 1))
    (x0, left), (x1, right) = sides
    slope = np.clip(0.6 * np.log(right / left), -0.5, 0.5) / max(abs(x1 - x0), 1.0) * np.sign(x1 - x0)
    return slope * (columns - (x0 + x1) / 2)
