"""Generators of pictures as generators of edits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.models.unified import EditMaps, UnifiedEndToEnd


class PixelEdits(nn.Module):
    """A network that puts out small pictures, as one that puts out edits of a crop.

    What is carried over is the change, enlarged: x + strength * up(G(down(x), c) - down(x)). The crop keeps the detail
    that the network's pictures lack, and strength 0 is the identity.

    Args:
        network: Pictures (N, 3, size, size) of (image, expression).
        size: Side of its pictures.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size

    def change(self, image: Tensor, expression: Tensor, strength: Tensor) -> Tensor:
        """What is added to crops (N, 3, H, W); arguments as for `exprgan.edit.systems.System`."""
        small = F.interpolate(image, (self.size, self.size), mode="area")
        fake = self.network(small, expression).float().clamp(-1, 1)
        size_hw = (image.shape[-2], image.shape[-1])
        change = F.interpolate(fake - small, size_hw, mode="bicubic", align_corners=False)
        return strength[:, None, None, None] * change

    def forward(self, image: Tensor, regions: Tensor, expression: Tensor, strength: Tensor) -> EditMaps:
        """The change as an edit; what the regions are does not matter."""
        change = self.change(image, expression, strength)
        nothing = torch.zeros_like(change)
        return EditMaps(nothing[:, :2], nothing, nothing, nothing[:, :1], residual=change)


def edits_of(network: nn.Module, config: Mapping[str, Any]) -> nn.Module:
    """A trained generator as one of `EditMaps`; config has "image_size" where it puts out pictures."""
    if isinstance(network, UnifiedEndToEnd):
        return network.generator
    return PixelEdits(network, config["image_size"]).eval() if "image_size" in config else network
