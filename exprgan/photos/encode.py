"""Encoders of photo files: edited pixels and the source's record in, bytes out."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exprgan.errors import UsageError
from exprgan.photos import exif, metadata, png, tiff
from exprgan.photos.decode import reason
from exprgan.photos.photo import Photo

JPEG_QUALITY = 95  # for photos that were not JPEG
CMYK_FADE = 64  # change of an sRGB value, of 255, at which the inks that were there count no more
LOSSY_QUALITY = 90  # WebP and AVIF do not tell the quality they were saved at
PNG_STRATEGY = zlib.Z_RLE  # on photos as small as the default and four times as fast
MAX_SEGMENT = 65_533 - 29  # bytes of EXIF or XMP that fit into one JPEG segment
_LIMITS = {"JPEG": (65_500, 65_500**2), "WEBP": (16_383, 16_383**2), "AVIF": (32_768, 16_384**2)}
"""Pixels a side and in all that libjpeg and libwebp write, and that libavif reads again."""
_STRIP_PIXELS = 1_000_000


def encode_pixels(photo: Photo, pixels: NDArray[Any], target: str) -> bytes:
    """Bytes of a file of the target format.

    Args:
        photo: Record of the source; metadata is taken from it as it stands.
        pixels: Edited uint8 or uint16 RGB (H, W, 3), same size as `photo.pixels`.
        target: JPEG, PNG, WEBP, AVIF, TIFF or BMP.

    Raises:
        UsageError: The format cannot hold the photo.
    """
    if target not in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP"):
        raise UsageError(f"{target} files cannot be written; choose JPEG, PNG, WebP, AVIF, TIFF or BMP.")
    width, height = pixels.shape[1], pixels.shape[0]
    side, area = _LIMITS.get(target, (2**31 - 1, 2**31 - 1))
    if max(width, height) > side or width * height > area:
        raise UsageError(
            f"The photo has {width}x{height} pixels, more than a {target} file can hold; "
            "choose a PNG file with --output."
        )
    if target == "TIFF":
        return tiff.encode(photo, stored_array(photo, pixels, deep=True, cmyk=True))
    if target == "PNG":
        return _encode_png(photo, stored_array(photo, pixels, deep=True))
    array = stored_array(photo, pixels, cmyk=target == "JPEG", alpha=target != "JPEG")
    if target == "JPEG":
        return _encode_jpeg(photo, array)
    if target == "BMP":
        return _encode_bmp(photo, array)
    options: dict[str, Any] = {"xmp": photo.xmp or b"", "icc_profile": _profile(photo, array)}
    if photo.exif:
        options["exif"] = exif.PREFIX + photo.exif
    if target == "WEBP":
        lossless = photo.lossless if photo.format == "WEBP" else False
        effort = {"quality": 50, "method": 0} if lossless else {"quality": LOSSY_QUALITY, "method": 2}
        return _save(array, "WEBP", lossless=lossless, exact=True, **effort, **options)
    subsampling = "4:0:0" if photo.is_grey else photo.avif_subsampling.replace("4:0:0", "4:4:4")
    return _save(array, "AVIF", quality=LOSSY_QUALITY, speed=9, subsampling=subsampling, **options)


def stored_array(
    photo: Photo, pixels: NDArray[Any], *, deep: bool = False, cmyk: bool = False, alpha: bool = True
) -> NDArray[Any]:
    """Edited pixels as a file stores them: (H, W) grey, or (H, W, 2..4) with alpha or CMYK.

    Grey files stay grey, CMYK files keep the four values of every pixel that was not edited.

    Args:
        photo: Record of the source.
        pixels: Edited RGB (H, W, 3).
        deep: Whether the format holds 16 bits; otherwise they are rounded to 8.
        cmyk: Whether the format holds CMYK.
        alpha: Whether the format holds alpha.

    Raises:
        UsageError: The photo has transparent parts and the format has none.
    """
    if photo.cmyk is not None and cmyk:
        return _edited_cmyk(photo, photo.cmyk, pixels)
    planes = [_grey(pixels)] if photo.is_grey else [pixels]
    if photo.alpha is not None:
        if alpha:
            planes.append(photo.alpha[..., None])
        elif photo.alpha.min() < np.iinfo(photo.alpha.dtype).max:
            raise UsageError(
                "The photo has transparent parts, which this format cannot hold; save it as PNG or WebP."
            )
    array = np.concatenate(planes, axis=-1) if len(planes) > 1 else planes[0]
    if array.dtype == np.uint16 and not deep:
        array = _eight_bits(array)
    return array[..., 0] if array.shape[-1] == 1 else array


def _eight_bits(array: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """The nearest 8-bit values."""
    result = np.empty(array.shape, np.uint8)
    for rows in _strips(array):
        result[rows] = (array[rows].astype(np.uint32) + 128) // 257
    return result


def _grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """Luma (H, W, 1) with Rec. 601 weights, exact for pixels whose channels are equal."""
    weights = np.array([19595, 38470, 7471], np.uint32)  # sum 65536
    luma = np.empty((*pixels.shape[:2], 1), pixels.dtype)
    for rows in _strips(pixels):
        luma[rows, :, 0] = (pixels[rows].astype(np.uint32) @ weights + 32768) >> 16
    return luma


def _edited_cmyk(photo: Photo, cmyk: NDArray[np.uint8], pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """The photo's inks with the edit on them.

    Small changes are added to the inks that are there, so that the edit has no border where it fades out;
    large ones replace them, because a separation with other black cannot be reached by differences.
    """
    result = cmyk.copy()
    for rows in _strips(pixels):
        changed = np.any(pixels[rows] != photo.pixels[rows], axis=-1)
        if changed.any():
            inks = cmyk[rows][changed]
            result[rows][changed] = _edited_inks(
                inks, photo.pixels[rows][changed], pixels[rows][changed], photo.icc_profile
            )
    return result


def _edited_inks(
    inks: NDArray[np.uint8], before: NDArray[np.uint8], after: NDArray[np.uint8], profile: bytes | None
) -> NDArray[np.uint8]:
    """Inks (N, 4) of edited pixels; before and after are their sRGB values (N, 3)."""
    from exprgan.photos.colour import srgb_to_cmyk

    old, new = (srgb_to_cmyk(values[None], profile)[0].astype(np.float32) for values in (before, after))
    change = np.abs(after.astype(np.float32) - before).max(axis=-1, keepdims=True)
    kept = np.clip(1 - change / CMYK_FADE, 0, 1)
    return np.clip(np.rint(new + kept * (inks - old)), 0, 255).astype(np.uint8)


def _strips(pixels: NDArray[Any]) -> Iterator[slice]:
    """Rows of an array, about a million pixels at a time."""
    num_rows = max(1, _STRIP_PIXELS // pixels.shape[1])
    for top in range(0, len(pixels), num_rows):
        yield slice(top, top + num_rows)


def _save(array: NDArray[Any], target: str, **options: Any) -> bytes:
    file = BytesIO()
    mode = "CMYK" if options.pop("cmyk", False) else None
    image = (
        Image.fromarray(array) if mode is None else Image.frombytes(mode, array.shape[1::-1], array.tobytes())
    )
    try:
        image.save(file, target, **options)
    except (OSError, ValueError, RuntimeError) as error:  # a profile too large for the format, and the like
        raise UsageError(
            f"The photo cannot be saved as {target} ({reason(error)}); choose a PNG file with --output."
        ) from error
    return file.getvalue()


def _profile(photo: Photo, array: NDArray[Any]) -> bytes | None:
    """The source's profile where it still describes the stored channels."""
    if photo.mode == "CMYK" and not (array.ndim == 3 and array.shape[2] == 4):
        return None
    return photo.icc_profile


