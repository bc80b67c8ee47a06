"""The editor: a photo, an expression and a strength in; the photo with that expression out."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from exprgan.device import memory_errors, resolve_device
from exprgan.edit import scene as scenes
from exprgan.edit.scene import EditResult, ImageInput, PreparedFace, Scene
from exprgan.edit.systems import load_parts, segmenter_of
from exprgan.expressions import EXPRESSIONS, parse_expression
from exprgan.faces.detect import FaceDetector
from exprgan.faces.detectors import open_detector
from exprgan.models.unified import EditMaps
from exprgan.weights import NetworkFiles, find_system


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

    @classmethod
    def from_pretrained(
        cls,
        weights: Path | str | None = None,
        device: str = "auto",
        detector: str = "builtin",
        *,
        model: Path | str | NetworkFiles = "unified",
        detector_weights: Path | str | None = None,
    ) -> Editor:
        """An editor with weights from disk.

        Args:
            weights: Folder of weights; None takes `EXPRGAN_WEIGHTS` or the bundled ones.
            device: auto, cpu, cuda, cuda:1 ... or mps.
            detector: builtin or retinaface.
            model: The system whose generator edits: unified, sargan, stargan, usgan or hierarchical, the folder of
                a training run of one, or what `exprgan.weights.find_system` has found.
            detector_weights: Folder of the retinaface detector's file.

        Raises:
            UsageError: There is no such system.
            WeightsError: Weights are missing or not the recorded ones.
            DeviceError: The device is not there or has too little memory.
        """
        device = resolve_device(device)
        files = model if isinstance(model, NetworkFiles) else find_system(model, weights)
        with memory_errors(device):
            generator, segmenter = load_parts(files, device)
            return cls(
                detector=open_detector(
                    detector, device=device, folder=files.weights, detector_weights=detector_weights
                ),
                segmenter=segmenter or segmenter_of(files).load(device),
                generator=generator,
                device=device,
                weights=f"{files.name} {files.sha256[:16]}",
            )

    def edit(
        self,
        image: ImageInput | Scene,
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
        scenes.check_strength(strength)
        scene = image if isinstance(image, Scene) else self.prepare(image, face)
        label = torch.tensor([EXPRESSIONS.index(expression)], device=self.device)
        amount = torch.tensor([strength], dtype=torch.float32, device=self.device)

        def propose(prepared: PreparedFace) -> EditMaps:
            maps: EditMaps = self.generator(prepared.crop, prepared.regions, label, amount)
            return maps

        return scenes.apply(
            scene,
            propose,
            expression=expression,
            strength=strength,
            device=self.device,
            weights=self.weights,
        )

    def prepare(self, image: ImageInput, face: str | int = "largest") -> Scene:
        """Find, choose and segment the faces of a photo once, for several edits.

        Args and Raises: as for `edit`.
        """
        return scenes.prepare(
            image, face, detector=self.detector, segmenter=self.segmenter, device=self.device
        )
