"""Figures of one network on held-out data, by what it is for.

    python -m exprgan.evaluation.examine NETWORK --data DIR [--teacher DIR --cache DIR] [--json FILE]

NETWORK is a name in the folder of weights, FOLDER/NAME or the folder of a run. The figures are printed as JSON; the
file is what `python -m exprgan.training.publish RUN --metrics FILE` puts into the model card. `exprgan eval` compares
systems by one protocol; here each kind of network is measured by what it was trained for.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import torch

from exprgan.errors import ExprganError, UsageError
from exprgan.evaluation import corrections, faces, features, judges, segmentation, transfer, unified
from exprgan.files import write_whole
from exprgan.weights import NetworkFiles, find

EXAMINERS: dict[str, Callable[..., dict[str, Any]]] = {
    "unified": unified.report_of,
    "face_model": transfer.report_of_photographs,
    "corrections": corrections.report_of,
    "transfer": transfer.report_of,
    "unet": segmentation.report_of,
    "bisenet": segmentation.report_of,
    "features": features.report_of,
    "landmark_net": faces.report_of_landmarks,
    "face_proposer": faces.report_of_proposer,
    "expression_judge": judges.report_of,
    "identity_judge": judges.report_of,
}
"""What measures an architecture: (files, folder of data), and options as keywords."""


def examine(files: NetworkFiles, data: Path, **options: Any) -> dict[str, Any]:
    """Figures of a network, by data set.

    Args:
        files: The network.
        data: Folder with open-faces and synthetic-faces.
        options: Those of the function in `EXAMINERS`.

    Raises:
        UsageError: There are no figures of such a network, it needs another option or knows nothing of one that is
            given, or the data are not there.
        WeightsError: Weights are missing or do not fit.
    """
    if files.architecture not in EXAMINERS:
        raise UsageError(
            f"{files.run or files.name} is a network {files.architecture!r}, which is measured as a system: "
            "use `exprgan eval`."
        )
    measure = EXAMINERS[files.architecture]
    known = {
        name: parameter.default is parameter.empty
        for name, parameter in inspect.signature(measure).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    unknown = [name for name in options if name not in known]
    if unknown:
        raise UsageError(f"{_flag(unknown[0])} means nothing for {files.architecture!r}; leave it out.")
    missing = [name for name, is_needed in known.items() if is_needed and name not in options]
    if missing:
        raise UsageError(f"{files.architecture!r} is measured with a {missing[0]}; give {_flag(missing[0])}.")
    return measure(files, data, **options)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def main() -> None:
    """Print a network's figures as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m exprgan.evaluation.examine", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("network", help="a name in the folder of weights, FOLDER/NAME or the folder of a run")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with open-faces, synthetic-faces and so on"
    )
    parser.add_argument("--weights", type=Path, help="folder of weights; the bundled ones by default")
    parser.add_argument("--json", type=Path, help="file for the figures, as publishing takes them")
    some = parser.add_argument_group("of some networks")
    some.add_argument("--teacher", type=Path, help="folder with geometry_basis.npz: unified, transfer")
    some.add_argument("--cache", type=Path, help="folder for the teacher's renders: unified, transfer")
    some.add_argument(
        "--faces", type=int, help="faces of open-faces, at most: unified, corrections, transfer"
    )
    some.add_argument("--segmenter", help="weights whose masks condition the generator, or none: unified")
    some.add_argument(
        "--landmarker", type=Path, help="MediaPipe's face_landmarker.task: transfer, face_model, corrections"
    )
    some.add_argument("--detector", choices=("builtin", "retinaface"), help="what proposes faces: landmarks")
    some.add_argument(
        "--photo-labels",
        type=Path,
        help="landmarks of photos/ made by exprgan.data.mediapipe_faces: landmarks, face_proposer",
    )
    some.add_argument("--scenes", type=int, help="made scenes: landmarks, face_proposer")
    some.add_argument("--seed", type=int, help="of jitter and scenes: landmarks, face_proposer")
    options = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    network, data = options.pop("network"), options.pop("data")
    weights, file = options.pop("weights", None), options.pop("json", None)
    torch.set_num_threads(1)  # figures then depend on neither the number of cores nor their speed
    cv2.setNumThreads(0)
    try:
        report = json.dumps(examine(find(network, weights), data, **options), indent=1) + "\n"
    except ExprganError as error:
        parser.exit(error.exit_code, f"{error}\n")
    sys.stdout.write(report)
    if file:
        write_whole(file, report.encode())


if __name__ == "__main__":
    main()
