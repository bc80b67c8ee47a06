"""Colour spaces of photos: the sRGB view that networks get, and the way back to the photo's own values.

Photos stay in their own colour space. An edit is computed on an sRGB view of the face's surroundings, and
what it changed is carried back as a difference, so that pixels the edit leaves alone keep their exact
values and colours outside sRGB are not cut off. Profiles of matrix and curves (Display P3, Adobe RGB,
ProPhoto, grey) are computed in float; others by tables of LittleCMS.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from exprgan.photos.photo import Photo

_CURVE_SIZE = 4096
_GRID_STEP = 5  # of an 8-bit value, between points at which LittleCMS is asked
_PART_PIXELS = 1_000_000
_SRGB_TO_PCS = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)  # linear sRGB -> CIE XYZ, adapted to D50 by Bradford (http://www.brucelindbloom.com)


def to_srgb(pixels: NDArray[Any], profile: bytes | None) -> NDArray[Any]:
    """sRGB values of pixels in a profile's space, colours outside sRGB moved to its edge.

    Args:
        pixels: uint8 or uint16 RGB (..., 3).
        profile: ICC profile of the pixels; None means sRGB.

    Returns:
        The same array where the profile is sRGB, else a new one of the same shape and dtype.
    """
    transform = _transform(profile) if profile else None
    if transform is None:
        return pixels
    top, result = np.iinfo(pixels.dtype).max, np.empty_like(pixels)
    values, view = pixels.reshape(-1, 3), result.reshape(-1, 3)
    for part in _parts(len(values)):
        view[part] = np.rint(transform.to_srgb(_unit(values[part])) * top)
    return result


def srgb_uint8(photo: Photo) -> NDArray[np.uint8]:
    """A photo as networks and detectors are to see it: uint8 sRGB (H, W, 3), original photo frame.

    The photo's own array where it is that already.
    """
    pixels = photo.pixels
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257)
    return np.asarray(to_srgb(pixels, photo.pixel_profile), np.uint8)


def carry_back(
    own: NDArray[Any], before: NDArray[Any], after: NDArray[Any], profile: bytes | None
) -> NDArray[Any]:
    """Apply what an edit changed in the sRGB view to pixels in the photo's own space.

    Args:
        own: uint8 or uint16 RGB (H, W, 3), values in the profile's space.
        before: `to_srgb(own, profile)`.
        after: The view after the edit.
        profile: ICC profile of `own`; None means sRGB.

    Returns:
        Array like `own`; equal to it wherever `after` equals `before`.
    """
    transform = _transform(profile) if profile else None
    if transform is None:
        return after
    changed = np.any(before != after, axis=-1)
    top = np.iinfo(own.dtype).max
    result, values = own.copy(), own[changed]
    old, new = before[changed], after[changed]
    for part in _parts(len(values)):
        difference = transform.from_srgb(_unit(new[part])) - transform.from_srgb(_unit(old[part]))
        values[part] = np.clip(np.rint(values[part] + difference * top), 0, top)
    result[changed] = values
    return result


def cmyk_to_srgb(cmyk: NDArray[np.uint8], profile: bytes | None) -> NDArray[np.uint8]:
    """sRGB (H, W, 3) of CMYK (H, W, 4), 255 = full ink; plain complements where there is no profile."""
    image = Image.frombytes("CMYK", (cmyk.shape[1], cmyk.shape[0]), np.ascontiguousarray(cmyk).tobytes())
    transform = _cmyk_transform(profile, True) if profile else None
    converted = ImageCms.applyTransform(image, transform) if transform else image.convert("RGB")
    return np.asarray(converted)


def srgb_to_cmyk(pixels: NDArray[np.uint8], profile: bytes | None) -> NDArray[np.uint8]:
    """CMYK (H, W, 4) of sRGB (H, W, 3); the way back of `cmyk_to_srgb`."""
    image = Image.fromarray(np.ascontiguousarray(pixels))
    transform = _cmyk_transform(profile, False) if profile else None
    converted = ImageCms.applyTransform(image, transform) if transform else image.convert("CMYK")
    return np.asarray(converted)


def _parts(length: int) -> Iterator[slice]:
    """Slices of a long array, so that what is computed in float takes little memory."""
    return (slice(start, start + _PART_PIXELS) for start in range(0, length, _PART_PIXELS))


def _unit(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Integers as float32 in 0..1."""
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


