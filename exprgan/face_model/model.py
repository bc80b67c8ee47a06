"""The face model in one piece: from landmarks to what geometry knows of an edit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import motion
from exprgan.face_model.amounts import Amounts
from exprgan.face_model.basis import FaceBasis
from exprgan.face_model.fit import MEDIAPIPE, FaceAnalysis, FaceFitter, Trust
from exprgan.face_model.folds import WrinkleModel
from exprgan.face_model.prior import Prior, PriorMaker


class FaceModel:
    """Fits faces and works out priors of edits.

    Args:
        source: Where `FaceBasis.load` finds the basis; None takes the bundled one.
        trust: How far off the landmarks and coefficients are that faces are fitted to.
    """

    def __init__(self, source: Path | None = None, trust: Trust = MEDIAPIPE) -> None:
        self.basis = FaceBasis.load(source)
        self.fitter = FaceFitter(self.basis, trust)
        self.wrinkles = WrinkleModel(self.basis)
        self.priors = PriorMaker(self.basis, self.wrinkles.chart_px)

    def analyse(
        self, size_hw: tuple[int, int], landmarks_px: NDArray[np.float64], blendshapes: Mapping[str, float]
    ) -> FaceAnalysis:
        """Pose, coefficients and neutral shape of a face.

        Args:
            size_hw: Height and width of the picture.
            landmarks_px: (478, 3) x, y and depth in px of the picture.
            blendshapes: ARKit's coefficients by name, 0 to 1.
        """
        return self.fitter.analyse(size_hw, landmarks_px, blendshapes)

    def prior(
        self, image: NDArray[np.uint8], analysis: FaceAnalysis, amounts: Amounts, *, folds: bool = True
    ) -> Prior:
        """What geometry knows of an edit of a picture, sRGB uint8 (height, width, 3), whose face is analysed."""
        target = motion.target_shape(self.basis, analysis, amounts)
        log_ratio = self._log_ratio(analysis, amounts) if folds else None
        extent = max([amounts.replaced, *amounts.measured.values(), *amounts.sculpted.values()])
        return self.priors.make(
            image,
            analysis,
            target,
            log_ratio,
            gaze_px=motion.gaze_px(analysis, amounts),
            lip_inset=min(1.0, 2 * extent),
        )

    def _log_ratio(self, analysis: FaceAnalysis, amounts: Amounts) -> NDArray[np.float32]:
        """Folds on the texture chart; those of the face's own smile go as far as its expression is replaced."""
        own_smile = (0.0, 0.0)
        if not amounts.regions or "mouth" in amounts.regions:
            scores = dict(zip(self.basis.measured_names, analysis.scores, strict=True))
            right, left = (
                amounts.replaced * float(scores[f"mouthSmile{side}"]) for side in ("Right", "Left")
            )
            own_smile = (right, left)
        return self.wrinkles.log_ratio(amounts, own_smile)
