"""Mesh warp of a photo to a target shape, with mouth interior and ratio image.

The warp is a backward flow: output pixel (x, y) shows the photo at (x, y) + flow_px[y, x].
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.face_model.basis import FaceBasis
from exprgan.face_model.eyes import move_lids
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.folds import WrinkleModel
from exprgan.face_model.mouth import contact_shadow, interior_colours, place_on_chart
from exprgan.faces import mesh

RING_SCALE = (1.12, 1.3, 1.6)
RING_WEIGHT = (0.75, 0.3, 0.0)
"""Rings around the face oval, as multiples of its radius, and how much of the oval's motion they follow."""
OWN_MOUTH_COVERAGE = 0.55
OWN_MOUTH_SHADOW = 0.35
OPEN_MOUTH_UNITS = 1.2
STRETCH_LIMITS = (0.1, 8.0)
"""Range of the local area factor output -> photo in which the flow counts as valid."""


@dataclass(frozen=True)
class TeacherResult:
    """One re-posed photo, all arrays (height, width, ...).

    image: uint8 RGB. flow_px: float32 (.., 2), backward flow in pixels (x, y). mouth_mask: float32 0..1,
    cover of the mouth interior that was put in, which the flow does not describe; 0 where the photo's own
    interior is shown. place_cm: float32 (.., 2), place on the chart of `exprgan.models.mouth_interior` in and
    around the interior, 0 elsewhere. valid_mask: bool, flow is a true correspondence (no interior, no
    fold, source inside the photo, not invented). gain: float32 (.., 3), factors of the ratio image, 1 where
    none; outside the mouth image = remapped photo * gain. face_mask: bool, on the face mesh; outside it the
    warp is only a decaying continuation. mouth_source: 'none', 'own' or 'chart'. folded_share: see
    `folded_share`. points_px: (468, 3), the mesh in the result.
    """

    image: NDArray[np.uint8]
    flow_px: NDArray[np.float32]
    mouth_mask: NDArray[np.float32]
    place_cm: NDArray[np.float32]
    valid_mask: NDArray[np.bool_]
    gain: NDArray[np.float32]
    face_mask: NDArray[np.bool_]
    mouth_source: str
    folded_share: float
    points_px: NDArray[np.float64]


