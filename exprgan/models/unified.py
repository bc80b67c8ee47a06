"""The unified generator: soft segmentation masks condition local generators beside a global one.

Seed: Bodur, Bhattarai and Kim, "Unified Segmentation and Hierarchical GANs", arXiv 2112.04603. The full text
was not at hand, so this is a reconstruction: a global generator on the whole face and local ones on
M_r * x, r in {eyes with brows, nose, mouth}, where M_r are sums of the segmenter's class probabilities
and so let gradients through.

Ours, beyond the paper: every generator puts out an *edit* instead of a picture. It is a displacement field,
a shading factor, a mask and the paint under the mask,

    y = (1 - mask) * warp(x, flow) * exp(shade) + mask * paint,

so that the edit can be carried back to the photo's own resolution. The paint is the inside of an opened mouth,
given as places on a chart of teeth and tongue (`exprgan.models.mouth_interior`) and the light there, so that teeth are
sharp at any resolution; `interior_head=False` puts out its colours instead. `flow_head=False` gives the paper's
form, y = (1 - mask) * x + mask * paint. Flow, shade and mask are zero at strength 0 by construction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.expressions import EXPRESSIONS
from exprgan.face_parts import DENTITIONS, REGIONS, WINDOW
from exprgan.models import mouth_interior
from exprgan.models.segmenters import SEGMENTERS, region_masks

FUSIONS = ("sum", "composite")
MAX_FLOW_PX = 40.0
"""Limit of the displacement in pixels of a 256-px crop; a jaw drop moves the chin by about 25."""
MAX_SHADE = 0.9
"""Limit of the natural log of the shading factor."""
MAX_LIGHT = 1.5
"""Limit of the natural log of the light on the mouth's interior."""
PAINT_WINDOW = (80, 32, 112, 128)
"""Top, left, height and width of the part of `WINDOW` that may be painted: wherever a mouth can open."""
MASK_FULL_FROM = 0.1
"""Strength from which the mask is no longer held back."""


class EditMaps(NamedTuple):
    """What the generator proposes for a batch of crops, all float32.

    flow_px (N, 2, H, W): backward displacement (x, y) in px of the crop; output (x, y) shows (x, y) + flow.
    shade (N, 3, H, W): natural log of the factor on each warped colour channel.
    paint (N, 3, H, W): colours under the mask, RGB in [-1, 1].
    mask (N, 1, H, W): cover of the paint in [0, 1].
    interior (N, 5, H, W) or None: what the paint was made of, place (x, y) on the chart of
        `exprgan.models.mouth_interior` in cm and natural log of the light on its RGB.
    residual (N, 3, H, W) or None: added to the RGB values in [-1, 1] at the end; of generators that put out
        pictures instead of edits.
    """

    flow_px: Tensor
    shade: Tensor
    paint: Tensor
    mask: Tensor
    interior: Tensor | None = None
    residual: Tensor | None = None


class WindowEdit(NamedTuple):
    """An edit of what `WINDOW` cuts out of crops, at the resolutions at which it is made, float32.

    half (N, 5, H/2, W/2): flow in px of the crop and shade. mask (N, 1, h, w) of `PAINT_WINDOW`. Either
    interior (N, 5, h/2, w/2) or paint (N, 3, h, w) of it; see `EditMaps`.
    """

    half: Tensor
    mask: Tensor
    paint: Tensor | None
    interior: Tensor | None


def warp(image: Tensor, flow_px: Tensor, corner_xy: tuple[float, float] = (0, 0)) -> Tensor:
    """Sample an image at the pixels that a flow (N, 2, h, w) leads to; bilinear, border repeated.

    corner_xy is the place of the flow's first pixel in the image (N, C, H, W).
    """
    height, width = image.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(flow_px.shape[-2], device=image.device, dtype=torch.float32) + corner_xy[1],
        torch.arange(flow_px.shape[-1], device=image.device, dtype=torch.float32) + corner_xy[0],
        indexing="ij",
    )
    grid_x = (x + flow_px[:, 0]) * (2 / (width - 1)) - 1
    grid_y = (y + flow_px[:, 1]) * (2 / (height - 1)) - 1
    grid = torch.stack([grid_x, grid_y], dim=-1)
    return F.grid_sample(image, grid, "bilinear", "border", align_corners=True)


