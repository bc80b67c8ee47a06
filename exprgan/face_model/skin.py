"""The photo's own skin on the mesh's texture chart: how deep its creases are and where.

An expression deepens the folds that a face has; on smooth skin it shows faint ones. So what is drawn is weighed by how
creased the skin is, and the skin's own creases are deepened where the expression folds it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.face_model.basis import FaceBasis
from exprgan.faces import mesh

FINE_PX, COARSE_PX = 0.7, 3.0
"""Scales of creases on the chart, in its pixels."""
DEEPEST = 0.35
"""Limit of a crease's depth, natural log; deeper ones are hair or shadows."""
SMOOTH, CREASED = 0.010, 0.032
"""Mean depth of the creases where an expression folds the skin, of smooth and of old skin."""
DRAWN_ON_SMOOTH = 0.55
"""Share of the drawn folds that shows on smooth skin."""
DEEPENED = 0.9
"""How much deeper own creases become where the skin folds fully."""
SMOOTH_CHEEKS, CREASED_CHEEKS = 0.0075, 0.027
"""`roughness` of smooth and of creased cheeks, a fifth of the faces of open-faces train being beyond either."""
USUAL_LIGHT = 0.35
"""What differs more from the broad light, natural log, does not count for it: hair, nostrils, gloss."""
DARK_PX = 1.5
"""Standard deviation, in pixels of the chart, of the blur through which shadows of folds are seen."""
DEEPEST_TO_MEAN = 1.5
"""How much deeper than the mean that is measured a fold that goes away may be."""
HAIR = (0.45, 0.7)
"""Depth from which on a shadow counts as hair, and is left as it is."""
SHADED_FOLD = 0.4
"""How far measured shading, which is softer, counts as folds."""
FULL_FOLD = 0.12
"""Strength of the folds, natural log, from which own creases are deepened fully."""


