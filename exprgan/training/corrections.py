"""Training of the generator on the face model's prior: paired where there is truth, by discriminators elsewhere.

Paired: the prior of each sample is fitted to our own landmarks, the answer comes from better ones or is a true picture
(`exprgan.samples.prior_pairs`), so what is learned is what the fit gets wrong; an addition to arXiv 2112.04603, whose
losses are unpaired. Adversarial: global and local discriminators hold edits against photographs of like expressions.
What they teach is light, folds and the mouth's inside; where things move is the face model's to say, so their gradients
do not reach the displacement.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from exprgan.errors import UsageError
from exprgan.models.corrections import (
    CorrectionGenerator,
    Corrections,
    CorrectionsEndToEnd,
    PriorMaps,
    compose,
    nothing_of,
)
from exprgan.models.critics import FaceCritics
from exprgan.models.pixels import signed, signed_channels_last, unsigned
from exprgan.models.registry import build, full_arguments
from exprgan.models.segmenters import MASKS, region_masks
from exprgan.models.unified import MouthChart
from exprgan.samples.prior_pairs import PriorMix, PriorPairs, make_samples
from exprgan.training import losses
from exprgan.training.segmenter import PixelLoss, SegmenterConfig, areas_of, collapsed, every_second
from exprgan.training.task import Losses, Task, TrainingFiles, Turn
from exprgan.weights import find

ANCHOR_DECAY = 0.99
"""Of the moving averages of LeCam's regularisation, a step."""
SEGMENTER_TRAINING = ("none", "frozen", "joint")
REALS = 16
"""A photograph to hold an edit against is drawn from so many of the likest expressions."""


@dataclass(frozen=True)
class CorrectionLossWeights:
    """Weights of the losses; a term's value for the prior alone is in brackets."""

    lambda_flow: float = 0.3  # end-point error in px where the true displacement is known (1)
    lambda_image: float = 8.0  # absolute difference (0.1)
    lambda_gradient: float = 8.0  # absolute difference of neighbours' differences (0.1)
    lambda_size: float = 0.05  # size and roughness of the corrections (0)
    lambda_adv: float = 0.0  # of the sum over discriminators; 0 goes without them
    lambda_matching: float = 0.0  # of the discriminators' features, to true pictures where there are
    lambda_lecam: float = 0.1
    lambda_seg: float = 0.5  # of the segmenter's own loss where it learns too (0.2)


@dataclass(frozen=True)
class CorrectionConfig:
    """Everything a training run of the generator depends on, besides the data."""

    loss: CorrectionLossWeights = field(default_factory=CorrectionLossWeights)
    mix: PriorMix = field(default_factory=PriorMix)
    adversarial: str = "hinge"  # wgan-gp has no penalty here
    local_critics: bool = True
    critic_lr_share: float = 1.0  # of the generator's learning rate
    local_branches: bool = True  # of the generator
    masks: str = "soft"  # form of the region masks: soft, hard or box
    segmenter: str = "unet"  # whose masks condition the generator in an edit
    segmenter_training: str = (
        "none"  # masks from landmarks; frozen or joint: the segmenter's, which learns if joint
    )
    segmenter_lr_share: float = 0.1  # of the generator's learning rate
    global_widths: tuple[int, ...] = (32, 128, 128, 128)  # of the generator, see there
    local_widths: tuple[int, ...] = (32, 64)

    def __post_init__(self) -> None:
        if self.masks not in MASKS:
            raise UsageError(f"masks is {self.masks!r}; choose from {', '.join(MASKS)}.")
        if self.segmenter_training not in SEGMENTER_TRAINING:
            known = ", ".join(SEGMENTER_TRAINING)
            raise UsageError(f"segmenter_training is {self.segmenter_training!r}; choose from {known}.")

    @property
    def arguments(self) -> dict[str, Any]:
        """Of the generator."""
        local = self.local_widths if self.local_branches else ()
        return {"global_widths": self.global_widths, "local_widths": local, "masks": self.masks}

    @property
    def description(self) -> dict[str, Any]:
        """How to build what is kept: the generator, with a segmenter if that takes part."""
        if self.segmenter_training == "none":
            return {"architecture": "corrections", "arguments": self.arguments, "segmenter": self.segmenter}
        arguments = {
            "segmenter": self.segmenter,
            "segmenter_arguments": full_arguments(self.segmenter),
            "generator": full_arguments("corrections", **self.arguments),
        }
        return {"architecture": "corrections_end_to_end", "arguments": arguments}


