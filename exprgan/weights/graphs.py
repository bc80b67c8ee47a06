"""ONNX graphs in a folder of weights: what the networks compute, without the weights, which lie beside them.

`graphs/graphs.json` names, for each graph, its file's sha256, the architecture and arguments that it was made of, and
the tensors that it leaves open. So a graph goes with any weights of the same form, those of training runs too, and
takes a hundredth of their room. `exprgan.weights.onnx_export` makes them; reading them needs neither torch nor onnx.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from exprgan.errors import WeightsError
from exprgan.face_parts import DENTITIONS
from exprgan.models import mouth_interior

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from exprgan.weights.find import NetworkFiles

FOLDER, INDEX = "graphs", "graphs.json"
_PACKAGE = Path(__file__).resolve().parents[1]
BUNDLED = (_PACKAGE.parent / "weights" / FOLDER, _PACKAGE / "_weights" / FOLDER)
"""Where graphs are found that a folder of weights, from the Hub for example, does not have."""
DRAWN = "chart.colours"
"""Ending of the tensor that is not in the weights, the drawn charts of mouths."""


def form_of(files: NetworkFiles) -> dict[str, Any]:
    """What a network's graph depends on."""
    form = {"architecture": files.architecture, "arguments": files.config["arguments"]}
    return form | ({"image_size": files.config["image_size"]} if "image_size" in files.config else {})


def read_graph(files: NetworkFiles) -> tuple[bytes, dict[str, NDArray[Any]]]:
    """The graph that goes with a network, and the tensors that it leaves open, by name.

    Raises:
        WeightsError: There is none, it is damaged, or the weights do not fit it.
    """
    for folder in dict.fromkeys((files.weights / FOLDER, *BUNDLED)):
        entry = _entry(folder, form_of(files))
        if entry is not None:
            return _checked_bytes(folder, entry), open_tensors(files, entry)
    raise WeightsError(
        f"There is no graph for {files.name}; make one with `exprgan export {files.run or files.name} --graphs`, or "
        "leave out --runtime onnx."
    )


def _entry(folder: Path, form: dict[str, Any]) -> dict[str, Any] | None:
    """What a folder's index says of the graph of a form, None where it has none."""
    try:
        entries = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return next((entry for entry in entries if entry["form"] == form), None)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{folder / INDEX} is damaged ({error}); restore it from the release.") from error


def _checked_bytes(folder: Path, entry: dict[str, Any]) -> bytes:
    path = folder / entry["file"]
    try:
        graph = path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path} cannot be read ({error.strerror}); restore it from the release."
        ) from error
    if hashlib.sha256(graph).hexdigest() != entry["sha256"]:
        raise WeightsError(f"{path} is not the file that {INDEX} records; restore it from the release.")
    return graph


def open_tensors(files: NetworkFiles, entry: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The tensors that a graph leaves open, of a network's weights; `entry` is the graph's in the index.

    Raises:
        WeightsError: The weights do not fit.
    """
    arrays, tensors = files.arrays(), {}
    for name, shape in entry["tensors"].items():
        key = name[len(entry["prefix"]) :]
        value = _charts(shape) if key.endswith(DRAWN) else arrays.get(key)
        if value is None or list(value.shape) != shape:
            raise WeightsError(
                f"The weights {files.name!r} do not fit their graph ({key}); use those of the same release."
            )
        tensors[name] = value
    return tensors


def _charts(shape: list[int]) -> NDArray[np.float32]:
    one = mouth_interior.crop_charts(DENTITIONS[:1])
    return mouth_interior.crop_charts(DENTITIONS[: shape[2] // one.shape[2]])
