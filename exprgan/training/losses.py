"""Losses, one function each; tensors are batches (N, C, H, W) unless said otherwise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from exprgan.models.mouth_interior import CROP_PX_PER_CM


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Mean of values (N, C, H, W) under weights (N, 1, H, W) that need not sum to anything; 0 where all are 0."""
    return (values * weight).sum() / (weight.sum() * values.shape[1]).clamp(min=1e-6)


def flow_loss(flow_px: Tensor, flow_true_px: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean end-point error in pixels, smooth near 0; flows (N, 2, H, W), weight (N, 1, H, W)."""
    squared = (flow_px - flow_true_px).square().sum(dim=1, keepdim=True)
    return weighted_mean(torch.sqrt(squared + 0.01) - 0.1, weight)


def mask_loss(mask: Tensor, mask_true: Tensor, weight: Tensor) -> Tensor:
    """Weighted binary cross-entropy of masks in [0, 1]."""
    mask = mask.clamp(1e-4, 1 - 1e-4)
    entropy = -(mask_true * torch.log(mask) + (1 - mask_true) * torch.log(1 - mask))
    return weighted_mean(entropy, weight)


def roughness(values: Tensor) -> Tensor:
    """Mean absolute difference of horizontal and of vertical neighbours, added: total variation a pixel.

    Of an error image it is a gradient loss, which keeps edges sharp.
    """
    along_x = values[..., :, 1:] - values[..., :, :-1]
    along_y = values[..., 1:, :] - values[..., :-1, :]
    return along_x.abs().mean() + along_y.abs().mean()


LEAST_WEIGHT, FACE_WEIGHT, MOUTH_WEIGHT = 0.05, 0.7, 0.8
"""Weights of a picture's pixels: everywhere, added by importance, and added in the mouth where it is painted.

Outside the face a rendered pair differs by noise only, which counts little.
"""
SMOOTH_WEIGHT = 0.2
"""Weight of the warp's roughness where no flow is given."""


def paired_factors(weights: Any) -> dict[str, float]:
    """Weights of the terms of `picture_losses` and `edit_losses`, from fields lambda_flow and so on."""
    names = ("flow", "image", "gradient", "mask", "place", "paint", "shade")
    return {name: getattr(weights, f"lambda_{name}") for name in names} | {"smooth": SMOOTH_WEIGHT}


def picture_losses(*errors_shares: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Terms image and gradient of weighted errors (N, 3, H, W), each with the mean of its weights, added up."""
    image = [error.abs().mean() / share for error, share in errors_shares]
    gradient = [roughness(error) / share for error, share in errors_shares]
    return {"image": torch.stack(image).sum(), "gradient": torch.stack(gradient).sum()}


class Interior(NamedTuple):
    """A mouth's interior as edited and as known; (N, C, H, W).

    mask, mouth, mask_weight (N, 1, ..): cover in [0, 1], the true one, its weight. place_cm, true_cm (N, 2, ..) and
    place_weight (N, 1, ..): place on the chart. paint, true_paint (N, 3, ..) and paint_weight (N, 1, ..): what the
    chart shows at the true place and what it should.
    """

    mask: Tensor
    mouth: Tensor
    mask_weight: Tensor
    place_cm: Tensor
    true_cm: Tensor
    place_weight: Tensor
    paint: Tensor
    true_paint: Tensor
    paint_weight: Tensor


def edit_losses(
    flow_px: Tensor,
    shade: Tensor,
    true_px: Tensor,
    flow_weight: Tensor,
    importance: Tensor,
    interior: Interior,
) -> dict[str, Tensor]:
    """Terms of an edit's maps against what is known of them.

    Args:
        flow_px, true_px: (N, 2, H, W), displacement and the true one, in px of the 256-px crop.
        shade: (N, C, H, W), light.
        flow_weight: (N, 1, H, W), 0 where the true displacement is not known.
        importance: (N, 1, H, W) in [0, 1].
        interior: The mouth's interior, at any resolution.
    """
    has_flow = flow_weight.amax(dim=(1, 2, 3), keepdim=True).gt(0).float()
    flow_weight = flow_weight * (0.15 + 0.35 * (importance > 0.1) + importance)
    place_error_px = (interior.place_cm - interior.true_cm) * CROP_PX_PER_CM
    return {
        "flow": flow_loss(flow_px, true_px, flow_weight),
        "mask": mask_loss(interior.mask, interior.mouth, interior.mask_weight),
        "place": flow_loss(place_error_px, torch.zeros_like(place_error_px), interior.place_weight),
        "paint": weighted_mean((interior.paint - interior.true_paint).abs(), interior.paint_weight),
        "shade": ((1.05 - importance) * shade.abs()).mean() + roughness(shade),
        # where no flow is given, the warp is held smooth
        "smooth": roughness(flow_px * (1 - has_flow)),
    }


def psnr(image: Tensor, image_true: Tensor, weight: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB over the weighted pixels of images in [-1, 1], one an image (N,)."""
    squared = ((image.clamp(-1, 1) - image_true) * 0.5).square() * weight
    mean = squared.sum(dim=(1, 2, 3)) / (weight.sum(dim=(1, 2, 3)) * image.shape[1]).clamp(min=1e-6)
    return -10 * torch.log10(mean.clamp(min=1e-10))


def downsample(values: Tensor, factor: int) -> Tensor:
    """Area average by a whole factor."""
    return F.avg_pool2d(values, factor)


def l1(image: Tensor, image_true: Tensor) -> Tensor:
    """Mean absolute difference: reconstruction and cycle losses, |x - G(G(x, c), c_src)|_1."""
    return (image - image_true).abs().mean()


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """-E D(x) + E D(G(x, c)): the critic's part without penalty (WGAN, arXiv 1701.07875, eq. 2)."""
    return fake.mean() - real.mean()


def wasserstein_generator(fake: Tensor) -> Tensor:
    """-E D(G(x, c)): the generator's part of the same."""
    return -fake.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, alpha: Tensor, *, target: float = 1.0
) -> Tensor:
    """E (|grad D(x_hat)|_2 - 1)^2 at x_hat = alpha x + (1 - alpha) G(x, c) (WGAN-GP, arXiv 1704.00028, eq. 3).

    Args:
        critic: Realness (N, ...) of images; the norm is that of the gradient of its mean over patches times
            their number, which is their sum, as in StarGAN's public code.
        real, fake: (N, C, H, W); no gradient goes back to them.
        alpha: (N,) in [0, 1], one place a sample.
        target: The norm that costs nothing.
    """
    share = alpha[:, None, None, None].to(real.dtype)
    between = (share * real.detach() + (1 - share) * fake.detach()).requires_grad_()
    realness = critic(between)
    (gradient,) = torch.autograd.grad(realness.float().sum(), between, create_graph=True)
    norm = gradient.float().flatten(1).square().sum(dim=1).add(1e-12).sqrt()
    return (norm - target).square().mean()


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(x, c))) (Geometric GAN, arXiv 1705.02894)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """-E D(G(x, c)), the generator's part of the hinge loss."""
    return -fake.mean()


