"""Discriminators: StarGAN's patch discriminator with a class head.

Choi et al., CVPR 2018, https://arxiv.org/abs/1711.09020; SARGAN and US-GAN use it unchanged.
"""

from __future__ import annotations

from torch import Tensor, nn


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
