"""What action units and controls do, judged from outside: MediaPipe's Face Landmarker on photographs of open-faces val.

    python -m exprgan.evaluation.controls --data DIR --landmarker face_landmarker.task [--faces 60] [--json FILE]

For each name, over faces and amounts 0, .25, .5, .75 and 1: how much the scores that it means change at 1 (`change`),
how much the other scores do at the mean (`leak`), and the correlation of the amount with the change, over all faces
together (`r`) and at the median of single faces (`r_face`). Names whose scores the landmarker is blind to
(`exprgan.samples.posed.BLIND`) have no figures but the leak.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.edit.systems import FaceModelSystem, load_system
from exprgan.errors import UsageError
from exprgan.evaluation.outside import Landmarker
from exprgan.face_model.amounts import amounts_for
from exprgan.face_model.expression import Expression
from exprgan.face_model.vocabulary import controls, find_control, has_sides
from exprgan.faces.mesh import BLENDSHAPES
from exprgan.files import write_whole
from exprgan.samples.posed import BLIND
from exprgan.weights import find

AMOUNTS = (0.25, 0.5, 0.75, 1.0)
SEEN_PX = 512


def meant_scores(name: str) -> list[str]:
    """Scores of the landmarker that a control means: those of its largest shape, for gaze of all its shapes.

    >>> meant_scores("AU12")
    ['mouthSmileLeft', 'mouthSmileRight']
    """
    recipe = find_control(name)[1].recipe
    shapes = {**recipe.sculpted, **recipe.measured}
    largest = max(shapes.values())
    found: list[str] = []
    for shape, amount in shapes.items():
        if amount < largest:
            continue
        stem, _, side = shape.partition("_")
        sides = {"L": ("Left",), "R": ("Right",)}.get(side, ("Left", "Right") if has_sides(stem) else ("",))
        found += [full for full in (stem + each for each in sides) if full in BLENDSHAPES] or [stem]
    return [each for each in found if each in BLENDSHAPES and not each.startswith(BLIND)]


def measure(
    system: FaceModelSystem, images: Sequence[NDArray[np.uint8]], landmarker: Landmarker, names: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Figures by name over aligned crops, uint8 RGB (256, 256, 3)."""
    changes: dict[str, list[NDArray[np.float64]]] = {name: [] for name in names}
    basis = system.face_model.basis
    for image in images:
        face, before = system.prepare(image), _scores(landmarker, image)
        if face is None or before is None:
            continue
        for name in names:
            rows = []
            for amount in AMOUNTS:
                asked = amounts_for(basis, Expression.parse(None, {name: amount}))
                after = _scores(landmarker, system.edit(image, face, asked))
                rows.append(np.full(len(before), np.nan) if after is None else after - before)
            if not np.isnan(rows).any():
                changes[name].append(np.array(rows))
    return {name: _figures(name, np.array(rows)) for name, rows in changes.items() if rows}


def _figures(name: str, changes: NDArray[np.float64]) -> dict[str, float]:
    """Of changes (faces, amounts, 51)."""
    meant = [BLENDSHAPES.index(score) for score in meant_scores(name)]
    others = [place for place in range(len(BLENDSHAPES)) if place not in meant]
    figures = {"leak": float(np.abs(changes[:, -1][:, others]).mean()), "faces": float(len(changes))}
    if meant:
        own = changes[:, :, meant].mean(axis=2)
        with_zero = np.column_stack([np.zeros(len(own)), own])
        amounts = np.broadcast_to([0.0, *AMOUNTS], with_zero.shape)
        figures["change"] = float(own[:, -1].mean())
        figures["r"] = _correlation(amounts.ravel(), with_zero.ravel())
        figures["r_face"] = float(np.median([_correlation(amounts[0], row) for row in with_zero]))
    return figures


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Pearson's, 0 where nothing changes."""
    return float(np.corrcoef(one, other)[0, 1]) if np.ptp(other) > 0 else 0.0


def _scores(landmarker: Landmarker, image: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    large = cv2.resize(image, (SEEN_PX, SEEN_PX), interpolation=cv2.INTER_CUBIC)
    scores = landmarker.scores(np.asarray(large, np.uint8))
    return None if scores is None else np.array([scores[name] for name in BLENDSHAPES])


def as_table(figures: dict[str, dict[str, float]]) -> str:
    """The figures as a table of Markdown."""
    lines = ["| name | judged by | change | r | r of single faces | leak |", "|---|---|---|---|---|---|"]
    for name, row in figures.items():
        seen = ", ".join(sorted({re.sub("Left$|Right$", "", score) for score in meant_scores(name)}))
        own = f"{row['change']:+.2f} | {row['r']:.2f} | {row['r_face']:.2f}" if "r" in row else "– | – | –"
        lines.append(f"| {name} | {seen or '–'} | {own} | {row['leak']:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description="measure what action units and controls do")
    parser.add_argument("--data", type=Path, required=True, help="folder with open-faces")
    parser.add_argument("--landmarker", type=Path, required=True, help="MediaPipe's face_landmarker.task")
    parser.add_argument("--model", default="corrections")
    parser.add_argument("--faces", type=int, default=60)
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    system = load_system(find(arguments.model))
    if not isinstance(system, FaceModelSystem):
        raise UsageError(f"{arguments.model} has no action units; name corrections or face_model.")
    faces = OpenFaces(arguments.data / "open-faces")
    known = controls()
    names = [
        f"{name}{side}"
        for kind, side_of in (("action_units", "L"), ("controls", "_left"))
        for name in known[kind]
        for side in ((side_of,) if name in ("AU46", "wink") else ("",))
    ]
    images = [faces.image(row) for row in faces.indices("val")[: arguments.faces]]
    with Landmarker(arguments.landmarker) as landmarker:
        figures: dict[str, Any] = measure(system, images, landmarker, names)
    sys.stdout.write(as_table(figures) + "\n")
    if arguments.json:
        write_whole(arguments.json, (json.dumps(figures, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
