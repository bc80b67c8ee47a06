"""The face model on detected faces, with depth and coefficients and without."""

from __future__ import annotations

import numpy as np
import pytest

from exprgan.face_model import raster
from exprgan.face_model.amounts import Amounts, extent_of, mixed, vector_of
from exprgan.face_model.fit import Pose
from exprgan.face_model.model import FaceModel
from exprgan.face_model.prior import Prior
from exprgan.faces.face import Face
from exprgan.faces.mesh import BLENDSHAPE_MIRROR, BLENDSHAPES, five_points

TO_CROP = np.array([[0.5, 0.0, 10.0], [0.0, 0.5, -20.0]])


@pytest.fixture(scope="module")
def face_model() -> FaceModel:
    return FaceModel()


def seen(face_model: FaceModel, yaw_deg: float, *, depth: bool) -> Face:
    """A neutral face in a photo, turned to a side."""
    angle = np.radians(yaw_deg)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    points = Pose(18.5, turn, np.array([240.0, -300.0, 0.0])).to_pixels(face_model.basis.canonical)
    irises = np.repeat(points[[33, 263]], 5, axis=0)
    points = np.vstack([points, irises]).astype(np.float32)
    xy = points[:, :2]
    return Face(
        np.concatenate([xy.min(0), xy.max(0)]),
        1.0,
        five_points(xy),
        xy,
        (0.0, yaw_deg, 0.0),
        points[:, 2] if depth else None,
        face_model.basis.neutral_scores.astype(np.float32) if depth else None,
    )


@pytest.mark.parametrize("yaw_deg", [-30.0, 0.0, 20.0])
@pytest.mark.parametrize("depth", [True, False])
def test_pose_and_neutral_shape_are_found_in_the_crops_frame(
    face_model: FaceModel, yaw_deg: float, depth: bool
) -> None:
    analysis = face_model.analyse_face(seen(face_model, yaw_deg, depth=depth), TO_CROP)
    assert analysis.pose.scale == pytest.approx(9.25, rel=0.03)
    assert abs(analysis.pose.pitch_yaw_roll()[1]) == pytest.approx(abs(yaw_deg), abs=3)
    face = seen(face_model, yaw_deg, depth=True)
    np.testing.assert_allclose(analysis.landmarks_px[:, :2], face.landmarks_xy * 0.5 + (10, -20), atol=1e-3)
    assert analysis.residual_cm < 0.15
    across = (analysis.neutral_cm - face_model.basis.canonical)[:, :2]
    assert np.sqrt((across**2).sum(axis=1).mean()) < 0.3


def test_maps_of_a_prior_hold_cuts_and_interior_apart(face_model: FaceModel) -> None:
    image = np.full((256, 256, 3), 128, np.uint8)
    analysis = face_model.analyse_face(seen(face_model, 0, depth=True), TO_CROP)
    prior: Prior = face_model.prior(image, analysis, Amounts(sculpted={"jawOpen": 1.0, "eyeBlink_L": 0.5}))
    maps = prior.maps()
    assert maps["cover"].max() > 0.9
    assert maps["cut_cover"].max() > 0.9
    assert (maps["cover"] * maps["cut_cover"]).max() == 0
    inside = maps["cover"][0] > 0.9
    assert (maps["interior"][1][inside] > 0).all()
    np.testing.assert_array_equal(maps["flow_px"].transpose(1, 2, 0), prior.flow_px)


def test_amounts_mix_and_become_a_vector(face_model: FaceModel) -> None:
    first = Amounts(0.8, {"jawOpen": 1.0}, {"browDown_L": 0.5}, parts_lips=False)
    second = Amounts(0.4, {"jawOpen": 0.5}, {})
    both = mixed([(first, 0.5), (second, 0.5)])
    assert both.replaced == pytest.approx(0.6)
    assert both.measured["jawOpen"] == pytest.approx(0.75)
    assert both.parts_lips
    assert extent_of(both) == pytest.approx(0.75)
    assert extent_of(Amounts()) == 0
    vector = vector_of(both, face_model.basis)
    assert vector.shape == (109,)
    assert vector[BLENDSHAPES.index("jawOpen")] == pytest.approx(0.75)
    assert vector[-1] == pytest.approx(0.6)


def test_blendshapes_are_those_of_the_basis(face_model: FaceModel) -> None:
    assert list(BLENDSHAPES) == face_model.basis.measured_names
    assert BLENDSHAPES[BLENDSHAPE_MIRROR[BLENDSHAPES.index("jawLeft")]] == "jawRight"
    np.testing.assert_array_equal(BLENDSHAPE_MIRROR[BLENDSHAPE_MIRROR], np.arange(51))


def test_a_sliver_whose_area_vanishes_in_single_precision_has_finite_weights() -> None:
    points = np.array([[1e4 / 64, 10.0], [1e4 / 64 + 20, 30.0], [1e4 / 64 + 10, 20.0000002]])
    _, weights = raster.rasterise(64, 256, points, np.array([[0, 1, 2]]))
    assert np.isfinite(weights).all()
