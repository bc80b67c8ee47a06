"""Reader of the synthetic-faces set: renders of one identity in eight expressions, with exact masks."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import decode_rgb
from exprgan.errors import UsageError


class SyntheticFaces:
    """Frames of a synthetic-faces folder.

    Args:
        folder: Holds set.csv, img/ and seg/.

    Raises:
        UsageError: The folder is not such a set.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "set.csv").exists():
            raise UsageError(f"{folder} holds no set.csv; give the folder of the synthetic-faces set.")
        self.folder = folder
        with (folder / "set.csv").open(newline="") as table:
            self.rows = list(csv.DictReader(table))

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

    def image(self, index: int) -> NDArray[np.uint8]:
        """uint8 RGB (256, 256, 3), nearly aligned to the FFHQ template."""
        return decode_rgb((self.folder / self.rows[index]["image"]).read_bytes())

    def mask(self, index: int) -> NDArray[np.uint8]:
        """uint8 (256, 256), classes in CelebAMask-HQ's official order."""
        encoded = np.frombuffer((self.folder / self.rows[index]["mask"]).read_bytes(), np.uint8)
        return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED), np.uint8)

    def intensity(self, index: int) -> float:
        """How strong the frame's expression is, 0 to 1."""
        return float(self.rows[index]["intensity"])
