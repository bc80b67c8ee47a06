"""Names of what a face can do, from the TOML files beside this module: expressions, action units, controls, shapes.

Data alone and no arrays, so that a command line can check names at once.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from exprgan.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).with_name("vocabulary")
UNSIDED = (
    "jaw",
    "mouthClose",
    "mouthFunnel",
    "mouthLeft",
    "mouthPucker",
    "mouthRight",
    "mouthRoll",
    "mouthShrug",
)
"""Beginnings of the shapes that have no sides."""
OPPOSITE_GAZE = {
    "eyeLookIn": "eyeLookOut",
    "eyeLookOut": "eyeLookIn",
    "eyeLookUp": "eyeLookDown",
    "eyeLookDown": "eyeLookUp",
}
ANATOMICAL = re.compile(r"(?:AU)?0*(\d+)([LR]?)", re.IGNORECASE)


@dataclass(frozen=True)
class Recipe:
    """Shapes of the face model's two bases, by name; one without a side stands for both sides.

    measured: mean motion of photographs per unit of MediaPipe's score, `mouthSmileLeft`. sculpted: ICT-FaceKit's
    morph targets at coefficient 1, `mouthSmile_L`.
    """

    measured: Mapping[str, float] = field(default_factory=dict)
    sculpted: Mapping[str, float] = field(default_factory=dict)

    def of_side(self, side: str) -> Recipe:
        """The shapes of a side, L or R, alone, and those without sides."""
        long_side = {"L": "Left", "R": "Right"}[side]
        measured = dict(_on_side(self.measured, long_side, ("Left", "Right")))
        return Recipe(measured, dict(_on_side(self.sculpted, f"_{side}", ("_L", "_R"))))


def has_sides(shape: str) -> bool:
    """Whether a shape's base name stands for two shapes.

    >>> has_sides("mouthSmile"), has_sides("jawOpen")
    (True, False)
    """
    return not shape.startswith(UNSIDED)


def _on_side(
    shapes: Mapping[str, float], suffix: str, suffixes: tuple[str, str]
) -> Iterator[tuple[str, float]]:
    for name, amount in shapes.items():
        if name.endswith(suffixes) and has_sides(name):
            if name.endswith(suffix):
                yield name, amount
        else:
            yield (name + suffix if has_sides(name) else name), amount


@dataclass(frozen=True)
class Control:
    """Something that a face can do, at amount 1.

    Attributes:
        name: As it is written.
        does: What that is, in a line.
        recipe: Its shapes.
        opposite: What a negative amount adds at -1; None if it takes away what the face has of the shapes.
    """

    name: str
    does: str
    recipe: Recipe
    opposite: Recipe | None = None

    @property
    def has_sides(self) -> bool:
        """Whether it can be done on one side."""
        shapes = [*self.recipe.measured, *self.recipe.sculpted]
        return any(has_sides(shape) for shape in shapes)


def _control(name: str, entry: Mapping[str, Any]) -> Control:
    opposite = Recipe(sculpted=entry["opposite"]) if "opposite" in entry else None
    return Control(
        name, entry["does"], Recipe(entry.get("measured", {}), entry.get("sculpted", {})), opposite
    )


@lru_cache(maxsize=1)
def controls() -> dict[str, dict[str, Control]]:
    """All by kind and name: classes, action_units, controls, shapes."""
    found: dict[str, dict[str, Control]] = {}
    for file in ("classes", "action_units", "controls"):
        entries = tomllib.loads((FOLDER / f"{file}.toml").read_text(encoding="utf-8"))
        found[file] = {name: _control(name, entry) for name, entry in entries.items()}
    shapes = tomllib.loads((FOLDER / "shapes.toml").read_text(encoding="utf-8"))
    found["shapes"] = {
        name: Control(
            name,
            does,
            Recipe(sculpted={name: 1.0}),
            Recipe(sculpted={OPPOSITE_GAZE[name]: 1.0}) if name in OPPOSITE_GAZE else None,
        )
        for name, does in shapes.items()
    }
    return found


def class_recipes() -> dict[str, Recipe]:
    """The recipes of the eight expressions, and of `anger_teeth`, a second anger with bared teeth."""
    return {name: control.recipe for name, control in controls()["classes"].items()}


def find_control(name: str) -> tuple[str, Control]:
    """A control by a name as users write it, and the name as we write it.

    Action units by number (12, AU12, au12L), controls (smile, wink_left) and ARKit's shapes (mouthSmileLeft).

    Raises:
        UsageError: There is none; the message has the nearest name.

    >>> find_control("4l")[0]
    'AU4L'
    """
    word = name.strip()
    if match := ANATOMICAL.fullmatch(word):
        unit, side = f"AU{match[1]}", match[2].upper()
        known = controls()["action_units"].get(unit)
        if known is not None and (not side or known.has_sides):
            return unit + side, _sided(known, side)
        raise _unknown(name, unit)
    for kind, suffixes in (("controls", ("_left", "_right")), ("shapes", ("Left", "Right"))):
        by_lower = {each.lower(): each for each in controls()[kind]}
        for suffix in ("", *suffixes):
            stem = word.lower().removesuffix(suffix.lower()) if suffix else word.lower()
            if stem in by_lower and (not suffix or stem != word.lower()):
                found = controls()[kind][by_lower[stem]]
                if suffix and not found.has_sides:
                    continue
                return found.name + suffix, _sided(found, "LR"[suffixes.index(suffix)] if suffix else "")
    raise _unknown(name, word)


def control_names() -> list[str]:
    """Every name that `find_control` knows, sides left out."""
    return [name for kind in ("action_units", "controls", "shapes") for name in controls()[kind]]


def _sided(control: Control, side: str) -> Control:
    if not side:
        return control
    opposite = control.opposite.of_side(side) if control.opposite else None
    return Control(control.name, control.does, control.recipe.of_side(side), opposite)


def _unknown(written: str, word: str) -> UsageError:
    known = {name.lower(): name for name in control_names()}
    near = difflib.get_close_matches(word.lower(), known, n=2, cutoff=0.55)
    hint = (
        f"did you mean {' or '.join(known[name] for name in near)}?" if near else "see `exprgan expressions`."
    )
    if word.startswith("AU") and word in controls()["action_units"]:
        hint = f"{word} has no sides."
    return UsageError(f"There is no control {written!r}; {hint}")
