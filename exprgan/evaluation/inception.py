"""The Inception network of published FIDs, by torchmetrics, where its weights are on disk."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exprgan.errors import UsageError

LAYER = "2048"
BATCH = 16


class Inception:
    """Features of 8-bit crops in the pool layer of the FID Inception-v3, as torch-fidelity converted it.

    Args:
        weights: pt_inception-2015-12-05-6726825d.pth; read as plain tensors, so that nothing in it is run.

    Raises:
        UsageError: The file is not there or is another one, or torch-fidelity is not installed.
    """

    def __init__(self, weights: Path) -> None:
        if not weights.is_file():
            raise UsageError(f"{weights} is no file; give the FID Inception's weights with --inception.")
        try:
            importlib.import_module("torch_fidelity")
        except ImportError as error:
            raise UsageError(
                "--inception needs torch-fidelity; `pip install torch-fidelity`, or leave the option out."
            ) from error
        from torchmetrics.image.fid import NoTrainInceptionV3

        try:
            torch.load(weights, weights_only=True, map_location="cpu")  # refuses what is more than tensors
            self._network: Any = NoTrainInceptionV3("inception-v3-compat", [LAYER], str(weights))
        except Exception as error:  # torch raises half a dozen kinds for a file of something else
            raise UsageError(
                f"{weights} does not hold the FID Inception's weights; leave out --inception."
            ) from error

    @torch.inference_mode()
    def features(self, crops: NDArray[np.uint8]) -> Tensor:
        """Features (N, 2048) of uint8 RGB (N, H, W, 3), resized to 299 px bilinearly with antialiasing."""
        pictures = torch.from_numpy(crops).permute(0, 3, 1, 2)
        return torch.cat([self._network(part) for part in pictures.split(BATCH)])