def target_points(analysis: FaceAnalysis, shape_cm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Image points (468, 3) in px of a target shape; lips that would cross meet half-way."""
    pose = analysis.pose
    offset = analysis.landmarks_px[:468] - pose.to_pixels(analysis.shape_cm)
    points = pose.to_pixels(shape_cm) + offset
    upper = points[mesh.UPPER_INNER_LIP]
    lower = points[mesh.LOWER_INNER_LIP]
    crossed = upper[:, 1] > lower[:, 1]
    middle = (upper + lower) / 2
    points[mesh.UPPER_INNER_LIP[crossed]] = middle[crossed]
    points[mesh.LOWER_INNER_LIP[crossed]] = middle[crossed]
    return points


def folded_share(analysis: FaceAnalysis, basis: FaceBasis, target_px: NDArray[np.float64]) -> float:
    """Share of the visible skin and ring area of the photo whose triangles turn over in the target."""
    photo, target, rings = add_rings(analysis.landmarks_px[:468, :2], target_px[:, :2])
    before_skin = raster.signed_areas(photo, basis.skin_triangles)
    after_skin = raster.signed_areas(target, basis.skin_triangles)
    before_rings = raster.signed_areas(photo, rings)
    after_rings = raster.signed_areas(target, rings)
    front = np.sign(np.median(before_skin))
    facing = before_skin * front > 0
    turned = np.abs(before_skin[facing & (after_skin * front <= 0)]).sum()
    turned += np.abs(before_rings[before_rings * after_rings <= 0]).sum()
    return float(turned / np.abs(before_skin[facing]).sum())


def add_rings(
    photo: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Surround the mesh points (468, 2) by rings whose motion decays to zero.

    Returns photo points and target points (468 + 3 * 36, 2) and the ring triangles (216, 3).
    """
    oval = np.array(mesh.FACE_OVAL)
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


class Renderer:
    """Draws target shapes of an analysed photo."""

    def __init__(self, basis: FaceBasis, wrinkles: WrinkleModel) -> None:
        self.basis = basis
        self.wrinkles = wrinkles

    def render(
        self,
        image: NDArray[np.uint8],
        analysis: FaceAnalysis,
        target_cm: NDArray[np.float64],
        log_ratio: NDArray[np.float32] | None,
        lip_inset: float = 1.0,
    ) -> TeacherResult:
        """Warp an RGB photo (height, width, 3) uint8 to the shape target_cm (468, 3).

        log_ratio is a chart image or None for no ratio. lip_inset (0..1) is how much of the lips' own rim
        is left out where the photo's mouth is open.
        """
        height, width = image.shape[:2]
        target_px = target_points(analysis, target_cm)
        source_map, chart_map = self._trace(height, width, analysis, target_px, lip_inset)
        invented = move_lids(source_map, analysis.landmarks_px, target_px, analysis.pose.unit_px)
        opening = mouth_opening(height, width, target_px, analysis.pose.unit_px)
        rows, columns = np.nonzero(opening)
        shows_own = own_mouth_cover(analysis, opening, rows, columns) > OWN_MOUTH_COVERAGE
        if shows_own:
            inside = opening[rows, columns] > 0.5
            source_map[rows[inside], columns[inside]] = own_mouth(analysis, rows[inside], columns[inside])
        grid = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
        flow = source_map - grid
        warped = warp_image(image, flow).astype(np.float32)

        gain = np.ones((height, width, 3), np.float32)
        if log_ratio is not None:
            ratio_px = cv2.remap(log_ratio, chart_map[..., 0], chart_map[..., 1], cv2.INTER_LINEAR)
            gain = self.wrinkles.gain(warped, ratio_px)
        if shows_own:
            shadow = OWN_MOUTH_SHADOW * contact_shadow(analysis, target_px, columns, rows)
            gain[rows, columns] *= (1 - opening[rows, columns] * shadow)[:, None]
        output = warped * gain

        place = np.zeros((height, width, 2), np.float32)
        mouth_mask, mouth_source = np.zeros_like(opening), "own" if shows_own else "none"
        if len(rows) and not shows_own:
            mouth_mask, mouth_source = opening, "chart"
            near_y, near_x = np.nonzero(cv2.dilate(opening, np.ones((9, 9))) > 0)
            place[near_y, near_x] = place_on_chart(analysis, target_cm, near_x, near_y)
            colours = interior_colours(image, analysis, target_px, place[rows, columns], columns, rows)
            alpha = opening[rows, columns][:, None]
            output[rows, columns] = output[rows, columns] * (1 - alpha) + colours * alpha
        return TeacherResult(
            image=np.clip(output, 0, 255).astype(np.uint8),
            flow_px=flow,
            mouth_mask=mouth_mask,
            place_cm=place,
            valid_mask=valid_flow(flow) & ~invented & (mouth_mask <= 0),
            gain=gain,
            face_mask=chart_map[..., 0] >= 0,
            mouth_source=mouth_source,
            folded_share=folded_share(analysis, self.basis, target_px),
            points_px=target_px,
        )

    def _trace(
        self,
        height: int,
        width: int,
        analysis: FaceAnalysis,
        target_px: NDArray[np.float64],
        lip_inset: float,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Per output pixel: position in the photo and on the chart (-1 off the skin), (height, width, 2) float32."""
        photo_px = analysis.landmarks_px[:468]
        photo, target, rings = add_rings(photo_px[:, :2], target_px[:, :2])
        self._draw_in_inner_lips(photo, photo_px, lip_inset * analysis.pose.unit_px)
        skin = self.basis.skin_triangles
        far_to_near = np.argsort(-target_px[skin, 2].mean(axis=1))
        parts = [rings, skin[far_to_near], self.basis.eye_triangles, self.basis.mouth_triangles]
        triangles = np.concatenate(parts)
        triangle_map, weights = raster.rasterise(height, width, target, triangles)
        off_chart = np.full((len(photo) - 468, 2), -1.0)
        values = np.hstack([photo, np.vstack([self.wrinkles.chart_px, off_chart])])
        covered, samples = raster.interpolate(triangle_map, weights, triangles, values)

        source_map = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
        source_map[covered] = samples[:, :2]
        chart_map = np.full((height, width, 2), -1, np.float32)
        on_face = triangle_map >= len(rings)
        chart_map[on_face] = samples[triangle_map[covered] >= len(rings), 2:]
        return source_map, chart_map

    @staticmethod
    def _draw_in_inner_lips(
        photo: NDArray[np.float64], photo_px: NDArray[np.float64], unit_px: float
    ) -> None:
        """Where the photo's mouth is open, take the lips from a little outside the opening, without teeth."""
        opening = photo_px[mesh.LOWER_INNER_LIP, 1] - photo_px[mesh.UPPER_INNER_LIP, 1]
        inset = np.clip(opening * 0.3, 0, 0.9) * unit_px
        photo[mesh.UPPER_INNER_LIP, 1] -= inset * 0.7
        photo[mesh.LOWER_INNER_LIP, 1] += inset


def mouth_opening(
    height: int, width: int, target_px: NDArray[np.float64], unit_px: float
) -> NDArray[np.float32]:
    """Soft mask (height, width) float32 in 0..1 of the space between the inner lips; 0 where they touch."""
    gap = target_px[mesh.LOWER_INNER_LIP, 1] - target_px[mesh.UPPER_INNER_LIP, 1]
    if gap.max() <= OPEN_MOUTH_UNITS * unit_px:
        return np.zeros((height, width), np.float32)
    mask = raster.polygon_mask(height, width, target_px[mesh.INNER_MOUTH_OUTLINE, :2])
    mask[mask <= 0.01] = 0
    return mask


def warp_image(image: NDArray[np.uint8], flow_px: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The photo seen through a backward flow (height, width, 2) in pixels; bicubic, borders repeated."""
    height, width = image.shape[:2]
    grid = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    source = grid + flow_px
    return cv2.remap(image, source[..., 0], source[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


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
