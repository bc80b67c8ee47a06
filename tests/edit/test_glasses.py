"""What glasses hold still."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exprgan.edit.editor import Editor
from exprgan.edit.glasses import EYES, GLASSES, SKIN, beside_glasses, free_of_glasses
from exprgan.edit.scene import Scene
from exprgan.face_parts import class_ids

BROW = class_ids(["l_brow"])[0]


def labels_of_glasses() -> NDArray[np.uint8]:
    """Two lenses with eyes in them, and a brow that touches one of them, on skin."""
    labels = np.full((256, 256), SKIN, np.uint8)
    for left, eye in ((70, EYES[1]), (150, EYES[0])):
        labels[90:120, left : left + 40] = GLASSES
        labels[102:108, left + 12 : left + 28] = eye
    labels[80:90, 150:190] = BROW
    return labels


def test_frames_and_bridge_are_held_and_eyes_behind_clear_lenses_are_free() -> None:
    labels = labels_of_glasses()
    free = free_of_glasses(np.full((256, 256, 3), 150, np.uint8), labels)
    assert free[105, 90] == free[105, 170] == 1  # the eyes
    assert free[91, 70:190].max() == 0  # the upper frame
    assert free[105, 125:135].max() == 0  # the bridge
    assert free[82, 150:190].max() == 0  # the brow
    assert free[200, 128] == free[50, 128] == 1
    assert np.abs(np.diff(free, axis=0)).max() < 0.3  # without a jump


def test_nothing_moves_behind_dark_lenses() -> None:
    labels = labels_of_glasses()
    crop = np.full((256, 256, 3), 150, np.uint8)
    crop[labels != SKIN] = 40
    free = free_of_glasses(crop, labels)
    assert free[90:120, 70:190].max() == 0


def test_glasses_on_a_face_stay_where_they_are(sample_path: Path) -> None:
    editor = Editor.from_pretrained(device="cpu")
    scene = editor.prepare(sample_path)
    (face,) = scene.faces
    assert face.analysis is not None
    assert face.analysis.free is None
    points = face.analysis.landmarks_px
    labels = np.full((256, 256), SKIN, np.uint8)
    for corners in ([33, 133, 159, 145], [362, 263, 386, 374]):
        left, top = points[corners, :2].min(axis=0).astype(int) - (12, 14)
        right, bottom = points[corners, :2].max(axis=0).astype(int) + (12, 14)
        labels[top:bottom, left:right] = GLASSES
    logits = (np.arange(19)[:, None, None] == labels).astype(np.float32)
    held = beside_glasses(face.analysis, np.zeros_like(face.pixels), logits)
    assert held.free is not None
    one_side = logits.copy()
    one_side[GLASSES, :, int(points[168, 0]) :] = -1
    assert beside_glasses(face.analysis, face.pixels, one_side).free is None  # a mistake
    worn: Scene = replace(scene, faces=(replace(face, analysis=held),))
    before, after = (
        editor.edit(each, controls={"AU1": 1.0, "AU2": 1.0, "AU12": 1.0}) for each in (scene, worn)
    )
    change = [np.abs(result.image.astype(int) - scene.photo.pixels).max(axis=2) for result in (before, after)]
    box = [int(value) for value in _in_photo(points[[159, 145, 386, 374], :2], face.matrix)]
    eyes = np.s_[box[1] : box[3], box[0] : box[2]]
    assert change[0][eyes].max() > 30
    assert change[1][eyes].max() <= 2
    assert change[1].max() > 60  # the mouth smiles
    brows = [editor.edit(each, controls={"AU1": 1.0}).faces[0].note for each in (scene, worn)]
    assert brows == ["", "moved less where glasses stand still"]


def _in_photo(points_px: NDArray[np.float64], matrix: NDArray[np.float64]) -> list[float]:
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    xy = points_px @ inverse[:2, :2].T + inverse[:2, 2]
    return [*xy.min(axis=0), *xy.max(axis=0)]
