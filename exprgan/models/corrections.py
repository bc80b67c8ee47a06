"""The generator on the face model's prior: it puts out what geometry got wrong or cannot know.

Form as in `exprgan.models.unified` (arXiv 2112.04603, reconstructed): a global branch on the whole face and local ones
on eyes, nose and mouth, conditioned by soft masks. Ours: the branches see the prior of an edit
(`exprgan.face_model.prior`) beside the crop, and put out corrections on it, a displacement, a shading factor, how deep
the folds are and a factor on the light in an opened mouth. They start at none, so an untrained generator edits as the
prior alone does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.face_parts import DENTITIONS, REGIONS, WINDOW
from exprgan.models.segmenters import MASKS, SEGMENTERS, in_form, region_masks
from exprgan.models.unified import Branch, MouthChart, double, reach_of, warp

MAX_FLOW_PX = 8.0
"""Limit of a correction of the displacement in px of a 256-px crop; landmarks are off by 1 to 3."""
MAX_SHADE = 0.6
MAX_LIGHT = 1.0
"""Limits of the natural logs of shading and of light."""
SHADOW_TINT_RGB = (0.72, 1.04, 1.12)
"""As `exprgan.edit.blend.SHADOW_TINT_RGB`: folds lose and gain less red."""
FLOW_SCALE = 0.1
"""Flows go into the network in units of 10 px."""


class PriorMaps(NamedTuple):
    """Priors of a batch of edits as maps (N, C, H, W) float32; `Prior.maps` gives those of one.

    flow_px (2): backward displacement of skin and surroundings in px of the crop. folds (1): natural log of the
    luminance's ratio. cut_flow_px (2), cut_cover (1), cut_shade (1): openings that show the photo by a flow of their
    own, eyes and a mouth that was open. interior (5), cover (1): inside of a mouth that opens, place on the chart in
    cm and log of the light, and its soft mask.
    """

    flow_px: Tensor
    folds: Tensor
    cut_flow_px: Tensor
    cut_cover: Tensor
    cut_shade: Tensor
    interior: Tensor
    cover: Tensor


class Corrections(NamedTuple):
    """What is added to the prior: flow_px (N, 2, H, W), log shade and log light (N, 3, H, W), deepening (N, 1, H, W).

    Folds are 1 + deepening times as deep, which is -1 to 1.
    """

    flow_px: Tensor
    shade: Tensor
    light: Tensor
    deepening: Tensor

    def without_motion(self) -> Corrections:
        """The same, without gradients to the displacement."""
        return self._replace(flow_px=self.flow_px.detach())


def nothing_of(image: Tensor) -> Corrections:
    """No corrections for pictures (N, 3, H, W)."""
    return Corrections(*(torch.zeros_like(image[:, :count]) for count in (2, 3, 3, 1)))


def compose(image: Tensor, prior: PriorMaps, change: Corrections, chart: MouthChart) -> Tensor:
    """The edited pictures (N, 3, H, W), RGB in [-1, 1] or slightly beyond, as the editor's blend makes them."""
    skin = (warp(image, prior.flow_px + change.flow_px) + 1) * torch.exp(change.shade)
    skin = skin * _fold_gain(skin, prior.folds * (1 + change.deepening)) - 1
    shown = (warp(image, prior.cut_flow_px + change.flow_px) + 1) * torch.exp(prior.cut_shade) - 1
    edited = skin + prior.cut_cover * (shown - skin)
    inside = chart(torch.cat([prior.interior[:, :2], prior.interior[:, 2:] + change.light], dim=1))
    return edited + prior.cover * (inside - edited)


def _fold_gain(colours: Tensor, folds: Tensor) -> Tensor:
    """Factors (N, 3, H, W) of folds on colours in [0, 2]: brightening held back near white, both tinted."""
    brightest = (colours.detach().amax(dim=1, keepdim=True) * 127.5).clamp(min=1)
    headroom = ((brightest + 0.45 * (250 - brightest).clamp(min=0)) / brightest).clamp(min=1)
    ratio = torch.minimum(folds, headroom.log())
    tint = torch.tensor(SHADOW_TINT_RGB, device=folds.device)[None, :, None, None]
    return torch.exp(ratio * tint)


