"""How long the page's previews take, without a browser: a slider that moves, and one that rests.

    python -m exprgan.bench.preview_speed photo.jpg other.jpg

Each photo is opened once, as the page opens it; then a smile grows step by step. Printed are medians and ninth deciles
in wall seconds, the first two previews of a photo left out.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from exprgan.app.look import Look
from exprgan.app.opened import Opened
from exprgan.bench.speed import machine
from exprgan.edit.editor import Editor

KINDS = {"moving": True, "at rest": False}
"""Whether a preview is a rough one."""
WARM_UP = 2


def measure(photos: list[Path], steps: int) -> dict[str, list[float]]:
    """Wall seconds of each preview, by kind."""
    editor, lock = Editor.from_pretrained(device="cpu"), threading.Lock()
    times: dict[str, list[float]] = defaultdict(list)
    for path in photos:
        opened = Opened(editor, path.read_bytes(), path.name, lock)
        face, view = opened.first_face(), opened.first_view()
        for kind, is_rough in KINDS.items():
            for step in range(WARM_UP + steps):
                look = Look.of({"shares": {"happy": (step + 1) / (WARM_UP + steps)}})
                started = time.perf_counter()
                opened.preview(look, face, view, rough=is_rough)
                if step >= WARM_UP:
                    times[kind].append(time.perf_counter() - started)
    return times


def summary(times: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Median and ninth decile of each kind, in seconds."""
    return {
        kind: {
            "median_s": round(statistics.median(values), 3),
            "ninth_decile_s": round(sorted(values)[int(0.9 * len(values))], 3),
            "previews": len(values),
        }
        for kind, values in times.items()
    }


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=6, help="of the smile, for each photo and kind")
    arguments = parser.parse_args()
    print(json.dumps({**summary(measure(arguments.photos, arguments.steps)), "machine": machine()}, indent=1))


if __name__ == "__main__":
    main()
