"""Photo files of every kind, made in memory."""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from exprgan.photos import image_io, png

RNG_SEED = 7


XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    b' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmp:Rating="5"'
    b' tiff:Orientation="6"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)


EXTENSION = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "AVIF": ".avif", "TIFF": ".tiff", "BMP": ".bmp"}


LOSSLESS = ("PNG", "WEBP", "TIFF", "BMP")


def scene(height: int = 48, width: int = 64, channels: int = 3) -> np.ndarray:
    """Smooth colours with some noise, uint8 (H, W, C)."""
    rng = np.random.default_rng(RNG_SEED)
    y, x = np.mgrid[:height, :width]
    base = np.stack(
        [120 + 60 * np.sin(x / 9 + c) + 40 * np.cos(y / (7 + c)) for c in range(channels)], axis=-1
    )
    return np.clip(base + rng.normal(0, 4, base.shape), 0, 255).astype(np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    if kind == "WEBP":
        options = {"lossless": True, "exact": True} | options
    image.save(file, kind, **options)
    return file.getvalue()


def write(photo: image_io.Photo, pixels: np.ndarray, path: Path) -> None:
    """Save edited pixels as `EditResult.save` does."""
    image_io.write_atomic(path, image_io.encode(photo, pixels, image_io.output_format(photo, path)))


def edited(photo: image_io.Photo) -> np.ndarray:
    """The photo's pixels with a rectangle changed."""
    pixels = photo.pixels.copy()
    pixels[10:20, 12:30] = np.iinfo(pixels.dtype).max - pixels[10:20, 12:30]
    return pixels


def exif_block(orientation: int = 6, thumbnail: bool = True) -> bytes:
    """Big-endian EXIF with camera, pixel size and, as cameras do, a thumbnail in a second directory."""

    def entry(tag: int, kind: int, count: int, value: bytes) -> bytes:
        return struct.pack(">HHI", tag, kind, count) + value.ljust(4, b"\0")

    make, ifd0, sub = b"Camera\0\0", 8, 8 + 2 + 3 * 12 + 4
    ifd1 = sub + 2 + 2 * 12 + 4 + len(make)
    block = b"MM\0*" + struct.pack(">I", ifd0) + struct.pack(">H", 3)
    block += entry(0x010F, 2, 7, struct.pack(">I", ifd1 - len(make)))
    block += entry(0x0112, 3, 1, struct.pack(">H", orientation)) + entry(0x8769, 4, 1, struct.pack(">I", sub))
    block += struct.pack(">I", ifd1 if thumbnail else 0)
    block += (
        struct.pack(">H", 2)
        + entry(0xA002, 4, 1, struct.pack(">I", 64))
        + entry(0xA003, 3, 1, struct.pack(">H", 48))
    )
    block += struct.pack(">I", 0) + make
    if thumbnail:
        picture = saved(Image.fromarray(scene(12, 16)), "JPEG")
        block += struct.pack(">H", 2) + entry(0x0201, 4, 1, struct.pack(">I", ifd1 + 30))
        block += entry(0x0202, 4, 1, struct.pack(">I", len(picture))) + struct.pack(">I", 0) + picture
    return block


@lru_cache  # LittleCMS writes the time of day into a profile
def display_p3() -> bytes:
    """Display P3 profile: the bytes of LittleCMS's sRGB profile with P3's primaries (D50-adapted) in it."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    columns = {
        b"rXYZ": (0.51512, 0.24120, -0.00105),
        b"gXYZ": (0.29198, 0.69225, 0.04189),
        b"bXYZ": (0.15710, 0.06657, 0.78407),
    }
    for i in range(struct.unpack_from(">I", profile, 128)[0]):
        kind, offset, _ = struct.unpack_from(">4sII", profile, 132 + 12 * i)
        if kind in columns:
            struct.pack_into(">3i", profile, offset + 8, *(round(v * 65536) for v in columns[kind]))
    return bytes(profile)


def deep_png(array: np.ndarray, *chunks: tuple[bytes, bytes]) -> bytes:
    """16-bit PNG by the simplest encoder: no filter."""
    height, width = array.shape[:2]
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[1 if array.ndim == 2 else array.shape[2]]
    rows = array.astype(">u2").reshape(height, -1).view(np.uint8).reshape(height, -1)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    data = png.SIGNATURE
    for name, content in (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
        *chunks,
        (b"IDAT", body),
        (b"IEND", b""),
    ):
        data += (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )
    return data


def deep_tiff(array: np.ndarray, orientation: int = 1) -> bytes:
    """Uncompressed 16-bit TIFF."""
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    ifd = ImageFileDirectory_v2(b"II*\0\x08\0\0\0")
    tags = {256: width, 257: height, 258: (16,) * channels, 259: 1, 262: 1 if channels < 3 else 2, 273: 0}
    tags |= {274: orientation, 277: channels, 278: height, 279: array.nbytes}
    tags |= {338: 2} if channels in (2, 4) else {}
    for tag, value in tags.items():
        ifd[tag] = value
    file = BytesIO()
    ifd.save(file)
    return file.getvalue() + array.astype("<u2").tobytes()


def deep_scene(channels: int) -> np.ndarray:
    rng = np.random.default_rng(RNG_SEED)
    array = rng.integers(0, 65536, (33, 41, channels), dtype=np.uint16)
    return array[..., 0] if channels == 1 else array


def matrix_profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Smallest ICC profile with the given tags."""
    offset, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for kind, content in tags.items():
        table += struct.pack(">4sII", kind, offset + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = struct.pack(">I", offset + len(body)) + b"\0\0\0\0\x02\x10\0\0mntr" + space + b"XYZ "
    header += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)  # D50
    return header.ljust(128, b"\0") + table + body


def curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def adobe_rgb() -> bytes:
    """Adobe RGB (1998): gamma 563/256, its primaries adapted to D50."""
    columns = {
        b"rXYZ": (0.60974, 0.31111, 0.01947),
        b"gXYZ": (0.20528, 0.62567, 0.06087),
        b"bXYZ": (0.14919, 0.06322, 0.74457),
    }
    tags = {
        kind: b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in xyz))
        for kind, xyz in columns.items()
    }
    tags |= {kind: curve(563 / 256) for kind in (b"rTRC", b"gTRC", b"bTRC")}
    return matrix_profile(
        b"RGB ", tags | {b"wtpt": b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)}
    )


