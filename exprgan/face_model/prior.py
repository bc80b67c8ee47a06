"""What geometry knows of an edit: where each pixel of the changed face comes from, its folds, and its mouth's inside.

The mesh carries the photo to the target shape by a backward flow: output pixel (x, y) shows the photo at
(x, y) + flow_px[y, x]. What has an edge of its own, the openings of eyes and mouth, is cut by the mesh's outlines, so
that rims can be drawn as sharp as the photo; folds lie on the mesh's texture chart.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster, seams
from exprgan.face_model.basis import FaceBasis
from exprgan.face_model.eyes import eye_openings_of
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.mouth import DentalArch, contact_shadow, light_across
from exprgan.face_model.teeth import Teeth, log_light
from exprgan.face_parts import DENTITIONS
from exprgan.faces import mesh
from exprgan.models import mouth_interior

RING_SCALE = (1.08, 1.18, 1.35)
RING_WEIGHT = (0.6, 0.2, 0.0)
"""Rings around the face oval, as multiples of its radius, and how much of the oval's motion they follow."""
OWN_MOUTH_COVERAGE = 0.55
OWN_MOUTH_SHADOW = 0.35
OPEN_MOUTH_UNITS = 1.2
STRETCH_LIMITS = (0.1, 8.0)
"""Range of the local area factor output -> photo in which the flow counts as valid."""
PAIRED_RIMS = (
    (mesh.UPPER_INNER_LIP, mesh.LOWER_INNER_LIP),
    (mesh.RIGHT_UPPER_LID[1:-1], mesh.RIGHT_LOWER_LID[1:-1]),
    (mesh.LEFT_UPPER_LID[1:-1], mesh.LEFT_LOWER_LID[1:-1]),
)
"""Upper and lower rims of mouth and eyes, point by point."""
SHUT_CM = 0.06
"""Lips less far apart than this in the target's shape are no further apart in the picture than in the photo."""
LEAST_LIP, FREE_RIM_UNITS = 0.4, 0.7
"""Of a lip's height, what stays in sight of one that is rolled in; and the way of a rim that is held, in units of the
pose, from which on the lip is even."""
UNMOVED_UNITS = 0.1
"""Lips that move less leave the mouth as it is, in units of the pose."""
SHOWN_OVER_UNITS = 1.0
"""What is drawn comes into sight while the gap of the lips grows by so much."""
MARGIN_PX = 4
"""How far beyond an outline the maps inside it are continued, for interpolation between pixels."""


@dataclass(frozen=True)
class Cut:
    """A part of the picture with an edge of its own, shown inside an outline; maps are 0 away from it.

    name: eye, mouth, lids or lips. outline_px (n, 2). flow_px float32 (height, width, 2), backward. interior float32
    (height, width, 5) or None: place (x, y) in cm on the chart of the teeth, as its `view` takes it with throat_cm, and
    natural log of the light on its RGB, shown in place of the photo. shade float32 (height, width) or None: natural log
    of a factor on the photo. invented bool (height, width): shows what the photo does not. teeth: whose, for the
    interior. weight (0..1): below 1 while it comes into sight, so that pictures of growing amounts do not jump.
    """

    name: str
    outline_px: NDArray[np.float64]
    flow_px: NDArray[np.float32]
    interior: NDArray[np.float32] | None = None
    shade: NDArray[np.float32] | None = None
    invented: NDArray[np.bool_] | None = None
    teeth: Teeth = field(default_factory=Teeth)
    throat_cm: float = 0.0
    weight: float = 1.0

    def on_chart(self) -> NDArray[np.float32]:
        """The interior with its places where `exprgan.models.mouth_interior.Chart.sample` has them."""
        assert self.interior is not None
        interior = self.interior.copy()
        interior[..., 1] = mouth_interior.rows_at(interior[..., 1], self.throat_cm)
        return interior


