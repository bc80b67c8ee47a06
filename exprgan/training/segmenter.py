"""Training of UNet and BiSeNet on rendered faces and photographs with partial labels.

Run as `python -m exprgan.training.segmenter --architecture unet --data DIR --output runs/unet`, where DIR
holds the folders synthetic-faces and open-faces.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.data.segmentation import IGNORE, OpenFaces, SegmentationSamples, SyntheticFaces, class_sets
from exprgan.errors import UsageError
from exprgan.models.segmenters import CLASS_NAMES, BiSeNet, UNet
from exprgan.training.loop import LoopConfig, Trainer

ARCHITECTURES: dict[str, type[nn.Module]] = {"unet": UNet, "bisenet": BiSeNet}


@dataclass(frozen=True)
class SegmenterConfig:
    """What is trained, and on what mixture."""

    architecture: str = "unet"  # unet or bisenet
    photo_share: float = 0.5  # share of photographs, whose labels are partial, among the samples
    ohem_threshold: float = 0.7  # pixels whose right class is surer than this leave the loss
    ohem_min_share: float = 1 / 16  # the hardest pixels that stay in the loss in any case
    pixel_stride: int = 2  # the loss of a step sees one of stride x stride pixels, at a random phase
    lambda_aux: float = 1.0  # weight of each of BiSeNet's auxiliary heads

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise UsageError(f"No segmenter {self.architecture!r}; give one of {', '.join(ARCHITECTURES)}.")


class PixelLoss(nn.Module):
    """Cross-entropy over hard and partial labels with online hard example mining.

    A partial label stands for a set of classes; its loss is -log of the summed probability. Of all labelled
    pixels only those with a probability below `threshold` count (OHEM as in BiSeNet's training), but never
    fewer than `min_share` of them.
    """

    sets: Tensor

    def __init__(self, threshold: float, min_share: float, pixel_stride: int = 1) -> None:
        super().__init__()
        self.pixel_stride = pixel_stride
        self.limit = -torch.tensor(threshold).log().item()
        self.min_share = min_share
        self.register_buffer("sets", torch.from_numpy(class_sets()).T.contiguous(), persistent=False)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of the hard pixels.

        Args:
            logits: float (N, 19, h, w).
            labels: int64 (N, H, W): classes, partial labels from 19 on, or `IGNORE`. Where the logits'
                grid is coarser, the pixel in the middle of each cell is taken.
        """
        stride = labels.shape[-1] // logits.shape[-1]
        if stride > 1:
            labels = labels[:, stride // 2 :: stride, stride // 2 :: stride]
        elif self.pixel_stride > 1:
            stride = self.pixel_stride
            top, left = torch.randint(stride, (2,)).tolist()
            labels, logits = labels[:, top::stride, left::stride], logits[..., top::stride, left::stride]
        labelled = labels != IGNORE
        log_probs = F.log_softmax(logits.permute(0, 2, 3, 1)[labelled].float(), dim=1)
        target = labels[labelled]
        is_hard = target < len(CLASS_NAMES)
        exact = -log_probs[is_hard].gather(1, target[is_hard][:, None])[:, 0]
        members = log_probs[~is_hard].exp() @ self.sets
        chosen = members.gather(1, (target[~is_hard] - len(CLASS_NAMES))[:, None])[:, 0]
        losses = torch.cat([exact, -(chosen + 1e-6).log()])
        least = max(1, int(self.min_share * losses.numel()))
        hard = losses > self.limit
        if int(hard.sum()) < least:
            return losses.topk(min(least, losses.numel())).values.mean()
        return losses[hard].mean()


class SegmenterTask:
    """The training loop's view of a segmenter: network, samples and loss.

    Args:
        config: Architecture and mixture.
        data: Folder that holds `synthetic-faces` and, unless photo_share is 0, `open-faces`.
    """

    def __init__(self, config: SegmenterConfig, data: Path) -> None:
        self.config = config
        synthetic = SyntheticFaces(data / "synthetic-faces", "train")
        photos = OpenFaces(data / "open-faces", "train") if config.photo_share > 0 else None
        self.samples = SegmentationSamples(synthetic, photos, photo_share=config.photo_share)
        self.pixel_loss = PixelLoss(config.ohem_threshold, config.ohem_min_share, config.pixel_stride)

    def build(self) -> nn.Module:
        return ARCHITECTURES[self.config.architecture]()

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        image, labels = self.samples.sample(seed, number)
        return {"image": torch.from_numpy(image), "labels": torch.from_numpy(labels)}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        image = batch["image"].permute(0, 3, 1, 2).float() / 127.5 - 1
        labels = batch["labels"].long()
        pixel_loss = self.pixel_loss.to(image.device)
        if not isinstance(model, BiSeNet):
            loss_seg = pixel_loss(model(image), labels)
            return loss_seg, {"loss_seg": loss_seg}
        logits, auxiliary = model.forward_with_auxiliary(image)
        loss_seg = pixel_loss(logits, labels)
        loss_aux = torch.stack([pixel_loss(aux, labels) for aux in auxiliary]).sum()
        return loss_seg + self.config.lambda_aux * loss_aux, {"loss_seg": loss_seg, "loss_aux": loss_aux}


def main() -> None:
    """Train one segmenter from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", choices=sorted(ARCHITECTURES), default="unet")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--kimg", type=float, default=14.0, help="thousand samples")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    loop = LoopConfig(
        duration_kimg=options.kimg,
        batch_size=8,
        learning_rate=2e-3,
        warmup_kimg=0.5,
        ema_kimg=0.4,
        max_minutes=options.minutes,
        device=options.device,
        threads=options.threads,
    )
    task = SegmenterTask(SegmenterConfig(architecture=options.architecture), options.data)
    Trainer(task, loop, options.output).run()


if __name__ == "__main__":
    main()
