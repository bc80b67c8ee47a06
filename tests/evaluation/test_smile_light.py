"""The light on edited smiles against that on photographs of smiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from exprgan.edit.editor import Editor
from exprgan.evaluation import smile_light
from exprgan.faces.mesh import BLENDSHAPES

SMILING, ALL = 2, 5


class Faces:
    """Photographs that are all of one portrait, the first ones edited to a smile; the last one is not sharp."""

    def __init__(
        self, portrait: NDArray[np.uint8], smile: NDArray[np.uint8], points: NDArray[np.float64]
    ) -> None:
        self.portrait, self.smile, self.points = portrait, smile, points
        self.rows = [{"sharpness": "90"}] * (ALL - 1) + [{"sharpness": "1"}]

    def photo(self, row: int) -> NDArray[np.uint8]:
        return self.smile if row < SMILING else self.portrait

    def landmarks_px(self, row: int, size: int) -> NDArray[np.float64]:
        return self.points

    def scores(self, row: int) -> dict[str, float]:
        return {name: 0.8 * (row < SMILING) * name.startswith("mouthSmile") for name in BLENDSHAPES}


@pytest.fixture(scope="module")
def report(sample_path: Path) -> dict[str, Any]:
    editor = Editor.from_pretrained(device="cpu", model="face_model")
    portrait = np.asarray(Image.open(sample_path).convert("RGB"))
    found = editor.detector.detect(portrait)[0]
    assert found.depth_px is not None
    points = np.column_stack([found.landmarks_xy, found.depth_px]).astype(np.float64)
    faces = Faces(portrait, editor.edit(portrait, "happy").image, points)
    return smile_light.report_of(faces, range(ALL), editor)  # type: ignore[arg-type]


def test_sharp_faces_are_sorted_by_their_smiles(report: dict[str, Any]) -> None:
    assert report["photographs"] == {
        "smiles": SMILING,
        "others": ALL - 1 - SMILING,
        "edits": ALL - 1 - SMILING,
    }


def test_edits_are_as_near_as_what_they_are_compared_with(report: dict[str, Any]) -> None:
    far = report["rms_to_smiles"]
    assert far["edits"] == far["half of the smiles"] == 0  # the smiles are the same edits
    assert far["others"] > 0.03


def test_folds_are_darker_where_there_is_a_smile(report: dict[str, Any]) -> None:
    at = report["at_folds"]
    assert at["smiles"] == at["edits"] < at["others"] - 0.03