@dataclass(frozen=True)
class Prior:
    """An edit of one face as geometry knows it, in the frame of a picture (height, width).

    flow_px float32 (.., 2): backward flow in px of face, surroundings and, for want of a cut, openings. chart_px
    float32 (.., 2): place on the texture chart, -1 off the skin. log_ratio float32 (192, 192) or None: folds on that
    chart, natural log of the luminance's ratio. cuts: eyes and mouth. target_px (468, 3): the mesh in the result.
    """

    flow_px: NDArray[np.float32]
    chart_px: NDArray[np.float32]
    log_ratio: NDArray[np.float32] | None
    cuts: tuple[Cut, ...]
    target_px: NDArray[np.float64]

    @property
    def mouth(self) -> Cut | None:
        """The cut of the mouth where it is open."""
        return next((cut for cut in self.cuts if cut.name == "mouth"), None)

    def cover(self, cut: Cut) -> NDArray[np.float32]:
        """Soft mask (height, width) of a cut, 0 to 1."""
        mask = raster.polygon_mask(self.flow_px.shape[0], self.flow_px.shape[1], cut.outline_px)
        return (cut.weight * np.where(mask <= 0.01, 0, mask)).astype(np.float32)

    def whole_flow(self) -> NDArray[np.float32]:
        """Backward flow (height, width, 2) of all that the photo shows, cuts included."""
        flow = self.flow_px
        for cut in self.cuts:
            if cut.interior is None:
                flow = flow + self.cover(cut)[..., None] * (cut.flow_px - flow)
        return flow

    def valid(self) -> NDArray[np.bool_]:
        """Boolean (height, width): the flow is a true correspondence, neither folded nor invented."""
        valid = valid_flow(self.whole_flow())
        for cut in self.cuts:
            if cut.invented is not None:
                valid &= ~cut.invented
            if cut.interior is not None:
                valid &= self.cover(cut) <= 0
        return valid

    def folds(self) -> NDArray[np.float32]:
        """Log ratio (height, width) of the folds, as the picture shows them."""
        if self.log_ratio is None:
            return np.zeros(self.flow_px.shape[:2], np.float32)
        return cv2.remap(self.log_ratio, self.chart_px[..., 0], self.chart_px[..., 1], cv2.INTER_LINEAR)

    def maps(self) -> dict[str, NDArray[np.float32]]:
        """What `exprgan.models.corrections.PriorMaps` holds, without the batch: float32 (C, height, width) by name."""
        size_hw = self.flow_px.shape[:2]
        cut_flow, interior = np.zeros((*size_hw, 2), np.float32), np.zeros((*size_hw, 5), np.float32)
        cut_cover, cut_shade, cover = (np.zeros((*size_hw, 1), np.float32) for _ in range(3))
        for cut in self.cuts:
            own = self.cover(cut)[..., None]
            if cut.interior is not None:
                cover, interior = own, _on_all_charts(cut)
                continue
            cut_cover, cut_flow = np.maximum(cut_cover, own), np.where(own > 0, cut.flow_px, cut_flow)
            if cut.shade is not None:
                cut_shade = np.where(own > 0, cut.shade[..., None], cut_shade)
        arrays = {
            "flow_px": self.flow_px,
            "folds": self.folds()[..., None],
            "cut_flow_px": cut_flow,
            "cut_cover": cut_cover,
            "cut_shade": cut_shade,
            "interior": interior,
            "cover": cover,
        }
        return {
            name: np.ascontiguousarray(array.transpose(2, 0, 1), np.float32) for name, array in arrays.items()
        }


