"""Training of the feature network: nobody is named, faces are told apart only as pictures of different faces.

The embedding learns by contrast: two views of one face, mostly with different expressions, under other light and with
other surroundings, shall be nearer to one another than to the batch's other faces (InfoNCE, van den Oord et al. 2018,
https://arxiv.org/abs/1807.03748). The trunk also learns what a face shows: the expression by soft labels, action
units, and the places of landmarks, so that its middle layers know eyes, brows and lips.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.action_units import ACTION_UNITS
from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.expressions import EXPRESSIONS
from exprgan.models.features import FaceReading, FeatureNet
from exprgan.models.pixels import signed_channels_last
from exprgan.samples.views import POINTS, FaceViews, ViewMix
from exprgan.teacher.cache import TeacherCache
from exprgan.training.losses import contrast
from exprgan.training.task import Losses, Task, TrainingFiles


@dataclass(frozen=True)
class FeatureNetConfig:
    """Size of the network."""

    widths: tuple[int, ...] = (16, 32, 64, 128, 160)  # channels at 128, 64, 32, 16 and 8 px
    num_dimensions: int = 128  # of the embedding
    num_expressions: int = len(EXPRESSIONS)
    num_action_units: int = len(ACTION_UNITS)
    num_points: int = len(POINTS)


@dataclass(frozen=True)
class FeatureConfig:
    """Everything a training run of the feature network depends on, besides the data."""

    net: FeatureNetConfig = field(default_factory=FeatureNetConfig)
    mix: ViewMix = field(default_factory=ViewMix)
    temperature: float = 0.1  # of the contrast
    lambda_contrast: float = 0.5
    lambda_expression: float = 1.5
    lambda_units: float = 2.0
    lambda_points: float = 0.3  # of the distance in px


class FeatureTask(Task):
    """Network, samples and losses for `exprgan.training.loop.Trainer`."""

    def __init__(self, views: FaceViews, config: FeatureConfig) -> None:
        self.views, self.config = views, config

    def build(self) -> nn.Module:
        """The network with fresh weights."""
        return FeatureNet(**asdict(self.config.net))

    def description(self) -> dict[str, Any]:
        """How to build the network, and which landmarks it knows."""
        return {
            "architecture": "features",
            "arguments": asdict(self.config.net),
            "points": list(POINTS),
        }

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number` of `FaceViews`."""
        return self.views(seed, number)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Losses:
        """Contrast of the embedding, and the errors of expression, action units and landmarks."""
        config = self.config
        image = signed_channels_last(batch["image"].flatten(0, 1))
        said: FaceReading = model(image)
        first, second = said.embedding.unflatten(0, (-1, 2)).unbind(1)
        loss_contrast, top1 = contrast(first, second, batch["person"], config.temperature)
        target = batch["expression"].flatten(0, 1)
        known = target.sum(dim=1)
        log_share = F.log_softmax(said.expression.float(), dim=1)
        loss_expression = -(target * log_share).sum() / known.sum().clamp(min=1)
        hits = (said.expression.argmax(dim=1) == target.argmax(dim=1)) * (known > 0)
        terms = {
            "contrast": loss_contrast,
            "expression": loss_expression,
            "units": units_loss(said.action_units, batch["action_units"].flatten(0, 1)),
            "points_px": points_error_px(said.points_px, batch["points_px"].flatten(0, 1)),
            "top1": top1,
            "accuracy": hits.sum() / (known > 0).sum().clamp(min=1),
        }
        total = (
            config.lambda_contrast * terms["contrast"]
            + config.lambda_expression * terms["expression"]
            + config.lambda_units * terms["units"]
            + config.lambda_points * terms["points_px"]
        )
        return total, terms


def units_loss(logits: Tensor, intensity: Tensor) -> Tensor:
    """Cross-entropy with intensities (N, A) in [0, 1]; NaN does not count."""
    known = intensity.isfinite()
    pointwise = F.binary_cross_entropy_with_logits(logits.float(), intensity.nan_to_num(), reduction="none")
    return (pointwise * known).sum() / known.sum().clamp(min=1)


def points_error_px(points_px: Tensor, true_px: Tensor) -> Tensor:
    """Mean absolute error of places (N, P, 2); NaN does not count."""
    known = true_px.isfinite()
    return ((points_px - true_px.nan_to_num()).abs() * known).sum() / known.sum().clamp(min=1)


def make_task(files: TrainingFiles, config: FeatureConfig) -> FeatureTask:
    """The task on a folder of data sets."""
    return FeatureTask(make_views(files.folder, files.teacher, _cache(files), "train", config.mix), config)


def make_views(data: Path, teacher: Path | None, cache: Path, split: str, mix: ViewMix) -> FaceViews:
    """The views of a split, train or val, of a folder that holds open-faces/ and, if possible, synthetic-faces/."""
    faces = OpenFaces(data / "open-faces")
    renders = TeacherCache(faces, teacher, cache)
    of_split = set(faces.indices(split))
    usable = [face for face in renders.usable() if face in of_split]
    folder = data / "synthetic-faces"
    rendered = SyntheticFaces(folder) if folder.exists() else None
    people = rendered.identities("train" if split == "train" else "test") if rendered else []
    return FaceViews(renders, usable, rendered, people, mix)


def _cache(files: TrainingFiles) -> Path:
    return files.cache or files.output / "teacher-cache"
