"""Photo files in and out, with everything that is not an edited pixel left as it was.

`read` gives upright RGB pixels in the photo's own colour space, at 8 or 16 bits, and a record of what else the
file holds; `write` puts edited pixels back into a file of the same kind. Bytes are read and decoded here, never
by path in a foreign library, so that any file name works. `exprgan.colour` gives the networks' sRGB view.
"""

from __future__ import annotations

import os
import struct
import tempfile
import warnings
import zlib
from dataclasses import dataclass, field, replace
from io import BytesIO
from pathlib import Path
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
from exprgan.errors import ExprganError, UnreadableImage, UsageError

EXTENSIONS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".avif": "AVIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".dib": "BMP",
}
"""Format of each file name extension that can be written."""

READABLE_EXTENSIONS = (*EXTENSIONS, ".gif", ".heic", ".heif")
"""Extensions worth looking at in a folder of photos."""

MAX_PIXELS = 512_000_000
"""Larger pictures are refused before they are decoded."""

FORMATS_TEXT = "JPEG, PNG, WebP, AVIF, TIFF or BMP"

_GREY_MODES = ("1", "L", "LA", "La")
_ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
_DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
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
_TRANSPOSE = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a.swapaxes(0, 1)[::-1, ::-1],
    8: lambda a: a.swapaxes(0, 1)[::-1],
}  # EXIF orientation -> upright view of an array (H, W, ...)


@dataclass(frozen=True)
class JpegSettings:
    """How a JPEG was compressed, to compress it so again."""

    tables: list[list[int]]  # quantisation tables of luma and chroma, natural order
    subsampling: int  # Pillow's number: 0 4:4:4, 1 4:2:2, 2 4:2:0, -1 none
    progressive: bool
    segments: bytes  # application segments kept as they are (Photoshop, IPTC)
    comment: bytes | None


@dataclass(frozen=True)
class Photo:
    """A decoded photo and all its file holds beside the pixels."""

    pixels: NDArray[Any]  # uint8 or uint16 RGB (H, W, 3), upright, in the photo's own colour space
    format: str  # JPEG, PNG, WEBP, AVIF, TIFF, BMP, GIF or HEIF
    mode: str  # what the file stores: Pillow's name, or I;16, LA;16, RGB;16, RGBA;16
    path: Path | None = None
    alpha: NDArray[Any] | None = None  # (H, W), dtype of pixels
    icc_profile: bytes | None = None  # of the file; for CMYK files that is not the profile of pixels
    exif: bytes | None = None  # TIFF structure without `Exif` prefix, orientation 1, no thumbnail
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    jpeg: JpegSettings | None = None
    lossless: bool = True  # whether the file's format keeps every pixel value
    chroma_444: bool = True  # whether a lossy file stores colour at full resolution
    png_chunks: list[tuple[bytes, bytes]] = field(default_factory=list)  # text, gamma and the like
    cmyk: NDArray[np.uint8] | None = None  # (H, W, 4) as stored, upright, for CMYK files
    notes: tuple[str, ...] = ()  # what the user should know, one sentence each

    @property
    def is_grey(self) -> bool:
        """Whether the file has a single colour channel."""
        return self.mode.split(";")[0] in (*_GREY_MODES, "I")

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels, upright."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def pixel_profile(self) -> bytes | None:
        """ICC profile that `pixels` are in; None means sRGB."""
        return None if self.mode == "CMYK" else self.icc_profile


def read(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS) -> Photo:
    """Decode a photo.

    Args:
        source: Path of the file, or its bytes.
        max_pixels: Larger pictures are refused before decoding.

    Returns:
        The photo; pixels upright, RGB, uint8, or uint16 for 16-bit PNG and TIFF.

    Raises:
        UnreadableImage: The file is missing, damaged, too large, animated or not a photo.
    """
    if isinstance(source, bytes):
        path, data, name = None, source, "The input"
    else:
        path = Path(source)
        data, name = _read_bytes(path), str(path)
    kind = _sniff(data, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow warns of odd metadata
            photo = _decode(data, kind, name, max_pixels)
    except MemoryError as error:
        raise UnreadableImage(f"{name} does not fit into memory; make it smaller first.") from error
    except _DECODE_ERRORS as error:
        raise UnreadableImage(
            f"{name} is damaged and cannot be decoded ({_reason(error)}); open and save it in an image editor, "
            "or take another copy."
        ) from error
    return replace(photo, path=path)


def write(
    photo: Photo,
    pixels: NDArray[Any],
    path: Path | str,
    *,
    weights: str | None = None,
    provenance: bool = True,
    strip_metadata: bool = False,
) -> None:
    """Save edited pixels as the photo's file was, or in the format that the path's extension names.

    The file appears whole or not at all.

    Args:
        photo: The photo that was read.
        pixels: RGB (H, W, 3), size and dtype of `photo.pixels`, same colour space.
        path: File to write; replaced if it exists.
        weights: Name and hash of the weights used, for the provenance record.
        provenance: Whether to mark the file as edited by a trained model (XMP DigitalSourceType).
        strip_metadata: Leave out EXIF, XMP, IPTC and text; the colour profile stays.

    Raises:
        UsageError: The path cannot be written or its format cannot hold the photo.
        ExprganError: Writing failed on the way, for example because the disk is full.
    """
    path = Path(path)
    data = encode(
        photo,
        pixels,
        output_format(photo, path),
        weights=weights,
        provenance=provenance,
        strip_metadata=strip_metadata,
    )
    write_atomic(path, data)


def output_format(photo: Photo, path: Path) -> str:
    """Format to save a photo in: its own if the path has its extension or none, else the extension's.

    Raises:
        UsageError: The extension names no format that can be written.
    """
    suffix = path.suffix.lower()
    same = photo.path is not None and photo.path.suffix.lower() == suffix
    target = photo.format if same or not suffix else EXTENSIONS.get(suffix, "")
    if target not in EXTENSIONS.values():
        what = f"a {photo.format} file" if target else f"a file called *{suffix}"
        raise UsageError(f"{path.name} cannot be saved as {what}; choose {FORMATS_TEXT} with --output.")
    return target


def encode(
    photo: Photo,
    pixels: NDArray[Any],
    target: str | None = None,
    *,
    weights: str | None = None,
    provenance: bool = True,
    strip_metadata: bool = False,
) -> bytes:
    """Bytes of a file with edited pixels; arguments as for `write`, target a format's name.

    Raises:
        UsageError: The format cannot hold the photo.
    """
    from exprgan import __version__
    from exprgan.image_encode import encode_pixels

    if pixels.shape != photo.pixels.shape or pixels.dtype != photo.pixels.dtype:
        raise ValueError(f"expected {photo.pixels.shape} {photo.pixels.dtype}, got {pixels.shape} {pixels.dtype}")
    if strip_metadata:
        jpeg = photo.jpeg and replace(photo.jpeg, segments=b"", comment=None)
        photo = replace(photo, exif=None, xmp=None, jpeg=jpeg, png_chunks=_without_text(photo.png_chunks))
    if provenance:
        xmp = metadata.provenance_xmp(photo.xmp, tool=f"exprgan {__version__}", weights=weights)
        photo = replace(photo, xmp=xmp)
    return encode_pixels(photo, pixels, target or photo.format)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises:
        UsageError: The folder is missing or may not be written to, or the name is impossible.
        ExprganError: Writing failed on the way.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".exprgan-", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _new_file_mode(path))
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        kind = UsageError if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError)) else ExprganError
        raise kind(f"{path} cannot be written ({_reason(error)}); choose another place with --output.") from error
    except BaseException:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise


