"""Pairs of faces for expression transfer, with the true answer wherever there is one.

A sample holds two images and, for each of them, what it would look like with the other's expression, where that is
known. Sample n is a pure function of (seed, n). Four kinds:

* cross: two people in the teacher's renders, so that "A's expression on B" is B's render in the same expression or
  mixture; the face that gets it may be a photo as it was taken;
* own: two pictures of one person, a photo and its renders, each the other's answer; now and then one picture twice;
* rendered: frames of synthetic-faces, whose answer is the frame of the same expression whose recipe is near enough;
* photos: two photographs of different people; nothing is known but their action units.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan import action_units
from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.vocabulary import Recipe, class_recipes
from exprgan.face_parts import CROP_PX
from exprgan.samples.augment import jitter_matrix
from exprgan.samples.pairs import (
    FAITHFUL,
    HALF,
    Look,
    Pair,
    answer,
    augment,
    fill,
    frames_pair,
    importance_of,
    look_of_photo,
    look_of_render,
)
from exprgan.samples.segmentation import OUTLINES
from exprgan.teacher.cache import TeacherCache, variant_of
from exprgan.teacher.mixed_renders import VARIANTS_PER_FACE, MixedRenders, mixture, mixtures_of

NUM_EXPRESSIONS = len(EXPRESSIONS)
PHOTO = ("photo", 0)
State = tuple[str, int]
"""How a person of open-faces looks: ("photo", 0), ("eight", variant) of `TeacherCache` or ("mixed", variant)."""
WHOLE = (0, 0, HALF, HALF)
SAME_RECIPE = 0.22
"""Frames of two rendered people count as the same expression up to this root mean square of differing units."""


@dataclass(frozen=True)
class TransferMix:
    """Shares of the kinds of pairs; the rest are photos."""

    cross: float = 0.55
    own: float = 0.25
    rendered: float = 0.1
    twice: float = 0.06  # of own pairs, those that show one picture twice
    mixed: float = 0.65  # of expressions to be transferred, those that are mixtures
    photo_targets: float = 0.6  # of faces that get an expression, those that are photos


def recipe_units(recipe: Recipe) -> NDArray[np.float32]:
    """Action units (17,) of a recipe of the geometry teacher."""
    names = sorted({name for sources in action_units.BLENDSHAPES.values() for name in sources})
    scores = np.zeros((1, len(names)), np.float32)
    for shapes in (recipe.measured, recipe.sculpted):
        for shape, weight in shapes.items():
            base, _, side = shape.partition("_")
            for column, name in enumerate(names):
                stem = name.removesuffix("Left").removesuffix("Right")
                is_side = not side or name.endswith({"L": "Left", "R": "Right"}[side])
                scores[0, column] += weight * (stem == base and is_side)
    return action_units.from_blendshapes(np.clip(scores, 0, 1), names, is_mediapipe=False)[0]


class TransferPairs:
    """The endless stream of pairs.

    Args:
        eight: Renders in the eight expressions.
        mixed: Renders in mixtures, of the same photos.
        people: Rows of open-faces to draw from.
        rendered: synthetic-faces, or None to go without.
        num_levels: Levels K into which action units are cut.
        mix: Shares of the kinds.
        seen: Part of the 128-px images that samples hold: top, left, height and width.
    """

    def __init__(
        self,
        eight: TeacherCache,
        mixed: MixedRenders,
        people: list[int],
        rendered: SyntheticFaces | None,
        *,
        num_levels: int = 4,
        mix: TransferMix = TransferMix(),
        seen: tuple[int, int, int, int] = WHOLE,
    ) -> None:
        self.eight, self.mixed, self.people, self.rendered = eight, mixed, people, rendered
        self.faces: OpenFaces = eight.faces
        self.num_levels, self.mix, self.seen = num_levels, mix, seen
        self._in_mixture: dict[int, list[int]] = defaultdict(list)
        for person in people:
            for number in mixtures_of(person):
                self._in_mixture[number].append(person)
        self._identities = rendered.identities("train") if rendered else []
        self._units = {name: recipe_units(class_recipes()[name]) for name in EXPRESSIONS}
        self._recipes = [json.loads(row["recipe"]) for row in rendered.rows] if rendered else []

    def __call__(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number`; arrays of both images, see `augment_pair`, and their levels (2, 17) int64."""
        rng = np.random.default_rng((seed, number))
        first, second = self.pair(rng)
        if rng.random() < 0.5:
            first, second = second, first
        sample = augment_pair((first, second), rng, self.seen)
        assert first.units is not None and second.units is not None
        sample["levels"] = self._levels(np.stack([first.units, second.units]))
        return sample

    def level_weights(self) -> NDArray[np.float32]:
        """Weights (17, K) of the levels, rarer ones heavier: the root of 1 / frequency in photos and mixtures.

        The mean over the faces that they are counted on is 1 for each unit.
        """
        photos = self.faces.action_units[self.people]
        known = np.concatenate(
            [photos, np.repeat([recipe_units(mixture(n)) for n in sorted(self._in_mixture)], 8, axis=0)]
        )
        levels = self._levels(known)
        counts = np.stack([(levels == level).sum(axis=0) for level in range(self.num_levels)], axis=1) + 1.0
        weights = 1 / np.sqrt(counts)
        mean = (weights * counts).sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True)
        return (weights / mean).astype(np.float32)

    def _levels(self, units: NDArray[np.float32]) -> NDArray[np.int64]:
        levels = np.clip(np.floor(np.nan_to_num(units) * self.num_levels), 0, self.num_levels - 1)
        return np.where(np.isnan(units), -1, levels).astype(np.int64)

    def pair(self, rng: np.random.Generator) -> tuple[Pair, Pair]:
        """Two faces with their answers."""
        kind, mix = rng.random(), self.mix
        if kind < mix.cross:
            return self._cross(rng)
        if kind < mix.cross + mix.own:
            return self._own(rng)
        if self._identities and kind < mix.cross + mix.own + mix.rendered:
            return self._rendered(rng)
        first, second = (self.people[place] for place in rng.permutation(len(self.people))[:2])
        return self._unknown(first, PHOTO), self._unknown(second, PHOTO)

    def _cross(self, rng: np.random.Generator) -> tuple[Pair, Pair]:
        """The first person is given the second one's expression; the other way is known from render to render."""
        person = self._draw(rng)
        variant, strength = int(rng.integers(NUM_EXPRESSIONS)), 1.0
        if rng.random() < self.mix.mixed:
            variant = int(rng.integers(VARIANTS_PER_FACE))
            others = self._in_mixture[mixtures_of(person)[variant]]
            other = others[int(rng.integers(len(others)))]
            wanted: State = ("mixed", variant)
            shown: State = ("mixed", mixtures_of(other).index(mixtures_of(person)[variant]))
        else:
            other = self._draw(rng)
            wanted = shown = ("eight", variant)
        has: State = (
            PHOTO if rng.random() < self.mix.photo_targets else ("eight", int(rng.integers(NUM_EXPRESSIONS)))
        )
        if has == PHOTO and wanted[0] == "eight" and rng.random() < 0.4:  # part of the way
            partial = [
                v
                for v in range(NUM_EXPRESSIONS, NUM_EXPRESSIONS + 4)
                if variant_of(person, v)[0] == EXPRESSIONS[variant]
            ]
            if partial:
                wanted = ("eight", partial[0])
                strength = variant_of(person, partial[0])[1]
        first = self.answer(person, has, wanted, strength=strength)
        second = self.answer(other, shown, has) if has != PHOTO else self._unknown(other, shown)
        return first, second

    def _own(self, rng: np.random.Generator) -> tuple[Pair, Pair]:
        person = self._draw(rng)
        states: list[State] = [PHOTO] * 8
        states += [("eight", variant) for variant in range(NUM_EXPRESSIONS + 4)]
        states += [("mixed", variant) for variant in range(VARIANTS_PER_FACE)]
        first, second = (states[place] for place in rng.integers(len(states), size=2))
        if rng.random() < self.mix.twice:
            second = first
        return self.answer(person, first, second), self.answer(person, second, first)

    def _rendered(self, rng: np.random.Generator) -> tuple[Pair, Pair]:
        assert self.rendered is not None
        one, two = (self._identities[int(rng.integers(len(self._identities)))] for _ in range(2))
        frames = []
        for identity in (one, two):
            rows = [row for rows in identity.values() for row in rows]
            frames.append(rows[int(rng.integers(len(rows)))])
        first = self.frame(frames[0], self.like(frames[1], one))
        second = self.frame(frames[1], self.like(frames[0], two))
        return first, second

    def like(self, row: int, identity: dict[str, list[int]]) -> int | None:
        """An identity's frame of synthetic-faces whose recipe is nearly that of a row; None where there is none."""
        assert self.rendered is not None
        name = self.rendered.rows[row]["expression"]
        candidates = identity.get(name, [])
        if not candidates:
            return None

        def distance(other: int) -> float:
            ours, theirs = self._recipes[row], self._recipes[other]
            units = set(ours) | set(theirs)
            return float(np.sqrt(np.mean([(ours.get(u, 0) - theirs.get(u, 0)) ** 2 for u in units] or [0.0])))

        nearest = min(candidates, key=distance)
        return nearest if distance(nearest) < SAME_RECIPE else None

    def _draw(self, rng: np.random.Generator) -> int:
        return self.people[int(rng.integers(len(self.people)))]

    def _look(self, person: int, state: State) -> Look:
        kind, variant = state
        if kind == "photo":
            return look_of_photo(self.faces, person)
        look = look_of_render((self.eight if kind == "eight" else self.mixed).get(person, variant))
        return look._replace(valid=np.where(look.valid > FAITHFUL, look.valid.dtype.type(255), 0))

    def _units_of(self, person: int, state: State) -> NDArray[np.float32]:
        kind, variant = state
        if kind == "mixed":
            return recipe_units(mixture(mixtures_of(person)[variant]))
        own = self.faces.action_units[person]
        if kind == "photo":
            return own
        expression, strength = variant_of(person, variant)
        return (
            own * (1 - strength) + self._units[expression] * strength
            if strength < 1
            else self._units[expression]
        )

    def _unknown(self, person: int, state: State) -> Pair:
        """A face whose answer is not known."""
        look = self._look(person, state)
        nothing = np.zeros_like(look.mouth)
        return Pair(
            look.image,
            look.image,
            np.zeros_like(look.flow_px),
            np.zeros((HALF, HALF), np.float32),
            nothing,
            np.zeros_like(look.place_cm),
            importance_of(look.points_xy),
            mouth_known=nothing,
            is_known=False,
            units=self._units_of(person, state),
        )

    def picture(self, person: int, state: State) -> NDArray[np.uint8]:
        """A person of open-faces in a state, uint8 RGB (256, 256, 3)."""
        return self._look(person, state).image

    def answer(self, person: int, has: State, wanted: State, *, strength: float = 1.0) -> Pair:
        """A person of open-faces in one state, and the same person in another one."""
        before = self._look(person, has)
        after = before if has == wanted else self._look(person, wanted)
        mouth_known = np.full((CROP_PX, CROP_PX), 255, np.uint8)
        if after.is_photo and not before.is_photo:  # what is inside the lips of the photo is not known
            mouth_known -= fill((CROP_PX, CROP_PX), after.points_xy, [OUTLINES["mouth"]])
        return replace(
            answer(before, after, cv2.BORDER_CONSTANT),
            mouth_known=mouth_known,
            units=self._units_of(person, has),
            strength=strength,
        )

    def frame(self, row: int, wanted: int | None) -> Pair:
        """A frame of synthetic-faces and, if any, the frame that is its answer; no displacement is known."""
        assert self.rendered is not None
        pair = frames_pair(self.rendered, row, row if wanted is None else wanted)
        return replace(
            pair,
            mouth_known=np.full_like(pair.mouth, 255),
            is_known=wanted is not None,
            units=self.rendered.action_units[row],
        )


