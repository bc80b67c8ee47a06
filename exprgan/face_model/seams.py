"""Rims of lips and lids, sharp at the photo's resolution: beside an opening, and where they meet in a line.

Maps are interpolated between their pixels, so the skin's flow goes on into an opening, which is shown by a cut of its
own, with what is seen at the rim. Of rims that meet the upper one is drawn by the flow of the skin, the lower one as a
part of its own with the line as its edge. Either side goes on a little beyond the line, so that nothing of what was
between the rims in the photo comes into sight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.faces import mesh

SEAM_UNITS = (0.6, 1.2)
"""Gaps of the rims, in units of the pose, between which a line fades out."""
EDGE_PX, INSIDE_PX = 1.0, 2.0
"""So near to an opening the skin's flow is that of the rim, as triangles of the opening are drawn over it here and
there; and so far it goes on into the opening."""


@dataclass(frozen=True)
class Rims:
    """Two rows of mesh points that meet in a line; lengths in px of the crop.

    Attributes:
        upper, lower: Numbers of the points from corner to corner.
        reach_px: How far the lower side reaches below the line, as a part of its own.
        corner_px: Distance from a corner at which the sides are held.
        upper_rim_px, lower_rim_px: Distance from the line at which a side is surely itself.
        shadow: Share of the light that is missing on the line where the rims were apart.
        shadow_px: How fast that fades.
    """

    upper: NDArray[np.int64]
    lower: NDArray[np.int64]
    reach_px: float
    corner_px: float
    upper_rim_px: float
    lower_rim_px: float
    shadow: float
    shadow_px: float

    @property
    def both(self) -> NDArray[np.int64]:
        """The points of both rows."""
        return np.r_[self.upper, self.lower]

    def gap_px(self, points_px: NDArray[np.float64]) -> float:
        """The widest gap between the rims of the mesh points (468+, 2+)."""
        return float((points_px[self.lower, 1] - points_px[self.upper, 1]).max())


LIPS = Rims(mesh.UPPER_INNER_CURVE, mesh.LOWER_INNER_CURVE, 5.0, 5.0, 1.5, 1.5, 0.45, 1.0)
LIDS = tuple(
    Rims(upper, lower, 4.0, 1.0, 1.0, 1.0, 0.6, 1.0)
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


def continued(
    flow: NDArray[np.float32],
    rims: Rims,
    shown_px: NDArray[np.float64],
    target_px: NDArray[np.float64],
    weight: float,
) -> NDArray[np.float32]:
    """A flow (height, width, 2) whose skin goes on into the opening between rims; arguments as for `meet`."""
    columns = _columns_of(rims, target_px, flow.shape[1])
    if weight == 0 or not len(columns):
        return flow
    upper, lower = raster.curves_at(target_px, rims.upper, rims.lower, columns)
    middle, slope = (
        (upper + lower) / 2,
        np.hypot(1, np.gradient((upper + lower) / 2)) if len(columns) > 1 else 1.0,
    )
    rows = np.arange(flow.shape[0], dtype=np.float32)[:, None]
    result = flow.copy()
    for points, held_rows, beyond in (
        (rims.upper, np.minimum(rows, upper), np.where(rows <= middle, rows - upper, -np.inf)),
        (rims.lower, np.maximum(rows, lower), np.where(rows > middle, lower - rows, -np.inf)),
    ):
        x, y = _way_at(points, shown_px, target_px, columns)
        held = np.stack([np.broadcast_to(x, beyond.shape), y + held_rows - rows], axis=2)
        share = weight * np.clip(beyond / slope + 1 + EDGE_PX, 0, 1) * np.clip(INSIDE_PX + 1 - beyond, 0, 1)
        result[:, columns] += share[..., None] * (held - flow[:, columns])
    return result


def _columns_of(rims: Rims, target_px: NDArray[np.float64], width: int) -> NDArray[np.int64]:
    """Columns of a picture between the corners."""
    ends = target_px[[rims.upper[0], rims.upper[-1]], 0]
    columns = np.arange(np.ceil(ends.min()), np.floor(ends.max()) + 1).astype(int)
    return columns[(columns >= 0) & (columns < width)]


def _way_at(
    points: NDArray[np.int64],
    shown_px: NDArray[np.float64],
    target_px: NDArray[np.float64],
    columns: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Backward displacement x and y (m,) on a rim at columns (m,)."""
    order = points[np.argsort(target_px[points, 0])]
    way = shown_px[order, :2] - target_px[order, :2]
    return np.interp(columns, target_px[order, 0], way[:, 0]), np.interp(
        columns, target_px[order, 0], way[:, 1]
    )


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
    ends = target_px[[rims.upper[0], rims.upper[-1]], 0]
    columns = _columns_of(rims, target_px, flow.shape[1])
    if weight == 0 or len(columns) < 3:
        return None
    upper, lower = raster.curves_at(target_px, rims.upper, rims.lower, columns)
    middle = (upper + lower) / 2
    rows = np.arange(flow.shape[0], dtype=np.float32)[:, None]
    from_corner = np.minimum(columns - ends.min(), ends.max() - columns)
    inwards, held_share = (np.minimum(1, from_corner / px) for px in (rims.reach_px, rims.corner_px))
    reach, slope = rims.reach_px * inwards, np.hypot(1, np.gradient(middle))
    up, down = (slope * px for px in (rims.upper_rim_px, rims.lower_rim_px))
    sides = []
    for points, rim, is_beyond in (
        (rims.upper, upper - up, rows > upper - up),
        (rims.lower, lower + down, rows < lower + down),
    ):
        x, y = _way_at(points, shown_px, target_px, columns)
        held = np.stack([np.broadcast_to(x, is_beyond.shape), y + rim - rows], axis=2)
        near = is_beyond & (np.abs(rows - rim) <= up + down + lower - upper + reach / 2)
        side = flow.copy()
        side[:, columns] += (held_share * near)[..., None] * (held - flow[:, columns])
        sides.append(side)
    above, below = sides
    shade = np.zeros(flow.shape[:2], np.float32)
    shadow = rims.shadow * min(1.0, max(0.0, own_gap - 1)) * inwards
    shade[:, columns] = np.log1p(-shadow * np.exp(-np.abs(rows - middle) / rims.shadow_px))
    line = np.stack([columns, middle], axis=1)
    outline = np.concatenate([line, (line + np.stack([np.zeros(len(line)), reach], axis=1))[::-1]])
    return Seam(flow + np.float32(weight) * (above - flow), outline, below, shade)
