"""Two views of one face, as the feature network learns from them: same person, mostly another expression.

Pairs are renders of the geometry teacher of one photograph (and the photograph itself), or frames of one rendered
identity of synthetic-faces. Nobody's name is used: two photographs are taken to show different people, also where
they may not. Sample n is a pure function of (seed, n).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.action_units import ACTION_UNITS
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_parts import CROP_PX, FACE_CLASSES, class_ids
from exprgan.faces.mesh import FACE_OVAL
from exprgan.models.features import FEATURE_PX
from exprgan.samples.augment import jitter_matrix, photometric, procedural_background, shade
from exprgan.samples.segmentation import OUTLINES
from exprgan.teacher.cache import TeacherCache

POINTS = (
    tuple(
        index
        for name in ("r_brow", "l_brow", "r_eye", "l_eye", "nose", "u_lip", "l_lip")
        for index in OUTLINES[name][:: 4 if name in ("r_eye", "l_eye", "u_lip", "l_lip") else 3]
    )
    + FACE_OVAL[:: len(FACE_OVAL) // 6]
)
"""Landmarks that are learned, as numbers of MediaPipe's mesh."""
PHOTO = -1
"""As a variant: the photograph itself."""
LEAST_STRENGTH = 0.6
"""Strength from which a render counts as showing its expression."""


@dataclass(frozen=True)
class FaceView:
    """A picture before augmentation, with what is known of it.

    image: uint8 RGB (256, 256, 3). inside: uint8 (256, 256), 255 on the face. expression: float32 (8,)
    probabilities, all 0 where unknown. action_units: float32 (17,), NaN where unknown. points_xy: float32 (P, 2) of
    `POINTS` in the 256-px crop, NaN where unknown.
    """

    image: NDArray[np.uint8]
    inside: NDArray[np.uint8]
    expression: NDArray[np.float32]
    action_units: NDArray[np.float32]
    points_xy: NDArray[np.float32]


@dataclass(frozen=True)
class ViewMix:
    """How views are drawn."""

    synthetic: float = 0.25  # share of pairs from synthetic-faces
    variants: int = 12  # renders a face
    background: float = 0.5  # share of views whose surroundings are replaced
    light: float = 0.4  # share of views under uneven light


