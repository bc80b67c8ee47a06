"""Any trained generator behind one call: an aligned crop, an expression and a strength in, the edited crop out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.device import resolve_device
from exprgan.edit.regions import find_segmenter
from exprgan.models.segmenters import region_masks
from exprgan.models.unified import EditMaps, UnifiedEndToEnd, apply_maps
from exprgan.weights import NetworkFiles, find_system
from exprgan.weights.find import PIXEL_SYSTEMS


class System(Protocol):
    """A trained generator.

    Attributes:
        name: As the user knows it.
        description: "architecture", "arguments" and what else is stored with it.
    """

    name: str
    description: dict[str, Any]

    def __call__(self, image: Tensor, expression: Tensor, strength: Tensor) -> Tensor:
        """Aligned crops with another expression.

        Args:
            image: (N, 3, 256, 256) float32, RGB in [-1, 1], on the system's device.
            expression: (N,) int64, index into `exprgan.expressions.EXPRESSIONS`.
            strength: (N,) float32 in [0, 1].

        Returns:
            (N, 3, 256, 256) float32, RGB in [-1, 1].
        """
        ...


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
        """What is added to crops (N, 3, H, W); arguments as for `System`."""
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


class PixelSystem:
    """A `System` whose generator puts out pictures."""

    def __init__(self, name: str, description: dict[str, Any], edits: PixelEdits) -> None:
        self.name, self.description, self.edits = name, description, edits

    @torch.inference_mode()
    def __call__(self, image: Tensor, expression: Tensor, strength: Tensor) -> Tensor:
        return (image + self.edits.change(image, expression, strength)).clamp(-1, 1)


class UnifiedSystem:
    """The generator of edits with its segmenter, a `System`."""

    def __init__(
        self, name: str, description: dict[str, Any], generator: nn.Module, segmenter: nn.Module
    ) -> None:
        self.name, self.description = name, description
        self.generator, self.segmenter = generator, segmenter

    @torch.inference_mode()
    def __call__(self, image: Tensor, expression: Tensor, strength: Tensor) -> Tensor:
        regions = region_masks(self.segmenter(image))
        return apply_maps(image, self.generator(image, regions, expression, strength)).clamp(-1, 1)


def load_system(
    source: str | Path | NetworkFiles, *, weights: Path | str | None = None, device: str = "cpu"
) -> PixelSystem | UnifiedSystem:
    """A trained generator by name or folder.

    Args:
        source: As for `exprgan.weights.find`, or what it has found.
        weights: Folder of weights, of the system and of its segmenter; None finds it as `find_weights_dir` does.
        device: auto, cpu, cuda, cuda:1 ... or mps.

    Raises:
        UsageError: The name is unknown, or what it names is a network of another kind.
        WeightsError: Weights are missing, not the recorded ones or do not fit.
        DeviceError: The device is not there.
    """
    files = source if isinstance(source, NetworkFiles) else find_system(source, weights)
    device = resolve_device(device)
    generator, segmenter = load_parts(files, device)
    if isinstance(generator, PixelEdits):
        return PixelSystem(files.name, files.config, generator)
    return UnifiedSystem(files.name, files.config, generator, segmenter or segmenter_of(files).load(device))


def load_parts(files: NetworkFiles, device: str = "cpu") -> tuple[nn.Module, nn.Module | None]:
    """A system's generator, `EditMaps` of (image, regions, expression, strength), and its own segmenter, if any.

    Raises:
        WeightsError: The weights are not the recorded ones or do not fit the network.
    """
    network = files.load(device)
    if files.architecture in PIXEL_SYSTEMS:
        return PixelEdits(network, files.config["image_size"]).eval(), None
    if isinstance(network, UnifiedEndToEnd):
        return network.generator, network.segmenter
    return network, None


def segmenter_of(files: NetworkFiles) -> NetworkFiles:
    """The segmenter that goes with a system, or the first that its folder of weights has.

    Raises:
        WeightsError: There is none.
    """
    return find_segmenter(files.weights, files.config.get("segmenter"))
