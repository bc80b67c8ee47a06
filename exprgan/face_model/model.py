"""The face model in one piece: from landmarks to what geometry knows of an edit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import motion
from exprgan.face_model.amounts import Amounts, extent_of
from exprgan.face_model.basis import FaceBasis
from exprgan.face_model.fit import FLAT, MEDIAPIPE, FaceAnalysis, FaceFitter, Trust
from exprgan.face_model.folds import WrinkleModel
from exprgan.face_model.prior import Prior, PriorMaker
from exprgan.face_model.regions import Regions
from exprgan.face_model.skin import Skin, creased_share, folds_on, taken_away
from exprgan.face_model.teeth import Teeth
from exprgan.face_parts import CROP_PX
from exprgan.faces.align import transform_points
from exprgan.faces.face import Face
from exprgan.faces.mesh import BLENDSHAPES

LEAST_SMILE = 0.02
"""Score of a photo's own smile below which it has no folds to take away."""


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
        self.skin = Skin(self.basis, self.wrinkles.chart_px, self.wrinkles.size, self.wrinkles.mask)
        self.regions = Regions(self.basis, self.wrinkles.chart_px, self.wrinkles.size)

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

    def analyse_face(
        self, face: Face, matrix: NDArray[np.floating], size_hw: tuple[int, int] = (CROP_PX, CROP_PX)
    ) -> FaceAnalysis:
        """The same of a detected face, in the frame that a similarity (2, 3) from the photo leads to.

        A face without depth and coefficients is fitted by its landmarks in the plane alone.
        """
        xy = transform_points(face.landmarks_xy, matrix)
        if face.depth_px is None or face.blendshapes is None:
            return self._flat_fitter.analyse_flat(size_hw, xy)
        scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
        landmarks_px = np.column_stack([xy, face.depth_px * scale])
        return self.analyse(size_hw, landmarks_px, dict(zip(BLENDSHAPES, face.blendshapes, strict=True)))

    @cached_property
    def _flat_fitter(self) -> FaceFitter:
        return FaceFitter(self.basis, FLAT)

    def prior(
        self,
        image: NDArray[np.uint8],
        analysis: FaceAnalysis,
        amounts: Amounts,
        *,
        folds: bool = True,
        teeth: Teeth | None = None,
    ) -> Prior:
        """What geometry knows of an edit of a picture, sRGB uint8 (height, width, 3), whose face is analysed.

        teeth are shown where the mouth opens, the first drawn ones by default.
        """
        target = self.target_shape(analysis, amounts)
        log_ratio = self._log_ratio(image, analysis, amounts) if folds else None
        return self.priors.make(
            image,
            analysis,
            target,
            log_ratio,
            gaze_px=motion.gaze_px(analysis, amounts),
            lip_inset=min(1.0, 2 * extent_of(amounts)),
            teeth=teeth,
        )

    def possible_share(self, analysis: FaceAnalysis, amounts: Amounts) -> float:
        """How much of the amounts a face can show before its skin turns over, 0 to 1."""
        return motion.without_folds(self.basis, analysis, self.target_shape(analysis, amounts))

    def target_shape(self, analysis: FaceAnalysis, amounts: Amounts) -> NDArray[np.float64]:
        """Canonical shape (468, 3) in cm of a face with an expression, moved as far as `share` lets it."""
        target, share = motion.target_shape(self.basis, analysis, amounts), self.share(analysis, amounts)
        held = motion.brows_held(analysis.shape_cm, target, self.regions.share(("brows",)))
        target[:, 1] = analysis.shape_cm[:, 1] + held * (target[:, 1] - analysis.shape_cm[:, 1])
        if share is None:
            return target
        return analysis.shape_cm + share[:, None] * (target - analysis.shape_cm)

    def share(self, analysis: FaceAnalysis, amounts: Amounts) -> NDArray[np.float64] | None:
        """Share (468,) of its motion that each point makes, in the amounts' regions and where the face is free to.

        None stands for all of it.
        """
        if not amounts.regions:
            return analysis.free
        share = self.regions.share(amounts.regions)
        return share if analysis.free is None else share * analysis.free

    def _log_ratio(
        self, image: NDArray[np.uint8], analysis: FaceAnalysis, amounts: Amounts
    ) -> NDArray[np.float32]:
        """Folds on the texture chart; those of the face's own smile go as far as its expression is replaced."""
        points = analysis.landmarks_px
        creased = creased_share(image, points)
        shading = self.wrinkles.shading(amounts, creased)
        ratio = folds_on(self.skin.creases(image, points), self.wrinkles.log_ratio(amounts), shading)
        if amounts.replaced and (not amounts.regions or "mouth" in amounts.regions):
            scores = dict(zip(self.basis.measured_names, analysis.scores, strict=True))
            own = [amounts.replaced * float(scores[f"mouthSmile{side}"]) for side in ("Right", "Left")]
            if max(own) > LEAST_SMILE:
                ratio += taken_away(self.skin.shadows(image, points), self.wrinkles.smile_light(own, creased))
        share = self.share(analysis, amounts)
        return ratio if share is None else ratio * self.regions.on_chart(share)
