"""Put the arrays of the face model into a folder of weights, as they are; the card that is there stays.

python -m exprgan.teacher.bundle_basis geometry_basis.npz weights
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from exprgan.weights import save_weights

DATA = [
    "ICT-FaceKit: sculpted shapes and skin surface (MIT, Copyright (c) 2020 USC Institute for Creative Technologies)",
    "MediaPipe canonical face mesh: topology, rest shape, texture plane (Apache-2.0)",
    "open-faces, an earlier and larger selection: statistics of landmarks and scores of 3,871 photographs (MIT, "
    "Pixabay licence, CC BY 4.0, CC0 1.0)",
    "open-faces, train: mean change of the light on skin with a smile over 2,300 photographs (the same licences)",
    "Face Research Lab London Set: medians and means over 102 people (CC BY 4.0, DeBruine & Jones 2017)",
]


def bundle(archive: Path, folder: Path) -> None:
    """Write `face_model` into a folder of weights that has its card.

    Args:
        archive: `geometry_basis.npz`.
        folder: The folder of weights.
    """
    with np.load(archive) as stored:
        arrays = {name: stored[name] for name in stored.files}
    names = {name: arrays.pop(name).tolist() for name in ("sculpted_names", "measured_names")}
    save(folder, arrays, names)


def save(folder: Path, arrays: Mapping[str, NDArray[Any]], names: Mapping[str, Sequence[str]]) -> None:
    """Write the arrays of `face_model`, and the names of its shapes, into a folder of weights that has its card."""
    config = {
        "architecture": "face_model",
        "arguments": dict(names),
        "licence": "Apache-2.0 AND MIT AND CC-BY-4.0",
        "data": DATA,
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    card = (folder / "face_model.md").read_text(encoding="utf-8")
    save_weights(folder, "face_model", tensors, config, card, half=False)


def main() -> None:
    """Bundle."""
    parser = argparse.ArgumentParser(description="put the face model's arrays into a folder of weights")
    parser.add_argument("archive", type=Path, metavar="NPZ")
    parser.add_argument("weights", type=Path, metavar="WEIGHTS")
    arguments = parser.parse_args()
    bundle(arguments.archive, arguments.weights)


if __name__ == "__main__":
    main()
