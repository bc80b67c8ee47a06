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
    """

    image: NDArray[np.uint8]
    landmarks_xy: NDArray[np.float32]
    turn: tuple[float, float]
