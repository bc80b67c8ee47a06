"""How near the light on edited smiles is, in the mean, to that on photographs of smiles.

    python -m exprgan.evaluation.smile_light --data DIR [--split val] [--model corrections]

Photographs of open-faces that smile, others that do not, and these edited to happy are laid on the texture chart of the
face model, their broad light taken out, and averaged. Given are the root mean square of the difference to the smiles'
mean over the skin below the eyes, and the means where the fold from the nose to the mouth runs, natural logs of
luminance. What is left also holds how the people differ; half of the smiles against the other half shows how far the
mean of so few can be trusted.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.edit.editor import Editor
from exprgan.errors import ExprganError
from exprgan.face_model.model import FaceModel
from exprgan.samples.smile_shading import LIMITS, reach

PHOTO_PX = 320
SMILES, OTHERS = 0.5, 0.2
"""Least and largest score of the smile, of both sides, in photographs that smile and that do not."""
MOST_TURNED_DEG, LEAST_SHARPNESS = 15.0, 60.0
FOLDS, FOLD_PX = (206, 426), 4
"""Mesh points on the folds, and how far around them on the chart is averaged."""


def report_of(faces: OpenFaces, rows: Iterable[int], editor: Editor) -> dict[str, Any]:
    """Figures over photographs of open-faces."""
    charts: dict[str, list[NDArray[np.float32]]] = {"smiles": [], "others": [], "edits": []}
    model = FaceModel()

    def on_chart(image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        found = editor.detector.detect(image)
        if not found:
            return None
        left, _ = model.skin.without_light(image, found[0].landmarks_xy.astype(np.float64))
        return np.clip(left, *LIMITS)

    for row in rows:
        kind = _kind(faces, row, model)
        if kind is None:
            continue
        image = faces.photo(row)
        chart = on_chart(image)
        if chart is None:
            continue
        if kind == "others":
            try:
                edited = on_chart(editor.edit(image, "happy").image)
            except ExprganError:
                continue
            if edited is None:
                continue
            charts["edits"].append(edited)
        charts[kind].append(chart)
    return _figures({name: np.array(found) for name, found in charts.items()}, model)


def _kind(faces: OpenFaces, row: int, model: FaceModel) -> str | None:
    if float(faces.rows[row]["sharpness"]) < LEAST_SHARPNESS:
        return None
    scores = faces.scores(row)
    analysis = model.analyse((PHOTO_PX, PHOTO_PX), faces.landmarks_px(row, PHOTO_PX), scores)
    if max(np.abs(analysis.pose.pitch_yaw_roll()[:2])) > MOST_TURNED_DEG:
        return None
    smile = (scores["mouthSmileLeft"] + scores["mouthSmileRight"]) / 2
    return "smiles" if smile >= SMILES else "others" if smile < OTHERS else None


def _figures(charts: dict[str, NDArray[np.float32]], model: FaceModel) -> dict[str, Any]:
    weight, smiles = reach(model), charts["smiles"]
    means = {name: found.mean(axis=0) for name, found in charts.items()}
    means["half of the smiles"] = smiles[::2].mean(axis=0)

    def distance(name: str, other: NDArray[np.float32]) -> float:
        return round(float(np.sqrt((weight * (means[name] - other) ** 2).sum() / weight.sum())), 4)

    def at_folds(name: str) -> float:
        spots = []
        for vertex in FOLDS:
            x, y = np.rint(model.wrinkles.chart_px[vertex]).astype(int)
            spots.append(means[name][y - FOLD_PX : y + FOLD_PX + 1, x - FOLD_PX : x + FOLD_PX + 1].mean())
        return round(float(np.mean(spots)), 4)

    return {
        "photographs": {name: len(found) for name, found in charts.items()},
        "rms_to_smiles": {name: distance(name, means["smiles"]) for name in ("others", "edits")}
        | {"half of the smiles": distance("half of the smiles", smiles[1::2].mean(axis=0))},
        "at_folds": {name: at_folds(name) for name in charts},
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="compare the light on edited smiles with real ones")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds open-faces/")
    parser.add_argument("--split", default="val", choices=("train", "val"))
    parser.add_argument("--model", default="corrections")
    parser.add_argument("--faces", type=int, default=400, help="so many photographs at most are looked at")
    arguments = parser.parse_args()
    faces = OpenFaces(arguments.data / "open-faces")
    editor = Editor.from_pretrained(device="cpu", model=arguments.model)
    rows = faces.indices(arguments.split)[: arguments.faces]
    sys.stdout.write(json.dumps(report_of(faces, rows, editor), indent=1) + "\n")


if __name__ == "__main__":
    main()
