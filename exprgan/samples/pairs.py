"""Paired samples for the generator: a face, an expression with a strength, and what should come out.

Three kinds of pairs, sample n being a pure function of (seed, n):

* photo -> render of the geometry teacher, any expression and strength;
* render -> another full-strength render of the same photo (smile -> sad), its flow composed of the two known
  ones; now and then render -> the same render, since a face that has the expression already must stay as it is;
* frames of one rendered identity of synthetic-faces, neutral to an expression and back; no flow is known there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.expressions import EXPRESSIONS
from exprgan.faces.mesh import FACE_OVAL
from exprgan.models.unified import WINDOW
from exprgan.samples.segmentation import OUTLINES
from exprgan.samples.segmented_regions import read_regions
from exprgan.teacher.cache import TeacherCache, TeacherRender, variant_of

SIZE = 256
HALF = 128
REGION_OUTLINES = {
    "eyes": ("r_brow", "l_brow", "r_eye", "l_eye"),
    "nose": ("nose",),
    "mouth": ("u_lip", "l_lip", "mouth"),
}
MOUTH_CLASS = 10
REGION_CLASSES = {"eyes": (4, 5, 6, 7), "nose": (2,), "mouth": (10, 11, 12)}
FACE_CLASSES = (1, 2, 3, 4, 5, 6, 7, 10, 11, 12)
FLOW_AGREEMENT_PX = 1.0
"""Composed flows are used where forward and backward ways differ by less than this."""
CONTEMPT = EXPRESSIONS.index("contempt")


@dataclass(frozen=True)
class PairMix:
    """Shares of the kinds of pairs; the rest are photo -> render."""

    between: float = 0.22  # render -> another render
    same: float = 0.06  # render -> itself
    synthetic: float = 0.12  # frames of synthetic-faces
    full_strength: float = 0.6  # of photo -> render pairs, those at strength 1
    segmented: float = 0.75  # of photo -> render pairs, those with a segmenter's masks
    variants: int = 12  # renders a face; 8 allows strength 1 only


@dataclass(frozen=True)
class Pair:
    """One pair before augmentation, in the 256-px crop; flow and weights at half of the resolution.

    source, target: uint8 RGB. flow_px (128, 128, 2) backward from target to source, in px of the 256-px crop.
    flow_weight (128, 128) 0..1. mouth (256, 256) uint8: paint wanted. place_cm (128, 128, 2): place on the
    chart of `exprgan.models.mouth_interior` where known, 0 elsewhere. regions (256, 256, 3) uint8: eyes, nose,
    mouth of the source. importance (256, 256) uint8: 255 on eyes, brows and mouth, 128 on the face, 0 elsewhere.
    """

    source: NDArray[np.uint8]
    target: NDArray[np.uint8]
    flow_px: NDArray[np.float32]
    flow_weight: NDArray[np.float32]
    mouth: NDArray[np.uint8]
    place_cm: NDArray[np.float32]
    regions: NDArray[np.uint8]
    importance: NDArray[np.uint8]
    expression: int
    strength: float


def fill(shape: tuple[int, int], points_xy: NDArray[np.floating], outlines: list[tuple[int, ...]]) -> NDArray:
    """uint8 mask (H, W), 255 in polygons over points (n, 2)."""
    mask = np.zeros(shape, np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [np.rint(points_xy[list(outline)] * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def regions_of(points_xy: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Region masks (256, 256, 3) uint8 drawn from mesh points (468+, 2)."""
    masks = [
        fill((SIZE, SIZE), points_xy, [OUTLINES[name] for name in names])
        for names in REGION_OUTLINES.values()
    ]
    return np.dstack(masks)


