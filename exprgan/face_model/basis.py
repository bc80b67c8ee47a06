"""The expression basis of the face mesh: shapes, identity modes, lip closing.

Frame: MediaPipe's canonical face mesh, x to the subject's left, y up, z towards the camera, in
canonical centimetres (pupil to pupil about 6.2). A shape is an array (468, 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model import raster
from exprgan.faces import mesh
from exprgan.weights import find

ARCHIVE = "geometry_basis.npz"
"""The arrays and names in one file, as they were made."""
GAZE_PREFIX = "eyeLook"
LIP_OPENERS = (
    "jawOpen",
    "mouthLowerDown_L",
    "mouthLowerDown_R",
    "mouthUpperUp_L",
    "mouthUpperUp_R",
)
SNEER_HOLD_CM = (1.5, 1.3)
"""How far, sideways and vertically, the hold on the mouth corners reaches in `noseSneer`."""


def lip_gap(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """Opening (9,) in cm between the inner lips of a shape, at nine places from right to left."""
    return shape[mesh.UPPER_INNER_LIP, 1] - shape[mesh.LOWER_INNER_LIP, 1]


def eye_openings(shape: NDArray[np.float64]) -> tuple[float, float]:
    """Distance in cm between the middles of upper and lower lid, right and left eye of a shape (468, 3)."""
    return float(shape[159, 1] - shape[145, 1]), float(shape[386, 1] - shape[374, 1])


class FaceBasis:
    """The arrays of the face model and what follows from them directly.

    Args:
        arrays: By name, as weights/face_model.md lists them.
        sculpted_names: Names (57,) of the sculpted shapes, `mouthSmile_L`.
        measured_names: Names (51,) of the measured shapes, `mouthSmileLeft`.
    """

    def __init__(
        self, arrays: Mapping[str, NDArray[Any]], sculpted_names: Sequence[str], measured_names: Sequence[str]
    ) -> None:
        self.arrays = arrays
        self.sculpted_names, self.measured_names = list(sculpted_names), list(measured_names)
        self.canonical = arrays["canonical"].astype(float)
        self.triangles = arrays["triangles"].astype(int)
        self.sculpted = arrays["sculpted_shapes"].astype(float)
        self.measured = arrays["measured_shapes"].astype(float)
        self.score_zero_shape = arrays["score_zero_shape"].astype(float)
        self.identity_modes = arrays["identity_modes"].astype(float)
        self.identity_sd = arrays["identity_sd"].astype(float)
        self.neutral_scores = arrays["neutral_scores"].astype(float)
        self.closed_lip_gap = arrays["closed_lip_gap"].astype(float)
        self.removable = np.array([not name.startswith(GAZE_PREFIX) for name in self.measured_names])
        self._hold_mouth_corners_in_sneer()
        openers = [self.sculpted[self.sculpted_names.index(name)] for name in LIP_OPENERS]
        self._opener_shapes = np.array(openers)
        self._opener_gaps = np.array([lip_gap(shape) for shape in openers]).T
        self._lip_falloff = self._build_lip_falloff()

        in_mouth = raster.triangles_within(self.triangles, mesh.INNER_LIPS)
        in_eye = raster.triangles_within(self.triangles, mesh.RIGHT_EYE)
        in_eye |= raster.triangles_within(self.triangles, mesh.LEFT_EYE)
        self.mouth_triangles = self.triangles[in_mouth]
        self.eye_triangles = self.triangles[in_eye]
        self.skin_triangles = self.triangles[~(in_mouth | in_eye)]

    @classmethod
    def load(cls, source: Path | None = None) -> FaceBasis:
        """The basis of a folder of weights, or of one that holds `geometry_basis.npz`.

        Args:
            source: The folder; None finds the weights as `find_weights_dir` does.

        Raises:
            WeightsError: The weights are missing, damaged or not the recorded ones.
        """
        if source is not None and (source / ARCHIVE).exists():
            with np.load(source / ARCHIVE) as stored:
                names = (stored[name].tolist() for name in ("sculpted_names", "measured_names"))
                return cls({name: stored[name] for name in stored.files}, *names)
        files = find("face_model", source)
        return cls(files.arrays(), **files.config["arguments"])

    def neutral_shape(
        self, shape: NDArray[np.float64], scores: NDArray[np.float64], *, shut_lips: bool = True
    ) -> NDArray[np.float64]:
        """The photo's shape (468, 3) with its expression removed; gaze stays, lips touch.

        `scores` (51,) are fitted measured coefficients. Not all of a score is removed: a true
        neutral face has the scores `neutral_scores`.
        """
        excess = (scores - self.neutral_scores) * self.removable
        neutral = shape - np.tensordot(excess, self.measured, 1)
        if shut_lips and np.abs(lip_gap(neutral) - self.closed_lip_gap).max() > 0.03:
            neutral = self.close_lips(neutral)
        return neutral

    def close_lips(
        self, shape: NDArray[np.float64], damping: float = 0.02, open_by: NDArray[np.float64] | float = 0.0
    ) -> NDArray[np.float64]:
        """Bring the lips of a shape to the opening of closed mouths: jaw and lip shapes first, then locally.

        open_by (9,) in cm leaves them further apart than closed lips are.
        """
        goal = self.closed_lip_gap + open_by
        missing = goal - lip_gap(shape)
        gaps = self._opener_gaps
        normal = gaps.T @ gaps + damping * np.eye(gaps.shape[1])
        change = np.linalg.solve(normal, gaps.T @ missing)
        closed = shape + np.tensordot(change, self._opener_shapes, 1)
        upper_share = 0.35
        upper_falloff, lower_falloff = self._lip_falloff
        for _ in range(3):
            excess = lip_gap(closed) - goal
            closed[:, 1] -= upper_share * excess @ upper_falloff
            closed[:, 1] += (1 - upper_share) * excess @ lower_falloff
        return closed

    def _hold_mouth_corners_in_sneer(self) -> None:
        """Keep `noseSneer` off the mouth corners, which the sculpted shape lifts by 0.63 cm and people do not."""
        reach_x, reach_y = SNEER_HOLD_CM
        keep = np.ones(468)
        for corner in (mesh.RIGHT_MOUTH_CORNER, mesh.LEFT_MOUTH_CORNER):
            offset = self.canonical - self.canonical[corner]
            keep *= 1 - np.exp(-((offset[:, 0] / reach_x) ** 2) - (offset[:, 1] / reach_y) ** 2)
        for name in ("noseSneer_L", "noseSneer_R"):
            self.sculpted[self.sculpted_names.index(name)] *= keep[:, None]

    def _build_lip_falloff(self) -> NDArray[np.float64]:
        """Weights (2, 9, 468): how far the motion of each upper and lower inner-lip point spreads."""
        rest = self.canonical
        falloff = np.zeros((2, 9, 468))
        for which, (lip, upward) in enumerate(((mesh.UPPER_INNER_LIP, 1), (mesh.LOWER_INNER_LIP, -1))):
            for place, vertex in enumerate(lip):
                sideways = rest[:, 0] - rest[vertex, 0]
                away = (rest[:, 1] - rest[vertex, 1]) * upward
                weight = np.exp(-((sideways / 0.55) ** 2) - (away / 1.2) ** 2)
                falloff[which, place] = weight * (away > -0.25)
        falloff[0][:, mesh.LOWER_LIP] = 0
        falloff[1][:, mesh.UPPER_LIP] = 0
        falloff[0][:, rest[:, 1] < rest[14, 1] - 0.1] = 0
        falloff[1][:, rest[:, 1] > rest[13, 1] + 0.1] = 0
        return falloff / np.maximum(1, falloff.sum(axis=1, keepdims=True))