class FaceViews:
    """The endless stream of pairs of views.

    Args:
        cache: The teacher's renders of open-faces.
        faces: Rows of open-faces to draw from.
        synthetic: The rendered identities of a split, each with its rows by expression; may be empty.
        rendered: The set that these are of.
        mix: Shares.

    Raises:
        UsageError: There is no face.
    """

    def __init__(
        self,
        cache: TeacherCache,
        faces: Sequence[int],
        rendered: SyntheticFaces | None,
        synthetic: Sequence[dict[str, list[int]]],
        mix: ViewMix = ViewMix(),
    ) -> None:
        if not faces:
            raise UsageError("The geometry teacher can handle no face of the data; give the open-faces set.")
        self.cache, self.faces, self.mix = cache, list(faces), mix
        self.rendered, self.synthetic = rendered, list(synthetic)

    def __call__(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number` of the stream of a seed.

        Returns:
            image (2, 3, 128, 128) uint8; expression (2, 8), action_units (2, 17) and points_px (2, P, 2) as in
            `FaceView`, places in the 128-px view; person int64, the same number for the same person.
        """
        rng = np.random.default_rng((seed, number))
        if self.synthetic and rng.random() < self.mix.synthetic:
            place = int(rng.integers(len(self.synthetic)))
            person, views = len(self.cache.faces) + place, self._frames(place, rng)
        else:
            person = self.faces[int(rng.integers(len(self.faces)))]
            variants = rng.choice(np.arange(PHOTO, self.mix.variants), 2, replace=False)
            views = [self.view(person, int(variant)) for variant in variants]
        seen = [self._augment(view, rng) for view in views]
        return {
            "image": np.stack([image for image, _ in seen]),
            "expression": np.stack([view.expression for view in views]),
            "action_units": np.stack([view.action_units for view in views]),
            "points_px": np.stack([points for _, points in seen]),
            "person": np.int64(person),
        }

    def view(self, face: int, variant: int) -> FaceView:
        """A render of a photograph, or the photograph itself."""
        faces = self.cache.faces
        points: NDArray[np.floating]
        if variant == PHOTO:
            image, points = faces.image(face), faces.landmarks_px(face)[:, :2]
            expression, units = faces.soft_expressions[face], faces.action_units[face]
        else:
            image, points = self.cache.picture(face, variant)
            name, strength = self.cache.expression_of(face, variant)
            expression = one_hot(name) * np.float32(strength >= LEAST_STRENGTH)
            units = np.full(len(ACTION_UNITS), np.nan, np.float32)
        inside = np.zeros(image.shape[:2], np.uint8)
        cv2.fillPoly(inside, [np.rint(points[list(FACE_OVAL)]).astype(np.int32)], 255)
        return FaceView(image, inside, expression, units, points[list(POINTS)].astype(np.float32))

    def frame(self, row: int) -> FaceView:
        """A frame of synthetic-faces; its blendshapes are not MediaPipe's and left out."""
        assert self.rendered is not None
        name = EXPRESSIONS[self.rendered.expressions[row]]
        inside = np.isin(self.rendered.mask(row), class_ids(FACE_CLASSES)).astype(np.uint8) * 255
        units = np.full(len(ACTION_UNITS), np.nan, np.float32)
        points = np.full((len(POINTS), 2), np.nan, np.float32)
        return FaceView(self.rendered.image(row), inside, one_hot(name), units, points)

    def _frames(self, place: int, rng: np.random.Generator) -> list[FaceView]:
        of_person = self.synthetic[place]
        names = rng.choice(sorted(of_person), 2, replace=len(of_person) < 2)
        return [
            self.frame(of_person[str(name)][int(rng.integers(len(of_person[str(name)])))]) for name in names
        ]

    def _augment(
        self, view: FaceView, rng: np.random.Generator
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """(3, 128, 128) uint8 and the points in it, under other alignment, light and surroundings."""
        image = view.image
        if rng.random() < self.mix.background:
            image = _replace_surroundings(image, view.inside, rng)
        matrix = to_small(jitter_matrix(rng, can_mirror=False))
        seen = warp_small(image, matrix)
        if rng.random() < self.mix.light:
            seen = shade(seen, rng)
        seen = photometric(seen, rng, 0.7)
        points = view.points_xy @ matrix[:, :2].T + matrix[:, 2]
        return np.ascontiguousarray(seen.transpose(2, 0, 1)), points.astype(np.float32)


def one_hot(name: str) -> NDArray[np.float32]:
    """Probabilities (8,) of an expression that is certain."""
    return np.eye(len(EXPRESSIONS), dtype=np.float32)[EXPRESSIONS.index(name)]


def to_small(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A matrix (2, 3) to the 256-px crop as one to the view; pixel centres of the grids differ by half a pixel."""
    scale = FEATURE_PX / CROP_PX
    small = matrix * scale
    small[:, 2] += 0.5 * scale - 0.5
    return small


def warp_small(image: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What a matrix to the view shows of a 256-px crop, uint8 RGB (128, 128, 3)."""
    soft = cv2.GaussianBlur(image, (0, 0), 0.7)  # a plain warp to half of the size would alias
    size_wh = (FEATURE_PX, FEATURE_PX)
    seen = cv2.warpAffine(soft, matrix, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return seen.astype(np.uint8)


def _replace_surroundings(
    image: NDArray[np.uint8], inside: NDArray[np.uint8], rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Another background, and mostly other hair, so that a face is not known by them."""
    reach = int(rng.integers(5, 31)) | 1
    wide = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    share = cv2.GaussianBlur(wide, (0, 0), 3)[..., None].astype(np.float32) / 255
    other = procedural_background(rng, image.shape[0])
    return np.rint(image * share + other * (1 - share)).astype(np.uint8)
