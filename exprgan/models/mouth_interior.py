"""The charts of the inside of a mouth: what an edit shows where a mouth opens that was shut in the photo.

Some drawn pictures, each another set of teeth, serve all faces. Their columns run along the dental arch, in cm from
the midline to the subject's left; their rows run down: the upper gums and teeth as they stand on the skull, the throat
with the tongue, the lower teeth and gums as they stand on the jaw. An edit carries, for every pixel of an opened
mouth, the place on the chart and the light there, so teeth are as sharp as the photo allows. The charts are drawn by
`exprgan.teacher.draw_mouth`; no photograph is in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_parts import DENTITIONS

CROP_PX_PER_CM = 9.25
"""Pixels of a 256-px crop in a cm of the face (pupils 6.2 cm apart), on average."""
PX_PER_CM = 64
CHART_CM = (9.0, 5.25)
"""Width and height of a chart."""
UPPER_EDGE_CM = 1.75
"""Row of the upper incisors' edge, below the top of the chart."""
LOWER_EDGE_CM = 3.75
"""Row of the lower incisors' edge; between the two the throat is stretched as the jaw drops."""
NEAR_EDGE_CM, OPAQUE = 0.35, (45.0, 110.0)
"""So near above the upper edge, what is darker than teeth lets the lower teeth behind it be seen."""
BEHIND, BEHIND_CM = 0.25, 0.1
"""Share of the light that lower teeth lack behind upper ones, and the overbite from which on."""


CONTRAST, DETAIL_CM, LIGHTER = 0.8, 0.25, 1.02
"""What is left of a drawn chart's dark lines finer than so many cm, and the factor that makes up for its blur."""
SOFT_PX = 0.35
"""Standard deviation by which a drawn chart is blurred, in pixels of the view.

Both keep the contrasts of drawn teeth near those of photographs (`exprgan.evaluation.teeth`, split train); softer ones
look airbrushed.
"""


class Chart:
    """One picture of a mouth's inside at several resolutions.

    Args:
        picture: uint8 RGB, `PX_PER_CM` pixels a cm of `CHART_CM`.
        is_drawn: Shown softer than it is, as photographs show teeth.
    """

    def __init__(self, picture: NDArray[np.uint8], *, is_drawn: bool = False) -> None:
        self.is_drawn = is_drawn
        self._soft, self._lit = lru_cache(maxsize=8)(self._softened), lru_cache()(self._without_lines)
        self.levels = [picture]
        for _ in range(3):
            height, width = self.levels[-1].shape[:2]
            half = cv2.resize(self.levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
            self.levels.append(np.asarray(half, np.uint8))

    def at(self, px_per_cm: float = PX_PER_CM) -> tuple[NDArray[np.uint8], float]:
        """The chart for a view of about so many pixels a cm, uint8 RGB (h, w, 3), and its own pixels a cm.

        The coarsest resolution that is not below the view's is taken, so that sampling does not alias.
        """
        level = int(np.clip(np.floor(np.log2(PX_PER_CM / max(px_per_cm, 1e-6))), 0, len(self.levels) - 1))
        return self.levels[level], PX_PER_CM / 2**level

    def sample(self, place_cm: NDArray[np.float32], px_per_cm: float) -> NDArray[np.float32]:
        """Colours at places of the chart.

        Args:
            place_cm: (h, w, 2) float32, columns from the midline and rows from the top of the chart, in cm.
            px_per_cm: Resolution of the view.

        Returns:
            RGB float32 (h, w, 3) in [0, 255]; places off the chart show its border.
        """
        picture, scale = self.at(px_per_cm)
        if self.is_drawn:
            picture = self._soft(scale, max(0.1, round(SOFT_PX * scale / px_per_cm, 1)))
        x = (place_cm[..., 0] + np.float32(CHART_CM[0] / 2)) * np.float32(scale) - np.float32(0.5)
        y = place_cm[..., 1] * np.float32(scale) - np.float32(0.5)
        colours = cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return colours.astype(np.float32)

    def view(self, place_cm: NDArray[np.float32], throat_cm: float, px_per_cm: float) -> NDArray[np.float32]:
        """What a mouth shows whose lower teeth stand somewhere below the upper ones, or behind them.

        Args:
            place_cm: (h, w, 2) float32, columns as for `sample` and rows down from the top of the chart, which go on
                below the upper incisors' edge as if nothing were there, so that they may be interpolated.
            throat_cm: How far below the upper incisors' edge the lower ones' is; negative where it is above.
            px_per_cm: Resolution of the view.

        Returns:
            As `sample`.
        """
        seen = self.sample(np.dstack([place_cm[..., 0], rows_at(place_cm[..., 1], throat_cm)]), px_per_cm)
        if throat_cm >= 0:
            return seen
        below = place_cm[..., 1] - np.float32(UPPER_EDGE_CM)
        behind = self.sample(
            np.dstack([place_cm[..., 0], LOWER_EDGE_CM + below - np.float32(throat_cm)]), px_per_cm
        )
        behind *= 1 - BEHIND * min(1.0, -throat_cm / BEHIND_CM)
        first, last = OPAQUE
        cover = np.clip((seen.max(axis=2) - first) / (last - first), 0, 1)
        cover = np.where(below > 0, 0, np.where(below < -NEAR_EDGE_CM, 1, cover))[..., None]
        return (behind + cover * (seen - behind)).astype(np.float32)

    def _softened(self, px_per_cm: float, blur_px: float) -> NDArray[np.uint8]:
        """The chart at one of its resolutions with its dark lines held back, then blurred."""
        soft = LIGHTER * cv2.GaussianBlur(self._lit(px_per_cm), (0, 0), blur_px)
        return np.rint(np.clip(soft, 0, 255)).astype(np.uint8)

    def _without_lines(self, px_per_cm: float) -> NDArray[np.float32]:
        """The chart at one of its resolutions with its dark lines alone held back: teeth stay as light."""
        logarithms = np.log(np.arange(256, dtype=np.float32) + 8)
        picture = logarithms[self.at(px_per_cm)[0]]
        coarse = cv2.GaussianBlur(picture, (0, 0), DETAIL_CM * px_per_cm)
        return np.exp(picture + (1 - CONTRAST) * np.maximum(coarse - picture, 0)) - 8


def rows_at(down_cm: NDArray[Any], throat_cm: float) -> NDArray[np.float32]:
    """Rows of the chart, in cm from its top, of rows and a throat as for `Chart.view`."""
    below, throat = down_cm - UPPER_EDGE_CM, LOWER_EDGE_CM - UPPER_EDGE_CM
    stretched = UPPER_EDGE_CM + throat * np.clip(below / max(throat_cm, 1e-3), 0, 1)
    rows = np.where(below >= throat_cm, LOWER_EDGE_CM + below - throat_cm, stretched)
    return np.where(below <= 0, down_cm, rows).astype(np.float32)


@lru_cache(maxsize=len(DENTITIONS))
def drawn(name: str = DENTITIONS[0]) -> Chart:
    """The drawn chart of one of `DENTITIONS`."""
    stored = files("exprgan.models").joinpath("mouth_interiors", f"{name}.png").read_bytes()
    picture = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR)
    return Chart(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8), is_drawn=True)


def crop_charts(names: Sequence[str]) -> NDArray[np.float32]:
    """Drawn charts one below the other at the resolution of a 256-px crop, as networks hold them.

    Returns:
        float32 (1, 3, h, w), RGB in [0, 1].
    """
    charts = np.concatenate([drawn(name).at(CROP_PX_PER_CM)[0] for name in names])
    return np.ascontiguousarray(charts.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
