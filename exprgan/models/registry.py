"""The networks, built by name from plain numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from exprgan.errors import UsageError
from exprgan.models.corrections import CorrectionGenerator, CorrectionsEndToEnd
from exprgan.models.face_proposer import FaceProposer
from exprgan.models.features import FeatureNet
from exprgan.models.hierarchical import HierarchicalGenerator
from exprgan.models.judges import ExpressionJudge, IdentityJudge
from exprgan.models.landmark_net import LandmarkNet
from exprgan.models.sargan import SARGAN, USGAN
from exprgan.models.segmenters import SEGMENTERS
from exprgan.models.stargan import StarGAN
from exprgan.models.transfer import TransferNet
from exprgan.models.unified import UnifiedEndToEnd, UnifiedGenerator

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "expression_judge": ExpressionJudge,
    "identity_judge": IdentityJudge,
    "features": FeatureNet,
    "landmark_net": LandmarkNet,
    "face_proposer": FaceProposer,
    **SEGMENTERS,
    "unified": UnifiedGenerator,
    "corrections": CorrectionGenerator,
    "corrections_end_to_end": CorrectionsEndToEnd,
    "unified_end_to_end": UnifiedEndToEnd,
    "sargan": SARGAN,
    "usgan": USGAN,
    "stargan": StarGAN,
    "transfer": TransferNet,
    "hierarchical": HierarchicalGenerator,
}
"""Networks by the name of their architecture."""


def build(architecture: str, **arguments: Any) -> nn.Module:
    """A network with fresh weights.

    Raises:
        UsageError: There is no such architecture.
    """
    return _builder(architecture)(**arguments)


def full_arguments(architecture: str, **arguments: Any) -> dict[str, Any]:
    """Arguments of a network with its defaults filled in: what is stored builds the same when defaults change.

    Raises:
        UsageError: There is no such architecture.
    """
    given = inspect.signature(_builder(architecture)).bind(**arguments)
    given.apply_defaults()
    return given.kwargs


def _builder(architecture: str) -> Callable[..., nn.Module]:
    if architecture not in BUILDERS:
        raise UsageError(
            f"There is no network named {architecture!r}; choose from {', '.join(sorted(BUILDERS))}."
        )
    return BUILDERS[architecture]


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
