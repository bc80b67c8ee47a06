"""Pictures as networks take and give them: float32 in [-1, 1] for 8-bit values."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def signed(image: Tensor) -> Tensor:
    """uint8 values as float32 in [-1, 1], of any shape."""
    return image.float() / 127.5 - 1


def signed_channels_last(image: Tensor) -> Tensor:
    """uint8 pictures (N, 3, H, W) as float32 in [-1, 1], channels last in memory."""
    return signed(image).contiguous(memory_format=torch.channels_last)


def unsigned(image: Tensor) -> Tensor:
    """Values in [-1, 1], which is not checked, as the nearest uint8."""
    return ((image + 1) * 127.5).round().to(torch.uint8)


def to_tensor(picture: NDArray[np.uint8], device: str | torch.device = "cpu") -> Tensor:
    """A picture, uint8 RGB (H, W, 3), as float32 (1, 3, H, W) in [-1, 1]."""
    return signed(torch.tensor(np.ascontiguousarray(picture), device=device).permute(2, 0, 1)[None])


def to_uint8(picture: Tensor) -> NDArray[np.uint8]:
    """A picture (3, H, W) in [-1, 1] as uint8 RGB (H, W, 3)."""
    pixels: NDArray[np.uint8] = unsigned(picture.clamp(-1, 1)).permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(pixels)
