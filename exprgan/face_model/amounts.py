"""What an expression moves, in the two bases of the face model: coefficients by full names, sides included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model.basis import FaceBasis, lip_gap
from exprgan.face_model.expression import Expression
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.vocabulary import Recipe, class_recipes, find_control

REGION_OF_PREFIX = {
    "eye": "eyes",
    "Pupil": "eyes",
    "cheekSquint": "eyes",
    "cheekRaiser": "eyes",
    "brow": "brows",
    "nose": "nose",
}
OPENERS = ("jawOpen", "mouthUpperUp", "mouthLowerDown", "mouthFunnel")
"""Shapes that part the lips."""
LEAST_OPENING = 0.06
"""Score of a shape that parts the lips from which a face counts as showing it."""
MOST_OF_A_SHAPE = 1.15
"""Of a face's own expression and what is added to it, in all, by an amount of 1."""
CARRIED = {
    "brow": 1.7,
    "eyeSquint": 1.7,
    "eyeWide": 3.0,
    "mouthFrown": 3.0,
    "mouthStretch": 1.4,
}
"""How many times as far as its measured shape a score's difference between two faces moves the one that is to show what
the other does. These scores see who a face is as well, so that the mean motion of photographs is less than that of a
face. Chosen on pairs of open-faces train by MediaPipe's scores of results, and by eye: brows by 2 follow the shown ones
more fully, but make people whose brows are arched by nature look stern."""
FREE_FROM = 0.25
"""How much of the own expression fades out where nothing limits any more what takes its place."""


@dataclass(frozen=True)
class Amounts:
    """Coefficients of one face's shapes.

    Attributes:
        replaced: How much of the face's own expression fades out, 0 to 1.
        measured: By full name as MediaPipe gives it, `mouthSmileLeft`.
        sculpted: By full name as ICT-FaceKit gives it, `mouthSmile_L`.
        regions: Of eyes, brows, nose and mouth, where the own expression fades out; empty means everywhere.
        parts_lips: Whether the lips may part; else they are shut as far as the expression is replaced, and those that
            touch go on to do so.
        shown: Another face's scores, which `on_face` holds against the face's own (`CARRIED`).
        lips_apart_cm: How much further apart than shut lips that face's lips are, at nine places.
    """

    replaced: float = 0.0
    measured: Mapping[str, float] = field(default_factory=dict)
    sculpted: Mapping[str, float] = field(default_factory=dict)
    regions: tuple[str, ...] = ()
    parts_lips: bool = True
    shown: bool = False
    lips_apart_cm: tuple[float, ...] = ()


def region_of(shape: str) -> str:
    """Region that a shape moves: eyes, brows, nose or mouth.

    >>> region_of("jawOpen")
    'mouth'
    """
    return next((region for prefix, region in REGION_OF_PREFIX.items() if shape.startswith(prefix)), "mouth")


def mixed(parts: Sequence[tuple[Amounts, float]]) -> Amounts:
    """Amounts of several expressions, each by its share, added up."""
    measured: dict[str, float] = {}
    sculpted: dict[str, float] = {}
    for amounts, share in parts:
        for total, own in ((measured, amounts.measured), (sculpted, amounts.sculpted)):
            for name, amount in own.items():
                total[name] = total.get(name, 0.0) + share * amount
    replaced = min(1.0, sum(share * amounts.replaced for amounts, share in parts))
    return Amounts(replaced, measured, sculpted, parts_lips=any(amounts.parts_lips for amounts, _ in parts))


def extent_of(amounts: Amounts) -> float:
    """How much is asked for, 0 to 1: the largest of the amounts."""
    sizes = (abs(amount) for part in (amounts.measured, amounts.sculpted) for amount in part.values())
    return min(1.0, max(amounts.replaced, *sizes, 0.0))


