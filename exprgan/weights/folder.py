"""Weights on disk: one safetensors file, one config and one card a network, and a manifest of them all.

A folder of weights holds `manifest.json` and, for every NAME in it, `NAME.safetensors` (networks in half precision),
`NAME.json` (how to build the network) and `NAME.md` (the model card: data, licences, figures). `face_model` is no
network but data of `exprgan.face_model`, kept exactly. Every file is checked against the manifest's sha256 before a
tensor is read. Pickled formats are refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exprgan.errors import UsageError, WeightsError
from exprgan.version import __version__

if TYPE_CHECKING:
    from torch import Tensor, nn

MANIFEST = "manifest.json"
ENVIRONMENT_VARIABLE = "EXPRGAN_WEIGHTS"
PICKLED_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".pkl", ".pickle")
_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*@\w[\w./-]*")  # OWNER/NAME@REVISION
_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class WeightsRecord:
    """What the manifest knows of one network's weights."""

    file: str  # name of the safetensors file inside the folder
    sha256: str  # of that file, hexadecimal
    size_bytes: int  # of that file
    architecture: str  # a name of exprgan.models.BUILDERS, or face_model
    version: str = ""  # of exprgan when the weights were made
    licence: str = ""  # of the weights, an SPDX name
    data: list[str] = field(default_factory=list)  # what they were trained on, with licences
    metrics: dict[str, Any] = field(default_factory=dict)  # figures of the model card
    card: str = ""  # name of the model card inside the folder


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
            from exprgan.weights.hub import cached_folder

            return cached_folder(Path(named).as_posix())
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


def refuse_pickles(path: Path) -> None:
    """Raise for a pickled format, whose loading could run any code.

    Raises:
        WeightsError: The name ends in .pth, .pt, .ckpt, .bin or .pkl.
    """
    if path.suffix.lower() in PICKLED_SUFFIXES:
        raise WeightsError(
            f"{path.name} is refused: {path.suffix} files are Python pickles, which can run any code when "
            "they are opened; turn it into safetensors with `exprgan weights convert`."
        )


