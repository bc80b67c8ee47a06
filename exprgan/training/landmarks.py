"""Training of the landmark network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from exprgan.faces import mesh
from exprgan.models.landmark_net import LandmarkNet
from exprgan.samples.landmarks import JitterConfig, read_pictures, sample_crop
from exprgan.samples.picture import Picture
from exprgan.training.task import Task, TrainingFiles

PUPILS_SHARE = 0.31
"""Distance of the eyes' centres in shares of a frontal face's square; makes losses shares of that distance."""


LEAST_SPREAD = 0.03
"""Least deviation by which errors of a coefficient are divided, so that rare ones count, but not endlessly."""


@dataclass(frozen=True)
class NetConfig:
    """Size of the network."""

    crop_px: int = 128  # side of the crops
    stem_channels: int = 32  # at half size
    widths: tuple[int, ...] = (32, 96, 192)  # at a quarter, an eighth and a sixteenth of the size
    num_blocks: tuple[int, ...] = (1, 1, 2)  # residual blocks at these sizes
    num_hidden: int = 128  # width of the global feature
    num_anchors: int = 96  # mesh points located by heat maps; the rest follows from them
    depth: bool = True  # also the points' depth
    num_blendshapes: int = len(mesh.BLENDSHAPES)  # also the expression; 0 for none


@dataclass(frozen=True)
class LandmarkTrainingConfig:
    """What the landmark network is trained with."""

    net: NetConfig = field(default_factory=NetConfig)
    jitter: JitterConfig = field(default_factory=JitterConfig)
    lambda_anchors: float = 0.5  # weight of the anchor points' own error
    lambda_turn: float = 0.15  # weight of pitch and yaw
    lambda_score: float = 0.1  # weight of face or not
    lambda_depth: float = 0.3  # weight of the depths' error
    lambda_blendshapes: float = 0.1  # weight of the coefficients' error
    detail_weight: float = 2.0  # weight of eyes, brows and lips against the rest of the mesh


def spread_points(count: int) -> list[int]:
    """Mesh points to anchor the mesh by: the features first, then every few points of the rest."""
    features = [*mesh.FIVE_POINTS, *mesh.RIGHT_EYE[::2], *mesh.LEFT_EYE[::2], *mesh.RIGHT_BROW[::2]]
    features += [*mesh.LEFT_BROW[::2], *mesh.OUTER_LIPS[::2], *mesh.INNER_LIPS[::2], *mesh.FACE_OVAL[::2]]
    rest = np.random.default_rng(0).permutation(mesh.NUM_POINTS).tolist()
    return list(dict.fromkeys([*features, *rest]))[:count]


def linear_completion(
    shapes: NDArray[np.float32], anchors: Sequence[int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Ridge regression of all points on the anchors: weight (2 P, 2 K) and bias (2 P,).

    Args:
        shapes: (N, P, 2) example meshes.
        anchors: K point numbers.
    """
    target = shapes.reshape(len(shapes), -1).astype(np.float64)
    source = shapes[:, list(anchors)].reshape(len(shapes), -1).astype(np.float64)
    mean_target, mean_source = target.mean(0), source.mean(0)
    centred = source - mean_source
    # the ridge stands for anchors located with an error of about 3 % of the crop
    normal = centred.T @ centred + len(shapes) * 0.03**2 * np.eye(source.shape[1])
    weight = np.linalg.solve(normal, centred.T @ (target - mean_target)).T
    return weight.astype(np.float32), (mean_target - weight @ mean_source).astype(np.float32)


