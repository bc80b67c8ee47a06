"""Pixels go through unharmed in every format, colour mode, depth and orientation."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from exprgan.errors import UsageError
from exprgan.photos import colour, decode, image_io
from exprgan.photos.photo import Photo
from tests.photos.made_files import (
    EXTENSION,
    LOSSLESS,
    deep_png,
    deep_scene,
    deep_tiff,
    edited,
    exif_block,
    saved,
    scene,
    write,
)


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_keep_every_pixel_outside_the_edit(kind: str, tmp_path: Path) -> None:
    source = tmp_path / f"in{EXTENSION[kind]}"
    source.write_bytes(saved(Image.fromarray(scene()), kind))
    photo = image_io.read(source)
    assert photo.lossless and photo.pixels.flags["C_CONTIGUOUS"]
    assert np.array_equal(photo.pixels, scene())
    pixels = edited(photo)
    write(photo, pixels, tmp_path / f"out{EXTENSION[kind]}")
    with Image.open(tmp_path / f"out{EXTENSION[kind]}") as out:
        assert out.format == kind and out.mode == "RGB"
        assert np.array_equal(np.asarray(out), pixels)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_other_modes_keep_their_values(kind: str, mode: str) -> None:
    image = Image.fromarray(scene(channels=4), "RGBA") if mode in ("RGBA", "LA") else Image.fromarray(scene())
    image = image.convert(mode)
    expected = np.asarray(image.convert("RGBA"))
    photo = image_io.read(saved(image, kind))
    assert np.array_equal(photo.pixels, expected[..., :3])
    pixels = photo.pixels.copy()
    pixels[10:20, 12:30] = 90  # grey, so that grey files can hold it
    with Image.open(BytesIO(image_io.encode(photo, pixels))) as out:
        assert out.format == kind
        assert out.mode == {"1": "L", "P": "RGB"}.get(mode, mode)
        got = np.asarray(out.convert("RGBA"))
    assert np.array_equal(got[..., :3], pixels)
    assert np.array_equal(got[..., 3], expected[..., 3])


@pytest.mark.parametrize("mode", ["RGB", "P", "LA", "CMYK"])
def test_large_pictures_are_decoded_in_strips(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = saved(Image.fromarray(scene()).convert("RGBA").convert(mode), "TIFF")
    whole = image_io.read(data)
    monkeypatch.setattr(decode, "_STRIP_PIXELS", 500)  # 7 rows of 64
    strips = image_io.read(data)
    for a, b in ((whole.pixels, strips.pixels), (whole.alpha, strips.alpha), (whole.cmyk, strips.cmyk)):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert np.array_equal(a, b)


def test_grey_stays_grey_when_the_edit_is_coloured() -> None:
    photo = image_io.read(saved(Image.fromarray(scene()).convert("L"), "PNG"))
    pixels = photo.pixels.copy()
    pixels[5, 5] = (200, 100, 50)
    with Image.open(BytesIO(image_io.encode(photo, pixels))) as out:
        assert out.mode == "L"
        assert out.getpixel((5, 5)) == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
        rest = np.asarray(out) == photo.pixels[..., 0]
    assert rest.sum() >= rest.size - 1


@pytest.mark.parametrize("transparency", [0, b"\x00\x80\xff"])
def test_transparent_palette_keeps_its_alpha(transparency: object) -> None:
    image = Image.fromarray(scene()).quantize(8)
    data = saved(image, "PNG", transparency=transparency)
    with Image.open(BytesIO(data)) as opened:
        expected = np.asarray(opened.convert("RGBA"))
    photo = image_io.read(data)
    with Image.open(BytesIO(image_io.encode(photo, photo.pixels))) as out:
        assert np.array_equal(np.asarray(out), expected)


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_alpha_goes_through_webp_and_avif(kind: str) -> None:
    rgba = scene(channels=4)
    photo = image_io.read(saved(Image.fromarray(rgba), kind))
    assert photo.alpha is not None
    again = image_io.read(image_io.encode(photo, photo.pixels))
    assert again.alpha is not None
    limit = 8 if kind == "AVIF" else 0
    assert np.abs(again.alpha.astype(int) - photo.alpha).max() <= limit


def test_transparent_photo_is_not_saved_without_alpha() -> None:
    photo = image_io.read(saved(Image.fromarray(scene(channels=4)), "PNG"))
    with pytest.raises(UsageError, match="transparent"):
        image_io.encode(photo, photo.pixels, "JPEG")
    opaque = dataclasses.replace(photo, alpha=np.full_like(photo.alpha, 255))
    assert image_io.read(image_io.encode(opaque, photo.pixels, "JPEG")).alpha is None


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_bmp_keeps_alpha(mode: str) -> None:
    image = Image.fromarray(scene(channels=4)).convert(mode)
    source = image_io.read(saved(image, "PNG"))
    photo = image_io.read(image_io.encode(source, source.pixels, "BMP"))
    assert photo.format == "BMP" and np.array_equal(photo.pixels, np.asarray(image.convert("RGBA"))[..., :3])
    again = image_io.read(image_io.encode(photo, edited(photo)))
    assert np.array_equal(again.pixels, edited(photo))
    assert np.array_equal(again.alpha, np.asarray(image.getchannel("A")))


def test_transparent_grey_value_of_a_deep_png_becomes_alpha() -> None:
    array = deep_scene(1)
    data = deep_png(array, (b"tRNS", struct.pack(">H", array[3, 4])))
    photo = image_io.read(data)
    assert np.array_equal(photo.alpha == 0, array == array[3, 4])
    again = image_io.read(image_io.encode(photo, photo.pixels))
    assert again.mode == "LA;16" and np.array_equal(again.alpha, photo.alpha)


def test_small_edits_of_cmyk_leave_no_border() -> None:
    inks = scene(channels=4)
    photo = image_io.read(saved(Image.frombytes("CMYK", (64, 48), inks.tobytes()), "TIFF"))
    pixels = photo.pixels.copy()
    pixels[10:20, 12:30] += 1
    with Image.open(BytesIO(image_io.encode(photo, pixels))) as out:
        assert np.abs(np.asarray(out).astype(int) - inks).max() <= 4


@pytest.mark.parametrize(
    ("make", "channels"), [*((deep_png, i) for i in (1, 2, 3, 4)), *((deep_tiff, i) for i in (1, 3, 4))]
)
def test_sixteen_bits_are_kept(make: Callable[..., bytes], channels: int) -> None:
    array = deep_scene(channels)
    photo = image_io.read(make(array))
    assert photo.pixels.dtype == np.uint16
    planes = array[..., None] if channels == 1 else array
    colours = planes[..., :3] if channels > 2 else planes[..., :1].repeat(3, axis=-1)
    assert np.array_equal(photo.pixels, colours)
    assert (photo.alpha is not None) == (channels in (2, 4))
    pixels = photo.pixels.copy()
    pixels[4:9, 5:11] = 30_000
    again = image_io.read(image_io.encode(photo, pixels))
    assert again.mode == photo.mode
    assert np.array_equal(again.pixels, pixels)
    if photo.alpha is not None:
        assert np.array_equal(photo.alpha, planes[..., -1])
        assert again.alpha is not None and np.array_equal(again.alpha, photo.alpha)


def test_sixteen_bits_become_eight_only_where_the_named_format_has_no_more() -> None:
    photo = image_io.read(deep_png(deep_scene(3)))
    again = image_io.read(image_io.encode(photo, photo.pixels, "BMP"))
    assert np.array_equal(again.pixels, np.rint(photo.pixels / 257).astype(np.uint8))


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_keeps_the_inks_of_untouched_pixels(kind: str) -> None:
    inks = scene(channels=4)
    data = saved(Image.frombytes("CMYK", (64, 48), inks.tobytes()), kind)
    photo = image_io.read(data)
    assert photo.cmyk is not None
    with Image.open(BytesIO(image_io.encode(photo, edited(photo)))) as out:
        assert out.mode == "CMYK"
        got = np.asarray(out).astype(int)
    outside = np.ones((48, 64), bool)
    outside[8:24, 8:32] = False  # the edit and the JPEG blocks it touches
    limit = 0 if kind == "TIFF" else 12
    assert np.abs(got - photo.cmyk)[outside].max() <= limit
    back = colour.cmyk_to_srgb(got.astype(np.uint8), None).astype(int)
    assert np.abs(back - edited(photo))[12:18, 14:28].mean() < (1 if kind == "TIFF" else 12)


def _oriented(kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(Image.fromarray(scene()), kind, exif=exif)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_photo_is_upright_whatever_its_orientation_tag(kind: str, orientation: int) -> None:
    # Where the stored corner pixel's row 0 and column 0 lie in the upright picture (EXIF 2.3, 4.6.4 A).
    operations = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.transpose(a, (1, 0, 2)),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(np.fliplr(a), -1),
        8: lambda a: np.rot90(a, 1),
    }
    with Image.open(BytesIO(saved(Image.fromarray(scene()), kind))) as plain:
        expected = operations[orientation](np.asarray(plain.convert("RGB")))
    photo = image_io.read(_oriented(kind, orientation))
    assert photo.pixels.shape == expected.shape
    tolerance = 0 if kind != "AVIF" else 3
    assert np.abs(photo.pixels.astype(int) - expected).max() <= tolerance
    with Image.open(BytesIO(image_io.encode(photo, photo.pixels))) as out:
        assert out.getexif().get(0x0112, 1) == 1
        assert out.size == (expected.shape[1], expected.shape[0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_sixteen_bit_photos_are_upright(orientation: int) -> None:
    array = deep_scene(3)
    eight_bit = saved(Image.fromarray((array // 257).astype(np.uint8)), "TIFF", tiffinfo={274: orientation})
    expected = image_io.read(eight_bit).pixels
    tiff = image_io.read(deep_tiff(array, orientation))
    assert np.array_equal(tiff.pixels // 257, expected)
    png = image_io.read(deep_png(array, (b"eXIf", exif_block(orientation))))
    assert np.array_equal(png.pixels, tiff.pixels)


@pytest.mark.parametrize("kind", list(EXTENSION))
def test_one_pixel_goes_through(kind: str) -> None:
    photo = image_io.read(saved(Image.new("RGB", (1, 1), (200, 30, 90)), kind))
    assert image_io.read(image_io.encode(photo, photo.pixels)).pixels.shape == (1, 1, 3)


@pytest.mark.parametrize("size", [(65_500, 2), (2, 65_500)])
def test_strips_go_through(size: tuple[int, int]) -> None:
    photo = image_io.read(saved(Image.new("RGB", size, (200, 30, 90)), "PNG"))
    for kind in ("JPEG", "PNG", "TIFF", "BMP"):
        assert image_io.read(image_io.encode(photo, photo.pixels, kind)).size_hw == size[::-1]


@pytest.mark.parametrize(
    ("kind", "size_hw"),
    [("JPEG", (2, 65_501)), ("WEBP", (16_384, 2)), ("AVIF", (2, 32_769)), ("AVIF", (16_385, 16_384))],
)
def test_pictures_larger_than_their_format_are_refused(kind: str, size_hw: tuple[int, int]) -> None:
    pixels = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (*size_hw, 3))
    photo = Photo(pixels=pixels, format=kind, mode="RGB")
    with pytest.raises(UsageError, match=f"more than a {kind} file can hold"):
        image_io.encode(photo, pixels)


def test_largest_avif_can_be_read_again() -> None:
    photo = image_io.read(saved(Image.new("RGB", (32_768, 2)), "PNG"))
    assert image_io.read(image_io.encode(photo, photo.pixels, "AVIF")).size_hw == (2, 32_768)


def test_what_the_encoder_refuses_is_told_in_one_sentence() -> None:
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG"))
    assert photo.jpeg is not None
    photo = dataclasses.replace(photo, jpeg=dataclasses.replace(photo.jpeg, tables=[[1] * 63]))
    with pytest.raises(UsageError, match="cannot be saved as JPEG"):
        image_io.encode(photo, photo.pixels)


def test_wrong_pixels_are_a_programming_error() -> None:
    photo = image_io.read(saved(Image.fromarray(scene()), "PNG"))
    with pytest.raises(ValueError, match="expected"):
        image_io.encode(photo, photo.pixels[:10])


@st.composite
def photos(draw: st.DrawFn) -> tuple[Photo, str]:
    """A photo of any size, depth and channels, and a format that keeps all of them."""
    size_hw = draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    is_deep, has_alpha, is_grey = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = np.uint16 if is_deep else np.uint8
    pixels = rng.integers(0, np.iinfo(dtype).max, (*size_hw, 3), dtype, endpoint=True)
    if is_grey:
        pixels = pixels[..., :1].repeat(3, axis=-1)
    alpha = rng.integers(0, np.iinfo(dtype).max, size_hw, dtype, endpoint=True) if has_alpha else None
    base = ("LA" if has_alpha else "L") if is_grey else ("RGBA" if has_alpha else "RGB")
    mode = {"L": "I"}.get(base, base) + ";16" if is_deep else base
    kind = draw(st.sampled_from(["PNG", "TIFF"] if is_deep else ["PNG", "TIFF", "BMP", "WEBP"]))
    return Photo(pixels=pixels, format=kind, mode=mode, alpha=alpha), kind


@given(photos())
@settings(deadline=None, max_examples=150)
def test_lossless_formats_give_back_what_they_were_given(example: tuple[Photo, str]) -> None:
    photo, kind = example
    again = image_io.read(image_io.encode(photo, photo.pixels, kind))
    assert again.format == kind and again.pixels.dtype == photo.pixels.dtype
    assert np.array_equal(again.pixels, photo.pixels)
    if photo.alpha is None or (photo.alpha == np.iinfo(photo.alpha.dtype).max).all():
        assert again.alpha is None or (again.alpha == np.iinfo(again.alpha.dtype).max).all()
    else:
        assert np.array_equal(again.alpha, photo.alpha)
