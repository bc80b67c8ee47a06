"""Any trained generator behind one call: an aligned crop, an expression and a strength in, the edited crop out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from exprgan.device import resolve_device
from exprgan.edit.blend import apply_edit
from exprgan.edit.proposals import by_face_model
from exprgan.edit.regions import find_segmenter
from exprgan.edit.scene import PreparedFace
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.expression import Expression
from exprgan.faces.detect import face_in_crop
from exprgan.faces.landmarks import Landmarker
from exprgan.models.pixels import to_tensor, to_uint8
from exprgan.models.segmenters import region_masks
from exprgan.models.unified import EditMaps, UnifiedEndToEnd, apply_maps
from exprgan.weights import NetworkFiles, find, find_system
from exprgan.weights.find import FACE_MODEL_SYSTEMS, PIXEL_SYSTEMS

if TYPE_CHECKING:
    from exprgan.face_model.amounts import Amounts
    from exprgan.face_model.model import FaceModel

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


class PixelEdits(nn.Module):
    """A network that puts out small pictures, as one that puts out edits of a crop.

    What is carried over is the change, enlarged: x + strength * up(G(down(x), c) - down(x)). The crop keeps the detail
    that the network's pictures lack, and strength 0 is the identity.

    Args:
        network: Pictures (N, 3, size, size) of (image, expression).
        size: Side of its pictures.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size

    def change(self, image: Tensor, expression: Tensor, strength: Tensor) -> Tensor:
        """What is added to crops (N, 3, H, W); arguments as for `System`."""
        small = F.interpolate(image, (self.size, self.size), mode="area")
        fake = self.network(small, expression).float().clamp(-1, 1)
        size_hw = (image.shape[-2], image.shape[-1])
        change = F.interpolate(fake - small, size_hw, mode="bicubic", align_corners=False)
        return strength[:, None, None, None] * change

    def forward(self, image: Tensor, regions: Tensor, expression: Tensor, strength: Tensor) -> EditMaps:
        """The change as an edit; what the regions are does not matter."""
        change = self.change(image, expression, strength)
        nothing = torch.zeros_like(change)
        return EditMaps(nothing[:, :2], nothing, nothing, nothing[:, :1], residual=change)


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
        segmenter: nn.Module | None,
        landmarker: Landmarker,
    ) -> None:
        self.name, self.description = name, description
        assert parts.face_model is not None
        self.face_model, self.generator = parts.face_model, parts.generator
        self.segmenter, self.landmarker = segmenter, landmarker
        self.landmark_net = landmarker.net

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
        return pixels if proposal.edit is None else apply_edit(pixels, proposal.edit, UPRIGHT)

    def prepare(self, pixels: NDArray[np.uint8]) -> PreparedFace | None:
        """The face in the middle of an aligned crop (256, 256, 3), or None."""
        face = face_in_crop(self.landmarker, pixels)
        if face is None:
            return None
        crop = to_tensor(pixels, self.landmarker.device)
        regions = None if self.segmenter is None else region_masks(self.segmenter(crop))
        analysis = self.face_model.analyse_face(face, UPRIGHT)
        return PreparedFace(0, UPRIGHT, pixels, crop, False, regions, analysis=analysis)


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
    parts = load_parts(files, device)
    if isinstance(parts.generator, PixelEdits):
        return PixelSystem(files.name, files.config, parts.generator)
    segmenter = parts.load_segmenter(files, device)
    if parts.face_model is not None:
        landmarker = Landmarker(find("landmarks", files.weights).load(device), device)
        return FaceModelSystem(files.name, files.config, parts, segmenter, landmarker)
    assert parts.generator is not None and segmenter is not None
    return UnifiedSystem(files.name, files.config, parts.generator, segmenter)


class Parts(NamedTuple):
    """What a system is made of, besides the detector.

    generator: `EditMaps` of (image, regions, expression, strength), or with a face model `Corrections`; None where the
    face model is alone. segmenter: the system's own, or None. face_model: or None.
    """

    generator: nn.Module | None
    segmenter: nn.Module | None = None
    face_model: FaceModel | None = None

    def load_segmenter(self, files: NetworkFiles, device: str) -> nn.Module | None:
        """The system's own segmenter, else that of its folder of weights; None where there is nothing it is for."""
        return None if self.generator is None else self.segmenter or segmenter_of(files).load(device)


def load_parts(files: NetworkFiles, device: str = "cpu") -> Parts:
    """The parts of a system.

    Raises:
        WeightsError: The weights are not the recorded ones or do not fit the network.
    """
    if files.architecture in FACE_MODEL_SYSTEMS:
        from exprgan.face_model.fit import OWN_NETWORK
        from exprgan.face_model.model import FaceModel

        generator = files.load(device) if files.architecture == "corrections" else None
        return Parts(generator, face_model=FaceModel(files.weights, OWN_NETWORK))
    network = files.load(device)
    if files.architecture in PIXEL_SYSTEMS:
        return Parts(PixelEdits(network, files.config["image_size"]).eval())
    if isinstance(network, UnifiedEndToEnd):
        return Parts(network.generator, network.segmenter)
    return Parts(network)


def segmenter_of(files: NetworkFiles) -> NetworkFiles:
    """The segmenter that goes with a system, or the first that its folder of weights has.

    Raises:
        WeightsError: There is none.
    """
    return find_segmenter(files.weights, files.config.get("segmenter"))
