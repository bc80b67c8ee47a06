"""Pictures given from Python: PIL pictures of every mode and arrays, and what comes back as a PIL picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from exprgan.edit.scene import EditResult, as_photo
from exprgan.errors import UsageError
from exprgan.photos import colour
from tests.photos.made_files import cmyk_profile, deep_scene, display_p3, scene


def unedited(picture: Image.Image) -> Image.Image:
    photo = as_photo(picture)
    return EditResult(photo.pixels, (), "happy", 0.0, photo).to_pil()


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pil_picture_comes_back_in_its_mode(mode: str) -> None:
    picture = Image.fromarray(scene(channels=4)).convert(mode)
    back = unedited(picture)
    assert back.mode == mode and np.array_equal(np.asarray(back), np.asarray(picture))


@pytest.mark.parametrize(("mode", "expected"), [("1", "L"), ("P", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB")])
def test_other_modes_come_back_as_the_nearest(mode: str, expected: str) -> None:
    picture = Image.fromarray(scene()).convert(mode)
    back = unedited(picture)
    assert back.mode == expected
    assert np.array_equal(np.asarray(back), np.asarray(picture.convert(expected)))


def test_transparent_palette_comes_back_with_alpha() -> None:
    picture = Image.fromarray(scene()).quantize(16)
    picture.info["transparency"] = 3
    back = unedited(picture)
    assert back.mode == "RGBA" and np.array_equal(np.asarray(back), np.asarray(picture.convert("RGBA")))


def test_deep_grey_picture_keeps_16_bits() -> None:
    array = deep_scene(1)
    photo = as_photo(Image.fromarray(array))
    assert photo.pixels.dtype == np.uint16 and (photo.pixels == array[..., None]).all()
    assert unedited(Image.fromarray(array)).mode == "L"


def test_profile_stays_with_the_picture_and_a_printers_is_applied() -> None:
    picture = Image.fromarray(scene())
    picture.info["icc_profile"] = display_p3()
    assert unedited(picture).info["icc_profile"] == display_p3()
    inks = picture.convert("CMYK")
    inks.info["icc_profile"] = cmyk_profile()
    photo = as_photo(inks)
    assert photo.icc_profile is None
    assert np.array_equal(photo.pixels, colour.cmyk_to_srgb(np.asarray(inks), cmyk_profile()))


@pytest.mark.parametrize("mode", ["F", "I", "LAB", "HSV"])
def test_modes_that_mean_something_else_are_refused(mode: str) -> None:
    with pytest.raises(UsageError, match=f"mode {mode}; convert it to RGB"):
        as_photo(Image.new(mode, (8, 8)))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((0, 8, 3), np.uint8),
    ],
    ids=["grey", "RGBA", "float", "empty"],
)
def test_other_arrays_are_refused_with_what_to_give(array: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"give uint8 or uint16 RGB \(H, W, 3\)"):
        as_photo(array)
