"""Rims of lips and lids, sharp at the photo's resolution: beside an opening, and where they meet in a line.

Maps are interpolated between their pixels, so the skin's flow goes on into an opening, which is shown by a cut of its
own, with what is seen at the rim. Of rims that meet the upper one is drawn by the flow of the skin, the lower one as a
part of its own with the line as its edge. Either side goes on a little beyond the line, so that nothing of what was
between the rims in the photo comes into sight.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.faces import mesh

SEAM_UNITS = (0.6, 1.2)
"""Gaps of the rims, in units of the pose, between which a line fades out."""
SHADOW_PX = 1.0
"""How fast the shadow on such a line fades."""
EDGE_PX, INSIDE_PX = 1.0, 2.0
"""So near to an opening the skin's flow is that of the rim, as triangles of the opening are drawn over it here and
there; and so far it goes on into the opening."""
LEAST_COLUMNS = 3
"""Of the crop, between the corners; shorter rims are left as they are."""


@dataclass(frozen=True)
class Rims:
    """Two rows of mesh points that meet in a line; lengths in px of the crop.

    Attributes:
        upper, lower: Numbers of the points from corner to corner.
        reach_px: How far the lower side reaches below the line, as a part of its own.
        corner_px: Distance from a corner at which the sides are held.
        rim_px: Distance from the line at which a side is surely itself.
        shadow: Share of the light that is missing on the line where the rims were apart.
    """

    upper: NDArray[np.int64]
    lower: NDArray[np.int64]
    reach_px: float
    corner_px: float
    rim_px: float
    shadow: float

    @property
    def both(self) -> NDArray[np.int64]:
        """The points of both rows."""
        return np.r_[self.upper, self.lower]

    def gap_px(self, points_px: NDArray[np.float64]) -> float:
        """The widest gap between the rims of the mesh points (468+, 2+)."""
        return float((points_px[self.lower, 1] - points_px[self.upper, 1]).max())


LIPS = Rims(mesh.UPPER_INNER_CURVE, mesh.LOWER_INNER_CURVE, 5.0, 5.0, 1.5, 0.45)
LIDS = tuple(
    Rims(upper, lower, 4.0, 1.0, 1.0, 0.6)
    for upper, lower in (
        (mesh.RIGHT_UPPER_LID, mesh.RIGHT_LOWER_LID),
        (mesh.LEFT_UPPER_LID, mesh.LEFT_LOWER_LID),
    )
)


@dataclass(frozen=True)
class Seam:
    """A line where rims meet.

    flow_px float32 (height, width, 2): the flow with the upper side drawn down over the line. outline_px (n, 2): the
    lower side's part, whose flow is below_px float32 (height, width, 2), with a shade float32 (height, width).
    """

    flow_px: NDArray[np.float32]
    outline_px: NDArray[np.float64]
    below_px: NDArray[np.float32]
    shade: NDArray[np.float32]


def closed_share(rims: Rims, target_px: NDArray[np.float64], unit_px: float) -> float:
    """How far rims are shut, 0 to 1, so far that their line is drawn."""
    first, last = SEAM_UNITS
    return float(np.clip((last - rims.gap_px(target_px) / unit_px) / (last - first), 0, 1))


class _Between(NamedTuple):
    """Two rims at the columns (m,) of a picture between their corners.

    upper, lower, middle: rows (m,). slope (m,): length of the middle line a column. ways: backward displacement
    (x and y, each (m,)) on the upper and on the lower rim.
    """

    columns: NDArray[np.int64]
    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    middle: NDArray[np.float64]
    slope: NDArray[np.float64]
    ways: tuple[tuple[NDArray[np.float64], ...], ...]


def _between(
    rims: Rims, shown_px: NDArray[np.float64], target_px: NDArray[np.float64], width: int
) -> _Between | None:
    """The rims in a picture of a width; None where they are too short."""
    ends = target_px[[rims.upper[0], rims.upper[-1]], 0]
    columns = np.arange(np.ceil(ends.min()), np.floor(ends.max()) + 1).astype(int)
    columns = columns[(columns >= 0) & (columns < width)]
    if len(columns) < LEAST_COLUMNS:
        return None
    upper, lower = raster.curves_at(target_px, rims.upper, rims.lower, columns)
    middle, ways = (upper + lower) / 2, []
    for points in (rims.upper, rims.lower):
        order = points[np.argsort(target_px[points, 0])]
        way = shown_px[order, :2] - target_px[order, :2]
        ways.append(tuple(np.interp(columns, target_px[order, 0], part) for part in way.T))
    return _Between(columns, upper, lower, middle, np.hypot(1, np.gradient(middle)), tuple(ways))


def continued(
    flow: NDArray[np.float32],
    rims: Rims,
    shown_px: NDArray[np.float64],
    target_px: NDArray[np.float64],
    weight: float,
) -> NDArray[np.float32]:
    """A flow (height, width, 2) whose skin goes on into the opening between rims; arguments as for `meet`."""
    at = _between(rims, shown_px, target_px, flow.shape[1]) if weight else None
    if at is None:
        return flow
    rows = np.arange(flow.shape[0], dtype=np.float32)[:, None]
    result = flow.copy()
    for (x, y), held_rows, beyond in (
        (at.ways[0], np.minimum(rows, at.upper), np.where(rows <= at.middle, rows - at.upper, -np.inf)),
        (at.ways[1], np.maximum(rows, at.lower), np.where(rows > at.middle, at.lower - rows, -np.inf)),
    ):
        held = np.stack([np.broadcast_to(x, beyond.shape), y + held_rows - rows], axis=2)
        share = (
            weight * np.clip(beyond / at.slope + 1 + EDGE_PX, 0, 1) * np.clip(INSIDE_PX + 1 - beyond, 0, 1)
        )
        result[:, at.columns] += share[..., None] * (held - flow[:, at.columns])
    return result


def meet(
    flow: NDArray[np.float32],
    rims: Rims,
    shown_px: NDArray[np.float64],
    target_px: NDArray[np.float64],
    weight: float,
    own_gap: float,
) -> Seam | None:
    """The line of shut rims in a picture with a flow (height, width, 2); None where they are too short to have one.

    shown_px (468, 2): what target_px (468, 2+) shows of the photo. weight (0..1) of the line in the returned flow.
    own_gap of the photo's rims in units of the pose.
    """
    at = _between(rims, shown_px, target_px, flow.shape[1]) if weight else None
    if at is None:
        return None
    rows = np.arange(flow.shape[0], dtype=np.float32)[:, None]
    ends = target_px[[rims.upper[0], rims.upper[-1]], 0]
    from_corner = np.minimum(at.columns - ends.min(), ends.max() - at.columns)
    inwards, held_share = (np.minimum(1, from_corner / px) for px in (rims.reach_px, rims.corner_px))
    reach, away = rims.reach_px * inwards, rims.rim_px * at.slope
    sides = []
    for (x, y), rim, is_beyond, outwards in (
        (at.ways[0], at.upper - away, rows > at.upper - away, np.minimum),
        (at.ways[1], at.lower + away, rows < at.lower + away, np.maximum),
    ):
        # as far from the photo's rim, or where the side is squeezed further, so that it is of one piece
        y = outwards(y, _at_rows(flow[:, at.columns, 1], rim))
        held = np.stack([np.broadcast_to(x, is_beyond.shape), y + rim - rows], axis=2)
        near = is_beyond & (np.abs(rows - rim) <= 2 * away + at.lower - at.upper + reach / 2)
        side = flow.copy()
        side[:, at.columns] += (held_share * near)[..., None] * (held - flow[:, at.columns])
        sides.append(side)
    above, below = sides
    shade = np.zeros(flow.shape[:2], np.float32)
    shadow = rims.shadow * min(1.0, max(0.0, own_gap - 1)) * inwards
    shade[:, at.columns] = np.log1p(-shadow * np.exp(-np.abs(rows - at.middle) / SHADOW_PX))
    line = np.stack([at.columns, at.middle], axis=1)
    outline = np.concatenate([line, (line + np.stack([np.zeros(len(line)), reach], axis=1))[::-1]])
    return Seam(flow + np.float32(weight) * (above - flow), outline, below, shade)


def _at_rows(values: NDArray[np.float32], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values (height, m) between the rows of each column, at one row (m,) each."""
    first = np.clip(np.floor(rows).astype(int), 0, len(values) - 2)
    columns = np.arange(values.shape[1])
    share = np.clip(rows - first, 0, 1)
    return np.asarray(values[first, columns] * (1 - share) + values[first + 1, columns] * share)
