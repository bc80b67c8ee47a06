"""What geometry knows of an edit: motion by single shapes, gaze, regions, cuts at any resolution."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from exprgan.edit.blend import Edit, apply_edit
from exprgan.face_model.amounts import Amounts, amounts_of, region_of
from exprgan.face_model.basis import FaceBasis, lip_gap
from exprgan.face_model.fit import OWN_NETWORK, FaceAnalysis, FaceFitter, Pose
from exprgan.face_model.folds import WrinkleModel
from exprgan.face_model.model import FaceModel
from exprgan.face_model.motion import (
    BROWS_OVER_LIDS,
    LEAST_LIDS,
    MOST_WIDENED,
    displacement,
    gaze_px,
    target_shape,
    without_folds,
)
from exprgan.face_model.prior import PAIRED_RIMS, PriorMaker
from exprgan.face_model.seams import LIDS
from exprgan.face_model.vocabulary import class_recipes
from exprgan.faces import mesh

SIZE = 256
POSE = Pose(9.25, np.eye(3), np.array([127.5, -140.0, 0.0]))


@pytest.fixture(scope="module")
def basis() -> FaceBasis:
    return FaceBasis.load()


def analysis_of(basis: FaceBasis, shape_cm: NDArray[np.float64]) -> FaceAnalysis:
    """The analysis of a face of a known shape, seen from the front."""
    points = POSE.to_pixels(shape_cm)
    irises = []
    for corner, other in ((33, 133), (362, 263)):
        centre = (points[corner] + points[other]) / 2
        around = ((5, 0, 0), (0, -5, 0), (-5, 0, 0), (0, 5, 0))
        irises += [centre, *(centre + offset for offset in around)]
    landmarks = np.vstack([points, irises])
    fitter = FaceFitter(basis, OWN_NETWORK)
    return fitter.analyse((SIZE, SIZE), landmarks, dict.fromkeys(basis.measured_names, 0.0))


@pytest.fixture(scope="module")
def face(basis: FaceBasis) -> FaceAnalysis:
    return analysis_of(basis, basis.canonical)


@pytest.fixture(scope="module")
def makers(basis: FaceBasis) -> tuple[PriorMaker, WrinkleModel]:
    folds = WrinkleModel(basis)
    return PriorMaker(basis, folds.chart_px), folds


def picture(size: int = SIZE) -> NDArray[np.uint8]:
    """A smooth pattern, uint8 RGB."""
    y, x = np.mgrid[:size, :size] * (SIZE / size)
    channels = [128 + 60 * np.sin(x / 9), 128 + 60 * np.cos(y / 11), 128 + 40 * np.sin((x + y) / 13)]
    return np.dstack(channels).astype(np.uint8)


def smile(amount: float) -> Amounts:
    return Amounts(measured={"mouthSmileLeft": amount, "mouthSmileRight": amount})


def test_fit_finds_the_pose_and_fits_its_own_mesh(face: FaceAnalysis) -> None:
    assert face.pose.scale == pytest.approx(POSE.scale, rel=0.02)
    assert np.abs(face.pose.pitch_yaw_roll()).max() < 2
    assert face.residual_cm < 0.1


def test_a_shape_that_is_no_face_has_a_larger_residual(basis: FaceBasis, face: FaceAnalysis) -> None:
    noise = np.random.default_rng(0).normal(0, 0.3, (468, 3))
    assert analysis_of(basis, basis.canonical + noise).residual_cm > 5 * face.residual_cm


def test_nothing_asked_is_the_photo(basis: FaceBasis, face: FaceAnalysis, makers) -> None:
    maker, folds = makers
    target = target_shape(basis, face, Amounts())
    np.testing.assert_allclose(target, face.shape_cm, atol=1e-12)
    prior = maker.make(picture(), face, target, folds.log_ratio(Amounts()), lip_inset=0)
    edited = apply_edit(picture(), Edit.from_prior(prior), np.eye(3)[:2])
    changed = np.argwhere((edited != picture()).any(axis=2))
    x0, x1, y0 = (face.landmarks_px[61, 0] - 6, face.landmarks_px[291, 0] + 6, face.landmarks_px[0, 1] - 6)
    at_lips = (changed[:, 1] > x0) & (changed[:, 1] < x1) & (changed[:, 0] > y0)  # lips that cross are parted
    assert at_lips.all()


def test_recipes_move_what_they_did_before_amounts(basis: FaceBasis) -> None:
    amounts = amounts_of(basis, class_recipes()["happy"], 1.0)
    smile_cm = basis.measured[basis.measured_names.index("mouthSmileLeft")]
    assert amounts.measured["mouthSmileLeft"] == 0.85
    assert amounts.sculpted["eyeSquint_R"] == 0.18
    assert amounts.replaced == 1
    assert amounts.parts_lips
    only_smile = Amounts(measured={"mouthSmileLeft": 0.95})
    np.testing.assert_allclose(displacement(basis, only_smile), 0.95 * smile_cm)


@pytest.mark.parametrize("amount", [0.25, 0.5, 1.0])
def test_corners_of_the_mouth_rise_in_proportion(basis: FaceBasis, face: FaceAnalysis, amount: float) -> None:
    whole = target_shape(basis, face, smile(1.0)) - face.shape_cm
    part = target_shape(basis, face, smile(amount)) - face.shape_cm
    np.testing.assert_allclose(part, amount * whole, atol=1e-9)
    assert (whole[[61, 291], 1] > 0.3).all()


@pytest.mark.parametrize("side", ["R", "L"])
def test_a_wink_shuts_one_eye_alone(basis: FaceBasis, face: FaceAnalysis, side: str) -> None:
    target = target_shape(basis, face, Amounts(sculpted={f"eyeBlink_{side}": 1.0}))
    gaps = [
        float((shape[upper, 1] - shape[lower, 1]).max())
        for shape in (face.shape_cm, target)
        for upper, lower in PAIRED_RIMS[1:]
    ]
    shut, other = (0, 1) if side == "R" else (1, 0)
    assert gaps[2 + shut] < 0.1 * gaps[shut]
    assert gaps[2 + other] == pytest.approx(gaps[other], rel=0.1)


def test_eyes_turn_to_the_side_that_is_asked_for(face: FaceAnalysis) -> None:
    to_left = gaze_px(face, Amounts(sculpted={"eyeLookOut_L": 1.0, "eyeLookIn_R": 1.0}))
    assert (to_left[:, 0] > 3).all()  # the subject's left is the picture's right
    up = gaze_px(face, Amounts(sculpted={"eyeLookUp_L": 1.0, "eyeLookUp_R": 1.0}))
    assert (up[:, 1] < -2).all()
    assert np.abs(up[:, 0]).max() < 0.5


def test_an_iris_moves_and_keeps_its_form(basis: FaceBasis, face: FaceAnalysis, makers) -> None:
    maker, _ = makers
    image = np.full((SIZE, SIZE, 3), 200, np.uint8)
    irises = face.landmarks_px[[mesh.RIGHT_IRIS_CENTRE, mesh.LEFT_IRIS_CENTRE], :2]
    for centre in irises:
        cv2.circle(image, tuple(np.rint(centre).astype(int).tolist()), 3, (20, 20, 20), -1)
    amounts = Amounts(sculpted={"eyeLookOut_L": 0.6, "eyeLookIn_R": 0.6})
    way = gaze_px(face, amounts)
    prior = maker.make(image, face, face.shape_cm, gaze_px=way)
    edited = apply_edit(image, Edit.from_prior(prior), np.eye(3)[:2])
    for (x, y), (dx, _) in zip(irises, way, strict=True):
        part = np.s_[round(y) - 5 : round(y) + 6, round(x) - 16 : round(x) + 17]
        before, after = (np.argwhere(p[part][..., 0] < 110) for p in (image, edited))
        assert (after.mean(0) - before.mean(0))[1] == pytest.approx(dx, abs=1)
        assert 0.7 < len(after) / len(before) < 1.4


def test_only_a_region_loses_its_expression(basis: FaceBasis) -> None:
    smiling = basis.canonical + 0.8 * sum(
        basis.measured[basis.measured_names.index(name)]
        for name in ("mouthSmileLeft", "mouthSmileRight", "browInnerUp")
    )
    face = analysis_of(basis, smiling)
    brows = target_shape(basis, face, Amounts(1.0, regions=("brows",), parts_lips=False)) - face.shape_cm
    assert brows[[107, 336], 1].mean() < -0.1
    assert np.abs(brows[[61, 291], 1]).max() < 0.1
    assert {region_of(name) for name in ("jawOpen", "cheekPuff", "mouthLeft")} == {"mouth"}
    assert region_of("cheekSquint_L") == region_of("eyeLookInLeft") == "eyes"


def test_folding_motions_are_held_back(basis: FaceBasis, face: FaceAnalysis) -> None:
    natural = target_shape(basis, face, smile(1.0))
    assert without_folds(basis, face, natural) == 1
    absurd = target_shape(basis, face, smile(9.0))
    assert 0.05 < without_folds(basis, face, absurd) < 0.9


def test_one_sided_frowns_draw_one_sided_folds(makers) -> None:
    _, folds = makers
    left = folds.log_ratio(Amounts(sculpted={"browDown_L": 1.0}))
    half = folds.size // 2  # the subject's left is on the chart's right
    assert np.abs(left[:60, half + 8 :]).sum() > 5 * np.abs(left[:60, : half - 8]).sum()


def test_rims_are_sharp_at_the_photos_resolution(basis: FaceBasis, face: FaceAnalysis, makers) -> None:
    """An opened mouth's border is no wider in a photo of four times the size than its softness says."""
    maker, _ = makers
    target = target_shape(basis, face, Amounts(measured={"jawOpen": 0.6}))
    assert lip_gap(target).max() > 1
    prior = maker.make(np.full((SIZE, SIZE, 3), 230, np.uint8), face, target)
    photo = np.full((4 * SIZE, 4 * SIZE, 3), 230, np.uint8)
    matrix = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375]])
    edited = apply_edit(photo, Edit.from_prior(prior), matrix)
    column = edited[:, 4 * 127, 0].astype(float)
    rows = np.nonzero(column < 200)[0]
    assert len(rows) > 40
    steepest = np.abs(np.diff(column)).max()
    assert steepest > 25  # a map of 256 px would take four times as many pixels for the step
    np.testing.assert_array_equal(edited[: 4 * 60], photo[: 4 * 60])


