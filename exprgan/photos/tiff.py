"""TIFF files: which can be edited, the metadata in them, and an encoder for all depths."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin

from exprgan.errors import UnreadableImage, UsageError
from exprgan.photos import exif, metadata
from exprgan.photos.photo import Photo

_NEW_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _CHANNELS, _EXTRA, _SAMPLE_FORMAT = 254, 258, 262, 277, 338, 339
_DNG_VERSION, _PHOTOSHOP = 50706, 34377
_DEEP_KINDS = {(1, 1): "I;16", (2, 3): "RGB;16", (2, 4): "RGBA;16"}
"""Mode for photometric interpretation and number of channels of what is edited at 16 bits."""
_DESCRIPTIVE_TAGS = (270, 271, 272, 285, 305, 306, 315, 316, 33432, 33723, _PHOTOSHOP, 36867)
"""Tags that are carried over: camera, software, dates, author, rights, IPTC, Photoshop."""
_STRIP_BYTES = 4_000_000
_HEADER = b"II*\0\x08\0\0\0"


def check_pages(image: TiffImagePlugin.TiffImageFile, name: str) -> bool:
    """Whether smaller previews stand beside the picture, which may be the only one and the first.

    Raises:
        UnreadableImage: The file holds several pictures, or the first is a raw file's preview.
    """
    if _DNG_VERSION in image.tag_v2 or image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & 1:
        raise UnreadableImage(f"{name} is a camera's raw file; develop it to a JPEG, PNG or TIFF first.")
    num_pages = num_previews = 1
    if getattr(image, "n_frames", 1) > 1:
        num_pages, num_previews = image.n_frames, 1
        for page in range(1, num_pages):
            image.seek(page)
            num_previews += image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & 1
        image.seek(0)
    if num_pages > num_previews:
        raise UnreadableImage(
            f"{name} holds {num_pages} pictures; export the one to edit as a file of its own."
        )
    return num_pages > 1


def deep_mode(image: TiffImagePlugin.TiffImageFile, name: str) -> str | None:
    """Mode of a TIFF file with 16 bits a channel, None with 8 or fewer.

    Raises:
        UnreadableImage: It has other kinds of values.
    """
    tags = image.tag_v2
    bits, sample = set(tags.get(_BITS, (1,))), set(tags.get(_SAMPLE_FORMAT, (1,)))
    if max(bits) <= 8:
        return None
    kind = (tags.get(_PHOTOMETRIC, 1), tags.get(_CHANNELS, 1))
    is_premultiplied = tags.get(_EXTRA, (0,))[:1] == (1,)
    if bits == {16} and sample == {1} and kind in _DEEP_KINDS and not is_premultiplied:
        return _DEEP_KINDS[kind]
    alpha = ", colours multiplied by alpha" if is_premultiplied else ""
    raise UnreadableImage(
        f"{name} is a TIFF of a kind that cannot be edited ({max(bits)} bits, {kind[1]} channels{alpha}); "
        "save it as RGB with 8 or 16 bits."
    )


def tiff_exif(image: Image.Image) -> bytes | None:
    """Descriptive tags, EXIF and GPS of a TIFF file as an EXIF block without prefix."""
    kept = Image.Exif()
    for tag, value in _descriptive(image.getexif()).items():
        if _can_be_written(tag, value):
            kept[tag] = value
    return kept.tobytes().removeprefix(exif.PREFIX) if len(kept) else None


def encode(photo: Photo, array: NDArray[Any]) -> bytes:
    """TIFF file of one Deflate strip; Pillow cannot write 16-bit colour.

    Args:
        photo: Record of the source; its metadata are written.
        array: uint8 or uint16 (H, W) or (H, W, 2..4): grey, RGB or CMYK, with or without alpha.

    Raises:
        UsageError: The file would be larger than TIFF allows.
    """
    height, width = array.shape[:2]
    array = array.reshape(height, width, -1)
    if array.dtype == np.uint16 and array.shape[2] == 2:  # few programs read 16-bit grey with alpha
        array = array[..., [0, 0, 0, 1]]
    channels, is_cmyk = array.shape[2], photo.cmyk is not None
    strip = _deflated_differences(array)
    if len(strip) > 2**32 - 2**24:
        raise UsageError("The photo is too large for a TIFF file, which holds 4 GB; save it as PNG.")
    ifd = TiffImagePlugin.ImageFileDirectory_v2(_HEADER)
    for tag, value in _metadata_tags(photo).items():
        ifd[tag] = value
    ifd[256], ifd[257] = width, height
    ifd[_BITS] = (8 * array.itemsize,) * channels
    ifd[259] = 8  # Deflate
    ifd[_PHOTOMETRIC] = 5 if is_cmyk else 1 if channels <= 2 else 2  # CMYK, grey, RGB
    ifd[273], ifd[_CHANNELS], ifd[278], ifd[279] = 0, channels, height, len(strip)
    ifd[284], ifd[317] = 1, 2  # interleaved; horizontal differences
    if channels in (2, 4) and not is_cmyk:
        ifd[_EXTRA] = 2  # alpha, colours not multiplied by it
    file = BytesIO()
    ifd.save(file)
    return file.getvalue() + strip


def _deflated_differences(array: NDArray[Any]) -> bytes:
    """Rows as differences of neighbours, packed a few rows at a time."""
    compressor, parts = zlib.compressobj(4), []
    num_rows = max(1, _STRIP_BYTES // array[0].nbytes)
    for top in range(0, len(array), num_rows):
        rows = array[top : top + num_rows]
        difference = rows.astype(array.dtype.newbyteorder("<"), copy=True)
        difference[:, 1:] -= rows[:, :-1]
        parts.append(compressor.compress(np.ascontiguousarray(difference).data))
    return b"".join([*parts, compressor.flush()])


def _metadata_tags(photo: Photo) -> dict[int, Any]:
    tags: dict[int, Any] = {}
    if photo.exif:
        block = Image.Exif()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow warns of odd entries
            block.load(exif.PREFIX + photo.exif)
            tags = {tag: value for tag, value in _descriptive(block).items() if _can_be_written(tag, value)}
    if photo.dpi:
        tags |= {282: photo.dpi[0], 283: photo.dpi[1], 296: 2}
    if photo.xmp:
        tags[700] = photo.xmp
    if photo.icc_profile:
        tags[34675] = photo.icc_profile
    return tags


def _descriptive(block: Image.Exif) -> dict[int, Any]:
    """Tags that describe the photo and not how its pixels are stored."""
    tags = {tag: block[tag] for tag in _DESCRIPTIVE_TAGS if tag in block}
    if isinstance(tags.get(_PHOTOSHOP), bytes):
        tags[_PHOTOSHOP] = metadata.without_thumbnails(tags[_PHOTOSHOP])
    for group in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if entries := dict(block.get_ifd(group)):
            entries.pop(ExifTags.IFD.Interop, None)
            tags[group] = entries
    return tags


def _can_be_written(tag: int, value: Any) -> bool:
    """Whether Pillow can write a tag's value, which may be of a wrong type in a damaged file."""
    trial = TiffImagePlugin.ImageFileDirectory_v2(_HEADER)
    try:
        trial[tag] = value
        trial.tobytes(8)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, struct.error):
        return False
    return True
