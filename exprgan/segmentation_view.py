"""A segmenter's answer as numpy arrays and as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn

PALETTE = np.array(
    [
        (0, 0, 0),  # background
        (224, 172, 130),  # skin
        (255, 214, 79),  # nose
        (120, 120, 120),  # eye_g
        (64, 196, 255),  # l_eye
        (0, 121, 191),  # r_eye
        (174, 213, 129),  # l_brow
        (85, 139, 47),  # r_brow
        (255, 138, 101),  # l_ear
        (216, 67, 21),  # r_ear
        (136, 14, 79),  # mouth
        (240, 98, 146),  # u_lip
        (194, 24, 91),  # l_lip
        (93, 64, 55),  # hair
        (255, 87, 34),  # hat
        (255, 255, 255),  # ear_r
        (178, 235, 242),  # neck_l
        (188, 143, 143),  # neck
        (57, 73, 171),  # cloth
    ],
    dtype=np.uint8,
)
"""Colours (19, 3), RGB, in the order of `exprgan.models.segmenters.CLASS_NAMES`."""


def segment_crop(segmenter: nn.Module, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The likeliest class of each pixel of one aligned crop.

    Args:
        segmenter: A network of `exprgan.models.segmenters` in eval mode, on any device.
        crop: uint8 RGB (256, 256, 3), aligned crop frame.

    Returns:
        uint8 (256, 256), indices into `CLASS_NAMES`.
    """
    import torch

    device = next(segmenter.parameters()).device
    with torch.inference_mode():
        x = torch.from_numpy(np.ascontiguousarray(crop)).to(device).permute(2, 0, 1)[None]
        labels = segmenter(x.float() / 127.5 - 1).argmax(dim=1)[0]
    return labels.to(torch.uint8).cpu().numpy()


def colourise(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Label map uint8 (H, W) as uint8 RGB (H, W, 3) in the palette's colours."""
    return PALETTE[labels]


def overlay(image: NDArray[np.uint8], labels: NDArray[np.uint8], opacity: float = 0.55) -> NDArray[np.uint8]:
    """The image tinted by its labels; background stays as it is.

    Args:
        image: uint8 RGB (H, W, 3).
        labels: uint8 (H, W), indices into `CLASS_NAMES`.
        opacity: Share of the colours, 0 to 1.

    Returns:
        uint8 RGB (H, W, 3).
    """
    share = np.where(labels > 0, np.float32(opacity), np.float32(0))[..., None]
    return np.round(image * (1 - share) + colourise(labels) * share).astype(np.uint8)
