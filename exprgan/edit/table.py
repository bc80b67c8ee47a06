"""The table of a set of edits: one row for each edited face of each result, what was asked and what is measured.

Rows are appended as results are made, so that a run that is killed loses none; a row of a result that is made again
takes the place of the older one when the table is closed.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exprgan.action_units import ACTION_UNITS
from exprgan.errors import ExprganError, UsageError
from exprgan.face_parts import CROP_PX
from exprgan.files import write_whole
from exprgan.photos import colour
from exprgan.photos.decode import reason
from exprgan.version import __version__

if TYPE_CHECKING:
    from exprgan.edit.editor import Editor
    from exprgan.edit.plan import Asked
    from exprgan.edit.scene import EditResult
    from exprgan.face_model.measured import Measured
    from exprgan.faces.face import Face

COLUMNS = (
    "input", "output", "face", "expression", "strength", "region",
    *(f"before_{unit}" for unit in ACTION_UNITS), *(f"after_{unit}" for unit in ACTION_UNITS),
    "residual_before_cm", "residual_after_cm", "identity_cosine",
    "input_sha256", "output_sha256", "version", "weights", "note",
)  # fmt: skip
KEY = ("output", "face")
"""Columns that name a row."""


class Table:
    """A CSV file that rows are added to.

    Args:
        path: Its file.
        measurer: Measures what it says.
        overwrite: Whether a file that exists may be replaced.
        resume: Whether a file that exists is gone on with.

    Raises:
        UsageError: It exists and neither is allowed, is no such table, or cannot be written.
    """

    def __init__(
        self, path: Path, measurer: Measurer | None = None, *, overwrite: bool = False, resume: bool = False
    ) -> None:
        self.path, self.measurer, self._lock = path, measurer, threading.Lock()
        self._rows: dict[tuple[str, ...], dict[str, str]] = {}
        self._is_doubled = False
        exists = os.path.exists(path)
        if exists and not (overwrite or resume):
            raise UsageError(f"{path} exists; allow to replace it with --overwrite or name another --table.")
        if exists and resume:
            self._read()
        try:
            if not self._rows:
                write_whole(path, (",".join(COLUMNS) + "\n").encode())
        except OSError as error:
            raise UsageError(
                f"The table {path} cannot be written ({reason(error)}); name another one."
            ) from error

    def record(self, result: EditResult, asked: Asked, names: Mapping[str, str]) -> None:
        """Measure a result's faces and append their rows; `names` are the columns that say which files it is about.

        Raises:
            ExprganError: They cannot be written.
        """
        if self.measurer is not None:
            self.add(self.measurer.rows(result, asked, names))

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows and see to it that they are on the disk.

        Raises:
            ExprganError: They cannot be written.
        """
        texts = [{name: _text(row.get(name)) for name in COLUMNS} for row in rows]
        buffer = io.StringIO(newline="")
        csv.DictWriter(buffer, COLUMNS, lineterminator="\n").writerows(texts)
        try:
            with self._lock, self.path.open("ab") as file:
                file.write(buffer.getvalue().encode("utf-8", "surrogateescape"))
                file.flush()
                os.fsync(file.fileno())
                for row in texts:
                    self._is_doubled |= _key(row) in self._rows
                    self._rows[_key(row)] = row
        except OSError as error:
            raise ExprganError(
                f"{self.path} cannot be written ({reason(error)}); choose another --table."
            ) from error

    def drop(self, output: Path) -> None:
        """Forget the rows of a result that could not be written after all."""
        with self._lock:
            for key in [key for key in self._rows if key[0] == str(output)]:
                del self._rows[key]
                self._is_doubled = True

    def close(self) -> None:
        """Leave one row for each result and face, in the order of their names.

        Raises:
            ExprganError: The table cannot be written.
        """
        if not self._is_doubled and list(self._rows) == sorted(self._rows):
            return
        buffer = io.StringIO(newline="")
        writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows[key] for key in sorted(self._rows))
        try:
            write_whole(self.path, buffer.getvalue().encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise ExprganError(
                f"{self.path} cannot be written ({reason(error)}); choose another --table."
            ) from error

    def _read(self) -> None:
        try:
            text = self.path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as error:
            raise UsageError(
                f"The table {self.path} cannot be read ({reason(error)}); name another one."
            ) from error
        complete = text[: text.rfind("\n") + 1]  # the last line of a run that was killed may be torn
        reader = csv.DictReader(io.StringIO(complete, newline=""))
        if tuple(reader.fieldnames or COLUMNS) != COLUMNS:
            raise UsageError(
                f"{self.path} is no table of this version; name another --table, or replace it with --overwrite."
            )
        rows = [row for row in reader if None not in row and None not in row.values()]
        self._rows = {_key(row): row for row in rows}
        self._is_doubled = len(self._rows) < len(rows) or len(complete) < len(text)


class Measurer:
    """Measures faces before and after edits.

    Args:
        editor: Whose detector finds the faces of results.
        weights: Folder of weights.

    Raises:
        WeightsError: The folder lacks the face model.
    """

    def __init__(self, editor: Editor, weights: Path) -> None:
        from exprgan.face_model.fit import OWN_NETWORK
        from exprgan.face_model.model import FaceModel
        from exprgan.weights import find, read_manifest

        self.editor, self.model = editor, FaceModel(weights, OWN_NETWORK)
        self._identity: Any = None
        if "judge_identity" in read_manifest(weights) and importlib.util.find_spec("torch"):
            self._identity = find("judge_identity", weights).load()

    def rows(self, result: EditResult, asked: Asked, names: Mapping[str, str]) -> list[dict[str, Any]]:
        """A row for each edited face; names as for `Table.record`."""
        from exprgan.face_model.measured import measured

        before_px = colour.srgb_uint8(result.photo)
        after_px = colour.srgb_uint8(replace(result.photo, pixels=result.image))
        found = self.editor.detector.detect(after_px)
        rows = []
        for outcome in result.faces:
            if not outcome.edited:
                continue
            before, other = measured(self.model, outcome.face), _same_face(outcome.face, found)
            after = None if other is None else measured(self.model, other)
            rows.append(
                {
                    **names,
                    "face": outcome.index,
                    "expression": asked.expression.text,
                    "strength": asked.strength,
                    "region": "+".join(asked.expression.regions) or "all",
                    **{f"before_{unit}": value for unit, value in before.action_units.items()},
                    **({f"after_{unit}": v for unit, v in after.action_units.items()} if after else {}),
                    "residual_before_cm": round(before.analysis.residual_cm, 4),
                    "residual_after_cm": round(after.analysis.residual_cm, 4) if after else None,
                    "identity_cosine": self._cosine(before_px, after_px, before),
                    "version": __version__,
                    "weights": result.weights,
                    "note": outcome.note or ("" if after else "no face is found in the result"),
                }
            )
        return rows

    def _cosine(self, before_px: Any, after_px: Any, face: Measured) -> float | None:
        """How much alike the two pictures' faces are as people, -1 to 1."""
        if self._identity is None:
            return None
        import torch

        from exprgan.faces.align import warp_crop
        from exprgan.models.pixels import to_tensor

        crops = [
            to_tensor(warp_crop(pixels, face.matrix, CROP_PX), "cpu") for pixels in (before_px, after_px)
        ]
        with torch.inference_mode():
            first, second = (self._identity.embed(crop)[0] for crop in crops)
        return round(float(first @ second), 4)


def _same_face(face: Face, found: list[Face]) -> Face | None:
    """The face at the same place, or None."""
    if not found:
        return None
    centre = face.points5_xy.mean(axis=0)
    distances = [float(np.linalg.norm(other.points5_xy.mean(axis=0) - centre)) for other in found]
    nearest = int(np.argmin(distances))
    return found[nearest] if distances[nearest] < 0.3 * face.size_px else None


def _key(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[name] for name in KEY)


def _text(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
