"""A corpus of damaged photos: valid files of every kind, each damaged in a way that its number decides.

    python -W error -m tests.photos.damaged_files 0 100      # tries the first hundred, one line of JSON each

Run in a process of its own, so that a crash or a hang of a decoder can be seen.
"""

from __future__ import annotations

import faulthandler
import json
import struct
import sys
import tempfile
import traceback
from collections.abc import Callable
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from exprgan.errors import UnreadableImage
from exprgan.photos import colour, image_io, png
from tests.photos.made_files import (
    XMP,
    cmyk_profile,
    deep_png,
    deep_scene,
    deep_tiff,
    display_p3,
    exif_block,
    saved,
    scene,
)

HANG_S = 60.0
"""A file that takes longer ends the process."""
MAX_PIXELS = 4_000_000


@lru_cache
def sources() -> dict[str, bytes]:
    """A small valid file of every kind that is read, by name; the name begins with its format."""
    rgb, rgba = Image.fromarray(scene(24, 36)), Image.fromarray(scene(24, 36, 4))
    exif = b"Exif\0\0" + exif_block(6)
    all_metadata = {"exif": exif, "icc_profile": display_p3()}
    files = {
        "JPEG": saved(rgb, "JPEG", quality=85, xmp=XMP, **all_metadata),
        "JPEG progressive": saved(rgb, "JPEG", progressive=True, restart_marker_blocks=2),
        "JPEG grey": saved(rgb.convert("L"), "JPEG"),
        "JPEG CMYK": saved(rgb.convert("CMYK"), "JPEG", icc_profile=cmyk_profile()),
        "PNG": saved(rgb, "PNG", dpi=(300, 300), **all_metadata),
        "PNG palette": saved(rgb.quantize(16), "PNG", transparency=2),
        "PNG deep": deep_png(deep_scene(4)[:12], (b"eXIf", exif_block(3))),
        "WEBP lossless": saved(rgba, "WEBP", xmp=XMP, **all_metadata),
        "WEBP lossy": saved(rgba, "WEBP", lossless=False),
        "AVIF": saved(rgb, "AVIF", xmp=XMP, **all_metadata),
        "AVIF alpha": saved(rgba, "AVIF"),
        "TIFF": saved(rgb, "TIFF", icc_profile=display_p3(), tiffinfo={700: XMP, 271: "Camera", 274: 6}),
        "TIFF LZW": saved(rgba, "TIFF", compression="tiff_lzw"),
        "TIFF JPEG": saved(rgb, "TIFF", compression="jpeg"),
        "TIFF CMYK": saved(rgb.convert("CMYK"), "TIFF", compression="tiff_adobe_deflate"),
        "TIFF deep": deep_tiff(deep_scene(4)[:12], 5),
        "BMP": saved(rgb, "BMP"),
        "BMP palette": saved(rgb.quantize(16), "BMP"),
        "GIF": saved(rgb.quantize(32), "GIF", transparency=1),
    }
    files["BMP alpha"] = image_io.encode(image_io.read(saved(rgba, "PNG")), scene(24, 36), "BMP")
    try:
        import pillow_heif
    except ImportError:
        return files
    file = BytesIO()
    pillow_heif.from_pillow(rgba).save(file, exif=exif, quality=80)
    return files | {"HEIF": file.getvalue()}


def _truncated(data: bytearray, rng: np.random.Generator) -> bytearray:
    return data[: rng.integers(len(data))]


