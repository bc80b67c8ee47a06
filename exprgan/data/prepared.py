"""Prepared sets: a table of crops beside the crops themselves, in a folder or in shards.

index.csv has a row a crop: key, image, mask, expression, subject, split and the action units. What `image` and
`mask` say is for the storage: a path within the folder, or a place within a shard.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exprgan.action_units import ACTION_UNITS
from exprgan.data.pictures import decode_grey, decode_rgb
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS

TABLE, NOTES = "index.csv", "prepared.json"
COLUMNS = ("key", "image", "mask", "expression", "subject", "split", *ACTION_UNITS)
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Row:
    """One line of the table; empty texts and -1 stand for what is unknown."""

    key: str
    image: str
    mask: str
    expression: int
    subject: str
    split: str
    action_units: tuple[float, ...] | None


def write_table(rows: Iterable[Row]) -> str:
    """The table as text, the same for the same rows on every machine."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        units = [_cell(value) for value in row.action_units or [np.nan] * len(ACTION_UNITS)]
        name = EXPRESSIONS[row.expression] if row.expression >= 0 else ""
        writer.writerow([row.key, row.image, row.mask, name, row.subject, row.split, *units])
    return text.getvalue()


def read_table(text: str, where: str) -> list[Row]:
    """The rows of a table.

    Raises:
        UsageError: It is no table of ours or is damaged.
    """
    lines = csv.reader(io.StringIO(text, newline=""))
    head = next(lines, [])
    missing = [name for name in COLUMNS if name not in head]
    if missing:
        raise UsageError(
            f"{where} has no column {missing[0]!r}; prepare the set anew with `exprgan data prepare`."
        )
    places = [head.index(name) for name in COLUMNS]
    try:
        return [_row_of([cells[place] for place in places]) for cells in lines]
    except (ValueError, IndexError, csv.Error) as error:
        raise UsageError(
            f"{where} is damaged in line {lines.line_num}; prepare the set anew with `exprgan data prepare`."
        ) from error


def _row_of(cells: list[str]) -> Row:
    """A row of cells in the order of `COLUMNS`."""
    key, image, mask, expression, subject, split, *units = cells
    if split not in SPLITS:
        raise ValueError(split)
    label = EXPRESSIONS.index(expression) if expression else -1
    intensities = tuple(float(cell) if cell else np.nan for cell in units) if any(units) else None
    return Row(key, image, mask, label, subject, split, intensities)


def _cell(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"


class PreparedFaces:
    """A prepared set; a `FaceSet`.

    Args:
        name: What the set is called.
        rows: Its table.
        fetch: Bytes of what a cell of `image` or `mask` says.
    """

    def __init__(self, name: str, rows: list[Row], fetch: Callable[[str], bytes]) -> None:
        self.name, self._fetch = name, fetch
        self.keys = [row.key for row in rows]
        self._images = [row.image for row in rows]
        self._masks = [row.mask for row in rows]
        self.expressions = np.array([row.expression for row in rows], np.int64)
        self.subjects = np.array([row.subject for row in rows], np.str_)
        self.splits = np.array([row.split for row in rows], np.str_)
        blank = (np.nan,) * len(ACTION_UNITS)
        units = [row.action_units or blank for row in rows]
        self.action_units = np.array(units, np.float32).reshape(-1, len(ACTION_UNITS))

    def __len__(self) -> int:
        return len(self.keys)

    def image(self, row: int) -> NDArray[np.uint8]:
        """uint8 RGB (256, 256, 3), aligned to the FFHQ template."""
        return decode_rgb(self._fetch(self._images[row]))

    def mask(self, row: int) -> NDArray[np.uint8] | None:
        """uint8 (256, 256) of CelebAMask-HQ's class numbers, 255 where unlabelled; None without a mask."""
        return decode_grey(self._fetch(self._masks[row])) if self._masks[row] else None


def read_notes(folder: Path) -> dict[str, object]:
    """What prepared.json says of how the set was made; empty where there is none."""
    try:
        notes = json.loads((folder / NOTES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return notes if isinstance(notes, dict) else {}


def open_folder(folder: Path) -> PreparedFaces:
    """The set that `exprgan data prepare` made in a folder.

    Raises:
        UsageError: The table is damaged.
    """
    path = folder / TABLE
    rows = read_table(path.read_text(encoding="utf-8"), str(path))
    notes = read_notes(folder)
    return PreparedFaces(str(notes.get("set", folder.name)), rows, _Folder(folder))


@dataclass(frozen=True)
class _Folder:
    """Reads files of a prepared folder; a class, so that it reaches the data loader's processes."""

    folder: Path

    def __call__(self, name: str) -> bytes:
        try:
            return (self.folder / name).read_bytes()
        except OSError as error:
            raise UsageError(
                f"{self.folder / name} cannot be read ({error.strerror}); prepare the set anew with "
                "`exprgan data prepare`."
            ) from error
