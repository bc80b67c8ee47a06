"""Expression transfer: the expression of one photo's face onto the faces of another photo.

The same straight pipeline as `exprgan.edit.editor`, and by its means: what crosses over to the target is an edit, so
the rest of the target's photo is left as it is, at its own resolution.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from exprgan.device import memory_errors, resolve_device
from exprgan.edit.editor import Editor, EditResult, ImageInput, PreparedPhoto, open_detector
from exprgan.errors import UsageError
from exprgan.faces.detect import FaceDetector
from exprgan.models.transfer import TransferNet
from exprgan.models.unified import EditMaps
from exprgan.weights import find_weights_dir, load_model, read_manifest

TRANSFERRED = "transferred"
"""Stands in an `EditResult` for the name of an expression."""
NUM_CLASSES = 19


class Transfer:
    """Transfers expressions; all parts are given, `from_pretrained` loads the bundled ones.

    One object may be used from several threads.

    Args:
        detector: Finds the faces.
        network: A network that makes edits.
        device: torch's name of the device that it is on.
        weights: Name and hash of its weights, for the provenance record of saved files.
    """

    def __init__(
        self, *, detector: FaceDetector, network: TransferNet, device: str = "cpu", weights: str = ""
    ) -> None:
        self.network, self.device, self.weights = network, device, weights
        self._reader = Editor(
            detector=detector, segmenter=_NoRegions(), generator=network, device=device, weights=weights
        )

    @classmethod
    def from_pretrained(
        cls,
        weights: Path | str | None = None,
        device: str = "auto",
        detector: str = "builtin",
        *,
        detector_weights: Path | str | None = None,
    ) -> Transfer:
        """With weights from disk; arguments as for `exprgan.Editor.from_pretrained`.

        Raises:
            WeightsError: Weights are missing or not the recorded ones.
            DeviceError: The device is not there or has too little memory.
        """
        folder, device = find_weights_dir(weights), resolve_device(device)
        with memory_errors(device):
            network = load_model("transfer", folder, device)
            assert isinstance(network, TransferNet)
            return cls(
                detector=open_detector(
                    detector, device=device, folder=folder, detector_weights=detector_weights
                ),
                network=network,
                device=device,
                weights=f"transfer {read_manifest(folder)['transfer'].sha256[:16]}",
            )

    def prepare(self, image: ImageInput, face: str | int = "largest") -> PreparedPhoto:
        """Find and crop the faces of a photo once, for several transfers.

        Args:
            image: As for `exprgan.Editor.edit`.
            face: largest, all, center or an index into the faces as `exprgan faces` lists them.

        Raises:
            UsageError, NoFaceFound, UnreadableImage, DeviceError: As for `exprgan.Editor.edit`.
        """
        return self._reader.prepare(image, face)

    def transfer(
        self,
        source: ImageInput | PreparedPhoto,
        target: ImageInput | PreparedPhoto,
        *,
        strength: float = 1.0,
        face: str | int = "largest",
        source_face: str | int = "largest",
    ) -> EditResult:
        """Give faces of the target the expression of a face of the source.

        Args:
            source: Who shows the expression; a path, the bytes of a file, a PIL picture, uint8 or uint16 RGB
                (H, W, 3), or what `prepare` returned (`source_face` is then the one given there).
            target: Whose face is to show it; the same kinds.
            strength: 0 (the target's pixels) to 1.
            face: Faces of the target: largest, all, center or an index.
            source_face: The face of the source: largest, center or an index.

        Raises:
            UsageError: An option is impossible, or `source_face` means several faces.
            NoFaceFound: A photo shows no face, or none that can be read or edited.
            UnreadableImage: A photo cannot be decoded.
            DeviceError: The device's memory does not suffice.
        """
        if not (math.isfinite(strength) and 0 <= strength <= 1):
            raise UsageError(f"The strength is {strength:g}; give a number from 0 to 1.")
        shown = source if isinstance(source, PreparedPhoto) else self.prepare(source, source_face)
        if len(shown.prepared) != 1:
            raise UsageError(
                f"The expression of {len(shown.prepared)} faces cannot be transferred at once; "
                "choose one of the source's faces: largest, center or a number from 0."
            )
        scene = target if isinstance(target, PreparedPhoto) else self.prepare(target, face)
        with memory_errors(self.device):
            edits = TransferEdits(self.network, shown.prepared[0].crop)
        editor = Editor(
            detector=self._reader.detector,
            segmenter=self._reader.segmenter,
            generator=edits,
            device=self.device,
            weights=self.weights,
        )
        result = editor.edit(scene, strength=strength)
        return replace(result, expression=TRANSFERRED)

    def swap(
        self,
        first: ImageInput | PreparedPhoto,
        second: ImageInput | PreparedPhoto,
        *,
        strength: float = 1.0,
        first_face: str | int = "largest",
        second_face: str | int = "largest",
    ) -> tuple[EditResult, EditResult]:
        """Both photos, each with the other's expression; arguments and errors as for `transfer`.

        Returns:
            The first photo with the second one's expression, and the other way about.
        """
        one = first if isinstance(first, PreparedPhoto) else self.prepare(first, first_face)
        two = second if isinstance(second, PreparedPhoto) else self.prepare(second, second_face)
        return self.transfer(two, one, strength=strength), self.transfer(one, two, strength=strength)


class TransferEdits(nn.Module):
    """A source's expression as a generator for `exprgan.Editor`, which asks for no expression by name.

    Args:
        network: A network that makes edits.
        source: float32 (1, 3, 256, 256), RGB in [-1, 1], the source's aligned crop.
    """

    related: Tensor

    @torch.inference_mode()
    def __init__(self, network: TransferNet, source: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("related", network.encode(self._small(source)).related, persistent=False)

    def _small(self, crop: Tensor) -> Tensor:
        small = F.interpolate(crop, (self.network.image_size,) * 2, mode="area")
        return self.network.window(small)

    def forward(self, image: Tensor, regions: Tensor, expression: Tensor, strength: Tensor) -> EditMaps:
        """The edit of crops (N, 3, 256, 256); regions and expression do not matter."""
        features = self.network.encode(self._small(image))
        return self.network.maps(features, self.related.expand(len(image), -1), strength)


class _NoRegions(nn.Module):
    """Stands where the editor's segmenter is: transfer needs no regions."""

    def forward(self, crop: Tensor) -> Tensor:
        """Equal logits (N, 19, H, W)."""
        return crop.new_zeros(len(crop), NUM_CLASSES, *crop.shape[-2:])