def _bytes_changed(data: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(rng.integers(1, 12)):
        data[rng.integers(len(data))] = rng.integers(256)
    return data


def _head_changed(data: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(rng.integers(1, 5)):
        data[rng.integers(min(len(data), 400))] = rng.integers(256)
    return data


def _bit_flipped(data: bytearray, rng: np.random.Generator) -> bytearray:
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return data


def _number_made_extreme(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = int(rng.integers(4, len(data) - 4))
    code = ("<", ">")[rng.integers(2)] + ("H", "I")[rng.integers(2)]
    top = 2 ** (8 * struct.calcsize(code)) - 1
    struct.pack_into(code, data, at, (0, 1, top, top // 2, top - 1)[rng.integers(5)])
    return data


def _run_zeroed(data: bytearray, rng: np.random.Generator) -> bytearray:
    start = int(rng.integers(4, len(data)))
    stop = min(len(data), start + int(rng.integers(1, 200)))
    data[start:stop] = bytes(stop - start)
    return data


def _run_removed(data: bytearray, rng: np.random.Generator) -> bytearray:
    start = int(rng.integers(4, len(data)))
    del data[start : start + int(rng.integers(1, 200))]
    return data


def _noise_inserted(data: bytearray, rng: np.random.Generator) -> bytearray:
    at = int(rng.integers(4, len(data)))
    data[at:at] = rng.bytes(int(rng.integers(1, 200)))
    return data


def _run_repeated(data: bytearray, rng: np.random.Generator) -> bytearray:
    start = int(rng.integers(4, len(data)))
    run = data[start : start + int(rng.integers(1, 400))]
    data[start:start] = run * int(rng.integers(1, 4))
    return data


def _tail_of_another(data: bytearray, rng: np.random.Generator) -> bytearray:
    other = list(sources().values())[rng.integers(len(sources()))]
    return data[: rng.integers(8, len(data))] + other[rng.integers(len(other)) :]


def _part_changed(data: bytearray, rng: np.random.Generator) -> bytearray:
    """Bytes of one chunk of a PNG file changed under a right checksum; of other formats just bytes."""
    if not data.startswith(png.SIGNATURE):
        return _bytes_changed(data, rng)
    chunks = list(png.chunks(bytes(data)))
    place = int(rng.integers(len(chunks)))
    kind, content = chunks[place]
    if content:
        chunks[place] = kind, bytes(_bytes_changed(bytearray(content), rng))
    return bytearray(png.SIGNATURE + b"".join(png.packed_chunk(*chunk) for chunk in chunks))


DAMAGES: tuple[Callable[[bytearray, np.random.Generator], bytearray], ...] = (
    _truncated,
    _bytes_changed,
    _head_changed,
    _bit_flipped,
    _number_made_extreme,
    _run_zeroed,
    _run_removed,
    _noise_inserted,
    _run_repeated,
    _tail_of_another,
    _part_changed,
)


def damaged(number: int) -> tuple[str, bytes]:
    """Name and bytes of the corpus's file of a number; always the same."""
    rng = np.random.default_rng(number)
    names = list(sources())
    name = names[number % len(names)]
    damage = DAMAGES[number // len(names) % len(DAMAGES)]
    return f"{name}, {damage.__name__[1:]}", bytes(damage(bytearray(sources()[name]), rng))


def outcome(data: bytes, folder: Path) -> str:
    """What becomes of a file: read and written again, refused in one sentence, or a fault of ours."""
    (folder / "in.bin").write_bytes(data)
    try:
        photo = image_io.read(folder / "in.bin", max_pixels=MAX_PIXELS)
    except UnreadableImage as error:
        message = str(error)
        if not (message.isprintable() and message.endswith(".") and len(message) < 300 + len(str(folder))):
            return f"no sentence: {message!r}"
        return "refused" if [path.name for path in folder.iterdir()] == ["in.bin"] else "left files"
    view = colour.to_srgb(photo.pixels, photo.pixel_profile)
    after = view.copy()
    after[:4, :4] = np.iinfo(after.dtype).max // 2
    pixels = colour.carry_back(photo.pixels, view, after, photo.pixel_profile)
    target = None if photo.format in image_io.EXTENSIONS.values() else "PNG"
    image_io.write_atomic(folder / "out.bin", image_io.encode(photo, pixels, target))
    again = image_io.read(folder / "out.bin")
    (folder / "out.bin").unlink()
    return "read" if again.size_hw == photo.size_hw else f"{photo.size_hw} became {again.size_hw}"


def main() -> None:
    """Try files FIRST to LAST - 1; a line of JSON before each and after it."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(int(sys.argv[1]), int(sys.argv[2])):
            name, data = damaged(number)
            print(json.dumps({"number": number, "name": name}), flush=True)
            faulthandler.dump_traceback_later(HANG_S, exit=True)
            try:
                result = outcome(data, Path(folder))
            except Exception:
                result = traceback.format_exc()
            faulthandler.cancel_dump_traceback_later()
            print(json.dumps({"number": number, "outcome": result}), flush=True)


if __name__ == "__main__":
    main()
