"""Any trained generator behind one call: an aligned crop, an expression and a strength in, the edited crop out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from exprgan.device import resolve_device
from exprgan.edit.blend import apply_edit
from exprgan.edit.glasses import beside_glasses
from exprgan.edit.parts import Parts, open_parts, segmenter_of
from exprgan.edit.proposals import by_face_model
from exprgan.edit.scene import PreparedFace
from exprgan.edit.teeth import teeth_for
from exprgan.edit.tone import tone_of
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.expression import Expression
from exprgan.faces.detect import face_in_crop
from exprgan.faces.landmarks import Landmarker
from exprgan.models.pixel_edits import PixelEdits, edits_of
from exprgan.models.pixels import to_tensor, to_uint8
from exprgan.models.segmenters import region_masks
from exprgan.models.unified import UnifiedEndToEnd, apply_maps
from exprgan.weights import NetworkFiles, find, find_system
from exprgan.weights.find import FACE_MODEL_SYSTEMS
from exprgan.weights.runtime import signed

if TYPE_CHECKING:
    from exprgan.face_model.amounts import Amounts

UPRIGHT = np.eye(2, 3)


class System(Protocol):
    """A trained generator.

    Attributes:
        name: As the user knows it.
        description: "architecture", "arguments" and what else is stored with it.
    """

    name: str
    description: dict[str, Any]

    def __call__(self, image: Tensor, expression: Tensor, strength: Tensor) -> Tensor:
        """Aligned crops with another expression.

        Args:
            image: (N, 3, 256, 256) float32, RGB in [-1, 1], on the system's device.
            expression: (N,) int64, index into `exprgan.expressions.EXPRESSIONS`.
            strength: (N,) float32 in [0, 1].

        Returns:
            (N, 3, 256, 256) float32, RGB in [-1, 1].
        """
        ...


class PixelSystem:
    """A `System` whose generator puts out pictures."""

    def __init__(self, name: str, description: dict[str, Any], edits: PixelEdits) -> None:
        self.name, self.description, self.edits = name, description, edits

    @torch.inference_mode()
    def __call__(self, image: Tensor, expression: Tensor, strength: Tensor) -> Tensor:
        return (image + self.edits.change(image, expression, strength)).clamp(-1, 1)


class UnifiedSystem:
    """The generator of edits with its segmenter, a `System`."""

    def __init__(
        self, name: str, description: dict[str, Any], generator: nn.Module, segmenter: nn.Module
    ) -> None:
        self.name, self.description = name, description
        self.generator, self.segmenter = generator, segmenter

    @torch.inference_mode()
    def __call__(self, image: Tensor, expression: Tensor, strength: Tensor) -> Tensor:
        regions = region_masks(self.segmenter(image))
        return apply_maps(image, self.generator(image, regions, expression, strength)).clamp(-1, 1)


class FaceModelSystem:
    """The face model, with a generator's corrections or alone, as a `System`: it finds the landmarks of each crop.

    A crop without a face comes back as it is.
    """

    def __init__(
        self,
        name: str,
        description: dict[str, Any],
        parts: Parts,
        landmarker: Landmarker,
    ) -> None:
        self.name, self.description = name, description
        assert parts.face_model is not None
        self.face_model, self.landmarker = parts.face_model, landmarker
        self.generator, self.segmenter = parts.generator, parts.segmenter

    @torch.inference_mode()
    def __call__(self, image: Tensor, expression: Tensor, strength: Tensor) -> Tensor:
        from exprgan.face_model.amounts import amounts_for

        edited = []
        faces: dict[bytes, PreparedFace | None] = {}  # a crop is often asked for in several expressions
        for crop, label, amount in zip(image, expression.tolist(), strength.tolist(), strict=True):
            pixels = to_uint8(crop)
            key = pixels.tobytes()
            if key not in faces:
                faces[key] = self.prepare(pixels)
            asked = amounts_for(self.face_model.basis, Expression({EXPRESSIONS[label]: 1.0}), amount)
            edited.append(to_tensor(self.edit(pixels, faces[key], asked), str(image.device)))
        return torch.cat(edited)

    @torch.inference_mode()
    def edit(
        self, pixels: NDArray[np.uint8], face: PreparedFace | None, amounts: Amounts
    ) -> NDArray[np.uint8]:
        """A crop (256, 256, 3) with what `prepare` found in it in any expression."""
        if face is None:
            return pixels
        proposal = by_face_model(self.face_model, self.generator, face, amounts)
        if proposal.edit is None:
            return pixels
        return apply_edit(pixels, proposal.edit.in_tone(face.tone), UPRIGHT)

    def prepare(self, pixels: NDArray[np.uint8]) -> PreparedFace | None:
        """The face in the middle of an aligned crop (256, 256, 3), or None."""
        face = face_in_crop(self.landmarker, pixels)
        if face is None:
            return None
        analysis, regions = self.face_model.analyse_face(face, UPRIGHT), None
        if self.segmenter is not None:
            logits, regions, _ = (np.asarray(part) for part in self.segmenter(signed(pixels)))
            analysis = beside_glasses(analysis, pixels, logits[0])
        teeth = teeth_for(pixels, face, UPRIGHT, self.face_model, "auto", (pixels, analysis))
        return PreparedFace(0, UPRIGHT, pixels, tone_of(pixels), regions, analysis=analysis, teeth=teeth)


def load_system(
    source: str | Path | NetworkFiles, *, weights: Path | str | None = None, device: str = "cpu"
) -> PixelSystem | UnifiedSystem | FaceModelSystem:
    """A trained system by name or folder.

    Args:
        source: As for `exprgan.weights.find`, or what it has found.
        weights: Folder of weights, of the system and of its segmenter; None finds it as `find_weights_dir` does.
        device: auto, cpu, cuda, cuda:1 ... or mps.

    Raises:
        UsageError: The name is unknown, or what it names is a network of another kind.
        WeightsError: Weights are missing, not the recorded ones or do not fit.
        DeviceError: The device is not there.
    """
    files = source if isinstance(source, NetworkFiles) else find_system(source, weights)
    device = resolve_device(device)
    if files.architecture in FACE_MODEL_SYSTEMS:
        landmarker = Landmarker(find("landmarks", files.weights).load(device), device)
        return FaceModelSystem(files.name, files.config, open_parts(files, device), landmarker)
    network = files.load(device)
    edits = edits_of(network, files.config)
    if isinstance(edits, PixelEdits):
        return PixelSystem(files.name, files.config, edits)
    own = network.segmenter if isinstance(network, UnifiedEndToEnd) else None
    return UnifiedSystem(files.name, files.config, edits, own or segmenter_of(files).load(device))
