"""Fills a cache of the geometry teacher's renders ahead of a training.

python -m exprgan.teacher.fill --data DIR --cache DIR --variants 16
python -m exprgan.teacher.fill --data DIR --cache DIR/mixed --mixed
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import cv2

from exprgan.data.open_faces import OpenFaces
from exprgan.teacher.cache import TeacherCache
from exprgan.teacher.mixed_renders import VARIANTS_PER_FACE, MixedRenders

log = logging.getLogger(__name__)


def main() -> None:
    """Fill a cache."""
    parser = argparse.ArgumentParser(description="fill a cache of the geometry teacher's renders")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds open-faces/")
    parser.add_argument(
        "--teacher", type=Path, help="folder with geometry_basis.npz; default: the bundled basis"
    )
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--mixed", action="store_true", help="mixed expressions, for transfer")
    parser.add_argument("--first", type=int, default=0, help="first variant")
    parser.add_argument(
        "--variants", type=int, help=f"end of the variants, default 12, {VARIANTS_PER_FACE} if mixed"
    )
    parser.add_argument("--split", default="train", help="train or val")
    parser.add_argument("--faces", type=int, help="only so many faces")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    cv2.setNumThreads(1)
    kind, end = (MixedRenders, VARIANTS_PER_FACE) if arguments.mixed else (TeacherCache, 12)
    cache = kind(OpenFaces(arguments.data / "open-faces"), arguments.teacher, arguments.cache)
    of_split = set(cache.faces.indices(arguments.split))
    for count, face in enumerate([face for face in cache.usable() if face in of_split][: arguments.faces]):
        for variant in range(arguments.first, arguments.variants or end):
            cache.get(face, variant)
        if count % 100 == 0:
            log.info("%d faces done", count)


if __name__ == "__main__":
    main()
