"""Training of expression transfer (arXiv 1909.02967, reconstructed; see `exprgan.models.transfer`).

Found in the paper's abstract: swapping of AU-related features between two unpaired images, multi-class adversarial
training of the AU-free feature, the swap consistency loss. Reconstructed: all weights, least squares for both
adversaries, self-reconstruction and cross-cycle as absolute differences, action units as levels with cross-entropy.

Ours: the true answer where there is one (`exprgan.samples.transfer_pairs`), `lambda_paired`; 0 gives the unpaired
training of the paper. Each of the paper's terms is switched off by its weight: without the multi-class adversary is
`--set lambda_multi_class=0`, without swap consistency `--set lambda_swap=0`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.errors import UsageError
from exprgan.models.pixels import signed, unsigned
from exprgan.models.registry import build
from exprgan.models.transfer import FeatureCritic, Features, HalfEdit, SwapCritic, TransferNet
from exprgan.samples.transfer_pairs import TransferMix, TransferPairs
from exprgan.teacher.cache import TeacherCache
from exprgan.teacher.mixed_renders import MixedRenders
from exprgan.training import losses
from exprgan.training.task import Losses, Task, TrainingFiles, Turn

MIXED_FOLDER = "mixed"
"""Folder of `exprgan.teacher.mixed_renders` inside the teacher's cache."""


@dataclass(frozen=True)
class TransferLossWeights:
    """Weights of the losses; those of ADLD, the nearest paper with code, are in brackets where they differ."""

    lambda_self: float = 10.0  # self-reconstruction x_11, x_22 (3)
    lambda_cycle: float = 10.0  # cross-cycle: swapped, encoded again and swapped back (40)
    lambda_units: float = 2.0  # levels of action units from the AU-related feature
    lambda_units_swapped: float = 0.5  # the same from the swapped image, whose levels are the other's
    lambda_multi_class: float = 1.0  # multi-class adversary on the AU-free feature (400, for 1,936 classes)
    lambda_swap: float = 0.3  # swap consistency (1.2)
    lambda_paired: float = 1.0  # ours: all of the following
    lambda_flow: float = 0.5  # end-point error in px of the 256-px crop
    lambda_image: float = 8.0  # absolute difference
    lambda_gradient: float = 8.0  # absolute difference of neighbours' differences
    lambda_mask: float = 4.0  # cross-entropy of the mouth interior's cover
    lambda_place: float = 0.3  # error of the place on the mouth's chart in px of the crop
    lambda_paint: float = 6.0  # absolute difference of the interior at the true place
    lambda_shade: float = 0.3  # size and roughness of the shading


@dataclass(frozen=True)
class TransferConfig:
    """Everything a training run depends on, besides the loop and the data."""

    loss: TransferLossWeights = field(default_factory=TransferLossWeights)
    mix: TransferMix = field(default_factory=TransferMix)
    decoder: str = "edit"  # or pixels, the paper's form
    depth: int = 2  # convolutions of the AU-free branch, and of a related one of maps
    channels: int = 64  # of stem and branches
    code_channels: int = 64  # length of the AU-related code
    decoder_widths: tuple[int, ...] = (
        32,
        128,
        128,
        128,
    )  # of the edit decoder at 1/4, 1/8 ... of the resolution
    num_levels: int = 4  # K, into which an action unit's intensity is cut
    unpaired_share: float = (
        0.25  # share of a batch on which self-reconstruction, cycle and swap consistency act
    )
    critic_every: int = 4  # the critics learn in every n-th step
    people: int = 0  # use only so many people of open-faces; 0 uses all


class TransferNetworks(nn.Module):
    """The network that is kept, and the two that only training needs."""

    def __init__(
        self, generator: TransferNet, feature_critic: FeatureCritic, swap_critic: SwapCritic
    ) -> None:
        super().__init__()
        self.generator, self.feature_critic, self.swap_critic = generator, feature_critic, swap_critic


class _Batch(NamedTuple):
    """Both faces of all pairs one after the other, (2N, ...): face i's partner is i + N."""

    image: Tensor
    features: Features
    partner: Tensor  # AU-related feature of the partner
    strength: Tensor


