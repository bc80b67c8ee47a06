"""Blendshape scores of edited faces by MediaPipe's Face Landmarker, a judge that no network here is trained on.

The labels of the open-faces set come from the same model, so the judge knows the style of those crops; the
generator never sees its scores. MediaPipe is not a dependency: run this where it is installed,

    python -m exprgan.evaluation.blendshapes --model face_landmarker.task FOLDER

FOLDER holds pictures named PERSON_input.png and PERSON_EXPRESSION.png; the table gives the mean change of each
score against the input.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

SCORES = {
    "mouthSmile": ("mouthSmileLeft", "mouthSmileRight"),
    "jawOpen": ("jawOpen",),
    "browDown": ("browDownLeft", "browDownRight"),
    "browInnerUp": ("browInnerUp",),
    "browOuterUp": ("browOuterUpLeft", "browOuterUpRight"),
    "mouthFrown": ("mouthFrownLeft", "mouthFrownRight"),
    "mouthUpperUp": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "mouthStretch": ("mouthStretchLeft", "mouthStretchRight"),
    "eyeWide": ("eyeWideLeft", "eyeWideRight"),
    "eyeSquint": ("eyeSquintLeft", "eyeSquintRight"),
    "smile R-L": ("mouthSmileRight", "-mouthSmileLeft"),
}
"""Name of a column -> the landmarker's scores that are averaged, or subtracted where marked by '-'."""


def column(scores: dict[str, float], parts: tuple[str, ...]) -> float:
    """One column of the table from the landmarker's scores by name."""
    if any(part.startswith("-") for part in parts):
        return sum(-scores[part[1:]] if part.startswith("-") else scores[part] for part in parts)
    return float(np.mean([scores[part] for part in parts]))


def score_folder(folder: Path, model: Path) -> dict[str, dict[str, dict[str, float]]]:
    """Scores by person, by expression ('input' for the unedited face) and by name."""
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)), output_face_blendshapes=True
    )
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(dict)
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for path in sorted(folder.glob("*_*.png")):
            person, expression = path.stem.rsplit("_", 1)
            result = landmarker.detect(mp.Image.create_from_file(str(path)))
            if result.face_blendshapes:
                scores = {item.category_name: item.score for item in result.face_blendshapes[0]}
                found[person][expression] = scores
    return found


def table(found: dict[str, dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Mean change of each column against the input, by expression, with the number of faces as 'faces'."""
    changes: dict[str, list[list[float]]] = defaultdict(list)
    for expressions in found.values():
        if "input" not in expressions:
            continue
        for expression, scores in expressions.items():
            if expression != "input":
                before = expressions["input"]
                changes[expression].append([column(scores, p) - column(before, p) for p in SCORES.values()])
    return {
        expression: {"faces": len(rows), **dict(zip(SCORES, np.mean(rows, axis=0).tolist(), strict=True))}
        for expression, rows in changes.items()
    }


def main() -> None:
    """Print the table and write it beside the pictures as blendshapes.json."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, required=True, help="face_landmarker.task")
    arguments = parser.parse_args()
    rows = table(score_folder(arguments.folder, arguments.model))
    (arguments.folder / "blendshapes.json").write_text(json.dumps(rows, indent=1) + "\n")
    print("| expression | faces | " + " | ".join(SCORES) + " |")
    print("|" + "---|" * (len(SCORES) + 2))
    for expression, row in rows.items():
        cells = " | ".join(f"{row[name]:+.2f}" for name in SCORES)
        print(f"| {expression} | {row['faces']:.0f} | {cells} |")


if __name__ == "__main__":
    main()
