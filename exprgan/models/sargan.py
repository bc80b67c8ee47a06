"""SARGAN's generator, and US-GAN's, which is the same without attention.

SARGAN: Akram and Khan, "SARGAN: Spatial Attention-based Residuals for Facial Expression Manipulation", IEEE
TCSVT 2023, https://arxiv.org/abs/2303.17212. US-GAN: the same authors, "US-GAN: On the importance of Ultimate
Skip Connection for Facial Expression Synthesis", MTAP 2023, https://arxiv.org/abs/2112.13002. Written anew
from the layer table of the published design. Differences: the attention network that the released SARGAN
builds but never calls is left out (3,203,394 parameters there, 3,014,145 here), and `strength` is ours.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.models.stargan import (
    ResidualBlock,
    conv_norm_relu,
    deconv_norm_relu,
    instance_norm,
    with_expression,
)


def _reflected(in_channels: int, out_channels: int, stride: int = 1, *, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=bias, padding_mode="reflect")


def _reflected_norm_relu(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    conv = _reflected(in_channels, out_channels, stride)
    return nn.Sequential(conv, instance_norm(out_channels), nn.ReLU(inplace=True))


class HourglassLevel(nn.Module):
    """A branch at full size beside one at half size, which may hold a further level."""

    def __init__(self, in_channels: int, width: int, inner: nn.Module) -> None:
        super().__init__()
        self.straight = _reflected_norm_relu(in_channels, width)
        self.down = _reflected_norm_relu(in_channels, width, 2)
        self.inner = inner
        self.up = _reflected_norm_relu(width, width)

    def forward(self, x: Tensor) -> Tensor:
        deep = self.inner(self.down(x))
        deep = F.interpolate(deep, scale_factor=2.0, mode="nearest")
        total: Tensor = self.straight(x) + self.up(deep)
        return total


class SEDN(nn.Module):
    """Symmetric encoder-decoder network: where in the picture the residual counts, (N, 1, H, W) in (0, 1)."""

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        innermost = HourglassLevel(width, width, _reflected_norm_relu(width, width))
        self.hourglass = HourglassLevel(channels, width, innermost)
        self.out = _reflected(width, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.out(self.hourglass(x)))


class SARB(nn.Module):
    """Spatial-attention residual block: h + u * SEDN(u), u = IN(conv(ReLU(IN(conv(h)))))."""

    def __init__(self, channels: int, width: int = 64) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            _reflected_norm_relu(channels, channels), _reflected(channels, channels), instance_norm(channels)
        )
        self.attention = SEDN(channels, width)

    def forward(self, h: Tensor) -> Tensor:
        u = self.residual(h)
        total: Tensor = h + u * self.attention(u)
        return total


class SARGAN(nn.Module):
    """Encoder, one block, decoder, ultimate skip y = x + tanh(...); 3,014,145 parameters for 7 classes.

    Args:
        num_classes: Expressions; 7 in the papers, 8 of `EXPRESSIONS`.
        width: Channels at full resolution.
        attention: SARB as the block (SARGAN) or a plain residual block (US-GAN).
        skip: The ultimate skip; without it y = tanh(...), for the ablation.
        label_map: See `exprgan.models.stargan.with_expression`.
    """

    def __init__(
        self,
        *,
        num_classes: int = 8,
        width: int = 64,
        attention: bool = True,
        skip: bool = True,
        label_map: str = "tiled",
    ) -> None:
        super().__init__()
        self.num_classes, self.skip, self.label_map = num_classes, skip, label_map
        self.main = nn.Sequential(
            conv_norm_relu(3 + num_classes, width, 7, 1),
            conv_norm_relu(width, 2 * width, 4, 2),
            conv_norm_relu(2 * width, 4 * width, 4, 2),
            SARB(4 * width, width) if attention else ResidualBlock(4 * width),
            deconv_norm_relu(4 * width, 2 * width),
            deconv_norm_relu(2 * width, width),
            nn.Conv2d(width, 3, 7, 1, 3, bias=False),
            nn.Tanh(),
        )

    def forward(self, image: Tensor, expression: Tensor, strength: Tensor | None = None) -> Tensor:
        """Faces with another expression.

        Args:
            image: (N, 3, H, W) float32, RGB in [-1, 1], aligned crops; H and W multiples of 16, made for 128.
            expression: (N,) int64, class index.
            strength: (N,) float32, factor on the residual; None means 1, the papers' form.

        Returns:
            (N, 3, H, W) float32, RGB in [-2, 2]: the skip is not clamped, clamp on saving.
        """
        residual: Tensor = self.main(with_expression(image, expression, self.num_classes, self.label_map))
        if not self.skip:
            return residual
        if strength is not None:
            residual = strength[:, None, None, None] * residual
        return image + residual


USGAN = partial(SARGAN, attention=False)
"""SARGAN without attention; 2,533,440 parameters for 7 classes."""
