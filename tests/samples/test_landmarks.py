import numpy as np
import pytest

from exprgan.evaluation.made_scenes import make_scene, match_faces
from exprgan.faces.mesh import FIVE_POINTS, face_square, roll_degrees
from exprgan.faces.proposer import STRIDE_PX, UNIT_SIDE_PX
from exprgan.samples.landmarks import JitterConfig, jittered_square, sample_crop
from exprgan.samples.mosaics import sample_mosaic
from exprgan.samples.turned import HeadTurner

PLAIN = JitterConfig(negative_share=0.0, cut_share=0.0, occluder_share=0.0)


def test_a_sample_depends_on_its_number_alone(face_pictures):
    first, again, other = (
        sample_crop(face_pictures, np.random.default_rng((3, n)), 64, JitterConfig()) for n in (5, 5, 6)
    )

    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert (first["crop"] != other["crop"]).any()


def test_landmarks_stay_on_the_dark_pupils(face_pictures):
    """Whatever crop and mirroring, pupils are darker than the brow above and the cheek below."""
    darker = []
    for number in range(40):
        sample = sample_crop(face_pictures, np.random.default_rng((0, number)), 128, PLAIN)
        pixels = np.round(((sample["points"] + 1) * 128 - 1) / 2).astype(int)
        if np.abs(sample["points"]).max() < 0.95:
            grey = sample["crop"].mean(0)
            value = {p: grey[pixels[p, 1], pixels[p, 0]] for p in (468, 473, 50, 280)}
            darker.append(value[468] < value[50] and value[473] < value[280])
    assert len(darker) > 10
    assert np.mean(darker) > 0.9


def test_mirrored_samples_keep_the_subjects_sides(face_pictures):
    for number in range(30):
        points = sample_crop(face_pictures, np.random.default_rng((0, number)), 64, PLAIN)["points"]
        assert abs(roll_degrees(points)) < 75


def test_jitter_keeps_its_limits(face_pictures):
    rng = np.random.default_rng(0)
    points = face_pictures[0].landmarks_xy
    x, y, side, roll = face_square(points)
    for _ in range(100):
        square = jittered_square(points, rng, 0.15, 1.2, 30)
        assert np.abs(square[:2] - (x, y)).max() <= 0.15 * side
        assert 1 / 1.2 <= square[2] / side <= 1.2
        assert abs(square[3] - roll) <= 30


def test_a_mosaics_targets_lead_back_to_its_faces(face_pictures):
    number_of_faces = 0
    for number in range(12):
        sample = sample_mosaic(face_pictures, np.random.default_rng((1, number)), 128)
        for row, column in np.argwhere(sample["heat"] == 1):
            dx, dy, log_side = sample["target"][:, row, column]
            assert abs(dx) <= 1.01 and abs(dy) <= 1.01
            assert 0 <= (column + 0.5 + dx) * STRIDE_PX <= 128
            assert 15 < np.exp(log_side) * UNIT_SIDE_PX < 160
            number_of_faces += 1
        assert sample["weight"].sum() == pytest.approx((sample["heat"] == 1).sum(), abs=0.6)
    assert number_of_faces > 10


def test_turning_a_head_moves_the_nose_and_keeps_the_edge(face_pictures):
    picture = face_pictures[0]
    depth = np.zeros(478)
    depth[FIVE_POINTS[2]] = -40  # the nose stands out
    full = np.column_stack([picture.landmarks_xy, depth])
    turner = HeadTurner(full)

    same = turner.turn(picture.image, full, picture.turn, 0.0)
    turned = turner.turn(picture.image, full, picture.turn, 35.0)

    assert np.abs(same.image.astype(int) - picture.image).mean() < 0.01  # rounding of the map
    np.testing.assert_allclose(same.landmarks_xy, picture.landmarks_xy, atol=1e-3)
    assert turned.turn[1] == picture.turn[1] + 35
    eyes = turned.landmarks_xy[[468, 473]].mean(0)
    assert turned.landmarks_xy[4, 0] - eyes[0] > 10  # to the picture's right
    np.testing.assert_array_equal(turned.image[0], picture.image[0])


def test_made_scenes_are_repeatable_and_true(face_cutouts):
    first, again = make_scene(face_cutouts, 4, 2), make_scene(face_cutouts, 4, 2)

    np.testing.assert_array_equal(first.image, again.image)
    assert len(first.sizes_px) == len(first.centres_xy) == len(first.eyes_xy) > 0
    assert (first.sizes_px >= 40).all()


def test_each_face_is_matched_once():
    pairs = match_faces(
        np.array([[100, 100], [300, 100]]),
        np.array([80, 80]),
        np.array([[105, 100], [98, 101], [300, 180]]),
        np.array([80, 90, 80]),
    )
    assert pairs == [(0, 1)]
