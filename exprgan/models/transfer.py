"""Expression transfer between two photographs of different people, without labels at test time.

Seed: Shao, Zhu, Tang, Lu and Ma, "Explicit Facial Expression Transfer via Fine-Grained Representations", arXiv
1909.02967, IEEE TIP 2021. Only its abstracts were at hand. Found there: an image is taken apart into an AU-related
and an AU-free feature, the AU-free one of a face with the AU-related one of another gives the first face with the
second one's expression; the AU-free feature learns against a multi-class adversary; a discriminator compares swapped
with self-reconstructed images.

Reconstructed, with ADLD (an AU detection paper of the same first author, whose code is public) as the nearest
evidence: a shared stem, two branches of four 3x3 convolutions with instance normalisation, PReLU and tanh on maps at a
quarter of the resolution, a decoder of concatenated features with two up-samplings and tanh, one K-way head for each
action unit on either feature. That is `decoder="pixels"`.

Ours, and the default: `decoder="edit"` puts out an edit in place of pixels, displacement, shading and the mouth's
interior as in `exprgan.models.unified`, so that the target keeps its own pixels and its own resolution. Its AU-related
feature is narrowed to a vector, since maps would carry the shape of the source's face along. It must know where the
target's lips and lids are now, so it also sees the target's stem features and the target's own code. The heads of all
units share their trunk, where ADLD has one trunk a unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.action_units import ACTION_UNITS
from exprgan.face_parts import CROP_PX, WINDOW
from exprgan.models import mouth_interior
from exprgan.models.unified import (
    MASK_FULL_FROM,
    MAX_FLOW_PX,
    MAX_LIGHT,
    MAX_SHADE,
    Branch,
    EditMaps,
    MouthChart,
    double,
    shaded_warp,
)

DECODERS = ("edit", "pixels")
EDIT_CHANNELS = 11
"""Displacement 2, shading 3, cover of the mouth's interior 1, place 2 and light 3 of that interior."""


class Features(NamedTuple):
    """What the encoder makes of what it sees, images (N, 3, V, V).

    stem (N, C, V/4, V/4): shared features. free (N, C, V/4, V/4): AU-free feature, in [-1, 1].
    related: AU-related feature, a code (N, D) of mean 0 and variance 1 or maps (N, C, V/4, V/4) in [-1, 1].
    """

    stem: Tensor
    free: Tensor
    related: Tensor


class HalfEdit(NamedTuple):
    """An edit at the network's own resolution, float32 (N, C, V, V); see `EditMaps` for the units.

    flow_px is in pixels of a crop of `CROP_PX`, twice as wide as an image of 128.
    """

    flow_px: Tensor
    shade: Tensor
    mask: Tensor
    interior: Tensor


