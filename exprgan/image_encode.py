"""Encoders of photo files: edited pixels and the source's record in, bytes out."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin

from exprgan import metadata
from exprgan.errors import UsageError
from exprgan.photo import Photo

JPEG_QUALITY = 95  # for photos that were not JPEG
LOSSY_QUALITY = 90  # WebP and AVIF do not tell the quality they were saved at
PNG_STRATEGY = zlib.Z_RLE  # on photos as small as the default and four times as fast
MAX_SEGMENT = 65533 - 29  # bytes of EXIF or XMP that fit into one JPEG segment

_TIFF_TAGS = (270, 271, 272, 285, 305, 306, 315, 316, 33432, 33723, 34377, 36867)
"""Descriptive tags that are carried over: camera, software, dates, author, rights, IPTC, Photoshop."""


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
    limit = {"JPEG": 65_535, "WEBP": 16_383, "AVIF": 65_536}.get(target, 2**31 - 1)
    if max(width, height) > limit:
        raise UsageError(
            f"A {target} file holds at most {limit} pixels a side, the photo has {width}x{height}; use PNG."
        )
    if target == "TIFF":
        return _encode_tiff(photo, stored_array(photo, pixels, deep=True, cmyk=True))
    if target == "PNG":
        return _encode_png(photo, stored_array(photo, pixels, deep=True))
    array = stored_array(photo, pixels, cmyk=target == "JPEG", alpha=target not in ("JPEG", "BMP"))
    if target == "JPEG":
        return _encode_jpeg(photo, array)
    if target == "BMP":
        return _save(array, "BMP", **({"dpi": photo.dpi} if photo.dpi else {}))
    options: dict[str, Any] = {"xmp": photo.xmp or b"", "icc_profile": _profile(photo, array)}
    if photo.exif:
        options["exif"] = metadata.EXIF_PREFIX + photo.exif
    if target == "WEBP":
        lossless = photo.lossless if photo.format == "WEBP" else False
        effort = {"quality": 50, "method": 0} if lossless else {"quality": LOSSY_QUALITY, "method": 2}
        return _save(array, "WEBP", lossless=lossless, exact=True, **effort, **options)
    subsampling = "4:4:4" if photo.chroma_444 else "4:2:0"
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
        array = ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)
    return array[..., 0] if array.shape[-1] == 1 else array


def _grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """Luma (H, W, 1) with Rec. 601 weights, exact for pixels whose channels are equal."""
    weights = np.array([19595, 38470, 7471], np.uint32)  # sum 65536
    if np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2]):
        return pixels[..., :1]
    luma = (pixels.astype(np.uint32) @ weights + 32768) >> 16
    return luma.astype(pixels.dtype)[..., None]


def _edited_cmyk(photo: Photo, cmyk: NDArray[np.uint8], pixels: NDArray[Any]) -> NDArray[np.uint8]:
    from exprgan.colour import srgb_to_cmyk

    changed = np.any(pixels != photo.pixels, axis=-1)
    result = cmyk.copy()
    if changed.any():
        result[changed] = srgb_to_cmyk(pixels[changed][None], photo.icc_profile)[0]
    return result


def _save(array: NDArray[Any], target: str, **options: Any) -> bytes:
    file = BytesIO()
    mode = "CMYK" if options.pop("cmyk", False) else None
    image = (
        Image.fromarray(array) if mode is None else Image.frombytes(mode, array.shape[1::-1], array.tobytes())
    )
    image.save(file, target, **options)
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
            "extra": settings.segments,
        }
        if settings.subsampling >= 0:
            options["subsampling"] = settings.subsampling
        if settings.comment:
            options["comment"] = settings.comment
    if photo.exif and len(photo.exif) <= MAX_SEGMENT:
        options["exif"] = metadata.EXIF_PREFIX + photo.exif
    if photo.xmp and len(photo.xmp) <= MAX_SEGMENT:
        options["xmp"] = photo.xmp
    if photo.dpi:
        options["dpi"] = photo.dpi
    return _save(array, "JPEG", icc_profile=_profile(photo, array), **options)


def _encode_png(photo: Photo, array: NDArray[Any]) -> bytes:
    data = _save(array, "PNG", compress_type=PNG_STRATEGY) if array.dtype == np.uint8 else _deep_png(array)
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
        chunks.append(metadata.png_xmp_chunk(photo.xmp))
    return metadata.insert_png_chunks(data, chunks)


def _deep_png(array: NDArray[np.uint16]) -> bytes:
    """PNG file of a uint16 array (H, W) or (H, W, 2..4), all rows with the averaging filter."""
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    rows = np.ascontiguousarray(array.astype(">u2")).view(np.uint8).reshape(height, -1)
    left, above = np.zeros_like(rows), np.zeros_like(rows)
    left[:, 2 * channels :] = rows[:, : -2 * channels]
    above[1:] = rows[:-1]
    average = ((left.astype(np.uint16) + above) // 2).astype(np.uint8)  # PNG filter 3
    filtered = np.concatenate([np.full((height, 1), 3, np.uint8), rows - average], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 4)), (b"IEND", b"")]
    packed = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return metadata.PNG_SIGNATURE + b"".join(packed)


def _encode_tiff(photo: Photo, array: NDArray[Any]) -> bytes:
    """TIFF file of one Deflate strip; Pillow cannot write 16-bit colour."""
    height, width = array.shape[:2]
    array = array.reshape(height, width, -1)
    if array.dtype == np.uint16 and array.shape[2] == 2:  # few programs read 16-bit grey with alpha
        array = array[..., [0, 0, 0, 1]]
    channels = array.shape[2]
    is_cmyk = photo.cmyk is not None
    difference = array.astype(array.dtype.newbyteorder("<"), copy=True)
    difference[:, 1:] -= array[:, :-1]
    strip = zlib.compress(difference.tobytes(), 4)
    ifd = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    for tag, value in _tiff_metadata(photo).items():
        ifd[tag] = value
    ifd[256], ifd[257] = width, height
    ifd[258] = (8 * array.itemsize,) * channels
    ifd[259] = 8  # Deflate
    ifd[262] = 5 if is_cmyk else 1 if channels <= 2 else 2  # photometric: CMYK, grey, RGB
    ifd[273], ifd[277], ifd[278], ifd[279] = 0, channels, height, len(strip)
    ifd[284], ifd[317] = 1, 2  # interleaved; horizontal differences
    if channels in (2, 4) and not is_cmyk:
        ifd[338] = 2  # alpha, colours not multiplied by it
    file = BytesIO()
    ifd.save(file)
    return file.getvalue() + strip


def _tiff_metadata(photo: Photo) -> dict[int, Any]:
    tags: dict[int, Any] = {}
    if photo.exif:
        exif = Image.Exif()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow warns of odd entries
            exif.load(metadata.EXIF_PREFIX + photo.exif)
            tags = {tag: value for tag, value in _descriptive(exif).items() if _can_be_written(tag, value)}
    if photo.dpi:
        tags |= {282: photo.dpi[0], 283: photo.dpi[1], 296: 2}
    if photo.xmp:
        tags[700] = photo.xmp
    if photo.icc_profile:
        tags[34675] = photo.icc_profile
    return tags


def _descriptive(exif: Image.Exif) -> dict[int, Any]:
    """Tags that describe the photo and not how its pixels are stored."""
    tags = {tag: exif[tag] for tag in _TIFF_TAGS if tag in exif}
    for group in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if entries := dict(exif.get_ifd(group)):
            entries.pop(ExifTags.IFD.Interop, None)
            tags[group] = entries
    return tags


def _can_be_written(tag: int, value: Any) -> bool:
    """Whether Pillow can write a tag's value, which may be of a wrong type in a damaged file."""
    trial = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    try:
        trial[tag] = value
        trial.tobytes(8)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError, struct.error):
        return False
    return True


def tiff_exif(image: Image.Image) -> bytes | None:
    """Descriptive tags, EXIF and GPS of a TIFF file as an EXIF block without prefix."""
    kept = Image.Exif()
    for tag, value in _descriptive(image.getexif()).items():
        if _can_be_written(tag, value):
            kept[tag] = value
    return kept.tobytes().removeprefix(metadata.EXIF_PREFIX) if len(kept) else None
