"""Training of the generator on the face model's prior, with paired supervision.

The prior of each sample is fitted to our own landmarks, the answer comes from better ones or is a true picture
(`exprgan.samples.prior_pairs`), so what is learned is what the fit gets wrong. Paired supervision is our addition to
arXiv 2112.04603, whose losses are unpaired.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from exprgan.errors import UsageError
from exprgan.models import build
from exprgan.models.corrections import CorrectionGenerator, Corrections, PriorMaps, compose
from exprgan.models.pixels import signed, signed_channels_last, unsigned
from exprgan.models.unified import MouthChart
from exprgan.samples.prior_pairs import PriorMix, PriorPairs, make_samples
from exprgan.training import losses
from exprgan.training.task import Losses, Task, TrainingFiles


@dataclass(frozen=True)
class CorrectionLossWeights:
    """Weights of the losses; a term's value for the prior alone is in brackets."""

    lambda_flow: float = 0.3  # end-point error in px where the true displacement is known (1)
    lambda_image: float = 8.0  # absolute difference (0.1)
    lambda_gradient: float = 8.0  # absolute difference of neighbours' differences (0.1)
    lambda_size: float = 0.05  # size and roughness of the corrections (0)


@dataclass(frozen=True)
class CorrectionConfig:
    """Everything a training run of the generator depends on, besides the data."""

    loss: CorrectionLossWeights = field(default_factory=CorrectionLossWeights)
    mix: PriorMix = field(default_factory=PriorMix)
    architecture: dict[str, Any] = field(default_factory=dict)


class CorrectionTask(Task):
    """Network, samples and losses for `exprgan.training.loop.Trainer`."""

    def __init__(self, samples: PriorPairs, config: CorrectionConfig) -> None:
        self.samples, self.config = samples, config

    def build(self) -> nn.Module:
        """A generator with fresh weights, which corrects nothing."""
        return build("corrections", **self.config.architecture)

    def description(self) -> dict[str, Any]:
        """How to build the generator."""
        return {"architecture": "corrections", "arguments": self.config.architecture, "segmenter": "unet"}

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number` of `PriorPairs`."""
        return self.samples(seed, number)

    def loss(self, model: CorrectionGenerator, batch: dict[str, Tensor]) -> Losses:
        """Sum of the losses, and its terms; "prior_image" is the image term of the prior alone."""
        prior = prior_of(batch)
        change = corrections_of(model, batch, prior)
        with torch.autocast(batch["source"].device.type, enabled=False):
            return paired_losses(change, prior, model.chart, batch, self.config.loss)

    def picture(self, averaged: CorrectionGenerator, batch: dict[str, Tensor]) -> Tensor:
        """Rows of source, prior alone, result, target and the correction's shade."""
        averaged.eval()
        prior = prior_of(batch)
        with torch.no_grad():
            change = corrections_of(averaged, batch, prior)
            source = signed(batch["source"])
            alone = compose(source, prior, _nothing(change), averaged.chart)
            fake = compose(source, prior, change, averaged.chart)
        columns = [source, alone, fake, signed(batch["target"]), change.shade * 3]
        rows = torch.cat([column.clamp(-1, 1) for column in columns], dim=3)
        return unsigned(torch.cat(list(rows), dim=1))


def prior_of(batch: dict[str, Tensor]) -> PriorMaps:
    """The priors of a batch of `PriorPairs`."""
    return PriorMaps(*(batch[f"prior_{name}"].float() for name in PriorMaps._fields))


def corrections_of(model: CorrectionGenerator, batch: dict[str, Tensor], prior: PriorMaps) -> Corrections:
    """The generator's corrections for a batch of `PriorPairs`."""
    image, regions = signed_channels_last(batch["seen"]), batch["regions"].float() / 255
    return model.correct_window(image, regions, prior, batch["coefficients"], batch["extent"])


def paired_losses(
    change: Corrections,
    prior: PriorMaps,
    chart: MouthChart,
    batch: dict[str, Tensor],
    weights: CorrectionLossWeights,
) -> Losses:
    """Losses of corrected edits against the answers of a batch of `PriorPairs`."""
    source, target = signed(batch["source"]), signed(batch["target"])
    importance = batch["importance"].float() / 255
    weight = losses.LEAST_WEIGHT + losses.FACE_WEIGHT * importance
    error = (compose(source, prior, change, chart) - target) * weight
    terms = losses.picture_losses((error, weight.mean()))
    flow = losses.downsample(_whole_flow(prior, change), 2)
    flow_weight = batch["true_flow_weight"].float() * (0.1 + losses.downsample(importance, 2))
    terms["flow"] = losses.flow_loss(flow, batch["true_flow_px"].float(), flow_weight)
    sizes = [change.flow_px.abs().mean() / 4, change.shade.abs().mean(), change.light.abs().mean()]
    rough = [losses.roughness(change.flow_px), losses.roughness(change.shade)]
    terms["size"] = torch.stack([*sizes, *rough]).sum()
    factors = {name: getattr(weights, f"lambda_{name}") for name in ("flow", "image", "gradient", "size")}
    total = torch.stack([factors[name] * terms[name] for name in factors]).sum()
    with torch.no_grad():
        alone = (compose(source, prior, _nothing(change), chart) - target) * weight
        terms["prior_image"] = alone.abs().mean() / weight.mean()
        before = losses.downsample(_whole_flow(prior, _nothing(change)), 2)
        terms["prior_flow"] = losses.flow_loss(before, batch["true_flow_px"].float(), flow_weight)
    return total, terms


def _whole_flow(prior: PriorMaps, change: Corrections) -> Tensor:
    """Displacement (N, 2, H, W) of all that the photo shows, openings included."""
    return prior.flow_px + prior.cut_cover * (prior.cut_flow_px - prior.flow_px) + change.flow_px


def _nothing(change: Corrections) -> Corrections:
    return Corrections(*(torch.zeros_like(part) for part in change))


def make_task(files: TrainingFiles, config: CorrectionConfig) -> CorrectionTask:
    """The task on a folder of data sets and the fits of `exprgan.samples.own_fits`.

    Raises:
        UsageError: The fits are not there.
    """
    fits = (files.cache or files.folder) / "fits.npz"
    if not fits.exists():
        raise UsageError(
            f"{fits} does not exist; make it with `python -m exprgan.samples.own_fits --data {files.folder} "
            f"--output {fits}`."
        )
    return CorrectionTask(make_samples(files.folder, fits, config.mix), config)