def importance_of(*shapes_xy: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Importance map (256, 256) uint8 that covers the face in every given shape (468+, 2)."""
    face = np.zeros((SIZE, SIZE), np.uint8)
    parts = np.zeros((SIZE, SIZE), np.uint8)
    for points in shapes_xy:
        face |= fill((SIZE, SIZE), points, [FACE_OVAL])
        regions = regions_of(points)
        parts |= regions[..., 0] | regions[..., 2]
    parts = cv2.dilate(parts, np.ones((9, 9)))
    return np.maximum(face // 2, parts).astype(np.uint8)


def compose_flows(
    from_photo: NDArray[np.float32], to_photo: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Backward flow from render B to render A of one photo, and where it can be trusted.

    Args:
        from_photo: (h, w, 2), flow of render A (A shows the photo at p + flow), in px of these arrays.
        to_photo: (h, w, 2), flow of render B.
    """
    height, width = from_photo.shape[:2]
    grid = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)
    photo_at = grid + to_photo
    inverse = -_sample(from_photo, photo_at)
    for _ in range(6):
        inverse = -_sample(from_photo, photo_at + inverse)
    error = np.linalg.norm(inverse + _sample(from_photo, photo_at + inverse), axis=2)
    return to_photo + inverse, error < FLOW_AGREEMENT_PX / 2


