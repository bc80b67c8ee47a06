"""Which of the faces found are edited, and which cannot be."""

from __future__ import annotations

from collections.abc import Sequence

from exprgan.errors import UsageError
from exprgan.faces.face import Face

MAX_YAW_DEG = 40.0
"""Faces turned further show too little of one half; the networks were trained on less turned ones."""

CHOICES = ("largest", "all", "center")


def refusal(face: Face) -> str:
    """Why a face cannot be edited, in a few words; empty when it can."""
    yaw = abs(float(face.pose[1]))
    if yaw > MAX_YAW_DEG:
        return f"in profile: turned aside by {yaw:.0f}°, the limit is {MAX_YAW_DEG:.0f}°"
    return ""


def choose_faces(faces: Sequence[Face], choice: str | int, size_hw: tuple[int, int]) -> list[int]:
    """Indices of the faces to edit.

    `largest` and `center` choose among the faces that can be edited; a face chosen by its index is returned
    whether it can be edited or not.

    Args:
        faces: All faces of a photo.
        choice: largest, all, center (nearest the picture's centre) or an index into faces.
        size_hw: Height and width of the photo in pixels.

    Raises:
        UsageError: The choice is no known word and no index of a face.
    """
    word = str(choice).strip().lower()
    if word not in CHOICES:
        return [_checked_index(word, len(faces))] if faces else []
    usable = [index for index, face in enumerate(faces) if not refusal(face)]
    if word == "all" or not usable:
        return usable
    if word == "largest":
        return [max(usable, key=lambda index: faces[index].size_px)]
    return [min(usable, key=lambda index: _distance_from_centre(faces[index], size_hw))]


def check_choice(choice: str | int) -> None:
    """Raise for a choice that no photo can satisfy, before any work is done.

    Raises:
        UsageError: The choice is neither a known word nor a number from 0.
    """
    word = str(choice).strip().lower()
    if word not in CHOICES and not word.isdecimal():
        raise UsageError(f"There is no face {choice!r}; choose largest, all, center or a number from 0.")


def _checked_index(word: str, num_faces: int) -> int:
    check_choice(word)
    if int(word) >= num_faces:
        have = "one face, number 0" if num_faces == 1 else f"{num_faces} faces, numbered 0 to {num_faces - 1}"
        raise UsageError(f"There is no face {word}: the photo has {have}; see `exprgan faces`.")
    return int(word)


def _distance_from_centre(face: Face, size_hw: tuple[int, int]) -> float:
    x0, y0, x1, y1 = (float(value) for value in face.box_xyxy)
    return float(((x0 + x1) / 2 - size_hw[1] / 2) ** 2 + ((y0 + y1) / 2 - size_hw[0] / 2) ** 2)
