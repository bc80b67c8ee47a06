"""Settings of training by NAME=VALUE words, for frozen dataclasses that may hold others."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from exprgan.errors import UsageError

T = TypeVar("T")
_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


def changed(config: T, words: Sequence[str]) -> tuple[T, list[str]]:
    """A config with the settings changed that it has, and the words whose names it does not have.

    Args:
        config: A frozen dataclass; fields of the dataclasses that it holds are found by their own names too.
        words: NAME=VALUE; tuples are written as 32,64.

    Raises:
        UsageError: A word is no NAME=VALUE, or its value is not of the setting's type.
    """
    left = []
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set {word} is no NAME=VALUE; for example --set batch_size=32.")
        if name in setting_names(config):
            config = replaced(config, name, _parse(name, value, _value(config, name)))
        else:
            left.append(word)
    return config, left


def replaced(config: Any, name: str, value: Any) -> Any:
    """A config with one setting changed, its own or of a config that it holds.

    Raises:
        KeyError: There is no such setting.
    """
    for field in dataclasses.fields(config):
        held = getattr(config, field.name)
        if field.name == name and _is_plain(config, field):
            return dataclasses.replace(config, **{name: value})
        if dataclasses.is_dataclass(held) and name in setting_names(held):
            return dataclasses.replace(config, **{field.name: replaced(held, name, value)})
    raise KeyError(name)


def refuse(words: Sequence[str], *configs: Any) -> None:
    """Raise for words that no config knows.

    Raises:
        UsageError: There is such a word; the message names the nearest known setting.
    """
    for word in words:
        name = word.partition("=")[0]
        known = [setting for config in configs for setting in setting_names(config)]
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
        raise UsageError(f"There is no setting {name!r}; {hint}")


def setting_names(config: Any) -> list[str]:
    """Names of all settings of a config and of the configs that it holds."""
    return [
        field.name
        for owner in _owners(config)
        for field in dataclasses.fields(owner)
        if _is_plain(owner, field)
    ]


def _owners(config: Any) -> Iterator[Any]:
    yield config
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _owners(value)


def _is_plain(owner: Any, field: dataclasses.Field[Any]) -> bool:
    return isinstance(getattr(owner, field.name), (bool, int, float, str, tuple))


def _value(config: Any, name: str) -> Any:
    return next(getattr(owner, name) for owner in _owners(config) if hasattr(owner, name))


def _parse(name: str, text: str, default: Any) -> Any:
    kind: type = type(default)
    try:
        if kind is tuple:
            return tuple(_one(part, type(default[0]) if default else int) for part in text.split(",") if part)
        return _one(text, kind)
    except (ValueError, KeyError) as error:
        wanted = (
            f"{_KINDS[type(default[0])]}s with commas" if kind is tuple and default else _KINDS.get(kind, "")
        )
        raise UsageError(f"--set {name}={text}: {name} takes {wanted}, for example {default}.") from error


def _one(text: str, kind: type) -> Any:
    if kind is bool:
        return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
    return kind(text)
