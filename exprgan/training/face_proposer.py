"""Training of the face proposer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.models.face_proposer import FaceProposer
from exprgan.samples.landmarks import read_pictures
from exprgan.samples.mosaics import sample_mosaic
from exprgan.samples.picture import Picture
from exprgan.training.task import Task, TrainingFiles


@dataclass(frozen=True)
class ProposerTrainingConfig:
    """What the face proposer is trained with."""

    picture_px: int = 192  # side of the training pictures
    lambda_box: float = 1.0  # weight of centre and size against the heat map


class ProposerTask(Task):
    """The face proposer, its pictures and its loss, for `training.loop.Trainer`."""

    def __init__(self, pictures: Sequence[Picture], config: ProposerTrainingConfig | None = None) -> None:
        self.pictures, self.config = pictures, config or ProposerTrainingConfig()

    def build(self) -> nn.Module:
        """The network with fresh weights."""
        return FaceProposer()

    def description(self) -> dict[str, Any]:
        """How to build the network."""
        return {"architecture": "face_proposer", "arguments": {}}

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Picture `number` of the stream of a seed."""
        return sample_mosaic(self.pictures, np.random.default_rng((seed, number)), self.config.picture_px)

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Focal loss of the heat map (Objects as Points, eq. 1) and L1 of centre and size."""
        logit, offset, log_side = model(batch["picture"])
        heat, weight = batch["heat"], batch["weight"]
        num_faces = (heat == 1).sum().clamp(min=1)
        missing = (-logit).sigmoid() ** 2 * F.softplus(-logit) * (heat == 1)
        false = (1 - heat) ** 4 * logit.sigmoid() ** 2 * F.softplus(logit) * batch["counted"] * (heat < 1)
        loss_heat = (missing + false).sum() / num_faces
        off_centre = (offset - batch["target"][:, :2]).abs().sum(1)
        off_size = (log_side - batch["target"][:, 2]).abs()
        loss_box = ((0.3 * off_centre + off_size) * weight).sum() / num_faces
        loss = loss_heat + self.config.lambda_box * loss_box
        size_percent = 100 * (off_size * weight).sum() / num_faces
        return loss, {"heat": loss_heat, "box": loss_box, "size_percent": size_percent}


def make_task(files: TrainingFiles, config: ProposerTrainingConfig) -> ProposerTask:
    """The task on a folder of data sets."""
    return ProposerTask(read_pictures(files.folder, "train", files.synthetic_labels), config)
