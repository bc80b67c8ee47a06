"""The sRGB view of photos in other colour spaces, and the way back."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageCms

from exprgan.photos import colour, image_io
from tests.photos.made_files import RNG_SEED, adobe_rgb, curve, display_p3, matrix_profile, saved, scene


def test_no_profile_and_srgb_are_passed_through() -> None:
    pixels = scene()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colour.to_srgb(pixels, None) is pixels and colour.to_srgb(pixels, srgb) is pixels
    assert colour.to_srgb(pixels, b"nonsense") is pixels
    assert colour.to_srgb(pixels, display_p3()) is not pixels


def test_display_p3_view_agrees_with_littlecms() -> None:
    rng = np.random.default_rng(RNG_SEED)
    pixels = rng.integers(0, 256, (50, 50, 3), dtype=np.uint8)
    profile = ImageCms.ImageCmsProfile(BytesIO(display_p3()))
    expected = ImageCms.profileToProfile(Image.fromarray(pixels), profile, ImageCms.createProfile("sRGB"))
    assert np.abs(colour.to_srgb(pixels, display_p3()).astype(int) - np.asarray(expected)).max() <= 2


def test_adobe_rgb_view_agrees_with_littlecms() -> None:
    rng = np.random.default_rng(RNG_SEED)
    pixels = rng.integers(0, 256, (50, 50, 3), dtype=np.uint8)
    profile = ImageCms.ImageCmsProfile(BytesIO(adobe_rgb()))
    expected = ImageCms.profileToProfile(Image.fromarray(pixels), profile, ImageCms.createProfile("sRGB"))
    assert np.abs(colour.to_srgb(pixels, adobe_rgb()).astype(int) - np.asarray(expected)).max() <= 2


def test_grey_profile_changes_the_view_and_not_the_photo() -> None:
    profile = matrix_profile(b"GRAY", {b"kTRC": curve(1.0)})
    photo = image_io.read(saved(Image.fromarray(scene()).convert("L"), "PNG", icc_profile=profile))
    view = colour.to_srgb(photo.pixels, photo.pixel_profile)
    middle = photo.pixels == 128
    assert middle.any() and set(view[middle]) == {188}  # linear .502 in sRGB
    after = view.copy()
    after[3, 3] = 255
    back = colour.carry_back(photo.pixels, view, after, photo.pixel_profile)
    assert (back[3, 3] >= 254).all() and (back != photo.pixels).any(axis=-1).sum() == 1
    with Image.open(BytesIO(image_io.encode(photo, back))) as out:
        assert out.mode == "L" and out.info["icc_profile"] == profile


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_edit_is_carried_back_into_the_photos_space(dtype: type) -> None:
    rng = np.random.default_rng(RNG_SEED)
    top = np.iinfo(dtype).max
    own = rng.integers(0, top, (40, 40, 3), dtype=dtype, endpoint=True)
    own[:20] = own[:20] // 4 + top // 3  # low saturation: inside sRGB
    before = colour.to_srgb(own, display_p3())
    after = before.copy()
    after[5:10, 5:10] = np.minimum(before[5:10, 5:10].astype(int) + top // 20, top)
    result = colour.carry_back(own, before, after, display_p3())
    untouched = np.ones((40, 40), bool)
    untouched[5:10, 5:10] = False
    assert result.dtype == dtype and np.array_equal(result[untouched], own[untouched])
    view = colour.to_srgb(result, display_p3())[5:10, 5:10].astype(int)
    assert np.abs(view - after[5:10, 5:10]).max() <= (2 if dtype == np.uint8 else 40)


def test_table_profiles_are_followed_in_float() -> None:
    """Profiles of tables go through LittleCMS, which answers at 8 bits; 16-bit photos must stay smooth."""
    tables = colour._LittleCmsTransform(ImageCms.ImageCmsProfile(BytesIO(display_p3())))
    exact = colour._transform(display_p3())
    ramp = np.linspace(0.3, 0.8, 5000, dtype=np.float32)
    values = np.stack([ramp, 0.2 + 0.6 * ramp, 0.7 - 0.4 * ramp], axis=-1)  # inside sRGB
    view = tables.to_srgb(values)
    assert np.abs(view - exact.to_srgb(values)).max() < 1.5 / 255
    assert len(np.unique(view[:, 0])) > 4000
    assert np.abs(tables.from_srgb(view) - values).max() < 2 / 255


@pytest.mark.parametrize(
    "tags",
    [
        {b"kTRC": b"curv\0\0\0\0" + struct.pack(">I4H", 4, 0, 60000, 20000, 65535)},
        {b"kTRC": b"para\0\0\0\0" + struct.pack(">HHi", 0, 0, -65536)},
        {b"kTRC": b"curv\0\0\0\0" + struct.pack(">I4H", 4, 7, 7, 7, 7)},
    ],
    ids=["falling", "infinite", "flat"],
)
def test_profile_that_cannot_be_inverted_is_taken_for_srgb(tags: dict[bytes, bytes]) -> None:
    pixels = scene()
    assert colour.to_srgb(pixels, matrix_profile(b"GRAY", tags)) is pixels


def test_profile_whose_primaries_lie_on_a_line_is_taken_for_srgb() -> None:
    column = b"XYZ \0\0\0\0" + struct.pack(">3i", 20000, 30000, 10000)
    tags = dict.fromkeys((b"rXYZ", b"gXYZ", b"bXYZ"), column) | dict.fromkeys(
        (b"rTRC", b"gTRC", b"bTRC"), curve(2.2)
    )
    pixels = scene()
    assert colour.to_srgb(pixels, matrix_profile(b"RGB ", tags)) is pixels
