"""The built-in detector with the bundled weights on made scenes."""

import cv2
import numpy as np
import pytest

from exprgan.errors import UsageError, WeightsError
from exprgan.evaluation.faces import count_faces
from exprgan.evaluation.made_scenes import SceneConfig, make_scene
from exprgan.faces.detect import BuiltinDetector
from exprgan.faces.detectors import open_detector
from exprgan.faces.landmarks import Landmarker
from exprgan.faces.mesh import MIRROR


@pytest.fixture(scope="module")
def detector():
    return open_detector()


@pytest.fixture(scope="module")
def pasted(face_cutouts):
    """A face of a given height, roll and place on a made background; its image and the true eyes."""

    def make(size_px, roll, centre, number=0):
        from exprgan.evaluation.made_scenes import _made_background, _paste
        from exprgan.faces.align import transform_points

        cutout = face_cutouts[number]
        image = _made_background(np.random.default_rng(number), 640, 480) * 0.5 + 60
        x0, y0, x1, y1 = cutout.box_xyxy
        factor = size_px / (y1 - y0) * np.exp(1j * np.radians(roll))
        offset = complex(*centre) - factor * complex(x0 + x1, y0 + y1) / 2
        matrix = np.array([[factor.real, -factor.imag, offset.real], [factor.imag, factor.real, offset.imag]])
        _paste(image, cutout, matrix)
        return image.clip(0, 255).astype(np.uint8), transform_points(cutout.eyes_xy, matrix)

    return make


@pytest.mark.parametrize("size_px", [45, 120, 400])
@pytest.mark.parametrize("roll", [-30, 0, 30])
def test_a_face_is_found_at_any_size_and_roll(detector, pasted, size_px, roll):
    image, eyes = pasted(size_px, roll, (330, 235), number=size_px % 4)

    faces = detector.detect(image)

    assert len(faces) >= 1
    distance = np.linalg.norm(faces[0].points5_xy[:2] - eyes, axis=1)
    assert (distance < 0.06 * size_px + 1).all()
    assert faces[0].pose[2] == pytest.approx(roll, abs=12)


def test_a_face_cut_by_the_edge_is_found(detector, pasted):
    image, eyes = pasted(220, 0, (85, 240))

    faces = detector.detect(image)

    assert len(faces) == 1
    assert np.linalg.norm(faces[0].points5_xy[:2] - eyes, axis=1).max() < 0.08 * 220


def test_a_tight_crop_is_found(detector, pasted):
    image, eyes = pasted(380, 0, (320, 240))

    faces = detector.detect(np.ascontiguousarray(image[50:430, 170:470]))

    assert len(faces) == 1
    assert np.linalg.norm(faces[0].points5_xy[:2] + (170, 50) - eyes, axis=1).max() < 0.08 * 380


def test_made_scenes(detector, face_cutouts):
    """The same count that the evaluation of 200 scenes makes, on a few."""
    config = SceneConfig(smallest_side_px=480, largest_side_px=640, most_faces=3)
    scenes = [make_scene(face_cutouts, 7, number, config=config) for number in range(6)]

    counts = count_faces(detector, scenes)

    assert counts.num_true >= 6
    assert counts.num_found >= counts.num_true - 1
    assert counts.num_false <= 1


@pytest.mark.parametrize("value", [0, 128])
def test_a_plain_picture_has_no_face(detector, value):
    assert detector.detect(np.full((300, 400, 3), value, np.uint8)) == []


def test_tiny_and_odd_pictures_are_no_error(detector):
    for shape in ((1, 1, 3), (7, 400, 3), (33, 20, 3)):
        assert detector.detect(np.zeros(shape, np.uint8)) == []


def test_a_face_is_described_in_full_and_the_largest_comes_first(detector, pasted):
    big, _ = pasted(260, 5, (200, 250))
    small, _ = pasted(80, 0, (520, 200))
    big[:, 400:] = small[:, 400:]

    faces = detector.detect(big)

    assert len(faces) == 2
    assert faces[0].size_px > 2 * faces[1].size_px
    for face in faces:
        assert face.landmarks_xy.shape == (478, 2)
        assert face.landmarks_xy.dtype == np.float32
        assert 0.5 < face.score <= 1
        np.testing.assert_array_equal(face.box_xyxy[:2], face.landmarks_xy.min(0))


def test_a_mirrored_photo_gives_mirrored_landmarks(detector, pasted):
    image, _ = pasted(300, 0, (320, 240), number=2)

    (face,) = detector.detect(image)
    (mirrored,) = detector.detect(np.ascontiguousarray(image[:, ::-1]))

    back = mirrored.landmarks_xy[MIRROR] * (-1, 1) + (image.shape[1] - 1, 0)
    assert np.linalg.norm(back - face.landmarks_xy, axis=1).mean() < 0.015 * 300
    assert mirrored.pose[1] == pytest.approx(-face.pose[1], abs=4)


def test_detection_does_not_depend_on_the_photos_resolution(detector, pasted):
    image, _ = pasted(200, 0, (320, 240), number=1)
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)

    (face,), (large_face,) = detector.detect(image), detector.detect(large)

    shrunk = (large_face.landmarks_xy + 0.5) / 3 - 0.5
    assert np.linalg.norm(shrunk - face.landmarks_xy, axis=1).mean() < 0.02 * 200


def test_an_unknown_detector_is_named():
    with pytest.raises(UsageError, match="builtin"):
        open_detector("viola")


def test_missing_weights_are_an_error(tmp_path):
    with pytest.raises(WeightsError):
        open_detector(folder=tmp_path)


def test_last_digits_do_not_change_what_is_found(detector, pasted):
    class Noisy:
        """The network with what another runtime changes."""

        def __init__(self, net):
            self.net, self.rng = net, np.random.default_rng(5)

        def __call__(self, *arrays):
            answers = self.net(*arrays)
            noise = (
                None if part is None else self.rng.normal(0, 1e-7, part.shape).astype(part.dtype)
                for part in answers
            )
            return tuple(
                None if part is None else part + more for part, more in zip(answers, noise, strict=True)
            )

    image, _ = pasted(300, 5, (330, 235), number=1)
    landmarker = detector.landmarker
    noisy = BuiltinDetector(
        detector.proposer, Landmarker(Noisy(landmarker.net), crop_px=landmarker.crop_px), detector.config
    )

    known, found = detector.detect(image)[0], noisy.detect(image)[0]

    np.testing.assert_array_equal(found.points5_xy, known.points5_xy)
    for name in ("landmarks_xy", "depth_px", "blendshapes"):
        assert (getattr(found, name) == getattr(known, name)).mean() > 0.99, name
