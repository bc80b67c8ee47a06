"""Carry an edit from the 256-px crop back to the photo, at the photo's own resolution and onto its own pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, reduce
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.edit.tone import toned
from exprgan.face_model.raster import polygon_mask
from exprgan.face_parts import CROP_PX, WINDOW
from exprgan.faces.align import transform_points
from exprgan.models import mouth_interior
from exprgan.models.mouth_interior import CROP_PX_PER_CM

if TYPE_CHECKING:
    from exprgan.face_model.prior import Cut, Prior

TAPER_PX = 14
"""Width of the border inside the window along which an edit fades to exactly 0."""
FLOW_FADE_PX = (0.12, 0.45)
SHADE_FADE = (0.012, 0.05)
MASK_FADE = (0.01, 0.08)
RESIDUAL_FADE = (0.01, 0.04)
"""An edit below the first value changes nothing, above the second it acts in full; crop px, log, share, RGB of 1."""
REACH_PX = 48
"""The photo is looked at so many crop px around a patch, further where the flow is longer."""
STRIP_ROWS = 128
EDGE_PX = 0.35
"""Softness of an outline in crop px, at any resolution."""
SHADOW_TINT_RGB = np.array([0.72, 1.04, 1.12], np.float32)
"""Shadows on skin lose less red, and gain less where they are lit: factors on the log ratio of each channel."""


@dataclass(frozen=True)
class Edit:
    """What is to be done to one face, in the frame of its aligned 256-px crop; all float32.

    y = (1 - mask) * warp(x, flow) * exp(shade) + mask * paint + residual, where an interior takes the paint's place.

    Attributes:
        flow_px: (256, 256, 2) backward displacement (x, y) in crop px: output (x, y) shows (x, y) + flow.
        shade: (256, 256, 3) natural log of the factor on the warped RGB values.
        paint: (256, 256, 3) RGB in [0, 1], shown where the mask is.
        mask: (256, 256) cover of the paint in [0, 1].
        weight: (256, 256) share of the edit that is carried over; 0 where there is nothing to do and all
            around the border.
        interior: (256, 256, 5) or None; place (x, y) on the chart of `exprgan.models.mouth_interior` in cm and natural
            log of the light on its RGB, from which the paint is drawn at the photo's resolution.
        residual: (256, 256, 3) or None; added to the RGB values in [0, 1].
        tone: (256, 3) of `exprgan.edit.tone.tone_of`, in which the interior is shown; None is in its own colours.
        cuts: openings of eyes and mouth, in the frame of the crop; each takes its own flow, and its outline is drawn
            at the photo's resolution.
        folds: (256, 256, 3) or None; place (x, y) on the texture chart in its px and the share (0..1) that is shown
            of `fold_chart` (h, w) there, natural log of the luminance's ratio.
    """

    flow_px: NDArray[np.float32]
    shade: NDArray[np.float32]
    paint: NDArray[np.float32]
    mask: NDArray[np.float32]
    weight: NDArray[np.float32]
    interior: NDArray[np.float32] | None = None
    residual: NDArray[np.float32] | None = None
    tone: NDArray[np.float32] | None = None
    cuts: tuple[Cut, ...] = ()
    folds: NDArray[np.float32] | None = None
    fold_chart: NDArray[np.float32] | None = None

    @classmethod
    def from_prior(cls, prior: Prior, corrections: tuple[NDArray[np.float32], ...] | None = None) -> Edit:
        """The edit that geometry knows, faded out towards the border of the generator's window.

        corrections: flow_px (256, 256, 2), log shade and log light (256, 256, 3), deepening (256, 256, 1), as
        `exprgan.models.corrections.Corrections`; `compose` there shows what they do. None are none.
        """
        taper, deepening = _taper()[..., None], np.zeros((CROP_PX, CROP_PX, 1), np.float32)
        flow, cuts, shade = prior.flow_px * taper, prior.cuts, np.zeros((CROP_PX, CROP_PX, 3), np.float32)
        if corrections is not None:
            more_flow, more_shade, light, deepening = (part * taper for part in corrections)
            flow, shade = flow + more_flow, more_shade
            cuts = tuple(_corrected(cut, more_flow, light) for cut in cuts)
        covered = [(cut, prior.cover(cut)) for cut in cuts]
        covered = [(cut, cover) for cut, cover in covered if _acts(cut, cover)]
        nothing = np.zeros((CROP_PX, CROP_PX, 3), np.float32)
        mask = np.max([nothing[..., 0], *(cover for _, cover in covered)], axis=0)
        folds = None
        if prior.log_ratio is not None:
            on_skin = cv2.erode((prior.chart_px[..., 0] >= 0).astype(np.float32), np.ones((5, 5)))
            depth = on_skin[..., None] * taper * (1 + deepening)
            folds = np.dstack([prior.chart_px, depth]).astype(np.float32)
        weight = _weight(
            flow, np.dstack([prior.folds()[..., None] * taper, shade]), mask * taper[..., 0], None
        )
        weight *= taper[..., 0] > 0
        return cls(
            flow_px=flow,
            shade=shade,
            paint=nothing,
            mask=nothing[..., 0],
            weight=weight,
            cuts=tuple(cut for cut, _ in covered),
            folds=folds,
            fold_chart=prior.log_ratio,
        )

    @classmethod
    def from_maps(cls, maps: Mapping[str, NDArray[Any]], face: NDArray[np.float32] | None = None) -> Edit:
        """A generator's edit, faded out towards the border of its window.

        Args:
            maps: The parts (1, C, 256, 256) by their names in `exprgan.models.unified.EditMaps`.
            face: (256, 256) in [0, 1], share of a residual that is carried over: generators of pictures change
                hair and background too. None carries over all of it.
        """
        arrays = {
            name: np.ascontiguousarray(part[0].transpose(1, 2, 0), np.float32) for name, part in maps.items()
        }
        taper = _taper()[..., None]
        flow, shade, mask = (arrays[name] * taper for name in ("flow_px", "shade", "mask"))
        residual = arrays.get("residual")
        if residual is not None:
            residual = residual * (0.5 * taper if face is None else 0.5 * taper * face[..., None])
        weight = _weight(flow, shade, mask[..., 0], residual) * (taper[..., 0] > 0).astype(np.float32)
        paint = (arrays["paint"] + 1) * np.float32(0.5)
        return cls(flow, shade, paint, mask[..., 0], weight, arrays.get("interior"), residual)

    def in_tone(self, tone: NDArray[np.float32] | None) -> Edit:
        """The edit with the same shading and residual on all channels, and what it paints in one tone.

        None is the tone of a picture in colour, which leaves the edit as it is.
        """
        if tone is None:
            return self

        def grey(values: NDArray[np.float32]) -> NDArray[np.float32]:
            return np.ascontiguousarray(
                np.broadcast_to(values.mean(axis=2, keepdims=True), values.shape), np.float32
            )

        residual = None if self.residual is None else grey(self.residual)
        paint = toned(self.paint.mean(axis=2), tone)
        return replace(self, shade=grey(self.shade), paint=paint, residual=residual, tone=tone)


def _acts(cut: Cut, cover: NDArray[np.float32]) -> bool:
    """Whether a cut shows anything but what the photo has there."""
    return cut.interior is not None or bool((np.abs(cut.flow_px[cover > 0]) > FLOW_FADE_PX[0]).any())


def _corrected(cut: Cut, flow_px: NDArray[np.float32], light: NDArray[np.float32]) -> Cut:
    """A cut with a displacement added, or light where it shows the inside of a mouth."""
    if cut.interior is None:
        return replace(cut, flow_px=cut.flow_px + flow_px)
    interior = cut.interior.copy()
    interior[..., 2:] += light
    return replace(cut, interior=interior)


def _largest(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest channel (H, W) of (H, W, C); many times as fast as `max(axis=2)`."""
    return reduce(np.maximum, np.moveaxis(values, 2, 0))


