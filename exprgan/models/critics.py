"""Discriminators of edited faces: one for the whole face, two for the places where edits give themselves away.

Form as in arXiv 2112.04603 (reconstructed), a global discriminator beside local ones on masked regions; ours are
convolutions without normalisation that see fixed parts of the window of an aligned crop, through a mask of the face.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VIEWS = {"face": (0, 0, 192, 192), "brows": (0, 16, 88, 160), "mouth": (80, 40, 96, 112)}
"""Top, left, height and width in `exprgan.face_parts.WINDOW` of what each discriminator sees."""
HALVED = ("face",)
"""Views at half of the resolution."""
SLOPE = 0.2
BLUR_PX = (0.25, 0.5, 0.25)
"""Kernel over what all of them see: edited pictures are interpolated once more than photographs, which tells nothing
about expressions."""


class PatchCritic(nn.Module):
    """Realness of patches of about 50 px; (N, 3, H, W) to (N, 1, H/8 - 1, W/8 - 1) and the features before.

    Args:
        widths: Channels of the strided convolutions.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for in_channels, out_channels in zip([3, *widths], widths, strict=False):
            layers.append(nn.Conv2d(in_channels, out_channels, 4, 2, 1))
        self.layers = nn.ModuleList(layers)
        self.head = nn.Conv2d(widths[-1], 1, 4, 1, 1)
        for module in (*self.layers, self.head):
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
            nn.init.zeros_(module.bias)

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Realness, higher for real, and the feature maps of each layer."""
        maps = []
        for layer in self.layers:
            image = F.leaky_relu(layer(image), SLOPE)
            maps.append(image)
        return self.head(image), maps


class FaceCritics(nn.Module):
    """The discriminators, and the moving averages of what they say, for LeCam's regularisation.

    Args:
        widths: Channels of each one's strided convolutions.
        local: Whether there are others than that of the whole face.
    """

    def __init__(self, *, widths: Sequence[int] = (32, 64, 128), local: bool = True) -> None:
        super().__init__()
        names = [name for name in VIEWS if local or name == "face"]
        self.critics = nn.ModuleDict({name: PatchCritic(widths) for name in names})
        self.anchors: Tensor
        self.register_buffer("anchors", torch.zeros(len(names), 2))

    def forward(self, image: Tensor, face: Tensor) -> dict[str, tuple[Tensor, list[Tensor]]]:
        """What each discriminator says, by the name of its view.

        Args:
            image: (N, 3, 192, 192), RGB in [-1, 1], windows of crops.
            face: (N, 1, 192, 192) in [0, 1], where the face is.
        """
        kernel = image.new_tensor(BLUR_PX)
        weight = (kernel[:, None] * kernel).expand(3, 1, 3, 3)
        shown = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="replicate"), weight, groups=3) * face
        answers = {}
        for name, critic in self.critics.items():
            top, left, height, width = VIEWS[name]
            part = shown[..., top : top + height, left : left + width]
            answers[name] = critic(F.avg_pool2d(part, 2) if name in HALVED else part)
        return answers
