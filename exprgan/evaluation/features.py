"""What the feature network of training losses knows of held-out faces; no evaluation of a system uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exprgan.data.face_set import FaceSet
from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.evaluation import metrics
from exprgan.evaluation.judges import verification
from exprgan.expressions import EXPRESSIONS
from exprgan.models.features import FEATURE_PX, FaceReading, FeatureNet
from exprgan.models.pixels import to_tensor
from exprgan.samples.views import POINTS
from exprgan.weights import NetworkFiles


@torch.inference_mode()
def read_faces(network: FeatureNet, faces: FaceSet, rows: NDArray[np.int64]) -> FaceReading:
    """What the network says of the crops of a set."""
    readings = [network(to_tensor(faces.image(int(row)))) for row in rows]
    return FaceReading(*(torch.cat(parts) for parts in zip(*readings, strict=True)))


def expression_figures(reading: FaceReading, labels: NDArray[np.int64]) -> dict[str, Any]:
    """Accuracy over the faces with a label, and its mean over the classes that occur."""
    known = labels >= 0
    counts = metrics.confusion(reading.expression.argmax(1).numpy()[known], labels[known], len(EXPRESSIONS))
    return {
        "expression_accuracy": metrics.rounded(metrics.pixel_accuracy(counts)),
        "expression_accuracy_mean_of_classes": metrics.rounded(
            float(np.nanmean(metrics.class_accuracy(counts)))
        ),
        "faces_with_label": int(known.sum()),
    }


def report_of(files: NetworkFiles, data: Path) -> dict[str, Any]:
    """Figures by set: synthetic-faces' test identities, open-faces' val split.

    Args:
        files: The network.
        data: Folder with open-faces and synthetic-faces.
    """
    network = files.load()
    assert isinstance(network, FeatureNet)
    renders, photos = SyntheticFaces(data / "synthetic-faces"), OpenFaces(data / "open-faces")
    rows = np.array(renders.indices("test"))
    of_renders = read_faces(network, renders, rows)
    who = verification(of_renders.embedding, renders.subjects[rows].tolist())
    tested = {
        **expression_figures(of_renders, renders.expressions[rows]),
        "verification_auc": who["auc"],
        "cosine_same_face": who["cosine_same"],
        "cosine_other_face": who["cosine_different"],
        "identities": len(set(renders.subjects[rows].tolist())),
    }
    rows = np.array(photos.indices("val"))
    of_photos = read_faces(network, photos, rows)
    true_px = np.stack([photos.landmarks_px(int(row), FEATURE_PX)[list(POINTS), :2] for row in rows])
    units = of_photos.action_units.sigmoid().numpy() - photos.action_units[rows]
    return {
        "synthetic-faces test": tested,
        "open-faces val": {
            **expression_figures(of_photos, photos.expressions[rows]),
            "action_units_mean_error": metrics.rounded(float(np.nanmean(np.abs(units)))),
            "landmarks_mean_error_px_of_128": metrics.rounded(
                float(np.linalg.norm(of_photos.points_px.numpy() - true_px, axis=2).mean())
            ),
            "faces": len(rows),
        },
    }
