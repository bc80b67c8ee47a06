"""Sets of aligned face crops, all read through one protocol, whatever they are stored as."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from exprgan.data import prepared, remote_shards, shards
from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.errors import UsageError


class FaceSet(Protocol):
    """Aligned crops with what is known of each; crop number n is a pure function of n.

    Attributes:
        name: What the set is called in tables: open-faces, affectnet ...
        expressions: (N,) index into `exprgan.expressions.EXPRESSIONS`, -1 where unknown.
        subjects: (N,) who it is, unique within the set; "" where unknown.
        splits: (N,) train, val or test.
        action_units: (N, 17) intensities in [0, 1] in the order of `action_units.ACTION_UNITS`, NaN where
            unknown.
    """

    name: str
    expressions: NDArray[np.int64]
    subjects: NDArray[np.str_]
    splits: NDArray[np.str_]
    action_units: NDArray[np.float32]

    def __len__(self) -> int: ...

    def image(self, row: int) -> NDArray[np.uint8]:
        """uint8 RGB (256, 256, 3), aligned to the FFHQ five-point template."""
        ...

    def mask(self, row: int) -> NDArray[np.uint8] | None:
        """uint8 (256, 256) of CelebAMask-HQ's official class numbers, 255 where a pixel has no label.

        None where the crop has no mask.
        """
        ...


CROPS = "crops"
"""Where crops wait until `exprgan data prepare` packs them as shards."""

READERS: dict[str, Callable[[Path], FaceSet]] = {
    "faces.csv": OpenFaces,
    "set.csv": SyntheticFaces,
    shards.INDEX: shards.open_shards,
    prepared.TABLE: prepared.open_folder,
}
"""Readers by the file that a folder of their kind holds."""


def open_set(source: Path | str) -> FaceSet:
    """One set: open-faces, synthetic-faces, or what `exprgan data prepare` made; shards may be at an address.

    Raises:
        UsageError: It is not there or is no such set.
    """
    if remote_shards.is_address(source):
        return remote_shards.open_remote(str(source))
    folder = Path(source)
    for marker, reader in READERS.items():
        if (folder / marker).is_file():
            return reader(folder)
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; name a data set, or a folder of them, with --data.")
    if _is_begun(folder):
        raise UsageError(
            f"{folder} is not finished; run the `exprgan data prepare` that began it again: what is done is kept."
        )
    raise UsageError(
        f"{folder} holds no prepared faces; make some from a data set with "
        "`exprgan data prepare NAME FOLDER --output PREPARED`."
    )


def open_sets(sources: Sequence[Path | str]) -> list[FaceSet]:
    """The sets of all sources, in their order; a source may also be a folder that contains sets.

    Raises:
        UsageError: A source is not there or holds no set.
    """
    sets: list[FaceSet] = []
    for source in sources:
        sets += [open_set(place) for place in _places(source)]
    return sets


def _places(source: Path | str) -> list[Path | str]:
    """The source itself, or the sets within it where it is a folder of sets."""
    if remote_shards.is_address(source):
        return [source]
    folder = Path(source)
    if not folder.is_dir() or _is_set(folder):
        return [source]
    return sorted(below for below in folder.iterdir() if _is_set(below) or _is_begun(below)) or [source]


def _is_set(folder: Path) -> bool:
    return any((folder / marker).is_file() for marker in READERS)


def _is_begun(folder: Path) -> bool:
    """Whether `exprgan data prepare` has been at work here; a set that is not finished is told, not passed over."""
    return (folder / prepared.NOTES).is_file() or (folder / CROPS / prepared.NOTES).is_file()
