"""Decoders of photo files: bytes in, pixels and the record of what else the file holds out."""

from __future__ import annotations

import re
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

from exprgan.errors import UnreadableImage
from exprgan.photos import exif, metadata, png, tiff
from exprgan.photos.photo import JpegSettings, Photo

FORMATS_TEXT = "JPEG, PNG, WebP, AVIF, TIFF or BMP"

HEAD_BYTES = 64
"""By so many first bytes a photo is known."""

_STRIP_PIXELS = 2_000_000
_AVIF_HEADER_BYTES = 65_536  # boxes that describe the picture stand before the picture
_SRGB_PRIMARIES, _SRGB_TRANSFERS = (1, 2, 5, 6), (1, 2, 6, 13, 14, 15)
"""Numbers of ITU-T H.273 that everybody shows as sRGB: BT.709, unknown, BT.601."""
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
    kind = sniff(data, name)
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
    return one_line(" ".join(text.split())[:120].rstrip("."))


def one_line(text: str) -> str:
    """Text without what would break a message's line: other letters are written as in Python."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def sniff(data: bytes, name: str) -> str:
    """Format of a file by its first `HEAD_BYTES` bytes.

    Raises:
        UnreadableImage: It is empty or no photo.
    """
    if not data:
        raise UnreadableImage(f"{name} is empty (0 bytes); take another copy.")
    for magic, kind in (
        (b"\xff\xd8\xff", "JPEG"),
        (png.SIGNATURE, "PNG"),
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
    try:
        return _OPENERS[kind](BytesIO(data), name)
    except SyntaxError as error:
        if "unknown pixel mode" not in str(error):
            raise
        raise UnreadableImage(
            f"{name} is a {kind} of a kind that cannot be edited; save it as RGB with 8 or 16 bits."
        ) from error


def _decode(data: bytes, kind: str, name: str, max_pixels: int) -> Photo:
    image = _open(data, kind, name)
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableImage(
            f"{name} has {width * height / 1e6:.0f} megapixels, more than the "
            f"{max_pixels / 1e6:.0f} allowed; make it smaller first."
        )
    has_more = _has_further_pictures(image, name)
    clip = metadata.clip_of(data) if kind == "JPEG" else b""
    of_png = png.read_metadata(data) if kind == "PNG" else None
    orientation, exif_block = _exif(image, kind, of_png)
    deep = _deep_mode(image, data, kind, name)
    pixels: NDArray[Any]
    alpha: NDArray[Any] | None
    cmyk: NDArray[np.uint8] | None = None
    if deep:
        pixels, alpha = _decode_deep(data, kind)
        if of_png and of_png.transparent_grey is not None and alpha is None:
            alpha = np.where(pixels[..., 0] == of_png.transparent_grey, 0, 65535).astype(np.uint16)
    else:
        image.load()
        pixels, alpha, cmyk = _channels(image, name)
    mode = deep or image.mode
    if orientation != 1:
        upright = _TRANSPOSE[orientation]
        pixels = np.ascontiguousarray(upright(pixels))
        alpha = None if alpha is None else np.ascontiguousarray(upright(alpha))
        cmyk = None if cmyk is None else np.ascontiguousarray(upright(cmyk))
    clean_exif = exif.upright_exif(exif_block, (pixels.shape[1], pixels.shape[0]))
    xmp = of_png.xmp if of_png else image.info.get("xmp")
    subsampling, depth = (
        _avif_coding(data, name) if kind == "AVIF" else ("4:4:4", image.info.get("bit_depth", 8))
    )
    return Photo(
        pixels=pixels,
        format=kind,
        mode=mode,
        alpha=alpha,
        icc_profile=image.info.get("icc_profile") or None,
        exif=clean_exif,
        xmp=metadata.clean_xmp(xmp),
        dpi=_dpi(image),
        jpeg=_jpeg_settings(image, orientation) if isinstance(image, JpegImagePlugin.JpegImageFile) else None,
        lossless=kind in ("PNG", "TIFF", "BMP", "GIF") or (kind == "WEBP" and b"VP8L" in _riff_kinds(data)),
        avif_subsampling=subsampling,
        png_chunks=of_png.kept if of_png else [],
        cmyk=cmyk,
        clip=clip,
        notes=tuple(
            _notes(
                depth,
                has_credentials=metadata.has_content_credentials(data, xmp),
                lost_exif=bool(exif_block) and clean_exif is None,
                has_more=has_more,
                has_clip=bool(clip),
            )
        ),
    )


def _has_further_pictures(image: Image.Image, name: str) -> bool:
    """Whether a file holds previews or the like beside its one picture; several pictures are refused."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return tiff.check_pages(image, name)
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise UnreadableImage(f"{name} holds {frames} pictures; export the one to edit as a file of its own.")
    return "mp" in image.info or "mpoffset" in image.info


