"""The editor: a photo, an expression and a strength in; the photo with that expression out.

A straight pipeline: faces -> aligned crop -> segmenter -> generator -> edit -> the photo's own pixels. The
networks see sRGB crops of 256 px; what crosses back to the photo is the edit, never the crop.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor, nn

from exprgan.device import memory_errors, resolve_device
from exprgan.edit.blend import Edit, apply_edit
from exprgan.edit.regions import CROP_PX, crop_bounds, face_share, shift_matrix
from exprgan.edit.systems import bundled_segmenter, load_parts
from exprgan.errors import ExprganError, NoFaceFound, UsageError
from exprgan.expressions import EXPRESSIONS, parse_expression
from exprgan.faces.align import crop_matrix, warp_crop
from exprgan.faces.choice import check_choice, choose_faces, refusal
from exprgan.faces.detect import FaceDetector, load_detector
from exprgan.faces.face import Face
from exprgan.faces.landmarks import Landmarker
from exprgan.models.pixels import to_tensor
from exprgan.models.segmenters import region_masks
from exprgan.photos import colour, encode, image_io
from exprgan.photos.photo import Photo
from exprgan.weights import find_weights_dir, load_model
from exprgan.weights.find import find_system

ImageInput = Path | str | bytes | Image.Image | NDArray[Any] | Photo
_GREY_SPREAD = 4  # largest difference between the channels of a picture without colour, of 255
_WINDOW_MARGIN_PX = 2  # photo pixels around a crop that belong to the part handed to the blend


@dataclass(frozen=True)
class FaceOutcome:
    """What became of one face of the photo."""

    index: int  # position in the list of faces, as `exprgan faces` numbers them
    face: Face
    edited: bool
    reason: str = ""  # why a face that was chosen, or would have been, was not edited


@dataclass(frozen=True)
class EditResult:
    """An edited photo."""

    image: NDArray[Any]  # RGB (H, W, 3), size, dtype and colour space of the input
    faces: tuple[FaceOutcome, ...]  # all faces that were found
    expression: str
    strength: float
    photo: Photo  # the input, with all that its file holds beside the pixels
    weights: str = ""  # name and hash of the generator's weights

    def save(self, path: Path | str, *, provenance: bool = True, strip_metadata: bool = False) -> None:
        """Write the photo with the metadata of the input; an existing file is replaced.

        Args:
            path: File to write; its extension names the format.
            provenance: Whether to mark the file as edited by a trained model (XMP DigitalSourceType).
            strip_metadata: Leave out EXIF, XMP, IPTC and text; the colour profile stays.

        Raises:
            UsageError: The path cannot be written or its format cannot hold the photo.
        """
        data = self.encode(path, provenance=provenance, strip_metadata=strip_metadata)
        image_io.write_atomic(Path(path), data)

    def encode(
        self, path: Path | str | None = None, *, provenance: bool = True, strip_metadata: bool = False
    ) -> bytes:
        """The bytes that `save` writes; without a path, in the format of the input.

        Raises:
            UsageError: The path's extension names no format, or its format cannot hold the photo.
        """
        target = image_io.output_format(self.photo, Path(path)) if path is not None else None
        return image_io.encode(
            self.photo,
            self.image,
            target,
            weights=self.weights or None,
            provenance=provenance,
            strip_metadata=strip_metadata,
        )

    def to_pil(self) -> Image.Image:
        """The edited photo as an 8-bit picture with its colour profile: L, LA, RGB or RGBA, as the input was."""
        picture = Image.fromarray(encode.stored_array(self.photo, self.image))
        if self.photo.pixel_profile:
            picture.info["icc_profile"] = self.photo.pixel_profile
        return picture


@dataclass(frozen=True)
class _PreparedFace:
    index: int
    matrix: NDArray[np.float64]  # (2, 3) photo to crop
    crop: Tensor  # float32 (1, 3, 256, 256) sRGB in [-1, 1]
    regions: Tensor  # float32 (1, 3, 256, 256) in [0, 1]
    face: NDArray[np.float32]  # (256, 256) in [0, 1], soft mask of the face
    is_grey: bool  # the crop has no colour, so the edit must bring none


@dataclass(frozen=True)
class PreparedPhoto:
    """A photo whose faces are found and segmented, ready for any number of edits."""

    photo: Photo
    outcomes: tuple[FaceOutcome, ...]
    prepared: tuple[_PreparedFace, ...]


class Editor:
    """Changes expressions; all parts are given, `from_pretrained` loads the bundled ones.

    One editor may be used from several threads.

    Args:
        detector: Finds the faces.
        segmenter: Logits (N, 19, 256, 256) of a crop (N, 3, 256, 256) in [-1, 1].
        generator: `EditMaps` of (crop, regions, expression, strength).
        device: torch's name of the device that both networks are on.
        weights: Name and hash of the generator's weights, for the provenance record of saved files.
    """

    def __init__(
        self,
        *,
        detector: FaceDetector,
        segmenter: nn.Module,
        generator: nn.Module,
        device: str = "cpu",
        weights: str = "",
    ) -> None:
        self.detector, self.segmenter, self.generator = detector, segmenter, generator
        self.device, self.weights = device, weights
        self._detector_lock: AbstractContextManager[Any] = (
            nullcontext() if getattr(detector, "is_thread_safe", False) else threading.Lock()
        )

    @classmethod
    def from_pretrained(
        cls,
        weights: Path | str | None = None,
        device: str = "auto",
        detector: str = "builtin",
        *,
        model: Path | str = "unified",
        detector_weights: Path | str | None = None,
    ) -> Editor:
        """An editor with weights from disk.

        Args:
            weights: Folder of weights; None takes `EXPRGAN_WEIGHTS` or the bundled ones.
            device: auto, cpu, cuda, cuda:1 ... or mps.
            detector: builtin or retinaface.
            model: The system whose generator edits: unified, sargan, stargan, usgan or hierarchical, or the folder of
                a training run of one.
            detector_weights: Folder of the retinaface detector's file.

        Raises:
            UsageError: There is no such system.
            WeightsError: Weights are missing or not the recorded ones.
            DeviceError: The device is not there or has too little memory.
        """
        folder, device = find_weights_dir(weights), resolve_device(device)
        files = find_system(model, folder)
        with memory_errors(device):
            generator, segmenter = load_parts(files, device)
            return cls(
                detector=open_detector(
                    detector, device=device, folder=folder, detector_weights=detector_weights
                ),
                segmenter=segmenter or bundled_segmenter(files, device),
                generator=generator,
                device=device,
                weights=f"{files.name} {files.sha256[:16]}",
            )

    def edit(
        self,
        image: ImageInput | PreparedPhoto,
        to: str = "happy",
        strength: float = 1.0,
        face: str | int = "largest",
    ) -> EditResult:
        """Give faces of a photo another expression.

        Args:
            image: A path, the bytes of a file, a PIL picture, uint8 or uint16 RGB (H, W, 3), or what
                `prepare` returned (`face` is then the one given there).
            to: An expression or an alias of one.
            strength: 0 (the input's pixels) to 1.
            face: largest, all, center or an index into the faces as `exprgan faces` lists them.

        Raises:
            UsageError: An option is impossible.
            NoFaceFound: There is no face, or none that can be edited.
            UnreadableImage: The photo cannot be decoded.
            DeviceError: The device's memory does not suffice.
        """
        expression = parse_expression(to)
        if not (math.isfinite(strength) and 0 <= strength <= 1):
            raise UsageError(f"The strength is {strength:g}; give a number from 0 to 1.")
        scene = image if isinstance(image, PreparedPhoto) else self.prepare(image, face)
        pixels = scene.photo.pixels.copy()
        if strength > 0:
            with memory_errors(self.device):
                for prepared in scene.prepared:
                    edit = self._propose(prepared, expression, strength)
                    _apply(pixels, edit, prepared.matrix, scene.photo.pixel_profile)
        return EditResult(pixels, scene.outcomes, expression, float(strength), scene.photo, self.weights)

    def prepare(self, image: ImageInput, face: str | int = "largest") -> PreparedPhoto:
        """Find, choose and segment the faces of a photo once, for several edits.

        Args and Raises: as for `edit`.
        """
        check_choice(face)
        photo = as_photo(image)
        name = str(photo.path) if photo.path else "the picture"
        pixels = to_uint8(photo.pixels)
        with memory_errors(self.device):
            with self._detector_lock:
                faces = self.detector.detect(pixels)
            if not faces:
                raise NoFaceFound(
                    f"No face was found in {name}; use a photo that shows one from the front, "
                    "at least 40 px wide."
                )
            chosen = choose_faces(faces, face, photo.size_hw)
            outcomes = _outcomes(faces, chosen)
            if not any(outcome.edited for outcome in outcomes):
                reasons = "; ".join(f"face {o.index} is {o.reason}" for o in outcomes if o.reason)
                raise NoFaceFound(f"No face in {name} can be edited ({reasons}); use a more frontal photo.")
            prepared = tuple(
                self._prepare_face(pixels, outcome, photo.pixel_profile)
                for outcome in outcomes
                if outcome.edited
            )
        return PreparedPhoto(photo, outcomes, prepared)

    @torch.inference_mode()
    def _prepare_face(
        self, pixels: NDArray[np.uint8], outcome: FaceOutcome, profile: bytes | None
    ) -> _PreparedFace:
        matrix = crop_matrix(outcome.face.points5_xy, CROP_PX)
        crop = colour.to_srgb(warp_crop(pixels, matrix, CROP_PX), profile)
        tensor = to_tensor(crop, self.device)
        logits = self.segmenter(tensor)
        face = face_share(logits).cpu().numpy()
        is_grey = int(np.ptp(crop, axis=2).max()) <= _GREY_SPREAD
        return _PreparedFace(outcome.index, matrix, tensor, region_masks(logits), face, is_grey)

    @torch.inference_mode()
    def _propose(self, prepared: _PreparedFace, expression: str, strength: float) -> Edit:
        """The generator's edit of one face, in the crop's frame."""
        label = torch.tensor([EXPRESSIONS.index(expression)], device=self.device)
        amount = torch.tensor([strength], dtype=torch.float32, device=self.device)
        maps = self.generator(prepared.crop, prepared.regions, label, amount)
        if not all(bool(torch.isfinite(part).all()) for part in maps if part is not None):
            raise ExprganError(
                f"The generator's edit to {expression} has values that are no number; "
                "check the weights with `exprgan weights verify`."
            )
        edit = Edit.from_maps(maps, 0, prepared.face)
        return edit.without_colour() if prepared.is_grey else edit


def open_detector(
    name: str,
    *,
    device: str,
    folder: Path | str | None = None,
    detector_weights: Path | str | None = None,
) -> FaceDetector:
    """A face detector by name.

    Args:
        name: builtin or retinaface.
        device: Where its networks run.
        folder: Folder of exprgan's weights; None finds it as `find_weights_dir` does.
        detector_weights: Folder of facexlib's file, for retinaface; None looks in `EXPRGAN_HOME`.

    Raises:
        UsageError: There is no such detector.
        WeightsError: Its weights are missing.
    """
    if name != "retinaface":
        return load_detector(name, device=device, weights_dir=folder)
    from exprgan.faces.retinaface import RetinaFaceDetector, load_network

    landmarker = Landmarker(load_model("landmarks", folder, device), device)
    return RetinaFaceDetector(load_network(detector_weights, device), landmarker, device)


def as_photo(image: ImageInput) -> Photo:
    """The photo that an input of the editor stands for; pixels uint8 or uint16 RGB (H, W, 3), upright.

    Raises:
        UsageError: An array has another shape or type.
        UnreadableImage: A file cannot be decoded.
    """
    if isinstance(image, Photo):
        return image
    if isinstance(image, (str, Path, bytes)):
        return image_io.read(image)
    if isinstance(image, Image.Image):
        return _photo_of_pil(image)
    pixels = np.asarray(image)
    if (
        pixels.dtype not in (np.uint8, np.uint16)
        or pixels.ndim != 3
        or pixels.shape[2] != 3
        or not pixels.size
    ):
        raise UsageError(
            f"The image is a {pixels.dtype} array {pixels.shape}; give uint8 or uint16 RGB (H, W, 3)."
        )
    return Photo(pixels=pixels, format="PNG", mode="RGB;16" if pixels.dtype == np.uint16 else "RGB")


def _photo_of_pil(picture: Image.Image) -> Photo:
    upright = ImageOps.exif_transpose(picture)
    profile = upright.info.get("icc_profile")
    if upright.mode in ("F", "I", "LAB", "HSV"):
        raise UsageError(f"The picture has the mode {upright.mode}; convert it to RGB first.")
    if upright.mode.startswith("I;16"):
        deep = np.asarray(upright).astype(np.uint16)
        return Photo(cv2.cvtColor(deep, cv2.COLOR_GRAY2RGB), "PNG", "I;16", icc_profile=profile)
    if upright.mode == "CMYK":
        return Photo(colour.cmyk_to_srgb(np.asarray(upright), profile), "PNG", "RGB")
    mode, alpha = "L" if upright.mode in ("1", "L", "LA", "La") else "RGB", None
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        mode, alpha = {"L": "LA", "RGB": "RGBA"}[mode], np.asarray(upright.getchannel("A"))
    pixels = np.asarray(upright.convert("RGB"))
    return Photo(pixels=pixels, format="PNG", mode=mode, alpha=alpha, icc_profile=profile)


def _outcomes(faces: Sequence[Face], chosen: Sequence[int]) -> tuple[FaceOutcome, ...]:
    outcomes = []
    for index, face in enumerate(faces):
        reason = refusal(face)
        edited = index in chosen and not reason
        outcomes.append(FaceOutcome(index, face, edited, reason or ("" if edited else "not chosen")))
    return tuple(outcomes)


def _apply(pixels: NDArray[Any], edit: Edit, matrix: NDArray[np.float64], profile: bytes | None) -> None:
    """Apply an edit in place, through the sRGB view of the part of the photo that the crop covers."""
    rows, columns = crop_bounds(matrix, (pixels.shape[0], pixels.shape[1]), _WINDOW_MARGIN_PX)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    own = pixels[rows, columns]
    before = colour.to_srgb(own, profile)
    after = apply_edit(before, edit, shift_matrix(matrix, rows, columns))
    pixels[rows, columns] = colour.carry_back(own, before, after, profile)


def to_uint8(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint16:
        return cv2.convertScaleAbs(pixels, alpha=1 / 257)
    return pixels
