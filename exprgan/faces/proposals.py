"""Rough places of faces by OpenCV's cascades; full of false ones, which the landmark network weeds out."""

from __future__ import annotations

import functools
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.errors import ExprganError
from exprgan.faces.align import transform_points


@dataclass(frozen=True)
class CascadePass:
    """One run of a cascade over the small copy of the photo."""

    cascade: str  # file in cv2.data.haarcascades
    size_px: int  # longer side of the copy
    min_face_px: int  # smallest window in the copy
    max_face_px: int  # largest window in the copy, 0 for any
    turn_degrees: float = 0.0  # the copy is turned counter-clockwise by this first
    mirrored: bool = False  # the copy is mirrored first
    scale_step: float = 1.2  # factor between window sizes
    neighbours: int = 2  # windows that must agree


FRONTAL, FRONTAL_ALT = "haarcascade_frontalface_default.xml", "haarcascade_frontalface_alt2.xml"
PROFILE = "haarcascade_profileface.xml"

_CASCADE_LOCK = threading.Lock()  # cascades keep state while they search

COARSE_PASSES = (
    CascadePass(FRONTAL_ALT, 400, 36, 0, scale_step=1.15),
    CascadePass(FRONTAL, 400, 36, 0),
    CascadePass(FRONTAL, 320, 36, 0, turn_degrees=30),
    CascadePass(FRONTAL, 320, 36, 0, turn_degrees=-30),
    CascadePass(PROFILE, 320, 36, 0),
    CascadePass(PROFILE, 320, 36, 0, mirrored=True),
)
"""Faces of at least about a tenth of the photo."""

# centre and side of the landmark network's square, in shares of a cascade's box: means over 48 portraits
_FRONTAL_TO_SQUARE = (0.0, 0.065, 1.24)
_PROFILE_TO_SQUARE = (-0.1, 0.09, 1.24)


def propose(
    image: NDArray[np.uint8], passes: tuple[CascadePass, ...], *, pad: float = 0.1
) -> NDArray[np.float64]:
    """Squares (N, 4), centre x, centre y, side in photo pixels and roll in degrees, of possible faces.

    Args:
        image: uint8 RGB (H, W, 3), original photo frame.
        passes: Cascades to run.
        pad: Border that is added first, in shares of the longer side, for faces at the edge.
    """
    copies: dict[int, tuple[NDArray[np.uint8], float, int]] = {}
    found = []
    for each in passes:
        if each.size_px not in copies:
            copies[each.size_px] = _small_grey(image, each.size_px, pad)
        grey, scale, border = copies[each.size_px]
        squares = _run(each, grey)
        squares[:, :2] = (squares[:, :2] - border + 0.5) / scale - 0.5
        squares[:, 2] /= scale
        found.append(squares)
    return np.concatenate(found)


def whole_picture_squares(width: int, height: int) -> NDArray[np.float64]:
    """Squares for a face that fills the picture: its middle at several sizes, and its upper part."""
    short = min(width, height)
    middle = ((width - 1) / 2, (height - 1) / 2)
    squares = [(*middle, short * share, 0.0) for share in (0.5, 0.75, 1.0, 1.3)]
    squares += [(middle[0], short * share, short * size, 0.0) for share, size in ((0.35, 0.5), (0.45, 0.8))]
    return np.array(squares)


def grid_squares(width: int, height: int, share: float = 0.4) -> NDArray[np.float64]:
    """Overlapping squares of a share of the shorter side all over the picture: the last resort."""
    side = share * min(width, height)
    columns = np.linspace(side * 0.4, width - side * 0.4, max(2, round(width / side / 0.5)))
    rows = np.linspace(side * 0.4, height - side * 0.4, max(2, round(height / side / 0.5)))
    return np.array([(x, y, side, 0.0) for y in rows[:8] for x in columns[:8]])


def merge(squares: NDArray[np.float64], *, limit: int = 48) -> NDArray[np.float64]:
    """Means of the squares that mean the same place, those with most support first, at most `limit`."""
    left = squares[np.argsort(-squares[:, 2])]
    merged = []
    while len(left):
        first = left[0]
        distance = np.hypot(*(left[:, :2] - first[:2]).T)
        same = (distance < 0.3 * first[2]) & (left[:, 2] > first[2] / 1.5)
        group = left[same]
        mean = group.mean(0)
        # the upright cascades place a face best; one that only a turned copy shows keeps its roll
        mean[3] = group[np.abs(group[:, 3]).argmin(), 3]
        merged.append((len(group), mean))
        left = left[~same]
    merged.sort(key=lambda pair: -pair[0])
    return np.array([mean for _, mean in merged[:limit]]).reshape(-1, 4)


def _small_grey(image: NDArray[np.uint8], size_px: int, pad: float) -> tuple[NDArray[np.uint8], float, int]:
    """Grey copy with a border, its scale and the border's width."""
    height, width = image.shape[:2]
    scale = min(2.0, size_px / max(height, width))
    size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    border = round(pad * max(size_wh))
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE), scale, border


def _run(each: CascadePass, grey: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Squares (N, 4) in the pixels of the grey copy."""
    height, width = grey.shape
    turned, back = grey, np.eye(2, 3)
    if each.turn_degrees:
        turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), each.turn_degrees, 1.0)
        turned = cv2.warpAffine(grey, turn, (width, height), borderMode=cv2.BORDER_REPLICATE)
        back = cv2.invertAffineTransform(turn)
    if each.mirrored:
        turned = cv2.flip(turned, 1)
    biggest = (each.max_face_px, each.max_face_px) if each.max_face_px else (0, 0)
    with _CASCADE_LOCK:
        boxes = np.array(
            _cascade(each.cascade).detectMultiScale(
                turned, each.scale_step, each.neighbours, minSize=(each.min_face_px,) * 2, maxSize=biggest
            )
        ).reshape(-1, 4)
    x, y, side = boxes[:, 0], boxes[:, 1], boxes[:, 2].astype(np.float64)
    right, down, growth = _PROFILE_TO_SQUARE if each.cascade == PROFILE else _FRONTAL_TO_SQUARE
    centres = np.stack([x + side / 2 + right * side - 0.5, y + side / 2 + down * side - 0.5], axis=1)
    if each.mirrored:
        centres[:, 0] = width - 1 - centres[:, 0]
    roll = np.full(len(boxes), each.turn_degrees)
    return np.column_stack([transform_points(centres, back), side * growth, roll])


@functools.cache
def _cascade(name: str) -> cv2.CascadeClassifier:
    cascade = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / name))  # type: ignore[attr-defined]
    if cascade.empty():
        raise ExprganError(f"OpenCV's {name} cannot be loaded; install opencv-python below version 5.")
    return cascade
