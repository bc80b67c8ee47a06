"""Weights on disk: one safetensors file, one config and one card a network, and a manifest of them all.

A folder of weights holds `manifest.json` and, for every NAME in it, `NAME.safetensors` (networks in half precision),
`NAME.json` (how to build the network) and `NAME.md` (the model card: data, licences, figures). `face_model` is no
network but data of `exprgan.face_model`, kept exactly. Every file is checked against the manifest's sha256 before a
tensor is read. Pickled formats are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exprgan.errors import WeightsError
from exprgan.files import write_whole
from exprgan.version import __version__
from exprgan.weights.cards import with_head
from exprgan.weights.record import WeightsRecord

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "manifest.json"
PICKLED_SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".pkl", ".pickle")


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
    folder, records = Path(folder), read_manifest(folder)
    if name not in records:
        raise WeightsError(f"{folder} has no weights named {name!r}; try `exprgan weights list`.")
    verified_bytes(folder, records[name])
    return folder / records[name].file


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
        config: "architecture" (a name of exprgan.models.registry.BUILDERS) and "arguments" (the constructor's keyword
            arguments); "version", "licence", "data" (list of sources with licences) and "metrics" go into
            the manifest. Anything else, e.g. "training", is kept in the config file.
        card: The model card in Markdown; it gets a head of what the manifest says (`exprgan.weights.cards`).
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
    write_whole(folder / record.file, content)
    write_whole(folder / f"{name}.json", _json(kept))
    write_whole(folder / record.card, with_head(card, name, record).encode())
    records = {**read_manifest(folder), name: record}
    entries = {key: asdict(records[key]) for key in sorted(records)}
    write_whole(folder / MANIFEST, _json({"format": 1, "weights": entries}))


def read_config(name: str, folder: Path, record: WeightsRecord) -> dict[str, Any]:
    """Config of a record's network: "architecture", "arguments" and what was saved beside them.

    Raises:
        WeightsError: It is missing, damaged or another network's.
    """
    path = folder / f"{name}.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        agrees = config["architecture"] == record.architecture and isinstance(config["arguments"], dict)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is missing or damaged; restore it from the release.") from error
    if not agrees:
        raise WeightsError(f"{path} does not belong to {record.file}; restore it from the release.")
    return dict(config)


def verified_bytes(folder: Path, record: WeightsRecord) -> bytes:
    """The file of a record, read once.

    Raises:
        WeightsError: It is missing or not the recorded one.
    """
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
