"""Photo files go through unharmed: every format, colour mode, depth, orientation and kind of metadata."""

from __future__ import annotations

import dataclasses
import os
import stat
import struct
import tempfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from exprgan import colour, image_decode, image_io, metadata
from exprgan.errors import ExprganError, UnreadableImage, UsageError

RNG_SEED = 7
XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmp:Rating="5"'
    b' tiff:Orientation="6"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)
EXTENSION = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif", "TIFF": ".tiff", "BMP": ".bmp"}
LOSSLESS = ("PNG", "WEBP", "TIFF", "BMP")


def scene(height: int = 48, width: int = 64, channels: int = 3) -> np.ndarray:
    """Smooth colours with some noise, uint8 (H, W, C)."""
    rng = np.random.default_rng(RNG_SEED)
    y, x = np.mgrid[:height, :width]
    base = np.stack(
        [120 + 60 * np.sin(x / 9 + c) + 40 * np.cos(y / (7 + c)) for c in range(channels)], axis=-1
    )
    return np.clip(base + rng.normal(0, 4, base.shape), 0, 255).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    if kind == "WEBP":
        options = {"lossless": True, "exact": True} | options
    image.save(file, kind, **options)
    return file.getvalue()


def edited(photo: image_io.Photo) -> np.ndarray:
    """The photo's pixels with a rectangle changed."""
    pixels = photo.pixels.copy()
    pixels[10:20, 12:30] = np.iinfo(pixels.dtype).max - pixels[10:20, 12:30]
    return pixels


def exif_block(orientation: int = 6, thumbnail: bool = True) -> bytes:
    """Big-endian EXIF with camera, pixel size and, as cameras do, a thumbnail in a second directory."""

    def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
        return struct.pack(">HHI", tag, kind, count) + value.ljust(4, b"\0")

    make, ifd0, sub = b"Camera\0\0", 8, 8 + 2 + 3 * 12 + 4
    ifd1 = sub + 2 + 2 * 12 + 4 + len(make)
    block = b"MM\0*" + struct.pack(">I", ifd0) + struct.pack(">H", 3)
    block += entry(0x010F, 2, 7, struct.pack(">I", ifd1 - len(make)))
    block += entry(0x0112, 3, 1, struct.pack(">H", orientation)) + entry(0x8769, 4, 1, struct.pack(">I", sub))
    block += struct.pack(">I", ifd1 if thumbnail else 0)
    block += (
        struct.pack(">H", 2)
        + entry(0xA002, 4, 1, struct.pack(">I", 64))
        + entry(0xA003, 3, 1, struct.pack(">H", 48))
    )
    block += struct.pack(">I", 0) + make
    if thumbnail:
        picture = saved(Image.fromarray(scene(12, 16)), "JPEG")
        block += struct.pack(">H", 2) + entry(0x0201, 4, 1, struct.pack(">I", ifd1 + 30))
        block += entry(0x0202, 4, 1, struct.pack(">I", len(picture))) + struct.pack(">I", 0) + picture
    return block


