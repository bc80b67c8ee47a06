"""Networks as the editor uses them: NumPy arrays in, NumPy arrays out, by torch or by ONNX Runtime.

A role says what goes in and out under which names; `exprgan.models.roles` has the torch modules that play the roles,
`exprgan.weights.onnx_export` turns these into graphs. Nothing here needs torch until a torch network is opened.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from exprgan.device import resolve_device
from exprgan.errors import DeviceError, UsageError, WeightsError

if TYPE_CHECKING:
    from torch import nn

RUNTIMES = ("auto", "torch", "onnx")
MISSING_RUNTIME = (
    'ONNX Runtime is not installed; run `pip install "exprgan[onnx]"`, or leave out --runtime onnx.'
)
Answer = tuple[NDArray[Any] | None, ...]


class Role(NamedTuple):
    """What a network is to the editor: names of its inputs and outputs."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


PRIOR_MAPS = ("flow_px", "folds", "cut_flow_px", "cut_cover", "cut_shade", "interior", "cover")
"""As `exprgan.models.corrections.PriorMaps`."""
ROLES = {
    "landmarks": Role(("crops",), ("points", "turn", "score_logit", "depth", "blendshapes")),
    "proposer": Role(("picture",), ("heat", "offset", "log_side")),
    "segmenter": Role(("crop",), ("logits", "regions", "share")),
    "corrections": Role(
        ("crop", "regions", *(f"prior_{name}" for name in PRIOR_MAPS), "asked", "extent"),
        ("flow_px", "shade", "light", "deepening"),
    ),
    "edits": Role(
        ("crop", "regions", "expression", "strength"),
        ("flow_px", "shade", "paint", "mask", "interior", "residual"),
    ),
}
"""Roles by name. Arrays as the networks of `exprgan.models` have them, pictures as float32 RGB in [-1, 1]; heat is the
proposer's logit as a probability; regions and share are what `exprgan.models.segmenters` makes of logits."""
ROLE_OF = {
    "landmark_net": "landmarks",
    "face_proposer": "proposer",
    "unet": "segmenter",
    "bisenet": "segmenter",
    **dict.fromkeys(("corrections", "corrections_end_to_end"), "corrections"),
    **dict.fromkeys(("unified", "unified_end_to_end", "sargan", "stargan", "usgan", "hierarchical"), "edits"),
}
"""Role of the networks of each architecture."""


