"""What our own landmark network sees in the training sets, and the face model's fit to it, once and for all.

    python -m exprgan.samples.own_fits --data DIR --output fits.npz

The generator on the prior learns from these fits with all their errors. Beside them stand the fits to the landmarks
that come with open-faces. A face that the network does not find, or of which it is not sure, is left out.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.face_model.fit import OWN_NETWORK
from exprgan.face_model.model import FaceModel
from exprgan.face_parts import CROP_PX
from exprgan.faces.detect import face_in_crop
from exprgan.faces.landmarks import Landmarker
from exprgan.weights import find

UPRIGHT = np.eye(2, 3)


class Fit(NamedTuple):
    """Our landmarks (478, 3) in px of a 256-px crop, coefficients (51,) fitted to them, and to the true ones."""

    landmarks_px: NDArray[np.float64]
    scores: NDArray[np.float64]
    true_scores: NDArray[np.float64]


class Fits:
    """Fits by name of the set and row.

    Args:
        arrays: landmarks_SET float16 (N, 478, 3), scores_SET and true_scores_SET float16 (N, 51), found_SET bool (N,).
    """

    def __init__(self, arrays: dict[str, NDArray]) -> None:
        self._arrays = arrays

    @classmethod
    def load(cls, path: Path) -> Fits:
        """Of a file that this module's command wrote."""
        with np.load(path) as stored:
            return cls({name: stored[name] for name in stored.files})

    def has(self, name: str, row: int) -> bool:
        """Whether the face of a row was found."""
        return bool(self._arrays[f"found_{name}"][row])

    def of(self, name: str, row: int) -> Fit:
        """The fit of a row of open-faces or synthetic-faces."""
        parts = (self._arrays[f"{part}_{name}"][row] for part in ("landmarks", "scores", "true_scores"))
        return Fit(*(part.astype(np.float64) for part in parts))

    def true_scores(self, name: str, rows: list[int]) -> NDArray[np.float64]:
        """Coefficients (len(rows), 51) fitted to the true landmarks."""
        return self._arrays[f"true_scores_{name}"][rows].astype(np.float64)


class Fitter:
    """Fits crops by our own network alone.

    Args:
        weights: Folder of weights; None finds it as `find_weights_dir` does.
        landmarks: Name or run of the landmark network.
        device: Where it runs.
    """

    def __init__(
        self, weights: Path | None = None, landmarks: str = "landmarks", device: str = "cpu"
    ) -> None:
        self.landmarker = Landmarker(find(landmarks, weights).load(device), device)
        self.own, self.true = FaceModel(trust=OWN_NETWORK), FaceModel()

    def fit(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Landmarks (478, 3) and fitted coefficients (51,) of a crop, or None."""
        face = face_in_crop(self.landmarker, image)
        if face is None:
            return None
        analysis = self.own.analyse_face(face, UPRIGHT)
        return analysis.landmarks_px, analysis.scores


def fit_sets(data: Path, fitter: Fitter) -> dict[str, NDArray]:
    """The arrays of `Fits` for open-faces and, where it is there, synthetic-faces."""
    photos = OpenFaces(data / "open-faces")
    arrays = _fit_set("open-faces", photos, fitter)
    true = np.zeros((len(photos), 51), np.float16)
    for row in range(len(photos)):
        size = (CROP_PX, CROP_PX)
        true[row] = fitter.true.analyse(size, photos.landmarks_px(row), photos.scores(row)).scores
    arrays["true_scores_open-faces"] = true
    if (data / "synthetic-faces").exists():
        arrays |= _fit_set("synthetic-faces", SyntheticFaces(data / "synthetic-faces"), fitter)
    return arrays


def _fit_set(name: str, faces: OpenFaces | SyntheticFaces, fitter: Fitter) -> dict[str, NDArray]:
    landmarks = np.zeros((len(faces), 478, 3), np.float16)
    scores, found = np.zeros((len(faces), 51), np.float16), np.zeros(len(faces), bool)
    for row in range(len(faces)):
        fitted = fitter.fit(faces.image(row))
        if fitted is not None:
            landmarks[row], scores[row] = fitted
            found[row] = True
    return {
        f"landmarks_{name}": landmarks,
        f"scores_{name}": scores,
        f"true_scores_{name}": scores,
        f"found_{name}": found,
    }


def main() -> None:
    """Fit all and write the file."""
    parser = argparse.ArgumentParser(
        description="fit the face model to our own landmarks of the training sets"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder that holds open-faces/")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--landmarks", default="landmarks", help="name or run of the landmark network")
    arguments = parser.parse_args()
    arrays = fit_sets(arguments.data, Fitter(landmarks=arguments.landmarks))
    np.savez_compressed(arguments.output, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
