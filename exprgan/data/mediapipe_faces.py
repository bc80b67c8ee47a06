"""Dense landmarks of a folder of pictures by MediaPipe's Face Landmarker, as labels for training.

Needs `pip install mediapipe` and the model file face_landmarker.task (Apache 2.0); neither is part of
exprgan. Run as `python -m exprgan.data.mediapipe_faces --model face_landmarker.task --images DIR
--output labels.npz`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exprgan.action_units import from_blendshapes
from exprgan.errors import UsageError
from exprgan.faces.mesh import BLENDSHAPES

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")


class ActionUnitMeter:
    """Measures action units of crops by MediaPipe's blendshapes.

    Args:
        model: face_landmarker.task.

    Raises:
        UsageError: MediaPipe is not installed or the model is not there.
    """

    def __init__(self, model: Path) -> None:
        if not model.is_file():
            raise UsageError(f"There is no file {model}; give MediaPipe's face_landmarker.task.")
        try:
            import mediapipe as mp
            from mediapipe.tasks.python import BaseOptions, vision
        except ImportError as error:
            raise UsageError(
                "MediaPipe is not installed; run `pip install mediapipe`, or give OpenFace's csv with --action-units."
            ) from error
        self._mp = mp
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(model)), output_face_blendshapes=True
        )
        self._landmarker = vision.FaceLandmarker.create_from_options(options)

    def __call__(self, crop: NDArray[np.uint8]) -> tuple[float, ...] | None:
        """17 intensities of a crop, uint8 RGB (H, W, 3); None where MediaPipe finds no face."""
        result = self._landmarker.detect(
            self._mp.Image(self._mp.ImageFormat.SRGB, np.ascontiguousarray(crop))
        )
        if not result.face_blendshapes:
            return None
        items = result.face_blendshapes[0]
        scores = np.array([[item.score for item in items]], np.float32)
        units = from_blendshapes(scores, [item.category_name for item in items])
        return tuple(float(value) for value in units[0])


def label_folder(images: Path, model: Path, output: Path) -> int:
    """Label all pictures of a folder; the number of faces found.

    Written are names, landmarks_xy (N, 478, 2) and depth_px (N, 478) in pixels, blendshapes (N, 51) in the order of
    `exprgan.faces.mesh.BLENDSHAPES`, and found (N,) bool. Pixel centres are at whole numbers, depth grows away from the
    camera; all of a picture without a face is NaN.
    """
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(model)), output_face_blendshapes=True
    )
    names = sorted(p.name for p in images.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES)
    landmarks_xy = np.full((len(names), 478, 2), np.nan, np.float32)
    depth_px = np.full((len(names), 478), np.nan, np.float32)
    blendshapes = np.full((len(names), len(BLENDSHAPES)), np.nan, np.float32)
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for row, name in enumerate(names):
            pixels = np.asarray(Image.open(images / name).convert("RGB"))
            size_wh = np.array([pixels.shape[1], pixels.shape[0]], np.float32)
            faces = landmarker.detect(mp.Image(mp.ImageFormat.SRGB, np.ascontiguousarray(pixels)))
            if faces.face_landmarks:
                points = np.array([(p.x, p.y, p.z) for p in faces.face_landmarks[0]], np.float32)
                landmarks_xy[row] = points[:, :2] * size_wh - 0.5
                depth_px[row] = points[:, 2] * size_wh[0]
                scores = {item.category_name: item.score for item in faces.face_blendshapes[0]}
                blendshapes[row] = [scores[name] for name in BLENDSHAPES]
    found = np.isfinite(landmarks_xy).all(axis=(1, 2))
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        output,
        names=np.array(names),
        landmarks_xy=landmarks_xy,
        depth_px=depth_px,
        blendshapes=blendshapes,
        found=found,
    )
    return int(found.sum())


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of pictures, one face each")
    parser.add_argument("--model", type=Path, required=True, help="face_landmarker.task")
    parser.add_argument("--output", type=Path, required=True, help="labels.npz to write")
    arguments = parser.parse_args()
    found = label_folder(arguments.images, arguments.model, arguments.output)
    print(f"{found} faces labelled")


if __name__ == "__main__":
    main()