def _encode_jpeg(photo: Photo, array: NDArray[np.uint8]) -> bytes:
    is_cmyk = array.ndim == 3 and array.shape[2] == 4
    options: dict[str, Any] = {"cmyk": is_cmyk}
    settings = photo.jpeg
    if settings is None:
        options |= {"quality": JPEG_QUALITY, "subsampling": 0}
    else:
        options |= {
            "qtables": settings.tables,
            "progressive": settings.progressive,
            "keep_rgb": settings.is_rgb,
            "extra": settings.segments,
        }
        if settings.subsampling >= 0:
            options["subsampling"] = settings.subsampling
        if settings.comment:
            options["comment"] = settings.comment
    if photo.exif and len(photo.exif) <= MAX_SEGMENT:
        options["exif"] = exif.PREFIX + photo.exif
    if photo.xmp and (xmp := metadata.trimmed_xmp(photo.xmp, MAX_SEGMENT)):
        options["xmp"] = xmp
    if photo.dpi:
        options["dpi"] = photo.dpi
    return _save(array, "JPEG", icc_profile=_profile(photo, array), **options) + photo.clip


def _encode_png(photo: Photo, array: NDArray[Any]) -> bytes:
    data = (
        _save(array, "PNG", compress_type=PNG_STRATEGY) if array.dtype == np.uint8 else png.encode_deep(array)
    )
    chunks = [chunk for chunk in photo.png_chunks if not (chunk[0] == b"sRGB" and photo.icc_profile)]
    profile = None if photo.mode == "CMYK" else photo.icc_profile
    if profile:
        chunks.insert(0, (b"iCCP", b"ICC profile\0\0" + zlib.compress(profile)))
    if photo.dpi and not any(kind == b"pHYs" for kind, _ in chunks):
        per_metre = [round(dpi / 0.0254) for dpi in photo.dpi]
        chunks.append((b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if photo.exif:
        chunks.append((b"eXIf", photo.exif))
    if photo.xmp:
        chunks.append(png.xmp_chunk(photo.xmp))
    return png.insert_chunks(data, chunks)


def _encode_bmp(photo: Photo, array: NDArray[np.uint8]) -> bytes:
    """BMP file; one with alpha has the version 4 header, which Pillow does not write."""
    dpi = photo.dpi or (72, 72)
    if array.ndim == 2 or array.shape[2] == 3:
        return _save(array, "BMP", dpi=dpi)
    height, width, channels = array.shape
    bgra = array[::-1][..., [0, 0, 0, 1] if channels == 2 else [2, 1, 0, 3]]
    per_metre = [round(value / 0.0254) for value in dpi]
    header = struct.pack("<IiiHHIIiiII", 108, width, height, 1, 32, 3, bgra.size, *per_metre, 0, 0)
    header += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs".ljust(52, b"\0")
    start = 14 + len(header)
    return b"BM" + struct.pack("<IHHI", start + bgra.size, 0, 0, start) + header + bgra.tobytes()
