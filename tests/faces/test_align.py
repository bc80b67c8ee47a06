import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from exprgan.faces.align import (
    FFHQ_TEMPLATE_512,
    crop_matrix,
    square_matrix,
    transform_points,
    warp_crop,
)


@settings(max_examples=50, deadline=None)
@given(st.floats(0.1, 20), st.floats(-180, 180), st.floats(-3000, 3000), st.floats(-3000, 3000))
def test_crop_matrix_undoes_any_similarity(scale, roll, x, y):
    factor = scale * np.exp(1j * np.radians(roll))
    moved = (FFHQ_TEMPLATE_512 @ (1, 1j)) * factor + complex(x, y)
    points = np.stack([moved.real, moved.imag], axis=1)

    back = transform_points(points, crop_matrix(points, 256))

    np.testing.assert_allclose(back, FFHQ_TEMPLATE_512 / 2, atol=1e-6)


def test_crop_matrix_is_a_similarity_even_for_crooked_points():
    points = FFHQ_TEMPLATE_512 + np.random.default_rng(0).normal(0, 20, (5, 2))

    linear = crop_matrix(points)[:, :2]

    np.testing.assert_allclose(linear.T @ linear, np.eye(2) * (linear[0] ** 2).sum(), atol=1e-12)
    assert np.linalg.det(linear) > 0


def test_square_matrix_takes_the_centre_to_the_middle_and_turns_the_face_upright():
    square = np.array([120.0, 80.0, 64.0, 30.0])
    matrix = square_matrix(square, 128)
    along_the_eyes = np.array([np.cos(np.radians(30)), np.sin(np.radians(30))])

    np.testing.assert_allclose(transform_points(square[:2], matrix), [63.5, 63.5])
    np.testing.assert_allclose(
        transform_points(square[:2] + 32 * along_the_eyes, matrix), [63.5 + 64, 63.5], atol=1e-9
    )


def test_a_crop_at_scale_one_is_a_cut():
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    matrix = np.array([[1.0, 0, -20], [0, 1.0, -10]])

    np.testing.assert_array_equal(warp_crop(image, matrix, 32), image[10:42, 20:52])


def test_shrinking_averages_the_area():
    """Fine stripes become their mean, not one of their colours."""
    image = np.zeros((512, 512, 3), np.uint8)
    image[::2] = 200

    crop = warp_crop(image, np.array([[0.125, 0, 0], [0, 0.125, 0]]), 64)

    assert abs(crop[4:-4, 4:-4].astype(int) - 100).max() <= 2


def test_shrinking_keeps_places():
    image = np.zeros((600, 800, 3), np.uint8)
    cv2.circle(image, (437, 251), 40, (255, 255, 255), -1)
    matrix = square_matrix(np.array([420.0, 260.0, 300.0, 17.0]), 96)

    crop = warp_crop(image, matrix, 96)[..., 0].astype(float)

    rows, columns = np.indices(crop.shape)
    centre = np.array([(columns * crop).sum(), (rows * crop).sum()]) / crop.sum()
    np.testing.assert_allclose(centre, transform_points(np.array([437, 251]), matrix), atol=0.1)


def test_a_crop_only_reads_the_part_below_it():
    rng = np.random.default_rng(1)
    image = rng.integers(0, 256, (900, 900, 3), dtype=np.uint8)
    other = rng.integers(0, 256, (900, 900, 3), dtype=np.uint8)
    other[350:650, 350:650] = image[350:650, 350:650]
    matrix = square_matrix(np.array([500.0, 500.0, 150.0, 20.0]), 64)

    np.testing.assert_array_equal(warp_crop(image, matrix, 64), warp_crop(other, matrix, 64))


def test_a_crop_past_the_edge_is_filled_from_the_edge():
    image = np.full((50, 50, 3), 90, np.uint8)

    assert (warp_crop(image, np.array([[1.0, 0, 30], [0, 1.0, 30]]), 64) == 90).all()
    assert (warp_crop(image, np.array([[1.0, 0, -500], [0, 1.0, 0]]), 64) == 90).all()
