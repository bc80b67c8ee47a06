"""Adversarial training of StarGAN, SARGAN, US-GAN and of the unified system in the paper's form.

Losses of StarGAN (Choi et al., CVPR 2018), which SARGAN's and US-GAN's public code keep but for lambda_rec (1 for 10):

    L_D = -E D(x) + E D(G(x, c)) + lambda_gp GP + lambda_cls CE(D_cls(x), c_src)
    L_G = -E D(G(x, c)) + lambda_cls CE(D_cls(G(x, c)), c) + lambda_rec |x - G(G(x, c), c_src)|_1

The hierarchical system (arXiv 2112.04603, a reconstruction) has them for the whole picture and, weighted by w_r, for
each region M_r * y too, and the segmentation loss L_S of a labelled batch while the segmenter learns with it. Target
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
from exprgan.models import build
from exprgan.models.discriminators import PatchDiscriminator
from exprgan.models.hierarchical import REGIONS, HierarchicalGenerator
from exprgan.models.pixels import signed_channels_last, unsigned
from exprgan.models.stargan import LABEL_MAPS
from exprgan.models.unified import UnifiedEndToEnd
from exprgan.samples.labelled import LabelledMix, LabelledSamples, SetSource, Source, TeacherSource
from exprgan.teacher.cache import TeacherCache
from exprgan.training import losses
from exprgan.training.segmenter import SegmenterConfig, SegmenterTask
from exprgan.training.task import Losses, Task, TrainingFiles, Turn
from exprgan.weights import load_model, load_weights

SCHEDULES = ("frozen", "joint")
Segmenting = (HierarchicalGenerator, UnifiedEndToEnd)
"""Generators that hold a segmenter."""
LEAST_AREA = 0.002
"""Share of the crop below which a region's mask has collapsed: the segmenter avoids the loss by finding nothing."""


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
        if self.region.segmenter_training not in SCHEDULES:
            raise UsageError(
                f"segmenter_training is {self.region.segmenter_training!r}; choose frozen or joint."
            )