Generator = CorrectionGenerator | CorrectionsEndToEnd


class CorrectionSystem(nn.Module):
    """The generator, with a segmenter if that takes part, and its discriminators."""

    def __init__(self, config: CorrectionConfig) -> None:
        super().__init__()
        made = build(config.description["architecture"], **config.description["arguments"])
        assert isinstance(made, Generator)
        self.generator = made
        self.critics = FaceCritics(local=config.local_critics) if config.loss.lambda_adv else None


class CorrectionTask(Task):
    """Networks, samples and losses for `exprgan.training.loop.Trainer`.

    A run with a segmenter may start from weights of a generator alone.

    Args:
        samples: What is learned from.
        config: Networks and losses.
        segmenter: Weights that the segmenter starts from; None starts it afresh.
    """

    def __init__(
        self, samples: PriorPairs, config: CorrectionConfig, segmenter: dict[str, Tensor] | None = None
    ) -> None:
        self.samples, self.config, self.segmenter = samples, config, segmenter
        self.pixel_loss = PixelLoss(1.0, 1.0, SegmenterConfig.small_weight)
        if config.segmenter_training != "none":
            self.may_stay_fresh = ("segmenter.",)
        self.d_adv, self.g_adv = losses.ADVERSARIAL[config.adversarial]

    def build(self) -> nn.Module:
        """A generator with fresh weights, which corrects nothing, and the discriminators if there are any."""
        system = CorrectionSystem(self.config)
        if self.segmenter is not None and isinstance(system.generator, CorrectionsEndToEnd):
            system.generator.segmenter.load_state_dict(self.segmenter)
        return system

    def as_start(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a generator alone under the names that they have beside a segmenter."""
        if self.config.segmenter_training == "none" or any(name.startswith("generator.") for name in state):
            return state
        return {f"generator.{name}": value for name, value in state.items()}

    def averaged(self, model: CorrectionSystem) -> nn.Module:
        """The generator."""
        return model.generator

    def description(self) -> dict[str, Any]:
        """How to build the generator."""
        return self.config.description

    def alarm(self, means: dict[str, float]) -> str:
        """A region's mask that has shrunk to nothing."""
        return collapsed(means)

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number` of `PriorPairs`."""
        return self.samples(seed, number)

    def sample_settings(self) -> str:
        """The mixture alone: losses and networks do not change samples."""
        return repr(self.config.mix)

    def turns(self, model: CorrectionSystem) -> list[Turn]:
        """The discriminators' turn, if there are any, and the generator's."""
        groups: list[dict[str, Any]] = [{"params": list(_alone(model.generator).parameters())}]
        if self.config.segmenter_training == "joint":
            segmenter = list(_end_to_end(model.generator).segmenter.parameters())
            groups.append({"params": segmenter, "lr_share": self.config.segmenter_lr_share})
        generator = Turn("G", groups, lambda batch: self.g_loss(model, batch))
        if model.critics is None:
            return [generator]
        groups = [{"params": list(model.critics.parameters()), "lr_share": self.config.critic_lr_share}]
        return [Turn("D", groups, lambda batch: self.d_loss(model, batch)), generator]

    def d_loss(self, model: CorrectionSystem, batch: dict[str, Tensor]) -> Losses:
        """L_D summed over the discriminators, with LeCam's regularisation; the generator only looks on."""
        critics, rows = model.critics, batch["compared"] > 0
        assert critics is not None
        source = signed(batch["source"])
        if not bool(rows.any()):
            return torch.stack([parameter.sum() for parameter in critics.parameters()]).sum() * 0, {}
        with torch.no_grad():
            prior = prior_of(batch)
            change = corrections_of(model.generator, batch, prior)
        with torch.autocast(source.device.type, enabled=False):
            with torch.no_grad():
                fake = compose(source, prior, change, model.generator.chart)[rows]
            return self._told_apart(critics, fake, batch, rows)

    def _told_apart(
        self, critics: FaceCritics, fake: Tensor, batch: dict[str, Tensor], rows: Tensor
    ) -> Losses:
        real, faces = (
            signed(batch["real"])[rows],
            (_face(batch["importance"]), _face(batch["real_importance"])),
        )
        on_fake, on_real = critics(fake, faces[0][rows]), critics(real, faces[1][rows])
        loss, terms = fake.new_zeros(()), {}
        for place, name in enumerate(on_real):
            said_real, said_fake = on_real[name][0].float(), on_fake[name][0].float()
            terms[f"D_{name}"] = self.d_adv(said_real, said_fake)
            regularised = losses.lecam(said_real, said_fake, critics.anchors[place])
            loss = loss + terms[f"D_{name}"] + self.config.loss.lambda_lecam * regularised
            with torch.no_grad():
                means = torch.stack([said_real.mean(), said_fake.mean()])
                critics.anchors[place] = torch.lerp(means, critics.anchors[place], ANCHOR_DECAY)
                terms[f"gap_{name}"] = means[0] - means[1]
        return loss, terms

    def g_loss(self, model: CorrectionSystem, batch: dict[str, Tensor]) -> Losses:
        """Sum of the losses, and its terms; "prior_image" is the image term of the prior alone."""
        generator, prior, weights = model.generator, prior_of(batch), self.config.loss
        logits = logits_of(generator, batch)
        change = corrections_of(generator, batch, prior, logits)
        with torch.autocast(batch["source"].device.type, enabled=False):
            loss, terms = paired_losses(change, prior, generator.chart, batch, weights)
            if logits is not None:
                terms |= areas_of(region_masks(logits.detach()))
            if logits is not None and self.config.segmenter_training == "joint":
                terms["S"] = self.pixel_loss.to(logits.device)(*every_second(logits, batch["labels"].long()))
                loss = loss + weights.lambda_seg * terms["S"]
            if model.critics is None:
                return loss, terms
            source, face = signed(batch["source"]), _face(batch["importance"])
            fake = compose(source, prior, change.without_motion(), generator.chart)
            said = model.critics(fake, face)
            rows = batch["compared"] > 0
            answered = rows & (batch["answered"] > 0)
            if bool(rows.any()):
                each = [self.g_adv(realness[rows].float()) for realness, _ in said.values()]
                terms["G_adv"] = torch.stack(each).mean()
                loss = loss + weights.lambda_adv * terms["G_adv"]
            if weights.lambda_matching and bool(answered.any()):
                with torch.no_grad():
                    wanted = model.critics(signed(batch["target"])[answered], face[answered])
                pairs = [
                    (ours[answered], theirs)
                    for name in said
                    for ours, theirs in zip(said[name][1], wanted[name][1], strict=True)
                ]
                terms["matching"] = torch.stack([losses.l1(ours, theirs) for ours, theirs in pairs]).mean()
                loss = loss + weights.lambda_matching * terms["matching"]
        terms["deepening"] = change.deepening.detach().mean()
        return loss, terms

    def picture(self, averaged: Generator, batch: dict[str, Tensor]) -> Tensor:
        """Rows of source, prior alone, result, target and the correction's shade."""
        averaged.eval()
        prior = prior_of(batch)
        with torch.no_grad():
            change = corrections_of(averaged, batch, prior)
            source = signed(batch["source"])
            alone = compose(source, prior, nothing_of(source), averaged.chart)
            fake = compose(source, prior, change, averaged.chart)
        columns = [source, alone, fake, signed(batch["target"]), change.shade * 3]
        columns.append(change.deepening.expand_as(source))
        rows = torch.cat([column.clamp(-1, 1) for column in columns], dim=3)
        return unsigned(torch.cat(list(rows), dim=1))


def _face(importance: Tensor) -> Tensor:
    """Soft mask (N, 1, H, W) float32 of the face out of importance uint8."""
    return torch.nn.functional.avg_pool2d((importance > 0).float(), 9, 1, 4)


def prior_of(batch: dict[str, Tensor]) -> PriorMaps:
    """The priors of a batch of `PriorPairs`."""
    return PriorMaps(*(batch[f"prior_{name}"].float() for name in PriorMaps._fields))


def corrections_of(
    model: Generator, batch: dict[str, Tensor], prior: PriorMaps, logits: Tensor | None = None
) -> Corrections:
    """The generator's corrections for a batch of `PriorPairs`, with the segmenter's logits if they are at hand."""
    image = signed_channels_last(batch["seen"])
    asked = batch["coefficients"], batch["extent"]
    if isinstance(model, CorrectionsEndToEnd):
        found = logits_of(model, batch) if logits is None else logits
        assert found is not None
        return model.correct_window(image, found, prior, *asked)
    return model.correct_window(image, batch["regions"].float() / 255, prior, *asked)


def logits_of(model: Generator, batch: dict[str, Tensor]) -> Tensor | None:
    """Logits (N, 19, H, W) of the segmenter, if one takes part."""
    if not isinstance(model, CorrectionsEndToEnd):
        return None
    found: Tensor = model.segmenter(signed_channels_last(batch["seen"]))
    return found


def _alone(generator: Generator) -> CorrectionGenerator:
    return generator.generator if isinstance(generator, CorrectionsEndToEnd) else generator


def _end_to_end(generator: Generator) -> CorrectionsEndToEnd:
    assert isinstance(generator, CorrectionsEndToEnd)
    return generator


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
    answered = batch["answered"][:, None, None, None]
    weight = (losses.LEAST_WEIGHT + losses.FACE_WEIGHT * importance) * answered
    foreign = prior.cover * (1 - batch["compared"][:, None, None, None])  # a render's teeth teach no light
    weight = weight * (1 - foreign)
    share = weight.mean().clamp(min=1e-6)
    error = (compose(source, prior, change, chart) - target) * weight
    terms = losses.picture_losses((error, share))
    flow = losses.downsample(_whole_flow(prior, change), 2)
    flow_weight = batch["true_flow_weight"].float() * (0.1 + losses.downsample(importance, 2))
    terms["flow"] = losses.flow_loss(flow, batch["true_flow_px"].float(), flow_weight)
    sizes = [part.abs().mean() for part in (change.flow_px / 4, *change[1:3], change.deepening / 4)]
    rough = [losses.roughness(part) for part in (change.flow_px, change.shade, change.deepening / 4)]
    terms["size"] = torch.stack([*sizes, *rough]).sum()
    factors = {name: getattr(weights, f"lambda_{name}") for name in ("flow", "image", "gradient", "size")}
    total = torch.stack([factors[name] * terms[name] for name in factors]).sum()
    with torch.no_grad():
        alone = (compose(source, prior, nothing_of(source), chart) - target) * weight
        terms["prior_image"] = alone.abs().mean() / share
        before = losses.downsample(_whole_flow(prior, nothing_of(source)), 2)
        terms["prior_flow"] = losses.flow_loss(before, batch["true_flow_px"].float(), flow_weight)
    return total, terms


def _whole_flow(prior: PriorMaps, change: Corrections) -> Tensor:
    """Displacement (N, 2, H, W) of all that the photo shows, openings included."""
    return prior.flow_px + prior.cut_cover * (prior.cut_flow_px - prior.flow_px) + change.flow_px


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
    if config.loss.lambda_adv and not config.mix.reals:
        config = replace(config, mix=replace(config.mix, reals=REALS))
    segmenter = None
    if config.segmenter_training != "none":
        segmenter = find(config.segmenter, files.weights).state()
    return CorrectionTask(make_samples(files.folder, fits, config.mix), config, segmenter)
