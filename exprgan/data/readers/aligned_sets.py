"""open-faces and synthetic-faces, which are aligned already: for packing them as shards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exprgan.data.open_faces import OpenFaces
from exprgan.data.readers import Problem, Record, key_of
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.errors import UsageError


def read(folder: Path) -> Iterator[Record | Problem]:
    """The crops of either set with all that is known of them.

    Raises:
        UsageError: The folder is neither.
    """
    if (folder / "faces.csv").is_file():
        data: OpenFaces | SyntheticFaces = OpenFaces(folder)
    elif (folder / "set.csv").is_file():
        data = SyntheticFaces(folder)
    else:
        raise UsageError(f"{folder} holds neither faces.csv nor set.csv; give the folder of the set itself.")
    for number, row in enumerate(data.rows):
        is_render = isinstance(data, SyntheticFaces)
        path = folder / row["image"] if is_render else folder / "faces" / row["file"]
        yield Record(
            key=key_of(path.name),
            path=path,
            expression=int(data.expressions[number]),
            subject=str(data.subjects[number]),
            split=str(data.splits[number]),
            action_units=tuple(float(value) for value in data.action_units[number]),
            mask=folder / row["mask"] if is_render else None,
            is_aligned=True,
        )
