"""How much memory a whole edit takes, for photos of 1 to 200 megapixels.

    python -m exprgan.bench.memory --output out/memory.json

Every edit is the real command `exprgan edit` in a process of its own; the figure is the largest resident set
that the operating system saw. This process stays small, because a child inherits its parent's peak, so the
photos are made in processes of their own, too.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

MEGAPIXELS = (1, 12, 50, 200)
ASPECT = 4 / 3
FACE_SHARE = 0.5
"""Height of the pasted portrait as a share of the photo's, at most `MAX_FACE_PX`."""
MAX_FACE_PX = 2400
BYTES_PER_PIXEL = 3  # of the decoded photo, 8-bit RGB


def make_photo(portrait: Path, megapixels: float, path: Path) -> None:
    """Write a photo of grain and soft colours with a portrait at its lower edge, strip by strip.

    Args:
        portrait: A picture of one person.
        megapixels: Size of the photo, 4:3.
        path: File to write, in the format of its extension.
    """
    import numpy as np
    from PIL import Image

    height = round((megapixels * 1e6 / ASPECT) ** 0.5)
    width = round(height * ASPECT)
    with Image.open(portrait) as opened:
        small = opened.convert("RGB")
    photo = small.resize((8, 6), Image.Resampling.BOX).resize((width, height), Image.Resampling.BICUBIC)
    side = int(min(FACE_SHARE * height, MAX_FACE_PX))
    photo.paste(
        small.resize((side * small.width // small.height, side), Image.Resampling.LANCZOS),
        (width // 3, height - side),
    )
    rng = np.random.default_rng(0)
    for top in range(0, height, 256):
        box = (0, top, width, min(height, top + 256))
        rows = np.asarray(photo.crop(box), np.int16)
        grain = rng.integers(-4, 5, (*rows.shape[:2], 1), np.int16)
        photo.paste(Image.fromarray(np.clip(rows + grain, 0, 255).astype(np.uint8)), box[:2])
    options: dict[str, Any] = {"quality": 92} if path.suffix == ".jpg" else {}
    photo.save(path, **options)


def peak_mib(arguments: list[str]) -> float:
    """Largest resident set, MiB, of a Python process with the given arguments.

    Raises:
        RuntimeError: The process failed.
    """
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process.stderr as stream:
        message = stream.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {process.returncode}: {message.strip()}")
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux KiB
    return usage.ru_maxrss * unit / 2**20


def measure(portrait: Path, sizes: list[float], extension: str) -> list[dict[str, Any]]:
    """One record a size: megapixels, MiB of the decoded photo, MiB at the peak of an edit."""
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            photo = Path(folder, f"photo{extension}")
            make = (
                "from exprgan.bench.memory import make_photo; from pathlib import Path; "
                f"make_photo(Path({str(portrait)!r}), {size}, Path({str(photo)!r}))"
            )
            subprocess.run([sys.executable, "-c", make], check=True)
            edit = ["-m", "exprgan", "edit", str(photo), "--device", "cpu", "--overwrite", "-q"]
            peak = peak_mib([*edit, "--output", str(Path(folder, f"out{extension}"))])
            decoded = size * 1e6 * BYTES_PER_PIXEL / 2**20
            records.append({"megapixels": size, "decoded_mib": round(decoded), "peak_mib": round(peak)})
            print(json.dumps(records[-1]), flush=True)
    return records


def bytes_per_pixel(records: list[dict[str, Any]]) -> float:
    """Bytes that the peak grows by with every pixel, between the smallest and the largest photo."""
    small, large = records[0], records[-1]
    grown = (large["peak_mib"] - small["peak_mib"]) * 2**20
    return float(grown / ((large["megapixels"] - small["megapixels"]) * 1e6))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Peak memory of whole edits.")
    parser.add_argument("--portrait", type=Path, default=Path("docs/samples/portrait.jpg"))
    parser.add_argument("--megapixels", type=float, nargs="+", default=list(MEGAPIXELS))
    parser.add_argument("--extension", default=".jpg", help="format of the photos")
    parser.add_argument("--output", type=Path, help="JSON file for the records")
    options = parser.parse_args()
    records = measure(options.portrait, options.megapixels, options.extension)
    if len(records) > 1:
        print(f"{bytes_per_pixel(records):.1f} bytes a pixel above a constant")
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(records, indent=1) + "\n")


if __name__ == "__main__":
    main()
