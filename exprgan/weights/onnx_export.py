"""Networks as ONNX: whole ones for other programs, and graphs without weights for `exprgan edit --runtime onnx`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exprgan.errors import ExprganError, UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_parts import CROP_PX
from exprgan.files import write_whole
from exprgan.models.pixel_edits import edits_of
from exprgan.models.roles import PLAYERS
from exprgan.weights.find import END_TO_END, NetworkFiles
from exprgan.weights.graphs import DRAWN, FOLDER, INDEX, form_of, open_tensors
from exprgan.weights.runtime import ROLE_OF, ROLES, OnnxNetwork, TorchNetwork, onnxruntime

if TYPE_CHECKING:
    import onnx

OPSET = 20
EXPORTED = ("landmarks", "face_proposer", "unet", "bisenet", "corrections", "unified")
"""Networks that are exported unless others are named."""
TOLERANCE = 1e-3
"""Largest difference to torch that is let through, in the units of each output."""
CHECKED_BATCHES = (1, 3)
MISSING = 'Exporting needs onnx and onnxscript; run `pip install "exprgan[export]"`.'


class Exported(NamedTuple):
    """A network in ONNX.

    model: With its weights. difference: The largest to torch, over the outputs and `CHECKED_BATCHES`.
    """

    model: onnx.ModelProto
    difference: float


def export(files: NetworkFiles) -> Exported:
    """A network of one of the roles, checked against torch with random inputs.

    Raises:
        UsageError: The packages are not installed, or the network has no role in an edit.
        ExprganError: The graph does not compute the same.
    """
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(MISSING) from error
    onnxruntime()
    role, network = _role_of(files), files.load()
    if role == "edits":
        network = edits_of(network, files.config)
    player = _Present(PLAYERS[role](network).eval())
    given = examples(role, network, 2)
    with torch.no_grad():
        names = player.names(ROLES[role].outputs, given)
    # what it tells of its progress, and what it remembers against settings that it makes itself, is nobody's concern
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _quiet():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            player,
            given,
            dynamo=True,
            optimize=False,
            opset_version=OPSET,
            input_names=list(ROLES[role].inputs),
            output_names=names,
            dynamic_shapes=(tuple(_dynamic(role, array) for array in given),),
            external_data=False,
            verbose=False,
        )
    assert made is not None
    model = made.model_proto
    _name_axes(model)
    _forget_origin(model)
    difference = _difference(files, role, network, OnnxNetwork(model.SerializeToString(), role))
    return Exported(model, difference)


def examples(role: str, network: nn.Module, count: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Random inputs of a role, so many of a batch, of the ranges that occur."""
    chance = torch.Generator().manual_seed(seed)

    def between(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=chance)

    side = int(getattr(network, "crop_px", CROP_PX))
    crop = between(-1, 1, 3, side, side)
    if role == "proposer":
        return (between(-1, 1, 3, 192, 256),)
    if role in ("landmarks", "segmenter"):
        return (crop,)
    regions, amount = between(0, 1, 3, side, side), between(0, 1)
    if role == "edits":
        return crop, regions, torch.arange(count) % len(EXPRESSIONS), amount
    ranges = ((2, 10), (1, 0.3), (2, 10), (1, 1), (1, 0.3), (5, 1), (1, 1))  # of `PriorMaps`
    prior = [between(-size, size, channels, side, side) for channels, size in ranges]
    prior[3], prior[6] = prior[3].abs(), prior[6].abs()
    return crop, regions, *prior, between(0, 1, network.num_coefficients), amount  # type: ignore[arg-type]


def write_network(exported: Exported, path: Path) -> dict[str, Any]:
    """Write a network with its weights; what is in the file, for JSON.

    Raises:
        OSError: It cannot be written.
    """
    content = exported.model.SerializeToString()
    write_whole(path, content)
    graph = exported.model.graph
    return {
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": len(content),
        "opset": OPSET,
        "inputs": {entry.name: _shape_of(entry) for entry in graph.input},
        "outputs": {entry.name: _shape_of(entry) for entry in graph.output},
        "largest_difference_to_torch": exported.difference,
    }


def write_graph(exported: Exported, files: NetworkFiles) -> Path:
    """Write a network's graph into its folder of weights, where `--runtime onnx` looks for it, and check it there.

    Raises:
        OSError: It cannot be written.
        ExprganError: With the weights from their file it does not compute the same.
    """
    prefix, stored = _prefix(exported.model), set(files.arrays())
    graph, tensors = _without_weights(
        exported.model, lambda name: name[len(prefix) :] in stored or name.endswith(DRAWN)
    )
    entry = {
        "file": f"{files.name}.onnx",
        "sha256": hashlib.sha256(graph).hexdigest(),
        "form": form_of(files),
        "prefix": prefix,
        "tensors": tensors,
    }
    role, network = _role_of(files), files.load()
    network = edits_of(network, files.config) if role == "edits" else network
    _difference(files, role, network, OnnxNetwork(graph, role, open_tensors(files, entry)))
    folder = files.weights / FOLDER
    folder.mkdir(exist_ok=True)
    index = folder / INDEX
    others = json.loads(index.read_text(encoding="utf-8")) if index.exists() else []
    kept = [other for other in others if other["file"] != entry["file"] and other["form"] != entry["form"]]
    write_whole(folder / f"{files.name}.onnx", graph)
    lines = [json.dumps(each) for each in sorted([*kept, entry], key=lambda each: str(each["file"]))]
    write_whole(index, ("[\n" + ",\n".join(lines) + "\n]\n").encode())
    return folder / f"{files.name}.onnx"


