"""What an expression moves, in the two bases of the face model: coefficients by full names, sides included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model.basis import FaceBasis
from exprgan.face_model.recipes import Recipe, keeps_lips_shut, late_strength, parts_lips_late

REGION_OF_PREFIX = {"eye": "eyes", "cheekSquint": "eyes", "brow": "brows", "nose": "nose"}


@dataclass(frozen=True)
class Amounts:
    """Coefficients of one face's shapes.

    Attributes:
        replaced: How much of the face's own expression fades out, 0 to 1.
        measured: By full name as MediaPipe gives it, `mouthSmileLeft`.
        sculpted: By full name as ICT-FaceKit gives it, `mouthSmile_L`.
        regions: Of eyes, brows, nose and mouth, where the own expression fades out; empty means everywhere.
        parts_lips: Whether the lips may part; else those of a face whose expression is replaced are shut.
    """

    replaced: float = 0.0
    measured: Mapping[str, float] = field(default_factory=dict)
    sculpted: Mapping[str, float] = field(default_factory=dict)
    regions: tuple[str, ...] = ()
    parts_lips: bool = True


def region_of(shape: str) -> str:
    """Region that a shape moves: eyes, brows, nose or mouth.

    >>> region_of("jawOpen")
    'mouth'
    """
    return next((region for prefix, region in REGION_OF_PREFIX.items() if shape.startswith(prefix)), "mouth")


def mixed(parts: Sequence[tuple[Amounts, float]]) -> Amounts:
    """Amounts of several expressions, each by its share, added up; all over the face."""
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
    """The coefficients of a recipe at a strength of 0 to about 1.25."""
    measured = _on_sides(recipe.measured, strength, basis.measured_names, ("Left", "Right"), measured=True)
    sculpted = _on_sides(recipe.sculpted, strength, basis.sculpted_names, ("_L", "_R"), measured=False)
    return Amounts(strength, measured, sculpted, parts_lips=not keeps_lips_shut(recipe, strength))


def _on_sides(
    weights: Mapping[str, float], strength: float, known: list[str], sides: tuple[str, str], *, measured: bool
) -> dict[str, float]:
    amounts: dict[str, float] = {}
    for name, weight in weights.items():
        amount = weight * (late_strength(strength) if parts_lips_late(name, measured) else strength)
        for full_name in (name,) if name in known else (name + sides[0], name + sides[1]):
            amounts[full_name] = amounts.get(full_name, 0.0) + amount
    return amounts
