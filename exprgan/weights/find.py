"""Where a trained generator is on disk: bundled by name, in a folder of weights, or in the folder of a run.

Needs no torch, so that a command line can refuse a wrong name at once.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exprgan.errors import UsageError, WeightsError
from exprgan.weights import MANIFEST, find_weights_dir, load_config, read_manifest, refuse_pickles

PIXEL_SYSTEMS = ("sargan", "stargan", "usgan", "hierarchical")
"""Architectures whose generator puts out pictures, y = G(x, c)."""
SYSTEMS = ("unified", "unified_end_to_end", *PIXEL_SYSTEMS)
"""Architectures of generators that give a face an expression by name; the first two put out edits."""
NETWORK, AVERAGED = "network.json", "ema.safetensors"
"""Files of a run: how to build its network, and the averaged weights."""


@dataclass(frozen=True)
class SystemFiles:
    """A trained generator on disk.

    Attributes:
        name: As the user knows it: a name in the manifest, or the run folder's.
        architecture: One of `SYSTEMS`.
        description: "architecture", "arguments", for `PIXEL_SYSTEMS` "image_size", and what else was stored.
        sha256: Of the tensors' file.
        weights: Folder of weights that holds the networks used beside it, and itself unless it is of a run.
        run: Folder of the run, or None.
    """

    name: str
    architecture: str
    description: dict[str, Any]
    sha256: str
    weights: Path
    run: Path | None = None


def find_system(source: str | Path, weights: Path | str | None = None) -> SystemFiles:
    """A trained generator by name or folder.

    Args:
        source: A name of `SYSTEMS` or another name in the folder of weights; FOLDER/NAME, NAME in another
            folder of weights; a folder of weights that holds one system; or the folder of a run. A folder that is
            called like a system is written ./NAME.
        weights: Folder of weights; None finds it as `find_weights_dir` does.

    Raises:
        UsageError: The name is unknown, or what it names is a network of another kind.
        WeightsError: Weights are missing or damaged.
    """
    path = Path(source)
    if source in SYSTEMS:
        return _bundled(str(source), find_weights_dir(weights))
    if (path / MANIFEST).is_file():
        return _bundled(_only_system(path), path)
    if path.is_dir():
        return _of_run(path, find_weights_dir(weights))
    refuse_pickles(path)
    if path.name == str(source):
        return _bundled(path.name, find_weights_dir(weights))
    if (path.parent / MANIFEST).is_file():
        return _bundled(path.name.removesuffix(".safetensors"), path.parent)
    raise UsageError(f"There is no folder {source}; name a run, a folder of weights, or a system by name.")


def _bundled(name: str, folder: Path) -> SystemFiles:
    records = read_manifest(folder)
    if name not in records:
        raise _missing(name, folder, [known for known in records if records[known].architecture in SYSTEMS])
    record = records[name]
    description = load_config(name, folder)
    _check(name, description)
    return SystemFiles(name, record.architecture, description, record.sha256, folder)


def _missing(name: str, folder: Path, present: list[str]) -> UsageError | WeightsError:
    if name in SYSTEMS:
        return WeightsError(
            f"{folder} has no weights of {name}; name the folder of a run of `exprgan train {name}` instead, or "
            f"add it to a folder of weights with `python -m exprgan.training.publish RUN --weights {folder}`."
        )
    near = difflib.get_close_matches(name, [*SYSTEMS, *present], n=1)
    hint = (
        f"did you mean {near[0]}?"
        if near
        else f"choose from {', '.join(dict.fromkeys([*SYSTEMS, *present]))}"
    )
    return UsageError(
        f"There is no system {name!r}; {hint}{'' if near else ', or name the folder of a run.'}"
    )


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


def _of_run(run: Path, weights: Path) -> SystemFiles:
    for name in (NETWORK, AVERAGED):
        if not (run / name).is_file():
            raise WeightsError(
                f"{run} has no {name}, so it is no folder of a training run; name one of `exprgan train`, "
                "whose first checkpoint is written, or a folder of weights."
            )
    try:
        description = json.loads((run / NETWORK).read_text(encoding="utf-8"))
        architecture = description["architecture"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{run / NETWORK} is damaged ({error}); `exprgan train` writes it anew when the run goes on."
        ) from error
    _check(str(run), description)
    sha256 = hashlib.sha256((run / AVERAGED).read_bytes()).hexdigest()
    return SystemFiles(run.resolve().name, architecture, description, sha256, weights, run)


def _check(name: str, description: dict[str, Any]) -> None:
    architecture = description["architecture"]
    if architecture not in SYSTEMS:
        raise UsageError(
            f"{name} is a network {architecture!r}, which gives no face an expression by name; name one of "
            f"{', '.join(SYSTEMS)}."
        )
    if not isinstance(description.get("arguments"), dict) or (
        architecture in PIXEL_SYSTEMS and not isinstance(description.get("image_size"), int)
    ):
        raise WeightsError(
            f"The description of {name} lacks its arguments or image_size; restore it, or train and publish it anew."
        )
