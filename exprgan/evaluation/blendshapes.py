"""Blendshape scores as named columns, and MediaPipe's Face Landmarker as a judge from outside.

No network here is trained on MediaPipe's view of an edit; the labels of open-faces come from the same model,
so it knows the style of those crops. MediaPipe is not a dependency: it is imported where it is installed and a
model file is given.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exprgan.errors import UsageError

SCORES = {
    "mouthSmile": ("mouthSmileLeft", "mouthSmileRight"),
    "jawOpen": ("jawOpen",),
    "browDown": ("browDownLeft", "browDownRight"),
    "browInnerUp": ("browInnerUp",),
    "browOuterUp": ("browOuterUpLeft", "browOuterUpRight"),
    "mouthFrown": ("mouthFrownLeft", "mouthFrownRight"),
    "mouthUpperUp": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "mouthStretch": ("mouthStretchLeft", "mouthStretchRight"),
    "eyeWide": ("eyeWideLeft", "eyeWideRight"),
    "eyeSquint": ("eyeSquintLeft", "eyeSquintRight"),
    "smile R-L": ("mouthSmileRight", "-mouthSmileLeft"),
}
"""Name of a column -> the landmarker's scores that are averaged, or subtracted where marked by '-'."""

JUDGED_SCORES = tuple(name for name in SCORES if name != "smile R-L")
"""Columns that our own expression judge estimates: those that are scores."""

POORLY_JUDGED = ("mouthFrown",)
"""Of these, those whose estimate correlates by less than 0.4 with MediaPipe's score on held-out faces."""

WANTED = {
    "happy": ("mouthSmile",),
    "sad": ("browInnerUp", "mouthFrown"),
    "surprise": ("browInnerUp", "browOuterUp", "jawOpen"),
    "fear": ("browInnerUp", "mouthStretch", "eyeWide"),
    "disgust": ("browDown", "mouthUpperUp"),
    "anger": ("browDown", "eyeSquint"),
    "contempt": ("smile R-L",),
}
"""Columns that an expression should raise, after EMFACS; neutral raises none."""


def column(scores: dict[str, float], parts: tuple[str, ...]) -> float:
    """One column from the landmarker's scores by name."""
    if any(part.startswith("-") for part in parts):
        return sum(-scores[part[1:]] if part.startswith("-") else scores[part] for part in parts)
    return float(np.mean([scores[part] for part in parts]))


class Landmarker:
    """MediaPipe's Face Landmarker; a context manager.

    Args:
        model: face_landmarker.task.

    Raises:
        UsageError: The file is not there, or MediaPipe is not installed.
    """

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise UsageError(f"{model} is no file; give MediaPipe's face_landmarker.task with --landmarker.")
        try:
            import mediapipe
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise UsageError(
                "--landmarker needs MediaPipe; `pip install mediapipe` into this environment, or leave the option out."
            ) from error
        self._image, self._format = mediapipe.Image, mediapipe.ImageFormat.SRGB
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(model)), output_face_blendshapes=True
        )
        self._landmarker: Any = vision.FaceLandmarker.create_from_options(options)

    def __enter__(self) -> Landmarker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._landmarker.close()

    def columns(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Columns of `SCORES` for a crop, uint8 RGB (H, W, 3); all NaN where it finds no face."""
        picture = self._image(image_format=self._format, data=np.ascontiguousarray(image))
        found = self._landmarker.detect(picture).face_blendshapes
        if not found:
            return np.full(len(SCORES), math.nan)
        scores = {item.category_name: item.score for item in found[0]}
        return np.array([column(scores, parts) for parts in SCORES.values()])
