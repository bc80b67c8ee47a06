"""The detectors that can be chosen by name."""

from __future__ import annotations

from pathlib import Path

from exprgan.errors import UsageError
from exprgan.faces.detect import BuiltinDetector, FaceDetector
from exprgan.faces.landmarks import Landmarker
from exprgan.faces.proposer import Proposer
from exprgan.weights import find

DETECTORS = ("builtin", "retinaface")
CROP_PX = 128
"""Side of the landmark network's crops where its description does not say it."""


def open_detector(
    name: str = "builtin",
    *,
    device: str = "cpu",
    folder: Path | str | None = None,
    detector_weights: Path | str | None = None,
    runtime: str = "torch",
) -> FaceDetector:
    """A face detector by name.

    Args:
        name: builtin (our own networks, works offline), or retinaface (facexlib's network before our landmark
            network).
        device: Where its networks run.
        folder: Folder of exprgan's weights; None finds it as `find_weights_dir` does.
        detector_weights: Folder of facexlib's file, for retinaface; without it `EXPRGAN_HOME` is looked into, and the
            file is downloaded there.
        runtime: What runs its networks, torch or onnx; retinaface needs torch.

    Raises:
        UsageError: There is no such detector, or not with this runtime.
        WeightsError: Weights are missing or damaged.
    """
    if name not in DETECTORS:
        raise UsageError(f"There is no detector {name!r}; choose from {', '.join(DETECTORS)}.")
    files = find("landmarks", folder)
    landmarker = Landmarker(
        files.open(device, runtime), crop_px=files.config["arguments"].get("crop_px", CROP_PX)
    )
    if name == "builtin":
        return BuiltinDetector(Proposer(find("face_proposer", folder).open(device, runtime)), landmarker)
    if runtime != "torch":
        raise UsageError(
            f"The detector {name} needs torch; leave out --runtime {runtime} or --detector {name}."
        )
    from exprgan.faces.retinaface import RetinaFaceDetector, load_network

    return RetinaFaceDetector(load_network(detector_weights, device), landmarker, device)
