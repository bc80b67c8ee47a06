"""StarGAN, the common baseline: its generator, and the discriminator that all papers' systems here have.

Choi et al., "StarGAN: Unified Generative Adversarial Networks for Multi-Domain Image-to-Image Translation",
CVPR 2018, https://arxiv.org/abs/1711.09020. Written anew from the published layer table. Differences: none in the
default form. `attention` adds GANimation's attention (Pumarola et al., ECCV 2018), `label_map` a way of our own to give
the expression.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _InstanceNorm(nn.InstanceNorm2d):
    """Normalises by the picture's own statistics in eval mode too, as the public code's tests do."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)


def instance_norm(channels: int) -> nn.InstanceNorm2d:
    """Instance normalisation with weights; its running statistics are kept for the papers' checkpoints alone."""
    return _InstanceNorm(channels, affine=True, track_running_stats=True)


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int, stride: int) -> nn.Sequential:
    """Convolution without bias, instance norm, ReLU; size divided by the stride."""
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, (kernel - 1) // 2, bias=False)
    return nn.Sequential(conv, instance_norm(out_channels), nn.ReLU(inplace=True))


def deconv_norm_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    """Transposed convolution to twice the size, instance norm, ReLU."""
    conv = nn.ConvTranspose2d(in_channels, out_channels, 4, 2, 1, bias=False)
    return nn.Sequential(conv, instance_norm(out_channels), nn.ReLU(inplace=True))


LABEL_MAPS = ("tiled", "window")


def with_expression(image: Tensor, expression: Tensor, num_classes: int, label_map: str = "tiled") -> Tensor:
    """Image (N, 3, H, W) with the one-hot expression as further channels (N, 3 + num_classes, H, W).

    Args:
        label_map: tiled, the papers' form: constant over the picture. The first instance norm takes constants
            out again, so that all that is left of the label is what zero padding makes of it at the border (in a
            fresh network about 20 times as much there as in the middle), and it takes long to learn to carry
            that to the face. window, ours: times a Hann window, which survives the norm.
    """
    height, width = image.shape[-2:]
    one_hot = F.one_hot(expression, num_classes).to(image.dtype)[:, :, None, None]
    if label_map == "tiled":
        place = image.new_ones(height, width)
    else:
        rows, columns = (
            torch.hann_window(size, periodic=False, device=image.device) for size in (height, width)
        )
        place = (rows[:, None] * columns).to(image.dtype)
    return torch.cat([image, one_hot * place], dim=1)


class ResidualBlock(nn.Module):
    """x + IN(conv(ReLU(IN(conv(x)))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            conv_norm_relu(channels, channels, 3, 1),
            nn.Conv2d(channels, channels, 3, 1, 1, bias=False),
            instance_norm(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.main(x)


class StarGAN(nn.Module):
    """Encoder, residual blocks, decoder; 8,436,800 parameters for 7 classes.

    Args:
        num_classes: Expressions; 7 in the papers' count, 8 of `EXPRESSIONS`.
        width: Channels at full resolution.
        num_blocks: Residual blocks at a quarter of the resolution.
        attention: A second head puts out a mask A, and y = (1 - A) x + A C of the colours C.
        label_map: See `with_expression`.
    """

    def __init__(
        self,
        *,
        num_classes: int = 8,
        width: int = 64,
        num_blocks: int = 6,
        attention: bool = False,
        label_map: str = "tiled",
    ) -> None:
        super().__init__()
        self.num_classes, self.label_map = num_classes, label_map
        layers = [
            conv_norm_relu(3 + num_classes, width, 7, 1),
            conv_norm_relu(width, 2 * width, 4, 2),
            conv_norm_relu(2 * width, 4 * width, 4, 2),
            *[ResidualBlock(4 * width) for _ in range(num_blocks)],
            deconv_norm_relu(4 * width, 2 * width),
            deconv_norm_relu(2 * width, width),
        ]
        self.attention = nn.Conv2d(width, 1, 7, 1, 3, bias=False) if attention else None
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 3, 7, 1, 3, bias=False), nn.Tanh())

    def forward(self, image: Tensor, expression: Tensor) -> Tensor:
        """Faces with another expression.

        Args:
            image: (N, 3, H, W) float32, RGB in [-1, 1], aligned crops; H and W multiples of 4, made for 128.
            expression: (N,) int64, class index.

        Returns:
            (N, 3, H, W) float32, RGB in [-1, 1].
        """
        h = self.main[:-2](with_expression(image, expression, self.num_classes, self.label_map))
        colours: Tensor = self.main[-2:](h)
        if self.attention is None:
            return colours
        share = torch.sigmoid(self.attention(h))
        return (1 - share) * image + share * colours


class PatchDiscriminator(nn.Module):
    """Strided convolutions without normalisation, a realness map and class logits.

    Args:
        num_classes: Expressions.
        image_size: Height and width of the pictures; the class head covers all that is left of them.
        width: Channels after the first convolution.
        num_layers: Convolutions of stride 2. With 6, 44,778,432 parameters for 7 classes at 128 px.
        he_init: Start from He's weights (arXiv 1502.01852), ours. torch's own, which the papers' code has, shrink the
            signal in each layer, and it takes a fresh discriminator thousands of steps to tell anything apart.
    """

    def __init__(
        self,
        *,
        num_classes: int = 8,
        image_size: int = 128,
        width: int = 64,
        num_layers: int = 6,
        he_init: bool = False,
    ) -> None:
        super().__init__()
        if image_size % 2**num_layers:
            raise ValueError(f"image_size {image_size} is not a multiple of {2**num_layers}")
        widths = [3, *(width * 2**i for i in range(num_layers))]
        layers: list[nn.Module] = []
        for in_channels, out_channels in zip(widths, widths[1:], strict=False):
            layers += [nn.Conv2d(in_channels, out_channels, 4, 2, 1), nn.LeakyReLU(0.01, inplace=True)]
        self.main = nn.Sequential(*layers)
        self.source_head = nn.Conv2d(widths[-1], 1, 3, 1, 1, bias=False)
        self.class_head = nn.Conv2d(widths[-1], num_classes, image_size // 2**num_layers, bias=False)

        if he_init:
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, a=0.01 if module.bias is not None else 1.0)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Judge pictures.

        Args:
            image: (N, 3, image_size, image_size) float32, RGB in [-1, 1].

        Returns:
            Realness (N, 1, h, w), one number a patch, higher for real; class logits (N, num_classes).
        """
        h = self.main(image)
        return self.source_head(h), self.class_head(h).flatten(1)
