import numpy as np
import pytest

from exprgan.faces import mesh


@pytest.fixture
def landmarks_xy(root):
    return np.load(root / "tests" / "data" / "faces" / "landmarks.npz")["landmarks_xy"]


def test_the_mirror_is_its_own_inverse_and_keeps_the_groups():
    everything = np.arange(mesh.NUM_POINTS)

    assert (mesh.MIRROR[mesh.MIRROR] == everything).all()
    assert set(mesh.MIRROR[list(mesh.RIGHT_EYE)]) == set(mesh.LEFT_EYE)
    assert set(mesh.MIRROR[list(mesh.RIGHT_BROW)]) == set(mesh.LEFT_BROW)
    for group in (mesh.OUTER_LIPS, mesh.INNER_LIPS, mesh.FACE_OVAL):
        assert set(mesh.MIRROR[list(group)]) == set(group)


def test_mirrored_landmarks_look_like_landmarks(landmarks_xy):
    """A face and its mirror image differ by far less than a face and its unsorted mirror image."""
    for points in landmarks_xy:
        centred = points - points.mean(0)
        mirrored = centred * (-1, 1)
        sorted_distance = np.linalg.norm(mirrored[mesh.MIRROR] - centred, axis=1).mean()
        unsorted_distance = np.linalg.norm(mirrored - centred, axis=1).mean()
        assert sorted_distance < 0.4 * unsorted_distance


def test_five_points_are_ordered_by_the_subject(landmarks_xy):
    right_eye, left_eye, nose, right_mouth, left_mouth = mesh.five_points(landmarks_xy[0])

    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert right_eye[1] < nose[1] < right_mouth[1]


@pytest.mark.parametrize("degrees", [-100.0, -30.0, 0.0, 45.0])
def test_the_square_turns_with_the_face(landmarks_xy, degrees):
    points = landmarks_xy[1]
    before = mesh.face_square(points)
    factor = 1.7 * np.exp(1j * np.radians(degrees))
    moved = (points @ (1, 1j)) * factor + (30 - 40j)

    after = mesh.face_square(np.stack([moved.real, moved.imag], axis=1))

    centre = complex(*before[:2]) * factor + (30 - 40j)
    np.testing.assert_allclose(after[:3], [centre.real, centre.imag, 1.7 * before[2]], rtol=1e-4)
    assert after[3] - before[3] == pytest.approx(degrees, abs=1e-3)
