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
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.expressions import EXPRESSIONS
from exprgan.face_parts import CLASS_NAMES, CROP_PX, FACE_CLASSES, REGION_CLASSES, WINDOW, class_ids
from exprgan.faces.mesh import FACE_OVAL
from exprgan.samples.augment import alter_colours, colour_tables, jitter_matrix, soften, spoil, to_grey
from exprgan.samples.segmentation import OUTLINES
from exprgan.samples.segmented_regions import read_regions
from exprgan.teacher.cache import TeacherCache, TeacherRender, variant_of

HALF = 128
REGION_OUTLINES = {
    "eyes": ("r_brow", "l_brow", "r_eye", "l_eye"),
    "nose": ("nose",),
    "mouth": ("u_lip", "l_lip", "mouth"),
}
MOUTH_CLASS = CLASS_NAMES.index("mouth")
FLOW_AGREEMENT_PX = 1.0
"""Composed flows are used where forward and backward ways differ by less than this."""
FAITHFUL = 250
"""Renders show what is there where `TeacherRender.valid` is above this."""
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
    """A face and what it shall become, before augmentation, in the 256-px crop; flow and weights at half of it.

    source, target: uint8 RGB. flow_px (128, 128, 2) backward from target to source, in px of the 256-px crop.
    flow_weight (128, 128) 0..1. mouth (256, 256) uint8: paint wanted. place_cm (128, 128, 2): place on the
    chart of `exprgan.models.mouth_interior` where known, 0 elsewhere. importance (256, 256) uint8: 255 on eyes,
    brows and mouth, 128 on the face, 0 elsewhere. regions (256, 256, 3) uint8: eyes, nose, mouth of the source.
    mouth_known (256, 256) uint8: 255 where it is known whether paint is wanted. is_known: whether the target is
    the answer. units (17,): action units of the source, NaN where unknown.
    """

    source: NDArray[np.uint8]
    target: NDArray[np.uint8]
    flow_px: NDArray[np.float32]
    flow_weight: NDArray[np.float32]
    mouth: NDArray[np.uint8]
    place_cm: NDArray[np.float32]
    importance: NDArray[np.uint8]
    strength: float = 1.0
    regions: NDArray[np.uint8] | None = None
    expression: int = -1
    mouth_known: NDArray[np.uint8] | None = None
    is_known: bool = True
    units: NDArray[np.float32] | None = None


class Look(NamedTuple):
    """A person as photographed or as rendered; arrays as in `Pair` and `TeacherRender`."""

    image: NDArray[np.uint8]
    flow_px: NDArray[np.float32]
    valid: NDArray[np.uint8]
    mouth: NDArray[np.uint8]
    place_cm: NDArray[np.float32]
    points_xy: NDArray[np.floating]
    is_photo: bool = False


def look_of_photo(faces: OpenFaces, face: int) -> Look:
    """A photo of open-faces as it was taken."""
    zeros = np.zeros((HALF, HALF, 2), np.float32)
    valid, mouth = np.full((HALF, HALF), 255, np.uint8), np.zeros((CROP_PX, CROP_PX), np.uint8)
    points = faces.landmarks_px(face)[:468, :2]
    return Look(faces.image(face), zeros, valid, mouth, zeros, points, is_photo=True)


def look_of_render(render: TeacherRender) -> Look:
    """A render of the geometry teacher."""
    return Look(render.image, render.flow_px, render.valid, render.mouth, render.place_cm, render.points_xy)


def answer(before: Look, after: Look, border: int = cv2.BORDER_REPLICATE) -> Pair:
    """From one look of a person to another one; from a look to itself nothing is to be done or put in.

    Args:
        before: What is shown.
        after: What is wanted.
        border: OpenCV's border mode where a composed flow leads out of the picture that is shown.
    """
    flow, mouth, place = after.flow_px, after.mouth, after.place_cm
    weight = (after.valid > 0).astype(np.float32)
    if after is before:
        flow, mouth, place = np.zeros_like(flow), np.zeros_like(mouth), np.zeros_like(place)
        weight[:] = 1
    elif not before.is_photo:
        half_flow, is_trusted = compose_flows(
            before.flow_px * np.float32(0.5), after.flow_px * np.float32(0.5)
        )
        flow = half_flow * 2
        # the flow must lead to pixels that the render shows faithfully
        reached = _sample(before.valid.astype(np.float32), _grid(HALF, HALF) + half_flow, border)
        weight *= is_trusted & (reached > FAITHFUL)
    importance = importance_of(before.points_xy, after.points_xy)
    return Pair(before.image, after.image, flow, weight, mouth, place, importance)


