"""Turns a PyTorch checkpoint (.pth) into weights that exprgan reads: safetensors, config, card, manifest.

The one place that opens pickled files, and only with torch's `weights_only=True`, which builds tensors and
plain containers and refuses everything else. Edits never come here.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exprgan.errors import UsageError, WeightsError
from exprgan.weights.folder import MANIFEST, read_manifest, save_weights

if TYPE_CHECKING:
    from torch import Tensor

STATE_KEYS = ("params_ema", "ema", "state_dict", "model_state_dict", "params", "model", "generator")
"""Where checkpoints keep their tensors, the first that is there is taken; averaged ones go first."""
_PREFIXES = ("module.", "_orig_mod.")  # of torch's DataParallel and compile
_SHOWN = 4


@dataclass(frozen=True)
class Converted:
    """What a conversion gave."""

    name: str  # in the manifest
    folder: Path
    key: str  # where in the checkpoint the tensors were; "" when it holds nothing else
    tensors: int
    left_out: tuple[str, ...]  # other entries of the checkpoint


def convert(
    file: Path | str,
    folder: Path | str,
    *,
    architecture: str,
    arguments: Mapping[str, Any] | None = None,
    name: str | None = None,
    key: str | None = None,
    licence: str = "unknown",
    overwrite: bool = False,
) -> Converted:
    """Write a checkpoint's tensors as weights of a network, if every one of them has its place there.

    Args:
        file: The checkpoint, as torch.save writes it.
        folder: Folder of weights to write into, made when it is not there.
        architecture: A name of exprgan.models.registry.BUILDERS.
        arguments: The network's keyword arguments; its defaults are used for others.
        name: Name in the manifest; the file's stem by default.
        key: Entry of the checkpoint with the tensors; found by `STATE_KEYS` by default.
        licence: Licence of the weights, an SPDX name.
        overwrite: Replace weights of the same name.

    Raises:
        UsageError: There is no such architecture or it does not take the arguments, the name cannot be one
            of a file, or it is taken.
        WeightsError: The file cannot be read, needs more than tensors and plain values, or does not fit.
    """
    file, folder = Path(file), Path(folder)
    name = name or file.stem
    if Path(name).name != name or name in ("", "..", "README", Path(MANIFEST).stem):
        raise UsageError(f"{name!r} cannot name weights; give another with --name.")
    if name in read_manifest(folder) and not overwrite:
        raise UsageError(
            f"{folder} has weights named {name!r}; give another --name, or --overwrite to replace them."
        )
    arguments = dict(arguments or {})
    wanted = _wanted_tensors(architecture, arguments)
    content = _read(file)
    checkpoint = _unpickle(content, file)
    key, state = _tensors(checkpoint, key, file)
    state = _without_prefix(state)
    _check_fit(state, wanted, architecture, file)
    digest = hashlib.sha256(content).hexdigest()
    config = {
        "architecture": architecture,
        "arguments": arguments,
        "licence": licence,
        "converted_from": {"file": file.name, "sha256": digest},
    }
    card = (
        f"# {name}\n\nNetwork `{architecture}`, converted from `{file.name}` (sha256 {digest}) to half precision.\n\n"
        f"Licence of the weights: {licence}. Data they were trained on, figures and limits: not known here; "
        "add them before you pass the weights on.\n"
    )
    save_weights(folder, name, state, config, card)
    left_out = tuple(str(entry) for entry in checkpoint if entry != key) if key else ()
    return Converted(name, folder, key, len(state), left_out)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise WeightsError(f"{file} cannot be read ({error.strerror}); check the path.") from error


def _unpickle(content: bytes, file: Path) -> Mapping[str, Any]:
    """The checkpoint; a `WeightsError` when that needs code of the file."""
    import torch

    if not content.startswith((b"PK", b"\x80")):  # the starts of zip files and of pickles
        raise WeightsError(f"{file} is no checkpoint of PyTorch; check the name and the download.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that torch may refuse: it does, or it does not
            checkpoint = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = " ".join(str(error).split())
        cause = reason.partition("WeightsUnpickler error: ")[2].partition(". Please")[0] or reason
        cause = cause.partition(" Check the documentation")[0]
        raise WeightsError(
            f"{file} is refused: opening it could run code of the file ({cause[:160]}); "
            "ask its maker for a file with nothing but tensors."
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise WeightsError(f"{file} is no checkpoint of PyTorch ({reason}); check the download.") from error
    if not isinstance(checkpoint, Mapping):
        raise WeightsError(
            f"{file} holds a {type(checkpoint).__name__} and no table of tensors; save the state_dict() instead."
        )
    return checkpoint


def _tensors(checkpoint: Mapping[str, Any], key: str | None, file: Path) -> tuple[str, dict[str, Tensor]]:
    """Entry of the checkpoint with the tensors ("" for the checkpoint itself), and the tensors."""
    tables = {str(entry): value for entry, value in checkpoint.items() if _is_state(value)}
    if key is None and _is_state(checkpoint):
        return "", dict(checkpoint)
    if key is None:
        key = next((entry for entry in STATE_KEYS if entry in tables), None)
        key = next(iter(tables)) if key is None and len(tables) == 1 else key
    if key not in tables:
        known = ", ".join(tables) or "none"
        raise WeightsError(
            f"Choose the entry of {file} that has the tensors with --key (there are: {known})."
        )
    return key, dict(tables[key])


def _is_state(value: object) -> bool:
    from torch import Tensor

    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) and isinstance(part, Tensor) for name, part in value.items())
    )


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name[len(prefix) :]: value for name, value in state.items()}
    return state


def _wanted_tensors(architecture: str, arguments: dict[str, Any]) -> dict[str, Tensor]:
    """The network's tensors by name, of any values; a `UsageError` when it cannot be built."""
    from exprgan.models.registry import build_without_start_values

    try:
        return build_without_start_values(architecture, **arguments).state_dict()
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"The network {architecture!r} cannot be built ({error}); set its arguments with --set NAME=VALUE."
        ) from error


def _check_fit(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], architecture: str, file: Path
) -> None:
    """Raise unless the network has exactly these tensors, by name and shape."""
    faults = {
        "lacks": [name for name in wanted if name not in state],
        "has too many": [name for name in state if name not in wanted],
        "has another shape for": [
            f"{name} {list(state[name].shape)} instead of {list(wanted[name].shape)}"
            for name in wanted
            if name in state and state[name].shape != wanted[name].shape
        ],
    }
    found = [f"{fault} {_some(names)}" for fault, names in faults.items() if names]
    if found:
        raise WeightsError(
            f"{file} does not fit the network {architecture!r}: it {'; '.join(found)}; "
            "choose another --architecture, or set its arguments with --set NAME=VALUE."
        )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
