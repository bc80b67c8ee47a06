"""What `exprgan eval` is asked to measure: systems, the transfer network or segmenters, by name or folder.

Needs no torch until something is loaded, so that a wrong name is refused at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exprgan.errors import UsageError, WeightsError
from exprgan.weights import MANIFEST, find_weights_dir, load_config, read_manifest
from exprgan.weights.find import AVERAGED, NETWORK, SYSTEMS, SystemFiles, find_system

SEGMENTERS = ("unet", "bisenet")
TRANSFER = "transfer"


@dataclass(frozen=True)
class NetworkFiles:
    """A network on disk that is no system by itself.

    Attributes:
        name: As the user knows it.
        source: What the user called it.
        architecture: A name of `exprgan.models.BUILDERS`.
        arguments: How to build it.
        sha256: Of its tensors' file.
        folder: Folder of weights, or of the run.
        is_run: Whether that is a run's.
    """

    name: str
    source: str
    architecture: str
    arguments: dict[str, Any]
    sha256: str
    folder: Path
    is_run: bool

    def load(self) -> Any:
        """The network, in eval mode.

        Raises:
            WeightsError: The file is not the recorded one or does not fit the network.
        """
        if not self.is_run:
            from exprgan.weights import load_model

            return load_model(self.name, self.folder)
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from exprgan.models import build_without_start_values

        try:
            network = build_without_start_values(self.architecture, **self.arguments)
            network.load_state_dict(load_file(self.folder / AVERAGED))
        except (UsageError, TypeError, ValueError, RuntimeError, OSError, SafetensorError) as error:
            raise WeightsError(
                f"{self.folder / AVERAGED} does not hold the network that the run describes; go on with the run, "
                "which writes it anew."
            ) from error
        return network.eval().requires_grad_(False)


Source = SystemFiles | NetworkFiles


def find_source(source: str, weights: Path | None = None) -> Source:
    """What a name or folder stands for.

    Args:
        source: A name in the folder of weights, FOLDER/NAME, a folder of weights that holds one system, or a run.
        weights: Folder of weights; None finds it as `find_weights_dir` does.

    Raises:
        UsageError: There is no such thing, or it is a network that cannot be measured.
        WeightsError: Weights are missing or damaged.
    """
    architecture = _architecture(source, weights)
    if architecture in (*SEGMENTERS, TRANSFER):
        return _network(source, architecture, weights)
    if architecture and architecture not in SYSTEMS:
        raise UsageError(
            f"{source} is a network {architecture!r}, which `eval` cannot measure; name one of "
            f"{', '.join((*SYSTEMS, TRANSFER, *SEGMENTERS))}, or a run of one."
        )
    return find_system(source, weights)


def _is_run(source: str) -> bool:
    path = Path(source)
    return source not in SYSTEMS and (path / NETWORK).is_file()


def _place(source: str, weights: Path | None) -> tuple[str, Path]:
    """Name and folder of weights of a source that is no run."""
    path = Path(source)
    if path.name != source and (path.parent / MANIFEST).is_file():
        return path.name.removesuffix(".safetensors"), path.parent
    return source, find_weights_dir(weights)


def _architecture(source: str, weights: Path | None) -> str:
    """The architecture that a source's own files name; empty where `find_system` has to say what is wrong."""
    if _is_run(source):
        try:
            return str(json.loads((Path(source) / NETWORK).read_text(encoding="utf-8"))["architecture"])
        except (ValueError, KeyError, TypeError):
            return ""
    name, folder = _place(source, weights)
    record = read_manifest(folder).get(name)
    return record.architecture if record else ""


def _network(source: str, architecture: str, weights: Path | None) -> NetworkFiles:
    if not _is_run(source):
        name, folder = _place(source, weights)
        arguments = load_config(name, folder)["arguments"]
        return NetworkFiles(
            name, source, architecture, arguments, read_manifest(folder)[name].sha256, folder, is_run=False
        )
    run = Path(source)
    tensors = run / AVERAGED
    if not tensors.is_file():
        raise WeightsError(
            f"{run} has no {AVERAGED}; let `exprgan train` write its first checkpoint, or name another run."
        )
    arguments = json.loads((run / NETWORK).read_text(encoding="utf-8")).get("arguments", {})
    sha256 = hashlib.sha256(tensors.read_bytes()).hexdigest()
    return NetworkFiles(run.resolve().name, source, architecture, arguments, sha256, run, is_run=True)


def titles(sources: Sequence[Source]) -> list[str]:
    """A different title for each, numbered where names repeat."""
    names = [source.name for source in sources]
    return [
        name if names.count(name) == 1 else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]