def _sample(values: NDArray[np.float32], at_xy: NDArray[np.float32]) -> NDArray[np.float32]:
    sampled = cv2.remap(
        values, at_xy[..., 0], at_xy[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return sampled.astype(np.float32)


class PairSamples:
    """The endless stream of paired samples.

    Args:
        cache: Renders of the geometry teacher.
        faces: Rows of open-faces to draw from.
        synthetic: The synthetic-faces set, or None to go without.
        mix: Shares of the kinds of pairs.
        regions_dir: Masks of `exprgan.samples.segmented_regions`; where a photo has them there, they stand in
            for the masks drawn from its landmarks in `mix.segmented` of its pairs.
    """

    def __init__(
        self,
        cache: TeacherCache,
        faces: list[int],
        synthetic: SyntheticFaces | None,
        mix: PairMix = PairMix(),
        regions_dir: Path | None = None,
    ) -> None:
        self.regions_dir = regions_dir
        self.cache, self.faces, self.synthetic, self.mix = cache, faces, synthetic, mix
        self._people = synthetic.identities("train") if synthetic else []

    def __call__(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number`: arrays by name, see `augment`."""
        rng = np.random.default_rng((seed, number))
        return augment(self.pair(rng), rng)

    def pair(self, rng: np.random.Generator) -> Pair:
        """A pair drawn at random."""
        kind = rng.random()
        if self._people and kind < self.mix.synthetic:
            return self._synthetic_pair(rng)
        face = self.faces[rng.integers(len(self.faces))]
        if kind < self.mix.synthetic + self.mix.between + self.mix.same:
            first = int(rng.integers(len(EXPRESSIONS)))
            second = int(rng.integers(len(EXPRESSIONS)))
            if kind >= self.mix.synthetic + self.mix.between:
                second = first
            return self._between_pair(face, first, second, float(rng.uniform(0.1, 1)))
        count = len(EXPRESSIONS)
        variant = int(rng.integers(count))
        if rng.random() > self.mix.full_strength and self.mix.variants > count:
            variant = int(rng.integers(count, self.mix.variants))
        pair = self.photo_pair(face, variant)
        if self.regions_dir is not None and rng.random() < self.mix.segmented:
            regions = read_regions(self.regions_dir, face)
            if regions is not None:
                pair = replace(pair, regions=regions)
        return pair

    def photo_pair(self, face: int, variant: int) -> Pair:
        """Photo -> render."""
        render = self.cache.get(face, variant)
        expression, strength = variant_of(face, variant)
        points = self.cache.faces.landmarks_px(face)[:468, :2]
        return Pair(
            source=self.cache.faces.image(face),
            target=render.image,
            flow_px=render.flow_px,
            flow_weight=(render.valid > 0).astype(np.float32),
            mouth=render.mouth,
            place_cm=render.place_cm,
            regions=regions_of(points),
            importance=importance_of(points, render.points_xy),
            expression=EXPRESSIONS.index(expression),
            strength=strength,
        )

    def _between_pair(self, face: int, first: int, second: int, strength: float) -> Pair:
        before = self.cache.get(face, first)
        after = before if first == second else self.cache.get(face, second)
        weight = (after.valid > 0).astype(np.float32)
        if first == second:
            flow, mouth = np.zeros_like(after.flow_px), np.zeros_like(after.mouth)
            place = np.zeros_like(after.place_cm)
            weight[:] = 1
        else:
            half_flow, trusted = compose_flows(
                before.flow_px * np.float32(0.5), after.flow_px * np.float32(0.5)
            )
            flow, mouth, place = half_flow * 2, after.mouth, after.place_cm
            weight *= trusted & self._still_there(before, half_flow)
        return Pair(
            source=before.image,
            target=after.image,
            flow_px=flow,
            flow_weight=weight,
            mouth=mouth,
            place_cm=place,
            regions=regions_of(before.points_xy),
            importance=importance_of(before.points_xy, after.points_xy),
            expression=second,
            strength=strength if first == second else 1.0,
        )

    @staticmethod
    def _still_there(before: TeacherRender, half_flow: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Where the flow into a render leads to pixels that it shows faithfully."""
        grid = np.dstack(np.meshgrid(np.arange(HALF), np.arange(HALF))).astype(np.float32)
        return _sample(before.valid.astype(np.float32), grid + half_flow) > 250

    def _synthetic_pair(self, rng: np.random.Generator) -> Pair:
        assert self.synthetic is not None
        person = self._people[rng.integers(len(self._people))]
        others = [name for name in person if name != "neutral"]
        expression = others[rng.integers(len(others))]
        posed = person[expression][rng.integers(len(person[expression]))]
        source, target, strength = person["neutral"][0], posed, self.synthetic.intensity(posed)
        if rng.random() < 0.3:
            source, target, expression, strength = posed, source, "neutral", 1.0
        return self.render_pair(source, target, expression, strength)

    def render_pair(self, source: int, target: int, expression: str, strength: float) -> Pair:
        """Two frames of one identity of synthetic-faces, by row."""
        assert self.synthetic is not None
        before, after = self.synthetic.mask(source), self.synthetic.mask(target)
        regions = [np.isin(before, classes) for classes in REGION_CLASSES.values()]
        face = np.isin(before, FACE_CLASSES) | np.isin(after, FACE_CLASSES)
        parts = regions[0] | regions[2] | np.isin(after, REGION_CLASSES["mouth"] + REGION_CLASSES["eyes"])
        parts_wide = cv2.dilate(parts.astype(np.uint8) * 255, np.ones((7, 7)))
        mouth = (after == MOUTH_CLASS).astype(np.uint8) * 255
        return Pair(
            source=self.synthetic.image(source),
            target=self.synthetic.image(target),
            flow_px=np.zeros((HALF, HALF, 2), np.float32),
            flow_weight=np.zeros((HALF, HALF), np.float32),
            mouth=cv2.GaussianBlur(mouth, (0, 0), 0.7).astype(np.uint8),
            place_cm=np.zeros((HALF, HALF, 2), np.float32),
            regions=np.dstack([region.astype(np.uint8) * 255 for region in regions]),
            importance=np.maximum(face.astype(np.uint8) * 128, parts_wide).astype(np.uint8),
            expression=EXPRESSIONS.index(expression),
            strength=strength,
        )


def augment(pair: Pair, rng: np.random.Generator) -> dict[str, Any]:
    """Jitter the alignment, mirror, alter the colours; spoil only what the network gets to see.

    Returns:
        Arrays of the generator's window (`exprgan.models.unified.WINDOW`), h x w: seen (3, h, w) uint8, what
        the network sees; source and target (3, h, w) uint8; flow_px (2, h/2, w/2), flow_weight (1, h/2, w/2),
        place_cm (2, h/2, w/2) and place_known (1, h/2, w/2) float32; mouth (1, h, w), regions (3, h, w) and
        importance (1, h, w) uint8; expression int64; strength float32.
    """
    matrix = jitter_matrix(rng, can_mirror=pair.expression != CONTEMPT)
    size = (SIZE, SIZE)

    def move(
        image: NDArray, interpolation: int = cv2.INTER_LINEAR, border: int = cv2.BORDER_REFLECT
    ) -> NDArray:
        return cv2.warpAffine(image, matrix, size, flags=interpolation, borderMode=border)

    source, target = move(pair.source, cv2.INTER_CUBIC), move(pair.target, cv2.INTER_CUBIC)
    lut = colour_tables(rng)
    source, target = alter_colours(source, lut), alter_colours(target, lut)
    if rng.random() < 0.06:
        source, target = to_grey(source), to_grey(target)
    # the same map on half-size arrays: pixel centres of the two grids differ by half a pixel
    half_matrix = matrix.copy()
    half_matrix[:, 2] = (matrix[:, 2] + matrix[:, :2] @ (0.5, 0.5) - 0.5) / 2
    flow = cv2.warpAffine(
        pair.flow_px, half_matrix, (HALF, HALF), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    flow = (flow @ matrix[:, :2].T).astype(np.float32)
    flow_weight = cv2.warpAffine(pair.flow_weight, half_matrix, (HALF, HALF), flags=cv2.INTER_LINEAR)
    known = cv2.warpAffine((pair.place_cm[..., 1] > 0).astype(np.float32), half_matrix, (HALF, HALF))
    place = cv2.warpAffine(pair.place_cm, half_matrix, (HALF, HALF)) / np.maximum(known, 1e-3)[..., None]
    if np.linalg.det(matrix[:, :2]) < 0:
        place[..., 0] *= -1  # the chart's sides are the subject's
    regions = soften(move(pair.regions, border=cv2.BORDER_CONSTANT), rng)
    top, left, height, width = WINDOW
    window = np.s_[top : top + height, left : left + width]
    half_window = np.s_[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2]
    mouth, importance = (move(mask, border=cv2.BORDER_CONSTANT) for mask in (pair.mouth, pair.importance))
    return {
        "seen": _chw(spoil(source, rng)[window]),
        "source": _chw(source[window]),
        "target": _chw(target[window]),
        "flow_px": _chw(flow[half_window]),
        "flow_weight": (flow_weight[half_window] > 0.99).astype(np.float32)[None],
        "place_cm": _chw(place[half_window].astype(np.float32)),
        "place_known": (known[half_window] > 0.5).astype(np.float32)[None],
        "mouth": mouth[window][None],
        "regions": _chw(regions[window]),
        "importance": importance[window][None],
        "expression": np.int64(pair.expression),
        "strength": np.float32(pair.strength),
    }


def jitter_matrix(rng: np.random.Generator, *, can_mirror: bool) -> NDArray[np.float64]:
    """Similarity (2, 3) about the middle of the crop, as errors of the five points make it."""
    angle, scale = np.radians(rng.normal(0, 2.5)), float(np.exp(rng.normal(0, 0.04)))
    shift = rng.normal(0, 3.0, 2)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    if can_mirror and rng.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    middle = np.full(2, (SIZE - 1) / 2)
    return np.hstack([linear, (middle - linear @ middle + shift)[:, None]])


def colour_tables(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Tables (256, 3): gamma, contrast, brightness and a tint for each channel."""
    x = np.linspace(0, 1, 256)[:, None]
    gamma = np.exp(rng.normal(0, 0.18))
    gain = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.06, 3))
    curve = np.clip(x**gamma * gain + rng.normal(0, 0.03), 0, 1)
    return np.rint(curve * 255).astype(np.uint8)


def alter_colours(image: NDArray[np.uint8], tables: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Each channel of an RGB image through its table."""
    return cv2.LUT(image, tables[None]).astype(np.uint8)


def to_grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB image with three equal channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)


def spoil(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur, low resolution, noise and JPEG artefacts, each now and then."""
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6)).astype(np.uint8)
    if rng.random() < 0.15:
        size = image.shape[0]
        small = int(rng.integers(72, 200)) * size // SIZE
        tiny = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(tiny, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 9), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR), np.uint8)
    return image


def soften(regions: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Region masks as uncertain as a segmenter's: grown or shrunk a little and blurred."""
    size = int(rng.integers(0, 3)) * 2 + 1
    if size > 1:
        operation = cv2.MORPH_DILATE if rng.random() < 0.7 else cv2.MORPH_ERODE
        regions = cv2.morphologyEx(regions, operation, np.ones((size, size))).astype(np.uint8)
    return cv2.GaussianBlur(regions, (0, 0), rng.uniform(0.4, 2.0)).astype(np.uint8)


def _chw(array: NDArray) -> NDArray:
    return np.ascontiguousarray(array.transpose(2, 0, 1))
