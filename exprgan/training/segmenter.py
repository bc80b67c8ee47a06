"""Training of UNet and BiSeNet on rendered faces and photographs with partial labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.errors import UsageError
from exprgan.face_parts import CLASS_NAMES, REGIONS
from exprgan.models.pixels import signed
from exprgan.models.segmenters import SEGMENTERS, BiSeNet, UNet
from exprgan.samples.segmentation import IGNORE, SegmentationSamples, class_sets, random_crop
from exprgan.training.losses import hard_mean
from exprgan.training.task import Task, TrainingFiles

LARGE_CLASSES = ("background", "skin", "hair", "neck")
LEAST_AREA = 0.002
"""Share of the crop below which a region's mask has collapsed: a segmenter that learns with a generator avoids the
generator's loss by finding nothing."""


@dataclass(frozen=True)
class SegmenterConfig:
    """What is trained, and on what mixture."""

    architecture: str = "unet"  # unet or bisenet
    photo_share: float = 0.5  # share of photographs, whose labels are partial, among the samples
    crop_px: int = 160  # side of the crops that the beginning of the training sees, a multiple of 32
    crop_kimg: float = 11.0  # thousand samples that are such crops (in blocks of 512); later ones are whole
    small_weight: float = 2.0  # weight of pixels of the classes that are not in LARGE_CLASSES
    ohem_threshold: float = 1.0  # pixels whose right class is surer than this leave the loss; 1 keeps all
    ohem_min_share: float = 1 / 16  # the hardest pixels that stay in the loss in any case
    lambda_aux: float = 1.0  # weight of each of BiSeNet's auxiliary heads

    def __post_init__(self) -> None:
        if self.architecture not in SEGMENTERS:
            raise UsageError(f"No segmenter {self.architecture!r}; give one of {', '.join(SEGMENTERS)}.")


