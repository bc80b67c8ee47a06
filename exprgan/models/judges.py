"""Networks that judge edits and are used by no training loss: expression, and who a face is.

Both are small residual networks [He et al. 2016] of our own size, trained from nothing by
`exprgan.training.judges`. What they know and how well is in their model cards; an evaluation states both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

INPUT_PX = 112
"""Side of the square that a judge looks at."""
Square = tuple[float, float, float]
EXPRESSION_SQUARE: Square = (0.14, 0.19, 0.72)
"""Left, top and side of what the expression judge sees, in shares of the aligned crop: forehead to below the chin."""
IDENTITY_SQUARE: Square = (0.2, 0.26, 0.6)
"""The same for the identity judge: brows to chin, little of hair and background."""
PLACED_CHANNELS = 32
"""Channels that each of the 7x7 places of the last layer hands on."""
NUM_PLACES = (INPUT_PX // 16) ** 2
FEATURE_LAYER = "feature"
"""Name of the layer whose output, after its ReLU, gives the features of FID and KID."""


class _Block(nn.Module):
    """Two 3x3 convolutions with batch norm around a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.shortcut = (
            nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            if stride != 1 or in_channels != out_channels
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(h)) + self.shortcut(x))


def _trunk(stem: int, widths: Sequence[int], num_blocks: Sequence[int]) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(3, stem, 3, 2, 1, bias=False),
        nn.BatchNorm2d(stem),
        nn.ReLU(),
    ]
    channels = stem
    for width, count in zip(widths, num_blocks, strict=True):
        for index in range(count):
            layers.append(_Block(channels, width, 2 if index == 0 else 1))
            channels = width
    # not averaged over the picture: in aligned faces a place means something
    layers += [nn.Conv2d(channels, PLACED_CHANNELS, 1, bias=False), nn.BatchNorm2d(PLACED_CHANNELS)]
    return nn.Sequential(*layers, nn.ReLU(), nn.Flatten())


class ExpressionJudge(nn.Module):
    """Expression and blendshape scores of an aligned crop; its penultimate features serve FID and KID.

    Args:
        stem: Channels at half size.
        widths: Channels at a quarter, an eighth and a sixteenth of the size.
        num_blocks: Residual blocks at these sizes.
        num_features: Width of the penultimate layer.
        num_expressions: Classes, as in `exprgan.expressions.EXPRESSIONS`.
        num_scores: Blendshape scores, as in `exprgan.action_units.JUDGED_SCORES`.
    """

    def __init__(
        self,
        *,
        stem: int = 24,
        widths: Sequence[int] = (48, 96, 192),
        num_blocks: Sequence[int] = (1, 2, 2),
        num_features: int = 96,
        num_expressions: int = 8,
        num_scores: int = 10,
    ) -> None:
        super().__init__()
        self.trunk = _trunk(stem, widths, num_blocks)
        self.feature = nn.Linear(PLACED_CHANNELS * NUM_PLACES, num_features)
        self.dropout = nn.Dropout(0.3)
        self.expression = nn.Linear(num_features, num_expressions)
        self.score = nn.Linear(num_features, num_scores)

    def forward(self, square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Judge `EXPRESSION_SQUARE`s, float RGB (N, 3, 112, 112) in [-1, 1].

        Returns:
            Logits of the expressions (N, num_expressions) and of the scores (N, num_scores), and the features
            (N, num_features) that they are made from: the layer `feature` after its ReLU.
        """
        features = F.relu(self.feature(self.trunk(square)))
        hidden = self.dropout(features)
        return self.expression(hidden), self.score(hidden), features

    def judge(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same of aligned crops, float RGB (N, 3, S, S) in [-1, 1]."""
        outputs: tuple[Tensor, Tensor, Tensor] = self(cut(image, EXPRESSION_SQUARE))
        return outputs


class IdentityJudge(nn.Module):
    """A unit vector that tells people apart and stays the same when the expression changes.

    Args:
        stem: Channels at half size.
        widths: Channels at a quarter, an eighth and a sixteenth of the size.
        num_blocks: Residual blocks at these sizes.
        num_dimensions: Length of the vector.
    """

    def __init__(
        self,
        *,
        stem: int = 24,
        widths: Sequence[int] = (48, 96, 192),
        num_blocks: Sequence[int] = (1, 2, 2),
        num_dimensions: int = 128,
    ) -> None:
        super().__init__()
        self.trunk = _trunk(stem, widths, num_blocks)
        self.embedding = nn.Linear(PLACED_CHANNELS * NUM_PLACES, num_dimensions)

    def forward(self, square: Tensor) -> Tensor:
        """Unit vectors (N, num_dimensions) of `IDENTITY_SQUARE`s, float RGB (N, 3, 112, 112) in [-1, 1]."""
        return F.normalize(self.embedding(self.trunk(square)).float(), dim=1)

    def embed(self, image: Tensor) -> Tensor:
        """Unit vectors of aligned crops, float RGB (N, 3, S, S) in [-1, 1]."""
        embedding: Tensor = self(cut(image, IDENTITY_SQUARE))
        return embedding


def cut(image: Tensor, square: Square) -> Tensor:
    """A square of aligned crops (N, 3, S, S), resized with antialiasing to (N, 3, 112, 112)."""
    left, top, side = (round(share * image.shape[-1]) for share in square)
    part = image[..., top : top + side, left : left + side]
    return F.interpolate(part, (INPUT_PX, INPUT_PX), mode="bilinear", align_corners=False, antialias=True)
