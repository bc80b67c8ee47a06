"""Reader of the open-faces set: aligned photographs with landmarks and blendshape scores."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.errors import UsageError


class OpenFaces:
    """Photos, landmarks and blendshape scores of an open-faces folder.

    Args:
        folder: Holds faces.csv, annotations.npz and faces/.

    Raises:
        UsageError: The folder is not such a set.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "faces.csv").exists():
            raise UsageError(f"{folder} holds no faces.csv; give the folder of the open-faces set.")
        self.folder = folder
        with (folder / "faces.csv").open(newline="") as table:
            self.rows = list(csv.DictReader(table))
        with np.load(folder / "annotations.npz") as stored:
            self._landmarks = stored["landmarks_px"]
            self._scores = stored["blendshapes"]
            self._score_names = [str(name) for name in stored["blendshape_names"]]

    def indices(self, split: str) -> list[int]:
        """Rows of a split, train or val."""
        return [index for index, row in enumerate(self.rows) if row["split"] == split]

    def jpeg(self, index: int) -> bytes:
        """The file of a row as it is on disk."""
        return (self.folder / "faces" / self.rows[index]["file"]).read_bytes()

    def image(self, index: int, size: int = 256) -> NDArray[np.uint8]:
        """Photo of a row, uint8 RGB (size, size, 3), aligned to the FFHQ template."""
        image = decode_rgb(self.jpeg(index))
        return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)

    def landmarks_px(self, index: int, size: int = 256) -> NDArray[np.float64]:
        """Landmarks (478, 3) in pixels of a `size`-px crop, pixel centres at whole numbers."""
        points = self._landmarks[index].astype(np.float64) * (size / 320)
        points[:, :2] -= 0.5
        return points

    def scores(self, index: int) -> dict[str, float]:
        """The landmarker's 52 blendshape scores in [0, 1] by name."""
        return dict(zip(self._score_names, self._scores[index].astype(float).tolist(), strict=True))


def decode_rgb(encoded: bytes) -> NDArray[np.uint8]:
    """A JPEG or PNG of a training set as uint8 RGB (H, W, 3)."""
    image_bgr = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(image_bgr, cv2.COLOR_BGR2RGB).astype(np.uint8)
