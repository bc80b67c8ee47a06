"""What a face shows, measured by our own landmark network and the face model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exprgan.action_units import ACTION_UNITS, from_blendshapes
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.model import FaceModel
from exprgan.face_parts import CROP_PX
from exprgan.faces.align import crop_matrix
from exprgan.faces.face import Face


@dataclass(frozen=True)
class Measured:
    """A face's fit, in the frame of the crop that `matrix` (2, 3) cuts from the photo, and its action units.

    action_units: 0 to 1 by name as `exprgan.action_units.ACTION_UNITS`, None where unknown.
    """

    analysis: FaceAnalysis
    matrix: NDArray[np.float64]
    action_units: dict[str, float | None]


def measured(face_model: FaceModel, face: Face) -> Measured:
    """Fit a face and read its action units."""
    matrix = crop_matrix(face.points5_xy, CROP_PX)
    analysis = face_model.analyse_face(face, matrix)
    units = from_blendshapes(analysis.scores[None], face_model.basis.measured_names)[0]
    known = {unit: round(float(value), 3) for unit, value in zip(ACTION_UNITS, units, strict=True)}
    return Measured(
        analysis, matrix, {unit: value if value == value else None for unit, value in known.items()}
    )
