"""The geometry teacher and the pairs made of it, on rendered faces."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors import safe_open

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.edit.blend import fold_gain
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model import raster
from exprgan.face_model.basis import FaceBasis
from exprgan.face_parts import WINDOW
from exprgan.faces import mesh
from exprgan.models.mouth_interior import LOWER_EDGE_CM, UPPER_EDGE_CM
from exprgan.samples.pairs import PairMix, PairSamples, compose_flows
from exprgan.samples.picture import Picture
from exprgan.teacher.bundle_basis import bundle
from exprgan.teacher.cache import TeacherCache, variant_of
from exprgan.teacher.geometry_teacher import GeometryTeacher, TeacherResult
from exprgan.teacher.mixed_renders import mixture
from exprgan.weights import find, verify_weights
from tests.made_sets import make_synthetic_faces

NEUTRAL, LAUGHING = 0, 1
"""Rows of the renders with closed lips and with bared teeth."""
LAUGH = {"mouthSmile": 0.9, "mouthUpperUp": 0.4, "mouthLowerDown": 0.4}


class Renders:
    """The four rendered faces as open-faces gives its photographs, with the canonical face's depth."""

    def __init__(self, pictures: list[Picture], basis: FaceBasis) -> None:
        self.rows, self._pictures, self._basis = pictures, pictures, basis

    def image(self, row: int) -> NDArray[np.uint8]:
        return self._pictures[row].image

    def landmarks_px(self, row: int) -> NDArray[np.float64]:
        """Depth from the affine view of the canonical face that is nearest to x and y.

        The lips of the neutral face, which are parted by a little, are taken as closed.
        """
        points_xy, canonical = self._pictures[row].landmarks_xy.copy(), self._basis.canonical
        if row == NEUTRAL:
            lips = [mesh.UPPER_INNER_LIP, mesh.LOWER_INNER_LIP]
            points_xy[lips[0]] = points_xy[lips[1]] = points_xy[lips].mean(axis=0)
        design = np.column_stack([canonical, np.ones(468)])
        across, down = np.linalg.lstsq(design, points_xy[:468], rcond=None)[0][:3].T
        depth = canonical @ np.cross(across, down) / np.linalg.norm(down)
        return np.column_stack([points_xy, np.r_[depth, np.zeros(10)]])

    def scores(self, row: int) -> dict[str, float]:
        shown = LAUGH if row == LAUGHING else {}
        return {name: shown.get(name.removesuffix("Left").removesuffix("Right"), 0.0) for name in self.names}

    @property
    def names(self) -> list[str]:
        return self._basis.measured_names


@pytest.fixture(scope="module")
def faces(face_pictures: list[Picture]) -> Renders:
    return Renders(face_pictures, FaceBasis.load())


