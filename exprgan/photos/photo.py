"""The record of a decoded photo, which crosses from reading to writing."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GREY_MODES = ("1", "L", "LA", "La", "I;16", "LA;16")


@dataclass(frozen=True)
class JpegSettings:
    """How a JPEG was compressed, to compress it so again."""

    tables: list[list[int]]  # quantisation tables of luma and chroma, natural order
    subsampling: int  # Pillow's number: 0 4:4:4, 1 4:2:2, 2 4:2:0, -1 none
    progressive: bool
    is_rgb: bool  # channels are stored as RGB and not as luma and chroma
    segments: bytes  # application segments to be written again (Photoshop with IPTC, extended XMP)
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
    avif_subsampling: str = "4:4:4"  # resolution of colour in an AVIF file
    png_chunks: list[tuple[bytes, bytes]] = field(default_factory=list)  # text, gamma and the like
    cmyk: NDArray[np.uint8] | None = None  # (H, W, 4) as stored, upright, for CMYK files
    clip: bytes = b""  # what stands behind the picture of a motion photo
    notes: tuple[str, ...] = ()  # what the user should know, one sentence each
    source: bytes = field(default=b"", repr=False)  # the file itself, where there is one

    @property
    def is_grey(self) -> bool:
        """Whether the file has a single colour channel."""
        return self.mode in _GREY_MODES

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels, upright."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def pixel_profile(self) -> bytes | None:
        """ICC profile that `pixels` are in; None means sRGB."""
        return None if self.mode == "CMYK" else self.icc_profile
