"""Decoders of photo files: bytes in, pixels and the record of what else the file holds out."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from exprgan import metadata
from exprgan.errors import UnreadableImage
from exprgan.photo import JpegSettings, Photo

FORMATS_TEXT = "JPEG, PNG, WebP, AVIF, TIFF or BMP"

_STRIP_PIXELS = 2_000_000
_ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
    cv2.error,
    Image.DecompressionBombError,
)  # what decoders raise on damaged files
_OPENERS: dict[str, Any] = {
    "JPEG": JpegImagePlugin.JpegImageFile,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "AVIF": AvifImagePlugin.AvifImageFile,
    "TIFF": TiffImagePlugin.TiffImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "GIF": GifImagePlugin.GifImageFile,
}
_TRANSPOSE: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}  # EXIF orientation -> upright view of an array (H, W, ...)


def decode(data: bytes, name: str, max_pixels: int) -> Photo:
    """Photo of a file's bytes; `name` is what messages call it.

    Raises:
        UnreadableImage: The data are damaged, too large, of several pictures or no photo.
    """
    kind = _sniff(data, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow warns of odd metadata
            return _decode(data, kind, name, max_pixels)
    except MemoryError as error:
        raise UnreadableImage(f"{name} does not fit into memory; make it smaller first.") from error
    except _DECODE_ERRORS as error:
        raise UnreadableImage(
            f"{name} is damaged and cannot be decoded ({reason(error)}); "
            "open and save it in an image editor, or take another copy."
        ) from error


def reason(error: BaseException) -> str:
    """Why an operation failed, in a few words and on one line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split())[:120].rstrip(".")


def _sniff(data: bytes, name: str) -> str:
    """Format by the first bytes."""
    if not data:
        raise UnreadableImage(f"{name} is empty (0 bytes); take another copy.")
    for magic, kind in (
        (b"\xff\xd8\xff", "JPEG"),
        (metadata.PNG_SIGNATURE, "PNG"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"II+\0", "TIFF"),
        (b"MM\0+", "TIFF"),
        (b"GIF8", "GIF"),
        (b"BM", "BMP"),
    ):
        if data.startswith(magic):
            return kind
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        brands = data[8 : max(12, min(int.from_bytes(data[:4], "big"), 64))]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        if any(brand in brands for brand in (b"heic", b"heix", b"heim", b"mif1", b"hevc")):
            return "HEIF"
    raise UnreadableImage(f"{name} is not a photo that can be read here; give {FORMATS_TEXT}.")


def _open(data: bytes, kind: str, name: str) -> Image.Image:
    if kind == "HEIF":
        try:
            from pillow_heif import HeifImageFile
        except ImportError as error:
            raise UnreadableImage(
                f'{name} is a HEIC photo, which needs an extra: pip install "exprgan[heif]".'
            ) from error
        return HeifImageFile(BytesIO(data))
    return _OPENERS[kind](BytesIO(data), name)


def _decode(data: bytes, kind: str, name: str, max_pixels: int) -> Photo:
    image = _open(data, kind, name)
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableImage(
            f"{name} has {width * height / 1e6:.0f} megapixels, more than the "
            f"{max_pixels / 1e6:.0f} allowed; make it smaller first."
        )
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise UnreadableImage(f"{name} holds {frames} pictures; export the one to edit as a file of its own.")
    orientation, exif = _exif(image, data, kind)
    deep = _deep_mode(image, data, kind, name)
    pixels: NDArray[Any]
    alpha: NDArray[Any] | None
    cmyk: NDArray[np.uint8] | None = None
    if deep:
        pixels, alpha = _decode_deep(data, kind)
    else:
        image.load()
        pixels, alpha, cmyk = _channels(image, name)
    mode = deep or image.mode
    if orientation != 1:
        upright = _TRANSPOSE[orientation]
        pixels = np.ascontiguousarray(upright(pixels))
        alpha = None if alpha is None else np.ascontiguousarray(upright(alpha))
        cmyk = None if cmyk is None else np.ascontiguousarray(upright(cmyk))
    clean_exif = metadata.upright_exif(exif, (pixels.shape[1], pixels.shape[0]))
    xmp = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
    chroma_444, depth = _avif_coding(data) if kind == "AVIF" else (True, image.info.get("bit_depth", 8))
    return Photo(
        pixels=pixels,
        format=kind,
        mode=mode,
        alpha=alpha,
        icc_profile=image.info.get("icc_profile") or None,
        exif=clean_exif,
        xmp=metadata.upright_xmp(xmp.encode() if isinstance(xmp, str) else xmp),
        dpi=_dpi(image),
        jpeg=_jpeg_settings(image, orientation) if isinstance(image, JpegImagePlugin.JpegImageFile) else None,
        lossless=kind in ("PNG", "TIFF", "BMP", "GIF") or (kind == "WEBP" and b"VP8L" in _riff_kinds(data)),
        chroma_444=chroma_444,
        png_chunks=_kept_chunks(data) if kind == "PNG" else [],
        cmyk=cmyk,
        notes=tuple(_notes(data, image, exif, clean_exif, depth)),
    )


def _exif(image: Image.Image, data: bytes, kind: str) -> tuple[int, bytes | None]:
    """Orientation still to be applied after decoding, and the EXIF block without its prefix."""
    if kind == "TIFF":  # Pillow turns TIFF pixels upright itself
        from exprgan.image_encode import tiff_exif

        return 1, tiff_exif(image)
    exif = image.info.get("exif")
    if kind == "HEIF":  # the decoder turns the pixels and leaves the tag
        exif = metadata.with_orientation(exif.removeprefix(metadata.EXIF_PREFIX), 1) if exif else None
    exif = exif.removeprefix(metadata.EXIF_PREFIX) if exif else None
    return metadata.exif_orientation(exif), exif