class Skin:
    """Reads skin on the chart.

    Args:
        basis: The face model.
        chart_px: Places (468, 2) of the mesh on the chart, in its pixels.
        size: Side of the chart.
        mask: Where folds may be, (size, size) in [0, 1].
    """

    def __init__(
        self, basis: FaceBasis, chart_px: NDArray[np.float64], size: int, mask: NDArray[np.float32]
    ) -> None:
        self._triangles = basis.skin_triangles
        self._map, self._weights = raster.rasterise(size, size, chart_px, self._triangles)
        free = np.ones((size, size), np.float32)
        for brow in (mesh.RIGHT_BROW, mesh.LEFT_BROW):
            cv2.fillPoly(free, [cv2.convexHull(np.rint(chart_px[list(brow)]).astype(np.int32))], 0)
        self._light = _BroadLight(mask)
        self._mask = mask * cv2.GaussianBlur(cv2.erode(free, np.ones((5, 5))), (0, 0), 1.5)

    def _log_luminance(
        self, image: NDArray[np.uint8], landmarks_px: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """A face on the chart, (size, size): natural log of its luminance, 0 off the skin, and where there is skin.

        Args:
            image: sRGB uint8 (height, width, 3).
            landmarks_px: (468+, 2+) in its pixels.
        """
        covered, points = raster.interpolate(
            self._map, self._weights, self._triangles, landmarks_px[:468, :2].astype(np.float64)
        )
        place = np.zeros((*covered.shape, 2), np.float32)
        place[covered] = points
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        seen = cv2.remap(
            grey, place[..., 0], place[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return np.where(covered, np.log(seen + 8), 0).astype(np.float32), covered

    def creases(self, image: NDArray[np.uint8], landmarks_px: NDArray[np.float64]) -> NDArray[np.float32]:
        """Depth (size, size) of a face's creases on the chart, natural log, 0 where there are none.

        Args:
            image: sRGB uint8 (height, width, 3).
            landmarks_px: (468+, 2+) in its pixels.
        """
        log, covered = self._log_luminance(image, landmarks_px)
        known = covered.astype(np.float32)
        fine, coarse = (
            cv2.GaussianBlur(log, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(known, (0, 0), sigma), 1e-3)
            for sigma in (FINE_PX, COARSE_PX)
        )
        return (np.clip(coarse - fine, 0, DEEPEST) * self._mask * known).astype(np.float32)

    def without_light(
        self, image: NDArray[np.uint8], landmarks_px: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], float]:
        """How a face (size, size) differs from the broad light on it, natural log, 0 off the skin; and its mean level.

        Arguments as for `creases`.
        """
        log, covered = self._log_luminance(image, landmarks_px)
        light, level = self._light.of(log)
        return np.where(covered, log - light, 0).astype(np.float32), level

    def shadows(self, image: NDArray[np.uint8], landmarks_px: NDArray[np.float64]) -> NDArray[np.float32]:
        """How much darker (size, size) a face is than the broad light on it, natural log, as seen from a little away.

        Arguments as for `creases`.
        """
        left, _ = self.without_light(image, landmarks_px)
        return np.maximum(-cv2.GaussianBlur(left, (0, 0), DARK_PX), 0)


def taken_away(shadows: NDArray[np.float32], shading: NDArray[np.float32]) -> NDArray[np.float32]:
    """What (size, size) to add so that folds go away: as much as their shading, but no more than the shadow there.

    Args:
        shadows: Of `Skin.shadows`.
        shading: Measured for the expression that goes away, natural log of the luminance's ratio.
    """
    first, last = HAIR
    skin = np.clip((last - shadows) / (last - first), 0, 1)
    return (np.minimum(DEEPEST_TO_MEAN * np.maximum(-shading, 0), shadows) * skin).astype(np.float32)


class _BroadLight:
    """The light on a chart as a quadratic of the place, fitted to skin alone."""

    def __init__(self, mask: NDArray[np.float32]) -> None:
        y, x = np.mgrid[: len(mask), : len(mask)] / len(mask) * 2 - 1
        self._terms = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=-1)
        self._skin = mask > 0.9
        self._on_skin = self._terms[self._skin]
        self._solver = np.linalg.pinv(self._on_skin)

    def of(self, log: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
        """The light (size, size) and the mean of the skin."""
        seen = log[self._skin].astype(np.float64)
        usual = np.abs(seen - self._on_skin @ (self._solver @ seen)) < USUAL_LIGHT
        terms = self._on_skin[usual]
        factors = np.linalg.lstsq(terms.T @ terms, terms.T @ seen[usual], rcond=None)[0]
        return self._terms @ factors, float(seen.mean())


def roughness(image: NDArray[np.uint8], landmarks_px: NDArray[np.float64]) -> float:
    """How strong folds and pores of the cheeks are, as a share of their brightness, in a crop of 256 px."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = cv2.GaussianBlur(grey, (0, 0), 1.0) - cv2.GaussianBlur(grey, (0, 0), 3.2)
    share = np.abs(fine) / (cv2.GaussianBlur(grey, (0, 0), 6.4) + 10)
    cheeks = share[raster.cheek_mask(image.shape, landmarks_px)]
    return float(np.median(cheeks)) if len(cheeks) else 0.0


def creased_share(image: NDArray[np.uint8], landmarks_px: NDArray[np.float64]) -> float:
    """How creased (0 to 1) cheeks in a crop of 256 px are, from the smoothest to the roughest fifth of faces."""
    rough = roughness(image, landmarks_px)
    return float(np.clip((rough - SMOOTH_CHEEKS) / (CREASED_CHEEKS - SMOOTH_CHEEKS), 0, 1))


def folds_on(
    creases: NDArray[np.float32], log_ratio: NDArray[np.float32], shading: NDArray[np.float32]
) -> NDArray[np.float32]:
    """An expression's folds on skin that has creases: drawn ones as far as it has, its own ones deeper.

    Args:
        creases: Of `Skin.creases`.
        log_ratio: What the expression draws on any skin, natural log of the luminance's ratio.
        shading: The same, measured on skin like this.
    """
    folding = np.abs(log_ratio) + SHADED_FOLD * np.maximum(-shading, 0)
    where = np.clip(cv2.GaussianBlur(folding, (0, 0), COARSE_PX) / FULL_FOLD, 0, 1)
    total = float(where.sum())
    if total < 1:
        return log_ratio + shading
    depth = float((creases * where).sum()) / total
    age = float(np.clip((depth - SMOOTH) / (CREASED - SMOOTH), 0, 1))
    drawn = DRAWN_ON_SMOOTH + (1 - DRAWN_ON_SMOOTH) * age
    return (drawn * log_ratio + shading - DEEPENED * where * creases).astype(np.float32)
