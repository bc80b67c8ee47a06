"""UNet and BiSeNet for face regions, in the 19 classes of CelebAMask-HQ, and soft region masks of them.

Re-implemented from public facts, no code copied:
- UNet: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; block order and widths (16..256) as in
  CelebAMask-HQ's face_parsing. Ours enters and leaves by 2x2 patches (strided
  convolution in, pixel shuffle out), which quarters the cost and keeps the full resolution.
- BiSeNet: Yu et al. 2018, https://arxiv.org/abs/1808.00897; without the separate spatial path, as in the
  widely used face-parsing variant. That variant takes 512 px; ours takes 256 px and leaves out the
  stem's max-pool, so that every stage sees the same grid (64, 32, 16 cells a side), and is narrower.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.face_parts import FACE_CLASSES, REGION_CLASSES, REGIONS, class_ids

FACE_REACH_PX = 12
MASKS = ("soft", "hard", "box")
"""Forms of region masks; hard masks and boxes let no gradient through: they are there for ablations."""
_CELL_PX = 4  # the face's soft mask is made of cells of this size


class Normalise(nn.Module):
    """From [-1, 1] RGB to zero mean and unit deviation by ImageNet's statistics, which travel as buffers."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        self.register_buffer("mean", (2 * mean - 1).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", (2 * std).view(1, 3, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def conv_bn_relu(in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias, batch norm, ReLU; odd kernels keep the size at stride 1."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _double_conv(in_channels: int, out_channels: int, patch: int = 1) -> nn.Sequential:
    """Two 3x3 convolutions, the first of them over cells of patch x patch pixels."""
    first = conv_bn_relu(in_channels, out_channels)
    if patch > 1:
        first[0] = nn.Conv2d(in_channels, out_channels, 3 * patch, patch, patch, bias=False)
    return nn.Sequential(first, conv_bn_relu(out_channels, out_channels))


def _initialise(network: nn.Module) -> None:
    """He initialisation of convolutions; the last layers start near uniform class odds."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class UNet(nn.Module):
    """Five levels of double 3x3 convolutions, four max-pools, deconvolutions with skips, 1x1 to classes.

    Args:
        num_classes: Channels of the logits.
        width: Channels of the first level; each level below has twice as many.
        patch: Side in pixels of the first level's cells; 1 is the textbook network.
    """

    def __init__(self, *, num_classes: int = 19, width: int = 16, patch: int = 2) -> None:
        super().__init__()
        channels = [width * 2**level for level in range(5)]
        self.patch = patch
        self.normalise = Normalise()
        self.down = nn.ModuleList([_double_conv(3, width, patch)])
        self.down.extend(_double_conv(c, 2 * c) for c in channels[:-1])
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * c, c, kernel_size=2, stride=2) for c in reversed(channels[:-1])
        )
        self.merge = nn.ModuleList(_double_conv(2 * c, c) for c in reversed(channels[:-1]))
        self.head = nn.Conv2d(width, num_classes * patch**2, kernel_size=1)
        self.shuffle = nn.PixelShuffle(patch)
        _initialise(self)
        nn.init.normal_(self.head.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of an image.

        Args:
            x: float (N, 3, H, W), RGB in [-1, 1], aligned crop frame; H and W multiples of 16 * patch.

        Returns:
            float (N, num_classes, H, W), not normalised.
        """
        return self.shuffle(self.forward_cells(x))

    def forward_cells(self, x: Tensor) -> Tensor:
        """As `forward` before the pixel shuffle: (N, num_classes * patch**2, H / patch, W / patch).

        Channel (class * patch + row) * patch + column. Training takes one pixel of each cell from it.
        """
        features = self.normalise(x)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            features = block(F.max_pool2d(features, 2) if level else features)
            skips.append(features)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips[:-1]), strict=True):
            features = merge(torch.cat([up(features), skip], dim=1))
        return self.head(features)