def _deep_mode(image: Image.Image, data: bytes, kind: str, name: str) -> str | None:
    """Mode of a picture with 16 bits a channel, which Pillow would cut to 8; None for others."""
    if kind == "PNG" and data[24] == 16:
        return {0: "I;16", 2: "RGB;16", 4: "LA;16", 6: "RGBA;16"}[data[25]]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        bits, sample = set(image.tag_v2.get(258, (1,))), set(image.tag_v2.get(339, (1,)))
        photometric, num = image.tag_v2.get(262, 1), image.tag_v2.get(277, 1)
        if bits == {16} and sample == {1} and (photometric, num) in {(1, 1), (1, 2), (2, 3), (2, 4)}:
            return {1: "I;16", 2: "LA;16", 3: "RGB;16", 4: "RGBA;16"}[num]
        if max(bits) > 8:
            raise UnreadableImage(
                f"{name} is a TIFF of a kind that cannot be edited ({max(bits)} bits, {num} channels); "
                "save it as RGB with 8 or 16 bits."
            )
    return None


def _decode_deep(data: bytes, kind: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Pixels and alpha of a 16-bit PNG or TIFF, upright for TIFF."""
    orientation = 1
    if kind == "PNG":
        for _ in metadata.png_chunks(data):  # OpenCV fills damaged PNGs with black
            pass
    else:
        orientation = metadata.exif_orientation(data)
        data = metadata.with_orientation(data) if orientation != 1 else data
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        array_bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if array_bgr is None or array_bgr.dtype != np.uint16:
        raise ValueError("its 16-bit pixels cannot be decoded")
    if orientation != 1:
        array_bgr = np.ascontiguousarray(_TRANSPOSE[orientation](array_bgr))
    if array_bgr.ndim == 2:
        return cv2.cvtColor(array_bgr, cv2.COLOR_GRAY2RGB), None
    alpha = np.ascontiguousarray(array_bgr[..., 3]) if array_bgr.shape[2] == 4 else None
    return np.ascontiguousarray(array_bgr[..., 2::-1]), alpha


def _channels(
    image: Image.Image, name: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """RGB, alpha and CMYK arrays of a loaded 8-bit picture."""
    if image.mode == "CMYK":
        from exprgan.colour import cmyk_to_srgb

        cmyk = _to_array(image, "CMYK")
        return cmyk_to_srgb(cmyk, image.info.get("icc_profile")), None, cmyk
    if image.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"):
        raise UnreadableImage(
            f"{name} stores its colours in a way that cannot be edited ({image.mode}); save it as RGB."
        )
    if image.mode in _ALPHA_MODES or image.has_transparency_data:
        rgba = _to_array(image, "RGBA")
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3]), None
    return _to_array(image, "RGB"), None, None


def _to_array(image: Image.Image, mode: str) -> NDArray[np.uint8]:
    """Loaded picture as an array, converted strip by strip: Pillow's own way takes twice the memory."""
    width, height = image.size
    array = np.empty((height, width, len(mode)), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        array[top : top + rows] = np.asarray(strip if strip.mode == mode else strip.convert(mode))
    return array


def _jpeg_settings(image: JpegImagePlugin.JpegImageFile, orientation: int) -> JpegSettings:
    tables = [list(image.quantization[layer[3]]) for layer in image.layer[:2]]
    subsampling = JpegImagePlugin.get_sampling(image)
    if orientation >= 5:  # rows and columns swap
        tables = [np.reshape(table, (8, 8)).T.ravel().tolist() for table in tables]
        subsampling = 0 if subsampling == 1 else subsampling
    if subsampling == -1 and image.layers == 3:
        subsampling = 0  # a pattern Pillow cannot write: keep all colour
    return JpegSettings(
        tables=tables,
        subsampling=subsampling,
        progressive=bool(image.info.get("progressive")),
        segments=metadata.jpeg_segments(image.applist),
        comment=image.info.get("comment"),
    )


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    return (float(dpi[0]), float(dpi[1])) if dpi and all(0 < value < 1e5 for value in dpi) else None


_KEPT_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"pHYs", b"tIME", b"tEXt", b"zTXt", b"iTXt")


def _kept_chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (kind, content)
        for kind, content in metadata.png_chunks(data)
        if kind in _KEPT_CHUNKS and not content.startswith((b"XML:com.adobe.xmp\0", b"Raw profile type "))
    ]


def _riff_kinds(data: bytes) -> list[bytes]:
    """Kinds of a WebP file's chunks."""
    kinds, at = [], 12
    while at + 8 <= len(data):
        kinds.append(data[at : at + 4])
        at += 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1) // 2 * 2
    return kinds


def _avif_coding(data: bytes) -> tuple[bool, int]:
    """Whether colour is at full resolution, and bits a channel, from the first av1C box."""
    at = data.find(b"av1C")
    if at < 0 or at + 7 > len(data):
        return True, 8
    flags = data[at + 6]
    return not flags & 0b1000, (12 if flags & 0b100000 else 10) if flags & 0b1000000 else 8


def _notes(
    data: bytes, image: Image.Image, exif: bytes | None, clean_exif: bytes | None, depth: int
) -> list[str]:
    notes = []
    if metadata.has_content_credentials(data):
        notes.append("Its content credentials (C2PA) are left out, because an edit breaks their signature.")
    if exif and clean_exif is None:
        notes.append("Its EXIF block is damaged and is left out.")
    if depth > 8:
        notes.append(f"It has {depth} bits a channel, of which 8 are kept.")
    if "mp" in image.info or "mpoffset" in image.info:
        notes.append("The further pictures in the file (gain map, depth or preview) are left out.")
    return notes
