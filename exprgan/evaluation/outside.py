"""Judges from outside, where they are installed and their files given: MediaPipe's Face Landmarker, the FID Inception.

No network here is trained on MediaPipe's view of an edit; the labels of open-faces come from the same model, so it
knows the style of those crops. Neither MediaPipe nor torch-fidelity is a dependency.
"""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exprgan.action_units import SCORES, column
from exprgan.errors import UsageError

LAYER = "2048"
BATCH = 16


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

    def scores(self, image: NDArray[np.uint8]) -> dict[str, float] | None:
        """ARKit's coefficients by name for a crop, uint8 RGB (H, W, 3); None where it finds no face."""
        picture = self._image(image_format=self._format, data=np.ascontiguousarray(image))
        found = self._landmarker.detect(picture).face_blendshapes
        return {item.category_name: item.score for item in found[0]} if found else None

    def columns(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Columns of `SCORES` for a crop, uint8 RGB (H, W, 3); all NaN where it finds no face."""
        scores = self.scores(image)
        if scores is None:
            return np.full(len(SCORES), math.nan)
        return np.array([column(scores, parts) for parts in SCORES.values()])


class Inception:
    """Features of 8-bit crops in the pool layer of the FID Inception-v3, as torch-fidelity converted it.

    Args:
        weights: pt_inception-2015-12-05-6726825d.pth; read as plain tensors, so that nothing in it is run.

    Raises:
        UsageError: The file is not there or is another one, or torch-fidelity is not installed.
    """

    def __init__(self, weights: Path) -> None:
        if not weights.is_file():
            raise UsageError(f"{weights} is no file; give the FID Inception's weights with --inception.")
        try:
            importlib.import_module("torch_fidelity")
        except ImportError as error:
            raise UsageError(
                "--inception needs torch-fidelity; `pip install torch-fidelity`, or leave the option out."
            ) from error
        from torchmetrics.image.fid import NoTrainInceptionV3

        try:
            torch.load(weights, weights_only=True, map_location="cpu")  # refuses what is more than tensors
            self._network: Any = NoTrainInceptionV3("inception-v3-compat", [LAYER], str(weights))
        except Exception as error:  # torch raises half a dozen kinds for a file of something else
            raise UsageError(
                f"{weights} does not hold the FID Inception's weights; leave out --inception."
            ) from error

    @torch.inference_mode()
    def features(self, crops: NDArray[np.uint8]) -> Tensor:
        """Features (N, 2048) of uint8 RGB (N, H, W, 3), resized to 299 px bilinearly with antialiasing."""
        pictures = torch.from_numpy(crops).permute(0, 3, 1, 2)
        return torch.cat([self._network(part) for part in pictures.split(BATCH)])