def shaded_warp(
    image: Tensor, flow_px: Tensor, shade: Tensor, corner_xy: tuple[float, float] = (0, 0)
) -> Tensor:
    """Warped and shaded picture, RGB in [-1, 1] or slightly beyond."""
    return (warp(image, flow_px, corner_xy) + 1) * torch.exp(shade) - 1


def apply_maps(image: Tensor, maps: EditMaps) -> Tensor:
    """The edited crop for an image (N, 3, H, W), RGB in [-1, 1]; the result may leave the range slightly."""
    shaded = shaded_warp(image, maps.flow_px, maps.shade)
    edited = shaded + maps.mask * (maps.paint - shaded)
    return edited if maps.residual is None else edited + maps.residual


class MouthChart(nn.Module):
    """Charts of a mouth's interior (`exprgan.models.mouth_interior`) at the resolution of a 256-px crop.

    Args:
        names: Of the sets of teeth; their charts lie one below the other.
    """

    colours: Tensor

    def __init__(self, names: Sequence[str] = DENTITIONS[:1]) -> None:
        super().__init__()
        self.height_cm = mouth_interior.CHART_CM[1] * len(names)
        self.register_buffer("colours", torch.from_numpy(mouth_interior.crop_charts(names)), persistent=False)

    def forward(self, interior: Tensor) -> Tensor:
        """Colours (N, 3, h, w), RGB from -1 to 1 or a little more, of places and light (N, 5, h, w)."""
        x, y = interior[:, 0] * (2 / mouth_interior.CHART_CM[0]), interior[:, 1] * (2 / self.height_cm) - 1
        grid = torch.stack([x, y], dim=-1)
        chart = self.colours.expand(len(interior), -1, -1, -1)
        seen = F.grid_sample(chart, grid, "bilinear", "border", align_corners=False)
        return seen * torch.exp(interior[:, 2:]) * 2 - 1


class Condition(nn.Module):
    """Embeds (expression, strength) as a vector (N, width)."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(len(EXPRESSIONS) * 3, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, expression: Tensor, strength: Tensor) -> Tensor:
        one_hot = F.one_hot(expression, len(EXPRESSIONS)).to(strength.dtype)
        s = strength[:, None]
        return self.layers(torch.cat([one_hot, one_hot * s, one_hot * s * s], dim=1))


class ConditionedBlock(nn.Module):
    """Residual block whose second normalisation is scaled and shifted by the condition (FiLM)."""

    def __init__(self, channels: int, condition_width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.film = nn.Linear(condition_width, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
        h = F.relu(self.norm1(self.conv1(x)), inplace=True)
        h = self.norm2(self.conv2(h))
        return F.relu(torch.addcmul(x + shift, h, 1 + scale), inplace=True)


def double(maps: Tensor) -> Tensor:
    """Maps at twice the resolution."""
    return F.interpolate(maps, scale_factor=2.0, mode="bilinear", align_corners=False)


def _conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class Branch(nn.Module):
    """One encoder-decoder of the hierarchy, with skips; its widest maps stand at a quarter of the resolution.

    Widths in multiples of 32 run several times faster in bfloat16 than others of like size.

    Args:
        in_channels: Channels of the input.
        widths: Channels at 1/4, 1/8, 1/16 ... of the resolution.
        condition_width: Width of the condition vector.
        out_channels: Channels of the output.
    """

    def __init__(
        self, *, in_channels: int, widths: Sequence[int], condition_width: int, out_channels: int
    ) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.enter = _conv(in_channels, widths[0])
        self.encode = nn.ModuleList([ConditionedBlock(w, condition_width) for w in widths[1:]])
        self.down = nn.ModuleList([_conv(a, b, 2) for a, b in pairs])
        self.up = nn.ModuleList([_conv(a + b, a) for a, b in pairs])
        self.decode = nn.ModuleList([ConditionedBlock(w, condition_width) for w in widths[:-1]])
        self.head = nn.Conv2d(widths[0], out_channels, 3, padding=1)
        nn.init.normal_(self.head.weight, std=1e-3)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Output (N, out_channels, H/4, W/4) of an input (N, in_channels, H/4, W/4)."""
        h = self.enter(x)
        skips = []
        for down, block in zip(self.down, self.encode, strict=True):
            skips.append(h)
            h = block(down(h), condition)
        for level in reversed(range(len(self.up))):
            h = F.interpolate(h, scale_factor=2.0, mode="nearest")
            h = self.decode[level](self.up[level](torch.cat([skips[level], h], dim=1)), condition)
        return self.head(h)


