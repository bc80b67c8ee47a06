"""Four rendered faces with masks and landmarks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exprgan.evaluation.made_scenes import Cutout, cutout_from_masks
from exprgan.samples.landmarks import Picture

FOLDER = Path(__file__).resolve().parent.parent / "data" / "faces"


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file)


@pytest.fixture(scope="session")
def face_pictures() -> list[Picture]:
    """The renders with their landmarks."""
    made = np.load(FOLDER / "landmarks.npz")
    return [
        Picture(_pixels(FOLDER / f"{name}.jpg"), landmarks_xy, (0.0, 5.0))
        for name, landmarks_xy in zip(made["names"], made["landmarks_xy"], strict=True)
    ]


@pytest.fixture(scope="session")
def face_cutouts() -> list[Cutout]:
    """The renders cut out by their masks."""
    return [
        cutout_from_masks(_pixels(path), _pixels(path.with_suffix(".png")))
        for path in sorted(FOLDER.glob("*.jpg"))
    ]
