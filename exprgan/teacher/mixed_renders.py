"""Renders of the geometry teacher in mixed expressions, the same mixtures on many people.

Expression transfer learns from them what the eight stereotypes cannot teach: that two people who do the same with
their faces, whatever it is, carry the same expression. Half of the mixtures blend two of the eight expressions, the
others move brows, lids, nose, mouth and jaw on their own, some of them on one side alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from exprgan.face_model.vocabulary import Recipe, class_recipes
from exprgan.teacher.cache import TeacherCache

NUM_MIXTURES = 48
VARIANTS_PER_FACE = 8
"""Mixtures that each face is rendered in."""

_BLENDED = ("happy", "sad", "surprise", "fear", "anger", "disgust", "contempt")
"""Expressions that are blended. Mixtures are drawn by place in this order: keep it, or caches hold other ones."""
_BROWS = {"browInnerUp": 1.1, "browOuterUp": 1.0, "browDown": 1.1}
_EYES = {"eyeWide": 0.9, "eyeSquint": 0.8, "eyeBlink": 0.6, "cheekSquint": 0.6}
_MOUTHS = {
    "mouthSmile": 0.9,
    "mouthFrown": 0.9,
    "mouthStretch": 0.8,
    "mouthPress": 0.6,
    "mouthDimple": 0.8,
    "mouthUpperUp": 0.4,
    "mouthLowerDown": 0.5,
    "mouthShrugLower": 0.5,
    "mouthPucker": 0.8,
    "mouthFunnel": 0.6,
    "mouthRollLower": 0.4,
    "mouthLeft": 0.4,
    "mouthRight": 0.4,
}
_ONE_PIECE = ("mouthShrugLower", "mouthPucker", "mouthFunnel", "mouthRollLower", "mouthLeft", "mouthRight")
"""Shapes without sides."""


def mixture(number: int) -> Recipe:
    """Mixture `number`, of a kind that its remainder by three decides."""
    rng = np.random.default_rng((NUM_MIXTURES, number))
    return (_blend, _free, _smile)[number % 3](rng)


def mixtures() -> dict[str, Recipe]:
    """All mixtures by name, mixture-00 ..."""
    return {_name(number): mixture(number) for number in range(NUM_MIXTURES)}


def mixtures_of(face: int) -> list[int]:
    """Numbers of the mixtures that a face is rendered in, in the order of its variants."""
    chosen = np.random.default_rng((face, 7)).permutation(NUM_MIXTURES)[:VARIANTS_PER_FACE]
    return [int(number) for number in chosen]


def _name(number: int) -> str:
    return f"mixture-{number:02d}"


def _blend(rng: np.random.Generator) -> Recipe:
    first, second = rng.permutation(_BLENDED)[:2]
    parts = ((first, rng.uniform(0.35, 1.0)), (second, rng.uniform(0.1, 0.55)))

    def added(basis: str) -> dict[str, float]:
        total: dict[str, float] = {}
        for name, amount in parts:
            for shape, weight in getattr(class_recipes()[name], basis).items():
                total[shape] = round(total.get(shape, 0.0) + amount * weight, 3)
        return total

    return Recipe(measured=added("measured"), sculpted=added("sculpted"))


def _smile(rng: np.random.Generator) -> Recipe:
    """From a hint of a smile with shut lips to a laugh, the brows at rest or not."""
    smile = float(rng.uniform(0.2, 1.1))
    measured = {"mouthSmile": round(smile, 3)}
    if rng.random() < 0.65:  # with teeth
        measured["mouthUpperUp"] = round(smile * float(rng.uniform(0.25, 0.6)), 3)
        measured["mouthLowerDown"] = round(smile * float(rng.uniform(0.1, 0.35)), 3)
        if rng.random() < 0.5:
            measured["jawOpen"] = _amount(rng, 0.45)
    sculpted = {
        "cheekSquint": round(0.5 * smile, 3),
        "eyeSquint": round(smile * float(rng.uniform(0, 0.5)), 3),
    }
    for shape in rng.permutation(list(_BROWS))[: rng.integers(0, 2)]:
        sculpted |= _sided(str(shape), _BROWS, rng)
    return Recipe(measured=measured, sculpted=sculpted)


def _free(rng: np.random.Generator) -> Recipe:
    sculpted: dict[str, float] = {}
    for shapes, count in (
        (_BROWS, rng.integers(0, 3)),
        (_EYES, rng.integers(0, 2)),
        (_MOUTHS, rng.integers(1, 4)),
    ):
        for shape in rng.permutation(list(shapes))[:count]:
            sculpted |= _sided(str(shape), shapes, rng)
    if rng.random() < 0.3:
        sculpted["noseSneer"] = _amount(rng, 0.8)
    measured = {"jawOpen": _amount(rng, 0.55)} if rng.random() < 0.4 else {}
    return Recipe(measured=measured, sculpted=sculpted)


def _sided(shape: str, limits: Mapping[str, float], rng: np.random.Generator) -> dict[str, float]:
    """A shape on both sides, or in one case of four on one of them."""
    amount = _amount(rng, limits[shape])
    if shape not in _ONE_PIECE and rng.random() < 0.25:
        return {f"{shape}_{rng.choice(('L', 'R'))}": amount}
    return {shape: amount}


def _amount(rng: np.random.Generator, limit: float) -> float:
    return round(float(rng.uniform(0.35, 1.0) * limit), 3)


class MixedRenders(TeacherCache):
    """Renders by (face, variant) as in `TeacherCache`; variant v of a face is `mixtures_of(face)[v]`."""

    recipes: ClassVar = {**class_recipes(), **mixtures()}

    def expression_of(self, face: int, variant: int) -> tuple[str, float]:
        """Name of the mixture, at strength 1."""
        return _name(mixtures_of(face)[variant]), 1.0