@pytest.fixture(scope="module")
def cache(faces: Renders, tmp_path_factory: pytest.TempPathFactory) -> TeacherCache:
    return TeacherCache(faces, None, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def face() -> int:
    """A neutral face with closed lips."""
    return NEUTRAL


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> SyntheticFaces:
    """The renders as four frames of one person."""
    folder = tmp_path_factory.mktemp("sets") / "synthetic-faces"
    make_synthetic_faces(folder)
    frames = SyntheticFaces(folder)
    for row in frames.rows:
        row |= {"identity": "7", "split": "train"}
    return frames


def test_the_bundled_basis_is_the_one_that_was_made(teacher_dir: Path, faces: Renders) -> None:
    bundled, made = FaceBasis.load(), FaceBasis.load(teacher_dir)
    assert bundled.sculpted_names == made.sculpted_names
    assert bundled.measured_names == made.measured_names
    assert set(bundled.arrays) - set(made.arrays) == {"smile_shading"}  # measured later
    for name in set(bundled.arrays) & set(made.arrays):
        np.testing.assert_array_equal(bundled.arrays[name], made.arrays[name])
    results = [render(GeometryTeacher(source), faces, 0, "disgust", 0.9)[2] for source in (None, teacher_dir)]
    np.testing.assert_allclose(results[0].image, results[1].image, atol=2)  # traces of a smile's light
    np.testing.assert_array_equal(results[0].prior.flow_px, results[1].prior.flow_px)


def test_an_archive_of_arrays_is_bundled_as_it_is(tmp_path: Path) -> None:
    arrays: dict[str, NDArray[np.generic]] = {
        "half": np.array([0.1, -2], np.float16),
        "count": np.array([3], np.int16),
        "single": np.array([[1e-7]], np.float32),
    }
    names = {"sculpted_names": np.array(["jawOpen"]), "measured_names": np.array(["eyeBlinkLeft"])}
    np.savez(tmp_path / "basis.npz", **arrays, **names)
    (tmp_path / "face_model.md").write_text("# Card\n")
    bundle(tmp_path / "basis.npz", tmp_path)
    with safe_open(verify_weights("face_model", tmp_path), "np") as stored:
        assert set(stored.keys()) == set(arrays)
        for name, array in arrays.items():
            assert stored.get_tensor(name).dtype == array.dtype
            np.testing.assert_array_equal(stored.get_tensor(name), array)
    assert find("face_model", tmp_path).config["arguments"] == {k: v.tolist() for k, v in names.items()}


def test_turned_faces_and_closed_eyes_are_not_usable(cache: TeacherCache, faces: Renders) -> None:
    assert cache.usable() == np.random.default_rng(0).permutation(4).tolist()
    image, points = faces.image(NEUTRAL), faces.landmarks_px(NEUTRAL)
    teacher = cache.teacher
    shut = faces.scores(NEUTRAL) | {"eyeBlinkLeft": 0.8}
    assert teacher.usable(teacher.analyse(image, points, shut)) == (False, "an eye is closed")
    turn = cv2.Rodrigues(np.radians([0.0, 40.0, 0.0]))[0]
    turned = (points - points.mean(axis=0)) @ turn.T + points.mean(axis=0)
    assert "turned sideways" in teacher.usable(teacher.analyse(image, turned, faces.scores(NEUTRAL)))[1]


def test_mixtures_are_those_that_caches_hold() -> None:
    """A blend draws its two expressions by their place in the list, which so must not change."""
    assert mixture(0).measured == {"browDown": 0.272}
    assert {name: mixture(0).sculpted[name] for name in ("browDown", "noseSneer", "mouthSmile_R")} == {
        "browDown": 0.985,
        "noseSneer": 0.337,
        "mouthSmile_R": 0.252,
    }


def render(teacher: GeometryTeacher, faces: Renders, face: int, expression: str, strength: float):
    image = faces.image(face)
    analysis = teacher.analyse(image, faces.landmarks_px(face), faces.scores(face))
    return image, analysis, teacher.render(image, analysis, expression, strength)


def mouth_of(result: TeacherResult) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cover and places on the chart of a mouth whose inside is drawn."""
    mouth = result.prior.mouth
    assert mouth is not None
    assert mouth.interior is not None
    return result.prior.cover(mouth), mouth.on_chart()[..., :2]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_strength_zero_leaves_the_photo(cache, faces, face, expression) -> None:
    image, _, result = render(cache.teacher, faces, face, expression, 0.0)
    assert np.abs(result.prior.whole_flow()).mean() < 0.1
    assert np.abs(result.image.astype(int) - image).mean() < 2
    assert result.prior.mouth is None or result.prior.mouth.interior is None


def test_expressions_move_the_right_parts(cache, faces, face) -> None:
    def moved(expression: str) -> np.ndarray:
        _, analysis, result = render(cache.teacher, faces, face, expression, 1.0)
        return result.prior.target_px[:, :2] - analysis.landmarks_px[:468, :2]

    corners, inner_brows, chin = [61, 291], [107, 336], 152
    happy, surprise, anger, sad = (moved(name) for name in ("happy", "surprise", "anger", "sad"))
    assert happy[corners, 1].mean() < -2  # up
    assert happy[61, 0] < 0 < happy[291, 0]  # outwards
    assert sad[corners, 1].mean() > 0.5
    assert surprise[chin, 1] > 5
    assert surprise[inner_brows, 1].mean() < -3
    assert anger[inner_brows, 1].mean() > 2


def test_surprise_opens_the_mouth_and_flow_explains_the_rest(cache, faces, face) -> None:
    image, _, result = render(cache.teacher, faces, face, "surprise", 1.0)
    lips = result.prior.target_px[[13, 14], 1]
    assert lips[1] - lips[0] > 8
    assert mouth_of(result)[0].sum() > 200
    y, x = np.mgrid[:256, :256].astype(np.float32)
    flow = result.prior.whole_flow()
    warped = cv2.remap(image, x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC).astype(np.float32)
    expected = np.clip(warped * fold_gain(warped, result.prior.folds()), 0, 255)
    inside = np.s_[90:200, 70:186]  # where the edit has not begun to fade towards the window's border
    error = np.abs(expected - result.image)[inside][result.prior.valid()[inside]]
    assert np.percentile(error, 99) < 8
    assert error.mean() < 1


def test_upper_teeth_keep_their_place_while_the_jaw_drops(cache, faces, face) -> None:
    _, _, wide = render(cache.teacher, faces, face, "surprise", 1.0)
    _, _, half = render(cache.teacher, faces, face, "surprise", 0.6)
    (wide_cover, wide_cm), (_, half_cm) = mouth_of(wide), mouth_of(half)
    upper = [(place[..., 1] > 0) & (place[..., 1] < UPPER_EDGE_CM) for place in (wide_cm, half_cm)]
    both = upper[0] & upper[1]
    assert both.sum() > 10
    np.testing.assert_allclose(wide_cm[both], half_cm[both], atol=1e-4)
    lowest = [
        np.nonzero((place[..., 1] > LOWER_EDGE_CM).any(axis=1))[0].min() for place in (half_cm, wide_cm)
    ]
    assert lowest[1] > lowest[0] + 3  # the lower teeth go down with the jaw
    columns = wide_cm[..., 0]
    assert columns[wide_cover > 0].min() < -0.5 < 0.5 < columns[wide_cover > 0].max()


def test_own_teeth_are_kept_by_the_flow(cache, faces) -> None:
    """A laughing photo edited to happy shows its own mouth: nothing is painted, the flow explains all."""
    _, _, result = render(cache.teacher, faces, LAUGHING, "happy", 1.0)
    mouth = result.prior.mouth
    assert mouth is not None
    assert mouth.interior is None
    opening = result.prior.cover(mouth) > 0.99
    assert opening.sum() > 100
    assert result.prior.valid()[opening].mean() > 0.5


def test_motion_grows_with_strength(cache, faces, face) -> None:
    sizes = [
        np.abs(render(cache.teacher, faces, face, "anger", s)[2].prior.flow_px).mean() for s in (0.25, 0.5, 1)
    ]
    assert sizes[0] < sizes[1] < sizes[2]


def test_rasteriser_finds_corners_and_weights() -> None:
    points = np.array([[2.0, 2.0], [12.0, 2.0], [2.0, 12.0]])
    triangles = np.array([[0, 1, 2]])
    owner, weights = raster.rasterise(16, 16, points, triangles)
    assert owner[4, 4] == 0
    assert owner[12, 12] == -1
    np.testing.assert_allclose(weights[4, 7], [0.5, 0.2], atol=1e-6)
    covered, samples = raster.interpolate(owner, weights, triangles, points)
    ys, xs = np.nonzero(covered)
    np.testing.assert_allclose(samples, np.stack([xs, ys], axis=1), atol=1e-5)


def test_composed_flow_undoes_the_first_and_does_the_second() -> None:
    y, x = np.mgrid[:64, :64].astype(np.float32)
    first = np.dstack([2 * np.sin(y / 9), 1.5 * np.cos(x / 11)]).astype(np.float32)
    second = np.dstack([np.cos(x / 8), 2 * np.sin(x / 10)]).astype(np.float32)
    flow, trusted = compose_flows(first, second)
    at_first = np.dstack([x, y]) + flow
    photo_by_first = at_first + cv2.remap(first, at_first[..., 0], at_first[..., 1], cv2.INTER_LINEAR)
    photo = np.dstack([x, y]) + second
    inner = np.s_[6:-6, 6:-6]
    assert trusted[inner].all()
    assert np.abs(photo_by_first - photo)[inner].max() < 0.1


def test_cache_returns_what_was_rendered(cache, face) -> None:
    made = cache.get(face, 1)
    again = cache.get(face, 1)
    np.testing.assert_array_equal(made.flow_px, again.flow_px)
    assert made.image.shape == (256, 256, 3)
    assert made.flow_px.shape == (128, 128, 2)
    assert variant_of(face, 1) == ("happy", 1.0)
    expression, strength = variant_of(face, 9)
    assert expression in EXPRESSIONS
    assert 0 < strength < 1


def test_samples_are_a_function_of_seed_and_number(cache, face, synthetic) -> None:
    samples = PairSamples(cache, [face], synthetic, PairMix(variants=8))
    one, same, other = samples(3, 5), samples(3, 5), samples(3, 6)
    _, _, height, width = WINDOW
    for name, value in one.items():
        np.testing.assert_array_equal(value, same[name])
    assert not np.array_equal(one["source"], other["source"])
    assert one["seen"].shape == (3, height, width)
    assert one["flow_px"].shape == (2, height // 2, width // 2)


def test_every_kind_of_pair_is_consistent(cache, face, synthetic) -> None:
    mixes = [
        PairMix(between=0, same=0, synthetic=0, variants=8),
        PairMix(between=1, same=0, synthetic=0),
        PairMix(between=0, same=1, synthetic=0),
        PairMix(between=0, same=0, synthetic=1),
    ]
    for kind, mix in enumerate(mixes):
        samples = PairSamples(cache, [face], synthetic, mix)
        pair = samples.pair(np.random.default_rng(kind))
        flow = cv2.resize(pair.flow_px, (256, 256), interpolation=cv2.INTER_LINEAR)
        weight = cv2.resize(pair.flow_weight, (256, 256), interpolation=cv2.INTER_NEAREST) > 0
        weight &= (pair.mouth == 0) & (pair.importance > 0)
        y, x = np.mgrid[:256, :256].astype(np.float32)
        warped = cv2.remap(pair.source, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR)
        if kind == 2:
            np.testing.assert_array_equal(pair.source, pair.target)
        if kind == 3:
            assert not weight.any()
        else:  # shading apart, the flow leads from the target to the source
            assert weight.sum() > 3000
            difference = np.abs(warped.astype(int) - pair.target).mean(axis=2)[weight].mean()
            assert difference < 8


def test_folders_that_are_no_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"faces\.csv"):
        OpenFaces(tmp_path)
    with pytest.raises(UsageError, match=r"set\.csv"):
        SyntheticFaces(tmp_path)