def read_manifest(folder: Path | str) -> dict[str, WeightsRecord]:
    """Records of a folder's manifest by name; empty when the folder has no manifest.

    Raises:
        WeightsError: The manifest is damaged, or names a file outside the folder or of a pickled format.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return {}
    known = {entry.name for entry in fields(WeightsRecord)}
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["weights"]
        records = {
            name: WeightsRecord(**{key: value for key, value in entry.items() if key in known})
            for name, entry in entries.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is damaged ({error}); restore it from the release.") from error
    for name, record in records.items():
        if (
            Path(name).name != name
            or Path(record.file).name != record.file
            or Path(record.card).name != record.card
        ):
            raise WeightsError(f"{path} names a file outside its folder; restore it from the release.")
        refuse_pickles(Path(record.file))
    return records


def verify_weights(name: str, folder: Path | str) -> Path:
    """Path of a network's tensors, after its size and sha256 were found to be the manifest's.

    Raises:
        WeightsError: The name is unknown, or the file is missing or not the recorded one.
    """
    folder = Path(folder)
    record = _record(name, folder)
    _verified_bytes(folder, record)
    return folder / record.file


def load_config(name: str, folder: Path | str | None = None) -> dict[str, Any]:
    """Config of a network: "architecture", "arguments" and what was saved beside them.

    Raises:
        WeightsError: The weights are unknown or the config is damaged.
    """
    folder = find_weights_dir(folder)
    return _read_config(folder / f"{name}.json", _record(name, folder))


def load_weights(name: str, folder: Path | str | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Config and tensors of a network.

    Args:
        name: Name in the manifest, e.g. "unified".
        folder: Folder of weights; None finds it as `find_weights_dir` does.

    Returns:
        The config, whose "architecture" and "arguments" build the network, and its state: floating-point
        tensors as float32 on the CPU, others as stored.

    Raises:
        WeightsError: The weights are missing, damaged or not the recorded ones.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    folder = find_weights_dir(folder)
    record = _record(name, folder)
    content = _verified_bytes(folder, record)
    config = _read_config(folder / f"{name}.json", record)
    try:
        tensors = load(content)
    except (SafetensorError, ValueError) as error:
        raise WeightsError(
            f"{folder / record.file} is no safetensors file ({error}); restore it from the release."
        ) from error
    return config, {
        key: value.float() if value.is_floating_point() else value for key, value in tensors.items()
    }


def save_weights(
    folder: Path | str,
    name: str,
    module_state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    card: str,
    *,
    half: bool = True,
) -> None:
    """Write a network's weights, its config and card, and enter them in the manifest.

    Args:
        folder: Folder of weights, made when it is not there.
        name: Name in the manifest and stem of the three files.
        module_state: The module's `state_dict()`.
        config: "architecture" (a name of exprgan.models.BUILDERS) and "arguments" (the constructor's keyword
            arguments); "version", "licence", "data" (list of sources with licences) and "metrics" go into
            the manifest. Anything else, e.g. "training", is kept in the config file.
        card: The model card in Markdown.
        half: Store floating-point values in half precision; False keeps every type as it is.

    Raises:
        WeightsError: The config lacks a key, or a value is no number in the precision stored.
    """
    import torch
    from safetensors.torch import save

    for key in ("architecture", "arguments"):
        if key not in config:
            raise WeightsError(f"The config of the weights {name!r} lacks {key!r}.")
    tensors = {}
    for key, value in module_state.items():
        value = value.detach().cpu()
        value = value.half() if half and value.is_floating_point() else value
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsError(
                f"The tensor {key!r} of {name!r} has values that are no number{' in half precision' * half}."
            )
        tensors[key] = value.clone(memory_format=torch.contiguous_format)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = save(tensors, metadata={"format": "pt"})
    record = WeightsRecord(
        file=f"{name}.safetensors",
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        architecture=config["architecture"],
        version=config.get("version", __version__),
        licence=config.get("licence", "Apache-2.0"),
        data=list(config.get("data", [])),
        metrics=dict(config.get("metrics", {})),
        card=f"{name}.md",
    )
    in_manifest = {"version", "licence", "data", "metrics"}
    kept = {key: value for key, value in config.items() if key not in in_manifest}
    replace_file(folder / record.file, content)
    replace_file(folder / f"{name}.json", _json(kept))
    replace_file(folder / record.card, (card.rstrip() + "\n").encode())
    records = {**read_manifest(folder), name: record}
    entries = {key: asdict(records[key]) for key in sorted(records)}
    replace_file(folder / MANIFEST, _json({"format": 1, "weights": entries}))


def load_model(name: str, folder: Path | str | None = None, device: str = "cpu") -> nn.Module:
    """A network with its weights, in eval mode and without gradients.

    Args:
        name: Name in the manifest, e.g. "unified".
        folder: Folder of weights; None finds it as `find_weights_dir` does.
        device: torch's name of the device.

    Raises:
        WeightsError: The weights are missing, not the recorded ones or do not fit the network.
    """
    from exprgan.models import build_without_start_values

    config, tensors = load_weights(name, folder)
    try:
        model = build_without_start_values(config["architecture"], **config["arguments"])
        model.load_state_dict(tensors)
    except (UsageError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise WeightsError(
            f"The weights {name!r} do not fit this version of exprgan ({reason}); "
            "use those of the same release."
        ) from error
    return model.to(device).eval().requires_grad_(False)


def _record(name: str, folder: Path) -> WeightsRecord:
    records = read_manifest(folder)
    if name not in records:
        known = ", ".join(sorted(records)) or "none"
        raise WeightsError(
            f"{folder} has no weights named {name!r} (it has: {known}); try `exprgan weights list`."
        )
    return records[name]


def _read_config(path: Path, record: WeightsRecord) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        agrees = config["architecture"] == record.architecture and isinstance(config["arguments"], dict)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is missing or damaged; restore it from the release.") from error
    if not agrees:
        raise WeightsError(f"{path} does not belong to {record.file}; restore it from the release.")
    return dict(config)


def _verified_bytes(folder: Path, record: WeightsRecord) -> bytes:
    """The file of a record, read once; a `WeightsError` when it is not the recorded one."""
    path = folder / record.file
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(
            f"{path} is missing; reinstall exprgan or restore the file from the release."
        ) from error
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error
    if len(content) != record.size_bytes or hashlib.sha256(content).hexdigest() != record.sha256:
        raise WeightsError(
            f"{path} is not the file that the manifest records (its sha256 differs); "
            "restore it from the release and check with `exprgan weights verify`."
        )
    return content


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
