"""Crops of faces: the FFHQ alignment that the editor works in, and turned squares for the landmark network.

Points are (x, y) with pixel centres at whole numbers; matrices are (2, 3) and map photo to crop.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FFHQ_TEMPLATE_512: NDArray[np.float64] = np.array(
    [
        [192.98138, 239.94708],
        [318.90277, 240.1936],
        [256.63416, 314.01935],
        [201.26117, 371.41043],
        [313.08905, 371.15118],
    ]
)
"""facexlib's five points of a 512-px FFHQ crop: right eye, left eye, nose tip, right and left mouth corner
(https://github.com/xinntao/facexlib/blob/v0.3.0/facexlib/utils/face_restoration_helper.py)."""


def crop_matrix(points5_xy: NDArray[np.floating], size: int = 256) -> NDArray[np.float64]:
    """Similarity (2, 3) from the photo to the aligned crop, least squares over the five points.

    Args:
        points5_xy: (5, 2) in photo pixels, in the order of `Face.points5_xy`.
        size: Side of the crop in pixels; the template is scaled by size / 512.

    >>> crop_matrix(FFHQ_TEMPLATE_512, 512).round(6).tolist()
    [[1.0, -0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    source = np.asarray(points5_xy, np.float64) @ (1, 1j)
    target = FFHQ_TEMPLATE_512 * (size / 512) @ (1, 1j)
    centred = source - source.mean()
    spread = np.vdot(centred, centred).real
    factor = np.vdot(centred, target - target.mean()) / max(spread, 1e-12)
    return _as_matrix(factor, target.mean() - factor * source.mean())


def square_matrix(square: NDArray[np.floating], size: int) -> NDArray[np.float64]:
    """Similarity (2, 3) from the photo to a `size`-px crop of a turned square.

    Args:
        square: Centre x, centre y, side in photo pixels, roll in degrees (as `mesh.face_square` gives).
        size: Side of the crop in pixels.
    """
    x, y, side, roll = (float(v) for v in square)
    factor = size / side * np.exp(-1j * np.radians(roll))
    return _as_matrix(factor, (size - 1) / 2 * (1 + 1j) - factor * complex(x, y))


def transform_points(points_xy: NDArray[np.floating], matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    """Points (..., 2) moved by an affine matrix (2, 3)."""
    return np.asarray(points_xy, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def warp_crop(
    image: NDArray[np.uint8],
    matrix: NDArray[np.floating],
    size: int = 256,
    *,
    border: int = cv2.BORDER_REFLECT,
) -> NDArray[np.uint8]:
    """The crop (size, size, 3) that `matrix` cuts from a photo, each pixel the mean of the area it covers.

    Only the part of the photo under the crop is touched, so a large photo costs no more than a small one.

    Args:
        image: uint8 RGB (H, W, 3), original photo frame.
        matrix: (2, 3) similarity from photo to crop.
        size: Side of the crop in pixels.
        border: OpenCV's mode beyond the photo's edge; reflected by default.
    """
    shrink = 1 / max(float(np.hypot(matrix[0, 0], matrix[1, 0])), 1e-9)
    corners = np.array([[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]])
    inverse = cv2.invertAffineTransform(np.asarray(matrix, np.float64))
    corners_xy = transform_points(corners, inverse)
    height, width = image.shape[:2]
    margin = 2 * shrink + 2
    # the photo's part under the crop, at least a few pixels wide where the crop misses the photo
    x0, y0 = (
        int(np.clip(v, 0, n - 1)) for v, n in zip(corners_xy.min(0) - margin, (width, height), strict=True)
    )
    x1, y1 = (
        int(np.clip(v, 1, n)) for v, n in zip(corners_xy.max(0) + margin + 1, (width, height), strict=True)
    )
    part = image[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    to_crop = np.array(matrix, np.float64)
    to_crop[:, 2] = transform_points(np.array([x0, y0]), to_crop)
    if shrink > 1.3:
        part, to_crop = _shrunk(part, to_crop, shrink)
    return cv2.warpAffine(part, to_crop, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def _shrunk(
    part: NDArray[np.uint8], matrix: NDArray[np.float64], shrink: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """The picture reduced to about the crop's scale by area averaging, and the matrix from there."""
    width, height = (max(1, round(n / shrink)) for n in (part.shape[1], part.shape[0]))
    ratio = np.array([part.shape[1] / width, part.shape[0] / height])
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (ratio / 2 - 0.5)
    moved[:, :2] *= ratio
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), moved


def _as_matrix(factor: complex, offset: complex) -> NDArray[np.float64]:
    factor, offset = complex(factor), complex(offset)
    return np.array([[factor.real, -factor.imag, offset.real], [factor.imag, factor.real, offset.imag]])