class CorrectionGenerator(nn.Module):
    """Global and local generators of corrections on a prior; see the module's head.

    Args:
        global_widths: Channels of the global branch at 1/4, 1/8, 1/16 ... of the resolution.
        local_widths: The same of each local branch; empty leaves the local branches out.
        num_coefficients: Length of the vector that says what is asked for (`exprgan.face_model.amounts.vector`).
        region_dilation_px: How far the masks reach beyond their regions.
        masks: soft, hard or box, the form that region masks are brought into.
    """

    def __init__(
        self,
        *,
        global_widths: Sequence[int] = (32, 128, 128, 128),
        local_widths: Sequence[int] = (32, 64),
        num_coefficients: int = 109,
        region_dilation_px: int = 12,
        masks: str = "soft",
    ) -> None:
        super().__init__()
        if masks not in MASKS:
            raise ValueError(f"masks is {masks!r}; choose from {', '.join(MASKS)}.")
        self.masks = masks
        self.num_coefficients, self.region_dilation_px = num_coefficients, region_dilation_px
        width = 64
        self.condition = nn.Sequential(
            nn.Linear(num_coefficients, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.chart = MouthChart(DENTITIONS)
        # crop, its edit by the prior alone, and the prior's maps but for the place on the chart
        seen = 3 + 3 + 2 + 1 + 2 + 1 + 1
        sizes = {"condition_width": width, "out_channels": 4 * 6 + 3}
        self.global_branch = Branch(in_channels=16 * (seen + len(REGIONS)), widths=global_widths, **sizes)
        names = REGIONS if local_widths else ()
        self.local_branches = nn.ModuleDict(
            {name: Branch(in_channels=16 * (seen + 1), widths=local_widths, **sizes) for name in names}
        )
        for name, weight in self.named_parameters():
            if name.endswith("head.weight"):
                nn.init.zeros_(weight)  # the heads' bias is 0 already

    def forward(
        self, image: Tensor, regions: Tensor, prior: PriorMaps, coefficients: Tensor, extent: Tensor
    ) -> Corrections:
        """Corrections of the size of the crop, 0 outside `WINDOW`.

        Args:
            image: (N, 3, 256, 256) float32, RGB in [-1, 1], aligned crops.
            regions: (N, 3, 256, 256) float32 in [0, 1], soft masks in the order of `REGIONS`.
            prior: The edits' priors, in the frame of the crops.
            coefficients: (N, num_coefficients) float32, what is asked for.
            extent: (N,) float32 in [0, 1], how much; 0 gives no correction.
        """
        top, left, height, width = WINDOW
        window = (..., slice(top, top + height), slice(left, left + width))
        inside = PriorMaps(*(part[window] for part in prior))
        change = self.correct_window(image[window], regions[window], inside, coefficients, extent)
        margins = (left, image.shape[-1] - left - width, top, image.shape[-2] - top - height)
        return Corrections(*(F.pad(part, margins) for part in change))

    def correct_window(
        self, image: Tensor, regions: Tensor, prior: PriorMaps, coefficients: Tensor, extent: Tensor
    ) -> Corrections:
        """Corrections of what `WINDOW` cuts out of crops; arguments as for `forward`."""
        condition, regions = self.condition(coefficients), in_form(regions, self.masks)
        with torch.no_grad():
            drawn = compose(image, prior, nothing_of(image), self.chart)
        flows = (prior.flow_px * FLOW_SCALE, prior.folds, prior.cut_flow_px * FLOW_SCALE)
        seen = torch.cat([image, drawn, *flows, prior.cut_cover, prior.cover], dim=1)
        if torch.is_autocast_enabled(image.device.type):
            dtype = torch.get_autocast_dtype(image.device.type)
            seen, regions = seen.to(dtype), regions.to(dtype)
        cells, masks = F.pixel_unshuffle(seen, 4), F.pixel_unshuffle(regions, 4)
        out = self.global_branch(torch.cat([cells, masks], dim=1), condition)
        reach = reach_of(regions, self.region_dilation_px)
        for place, branch in enumerate(self.local_branches.values()):
            region, own_mask = reach[:, place : place + 1], masks[:, 16 * place : 16 * (place + 1)]
            out = out + region * branch(torch.cat([cells * region, own_mask], dim=1), condition)
        amount = extent.float()[:, None, None, None]
        maps = double(F.pixel_shuffle(out[:, :24].float(), 2)) * amount
        light = F.interpolate(out[:, 24:].float(), scale_factor=4.0, mode="bilinear") * amount
        grey = light.mean(dim=1, keepdim=True)  # what tint teeth have is measured, not learned
        return Corrections(
            MAX_FLOW_PX * torch.tanh(maps[:, :2] * (4 / MAX_FLOW_PX)),
            MAX_SHADE * torch.tanh(maps[:, 2:5] / MAX_SHADE),
            (MAX_LIGHT * torch.tanh(grey / MAX_LIGHT)).expand_as(light),
            torch.tanh(maps[:, 5:]),
        )


class CorrectionsEndToEnd(nn.Module):
    """Segmenter and generator of corrections as one network, so that losses of the edited picture reach the segmenter.

    The statistics of the segmenter's batch normalisation stay as they are: edited pictures are no sample of its own.

    Args:
        segmenter: unet or bisenet.
        segmenter_arguments: Of that network, where they are not its defaults.
        generator: Arguments of `CorrectionGenerator`.
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
        self.generator = CorrectionGenerator(**(generator or {}))

    @property
    def chart(self) -> MouthChart:
        """The generator's chart of the mouth."""
        return self.generator.chart

    def train(self, mode: bool = True) -> CorrectionsEndToEnd:
        """Training mode for all but the segmenter."""
        super().train(mode)
        self.segmenter.eval()
        return self

    def correct_window(
        self, image: Tensor, logits: Tensor, prior: PriorMaps, coefficients: Tensor, extent: Tensor
    ) -> Corrections:
        """As `CorrectionGenerator.correct_window`, with the segmenter's logits (N, 19, H, W) of the same window."""
        return self.generator.correct_window(image, region_masks(logits), prior, coefficients, extent)
