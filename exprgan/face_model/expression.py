"""What a face is asked to show: shares of the eight expressions, amounts of action units and controls, and where."""

from __future__ import annotations

import difflib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from exprgan.errors import UsageError
from exprgan.expressions import parse_expression
from exprgan.face_model.vocabulary import find_control

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

MOST = 1.5
"""Limit of shares, amounts and strengths; 1 is an evident movement."""
REGIONS = ("brows", "eyes", "nose", "mouth")


@dataclass(frozen=True)
class Expression:
    """What a face is asked to show; made by `parse` or `load`.

    Expressions add (`a + b`: shares and amounts add up) and scale (`0.5 * a`).

    Attributes:
        classes: Shares of the eight expressions by name, 0 to 1.5; they take the place of the face's own expression.
        controls: Amounts of action units, controls and ARKit shapes by name (`AU12`, `AU4L`, `wink_left`,
            `mouthSmileLeft`), -1.5 to 1.5; they are added to the face's own, negative ones take away.
        regions: Of `REGIONS`, where the face may change; empty means everywhere.
        name: What it is called; by default its contents.

    >>> Expression.parse("happy:.6+surprise:.4", {"12": 0.8}).label
    'happy0.6+surprise0.4+AU12_0.8'
    """

    classes: Mapping[str, float] = field(default_factory=dict)
    controls: Mapping[str, float] = field(default_factory=dict)
    regions: tuple[str, ...] = ()
    name: str = ""

    @classmethod
    def parse(
        cls,
        to: str | None = None,
        controls: Mapping[str, float] | None = None,
        region: str | Sequence[str] | None = None,
    ) -> Expression:
        """An expression in the words of the command line.

        Args:
            to: One of the eight or an alias, or a blend of them such as "happy:.6+surprise:.4".
            controls: Amounts by name.
            region: One or more of `REGIONS`, also as "eyes,brows"; None means the whole face.

        Raises:
            UsageError: A name is unknown or a number out of range.
        """
        classes: dict[str, float] = {}
        for part in to.split("+") if to is not None else ():
            name, colon, share = part.partition(":")
            known = _class_of(name)
            classes[known] = classes.get(known, 0.0) + (_number(share, name.strip(), 0.0) if colon else 1.0)
        amounts: dict[str, float] = {}
        for name, amount in (controls or {}).items():
            known = find_control(name)[0]
            amounts[known] = amounts.get(known, 0.0) + _number(amount, known, -MOST)
        return cls(classes, amounts, _regions_of(region))._checked()

    @classmethod
    def load(cls, path: Path | str) -> Expression:
        """The expression of a file that `save` or a person wrote.

        Raises:
            UsageError: The file cannot be read, or what it says means nothing.
        """
        path = Path(path)
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise UsageError(f"The recipe {path} cannot be read ({reason}); name a TOML file.") from error
        except tomllib.TOMLDecodeError as error:
            raise UsageError(f"The recipe {path} is no TOML ({error}); see `exprgan expressions`.") from error
        try:
            return replace(cls._of_entries(entries), name=path.stem)
        except UsageError as error:
            raise UsageError(f"In the recipe {path}: {error}") from error

    @classmethod
    def _of_entries(cls, entries: Mapping[str, Any]) -> Expression:
        if unknown := sorted(set(entries) - {"to", "controls", "region"}):
            raise UsageError(f"There is no key {unknown[0]!r}; a recipe has to, controls and region.")
        for name in ("to", "controls"):
            if not isinstance(entries.get(name, {}), dict):
                raise UsageError(f"{name} is no table; write [{name}] and a line `name = amount` below it.")
        shares = {_class_of(name): _number(share, name, 0.0) for name, share in entries.get("to", {}).items()}
        region = entries.get("region")
        if region is not None and not (
            isinstance(region, str)
            or (isinstance(region, list) and all(isinstance(each, str) for each in region))
        ):
            raise UsageError(f"region is {region!r}; name one or more of {', '.join(REGIONS)}.")
        return replace(cls.parse(None, entries.get("controls"), region), classes=shares)._checked()

    def check(self, strength: float, *, only_eight: bool = False) -> None:
        """Raise unless it can be shown at a strength.

        Args:
            strength: Factor on all of it, 0 to 1.5.
            only_eight: By a model that knows the eight expressions alone, up to 1 and on the whole face.

        Raises:
            UsageError: It cannot.
        """
        check_strength(strength, MOST if not only_eight else 1.0)
        if only_eight and self.class_name is None:
            raise UsageError(
                "This model knows the eight expressions alone, one at a time and on the whole face; leave out --model "
                "for blends, controls and regions."
            )
        if only_eight and self.classes[str(self.class_name)] > 1:
            raise UsageError("This model goes to a share of 1; leave out --model for more.")

    def save(self, path: Path | str) -> None:
        """Write it as TOML for `load`; an existing file is replaced.

        Raises:
            UsageError: The file cannot be written.
        """
        try:
            Path(path).write_text(self.to_toml(), encoding="utf-8")
        except OSError as error:
            raise UsageError(
                f"The recipe {path} cannot be written ({error.strerror}); name another file."
            ) from error

    def to_toml(self) -> str:
        """Its text for a recipe file."""
        lines = [
            "# An expression for `exprgan edit PHOTO --recipe FILE`; `exprgan expressions` lists the names."
        ]
        if self.regions:
            lines.append(f"region = [{', '.join(f'{chr(34)}{name}{chr(34)}' for name in self.regions)}]")
        for table, amounts in (("to", self.classes), ("controls", self.controls)):
            if amounts:
                lines += ["", f"[{table}]", *(f"{name} = {amount!r}" for name, amount in amounts.items())]
        return "\n".join(lines) + "\n"

    @property
    def label(self) -> str:
        """A word for names of files: its name, or what it holds."""
        if self.name:
            return self.name
        parts = [name if share == 1 else f"{name}{share:g}" for name, share in self.classes.items()]
        parts += [f"{name}_{amount:g}" for name, amount in self.controls.items()]
        return "+".join([*parts, *self.regions]) or "unchanged"

    @property
    def text(self) -> str:
        """All that it asks for in one line, the same for equal expressions."""
        if self.class_name == self._unnamed().label:
            return self.class_name
        parts = [f"{name}:{share:g}" for name, share in sorted(self.classes.items())]
        parts += [f"{name}={amount:g}" for name, amount in sorted(self.controls.items())]
        return " ".join([*parts, *(f"@{name}" for name in self.regions)])

    @property
    def class_name(self) -> str | None:
        """The expression, where it is one of the eight alone, at whatever share, on the whole face."""
        return (
            next(iter(self.classes))
            if len(self.classes) == 1 and not (self.controls or self.regions)
            else None
        )

    def __add__(self, other: Expression) -> Expression:
        if not isinstance(other, Expression):
            return NotImplemented
        if self.regions != other.regions and self._asks and other._asks:
            raise UsageError("Expressions of different regions do not add up; give both the same region.")
        regions = self.regions if self._asks else other.regions
        return Expression(
            _sum(self.classes, other.classes), _sum(self.controls, other.controls), regions
        )._checked()

    def __mul__(self, factor: float) -> Expression:
        def scaled(part: Mapping[str, float]) -> dict[str, float]:
            return {name: amount * factor for name, amount in part.items()}

        return Expression(scaled(self.classes), scaled(self.controls), self.regions)._checked()

    __rmul__ = __mul__

    @property
    def _asks(self) -> bool:
        return bool(self.classes or self.controls)

    def _unnamed(self) -> Expression:
        return replace(self, name="")

    def _checked(self) -> Expression:
        for name, share in self.classes.items():
            _number(share, name, 0.0)
        for name, amount in self.controls.items():
            _number(amount, name, -MOST)
        return self


