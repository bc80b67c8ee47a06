"""Which faces are edited."""

from __future__ import annotations

import numpy as np
import pytest

from exprgan.errors import UsageError
from exprgan.faces.choice import MAX_YAW_DEG, check_choice, choose_faces, refusal
from exprgan.faces.face import Face

SIZE_HW = (400, 600)


def face(x: float, y: float, size: float, yaw: float = 0.0) -> Face:
    box = np.array([x - size / 2, y - size / 2, x + size / 2, y + size / 2], np.float32)
    return Face(box, 0.9, np.zeros((5, 2), np.float32), np.zeros((478, 2), np.float32), (0.0, yaw, 0.0))


FACES = [face(100, 100, 90), face(310, 190, 50), face(500, 300, 120, yaw=-70)]


@pytest.mark.parametrize(
    ("choice", "chosen"), [("largest", [0]), ("center", [1]), ("all", [0, 1]), ("2", [2]), (1, [1])]
)
def test_choices(choice: str | int, chosen: list[int]) -> None:
    assert choose_faces(FACES, choice, SIZE_HW) == chosen


@pytest.mark.parametrize("choice", ["3", 99, "first", "-1", "1.5", ""])
def test_what_is_no_face_is_an_error_of_use(choice: str | int) -> None:
    with pytest.raises(UsageError):
        choose_faces(FACES, choice, SIZE_HW)


def test_choices_are_checked_before_the_faces_are_known() -> None:
    check_choice("ALL")
    check_choice(7)
    with pytest.raises(UsageError, match="largest, all, center or a number"):
        check_choice("biggest")


def test_no_face_gives_no_choice() -> None:
    assert choose_faces([], "largest", SIZE_HW) == []
    assert choose_faces([FACES[2]], "largest", SIZE_HW) == []


def test_only_profiles_are_refused_and_the_reason_says_how_far() -> None:
    assert refusal(face(0, 0, 10, yaw=MAX_YAW_DEG)) == ""
    assert "41°" in refusal(face(0, 0, 10, yaw=-(MAX_YAW_DEG + 1)))