def frames_pair(data: SyntheticFaces, source: int, target: int) -> Pair:
    """Two frames of synthetic-faces, by row; no flow is known."""
    before, after = data.mask(source), data.mask(target)
    face_classes = class_ids(FACE_CLASSES)
    face = np.isin(before, face_classes) | np.isin(after, face_classes)
    part_classes = class_ids(REGION_CLASSES["mouth"] + REGION_CLASSES["eyes"])
    parts = np.isin(before, part_classes) | np.isin(after, part_classes)
    wide = cv2.dilate(parts.astype(np.uint8) * 255, np.ones((7, 7)))
    zeros = np.zeros((HALF, HALF, 2), np.float32)
    return Pair(
        source=data.image(source),
        target=data.image(target),
        flow_px=zeros,
        flow_weight=np.zeros((HALF, HALF), np.float32),
        mouth=(after == MOUTH_CLASS).astype(np.uint8) * 255,
        place_cm=zeros,
        importance=np.maximum(face.astype(np.uint8) * 128, wide).astype(np.uint8),
    )


def fill(shape: tuple[int, int], points_xy: NDArray[np.floating], outlines: list[tuple[int, ...]]) -> NDArray:
    """uint8 mask (H, W), 255 in polygons over points (n, 2)."""
    mask = np.zeros(shape, np.uint8)
    for outline in outlines:
        cv2.fillPoly(mask, [np.rint(points_xy[list(outline)] * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def regions_of(points_xy: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Region masks (256, 256, 3) uint8 drawn from mesh points (468+, 2)."""
    masks = [
        fill((CROP_PX, CROP_PX), points_xy, [OUTLINES[name] for name in names])
        for names in REGION_OUTLINES.values()
    ]
    return np.dstack(masks)


def importance_of(*shapes_xy: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Importance map (256, 256) uint8 that covers the face in every given shape (468+, 2)."""
    face = np.zeros((CROP_PX, CROP_PX), np.uint8)
    parts = np.zeros((CROP_PX, CROP_PX), np.uint8)
    for points in shapes_xy:
        face |= fill((CROP_PX, CROP_PX), points, [FACE_OVAL])
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
    photo_at = _grid(*from_photo.shape[:2]) + to_photo
    inverse = -_sample(from_photo, photo_at)
    for _ in range(6):
        inverse = -_sample(from_photo, photo_at + inverse)
    error = np.linalg.norm(inverse + _sample(from_photo, photo_at + inverse), axis=2)
    return to_photo + inverse, error < FLOW_AGREEMENT_PX / 2


def _grid(height: int, width: int) -> NDArray[np.float32]:
    return np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32)


def _sample(
    values: NDArray[np.float32], at_xy: NDArray[np.float32], border: int = cv2.BORDER_REPLICATE
) -> NDArray[np.float32]:
    sampled = cv2.remap(values, at_xy[..., 0], at_xy[..., 1], cv2.INTER_LINEAR, borderMode=border)
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
        """Sample `number`: arrays of `augment`, of the generator's window, expression int64, strength float32."""
        rng = np.random.default_rng((seed, number))
        return self.augmented(self.pair(rng), rng)

    @staticmethod
    def augmented(pair: Pair, rng: np.random.Generator) -> dict[str, Any]:
        """A pair as the network learns from it, in the window of `exprgan.face_parts.WINDOW`."""
        arrays = augment(pair, jitter_matrix(rng, can_mirror=pair.expression != CONTEMPT), CROP_PX, rng)
        sample: dict[str, Any] = {}
        for name, array in arrays.items():
            top, left, height, width = (edge * array.shape[-1] // CROP_PX for edge in WINDOW)
            sample[name] = np.ascontiguousarray(array[:, top : top + height, left : left + width])
        return sample | {"expression": np.int64(pair.expression), "strength": np.float32(pair.strength)}

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
        before = look_of_photo(self.cache.faces, face)
        expression, strength = variant_of(face, variant)
        return replace(
            answer(before, look_of_render(self.cache.get(face, variant))),
            regions=regions_of(before.points_xy),
            expression=EXPRESSIONS.index(expression),
            strength=strength,
        )

    def _between_pair(self, face: int, first: int, second: int, strength: float) -> Pair:
        before = look_of_render(self.cache.get(face, first))
        after = before if first == second else look_of_render(self.cache.get(face, second))
        return replace(
            answer(before, after),
            regions=regions_of(before.points_xy),
            expression=second,
            strength=strength if first == second else 1.0,
        )

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
        pair, before = frames_pair(self.synthetic, source, target), self.synthetic.mask(source)
        regions = [np.isin(before, class_ids(names)) for names in REGION_CLASSES.values()]
        return replace(
            pair,
            mouth=cv2.GaussianBlur(pair.mouth, (0, 0), 0.7).astype(np.uint8),
            regions=np.dstack([region.astype(np.uint8) * 255 for region in regions]),
            expression=EXPRESSIONS.index(expression),
            strength=strength,
        )


def augment(
    pair: Pair, matrix: NDArray[np.float64], size: int, rng: np.random.Generator
) -> dict[str, NDArray]:
    """Move all of a pair, alter the colours of its pictures; spoil only what the network gets to see.

    Args:
        pair: The pair.
        matrix: (2, 3) map of the 256-px crop's pixels, see `jitter_matrix`.
        size: Side of the pictures that are wanted, 256 or 128.
        rng: Where chance comes from.

    Returns:
        seen (3, size, size) uint8, what the network sees; source and target (3, size, size) uint8; flow_px
        (2, 128, 128) in px of the 256-px crop, flow_weight and place_known (1, 128, 128) and place_cm (2, 128, 128)
        float32; mouth, importance and, where the pair has them, mouth_known (1, size, size) and regions
        (3, size, size) uint8.
    """
    half_matrix = matrix.copy()  # of half-size arrays: pixel centres of the two grids differ by half a pixel
    half_matrix[:, 2] = (matrix[:, 2] + matrix[:, :2] @ (0.5, 0.5) - 0.5) / 2

    def move(array: NDArray, flags: int = cv2.INTER_LINEAR, border: int = cv2.BORDER_CONSTANT) -> NDArray:
        if array.shape[0] > size:
            array = cv2.resize(array, (size, size), interpolation=cv2.INTER_AREA)
        used = matrix if array.shape[0] == CROP_PX else half_matrix
        return cv2.warpAffine(array, used, array.shape[1::-1], flags=flags, borderMode=border)

    tables, is_grey = colour_tables(rng), rng.random() < 0.06
    source, target = (
        alter_colours(move(picture, cv2.INTER_CUBIC, cv2.BORDER_REFLECT), tables)
        for picture in (pair.source, pair.target)
    )
    if is_grey:
        source, target = to_grey(source), to_grey(target)
    known = move((pair.place_cm[..., 1] > 0).astype(np.float32))
    place = move(pair.place_cm) / np.maximum(known, 1e-3)[..., None]
    if np.linalg.det(matrix[:, :2]) < 0:
        place[..., 0] *= -1  # the chart's sides are the subject's
    arrays = {
        "source": _chw(source),
        "target": _chw(target),
        "flow_px": _chw((move(pair.flow_px) @ matrix[:, :2].T).astype(np.float32)),
        "flow_weight": (move(pair.flow_weight) > 0.99).astype(np.float32)[None],
        "place_cm": _chw(place.astype(np.float32)),
        "place_known": (known > 0.5).astype(np.float32)[None],
        "mouth": move(pair.mouth)[None],
        "importance": move(pair.importance)[None],
    }
    if pair.regions is not None:
        arrays["regions"] = _chw(soften(move(pair.regions), rng))
    if pair.mouth_known is not None:
        arrays["mouth_known"] = move(pair.mouth_known)[None]
    return arrays | {"seen": _chw(spoil(source, rng))}


def _chw(array: NDArray) -> NDArray:
    return np.ascontiguousarray(array.transpose(2, 0, 1))
