"""What a folder's manifest says of one network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class WeightsRecord:
    """What the manifest knows of one network's weights."""

    file: str  # name of the safetensors file inside the folder
    sha256: str  # of that file, hexadecimal
    size_bytes: int  # of that file
    architecture: str  # a name of exprgan.models.registry.BUILDERS, or face_model
    version: str = ""  # of exprgan when the weights were made
    licence: str = ""  # of the weights, an SPDX name
    data: list[str] = field(default_factory=list)  # what they were trained on, with licences
    metrics: dict[str, Any] = field(default_factory=dict)  # figures of the model card
    card: str = ""  # name of the model card inside the folder
