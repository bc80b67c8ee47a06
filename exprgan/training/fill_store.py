"""Makes the samples of a training ahead; see `exprgan.training.sample_store`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2

from exprgan.errors import ExprganError
from exprgan.training import start
from exprgan.training.sample_store import SampleStore, fill
from exprgan.training.task import TrainingFiles


def main() -> int:
    """Fill a store."""
    parser = argparse.ArgumentParser(description="make the samples of a training ahead")
    parser.add_argument("network", choices=sorted(start.RECIPES))
    parser.add_argument("--data", required=True, help="as for exprgan train")
    parser.add_argument("--output", type=Path, required=True, help="folder of the samples")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="as for exprgan train"
    )
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        chosen = start.configure(arguments.network, arguments.set, device="cpu")
        files = TrainingFiles((arguments.data,), arguments.output)
        task = start.RECIPES[arguments.network].make_task(files, chosen.task)
        fill(SampleStore(task, arguments.output, arguments.count), arguments.processes)
    except ExprganError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