def vector_of(amounts: Amounts, basis: FaceBasis) -> NDArray[np.float32]:
    """What is asked for as a vector (109,) for networks: measured shapes, sculpted shapes, `replaced`."""
    measured = [amounts.measured.get(name, 0.0) for name in basis.measured_names]
    sculpted = [amounts.sculpted.get(name, 0.0) for name in basis.sculpted_names]
    return np.array([*measured, *sculpted, amounts.replaced], np.float32)


def amounts_of(basis: FaceBasis, recipe: Recipe, strength: float) -> Amounts:
    """The coefficients of one of the eight expressions at a strength of 0 to 1.5."""
    measured = _on_sides(recipe.measured, strength, basis.measured_names, ("Left", "Right"), late=_is_late)
    sculpted = _on_sides(recipe.sculpted, strength, basis.sculpted_names, ("_L", "_R"), late=_parts_lips)
    return Amounts(min(1.0, strength), measured, sculpted, parts_lips=not keeps_lips_shut(recipe, strength))


def amounts_for(basis: FaceBasis, expression: Expression, strength: float = 1.0) -> Amounts:
    """The coefficients of an expression at a strength of 0 to 1.5; negative ones where something is taken away."""
    recipes = class_recipes()
    parts = [amounts_of(basis, recipes[name], share * strength) for name, share in expression.classes.items()]
    parts += [_of_control(basis, name, amount * strength) for name, amount in expression.controls.items()]
    return limited_to(mixed([(part, 1.0) for part in parts]), expression.regions)


def _of_control(basis: FaceBasis, name: str, amount: float) -> Amounts:
    control = find_control(name)[1]
    recipe = control.recipe
    if amount < 0 and control.opposite is not None:
        recipe, amount = control.opposite, -amount
    measured = _on_sides(recipe.measured, amount, basis.measured_names, ("Left", "Right"))
    sculpted = _on_sides(recipe.sculpted, amount, basis.sculpted_names, ("_L", "_R"))
    opens = [name for part in (measured, sculpted) for name in part if name.startswith(OPENERS)]
    return Amounts(0.0, measured, sculpted, parts_lips=amount > 0 and bool(opens))


def shown_by(basis: FaceBasis, analysis: FaceAnalysis, share: float = 1.0) -> Amounts:
    """What an analysed face shows beyond its neutral state, to take the place of another's expression.

    The direction of the eyes is left out.
    """
    excess = np.maximum(analysis.scores - basis.neutral_scores, 0)
    measured = {
        name: share * float(amount)
        for name, amount in zip(basis.measured_names, excess, strict=True)
        if not name.startswith("eyeLook")
    }
    opened = max(amount for name, amount in measured.items() if name.startswith(OPENERS))
    apart_cm = np.maximum(lip_gap(analysis.shape_cm) - basis.closed_lip_gap, 0)
    return Amounts(
        share,
        measured,
        parts_lips=opened > LEAST_OPENING * share,
        shown=True,
        lips_apart_cm=tuple(apart_cm.tolist()),
    )


def limited_to(amounts: Amounts, regions: Sequence[str]) -> Amounts:
    """Amounts of the shapes that move some regions; none named means all."""
    if not regions:
        return amounts
    measured, sculpted = (
        {name: amount for name, amount in part.items() if region_of(name) in regions}
        for part in (amounts.measured, amounts.sculpted)
    )
    return replace(amounts, measured=measured, sculpted=sculpted, regions=tuple(regions))


def scaled(amounts: Amounts, share: float) -> Amounts:
    """A share of the amounts, 0 to 1."""
    measured, sculpted = (
        {name: share * amount for name, amount in part.items()}
        for part in (amounts.measured, amounts.sculpted)
    )
    return replace(amounts, replaced=share * amounts.replaced, measured=measured, sculpted=sculpted)


