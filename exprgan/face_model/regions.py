"""Where the regions of a face are on the mesh: what an edit of some of them may move."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.face_model.basis import FaceBasis
from exprgan.faces import mesh

CENTRES = {
    "brows": (*mesh.RIGHT_BROW, *mesh.LEFT_BROW, 10, 338, 297, 109, 67, 151, 108, 337, 69, 299, 104, 333),
    "eyes": (*mesh.RIGHT_EYE, *mesh.LEFT_EYE, 111, 117, 118, 119, 340, 346, 347, 348),
    "nose": (*mesh.NOSE, 129, 358, 198, 420),
    "mouth": (
        *(*mesh.OUTER_LIPS, *mesh.INNER_LIPS, 152, 148, 377, 176, 400, 199, 200, 18),
        *(205, 425, 187, 411, 214, 434, 172, 397, 136, 365, 58, 288, 207, 427, 216, 436),
    ),
}
"""Points of the mesh that belong to a region for certain; the others belong to those they are near to."""
REACH_CM = 0.7
"""Standard deviation of nearness."""
LEAST_SHARE = 0.03


class Regions:
    """Shares of the regions in each point of the mesh; over all regions they add up to 1."""

    def __init__(self, basis: FaceBasis, chart_px: NDArray[np.float64], chart_size: int) -> None:
        self._triangles = np.concatenate([basis.skin_triangles, basis.eye_triangles, basis.mouth_triangles])
        apart = basis.canonical[:, None] - basis.canonical[None]
        distance = np.sqrt((apart**2).sum(axis=2))
        nearest = np.stack([distance[:, list(points)].min(axis=1) for points in CENTRES.values()])
        odds = np.exp(-0.5 * ((nearest - nearest.min(axis=0)) / REACH_CM) ** 2)
        self._shares = dict(zip(CENTRES, odds / odds.sum(axis=0), strict=True))
        self._chart_px, self._chart_size = chart_px, chart_size

    def share(self, regions: Sequence[str]) -> NDArray[np.float64]:
        """Share (468,) of some regions in each point; none named means all."""
        if not regions:
            return np.ones(468)
        total = np.sum([self._shares[name] for name in regions], axis=0)
        return np.where(total < LEAST_SHARE, 0, total)

    def on_picture(
        self, size_hw: tuple[int, int], points_px: NDArray[np.float64], share: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """Shares (468,) over a picture (height, width) whose mesh is at points (468, 2+); 0 off the face."""
        return self._spread(*raster.rasterise(*size_hw, points_px[:, :2], self._triangles), share)

    def on_chart(self, share: NDArray[np.float64]) -> NDArray[np.float32]:
        """Shares (468,) on the texture chart (size, size)."""
        return self._spread(*self._chart, share)

    @cached_property
    def _chart(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        return raster.rasterise(self._chart_size, self._chart_size, self._chart_px, self._triangles)

    def _spread(
        self, triangle_map: NDArray[np.int32], weights: NDArray[np.float32], share: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        covered, samples = raster.interpolate(triangle_map, weights, self._triangles, share[:, None])
        shares = np.zeros(triangle_map.shape, np.float32)
        shares[covered] = samples[:, 0]
        return shares