def augment_pair(
    pair: tuple[Pair, Pair], rng: np.random.Generator, seen: tuple[int, int, int, int] = WHOLE
) -> dict[str, Any]:
    """Both faces jittered, coloured and spoiled each on its own, mirrored together or not at all.

    Args:
        pair: The faces.
        rng: Where chance comes from.
        seen: Top, left, height and width of the part of the 128-px images that is wanted.

    Returns:
        Arrays whose first axis is the two faces, the last two (height, width): seen, source and target (2, 3, ..)
        uint8, of which only the first is spoiled; flow_px (2, 2, ..) float32 in px of the 256-px crop, flow_weight and
        place_known (2, 1, ..) float32, place_cm (2, 2, ..) float32; mouth, mouth_known and importance (2, 1, ..) uint8;
        is_known and strength (2,) float32.
    """
    mirrored = rng.random() < 0.5
    parts = [_augment(face, rng, mirrored) for face in pair]
    top, left, height, width = seen
    rows, columns = slice(top, top + height), slice(left, left + width)
    sample: dict[str, Any] = {}
    for name in parts[0]:
        values = np.stack([part[name] for part in parts])
        sample[name] = values if values.ndim == 1 else np.ascontiguousarray(values[..., rows, columns])
    return sample


def _augment(pair: Pair, rng: np.random.Generator, mirrored: bool) -> dict[str, Any]:
    matrix = jitter_matrix(rng, can_mirror=False)
    if mirrored:
        matrix = matrix @ np.array([[-1.0, 0, CROP_PX - 1], [0, 1, 0], [0, 0, 1]])
    known_strength = {"is_known": np.float32(pair.is_known), "strength": np.float32(pair.strength)}
    return augment(pair, matrix, HALF, rng) | known_strength
