"""Where the chart of the mouth's inside shows in an opened mouth, and in what light.

Upper teeth stand on the skull, lower ones on the jaw; both arches are one surface, a curve extruded
downwards, which every pixel's line of sight meets. So teeth keep their place while lips uncover them, turn
with the head and are the same at every strength.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.uneven import Uneven
from exprgan.faces import mesh
from exprgan.models import mouth_interior

LIP_MIDDLE = [13, 14]
EDGE_BELOW_LIPS_CM = 0.40
"""The upper incisors' edge is this far below the line of the closed lips."""
TEETH_BEHIND_LIPS_CM = 0.3
OVERBITE_CM = 0.29
"""How far the upper incisors cover the lower ones while the jaw is shut."""
JAW_PER_CHIN = 1.2
"""The lower incisors' way down for each cm of the mesh's chin, whose skin follows the jaw in part."""
CHIN_SLACK_CM = 0.1
SMILE_ARC_PER_CM = 0.042
"""The edges of the upper teeth rise to the sides: cm for each squared cm."""
ARCH = (0.20, 0.03)
"""Depth of the arch behind its front: first a factor on x**2, then on x**4, in cm."""
CHEEKS_TO_TEETH = 2.5
"""How much more the light changes across teeth than from cheek to cheek, by logs, over the same way.

Where incisors end, how much darker side and lower teeth are, and this, are what fits photographs of smiles best
(open-faces train, 247 frontal ones).
"""
LEAST_FACING = 0.35
"""Of what the front shows to the camera; how little the side of a turned arch may show."""
_LADDER = np.linspace(-3.2, 3.2, 641)
"""Places along the arch, canonical x in cm."""


class DentalArch:
    """The teeth of an analysed photo behind lips that may have moved.

    Args:
        analysis: The photo.
        target_cm: Target shape (468, 3), canonical cm.
        uneven: How the teeth differ from the chart's.
    """

    def __init__(
        self, analysis: FaceAnalysis, target_cm: NDArray[np.float64], uneven: Uneven | None = None
    ) -> None:
        self.pose, self.uneven = analysis.pose, uneven
        front = analysis.neutral_cm[LIP_MIDDLE].mean(axis=0)
        below = EDGE_BELOW_LIPS_CM + (uneven.lower_cm if uneven else 0.0)
        self.edge_y, self.front_z = front[1] - below, front[2] - TEETH_BEHIND_LIPS_CM
        drop = JAW_PER_CHIN * (analysis.neutral_cm[mesh.CHIN, 1] - target_cm[mesh.CHIN, 1] - CHIN_SLACK_CM)
        self.throat_cm = max(0.0, drop) - OVERBITE_CM  # of the lower incisors' edge below the upper ones'
        inner = list(mesh.INNER_LIPS)
        offset = analysis.landmarks_px[inner] - self.pose.to_pixels(analysis.shape_cm[inner])
        self.offset_px = offset.mean(axis=0) * (1, 1, 0)

    def place(self, columns: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float32]:
        """Place on the chart (n, 2) in cm, as `exprgan.models.mouth_interior.Chart.view` takes it, of pixels (n,)."""
        x, y = self._meet(columns, rows)
        along = _length(x)
        y = y - SMILE_ARC_PER_CM * np.minimum(np.abs(along), 4) ** 2
        down = mouth_interior.UPPER_EDGE_CM + self.edge_y - y
        if self.uneven:
            along, down = self.uneven.moved(along, down)
        return np.stack([along, down], axis=1).astype(np.float32)

    def upper_pixels(self, place_cm: NDArray[np.float32]) -> NDArray[np.float32]:
        """Image points (n, 2) of places on the chart (n, 2), all taken as the upper teeth's, however far they reach."""
        along = place_cm[:, 0].astype(np.float64)
        x = np.interp(along, _length(_LADDER), _LADDER)
        y = self.edge_y + mouth_interior.UPPER_EDGE_CM - place_cm[:, 1]
        y = y + SMILE_ARC_PER_CM * np.minimum(np.abs(along), 4) ** 2
        z = self.front_z - ARCH[0] * x**2 - ARCH[1] * x**4
        points = self.pose.to_pixels(np.stack([x, y, z], axis=1)) + self.offset_px
        return points[:, :2].astype(np.float32)

    def _meet(
        self, columns: NDArray[Any], rows: NDArray[Any]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Canonical x and y (n,) in cm where the lines of sight through pixels meet the arch.

        x * sight_z - z * sight_x is the same all along a line of sight, and grows along the arch as far as it faces the
        camera. From where it hardly does, it is taken to go on growing by `LEAST_FACING`: the far side of a turned
        head's teeth stays seen from aside.
        """
        pixels = np.stack([columns, rows, np.zeros(len(rows))], axis=1) - self.offset_px
        start = self.pose.to_canonical(pixels)
        sight_x, sight_y, sight_z = self.pose.rotation.T @ (0.0, 0.0, 1.0)  # towards the camera
        facing = np.maximum(
            sight_z + (2 * ARCH[0] * _LADDER + 4 * ARCH[1] * _LADDER**3) * sight_x, LEAST_FACING
        )
        grown = np.concatenate([[0], np.cumsum((facing[1:] + facing[:-1]) / 2 * np.diff(_LADDER))])
        grown += -self.front_z * sight_x - np.interp(0, _LADDER, grown)  # as it is at the midline
        wanted = start[:, 0] * sight_z - start[:, 2] * sight_x
        x = np.interp(wanted, grown, _LADDER)
        x = x + np.minimum(wanted - grown[0], 0) / facing[0] + np.maximum(wanted - grown[-1], 0) / facing[-1]
        bounded = np.clip(x, _LADDER[0], _LADDER[-1])
        z = self.front_z - ARCH[0] * bounded**2 - ARCH[1] * bounded**4
        way = ((x - start[:, 0]) * sight_x + (z - start[:, 2]) * sight_z) / (sight_x**2 + sight_z**2)
        return x, start[:, 1] + way * sight_y


def _length(x_cm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Length along the arch from the midline, near enough."""
    return x_cm * (1 + 0.20 * np.minimum(np.abs(x_cm), 3) ** 2 / 3)


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


def light_across(
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
    slope = (
        np.clip(CHEEKS_TO_TEETH * np.log(right / left), -1.0, 1.0) / max(abs(x1 - x0), 1.0) * np.sign(x1 - x0)
    )
    return slope * (columns - (x0 + x1) / 2)
