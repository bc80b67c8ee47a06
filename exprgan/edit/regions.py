"""Face regions by a segmenter: of the editor's crops, and of whole photos as a label map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.errors import WeightsError
from exprgan.face_parts import CROP_PX
from exprgan.faces.align import crop_matrix, transform_points, warp_crop
from exprgan.faces.face import Face
from exprgan.weights import NetworkFiles, find, find_weights_dir, read_manifest
from exprgan.weights.runtime import Network, as_network, signed

if TYPE_CHECKING:
    from torch import nn

SEGMENTERS = ("unet", "bisenet")
"""In the order in which a folder of weights is searched for one."""

_FINE = 4  # label maps are drawn at this multiple of the crop's resolution, for smooth outlines

PALETTE = np.array(
    [
        (0, 0, 0),  # background
        (224, 172, 130),  # skin
        (255, 214, 79),  # nose
        (120, 120, 120),  # eye_g
        (64, 196, 255),  # l_eye
        (0, 121, 191),  # r_eye
        (174, 213, 129),  # l_brow
        (85, 139, 47),  # r_brow
        (255, 138, 101),  # l_ear
        (216, 67, 21),  # r_ear
        (136, 14, 79),  # mouth
        (240, 98, 146),  # u_lip
        (194, 24, 91),  # l_lip
        (93, 64, 55),  # hair
        (255, 87, 34),  # hat
        (255, 255, 255),  # ear_r
        (178, 235, 242),  # neck_l
        (188, 143, 143),  # neck
        (57, 73, 171),  # cloth
    ],
    dtype=np.uint8,
)
"""Colours (19, 3), RGB, in the order of `exprgan.face_parts.CLASS_NAMES`."""


def find_segmenter(folder: Path | str | None = None, name: str | None = None) -> NetworkFiles:
    """The segmenter of a folder of weights.

    Args:
        folder: Folder of weights; None finds it as `find_weights_dir` does.
        name: Name in the manifest; None takes the first of `SEGMENTERS` that is there.

    Raises:
        WeightsError: The folder has none.
    """
    folder = find_weights_dir(folder)
    present = [name] if name else [known for known in SEGMENTERS if known in read_manifest(folder)]
    if not present:
        raise WeightsError(f"{folder} has no segmenter ({' or '.join(SEGMENTERS)}); use the bundled weights.")
    return find(present[0], folder)


def segment_crop(segmenter: Network | nn.Module, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The likeliest class of each pixel of one aligned crop.

    Args:
        segmenter: A network in this role, or one of `exprgan.models.segmenters` in eval mode on the CPU.
        crop: uint8 RGB (256, 256, 3), aligned crop frame.

    Returns:
        uint8 (256, 256), indices into `CLASS_NAMES`.
    """
    logits = as_network(segmenter, "segmenter")(signed(crop))[0]
    return np.asarray(logits)[0].argmax(axis=0).astype(np.uint8)


def colourise(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Label map uint8 (H, W) as uint8 RGB (H, W, 3) in the palette's colours."""
    return PALETTE[labels]


def overlay(image: NDArray[np.uint8], labels: NDArray[np.uint8], opacity: float = 0.55) -> NDArray[np.uint8]:
    """The image tinted by its labels; background stays as it is.

    Args:
        image: uint8 RGB (H, W, 3).
        labels: uint8 (H, W), indices into `CLASS_NAMES`.
        opacity: Share of the colours, 0 to 1.

    Returns:
        uint8 RGB (H, W, 3).
    """
    share = np.where(labels > 0, np.float32(opacity), np.float32(0))[..., None]
    return np.round(image * (1 - share) + colourise(labels) * share).astype(np.uint8)


def label_map(
    image: NDArray[np.uint8], faces: Sequence[Face], segmenter: Network | nn.Module
) -> NDArray[np.uint8]:
    """Class of every pixel of a photo; 0 (background) outside the faces' crops.

    Args:
        image: uint8 RGB (H, W, 3), sRGB, original photo frame.
        faces: Faces to label, the most important first: later ones fill only what is still background.
        segmenter: A network in this role, or a module on the CPU that gives logits (N, classes, 256, 256).

    Returns:
        uint8 (H, W), index into the segmenter's classes.
    """
    labels, network = np.zeros(image.shape[:2], np.uint8), as_network(segmenter, "segmenter")
    for face in faces:
        matrix = crop_matrix(face.points5_xy, CROP_PX)
        logits = np.asarray(network(signed(warp_crop(image, matrix, CROP_PX)))[0])[0]
        _paste_labels(labels, _fine_labels(logits), matrix)
    return labels


def _fine_labels(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The likeliest class at `_FINE` times the resolution of logits (classes, H, W), enlarged one by one."""
    size_wh = (_FINE * logits.shape[2], _FINE * logits.shape[1])
    best = cv2.resize(logits[0], size_wh, interpolation=cv2.INTER_LINEAR)
    labels = np.zeros(best.shape, np.uint8)
    for number in range(1, len(logits)):
        other = cv2.resize(logits[number], size_wh, interpolation=cv2.INTER_LINEAR)
        labels[other > best] = number
        np.maximum(best, other, out=best)
    return labels


def crop_bounds(
    matrix: NDArray[np.floating], size_hw: tuple[int, int], margin_px: int = 0
) -> tuple[slice, slice]:
    """Rows and columns of the photo that a crop touches, limited to the photo; empty where it misses it.

    Args:
        matrix: (2, 3) similarity from photo to crop.
        size_hw: Height and width of the photo in pixels.
        margin_px: Photo pixels to add on every side.
    """
    end = CROP_PX - 0.5
    corners = np.array([[-0.5, -0.5], [end, -0.5], [-0.5, end], [end, end]], np.float64)
    corners_xy = transform_points(corners, _inverse(matrix))
    low = np.floor(corners_xy.min(axis=0)).astype(int) - margin_px
    high = np.ceil(corners_xy.max(axis=0)).astype(int) + 1 + margin_px
    x0, y0 = (int(np.clip(value, 0, n)) for value, n in zip(low, size_hw[::-1], strict=True))
    x1, y1 = (int(np.clip(value, 0, n)) for value, n in zip(high, size_hw[::-1], strict=True))
    return slice(y0, y1), slice(x0, x1)


def shift_matrix(matrix: NDArray[np.floating], rows: slice, columns: slice) -> NDArray[np.float64]:
    """The photo-to-crop matrix for the photo's part `[rows, columns]` taken alone."""
    moved = np.array(matrix, np.float64)
    moved[:, 2] = transform_points(np.array([columns.start, rows.start], np.float64), moved)
    return moved


def _inverse(matrix: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(cv2.invertAffineTransform(np.asarray(matrix, np.float64)), np.float64)


def _paste_labels(labels: NDArray[np.uint8], crop_labels: NDArray[np.uint8], matrix: NDArray[Any]) -> None:
    rows, columns = crop_bounds(matrix, (labels.shape[0], labels.shape[1]))
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    to_fine = shift_matrix(matrix, rows, columns)
    to_fine[:, 2] += 0.5
    to_fine *= _FINE
    to_fine[:, 2] -= 0.5
    size_wh = (columns.stop - columns.start, rows.stop - rows.start)
    pasted = cv2.warpAffine(crop_labels, _inverse(to_fine), size_wh, flags=cv2.INTER_NEAREST)
    window = labels[rows, columns]
    window[:] = np.where(window == 0, pasted, window)
