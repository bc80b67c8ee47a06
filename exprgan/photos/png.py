"""PNG files: their chunks, the metadata in them, and an encoder for 16 bits a channel."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp"
_RAW_PROFILE = b"Raw profile type "
_KEPT_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"pHYs", b"tIME", b"tEXt", b"zTXt", b"iTXt")
_MAX_TEXT_BYTES = 64_000_000  # of one packed text
_STRIP_BYTES = 4_000_000


@dataclass(frozen=True)
class PngMetadata:
    """What a PNG file holds beside pixels and profile."""

    exif: bytes | None  # without prefix
    xmp: bytes | None
    transparent_grey: int | None  # value of a grey picture's transparent pixels
    kept: list[tuple[bytes, bytes]]  # chunks to be written again as they are


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of each chunk of a PNG file, in order, up to and with IEND.

    Raises:
        ValueError: The file ends early or a chunk's checksum is wrong.
    """
    at, kind, view = len(SIGNATURE), b"", memoryview(data)
    while kind != b"IEND":
        if at + 12 > len(data):
            raise ValueError("the file is truncated")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 8 + length
        if end + 4 > len(data):
            raise ValueError("the file is truncated")
        if zlib.crc32(view[at + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ValueError(f"the checksum of its {kind.decode('latin-1')} chunk is wrong")
        yield kind, data[at + 8 : end]
        at = end + 4


def read_metadata(data: bytes) -> PngMetadata:
    """Metadata of a PNG file, wherever in the file it stands.

    Raises:
        ValueError: The file is damaged.
    """
    exif = xmp = raw_exif = raw_xmp = transparent = None
    kept: list[tuple[bytes, bytes]] = []
    for kind, content in chunks(data):
        keyword, _, rest = (
            content.partition(b"\0") if kind in (b"tEXt", b"zTXt", b"iTXt") else (b"", b"", b"")
        )
        if kind == b"eXIf":
            exif = content
        elif kind == b"tRNS" and len(content) == 2:
            transparent = int.from_bytes(content, "big")
        elif kind == b"iTXt" and keyword == _XMP_KEYWORD:
            xmp = _international_text(rest)
        elif keyword in (_RAW_PROFILE + b"exif", _RAW_PROFILE + b"APP1"):
            profile = _raw_profile(kind, rest)
            raw_exif = profile if profile.startswith((b"Exif\0\0", b"II", b"MM")) else raw_exif
        elif keyword == _RAW_PROFILE + b"xmp":
            raw_xmp = _raw_profile(kind, rest)
        elif kind in _KEPT_CHUNKS and (
            not keyword.startswith(_RAW_PROFILE) or keyword == _RAW_PROFILE + b"iptc"
        ):
            kept.append((kind, content))
    exif = exif or raw_exif
    return PngMetadata(
        exif=exif.removeprefix(b"Exif\0\0") if exif else None,
        xmp=xmp or raw_xmp,
        transparent_grey=transparent,
        kept=kept,
    )


def _international_text(rest: bytes) -> bytes | None:
    """Text of an iTXt chunk after its keyword (PNG 11.3.3.4)."""
    packed, text = rest[:1] == b"\1", rest[2:].split(b"\0", 2)[-1]
    return _inflated(text) if packed else text


def _raw_profile(kind: bytes, rest: bytes) -> bytes:
    """Bytes that ImageMagick wrote as lines of hexadecimal digits: name, length, digits."""
    text = _inflated(rest[1:]) if kind == b"zTXt" else rest
    try:
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        return b""


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, _MAX_TEXT_BYTES)
    except zlib.error:
        return b""


def packed_chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk as it stands in a file, with length and checksum."""
    checksum = zlib.crc32(content, zlib.crc32(kind))
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def insert_chunks(data: bytes, added: list[tuple[bytes, bytes]]) -> bytes:
    """PNG file with chunks put in right after its IHDR chunk."""
    after_header = len(SIGNATURE) + 25
    view = memoryview(data)
    packed = [packed_chunk(kind, content) for kind, content in added]
    return b"".join([view[:after_header], *packed, view[after_header:]])


def xmp_chunk(xmp: bytes) -> tuple[bytes, bytes]:
    """The iTXt chunk that holds an XMP packet."""
    return b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + xmp


def encode_deep(array: NDArray[np.uint16]) -> bytes:
    """PNG file of a uint16 array (H, W) or (H, W, 2..4), all rows with the averaging filter."""
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    parts = [
        SIGNATURE,
        packed_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)),
    ]
    compressor = zlib.compressobj(4)
    above: NDArray[Any] = np.zeros((1, 2 * channels * width), np.uint8)
    num_rows = max(1, _STRIP_BYTES // above.size)
    for top in range(0, height, num_rows):
        rows = np.ascontiguousarray(array[top : top + num_rows].astype(">u2")).view(np.uint8)
        rows = rows.reshape(-1, above.size)
        parts.append(_data_chunk(compressor.compress(_averaged(rows, above, 2 * channels).data)))
        above = rows[-1:]
    return b"".join([*parts, _data_chunk(compressor.flush()), packed_chunk(b"IEND", b"")])


def _averaged(rows: NDArray[Any], above: NDArray[Any], step: int) -> NDArray[np.uint8]:
    """Rows after PNG's filter 3: each byte less the mean of its neighbours to the left and above."""
    mean = np.concatenate([above, rows[:-1]]).astype(np.uint16)
    mean[:, step:] += rows[:, :-step]
    filtered = np.empty((len(rows), rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 3
    filtered[:, 1:] = rows - (mean // 2).astype(np.uint8)
    return filtered


def _data_chunk(packed: bytes) -> bytes:
    return packed_chunk(b"IDAT", packed) if packed else b""
