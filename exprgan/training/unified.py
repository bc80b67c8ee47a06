"""Training of the unified generator with paired supervision.

The pairs come from the geometry teacher and from synthetic-faces (`exprgan.samples.pairs`); flow, picture, mask
and mouth interior are each compared with what is known. This is our addition to arXiv 2112.04603, whose
losses are unpaired.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.errors import UsageError
from exprgan.models.pixels import signed, signed_channels_last, unsigned
from exprgan.models.registry import build
from exprgan.models.unified import (
    PAINT_WINDOW,
    EditMaps,
    MouthChart,
    UnifiedGenerator,
    WindowEdit,
    apply_maps,
    double,
    shaded_warp,
)
from exprgan.samples.pairs import PairMix, PairSamples
from exprgan.samples.segmented_regions import REGIONS_FOLDER
from exprgan.teacher.cache import TeacherCache
from exprgan.training import losses
from exprgan.training.task import Task, TrainingFiles


@dataclass(frozen=True)
class UnifiedLossWeights:
    """Weights of the paired losses; a term's value at the start of training is in brackets."""

    lambda_flow: float = 0.5  # end-point error in px (2)
    lambda_image: float = 8.0  # absolute difference (0.2)
    lambda_gradient: float = 8.0  # absolute difference of neighbours' differences (0.15)
    lambda_mask: float = 4.0  # cross-entropy (0.1)
    lambda_place: float = 1.0  # error of the place on the mouth's chart in px of the crop (20)
    lambda_paint: float = 6.0  # absolute difference of the paint at the true place inside the mouth (0.4)
    lambda_shade: float = 0.3  # size and roughness of the shading (0.01)


@dataclass(frozen=True)
class UnifiedConfig:
    """Everything a training run of the generator depends on, besides the data."""

    loss: UnifiedLossWeights = field(default_factory=UnifiedLossWeights)
    mix: PairMix = field(default_factory=PairMix)
    architecture: dict[str, Any] = field(default_factory=dict)