class LandmarkTask(Task):
    """The landmark network, its crops and its loss, for `training.loop.Trainer`.

    It may start from weights of a network without depth and expression.

    Args:
        pictures: Pictures to learn from.
        config: Network, jitter and loss weights.
    """

    may_stay_fresh = ("depth.", "expression.", "around_anchors.")

    def __init__(
        self,
        pictures: Sequence[Picture],
        config: LandmarkTrainingConfig | None = None,
    ) -> None:
        self.pictures, self.config = pictures, config or LandmarkTrainingConfig()
        weights = torch.ones(mesh.NUM_POINTS)
        detail = (*mesh.RIGHT_EYE, *mesh.LEFT_EYE, *mesh.RIGHT_BROW, *mesh.LEFT_BROW)
        weights[[*detail, *mesh.OUTER_LIPS, *mesh.INNER_LIPS, *mesh.IRISES]] = self.config.detail_weight
        self.point_weights = weights / weights.mean()
        self.anchors = spread_points(self.config.net.num_anchors)
        known = [np.nan_to_num(each.blendshapes) for each in pictures if each.blendshapes is not None]
        spread = np.std(known, axis=0) if known else np.ones(len(mesh.BLENDSHAPES))
        self.spread = torch.tensor(np.maximum(spread, LEAST_SPREAD), dtype=torch.float32)

    def build(self) -> nn.Module:
        """The network; its last layer begins as the regression of the mesh on the anchors."""
        net = LandmarkNet(**asdict(self.config.net))
        plain = JitterConfig(**{**asdict(self.config.jitter), "negative_share": 0.0})
        shapes = np.stack(
            [
                sample_crop(self.pictures, np.random.default_rng((0, n)), 32, plain)["points"]
                for n in range(1500)
            ]
        )
        weight, bias = linear_completion(shapes, self.anchors)
        net.start_completion(torch.tensor(weight), torch.tensor(bias))
        return net

    def description(self) -> dict[str, Any]:
        """How to build the network."""
        return {"architecture": "landmark_net", "arguments": asdict(self.config.net)}

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Crop `number` of the stream of a seed."""
        rng = np.random.default_rng((seed, number))
        return sample_crop(self.pictures, rng, self.config.net.crop_px, self.config.jitter)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean point error in shares of the eyes' distance, smooth below 1 %, beside turn and score."""
        crops = batch["crop"].contiguous(memory_format=torch.channels_last)
        points, turn, score_logit, anchors, depth, blendshapes = model(crops)
        is_face = batch["is_face"]
        num_faces = is_face.sum().clamp(min=1)
        unit = 2 * PUPILS_SHARE * batch["face_share"]
        distance = torch.linalg.vector_norm(points - batch["points"], dim=2) / unit[:, None]
        smooth = (distance.square() + 0.01**2).sqrt()
        per_face = (smooth * self.point_weights.to(smooth.device)).mean(1)
        anchor_distance = (anchors - batch["points"][:, self.anchors]).norm(dim=2) / unit[:, None]
        per_face = per_face + self.config.lambda_anchors * anchor_distance.mean(1)
        loss_points = (per_face * is_face).sum() / num_faces
        loss_turn = ((turn - batch["turn"]).abs().mean(1) * is_face).sum() / num_faces
        loss_score = F.binary_cross_entropy_with_logits(score_logit, is_face)
        loss = loss_points + self.config.lambda_turn * loss_turn + self.config.lambda_score * loss_score
        error = ((distance.detach().mean(1) * is_face).sum() / num_faces) * 100
        terms = {"error_percent": error, "turn_degrees": loss_turn * 30, "score": loss_score}
        if depth is not None:
            known = torch.isfinite(batch["depth"])
            away = (depth - batch["depth"].nan_to_num()).abs() / unit[:, None]
            terms["depth"] = _mean_where(known, away)
            loss = loss + self.config.lambda_depth * terms["depth"]
        if blendshapes is not None:
            known = torch.isfinite(batch["blendshapes"])
            off = (blendshapes - batch["blendshapes"].nan_to_num()) / self.spread.to(blendshapes.device)
            terms["blendshapes"] = _mean_where(known, (1 + off.square()).sqrt() - 1)
            loss = loss + self.config.lambda_blendshapes * terms["blendshapes"]
        return loss, terms


def _mean_where(known: Tensor, values: Tensor) -> Tensor:
    """Mean of the values that are known, 0 where none is."""
    return (values * known).sum() / known.sum().clamp(min=1)


def make_task(files: TrainingFiles, config: LandmarkTrainingConfig) -> LandmarkTask:
    """The task on a folder of data sets."""
    return LandmarkTask(read_pictures(files.folder, "train", files.synthetic_labels), config)
