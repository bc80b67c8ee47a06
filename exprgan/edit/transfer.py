"""Expression transfer: the expression of one photo's face onto the faces of another photo.

By way of `exprgan.edit.scene`, as all edits: what crosses over to the target is an edit, so
the rest of the target's photo is left as it is, at its own resolution.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from exprgan.device import memory_errors
from exprgan.edit import scene as scenes
from exprgan.edit.parts import Parts, open_parts
from exprgan.edit.proposals import Proposal, by_face_model, of_maps
from exprgan.edit.scene import EditResult, ImageInput, PreparedFace, Scene
from exprgan.errors import UsageError
from exprgan.face_model.expression import check_strength
from exprgan.faces.detect import FaceDetector
from exprgan.faces.detectors import open_detector
from exprgan.weights import find
from exprgan.weights.runtime import Network, as_network, resolve_runtime, signed

if TYPE_CHECKING:
    from torch import nn

    from exprgan.face_model.model import FaceModel
    from exprgan.models.transfer import Features, TransferNet

DEFAULT_TRANSFER = "corrections"
MODELS = ("corrections", "face_model", "transfer")
TRANSFERRED = "transferred"
"""Stands in an `EditResult` for the name of an expression."""


class Transfer:
    """Transfers expressions; all parts are given, `from_pretrained` loads the bundled ones.

    Either by the face model, what the source shows beyond its neutral state taking the place of the target's own
    expression, or by a network of arXiv 1909.02967. One object may be used from several threads.

    Args:
        detector: Finds the faces.
        network: A network that makes edits of two pictures; None with a face model.
        face_model: Reads the source and edits the target.
        generator: Corrects the face model's priors; None leaves them as they are.
        segmenter: Labels regions for the generator.
        device: torch's name of the device that the networks are on.
        weights: Name and hash of the weights, for the provenance record of saved files.
    """

    def __init__(
        self,
        *,
        detector: FaceDetector,
        network: TransferNet | None = None,
        face_model: FaceModel | None = None,
        generator: Network | nn.Module | None = None,
        segmenter: Network | nn.Module | None = None,
        device: str = "cpu",
        weights: str = "",
    ) -> None:
        if (network is None) == (face_model is None):
            raise ValueError("a transfer needs a network or a face model")
        self.detector, self.network, self.face_model = detector, network, face_model
        self.generator = None if generator is None else as_network(generator, "corrections", device)
        self.segmenter = None if segmenter is None else as_network(segmenter, "segmenter", device)
        self.device, self.weights = device, weights

    @classmethod
    def from_pretrained(
        cls,
        weights: Path | str | None = None,
        device: str = "auto",
        detector: str = "builtin",
        *,
        model: str = DEFAULT_TRANSFER,
        detector_weights: Path | str | None = None,
        runtime: str = "auto",
    ) -> Transfer:
        """With weights from disk; arguments as for `exprgan.Editor.from_pretrained`.

        Args:
            weights, device, detector, detector_weights, runtime: See there.
            model: corrections, face_model, or transfer, the network of arXiv 1909.02967.

        Raises:
            UsageError: There is no such model or runtime.
            WeightsError: Weights are missing or not the recorded ones.
            DeviceError: The device is not there or has too little memory.
        """
        if model not in MODELS:
            near = difflib.get_close_matches(model, MODELS, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose from {', '.join(MODELS)}."
            raise UsageError(f"There is no model {model!r} for transfers; {hint}")
        (runtime, device), files = resolve_runtime(runtime, device), find(model, weights)
        if model == "transfer" and runtime != "torch":
            raise UsageError(
                f"The model transfer needs torch; leave out --runtime {runtime} or --model transfer."
            )
        with memory_errors(device):
            network = cast("TransferNet", files.load(device)) if model == "transfer" else None
            parts = open_parts(files, device, runtime) if network is None else Parts()
            return cls(
                detector=open_detector(
                    detector,
                    device=device,
                    folder=files.weights,
                    detector_weights=detector_weights,
                    runtime=runtime,
                ),
                network=network,
                face_model=parts.face_model,
                generator=parts.generator,
                segmenter=parts.segmenter,
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
        return scenes.prepare(
            image,
            face,
            detector=self.detector,
            segmenter=self.segmenter,
            face_model=self.face_model,
            device=self.device,
        )

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
        check_strength(strength, 1.0)
        shown = source if isinstance(source, Scene) else self.prepare(source, source_face)
        if len(shown.faces) != 1:
            raise UsageError(
                f"The expression of {len(shown.faces)} faces cannot be transferred at once; "
                "choose one of the source's faces: largest, center or a number from 0."
            )
        scene = target if isinstance(target, Scene) else self.prepare(target, face)
        result = scenes.apply(
            scene,
            self._proposer(shown.faces[0], strength),
            expression=TRANSFERRED,
            strength=strength,
            device=self.device,
            weights=self.weights,
        )
        return replace(result, used=(shown.photo,))

    def _proposer(self, shown: PreparedFace, strength: float) -> Callable[[PreparedFace], Proposal]:
        """What proposes an edit of a face to what another face shows."""
        model, network = self.face_model, self.network
        if model is not None:
            from exprgan.face_model.amounts import shown_by

            assert shown.analysis is not None
            amounts = shown_by(model.basis, shown.analysis, strength)
            return lambda face: by_face_model(model, self.generator, face, amounts)
        assert network is not None
        return self._by_network(network, shown, strength)

    def _by_network(
        self, network: TransferNet, shown: PreparedFace, strength: float
    ) -> Callable[[PreparedFace], Proposal]:
        import torch
        import torch.nn.functional as F

        def read(prepared: PreparedFace) -> Features:
            crop = torch.from_numpy(signed(prepared.pixels)).to(self.device)
            small = F.interpolate(crop, (network.image_size,) * 2, mode="area")
            return network.encode(network.window(small))

        def propose(face: PreparedFace) -> Proposal:
            with torch.inference_mode():
                maps = network.maps(read(face), related, amount)._asdict()
                arrays = {name: None if part is None else part.cpu().numpy() for name, part in maps.items()}
            return of_maps(arrays, face)

        amount = torch.tensor([strength], dtype=torch.float32, device=self.device)
        with memory_errors(self.device), torch.inference_mode():
            related = read(shown).related
        return propose

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