class _Present(nn.Module):
    """A player without the outputs that its network does not have."""

    def __init__(self, player: nn.Module) -> None:
        super().__init__()
        self.player = player

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        return tuple(part for part in self.player(*given) if part is not None)

    def names(self, outputs: tuple[str, ...], given: tuple[Tensor, ...]) -> list[str]:
        parts = self.player(*given)
        return [name for name, part in zip(outputs, parts, strict=True) if part is not None]


def _role_of(files: NetworkFiles) -> str:
    role = ROLE_OF.get(files.architecture)
    if role is None or files.architecture in END_TO_END:
        raise UsageError(
            f"{files.name} is a network {files.architecture!r}, which is not exported; "
            f"name some of {', '.join(EXPORTED)}."
        )
    return role


def _difference(files: NetworkFiles, role: str, network: nn.Module, other: OnnxNetwork) -> float:
    """The largest over all outputs; batches of one and of several."""
    ours, largest = TorchNetwork(network, role), 0.0
    for count in CHECKED_BATCHES:
        given = [part.numpy() for part in examples(role, network, count, seed=count)]
        for name, wanted, found in zip(ROLES[role].outputs, ours(*given), other(*given), strict=True):
            if _size(wanted) != _size(found):
                raise ExprganError(f"The graph of {files.name} has another output {name!r} than the network.")
            if wanted is not None and found is not None:
                largest = max(largest, float(np.abs(wanted - found).max()))
    if not largest <= TOLERANCE:
        raise ExprganError(
            f"The graph of {files.name} is {largest:.2g} off the network's outputs, more than {TOLERANCE}."
        )
    return largest


def _size(part: NDArray[Any] | None) -> tuple[int, ...] | None:
    return None if part is None else part.shape


def _dynamic(role: str, array: Tensor) -> dict[int, Any]:
    axes = (0, 2, 3) if role == "proposer" else (0,)
    return {axis: torch.export.Dim.DYNAMIC for axis in axes if axis < array.ndim}


def _name_axes(model: onnx.ModelProto) -> None:
    """Call the open axes by what they are: n, and height and width where these are open."""
    names: dict[str, str] = {}
    for entry in model.graph.input:
        for axis, dimension in enumerate(entry.type.tensor_type.shape.dim):
            if dimension.dim_param:
                names.setdefault(dimension.dim_param, ("n", "", "height", "width")[axis])
    for entry in (*model.graph.input, *model.graph.output):
        for dimension in entry.type.tensor_type.shape.dim:
            if dimension.dim_param in names:
                dimension.dim_param = names[dimension.dim_param]
            elif dimension.dim_param:  # a term in several axes, such as a cell's number
                dimension.ClearField("dim_param")
    del model.graph.value_info[:]


def _forget_origin(model: onnx.ModelProto) -> None:
    """Leave out what the exporter notes of source files and modules."""
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    for part in (model, model.graph, *model.functions, *nodes):
        part.doc_string = ""
        del part.metadata_props[:]


def _prefix(model: onnx.ModelProto) -> str:
    """What the exporter's names of tensors have before those of the weights."""
    first = next(each.name for each in model.graph.initializer if each.name.startswith("player."))
    count = 0
    while first.split(".")[count] in ("player", "network"):
        count += 1
    return "".join(f"{part}." for part in first.split(".")[:count])


def _without_weights(
    model: onnx.ModelProto, is_stored: Callable[[str], bool]
) -> tuple[bytes, dict[str, list[int]]]:
    """The model with those of its tensors left open that are stored elsewhere, and these with their shapes."""
    import onnx

    bare, tensors = onnx.ModelProto(), {}
    bare.CopyFrom(model)
    for each in bare.graph.initializer:
        size = len(each.raw_data)
        if not is_stored(each.name):
            continue
        tensors[each.name] = list(each.dims)
        each.ClearField("raw_data")
        each.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "weights"), ("offset", "0"), ("length", str(size))):
            entry = each.external_data.add()
            entry.key, entry.value = key, value
    return bare.SerializeToString(), tensors


def _shape_of(entry: Any) -> list[int | str]:
    return [axis.dim_param or axis.dim_value or "?" for axis in entry.type.tensor_type.shape.dim]


@contextlib.contextmanager
def _quiet() -> Any:
    """Without the exporter's log lines."""
    names = ("torch.onnx", "onnxscript", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
