"""Adversarial training of StarGAN, SARGAN, US-GAN and of the unified system in the paper's form.

Losses of StarGAN (Choi et al., CVPR 2018), which SARGAN's and US-GAN's public code keep but for lambda_rec (1 for 10):

    L_D = -E D(x) + E D(G(x, y)) + lambda_gp GP + lambda_cls CE(D_cls(x), y_org)
    L_G = -E D(G(x, y)) + lambda_cls CE(D_cls(G(x, y)), y) + lambda_rec |x - G(G(x, y), y_org)|_1

In the code x is x_real, y is y_trg, G(x, y) is x_fake and G(G(x, y), y_org) is x_rec, as in StarGAN's and StarGAN v2's.

The hierarchical system (arXiv 2112.04603, a reconstruction) has them for the whole picture and, weighted by w_r, for
each region M_r * x too, and the segmentation loss L_S of a labelled batch while the segmenter learns with it. Target
expressions are drawn by sample, evenly, where the public code permutes the batch's labels: what a sample is does not
depend on its batch. Ours, all 0 by default: paired, perceptual and identity losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.data.face_set import open_sets
from exprgan.data.open_faces import OpenFaces
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_parts import REGIONS
from exprgan.models.hierarchical import HierarchicalGenerator
from exprgan.models.pixels import signed_channels_last, unsigned
from exprgan.models.registry import build, full_arguments
from exprgan.models.stargan import LABEL_MAPS, PatchDiscriminator
from exprgan.models.unified import UnifiedEndToEnd
from exprgan.samples.labelled import LabelledMix, LabelledSamples, SetSource, Source, TeacherSource
from exprgan.teacher.cache import TeacherCache
from exprgan.training import losses
from exprgan.training.segmenter import SegmenterConfig, SegmenterTask, areas_of, collapsed
from exprgan.training.task import Losses, Task, TrainingFiles, Turn
from exprgan.weights import find

SEGMENTER_TRAINING = ("frozen", "joint")
Segmenting = (HierarchicalGenerator, UnifiedEndToEnd)
"""Generators that hold a segmenter."""


@dataclass(frozen=True)
class RegionConfig:
    """What the hierarchical system has beside the others; no meaning for these."""

    segmenter: str = "unet"  # unet or bisenet; starts from the weights of that name
    segmenter_training: str = (
        "joint"  # joint: the GAN losses and lambda_seg L_S train it; frozen: nothing does
    )
    segmenter_lr_share: float = 0.1  # of the generators' learning rate
    local_width: int = 32  # channels of the local generators; 0 leaves local networks out
    fusion: str = "composite"  # composite or conv
    masks: str = "soft"  # soft, hard or box
    dilation_px: int = 6
    attention: bool = False  # GANimation's, in every generator
    flow_head: bool = True  # of unified_end_to_end; false starts afresh, without displacement and shading
    local_weight: float = 1 / 3  # w_r, of each region's adversarial and classification loss
    lambda_seg: float = 1.0


@dataclass(frozen=True)
class AdversarialConfig:
    """Networks and losses; the defaults are StarGAN's."""

    architecture: str = "stargan"  # stargan, sargan, usgan, hierarchical or unified_end_to_end
    width: int = 64  # channels of the (global) generator at full resolution
    num_blocks: int = 6  # residual blocks of StarGAN's generator and of the hierarchical system's global one
    block_attention: bool = True  # SARGAN's spatial attention; without it, it is US-GAN
    skip: bool = True  # SARGAN's and US-GAN's ultimate skip
    label_map: str = "tiled"  # tiled or window; see exprgan.models.stargan.with_expression
    critic_width: int = 64  # channels of the discriminator's first layer
    critic_layers: int = 6  # its strided convolutions
    he_init: bool = False  # whether discriminators start from He's weights; ours
    adversarial: str = "wgan-gp"  # wgan-gp, hinge or lsgan
    n_critic: int = 5  # discriminator steps a generator step
    lambda_adv: float = 1.0
    lambda_cls: float = 1.0
    lambda_rec: float = 10.0
    lambda_gp: float = 10.0  # wgan-gp's penalty; with the others 0 leaves it out
    lambda_paired: float = 0.0  # L1 to the true answer where the data know it, mostly where it changes; ours
    lambda_perceptual: float = 0.0  # of our feature network, to the true answer where the data know it; ours
    lambda_identity: float = 0.0  # of our feature network, to the input; ours
    mix: LabelledMix = field(default_factory=LabelledMix)
    region: RegionConfig = field(default_factory=RegionConfig)

    @property
    def has_critics(self) -> bool:
        """Whether there are discriminators at all."""
        return bool(self.lambda_adv or self.lambda_cls)

    def __post_init__(self) -> None:
        if self.adversarial not in losses.ADVERSARIAL:
            known = ", ".join(losses.ADVERSARIAL)
            raise UsageError(f"There is no adversarial loss {self.adversarial!r}; choose from {known}.")
        if self.label_map not in LABEL_MAPS:
            raise UsageError(f"There is no label_map {self.label_map!r}; choose tiled or window.")
        if self.region.segmenter_training not in SEGMENTER_TRAINING:
            raise UsageError(
                f"segmenter_training is {self.region.segmenter_training!r}; choose frozen or joint."
            )


