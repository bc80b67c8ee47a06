"""What each expression is made of.

A recipe adds shapes of two bases, in canonical centimetres:

* measured shapes: mean motion per unit of MediaPipe blendshape score, fitted on photographs
  (names as MediaPipe gives them, `mouthSmileLeft`);
* sculpted shapes: the ICT-FaceKit morph targets at coefficient 1 (`mouthSmile_L`).

A name without a side stands for both sides; `_R` alone is the subject's right.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Recipe:
    """Coefficients at strength 1 of an expression, by shape name."""

    measured: dict[str, float] = field(default_factory=dict)
    sculpted: dict[str, float] = field(default_factory=dict)


RECIPES: dict[str, Recipe] = {
    "neutral": Recipe(),
    "happy": Recipe(
        measured={"mouthSmile": 0.95, "mouthUpperUp": 0.5, "mouthLowerDown": 0.22},
        sculpted={"cheekSquint": 0.5, "eyeSquint": 0.2, "jawOpen": 0.05},
    ),
    "sad": Recipe(
        sculpted={
            "browInnerUp": 1.25,
            "browDown": 0.35,
            "mouthFrown": 0.9,
            "mouthShrugLower": 0.35,
            "eyeSquint": 0.2,
            "eyeBlink": 0.15,
        },
    ),
    "surprise": Recipe(
        measured={"jawOpen": 0.62},
        sculpted={
            "browInnerUp": 1.0,
            "browOuterUp": 1.0,
            "eyeWide": 0.9,
            "mouthFunnel": 0.12,
            "mouthPucker": 0.08,
        },
    ),
    "fear": Recipe(
        sculpted={
            "browInnerUp": 1.1,
            "browOuterUp": 0.4,
            "browDown": 0.5,
            "eyeWide": 1.0,
            "mouthStretch": 0.9,
            "mouthLowerDown": 0.35,
            "mouthUpperUp": 0.12,
            "jawOpen": 0.17,
        },
    ),
    "anger": Recipe(
        measured={"browDown": 0.3},
        sculpted={
            "browDown": 1.15,
            "eyeWide": 0.3,
            "eyeSquint": 0.2,
            "mouthFrown": 0.35,
            "mouthPress": 0.55,
            "mouthRollLower": 0.15,
            "mouthRollUpper": 0.15,
            "mouthShrugLower": 0.2,
            "noseSneer": 0.4,
        },
    ),
    "disgust": Recipe(
        sculpted={
            "noseSneer": 1.0,
            "mouthUpperUp": 0.22,
            "mouthFrown": 0.45,
            "browDown": 0.7,
            "eyeSquint": 0.6,
            "mouthShrugLower": 0.35,
            "cheekSquint": 0.4,
        },
    ),
    "contempt": Recipe(
        sculpted={"mouthSmile_R": 0.75, "mouthDimple_R": 0.8, "eyeSquint_R": 0.3, "browDown": 0.15},
    ),
    "anger_teeth": Recipe(
        measured={"browDown": 0.3},
        sculpted={
            "browDown": 1.1,
            "eyeWide": 0.3,
            "noseSneer": 0.55,
            "mouthUpperUp": 0.25,
            "mouthLowerDown": 0.6,
            "mouthStretch": 0.35,
            "jawOpen": 0.07,
        },
    ),
}
"""The eight expressions, and `anger_teeth`, a second anger with bared teeth."""


def late_strength(strength: float) -> float:
    """Strength of the shapes that part the lips: none below 0.2, full from 0.65, so that lips stay shut at first."""
    return strength * min(1.0, max(0.0, (strength - 0.2) / 0.45))


def parts_lips_late(shape: str, measured: bool) -> bool:
    """Whether a shape follows `late_strength`; the small sculpted jaw drop does not."""
    base = shape.split("_")[0]
    if base in ("mouthUpperUp", "mouthLowerDown"):
        return True
    return base == "jawOpen" and measured


def keeps_lips_shut(recipe: Recipe, strength: float) -> bool:
    """Whether the lips of an expression are to touch at this strength."""
    if "jawOpen" in recipe.sculpted:
        return strength <= 0.02
    openers = [name for name in recipe.measured if parts_lips_late(name, measured=True)]
    openers += [name for name in recipe.sculpted if parts_lips_late(name, measured=False)]
    if not openers or late_strength(strength) <= 0.02:
        return True
    shows_upper_teeth_only = any(name.startswith("mouthUpperUp") for name in openers)
    return shows_upper_teeth_only and strength < 0.3