def check_strength(strength: float, most: float = MOST) -> None:
    """Raise unless a strength is a number from 0 to `most`.

    Raises:
        UsageError: It is none.
    """
    if not (math.isfinite(strength) and 0 <= strength <= most):
        raise UsageError(f"The strength is {strength:g}; give a number from 0 to {most:g}.")


def _sum(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    names = dict.fromkeys([*first, *second])
    return {name: first.get(name, 0.0) + second.get(name, 0.0) for name in names}


def _class_of(name: str) -> str:
    try:
        return parse_expression(name)
    except UsageError:
        try:
            control = find_control(name)[0]
        except UsageError:
            pass
        else:
            raise UsageError(
                f"{name.strip()!r} is a control, not one of the eight expressions; "
                f"write --control {control}=1."
            ) from None
        raise


def _number(value: Any, name: str, least: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not (math.isfinite(number) and least <= number <= MOST):
        raise UsageError(f"{name} is asked for at {value}; give a number from {least:g} to {MOST:g}.")
    return number


def _regions_of(region: str | Sequence[str] | None) -> tuple[str, ...]:
    words = region.split(",") if isinstance(region, str) else list(region or ())
    names = [word.strip().lower() for word in words]
    for name in names:
        if name not in REGIONS:
            near = difflib.get_close_matches(name, REGIONS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(REGIONS)}."
            raise UsageError(f"There is no region {name!r}; {hint}")
    chosen = tuple(name for name in REGIONS if name in names)
    return () if chosen == REGIONS else chosen
