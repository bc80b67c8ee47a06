"""The RetinaFace backend with random weights in the authors' format; the true ones are not part of exprgan."""

import pickle
import warnings

import numpy as np
import pytest
import torch

from exprgan.errors import WeightsError
from exprgan.faces import retinaface
from exprgan.faces.landmarks import Landmarker
from exprgan.faces.mesh import face_square, five_points
from exprgan.files import HOME_VARIABLE
from exprgan.models.landmark_net import LandmarkNet


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A folder with random weights, named with the prefix `module.` as the authors' file has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from facexlib.detection.retinaface import RetinaFace

        net = RetinaFace(network_name="resnet50", device=torch.device("cpu"))
    folder = tmp_path_factory.mktemp("retinaface")
    state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save(state, folder / retinaface.FILE_NAME)
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    return tmp_path / "home"


def test_weights_are_loaded_and_the_detector_runs(stored, home):
    net = retinaface.load_network(stored)
    detector = retinaface.RetinaFaceDetector(net, Landmarker(LandmarkNet(crop_px=32).eval()))

    assert not net.training
    assert (stored / f"{retinaface.FILE_NAME}.sha256").exists()
    image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    assert isinstance(detector.detect(image), list)


def test_proposals_become_faces_in_photo_pixels(root):
    """RetinaFace answers in the pixels of a shrunk, BGR copy."""
    points = np.load(root / "tests/data/faces/landmarks.npz")["landmarks_xy"][0] * 8
    seen = []

    class Net:
        def detect_faces(self, image_bgr, confidence):
            seen.append(image_bgr)
            five = (five_points(points) + 0.5) / 2 - 0.5
            return np.array([[0, 0, 9, 9, 0.9, *five.ravel()]])

    class Marker(Landmarker):
        def __init__(self):
            pass

        def refine(self, image, squares, **_):
            seen.append(squares)
            from exprgan.faces.landmarks import Looks

            return Looks(points[None].astype(np.float64), np.zeros((1, 2)), np.array([0.9]))

    image = np.zeros((2048, 2048, 3), np.uint8)
    image[..., 0] = 200
    (face,) = retinaface.RetinaFaceDetector(Net(), Marker()).detect(image)

    assert seen[0].shape == (1024, 1024, 3) and seen[0][0, 0].tolist() == [0, 0, 200]
    true = face_square(points)
    assert np.hypot(*(seen[1][0, :2] - true[:2])) < 0.12 * true[2]
    assert seen[1][0, 2] == pytest.approx(true[2], rel=0.2)
    np.testing.assert_array_equal(face.landmarks_xy, points.astype(np.float32))


def test_without_weights_and_network_the_error_says_what_to_do(home):
    with pytest.raises(WeightsError) as error:
        retinaface.load_network()

    assert retinaface.URL in str(error.value)
    assert str(home) in str(error.value)
    assert "--detector builtin" in str(error.value)


def test_a_changed_file_is_refused(tmp_path, home):
    file = tmp_path / retinaface.FILE_NAME
    file.write_bytes(b"first")
    retinaface.check_sha256(file)
    retinaface.check_sha256(file)
    file.write_bytes(b"second")

    with pytest.raises(WeightsError, match="sha256"):
        retinaface.load_network(tmp_path)


class _Harm:
    def __reduce__(self):
        return (print, ("run",))


def test_a_file_that_would_run_code_is_refused(tmp_path, home):
    (tmp_path / retinaface.FILE_NAME).write_bytes(pickle.dumps(_Harm()))

    with pytest.raises(WeightsError, match="more than tensors"):
        retinaface.load_network(tmp_path)


def test_other_weights_are_refused(tmp_path, home):
    torch.save({"module.weight": torch.zeros(3)}, tmp_path / retinaface.FILE_NAME)

    with pytest.raises(WeightsError, match="another network"):
        retinaface.load_network(tmp_path)


def test_the_weights_of_exprgan_home_are_found(stored, home):
    home.mkdir()
    (home / retinaface.FILE_NAME).write_bytes(b"x")

    assert retinaface.find_file() == home / retinaface.FILE_NAME
    assert retinaface.find_file(stored) == stored / retinaface.FILE_NAME
