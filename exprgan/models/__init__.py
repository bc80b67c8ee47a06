"""The networks, built by name from plain numbers."""

from __future__ import annotations

import importlib
from typing import Any

from torch import nn

from exprgan.errors import UsageError

BUILDERS = {
    "landmark_net": "landmark_net:LandmarkNet",
    "face_proposer": "face_proposer:FaceProposer",
    "unet": "segmenters:UNet",
    "bisenet": "segmenters:BiSeNet",
    "unified": "unified:UnifiedGenerator",
    "sargan": "sargan:SARGAN",
    "usgan": "sargan:USGAN",
    "stargan": "stargan:StarGAN",
}
"""Architecture name -> module of this package and its class."""


def build(architecture: str, **arguments: Any) -> nn.Module:
    """A network with fresh weights.

    Raises:
        UsageError: There is no such architecture.
    """
    if architecture not in BUILDERS:
        raise UsageError(
            f"There is no network named {architecture!r}; choose from {', '.join(sorted(BUILDERS))}."
        )
    module, class_name = BUILDERS[architecture].split(":")
    network: nn.Module = getattr(importlib.import_module(f"{__name__}.{module}"), class_name)(**arguments)
    return network
