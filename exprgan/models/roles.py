"""Networks in the roles that the editor knows (`exprgan.weights.runtime.ROLES`): plain tensors in, plain tensors out.

The same modules are called where torch runs them and exported where ONNX Runtime does.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from exprgan.models.corrections import PriorMaps
from exprgan.models.segmenters import face_share, region_masks

Answer = tuple[Tensor | None, ...]


class Player(nn.Module):
    """A network in a role.

    Args:
        network: In eval mode.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network


class Landmarks(Player):
    """A `LandmarkNet`, without its anchors."""

    def forward(self, crops: Tensor) -> Answer:
        points, turn, score_logit, _, depth, blendshapes = self.network(crops)
        return points, turn, score_logit, depth, blendshapes


class Proposals(Player):
    """A `FaceProposer`; its logit as a probability."""

    def forward(self, picture: Tensor) -> Answer:
        logit, offset, log_side = self.network(picture)
        return logit.sigmoid(), offset, log_side


class Regions(Player):
    """A segmenter: its logits, the soft masks of the regions and of the face."""

    def forward(self, crop: Tensor) -> Answer:
        logits = self.network(crop)
        return logits, region_masks(logits), face_share(logits)


class Correcting(Player):
    """A `CorrectionGenerator`."""

    def forward(self, crop: Tensor, regions: Tensor, *more: Tensor) -> Answer:
        prior, (asked, extent) = PriorMaps(*more[:-2]), more[-2:]
        return tuple(self.network(crop, regions, prior, asked, extent))


class Editing(Player):
    """A generator of `EditMaps`."""

    def forward(self, crop: Tensor, regions: Tensor, expression: Tensor, strength: Tensor) -> Answer:
        return tuple(self.network(crop, regions, expression, strength))


PLAYERS: dict[str, Any] = {
    "landmarks": Landmarks,
    "proposer": Proposals,
    "segmenter": Regions,
    "corrections": Correcting,
    "edits": Editing,
}
"""Modules by the names of `exprgan.weights.runtime.ROLES`."""
