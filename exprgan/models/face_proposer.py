"""Face proposer: a small fully convolutional network that says where faces may be, at any picture size.

Heat map of face centres with size and offset at each cell, as in "Objects as Points" (Zhou et al. 2019,
https://arxiv.org/abs/1904.07850), on a small U-shaped network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.models.landmark_net import Residual, conv_block


class ProposerOutput(NamedTuple):
    """Answer for N pictures of h x w cells of 8 px.

    logit: (N, h, w) float32, above 0 where a face's centre is likely.
    offset: (N, 2, h, w) float32, from the cell's centre to the face's centre, x and y in cells.
    log_side: (N, h, w) float32, natural logarithm of the face's square's side over 64 px.
    """

    logit: Tensor
    offset: Tensor
    log_side: Tensor


class FaceProposer(nn.Module):
    """Where faces may be.

    Args:
        stem_channels: Channels at half and at a quarter of the size.
        widths: Channels at an eighth, a sixteenth and a thirty-second of the size.
    """

    def __init__(
        self, *, stem_channels: Sequence[int] = (16, 32), widths: Sequence[int] = (64, 96, 128)
    ) -> None:
        super().__init__()
        half, quarter = stem_channels
        eighth, sixteenth, thirty_second = widths
        self.to_eighth = nn.Sequential(
            conv_block(3, half, 2), conv_block(half, quarter, 2), conv_block(quarter, eighth, 2)
        )
        self.to_sixteenth = nn.Sequential(conv_block(eighth, sixteenth, 2), Residual(sixteenth))
        self.to_thirty_second = nn.Sequential(
            conv_block(sixteenth, thirty_second, 2), Residual(thirty_second), Residual(thirty_second)
        )
        self.lift_coarse = nn.Conv2d(thirty_second, sixteenth, 1)
        self.fuse_coarse = conv_block(sixteenth, sixteenth)
        self.lift = nn.Conv2d(sixteenth, eighth, 1)
        self.fuse = conv_block(eighth, eighth)
        self.head = nn.Conv2d(eighth, 4, 1)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.head.bias[0] = -4.0  # type: ignore[index]  # nearly all cells are no face

    def forward(self, pictures: Tensor) -> ProposerOutput:
        """Answer for pictures (N, 3, H, W), float32 RGB in [-1, 1], H and W multiples of 32."""
        eighth = self.to_eighth(pictures)
        sixteenth = self.to_sixteenth(eighth)
        coarse = self.lift_coarse(self.to_thirty_second(sixteenth))
        sixteenth = self.fuse_coarse(sixteenth + F.interpolate(coarse, scale_factor=2.0, mode="nearest"))
        fine = self.fuse(eighth + F.interpolate(self.lift(sixteenth), scale_factor=2.0, mode="nearest"))
        answer = self.head(fine).float()
        return ProposerOutput(answer[:, 0], answer[:, 1:3], answer[:, 3])