class _BasicBlock(nn.Module):
    """ResNet's basic block (He et al. 2015)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv_bn_relu(in_channels, out_channels, stride=stride)
        self.conv2 = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels)
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x), inplace=True)


class AttentionRefinement(nn.Module):
    """BiSeNet's ARM: a 3x3 convolution weighted channel by channel from its global average."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(in_channels, out_channels)
        self.attention = nn.Sequential(
            nn.Conv2d(out_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        features = self.conv(x)
        return features * self.attention(features.mean(dim=(2, 3), keepdim=True))


class FeatureFusion(nn.Module):
    """BiSeNet's FFM: joins detail and context, then adds a squeeze-and-excite of the sum."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = conv_bn_relu(in_channels, out_channels, kernel=1)
        self.attention = nn.Sequential(
            nn.Conv2d(out_channels, out_channels // 4, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels // 4, out_channels, 1, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        features = self.conv(torch.cat([detail, context], dim=1))
        return features + features * self.attention(features.mean(dim=(2, 3), keepdim=True))


class BiSeNet(nn.Module):
    """ResNet-18 context path with attention refinement, global context, feature fusion, three heads.

    Args:
        num_classes: Channels of the logits.
        width: Channels of the stem and the first ResNet stage (64 in ResNet-18).
        context_channels: Channels of the context path (128 in the original).
        stem_pool: Whether the stem's max-pool is kept, for 512-px input.
    """

    def __init__(
        self,
        *,
        num_classes: int = 19,
        width: int = 16,
        context_channels: int = 48,
        stem_pool: bool = False,
    ) -> None:
        super().__init__()
        context = context_channels
        self.normalise = Normalise()
        self.stem = conv_bn_relu(3, width, kernel=7, stride=2)
        self.pool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1) if stem_pool else nn.Identity()
        self.stage1 = self._stage(width, width, stride=1)
        self.stage2 = self._stage(width, 2 * width, stride=2)
        self.stage3 = self._stage(2 * width, 4 * width, stride=2)
        self.stage4 = self._stage(4 * width, 8 * width, stride=2)
        self.arm3 = AttentionRefinement(4 * width, context)
        self.arm4 = AttentionRefinement(8 * width, context)
        self.global_context = conv_bn_relu(8 * width, context, kernel=1)
        self.refine4 = conv_bn_relu(context, context)
        self.refine3 = conv_bn_relu(context, context)
        fused = 2 * context
        self.fusion = FeatureFusion(2 * width + context, fused)
        self.head = nn.Sequential(conv_bn_relu(fused, fused), nn.Conv2d(fused, num_classes, 1))
        self.aux_heads = nn.ModuleList(
            nn.Sequential(conv_bn_relu(context, context // 2), nn.Conv2d(context // 2, num_classes, 1))
            for _ in range(2)
        )
        _initialise(self)

    @staticmethod
    def _stage(in_channels: int, out_channels: int, *, stride: int) -> nn.Sequential:
        return nn.Sequential(
            _BasicBlock(in_channels, out_channels, stride), _BasicBlock(out_channels, out_channels, 1)
        )

    def _features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Fused features, and the context path's at the finer and the coarser of its two scales."""
        detail = self.stage2(self.stage1(self.pool(self.stem(self.normalise(x)))))
        stage3 = self.stage3(detail)
        stage4 = self.stage4(stage3)
        context4 = self.arm4(stage4) + self.global_context(stage4.mean(dim=(2, 3), keepdim=True))
        context4 = self.refine4(F.interpolate(context4, size=stage3.shape[2:], mode="nearest"))
        context3 = self.arm3(stage3) + context4
        context3 = self.refine3(F.interpolate(context3, size=detail.shape[2:], mode="nearest"))
        return self.fusion(detail, context3), context3, context4

    def forward(self, x: Tensor) -> Tensor:
        """Logits of an image.

        Args:
            x: float (N, 3, H, W), RGB in [-1, 1], aligned crop frame; H and W multiples of 16.

        Returns:
            float (N, num_classes, H, W), not normalised.
        """
        return _enlarge(self.head(self._features(x)[0]), x)

    def forward_with_auxiliary(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits of the main and of the auxiliary heads on their own coarser grids, for training only."""
        fused, context3, context4 = self._features(x)
        auxiliary = [head(c) for head, c in zip(self.aux_heads, (context3, context4), strict=True)]
        return self.head(fused), auxiliary


SEGMENTERS: dict[str, type[nn.Module]] = {"unet": UNet, "bisenet": BiSeNet}


def _enlarge(logits: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(logits, size=like.shape[2:], mode="bilinear", align_corners=False)


def region_masks(logits: Tensor) -> Tensor:
    """Soft masks of the edited regions; differentiable, so that losses of an edit reach the segmenter.

    Args:
        logits: float (N, 19, H, W) of a segmenter, classes in the order of `CLASS_NAMES`.

    Returns:
        float32 (N, 3, H, W) in [0, 1]: the summed class probabilities of each of `REGIONS`.
    """
    probabilities = logits.float().softmax(dim=1)
    members = [class_ids(REGION_CLASSES[region]) for region in REGIONS]
    return torch.stack([probabilities[:, classes].sum(dim=1) for classes in members], dim=1)


def in_form(masks: Tensor, form: str) -> Tensor:
    """Region masks (N, R, H, W) in a form of `MASKS`: as they are, 1 where they are above 1/2, or boxes around that."""
    if form == "soft":
        return masks
    return boxes_of(masks) if form == "box" else (masks.detach() > 0.5).to(masks.dtype)


def boxes_of(masks: Tensor) -> Tensor:
    """1 inside the upright box around each mask's pixels above 1/2, 0 outside; masks (N, R, H, W)."""
    inside = masks > 0.5
    rows, columns = inside.any(dim=3), inside.any(dim=2)

    def span(line: Tensor) -> Tensor:
        forward = line.int().cummax(dim=-1).values
        backward = line.flip(-1).int().cummax(dim=-1).values.flip(-1)
        return (forward * backward).to(masks.dtype)

    return span(rows)[..., :, None] * span(columns)[..., None, :]


def face_share(logits: Tensor) -> Tensor:
    """Soft masks of the face, chin to brows and a little beyond.

    Args:
        logits: float (N, 19, H, W) of a segmenter, classes in the order of `CLASS_NAMES`.

    Returns:
        float32 (N, H, W) in [0, 1]; they reach `FACE_REACH_PX` beyond the face, where a jaw that drops needs the room.
    """
    cells = F.avg_pool2d(logits.float(), _CELL_PX).softmax(dim=1)
    face = cells[:, class_ids(FACE_CLASSES)].sum(dim=1, keepdim=True)
    reach = FACE_REACH_PX // _CELL_PX
    wide = F.max_pool2d(face, 2 * reach + 1, 1, reach)
    soft = F.avg_pool2d(F.pad(wide, (2, 2, 2, 2), mode="replicate"), 5, 1)
    return F.interpolate(soft, logits.shape[-2:], mode="bilinear", align_corners=False)[:, 0]