@lru_cache  # LittleCMS writes the time of day into a profile
def display_p3() -> bytes:
    """Display P3 profile: the bytes of LittleCMS's sRGB profile with P3's primaries (D50-adapted) in it."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    columns = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for i in range(struct.unpack_from(">I", profile, 128)[0]):
        kind, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * i)
        if kind in columns:
            struct.pack_into(">3i", profile, offset + 8, *(round(v * 65536) for v in columns[kind]))
    return bytes(profile)


def deep_png(array: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """16-bit PNG by the simplest encoder: no filter."""
    height, width = array.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[1 if array.ndim == 2 else array.shape[2]]
    rows = array.astype(">u2").reshape(height, -1).view(np.uint8).reshape(height, -1)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    data = metadata.PNG_SIGNATURE
    for name, content in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
        *chunks,
        (b"IDAT", body),
        (b"IEND", b""),
    ):
        data += (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )
    return data


def deep_tiff(array: np.ndarray, orientation: int = 1) -> bytes:
    """Uncompressed 16-bit TIFF."""
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    ifd = ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    tags = {256: width, 257: height, 258: (16,) * channels, 259: 1, 262: 1 if channels < 3 else 2, 273: 0}
    tags |= {274: orientation, 277: channels, 278: height, 279: array.nbytes}
    tags |= {338: 2} if channels in (2, 4) else {}
    for tag, value in tags.items():
        ifd[tag] = value
    file = BytesIO()
    ifd.save(file)
    return file.getvalue() + array.astype("<u2").tobytes()


def deep_scene(channels: int) -> np.ndarray:
    rng = np.random.default_rng(RNG_SEED)
    array = rng.integers(0, 65536, (33, 41, channels), dtype=np.uint16)
    return array[..., 0] if channels == 1 else array


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_keep_every_pixel_outside_the_edit(kind: str, tmp_path: Path) -> None:
    source = tmp_path / f"in{EXTENSION[kind]}"
    source.write_bytes(saved(Image.fromarray(scene()), kind))
    photo = image_io.read(source)
    assert photo.lossless and photo.pixels.flags["C_CONTIGUOUS"]
    assert np.array_equal(photo.pixels, scene())
    pixels = edited(photo)
    image_io.write(photo, pixels, tmp_path / f"out{EXTENSION[kind]}")
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
    monkeypatch.setattr(image_decode, "_STRIP_PIXELS", 500)  # 7 rows of 64
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


@pytest.mark.parametrize("target", ["JPEG", "BMP"])
def test_transparent_photo_is_not_saved_without_alpha(target: str) -> None:
    photo = image_io.read(saved(Image.fromarray(scene(channels=4)), "PNG"))
    with pytest.raises(UsageError, match="transparent"):
        image_io.encode(photo, photo.pixels, target)
    opaque = dataclasses.replace(photo, alpha=np.full_like(photo.alpha, 255))
    assert image_io.read(image_io.encode(opaque, photo.pixels, target)).alpha is None


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


@pytest.mark.parametrize("quality", [60, 85, 97])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_jpeg_is_saved_with_the_sources_tables_and_subsampling(quality: int, subsampling: int) -> None:
    data = saved(
        Image.fromarray(scene()), "JPEG", quality=quality, subsampling=subsampling, progressive=quality == 85
    )
    photo = image_io.read(data)
    out_data = image_io.encode(photo, edited(photo))
    with JpegImageFile(BytesIO(data)) as source, JpegImageFile(BytesIO(out_data)) as out:
        assert out.quantization == source.quantization
        assert out.layer == source.layer
        assert bool(out.info.get("progressive")) == bool(source.info.get("progressive"))


@pytest.mark.parametrize(
    ("subsampling", "rows", "columns"), [(0, slice(8, 24), slice(8, 32)), (2, slice(0, 34), slice(0, 34))]
)
def test_jpeg_differs_from_a_plain_resave_only_in_blocks_the_edit_touches(
    subsampling: int, rows: slice, columns: slice
) -> None:
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", quality=88, subsampling=subsampling))
    plain = image_io.read(image_io.encode(photo, photo.pixels)).pixels
    changed = image_io.read(image_io.encode(photo, edited(photo))).pixels
    touched = np.zeros((48, 64), bool)
    # 8-px blocks that meet rows 10..19, columns 12..29; with 4:2:0 16-px blocks, and decoders smooth colour
    touched[rows, columns] = True
    assert np.array_equal(plain[~touched], changed[~touched])
    assert not np.array_equal(plain[touched], changed[touched])


def test_grey_jpeg_stays_grey() -> None:
    photo = image_io.read(saved(Image.fromarray(scene()).convert("L"), "JPEG", quality=90))
    with Image.open(BytesIO(image_io.encode(photo, edited(photo)))) as out:
        assert out.mode == "L"


def test_jpeg_keeps_iptc_and_comment() -> None:
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x05\0\x03Dog"
    segment = b"\xff\xed" + struct.pack(">H", len(iptc) + 2) + iptc
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", extra=segment, comment=b"seaside"))
    data = image_io.encode(photo, edited(photo))
    assert segment in data
    with Image.open(BytesIO(data)) as out:
        assert out.info["comment"] == b"seaside"
    bare = image_io.encode(photo, edited(photo), strip_metadata=True, provenance=False)
    assert b"8BIM" not in bare and b"seaside" not in bare


def test_first_picture_of_a_multi_picture_jpeg_is_edited_with_a_note() -> None:
    file = BytesIO()
    Image.fromarray(scene()).save(file, "MPO", save_all=True, append_images=[Image.fromarray(scene())])
    photo = image_io.read(file.getvalue())
    assert photo.format == "JPEG"
    assert any("gain map" in note for note in photo.notes)
    with Image.open(BytesIO(image_io.encode(photo, photo.pixels))) as out:
        assert out.format == "JPEG"


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


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_metadata_survives_without_the_old_thumbnail(kind: str) -> None:
    options: dict[str, Any] = {"dpi": (300, 300)} if kind in ("JPEG", "PNG", "TIFF") else {}
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        info.add_text("Title", "Aunt")
        options["pnginfo"] = info
    elif kind == "TIFF":
        options["tiffinfo"] = {700: XMP, 271: "Camera", 33723: b"\x1c\x02\x05\0\x03Dog"}
    else:
        options["xmp"] = XMP
    if kind != "TIFF":
        options["exif"] = b"Exif\0\0" + exif_block(6)
    photo = image_io.read(saved(Image.fromarray(scene()), kind, **options))
    data = image_io.encode(photo, photo.pixels, weights="unified 0123abcd")
    with Image.open(BytesIO(data)) as out:
        exif = out.getexif()
        assert exif[0x010F] == "Camera"
        if kind != "TIFF":
            assert dict(exif.get_ifd(0x8769)) == {0xA002: 48, 0xA003: 64}  # upright: height and width swapped
            assert not exif.get_ifd(1)
        if "dpi" in options:
            assert out.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        if kind == "PNG":
            assert out.info["Title"] == "Aunt"
        if kind == "TIFF":
            assert exif[33723] == b"\x1c\x02\x05\0\x03Dog"
    packet = image_io.read(data).xmp
    assert packet is not None
    assert b'Orientation="6"' not in packet
    for part in (b'xmp:Rating="5"', b"compositeWithTrainedAlgorithmicMedia", b"unified 0123abcd"):
        assert part in packet
    assert b"\xff\xd8\xff" not in data[10:], "the thumbnail shows the old face"
    bare = image_io.encode(photo, photo.pixels, strip_metadata=True, provenance=False)
    assert b"Camera" not in bare and b"xmpmeta" not in bare and b"Aunt" not in bare


def test_provenance_replaces_an_older_source_type_and_is_written_once() -> None:
    camera = XMP.replace(
        b"xmp:Rating",
        b'xmlns:a="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" a:DigitalSourceType="x" xmp:Rating',
    )
    once = metadata.provenance_xmp(camera, tool="exprgan 1")
    twice = metadata.provenance_xmp(once, tool="exprgan 2", weights='w "1"')
    assert b'a:DigitalSourceType="x"' not in once
    assert twice.count(b"DigitalSourceType=") == 1 and b"exprgan 1" not in twice and b"exprgan 2" in twice
    from xml.etree import ElementTree

    ElementTree.fromstring(twice.decode().split("?>", 1)[1].rsplit("<?", 1)[0])


def test_damaged_exif_is_left_out_with_a_note() -> None:
    block = exif_block(1)[:40]
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", exif=b"Exif\0\0" + block))
    assert photo.exif is None and any("EXIF" in note for note in photo.notes)


def test_content_credentials_are_noticed() -> None:
    box = b"JP\0\0\0\0\0\0jumbc2pa"
    segment = b"\xff\xeb" + struct.pack(">H", len(box) + 2) + box
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", extra=segment))
    assert any("C2PA" in note for note in photo.notes)
    assert b"jumb" not in image_io.encode(photo, photo.pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_colour_profile_is_kept(kind: str) -> None:
    photo = image_io.read(saved(Image.fromarray(scene()), kind, icc_profile=display_p3()))
    with Image.open(BytesIO(image_io.encode(photo, edited(photo)))) as out:
        assert out.info["icc_profile"] == display_p3()


def test_gps_and_camera_settings_survive_tiff() -> None:
    exif = Image.Exif()
    exif[0x8769] = {0x829A: 0.005, 0x9003: "2024:05:06 07:08:09"}
    exif[0x8825] = {1: "N", 2: (48.0, 51.0, 29.0)}
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", exif=exif))
    once = image_io.read(image_io.encode(photo, photo.pixels, "TIFF"))
    with Image.open(BytesIO(image_io.encode(once, once.pixels))) as out:
        assert out.getexif().get_ifd(0x8769)[0x9003] == "2024:05:06 07:08:09"
        assert float(out.getexif().get_ifd(0x8769)[0x829A]) == pytest.approx(0.005)
        assert [float(v) for v in out.getexif().get_ifd(0x8825)[2]] == [48, 51, 29]


def test_sixteen_bit_png_keeps_profile_and_metadata() -> None:
    profile = (b"iCCP", b"p3\0\0" + zlib.compress(display_p3()))
    photo = image_io.read(
        deep_png(deep_scene(3), profile, (b"eXIf", exif_block(1)), (b"tEXt", b"Title\0Aunt"))
    )
    grey = image_io.read(deep_png(deep_scene(2)))
    assert np.array_equal(image_io.read(image_io.encode(grey, grey.pixels, "TIFF")).pixels, grey.pixels)
    for target in ("PNG", "TIFF"):
        again = image_io.read(image_io.encode(photo, photo.pixels, target))
        assert again.icc_profile == display_p3() and again.mode == "RGB;16"
        assert b"Camera" in (again.exif or b"")
        assert np.array_equal(again.pixels, photo.pixels)


@pytest.mark.parametrize("kind", list(EXTENSION))
def test_one_pixel_goes_through(kind: str) -> None:
    photo = image_io.read(saved(Image.new("RGB", (1, 1), (200, 30, 90)), kind))
    assert image_io.read(image_io.encode(photo, photo.pixels)).pixels.shape == (1, 1, 3)


@pytest.mark.parametrize("size", [(20_000, 2), (2, 20_000)])
def test_strips_go_through_or_are_refused_with_the_limit(size: tuple[int, int]) -> None:
    photo = image_io.read(saved(Image.new("RGB", size, (200, 30, 90)), "PNG"))
    assert image_io.read(image_io.encode(photo, photo.pixels, "JPEG")).size_hw == size[::-1]
    with pytest.raises(UsageError, match="16383"):
        image_io.encode(photo, photo.pixels, "WEBP")


@pytest.mark.parametrize("kind", [*EXTENSION, "deep PNG", "deep TIFF"])
def test_damaged_files_are_refused_in_one_sentence(kind: str) -> None:
    if kind.startswith("deep"):
        data = (deep_png if kind == "deep PNG" else deep_tiff)(deep_scene(3))
    else:
        data = saved(Image.fromarray(scene()), kind)
    for length in (0, 3, 20, len(data) // 2, len(data) * 3 // 4):
        with pytest.raises(UnreadableImage) as caught:
            image_io.read(data[:length])
        message = str(caught.value)
        assert "\n" not in message and message.endswith(".") and len(message) < 300


def test_mutated_files_are_read_or_refused() -> None:
    rng = np.random.default_rng(RNG_SEED)
    small = Image.fromarray(scene(16, 24))
    sources = [saved(small, kind) for kind in EXTENSION] + [
        deep_png(deep_scene(3)[:9]),
        deep_tiff(deep_scene(4)[:9]),
    ]
    sources.append(saved(small, "JPEG", exif=b"Exif\0\0" + exif_block(3), icc_profile=display_p3(), xmp=XMP))
    refused = 0
    for i in range(450):
        data = bytearray(sources[i % len(sources)])
        for _ in range(rng.integers(1, 6)):
            data[rng.integers(len(data))] = rng.integers(256)
        try:
            photo = image_io.read(bytes(data), max_pixels=1_000_000)
            image_io.encode(photo, photo.pixels, "PNG")
            image_io.encode(photo, photo.pixels, "TIFF")
        except UnreadableImage:
            refused += 1
    assert 50 < refused < 400


def test_bombs_are_refused_before_decoding() -> None:
    row = zlib.compress(bytes(1000))
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = metadata.PNG_SIGNATURE
    for name, content in ((b"IHDR", header), (b"IDAT", row), (b"IEND", b"")):
        data += (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )
    with pytest.raises(UnreadableImage, match="10000 megapixels"):
        image_io.read(data)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_files_of_several_pictures_are_refused(kind: str) -> None:
    others = [Image.fromarray(255 - scene()), Image.fromarray(scene()[::-1])]
    data = saved(Image.fromarray(scene()), kind, save_all=True, append_images=others)
    with pytest.raises(UnreadableImage, match="3 pictures"):
        image_io.read(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7 something", "not a photo"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "exprgan\\[heif\\]"),
        (b"<svg xmlns=''>", "not a photo"),
    ],
)
def test_other_files_are_named_for_what_they_are(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableImage, match=words):
        image_io.read(data)


def test_float_tiff_is_refused() -> None:
    data = saved(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF")
    with pytest.raises(UnreadableImage, match="32 bits"):
        image_io.read(data)


def test_missing_file_and_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="does not exist"):
        image_io.read(tmp_path / "none.jpg")
    with pytest.raises(UnreadableImage, match="is a folder"):
        image_io.read(tmp_path)


@pytest.mark.parametrize(
    "name", ["żółć 照片 😀.png", "with space & 'quotes'.png", "-dash.png", "a" * 240 + ".png"]
)
def test_odd_names_go_through(name: str, tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_bytes(saved(Image.fromarray(scene()), "PNG"))
    photo = image_io.read(source)
    (tmp_path / "out").mkdir()
    image_io.write(photo, photo.pixels, tmp_path / "out" / name)
    assert np.array_equal(image_io.read(tmp_path / "out" / name).pixels, scene())


def test_format_follows_the_source_or_the_extension(tmp_path: Path) -> None:
    wrong = tmp_path / "really-a-png.jpg"
    wrong.write_bytes(saved(Image.fromarray(scene()), "PNG"))
    photo = image_io.read(wrong)
    assert image_io.output_format(photo, tmp_path / "x.jpg") == "PNG"
    assert image_io.output_format(photo, tmp_path / "x.tif") == "TIFF"
    assert image_io.output_format(photo, tmp_path / "x") == "PNG"
    with pytest.raises(UsageError, match="xyz"):
        image_io.output_format(photo, tmp_path / "x.xyz")
    gif = image_io.read(saved(Image.fromarray(scene()), "GIF"))
    with pytest.raises(UsageError, match="GIF"):
        image_io.output_format(gif, tmp_path / "x")
    with pytest.raises(UsageError, match="GIF"):
        image_io.encode(gif, gif.pixels)


def test_written_file_has_ordinary_permissions_and_replaces_the_old_one(tmp_path: Path) -> None:
    photo = image_io.read(saved(Image.fromarray(scene()), "PNG"))
    mask = os.umask(0o022)
    try:
        image_io.write(photo, photo.pixels, tmp_path / "out.png")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "out.png").stat().st_mode) == 0o644
    (tmp_path / "out.png").chmod(0o600)
    image_io.write(photo, edited(photo), tmp_path / "out.png")
    assert stat.S_IMODE((tmp_path / "out.png").stat().st_mode) == 0o600
    assert np.array_equal(image_io.read(tmp_path / "out.png").pixels, edited(photo))
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    image_io.write_atomic(tmp_path / "link.png", b"new")
    assert (tmp_path / "link.png").is_symlink() and (tmp_path / "real.png").read_bytes() == b"new"


def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExprganError, match="No space left") as caught:
        image_io.write_atomic(target, b"new")
    assert not isinstance(caught.value, UsageError)
    assert target.read_bytes() == b"old" and [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        image_io.write_atomic(tmp_path / "out.png", b"new")
    assert not list(tmp_path.iterdir())


def test_missing_folder_and_impossible_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        image_io.write_atomic(tmp_path / "none" / "out.png", b"x")
    with pytest.raises((UsageError, ExprganError), match="cannot be written"):
        image_io.write_atomic(tmp_path / ("a" * 300 + ".png"), b"x")


def test_read_only_folder_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", refuse)
        with pytest.raises(UsageError, match="Permission denied"):
            image_io.write_atomic(tmp_path / "out.png", b"x")
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(UsageError, match="cannot be written"):
            image_io.write_atomic(tmp_path / "out.png", b"x")
    finally:
        tmp_path.chmod(0o700)


def test_wrong_pixels_are_a_programming_error() -> None:
    photo = image_io.read(saved(Image.fromarray(scene()), "PNG"))
    with pytest.raises(ValueError, match="expected"):
        image_io.encode(photo, photo.pixels[:10])


def test_no_profile_and_srgb_are_passed_through() -> None:
    pixels = scene()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colour.to_srgb(pixels, None) is pixels and colour.to_srgb(pixels, srgb) is pixels
    assert (
        colour.is_srgb(None)
        and colour.is_srgb(srgb)
        and colour.is_srgb(b"nonsense")
        and not colour.is_srgb(display_p3())
    )


def test_display_p3_view_agrees_with_littlecms() -> None:
    rng = np.random.default_rng(RNG_SEED)
    pixels = rng.integers(0, 256, (50, 50, 3), dtype=np.uint8)
    profile = ImageCms.ImageCmsProfile(BytesIO(display_p3()))
    expected = ImageCms.profileToProfile(Image.fromarray(pixels), profile, ImageCms.createProfile("sRGB"))
    assert np.abs(colour.to_srgb(pixels, display_p3()).astype(int) - np.asarray(expected)).max() <= 2


def matrix_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Smallest ICC profile with the given tags."""
    offset, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for kind, content in tags.items():
        table += struct.pack(">4sII", kind, offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I", offset + len(body)) + b"\0\0\0\0\x02\x10\0\0mntr" + space + b"XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)  # D50
    return header.ljust(128, b"\0") + table + body


def curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def adobe_rgb() -> bytes:
    """Adobe RGB (1998): gamma 563/256, its primaries adapted to D50."""
    columns = {
        b"rXYZ": (0.60974, 0.31111, 0.01947),
        b"gXYZ": (0.20528, 0.62567, 0.06087),
        b"bXYZ": (0.14919, 0.06322, 0.74457),
    }
    tags = {
        kind: b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in xyz))
        for kind, xyz in columns.items()
    }
    tags |= {kind: curve(563 / 256) for kind in (b"rTRC", b"gTRC", b"bTRC")}
    return matrix_profile(
        b"RGB ", tags | {b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)}
    )


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
