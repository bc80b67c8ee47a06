"""Files of moving pictures: GIF, WebP, APNG and MP4, which appear whole or not at all.

MP4 takes frames as they come; the others hold all in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from exprgan.errors import ExprganError, UsageError
from exprgan.files import being_written
from exprgan.photos.decode import reason
from exprgan.photos.metadata import provenance_xmp
from exprgan.version import __version__

FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG", ".apng": "PNG", ".mp4": "MP4"}
"""Format of each file name extension."""
MOST_BYTES = 4 * 2**30
"""Of the frames of a file that is made in memory."""
PALETTE_PX = 256
"""Longer side of the pictures that a GIF's palette is chosen from."""
WEBP_QUALITY, LOSSLESS_EFFORT, MP4_QUALITY = 90, 40, 18
"""Quality of libwebp, 0 to 100, its effort where nothing is lost, and H.264's constant rate factor (less is better)."""

Frames = Iterable[NDArray[np.uint8]]


def format_of(path: Path) -> str:
    """GIF, WEBP, PNG or MP4.

    Raises:
        UsageError: The path's extension names none, or a library is missing.
    """
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        raise UsageError(f"{path} names no moving picture; end it in .gif, .webp, .png (APNG) or .mp4.")
    if name == "MP4":
        try:
            import av  # noqa: F401
        except ImportError as error:
            raise UsageError(
                "MP4 needs PyAV; install it with `pip install 'exprgan[video]'`, or write a .gif, .webp or .png."
            ) from error
    return name


def write(
    path: Path,
    frames: Frames,
    count: int,
    fps: float,
    *,
    palette_of: Sequence[NDArray[np.uint8]] = (),
    lossless: bool = False,
    mark: str | None = None,
    finish: Callable[[bytes], bytes] | None = None,
) -> None:
    """Write a moving picture; an existing file is replaced.

    Args:
        path: Its extension names the format.
        frames: `count` pictures, uint8 sRGB (H, W, 3) of one size; sides are even for MP4.
        count: See there.
        fps: Frames a second. A GIF's times are rounded to 1/100 s, so that all of it takes as long as it should.
        palette_of: Frames that a GIF's colours are chosen from, by default the first.
        lossless: Keep every pixel in WebP; APNG does anyhow, GIF has 256 colours and MP4 cannot.
        mark: Name and hash of the weights, to be marked as made by a trained model; None leaves no mark.
        finish: What the whole file goes through before it takes its place, such as to be signed.

    Raises:
        UsageError: The place may not be written to.
        ExprganError: Writing failed on the way.
    """
    kind = format_of(path)
    frames = iter(frames)
    start = next(frames)
    if kind != "MP4" and start.nbytes * count > MOST_BYTES:
        raise UsageError(
            f"{count} frames of {start.shape[1]} by {start.shape[0]} px are too much for {path.suffix} files; lower "
            "--size, --fps or --seconds, or write an .mp4."
        )
    frames = chain([start], frames)
    try:
        with being_written(path) as partial:
            if kind == "MP4":
                _write_mp4(partial, frames, fps, mark)
            else:
                _write_with_pillow(
                    partial,
                    kind,
                    frames,
                    count,
                    fps,
                    palette_of,
                    _pillow_options(kind, mark, lossless=lossless),
                )
            if finish is not None:
                partial.write_bytes(finish(partial.read_bytes()))
    except OSError as error:
        of_place = isinstance(error, FileNotFoundError | PermissionError | NotADirectoryError)
        kinds = UsageError if of_place else ExprganError
        raise kinds(f"{path} cannot be written ({reason(error)}); choose another --output.") from error


def _write_with_pillow(
    path: Path,
    kind: str,
    frames: Iterator[NDArray[np.uint8]],
    count: int,
    fps: float,
    palette_of: Sequence[NDArray[np.uint8]],
    options: dict[str, Any],
) -> None:
    pictures: Iterator[Image.Image] = (Image.fromarray(frame) for frame in frames)
    unit_ms = 1
    if kind == "GIF":
        pictures, unit_ms = _with_palette(frames, palette_of), 10
    ends = [round(1000 * number / fps / unit_ms) * unit_ms for number in range(count + 1)]
    first, *others = pictures  # Pillow goes through them more than once
    first.save(
        path,
        kind,
        save_all=True,
        append_images=others,
        duration=[end - start for start, end in pairwise(ends)],
        loop=0,
        **options,
    )


def _pillow_options(kind: str, mark: str | None, *, lossless: bool) -> dict[str, Any]:
    if kind == "GIF":
        comment = "" if mark is None else f"edited with exprgan {__version__}, {mark}"
        return {"comment": comment.encode()} if comment else {}
    xmp = b"" if mark is None else provenance_xmp(None, tool=f"exprgan {__version__}", weights=mark)
    if kind == "WEBP":
        quality = {"lossless": True, "quality": LOSSLESS_EFFORT} if lossless else {"quality": WEBP_QUALITY}
        return {**quality, "method": 2, "xmp": xmp}
    info = PngInfo()
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return {"pnginfo": info}


def _with_palette(
    frames: Iterator[NDArray[np.uint8]], palette_of: Sequence[NDArray[np.uint8]]
) -> Iterator[Image.Image]:
    """Frames in one palette of 256 colours; what does not change keeps its entry, so that dither does not flicker."""
    first = next(frames)
    samples = []
    for frame in palette_of or [first]:
        scale = min(1.0, PALETTE_PX / max(frame.shape[:2]))
        size = [max(1, round(side * scale)) for side in (frame.shape[1], frame.shape[0])]
        samples.append(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))
    palette = Image.fromarray(np.concatenate(samples)).quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4)

    def indexed(frame: NDArray[np.uint8]) -> Image.Image:
        return Image.fromarray(np.ascontiguousarray(frame)).quantize(
            palette=palette, dither=Image.Dither.FLOYDSTEINBERG
        )

    still = indexed(first)
    yield still
    colours = still.getpalette() or []
    for frame in frames:
        entries, changed = np.array(still), (frame != first).any(axis=2)
        if changed.any():
            rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
            box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            entries[box] = np.where(changed[box], np.asarray(indexed(frame[box])), entries[box])
        shown = Image.fromarray(entries, "P")
        shown.putpalette(colours)
        yield shown


def _write_mp4(path: Path, frames: Iterator[NDArray[np.uint8]], fps: float, mark: str | None) -> None:
    import av

    first = next(frames)
    height, width = first.shape[:2]
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        if mark is not None:
            container.metadata["comment"] = f"edited with exprgan {__version__}, {mark}"
        stream = container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1001), options={"crf": str(MP4_QUALITY)}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in chain([first], frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
