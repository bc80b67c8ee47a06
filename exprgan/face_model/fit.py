"""From landmarks and blendshape scores to pose, expression coefficients and neutral shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model.basis import FaceBasis
from exprgan.face_model.bounded import solve_within

CM_PER_UNIT = 0.108
"""The length all pixel margins of the renderer are stated in; 1.25 pixels in a 320-pixel crop of open-faces."""
HIGHEST_SCORE = 1.2
IDENTITY_LIMIT = 4.0


@dataclass(frozen=True)
class Pose:
    """Similarity from the canonical frame (cm) to the camera: (x, -y, -z) px = scale * rotation @ X + translation.

    scale: px per cm. rotation (3, 3). translation (3,) in px.
    """

    scale: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    @property
    def unit_px(self) -> float:
        """Pixels per `CM_PER_UNIT`, the size of the face in the image."""
        return self.scale * CM_PER_UNIT

    def to_pixels(self, shape: NDArray[np.float64]) -> NDArray[np.float64]:
        """Canonical shape (n, 3) in cm to image points (n, 3) in px, z growing away from the camera."""
        return (self.scale * shape @ self.rotation.T + self.translation) * (1, -1, -1)

    def to_canonical(self, points_px: NDArray[np.float64]) -> NDArray[np.float64]:
        """Image points (n, 3) in px to the canonical frame, cm."""
        return (points_px * (1, -1, -1) - self.translation) @ self.rotation / self.scale

    def pitch_yaw_roll(self) -> tuple[float, float, float]:
        """Head angles in degrees; positive pitch nods down, positive yaw turns to the subject's left."""
        turn = self.rotation
        pitch = np.degrees(np.arctan2(turn[2, 1], turn[2, 2]))
        yaw = np.degrees(np.arcsin(-np.clip(turn[2, 0], -1, 1)))
        roll = np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))
        return float(pitch), float(yaw), float(roll)


@dataclass(frozen=True)
class FaceAnalysis:
    """What the teacher knows of one photo.

    landmarks_px (478, 3); shape_cm, neutral_cm (468, 3) in the canonical frame; scores (51,) fitted
    and detected_scores (51,) as given, in the order of `FaceBasis.measured_names`. residual_cm: root mean square
    distance of the mesh points from the model, in the picture's plane. free (468,): share of its motion that each point
    may make, 0 to 1, where something holds the face still; None: all of it.
    """

    landmarks_px: NDArray[np.float64]
    image_size: tuple[int, int]
    pose: Pose
    shape_cm: NDArray[np.float64]
    neutral_cm: NDArray[np.float64]
    scores: NDArray[np.float64]
    detected_scores: NDArray[np.float64]
    residual_cm: float
    free: NDArray[np.float64] | None = None


def fit_pose(basis: FaceBasis, landmarks_px: NDArray[np.float64]) -> Pose:
    """Weighted Procrustes fit of the canonical mesh to landmarks (468+, 3) in pixels."""
    vertices = basis.arrays["pose_vertices"].astype(int)
    weights = basis.arrays["pose_weights"].astype(float)
    weights = weights / weights.sum()
    source = basis.canonical[vertices]
    target = landmarks_px[vertices] * (1, -1, -1)
    source_mean = weights @ source
    target_mean = weights @ target
    source = source - source_mean
    target = target - target_mean
    left, singular, right = np.linalg.svd((target * weights[:, None]).T @ source)
    handedness = np.diag([1, 1, np.sign(np.linalg.det(left @ right))])
    rotation = left @ handedness @ right
    scale = float(np.trace(np.diag(singular) @ handedness) / (weights[:, None] * source**2).sum())
    return Pose(scale, rotation, target_mean - scale * rotation @ source_mean)


@dataclass(frozen=True)
class Trust:
    """How far off a source's landmarks and scores are, as standard deviations.

    across_cm: of mesh points in the picture's plane. depth_cm: of their depth. score: of blendshape scores.
    """

    across_cm: float
    depth_cm: float
    score: float


MEDIAPIPE = Trust(across_cm=0.04, depth_cm=0.04, score=0.12)
FLAT = Trust(across_cm=0.08, depth_cm=0.8, score=0.2)
"""Of landmarks without depth, whose depth is taken from the model itself."""
FLAT_ROUNDS = 3
OWN_NETWORK = Trust(across_cm=0.08, depth_cm=0.16, score=0.12)


