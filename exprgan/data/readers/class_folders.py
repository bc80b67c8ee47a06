"""Any pictures sorted into folders by expression: `happy/anna.jpg`, or `train/happy/anna.jpg`.

A folder is named by an expression or by an alias that `--to` takes, too (smile, angry ...). What lies in
folders below is taken with it. Where the topmost folders are named train, val (valid, validation) and test,
they are the split.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exprgan.data.readers import PICTURE_SUFFIXES, Problem, Record, key_of, pictures_below, relative_name
from exprgan.errors import UsageError
from exprgan.expressions import expression_index

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
}


def read(folder: Path) -> Iterator[Record | Problem]:
    """The pictures of the folders; whoever is in them is unknown."""
    for below in sorted(folder.iterdir()):
        if below.name.startswith("."):
            continue
        if below.is_dir() and below.name.lower() in SPLITS:
            for inner in sorted(below.iterdir()):
                yield from _read_class(inner, folder, SPLITS[below.name.lower()])
        else:
            yield from _read_class(below, folder, "")


def _read_class(below: Path, folder: Path, split: str) -> Iterator[Record | Problem]:
    if below.name.startswith("."):
        return
    if not below.is_dir():
        if below.suffix.lower() in PICTURE_SUFFIXES:
            yield Problem(relative_name(below, folder), "the picture lies in no folder of an expression")
        return
    try:
        expression = expression_index(below.name)
    except UsageError:
        yield Problem(relative_name(below, folder) + "/", "the folder's name is no expression")
        return
    for path in pictures_below(below):
        yield Record(key_of(relative_name(path, folder)), path, expression, split=split)
