"""What the judges say of faces: expression, blendshape scores, identity, and features for FID and KID."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exprgan.edit.regions import find_segmenter
from exprgan.errors import WeightsError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_parts import FACE_CLASSES, class_ids
from exprgan.models.judges import ExpressionJudge, IdentityJudge
from exprgan.weights import find, find_weights_dir, read_manifest

NAMES = ("judge", "judge_rendered", "judge_identity")
"""Weights of the judges: of photographs alone, of photographs and renders, and who a face is."""
MASK_MARGIN_PX = 8
"""How far the mask of a face reaches beyond its pixels in the 256-px crop: a jaw that opens needs the room."""


@dataclass(frozen=True)
class Judgement:
    """What the judges say of N faces.

    expression, expression_rendered: (N,) int64, index into `EXPRESSIONS`, by either expression judge. embedding:
    (N, D) unit vectors. features: (N, F), of the photographs' judge. scores: (N, 10) in [0, 1].
    """

    expression: NDArray[np.int64]
    expression_rendered: NDArray[np.int64]
    embedding: Tensor
    features: Tensor
    scores: NDArray[np.float64]


class Judges:
    """The judges of a folder of weights.

    Args:
        folder: Folder of weights; None takes the bundled ones, which is what makes figures comparable.

    Raises:
        WeightsError: The folder lacks a judge.
    """

    def __init__(self, folder: Path | None = None) -> None:
        place = find_weights_dir(folder)
        missing = [name for name in NAMES if name not in read_manifest(place)]
        if missing:
            raise WeightsError(
                f"{place} has no weights {missing[0]!r}, which judge edits; use the bundled weights, or train them "
                f"with `exprgan train {missing[0]}`."
            )
        self.files = {name: find(name, place) for name in NAMES}
        judge, rendered, identity = (files.load() for files in self.files.values())
        assert isinstance(judge, ExpressionJudge)
        assert isinstance(rendered, ExpressionJudge)
        assert isinstance(identity, IdentityJudge)
        self._judge, self._rendered, self._identity = judge, rendered, identity
        self._segmenter = find_segmenter(place).load()

    @property
    def tested_classes(self) -> list[int]:
        """Expressions that the photographs' judge was tested on."""
        return [EXPRESSIONS.index(name) for name in self.files["judge"].config["tested_classes"]]

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Judgement:
        """Judge aligned crops, float32 RGB (N, 3, S, S) in [-1, 1]."""
        logits, scores, features = self._judge.judge(images)
        rendered = self._rendered.judge(images)[0]
        return Judgement(
            expression=logits.argmax(1).numpy(),
            expression_rendered=rendered.argmax(1).numpy(),
            embedding=self._identity.embed(images),
            features=features,
            scores=scores.sigmoid().double().numpy(),
        )

    @torch.inference_mode()
    def face_mask(self, image: Tensor) -> NDArray[np.bool_]:
        """Where a face is in an aligned crop (1, 3, 256, 256): bool (256, 256), by the bundled segmenter."""
        logits: Tensor = self._segmenter(image)
        labels = logits[0].argmax(dim=0).numpy().astype(np.uint8)
        return face_region(labels)


def face_region(labels: NDArray[np.uint8], margin_px: int = MASK_MARGIN_PX) -> NDArray[np.bool_]:
    """Pixels of a label map (H, W) that belong to the face, or lie within a margin of it."""
    import cv2

    face = np.isin(labels, class_ids(FACE_CLASSES)).astype(np.uint8)
    size = 2 * margin_px + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return np.asarray(cv2.dilate(face, kernel)) > 0