class _MatrixTransform:
    """Curves and a matrix, as in Display P3; arrays float32 (..., 3) in 0..1."""

    def __init__(self, curves: list[NDArray[np.float64]], to_pcs: NDArray[np.float64]) -> None:
        if any(not np.isfinite(c).all() or np.diff(c).min() < 0 or np.ptp(c) < 0.1 for c in curves):
            raise ValueError("a curve that cannot be inverted")
        self.curves = curves
        if abs(np.linalg.det(to_pcs)) < 1e-4:
            raise ValueError("primaries that lie on a line")
        matrix = np.linalg.inv(_SRGB_TO_PCS) @ to_pcs
        self.matrix, self.inverse = matrix.astype(np.float32), np.linalg.inv(matrix).astype(np.float32)

    def to_srgb(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        grid = np.linspace(0, 1, _CURVE_SIZE)
        linear = np.stack([np.interp(values[..., i], grid, self.curves[i]) for i in range(3)], axis=-1)
        return _srgb_encode(np.clip(linear.astype(np.float32) @ self.matrix.T, 0, 1))

    def from_srgb(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        grid = np.linspace(0, 1, _CURVE_SIZE)
        linear = np.clip(_srgb_decode(values) @ self.inverse.T, 0, 1)
        return np.stack([np.interp(linear[..., i], self.curves[i], grid) for i in range(3)], axis=-1).astype(
            np.float32
        )


class _LittleCmsTransform:
    """Any other RGB profile: LittleCMS's answers at 8 bits on a grid, between them linear in float."""

    def __init__(self, profile: ImageCms.ImageCmsProfile) -> None:
        srgb = ImageCms.createProfile("sRGB")
        self.forward = self._table(ImageCms.buildTransform(profile, srgb, "RGB", "RGB"))
        self.backward = self._table(ImageCms.buildTransform(srgb, profile, "RGB", "RGB"))

    def to_srgb(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._apply(values, self.forward)

    def from_srgb(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._apply(values, self.backward)

    @staticmethod
    def _table(transform: ImageCms.ImageCmsTransform) -> NDArray[np.float32]:
        """Answers (3, n, n, n) for all triples of grid values."""
        steps = np.arange(0, 256, _GRID_STEP, dtype=np.uint8)
        grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
        image = Image.fromarray(grid.reshape(1, -1, 3))
        answers = _unit(np.asarray(ImageCms.applyTransform(image, transform)))
        return np.ascontiguousarray(answers.reshape(grid.shape).transpose(3, 0, 1, 2))

    @staticmethod
    def _apply(values: NDArray[np.float32], table: NDArray[np.float32]) -> NDArray[np.float32]:
        from scipy.ndimage import map_coordinates

        places = np.moveaxis(values, -1, 0) * (255 / _GRID_STEP)
        channels = [map_coordinates(channel, places, order=1, mode="nearest") for channel in table]
        return np.stack(channels, axis=-1)


@lru_cache(maxsize=8)
def _transform(profile: bytes) -> _MatrixTransform | _LittleCmsTransform | None:
    """Transform of a profile; None where it is sRGB or cannot be used."""
    try:
        tags = _tags(profile)
        space = profile[16:20]
        if space == b"GRAY":
            curve = _curve(tags[b"kTRC"])
            transform: _MatrixTransform | _LittleCmsTransform = _MatrixTransform([curve] * 3, _SRGB_TO_PCS)
        elif space == b"RGB " and b"A2B0" not in tags and b"rXYZ" in tags:
            columns = [struct.unpack_from(">3i", tags[kind], 8) for kind in (b"rXYZ", b"gXYZ", b"bXYZ")]
            curves = [_curve(tags[kind]) for kind in (b"rTRC", b"gTRC", b"bTRC")]
            transform = _MatrixTransform(curves, np.array(columns).T / 65536)
        elif space == b"RGB ":
            transform = _LittleCmsTransform(ImageCms.ImageCmsProfile(BytesIO(profile)))
        else:
            return None
    except (
        struct.error,
        KeyError,
        ValueError,
        OSError,
        IndexError,
        np.linalg.LinAlgError,
        ImageCms.PyCMSError,
    ):
        return None
    probe = np.stack(np.meshgrid(*[np.linspace(0, 1, 6, dtype=np.float32)] * 3), axis=-1)
    if space == b"GRAY":
        probe = probe[..., :1].repeat(3, axis=-1)
    return None if np.abs(transform.to_srgb(probe) - probe).max() < 2 / 255 else transform


@lru_cache(maxsize=8)
def _cmyk_transform(profile: bytes, to_rgb: bool) -> ImageCms.ImageCmsTransform | None:
    try:
        cmyk, srgb = ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
        ends = (cmyk, srgb, "CMYK", "RGB") if to_rgb else (srgb, cmyk, "RGB", "CMYK")
        return ImageCms.buildTransform(*ends)
    except (OSError, ImageCms.PyCMSError):
        return None


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """Content of each tag of an ICC profile (ICC.1:2022, 7.3)."""
    count = struct.unpack_from(">I", profile, 128)[0]
    entries = [struct.unpack_from(">4sII", profile, 132 + 12 * i) for i in range(min(count, 200))]
    return {kind: profile[offset : offset + size] for kind, offset, size in entries}


@np.errstate(all="ignore")  # a damaged curve is found out by its values
def _curve(tag: bytes) -> NDArray[np.float64]:
    """Linear light at `_CURVE_SIZE` even steps of the encoded value (ICC.1:2022, 10.6 curv, 10.18 para)."""
    x = np.linspace(0, 1, _CURVE_SIZE)
    if tag[:4] == b"curv":
        count = struct.unpack_from(">I", tag, 8)[0]
        if count == 0:
            return x
        values = np.frombuffer(tag, ">u2", count, 12).astype(np.float64)
        return (
            x ** (values[0] / 256) if count == 1 else np.interp(x, np.linspace(0, 1, count), values / 65535)
        )
    if tag[:4] != b"para":
        raise ValueError("a curve of unknown kind")
    kind = struct.unpack_from(">H", tag, 8)[0]
    num = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}[kind]
    given = [value / 65536 for value in struct.unpack_from(f">{num}i", tag, 12)]
    g, a, b, c, d, e, f = given + [0.0] * (7 - num)
    if kind == 0:
        return np.power(x, g)
    power: NDArray[np.float64] = np.power(np.clip(a * x + b, 0, None), g)
    start = -b / a if kind in (1, 2) else d
    below = np.full_like(x, c) if kind in (1, 2) else c * x + f
    above = power + (c if kind in (1, 2) else e)
    return np.where(x >= start, above, below)


def _srgb_encode(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** np.float32(1 / 2.4) - 0.055)


def _srgb_decode(encoded: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** np.float32(2.4))