def target_points(analysis: FaceAnalysis, shape_cm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Image points (468, 3) in px of a target shape; lips and lids that would cross meet half-way.

    Lips that close do so in the picture, however far behind one another the head's pitch shows them.
    """
    pose = analysis.pose
    offset = analysis.landmarks_px[:468] - pose.to_pixels(analysis.shape_cm)
    points = pose.to_pixels(shape_cm) + offset
    upper, lower = PAIRED_RIMS[0]
    own_cm, new_cm = (each[upper, 1] - each[lower, 1] for each in (analysis.shape_cm, shape_cm))
    own_px = np.maximum(analysis.landmarks_px[lower, 1] - analysis.landmarks_px[upper, 1], 0)
    share = np.clip(new_cm / np.maximum(own_cm, 1e-3), 0, 1)
    apart = np.where(
        (share < 1) | (new_cm < SHUT_CM),
        np.maximum(points[lower, 1] - points[upper, 1] - share * own_px, 0),
        0,
    )
    points[upper, 1] += 0.35 * apart
    points[lower, 1] -= 0.65 * apart
    for upper, lower in PAIRED_RIMS:
        crossed = points[upper, 1] > points[lower, 1]
        middle = (points[upper[crossed]] + points[lower[crossed]]) / 2
        points[upper[crossed]] = points[lower[crossed]] = middle
    _keep_lips(points, analysis.landmarks_px, FREE_RIM_UNITS * pose.unit_px)
    return points


def _keep_lips(points: NDArray[np.float64], photo_px: NDArray[np.float64], free_px: float) -> None:
    """Hold lips that are rolled in so that they do not turn over: some of their height stays, from border to rim.

    A rim that would pass its lip's border stays `LEAST_LIP` of the lip's height in the photo away from it, and takes
    the other lip's rim along where they touch; borders leave room for both. free_px: way of a rim from which on its
    lip is even.
    """
    # (2, 9, 4): upper and lower lip, columns, from border to rim
    rows, before = points[mesh.LIP_COLUMNS, 1], photo_px[mesh.LIP_COLUMNS, 1]
    inwards = np.array([[1.0], [-1.0]])
    height = np.maximum(inwards * (before[..., 3] - before[..., 0]), 0)
    least = LEAST_LIP * height
    lack = np.maximum(least.sum(axis=0) - (rows[1, :, 0] - rows[0, :, 0]), 0)
    rows[..., 0] -= inwards * lack * height / np.maximum(height.sum(axis=0), 1e-3)
    over = np.maximum(least - inwards * (rows[..., 3] - rows[..., 0]), 0)
    if not over.any():
        return
    rims = rows[..., 3] + inwards * over
    crossed = rims[0] > rims[1]
    one = np.where(over[0] > over[1], rims[0], rims[1])
    rims[:, crossed] = np.where((over > 0).all(axis=0), rims.mean(axis=0), one)[crossed]
    place = np.clip(
        inwards[..., None] * (before - before[..., :1]) / np.maximum(height, 1e-3)[..., None], 0, 1
    )
    even = rows[..., :1] + place * (rims[..., None] - rows[..., :1])
    share = np.clip(np.abs(rims - rows[..., 3]) / free_px, 0, 1)[..., None]
    rows = rows + share * (even - rows)
    rows[..., 3] = rims
    points[mesh.LIP_COLUMNS, 1] = rows


def folded_share(analysis: FaceAnalysis, basis: FaceBasis, target_px: NDArray[np.float64]) -> float:
    """Share of the visible skin of the photo whose triangles turn over in the target.

    Rings that turn over count for nothing: a chin that drops covers the neck.
    """
    before = raster.signed_areas(analysis.landmarks_px[:468], basis.skin_triangles)
    after = raster.signed_areas(target_px, basis.skin_triangles)
    facing = faces_camera(analysis.landmarks_px, basis.skin_triangles)
    turned = np.abs(before[facing & (after * before <= 0)]).sum()
    return float(turned / np.abs(before[facing]).sum())


def faces_camera(points_px: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Boolean (T,): which triangles (T, 3) of a face at points (468, 2+) are seen from their outer side."""
    areas = raster.signed_areas(points_px, triangles)
    return np.asarray(areas * np.sign(np.median(areas)) > 0)


def add_rings(
    photo: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Surround the mesh points (468, 2) by rings whose motion decays to zero, inner ones first.

    Returns photo points and target points (468 + 3 * 36, 2) and the ring triangles (216, 3).
    """
    oval = _outline(photo)
    count = len(oval)
    centre = (photo[oval].min(axis=0) + photo[oval].max(axis=0)) / 2
    motion = target[oval] - photo[oval]
    photo_parts = [photo]
    target_parts = [target]
    triangles = []
    inner = oval
    first = len(photo)
    for scale, weight in zip(RING_SCALE, RING_WEIGHT, strict=True):
        ring = centre + (photo[oval] - centre) * scale
        photo_parts.append(ring)
        target_parts.append(ring + motion * weight)
        outer = np.arange(first, first + count)
        first += count
        triangles.append(np.stack([inner, np.roll(inner, -1), outer], axis=1))
        triangles.append(np.stack([np.roll(inner, -1), np.roll(outer, -1), outer], axis=1))
        inner = outer
    return np.concatenate(photo_parts), np.concatenate(target_parts), np.concatenate(triangles)


def _outline(photo: NDArray[np.float64]) -> NDArray[np.int64]:
    """Mesh points (36,) along the outline of a face in a photo, in the order of the face oval.

    Of a turned head the oval's far side lies behind the cheek, whose rim is the outline then.
    """
    oval = np.array(mesh.FACE_OVAL)
    from_centre = (photo - photo[oval].mean(axis=0)) @ (1, 1j)
    turned = np.angle(from_centre[:, None] / from_centre[oval])
    outermost = np.abs(from_centre)[:, None] * (
        np.abs(turned).argmin(axis=1)[:, None] == np.arange(len(oval))
    )
    outermost[oval, np.arange(len(oval))] = np.abs(from_centre[oval])
    return np.asarray(outermost.argmax(axis=0))


class PriorMaker:
    """Works out priors of analysed photos.

    Args:
        basis: The face model.
        chart_px: Places (468, 2) of the mesh on the texture chart, in its pixels.
    """

    def __init__(self, basis: FaceBasis, chart_px: NDArray[np.float64]) -> None:
        self.basis, self.chart_px = basis, chart_px

    def make(
        self,
        image: NDArray[np.uint8],
        analysis: FaceAnalysis,
        target_cm: NDArray[np.float64],
        log_ratio: NDArray[np.float32] | None = None,
        *,
        gaze_px: NDArray[np.float64] | None = None,
        lip_inset: float = 1.0,
        teeth: Teeth | None = None,
    ) -> Prior:
        """The prior of a target shape (468, 3) for an sRGB picture (height, width, 3) uint8.

        log_ratio lies on the chart. gaze_px (2, 2): way of right and left iris. lip_inset (0..1) is how much of the
        lips' own rim is left out where the photo's mouth is open. teeth: the first drawn ones by default.
        """
        size_hw = (image.shape[0], image.shape[1])
        target_px = target_points(analysis, target_cm)
        way_px = np.linalg.norm((target_px - analysis.landmarks_px[:468])[:, :2], axis=1)

        def moved_of(points: NDArray[np.int64]) -> float:
            return min(1.0, float(way_px[points].max()) / analysis.pose.unit_px)

        moved = moved_of(mesh.INNER_MOUTH_OUTLINE)  # 1 from where lips have their rims drawn
        flow, chart = self._trace(size_hw, analysis, target_px, lip_inset * moved)
        cuts = _cuts_of_eyes(size_hw, analysis, target_px, gaze_px)
        mouth = (
            _cut_of_mouth(image, analysis, target_cm, target_px, teeth or Teeth(), moved)
            if moved > UNMOVED_UNITS
            else []
        )
        shown_px = analysis.landmarks_px[:468, :2].copy()
        _draw_in_inner_lips(shown_px, analysis.landmarks_px, lip_inset * moved * analysis.pose.unit_px)
        for cut in mouth:
            flow = seams.continued(flow, seams.LIPS, shown_px, target_px, max(0.0, 2 * cut.weight - 1))
        if moved > UNMOVED_UNITS and not mouth:
            flow, mouth = _meet(flow, "lips", seams.LIPS, analysis, shown_px, target_px, _begun(moved))
        openings = []
        for rims, eye in zip(seams.LIDS, cuts, strict=True):
            begun = _begun(moved_of(rims.both))
            flow = seams.continued(flow, rims, shown_px, target_px, begun)
            flow, lids = _meet(flow, "lids", rims, analysis, shown_px, target_px, begun)
            openings += [replace(eye, weight=1 - lids[0].weight), *lids] if lids else [eye]
        return Prior(flow, chart, log_ratio, (*openings, *mouth), target_px)

    def _trace(
        self,
        size_hw: tuple[int, int],
        analysis: FaceAnalysis,
        target_px: NDArray[np.float64],
        lip_inset: float,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Flow and place on the chart (-1 off the skin) of each output pixel, (height, width, 2) float32."""
        photo_px = analysis.landmarks_px[:468]
        photo, target, rings = add_rings(photo_px[:, :2], target_px[:, :2])
        _draw_in_inner_lips(photo, photo_px, lip_inset * analysis.pose.unit_px)
        skin = self.basis.skin_triangles
        skin = skin[np.argsort(-target_px[skin, 2].mean(axis=1))]  # far to near
        facing = faces_camera(photo_px, skin)
        # what faces away has nothing to show beyond the outline, so what surrounds the face lies over it
        behind, openings = skin[~facing], [self.basis.eye_triangles, self.basis.mouth_triangles]
        # lips and lids lie over what is left of an opening that they shut
        over = facing & faces_camera(target_px, skin)  # but nothing over others that has turned over itself
        triangles = np.concatenate([behind, rings, *openings, skin[facing & ~over], skin[over]])
        triangle_map, weights = raster.rasterise(*size_hw, target, triangles)
        off_chart = np.full((len(photo) - 468, 2), -1.0)
        values = np.hstack([photo - target, np.vstack([self.chart_px, off_chart])])
        covered, samples = raster.interpolate(triangle_map, weights, triangles, values)

        flow = np.zeros((*size_hw, 2), np.float32)
        flow[covered] = samples[:, :2]
        chart = np.full((*size_hw, 2), -1, np.float32)
        on_rings = (triangle_map >= len(behind)) & (triangle_map < len(behind) + len(rings))
        on_face = covered & ~on_rings
        chart[on_face] = samples[on_face[covered], 2:]
        return flow, chart


def _draw_in_inner_lips(photo: NDArray[np.float64], photo_px: NDArray[np.float64], unit_px: float) -> None:
    """Where the photo's mouth is open, take the lips from a little outside the opening, without teeth."""
    opening = photo_px[mesh.LOWER_INNER_LIP, 1] - photo_px[mesh.UPPER_INNER_LIP, 1]
    inset = np.clip(opening * 0.3, 0, 0.9) * unit_px
    photo[mesh.UPPER_INNER_LIP, 1] -= inset * 0.7
    photo[mesh.LOWER_INNER_LIP, 1] += inset


def _cuts_of_eyes(
    size_hw: tuple[int, int],
    analysis: FaceAnalysis,
    target_px: NDArray[np.float64],
    gaze_px: NDArray[np.float64] | None,
) -> list[Cut]:
    cuts = []
    unit_px = analysis.pose.unit_px
    for eye in eye_openings_of(size_hw, analysis.landmarks_px, target_px, unit_px, gaze_px):
        flow, invented = np.zeros((*size_hw, 2), np.float32), np.zeros(size_hw, bool)
        flow[eye.rows, eye.columns] = eye.source_px - np.stack([eye.columns, eye.rows], axis=1)
        invented[eye.rows, eye.columns] = eye.invented
        shade = np.zeros(size_hw, np.float32)
        shade[eye.rows, eye.columns] = eye.shade
        cuts.append(Cut("eye", eye.outline_px, flow, shade=shade, invented=invented))
    return cuts


def _cut_of_mouth(
    image: NDArray[np.uint8],
    analysis: FaceAnalysis,
    target_cm: NDArray[np.float64],
    target_px: NDArray[np.float64],
    teeth: Teeth,
    moved: float,
) -> list[Cut]:
    """The inside of the mouth where it opens: the photo's own where it shows enough of it, else the chart's.

    moved: how far the lips move, 0 to 1, up to which an own mouth stays as the skin around it takes it along.
    """
    size_hw = (image.shape[0], image.shape[1])
    gap = target_px[mesh.LOWER_INNER_LIP, 1] - target_px[mesh.UPPER_INNER_LIP, 1]
    if gap.max() <= OPEN_MOUTH_UNITS * analysis.pose.unit_px:
        return []
    outline = target_px[mesh.INNER_MOUTH_OUTLINE, :2]
    opening = raster.polygon_mask(*size_hw, outline)
    rows, columns = raster.pixels_around(size_hw, outline, MARGIN_PX)
    flow = np.zeros((*size_hw, 2), np.float32)
    shadow = contact_shadow(analysis, target_px, columns, rows)
    inside = np.nonzero(opening > 0.01)
    if own_mouth_cover(analysis, opening, *inside) > OWN_MOUTH_COVERAGE:
        flow[rows, columns] = own_mouth(analysis, rows, columns) - np.stack([columns, rows], axis=1)
        shade = np.zeros(size_hw, np.float32)
        shade[rows, columns] = np.log1p(-OWN_MOUTH_SHADOW * shadow)
        return [Cut("mouth", outline, flow, shade=shade, weight=moved)]
    interior = np.zeros((*size_hw, 5), np.float32)
    arch = DentalArch(analysis, target_cm, teeth.uneven)
    place = arch.place(columns, rows)
    interior[rows, columns, :2] = place
    by_place = light_across(image, analysis, columns) + np.log1p(-shadow)
    if teeth.uneven:
        by_place = by_place + teeth.uneven.light(place[:, 0])
    interior[rows, columns, 2:] = log_light(image, analysis.landmarks_px) + by_place[:, None]
    over = gap.max() / analysis.pose.unit_px - OPEN_MOUTH_UNITS
    weight = float(min(1.0, over / SHOWN_OVER_UNITS))
    return [
        Cut("mouth", outline, flow, interior=interior, teeth=teeth, throat_cm=arch.throat_cm, weight=weight)
    ]


def _begun(moved: float) -> float:
    """How far (0..1) rims that move so far (0..1) are drawn as such."""
    return max(0.0, moved - UNMOVED_UNITS) / (1 - UNMOVED_UNITS)


def _meet(
    flow: NDArray[np.float32],
    name: str,
    rims: seams.Rims,
    analysis: FaceAnalysis,
    shown_px: NDArray[np.float64],
    target_px: NDArray[np.float64],
    begun: float,
) -> tuple[NDArray[np.float32], list[Cut]]:
    """The flow and a cut for the line of rims that are shut, as far as their motion has `_begun`."""
    unit_px = analysis.pose.unit_px
    weight = seams.closed_share(rims, target_px, unit_px) * begun
    own_gap = rims.gap_px(analysis.landmarks_px) / unit_px
    seam = seams.meet(flow, rims, shown_px, target_px, weight, own_gap)
    if seam is None:
        return flow, []
    return seam.flow_px, [Cut(name, seam.outline_px, seam.below_px, shade=seam.shade, weight=weight)]


def _on_all_charts(cut: Cut) -> NDArray[np.float32]:
    """The interior of a cut whose places are on the charts of all `DENTITIONS`, one below the other."""
    shifted, bottom = cut.on_chart(), mouth_interior.CHART_CM[1]
    shifted[..., 1] = np.clip(shifted[..., 1], 0, bottom) + bottom * DENTITIONS.index(cut.teeth.name)
    return shifted


def valid_flow(flow_px: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Boolean (height, width): source inside the photo, neighbourhood neither folded, torn nor crushed."""
    height, width = flow_px.shape[:2]
    grid = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    source = grid + flow_px
    inside = (source >= 0).all(axis=2) & (source[..., 0] <= width - 1) & (source[..., 1] <= height - 1)
    down, right = np.gradient(source, axis=(0, 1))
    area = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    return inside & (area > STRETCH_LIMITS[0]) & (area < STRETCH_LIMITS[1])


def own_mouth_cover(
    analysis: FaceAnalysis, mask: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> float:
    """Share of the new opening at which the photo itself shows mouth interior."""
    points = analysis.landmarks_px
    unit = analysis.pose.unit_px
    upper, lower = raster.curves_at(points, mesh.UPPER_INNER_CURVE, mesh.LOWER_INNER_CURVE, columns)
    right_corner, left_corner = points[list(mesh.INNER_MOUTH_CORNERS), 0]
    covered = (rows > upper + 0.6 * unit) & (rows < lower - 0.6 * unit)
    covered &= (columns > right_corner + unit) & (columns < left_corner - unit)
    weight = mask[rows, columns]
    return float((covered * weight).sum() / max(1e-6, weight.sum()))


def own_mouth(
    analysis: FaceAnalysis, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Where (n, 2) in the photo its own mouth interior is seen at the same place, held inside its opening."""
    points = analysis.landmarks_px
    unit = analysis.pose.unit_px
    right_corner, left_corner = points[list(mesh.INNER_MOUTH_CORNERS), 0]
    source_x = np.clip(columns, right_corner + 2 * unit, left_corner - 2 * unit)
    upper, lower = raster.curves_at(points, mesh.UPPER_INNER_CURVE, mesh.LOWER_INNER_CURVE, source_x)
    middle = (upper + lower) / 2
    source_y = np.clip(rows, np.minimum(upper + 0.9 * unit, middle), np.maximum(lower - 0.9 * unit, middle))
    return np.stack([source_x, source_y], axis=1).astype(np.float32)