def _smoothstep(values: NDArray[np.float32], limits: tuple[float, float]) -> NDArray[np.float32]:
    t = np.clip((values - limits[0]) / (limits[1] - limits[0]), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


@lru_cache(maxsize=1)
def _taper() -> NDArray[np.float32]:
    """(256, 256): 1 inside the window, falling smoothly to 0 at its border and 0 beyond."""
    top, left, height, width = WINDOW
    taper = np.zeros((CROP_PX, CROP_PX), np.float32)
    sides = []
    for length in (height, width):
        place = np.arange(length)
        distance = np.minimum(place, length - 1 - place) / TAPER_PX
        sides.append(_smoothstep(distance.astype(np.float32), (0, 1)))
    taper[top : top + height, left : left + width] = sides[0][:, None] * sides[1][None]
    return taper


def _weight(
    flow_px: NDArray[np.float32],
    shade: NDArray[np.float32],
    mask: NDArray[np.float32],
    residual: NDArray[np.float32] | None,
) -> NDArray[np.float32]:
    """How much of the edit is to be carried over: nothing where it is too small to be seen."""
    weight = _smoothstep(np.hypot(flow_px[..., 0], flow_px[..., 1]), FLOW_FADE_PX)
    weight = np.maximum(weight, _smoothstep(_largest(np.abs(shade)), SHADE_FADE))
    weight = np.maximum(weight, _smoothstep(mask, MASK_FADE))
    if residual is not None:
        weight = np.maximum(weight, _smoothstep(_largest(np.abs(residual)), RESIDUAL_FADE))
    wide = cv2.dilate(weight, np.ones((3, 3)))
    # fades within 4 px of the crop, but never reaches pixels that the window does not
    return (cv2.GaussianBlur(wide, (0, 0), 1.2) * _smoothstep(_taper(), (0, 0.2))).astype(np.float32)


@dataclass(frozen=True)
class _Patch:
    """The part of the photo under the window: rows y0..y1, columns x0..x1, and photo -> crop for it."""

    x0: int
    y0: int
    x1: int
    y1: int
    matrix: NDArray[np.float64]

    @property
    def scale(self) -> float:
        """Crop px a photo px."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    def part(self, top: int, bottom: int, left: int, right: int) -> _Patch:
        """Some rows and columns of the patch, counted from its corner."""
        matrix = self.matrix.copy()
        matrix[:, 2] += matrix[:, :2] @ (float(left), float(top))
        return _Patch(self.x0 + left, self.y0 + top, self.x0 + right, self.y0 + bottom, matrix)

    def strips(self) -> Iterator[_Patch]:
        """The patch in pieces of a few rows, so that the work stays in the processor's cache."""
        if self.x1 <= self.x0:
            return
        for y in range(self.y0, self.y1, STRIP_ROWS):
            yield self.part(y - self.y0, min(y + STRIP_ROWS, self.y1) - self.y0, 0, self.x1 - self.x0)


def _patch_under(
    weight: NDArray[np.float32], matrix: NDArray[np.floating], size_hw: tuple[int, int]
) -> _Patch:
    """The box of the photo that the non-zero weights can reach."""
    rows, columns = np.nonzero(weight)
    if not len(rows):
        return _Patch(0, 0, 0, 0, np.asarray(matrix, np.float64))
    xs = np.array([columns.min() - 2, columns.max() + 2])
    ys = np.array([rows.min() - 2, rows.max() + 2])
    corners = np.array([[x, y] for x in xs for y in ys], np.float64)
    photo = transform_points(corners, cv2.invertAffineTransform(np.asarray(matrix, np.float64)))
    height, width = size_hw
    x0, y0 = np.clip(np.floor(photo.min(axis=0)).astype(int), 0, (width, height))
    x1, y1 = np.clip(np.ceil(photo.max(axis=0)).astype(int) + 1, 0, (width, height))
    shifted = np.array(matrix, np.float64)
    shifted[:, 2] += shifted[:, :2] @ (float(x0), float(y0))
    return _Patch(int(x0), int(y0), int(x1), int(y1), shifted)


def _spread(
    values: NDArray[np.float32], patch: _Patch, interpolation: int = cv2.INTER_LINEAR
) -> NDArray[np.float32]:
    """A map of the crop at every pixel of the patch; averaged first where the photo is the smaller one."""
    if patch.scale > 1.5:
        values = cv2.GaussianBlur(values, (0, 0), 0.45 * patch.scale).astype(np.float32)
    size_wh = (patch.x1 - patch.x0, patch.y1 - patch.y0)
    flags = interpolation | cv2.WARP_INVERSE_MAP
    spread = cv2.warpAffine(values, patch.matrix, size_wh, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    return spread.astype(np.float32)


def apply_edit(image: NDArray[Any], edit: Edit, matrix: NDArray[np.floating]) -> NDArray[Any]:
    """The photo with one face edited; every pixel where the edit's weight is 0 keeps its value.

    Args:
        image: uint8 or uint16 RGB (H, W, 3), original photo frame; not changed.
        edit: The edit of one face.
        matrix: (2, 3) similarity from photo to crop, as `exprgan.faces.align.crop_matrix` gives.

    Returns:
        A new array of the same shape and dtype.
    """
    result = image.copy()
    patch = _patch_under(edit.weight, matrix, image.shape[:2])
    gain = np.exp(edit.shade) - 1  # 0 outside, as _spread continues it
    for strip in patch.strips():
        rows, columns = slice(strip.y0, strip.y1), slice(strip.x0, strip.x1)
        weight = _spread(edit.weight, strip)[..., None]
        if weight.any():
            edited = _edit_strip(image, edit, gain, strip)
            before = image[rows, columns]
            edited = before + weight * (edited - before)
            result[rows, columns] = np.where(weight > 0, np.rint(edited).astype(image.dtype), before)
    return result


def _edit_strip(
    image: NDArray[Any], edit: Edit, gain: NDArray[np.float32], strip: _Patch
) -> NDArray[np.float32]:
    """Edited pixels of a strip, float32 (h, w, 3) in the image's range."""
    top_value = float(np.iinfo(image.dtype).max)
    edited = _warp_photo(image, edit.flow_px, strip)
    edited *= _spread(gain, strip) + 1
    if edit.folds is not None and edit.fold_chart is not None:
        edited *= _fold_gain(edited * np.float32(255 / top_value), edit, strip)
    mask = _spread(edit.mask, strip)[..., None]
    if mask.any():
        edited += mask * (_paint(edit, strip) * np.float32(top_value) - edited)
    for cut in edit.cuts:
        _show_cut(edited, image, edit, cut, strip)
    if edit.residual is not None:
        edited += _spread(edit.residual, strip, cv2.INTER_CUBIC) * np.float32(top_value)
    return np.clip(edited, 0, top_value, out=edited)


def _paint(edit: Edit, patch: _Patch) -> NDArray[np.float32]:
    """What is shown under the mask at the photo's resolution, float32 RGB (h, w, 3) in [0, 1] or a little more."""
    if edit.interior is None:
        return _spread(edit.paint, patch, cv2.INTER_CUBIC)
    return _interior(edit.interior, mouth_interior.drawn(), None, edit.tone, patch)


def _interior(
    interior: NDArray[np.float32],
    chart: mouth_interior.Chart,
    throat_cm: float | None,
    tone: NDArray[np.float32] | None,
    patch: _Patch,
) -> NDArray[np.float32]:
    """The chart of a mouth's inside as the patch sees it, float32 RGB (h, w, 3) in [0, 1] or a little more.

    throat_cm: As for `Chart.view`; None where places are those of `Chart.sample`.
    """
    place, log_light = np.split(_spread(interior, patch), [2], axis=2)
    px_per_cm = CROP_PX_PER_CM / patch.scale
    colours = chart.sample(place, px_per_cm) if throat_cm is None else chart.view(place, throat_cm, px_per_cm)
    colours = colours * np.float32(1 / 255)
    paint = colours * np.exp(log_light)
    return paint if tone is None else toned(paint.mean(axis=2), tone)


def fold_gain(image: NDArray[np.float32], log_ratio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Factors (height, width, 3) float32 for an RGB picture in [0, 255] and the ratio (height, width) it is to get.

    Brightening is held back near white; darkening is tinted towards red, and brightening as much away from it.
    """
    brightest = np.maximum(_largest(image), 1)
    headroom = np.maximum(1, (brightest + 0.45 * np.maximum(250 - brightest, 0)) / brightest)
    ratio = np.minimum(log_ratio, np.log(headroom))[..., None]
    return np.exp(ratio * SHADOW_TINT_RGB).astype(np.float32)


def _fold_gain(edited: NDArray[np.float32], edit: Edit, patch: _Patch) -> NDArray[np.float32]:
    """Factors (h, w, 3) of the folds for an RGB picture in [0, 255]."""
    assert edit.folds is not None
    assert edit.fold_chart is not None
    folds = _spread(edit.folds, patch)
    ratio = cv2.remap(
        edit.fold_chart, folds[..., 0], folds[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    gain = fold_gain(edited, ratio * folds[..., 2])
    return gain if edit.tone is None else gain.mean(axis=2, keepdims=True)


def _show_cut(edited: NDArray[np.float32], image: NDArray[Any], edit: Edit, cut: Cut, strip: _Patch) -> None:
    """Draw a cut into a strip's edited pixels (h, w, 3), in place."""
    cover = _cover(cut, strip)
    rows, columns = np.nonzero(cover)
    if not len(rows):
        return
    part = strip.part(rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
    inside = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
    if cut.interior is not None:
        shown = _interior(cut.interior, cut.teeth.chart, cut.throat_cm, edit.tone, part) * np.float32(
            np.iinfo(image.dtype).max
        )
    else:
        shown = _warp_photo(image, cut.flow_px, part)
        if cut.shade is not None:
            shown *= np.exp(_spread(cut.shade, part))[..., None]
    edited[inside] += cover[inside][..., None] * (shown - edited[inside])


def _cover(cut: Cut, strip: _Patch) -> NDArray[np.float32]:
    """Soft mask (h, w) of a cut's outline at the strip's resolution."""
    softness = EDGE_PX / strip.scale
    pad = int(np.ceil(3 * softness)) + 1  # so that strips meet without a seam
    outline = transform_points(cut.outline_px, cv2.invertAffineTransform(strip.matrix)) + (0, pad)
    height, width = strip.y1 - strip.y0, strip.x1 - strip.x0
    cover = polygon_mask(height + 2 * pad, width, outline)
    cover = cv2.GaussianBlur(cover, (0, 0), softness)[pad : pad + height]
    return (cut.weight * cover).astype(np.float32)


def _warp_photo(image: NDArray[Any], flow_px: NDArray[np.float32], patch: _Patch) -> NDArray[np.float32]:
    """The photo's own pixels moved by the flow, float32 (h, w, 3) in the image's range."""
    to_photo = np.linalg.inv(patch.matrix[:, :2])
    flow = _spread(flow_px, patch) @ to_photo.T.astype(np.float32)
    longest = max(REACH_PX * float(np.hypot(*to_photo[:, 0])), float(np.abs(flow).max(initial=0)))
    reach = int(np.ceil(longest)) + 2
    height, width = image.shape[:2]
    top, left = max(0, patch.y0 - reach), max(0, patch.x0 - reach)
    around = image[top : min(height, patch.y1 + reach), left : min(width, patch.x1 + reach)]
    x = np.arange(patch.x0 - left, patch.x1 - left, dtype=np.float32)[None] + flow[..., 0]
    y = np.arange(patch.y0 - top, patch.y1 - top, dtype=np.float32)[:, None] + flow[..., 1]
    moved = cv2.remap(around, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return moved.astype(np.float32)
