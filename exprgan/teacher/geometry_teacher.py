"""The geometry teacher: one photo in, the same person with another expression out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exprgan.edit.blend import Edit, apply_edit
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.amounts import amounts_of
from exprgan.face_model.basis import eye_openings
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.model import FaceModel
from exprgan.face_model.motion import MAX_FOLDED_SHARE, target_shape
from exprgan.face_model.prior import Prior, folded_share, target_points
from exprgan.face_model.vocabulary import Recipe, class_recipes

MAX_YAW_DEG = 25.0
MAX_PITCH_DEG = 22.0
MAX_EYE_BLINK = 0.5
MIN_EYE_OPENING_CM = 0.45
MAX_JAW_OPEN = 0.5
UNMOVED = np.array([[1.0, 0, 0], [0, 1, 0]])


@dataclass(frozen=True)
class TeacherResult:
    """An aligned crop with another expression: uint8 RGB (256, 256, 3), and the prior that made it."""

    image: NDArray[np.uint8]
    prior: Prior


class GeometryTeacher:
    """Re-poses the expression of photographs by geometry.

    Images are RGB uint8 of any size; landmarks are the landmarker's 478 points (x, y, z) in pixels of
    that image; blendshapes map the landmarker's score names to 0..1. `source` is where `FaceBasis.load`
    finds the basis, None the bundled one; `recipes` are expressions by name, None the eight.
    """

    def __init__(self, source: Path | None = None, recipes: Mapping[str, Recipe] | None = None) -> None:
        self.face_model, self.recipes = FaceModel(source), class_recipes() if recipes is None else recipes
        self.basis = self.face_model.basis

    def analyse(
        self, image: NDArray[np.uint8], landmarks_px: NDArray[np.float64], blendshapes: Mapping[str, float]
    ) -> FaceAnalysis:
        """Pose, expression scores and neutral shape of a photo; once per photo."""
        return self.face_model.analyse(image.shape[:2], landmarks_px, blendshapes)

    def usable(self, analysis: FaceAnalysis) -> tuple[bool, str]:
        """Whether the method can handle the photo, and if not, why. Glasses and occluders are not seen."""
        pitch, yaw, _ = analysis.pose.pitch_yaw_roll()
        scores = dict(zip(self.basis.measured_names, analysis.detected_scores, strict=True))
        if abs(yaw) >= MAX_YAW_DEG:
            return False, f"turned sideways by {yaw:.0f} degrees"
        if abs(pitch) >= MAX_PITCH_DEG:
            return False, f"tilted up or down by {pitch:.0f} degrees"
        if max(scores["eyeBlinkLeft"], scores["eyeBlinkRight"]) >= MAX_EYE_BLINK:
            return False, "an eye is closed"
        if min(eye_openings(analysis.shape_cm)) < MIN_EYE_OPENING_CM:
            return False, "eyes almost closed"
        if scores["jawOpen"] >= MAX_JAW_OPEN:
            return False, "mouth wide open"
        height, width = analysis.image_size
        points = analysis.landmarks_px[:468, :2]
        if (points < 0).any() or (points > (width - 1, height - 1)).any():
            return False, "face cut off by the image border"
        for expression in EXPRESSIONS:
            target = target_points(analysis, self.target_shape(analysis, expression, 1.0))
            share = folded_share(analysis, self.basis, target)
            if share > MAX_FOLDED_SHARE:
                return False, f"{expression} folds {100 * share:.1f} % of the face"
        return True, ""

    def target_shape(self, analysis: FaceAnalysis, expression: str, strength: float) -> NDArray[np.float64]:
        """Canonical shape (468, 3) in cm at a strength; 0 is the photo as it is, 1 the full expression.

        The photo's own expression fades out as the new one grows in, so that "neutral" at 1 is the
        neutral face and every expression starts from the photo.
        """
        return target_shape(self.basis, analysis, amounts_of(self.basis, self.recipes[expression], strength))

    def render(
        self,
        image: NDArray[np.uint8],
        analysis: FaceAnalysis,
        expression: str,
        strength: float = 1.0,
        *,
        wrinkles: bool = True,
    ) -> TeacherResult:
        """An aligned crop (256, 256, 3) with an expression of the recipes at a strength of 0 to about 1.25."""
        amounts = amounts_of(self.basis, self.recipes[expression], strength)
        prior = self.face_model.prior(image, analysis, amounts, folds=wrinkles)
        return TeacherResult(apply_edit(image, Edit.from_prior(prior), UNMOVED), prior)
