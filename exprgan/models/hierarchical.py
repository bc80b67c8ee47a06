"""The unified system in the paper's form: global and local generators of pictures, joined by soft region masks.

Bodur, Bhattarai and Kim, "Unified Segmentation and Hierarchical GANs", arXiv 2112.04603. The full text was not at hand:
this is a reconstruction from its abstract. Found there: a global network on the whole image, local ones on parts; the
segmenter conditions the generative model; gradients of the GANs go back into the segmenter. Reconstructed, and
switchable where several forms are likely: StarGAN's encoder-decoder for every generator, three regions (eyes with
brows, nose, mouth), masks that multiply the full frame, the two fusions. Ours alone: the dilation of the masks, which
are those of the source and would else forbid a mouth to open. `exprgan.models.unified` is the form of our own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.face_parts import CROP_PX, REGIONS
from exprgan.models.segmenters import MASKS, SEGMENTERS, boxes_of, region_masks
from exprgan.models.stargan import StarGAN, conv_norm_relu

FUSIONS = ("composite", "conv")


class HierarchicalGenerator(nn.Module):
    """Segmenter, global and local generators and their fusion.

    Args:
        segmenter: unet or bisenet.
        segmenter_arguments: Of that network, where they are not its defaults.
        num_classes: Expressions.
        width: Channels of the global generator at full resolution.
        local_width: The same of each local generator; 0 leaves the local generators out.
        num_blocks: Residual blocks of the global generator; the local ones have a third of them.
        fusion: composite, y = sum_r M_r y_r + (1 - sum_r M_r) y_g; or conv, y = F([y_g, M_r y_r ...]), two
            convolutions.
        masks: soft, dilated sums of class probabilities; hard, arg-max of the same; box, the upright boxes around
            the hard masks. Hard masks and boxes let no gradient through: they are there for the ablation.
        dilation_px: How far masks reach beyond their regions, in pixels of the generators' pictures.
        label_map: See `exprgan.models.stargan.with_expression`.
        attention: Whether each generator has GANimation's attention, y = (1 - A) x + A C.
    """

    def __init__(
        self,
        *,
        segmenter: str = "unet",
        segmenter_arguments: Mapping[str, Any] | None = None,
        num_classes: int = 8,
        width: int = 64,
        local_width: int = 32,
        num_blocks: int = 6,
        fusion: str = "composite",
        masks: str = "soft",
        dilation_px: int = 6,
        attention: bool = False,
        label_map: str = "tiled",
    ) -> None:
        super().__init__()
        for name, value, known in (
            ("segmenter", segmenter, SEGMENTERS),
            ("fusion", fusion, FUSIONS),
            ("masks", masks, MASKS),
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}; choose from {', '.join(known)}.")
        self.fusion, self.masks, self.dilation_px = fusion, masks, dilation_px
        self.segmenter = SEGMENTERS[segmenter](**(segmenter_arguments or {}))
        shared: dict[str, Any] = {"num_classes": num_classes, "attention": attention, "label_map": label_map}
        self.global_generator = StarGAN(width=width, num_blocks=num_blocks, **shared)
        self.local_generators = nn.ModuleDict(
            {
                region: StarGAN(width=local_width, num_blocks=max(1, num_blocks // 3), **shared)
                for region in (REGIONS if local_width else ())
            }
        )
        self.fuse: nn.Module | None = None
        if fusion == "conv" and local_width:
            channels = 3 * (1 + len(REGIONS))
            self.fuse = nn.Sequential(
                conv_norm_relu(channels, 32, 3, 1), nn.Conv2d(32, 3, 3, 1, 1, bias=False), nn.Tanh()
            )

    def region_masks(self, image: Tensor) -> Tensor:
        """Masks (N, 3, H, W) in [0, 1] of the regions of `REGIONS` in images (N, 3, H, W), dilated."""
        pictures = F.interpolate(image, (CROP_PX, CROP_PX), mode="bilinear", align_corners=False)
        # averaged before the softmax, which would else be half of the cost
        logits = F.adaptive_avg_pool2d(self.segmenter(pictures), (image.shape[-2], image.shape[-1]))
        if self.masks != "soft":
            best = logits.detach().argmax(dim=1)
            logits = 1e3 * F.one_hot(best, logits.shape[1]).permute(0, 3, 1, 2).to(logits.dtype)
        masks = region_masks(logits)
        if self.masks == "box":
            masks = boxes_of(masks)
        if self.dilation_px:
            masks = F.max_pool2d(masks, 2 * self.dilation_px + 1, 1, self.dilation_px)
        return masks

    def forward(self, image: Tensor, expression: Tensor) -> Tensor:
        """Faces with another expression.

        Args:
            image: (N, 3, H, W) float32, RGB in [-1, 1], aligned crops, made for 128 px.
            expression: (N,) int64, class index.

        Returns:
            (N, 3, H, W) float32, RGB in [-1, 1].
        """
        return self.generate(image, expression, self.region_masks(image))

    def reach(self, masks: Tensor) -> Tensor:
        """Where each region's generator acts: inside the masks as they are."""
        return masks

    def generate(self, image: Tensor, expression: Tensor, masks: Tensor) -> Tensor:
        """The same with the masks (N, 3, H, W) of `region_masks`, through which the losses reach the segmenter."""
        whole: Tensor = self.global_generator(image, expression)
        if not self.local_generators:
            return whole
        parts = [
            generator(masks[:, place : place + 1] * image, expression)
            for place, generator in enumerate(self.local_generators.values())
        ]
        shown = [masks[:, place : place + 1] * part for place, part in enumerate(parts)]
        if self.fuse is not None:
            joined: Tensor = self.fuse(torch.cat([whole, *shown], dim=1))
            return joined
        total = masks.sum(dim=1, keepdim=True)
        over = total.clamp(min=1)  # dilated masks may overlap: there they share
        return _add(shown) / over + (1 - total / over) * whole


def _add(parts: Sequence[Tensor]) -> Tensor:
    return torch.stack(tuple(parts)).sum(dim=0)
