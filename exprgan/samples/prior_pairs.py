"""Samples for the generator on the face model's prior: an edit as our own landmarks give it, and as it should be.

Three kinds, sample n being a pure function of (seed, n):

* photo -> render of the geometry teacher. The prior is fitted to our own network's landmarks, the render to those that
  come with the photographs, which are better; what is asked for is a class, a mixture of two or some shapes;
* render -> another render of the same photo, from expressive faces to neutral and to others;
* two frames of one rendered identity of synthetic-faces, true pictures both.

For discriminators each sample can have a photograph beside it that shows about what the edit is to show, and photos can
go without an answer: what a true picture looks like, only discriminators say of these.
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
from exprgan.edit.blend import Edit, apply_edit
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.amounts import Amounts, amounts_of, extent_of, mixed, region_of, vector_of
from exprgan.face_model.fit import FaceAnalysis, fit_pose
from exprgan.face_model.model import FaceModel
from exprgan.face_model.teeth import Teeth
from exprgan.face_model.vocabulary import class_recipes
from exprgan.face_parts import CROP_PX, DENTITIONS, FACE_CLASSES, REGION_CLASSES, WINDOW, class_ids
from exprgan.faces.align import transform_points
from exprgan.faces.mesh import BLENDSHAPE_MIRROR, MIRROR
from exprgan.samples.augment import alter_colours, colour_tables, jitter_matrix, soften, spoil, to_grey
from exprgan.samples.own_fits import Fits
from exprgan.samples.pairs import importance_of, regions_of
from exprgan.samples.segmentation import IGNORE, draw_partial_labels

UNMOVED = np.eye(2, 3)
UNSEEN_SHAPES = ("PupilDilate", "cheekPuff", "jawForward", "mouthClose")
"""Shapes that a picture shows too little of to be drawn at random."""
SCORE_TOLERANCE = 0.1
"""Added to each coefficient's standard deviation where expressions are compared, so that rare ones do not rule."""


@dataclass(frozen=True)
class PriorMix:
    """Shares of the kinds of samples, and of what is asked for; the rest are photo -> render, and single shapes."""

    synthetic: float = 0.15  # frames of synthetic-faces
    between: float = 0.25  # render -> another render
    classes: float = 0.5  # of what is asked for: one of the eight
    mixtures: float = 0.2  # two of the eight
    full_strength: float = 0.6  # of the former, those at strength 1
    true_shapes: float = (
        0.5  # of frames of synthetic-faces, those asked for by their shapes rather than their class
    )
    answered: float = 1.0  # of photo -> render, those with the render
    reals: int = 0  # a real photograph is drawn from so many of the likest expressions; 0 for none


class Person(NamedTuple):
    """A picture, landmarks (478, 3) px and coefficients (51,) of its face, our own and the true ones, and its teeth."""

    image: NDArray[np.uint8]
    own_px: NDArray[np.float64]
    own_scores: NDArray[np.float64]
    true_px: NDArray[np.float64]
    true_scores: NDArray[np.float64]
    teeth: Teeth = Teeth()


