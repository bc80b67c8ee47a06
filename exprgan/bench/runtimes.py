"""torch and ONNX Runtime side by side: the same command, its time, its memory and its pixels.

    python -m exprgan.bench.runtimes --photo photo.jpg --photos photos/ --copies 200

Each command is a process of its own, taken in turns; a single photo from start to finish, then a folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from exprgan.bench.batch_speed import make_copies
from exprgan.bench.speed import machine
from exprgan.errors import ExprganError
from exprgan.photos.image_io import read

RUNTIMES = ("torch", "onnx")


def run_edit(runtime: str, *words: str, is_batch: bool = False) -> dict[str, float]:
    """wall_s, cpu_s and peak_mb of one `exprgan edit`; of a batch some photos may show no face.

    Raises:
        ExprganError: It failed.
    """
    command = [
        sys.executable,
        "-m",
        "exprgan",
        "edit",
        *words,
        "--runtime",
        runtime,
        "--device",
        "cpu",
        "--quiet",
    ]
    started = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.stderr.close()
    if os.waitstatus_to_exitcode(status) not in ((0, 1) if is_batch else (0,)):
        raise ExprganError(f"`{' '.join(command)}` failed: {said.strip()}")
    return {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


def compare(first: Path, second: Path) -> dict[str, float]:
    """Largest difference of two photos in levels, the share of pixels that differ and how many by more than one."""
    difference = np.abs(read(first).pixels.astype(int) - read(second).pixels.astype(int)).max(axis=2)
    return {
        "levels": int(difference.max()),
        "share": float((difference > 0).mean()),
        "pixels_beyond_one_level": int((difference > 1).sum()),
    }


def measure_photo(photo: Path, rounds: int, folder: Path) -> dict[str, Any]:
    """Medians of a single photo's figures by runtime, written in its own format, and how the pixels differ."""
    taken: dict[str, list[dict[str, float]]] = {runtime: [] for runtime in RUNTIMES}
    for _ in range(rounds):
        for runtime in RUNTIMES:
            output = str(folder / f"{runtime}{photo.suffix}")
            taken[runtime].append(run_edit(runtime, str(photo), "--output", output, "--overwrite"))
    for runtime in RUNTIMES:
        run_edit(runtime, str(photo), "--output", str(folder / f"{runtime}.png"), "--overwrite")
    figures = {
        runtime: {name: statistics.median(each[name] for each in rows) for name in rows[0]}
        for runtime, rows in taken.items()
    }
    share = figures["onnx"]["wall_s"] / figures["torch"]["wall_s"]
    difference = compare(*(folder / f"{runtime}.png" for runtime in RUNTIMES))
    return {**figures, "onnx_to_torch": share, "difference": difference}


def measure_folder(photos: Path, num_copies: int, jobs: int, folder: Path) -> dict[str, Any]:
    """Figures of one batch by runtime, and how the results of the photos differ where they are kept without loss."""
    copies = make_copies(photos, num_copies, folder / "photos")
    figures: dict[str, Any] = {
        runtime: _edit_folder(runtime, folder / "photos", jobs) for runtime in RUNTIMES
    }
    # a JPEG may round a block of 64 pixels the other way where one of them differs by a level
    kept = folder / "kept"
    kept.mkdir()
    for number, copy in enumerate({copy.name.split("-", 1)[1]: copy for copy in copies}.values()):
        Image.fromarray(read(copy).pixels).save(kept / f"{number:04d}.png", compress_level=1)
    for runtime in RUNTIMES:
        _edit_folder(runtime, kept, jobs)
    first, second = (folder / f"kept-{runtime}" for runtime in RUNTIMES)
    differences = [compare(result, second / result.name) for result in sorted(first.glob("*.png"))]
    alike = sum(not difference["pixels_beyond_one_level"] for difference in differences)
    worst = {name: max(difference[name] for difference in differences) for name in differences[0]}
    return {**figures, "results": len(differences), "within_one_level": alike, "largest_difference": worst}


def _edit_folder(runtime: str, photos: Path, jobs: int) -> dict[str, float]:
    output = photos.with_name(f"{photos.name}-{runtime}")
    return run_edit(runtime, str(photos), "--output", str(output), "--jobs", str(jobs), is_batch=True)


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--photo", type=Path, help="a single photo")
    parser.add_argument("--photos", type=Path, help="a folder of photos")
    parser.add_argument("--copies", type=int, default=200, help="photos of the batch")
    parser.add_argument("--jobs", type=int, default=2, help="photos in work at a time")
    parser.add_argument("--rounds", type=int, default=5, help="runs of the single photo")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as temporary:
        # a process that is begun inherits the peak of this one, which rises where large photos are compared: last
        if arguments.photos:
            figures["folder"] = measure_folder(
                arguments.photos, arguments.copies, arguments.jobs, Path(temporary)
            )
        if arguments.photo:
            figures["photo"] = measure_photo(arguments.photo, arguments.rounds, Path(temporary))
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
