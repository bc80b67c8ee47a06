"""Reader of the open-faces set: aligned photographs with landmarks and blendshape scores."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan import action_units
from exprgan.data.pictures import decode_rgb
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS, expression_index

STORED_PX = 320
LEAST_PROBABILITY = {"neutral": 0.6, "happy": 0.5, "sad": 0.6, "surprise": 0.6}
"""Expressions that a photograph is labelled with, and how sure the set's soft labels must be.

Where the soft labels say fear, disgust or anger they are too often wrong, and contempt is not among them.
"""
LEAST_SMILE = 0.2
SITTERS = "london"
SITTERS_LABELS = {"03": "neutral", "08": "happy"}
"""Endings of file names in the Face Research Lab London Set: what its sitters were asked for."""


class OpenFaces:
    """Photos, landmarks, blendshape scores and labels of an open-faces folder; a `FaceSet`.

    Args:
        folder: Holds faces.csv, annotations.npz and faces/.

    Raises:
        UsageError: The folder is not such a set.
    """

    name = "open-faces"

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
            probabilities = stored["expression_probs"].astype(np.float32)
            classes = [expression_index(str(name)) for name in stored["expression_names"]]
        self.splits = np.array([row["split"] for row in self.rows], np.str_)
        self.subjects = np.array([row["subject"] for row in self.rows], np.str_)
        self.action_units = action_units.from_blendshapes(self._scores, self._score_names)
        self.soft_expressions = np.zeros((len(self.rows), len(EXPRESSIONS)), np.float32)
        self.soft_expressions[:, classes] = probabilities
        self.expressions = self._trusted_labels()

    def __len__(self) -> int:
        return len(self.rows)

    def _trusted_labels(self) -> NDArray[np.int64]:
        """The likeliest expression where it is sure enough and the blendshapes do not say otherwise."""
        labels = self.soft_expressions.argmax(axis=1)
        least = np.array([LEAST_PROBABILITY.get(name, np.inf) for name in EXPRESSIONS])
        is_sure = self.soft_expressions.max(axis=1) >= least[labels]
        smile, blink, wide = (
            self.action_units[:, action_units.ACTION_UNITS.index(unit)] for unit in ("AU12", "AU45", "AU05")
        )
        jaw = self.action_units[:, action_units.ACTION_UNITS.index("AU26")]
        turn_deg = np.abs([float(row["yaw_deg"]) for row in self.rows])
        is_plausible = {
            "neutral": smile < LEAST_SMILE,
            "happy": smile >= LEAST_SMILE,
            "sad": (blink < 0.35) & (jaw < 0.3) & (turn_deg < 30),  # sleepers look sad to a classifier
            "surprise": (jaw > 0.1) | (wide > 0.2),
        }
        for name, plausible in is_plausible.items():
            is_sure &= (labels != expression_index(name)) | plausible
        labels = np.where(is_sure, labels, -1)
        for number, row in enumerate(self.rows):
            if row["source"] == SITTERS:
                asked = SITTERS_LABELS.get(Path(row["origin"]).stem.rpartition("_")[2])
                labels[number] = expression_index(asked) if asked else -1
        return labels.astype(np.int64)

    def indices(self, split: str) -> list[int]:
        """Rows of a split, train or val."""
        return [index for index, row in enumerate(self.rows) if row["split"] == split]

    def jpeg(self, index: int) -> bytes:
        """The file of a row as it is on disk."""
        return (self.folder / "faces" / self.rows[index]["file"]).read_bytes()

    def photo(self, index: int) -> NDArray[np.uint8]:
        """Photo of a row as it is stored, uint8 RGB, 320 px a side (256 in a packed set)."""
        return decode_rgb(self.jpeg(index))

    def image(self, row: int, size: int = 256) -> NDArray[np.uint8]:
        """Photo of a row, uint8 RGB (size, size, 3), aligned to the FFHQ template."""
        return cv2.resize(self.photo(row), (size, size), interpolation=cv2.INTER_AREA).astype(np.uint8)

    def mask(self, row: int) -> None:
        """None: the set has no masks."""

    def landmarks_px(self, index: int, size: int = 256) -> NDArray[np.float64]:
        """Landmarks (478, 3) in pixels of a `size`-px crop, pixel centres at whole numbers."""
        points = self._landmarks[index].astype(np.float64) * (size / STORED_PX)
        points[:, :2] -= 0.5
        return points

    def scores(self, index: int) -> dict[str, float]:
        """The landmarker's 52 blendshape scores in [0, 1] by name."""
        return dict(zip(self._score_names, self._scores[index].astype(float).tolist(), strict=True))