def _new_file_mode(path: Path) -> int:
    """Permissions of the file that is replaced, else what the umask leaves."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UnreadableImage(f"{path} does not exist; check the name and the folder.") from error
    except IsADirectoryError as error:
        raise UnreadableImage(f"{path} is a folder; name a photo in it.") from error
    except (OSError, ValueError) as error:
        raise UnreadableImage(f"{path} cannot be read ({_reason(error)}); check its permissions.") from error


def _reason(error: BaseException) -> str:
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
            from pillow_heif import HeifImageFile  # type: ignore[import-not-found, unused-ignore]
        except ImportError as error:
            raise UnreadableImage(
                f'{name} is a HEIC photo, which needs an extra: pip install "exprgan[heic]".'
            ) from error
        return HeifImageFile(BytesIO(data))  # type: ignore[no-any-return, unused-ignore]
    return _OPENERS[kind](BytesIO(data), name)  # type: ignore[no-any-return]


def _decode(data: bytes, kind: str, name: str, max_pixels: int) -> Photo:
    image = _open(data, kind, name)
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableImage(
            f"{name} has {width * height / 1e6:.0f} megapixels, more than the {max_pixels / 1e6:.0f} allowed; "
            "make it smaller first."
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
    chroma_444, depth = _avif_coding(data) if kind == "AVIF" else (True, 8)
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


def _decode_deep(data: bytes, kind: str) -> tuple[NDArray[np.uint16], NDArray[np.uint16] | None]:
    """Pixels and alpha of a 16-bit PNG or TIFF, upright for TIFF."""
    orientation = 1
    if kind == "PNG":
        for _ in metadata.png_chunks(data):  # OpenCV fills damaged PNGs with black
            pass
    else:
        orientation = metadata.exif_orientation(data)
        data = metadata.with_orientation(data) if orientation != 1 else data
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        array_bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.setLogLevel(level)
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

        cmyk = np.asarray(image)
        return cmyk_to_srgb(cmyk, image.info.get("icc_profile")), None, cmyk
    if image.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"):
        raise UnreadableImage(
            f"{name} stores its colours in a way that cannot be edited ({image.mode}); save it as RGB."
        )
    if image.mode in _ALPHA_MODES or image.has_transparency_data:
        rgba = np.asarray(image.convert("RGBA"))
        return np.ascontiguousarray(rgba[..., :3]), np.ascontiguousarray(rgba[..., 3]), None
    return np.asarray(image.convert("RGB")), None, None


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


def _without_text(chunks: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [chunk for chunk in chunks if chunk[0] not in (b"tIME", b"tEXt", b"zTXt", b"iTXt")]


def _riff_kinds(data: bytes) -> list[bytes]:
    """Kinds of a WebP file's chunks."""
    kinds, at = [], 12
    while at + 8 <= len(data):
        kinds.append(data[at : at + 4])
        at += 8 + (int.from_bytes(data[at + 4 : at + 8], "little") + 1) // 2 * 2
    return kinds


def _avif_coding(data: bytes) -> tuple[bool, int]:
    """Whether an AVIF file stores colour at full resolution, and its bits a channel, from its first av1C box."""
    at = data.find(b"av1C")
    if at < 0 or at + 7 > len(data):
        return True, 8
    flags = data[at + 6]
    return not flags & 0b1000, (12 if flags & 0b100000 else 10) if flags & 0b1000000 else 8


def _notes(data: bytes, image: Image.Image, exif: bytes | None, clean_exif: bytes | None, depth: int) -> list[str]:
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
