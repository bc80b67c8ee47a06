"""How fast a batch is: several photos at a time, one at a time, a shell loop, and the networks alone.

    python -m exprgan.bench.batch_speed --photos photos/ --copies 200

The four are taken in turns, so that a change of the machine's load falls on all of them. Times are wall-clock
seconds a photo; those of the commands include their start-up.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from exprgan.bench.speed import Stopwatch, machine
from exprgan.errors import ExprganError, UsageError
from exprgan.photos.image_io import READABLE_EXTENSIONS


def make_copies(photos: Path, num_copies: int, folder: Path) -> list[Path]:
    """Copy the photos of a folder, in turn, until there are so many.

    Raises:
        UsageError: The folder has no photos.
    """
    originals = sorted(path for path in photos.glob("*") if path.suffix.lower() in READABLE_EXTENSIONS)
    if not originals:
        raise UsageError(f"{photos} has no photos; name a folder with some by --photos.")
    folder.mkdir(parents=True)
    copies = []
    for number in range(num_copies):
        original = originals[number % len(originals)]
        copies.append(folder / f"{number:04d}-{original.name}")
        shutil.copyfile(original, copies[-1])
    return copies


def time_batch(folder: Path, output: Path, num_workers: int) -> float:
    """Seconds of one `exprgan edit` of a folder, start-up included."""
    return _time_command([str(folder), "--output", str(output), "--jobs", str(num_workers)])


def time_loop(copies: list[Path], output: Path) -> float:
    """Seconds of one `exprgan edit` for each photo, one after the other."""
    output.mkdir(parents=True)
    return sum(_time_command([str(path), "--output", str(output)]) for path in copies)


def _time_command(arguments: list[str]) -> float:
    command = [
        sys.executable,
        "-m",
        "exprgan",
        "edit",
        *arguments,
        "--to",
        "happy",
        "--quiet",
        "--device",
        "cpu",
    ]
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    if done.returncode not in (0, 1, 3):  # some photos may show no face that can be edited
        raise ExprganError(f"{' '.join(command)} ended with {done.returncode}; run it to see why.")
    return time.perf_counter() - started


def time_networks(copies: list[Path], num_threads: int) -> float:
    """Seconds that all networks take for the photos, one after the other, without anything around them."""
    import torch

    from exprgan.edit.editor import Editor
    from exprgan.errors import NoFaceFound

    editor, watch, before = Editor.from_pretrained(device="cpu"), Stopwatch(), torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        editor.edit(copies[0])
        with watch.networks("networks"):
            for path in copies:
                try:
                    editor.edit(path)
                except NoFaceFound:
                    continue
    finally:
        torch.set_num_threads(before)
    return watch.times["networks"][0]


def measure(
    photos: Path, *, num_copies: int, num_looped: int, num_for_networks: int, rounds: int
) -> dict[str, Any]:
    """Seconds a photo of each way of working: the median and each round's."""
    import torch

    num_threads = torch.get_num_threads()
    taken: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        copies = make_copies(photos, num_copies, root / "photos")
        some = copies[:num_for_networks]
        for turn in range(rounds):
            out = root / f"out{turn}"
            for name, seconds, count in (
                ("--jobs 2", lambda out=out: time_batch(root / "photos", out / "2", 2), num_copies),
                (f"networks, {num_threads} threads", lambda: time_networks(some, num_threads), len(some)),
                ("--jobs 1", lambda out=out: time_batch(root / "photos", out / "1", 1), num_copies),
                ("networks, 1 thread", lambda: time_networks(some, 1), len(some)),
                ("shell loop", lambda out=out: time_loop(copies[:num_looped], out / "loop"), num_looped),
            ):
                taken.setdefault(name, []).append(seconds() / count)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    return {"num_copies": num_copies, "num_looped": num_looped, "seconds": medians, "rounds": taken}


def as_text(report: dict[str, Any]) -> str:
    """The report as a Markdown table."""
    seconds = report["seconds"]
    lines = ["| way | s a photo | photos a minute | against --jobs 1 |", "|---|---|---|---|"]
    for name, each in seconds.items():
        lines.append(f"| {name} | {each:.3f} | {60 / each:.0f} | {seconds['--jobs 1'] / each:.2f} |")
    for name, each in seconds.items():
        if name.startswith("networks"):
            lines.append(f"\n{name}, as a share of --jobs 2: {each / seconds['--jobs 2']:.0%}.")
    return "\n".join([*lines, "", f"Machine: {json.dumps(report['machine'])}"]) + "\n"


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m exprgan.bench.batch_speed", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos to copy")
    parser.add_argument("--copies", type=int, default=200, help="photos in the batch")
    parser.add_argument("--looped", type=int, default=10, help="photos of the shell loop")
    parser.add_argument("--for-networks", type=int, default=48, help="photos to time the networks alone on")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way")
    parser.add_argument("--output", type=Path, default=Path("out/batch-speed.json"), help="figures as JSON")
    options = parser.parse_args()
    report = measure(
        options.photos,
        num_copies=options.copies,
        num_looped=options.looped,
        num_for_networks=options.for_networks,
        rounds=options.rounds,
    )
    report["machine"] = machine()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.stdout.write(as_text(report))


if __name__ == "__main__":
    main()
