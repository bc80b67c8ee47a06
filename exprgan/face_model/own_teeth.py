"""Teeth that a photo shows, spread on the chart of `exprgan.models.mouth_interior`.

Seen through an open mouth, the upper teeth are carried to the chart in neutral light; what the lips hide of their
crowns is continued from what they show, sides that are not seen are those of the other side, and the rest (gums,
tongue, lower teeth) is drawn, in the colour of the teeth that are seen.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.mouth import DentalArch, contact_shadow, light_across
from exprgan.face_model.teeth import Teeth, log_light
from exprgan.faces import mesh
from exprgan.models.mouth_interior import CHART_CM, PX_PER_CM, UPPER_EDGE_CM, Chart

RIM_UNITS = 0.6
"""Room between the lips' rims and what counts as seen, in units of the pose."""
FRONT_CM, SIDE_CM = 1.5, 2.9
"""How far from the midline the teeth lie that must be seen, and the last that are taken."""
LEAST_SHARE, LEAST_HEIGHT_CM = 0.85, 0.28
"""Of the front teeth's columns that must show so much of the crowns."""
CROWN_CM = 1.2
"""Height up to which what is seen is continued."""
EDGE_SEARCH_CM = (0.45, 0.40)
"""The incisal edge is looked for so far above and below the chart's."""
MOST_YAW_DEG = 25.0
REDDEST = 1.15
"""Of red to green, against drawn teeth; beyond, it is lips or gums that are seen."""
LEAST_GAP = 0.06
"""Of the lips at their widest, as a share of the mouth's width."""
LEAST_PX_PER_CM = 12
"""Of the photo; below, teeth cannot be told apart."""
EDGE_CM, SIDE_FADE_CM = 0.03, 0.3
"""Softness of the incisal edge, and of the change to drawn teeth at the sides."""
BELOW_CM = 0.6
"""How far below the chart's incisal edge the photo's teeth are looked for."""
BETWEEN_CM = 0.1
LIP_CM = 0.08
"""What is seen so near to the upper lip is in its shadow."""


def is_open(landmarks_px: NDArray[np.floating]) -> bool:
    """Whether a mouth may show teeth; landmarks (478, 2+) in any unit."""
    gap = landmarks_px[mesh.LOWER_INNER_LIP, 1] - landmarks_px[mesh.UPPER_INNER_LIP, 1]
    left, right = landmarks_px[list(mesh.INNER_MOUTH_CORNERS), 0]
    return bool(gap.max() > LEAST_GAP * abs(right - left))


def own_teeth(
    image: NDArray[np.uint8], analysis: FaceAnalysis, drawn: Teeth, *, for_other_light: bool = False
) -> Teeth | None:
    """The teeth of the face in a photo, or None where it does not show enough of them.

    Args:
        image: sRGB uint8 (height, width, 3), in the frame of the analysis.
        analysis: The face.
        drawn: What stands for all that is not seen.
        for_other_light: Take lightness and half of the tint from the drawn ones, as another photo is to show them.
    """
    if analysis.pose.scale < LEAST_PX_PER_CM or abs(analysis.pose.pitch_yaw_roll()[1]) > MOST_YAW_DEG:
        return None
    gap_cm = (
        np.linalg.norm(analysis.landmarks_px[13, :2] - analysis.landmarks_px[14, :2]) / analysis.pose.scale
    )
    if gap_cm < LEAST_HEIGHT_CM:
        return None
    colours, seen = _on_chart(image, analysis)
    shift = _edge_shift(colours, seen)
    colours, seen = np.roll(colours, -shift, axis=0), np.roll(seen, -shift, axis=0)
    edge = round(UPPER_EDGE_CM * PX_PER_CM)
    seen[edge:] = False  # the lower teeth move with the jaw
    columns = seen.sum(axis=0) >= LEAST_HEIGHT_CM * PX_PER_CM
    front = slice(*(round((CHART_CM[0] / 2 + side * FRONT_CM) * PX_PER_CM) for side in (-1, 1)))
    if columns[front].mean() < LEAST_SHARE:
        return None
    seen &= _run_around_middle(columns)[None]
    if not seen.any():
        return None
    chart = drawn.chart.at()[0].astype(np.float32)
    upper = chart[edge - round(0.8 * PX_PER_CM) : edge, front]
    factor = np.median(colours[seen], axis=0) / np.median(upper[tooth_share(upper) > 0.9], axis=0)
    if factor[0] > REDDEST * factor[1]:
        return None
    if for_other_light:
        lightness = factor.mean()
        tint = np.sqrt(factor / lightness)
        colours, factor = (colours / (lightness * tint)).astype(np.float32), tint
    base = (chart * (1 + (factor - 1) * tooth_share(chart)[..., None])).astype(np.float32)
    picture, cover = _crowns(colours, seen)
    high = np.arange(len(chart))[:, None] < (UPPER_EDGE_CM - 0.5) * PX_PER_CM
    gums = np.where(high, 1 - tooth_share(chart), 0)  # the drawn ones lie over the crowns' necks
    cover = (cover * (1 - gums)).astype(np.float32)
    mixed = _without_tips(base, cover)
    mixed = mixed + cover[..., None] * (picture - mixed)
    return replace(drawn, own=Chart(np.clip(np.rint(mixed), 0, 255).astype(np.uint8)), uneven=None)


