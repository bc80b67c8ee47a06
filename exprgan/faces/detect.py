"""Faces in a photo: one protocol, the built-in detector, and the way to the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from exprgan.errors import UsageError
from exprgan.faces.face import Face
from exprgan.faces.landmarks import Landmarker, Looks
from exprgan.faces.mesh import face_square, five_points, roll_degrees
from exprgan.faces.proposals import (
    COARSE_PASSES,
    FINE_PASSES,
    grid_squares,
    merge,
    propose,
    whole_picture_squares,
)

DETECTORS = ("builtin", "retinaface")


class FaceDetector(Protocol):
    """Anything that finds faces."""

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """The faces of a photo, uint8 RGB (H, W, 3), the largest first."""


@dataclass(frozen=True)
class DetectorConfig:
    """Thresholds of the built-in detector."""

    first_score: float = 0.15  # below it at the first look a proposal is dropped
    min_score: float = 0.6  # below it at the last look it is no face
    num_looks: int = 3  # passes of the landmark network
    min_face_px: float = 20.0  # smaller faces are not reported
    large_share: float = 0.3  # a face of this share of the shorter side makes the fine search superfluous
    same_face_share: float = 0.45  # faces closer than this share of the larger one's square are one face


class BuiltinDetector:
    """OpenCV's cascades propose, the landmark network disposes.

    Args:
        landmarker: The landmark network.
        config: Thresholds.
    """

    def __init__(self, landmarker: Landmarker, config: DetectorConfig | None = None) -> None:
        self.landmarker, self.config = landmarker, config or DetectorConfig()

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """The faces of a photo, uint8 RGB (H, W, 3), the largest first."""
        height, width = image.shape[:2]
        whole = whole_picture_squares(width, height)
        faces = self._judge(image, np.concatenate([propose(image, COARSE_PASSES), whole]))
        if max((face.size_px for face in faces), default=0.0) < self.config.large_share * min(height, width):
            faces = _distinct(faces + self._judge(image, propose(image, FINE_PASSES)), self.config)
        if not faces:
            faces = self._judge(image, grid_squares(width, height))
        return faces

    def _judge(self, image: NDArray[np.uint8], squares: NDArray[np.float64]) -> list[Face]:
        """The faces among the proposals."""
        config = self.config
        looks = self.landmarker.look(image, merge(squares))
        looks = looks[looks.scores >= config.first_score]
        again = np.array([face_square(points) for points in looks.landmarks_xy]).reshape(-1, 4)
        looks = self.landmarker.refine(
            image, merge(again), num_looks=config.num_looks - 1, min_score=config.first_score
        )
        return _distinct(faces_of(looks[looks.scores >= config.min_score]), config)


def faces_of(looks: Looks) -> list[Face]:
    """A record for each look."""
    faces = []
    for points, (pitch, yaw), score in zip(looks.landmarks_xy, looks.turn, looks.scores, strict=True):
        landmarks_xy = points.astype(np.float32)
        faces.append(
            Face(
                box_xyxy=np.concatenate([landmarks_xy.min(0), landmarks_xy.max(0)]),
                score=float(score),
                points5_xy=five_points(landmarks_xy),
                landmarks_xy=landmarks_xy,
                pose=(float(pitch), float(yaw), roll_degrees(landmarks_xy)),
            )
        )
    return faces


def _distinct(faces: list[Face], config: DetectorConfig) -> list[Face]:
    """The faces, the largest first, without small ones and without all but the surest of each place."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        x, y, side, _ = face_square(face.landmarks_xy)
        near = False
        for other in kept:
            x2, y2, side2, _ = face_square(other.landmarks_xy)
            near = near or np.hypot(x - x2, y - y2) < config.same_face_share * max(side, side2)
        if not near and face.size_px >= config.min_face_px:
            kept.append(face)
    return sorted(kept, key=lambda face: -face.size_px)


def load_detector(
    name: str = "builtin", *, device: str = "cpu", weights_dir: Path | str | None = None
) -> FaceDetector:
    """A detector by name.

    Args:
        name: "builtin" (cascades and our landmark network, works offline) or "retinaface" (facexlib's
            network before our landmark network; its weights must be on disk or downloadable).
        device: Where the networks run.
        weights_dir: Folder of exprgan's weights; None finds it as `weights.find_weights_dir` does. The
            weights of retinaface are looked up there, too.

    Raises:
        UsageError: There is no detector of that name.
        WeightsError: Weights are missing or damaged.
    """
    from exprgan.weights import load_model

    if name not in DETECTORS:
        raise UsageError(f"There is no detector {name!r}; choose from {', '.join(DETECTORS)}.")
    landmarker = Landmarker(load_model("landmarks", weights_dir, device), device)
    if name == "builtin":
        return BuiltinDetector(landmarker)
    from exprgan.faces.retinaface import RetinaFaceDetector, load_network

    return RetinaFaceDetector(load_network(weights_dir, device), landmarker, device)