@lru_cache
def cmyk_profile() -> bytes:
    """A printer's profile as tables: inks at full and none for A2B0, a 9-point grid back for B2A0 (lut8)."""
    levels = np.linspace(0, 1, 9)
    inks = np.stack(np.meshgrid(*[np.array([0.0, 1.0])] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    lab_grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    to_lab = _lut8(4, 3, 2, _lab_codes((1 - inks[:, :3]) * (1 - 0.9 * inks[:, 3:])))
    black = 1 - lab_grid[:, :1]  # as much black as the lightness asks for, and colour by a and b
    a, b = (lab_grid[:, i : i + 1] * 2 - 1 for i in (1, 2))
    cmy = np.clip(np.concatenate([-a, a, b], axis=1), 0, 1)
    from_lab = _lut8(3, 4, 9, np.rint(255 * np.concatenate([cmy, black], axis=1)))
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = {f"A2B{i}".encode(): to_lab for i in range(3)} | {f"B2A{i}".encode(): from_lab for i in range(3)}
    profile = bytearray(matrix_profile(b"CMYK", tags | {b"wtpt": white}))
    profile[12:24] = b"prtrCMYKLab "
    return bytes(profile)


def _lab_codes(rgb: np.ndarray) -> np.ndarray:
    """Lab of sRGB (N, 3) in 0..1, as lut8 has it: L * 2.55, a and b + 128."""
    image = Image.fromarray(np.rint(rgb * 255).astype(np.uint8)[None])
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = np.asarray(ImageCms.profileToProfile(image, *profiles, outputMode="LAB"))[0]
    return np.concatenate([lab[:, :1], lab[:, 1:].astype(np.int8) + 128.0], axis=1)


def _lut8(num_in: int, num_out: int, num_steps: int, nodes: np.ndarray) -> bytes:
    """A lut8Type tag with straight curves (ICC.1:2022, 10.11)."""
    matrix = struct.pack(">9i", *(65536 if i in (0, 4, 8) else 0 for i in range(9)))
    straight = bytes(range(256))
    head = b"mft1\0\0\0\0" + bytes([num_in, num_out, num_steps, 0]) + matrix
    return head + straight * num_in + nodes.astype(np.uint8).tobytes() + straight * num_out
