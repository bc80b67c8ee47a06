"""Where a network is on disk, bundled by name, in a folder of weights or in the folder of a run, and how it is loaded.

Finding needs no torch, so that a command line can refuse a wrong name at once.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exprgan.errors import UsageError, WeightsError
from exprgan.weights.folder import (
    MANIFEST,
    read_config,
    read_manifest,
    refuse_pickles,
    verified_bytes,
)
from exprgan.weights.record import WeightsRecord

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from exprgan.weights.runtime import Network

ENVIRONMENT_VARIABLE = "EXPRGAN_WEIGHTS"
PIXEL_SYSTEMS = ("sargan", "stargan", "usgan", "hierarchical")
"""Architectures whose generator puts out pictures, y = G(x, c)."""
FACE_MODEL_SYSTEMS = ("corrections", "corrections_end_to_end", "face_model")
"""The face model with a generator that corrects it, and alone; they take any expression, not only the eight."""
SYSTEMS = (*FACE_MODEL_SYSTEMS, "unified", "unified_end_to_end", *PIXEL_SYSTEMS)
"""Architectures of what gives a face an expression; all but `PIXEL_SYSTEMS` put out edits."""
END_TO_END = ("corrections_end_to_end", "unified_end_to_end")
"""Those that bring a segmenter of their own."""
DEFAULT_SYSTEM = "corrections"
NETWORK, AVERAGED = "network.json", "ema.safetensors"
"""Files of a run: how to build its network, and the averaged weights."""
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*@\w[\w./-]*")  # OWNER/NAME@REVISION
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class NetworkFiles:
    """A network on disk.

    Attributes:
        name: As the user knows it: a name in the manifest, or the run folder's.
        config: "architecture", "arguments", for `PIXEL_SYSTEMS` "image_size", and what else was stored.
        weights: Folder of weights that holds the networks used beside it, and itself unless it is of a run.
        record: Entry in the folder's manifest, or None for a run.
        run: Folder of the run, or None.
    """

    name: str
    config: dict[str, Any]
    weights: Path
    record: WeightsRecord | None = None
    run: Path | None = None

    @property
    def architecture(self) -> str:
        """A name of `exprgan.models.registry.BUILDERS`."""
        return str(self.config["architecture"])

    @cached_property
    def sha256(self) -> str:
        """Of the tensors' file, as the manifest records it or as a run has it now."""
        return self.record.sha256 if self.record else hashlib.sha256(self._content()[1]).hexdigest()

    def _content(self) -> tuple[Path, bytes]:
        """The tensors' file, checked against the record where there is one."""
        if self.record:
            return self.weights / self.record.file, verified_bytes(self.weights, self.record)
        assert self.run is not None
        return self.run / AVERAGED, (self.run / AVERAGED).read_bytes()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The tensors: floating-point ones as float32, others as stored.

        Raises:
            WeightsError: They are missing, damaged or not the recorded ones.
        """
        import numpy as np
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path, content = self._content()
        try:
            tensors = load(content)
        except (SafetensorError, ValueError) as error:
            remedy = "restore it from the release" if self.run is None else "go on with the run"
            raise WeightsError(f"{path} is no safetensors file ({error}); {remedy}.") from error
        return {
            key: value.astype(np.float32) if np.issubdtype(value.dtype, np.floating) else value
            for key, value in tensors.items()
        }

    def state(self) -> dict[str, Tensor]:
        """As `arrays`, tensors on the CPU.

        Raises:
            WeightsError: They are missing, damaged or not the recorded ones.
        """
        import torch

        return {key: torch.from_numpy(value) for key, value in self.arrays().items()}

    def open(self, device: str = "cpu", runtime: str = "torch") -> Network:
        """The network in its role, as the editor uses it.

        Args:
            device: Name of the device, as the runtime has it.
            runtime: torch, or onnx, which takes the graph of the folder of weights and needs no torch.

        Raises:
            WeightsError: The weights or the graph are missing, not the recorded ones or do not fit.
            UsageError: The runtime is not installed.
        """
        from exprgan.weights.runtime import ROLE_OF, OnnxNetwork, TorchNetwork

        role = ROLE_OF[self.architecture]
        if runtime == "onnx":
            from exprgan.weights.graphs import read_graph

            graph, tensors = read_graph(self)
            return OnnxNetwork(graph, role, tensors, device)
        network = self.load(device)
        if role == "edits":
            from exprgan.models.pixel_edits import edits_of

            network = edits_of(network, self.config)
        return TorchNetwork(network, role, device)

    def load(self, device: str = "cpu") -> nn.Module:
        """The network with its weights, in eval mode and without gradients.

        Args:
            device: torch's name of the device.

        Raises:
            WeightsError: The weights are missing, not the recorded ones or do not fit the network.
        """
        from exprgan.models.registry import build_without_start_values

        tensors = self.state()
        try:
            network = build_without_start_values(self.architecture, **self.config["arguments"])
            network.load_state_dict(tensors)
        except (UsageError, KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise WeightsError(
                f"The weights {self.name!r} do not fit this version of exprgan ({reason}); "
                "use those of the same release."
                if self.run is None
                else f"{self.run / AVERAGED} does not hold the network that the run describes ({reason}); go on with "
                "the run, which writes it anew."
            ) from error
        return network.to(device).eval().requires_grad_(False)


def find_weights_dir(explicit: Path | str | None = None) -> Path:
    """The folder of weights to use: the given one, else `EXPRGAN_WEIGHTS`, the checkout's, the wheel's.

    Args:
        explicit: A folder named by the user, or OWNER/NAME@REVISION for weights that `exprgan weights
            download` has fetched from the Hugging Face Hub; nothing else is tried when it is given.

    Raises:
        WeightsError: The named folder is not there or has no manifest, the cache has no such weights, or no
            folder was found at all.
    """
    named = explicit or os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        folder = Path(named).expanduser()
        if _HUB_NAME.fullmatch(Path(named).as_posix()) and not folder.exists():
            from exprgan.weights import hub

            return hub.cached_folder(Path(named).as_posix())
        refuse_pickles(folder)
        if folder.name == MANIFEST or folder.suffix == ".safetensors":
            folder = folder.parent
        if not (folder / MANIFEST).is_file():
            reason = f"has no {MANIFEST}" if folder.exists() else "does not exist"
            remedy = "leave out --weights" if explicit else f"unset {ENVIRONMENT_VARIABLE}"
            raise WeightsError(
                f"{folder} is no folder of weights: it {reason}; {remedy} to use the bundled ones, or write "
                "OWNER/NAME@REVISION for those that `exprgan weights download` has fetched."
            )
        return folder
    for folder in (_PACKAGE.parent / "weights", _PACKAGE / "_weights"):
        if (folder / MANIFEST).is_file():
            return folder
    raise WeightsError("This installation has no weights; reinstall exprgan or name a folder with --weights.")


def find(source: str | Path, weights: Path | str | None = None) -> NetworkFiles:
    """A network by name or folder.

    Args:
        source: A name in the folder of weights; FOLDER/NAME, NAME in another folder of weights; a folder of weights
            that holds one system; or the folder of a run. A folder that is called like a network is written ./NAME.
        weights: Folder of weights; None finds it as `find_weights_dir` does.

    Raises:
        WeightsError: There is no such network, or its files are damaged.
        UsageError: Nothing can be meant by the source.
    """
    path = Path(source)
    is_name = isinstance(source, str) and path.name == source
    if is_name and (
        source in SYSTEMS or not path.is_dir() or source in read_manifest(find_weights_dir(weights))
    ):
        refuse_pickles(path)
        return _in_folder(path.name, find_weights_dir(weights))
    if (path / MANIFEST).is_file():
        return _in_folder(_only_system(path), path)
    if path.is_dir():
        return _of_run(path, find_weights_dir(weights))
    refuse_pickles(path)
    if (path.parent / MANIFEST).is_file():
        return _in_folder(path.name.removesuffix(".safetensors"), path.parent)
    raise UsageError(f"There is no folder {source}; name a run, a folder of weights, or a network by name.")


def find_system(source: str | Path, weights: Path | str | None = None) -> NetworkFiles:
    """A trained generator of `SYSTEMS`; arguments as for `find`.

    Raises:
        UsageError: The name is unknown, or what it names is a network of another kind.
        WeightsError: Weights are missing or damaged.
    """
    try:
        files = find(source, weights)
    except _Unknown as error:
        raise _no_system(error.name, error.folder) from error
    if files.architecture not in SYSTEMS:
        raise UsageError(
            f"{files.run or files.name} is a network {files.architecture!r}, which gives no face an expression; "
            f"name one of {', '.join(SYSTEMS)}."
        )
    return files


class _Unknown(WeightsError):
    """A folder of weights has no network of this name."""

    def __init__(self, name: str, folder: Path, known: Sequence[str]) -> None:
        self.name, self.folder = name, folder
        has = ", ".join(sorted(known)) or "none"
        super().__init__(
            f"{folder} has no weights named {name!r} (it has: {has}); try `exprgan weights list`."
        )


def _in_folder(name: str, folder: Path) -> NetworkFiles:
    records = read_manifest(folder)
    if name not in records:
        raise _Unknown(name, folder, list(records))
    return _checked(NetworkFiles(name, read_config(name, folder, records[name]), folder, records[name]))


def _no_system(name: str, folder: Path) -> UsageError | WeightsError:
    if name in SYSTEMS:
        return WeightsError(
            f"{folder} has no weights of {name}; name the folder of a run of `exprgan train {name}` instead, or "
            f"add it to a folder of weights with `python -m exprgan.training.publish RUN --weights {folder}`."
        )
    records = read_manifest(folder)
    present = [known for known in records if records[known].architecture in SYSTEMS]
    known = list(dict.fromkeys([*SYSTEMS, *present]))
    near = difflib.get_close_matches(name, known, n=1)
    hint = (
        f"did you mean {near[0]}?"
        if near
        else f"choose from {', '.join(known)}, or name the folder of a run."
    )
    return UsageError(f"There is no system {name!r}; {hint}")


def _only_system(folder: Path) -> str:
    records = read_manifest(folder)
    present = sorted(name for name in records if records[name].architecture in SYSTEMS)
    if not present:
        raise WeightsError(
            f"{folder} holds no system ({', '.join(SYSTEMS)}); name another folder of weights."
        )
    if len(present) > 1:
        raise UsageError(
            f"{folder} holds several systems; name one of them: {', '.join(str(folder / name) for name in present)}."
        )
    return present[0]


def _of_run(run: Path, weights: Path) -> NetworkFiles:
    for name in (NETWORK, AVERAGED):
        if not (run / name).is_file():
            raise WeightsError(
                f"{run} has no {name}, so it is no folder of a training run; name one of `exprgan train`, "
                "whose first checkpoint is written, or a folder of weights."
            )
    try:
        config = dict(json.loads((run / NETWORK).read_text(encoding="utf-8")))
        config["architecture"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{run / NETWORK} is damaged ({error}); `exprgan train` writes it anew when the run goes on."
        ) from error
    return _checked(NetworkFiles(run.resolve().name, config, weights, run=run))


def _checked(files: NetworkFiles) -> NetworkFiles:
    if not isinstance(files.config.get("arguments"), dict) or (
        files.architecture in PIXEL_SYSTEMS and not isinstance(files.config.get("image_size"), int)
    ):
        raise WeightsError(
            f"The description of {files.run or files.name} lacks its arguments or image_size; restore it, or train and "
            "publish it anew."
        )
    return files