def _exif(image: Image.Image, kind: str, of_png: png.PngMetadata | None) -> tuple[int, bytes | None]:
    """Orientation still to be applied after decoding, and the EXIF block without its prefix."""
    if kind == "TIFF":  # Pillow turns TIFF pixels upright itself
        return 1, tiff.tiff_exif(image)
    block = of_png.exif if of_png else image.info.get("exif")
    block = block.removeprefix(exif.PREFIX) if block else None
    if kind == "HEIF" and block:  # the decoder turns the pixels and leaves the tag
        block = exif.with_orientation(block, 1)
    return exif.orientation_of(block), block


def _deep_mode(image: Image.Image, data: bytes, kind: str, name: str) -> str | None:
    """Mode of a picture with 16 bits a channel, which Pillow would cut to 8; None for others."""
    if kind == "PNG" and data[24] == 16:
        return {0: "I;16", 2: "RGB;16", 4: "LA;16", 6: "RGBA;16"}[data[25]]
    return tiff.deep_mode(image, name) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _decode_deep(data: bytes, kind: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Pixels and alpha of a 16-bit PNG or TIFF, upright for TIFF."""
    orientation = exif.orientation_of(data) if kind == "TIFF" else 1
    data = exif.with_orientation(data) if orientation != 1 else data
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
    if array_bgr.shape[2] == 4:
        return np.ascontiguousarray(array_bgr[..., 2::-1]), np.ascontiguousarray(array_bgr[..., 3])
    rows = max(1, _STRIP_PIXELS // array_bgr.shape[1])
    for top in range(0, len(array_bgr), rows):  # in place: a second array would double the memory
        array_bgr[top : top + rows] = array_bgr[top : top + rows, :, ::-1].copy()
    return array_bgr, None


def _channels(
    image: Image.Image, name: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """RGB, alpha and CMYK arrays of a loaded 8-bit picture."""
    if image.mode == "CMYK":
        from exprgan.photos.colour import cmyk_to_srgb

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
    """Compression of a JPEG file, or the nearest better one that Pillow can write.

    Pillow has one table for the first channel and one for all others, so these get the finest of theirs.
    """
    by_channel = [list(image.quantization[layer[3]]) for layer in image.layer]
    transform = image.info.get("adobe_transform")
    is_rgb = image.layers == 3 and (transform == 0 or [layer[0] for layer in image.layer] == list(b"RGB"))
    if is_rgb or transform == 2:  # all alike in what is written: RGB, or CMYK for Adobe's YCCK
        tables = [np.min(by_channel, axis=0).tolist()]
    else:
        tables = by_channel[:1] + ([np.min(by_channel[1:], axis=0).tolist()] if by_channel[1:] else [])
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
        is_rgb=is_rgb,
        segments=metadata.kept_jpeg_segments(image.applist),
        comment=image.info.get("comment"),
    )


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    return (float(dpi[0]), float(dpi[1])) if dpi and all(0 < value < 1e5 for value in dpi) else None


def _riff_kinds(data: bytes) -> list[bytes]:
    """Kinds of a WebP file's chunks."""
    kinds, at = [], 12
    while at + 8 <= len(data):
        kinds.append(data[at : at + 4])
        at += 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1) // 2 * 2
    return kinds


def _avif_coding(data: bytes, name: str) -> tuple[str, int]:
    """Colour subsampling and bits a channel, from the first av1C box (AV1-ISOBMFF 2.3.3).

    Raises:
        UnreadableImage: The colours are neither sRGB nor described by an ICC profile.
    """
    colours = re.search(rb"colrnclx(.{4})", data[:_AVIF_HEADER_BYTES], re.DOTALL)
    if (
        colours
        and b"colrprof" not in data[:_AVIF_HEADER_BYTES]
        and b"colrrICC" not in data[:_AVIF_HEADER_BYTES]
    ):
        primaries, transfer = struct.unpack(">HH", colours[1])
        if primaries not in _SRGB_PRIMARIES or transfer not in _SRGB_TRANSFERS:
            raise UnreadableImage(
                f"{name} has wide-gamut or HDR colours without an ICC profile (CICP {primaries}/{transfer}); "
                "export it as sRGB or with a profile."
            )
    at = data.find(b"av1C")
    if at < 0 or at + 7 > len(data):
        return "4:4:4", 8
    flags = data[at + 6]
    depth = (12 if flags & 0b100000 else 10) if flags & 0b1000000 else 8
    if flags & 0b10000:
        return "4:0:0", depth
    return ("4:4:4" if not flags & 0b1000 else "4:2:0" if flags & 0b100 else "4:2:2"), depth


def _notes(
    depth: int, *, has_credentials: bool, lost_exif: bool, has_more: bool, has_clip: bool
) -> list[str]:
    notes = []
    if has_credentials:
        notes.append(metadata.CREDENTIALS_LEFT_OUT)
    if lost_exif:
        notes.append("Its EXIF block is damaged and is left out.")
    if depth > 8:
        notes.append(f"It has {depth} bits a channel, of which 8 are kept.")
    if has_clip:
        notes.append("Its clip (motion photo) is not edited; in a JPEG file it stays behind the picture.")
    if has_more:
        notes.append("The further pictures in the file (gain map, depth or preview) are left out.")
    return notes
