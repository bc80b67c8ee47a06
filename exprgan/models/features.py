"""The feature network of training losses: maps for a perceptual loss, an embedding for an identity loss.

The perceptual loss compares middle layers of a network (Johnson et al. 2016, https://arxiv.org/abs/1603.08155), the
identity loss an embedding. Those papers' networks are trained on ImageNet or on people's names; this one is of our
own size and learns from neither, see `exprgan.training.features`. No evaluation uses it: systems trained on it
would please it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEATURE_PX = 128
"""Side of the aligned crops that the network sees."""
INNER_CELLS = slice(4, 14), slice(3, 13)
"""Rows and columns of the 16 x 16 map that the embedding is of: brows to chin, little hair or background."""

POOL_CELLS = 4
"""Cells a side that expression and action units are read from."""


class FaceReading(NamedTuple):
    """What the network says of N aligned crops.

    embedding (N, D): unit vectors. expression (N, 8): logits. action_units (N, A): logits of intensities.
    points_px (N, P, 2): places (x, y) in the 128-px crop.
    """

    embedding: Tensor
    expression: Tensor
    action_units: Tensor
    points_px: Tensor


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class _Stage(nn.Module):
    """To half of the size, and a residual block there."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.down = _conv(in_channels, out_channels, 2)
        self.conv = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        h = self.down(x)
        return F.relu(h + self.norm(self.conv(h)))


class FeatureNet(nn.Module):
    """A convolutional trunk, whose stages are the features, and the heads that it is trained by.

    Args:
        widths: Channels at 128, 64, 32, 16 and 8 px.
        num_dimensions: Length of the embedding.
        num_expressions: Classes, as in `exprgan.expressions.EXPRESSIONS`.
        num_action_units: As in `exprgan.action_units.ACTION_UNITS`.
        num_points: Landmarks.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (16, 32, 64, 128, 160),
        num_dimensions: int = 128,
        num_expressions: int = 8,
        num_action_units: int = 17,
        num_points: int = 40,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList([_conv(3, widths[0]), *(_Stage(a, b) for a, b in pairwise(widths))])
        *_, third, fourth, fifth = widths
        self.identity = nn.Sequential(_conv(fourth, fourth), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.embedding = nn.Linear(fourth, num_dimensions)
        self.coarse, self.fine = nn.Conv2d(fourth, third, 1), nn.Conv2d(third, third, 1)
        self.point_maps = nn.Sequential(_conv(third, third), nn.Conv2d(third, num_points, 1))
        # crops are aligned: where in the face something is seen counts
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(POOL_CELLS), nn.Flatten(), nn.Dropout(0.2))
        self.expression = nn.Linear(fifth * POOL_CELLS**2, num_expressions)
        self.action_units = nn.Linear(fifth * POOL_CELLS**2, num_action_units)

    def maps(self, image: Tensor) -> list[Tensor]:
        """Feature maps at 128, 64, 32 and 16 px, for `exprgan.training.losses.perceptual`.

        Args:
            image: (N, 3, S, S) float, RGB in [-1, 1], aligned crops of any size.
        """
        return self._trunk(image, 4)

    def embed(self, image: Tensor) -> Tensor:
        """Unit vectors (N, D) that stay the same when the expression changes, for the identity loss."""
        return self._embed(self._trunk(image, 4)[3])

    def forward(self, image: Tensor) -> FaceReading:
        """Everything; images as for `maps`."""
        *_, third, fourth, fifth = self._trunk(image, 5)
        deep = F.interpolate(self.coarse(fourth), scale_factor=2.0, mode="nearest")
        heat = self.point_maps(F.relu(deep + self.fine(third))).float()
        pooled = self.pool(fifth)
        return FaceReading(
            self._embed(fourth), self.expression(pooled), self.action_units(pooled), _centres_px(heat)
        )

    def _trunk(self, image: Tensor, count: int) -> list[Tensor]:
        h, found = _resized(image), []
        for stage in self.stages[:count]:
            h = stage(h)
            found.append(h)
        return found

    def _embed(self, fourth: Tensor) -> Tensor:
        rows, columns = INNER_CELLS
        return F.normalize(self.embedding(self.identity(fourth[..., rows, columns])).float(), dim=1)


def _resized(image: Tensor) -> Tensor:
    if image.shape[-2:] == (FEATURE_PX, FEATURE_PX):
        return image
    mode = "area" if image.shape[-1] > FEATURE_PX else "bilinear"
    return F.interpolate(image, (FEATURE_PX, FEATURE_PX), mode=mode)


def _centres_px(heat: Tensor) -> Tensor:
    """Mean place (N, P, 2) under the softmax of maps (N, P, h, w), in pixels of the crop."""
    height, width = heat.shape[-2:]
    share = heat.flatten(2).softmax(dim=2).unflatten(2, (height, width))
    y = (torch.arange(height, device=heat.device) + 0.5) * (FEATURE_PX / height) - 0.5
    x = (torch.arange(width, device=heat.device) + 0.5) * (FEATURE_PX / width) - 0.5
    return torch.stack([(share.sum(dim=2) * x).sum(dim=2), (share.sum(dim=3) * y).sum(dim=2)], dim=2)
