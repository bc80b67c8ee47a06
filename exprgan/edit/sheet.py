"""Pictures of before and after side by side, labelled, with the edited faces large enough to be judged."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from exprgan.edit.scene import EditResult
from exprgan.photos import colour, image_io

PANEL_PX = 512
"""Longer side of each picture on a sheet."""
_MARGIN = 0.75  # room around the faces, in shares of the largest one
_LABEL_PX = 34
_GAP_PX = 8
_COLUMNS = 3


def before_after_sheet(results: Sequence[EditResult], *, panel_px: int = PANEL_PX) -> Image.Image:
    """The surroundings of the edited faces before and after, as one sRGB picture.

    Args:
        results: Edits of one and the same photo, at least one.
        panel_px: Longer side of each picture on the sheet.
    """
    photo = results[0].photo
    panels = [("before", photo.pixels)]
    panels += [(f"{result.expression} {result.strength:g}", result.image) for result in results]
    rows, columns = _surroundings(results[0])
    pictures = [
        (label, _thumbnail(pixels[rows, columns], photo.pixel_profile, panel_px)) for label, pixels in panels
    ]
    width, height = pictures[0][1].size
    num_columns = min(len(pictures), _COLUMNS)
    num_rows = -(-len(pictures) // num_columns)
    cell_w, cell_h = width + _GAP_PX, height + _LABEL_PX + _GAP_PX
    sheet = Image.new("RGB", (num_columns * cell_w + _GAP_PX, num_rows * cell_h + _GAP_PX), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(20)
    for place, (label, picture) in enumerate(pictures):
        x, y = _GAP_PX + place % num_columns * cell_w, _GAP_PX + place // num_columns * cell_h
        draw.text((x + width / 2, y + _LABEL_PX / 2), label, fill="black", font=font, anchor="mm")
        sheet.paste(picture, (x, y + _LABEL_PX))
    return sheet


def encode_grid(
    path: Path, results: Sequence[Sequence[EditResult]], names: tuple[str, str], shares: Sequence[float]
) -> bytes:
    """The bytes of a picture of rows of edits of one photo, in the format of the path's extension.

    Args:
        path: Where it is to go.
        results: Rows of growing shares of the second expression, columns of the first.
        names: Of the two.
        shares: Of rows and columns.
    """
    photo, panel_px = results[0][0].photo, PANEL_PX // 2
    rows, columns = _surroundings(results[0][0])
    pictures = [
        [_thumbnail(result.image[rows, columns], photo.pixel_profile, panel_px) for result in row]
        for row in results
    ]
    width, height = pictures[0][0].size
    left = 3 * _LABEL_PX
    size = (left + len(shares) * (width + _GAP_PX), _LABEL_PX + len(shares) * (height + _GAP_PX))
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, share in enumerate(shares):
        x, y = left + number * (width + _GAP_PX), _LABEL_PX + number * (height + _GAP_PX)
        draw.text(
            (x + width / 2, _LABEL_PX / 2), f"{names[0]} {share:g}", fill="black", font=font, anchor="mm"
        )
        draw.text((left / 2, y + height / 2), f"{names[1]}\n{share:g}", fill="black", font=font, anchor="mm")
        for place, picture in enumerate(pictures[number]):
            sheet.paste(picture, (left + place * (width + _GAP_PX), y))
    return _encoded(path, sheet)


def encode_sheet(path: Path, results: Sequence[EditResult]) -> bytes:
    """The bytes of the sheet's file, in the format of the path's extension, PNG where it names none."""
    return _encoded(path, before_after_sheet(results))


def _encoded(path: Path, sheet: Image.Image) -> bytes:
    buffer = BytesIO()
    sheet.save(buffer, image_io.EXTENSIONS.get(path.suffix.lower(), "PNG"), quality=92)
    return buffer.getvalue()


def _surroundings(result: EditResult) -> tuple[slice, slice]:
    """Rows and columns of the photo around the edited faces."""
    edited = [outcome.face for outcome in result.faces if outcome.edited]
    boxes = np.array([face.box_xyxy for face in edited], np.float64)
    margin = _MARGIN * max(face.size_px for face in edited)
    height, width = result.photo.size_hw
    x0, y0 = np.clip(np.floor(boxes[:, :2].min(axis=0) - margin), 0, (width - 1, height - 1)).astype(int)
    x1, y1 = np.clip(np.ceil(boxes[:, 2:].max(axis=0) + margin), (x0 + 1, y0 + 1), (width, height)).astype(
        int
    )
    return slice(int(y0), int(y1)), slice(int(x0), int(x1))


def _thumbnail(pixels: NDArray[Any], profile: bytes | None, longest_px: int) -> Image.Image:
    height, width = pixels.shape[:2]
    scale = longest_px / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    if small.dtype == np.uint16:
        small = cv2.convertScaleAbs(small, alpha=1 / 257)
    return Image.fromarray(np.ascontiguousarray(colour.to_srgb(small, profile)))