class TransferTask(Task):
    """Networks, samples and losses for `exprgan.training.loop.Trainer`."""

    def __init__(self, samples: TransferPairs, config: TransferConfig) -> None:
        self.samples, self.config = samples, config
        generator: Any = self._generator()
        samples.seen = generator.seen
        self.level_weights = torch.from_numpy(samples.level_weights())

    def build(self) -> TransferNetworks:
        """Fresh networks."""
        generator: Any = self._generator()
        size = generator.seen[2] // 4
        critic = FeatureCritic(channels=self.config.channels, size=size, num_levels=self.config.num_levels)
        return TransferNetworks(generator, critic, SwapCritic())

    def _generator(self) -> nn.Module:
        description = self.description()
        return build(description["architecture"], **description["arguments"])

    def averaged(self, model: TransferNetworks) -> nn.Module:
        """Encoder, unit head and decoder."""
        return model.generator

    def description(self) -> dict[str, Any]:
        """How to build the averaged part."""
        config = self.config
        names = ("decoder", "depth", "channels", "code_channels", "num_levels")
        arguments = {name: getattr(config, name) for name in names}
        arguments["decoder_widths"] = list(config.decoder_widths)
        return {"architecture": "transfer", "arguments": arguments, "image_size": 128}

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number` of `TransferPairs`."""
        return self.samples(seed, number)

    def turns(self, model: TransferNetworks) -> list[Turn]:
        """Generator, then both critics."""
        critics = [*model.feature_critic.parameters(), *model.swap_critic.parameters()]
        turns = [
            Turn("generator", model.generator.parameters(), lambda batch: self.generator_loss(model, batch))
        ]
        weights = self.config.loss
        if weights.lambda_multi_class or weights.lambda_swap:
            turns.append(
                Turn(
                    "critics",
                    [{"params": critics, "lr_share": 0.5}],
                    lambda batch: self.critics_loss(model, batch),
                    every=self.config.critic_every,
                )
            )
        return turns

    def generator_loss(self, model: TransferNetworks, batch: dict[str, Tensor]) -> Losses:
        """Sum of the encoder's and decoder's losses, and its terms."""
        net, weights = model.generator, self.config.loss
        faces = self._encode(net, batch)
        levels = both(batch["levels"])
        terms: dict[str, Tensor] = {}
        if net.chart is not None:
            edit = net.decode_edit(faces.features, faces.partner, faces.strength)
            with torch.autocast(faces.image.device.type, enabled=False):
                swapped = net.edited(faces.image, edit)
        else:
            edit, swapped = None, net.decode(faces.features, faces.partner, faces.image)
        if weights.lambda_paired:
            with torch.autocast(faces.image.device.type, enabled=False):
                terms |= self._paired_terms(net, batch, swapped, edit)
        terms["units"] = self._unit_loss(net.unit_logits(faces.features.related), levels)
        if weights.lambda_multi_class:
            terms["multi_class"] = losses.multi_class_confusion(model.feature_critic(faces.features.free))
        chosen = self._chosen(len(levels))
        if len(chosen):
            some = swapped[chosen]
            if edit is not None:
                # colours must not learn from these terms: they become a hidden hint for the encoder, red chins
                moved = HalfEdit(*[part[chosen] for part in edit])
                moved = moved._replace(shade=moved.shade.detach(), interior=moved.interior.detach())
                with torch.autocast(faces.image.device.type, enabled=False):
                    some = net.edited(faces.image[chosen], moved)
            terms |= self._unpaired_terms(model, _pick(faces, chosen), some.clamp(-1, 1), levels, chosen)
        return self._total(terms), terms

    def critics_loss(self, model: TransferNetworks, batch: dict[str, Tensor]) -> Losses:
        """Losses of the multi-class adversary and of the swap critic."""
        net, weights = model.generator, self.config.loss
        terms: dict[str, Tensor] = {}
        with torch.no_grad():
            faces = self._encode(net, batch)
        if weights.lambda_multi_class:
            logits = model.feature_critic(faces.features.free)
            terms["critic_multi_class"] = losses.multi_class_critic(logits, both(batch["levels"]))
        chosen = self._chosen(2 * len(batch["levels"]))
        if weights.lambda_swap and len(chosen):
            some = _pick(faces, chosen)
            with torch.no_grad():
                own = net.decode(some.features, some.features.related, some.image).clamp(-1, 1)
                swapped = net.decode(some.features, some.partner, some.image).clamp(-1, 1)
            realness = model.swap_critic(torch.cat([own, swapped])).float()
            real, fake = realness.chunk(2)
            terms["critic_swap"] = losses.swap_consistency_critic(real, fake)
        return torch.stack(list(terms.values())).sum(), terms

    def picture(self, averaged: TransferNet, batch: dict[str, Tensor]) -> Tensor:
        """Rows of source, target, result, the answer where known, and the length of the displacement."""
        faces = self._encode(averaged, batch)
        source = faces.image.roll(len(faces.image) // 2, 0)
        result = averaged.decode(faces.features, faces.partner, faces.image, faces.strength).clamp(-1, 1)
        known = both(batch["is_known"])[:, None, None, None]
        wanted = signed(both(batch["target"])) * known - (1 - known)
        columns = [source, faces.image, result, wanted]
        if averaged.chart is not None:
            flow = averaged.decode_edit(faces.features, faces.partner, faces.strength).flow_px
            columns.append(((flow.norm(dim=1, keepdim=True) / 10).clamp(max=1) * 2 - 1).expand_as(source))
        rows = torch.cat(columns, dim=3)
        halves = torch.cat(list(rows.chunk(2)), dim=3)
        return unsigned(torch.cat(list(halves), dim=1))

    def _encode(self, net: TransferNet, batch: dict[str, Tensor]) -> _Batch:
        seen, image = signed(both(batch["seen"])), signed(both(batch["source"]))
        features = net.encode(seen.contiguous(memory_format=torch.channels_last))
        partner = features.related.roll(len(seen) // 2, 0)
        return _Batch(image, features, partner, both(batch["strength"]))

    def _chosen(self, count: int) -> Tensor:
        """Places of the first pairs' faces, a share of the batch, partners half of them apart."""
        pairs = round(self.config.unpaired_share * (count // 2))
        return torch.cat([torch.arange(pairs), torch.arange(pairs) + count // 2])

    def _unpaired_terms(
        self, model: TransferNetworks, some: _Batch, swapped: Tensor, levels: Tensor, chosen: Tensor
    ) -> dict[str, Tensor]:
        """Self-reconstruction, cross-cycle, levels of the swapped images, swap consistency, of the chosen faces."""
        net, weights = model.generator, self.config.loss
        partner_levels = levels.roll(len(levels) // 2, 0)[chosen]
        partner_levels = torch.where(some.strength[:, None] < 1, -1, partner_levels)
        own = net.decode(some.features, some.features.related, some.image)
        terms = {"self": losses.l1(own, some.image)}
        if weights.lambda_cycle or weights.lambda_units_swapped:
            again = net.encode(swapped.contiguous(memory_format=torch.channels_last))
            terms["units_swapped"] = self._unit_loss(net.unit_logits(again.related), partner_levels)
        if weights.lambda_cycle:
            back = net.decode(again, again.related.roll(len(chosen) // 2, 0), swapped)
            terms["cycle"] = losses.l1(back, some.image)
        if weights.lambda_swap:
            terms["swap"] = losses.swap_consistency_generator(model.swap_critic(swapped).float())
        return terms

    def _unit_loss(self, logits: Tensor, levels: Tensor) -> Tensor:
        """Cross-entropy of logits (N, A, K) and levels (N, A), -1 where unknown, rare levels weighing more."""
        table = self.level_weights.to(logits.device)
        log_p = logits.float().log_softmax(dim=-1)
        known = (levels >= 0).float()
        place = levels.clamp(min=0)[..., None]
        weight = table.expand(len(levels), -1, -1).gather(2, place)[..., 0] * known
        return -(weight * log_p.gather(2, place)[..., 0]).sum() / known.sum().clamp(min=1)

    def _paired_terms(
        self, net: TransferNet, batch: dict[str, Tensor], swapped: Tensor, edit: HalfEdit | None
    ) -> dict[str, Tensor]:
        """Swapped images against the true answers, and an edit against what is known of it."""
        wanted = signed(both(batch["target"]))
        known = both(batch["is_known"])[:, None, None, None]
        importance = both(batch["importance"]).float() / 255
        weight = (losses.LEAST_WEIGHT + losses.FACE_WEIGHT * importance) * known
        share = weight.mean().clamp(min=1e-3)
        if edit is None:
            return losses.picture_losses(((swapped - wanted) * weight, share))
        assert net.chart is not None
        mouth = both(batch["mouth"]).float() / 255
        mouth_known = both(batch["mouth_known"]).float() / 255 * known
        place_true, place_known = both(batch["place_cm"]), both(batch["place_known"]) * known
        image = signed(both(batch["source"]))
        shaded = net.edited(image, edit._replace(mask=torch.zeros_like(edit.mask)))
        # the interior's place and light learn from what is known of them, the mask and all else from the picture
        result = shaded + edit.mask * (net.chart(edit.interior).detach() - shaded)
        # where a mouth opens without a known place, in renders of heads, only the mask can learn
        seen_weight = weight * (1 - mouth * (1 - place_known))
        return losses.picture_losses(((result - wanted) * seen_weight, share)) | losses.edit_losses(
            edit.flow_px,
            edit.shade,
            both(batch["flow_px"]),
            both(batch["flow_weight"]) * known,
            importance,
            losses.Interior(
                mask=edit.mask,
                mouth=mouth,
                mask_weight=(0.2 + importance) * mouth_known,
                place_cm=edit.interior[:, :2],
                true_cm=place_true,
                place_weight=place_known * (0.15 + mouth),
                paint=net.chart(torch.cat([place_true, edit.interior[:, 2:]], dim=1)),
                true_paint=wanted,
                paint_weight=place_known * mouth,
            ),
        )

    def _total(self, terms: dict[str, Tensor]) -> Tensor:
        weights = self.config.loss
        factors = {
            "self": weights.lambda_self,
            "cycle": weights.lambda_cycle,
            "units": weights.lambda_units,
            "units_swapped": weights.lambda_units_swapped,
            "multi_class": weights.lambda_multi_class,
            "swap": weights.lambda_swap,
        }
        paired = losses.paired_factors(weights)
        factors |= {name: weights.lambda_paired * factor for name, factor in paired.items()}
        return torch.stack([factors[name] * value for name, value in terms.items()]).sum()


def both(values: Tensor) -> Tensor:
    """First faces, then second ones (2N, ...) of a batch of pairs (N, 2, ...)."""
    return torch.cat([values[:, 0], values[:, 1]])


def _pick(faces: _Batch, chosen: Tensor) -> _Batch:
    features = Features(*[part[chosen] for part in faces.features])
    return _Batch(faces.image[chosen], features, faces.partner[chosen], faces.strength[chosen])


def make_task(files: TrainingFiles, config: TransferConfig) -> TransferTask:
    """The task on a folder with open-faces and, if there, synthetic-faces.

    Raises:
        UsageError: A form of the network is unknown.
    """
    data, cache = files.folder, files.cache or files.output / "teacher-cache"
    faces = OpenFaces(data / "open-faces")
    eight = TeacherCache(faces, files.teacher, cache)
    of_split = set(faces.indices("train"))
    people = [person for person in eight.usable() if person in of_split]
    rendered = SyntheticFaces(data / "synthetic-faces") if (data / "synthetic-faces").exists() else None
    samples = TransferPairs(
        eight,
        MixedRenders(faces, files.teacher, cache / MIXED_FOLDER),
        people[: config.people or None],
        rendered,
        num_levels=config.num_levels,
        mix=config.mix,
    )
    try:
        return TransferTask(samples, config)
    except ValueError as error:
        raise UsageError(f"These settings make no network: {error}") from error