def on_face(amounts: Amounts, basis: FaceBasis, scores: NDArray[np.float64]) -> Amounts:
    """The amounts as far as a face's own scores (51,) leave room for them.

    What is taken away is at most what the face has of a shape beyond its neutral state, as the measured shape that the
    fit explained it by. What is added to a face that shows some of it already is less in proportion, so that an amount
    of 1 leads to `MOST_OF_A_SHAPE` at most and equal steps stay equal: brows that are raised cannot be raised as far.
    """
    own = dict(zip(basis.measured_names, np.maximum(scores - basis.neutral_scores, 0).tolist(), strict=True))
    if amounts.shown:
        return replace(amounts, measured=_carried(amounts, own), shown=False)
    measured, sculpted = dict(amounts.measured), dict(amounts.sculpted)
    free = min(1.0, amounts.replaced / FREE_FROM)
    for part, name, amount in [
        *((measured, name, amount) for name, amount in amounts.measured.items()),
        *((sculpted, name, amount) for name, amount in amounts.sculpted.items()),
    ]:
        names = [full for full in _measured_names(name) if full in own]
        left = (1 - amounts.replaced) * float(np.mean([own[full] for full in names])) if names else 0.0
        if amount < 0:
            del part[name]
            for full in names:
                taken = -min(-amount, left) / (1 if len(names) == 1 or name == full else len(names))
                measured[full] = measured.get(full, 0.0) + taken
        else:
            room = min(1.0, max(0.0, MOST_OF_A_SHAPE - left))
            part[name] = amount * (room + free * (1 - room))
    return replace(amounts, measured=measured, sculpted=sculpted)


def _carried(amounts: Amounts, own: Mapping[str, float]) -> dict[str, float]:
    """Another face's scores as measured shapes on a face whose own, as far as they are replaced, are taken away."""
    further = {
        name: next((factor - 1 for stem, factor in CARRIED.items() if name.startswith(stem)), 0.0)
        for name in amounts.measured
    }
    return {
        name: amount + further[name] * (amount - amounts.replaced * own[name])
        for name, amount in amounts.measured.items()
    }


def _measured_names(shape: str) -> list[str]:
    """Full names in the measured basis of a full name in either."""
    stem, _, side = shape.partition("_")
    return [stem + {"L": "Left", "R": "Right"}[side], stem] if side else [stem]


def late_strength(strength: float) -> float:
    """Strength of the shapes that part the lips: none below 0.2, full from 0.65, so that lips stay shut at first."""
    return strength * min(1.0, max(0.0, (strength - 0.2) / 0.45))


def _parts_lips(shape: str) -> bool:
    """Whether a sculpted shape parts the lips; the small sculpted jaw drop of a smile does not."""
    return shape.split("_")[0] in ("mouthUpperUp", "mouthLowerDown")


def _is_late(shape: str) -> bool:
    """The same of measured shapes."""
    return _parts_lips(shape) or shape == "jawOpen"


def keeps_lips_shut(recipe: Recipe, strength: float) -> bool:
    """Whether the lips of one of the eight expressions are to touch at this strength."""
    if "jawOpen" in recipe.sculpted:
        return strength <= 0.02
    openers = [name for name in recipe.measured if _is_late(name)]
    openers += [name for name in recipe.sculpted if _parts_lips(name)]
    if not openers or late_strength(strength) <= 0.02:
        return True
    shows_upper_teeth_only = any(name.startswith("mouthUpperUp") for name in openers)
    return shows_upper_teeth_only and strength < 0.3


def _on_sides(
    weights: Mapping[str, float],
    strength: float,
    known: list[str],
    sides: tuple[str, str],
    late: Callable[[str], bool] = lambda name: False,
) -> dict[str, float]:
    amounts: dict[str, float] = {}
    for name, weight in weights.items():
        amount = weight * (late_strength(strength) if late(name) else strength)
        for full_name in (name,) if name in known else (name + sides[0], name + sides[1]):
            amounts[full_name] = amounts.get(full_name, 0.0) + amount
    return amounts