@pytest.mark.parametrize("pitch_degrees", [0, 20])
def test_lips_that_close_leave_nothing_of_what_was_between_them(
    basis: FaceBasis, makers, pitch_degrees: float
) -> None:
    open_cm = basis.canonical + displacement(basis, Amounts(sculpted={"jawOpen": 0.25}))
    turn, face = np.radians(pitch_degrees), analysis_of(basis, open_cm)
    nod = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    pose = Pose(POSE.scale, nod, POSE.translation)
    points = np.vstack([pose.to_pixels(open_cm), face.landmarks_px[468:]])
    face = replace(face, pose=pose, landmarks_px=points, shape_cm=open_cm, neutral_cm=basis.canonical)
    shut = Amounts(replaced=1.0, parts_lips=False)
    photo = np.full((6 * SIZE, 6 * SIZE, 3), 60, np.uint8)
    inside = np.rint(6 * points[mesh.INNER_MOUTH_OUTLINE, :2] + 2.5).astype(np.int32)
    cv2.fillPoly(photo, [inside], (255, 255, 255))
    crop = cv2.resize(photo, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    prior = makers[0].make(crop, face, target_shape(basis, face, shut))
    assert prior.mouth is None
    assert [cut.name for cut in prior.cuts][-1:] == ["lips"]
    matrix = np.array([[1 / 6, 0, -2.5 / 6], [0, 1 / 6, -2.5 / 6]])
    result = apply_edit(photo, Edit.from_prior(prior), matrix)
    opening = (photo > 200).any(axis=2).sum()
    assert opening > 5000
    assert (result > 100).any(axis=2).sum() < 0.06 * opening  # some at the corners
    assert result.min() < 50  # a line where they meet


@pytest.mark.parametrize("name", ["sad", "anger"])
def test_corners_of_lips_that_close_show_nothing_from_elsewhere(basis: FaceBasis, makers, name: str) -> None:
    parted = {"jawOpen": 0.15, "mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}
    face = analysis_of(basis, basis.canonical + displacement(basis, Amounts(measured=parted)))
    target = target_shape(basis, face, amounts_of(basis, class_recipes()[name], 1.0))
    prior = makers[0].make(np.zeros((SIZE, SIZE, 3), np.uint8), face, target)
    for corner in np.rint(prior.target_px[list(mesh.INNER_MOUTH_CORNERS), :2]).astype(int):
        around = prior.flow_px[corner[1] - 4 : corner[1] + 5, corner[0] - 4 : corner[0] + 5]
        usual = np.dstack([cv2.medianBlur(np.ascontiguousarray(around[..., axis]), 3) for axis in (0, 1)])
        assert np.abs(around - usual)[1:-1, 1:-1].max() < 3.5


def test_eyes_that_are_shut_stay_shut(basis: FaceBasis, face: FaceAnalysis) -> None:
    surprise = amounts_of(basis, class_recipes()["surprise"], 1.0)
    gaps = []
    for blink in (0.2, 0.5):
        scores = face.scores.copy()
        for side in ("Left", "Right"):
            scores[basis.measured_names.index(f"eyeBlink{side}")] = blink
        target = target_shape(basis, replace(face, scores=scores), surprise)
        own = [(face.shape_cm[rims.upper, 1] - face.shape_cm[rims.lower, 1]).max() for rims in LIDS]
        new = [(target[rims.upper, 1] - target[rims.lower, 1]).max() for rims in LIDS]
        gaps.append(np.array(new) / own)
        assert target[BROWS_OVER_LIDS[0][0], 1].mean() > face.shape_cm[BROWS_OVER_LIDS[0][0], 1].mean() + 0.2
    assert gaps[0].min() > 1.2
    assert gaps[1].max() < 1.01


def test_narrow_eyes_widen_no_further_than_is_known_of_them(basis: FaceBasis) -> None:
    narrow = displacement(basis, Amounts(sculpted={"eyeBlink_L": 0.6, "eyeBlink_R": 0.6}))
    face = replace(analysis_of(basis, basis.canonical + narrow), scores=basis.neutral_scores)
    wide = Amounts(sculpted={"eyeBlink_L": -0.6, "eyeBlink_R": -0.6, "eyeWide_L": 1.0, "eyeWide_R": 1.0})
    free, held = face.shape_cm + displacement(basis, wide), target_shape(basis, face, wide)
    for rims in LIDS:
        own, most, new = (
            (shape[rims.upper, 1] - shape[rims.lower, 1]).max() for shape in (face.shape_cm, free, held)
        )
        assert most > 2 * own
        assert new == pytest.approx(MOST_WIDENED * own, rel=0.1)


@pytest.mark.parametrize("gap", [0.0, 0.15])
def test_lips_that_are_sucked_in_are_shut_and_stay_in_sight(basis: FaceBasis, makers, gap: float) -> None:
    parted = Amounts(measured={"jawOpen": gap})
    face = analysis_of(basis, basis.canonical + displacement(basis, parted))
    asked = Amounts(sculpted={"mouthRollLower": 1.0, "mouthRollUpper": 1.0}, parts_lips=False)
    prior = makers[0].make(np.zeros((SIZE, SIZE, 3), np.uint8), face, target_shape(basis, face, asked))
    assert prior.mouth is None
    (upper, lower), before = prior.target_px[mesh.LIP_COLUMNS, 1], face.landmarks_px[mesh.LIP_COLUMNS, 1]
    heights = upper[:, 3] - upper[:, 0], lower[:, 0] - lower[:, 3]
    own = before[0, :, 3] - before[0, :, 0], before[1, :, 0] - before[1, :, 3]
    for now, then in zip(heights, own, strict=True):
        assert (now > 0.39 * then).all()
        assert (now < 0.9 * then)[2:7].all()  # sucked in
    assert (lower[:, 3] - upper[:, 3] < 1.0).all()
    assert (np.diff(upper) > -1e-6).all()
    assert (np.diff(lower) < 1e-6).all()
    middle, rows = round(float(prior.target_px[13, 0])), np.arange(SIZE)
    shown = rows + prior.flow_px[:, middle, 1]
    above = slice(round(float(upper[4, 0])) - 6, round(float(upper[4, 3])))
    assert np.diff(shown[above]).max() < 4  # of one piece, however squeezed
    assert np.diff(shown[above]).min() > -0.1


def test_lids_that_close_leave_nothing_of_the_eyeball(basis: FaceBasis, makers, face: FaceAnalysis) -> None:
    photo = np.full((6 * SIZE, 6 * SIZE, 3), 60, np.uint8)
    outlines = [np.r_[rims.upper, rims.lower[-2:0:-1]] for rims in LIDS]
    for outline in outlines:
        cv2.fillPoly(photo, [np.rint(6 * face.landmarks_px[outline, :2] + 2.5).astype(np.int32)], (255,) * 3)
    crop = cv2.resize(photo, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    matrix = np.array([[1 / 6, 0, -2.5 / 6], [0, 1 / 6, -2.5 / 6]])
    eyeballs = (photo > 200).any(axis=2).sum()
    shown, names = [], []
    for blink in (0.5, 1.0):
        both = Amounts(sculpted={"eyeBlink_L": blink, "eyeBlink_R": blink})
        prior = makers[0].make(crop, face, target_shape(basis, face, both))
        result = apply_edit(photo, Edit.from_prior(prior), matrix)
        shown.append((result > 100).any(axis=2).sum() / eyeballs)
        names.append([cut.name for cut in prior.cuts])
    assert shown[0] > 0.2
    assert shown[1] < 0.05  # some at the corners
    assert result.min() < 40  # a line where they meet
    assert names[0] == ["eye", "eye"]
    assert names[1][:4] == ["eye", "lids", "eye", "lids"]


@pytest.mark.parametrize(
    ("asked", "most"), [({"mouthUpperUp_L": 1.0, "mouthUpperUp_R": 1.0}, 600), ({"jawOpen": 0.4}, 100)]
)
def test_lips_beside_an_opening_show_nothing_of_the_line_between_them(
    basis: FaceBasis, makers, face: FaceAnalysis, asked: dict[str, float], most: int
) -> None:
    photo = np.full((6 * SIZE, 6 * SIZE, 3), 160, np.uint8)
    line = np.rint(6 * face.landmarks_px[mesh.INNER_MOUTH_OUTLINE, :2] + 2.5).astype(np.int32)
    cv2.fillPoly(photo, [line], (0, 0, 0))
    cv2.polylines(photo, [line], True, (0, 0, 0), 6)
    crop = cv2.resize(photo, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    prior = makers[0].make(crop, face, target_shape(basis, face, Amounts(sculpted=asked)))
    result = apply_edit(photo, Edit.from_prior(prior), np.array([[1 / 6, 0, -2.5 / 6], [0, 1 / 6, -2.5 / 6]]))
    outside = np.ones(photo.shape[:2], np.uint8)
    opening = np.rint(6 * prior.target_px[mesh.INNER_MOUTH_OUTLINE, :2] + 2.5).astype(np.int32)
    cv2.fillPoly(outside, [opening], 0)
    outside = cv2.erode(outside, np.ones((5, 5)))
    assert prior.mouth is not None
    assert (result[outside > 0] < 90).any(axis=1).sum() < most


def test_brows_leave_the_lids_some_room(basis: FaceBasis, face: FaceAnalysis) -> None:
    model = FaceModel()
    own = face.shape_cm
    found = []
    for amount in (0.0, 0.3, 0.6, 1.0, 1.5):
        target = model.target_shape(face, Amounts(sculpted={"browDown_L": amount, "browDown_R": amount}))
        found.append([(target[brow, 1] - target[lid, 1]).mean() for brow, lid in BROWS_OVER_LIDS])
        np.testing.assert_allclose(target[mesh.CHIN], own[mesh.CHIN], atol=1e-6)
    heights = np.array(found)
    assert (np.diff(heights, axis=0) < 0).all()  # more is always lower
    assert (heights[-1] > LEAST_LIDS * heights[0]).all()
    without = own + displacement(basis, Amounts(sculpted={"browDown_L": 1.5, "browDown_R": 1.5}))
    assert (without[BROWS_OVER_LIDS[0][0], 1] - without[BROWS_OVER_LIDS[0][1], 1]).mean() < heights[-1, 0]
    raised = Amounts(sculpted={"browInnerUp_L": 1.0, "browInnerUp_R": 1.0})
    np.testing.assert_allclose(model.target_shape(face, raised), target_shape(basis, face, raised))


@pytest.mark.parametrize("yaw_degrees", [0, 30])
def test_the_far_cheek_of_a_turned_head_keeps_one_edge(
    basis: FaceBasis, makers, face: FaceAnalysis, yaw_degrees: float
) -> None:
    """A grey face before black: along each row of pixels it ends once, however its cheeks move."""
    turn = np.radians(yaw_degrees)
    yaw = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
    pose = Pose(POSE.scale, yaw, POSE.translation)
    points = np.vstack([pose.to_pixels(basis.canonical), face.landmarks_px[468:]])
    turned = replace(face, pose=pose, landmarks_px=points, shape_cm=basis.canonical)
    photo = np.zeros((4 * SIZE, 4 * SIZE, 3), np.uint8)
    hull = cv2.convexHull(np.rint(4 * points[:468, :2] + 1.5).astype(np.int32))
    cv2.fillConvexPoly(photo, hull, (160,) * 3)
    crop = cv2.resize(photo, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    asked = Amounts(measured={"jawOpen": 0.6}, sculpted={"mouthPucker": 0.5})
    prior = makers[0].make(crop, turned, target_shape(basis, turned, asked))
    result = apply_edit(photo, Edit.from_prior(prior), np.array([[1 / 4, 0, -1.5 / 4], [0, 1 / 4, -1.5 / 4]]))
    from_nose, to_lips = (round(4 * prior.target_px[point, 1]) for point in (4, 17))
    is_face = result[from_nose:to_lips, :, 1] > 80
    left, right = sorted(round(4 * prior.target_px[corner, 0]) for corner in (61, 291))
    assert (result != photo).any()
    for cheek in (is_face[:, :left], is_face[:, right:]):
        edges = np.abs(np.diff(cheek.astype(int), axis=1)).sum(axis=1)
        assert (edges != 1).mean() < 0.02
