"""AffectNet (http://mohammadmahoor.com/affectnet/), in both forms that it has been handed out in.

The full release has lists and folders of photos; a row's box says which of a photo's faces is labelled:

    Manually_Annotated_file_lists/training.csv, validation.csv
        subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal
    Manually_Annotated_Images/1/0a1b2c....jpg

The smaller one has faces of 224 px with a file for each annotation:

    train_set/images/0.jpg, train_set/annotations/0_exp.npy; val_set/ likewise

Labels are 0 to 7 in the order of `EXPRESSIONS`; 8 none, 9 uncertain and 10 no face are left out. AffectNet says
nothing of who is who, and its test set has not been handed out: its validation photos are our val.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from exprgan.data.readers import PICTURE_SUFFIXES, Problem, Record, key_of, relative_name
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS

COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
LISTS = {"training.csv": "train", "validation.csv": "val"}
LIST_FOLDERS = ("", "Manually_Annotated_file_lists", "Manually_Annotated/Manually_Annotated_file_lists")
PHOTO_FOLDERS = ("Manually_Annotated_Images", "Manually_Annotated/Manually_Annotated_Images", "")
FOLDERS = {"train_set": "train", "val_set": "val", "test_set": "test"}
LEFT_OUT = {8: "none", 9: "uncertain", 10: "no face"}


def read(folder: Path) -> Iterator[Record | Problem]:
    """The photos of either form.

    Raises:
        UsageError: The folder holds neither.
    """
    lists = [folder / below / name for below in LIST_FOLDERS for name in LISTS]
    lists = [path for path in lists if path.is_file()]
    if lists:
        photos = next(folder / below for below in PHOTO_FOLDERS if (folder / below).is_dir())
        for path in lists:
            yield from _read_list(path, photos, folder)
    elif any((folder / name / "annotations").is_dir() for name in FOLDERS):
        for name, split in FOLDERS.items():
            if (folder / name).is_dir():
                yield from _read_folder(folder / name, split, folder)
    else:
        raise UsageError(
            f"{folder} holds neither training.csv nor train_set/annotations; "
            "give the folder that AffectNet was unpacked to."
        )


def _read_list(path: Path, photos: Path, folder: Path) -> Iterator[Record | Problem]:
    split = LISTS[path.name]
    with path.open(newline="", encoding="utf-8-sig") as file:
        first = file.readline()
        file.seek(0)
        has_head = COLUMNS[0] in first  # validation.csv has been handed out without it
        for row in csv.DictReader(file, None if has_head else COLUMNS):
            name = (row.get(COLUMNS[0]) or "").replace("\\", "/")
            photo = photos / name
            label = _label_of(row.get("expression") or "")
            if isinstance(label, str):
                yield Problem(relative_name(photo, folder), label)
            else:
                key = f"{split}/{key_of(name)}"
                yield Record(key, photo, label, split=split, face_xyxy=_box_of(row))


def _read_folder(below: Path, split: str, folder: Path) -> Iterator[Record | Problem]:
    labelled = {path.name.removesuffix("_exp.npy") for path in (below / "annotations").glob("*_exp.npy")}
    for path in sorted((below / "images").iterdir(), key=lambda path: (len(path.stem), path.stem)):
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            continue
        name = relative_name(path, folder)
        if path.stem not in labelled:
            yield Problem(name, "its annotation _exp.npy is not there")
            continue
        labelled.remove(path.stem)
        label = _label_of(_read_number(below / "annotations" / f"{path.stem}_exp.npy"))
        if isinstance(label, str):
            yield Problem(name, label)
        else:
            yield Record(f"{split}/{key_of(path.name)}", path, label, split=split)
    for stem in sorted(labelled):
        path = below / "annotations" / f"{stem}_exp.npy"
        yield Problem(relative_name(path, folder), "an annotation without its picture")


def _read_number(path: Path) -> str:
    try:
        return str(np.load(path, allow_pickle=False).item())
    except (OSError, ValueError):
        return "unreadable"


def _label_of(cell: str) -> int | str:
    """Index of the expression, or why there is none."""
    if not cell.strip().isdecimal():
        return "its label is no number"
    label = int(cell)
    if label in LEFT_OUT:
        return f"labelled {LEFT_OUT[label]}"
    return label if label < len(EXPRESSIONS) else "its label is none of AffectNet's"


def _box_of(row: dict[str, str]) -> tuple[float, float, float, float] | None:
    try:
        x, y, width, height = (float(row[name]) for name in COLUMNS[1:5])
    except (ValueError, TypeError):
        return None
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None
