"""What the page asks for: sliders to an expression, the command line that repeats it, and its recipe.

No arrays and no page here: names and numbers alone.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exprgan.edit.plan import parse_amounts, result_paths, wanted_expressions
from exprgan.edit.teeth import CHOICES, check_teeth
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.expression import MOST, REGIONS, Expression, check_strength
from exprgan.face_model.vocabulary import ANATOMICAL, Control, controls, find_control

DECIMALS = 3
"""Of the numbers that sliders give."""
LONGEST_LABEL = 60
"""Letters of an expression's label that a file is still named by; longer ones make names that nobody reads."""
GROUPS: dict[str, tuple[str, ...]] = {
    "Everyday movements": (
        *(
            "smile",
            "frown",
            "brow_raise",
            "brow_furrow",
            "eyes_wide",
            "squint",
            "blink",
            "wink",
            "mouth_open",
        ),
        *("pucker", "sneer"),
    ),
    "Brows": ("AU1", "AU2", "AU4"),
    "Eyes": ("AU5", "AU6", "AU7", "AU43", "AU45", "AU46"),
    "Gaze": ("gaze_x", "gaze_y", "AU61", "AU62", "AU63", "AU64"),
    "Nose and mouth": (
        *("AU9", "AU10", "AU12", "AU14", "AU15", "AU16", "AU17", "AU18", "AU20", "AU22", "AU23", "AU24"),
        *("AU25", "AU26", "AU27", "AU28"),
    ),
}
"""Controls by the part of the face that they move."""
APART = ("AU46", "wink")
"""What is mostly done on one side."""


@dataclass(frozen=True)
class Unit:
    """Something with a slider, or with one for each side."""

    name: str  # as `find_control` gives it
    title: str
    code: str  # of an action unit, else empty
    does: str  # a line
    sides: tuple[str, ...]  # names of the subject's right and left; empty if it has no sides
    apart: bool = False  # whether the sides are shown at first


def groups() -> dict[str, list[Unit]]:
    """All sliders by the title of their group: action units and controls, then ARKit's shapes.

    >>> groups()["Brows"][0].title, groups()["Gaze"][0].title
    ('inner brow raiser', 'gaze x')
    """
    found = {title: [_unit(name) for name in names] for title, names in GROUPS.items()}
    found["ARKit’s shapes"] = [_unit(name) for name in controls()["shapes"]]
    return found


def _unit(name: str) -> Unit:
    control = find_control(name)[1]
    is_unit = bool(ANATOMICAL.fullmatch(name))
    title = control.does.split(":")[0].split(",")[0] if is_unit else name.replace("_", " ")
    return Unit(name, title, name * is_unit, control.does, _sides(control), name in APART)


def _sides(control: Control) -> tuple[str, ...]:
    if not control.has_sides:
        return ()
    if ANATOMICAL.fullmatch(control.name):
        return (f"{control.name}R", f"{control.name}L")
    if control.name in controls()["shapes"]:
        return (f"{control.name}Right", f"{control.name}Left")
    return (f"{control.name}_right", f"{control.name}_left")