def _on_chart(
    image: NDArray[np.uint8], analysis: FaceAnalysis
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What a photo shows of the chart, in its colours, and where it shows teeth."""
    width, height = round(CHART_CM[0] * PX_PER_CM), round((UPPER_EDGE_CM + BELOW_CM) * PX_PER_CM)
    along, down = np.meshgrid(
        (np.arange(width, dtype=np.float32) + 0.5) / PX_PER_CM - CHART_CM[0] / 2,
        (np.arange(height, dtype=np.float32) + 0.5) / PX_PER_CM,
    )
    arch = DentalArch(analysis, analysis.shape_cm)
    points = arch.upper_pixels(np.stack([along.ravel(), down.ravel()], axis=1))
    x, y = points.reshape(height, width, 2).transpose(2, 0, 1).copy()
    columns, rows = np.rint(x).astype(int).ravel(), np.rint(y).astype(int).ravel()
    shadow = contact_shadow(analysis, analysis.landmarks_px, columns, rows)
    light = (light_across(image, analysis, columns) + np.log1p(-shadow)).reshape(height, width, 1)
    light = light + log_light(image, analysis.landmarks_px)
    seen_rgb = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    unit = analysis.pose.unit_px
    upper, lower = raster.curves_at(
        analysis.landmarks_px, mesh.UPPER_INNER_CURVE, mesh.LOWER_INNER_CURVE, x.ravel()
    )
    left, right = np.sort(analysis.landmarks_px[list(mesh.INNER_MOUTH_CORNERS), 0])
    open_ = (y.ravel() > upper + RIM_UNITS * unit) & (y.ravel() < lower - RIM_UNITS * unit)
    open_ &= (x.ravel() > left + unit) & (x.ravel() < right - unit)
    inside = open_.reshape(height, width) & (np.abs(along) < SIDE_CM)
    colours = (seen_rgb * np.exp(-light)).astype(np.float32)
    teeth, rest = inside & _is_tooth(colours, inside), round(CHART_CM[1] * PX_PER_CM) - height
    return np.pad(colours, ((0, rest), (0, 0), (0, 0))), np.pad(teeth, ((0, rest), (0, 0)))


def _is_tooth(colours: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where colours are those of teeth, lines between them included."""
    if not inside.any():
        return inside
    lab = cv2.cvtColor(np.clip(colours / 255, 0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)
    bright = lab[..., 0] > 0.62 * np.percentile(lab[..., 0][inside], 90)
    tooth = (bright & (lab[..., 1] < 16) & inside).astype(np.uint8)
    across = np.ones((1, round(0.14 * PX_PER_CM)), np.uint8)
    return cv2.morphologyEx(tooth, cv2.MORPH_CLOSE, across) > 0


def _edge_shift(colours: NDArray[np.float32], seen: NDArray[np.bool_]) -> int:
    """Rows by which the incisal edge of what is seen lies below the chart's."""
    edge = round(UPPER_EDGE_CM * PX_PER_CM)
    first, last = edge - round(EDGE_SEARCH_CM[0] * PX_PER_CM), edge + round(EDGE_SEARCH_CM[1] * PX_PER_CM)
    front = slice(*(round((CHART_CM[0] / 2 + side * 0.8) * PX_PER_CM) for side in (-1, 1)))
    part, shown = colours[first:last, front].mean(axis=2), seen[first:last, front]
    rows = shown.mean(axis=1) > 0.5
    if not rows.any():
        return 0
    ends = np.flatnonzero(rows[:-1] & ~rows[1:])
    if len(ends) and ends[0] + 4 < len(rows):
        return int(first + ends[0] + 1 - edge)
    profile = np.median(part, axis=1)
    darkest = int(profile.argmin())
    deep = profile[darkest] < 0.9 * np.median(profile[rows])
    return int(first + darkest - edge) if deep and 4 < darkest < len(profile) - 4 else 0


def _run_around_middle(columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The columns of the front and those beside them without a break wider than a gap between teeth."""
    closed = cv2.morphologyEx(columns[None].astype(np.uint8), cv2.MORPH_CLOSE, np.ones((1, 27), np.uint8))
    labels = cv2.connectedComponents(closed)[1]
    middle = labels[0, labels.shape[1] // 2]
    return (labels[0] == middle) & columns if middle else columns & False


def _crowns(
    colours: NDArray[np.float32], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Crowns continued up to the gums and to the other side, and their cover of the chart, 0 to 1."""
    columns = np.flatnonzero(seen.sum(axis=0) >= 0.6 * LEAST_HEIGHT_CM * PX_PER_CM)
    every = np.arange(columns[0], columns[-1] + 1)
    ends = np.array([np.flatnonzero(seen[:, column])[[0, -1]] for column in columns], np.float32)
    first, last = (
        cv2.GaussianBlur(np.interp(every, columns, ends[:, end])[None].astype(np.float32), (0, 0), 1.5)[0]
        for end in (0, 1)
    )
    shown = np.maximum(last - first - LIP_CM * PX_PER_CM, 1)
    shown[~np.isin(every, columns)] = BETWEEN_CM * PX_PER_CM  # gums may be seen above a gap between teeth
    rows = np.arange(round((UPPER_EDGE_CM - CROWN_CM) * PX_PER_CM), seen.shape[0], dtype=np.float32)
    height = last[None] - rows[:, None]
    # what is seen as it is near the edge, then ever slower towards its upper end
    kept = 0.6 * shown
    above = kept + (shown - kept) * (1 - np.exp(-np.maximum(height - kept, 0) / (shown - kept)))
    source = last[None] - np.where(height < kept, height, above)
    x = np.broadcast_to(every.astype(np.float32)[None], source.shape)
    part = cv2.remap(colours, np.ascontiguousarray(x), source.astype(np.float32), cv2.INTER_LINEAR)
    picture, known = np.zeros_like(colours), np.zeros(seen.shape, np.float32)
    box = np.s_[int(rows[0]) :, every[0] : every[-1] + 1]
    picture[box], known[box] = part, np.clip(height + 0.5, 0, 1)
    has = np.zeros(seen.shape[1], bool)
    has[every] = True
    other = has[::-1] & ~has
    picture[:, other], known[:, other] = picture[:, ::-1][:, other], known[:, ::-1][:, other]
    known = cv2.GaussianBlur(known, (0, 0), 0.5 * EDGE_CM * PX_PER_CM)
    side = cv2.distanceTransform(np.pad((known.max(axis=0) > 0.5), 1)[None].astype(np.uint8), cv2.DIST_L1, 3)
    return picture, (known * np.clip(side[:, 1:-1] / (SIDE_FADE_CM * PX_PER_CM), 0, 1)).astype(np.float32)


def _without_tips(chart: NDArray[np.float32], cover: NDArray[np.float32]) -> NDArray[np.float32]:
    """A drawn chart whose own teeth do not look out from under others that cover it."""
    first, last = (round((UPPER_EDGE_CM + reach) * PX_PER_CM) for reach in (-0.6, 0.1))
    result = chart.copy()
    share = cover.max(axis=0)[None, :, None]
    result[first:last] += share * (chart[last : last + 1] - chart[first:last])
    return result


def tooth_share(chart: NDArray[np.float32]) -> NDArray[np.float32]:
    """Soft mask of the teeth on a drawn chart, whose gums and tongue are red."""
    redness = chart[..., 0] / np.maximum(chart[..., 1], 1)
    return np.clip((1.5 - redness) / 0.3, 0, 1).astype(np.float32)