def conv_norm_prelu(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, instance norm with weights, PReLU."""
    padding = (kernel - 1) // 2
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False),
        nn.InstanceNorm2d(out_channels, affine=True),
        nn.PReLU(out_channels),
    )


class UnitHead(nn.Module):
    """Levels of all action units from an AU-related feature.

    Args:
        channels: Width of the feature.
        is_code: The feature is a vector, not maps.
        num_units: Action units A.
        num_levels: Levels K of each.
    """

    def __init__(self, channels: int, *, is_code: bool, num_units: int, num_levels: int) -> None:
        super().__init__()
        self.num_levels = num_levels
        if is_code:
            self.trunk = nn.Sequential(nn.Linear(channels, 128), nn.PReLU(128))
        else:
            self.trunk = nn.Sequential(
                conv_norm_prelu(channels, 64, stride=2),
                conv_norm_prelu(64, 128, stride=2),
                nn.AdaptiveAvgPool2d(2),
                nn.Flatten(),
                nn.Linear(512, 128),
                nn.PReLU(128),
            )
        self.heads = nn.Linear(128, num_units * num_levels)

    def forward(self, related: Tensor) -> Tensor:
        """Logits (N, A, K)."""
        return self.heads(self.trunk(related)).unflatten(1, (-1, self.num_levels))


class CodeBranch(nn.Module):
    """AU-related branch that ends in a vector; expects maps of `size` x `size`, a multiple of 8."""

    def __init__(self, channels: int, size: int, code_channels: int) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            conv_norm_prelu(channels, channels),
            conv_norm_prelu(channels, channels * 3 // 2, stride=2),
            conv_norm_prelu(channels * 3 // 2, 2 * channels, stride=2),
            nn.Conv2d(2 * channels, 2 * channels, 3, 2, 1),
            nn.PReLU(2 * channels),
        )
        self.code = nn.Linear(2 * channels * (size // 8) ** 2, code_channels)
        # of one length for all: tanh, as at the end of the branches of maps, soon saturates here and learns no more
        self.norm = nn.LayerNorm(code_channels, elementwise_affine=False)

    def forward(self, stem: Tensor) -> Tensor:
        code: Tensor = self.norm(self.code(self.maps(stem).flatten(1)))
        return code


class PixelDecoder(nn.Module):
    """AU-free and AU-related feature to an image: convolutions, two up-samplings, tanh."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            conv_norm_prelu(2 * channels, 2 * channels),
            conv_norm_prelu(2 * channels, 2 * channels),
            conv_norm_prelu(2 * channels, channels),
            nn.Upsample(scale_factor=2.0, mode="nearest"),
            conv_norm_prelu(channels, channels // 2),
            nn.Upsample(scale_factor=2.0, mode="nearest"),
            conv_norm_prelu(channels // 2, max(16, channels // 4)),
            nn.Conv2d(max(16, channels // 4), 3, 3, 1, 1),
            nn.Tanh(),
        )

    def forward(self, features: Tensor) -> Tensor:
        image: Tensor = self.layers(features)
        return image


class TransferNet(nn.Module):
    """Encoder, unit head and decoder; see the module's head for what is the paper's.

    With an edit decoder only the part of an image is seen, and edited, that `WINDOW` of `exprgan.models.unified` cuts
    out of it: V = 3/4 S. Otherwise V = S.

    Args:
        image_size: Height and width S of the images.
        channels: Width of the stem's and the branches' maps.
        depth: Convolutions of a branch of maps.
        decoder: 'edit', with a code for AU-related feature, or 'pixels', with maps.
        code_channels: Length of the code.
        decoder_widths: Of the edit decoder at 1/4, 1/8, 1/16 ... of the resolution.
        num_levels: Levels K of each action unit.

    Raises:
        ValueError: The decoder is unknown, or its window is no multiple of 32 px.
    """

    def __init__(
        self,
        *,
        image_size: int = 128,
        channels: int = 64,
        depth: int = 4,
        decoder: str = "edit",
        code_channels: int = 64,
        decoder_widths: Sequence[int] = (64, 128, 128, 128),
        num_levels: int = 4,
    ) -> None:
        super().__init__()
        if decoder not in DECODERS:
            raise ValueError(f"decoder is {decoder!r}; choose from {', '.join(DECODERS)}.")
        self.image_size, self.num_levels = image_size, num_levels
        top, left, height, width = (length * image_size // CROP_PX for length in WINDOW)
        self.seen = (top, left, height, width) if decoder == "edit" else (0, 0, image_size, image_size)
        if self.seen[2] % 32:
            raise ValueError(
                f"of {image_size} px, {self.seen[2]} are seen, no multiple of 32; take 128 or 256."
            )
        self.stem = nn.Sequential(
            conv_norm_prelu(3, channels // 2, 4, 2), conv_norm_prelu(channels // 2, channels, 4, 2)
        )
        self.free_branch = self._maps_branch(channels, depth)
        is_code = decoder == "edit"
        self.related_branch: nn.Module = (
            CodeBranch(channels, self.seen[2] // 4, code_channels)
            if is_code
            else self._maps_branch(channels, depth)
        )
        related_channels = code_channels if is_code else channels
        self.unit_head = UnitHead(
            related_channels, is_code=is_code, num_units=len(ACTION_UNITS), num_levels=num_levels
        )
        self.chart = MouthChart() if is_code else None
        self.decoder: nn.Module
        if is_code:
            self.condition = nn.Sequential(nn.Linear(2 * code_channels, 128), nn.SiLU())
            self.decoder = Branch(
                in_channels=2 * channels,
                widths=decoder_widths,
                condition_width=128,
                out_channels=16 * EDIT_CHANNELS,
            )
        else:
            self.decoder = PixelDecoder(channels)

    @staticmethod
    def _maps_branch(channels: int, depth: int) -> nn.Sequential:
        return nn.Sequential(*[conv_norm_prelu(channels, channels) for _ in range(depth)], nn.Tanh())

    def window(self, image: Tensor) -> Tensor:
        """What the network sees (N, C, V, V) of images (N, C, S, S)."""
        top, left, height, width = self.seen
        return image[..., top : top + height, left : left + width]

    def encode(self, image: Tensor) -> Features:
        """Features of what is seen of images (N, 3, V, V), RGB in [-1, 1]."""
        stem = self.stem(image)
        return Features(stem, self.free_branch(stem), self.related_branch(stem))

    def unit_logits(self, related: Tensor) -> Tensor:
        """Logits (N, A, K) of the levels of `ACTION_UNITS`, from an AU-related feature."""
        logits: Tensor = self.unit_head(related)
        return logits

    def decode(
        self, target: Features, related: Tensor, image: Tensor, strength: Tensor | None = None
    ) -> Tensor:
        """The target's face with another AU-related feature.

        Args:
            target: Features of the target's image.
            related: AU-related feature to give it.
            image: What is seen of the target (N, 3, V, V); only an edit decoder uses its pixels.
            strength: (N,) in [0, 1], how far to go from the target's own feature to the other; None goes all the way.

        Returns:
            (N, 3, V, V) float32, RGB in [-1, 1], of an edit decoder slightly beyond.
        """
        if self.chart is None:
            related = self._between(target.related, related, strength)
            picture: Tensor = self.decoder(torch.cat([target.free, related], dim=1))
            return picture.float()
        return self.edited(image, self.decode_edit(target, related, strength))

    def decode_edit(self, target: Features, related: Tensor, strength: Tensor | None = None) -> HalfEdit:
        """The edit that gives the target another AU-related code; arguments as for `decode`.

        At strength 0 it is exactly nothing.
        """
        related = self._between(target.related, related, strength)
        condition = self.condition(torch.cat([related, target.related], dim=1))
        cells = self.decoder(torch.cat([target.stem, target.free], dim=1), condition)
        maps = F.pixel_shuffle(cells.float(), 4)
        flow = MAX_FLOW_PX * torch.tanh(maps[:, :2] * (10 / MAX_FLOW_PX))
        shade = MAX_SHADE * torch.tanh(maps[:, 2:5] / MAX_SHADE)
        mask = torch.sigmoid(maps[:, 5:6] * 4 - 3)
        if strength is not None:
            present = (strength.float() / MASK_FULL_FROM).clamp(max=1)[:, None, None, None]
            flow, shade, mask = flow * present, shade * present, mask * present
        place = torch.cat([maps[:, 6:7] * 2, maps[:, 7:8] * 2 + mouth_interior.UPPER_EDGE_CM], dim=1)
        light = MAX_LIGHT * torch.tanh(maps[:, 8:] / MAX_LIGHT)
        return HalfEdit(flow, shade, mask, torch.cat([place, light], dim=1))

    @staticmethod
    def _between(own: Tensor, other: Tensor, strength: Tensor | None) -> Tensor:
        if strength is None:
            return other
        share = strength.to(other.dtype).view(-1, *[1] * (other.ndim - 1))
        return own + share * (other - own)

    def edited(self, image: Tensor, edit: HalfEdit) -> Tensor:
        """Images (N, 3, V, V), or (N, 3, S, S) with an edit as large, after an edit; float32."""
        assert self.chart is not None
        shaded = shaded_warp(image.float(), edit.flow_px * (self.image_size / CROP_PX), edit.shade)
        return shaded + edit.mask * (self.chart(edit.interior) - shaded)

    def _padded(self, edit: HalfEdit) -> HalfEdit:
        """The edit of a whole image (N, C, S, S): nothing outside the window."""
        top, left, height, width = self.seen
        margins = (left, self.image_size - left - width, top, self.image_size - top - height)
        return HalfEdit(*[F.pad(part, margins) for part in edit])

    def maps(self, target: Features, related: Tensor, strength: Tensor | None = None) -> EditMaps:
        """The edit at the resolution of a crop of twice the size, 256 px for images of 128.

        Args: as for `decode`.

        Raises:
            TypeError: The network puts out pixels.
        """
        if self.chart is None:
            raise TypeError("A network that puts out pixels makes no edit; call it instead.")
        half = self._padded(self.decode_edit(target, related, strength))
        flow, shade, mask, interior = (double(part) for part in half)
        return EditMaps(flow, shade, self.chart(interior), mask, interior)

    def forward(self, source: Tensor, target: Tensor, strength: Tensor | None = None) -> Tensor:
        """The source's expression on the target's face.

        Args:
            source: (N, 3, S, S) float32, RGB in [-1, 1], aligned crops of who shows the expression.
            target: (N, 3, S, S), who is to show it.
            strength: (N,) in [0, 1]; None is 1.

        Returns:
            (N, 3, S, S) float32, RGB in [-1, 1].
        """
        own = self.encode(self.window(target))
        related = self.encode(self.window(source)).related
        if self.chart is None:
            return self.decode(own, related, target, strength).clamp(-1, 1)
        edit = self._padded(self.decode_edit(own, related, strength))
        return self.edited(target, edit).clamp(-1, 1)


class FeatureCritic(nn.Module):
    """The multi-class adversary: levels of all action units from the AU-free feature (as ADLD's, with K-way heads).

    Args:
        channels: Width of the feature.
        size: Its height and width.
        num_levels: Levels K.
    """

    def __init__(self, *, channels: int = 64, size: int = 32, num_levels: int = 4) -> None:
        super().__init__()
        self.num_levels = num_levels
        self.layers = nn.Sequential(
            conv_norm_prelu(channels, 64, 4, 2),
            conv_norm_prelu(64, 64, 4, 2),
            conv_norm_prelu(64, 128, 4, 2),
            nn.Conv2d(128, 128, size // 8),
            nn.PReLU(128),
            nn.Conv2d(128, len(ACTION_UNITS) * num_levels, 1),
            nn.Flatten(),
        )

    def forward(self, free: Tensor) -> Tensor:
        """Logits (N, A, K)."""
        logits: Tensor = self.layers(free).unflatten(1, (-1, self.num_levels))
        return logits


class SwapCritic(nn.Module):
    """Patches of self-reconstructed images (towards 1) and of swapped ones (towards 0)."""

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for in_channels, out_channels in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(in_channels, out_channels, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(4 * width, 1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """Realness (N, 1, S/8, S/8) of images (N, 3, S, S)."""
        realness: Tensor = self.layers(image)
        return realness