def lsgan_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E (D(x) - 1)^2 + E D(G(x, c))^2 (LSGAN, arXiv 1611.04076, eq. 9 without the factor 1/2)."""
    return (real - 1).square().mean() + fake.square().mean()


def lsgan_generator(fake: Tensor) -> Tensor:
    """E (D(G(x, c)) - 1)^2, the generator's part of the same."""
    return (fake - 1).square().mean()


ADVERSARIAL = {
    "wgan-gp": (wasserstein_critic, wasserstein_generator),
    "hinge": (hinge_critic, hinge_generator),
    "lsgan": (lsgan_critic, lsgan_generator),
}
"""Adversarial losses by name: the critic's part of (real, fake), the generator's of fake; wgan-gp has a penalty too."""


def lecam(real: Tensor, fake: Tensor, anchors: Tensor) -> Tensor:
    """E |D(x) - a_F|^2 + E |D(G(x, c)) - a_R|^2 with moving averages (a_R, a_F) of D (LeCam, arXiv 2104.03310, eq. 3).

    Keeps a discriminator from overfitting few photographs.
    """
    return (real - anchors[1]).square().mean() + (fake - anchors[0]).square().mean()


def classification(logits: Tensor, label: Tensor) -> Tensor:
    """Cross-entropy L_cls of class logits (N, K) and labels (N,) int64; samples labelled -1 do not count."""
    known = label >= 0
    if not bool(known.any()):
        return logits.sum() * 0
    return F.cross_entropy(logits.float()[known], label[known])