@dataclass(frozen=True)
class Look:
    """What a face is asked to show, in the words of the page.

    Attributes:
        shares: Shares of the eight expressions by name, 0 to 1.5; zeros are left out.
        amounts: Amounts of controls by name, -1.5 to 1.5; zeros are left out, action units come first.
        regions: Those that may change, of `REGIONS`; none means that nothing may.
        strength: Factor on all of it, 0 to 1.5.
        teeth: One of `exprgan.edit.teeth.CHOICES`.
    """

    shares: Mapping[str, float] = field(default_factory=dict)
    amounts: Mapping[str, float] = field(default_factory=dict)
    regions: tuple[str, ...] = REGIONS
    strength: float = 1.0
    teeth: str = "auto"

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Look:
        """The look that the page's values mean: shares, amounts, regions, strength and teeth, all of them optional.

        Raises:
            UsageError: A name is unknown or a number out of range.
        """
        shares = _numbers(values.get("shares", {}))
        if unknown := set(shares) - set(EXPRESSIONS):
            raise UsageError(
                f"There is no expression {min(unknown)!r}; choose from {', '.join(EXPRESSIONS)}."
            )
        amounts = {
            find_control(name)[0]: amount for name, amount in _numbers(values.get("amounts", {})).items()
        }
        regions = values.get("regions", REGIONS)
        if not isinstance(regions, Sequence) or not set(regions) <= set(REGIONS):
            raise UsageError(f"There are no regions {regions!r}; choose from {', '.join(REGIONS)}.")
        strength = _numbers({"strength": values.get("strength", 1.0)}).get("strength", 0.0)
        check_strength(strength)
        teeth = str(values.get("teeth", "auto"))
        check_teeth(teeth)
        look = cls(
            {name: shares[name] for name in EXPRESSIONS if name in shares},
            dict(sorted(amounts.items(), key=lambda item: not ANATOMICAL.fullmatch(item[0]))),
            tuple(name for name in REGIONS if name in regions),
            strength,
            teeth,
        )
        look.expression()
        return look

    @classmethod
    def of_recipe(cls, expression: Expression) -> Look:
        """The look of an expression, at strength 1 and with the teeth left open."""
        asked = {"shares": expression.classes, "amounts": expression.controls}
        return cls.of({**asked, "regions": expression.regions or REGIONS})

    def values(self) -> dict[str, Any]:
        """What `of` makes the same look of, as JSON can hold it."""
        return {
            "shares": dict(self.shares),
            "amounts": dict(self.amounts),
            "regions": list(self.regions),
            "strength": self.strength,
            "teeth": self.teeth,
        }

    @property
    def asks(self) -> bool:
        """Whether anything is asked for."""
        return bool((self.shares or self.amounts) and self.regions)

    def expression(self) -> Expression:
        """What `exprgan edit` makes of the options.

        Raises:
            UsageError: A number is out of range.
        """
        if not (self.shares or self.amounts):
            return Expression()
        region = ",".join(self.regions) if self.regions != REGIONS and self.regions else None
        amounts = parse_amounts(*self._amount_words())
        (expression,) = wanted_expressions(self._blend(), controls=amounts, region=region).values()
        return expression

    def words(self, photo: str, face: str = "largest", teeth_from: str = "") -> list[str]:
        """The words of the command that repeats the look on a photo's faces, `exprgan` first.

        Args:
            photo: Its file.
            face: What --face names.
            teeth_from: Another photo whose teeth are shown where the page leaves them open; empty for none.
        """
        au, control = self._amount_words()
        words = ["exprgan", "edit", photo]
        for option, given in (("--to", self._blend()), ("--au", au), ("--control", control)):
            words += [word for each in given for word in (option, each)]
        if self.regions and self.regions != REGIONS:
            words += ["--region", ",".join(self.regions)]
        if self.strength != 1:
            words += ["--strength", _written(self.strength)]
        if face != "largest":
            words += ["--face", face]
        if self.teeth != CHOICES[0]:
            words += ["--teeth", self.teeth]
        elif teeth_from:
            words += ["--teeth-from", teeth_from]
        if self._has_long_label:
            words += ["--output", self.file_name(photo)]
        return words

    def command(self, photo: str, face: str = "largest", teeth_from: str = "") -> str:
        """The command in one line, quoted for a shell.

        >>> Look({"happy": 0.6}, {"AU4L": 0.3}).command("my photo.jpg", "0")
        "exprgan edit 'my photo.jpg' --to happy:0.6 --au 4L=0.3 --face 0"
        """
        return shlex.join(self.words(photo, face, teeth_from))

    def file_name(self, photo: str) -> str:
        """The name that `exprgan edit` gives the result."""
        label = "edited" if self._has_long_label else self.expression().label
        return result_paths(Path(photo), [label], Path())[label].name

    def recipe(self) -> str:
        """The file that `--save-recipe` writes; a strength beside 1 is said in a comment, as a recipe has none."""
        text = self.expression().to_toml()
        if self.strength == 1:
            return text
        return f"{text}\n# made at --strength {_written(self.strength)}, which a recipe does not hold\n"

    @property
    def _has_long_label(self) -> bool:
        return len(self.expression().label) > LONGEST_LABEL

    def _blend(self) -> list[str]:
        parts = [name if share == 1 else f"{name}:{_written(share)}" for name, share in self.shares.items()]
        return ["+".join(parts)] if parts else []

    def _amount_words(self) -> tuple[list[str], list[str]]:
        """What stands after --au and --control."""
        au: list[str] = []
        control: list[str] = []
        for name, amount in self.amounts.items():
            is_unit = ANATOMICAL.fullmatch(name)
            (au if is_unit else control).append(f"{name.removeprefix('AU')}={_written(amount)}")
        return au, control


def _numbers(values: Any) -> dict[str, float]:
    """Numbers by name, rounded as sliders give them; zeros are left out.

    Raises:
        UsageError: One is no number.
    """
    if not isinstance(values, Mapping):
        raise UsageError(f"{values!r} holds no amounts by name; reload the page.")
    found = {}
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
            raise UsageError(f"{name} is asked for at {value}; give a number from {-MOST:g} to {MOST:g}.")
        if rounded := round(float(value), DECIMALS):
            found[str(name)] = rounded
    return found


def _written(amount: float) -> str:
    return f"{amount:g}"
