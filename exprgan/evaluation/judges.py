"""How good the judges are on held-out faces."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exprgan.action_units import JUDGED_SCORES, SCORES, column
from exprgan.data.face_set import FaceSet
from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.evaluation import metrics
from exprgan.expressions import EXPRESSIONS
from exprgan.models.judges import ExpressionJudge, IdentityJudge
from exprgan.models.pixels import to_tensor
from exprgan.weights import NetworkFiles


@torch.inference_mode()
def examine_expressions(judge: ExpressionJudge, data: FaceSet, split: str) -> dict[str, Any]:
    """Accuracy, its mean over the classes that occur, and confusion on the labelled faces of a split."""
    rows = np.flatnonzero((data.splits == split) & (data.expressions >= 0))
    logits = torch.cat([judge.judge(to_tensor(data.image(int(row))))[0] for row in rows])
    counts = metrics.confusion(logits.argmax(1).numpy(), data.expressions[rows], len(EXPRESSIONS))
    return {
        "n": len(rows),
        "accuracy": metrics.rounded(metrics.pixel_accuracy(counts)),
        "balanced_accuracy": metrics.rounded(float(np.nanmean(metrics.class_accuracy(counts)))),
        "confusion": counts.tolist(),
    }


@torch.inference_mode()
def examine_scores(judge: ExpressionJudge, data: OpenFaces, split: str) -> dict[str, float | None]:
    """Correlation of each score with MediaPipe's over a split; empty for fewer than three faces."""
    rows = data.indices(split)
    if len(rows) < 3:
        return {}
    judged = torch.cat([judge.judge(to_tensor(data.image(row)))[1] for row in rows]).sigmoid().numpy()
    known = [[column(data.scores(row), SCORES[name]) for name in JUDGED_SCORES] for row in rows]
    together = np.corrcoef(judged.T, np.array(known).T)
    return {
        name: metrics.rounded(together[n, len(JUDGED_SCORES) + n]) for n, name in enumerate(JUDGED_SCORES)
    }


@torch.inference_mode()
def embeddings(judge: IdentityJudge, images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Unit vectors (N, D) of crops."""
    return torch.cat([judge.embed(to_tensor(image)) for image in images])


def verification(vectors: Tensor, people: Sequence[str], others: Tensor | None = None) -> dict[str, Any]:
    """Area under the ROC curve and equal error rate of all pairs, by cosine.

    Args:
        vectors: (N, D) unit vectors.
        people: Who each is of.
        others: (M, D), vectors of further people, each another one.
    """
    cosine = (vectors @ vectors.T).numpy()
    pairs = list(combinations(range(len(people)), 2))
    same = np.array([cosine[i, j] for i, j in pairs if people[i] == people[j]])
    different = np.array([cosine[i, j] for i, j in pairs if people[i] != people[j]])
    if others is not None:
        different = np.concatenate([different, (vectors @ others.T).numpy().ravel()])
    return {
        "same_pairs": len(same),
        "different_pairs": len(different),
        "auc": metrics.rounded(metrics.roc_auc(same, different)),
        "eer": metrics.rounded(metrics.equal_error_rate(same, different)),
        "cosine_same": metrics.rounded(float(same.mean())),
        "cosine_different": metrics.rounded(float(different.mean())),
    }


def examine_identity(judge: IdentityJudge, photos: OpenFaces, renders: SyntheticFaces) -> dict[str, Any]:
    """Verification of held-out people: rendered ones in eight expressions, London sitters neutral and smiling."""
    rows = renders.indices("test")
    rendered = embeddings(judge, [renders.image(row) for row in rows])
    val = photos.indices("val")
    sitters = [row for row in val if photos.rows[row]["subject"]]
    strangers = [row for row in val if not photos.rows[row]["subject"]]
    photographed = embeddings(judge, [photos.image(row) for row in sitters])
    unknown = embeddings(judge, [photos.image(row) for row in strangers])
    return {
        "synthetic-faces test": verification(rendered, renders.subjects[rows].tolist()),
        "open-faces val, London sitters": verification(
            photographed, [photos.rows[row]["subject"] for row in sitters], unknown
        ),
    }


def report_of(files: NetworkFiles, data: Path) -> dict[str, Any]:
    """All held-out figures of a judge.

    Args:
        files: The judge.
        data: Folder with open-faces and synthetic-faces.
    """
    judge = files.load()
    photos, renders = OpenFaces(data / "open-faces"), SyntheticFaces(data / "synthetic-faces")
    if isinstance(judge, IdentityJudge):
        return examine_identity(judge, photos, renders)
    assert isinstance(judge, ExpressionJudge)
    return {
        "open-faces val": examine_expressions(judge, photos, "val"),
        "synthetic-faces test": examine_expressions(judge, renders, "test"),
        "correlation with MediaPipe's scores, open-faces val": examine_scores(judge, photos, "val"),
    }
