"""Training samples for segmenters: rendered faces with exact masks and photographs with partial labels.

`synthetic-faces` brings exact masks of all classes. `open-faces` has landmarks only: brows, eyes, nose and
lips are drawn from them, a thin band at their borders is ignored, and the rest gets *partial labels*, which
say no more than "one of these classes" (forehead: skin, hair, hat or glasses, for instance).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.face_parts import CLASS_NAMES, CROP_PX
from exprgan.faces import mesh
from exprgan.samples.augment import occlude, photometric, procedural_background, shade

IGNORE = 255  # label of pixels without any say in the loss

PARTIAL_LABELS: dict[int, tuple[str, ...]] = {
    19: ("background", "skin", "eye_g", "l_ear", "r_ear", "hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
    20: ("skin", "hair", "hat", "eye_g"),
    21: ("skin", "eye_g"),
}
"""Label numbers that stand for "one of these classes": outside the face, forehead, around the eyes."""

FLIP_SWAPS = (("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear"))

OUTLINES: dict[str, tuple[int, ...]] = {
    "nose": mesh.NOSE_OUTLINE,
    "r_brow": mesh.RIGHT_BROW,
    "l_brow": mesh.LEFT_BROW,
    "r_eye": mesh.RIGHT_EYE,
    "l_eye": mesh.LEFT_EYE,
    "u_lip": mesh.UPPER_LIP_OUTLINE,
    "l_lip": mesh.LOWER_LIP_OUTLINE,
    "mouth": mesh.INNER_LIPS,
}

FLIP_TABLE = np.arange(256, dtype=np.uint8)
for _left, _right in FLIP_SWAPS:
    _l, _r = CLASS_NAMES.index(_left), CLASS_NAMES.index(_right)
    FLIP_TABLE[_l], FLIP_TABLE[_r] = _r, _l


def draw_partial_labels(
    landmarks_xy: NDArray[np.floating], size: int = CROP_PX, *, band_px: float = 1.0
) -> NDArray[np.uint8]:
    """Labels of a photograph as far as its landmarks tell them.

    Args:
        landmarks_xy: (478, 2) x and y in pixels of the label map, pixel centres at whole numbers.
        size: Side of the square label map in pixels.
        band_px: Half the width of the ignored band at borders of brows, nose and lips; eyes and the
            inner mouth, which are small and well located, have none.

    Returns:
        uint8 (size, size): class ids, numbers of `PARTIAL_LABELS`, or `IGNORE`.
    """
    points = np.asarray(landmarks_xy, np.float64)
    labels = np.full((size, size), 19, np.uint8)
    oval = points[list(mesh.FACE_OVAL)]
    _fill(labels, oval, 20)
    chin = oval[:, 1].max() + 1.0
    nose_tip_y = points[mesh.NOSE_TIP, 1]
    brows = points[list(mesh.BROWS_LINE)]
    right, left = oval[oval[:, 0].argmin()], oval[oval[:, 0].argmax()]
    below_brows = np.vstack([right - (2, 0), brows, left + (2, 0), (left[0], chin), (right[0], chin)])
    below_nose = np.array(
        [(right[0], nose_tip_y), (left[0], nose_tip_y), (left[0], chin), (right[0], chin)], np.float64
    )
    inside = np.zeros_like(labels)
    _fill(inside, oval, 1)
    for polygon, value in ((below_brows, 21), (below_nose, CLASS_NAMES.index("skin"))):
        part = np.zeros_like(labels)
        _fill(part, polygon, 1)
        labels[(part & inside) > 0] = value
    thickness = max(1, round(size * 10 / CROP_PX))
    _outline(labels, oval, thickness)
    for name, outline in OUTLINES.items():
        polygon = points[list(outline)]
        if name == "mouth" and cv2.contourArea(polygon.astype(np.float32)) < 6 * size / CROP_PX:
            continue
        _fill(labels, polygon, CLASS_NAMES.index(name))
        if name not in ("l_eye", "r_eye", "mouth"):
            _outline(labels, polygon, max(1, round(2 * band_px * size / CROP_PX)))
    for name in ("l_eye", "r_eye"):
        _fill(labels, points[list(OUTLINES[name])], CLASS_NAMES.index(name))
    return labels


def _fill(labels: NDArray[np.uint8], polygon_xy: NDArray[np.float64], value: int) -> None:
    cv2.fillPoly(labels, [np.round(polygon_xy * 16).astype(np.int32)], value, cv2.LINE_8, 4)


def _outline(labels: NDArray[np.uint8], polygon_xy: NDArray[np.float64], thickness: int) -> None:
    points = np.round(polygon_xy * 16).astype(np.int32)
    cv2.polylines(labels, [points], True, IGNORE, thickness, cv2.LINE_8, 4)


def jitter_matrix(rng: np.random.Generator, scale: float = 1.0) -> NDArray[np.float64]:
    """Random similarity (2, 3) about the crop's centre: ±10° roll, ±12% scale, ±10% shift."""
    angle = np.deg2rad(rng.uniform(-10, 10))
    zoom = scale * np.exp(rng.uniform(-0.12, 0.12))
    shift_px = rng.uniform(-0.1, 0.1, 2) * CROP_PX
    cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
    centre = (CROP_PX - 1) / 2
    source_centre = ((CROP_PX - 1) / 2 + 0.5) / scale - 0.5
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    offset = centre + shift_px - rotation @ (source_centre, source_centre)
    return np.hstack([rotation, offset[:, None]])