def multi_class_critic(logits: Tensor, level: Tensor) -> Tensor:
    """Least-squares classification E |softmax(l) - onehot(k)|^2 of a multi-class adversary.

    The discriminator's part of multi-class adversarial learning (arXiv 1909.02967; least squares as in ADLD, a
    later paper of the same first author: a reconstruction).

    Args:
        logits: (N, A, K): K levels of each of A action units.
        level: (N, A) int64, the true level, -1 where unknown.
    """
    known = level >= 0
    one_hot = F.one_hot(level.clamp(min=0), logits.shape[-1]).to(torch.float32)
    squared = (logits.float().softmax(dim=-1) - one_hot).square().mean(dim=-1)
    return (squared * known).sum() / known.sum().clamp(min=1)


def multi_class_confusion(logits: Tensor) -> Tensor:
    """The encoder's part: E |softmax(l) - 1/K|^2 of logits (N, A, K), smallest when nothing tells the level."""
    return (logits.float().softmax(dim=-1) - 1 / logits.shape[-1]).square().mean()


def swap_consistency_critic(self_reconstructed: Tensor, swapped: Tensor) -> Tensor:
    """Realness of self-reconstructions x_11, x_22 (towards 1) and of swaps x_12, x_21 (towards 0), least squares.

    The role of both is arXiv 1909.02967's (abstract); the least squares are a reconstruction.
    """
    return lsgan_critic(self_reconstructed, swapped)


def swap_consistency_generator(swapped: Tensor) -> Tensor:
    """The generator's part of the same: swapped images shall pass for self-reconstructed ones."""
    return lsgan_generator(swapped)


def perceptual(features: Callable[[Tensor], Sequence[Tensor]], image: Tensor, image_true: Tensor) -> Tensor:
    """Mean absolute difference of feature maps, each divided by the mean size of the true one's values.

    Args:
        features: Feature maps of images (N, 3, H, W) in [-1, 1].
        image: What is judged.
        image_true: What it should look like; no gradient goes back to it.
    """
    with torch.no_grad():
        wanted = [part.detach() for part in features(image_true)]
    parts = [
        (ours - theirs).abs().mean() / theirs.abs().mean().clamp(min=1e-6)
        for ours, theirs in zip(features(image), wanted, strict=True)
    ]
    return torch.stack(parts).mean()


def identity(embed: Callable[[Tensor], Tensor], image: Tensor, image_true: Tensor) -> Tensor:
    """1 - cosine of two embeddings (N, D) of images; 0 for the same person, no gradient to the true image."""
    with torch.no_grad():
        wanted = embed(image_true).detach()
    return (1 - F.cosine_similarity(embed(image).float(), wanted.float(), dim=1)).mean()


def contrast(first: Tensor, second: Tensor, person: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """InfoNCE of unit vectors (N, D) of N pairs, both ways, and how often the right one is the nearest.

    Pairs of the same person (N,) are no examples of different ones.
    """
    similarity = first @ second.T / temperature
    same = person[:, None] == person[None]
    others = same & ~torch.eye(len(first), dtype=torch.bool, device=same.device)
    similarity = similarity.masked_fill(others, -torch.inf)
    target = torch.arange(len(first), device=similarity.device)
    loss = (F.cross_entropy(similarity, target) + F.cross_entropy(similarity.T, target)) / 2
    return loss, (similarity.argmax(dim=1) == target).float().mean()


def hard_mean(
    pixel_losses: Tensor, *, limit: float, min_share: float, weights: Tensor | None = None
) -> Tensor:
    """Mean of the losses above a limit: online hard example mining, as in BiSeNet's training.

    Args:
        pixel_losses: (P,) losses of labelled pixels.
        limit: Losses up to this do not count ...
        min_share: ... but this share of all, the largest, does in any case.
        weights: (P,) for a weighted mean.
    """
    least = max(1, int(min_share * pixel_losses.numel()))
    hard = pixel_losses > limit
    if int(hard.sum()) < least:
        hard = pixel_losses.topk(min(least, pixel_losses.numel())).indices
    if weights is None:
        return pixel_losses[hard].mean()
    return (pixel_losses[hard] * weights[hard]).sum() / weights[hard].sum()
