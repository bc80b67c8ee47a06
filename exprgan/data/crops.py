"""From a picture of a data set to an aligned crop of its face, as `Editor` cuts it."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exprgan.data.pictures import decode_grey
from exprgan.data.readers import Record
from exprgan.errors import ExprganError, UnreadableImage
from exprgan.face_parts import CROP_PX
from exprgan.faces.align import crop_matrix, warp_crop
from exprgan.faces.choice import MAX_YAW_DEG
from exprgan.faces.detectors import open_detector
from exprgan.faces.face import Face
from exprgan.photos import colour
from exprgan.photos.image_io import read

UNLABELLED = 255
JPEG_QUALITY = 95


class Unusable(Exception):
    """Why no crop can be made of a picture, in a few words."""


@dataclass(frozen=True)
class CropConfig:
    """How faces are found and what is measured on them."""

    detector: str = "builtin"  # or retinaface
    weights: str = ""  # folder of exprgan's weights; "" takes the bundled ones
    max_yaw_deg: float = MAX_YAW_DEG  # faces turned further aside are left out
    face_landmarker: str = ""  # MediaPipe's model file; "" measures no action units


@dataclass(frozen=True)
class Crop:
    """An aligned crop, encoded: JPEG of 256 px, PNG of class numbers or None, 17 intensities or None."""

    image: bytes
    mask: bytes | None = None
    action_units: tuple[float, ...] | None = None


class Cropper:
    """Makes crops of records; one a process, since it holds the networks.

    Args:
        config: How faces are found.
        finds_faces: False spares the networks where all records are aligned already.

    Raises:
        UsageError: There is no such detector, or MediaPipe is wanted and not installed.
        WeightsError: Weights are missing.
    """

    def __init__(self, config: CropConfig, *, finds_faces: bool = True) -> None:
        self.config = config
        self._measure: Any = None
        if not finds_faces:
            return
        self._detector = open_detector(config.detector, device="cpu", folder=config.weights or None)
        if config.face_landmarker:
            from exprgan.data.mediapipe_faces import ActionUnitMeter

            self._measure = ActionUnitMeter(Path(config.face_landmarker))

    def __call__(self, record: Record) -> Crop:
        """The crop of a record.

        Raises:
            Unusable: The picture cannot be read or shows no face that can be used.
        """
        if record.is_aligned:
            return _aligned_crop(record)
        image = read_picture(record)
        face, turns = self._find_face(image, record)
        image = np.ascontiguousarray(np.rot90(image, turns))
        matrix = crop_matrix(face.points5_xy, CROP_PX)
        crop = warp_crop(image, matrix, CROP_PX)
        mask = read_mask(record)
        if mask is not None:
            size_hw = image.shape[0], image.shape[1]
            mask = warp_mask(np.ascontiguousarray(np.rot90(mask, turns)), size_hw, matrix)
        units = record.action_units
        if units is None and self._measure is not None:
            units = self._measure(crop)
        return Crop(encode_jpeg(crop), None if mask is None else encode_png(mask), units)

    def _find_face(self, image: NDArray[np.uint8], record: Record) -> tuple[Face, int]:
        """The face that the record means, and by how many quarter turns the picture has to be turned."""
        reason = "no face was found"
        for turns in (0, 3, 1) if record.may_lie else (0,):
            faces = self._detector.detect(np.ascontiguousarray(np.rot90(image, turns)))
            usable = [face for face in faces if abs(face.pose[1]) <= self.config.max_yaw_deg]
            if record.face_xyxy is not None:
                faces = usable = [face for face in usable if _is_in(face, record.face_xyxy)]
            if usable:
                return max(usable, key=lambda face: face.size_px), turns
            if faces:
                reason = f"the face is turned aside by more than {self.config.max_yaw_deg:.0f}°"
        raise Unusable(reason)


def _is_in(face: Face, box_xyxy: tuple[float, float, float, float]) -> bool:
    """Whether a face's middle lies in a box."""
    x, y = (float(v) for v in (face.box_xyxy[:2] + face.box_xyxy[2:]) / 2)
    return box_xyxy[0] <= x <= box_xyxy[2] and box_xyxy[1] <= y <= box_xyxy[3]


