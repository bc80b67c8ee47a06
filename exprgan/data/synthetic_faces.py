"""Reader of the synthetic-faces set: renders of one identity in eight expressions, with exact masks."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exprgan import action_units
from exprgan.data.pictures import decode_grey, decode_rgb
from exprgan.errors import UsageError
from exprgan.expressions import expression_index

LEAST_SHAPE = 0.02
"""Coefficients below it are the noise of a relaxed face."""


class SyntheticFaces:
    """Frames of a synthetic-faces folder; a `FaceSet`.

    Its splits are train and test, by identity. The frames are aligned to the FFHQ template by their neutral
    face but for a roll of a few degrees, the same in all frames of an identity.

    Args:
        folder: Holds set.csv, labels.npz, img/ and seg/.

    Raises:
        UsageError: The folder is not such a set.
    """

    name = "synthetic-faces"

    def __init__(self, folder: Path) -> None:
        if not (folder / "set.csv").exists():
            raise UsageError(f"{folder} holds no set.csv; give the folder of the synthetic-faces set.")
        self.folder = folder
        with (folder / "set.csv").open(newline="") as table:
            self.rows = list(csv.DictReader(table))
        with np.load(folder / "labels.npz") as labels:
            scores, names = labels["arkit52"], [str(name) for name in labels["arkit52_names"]]
        self.splits = np.array([row["split"] for row in self.rows], np.str_)
        self.subjects = np.array([row["identity"] for row in self.rows], np.str_)
        self.expressions = np.array([expression_index(row["expression"]) for row in self.rows], np.int64)
        self.action_units = action_units.from_blendshapes(scores, names, is_mediapipe=False)

    def __len__(self) -> int:
        return len(self.rows)

    def indices(self, split: str) -> list[int]:
        """Rows of a split, train or test."""
        return [index for index, row in enumerate(self.rows) if row["split"] == split]

    def identities(self, split: str) -> list[dict[str, list[int]]]:
        """Rows by expression for each identity of a split, train or test.

        Expressions that our own recipes cannot mean are left out: contempt on the subject's left side.
        """
        people: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for index, row in enumerate(self.rows):
            is_left_contempt = row["expression"] == "contempt" and '"12L"' in row["recipe"]
            if row["split"] == split and not is_left_contempt:
                people[row["identity"]][row["expression"]].append(index)
        return list(people.values())

    def image(self, row: int) -> NDArray[np.uint8]:
        """uint8 RGB (256, 256, 3), nearly aligned to the FFHQ template."""
        return decode_rgb((self.folder / self.rows[row]["image"]).read_bytes())

    def mask(self, row: int) -> NDArray[np.uint8]:
        """uint8 (256, 256), classes in CelebAMask-HQ's official order."""
        return decode_grey((self.folder / self.rows[row]["mask"]).read_bytes())

    def intensity(self, index: int) -> float:
        """How strong the frame's expression is, 0 to 1."""
        return float(self.rows[index]["intensity"])

    def shapes(self, index: int) -> dict[str, float]:
        """The coefficients that a frame was rendered with, by ICT-FaceKit's names; those that are 0 are left out."""
        names, values = self._shapes
        pairs = zip(names, values[index].tolist(), strict=True)
        return {name: value for name, value in pairs if abs(value) > LEAST_SHAPE}

    @cached_property
    def _shapes(self) -> tuple[list[str], NDArray[np.float64]]:
        with np.load(self.folder / "labels.npz") as labels:
            return [str(name) for name in labels["coef_names"]], labels["coefs"].astype(np.float64)
