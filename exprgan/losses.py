"""Losses, one function each; tensors are batches (N, C, H, W) unless said otherwise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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


def psnr(image: Tensor, image_true: Tensor, weight: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB over the weighted pixels of images in [-1, 1], one an image (N,)."""
    squared = ((image.clamp(-1, 1) - image_true) * 0.5).square() * weight
    mean = squared.sum(dim=(1, 2, 3)) / (weight.sum(dim=(1, 2, 3)) * image.shape[1]).clamp(min=1e-6)
    return -10 * torch.log10(mean.clamp(min=1e-10))


def downsample(values: Tensor, factor: int) -> Tensor:
    """Area average by a whole factor."""
    return F.avg_pool2d(values, factor)
