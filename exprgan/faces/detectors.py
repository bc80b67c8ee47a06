"""The detectors that can be chosen by name."""

from __future__ import annotations

from pathlib import Path

from exprgan.errors import UsageError
from exprgan.faces.detect import BuiltinDetector, FaceDetector
from exprgan.faces.landmarks import Landmarker
from exprgan.faces.proposer import Proposer
from exprgan.faces.retinaface import RetinaFaceDetector, load_network
from exprgan.weights import find

DETECTORS = ("builtin", "retinaface")


def open_detector(
    name: str = "builtin",
    *,
    device: str = "cpu",
    folder: Path | str | None = None,
    detector_weights: Path | str | None = None,
) -> FaceDetector:
    """A face detector by name.

    Args:
        name: builtin (our own networks, works offline), or retinaface (facexlib's network before our landmark
            network).
        device: Where its networks run.
        folder: Folder of exprgan's weights; None finds it as `find_weights_dir` does.
        detector_weights: Folder of facexlib's file, for retinaface; without it `EXPRGAN_HOME` is looked into, and the
            file is downloaded there.

    Raises:
        UsageError: There is no such detector.
        WeightsError: Weights are missing or damaged.
    """
    if name not in DETECTORS:
        raise UsageError(f"There is no detector {name!r}; choose from {', '.join(DETECTORS)}.")
    landmarker = Landmarker(find("landmarks", folder).load(device), device)
    if name == "builtin":
        return BuiltinDetector(Proposer(find("face_proposer", folder).load(device), device), landmarker)
    return RetinaFaceDetector(load_network(detector_weights, device), landmarker, device)
