"""Landmark network: 478 points, head turn and a face score of a small square crop.

A plain residual network locates some anchor points of the mesh as the centres of gravity of heat maps
("integral regression", Sun et al. 2018, https://arxiv.org/abs/1711.08229); a linear layer completes the
mesh from the anchors and a global feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PER_ANCHOR = 8
"""Channels that the expression is told by at each anchor."""


class LandmarkOutput(NamedTuple):
    """Answer for N crops.

    points: (N, 478, 2) float32 x, y with -1 and 1 the crop's outer edges.
    turn: (N, 2) float32 pitch and yaw in units of 30 degrees, of the upright face.
    score_logit: (N,) float32, above 0 where the crop shows a face.
    anchors: (N, K, 2) float32, the anchor points as the heat maps see them, same frame as points.
    depth: (N, 478) float32, depth of the points in the unit of points, growing away from the camera, about their mean;
        None where the network has no such head.
    blendshapes: (N, 51) float32, ARKit's coefficients in [0, 1] in the order of `exprgan.faces.mesh.BLENDSHAPES`; None
        where the network has no such head.
    """

    points: Tensor
    turn: Tensor
    score_logit: Tensor
    anchors: Tensor
    depth: Tensor | None = None
    blendshapes: Tensor | None = None


def conv_block(in_channels: int, out_channels: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution without bias, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_block(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


class LandmarkNet(nn.Module):
    """Points, turn and score of a face in a square crop.

    Args:
        crop_px: Side of the crops.
        stem_channels: Channels after the first convolution, at half size.
        widths: Channels at a quarter, an eighth and a sixteenth of the crop's size.
        num_blocks: Residual blocks at each of these sizes.
        num_hidden: Width of the global feature.
        num_anchors: Points located by heat maps.
        num_points: Points of the mesh.
        depth: Whether it also tells the points' depth.
        num_blendshapes: Coefficients of the expression that it also tells; 0 for none.
    """

    grid_xy: Tensor

    def __init__(
        self,
        *,
        crop_px: int = 128,
        stem_channels: int = 32,
        widths: Sequence[int] = (32, 96, 192),
        num_blocks: Sequence[int] = (1, 1, 2),
        num_hidden: int = 128,
        num_anchors: int = 96,
        num_points: int = 478,
        depth: bool = False,
        num_blendshapes: int = 0,
    ) -> None:
        super().__init__()
        self.crop_px = crop_px
        quarter, eighth, sixteenth = widths
        stages = []
        for before, width, count in zip((stem_channels, quarter, eighth), widths, num_blocks, strict=True):
            stages.append(
                nn.Sequential(conv_block(before, width, 2), *(Residual(width) for _ in range(count)))
            )
        self.to_eighth = nn.Sequential(conv_block(3, stem_channels, 2), *stages[:2])
        self.to_sixteenth = stages[2]
        self.lift = nn.Conv2d(sixteenth, eighth, 1)
        self.heat = nn.Sequential(conv_block(eighth, eighth), nn.Conv2d(eighth, num_anchors, 1))
        self.hidden = nn.Sequential(nn.Linear(sixteenth, num_hidden), nn.ReLU(inplace=True))
        self.complete = nn.Linear(num_anchors * 2 + num_hidden, num_points * 2)
        self.turn_and_score = nn.Linear(num_anchors * 2 + num_hidden, 3)
        num_features = num_anchors * 2 + num_hidden
        self.depth = nn.Linear(num_features, num_points) if depth else None
        self.expression = None
        if num_blendshapes:
            # what the picture shows at the anchors, beside where they are
            self.around_anchors = nn.Conv2d(eighth, PER_ANCHOR, 1)
            self.expression = nn.Sequential(
                nn.Linear(num_features + num_anchors * PER_ANCHOR, 128),
                nn.ReLU(inplace=True),
                nn.Linear(128, num_blendshapes),
            )
        cells = crop_px // 8
        centres = (torch.arange(cells) * 2 + 1) / cells - 1
        grid = torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)
        self.register_buffer("grid_xy", grid.reshape(-1, 2), persistent=False)

    @torch.no_grad()
    def start_completion(self, weight: Tensor, bias: Tensor) -> None:
        """Begin training with the mesh as a linear function of the anchors, weight (956, 2 K), bias (956,)."""
        self.complete.weight.zero_()
        self.complete.weight[:, : weight.shape[1]] = weight
        self.complete.bias.copy_(bias)

    def forward(self, crops: Tensor) -> LandmarkOutput:
        """Answer for crops (N, 3, crop_px, crop_px), float32 RGB in [-1, 1]."""
        fine = self.to_eighth(crops)
        coarse = self.to_sixteenth(fine)
        lifted = F.interpolate(self.lift(coarse), scale_factor=2.0, mode="nearest")
        local = torch.relu(fine + lifted)
        heat = self.heat(local)
        hidden = self.hidden(coarse.mean(dim=(2, 3)))
        around = None if self.expression is None else self.around_anchors(local)
        with torch.autocast(crops.device.type, enabled=False):
            anchors = heat.flatten(2).float().softmax(dim=2) @ self.grid_xy  # (N, K, 2)
            feature = torch.cat([anchors.flatten(1), hidden.float()], dim=1)
            points = self.complete(feature).unflatten(1, (-1, 2))
            turn_and_score = self.turn_and_score(feature)
            depth = None if self.depth is None else self.depth(feature)
            blendshapes = None
            if self.expression is not None and around is not None:
                places = anchors.detach()[:, :, None]
                seen = F.grid_sample(around.float(), places, align_corners=False)
                blendshapes = self.expression(torch.cat([feature, seen.flatten(1)], dim=1)).sigmoid()
        turn, score = turn_and_score[:, :2], turn_and_score[:, 2]
        return LandmarkOutput(points, turn, score, anchors, depth, blendshapes)
