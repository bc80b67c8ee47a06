"""Expression transfer: the expression of one photo's face onto the faces of another photo.

By way of `exprgan.edit.scene`, as all edits: what crosses over to the target is an edit, so
the rest of the target's photo is left as it is, at its own resolution.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F

from exprgan.device import memory_errors, resolve_device
from exprgan.edit import scene as scenes
from exprgan.edit.scene import EditResult, ImageInput, PreparedFace, Scene
from exprgan.errors import UsageError
from exprgan.faces.detect import FaceDetector
from exprgan.faces.detectors import open_detector
from exprgan.models.transfer import Features, TransferNet
from exprgan.models.unified import EditMaps
from exprgan.weights import find

TRANSFERRED = "transferred"
"""Stands in an `EditResult` for the name of an expression."""


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
        self.detector, self.network = detector, network
        self.device, self.weights = device, weights

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
        device, files = resolve_device(device), find("transfer", weights)
        with memory_errors(device):
            network = files.load(device)
            assert isinstance(network, TransferNet)
            return cls(
                detector=open_detector(
                    detector, device=device, folder=files.weights, detector_weights=detector_weights
                ),
                network=network,
                device=device,
                weights=f"{files.name} {files.sha256[:16]}",
            )

    def prepare(self, image: ImageInput, face: str | int = "largest") -> Scene:
        """Find and crop the faces of a photo once, for several transfers.

        Args:
            image: As for `exprgan.Editor.edit`.
            face: largest, all, center or an index into the faces as `exprgan faces` lists them.

        Raises:
            UsageError, NoFaceFound, UnreadableImage, DeviceError: As for `exprgan.Editor.edit`.
        """
        return scenes.prepare(image, face, detector=self.detector, device=self.device)

    def transfer(
        self,
        source: ImageInput | Scene,
        target: ImageInput | Scene,
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
        scenes.check_strength(strength)
        shown = source if isinstance(source, Scene) else self.prepare(source, source_face)
        if len(shown.faces) != 1:
            raise UsageError(
                f"The expression of {len(shown.faces)} faces cannot be transferred at once; "
                "choose one of the source's faces: largest, center or a number from 0."
            )
        scene = target if isinstance(target, Scene) else self.prepare(target, face)
        amount = torch.tensor([strength], dtype=torch.float32, device=self.device)
        with memory_errors(self.device), torch.inference_mode():
            related = self._read(shown.faces[0]).related

        def propose(prepared: PreparedFace) -> EditMaps:
            return self.network.maps(self._read(prepared), related, amount)

        return scenes.apply(
            scene,
            propose,
            expression=TRANSFERRED,
            strength=strength,
            device=self.device,
            weights=self.weights,
        )

    def _read(self, prepared: PreparedFace) -> Features:
        small = F.interpolate(prepared.crop, (self.network.image_size,) * 2, mode="area")
        return self.network.encode(self.network.window(small))

    def swap(
        self,
        first: ImageInput | Scene,
        second: ImageInput | Scene,
        *,
        strength: float = 1.0,
        first_face: str | int = "largest",
        second_face: str | int = "largest",
    ) -> tuple[EditResult, EditResult]:
        """Both photos, each with the other's expression; arguments and errors as for `transfer`.

        Returns:
            The first photo with the second one's expression, and the other way about.
        """
        one = first if isinstance(first, Scene) else self.prepare(first, first_face)
        two = second if isinstance(second, Scene) else self.prepare(second, second_face)
        return self.transfer(two, one, strength=strength), self.transfer(one, two, strength=strength)
