"""CelebAMask-HQ (https://github.com/switchablenorms/CelebAMask-HQ): masks of 19 classes for 30,000 portraits.

    CelebA-HQ-img/0.jpg ...                     1024 px
    CelebAMask-HQ-mask-anno/0/00000_hair.png    512 px, one file a class and picture, 2000 pictures a folder
    CelebA-HQ-to-CelebA-mapping.txt             number, id within CelebA, file within CelebA
    CelebAMask-HQ-attribute-anno.txt            not read: "Smiling" is no expression label
    identity_CelebA.txt                         of CelebA, not part of the set; where it is there, it gives the subjects

Masks are put together as the set's own script does: classes in its order, each where its file is not 0. The
split is the set's own, too, by the second column of the mapping: from 162771 on val, from 182638 on test.
The set has no labels of expressions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from exprgan.data.readers import Problem, Record, relative_name
from exprgan.errors import UsageError
from exprgan.face_parts import CLASS_NAMES

IMAGES, MASKS = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
MAPPING, IDENTITIES = "CelebA-HQ-to-CelebA-mapping.txt", "identity_CelebA.txt"
PICTURES_A_FOLDER = 2000
FIRST_VAL, FIRST_TEST = 162771, 182638


def read(folder: Path) -> Iterator[Record | Problem]:
    """The portraits with their masks.

    Raises:
        UsageError: A folder or the mapping is missing.
    """
    for needed in (IMAGES, MASKS, MAPPING):
        if not (folder / needed).exists():
            raise UsageError(
                f"{folder} holds no {needed}; give the folder that CelebAMask-HQ was unpacked to."
            )
    mapping = _read_mapping(folder / MAPPING)
    identities = _read_identities(folder / IDENTITIES)
    paths = [path for path in (folder / IMAGES).iterdir() if path.suffix.lower() == ".jpg"]
    for path in sorted(paths, key=lambda path: (len(path.stem), path.stem)):
        name = relative_name(path, folder)
        if not path.stem.isdecimal():
            yield Problem(name, "the name is none of CelebAMask-HQ's")
        elif int(path.stem) not in mapping:
            yield Problem(name, "not in the mapping to CelebA")
        elif not (parts := _mask_parts(folder / MASKS, int(path.stem))):
            yield Problem(name, "no file of its mask is there")
        else:
            original, file = mapping[int(path.stem)]
            yield Record(
                key=f"{int(path.stem):05d}",
                path=path,
                subject=identities.get(file, ""),
                split=_split_of(original),
                mask_parts=parts,
            )


def _read_mapping(path: Path) -> dict[int, tuple[int, str]]:
    """CelebA's id and file by the set's number."""
    rows = [line.split() for line in path.read_text().splitlines()]
    return {
        int(row[0]): (int(row[1]), row[2])
        for row in rows
        if len(row) >= 3 and row[0].isdecimal() and row[1].isdecimal()
    }


def _read_identities(path: Path) -> dict[str, str]:
    """Who is on a picture of CelebA, by its file."""
    if not path.is_file():
        return {}
    return dict(line.split() for line in path.read_text().splitlines() if len(line.split()) == 2)


def _split_of(original: int) -> str:
    return "test" if original >= FIRST_TEST else "val" if original >= FIRST_VAL else "train"


def _mask_parts(folder: Path, number: int) -> tuple[tuple[int, Path], ...]:
    below = folder / str(number // PICTURES_A_FOLDER)
    files = ((label, below / f"{number:05d}_{name}.png") for label, name in enumerate(CLASS_NAMES) if label)
    return tuple((label, file) for label, file in files if file.is_file())
