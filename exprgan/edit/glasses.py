"""Glasses stand still while the face behind them moves.

What a segmenter calls glasses, brows that reach into them and the bridge between them are held; the face moves again
at some distance, and so do the eyes that are seen through clear lenses. Behind dark ones nothing moves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_parts import class_ids

if TYPE_CHECKING:
    from exprgan.face_model.fit import FaceAnalysis

GLASSES, SKIN = class_ids(["eye_g", "skin"])
EYES, BROWS = class_ids(["l_eye", "r_eye"]), class_ids(["l_brow", "r_brow"])
LEAST_SHARE, LEAST_SIDE = 0.005, 0.0008
"""Of the crop, in all and on either side of the nose, from which glasses count as worn. Mistakes of the segmenter are
small and mostly on one side: of 457 faces of open-faces train and 48 others, 55 reach the second, and of these the
first tells all 3 that wear none from 51 of 52 that do.
"""
BRIDGE = 168
"""Point of the mesh between the eyes."""
NEAR_PX = 8
"""Brows so near to glasses are held with them."""
DARK = 0.6
"""Luminance behind the lenses, as a share of the skin's, below which they hide the eyes."""
OUTSIDE_PX = (4.0, 16.0)
"""Distances from the glasses between which the face becomes free."""
EYE_PX = (7.0, 1.0)
"""Distances from an eye behind a lens between which it becomes free."""
INSIDE_PX = (3.0, 7.0)
"""Distances from the edge of the glasses, inside, between which an eye may be free."""
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)


def beside_glasses(
    analysis: FaceAnalysis, crop: NDArray[np.uint8], logits: NDArray[np.float32]
) -> FaceAnalysis:
    """The analysis of a face in a crop (H, W, 3) with what its glasses hold, by logits (classes, H, W) of the crop."""
    glasses = logits[GLASSES] >= logits.max(axis=0)
    middle = int(analysis.landmarks_px[BRIDGE, 0])
    least_side = min(glasses[:, :middle].sum(), glasses[:, middle:].sum())
    if glasses.sum() < LEAST_SHARE * glasses.size or least_side < LEAST_SIDE * glasses.size:
        return analysis
    free = free_of_glasses(crop, logits.argmax(axis=0).astype(np.uint8))
    x, y = analysis.landmarks_px[:468, :2].T.astype(np.float32)
    at_points = cv2.remap(free, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return replace(analysis, free=at_points[0].astype(np.float64))


def free_of_glasses(crop: NDArray[np.uint8], labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How free each pixel (H, W) of a crop with glasses is to move, 0 to 1.

    Args:
        crop: uint8 RGB (H, W, 3).
        labels: uint8 (H, W), indices into `exprgan.face_parts.CLASS_NAMES`.
    """
    glasses = labels == GLASSES
    lenses = glasses | np.isin(labels, EYES)
    near = _distance(glasses) <= NEAR_PX
    held_points = np.argwhere(lenses | (np.isin(labels, BROWS) & near))[:, ::-1]
    held = np.zeros(labels.shape, np.uint8)
    cv2.fillConvexPoly(held, cv2.convexHull(held_points.astype(np.int32)), 1)
    free = _ramp(_distance(held > 0), OUTSIDE_PX)
    luminance, skin = crop.astype(np.float32) @ LUMINANCE, labels == SKIN
    if skin.any() and np.median(luminance[lenses]) > DARK * np.median(luminance[skin]):
        eyes = _ramp(_distance(np.isin(labels, EYES)), EYE_PX) * _ramp(_distance(held == 0), INSIDE_PX)
        free = np.maximum(free, eyes)
    return free


def _distance(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Pixels (H, W) to the nearest one of a mask, 0 on it; far beyond the picture if there is none."""
    if not mask.any():
        return np.full(mask.shape, sum(mask.shape), np.float32)
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(
        np.float32
    )


def _ramp(values: NDArray[np.float32], limits: tuple[float, float]) -> NDArray[np.float32]:
    """0 at the first limit, 1 at the second, smooth between."""
    t = np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)
