"""The sheet of before and after."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exprgan.edit.scene import EditResult, FaceOutcome
from exprgan.edit.sheet import before_after_sheet, encode_sheet
from exprgan.faces.face import Face
from exprgan.photos.photo import Photo


def made_result(expression: str, colour: tuple[int, int, int]) -> EditResult:
    """A grey photo (300, 600) whose only face, at its left, was painted over."""
    pixels = np.full((300, 600, 3), 128, np.uint8)
    photo = Photo(pixels=pixels, format="PNG", mode="RGB")
    box = np.array([100, 100, 160, 180], np.float32)
    face = Face(box, 0.9, np.zeros((5, 2), np.float32), np.zeros((478, 2), np.float32), (0.0, 0.0, 0.0))
    image = pixels.copy()
    image[100:180, 100:160] = colour
    return EditResult(image, (FaceOutcome(0, face, True),), expression, 1.0, photo)


def share_of(sheet: Image.Image, colour: tuple[int, int, int]) -> float:
    return float(np.all(np.asarray(sheet) == colour, axis=2).mean())


def test_sheet_shows_the_face_large_before_and_after() -> None:
    sheet = before_after_sheet([made_result("happy", (255, 0, 0))], panel_px=200)
    assert sheet.width > 1.3 * sheet.height
    assert share_of(sheet, (255, 0, 0)) > 0.04
    assert np.asarray(sheet)[sheet.height // 2, sheet.width // 4].tolist() == [128, 128, 128]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 1), (8, 3)])
def test_sheet_has_three_pictures_a_row(count: int, rows: int) -> None:
    one = before_after_sheet([made_result("happy", (255, 0, 0))], panel_px=100)
    sheet = before_after_sheet([made_result("sad", (0, 0, 255))] * count, panel_px=100)
    assert sheet.height == pytest.approx(rows * one.height, abs=10 * rows)


def test_sheet_is_of_the_format_that_its_extension_names() -> None:
    for name, kind in (("sheet.png", "PNG"), ("sheet.jpg", "JPEG")):
        data = encode_sheet(Path(name), [made_result("happy", (255, 0, 0))])
        with Image.open(BytesIO(data)) as sheet:
            assert sheet.format == kind