class PriorPairs:
    """The endless stream of samples.

    Args:
        faces: The open-faces set.
        rows: Its rows to draw from.
        synthetic: The synthetic-faces set, or None to go without.
        fits: Our own network's landmarks and fits of both sets; None for samples of given people alone.
        face_model: The face model.
        mix: Shares of the kinds of samples.
    """

    def __init__(
        self,
        faces: OpenFaces,
        rows: list[int],
        synthetic: SyntheticFaces | None,
        fits: Fits | None,
        face_model: FaceModel,
        mix: PriorMix = PriorMix(),
    ) -> None:
        self.faces, self.rows, self.synthetic, self.fits = faces, rows, synthetic, fits
        self.face_model, self.mix = face_model, mix
        self._people = synthetic.identities("train") if synthetic else []
        self._shown = fits.true_scores("open-faces", rows) if fits is not None and mix.reals else None

    def __call__(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number`: arrays of the window of `exprgan.face_parts.WINDOW`, see `_sample`."""
        rng = np.random.default_rng((seed, number))
        kind = rng.random()
        if self._people and kind < self.mix.synthetic:
            return self._frames(rng)
        person = self._photo(rng)
        amounts = self.draw(rng)
        if kind < self.mix.synthetic + self.mix.between:
            return self._between(person, amounts, rng)
        if rng.random() < self.mix.answered:
            return self.photo_sample(person, amounts, rng)
        return self._sample(person, amounts, None, None, rng)

    def draw(self, rng: np.random.Generator) -> Amounts:
        """What is asked for, at random."""
        kind = rng.random()
        names = [EXPRESSIONS[place] for place in rng.choice(len(EXPRESSIONS), 2, replace=False)]
        if kind < self.mix.classes:
            full = rng.random() < self.mix.full_strength
            return self._class(names[0], 1.0 if full else float(rng.uniform(0.15, 1.3)))
        if kind < self.mix.classes + self.mix.mixtures:
            share = float(rng.uniform(0.2, 0.8))
            strength = float(rng.uniform(0.4, 1.2))
            parts = [self._class(name, strength) for name in names]
            return mixed([(parts[0], share), (parts[1], 1 - share)])
        return self._shapes(rng)

    def _class(self, name: str, strength: float) -> Amounts:
        return amounts_of(self.face_model.basis, class_recipes()[name], strength)

    def _shapes(self, rng: np.random.Generator) -> Amounts:
        """One to four sculpted shapes, on both sides or on one."""
        names = self.face_model.basis.sculpted_names
        sculpted: dict[str, float] = {}
        for place in rng.choice(len(names), int(rng.integers(1, 5)), replace=False):
            stem = names[place].split("_")[0]
            if stem in UNSEEN_SHAPES:
                continue
            amount = float(rng.uniform(0.2, 1.4))
            both = rng.random() < 0.7
            for name in (f"{stem}_L", f"{stem}_R") if both and f"{stem}_L" in names else (names[place],):
                sculpted[name] = amount
        amounts = Amounts(sculpted=sculpted)
        if sculpted and rng.random() < 0.3:
            regions = tuple({region_of(name) for name in sculpted})
            amounts = replace(amounts, replaced=float(rng.uniform(0.3, 1)), regions=regions)
        return amounts

    def _photo(self, rng: np.random.Generator, row: int | None = None) -> Person:
        """A photograph, any if its row is not given, moved and in other colours."""
        assert self.fits is not None
        row = self.rows[int(rng.integers(len(self.rows)))] if row is None else row
        own = self.fits.of("open-faces", row)
        person = Person(
            self.faces.image(row), own.landmarks_px, own.scores, self.faces.landmarks_px(row), own.true_scores
        )
        person = altered(moved(person, jitter_matrix(rng, can_mirror=True)), rng)
        return person._replace(teeth=Teeth(str(rng.choice(DENTITIONS))))

    def photo_sample(self, person: Person, amounts: Amounts, rng: np.random.Generator) -> dict[str, Any]:
        """Photo -> render."""
        truth = self.face_model.prior(
            person.image,
            analysis_of(self.face_model, person.true_px, person.true_scores),
            amounts,
            teeth=person.teeth,
        )
        target = apply_edit(person.image, Edit.from_prior(truth), UNMOVED)
        sample = self._sample(
            person, amounts, target, importance_of(person.true_px[:, :2], truth.target_px[:, :2]), rng
        )
        half = (CROP_PX // 2, CROP_PX // 2)
        flow = cv2.resize(truth.whole_flow(), half, interpolation=cv2.INTER_AREA)
        sample["true_flow_px"] = _window(flow.transpose(2, 0, 1).astype(np.float16))
        sample["true_flow_weight"] = _window(
            (cv2.resize(truth.valid().astype(np.float32), half, interpolation=cv2.INTER_AREA) > 0.99)[None]
        )
        return sample

    def _between(self, person: Person, amounts: Amounts, rng: np.random.Generator) -> dict[str, Any]:
        """Render -> render."""
        first = self.draw(rng)
        model = self.face_model
        before = analysis_of(model, person.true_px, person.true_scores)
        shown, wanted = (
            model.prior(person.image, before, what, teeth=person.teeth) for what in (first, amounts)
        )
        image, target = (
            apply_edit(person.image, Edit.from_prior(prior), UNMOVED) for prior in (shown, wanted)
        )
        points = person.true_px.copy()
        points[:468] = shown.target_px
        own_px = points + (person.own_px - person.true_px)
        guess = _scores_with(model, person.own_scores, first)
        fitted = model.analyse((CROP_PX, CROP_PX), own_px, guess).scores
        changed = Person(image, own_px, fitted, points, fitted, person.teeth)
        return self._sample(
            changed, amounts, target, importance_of(points[:, :2], wanted.target_px[:, :2]), rng
        )

    def _frames(self, rng: np.random.Generator) -> dict[str, Any]:
        """Two frames of synthetic-faces: neutral to an expression, now and then back."""
        assert self.synthetic is not None
        person = self._people[int(rng.integers(len(self._people)))]
        others = [name for name in person if name != "neutral"]
        name = others[int(rng.integers(len(others)))]
        posed = person[name][int(rng.integers(len(person[name])))]
        source, target = person["neutral"][0], posed
        amounts = self._class(name, self.synthetic.intensity(posed))
        if rng.random() < 0.25:
            source, target, amounts = posed, source, self._class("neutral", 1.0)
        elif rng.random() < self.mix.true_shapes:
            amounts = Amounts(sculpted=self.synthetic.shapes(target))
        return self.frames_sample(source, target, amounts, rng)

    def frames_sample(
        self, source: int, target: int, amounts: Amounts, rng: np.random.Generator
    ) -> dict[str, Any]:
        """Two frames of one identity of synthetic-faces, by row, and what leads from one to the other."""
        assert self.synthetic is not None
        assert self.fits is not None
        own = self.fits.of("synthetic-faces", source)
        before, after = self.synthetic.mask(source), self.synthetic.mask(target)
        matrix, tables = jitter_matrix(rng, can_mirror=False), colour_tables(rng)
        pictures = [
            alter_colours(_moved(picture, matrix), tables)
            for picture in (self.synthetic.image(source), self.synthetic.image(target))
        ]
        plain = Person(pictures[0], own.landmarks_px, own.scores, own.landmarks_px, own.scores)
        person = moved(plain, matrix)._replace(image=pictures[0])
        masks = np.isin(np.stack([before, after]), class_ids(FACE_CLASSES)).any(axis=0)
        parts = class_ids(REGION_CLASSES["mouth"] + REGION_CLASSES["eyes"])
        wide = cv2.dilate(
            np.isin(np.stack([before, after]), parts).any(axis=0).astype(np.uint8), np.ones((7, 7))
        )
        importance = np.maximum(masks.astype(np.uint8) * 128, wide * 255).astype(np.uint8)
        sample = self._sample(person, amounts, pictures[1], _moved(importance, matrix), rng)
        size = (CROP_PX, CROP_PX)
        labels = cv2.warpAffine(before, matrix, size, flags=cv2.INTER_NEAREST, borderValue=IGNORE)
        return sample | {"compared": np.float32(0), "labels": _window(labels.astype(np.uint8))}

    def _sample(
        self,
        person: Person,
        amounts: Amounts,
        target: NDArray[np.uint8] | None,
        importance: NDArray[np.uint8] | None,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """Arrays of a sample, (C, 192, 192) but for the true flow at half of it.

        source, seen, target: uint8 RGB, the picture, as the network sees it, and the answer, the picture itself if
        there is none. answered, compared float32: 1 with an answer, and 1 for photographs. regions, importance:
        uint8. labels: uint8 (192, 192), what a segmenter should find, as
        `exprgan.samples.segmentation.draw_partial_labels` has it. Maps of `exprgan.models.corrections.PriorMaps`
        float16, named prior_... true_flow_px float16 and its weight, 0 where it is not known. coefficients float32
        (109,), extent float32. With `PriorMix.reals` also real and real_importance.
        """
        prior = self.face_model.prior(
            person.image,
            analysis_of(self.face_model, person.own_px, person.own_scores),
            amounts,
            teeth=person.teeth,
        )
        seen = spoil(person.image, rng)
        source = person.image
        is_answered = target is not None
        target = source if target is None else target
        if importance is None:
            importance = importance_of(person.own_px[:, :2], prior.target_px[:, :2])
        is_grey = rng.random() < 0.06
        if is_grey:
            source, target, seen = to_grey(source), to_grey(target), to_grey(seen)
        half = WINDOW[2] // 2
        sample = {
            "source": _window(source.transpose(2, 0, 1)),
            "seen": _window(seen.transpose(2, 0, 1)),
            "target": _window(target.transpose(2, 0, 1)),
            "regions": _window(soften(regions_of(person.own_px[:, :2]), rng).transpose(2, 0, 1)),
            "importance": _window(importance[None]),
            "labels": _window(draw_partial_labels(person.true_px[:, :2])),
            "true_flow_px": np.zeros((2, half, half), np.float16),
            "true_flow_weight": np.zeros((1, half, half), bool),
            "coefficients": vector_of(amounts, self.face_model.basis),
            "extent": np.float32(extent_of(amounts)),
            "answered": np.float32(is_answered),
            "compared": np.float32(1),
        }
        if self._shown is not None:
            sample |= self._real(person, amounts, is_grey, rng)
        return sample | {
            f"prior_{name}": _window(part.astype(np.float16)) for name, part in prior.maps().items()
        }

    def _real(
        self, person: Person, amounts: Amounts, is_grey: bool, rng: np.random.Generator
    ) -> dict[str, Any]:
        """A photograph of someone who shows about what the edit is to show, moved and in other colours."""
        assert self._shown is not None
        names = self.face_model.basis.measured_names
        wanted = _scores_with(self.face_model, person.own_scores, amounts)
        vector = np.array([wanted[name] for name in names])
        distance = np.square((self._shown - vector) / (self._shown.std(axis=0) + SCORE_TOLERANCE)).sum(axis=1)
        likest = np.argpartition(distance, self.mix.reals)[: self.mix.reals]
        other = self._photo(rng, self.rows[int(rng.choice(likest))])
        image = to_grey(other.image) if is_grey else other.image
        return {
            "real": _window(image.transpose(2, 0, 1)),
            "real_importance": _window(importance_of(other.true_px[:, :2])[None]),
        }


def analysis_of(
    face_model: FaceModel, landmarks_px: NDArray[np.float64], scores: NDArray[np.float64]
) -> FaceAnalysis:
    """The analysis of a crop's landmarks (478, 3) whose coefficients (51,) have been fitted already."""
    pose = fit_pose(face_model.basis, landmarks_px)
    shape = pose.to_canonical(landmarks_px[:468])
    neutral = face_model.basis.neutral_shape(shape, scores)
    return FaceAnalysis(landmarks_px, (CROP_PX, CROP_PX), pose, shape, neutral, scores, scores, 0.0)


def moved(person: Person, matrix: NDArray[np.float64]) -> Person:
    """A person under a similarity (2, 3) of the crop that may mirror."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    is_mirrored = np.linalg.det(matrix[:, :2]) < 0

    def points(landmarks_px: NDArray[np.float64]) -> NDArray[np.float64]:
        xy = transform_points(landmarks_px[:, :2], matrix)
        whole = np.column_stack([xy, landmarks_px[:, 2] * scale])
        return whole[MIRROR] if is_mirrored else whole

    def scores(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values[BLENDSHAPE_MIRROR] if is_mirrored else values

    return Person(
        _moved(person.image, matrix),
        points(person.own_px),
        scores(person.own_scores),
        points(person.true_px),
        scores(person.true_scores),
        person.teeth,
    )


def altered(person: Person, rng: np.random.Generator) -> Person:
    """A person in other light and colours."""
    return person._replace(image=alter_colours(person.image, colour_tables(rng)))


def _moved(picture: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    size = (CROP_PX, CROP_PX)
    moved_picture = cv2.warpAffine(
        picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(moved_picture, np.uint8)


def _scores_with(face_model: FaceModel, scores: NDArray[np.float64], amounts: Amounts) -> dict[str, float]:
    """Coefficients that a face with scores (51,) shows about, once it has an expression."""
    names = face_model.basis.measured_names
    shown = dict(zip(names, scores * (1 - min(1.0, amounts.replaced)), strict=True))
    for name, amount in amounts.measured.items():
        shown[name] = shown.get(name, 0.0) + amount
    for name, amount in amounts.sculpted.items():
        full = name.replace("_L", "Left").replace("_R", "Right")
        if full in shown:
            shown[full] += amount
    return {name: float(np.clip(value, 0, 1)) for name, value in shown.items()}


def _window(array: NDArray[Any]) -> NDArray[Any]:
    """The part (C, h, w) of a crop's array that `exprgan.face_parts.WINDOW` cuts out."""
    top, left, height, width = (edge * array.shape[-1] // CROP_PX for edge in WINDOW)
    return np.ascontiguousarray(array[..., top : top + height, left : left + width])


def make_samples(data: Path, fits: Path, mix: PriorMix) -> PriorPairs:
    """The training samples of a folder that holds open-faces/ and, if possible, synthetic-faces/."""
    faces, known = OpenFaces(data / "open-faces"), Fits.load(fits)
    rows = [row for row in faces.indices("train") if known.has("open-faces", row)]
    folder = data / "synthetic-faces"
    synthetic = SyntheticFaces(folder) if folder.exists() else None
    return PriorPairs(faces, rows, synthetic, known, FaceModel(), mix)