class PixelLoss(nn.Module):
    """Cross-entropy over hard and partial labels with online hard example mining.

    A partial label stands for a set of classes; its loss is -log of the summed probability. Of all labelled
    pixels only those with a probability below `threshold` count (OHEM as in BiSeNet's training), but never
    fewer than `min_share` of them.
    """

    sets: Tensor
    weights: Tensor

    def __init__(self, threshold: float, min_share: float, small_weight: float = 1.0) -> None:
        super().__init__()
        self.limit = -torch.tensor(threshold).log().item()
        self.min_share = min_share
        self.register_buffer("sets", torch.from_numpy(class_sets()).T.contiguous(), persistent=False)
        weights = torch.tensor([1.0 if name in LARGE_CLASSES else small_weight for name in CLASS_NAMES])
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted mean loss of the hard pixels.

        Args:
            logits: float (N, 19, h, w).
            labels: int64 (N, h, w): classes, partial labels from 19 on, or `IGNORE`.
        """
        num_classes = len(CLASS_NAMES)
        target = labels.reshape(-1)
        labelled = (target != IGNORE).nonzero()[:, 0]
        target = target[labelled]
        flat = logits.permute(0, 2, 3, 1).reshape(-1, num_classes).index_select(0, labelled)
        log_probs = F.log_softmax(flat.float(), dim=1)
        exact = (target < num_classes).nonzero()[:, 0]
        partial = (target >= num_classes).nonzero()[:, 0]
        loss_exact = -log_probs.index_select(0, exact).gather(1, target[exact, None])[:, 0]
        in_sets = log_probs.index_select(0, partial).exp() @ self.sets
        in_set = in_sets.gather(1, target[partial, None] - num_classes)[:, 0]
        losses = torch.cat([loss_exact, -(in_set + 1e-6).log()])
        weights = torch.cat([self.weights[target[exact]], torch.ones_like(in_set)])
        return hard_mean(losses, limit=self.limit, min_share=self.min_share, weights=weights)


class SegmenterTask(Task):
    """The training loop's view of a segmenter: network, samples and loss.

    Args:
        config: Architecture and mixture.
        data: Folder that holds `synthetic-faces` and, unless photo_share is 0, `open-faces`.
    """

    def __init__(self, config: SegmenterConfig, data: Path) -> None:
        self.config = config
        synthetic = SyntheticFaces(data / "synthetic-faces")
        photos = OpenFaces(data / "open-faces") if config.photo_share > 0 else None
        self.samples = SegmentationSamples(synthetic, photos, photo_share=config.photo_share)
        self.pixel_loss = PixelLoss(config.ohem_threshold, config.ohem_min_share, config.small_weight)

    def build(self) -> nn.Module:
        return SEGMENTERS[self.config.architecture]()

    def description(self) -> dict[str, Any]:
        """How to build the network."""
        return {"architecture": self.config.architecture, "arguments": {}}

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        image, labels = self.samples.sample(seed, number)
        # a batch must not hold both sizes: the change falls on a multiple of any usual batch size
        if number < self.config.crop_kimg * 1000 // 512 * 512:
            image, labels = random_crop(image, labels, self.config.crop_px, seed, number)
        return {"image": torch.from_numpy(image), "labels": torch.from_numpy(labels)}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        image = signed(batch["image"].permute(0, 3, 1, 2))
        labels = batch["labels"].long()
        pixel_loss = self.pixel_loss.to(image.device)
        if isinstance(model, UNet):
            loss_seg = pixel_loss(*_one_pixel_a_cell(model.forward_cells(image), labels, model.patch))
            return loss_seg, {"loss_seg": loss_seg}
        if not isinstance(model, BiSeNet):
            raise UsageError(f"No segmenter: {type(model).__name__}.")
        logits, auxiliary = model.forward_with_auxiliary(image)
        loss_seg = pixel_loss(*_at_half_size(logits, labels))
        loss_aux = torch.stack([pixel_loss(aux, _middle(labels, aux)) for aux in auxiliary]).sum()
        return loss_seg + self.config.lambda_aux * loss_aux, {"loss_seg": loss_seg, "loss_aux": loss_aux}


def areas_of(masks: Tensor) -> dict[str, Tensor]:
    """Mean share of the crops that region masks (N, 3, H, W) cover, by area_REGION, for the log."""
    return {f"area_{name}": area for name, area in zip(REGIONS, masks.mean((0, 2, 3)), strict=True)}


def collapsed(means: dict[str, float]) -> str:
    """Which mask has shrunk to nothing, by a log's `areas_of`; empty if none has."""
    for region in REGIONS:
        area = means.get(f"area_{region}", 1.0)
        if area < LEAST_AREA:
            return (
                f"the segmenter's mask of the {region} covers {100 * area:.2f} % of the crops, so it has collapsed "
                "(raise lambda_seg or freeze the segmenter)"
            )
    return ""


def _one_pixel_a_cell(cells: Tensor, labels: Tensor, patch: int) -> tuple[Tensor, Tensor]:
    """Logits (N, 19, h, w) and labels (N, h, w) of one pixel of each cell, which pixel is drawn anew."""
    row, column = torch.randint(patch, (2,)).tolist()
    logits = cells.unflatten(1, (-1, patch**2))[:, :, row * patch + column]
    return logits, labels[:, row::patch, column::patch]


def every_second(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Every second row and column of logits (N, 19, h, w) and labels (N, h, w), from a random start."""
    row, column = torch.randint(2, (2,)).tolist()
    return logits[:, :, row::2, column::2], labels[:, row::2, column::2]


def _at_half_size(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits enlarged to half the labels' size, and every second label from a random start."""
    row, column = torch.randint(2, (2,)).tolist()
    size_hw = (labels.shape[1] // 2, labels.shape[2] // 2)
    enlarged = F.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False)
    return enlarged, labels[:, row::2, column::2]


def _middle(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels in the middle of the cells of a coarser grid."""
    stride = labels.shape[-1] // logits.shape[-1]
    return labels[:, stride // 2 :: stride, stride // 2 :: stride]


def make_task(files: TrainingFiles, config: SegmenterConfig) -> SegmenterTask:
    """The task on a folder of data sets."""
    return SegmenterTask(config, files.folder)