def signed(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
    """uint8 RGB (N, H, W, 3), or one picture (H, W, 3), as networks take them: float32 (N, 3, H, W) in [-1, 1]."""
    batch = pictures.reshape(-1, *pictures.shape[-3:]).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(batch, np.float32) / np.float32(127.5) - np.float32(1)


class Network(Protocol):
    """A network in a role; several threads may call it at a time."""

    def __call__(self, *arrays: NDArray[Any]) -> Answer:
        """The outputs of the role in its order, None for those that the network does not have.

        Raises:
            RuntimeError: It failed, for example for want of memory.
        """
        ...


class TorchNetwork:
    """A torch network in a role.

    Args:
        module: In eval mode, on the device.
        role: A name of `ROLES`.
        device: torch's name of the device.
    """

    def __init__(self, module: nn.Module, role: str, device: str = "cpu") -> None:
        from exprgan.models.roles import PLAYERS

        self.module, self.device = module, device
        self._player = PLAYERS[role](module)

    def __call__(self, *arrays: NDArray[Any]) -> Answer:
        import torch

        with torch.inference_mode():
            given = (torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for array in arrays)
            answers = self._player(*given)
            return tuple(None if part is None else part.cpu().numpy() for part in answers)


class OnnxNetwork:
    """A graph in a role, run by ONNX Runtime.

    Args:
        graph: The ONNX file's content.
        role: A name of `ROLES`.
        tensors: Weights that the graph leaves open, by name.
        device: cpu, cuda or cuda:1 ...

    Raises:
        UsageError: ONNX Runtime is not installed.
        WeightsError: The graph and the weights do not fit.
    """

    def __init__(
        self,
        graph: bytes,
        role: str,
        tensors: Mapping[str, NDArray[Any]] | None = None,
        device: str = "cpu",
    ) -> None:
        ort = onnxruntime()
        self._ort, self.role, self.device = ort, ROLES[role], device
        options = ort.SessionOptions()
        options.intra_op_num_threads = (
            1  # as the editor holds torch: results do not depend on the number of cores
        )
        options.log_severity_level = 3
        self._tensors = dict(tensors or {})  # the session reads them in place
        values = [
            ort.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(each)) for each in self._tensors.values()
        ]
        try:
            options.add_external_initializers(list(self._tensors), values)
            self._session = ort.InferenceSession(graph, options, providers=_providers(device))
        except Exception as error:  # its errors have no common base
            reason = " ".join(str(error).split())[:160]
            raise WeightsError(
                f"The graph of a network cannot be opened ({reason}); make it anew with `exprgan export --graphs`."
            ) from error
        self._inputs = {
            entry.name for entry in self._session.get_inputs()
        }  # what does not matter is left out
        self._outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, *arrays: NDArray[Any]) -> Answer:
        feed = dict(zip(self.role.inputs, arrays, strict=True))
        given = {name: np.ascontiguousarray(array) for name, array in feed.items() if name in self._inputs}
        try:
            found = dict(zip(self._outputs, self._session.run(self._outputs, given), strict=True))
        except Exception as error:  # its errors have no common base
            raise RuntimeError(str(error)) from error
        return tuple(found.get(name) for name in self.role.outputs)


def as_network(network: Network | nn.Module, role: str, device: str = "cpu") -> Network:
    """What is given, a torch module as a network in a role."""
    nn = sys.modules.get("torch.nn")  # where torch was not imported, nothing is a module of its
    is_module = nn is not None and isinstance(network, nn.Module)
    return TorchNetwork(network, role, device) if is_module else network  # type: ignore[arg-type]


def resolve_runtime(runtime: str = "auto", device: str = "auto") -> tuple[str, str]:
    """The runtime, torch or onnx, and the name that it has for a device.

    Args:
        runtime: torch, onnx, or auto: torch where it is installed.
        device: auto, cpu, cuda, cuda:1 ... or, with torch, mps.

    Raises:
        UsageError: There is no such runtime or device, or it is not installed.
        DeviceError: The device is not there.
    """
    runtime = installed_runtime(runtime)
    return (
        (runtime, resolve_device(device)) if runtime == "torch" else (runtime, _resolve_onnx_device(device))
    )


def installed_runtime(runtime: str = "auto") -> str:
    """torch or onnx; auto is torch where it is installed.

    Raises:
        UsageError: There is no such runtime.
    """
    if runtime not in RUNTIMES:
        raise UsageError(f"There is no runtime {runtime!r}; choose from {', '.join(RUNTIMES)}.")
    if runtime == "auto":
        return "torch" if importlib.util.find_spec("torch") else "onnx"
    return runtime


def _resolve_onnx_device(device: str) -> str:
    has_cuda = "CUDAExecutionProvider" in onnxruntime().get_available_providers()
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not number.isdigit()):
        raise UsageError(f"ONNX Runtime has no device {device!r}; choose auto, cpu, cuda or cuda:1 ...")
    if kind == "cuda" and not has_cuda:
        raise DeviceError(
            "This ONNX Runtime has no CUDA; install onnxruntime-gpu in its place, or use --device cpu."
        )
    return device if kind != "auto" else "cuda" if has_cuda else "cpu"


def onnxruntime() -> Any:
    """The module.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise UsageError(MISSING_RUNTIME) from error
    return ort


def _providers(device: str) -> list[Any]:
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    return [("CUDAExecutionProvider", {"device_id": int(number or 0)}), "CPUExecutionProvider"]
