"""Photographs moved into what the set hardly shows, and how they are read."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from exprgan.errors import UsageError
from exprgan.face_model.amounts import Amounts
from exprgan.face_model.model import FaceModel
from exprgan.faces.align import crop_matrix, warp_crop
from exprgan.faces.detectors import open_detector
from exprgan.faces.mesh import BLENDSHAPES
from exprgan.samples.posed import (
    BLIND,
    COMMON,
    RAISED,
    RARE,
    asked_of,
    draw,
    least_labels,
    posed,
    read_posed,
)


def test_what_is_drawn_is_rare_and_within_its_limits() -> None:
    limits, seen = {**RARE, **COMMON, **RAISED}, set()
    for number in range(300):
        amounts = draw(np.random.default_rng((7, number)))
        stems = {name.removesuffix("_L").removesuffix("_R") for name in amounts.sculpted}
        assert stems & set(RARE)
        assert all(0 < amount <= limits[name.split("_")[0]] for name, amount in amounts.sculpted.items())
        assert amounts.parts_lips == ("jawOpen" in amounts.sculpted)
        seen |= stems
    assert seen == set(limits)
    assert draw(np.random.default_rng((7, 3))) == draw(np.random.default_rng((7, 3)))


def test_blind_coefficients_are_labelled_with_what_was_asked_for() -> None:
    labels = dict(
        zip(
            BLENDSHAPES,
            asked_of(Amounts(sculpted={"cheekSquint_L": 0.4, "cheekPuff_L": 0.6}), BLIND),
            strict=True,
        )
    )
    assert labels["cheekSquintLeft"] == pytest.approx(0.4)
    assert labels["cheekSquintRight"] == 0
    assert labels["cheekPuff"] == pytest.approx(0.3)  # the mean of both sides
    assert all(np.isnan(value) == (not name.startswith(BLIND)) for name, value in labels.items())


def test_raised_brows_are_labelled_no_lower_than_they_were_raised() -> None:
    own = np.full(len(BLENDSHAPES), 0.2)
    raised = {"browOuterUp_L": 0.6, "browInnerUp_L": 1.0, "browInnerUp_R": 1.0, "eyeWide_L": 1.0}
    labels = dict(zip(BLENDSHAPES, least_labels(Amounts(sculpted=raised), own), strict=True))
    assert labels["browOuterUpLeft"] == pytest.approx(0.5)
    assert labels["browInnerUp"] == pytest.approx(0.7)
    known = {name for name, value in labels.items() if not np.isnan(value)}
    assert known == {"browOuterUpLeft", "browInnerUp"}
    replaced = least_labels(Amounts(replaced=1.0, sculpted=raised), own)
    assert replaced[BLENDSHAPES.index("browInnerUp")] == pytest.approx(0.5)


def test_a_posed_picture_moves_the_mouth_alone(sample_path: Path) -> None:
    from exprgan.photos.image_io import read

    pixels, face_model = read(sample_path).pixels, FaceModel()
    (face,) = open_detector().detect(pixels)
    matrix = crop_matrix(face.points5_xy)
    crop = warp_crop(pixels, matrix)
    analysis = face_model.analyse_face(face, matrix)
    picture = posed(face_model, crop, analysis, Amounts(sculpted={"mouthFrown_L": 1.2, "mouthFrown_R": 1.2}))
    assert picture is not None
    change = np.abs(picture.image.astype(int) - crop).max(axis=2)
    assert change[175:215, 80:176].max() > 40
    assert change[:110].max() == 0
    corners = picture.points_px[[61, 291]] - analysis.landmarks_px[[61, 291]]
    assert (corners[:, 1] > 3).all()  # px, downwards
    assert np.abs(picture.points_px[468:] - analysis.landmarks_px[468:]).max() == 0
    assert (
        posed(face_model, crop, analysis, Amounts(sculpted={"jawOpen": 30.0})) is None
    )  # it would turn over


def test_pictures_are_read_with_the_labels_of_both(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    names = ["00000.png", "00001.png", "00002.png"]
    for name in names:
        cv2.imwrite(str(tmp_path / "img" / name), np.full((16, 16, 3), 7, np.uint8))
    blind = np.full((3, len(BLENDSHAPES)), np.nan, np.float32)
    blind[:, BLENDSHAPES.index("cheekPuff")] = (0.1, 0.2, 0.3)
    least = np.full((3, len(BLENDSHAPES)), np.nan, np.float32)
    least[:, BLENDSHAPES.index("browInnerUp")] = 0.7
    points = np.full((3, 478, 3), 5, np.float32)
    np.savez(
        tmp_path / "asked-00000.npz", names=names, blind=blind, least=least, points_px=points, rows=[1, 0, 1]
    )
    np.savez(
        tmp_path / "labels.npz",
        names=names[:2],  # the third has no labels yet
        found=[True, False],
        landmarks_xy=np.ones((2, 478, 2), np.float32),
        depth_px=np.ones((2, 478), np.float32),
        blendshapes=np.full((2, len(BLENDSHAPES)), 0.5, np.float32),
    )
    rows = [{"pitch_deg": "0", "yaw_deg": "0"}, {"pitch_deg": "3", "yaw_deg": "-4"}]
    (picture,) = read_posed(tmp_path, SimpleNamespace(rows=rows))
    assert picture.turn == (3, -4)
    assert picture.image.shape == (16, 16, 3)
    assert picture.blendshapes is not None
    assert picture.blendshapes[BLENDSHAPES.index("cheekPuff")] == pytest.approx(0.1)
    assert picture.blendshapes[BLENDSHAPES.index("jawOpen")] == 0.5
    assert picture.blendshapes[BLENDSHAPES.index("browInnerUp")] == pytest.approx(0.7)
    assert picture.landmarks_xy.tolist() == [[5, 5]] * 478
    assert picture.depth_px is not None
    assert picture.depth_px.tolist() == [5] * 478


def test_pictures_of_an_earlier_version_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "labels.npz", names=[], found=[])
    np.savez(tmp_path / "asked-00000.npz", names=["00000.png"], blind=np.zeros((1, 51)), rows=[0])
    with pytest.raises(UsageError, match="make the pictures again"):
        read_posed(tmp_path, SimpleNamespace(rows=[]))
