"""Creases of a photo's own skin, and folds laid on it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from exprgan.face_model.model import FaceModel
from exprgan.face_model.skin import (
    CREASED,
    DEEPENED,
    DEEPEST,
    DEEPEST_TO_MEAN,
    DRAWN_ON_SMOOTH,
    FULL_FOLD,
    SHADED_FOLD,
    creased_share,
    folds_on,
    taken_away,
)
from exprgan.faces import mesh

SIZE = 256


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return FaceModel()


@pytest.fixture(scope="module")
def points(model: FaceModel) -> NDArray[np.float64]:
    """A frontal face's landmarks (468, 3) in a picture of 256 px."""
    canonical = model.basis.canonical
    return canonical * (9.0, -9.0, -9.0) + (128, 128, 0)


def crossed(points: NDArray[np.float64], depth: float) -> NDArray[np.uint8]:
    """Even skin with a dark line across the forehead."""
    picture = np.full((SIZE, SIZE), 180, np.float32)
    y = round(float(points[9, 1]))
    picture[y - 12 : y - 10] *= np.exp(-depth)
    return np.dstack([cv2.GaussianBlur(picture, (0, 0), 0.8)] * 3).astype(np.uint8)


def test_even_skin_has_no_creases(model: FaceModel, points: NDArray[np.float64]) -> None:
    even = np.full((SIZE, SIZE, 3), 140, np.uint8)
    assert float(model.skin.creases(even, points).max()) < 1e-3


def test_a_line_is_found_where_it_is_and_as_deep_as_it_is(
    model: FaceModel, points: NDArray[np.float64]
) -> None:
    shallow, deep = (model.skin.creases(crossed(points, depth), points) for depth in (0.1, 0.3))
    assert 0.02 < float(shallow.max()) < 0.5 * float(deep.max()) < DEEPEST
    rows = np.flatnonzero(deep.max(axis=1) > 0.5 * deep.max())
    assert len(rows) < 8
    assert abs(rows.mean() - model.wrinkles.chart_px[9, 1]) < 16


def test_brightness_does_not_matter(model: FaceModel, points: NDArray[np.float64]) -> None:
    picture = crossed(points, 0.3)
    bright, dark = (model.skin.creases((picture * share).astype(np.uint8), points) for share in (1.0, 0.5))
    assert float(np.abs(bright - dark).max()) < 0.04


def test_brows_eyes_and_lips_are_no_creases(model: FaceModel, points: NDArray[np.float64]) -> None:
    picture = np.full((SIZE, SIZE, 3), 180, np.uint8)
    for part in (mesh.RIGHT_BROW, mesh.LEFT_BROW, mesh.RIGHT_EYE, mesh.OUTER_LIPS):
        cv2.fillPoly(
            picture, [cv2.convexHull(np.rint(points[list(part), :2]).astype(np.int32))], (30, 20, 20)
        )
    assert float(model.skin.creases(picture, points).mean()) < 0.003


def test_smooth_skin_gets_faint_folds_and_creased_skin_deeper_ones() -> None:
    ratio = np.zeros((64, 64), np.float32)
    ratio[20:40, 20:40] = -2 * FULL_FOLD
    none = np.zeros_like(ratio)
    smooth = folds_on(none, ratio, none)
    np.testing.assert_allclose(smooth, DRAWN_ON_SMOOTH * ratio, atol=1e-6)
    creases = np.zeros_like(ratio)
    creases[20:40] = 2 * CREASED
    old = folds_on(creases, ratio, none)
    assert old[30, 30] == pytest.approx(ratio[30, 30] - DEEPENED * 2 * CREASED, abs=2e-3)
    assert abs(float(old[30, 60])) < 1e-3  # creases that are not folded stay
    np.testing.assert_array_equal(folds_on(creases, none, none), none)


def test_measured_shading_shows_in_full_and_deepens_creases_where_it_is_dark() -> None:
    none = np.zeros((64, 64), np.float32)
    creases, shading = none.copy(), none.copy()
    creases[20:40] = CREASED
    shading[:, :32], shading[:, 32:] = -FULL_FOLD / SHADED_FOLD, 0.1
    np.testing.assert_allclose(folds_on(none, none, shading), shading, atol=1e-6)
    folds = folds_on(creases, none, shading)
    assert folds[30, 10] == pytest.approx(shading[30, 10] - DEEPENED * CREASED, abs=2e-3)
    assert folds[30, 55] == pytest.approx(0.1, abs=2e-3)


def test_creased_skin_is_told_from_smooth_skin(points: NDArray[np.float64]) -> None:
    even = np.full((SIZE, SIZE, 3), 140, np.uint8)
    assert creased_share(even, points) == 0
    rng = np.random.default_rng(0)
    rough = np.clip(even + rng.normal(0, 24, (SIZE, SIZE, 1)), 0, 255).astype(np.uint8)
    assert creased_share(rough, points) == 1


def test_folds_that_go_away_are_lit_by_no_more_than_their_shadow() -> None:
    shadows, shading = np.zeros((64, 64), np.float32), np.full((64, 64), -0.2, np.float32)
    shadows[:16], shadows[16:32], shadows[32:48] = 0.1, 0.4, 0.9  # faint, deep, hair
    shading[:, 60:] = 0.1
    lit = taken_away(shadows, shading)
    assert lit[8, 30] == pytest.approx(0.1)
    assert lit[24, 30] == pytest.approx(0.2 * DEEPEST_TO_MEAN)
    assert not lit[40].any()
    assert not lit[56].any()
    assert not lit[:, 60:].any()


def test_shadows_are_found_in_any_broad_light(model: FaceModel, points: NDArray[np.float64]) -> None:
    x, y = np.rint(points[425, :2]).astype(int)
    spot = np.zeros((SIZE, SIZE), np.float32)
    cv2.circle(spot, (int(x), int(y)), 8, 0.3, -1)
    for slope in (0.0, 0.6):
        light = np.linspace(-slope, slope, SIZE) - cv2.GaussianBlur(spot, (0, 0), 2)
        picture = np.repeat((140 * np.exp(light))[..., None], 3, axis=2).astype(np.uint8)
        shadows = model.skin.shadows(picture, points)
        column, row = np.rint(model.wrinkles.chart_px[425]).astype(int)
        assert shadows[row, column] == pytest.approx(0.28, abs=0.06)
        column, row = np.rint(model.wrinkles.chart_px[205]).astype(int)
        assert shadows[row, column] < 0.05
