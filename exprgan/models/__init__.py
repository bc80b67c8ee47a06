"""The networks, built by name from plain numbers."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from exprgan.errors import UsageError

BUILDERS = {
    "expression_judge": "judges:ExpressionJudge",
    "identity_judge": "judges:IdentityJudge",
    "features": "features:FeatureNet",
    "landmark_net": "landmark_net:LandmarkNet",
    "face_proposer": "face_proposer:FaceProposer",
    "unet": "segmenters:UNet",
    "bisenet": "segmenters:BiSeNet",
    "unified": "unified:UnifiedGenerator",
    "unified_end_to_end": "unified:UnifiedEndToEnd",
    "sargan": "sargan:SARGAN",
    "usgan": "sargan:USGAN",
    "stargan": "stargan:StarGAN",
    "transfer": "transfer:TransferNet",
    "hierarchical": "hierarchical:HierarchicalGenerator",
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


def build_without_start_values(architecture: str, **arguments: Any) -> nn.Module:
    """A network whose weights hold anything until a state is loaded; faster, and draws no random numbers.

    Raises:
        UsageError: There is no such architecture.
    """
    with _NoStartValues():
        return build(architecture, **arguments)


_DRAWS = (Tensor.normal_, Tensor.uniform_)


class _NoStartValues(TorchFunctionMode):
    """Makes torch.nn.init, and what it draws with, return the tensor as it is."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func in _DRAWS or getattr(func, "__module__", None) == nn.init.__name__:
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))