class AdversarialSystem(nn.Module):
    """A generator and its discriminators, global and, in the hierarchical system, one a region."""

    def __init__(self, config: AdversarialConfig) -> None:
        super().__init__()
        self.generator = build(config.architecture, **generator_arguments(config))
        width, num_layers = config.critic_width, config.critic_layers
        sizes: dict[str, Any] = {
            "num_classes": len(EXPRESSIONS),
            "image_size": config.mix.image_size,
            "he_init": config.he_init,
        }
        self.critics = nn.ModuleDict(
            {"global": PatchDiscriminator(**sizes, width=width, num_layers=num_layers)}
        )
        if isinstance(self.generator, Segmenting) and config.region.local_width:
            sizes |= {"width": max(1, width // 2), "num_layers": num_layers - 1}
            self.critics.update({region: PatchDiscriminator(**sizes) for region in REGIONS})
        self.is_segmenter_frozen = config.region.segmenter_training == "frozen"

    def train(self, mode: bool = True) -> AdversarialSystem:
        """A frozen segmenter stays in eval mode."""
        super().train(mode)
        if self.is_segmenter_frozen and isinstance(self.generator, Segmenting):
            self.generator.segmenter.eval()
        return self


def generator_arguments(config: AdversarialConfig) -> dict[str, Any]:
    """Arguments of the generator's builder."""
    region = config.region
    segmenter = {"segmenter": region.segmenter, "segmenter_arguments": full_arguments(region.segmenter)}
    if config.architecture == "unified_end_to_end":
        return {**segmenter, "generator": full_arguments("unified", flow_head=region.flow_head)}
    arguments: dict[str, Any] = {
        "num_classes": len(EXPRESSIONS),
        "width": config.width,
        "label_map": config.label_map,
    }
    if config.architecture in ("stargan", "hierarchical"):
        arguments["num_blocks"] = config.num_blocks
    else:
        arguments["skip"] = config.skip
    if config.architecture == "sargan":
        arguments["attention"] = config.block_attention
    if config.architecture == "hierarchical":
        names = ("local_width", "fusion", "masks", "dilation_px", "attention")
        arguments |= segmenter | {name: getattr(region, name) for name in names}
    return arguments


class AdversarialTask(Task):
    """Networks, samples and losses for `exprgan.training.loop.Trainer`.

    Args:
        samples: Faces with expressions.
        config: Networks and losses.
        initial: Tensors that parts of the generator start from, by the part's name; the others are fresh.
        segmentation: Labelled samples and loss for its joint training; None goes without L_S.
        features: Our feature network, for perceptual and identity losses: (embedding, feature maps) of images.
    """

    def __init__(
        self,
        samples: LabelledSamples,
        config: AdversarialConfig,
        *,
        initial: Mapping[str, dict[str, Tensor]] | None = None,
        segmentation: SegmenterTask | None = None,
        features: nn.Module | None = None,
    ) -> None:
        self.samples, self.config = samples, config
        self.initial, self.segmentation, self.features = initial or {}, segmentation, features
        self.d_adv, self.g_adv = losses.ADVERSARIAL[config.adversarial]

    def build(self) -> nn.Module:
        """Generator and discriminators with fresh weights, but for the parts that start from stored ones."""
        system = AdversarialSystem(self.config)
        for name, tensors in self.initial.items():
            system.generator.get_submodule(name).load_state_dict(tensors)
        return system

    def averaged(self, model: AdversarialSystem) -> nn.Module:
        """The generator."""
        return model.generator

    def description(self) -> dict[str, Any]:
        """How to build the generator, and the size of its pictures."""
        return {
            "architecture": self.config.architecture,
            "arguments": generator_arguments(self.config),
            "image_size": self.config.mix.image_size,
        }

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number` of `LabelledSamples`, with one of the segmenter's beside it where it learns too."""
        sample = self.samples(seed, number)
        if self.segmentation is not None:
            labelled = self.segmentation.sample(seed, number)
            sample |= {f"segmentation_{name}": value for name, value in labelled.items()}
        return sample

    def turns(self, model: AdversarialSystem) -> list[Turn]:
        """The discriminators' turn, and in every n_critic-th step the generators'; without D's losses, those alone."""
        groups, n_critic = self._generator_groups(model.generator), self.config.n_critic
        if not self.config.has_critics:
            return [Turn("G", groups, lambda batch: self.g_loss(model, batch))]
        return [
            Turn("D", model.critics.parameters(), lambda batch: self.d_loss(model, batch)),
            Turn("G", groups, lambda batch: self.g_loss(model, batch), every=n_critic),
        ]

    def _generator_groups(self, generator: nn.Module) -> list[dict[str, Any]]:
        if not isinstance(generator, Segmenting):
            return [{"params": list(generator.parameters())}]
        own = list(generator.segmenter.parameters())
        ids = {id(weight) for weight in own}
        rest = [weight for weight in generator.parameters() if id(weight) not in ids]
        groups: list[dict[str, Any]] = [{"params": rest}]
        if self.config.region.segmenter_training == "joint":
            groups.append({"params": own, "lr_share": self.config.region.segmenter_lr_share})
        return groups

    def d_loss(self, model: AdversarialSystem, batch: dict[str, Tensor]) -> Losses:
        """L_D, summed over the whole picture and the regions; the generator and the masks only look on."""
        config = self.config
        x_real, y_org, y_trg = signed_channels_last(batch["image"]), batch["expression"], batch["target"]
        with torch.no_grad():
            x_fake, _, shown = generate(model.generator, x_real, y_trg)
        loss = x_real.new_zeros(())
        terms: dict[str, Tensor] = {}
        for name, discriminator in model.critics.items():
            seen_real, seen_fake = view(name, x_real, shown), view(name, x_fake, shown)
            out_src, out_cls = discriminator(torch.cat([seen_real, seen_fake]))
            loss_adv = self.d_adv(*out_src.float().chunk(2))
            loss_cls = losses.classification(out_cls.chunk(2)[0], y_org)
            loss = loss + config.lambda_adv * loss_adv + config.lambda_cls * loss_cls
            if config.lambda_gp:
                loss_gp = losses.gradient_penalty(
                    _source(discriminator), seen_real, seen_fake, batch["alpha"]
                )
                loss = loss + config.lambda_gp * loss_gp
                terms[f"D_gp{_suffix(name)}"] = loss_gp
            terms |= {f"D_adv{_suffix(name)}": loss_adv, f"D_cls{_suffix(name)}": loss_cls}
        return loss, terms

    def g_loss(self, model: AdversarialSystem, batch: dict[str, Tensor]) -> Losses:
        """L_G and, where the segmenter learns, lambda_seg L_S; through the masks L_G reaches the segmenter."""
        config, generator = self.config, model.generator
        x_real, y_org, y_trg = signed_channels_last(batch["image"]), batch["expression"], batch["target"]
        x_fake, masks, shown = generate(generator, x_real, y_trg)
        loss = x_real.new_zeros(())
        terms: dict[str, Tensor] = {}
        for name, discriminator in model.critics.items() if config.has_critics else ():
            out_src, out_cls = discriminator(view(name, x_fake, shown))
            loss_adv = self.g_adv(out_src.float())
            loss_cls = losses.classification(out_cls, y_trg)
            weight = 1.0 if name == "global" else config.region.local_weight
            loss = loss + weight * (config.lambda_adv * loss_adv + config.lambda_cls * loss_cls)
            terms |= {f"G_adv{_suffix(name)}": loss_adv, f"G_cls{_suffix(name)}": loss_cls}
        if config.lambda_rec:
            x_rec, *_ = generate(generator, x_fake, y_org)
            terms["G_rec"] = losses.l1(x_rec.float(), x_real)
            loss = loss + config.lambda_rec * terms["G_rec"]
        loss = loss + self._own_losses(x_fake, x_real, batch, terms)
        if masks is not None:
            terms |= areas_of(masks)
        if self.segmentation is not None and isinstance(generator, Segmenting):
            labelled = {
                name.removeprefix("segmentation_"): value
                for name, value in batch.items()
                if name.startswith("segmentation_")
            }
            terms["S"], _ = self.segmentation.loss(generator.segmenter, labelled)
            loss = loss + config.region.lambda_seg * terms["S"]
        return loss, terms

    def _own_losses(
        self, x_fake: Tensor, x_real: Tensor, batch: dict[str, Tensor], terms: dict[str, Tensor]
    ) -> Tensor:
        """Paired, perceptual and identity losses, which no paper has; adds their terms."""
        config, loss = self.config, x_fake.new_zeros(())
        if config.lambda_paired:
            known = batch["known"][:, None, None, None].expand(-1, 1, *x_fake.shape[-2:])
            x_trg = signed_channels_last(batch["answer"])
            error = (x_fake.float() - x_trg).abs()
            terms["G_paired"] = losses.weighted_mean(error, known)
            terms["G_changed"] = losses.weighted_mean(error, known * change_weight(x_real, x_trg))
            loss = loss + config.lambda_paired * terms["G_changed"]
        if self.features is not None:
            features: Any = self.features.to(x_fake.device).eval()
            if config.lambda_perceptual and "known" in batch:
                rows = batch["known"] > 0
                if bool(rows.any()):
                    x_trg = signed_channels_last(batch["answer"])[rows]
                    terms["G_perceptual"] = losses.perceptual(features.maps, x_fake[rows], x_trg)
                    loss = loss + config.lambda_perceptual * terms["G_perceptual"]
            if config.lambda_identity:
                terms["G_identity"] = losses.identity(features.embed, x_fake, x_real)
                loss = loss + config.lambda_identity * terms["G_identity"]
        return loss

    def alarm(self, means: dict[str, float]) -> str:
        """A region's mask that has shrunk to nothing."""
        return collapsed(means)

    def picture(self, averaged: Any, batch: dict[str, Tensor]) -> Tensor:
        """A row a face: the input, and what every expression makes of it."""
        x_real = signed_channels_last(batch["image"])
        columns = [x_real]
        for expression in range(len(EXPRESSIONS)):
            y_trg = torch.full_like(batch["target"], expression)
            columns.append(averaged(x_real, y_trg).float().clamp(-1, 1))
        rows = torch.cat(columns, dim=3)
        return unsigned(torch.cat(list(rows), dim=1))


def change_weight(x_real: Tensor, x_trg: Tensor) -> Tensor:
    """How much each pixel counts in the paired loss, (N, 1, H, W): most where the answer differs from the input."""
    difference = (x_trg - x_real).abs().mean(dim=1, keepdim=True)
    return 0.05 + (5 * F.avg_pool2d(difference, 7, 1, 3)).clamp(max=1)


def generate(generator: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """G(x, y), the regions' masks in it, and what the local discriminators see of these; None without a segmenter."""
    if not isinstance(generator, Segmenting):
        return generator(x, y), None, None
    masks = generator.region_masks(x)
    return generator.generate(x, y, masks), masks, generator.reach(masks)


def view(name: str, x: Tensor, masks: Tensor | None) -> Tensor:
    """What a discriminator sees: the whole picture, or M_r * x."""
    if name == "global":
        return x
    assert masks is not None
    place = REGIONS.index(name)
    return masks[:, place : place + 1] * x


def _source(discriminator: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: discriminator(x)[0]


def _suffix(name: str) -> str:
    return "" if name == "global" else f"_{name}"


def make_task(files: TrainingFiles, config: AdversarialConfig) -> AdversarialTask:
    """The task on all sets of --data, and on the geometry teacher's renders where --teacher is named.

    Raises:
        UsageError: There is no labelled face, or a network that helps has no weights.
    """
    sets = open_sets(files.data)
    sources: list[Source] = [SetSource(faces, "train") for faces in sets]
    if files.teacher is not None:
        sources += [_teacher_source(faces, files) for faces in sets if isinstance(faces, OpenFaces)]
    if config.lambda_paired or config.lambda_perceptual:
        config = replace(config, mix=replace(config.mix, answers=True))
    initial, segmentation = {}, None
    if config.architecture in ("hierarchical", "unified_end_to_end"):
        initial["segmenter"] = find(config.region.segmenter, files.weights).state()
        if config.region.segmenter_training == "joint" and config.region.lambda_seg:
            plain = SegmenterConfig(architecture=config.region.segmenter, crop_kimg=0)
            segmentation = SegmenterTask(plain, files.folder)
    if config.architecture == "unified_end_to_end" and config.region.flow_head:
        initial["generator"] = find("unified", files.weights).state()
    needs_features = config.lambda_perceptual or config.lambda_identity
    features = find("features", files.weights).load() if needs_features else None
    samples = LabelledSamples(sources, config.mix)
    return AdversarialTask(samples, config, initial=initial, segmentation=segmentation, features=features)


def _teacher_source(faces: OpenFaces, files: TrainingFiles) -> TeacherSource:
    assert files.teacher is not None
    cache = TeacherCache(faces, files.teacher, files.cache or Path(files.output) / "teacher-cache")
    train = set(faces.indices("train"))
    return TeacherSource(cache, [face for face in cache.usable() if face in train])
