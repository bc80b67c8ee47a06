"""Readers of data sets as their makers hand them out, one module a set.

A reader goes through a folder and gives a `Record` for each picture that can be used and a `Problem` for each
file or label that does not fit. It decodes nothing; faces are looked for when the set is prepared.
"""

from __future__ import annotations

import difflib
import importlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from exprgan.errors import UsageError


@dataclass(frozen=True)
class Record:
    """One picture of a set, as far as the set itself describes it.

    Attributes:
        key: Name within the set, of letters that any file system takes; no dots, folders parted by "/".
        path: The picture, or the video that holds it.
        expression: Index into `exprgan.expressions.EXPRESSIONS`, -1 where unknown.
        subject: Who it is, "" where unknown.
        split: Train, val or test as the set's makers have it; "" where they have none.
        action_units: 17 intensities in [0, 1] in the order of `ACTION_UNITS`, or None.
        mask: Picture of CelebAMask-HQ's class numbers, or None.
        mask_parts: Class number and picture (not 0 where the class is) of each part of a mask, later ones
            over earlier ones.
        frame: Which frame of the video, from 0; None for a picture.
        face_xyxy: Box of the face that is meant, in pixels; None takes the largest face.
        is_aligned: The picture is an aligned crop already.
        may_lie: The picture may be turned by 90 degrees.
    """

    key: str
    path: Path
    expression: int = -1
    subject: str = ""
    split: str = ""
    action_units: tuple[float, ...] | None = None
    mask: Path | None = None
    mask_parts: tuple[tuple[int, Path], ...] = ()
    frame: int | None = None
    face_xyxy: tuple[float, float, float, float] | None = None
    is_aligned: bool = False
    may_lie: bool = False


@dataclass(frozen=True)
class Problem:
    """A file or label that is left out: its name within the set, and why in a few words."""

    name: str
    reason: str


Reader = Callable[[Path], Iterator[Record | Problem]]

SETS = {
    "affectnet": "affectnet",
    "rafd": "rafd",
    "kdef": "kdef",
    "celebamask-hq": "celebamask_hq",
    "mmi": "mmi",
    "cfd": "cfd",
    "folder": "class_folders",
    "open-faces": "aligned_sets",
    "synthetic-faces": "aligned_sets",
}
"""Modules by the names of the sets that they read."""

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def check_name(name: str) -> str:
    """The name of a known set, whatever its case.

    Raises:
        UsageError: There is no such set; the message names the nearest one.
    """
    word = name.strip().lower().replace("_", "-")
    if word in SETS:
        return word
    near = difflib.get_close_matches(word, SETS, n=1)
    hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(SETS)}."
    raise UsageError(f"There is no reader for {name!r}; {hint}")


def read(name: str, folder: Path) -> Iterator[Record | Problem]:
    """The records and problems of a set, always in the same order.

    Args:
        name: One of `SETS`.
        folder: The set as its makers hand it out.

    Raises:
        UsageError: There is no such reader, no such folder, or the folder does not hold that set at all.
    """
    name = check_name(name)
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}; name the folder of the data set.")
    reader: Reader = importlib.import_module(f"{__name__}.{SETS[name]}").read
    return _with_own_keys(reader(folder), folder)


def _with_own_keys(items: Iterator[Record | Problem], folder: Path) -> Iterator[Record | Problem]:
    """The items, without pictures that are not there and with no key twice."""
    seen: Counter[str] = Counter()
    for item in items:
        if isinstance(item, Record):
            if not item.path.is_file():
                yield Problem(relative_name(item.path, folder), "the file is not there")
                continue
            key = item.key
            while key.lower() in seen:  # a.jpg beside a.png, or on a disk that ignores case
                seen[item.key.lower()] += 1
                key = f"{item.key}-{seen[item.key.lower()]}"
            seen[key.lower()] = 1
            item = replace(item, key=key)
        yield item


def key_of(name: str) -> str:
    """A key for a picture's name within its set.

    >>> key_of("happy/Anna 1.b.jpg")
    'happy/Anna_1_b'
    """
    stem = Path(name).with_suffix("").as_posix()
    return "".join(letter if letter.isalnum() or letter in "-_/" else "_" for letter in stem)


def relative_name(path: Path, folder: Path) -> str:
    """How a file of a set is named to people."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def pictures_below(folder: Path) -> Iterator[Path]:
    """All pictures in a folder and the folders below it, sorted; hidden ones are passed over."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from pictures_below(path)
        elif path.suffix.lower() in PICTURE_SUFFIXES:
            yield path
