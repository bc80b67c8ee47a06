"""MediaPipe's Face Landmarker as a judge from outside, and what an expression should raise.

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

from exprgan.action_units import SCORES, column
from exprgan.errors import UsageError

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