def read_picture(record: Record) -> NDArray[np.uint8]:
    """The picture or the video's frame, uint8 sRGB (H, W, 3), upright by its EXIF.

    Raises:
        Unusable: It cannot be decoded.
    """
    if record.frame is not None:
        return _read_frame(record.path, record.frame)
    try:
        photo = read(record.path)
    except UnreadableImage as error:
        raise Unusable("the picture cannot be decoded") from error
    return colour.srgb_uint8(photo)


def _read_frame(path: Path, number: int) -> NDArray[np.uint8]:
    video = cv2.VideoCapture(str(path))
    try:
        for _ in range(number):  # seeking is not exact in every format
            video.grab()
        is_there, frame_bgr = video.read()
    finally:
        video.release()
    if not is_there:
        raise Unusable("the video's frame cannot be decoded")
    return cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGB).astype(np.uint8)


def read_mask(record: Record) -> NDArray[np.uint8] | None:
    """Class numbers uint8 (h, w) of a record's mask, at the mask's own size.

    Raises:
        Unusable: A file of it cannot be decoded or has another size than the others.
    """
    try:
        if record.mask is not None:
            return decode_grey(record.mask.read_bytes())
        labels: NDArray[np.uint8] | None = None
        for number, path in record.mask_parts:
            with Image.open(path) as file:
                part = np.asarray(file.convert("L"))
            labels = np.zeros(part.shape, np.uint8) if labels is None else labels
            labels[part != 0] = number
        return labels
    except (OSError, ValueError, IndexError, ExprganError) as error:
        raise Unusable("its mask cannot be decoded") from error


def warp_mask(
    mask: NDArray[np.uint8], size_hw: tuple[int, int], matrix: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """A mask moved along with its picture.

    Args:
        mask: uint8 (h, w) class numbers, of the picture's view but maybe of another size.
        size_hw: Height and width of the picture in pixels.
        matrix: (2, 3) from picture to crop.

    Returns:
        uint8 (256, 256), `UNLABELLED` where the crop reaches past the picture.
    """
    ratio_xy = np.array([size_hw[1] / mask.shape[1], size_hw[0] / mask.shape[0]])
    moved = np.array(matrix, np.float64)
    moved[:, 2] += matrix[:, :2] @ (ratio_xy / 2 - 0.5)
    moved[:, :2] *= ratio_xy
    return cv2.warpAffine(
        mask, moved, (CROP_PX, CROP_PX), flags=cv2.INTER_NEAREST, borderValue=UNLABELLED
    ).astype(np.uint8)


def _aligned_crop(record: Record) -> Crop:
    """A crop that is aligned already, in our size; its bytes as they are where it has that size."""
    image = read_picture(record)
    encoded = record.path.read_bytes()
    if image.shape[:2] != (CROP_PX, CROP_PX) or not encoded.startswith(b"\xff\xd8"):
        size_wh = (CROP_PX, CROP_PX)
        encoded = encode_jpeg(cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8))
    mask = read_mask(record)
    if mask is not None and mask.shape != (CROP_PX, CROP_PX):
        mask = cv2.resize(mask, (CROP_PX, CROP_PX), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
    return Crop(encoded, None if mask is None else encode_png(mask), record.action_units)


def encode_jpeg(crop: NDArray[np.uint8]) -> bytes:
    """JPEG of quality 95 with full colour resolution."""
    buffer = BytesIO()
    Image.fromarray(crop).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def encode_png(mask: NDArray[np.uint8]) -> bytes:
    """PNG of one channel."""
    buffer = BytesIO()
    Image.fromarray(mask).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
