"""Photo files in and out, with everything that is not an edited pixel left as it was.

`read` gives upright RGB pixels in the photo's own colour space, at 8 or 16 bits, and a record of what else
the file holds; `write` puts edited pixels back into a file of the same kind. Bytes are read here and decoded
from memory, never by path in a foreign library, so that any file name works. `exprgan.photos.colour` gives the sRGB
view that networks get.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from exprgan.errors import ExprganError, UnreadableImage, UsageError
from exprgan.files import being_written
from exprgan.photos import metadata, places
from exprgan.photos.decode import FORMATS_TEXT, HEAD_BYTES, decode, one_line, reason, sniff
from exprgan.photos.encode import encode_pixels
from exprgan.photos.photo import JpegSettings, Photo

__all__ = [
    "EXTENSIONS",
    "MAX_PIXELS",
    "READABLE_EXTENSIONS",
    "JpegSettings",
    "Photo",
    "encode",
    "output_format",
    "read",
    "read_bytes",
    "write_atomic",
]

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

MAX_BYTES = 9 * MAX_PIXELS
"""Larger files are refused before they are read: none of that many pixels has more, even uncompressed."""

_PLACE_ERRORS = (
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.ELOOP,
)
"""What is wrong with the place and not with the writing: another `--output` helps."""


def read(source: Path | str | bytes, *, max_pixels: int = MAX_PIXELS, path: Path | None = None) -> Photo:
    """Decode a photo.

    Args:
        source: Path of the file, or its bytes.
        max_pixels: Larger pictures are refused before decoding.
        path: Where the bytes come from, if from a file.

    Returns:
        The photo; pixels upright, RGB, uint8, or uint16 for 16-bit PNG and TIFF.

    Raises:
        UnreadableImage: The file is missing, damaged, too large, animated or not a photo.
    """
    if isinstance(source, bytes):
        data, name = source, shown(path) if path else "The input"
    else:
        path = Path(source)
        data, name = read_bytes(path), shown(path)
    return replace(decode(data, name, max_pixels), path=path, source=data)


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
        raise UsageError(
            f"{shown(Path(path.name))} cannot be saved as {what}; choose {FORMATS_TEXT} with --output."
        )
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
    from exprgan.version import __version__

    if pixels.shape != photo.pixels.shape or pixels.dtype != photo.pixels.dtype:
        raise ValueError(
            f"expected {photo.pixels.shape} {photo.pixels.dtype}, got {pixels.shape} {pixels.dtype}"
        )
    if strip_metadata:
        jpeg = photo.jpeg and replace(photo.jpeg, segments=b"", comment=None)
        chunks = _without_text(photo.png_chunks)
        photo = replace(photo, exif=None, xmp=None, jpeg=jpeg, png_chunks=chunks, clip=b"")
    if provenance:
        xmp = metadata.provenance_xmp(photo.xmp, tool=f"exprgan {__version__}", weights=weights)
        photo = replace(photo, xmp=xmp)
    return encode_pixels(photo, pixels, target or photo.format)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all; a link is followed.

    Raises:
        UsageError: The folder is missing or may not be written to, the name is impossible or taken by what is
            no file.
        ExprganError: Writing failed on the way.
    """
    if places.is_remote(path):
        try:
            return places.write_remote(path, data)
        except OSError as error:
            raise ExprganError(
                f"{shown(path)} cannot be written ({reason(error)}); choose another place with --output."
            ) from error
    path = Path(os.path.realpath(path))
    try:
        if path.exists() and not path.is_file():
            raise UsageError(f"{shown(path)} is no ordinary file; choose another place with --output.")
        with being_written(path) as partial, partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        kind = UsageError if error.errno in _PLACE_ERRORS else ExprganError
        raise kind(
            f"{shown(path)} cannot be written ({reason(error)}); choose another place with --output."
        ) from error


def _without_text(chunks: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [chunk for chunk in chunks if chunk[0] not in (b"tIME", b"tEXt", b"zTXt", b"iTXt")]


def read_bytes(path: Path) -> bytes:
    """Content of a photo file; what is no photo by its first bytes is not read further.

    Raises:
        UnreadableImage: The file is missing, no photo or may not be read.
    """
    name = shown(path)
    try:
        if places.is_remote(path):
            data = places.read(path, MAX_BYTES)
            sniff(data[:HEAD_BYTES], name)
            return data
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableImage(f"{name} is a folder; name a photo in it.")
        if not stat.S_ISREG(status.st_mode):  # a pipe may never end, a device gives no photo
            raise UnreadableImage(f"{name} is no ordinary file; copy what it gives into one.")
        if status.st_size > MAX_BYTES:
            raise UnreadableImage(
                f"{name} has {status.st_size / 1e9:.1f} GB, more than the {MAX_BYTES / 1e9:.1f} allowed; "
                "make it smaller first."
            )
        with path.open("rb") as file:
            sniff(file.read(HEAD_BYTES), name)
            file.seek(0)
            return file.read()
    except FileNotFoundError as error:
        raise UnreadableImage(f"{name} does not exist; check the name and the folder.") from error
    except (OSError, ValueError) as error:
        raise UnreadableImage(f"{name} cannot be read ({reason(error)}); check its permissions.") from error
    except MemoryError as error:
        raise UnreadableImage(f"{name} does not fit into memory; make it smaller first.") from error


def shown(path: Path) -> str:
    """A path as messages name it: on one line, whatever letters it has."""
    return one_line(str(path))
