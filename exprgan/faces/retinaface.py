"""facexlib's RetinaFace as proposer before our landmark network; its weights are not part of exprgan.

Paper: Deng et al. 2020, https://arxiv.org/abs/1905.00641. Code: facexlib (Apache 2.0). Only the network is
taken from facexlib: it is built here on the device asked for, and its file is found, downloaded, checked
and read (tensors only, no pickled code) here.
"""

from __future__ import annotations

import hashlib
import threading
import urllib.error
import urllib.request
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan import files
from exprgan.errors import UsageError, WeightsError
from exprgan.faces.detect import DetectorConfig, distinct_faces, faces_of
from exprgan.faces.face import Face
from exprgan.faces.landmarks import Landmarker

if TYPE_CHECKING:
    from torch import nn

FILE_NAME = "detection_Resnet50_Final.pth"
URL = f"https://github.com/xinntao/facexlib/releases/download/v0.1.0/{FILE_NAME}"
LONGEST_SIDE_PX = 1024
TIMEOUT_S = 30

# from the five points to the landmark network's square, in shares of the face's height between the line of the
# eyes and the line of the mouth: means over open-faces
_SQUARE_SIDE, _SQUARE_DROP = 3.05, 0.46


class RetinaFaceDetector:
    """RetinaFace proposes with five points each, the landmark network places and judges.

    Args:
        net: facexlib's RetinaFace in eval mode.
        landmarker: Our landmark network.
        device: Where both are.
        min_confidence: RetinaFace's confidence from which a face is looked at.
        config: Thresholds of the landmark network's judgement.
    """

    def __init__(
        self,
        net: nn.Module,
        landmarker: Landmarker,
        device: str = "cpu",
        *,
        min_confidence: float = 0.6,
        config: DetectorConfig | None = None,
    ) -> None:
        self.net, self.landmarker, self.device = net, landmarker, device
        self.min_confidence, self.config = min_confidence, config or DetectorConfig()
        self._lock = threading.Lock()  # facexlib keeps its last answers in the network

    def detect(self, image: NDArray[np.uint8]) -> list[Face]:
        """The faces of a photo, uint8 RGB (H, W, 3), the largest first."""
        import torch

        scale = min(1.0, LONGEST_SIDE_PX / max(image.shape[:2]))
        size_wh = tuple(max(1, round(n * scale)) for n in image.shape[1::-1])
        small = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
        net: Any = self.net
        with self._lock, torch.inference_mode():
            found = net.detect_faces(np.ascontiguousarray(small[..., ::-1]), self.min_confidence)
        found = np.asarray(found, np.float64).reshape(-1, 15)
        points5_xy = (found[:, 5:].reshape(-1, 5, 2) + 0.5) / scale - 0.5
        squares = np.array([square_of_points5(points) for points in points5_xy]).reshape(-1, 4)
        looks = self.landmarker.refine(image, squares, num_looks=self.config.num_looks)
        return distinct_faces(faces_of(looks[looks.scores >= self.config.min_score]), self.config)


def square_of_points5(points5_xy: NDArray[np.floating]) -> NDArray[np.float64]:
    """The landmark network's square (centre x, y, side, roll in degrees) for five points (5, 2)."""
    right_eye, left_eye, _, right_mouth, left_mouth = np.asarray(points5_xy, np.float64) @ (1, 1j)
    eyes, mouth = (right_eye + left_eye) / 2, (right_mouth + left_mouth) / 2
    # as mesh.roll_degrees: the eyes' line and, turned a quarter back, the line from eyes to mouth
    direction = (left_eye - right_eye) + (mouth - eyes) / 1j
    direction /= max(abs(direction), 1e-9)
    # a profile's eyes are close together and its mouth is not
    height = max(abs(mouth - eyes), 0.9 * abs(left_eye - right_eye))
    centre = eyes + _SQUARE_DROP * height * 1j * direction
    return np.array([centre.real, centre.imag, _SQUARE_SIDE * height, np.degrees(np.angle(direction))])


def load_network(weights_dir: Path | str | None = None, device: str = "cpu") -> nn.Module:
    """facexlib's RetinaFace with its weights, in eval mode.

    Args:
        weights_dir: Folder that may hold `FILE_NAME`; else `EXPRGAN_HOME` (by default ~/.cache/exprgan) is
            looked into, and the file is downloaded there.
        device: Where the network goes.

    Raises:
        UsageError: facexlib is not installed.
        WeightsError: No weights and no network to download them, or a file that is not the recorded one.
    """
    import torch

    path = find_file(weights_dir)
    check_sha256(path)
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types for a damaged or unsafe file
        raise WeightsError(
            f"{path} is damaged or holds more than tensors; delete it and fetch {URL} again."
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # facexlib asks torchvision in an old way
        try:
            from facexlib.detection.retinaface import RetinaFace
        except (
            ImportError,
            RuntimeError,
        ) as error:  # the latter where torchvision is built for another torch
            raise UsageError(
                f"The detector retinaface needs facexlib and a torchvision that goes with torch ({error}); run "
                '`pip install "exprgan[retinaface]"`, or leave out --detector retinaface.'
            ) from error
        net: nn.Module = RetinaFace(network_name="resnet50", half=False, device=torch.device(device))
    try:
        net.load_state_dict({name.removeprefix("module."): tensor for name, tensor in stored.items()})
    except (RuntimeError, AttributeError) as error:
        raise WeightsError(
            f"{path} holds another network's weights; delete it and fetch {URL} again."
        ) from error
    return net.eval()


def find_file(weights_dir: Path | str | None = None) -> Path:
    """Path of the weights, downloaded if need be.

    Raises:
        WeightsError: They are not on disk and cannot be downloaded.
    """
    folders = [Path(weights_dir)] if weights_dir is not None else []
    kept = files.home()
    for folder in (*folders, kept):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    target = kept / FILE_NAME
    try:
        kept.mkdir(parents=True, exist_ok=True)
        _download(URL, target)
    except (OSError, urllib.error.URLError) as error:
        raise WeightsError(
            f"The detector retinaface needs {FILE_NAME}, which is not on disk and cannot be downloaded "
            f"({error}); fetch {URL} elsewhere and put it into {kept}, or use --detector builtin."
        ) from error
    return target


def check_sha256(path: Path) -> None:
    """Compare a file with the hash recorded beside it, or record its hash at the first use.

    The authors publish no hash, so only a later change can be noticed.

    Raises:
        WeightsError: The file has changed.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    record = path.with_name(path.name + ".sha256")
    if not record.exists():
        try:
            record.write_text(f"{digest.hexdigest()}  {path.name}\n")
        except OSError:
            return  # a read-only folder keeps no record
    elif record.read_text().split()[:1] != [digest.hexdigest()]:
        raise WeightsError(
            f"{path} is not the file that was used before (its sha256 differs from {record.name}); "
            f"delete both and fetch {URL} again, or use --detector builtin."
        )


def _download(url: str, target: Path) -> None:
    """Fetch into a partial file, which takes the name only when it is whole."""
    with files.being_written(target) as partial:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer, partial.open("wb") as file:
            expected = int(answer.headers.get("Content-Length") or 0)
            while block := answer.read(1 << 20):
                file.write(block)
        if expected and partial.stat().st_size != expected:
            raise OSError("the download broke off")