class AdversarialSystem(nn.Module):
    """A generator and its discriminators, global and, in the hierarchical system, one a region."""

    def __init__(self, config: AdversarialConfig) -> None:
        super().__init__()
        self.generator = build(config.architecture, **generator_arguments(config))
        sizes: dict[str, Any] = {
            "num_classes": len(EXPRESSIONS),
            "image_size": config.mix.image_size,
            "he_init": config.he_init,
        }
        layers: dict[str, Any] = {"width": config.critic_width, "num_layers": config.critic_layers}
        self.critics = nn.ModuleDict({"global": PatchDiscriminator(**sizes, **layers)})
        if isinstance(self.generator, Segmenting) and config.region.local_width:
            local: dict[str, Any] = {
                "width": max(1, config.critic_width // 2),
                "num_layers": config.critic_layers - 1,
            }
            self.critics.update({region: PatchDiscriminator(**sizes, **local) for region in REGIONS})
        self.is_segmenter_frozen = config.region.segmenter_training == "frozen"

    def train(self, mode: bool = True) -> AdversarialSystem:
        """A frozen segmenter stays in eval mode."""
        super().train(mode)
        if self.is_segmenter_frozen and isinstance(self.generator, Segmenting):
            self.generator.segmenter.eval()
        return self


def generator_arguments(config: AdversarialConfig) -> dict[str, Any]:
    """Arguments of the generator's builder."""
    if config.architecture == "unified_end_to_end":
        generator = {} if config.region.flow_head else {"flow_head": False}
        return {"segmenter": config.region.segmenter, "generator": generator}
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
        names = ("segmenter", "local_width", "fusion", "masks", "dilation_px", "attention")
        arguments |= {name: getattr(config.region, name) for name in names}
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
        self.critic_loss, self.generator_loss = losses.ADVERSARIAL[config.adversarial]

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
        generator = Turn(
            "G",
            self._generator_groups(model.generator),
            lambda batch: self.generators_loss(model, batch),
            every=self.config.n_critic if self.config.has_critics else 1,
        )
        if not self.config.has_critics:
            return [generator]
        return [
            Turn("D", model.critics.parameters(), lambda batch: self.critics_loss(model, batch)),
            generator,
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

    def critics_loss(self, model: AdversarialSystem, batch: dict[str, Tensor]) -> Losses:
        """L_D, summed over the whole picture and the regions; the generator and the masks only look on."""
        config = self.config
        real = signed_channels_last(batch["image"])
        with torch.no_grad():
            masks = region_masks(model.generator, real)
            fake = generate(model.generator, real, batch["target"], masks)
            masks = reach(model.generator, masks)
        total = real.new_zeros(())
        terms: dict[str, Tensor] = {}
        for name, critic in model.critics.items():
            real_view, fake_view = view(name, real, masks), view(name, fake, masks)
            realness, logits = critic(torch.cat([real_view, fake_view]))
            real_score, fake_score = realness.float().chunk(2)
            loss_adv = self.critic_loss(real_score, fake_score)
            loss_cls = losses.classification(logits.chunk(2)[0], batch["expression"])
            total = total + config.lambda_adv * loss_adv + config.lambda_cls * loss_cls
            if config.lambda_gp:
                penalty = losses.gradient_penalty(_realness(critic), real_view, fake_view, batch["alpha"])
                total = total + config.lambda_gp * penalty
                terms[f"D_gp{_suffix(name)}"] = penalty
            terms |= {f"D_adv{_suffix(name)}": loss_adv, f"D_cls{_suffix(name)}": loss_cls}
        return total, terms

    def generators_loss(self, model: AdversarialSystem, batch: dict[str, Tensor]) -> Losses:
        """L_G and, where the segmenter learns, lambda_seg L_S; through the masks L_G reaches the segmenter."""
        config, generator = self.config, model.generator
        real = signed_channels_last(batch["image"])
        masks = region_masks(generator, real)
        fake = generate(generator, real, batch["target"], masks)
        seen = reach(generator, masks)
        total = real.new_zeros(())
        terms: dict[str, Tensor] = {}
        for name, critic in model.critics.items() if config.has_critics else ():
            realness, logits = critic(view(name, fake, seen))
            loss_adv = self.generator_loss(realness.float())
            loss_cls = losses.classification(logits, batch["target"])
            weight = 1.0 if name == "global" else config.region.local_weight
            total = total + weight * (config.lambda_adv * loss_adv + config.lambda_cls * loss_cls)
            terms |= {f"G_adv{_suffix(name)}": loss_adv, f"G_cls{_suffix(name)}": loss_cls}
        if config.lambda_rec:
            back = generate(generator, fake, batch["expression"], region_masks(generator, fake))
            terms["G_rec"] = losses.l1(back.float(), real)
            total = total + config.lambda_rec * terms["G_rec"]
        total = total + self._own_losses(fake, real, batch, terms)
        if masks is not None:
            terms |= {f"area_{name}": area for name, area in zip(REGIONS, masks.mean((0, 2, 3)), strict=True)}
        if self.segmentation is not None and isinstance(generator, Segmenting):
            labelled = {
                name.removeprefix("segmentation_"): value
                for name, value in batch.items()
                if name.startswith("segmentation_")
            }
            terms["S"], _ = self.segmentation.loss(generator.segmenter, labelled)
            total = total + config.region.lambda_seg * terms["S"]
        return total, terms

    def _own_losses(
        self, fake: Tensor, real: Tensor, batch: dict[str, Tensor], terms: dict[str, Tensor]
    ) -> Tensor:
        """Paired, perceptual and identity losses, which no paper has; adds their terms."""
        config, total = self.config, fake.new_zeros(())
        if config.lambda_paired:
            known = batch["known"][:, None, None, None].expand(-1, 1, *fake.shape[-2:])
            answer = signed_channels_last(batch["answer"])
            terms["G_paired"] = losses.weighted_mean((fake.float() - answer).abs(), known)
            weight = known * change_weight(real, answer)
            terms["G_changed"] = losses.weighted_mean((fake.float() - answer).abs(), weight)
            total = total + config.lambda_paired * terms["G_changed"]
        if self.features is not None:
            features: Any = self.features.to(fake.device).eval()
            if config.lambda_perceptual and "known" in batch:
                rows = batch["known"] > 0
                if bool(rows.any()):
                    answer = signed_channels_last(batch["answer"])[rows]
                    terms["G_perceptual"] = losses.perceptual(features.maps, fake[rows], answer)
                    total = total + config.lambda_perceptual * terms["G_perceptual"]
            if config.lambda_identity:
                terms["G_identity"] = losses.identity(features.embed, fake, real)
                total = total + config.lambda_identity * terms["G_identity"]
        return total

    def alarm(self, means: dict[str, float]) -> str:
        """A region's mask that has shrunk to nothing."""
        for region in REGIONS:
            area = means.get(f"area_{region}", 1.0)
            if area < LEAST_AREA:
                return (
                    f"the segmenter's mask of the {region} covers {100 * area:.2f} % of the crops, so it has collapsed "
                    "(raise lambda_seg or freeze the segmenter)"
                )
        return ""

    def picture(self, averaged: Any, batch: dict[str, Tensor]) -> Tensor:
        """A row a face: the input, and what every expression makes of it."""
        real = signed_channels_last(batch["image"])
        columns = [real]
        for expression in range(len(EXPRESSIONS)):
            columns.append(averaged(real, torch.full_like(batch["target"], expression)).float().clamp(-1, 1))
        rows = torch.cat(columns, dim=3)
        return unsigned(torch.cat(list(rows), dim=1))


def change_weight(image: Tensor, answer: Tensor) -> Tensor:
    """How much each pixel counts in the paired loss, (N, 1, H, W): most where the answer differs from the input."""
    difference = (answer - image).abs().mean(dim=1, keepdim=True)
    return 0.05 + (5 * F.avg_pool2d(difference, 7, 1, 3)).clamp(max=1)


def region_masks(generator: nn.Module, image: Tensor) -> Tensor | None:
    """The hierarchical system's masks; None for a generator without."""
    return generator.region_masks(image) if isinstance(generator, Segmenting) else None


def generate(generator: nn.Module, image: Tensor, expression: Tensor, masks: Tensor | None) -> Tensor:
    """A generator's pictures, with the masks that are at hand."""
    if isinstance(generator, Segmenting):
        assert masks is not None
        return generator.generate(image, expression, masks)
    fake: Tensor = generator(image, expression)
    return fake


def reach(generator: nn.Module, masks: Tensor | None) -> Tensor | None:
    """What the local discriminators see of the regions."""
    return generator.reach(masks) if isinstance(generator, Segmenting) and masks is not None else None


def view(name: str, image: Tensor, masks: Tensor | None) -> Tensor:
    """What a discriminator sees: the whole picture, or M_r * image."""
    if name == "global":
        return image
    assert masks is not None
    place = REGIONS.index(name)
    return masks[:, place : place + 1] * image


def _realness(critic: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda image: critic(image)[0]


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
        initial["segmenter"] = stored(config.region.segmenter, files)
        if config.region.segmenter_training == "joint" and config.region.lambda_seg:
            plain = SegmenterConfig(architecture=config.region.segmenter, crop_kimg=0)
            segmentation = SegmenterTask(plain, files.folder)
    if config.architecture == "unified_end_to_end" and config.region.flow_head:
        initial["generator"] = stored("unified", files)
    needs_features = config.lambda_perceptual or config.lambda_identity
    features = load_model("features", files.weights).requires_grad_(False) if needs_features else None
    samples = LabelledSamples(sources, config.mix)
    return AdversarialTask(samples, config, initial=initial, segmentation=segmentation, features=features)


def stored(name: str, files: TrainingFiles) -> dict[str, Tensor]:
    """Stored weights in single precision.

    Raises:
        WeightsError: There are none of that name.
    """
    _, tensors = load_weights(name, files.weights)
    return {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}


def _teacher_source(faces: OpenFaces, files: TrainingFiles) -> TeacherSource:
    assert files.teacher is not None
    cache = TeacherCache(faces, files.teacher, files.cache or Path(files.output) / "teacher-cache")
    train = set(faces.indices("train"))
    return TeacherSource(cache, [face for face in cache.usable() if face in train])
