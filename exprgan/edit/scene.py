"""The waist of every edit: a photo becomes a scene of faces, and edits of these faces become a photo again.

`prepare` finds, chooses and crops the faces, and labels their regions where that is asked for; `apply` lets a generator
propose an edit of each and carries it to the photo's own pixels. The networks see sRGB crops of 256 px; what
crosses back is the edit, never the crop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from exprgan.device import memory_errors
from exprgan.edit.blend import Edit, apply_edit
from exprgan.edit.glasses import beside_glasses
from exprgan.edit.proposals import Proposal
from exprgan.edit.regions import crop_bounds, shift_matrix
from exprgan.edit.teeth import check_teeth, teeth_for
from exprgan.edit.tone import tone_of
from exprgan.errors import NoFaceFound, UsageError
from exprgan.face_parts import CROP_PX
from exprgan.faces.align import crop_matrix, warp_crop
from exprgan.faces.choice import check_choice, choose_faces, refusal
from exprgan.faces.detect import FaceDetector
from exprgan.faces.face import Face
from exprgan.photos import colour, encode, image_io
from exprgan.photos.photo import Photo
from exprgan.weights.runtime import Network, signed

if TYPE_CHECKING:
    from exprgan.face_model.fit import FaceAnalysis
    from exprgan.face_model.model import FaceModel
    from exprgan.face_model.teeth import Teeth
    from exprgan.photos.credentials import Signer

ImageInput = Path | str | bytes | Image.Image | NDArray[Any] | Photo
_WINDOW_MARGIN_PX = 2  # photo pixels around a crop that belong to the part handed to the blend


@dataclass(frozen=True)
class FaceOutcome:
    """What became of one face of the photo."""

    index: int  # position in the list of faces, as `exprgan faces` numbers them
    face: Face
    edited: bool
    reason: str = ""  # why a face that was chosen, or would have been, was not edited
    note: str = ""  # what is to be said of its edit, such as that less was done than asked


@dataclass(frozen=True)
class EditResult:
    """An edited photo."""

    image: NDArray[Any]  # RGB (H, W, 3), size, dtype and colour space of the input
    faces: tuple[FaceOutcome, ...]  # all faces that were found
    expression: str
    strength: float
    photo: Photo  # the input, with all that its file holds beside the pixels
    weights: str = ""  # name and hash of the generator's weights
    used: tuple[Photo, ...] = ()  # other photos that something was taken from
    also: tuple[str, ...] = ()  # what else was done, in C2PA's words, such as c2pa.cropped

    def save(
        self,
        path: Path | str,
        *,
        provenance: bool = True,
        strip_metadata: bool = False,
        signer: Signer | None = None,
    ) -> None:
        """Write the photo with the metadata of the input; an existing file is replaced.

        Args:
            path: File to write; its extension names the format.
            provenance: Whether to mark the file as edited by a trained model (XMP DigitalSourceType).
            strip_metadata: Leave out EXIF, XMP, IPTC and text; the colour profile stays.
            signer: Adds signed content credentials (C2PA), with the original file as their ingredient.

        Raises:
            UsageError: The path cannot be written, or its format cannot hold the photo or content credentials.
            ExprganError: It cannot be signed.
        """
        data = self.encode(path, provenance=provenance, strip_metadata=strip_metadata, signer=signer)
        image_io.write_atomic(Path(path), data)

    def encode(
        self,
        path: Path | str | None = None,
        *,
        provenance: bool = True,
        strip_metadata: bool = False,
        signer: Signer | None = None,
    ) -> bytes:
        """The bytes that `save` writes; without a path, in the format of the input.

        Raises:
            UsageError: The path's extension names no format, or its format cannot hold the photo or content
                credentials.
            ExprganError: It cannot be signed.
        """
        target = image_io.output_format(self.photo, Path(path)) if path is not None else self.photo.format
        if signer is not None and not provenance:
            raise UsageError(
                "A signed file without a mark of its origin makes no sense; leave out one of them."
            )
        data = image_io.encode(
            self.photo,
            self.image,
            target,
            weights=self.weights or None,
            provenance=provenance,
            strip_metadata=strip_metadata,
        )
        if signer is None:
            return data
        is_edited = not np.array_equal(self.image, self.photo.pixels)
        return signer.sign(
            data,
            target,
            self.photo,
            title=Path(path).name if path is not None else "",
            edit=f"{self.expression}, strength {self.strength:g}" if is_edited else "",
            weights=self.weights,
            also=self.also,
            used=self.used,
            strip_metadata=strip_metadata,
        )

    def to_pil(self) -> Image.Image:
        """The edited photo as an 8-bit picture with its colour profile: L, LA, RGB or RGBA, as the input was."""
        picture = Image.fromarray(encode.stored_array(self.photo, self.image))
        if self.photo.pixel_profile:
            picture.info["icc_profile"] = self.photo.pixel_profile
        return picture


@dataclass(frozen=True)
class PreparedFace:
    """A face that is to be edited."""

    index: int  # position in the list of faces
    matrix: NDArray[np.float64]  # (2, 3) photo to crop
    pixels: NDArray[np.uint8]  # (256, 256, 3) sRGB, the aligned crop
    tone: NDArray[np.float32] | None  # `exprgan.edit.tone.tone_of` the crop
    regions: NDArray[np.float32] | None = None  # (1, 3, 256, 256) in [0, 1]: eyes, nose and mouth
    share: NDArray[np.float32] | None = None  # (256, 256) in [0, 1], soft mask of the face
    analysis: FaceAnalysis | None = None  # the face model's fit, in the frame of the crop
    teeth: Teeth | None = None  # what the face model shows where the mouth opens


@dataclass(frozen=True)
class Scene:
    """A photo whose faces are found, cropped and, if asked for, segmented: ready for any number of edits."""

    photo: Photo
    outcomes: tuple[FaceOutcome, ...]  # of all faces that were found
    faces: tuple[PreparedFace, ...]  # those that are to be edited


def prepare(
    image: ImageInput,
    face: str | int = "largest",
    *,
    detector: FaceDetector,
    segmenter: Network | None = None,
    face_model: FaceModel | None = None,
    teeth: str | Teeth = "auto",
    device: str = "cpu",
) -> Scene:
    """Find, choose and crop the faces of a photo.

    Args:
        image: A path, the bytes of a file, a PIL picture, or uint8 or uint16 RGB (H, W, 3).
        face: largest, all, center or an index into the faces as `exprgan faces` lists them.
        detector: Finds the faces; given the photo in sRGB.
        segmenter: A network in this role; None leaves the faces without regions.
        face_model: Is fitted to each face; None leaves them without an analysis.
        teeth: What the face model is to show where mouths open, as `exprgan.edit.teeth.teeth_for` takes it.
        device: torch's name of the device that the networks are on.

    Raises:
        UsageError: The choice or the image is impossible.
        NoFaceFound: There is no face, or none that can be edited.
        UnreadableImage: The photo cannot be decoded.
        DeviceError: The device's memory does not suffice.
    """
    check_choice(face)
    check_teeth(teeth)
    photo = as_photo(image)
    name = str(photo.path) if photo.path else "the picture"
    seen = colour.srgb_uint8(photo)
    with memory_errors(device):
        faces = detector.detect(seen)
        if not faces:
            raise NoFaceFound(
                f"No face was found in {name}; use a photo that shows one from the front, "
                "at least 40 px wide."
            )
        outcomes = _outcomes(faces, choose_faces(faces, face, photo.size_hw))
        if not any(outcome.edited for outcome in outcomes):
            reasons = "; ".join(f"face {o.index} is {o.reason}" for o in outcomes if o.reason)
            raise NoFaceFound(f"No face in {name} can be edited ({reasons}); use a more frontal photo.")
        prepared = [_prepare_face(seen, o, segmenter, face_model, teeth) for o in outcomes if o.edited]
    return Scene(photo, outcomes, tuple(prepared))


def apply(
    scene: Scene,
    propose: Callable[[PreparedFace], Proposal],
    *,
    expression: str,
    strength: float,
    device: str = "cpu",
    weights: str = "",
) -> EditResult:
    """The photo with an edit of each prepared face.

    Args:
        scene: What `prepare` gave; not changed.
        propose: The edit of one face, in the crop's frame.
        expression: What the edit is called.
        strength: 0 (the photo's own pixels, nothing is proposed) or more, which `propose` has in it.
        device: torch's name of the device that the networks are on.
        weights: Name and hash of the generator's weights, for the record of saved files.

    Raises:
        ExprganError: A generator gives values that are no number.
        DeviceError: The device's memory does not suffice.
    """
    pixels = scene.photo.pixels.copy()
    outcomes = list(scene.outcomes)
    if strength > 0:
        with memory_errors(device):
            for face in scene.faces:
                edit, note = propose(face)
                if edit is not None:
                    _carry_over(pixels, edit.in_tone(face.tone), face.matrix, scene.photo.pixel_profile)
                outcomes[face.index] = replace(outcomes[face.index], note=note)
    return EditResult(pixels, tuple(outcomes), expression, float(strength), scene.photo, weights)


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


def _prepare_face(
    seen: NDArray[np.uint8],
    outcome: FaceOutcome,
    segmenter: Network | None,
    face_model: FaceModel | None,
    teeth: str | Teeth,
) -> PreparedFace:
    matrix = crop_matrix(outcome.face.points5_xy, CROP_PX)
    pixels = warp_crop(seen, matrix, CROP_PX)
    logits, regions, share = None, None, None
    if segmenter is not None:
        logits, regions, shares = (np.asarray(part) for part in segmenter(signed(pixels)))
        share = shares[0]
    analysis, shown = None, None
    if face_model is not None:
        analysis = face_model.analyse_face(outcome.face, matrix)
        if logits is not None:
            analysis = beside_glasses(analysis, pixels, logits[0])
        shown = teeth_for(seen, outcome.face, matrix, face_model, teeth, (pixels, analysis))
    return PreparedFace(
        index=outcome.index,
        matrix=matrix,
        pixels=pixels,
        tone=tone_of(pixels),
        regions=regions,
        share=share,
        analysis=analysis,
        teeth=shown,
    )


def _outcomes(faces: Sequence[Face], chosen: Sequence[int]) -> tuple[FaceOutcome, ...]:
    outcomes = []
    for index, face in enumerate(faces):
        reason = refusal(face)
        edited = index in chosen and not reason
        outcomes.append(FaceOutcome(index, face, edited, reason or ("" if edited else "not chosen")))
    return tuple(outcomes)


def _carry_over(pixels: NDArray[Any], edit: Edit, matrix: NDArray[np.float64], profile: bytes | None) -> None:
    """Apply an edit in place, through the sRGB view of the part of the photo that the crop covers."""
    rows, columns = crop_bounds(matrix, (pixels.shape[0], pixels.shape[1]), _WINDOW_MARGIN_PX)
    if rows.stop <= rows.start or columns.stop <= columns.start:
        return
    own = pixels[rows, columns]
    before = colour.to_srgb(own, profile)
    after = apply_edit(before, edit, shift_matrix(matrix, rows, columns))
    pixels[rows, columns] = colour.carry_back(own, before, after, profile)