def reach_of(regions: Tensor, dilation_px: int) -> Tensor:
    """Region masks (N, R, H, W) at a quarter of the resolution, reaching further and falling off; differentiable."""
    quarter = F.avg_pool2d(regions, 4)
    cells = dilation_px // 4
    if cells:
        quarter = F.max_pool2d(quarter, 2 * cells + 1, 1, cells)
    return F.avg_pool2d(F.pad(quarter, (2, 2, 2, 2), mode="replicate"), 5, 1)


class UnifiedGenerator(nn.Module):
    """Global and local generators of one edit (arXiv 2112.04603, reconstructed; see the module's head).

    Args:
        global_widths: Channels of the global branch at 1/4, 1/8, 1/16 ... of the resolution.
        local_widths: The same of each local branch; empty leaves the local branches out.
        fusion: 'sum' adds each local edit inside its mask to the global one; 'composite' replaces it there.
        flow_head: False leaves out displacement, shading and interior, which gives the paper's form.
        interior_head: False puts out colours as paint instead of places on the mouth's chart.
        region_dilation_px: How far the masks reach beyond their regions, so that a mouth may open.
    """

    def __init__(
        self,
        *,
        global_widths: Sequence[int] = (32, 128, 128, 128),
        local_widths: Sequence[int] = (32, 64),
        fusion: str = "sum",
        flow_head: bool = True,
        interior_head: bool = True,
        region_dilation_px: int = 12,
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"fusion is {fusion!r}; choose from {', '.join(FUSIONS)}.")
        self.fusion, self.flow_head, self.region_dilation_px = fusion, flow_head, region_dilation_px
        condition_width = 64
        self.condition = Condition(condition_width)
        self.chart = MouthChart() if interior_head and flow_head else None
        self.half_channels = 4 * (10 if self.chart else 5) if flow_head else 0
        full_channels = 16 * (1 if self.chart else 4)
        sizes = {"condition_width": condition_width, "out_channels": self.half_channels + full_channels}
        self.global_branch = Branch(in_channels=16 * (3 + len(REGIONS)), widths=global_widths, **sizes)
        names = REGIONS if local_widths else ()
        self.local_branches = nn.ModuleDict(
            {name: Branch(in_channels=16 * 4, widths=local_widths, **sizes) for name in names}
        )

    def forward(self, image: Tensor, regions: Tensor, expression: Tensor, strength: Tensor) -> EditMaps:
        """The edit that gives faces an expression.

        Args:
            image: (N, 3, 256, 256) float32, RGB in [-1, 1], aligned crops.
            regions: (N, 3, 256, 256) float32 in [0, 1], soft masks in the order of `REGIONS`.
            expression: (N,) int64, index into `EXPRESSIONS`.
            strength: (N,) float32 in [0, 1]; 0 gives maps that are exactly 0.

        Returns:
            Maps of the size of the crop, 0 outside `WINDOW`.
        """
        top, left, height, width = WINDOW
        window = (..., slice(top, top + height), slice(left, left + width))
        edit = self.edit_window(image[window], regions[window], expression, strength)
        margins = (left, image.shape[-1] - left - width, top, image.shape[-2] - top - height)
        y, x, rows, columns = PAINT_WINDOW
        inner = (x, width - x - columns, y, height - y - rows)
        paint, interior = edit.paint, None
        if self.chart is not None and edit.interior is not None:
            interior = double(edit.interior)
            paint = self.chart(interior)
            interior = F.pad(F.pad(interior, inner), margins)
        assert paint is not None
        full = F.pad(F.pad(torch.cat([paint, edit.mask], dim=1), inner), margins)
        maps = F.pad(double(edit.half), margins)
        return EditMaps(maps[:, :2], maps[:, 2:], full[:, :3], full[:, 3:], interior)

    def edit_window(self, image: Tensor, regions: Tensor, expression: Tensor, strength: Tensor) -> WindowEdit:
        """The edit of what `WINDOW` cuts out of crops; arguments as for `forward`."""
        condition = self.condition(expression, strength)
        # 4x4 pixels become channels: the branches see every pixel at a quarter of the resolution
        if torch.is_autocast_enabled(image.device.type):
            dtype = torch.get_autocast_dtype(image.device.type)
            image, regions = image.to(dtype), regions.to(dtype)
        pixels, masks = F.pixel_unshuffle(image, 4), F.pixel_unshuffle(regions, 4)
        fused = self.global_branch(torch.cat([pixels, masks], dim=1), condition)
        if self.local_branches:
            reach = reach_of(regions, self.region_dilation_px)
            if self.fusion == "composite":
                fused = fused * (1 - reach.sum(dim=1, keepdim=True).clamp(max=1))
            for place, branch in enumerate(self.local_branches.values()):
                region = reach[:, place : place + 1]
                own_mask = masks[:, 16 * place : 16 * (place + 1)]
                fused = fused + region * branch(torch.cat([pixels * region, own_mask], dim=1), condition)
        s = strength.float()[:, None, None, None]
        top, left, height, width = (length // 4 for length in PAINT_WINDOW)
        inner = (..., slice(top, top + height), slice(left, left + width))
        full = F.pixel_shuffle(fused[:, self.half_channels :][inner].float(), 4)
        mask = torch.sigmoid(full[:, -1:] * 4 - 3) * (s / MASK_FULL_FROM).clamp(max=1)
        half = self._half_maps(fused[:, :20].float(), s)
        if self.chart is None:
            return WindowEdit(half, mask, torch.tanh(full[:, :3]), None)
        cells = F.pixel_shuffle(fused[:, 20 : self.half_channels][inner].float(), 2)
        x, y = cells[:, :1] * 2, cells[:, 1:2] * 2 + mouth_interior.UPPER_EDGE_CM
        light = MAX_LIGHT * torch.tanh(cells[:, 2:] / MAX_LIGHT)
        return WindowEdit(half, mask, None, torch.cat([x, y, light], dim=1))

    def _half_maps(self, cells: Tensor, s: Tensor) -> Tensor:
        """Flow and shade at half of the resolution."""
        if not self.flow_head:
            return cells.new_zeros(len(cells), 5, 2 * cells.shape[2], 2 * cells.shape[3])
        maps = F.pixel_shuffle(cells, 2)
        flow = s * MAX_FLOW_PX * torch.tanh(maps[:, :2] * (10 / MAX_FLOW_PX))
        return torch.cat([flow, s * MAX_SHADE * torch.tanh(maps[:, 2:] / MAX_SHADE)], dim=1)


class UnifiedEndToEnd(nn.Module):
    """Segmenter and generator of edits as one network, so that losses of the edited picture reach the segmenter.

    Args:
        segmenter: unet or bisenet.
        segmenter_arguments: Of that network, where they are not its defaults.
        generator: Arguments of `UnifiedGenerator`.
    """

    def __init__(
        self,
        *,
        segmenter: str = "unet",
        segmenter_arguments: Mapping[str, Any] | None = None,
        generator: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.segmenter = SEGMENTERS[segmenter](**(segmenter_arguments or {}))
        self.generator = UnifiedGenerator(**(generator or {}))

    def region_masks(self, image: Tensor) -> Tensor:
        """Soft masks (N, 3, 256, 256) of the regions of `REGIONS` in crops."""
        return region_masks(self.segmenter(image))

    def reach(self, masks: Tensor) -> Tensor:
        """Where each region's edit may act, for the local discriminators."""
        cells = self.generator.region_dilation_px
        return F.max_pool2d(masks, 2 * cells + 1, 1, cells)

    def generate(self, image: Tensor, expression: Tensor, masks: Tensor) -> Tensor:
        """Edited crops at full strength, as `forward`, with masks that are at hand."""
        maps = self.generator(image, masks, expression, image.new_ones(len(image), dtype=torch.float32))
        return apply_maps(image, maps)

    def forward(self, image: Tensor, expression: Tensor) -> Tensor:
        """Crops (N, 3, 256, 256), RGB in [-1, 1], with the expressions (N,); may leave the range slightly."""
        return self.generate(image, expression, self.region_masks(image))
