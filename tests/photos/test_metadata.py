"""EXIF, XMP, IPTC, texts and profiles are kept; what shows or signs the old picture is not."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from exprgan.photos import image_io, metadata, png
from tests.photos.made_files import XMP, deep_png, deep_scene, display_p3, edited, exif_block, saved, scene


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


MANIFEST = b"\0\0\0\x28jumb\0\0\0\x20jumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71\3c2pa\0"
UUID_C2PA = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")


def signed(kind: str) -> bytes:
    """A photo with the beginning of a C2PA manifest where its format has one (C2PA 2.1, appendix A)."""
    image = Image.fromarray(scene())
    if kind == "JPEG":
        box = b"JP\0\1\0\0\0\1" + MANIFEST
        return saved(image, kind, extra=b"\xff\xeb" + struct.pack(">H", len(box) + 2) + box)
    if kind == "TIFF":
        return saved(image, kind, tiffinfo={52545: MANIFEST})
    data = saved(image, kind)
    if kind == "PNG":
        return png.insert_chunks(data, [(b"caBX", MANIFEST)])
    if kind == "AVIF":
        box = UUID_C2PA + b"\0\0\0\0manifest\0" + bytes(8) + MANIFEST
        return data + struct.pack(">I", len(box) + 8) + b"uuid" + box
    data += b"C2PA" + struct.pack("<I", len(MANIFEST)) + MANIFEST + bytes(len(MANIFEST) % 2)
    return data[:4] + struct.pack("<I", len(data) - 8) + data[8:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_content_credentials_are_noticed_and_left_out(kind: str) -> None:
    photo = image_io.read(signed(kind))
    assert any("C2PA" in note for note in photo.notes)
    assert b"c2pa" not in image_io.encode(photo, photo.pixels)
    assert not image_io.read(saved(Image.fromarray(scene()), kind)).notes


def test_address_of_content_credentials_is_noticed_and_left_out() -> None:
    space = b'xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="https://x.org/y.c2pa" xmp:Rating'
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", xmp=XMP.replace(b"xmp:Rating", space)))
    assert any("C2PA" in note for note in photo.notes)
    data = image_io.encode(photo, photo.pixels)
    assert b"y.c2pa" not in data and b'Rating="5"' in data


def resource(number: int, content: bytes) -> bytes:
    """One of Photoshop's image resources."""
    return b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + content + bytes(len(content) % 2)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_photoshops_thumbnail_is_left_out_and_its_iptc_kept(kind: str) -> None:
    thumbnail, iptc = saved(Image.fromarray(scene(13, 17)), "JPEG"), b"\x1c\x02\x05\0\x03Dog"
    resources = resource(1036, bytes(28) + thumbnail) + resource(1028, iptc)
    segment = metadata.PHOTOSHOP_PREFIX + resources
    options: dict[str, Any] = {"extra": b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment}
    if kind == "TIFF":
        options = {"tiffinfo": {34377: resources}}
    photo = image_io.read(saved(Image.fromarray(scene()), kind, **options))
    data = image_io.encode(photo, photo.pixels)
    assert resource(1028, iptc) in data and thumbnail not in data


def test_xmp_thumbnail_is_left_out() -> None:
    part = b"<xmp:Thumbnails><rdf:Alt><rdf:li>/9j/4AAQ</rdf:li></rdf:Alt></xmp:Thumbnails></rdf:RDF>"
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", xmp=XMP.replace(b"</rdf:RDF>", part)))
    data = image_io.encode(photo, photo.pixels)
    assert b"/9j/4AAQ" not in data and b'Rating="5"' in data


@pytest.mark.parametrize("content", [b"<crs:Mask/>", b"<GImage:Data/>"])
def test_extended_xmp_is_kept_unless_it_holds_the_old_picture(content: bytes) -> None:
    part = metadata.EXTENDED_XMP_PREFIX + b"A" * 32 + struct.pack(">II", len(content), 0) + content
    segment = b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", extra=segment))
    data = image_io.encode(photo, photo.pixels)
    assert (part in data) == (content == b"<crs:Mask/>")
    assert part not in image_io.encode(photo, photo.pixels, strip_metadata=True)


@pytest.mark.parametrize("filler", [b" ", b"x"], ids=["padding", "text"])
def test_provenance_fits_into_a_jpeg_whose_xmp_is_full(filler: bytes) -> None:
    full = XMP.replace(b"</rdf:RDF>", b"</rdf:RDF>" + filler * (65_400 - len(XMP)))
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", xmp=full))
    packet = image_io.read(image_io.encode(photo, photo.pixels)).xmp
    assert b"compositeWithTrainedAlgorithmicMedia" in packet
    assert (b'Rating="5"' in packet) == (filler == b" ")


def png_chunks_after_pixels(*added: tuple[bytes, bytes]) -> bytes:
    parts = list(png.chunks(saved(Image.fromarray(scene()), "PNG")))
    return png.SIGNATURE + b"".join(png.packed_chunk(*chunk) for chunk in (*parts[:-1], *added, parts[-1]))


def raw_profile(name: bytes, content: bytes) -> tuple[bytes, bytes]:
    """A text chunk as ImageMagick writes profiles."""
    text = b"\n%s\n%8d\n%s\n" % (name, len(content), content.hex().encode())
    return b"zTXt", b"Raw profile type " + name + b"\0\0" + zlib.compress(text)


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"eXIf", exif_block(6)), png.xmp_chunk(XMP)],
        [raw_profile(b"exif", b"Exif\0\0" + exif_block(6)), raw_profile(b"xmp", XMP)],
    ],
    ids=["after the pixels", "as text"],
)
def test_png_metadata_are_found_wherever_they_are(chunks: list[tuple[bytes, bytes]]) -> None:
    iptc = raw_profile(b"iptc", b"\x1c\x02\x05\0\x03Dog")
    photo = image_io.read(png_chunks_after_pixels(*chunks, iptc))
    assert photo.size_hw == (64, 48), "turned upright"
    data = image_io.encode(photo, photo.pixels)
    assert iptc in list(png.chunks(data))
    again = image_io.read(data)
    assert again.size_hw == (64, 48) and b"Camera" in again.exif and b'Rating="5"' in again.xmp


def test_thumbnail_that_lies_over_the_directory_spoils_the_exif_block() -> None:
    block = bytearray(exif_block(1))
    at = block.index(struct.pack(">HHI", 0x0201, 4, 1)) + 8
    block[at : at + 4] = struct.pack(">I", 4)
    photo = image_io.read(saved(Image.fromarray(scene()), "JPEG", exif=b"Exif\0\0" + bytes(block)))
    assert photo.exif is None and any("EXIF" in note for note in photo.notes)


@pytest.mark.parametrize(
    "part",
    [
        "<rdf:Description exprgan:Tool=",
        "<rdf:RDF ",
        "<a:DigitalSourceType ",
        "<xmp:Thumbnails>",
        " a:DigitalSourceType='",
    ],
)
def test_time_for_xmp_grows_with_its_length_alone(part: str) -> None:
    """With patterns that look ahead for the end of an element, these would take days."""
    hostile = (part * (20_000_000 // len(part))).encode()
    packet = metadata.provenance_xmp(metadata.clean_xmp(hostile), tool="exprgan 1")
    assert b"compositeWithTrainedAlgorithmicMedia" in packet
    assert len(metadata.trimmed_xmp(packet, 65_000) or b"") < 65_000


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