class FaceFitter:
    """Splits a face shape into expression scores and identity by bounded least squares."""

    def __init__(self, basis: FaceBasis, trust: Trust = MEDIAPIPE) -> None:
        self.basis = basis
        score_count = len(basis.measured_names)
        mode_count = len(basis.identity_sd)
        modes = basis.identity_modes.reshape(mode_count, -1) * basis.identity_sd[:, None]
        self._precision = np.tile(1 / np.array([trust.across_cm, trust.across_cm, trust.depth_cm]), 468)
        shapes = np.concatenate([basis.measured.reshape(score_count, -1), modes])
        self._design = shapes.T * self._precision[:, None]
        self._prior_precision = np.r_[np.full(score_count, 1 / trust.score**2), np.ones(mode_count)]
        self._normal = self._design.T @ self._design + np.diag(self._prior_precision)
        lowest = np.r_[np.zeros(score_count), np.full(mode_count, -IDENTITY_LIMIT)]
        highest = np.r_[np.full(score_count, HIGHEST_SCORE), np.full(mode_count, IDENTITY_LIMIT)]
        self._bounds = (lowest, highest)

    def fit_scores(
        self, shape_cm: NDArray[np.float64], detected_scores: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Scores (51,) that explain a shape (468, 3) together with identity modes, near the detected ones.

        Returns:
            The scores, and the model's shape (468, 3) that they and the identity make.
        """
        score_count = len(detected_scores)
        offset = (shape_cm - self.basis.score_zero_shape).ravel() * self._precision
        right_side = self._design.T @ offset
        right_side[:score_count] += detected_scores * self._prior_precision[:score_count]
        solution = solve_within(self._normal, right_side, *self._bounds)
        fitted = (self._design @ solution / self._precision).reshape(468, 3)
        return solution[:score_count], self.basis.score_zero_shape + fitted

    def analyse(
        self, image_size: tuple[int, int], landmarks_px: NDArray[np.float64], blendshapes: Mapping[str, float]
    ) -> FaceAnalysis:
        """Analyse one photo of image_size (height, width) from landmarks (478, 3) and scores by name."""
        points = np.asarray(landmarks_px, float)
        pose = fit_pose(self.basis, points)
        shape = pose.to_canonical(points[:468])
        detected = np.array([float(blendshapes[name]) for name in self.basis.measured_names])
        scores, model = self.fit_scores(shape, detected)
        neutral = self.basis.neutral_shape(shape, scores)
        return FaceAnalysis(
            points, image_size, pose, shape, neutral, scores, detected, _residual_cm(pose, shape, model)
        )

    def analyse_flat(self, image_size: tuple[int, int], landmarks_xy: NDArray[np.floating]) -> FaceAnalysis:
        """Analyse a face from landmarks (478, 2) in px alone; depth and coefficients follow from the model.

        For a fitter with the trust `FLAT`: the model's depth and the fit take turns.
        """
        xy, basis = np.asarray(landmarks_xy, float), self.basis
        model, pose = basis.canonical, _flat_pose(basis.canonical, xy[:468])
        points = np.column_stack([xy, np.zeros(len(xy))])
        for _ in range(FLAT_ROUNDS):
            points[:468, 2] = pose.to_pixels(model)[:, 2]
            pose = fit_pose(basis, points)
            shape = pose.to_canonical(points[:468])
            scores, model = self.fit_scores(shape, basis.neutral_scores)
        points[468:, 2] = points[[33] * 5 + [263] * 5, 2]  # irises as deep as the outer corners of the eyes
        neutral, residual = basis.neutral_shape(shape, scores), _residual_cm(pose, shape, model)
        return FaceAnalysis(points, image_size, pose, shape, neutral, scores, scores, residual)


def _residual_cm(pose: Pose, shape: NDArray[np.float64], model: NDArray[np.float64]) -> float:
    apart = (shape - model) @ pose.rotation.T
    return float(np.sqrt((apart[:, :2] ** 2).sum(axis=1).mean()))


def _flat_pose(shape: NDArray[np.float64], points_xy: NDArray[np.float64]) -> Pose:
    """Pose from points (n, 2) without depth: the scaled rotation nearest to the affine map from a shape (n, 3)."""
    seen = points_xy * (1, -1)
    affine = np.linalg.lstsq(shape - shape.mean(0), seen - seen.mean(0), rcond=None)[0]
    left, sizes, right = np.linalg.svd(affine.T, full_matrices=False)
    rows, scale = left @ right, float(sizes.mean())
    rotation = np.vstack([rows, np.cross(*rows)])
    return Pose(scale, rotation, np.append(seen.mean(0) - scale * rows @ shape.mean(0), 0.0))
