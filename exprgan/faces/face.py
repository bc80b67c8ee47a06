"""What a detector says of one face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Face:
    """A face in a photo; all coordinates in photo pixels, pixel centres at whole numbers.

    Attributes:
        box_xyxy: (4,) float32, the box around the landmarks; may reach past the photo.
        score: How sure the landmark network is that this is a face, 0 to 1.
        points5_xy: (5, 2) float32: right eye (on the picture's left), left eye, nose tip, right and left
            mouth corner; the subject's sides.
        landmarks_xy: (478, 2) float32, MediaPipe's mesh with its ten iris points.
        pose: Pitch, yaw and roll in degrees. Positive pitch nods down, positive yaw turns to the subject's
            left (the nose moves to the picture's right), positive roll is clockwise in the picture.
        depth_px: (478,) float32, depth of the landmarks in photo pixels, growing away from the camera; None where
            the landmark network does not say.
        blendshapes: (52,) float32, ARKit's coefficients in 0 to 1 as the landmark network judges them, in the order
            of `mesh.BLENDSHAPES`; None where it does not say.
    """

    box_xyxy: NDArray[np.float32]
    score: float
    points5_xy: NDArray[np.float32]
    landmarks_xy: NDArray[np.float32]
    pose: tuple[float, float, float]
    depth_px: NDArray[np.float32] | None = None
    blendshapes: NDArray[np.float32] | None = None

    @property
    def size_px(self) -> float:
        """The longer side of the box."""
        x0, y0, x1, y1 = (float(v) for v in self.box_xyxy)
        return max(x1 - x0, y1 - y0)
