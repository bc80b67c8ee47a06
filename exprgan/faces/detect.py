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
from exprgan.faces.proposals import COARSE_PASSES, grid_squares, merge, propose, whole_picture_squares
from exprgan.faces.proposer import Proposer, distinct_squares

DETECTORS = ("builtin", "retinaface")


class FaceDetector(Protocol):
    """Anything that finds faces."""

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """The faces of a photo, uint8 RGB (H, W, 3), the largest first."""


@dataclass(frozen=True)
class DetectorConfig:
    """Thresholds of the built-in detector."""

    first_score: float = 0.15  # below it at a look but the last a proposal is dropped
    min_score: float = 0.6  # below it at the last look it is no face
    num_looks: int = 3  # passes of the landmark network
    max_proposals: int = 40  # looked at in one photo
    min_face_px: float = 20.0  # smaller faces are not reported
    same_face_share: float = 0.45  # faces closer than this share of the larger one's square are one face


class BuiltinDetector:
    """A proposer says where faces may be, the landmark network places and judges them.

    Where that finds none, OpenCV's cascades and a grid of squares are tried.

    Args:
        proposer: Proposes places.
        landmarker: The landmark network.
        config: Thresholds.
    """

    def __init__(
        self, proposer: Proposer, landmarker: Landmarker, config: DetectorConfig | None = None
    ) -> None:
        self.proposer, self.landmarker, self.config = proposer, landmarker, config or DetectorConfig()

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """The faces of a photo, uint8 RGB (H, W, 3), the largest first."""
        height, width = image.shape[:2]
        faces = self._judge(
            image, np.concatenate([self.proposer.propose(image)[:, :4], whole_picture_squares(width, height)])
        )
        if not faces:
            faces = self._judge(image, merge(propose(image, COARSE_PASSES)))
        return faces or self._judge(image, grid_squares(width, height))

    def _judge(self, image: NDArray[np.uint8], squares: NDArray[np.float64]) -> list[Face]:
        """The faces among the proposals (N, 4), which are sorted, the likeliest first."""
        config = self.config
        squares = distinct_squares(squares, limit=config.max_proposals)
        looks = self.landmarker.look(image, squares)
        looks = looks[looks.scores >= config.first_score]
        looks = looks[np.argsort(-looks.scores)]
        again = np.array([face_square(points) for points in looks.landmarks_xy]).reshape(-1, 4)
        looks = self.landmarker.refine(
            image,
            distinct_squares(again, limit=config.max_proposals),
            num_looks=config.num_looks - 1,
            min_score=config.first_score,
        )
        return distinct_faces(faces_of(looks[looks.scores >= config.min_score]), config)


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


def distinct_faces(faces: list[Face], config: DetectorConfig) -> list[Face]:
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
        name: "builtin" (our own networks, works offline) or "retinaface" (facexlib's
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
        return BuiltinDetector(Proposer(load_model("face_proposer", weights_dir, device), device), landmarker)
    from exprgan.faces.retinaface import RetinaFaceDetector, load_network

    return RetinaFaceDetector(load_network(weights_dir, device), landmarker, device)
