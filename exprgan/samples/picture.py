"""A picture with dense landmarks, as landmark networks learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Picture:
    """One picture with one face.

    Attributes:
        image: uint8 RGB (H, W, 3).
        landmarks_xy: (478, 2) float32 pixels, pixel centres at whole numbers.
        turn: Pitch and yaw in degrees, with the signs of `Face.pose`.
        depth_px: (478,) float32 depth of the landmarks in pixels, growing away from the camera; None where unknown.
        blendshapes: (51,) float32 in [0, 1] in the order of `exprgan.faces.mesh.BLENDSHAPES`, NaN where unknown; None
            where all are.
    """

    image: NDArray[np.uint8]
    landmarks_xy: NDArray[np.float32]
    turn: tuple[float, float]
    depth_px: NDArray[np.float32] | None = None
    blendshapes: NDArray[np.float32] | None = None
