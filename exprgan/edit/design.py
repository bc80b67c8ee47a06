"""Designs of stimulus sets: factors crossed, each combination a labelled edit."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from exprgan.edit.plan import MOST_STEPS, Asked, parse_strengths
from exprgan.errors import UsageError
from exprgan.face_model.expression import Expression, check_strength

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

KEYS = ("expressions", "strengths", "regions", "neutral", "crop_px")
LEAST_CROP_PX, MOST_CROP_PX = 64, 2048


@dataclass(frozen=True)
class Design:
    """What is made of each photo.

    Attributes:
        asked: By label, which names the file: expression, region where there are several, number of the strength.
        crop_px: Side of aligned crops; 0 for whole photos.
    """

    asked: Mapping[str, Asked]
    crop_px: int = 0


def load_design(path: Path) -> Design:
    """The design of a TOML file.

    Args:
        path: Holds [expressions] with a name for each and what it is, as after --to ("happy:0.6+sad:0.4") or a table
            with `to` and `controls`; strengths, a list or FIRST:LAST:STEP; regions, a list of "all" and names of
            regions; neutral, true for a baseline; crop_px.

    Raises:
        UsageError: It cannot be read, or what it says means nothing.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"The design {path} cannot be read ({reason}); name a TOML file.") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"The design {path} is no TOML ({error}); see docs/series.md.") from error
    try:
        return design_of(entries)
    except UsageError as error:
        raise UsageError(f"In the design {path}: {error}") from error


def design_of(entries: Mapping[str, Any]) -> Design:
    """The design of a file's entries.

    Raises:
        UsageError: They mean nothing.
    """
    if unknown := sorted(set(entries) - set(KEYS)):
        raise UsageError(f"There is no key {unknown[0]!r}; a design has {', '.join(KEYS)}.")
    named = entries.get("expressions")
    if not isinstance(named, dict) or not named:
        raise UsageError('[expressions] is missing; write lines such as happy = "happy" below it.')
    expressions = {name: _expression(name, words) for name, words in named.items()}
    strengths = _strengths(entries.get("strengths", [1.0]))
    regions = entries.get("regions", ["all"])
    if not isinstance(regions, list) or not regions or not all(isinstance(name, str) for name in regions):
        raise UsageError('regions is no list of names; write regions = ["all", "eyes", "mouth"].')
    asked: dict[str, Asked] = {}
    if _is(entries, "neutral", bool, False):
        asked["neutral"] = Asked(Expression.parse("neutral"), 1.0)
    digits = max(2, len(str(len(strengths) - 1)))
    for name, expression in expressions.items():
        for region in regions:
            title = f"{name}-{region.replace(',', '+')}" if len(regions) > 1 else name
            where = () if region == "all" else Expression.parse(None, None, region).regions
            shown = replace(expression, regions=where, name=title)
            for number, strength in enumerate(strengths):
                label = f"{title}-{number:0{digits}}" if len(strengths) > 1 else title
                if label in asked:
                    raise UsageError(
                        f"Two results would be called {label}; give their expressions other names."
                    )
                asked[label] = Asked(shown, strength)
    if len(asked) > MOST_STEPS:
        raise UsageError(f"That is more than {MOST_STEPS} results of a photo; make the design smaller.")
    crop_px = _is(entries, "crop_px", int, 0)
    if crop_px and not LEAST_CROP_PX <= crop_px <= MOST_CROP_PX:
        raise UsageError(
            f"crop_px is {crop_px}; give {LEAST_CROP_PX} to {MOST_CROP_PX}, or 0 for whole photos."
        )
    return Design(asked, crop_px)


def grid_of(
    words: str, steps: Sequence[float]
) -> tuple[tuple[Expression, Expression], list[list[Expression]]]:
    """Two expressions and their blends: rows of growing shares of the second, columns of the first.

    Raises:
        UsageError: The words are not two expressions.
    """
    parts = words.split(",")
    if len(parts) != 2:
        raise UsageError(f"--grid {words} is no pair; name two expressions, such as --grid happy,surprise.")
    first, second = (Expression.parse(part.strip()) for part in parts)
    if first.label == second.label:
        raise UsageError(f"--grid {words} names one expression twice; name two.")
    return (first, second), [[across * first + down * second for across in steps] for down in steps]


def _expression(name: str, words: Any) -> Expression:
    if not name or any(sign in name for sign in "/\\:") or name.startswith("."):
        raise UsageError(f"{name!r} cannot be part of a file's name; use letters, digits, - and _.")
    if isinstance(words, str):
        return Expression.parse(words)
    if isinstance(words, dict) and set(words) <= {"to", "controls"} and words:
        controls = words.get("controls")
        if isinstance(words.get("to", ""), str) and isinstance(controls or {}, dict):
            return Expression.parse(words.get("to"), controls)
    raise UsageError(
        f'{name} is no expression; write {name} = "happy:0.6+sad:0.4" or a table with to and controls.'
    )


def _strengths(value: Any) -> list[float]:
    if isinstance(value, str):
        return parse_strengths(value)
    if (
        not isinstance(value, list)
        or not value
        or not all(isinstance(each, int | float) and not isinstance(each, bool) for each in value)
    ):
        raise UsageError('strengths is no list of numbers; write strengths = [0.25, 0.5, 1] or "0:1:0.1".')
    for strength in value:
        check_strength(float(strength))
    return [float(strength) for strength in value]


def _is(entries: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = entries.get(key, default)
    if type(value) is not kind:
        what = {"bool": "true or false", "int": "a whole number"}[kind.__name__]
        raise UsageError(f"{key} is {value!r}; give {what}.")
    return value