class SegmentationSamples:
    """Endless labelled samples; number n of a seed is always the same.

    Args:
        synthetic: Rendered faces with exact masks.
        photos: Photographs with landmarks, or None to do without.
        photo_share: Share of photographs among the samples.
        split: Which frames and photographs are drawn from.
    """

    def __init__(
        self,
        synthetic: SyntheticFaces,
        photos: OpenFaces | None = None,
        *,
        photo_share: float = 0.5,
        split: str = "train",
    ) -> None:
        self.synthetic, self.photos = synthetic, photos
        self.photo_share = photo_share if photos is not None else 0.0
        self._render_rows = synthetic.indices(split)
        self._photo_rows = photos.indices(split) if photos is not None else []

    def sample(self, seed: int, number: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Image uint8 RGB (256, 256, 3) and labels uint8 (256, 256) of `draw_partial_labels`' numbers."""
        rng = np.random.default_rng((seed, number))
        is_photo = rng.random() < self.photo_share
        image, labels = self._photo(rng) if is_photo else self._render(rng)
        if rng.random() < 0.5:
            image, labels = np.ascontiguousarray(image[:, ::-1]), FLIP_TABLE[labels[:, ::-1]]
        if rng.random() < (0.25 if is_photo else 0.4):
            image = shade(image, rng)
        if rng.random() < 0.15:
            image, covered = occlude(image, rng)
            labels = np.where(covered, np.uint8(0), labels)
        strength = 0.5 if is_photo else 1.0
        return photometric(image, rng, strength), np.ascontiguousarray(labels)

    def _render(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        row = self._render_rows[rng.integers(len(self._render_rows))]
        image, labels = self.synthetic.image(row), self.synthetic.mask(row)
        if rng.random() < 0.6:
            image = self._replace_background(image, labels, rng)
        matrix = jitter_matrix(rng)
        warped = _warp(image, matrix, rng)
        moved = cv2.warpAffine(
            labels, matrix, (CROP_PX, CROP_PX), flags=cv2.INTER_NEAREST, borderValue=IGNORE
        ).astype(np.uint8)
        return warped, moved

    def _photo(self, rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        assert self.photos is not None
        row = self._photo_rows[rng.integers(len(self._photo_rows))]
        image = self.photos.photo(row)
        landmarks_xy = self.photos.landmarks_px(row, image.shape[0])[:, :2]
        matrix = jitter_matrix(rng, CROP_PX / image.shape[0])
        labels = draw_partial_labels(landmarks_xy @ matrix[:, :2].T + matrix[:, 2])
        return _warp(image, matrix, rng), labels

    def _replace_background(
        self, image: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """Another background: procedural, or the blurred colours of a photograph turned upside down."""
        if self.photos is not None and rng.random() < 0.4:
            photo = self.photos.photo(self._photo_rows[rng.integers(len(self._photo_rows))])
            small = cv2.resize(photo[::-1], (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
            backdrop = cv2.GaussianBlur(small, (0, 0), rng.uniform(6, 20)).astype(np.uint8)
        else:
            backdrop = procedural_background(rng, CROP_PX)
        matte = cv2.GaussianBlur((labels > 0).astype(np.float32), (0, 0), 0.8)[..., None]
        return np.round(image * matte + backdrop * (1 - matte)).astype(np.uint8)


def random_crop(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], side_px: int, seed: int, number: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A square part of a sample that shows at least some of the face, the same for each seed and number.

    Args:
        image: uint8 RGB (256, 256, 3), aligned crop frame.
        labels: uint8 (256, 256).
        side_px: Side of the part.
        seed: Seed of the run.
        number: Number of the sample.

    Returns:
        The part of the image and of the labels.
    """
    rng = np.random.default_rng((seed, number, side_px))
    room = labels.shape[0] - side_px
    top, left = int(rng.integers(room // 6, room + 1)), int(rng.integers(0, room + 1))
    part = slice(top, top + side_px), slice(left, left + side_px)
    return np.ascontiguousarray(image[part]), np.ascontiguousarray(labels[part])


def _warp(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.uint8]:
    border = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101, cv2.BORDER_CONSTANT)[int(rng.integers(3))]
    fill = tuple(float(v) for v in rng.integers(0, 256, 3))
    return cv2.warpAffine(
        image, matrix, (CROP_PX, CROP_PX), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=fill
    ).astype(np.uint8)


def aligned_photo(data: OpenFaces, row: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A photograph in the aligned crop frame: uint8 RGB (256, 256, 3), partial labels uint8 (256, 256)."""
    return data.image(row, CROP_PX), draw_partial_labels(data.landmarks_px(row, CROP_PX)[:, :2])


def class_sets(names: Sequence[tuple[str, ...]] = tuple(PARTIAL_LABELS.values())) -> NDArray[np.float32]:
    """Membership (len(names), 19) float32 of the classes in the sets of the partial labels."""
    return np.array([[float(name in members) for name in CLASS_NAMES] for members in names], np.float32)