class UnifiedTask(Task):
    """Network, samples and losses for `exprgan.training.loop.Trainer`."""

    def __init__(self, samples: PairSamples, config: UnifiedConfig) -> None:
        self.samples, self.config = samples, config

    def build(self) -> nn.Module:
        """A generator with fresh weights.

        Raises:
            UsageError: The architecture has no head for the mouth's interior, which these losses need.
        """
        generator = build("unified", **self.config.architecture)
        if generator.chart is None:
            raise UsageError("Paired training needs a generator with interior_head and flow_head.")
        return generator

    def description(self) -> dict[str, Any]:
        """How to build the generator."""
        return {"architecture": "unified", "arguments": self.config.architecture, "segmenter": "unet"}

    def picture(self, averaged: UnifiedGenerator, batch: dict[str, Tensor]) -> Tensor:
        """Rows of source, result, target, flow length and mask."""
        return sample_grid(averaged, batch)

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number` of `PairSamples`."""
        return self.samples(seed, number)

    def loss(self, model: UnifiedGenerator, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum of the paired losses and its terms."""
        edit = model.edit_window(*network_inputs(batch))
        with torch.autocast(batch["source"].device.type, enabled=False):
            assert model.chart is not None  # see build
            return paired_losses(edit, model.chart, batch, self.config.loss)


def network_inputs(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Arguments of the generator from a batch of `exprgan.samples.pairs.PairSamples`."""
    image = signed_channels_last(batch["seen"])
    return image, batch["regions"].float() / 255, batch["expression"], batch["strength"]


def paired_losses(
    edit: WindowEdit, chart: MouthChart, batch: dict[str, Tensor], weights: UnifiedLossWeights
) -> tuple[Tensor, dict[str, Tensor]]:
    """Losses of an edit with an interior against what is known of a batch of pairs.

    Pictures are compared at half of the resolution, and at the full one where paint may be. The place on the
    chart learns from the true place, the light from the picture at the true place, the mask and all else
    from the edited picture.
    """
    source, target = signed(batch["source"]), signed(batch["target"])
    importance, mouth = batch["importance"].float() / 255, batch["mouth"].float() / 255
    half, mask, interior = edit.half, edit.mask, edit.interior
    assert interior is not None
    flow_px, shade = half[:, :2], half[:, 2:]

    half_importance, half_mouth = losses.downsample(importance, 2), losses.downsample(mouth, 2)
    half_weight = (losses.LEAST_WEIGHT + losses.FACE_WEIGHT * half_importance) * (half_mouth <= 0)
    half_fake = shaded_warp(losses.downsample(source, 2), flow_px / 2, shade)
    half_error = (half_fake - losses.downsample(target, 2)) * half_weight

    top, left, height, width = PAINT_WINDOW
    box = (..., slice(top, top + height), slice(left, left + width))
    half_box = (..., slice(top // 2, (top + height) // 2), slice(left // 2, (left + width) // 2))
    maps, wide = double(half[half_box]), double(interior)
    under = shaded_warp(source, maps[:, :2], maps[:, 2:], (left, top))
    box_mouth, box_target = mouth[box], target[box]
    place, place_known = batch["place_cm"][half_box], batch["place_known"][half_box]
    painted = double(place_known).ge(1).float()
    # where a mouth opens without a known place, in renders of heads, only the mask can learn
    box_weight = losses.LEAST_WEIGHT + losses.FACE_WEIGHT * importance[box] + losses.MOUTH_WEIGHT * box_mouth
    box_weight = box_weight * (painted + (1 - painted) * (1 - box_mouth))
    box_error = (under + mask * (chart(wide).detach() - under) - box_target) * box_weight
    terms = losses.picture_losses((half_error, half_weight.mean()), (box_error, box_weight.mean()))
    terms |= losses.edit_losses(
        flow_px,
        shade,
        batch["flow_px"],
        batch["flow_weight"],
        half_importance,
        losses.Interior(
            mask=mask,
            mouth=box_mouth,
            mask_weight=0.2 + importance[box],
            place_cm=interior[:, :2],
            true_cm=place,
            place_weight=place_known * (0.15 + losses.downsample(box_mouth, 2)),
            paint=chart(torch.cat([double(place), wide[:, 2:]], dim=1)),
            true_paint=box_target,
            paint_weight=painted * box_mouth,
        ),
    )
    factors = losses.paired_factors(weights)
    return torch.stack([factors[name] * value for name, value in terms.items()]).sum(), terms


@torch.no_grad()
def sample_grid(model: UnifiedGenerator, batch: dict[str, Tensor]) -> Tensor:
    """Rows of source, result, target, flow length and mask as one uint8 picture (3, H, W)."""
    model.eval()
    top, left, height, width = PAINT_WINDOW
    edit = model.edit_window(*network_inputs(batch))
    assert edit.interior is not None
    assert model.chart is not None
    full = double(edit.half)
    margins = (left, full.shape[-1] - left - width, top, full.shape[-2] - top - height)
    paint, mask = F.pad(model.chart(double(edit.interior)), margins), F.pad(edit.mask, margins)
    maps = EditMaps(full[:, :2], full[:, 2:], paint, mask)
    source = signed(batch["source"])
    fake = apply_maps(source, maps).clamp(-1, 1)
    length = (maps.flow_px.norm(dim=1, keepdim=True) / 10).clamp(max=1) * 2 - 1
    mask = maps.mask * 2 - 1
    columns = [source, fake, signed(batch["target"]), length.expand_as(fake), mask.expand_as(fake)]
    rows = torch.cat(columns, dim=3)
    picture = torch.cat(list(rows), dim=1)
    return unsigned(picture)


def make_samples(data: Path, teacher: Path | None, cache: Path, mix: PairMix) -> PairSamples:
    """The paired training samples of a data folder that holds open-faces/ and, if possible, synthetic-faces/."""
    faces = OpenFaces(data / "open-faces")
    renders = TeacherCache(faces, teacher, cache)
    of_split = set(faces.indices("train"))
    usable = [face for face in renders.usable() if face in of_split]
    synthetic = data / "synthetic-faces"
    rendered = SyntheticFaces(synthetic) if synthetic.exists() else None
    return PairSamples(renders, usable, rendered, mix, cache / REGIONS_FOLDER)


def make_task(files: TrainingFiles, config: UnifiedConfig) -> UnifiedTask:
    """The task on a folder of data sets."""
    cache = files.cache or files.output / "teacher-cache"
    return UnifiedTask(make_samples(files.folder, files.teacher, cache, config.mix), config)
