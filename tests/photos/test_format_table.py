"""The table of docs/images.md, a test for each of its cells.

python -m tests.photos.test_format_table        # prints the table, to be pasted into docs/images.md
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin
from PIL.JpegImagePlugin import JpegImageFile

from exprgan.errors import UsageError
from exprgan.photos import colour, image_io
from tests.photos.made_files import (
    XMP,
    adobe_rgb,
    cmyk_profile,
    curve,
    deep_png,
    deep_scene,
    deep_tiff,
    display_p3,
    edited,
    exif_block,
    matrix_profile,
    saved,
    scene,
)

IPTC = b"\x1c\x02\x05\0\x03Dog"
EDIT = (slice(10, 20), slice(12, 30))  # what `edited` changes
COLUMNS = ("orientation", "ICC profile", "alpha", "depth", "metadata", "quality")
Photo = image_io.Photo


@dataclasses.dataclass(frozen=True)
class Row:
    """A format, how a test photo of it is made and what an edit of it is saved as."""

    name: str
    kind: str
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    target: str | None = None  # format to save in; None: the photo's own

    def make(self, image: Image.Image, **options: Any) -> bytes:
        """Bytes of a photo."""
        if self.kind == "HEIF":
            pytest.importorskip("pillow_heif").register_heif_opener()
        return saved(image, self.kind, **self.options | options)

    def edit(self, data: bytes) -> tuple[Photo, Photo]:
        """The photo of some bytes, and what is read back after an edit of it is saved."""
        photo = image_io.read(data)
        return photo, image_io.read(image_io.encode(photo, edited(photo), self.target))


ROWS = (
    Row("JPEG", "JPEG", {"quality": 90}),
    Row("PNG", "PNG"),
    Row("TIFF", "TIFF"),
    Row("WebP lossless", "WEBP"),
    Row("WebP lossy", "WEBP", {"lossless": False, "quality": 85}),
    Row("AVIF", "AVIF", {"quality": 85}),
    Row("BMP", "BMP"),
    Row("HEIC (extra `heif`)", "HEIF", {"quality": 90}, target="PNG"),
    Row("GIF, one picture", "GIF", target="PNG"),
)


def colour_image(channels: int = 3) -> Image.Image:
    return Image.fromarray(scene(channels=channels))


def outside_edit(photo: Photo) -> np.ndarray:
    """Mask (H, W) of the pixels that `edited` leaves alone."""
    outside = np.ones(photo.size_hw, bool)
    outside[EDIT] = False
    return outside


def difference(a: Photo, b: Photo) -> np.ndarray:
    return np.abs(a.pixels.astype(int) - b.pixels)


# orientation


def upright_for_all_tags(row: Row) -> None:
    turns: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda a: a,
        np.fliplr,
        lambda a: np.rot90(a, 2),
        np.flipud,
        lambda a: np.transpose(a, (1, 0, 2)),
        lambda a: np.rot90(a, -1),
        lambda a: np.rot90(np.fliplr(a), -1),
        lambda a: np.rot90(a, 1),
    ]
    plain = image_io.read(row.make(colour_image())).pixels.astype(int)
    for tag, turn in enumerate(turns, start=1):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = tag
        photo, again = row.edit(row.make(colour_image(), exif=exif))
        expected = turn(plain)
        assert photo.size_hw == again.size_hw == expected.shape[:2]
        assert np.abs(photo.pixels - expected).max() <= (3 if row.kind in ("AVIF", "HEIF") else 0), tag


def turned_by_the_decoder(row: Row) -> None:
    """HEIF turns by boxes of its own, which the decoder follows; the EXIF tag has no meaning (ISO 23008-12)."""
    plain = image_io.read(row.make(colour_image())).pixels
    for tag in range(1, 9):
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = tag
        exif[ExifTags.Base.Make] = "Camera"
        photo, again = row.edit(row.make(colour_image(), exif=exif))
        assert np.array_equal(photo.pixels, plain)
        assert again.size_hw == photo.size_hw and exif_orientation(again) == 1


def exif_orientation(photo: Photo) -> int:
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + photo.exif)
    return exif.get(ExifTags.Base.Orientation, 1)


def stored_upright(row: Row) -> None:
    photo = image_io.read(row.make(colour_image().quantize(64) if row.kind == "GIF" else colour_image()))
    assert photo.size_hw == (48, 64) and photo.exif is None


# ICC profile


def profiles_kept(row: Row) -> None:
    grey = matrix_profile(b"GRAY", {b"kTRC": curve(1.8)})
    cases = [(colour_image(), display_p3()), (colour_image(), adobe_rgb())]
    cases += [(colour_image().convert("L"), grey)] if row.kind in ("JPEG", "PNG", "TIFF", "AVIF") else []
    cases += [(colour_image().convert("CMYK"), cmyk_profile())] if row.kind in ("JPEG", "TIFF") else []
    for image, profile in cases:
        photo, again = row.edit(row.make(image, icc_profile=profile))
        assert photo.icc_profile == again.icc_profile == profile
        view = colour.to_srgb(photo.pixels, photo.pixel_profile)
        if image.mode == "CMYK":
            assert not np.array_equal(photo.pixels, colour.cmyk_to_srgb(photo.cmyk, None))
        else:
            assert not np.array_equal(view, photo.pixels), "the networks' view is another"


def profile_read(row: Row) -> None:
    photo, again = row.edit(row.make(colour_image(), icc_profile=display_p3()))
    assert photo.icc_profile == again.icc_profile == display_p3()


def no_profile(row: Row) -> None:
    image = colour_image().quantize(64) if row.kind == "GIF" else colour_image()
    photo, again = row.edit(row.make(image))
    assert photo.icc_profile is None and again.icc_profile is None


# alpha


def alpha_exact(row: Row) -> None:
    rgba = scene(channels=4)
    rgba[:5, :, 3] = 0
    if row.kind == "BMP":  # Pillow writes none with alpha
        source = image_io.read(saved(Image.fromarray(rgba), "PNG"))
        data = image_io.encode(source, source.pixels, "BMP")
    else:
        data = row.make(Image.fromarray(rgba))
    photo, again = row.edit(data)
    assert np.array_equal(photo.alpha, rgba[..., 3]) and np.array_equal(again.alpha, rgba[..., 3])
    if photo.lossless:
        assert np.array_equal(photo.pixels, rgba[..., :3]), "colours under transparent parts, too"
        assert np.array_equal(again.pixels, edited(photo))


def alpha_nearly(row: Row) -> None:
    photo, again = row.edit(row.make(colour_image(4)))
    assert np.abs(photo.alpha.astype(int) - again.alpha).max() <= 8


def alpha_read(row: Row) -> None:
    is_gif = row.kind == "GIF"
    data = row.make(colour_image().quantize(64), transparency=3) if is_gif else row.make(colour_image(4))
    photo, again = row.edit(data)
    assert photo.alpha.min() < 255 and np.array_equal(photo.alpha, again.alpha)


def alpha_refused(row: Row) -> None:
    photo = image_io.read(saved(colour_image(4), "PNG"))
    with pytest.raises(UsageError, match="transparent"):
        image_io.encode(photo, photo.pixels, row.kind)


# depth


def eight_bits(row: Row) -> None:
    image = colour_image().quantize(64) if row.kind == "GIF" else colour_image()
    photo, again = row.edit(row.make(image))
    assert photo.pixels.dtype == again.pixels.dtype == np.uint8 and not photo.notes


def sixteen_bits(row: Row) -> None:
    eight_bits(row)
    for channels in (1, 3, 4):
        array = deep_scene(channels)
        photo, again = row.edit(deep_png(array) if row.kind == "PNG" else deep_tiff(array))
        assert photo.pixels.dtype == again.pixels.dtype == np.uint16 and photo.mode == again.mode
        assert np.array_equal(again.pixels, edited(photo))


def more_than_eight_noted(row: Row) -> None:
    deep = scene().astype(np.uint16) * 4
    if row.kind == "AVIF":
        data = cv2.imencode(".avif", deep[..., ::-1], [cv2.IMWRITE_AVIF_DEPTH, 10])[1].tobytes()
    else:
        heif = pytest.importorskip("pillow_heif")
        file = BytesIO()
        heif.from_bytes("RGB;16", (64, 48), (deep * 64).tobytes()).save(file, bit_depth=10)
        data = file.getvalue()
    photo = image_io.read(data)
    assert photo.pixels.dtype == np.uint8
    assert photo.notes == ("It has 10 bits a channel, of which 8 are kept.",)
    eight_bits(row)


# metadata


def metadata_kept(row: Row) -> None:
    has_dpi = row.kind in ("JPEG", "PNG", "TIFF")
    options: dict[str, Any] = {"dpi": (300, 300)} if has_dpi else {}
    gps = Image.Exif()
    gps[ExifTags.IFD.GPSInfo] = {1: "N", 2: (48.0, 51.0, 29.0)}
    if row.kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        info.add_text("Title", "Aunt")
        options["pnginfo"] = info
    elif row.kind == "TIFF":
        options["tiffinfo"] = {700: XMP, 271: "Camera", 33723: IPTC}
    else:
        options["xmp"] = XMP
    if row.kind == "JPEG":
        block = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC
        options |= {"extra": b"\xff\xed" + struct.pack(">H", len(block) + 2) + block, "comment": b"Aunt"}
    if row.kind != "TIFF":
        options["exif"] = b"Exif\0\0" + exif_block(6)
    data = row.make(colour_image(), **options)
    photo = image_io.read(data)
    written = image_io.encode(photo, edited(photo), row.target)
    again = image_io.read(written)
    assert b"Camera" in again.exif and b'xmp:Rating="5"' in again.xmp
    assert b"compositeWithTrainedAlgorithmicMedia" in again.xmp
    assert b"\xff\xd8\xff" not in written[20:] or row.kind == "JPEG", "no thumbnail of the old face"
    assert b"\xff\xd8\xff" not in written[2:], "no thumbnail of the old face"
    if has_dpi:
        assert again.dpi == pytest.approx((300, 300), abs=0.1)
    if row.kind in ("JPEG", "TIFF"):
        assert IPTC in written
    if row.kind in ("JPEG", "PNG"):
        assert b"Aunt" in written
    bare = image_io.encode(photo, photo.pixels, row.target, strip_metadata=True, provenance=False)
    assert not any(part in bare for part in (b"Camera", b"xmpmeta", b"Aunt", IPTC))
    with_gps = image_io.read(saved(colour_image(), "JPEG", exif=gps))
    if row.target is None:  # Pillow itself cannot put the directory of GPS into all formats
        with_gps = image_io.read(image_io.encode(with_gps, with_gps.pixels, row.kind))
    with Image.open(BytesIO(image_io.encode(with_gps, with_gps.pixels, row.target))) as out:
        assert [float(v) for v in out.getexif().get_ifd(ExifTags.IFD.GPSInfo)[2]] == [48, 51, 29]


def no_metadata(row: Row) -> None:
    image = colour_image().quantize(64) if row.kind == "GIF" else colour_image()
    photo = image_io.read(row.make(image))
    assert photo.exif is None and photo.xmp is None
    if row.target is None:
        assert b"TrainedAlgorithmicMedia" not in image_io.encode(photo, photo.pixels)


# quality


def exact_outside_the_edit(row: Row) -> None:
    photo, again = row.edit(row.make(colour_image()))
    assert np.array_equal(photo.pixels, scene()), "read exactly"
    assert difference(photo, again)[outside_edit(photo)].max() == 0
    assert np.array_equal(again.pixels, edited(photo))


def as_a_plain_resave(row: Row) -> None:
    for subsampling, reach in ((0, 8), (1, 16), (2, 16)):
        data = row.make(colour_image(), subsampling=subsampling)
        photo, again = row.edit(data)
        with JpegImageFile(BytesIO(data)) as source:
            file = BytesIO()
            source.save(file, "JPEG", quality="keep")
        plain = image_io.read(file.getvalue())
        assert again.jpeg.tables == photo.jpeg.tables and again.jpeg.subsampling == subsampling
        outside = np.ones(photo.size_hw, bool)
        rows, columns = (slice(s.start // reach * reach, -(-s.stop // reach) * reach) for s in EDIT)
        # decoders smooth subsampled colour with the pixels beside the block
        margin = 2 if subsampling else 0
        outside[
            max(rows.start - margin, 0) : rows.stop + margin,
            max(columns.start - margin, 0) : columns.stop + margin,
        ] = False
        assert outside.any() and difference(plain, again)[outside].max() == 0


def encoded_again(row: Row) -> None:
    photo, again = row.edit(row.make(colour_image()))
    assert not photo.lossless and photo.avif_subsampling == again.avif_subsampling
    error = difference(photo, again)[outside_edit(photo)]
    assert 0 < error.mean() < 3


def read_only(row: Row) -> None:
    photo = image_io.read(row.make(colour_image().quantize(64) if row.kind == "GIF" else colour_image()))
    with pytest.raises(UsageError, match="PNG"):
        image_io.encode(photo, photo.pixels)
    assert np.array_equal(image_io.read(image_io.encode(photo, photo.pixels, "PNG")).pixels, photo.pixels)


Cell = tuple[str, Callable[[Row], None]]
UPRIGHT: Cell = ("1-8, upright", upright_for_all_tags)
EXACT: Cell = ("exact outside the edit", exact_outside_the_edit)
CELLS: dict[str, tuple[Cell, Cell, Cell, Cell, Cell, Cell]] = {
    "JPEG": (
        UPRIGHT,
        ("kept: RGB, grey, CMYK", profiles_kept),
        ("none; refused if needed", alpha_refused),
        ("8", eight_bits),
        ("EXIF, GPS, XMP, IPTC, comment, dpi", metadata_kept),
        ("as a plain re-save outside the edit's blocks", as_a_plain_resave),
    ),
    "PNG": (
        UPRIGHT,
        ("kept: RGB, grey", profiles_kept),
        ("exact", alpha_exact),
        ("8, 16", sixteen_bits),
        ("EXIF, GPS, XMP, texts, dpi", metadata_kept),
        EXACT,
    ),
    "TIFF": (
        UPRIGHT,
        ("kept: RGB, grey, CMYK", profiles_kept),
        ("exact", alpha_exact),
        ("8, 16", sixteen_bits),
        ("EXIF, GPS, XMP, IPTC, dpi", metadata_kept),
        EXACT,
    ),
    "WebP lossless": (
        UPRIGHT,
        ("kept: RGB", profiles_kept),
        ("exact", alpha_exact),
        ("8", eight_bits),
        ("EXIF, GPS, XMP", metadata_kept),
        EXACT,
    ),
    "WebP lossy": (
        UPRIGHT,
        ("kept: RGB", profiles_kept),
        ("exact", alpha_exact),
        ("8", eight_bits),
        ("EXIF, GPS, XMP", metadata_kept),
        ("encoded again at 90", encoded_again),
    ),
    "AVIF": (
        UPRIGHT,
        ("kept: RGB, grey", profiles_kept),
        ("encoded again", alpha_nearly),
        ("8; of 10 and 12 bits 8, with a note", more_than_eight_noted),
        ("EXIF, GPS, XMP", metadata_kept),
        ("encoded again at 90, same subsampling", encoded_again),
    ),
    "BMP": (
        ("none", stored_upright),
        ("none", no_profile),
        ("exact", alpha_exact),
        ("8", eight_bits),
        ("none, not even the provenance mark", no_metadata),
        EXACT,
    ),
    "HEIC (extra `heif`)": (
        ("as the decoder turns it", turned_by_the_decoder),
        ("kept", profile_read),
        ("kept", alpha_read),
        ("8; of 10 and 12 bits 8, with a note", more_than_eight_noted),
        ("EXIF, GPS, XMP", metadata_kept),
        ("read only: name another format", read_only),
    ),
    "GIF, one picture": (
        ("none", stored_upright),
        ("none", no_profile),
        ("kept", alpha_read),
        ("8", eight_bits),
        ("none", no_metadata),
        ("read only: name another format", read_only),
    ),
}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_format_table(row: Row, column: str) -> None:
    _, check = CELLS[row.name][COLUMNS.index(column)]
    check(row)


def table() -> str:
    """The table as it stands in docs/images.md."""
    lines = [["format", *COLUMNS], ["---"] * (len(COLUMNS) + 1)]
    lines += [[row.name, *(text for text, _ in CELLS[row.name])] for row in ROWS]
    return (
        "\n".join(f"| {' | '.join(line)} |" for line in lines)
        .replace("| --- ", "|---")
        .replace("|--- |", "|---|")
    )


def test_the_table_in_the_documentation_is_this_one(root: Path) -> None:
    text = (root / "docs" / "images.md").read_text(encoding="utf-8")
    assert table() in text, "paste what `python -m tests.photos.test_format_table` prints"


if __name__ == "__main__":
    print(table())
