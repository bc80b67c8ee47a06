"""How a smile changes the light on skin, measured over open-faces' photographs, and put into the face model.

    python -m exprgan.samples.smile_shading --data DIR weights

Each photograph of the training split is laid on the texture chart, its broad light taken out, and what is left
regressed, pixel by pixel, on how far the face smiles, apart for smooth and for creased cheeks. Form of the face, other
expressions, pose and brightness are regressed on beside it, so that they are not taken for the smile. A mean over
people of the expression ratio images of Liu, Shan and Zhang (SIGGRAPH 2001).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

from exprgan.data.open_faces import OpenFaces
from exprgan.face_model.model import FaceModel
from exprgan.face_model.skin import creased_share
from exprgan.face_parts import CROP_PX
from exprgan.faces import mesh
from exprgan.teacher.bundle_basis import save
from exprgan.weights import find

ARRAY = "smile_shading"
BESIDE = ("browDown", "browInnerUp", "browOuterUp", "mouthPucker", "jawOpen")
"""Scores that are regressed on beside the smile."""
FORM_MODES = 16
"""Principal components of the neutral shapes that are, too."""
MOST_TURNED_DEG, LEAST_SHARPNESS = 25.0, 40.0
LIMITS = (-1.2, 1.0)
"""Logs of luminance at which what differs from the broad light is cut off."""
FADE_SHARE = 0.05
"""Of the chart, over which the map fades in below the eyes and out at the temples."""


def measure(faces: OpenFaces, model: FaceModel) -> NDArray[np.float32]:
    """Log of the luminance's ratio (2, size, size) for a smile's score of 1, of smooth and of creased cheeks."""
    charts, smiles, creased, beside, forms = [], [], [], [], []
    for row in faces.indices("train"):
        if float(faces.rows[row]["sharpness"]) < LEAST_SHARPNESS:
            continue
        image, size = faces.image(row), (CROP_PX, CROP_PX)
        analysis = model.analyse(size, faces.landmarks_px(row), faces.scores(row))
        pitch, yaw, _ = analysis.pose.pitch_yaw_roll()
        if max(abs(pitch), abs(yaw)) > MOST_TURNED_DEG:
            continue
        left, level = model.skin.without_light(image, analysis.landmarks_px)
        charts.append(np.clip(left, *LIMITS).astype(np.float16))
        score = {name: _score(model, analysis.scores, name) for name in ("mouthSmile", *BESIDE)}
        smiles.append(score.pop("mouthSmile"))
        creased.append(creased_share(image, analysis.landmarks_px))
        beside.append([*score.values(), level, pitch / 10, yaw / 10])
        forms.append(analysis.neutral_cm.ravel())
    smile, share = np.array(smiles), np.array(creased)
    form = np.linalg.svd(np.array(forms) - np.mean(forms, axis=0), full_matrices=False)[0][:, :FORM_MODES]
    causes = np.column_stack([smile * (1 - share), smile * share, share, form * len(form) ** 0.5, beside])
    maps = _regressed(causes, np.array(charts))[:2] * reach(model)
    return ((maps + maps[:, :, ::-1]) / 2).astype(np.float32)


def _score(model: FaceModel, scores: NDArray[np.float64], name: str) -> float:
    """Mean of a score's sides."""
    names = (name, f"{name}Left", f"{name}Right")
    places = [model.basis.measured_names.index(one) for one in names if one in model.basis.measured_names]
    return float(scores[places].mean())


def _regressed(causes: NDArray[np.float64], charts: NDArray[np.float16]) -> NDArray[np.float64]:
    """Effects (k, size, size) of causes (n, k) on charts (n, size, size), by least squares."""
    design = np.column_stack([causes, np.ones(len(causes))])
    solver = np.linalg.pinv(design)
    return np.stack([np.tensordot(line, charts.astype(np.float32), 1) for line in solver[:-1]])


def reach(model: FaceModel) -> NDArray[np.float64]:
    """Where (size, size) the map counts: skin below the eyes, between the temples.

    Above, people who smile in photographs differ by their brows and hair from those who do not.
    """
    size, at = model.wrinkles.size, model.wrinkles.chart_px
    y, x = np.mgrid[:size, :size]
    lids = at[[*mesh.RIGHT_LOWER_LID, *mesh.LEFT_LOWER_LID]]
    order = np.argsort(lids[:, 0])
    line = np.interp(x, lids[order, 0], lids[order, 1])
    below = np.clip((y - line) / (FADE_SHARE * size / 4), 0, 1)
    right, left = at[mesh.FACE_OVAL, 0].min(), at[mesh.FACE_OVAL, 0].max()
    inside = np.clip(np.minimum(x - right, left - x) / (FADE_SHARE * size) - 2, 0, 1)
    return model.wrinkles.mask * below * inside


def main() -> None:
    """Measure, and put the map into a folder's face model."""
    parser = argparse.ArgumentParser(description="measure how a smile changes the light on skin")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds open-faces/")
    parser.add_argument("weights", type=Path, metavar="WEIGHTS")
    arguments = parser.parse_args()
    names = find("face_model", arguments.weights).config["arguments"]
    shading = measure(OpenFaces(arguments.data / "open-faces"), FaceModel(arguments.weights))
    arrays = load_file(arguments.weights / "face_model.safetensors")  # in the types that they are stored in
    save(arguments.weights, {**arrays, ARRAY: shading.astype(np.float16)}, names)


if __name__ == "__main__":
    main()
