"""The editor: a photo, an expression and a strength in; the photo with that expression out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from exprgan.device import memory_errors
from exprgan.edit import scene as scenes
from exprgan.edit.parts import open_parts
from exprgan.edit.proposals import Proposal, by_face_model, by_generator
from exprgan.edit.scene import EditResult, ImageInput, PreparedFace, Scene
from exprgan.errors import UsageError
from exprgan.face_model.expression import Expression
from exprgan.face_parts import DENTITIONS
from exprgan.faces.detect import FaceDetector
from exprgan.faces.detectors import open_detector
from exprgan.photos.colour import srgb_uint8
from exprgan.weights import NetworkFiles, find_system
from exprgan.weights.find import DEFAULT_SYSTEM
from exprgan.weights.runtime import Network, as_network, resolve_runtime

if TYPE_CHECKING:
    from torch import nn

    from exprgan.face_model.model import FaceModel
    from exprgan.face_model.teeth import Teeth


class Editor:
    """Changes expressions; all parts are given, `from_pretrained` loads the bundled ones.

    One editor may be used from several threads.

    Args:
        detector: Finds the faces.
        segmenter: Logits (N, 19, 256, 256) of a crop (N, 3, 256, 256) in [-1, 1]; None if the generator needs none.
        generator: `EditMaps` of (crop, regions, expression, strength); with a face model, `Corrections` of its priors,
            or None to edit by geometry alone. Both are torch modules or networks of `exprgan.weights.runtime`.
        face_model: Shows any expression; without it there are the eight, up to strength 1.
        device: Name of the device that the networks are on.
        weights: Name and hash of the generator's weights, for the provenance record of saved files.
        runtime: What runs the networks, torch or onnx, for the record of batches.
    """

    def __init__(
        self,
        *,
        detector: FaceDetector,
        segmenter: Network | nn.Module | None = None,
        generator: Network | nn.Module | None = None,
        face_model: FaceModel | None = None,
        device: str = "cpu",
        weights: str = "",
        runtime: str = "torch",
    ) -> None:
        if generator is None and face_model is None:
            raise ValueError("an editor needs a generator or a face model")
        role = "edits" if face_model is None else "corrections"
        self.detector = detector
        self.segmenter = None if segmenter is None else as_network(segmenter, "segmenter", device)
        self.generator = None if generator is None else as_network(generator, role, device)
        self.face_model, self.device, self.weights, self.runtime = face_model, device, weights, runtime

    @classmethod
    def from_pretrained(
        cls,
        weights: Path | str | None = None,
        device: str = "auto",
        detector: str = "builtin",
        *,
        model: Path | str | NetworkFiles = DEFAULT_SYSTEM,
        detector_weights: Path | str | None = None,
        runtime: str = "auto",
    ) -> Editor:
        """An editor with weights from disk.

        Args:
            weights: Folder of weights; None takes `EXPRGAN_WEIGHTS` or the bundled ones.
            device: auto, cpu, cuda, cuda:1 ... or mps.
            detector: builtin or retinaface.
            model: What edits: corrections (the face model and a generator that corrects it), face_model (geometry
                alone), unified, sargan, stargan, usgan or hierarchical (the eight expressions alone), the folder of
                a training run of one, or what `exprgan.weights.find_system` has found.
            detector_weights: Folder of the retinaface detector's file.
            runtime: What runs the networks: torch, onnx, or auto: torch where it is installed.

        Raises:
            UsageError: There is no such system or runtime.
            WeightsError: Weights are missing or not the recorded ones.
            DeviceError: The device is not there or has too little memory.
        """
        runtime, device = resolve_runtime(runtime, device)
        files = model if isinstance(model, NetworkFiles) else find_system(model, weights)
        with memory_errors(device), ThreadPoolExecutor(1) as beside:
            opening = beside.submit(
                open_detector,
                detector,
                device=device,
                folder=files.weights,
                detector_weights=detector_weights,
                runtime=runtime,
            )
            parts = open_parts(files, device, runtime)
            return cls(
                detector=opening.result(),
                segmenter=parts.segmenter,
                generator=parts.generator,
                face_model=parts.face_model,
                device=device,
                weights=f"{files.name} {files.sha256[:16]}",
                runtime=runtime,
            )

    def edit(
        self,
        image: ImageInput | Scene,
        to: str | Expression | None = None,
        strength: float = 1.0,
        face: str | int = "largest",
        *,
        controls: Mapping[str, float] | None = None,
        region: str | Sequence[str] | None = None,
        teeth: str | Teeth = "auto",
    ) -> EditResult:
        """Give faces of a photo another expression.

        Args:
            image: A path, the bytes of a file, a PIL picture, uint8 or uint16 RGB (H, W, 3), or what
                `prepare` returned (`face` is then the one given there).
            to: One of the eight expressions or an alias, a blend such as "happy:.6+surprise:.4", or an `Expression`;
                None means happy, or nothing but the controls where there are some.
            strength: Factor on all that is asked for: 0 (the input's pixels) to 1.5, to 1 without a face model.
            face: largest, all, center or an index into the faces as `exprgan faces` lists them.
            controls: Amounts of action units, controls and ARKit shapes by name, such as {"AU12": 0.8, "gaze_x": -0.4}.
            region: One or more of brows, eyes, nose and mouth; the rest keeps its expression.
            teeth: What is seen where a mouth opens: auto (the face's own where the photo shows them, else drawn ones
                that suit it), one of `exprgan.face_parts.DENTITIONS`, or what `teeth_from` has found. A
                scene has its own.

        Raises:
            UsageError: An option is impossible.
            NoFaceFound: There is no face, or none that can be edited.
            UnreadableImage: The photo cannot be decoded.
            DeviceError: The device's memory does not suffice.
        """
        expression = wanted(to, controls, region)
        expression.check(strength, only_eight=self.face_model is None)
        scene = image if isinstance(image, Scene) else self.prepare(image, face, teeth=teeth)
        return scenes.apply(
            scene,
            lambda prepared: self._propose(prepared, expression, strength),
            expression=expression.label,
            strength=strength,
            device=self.device,
            weights=self.weights,
        )

    def prepare(
        self, image: ImageInput, face: str | int = "largest", *, teeth: str | Teeth = "auto"
    ) -> Scene:
        """Find, choose and analyse the faces of a photo once, for several edits.

        Args and Raises: as for `edit`.
        """
        return scenes.prepare(
            image,
            face,
            detector=self.detector,
            segmenter=self.segmenter,
            face_model=self.face_model,
            teeth=teeth,
            device=self.device,
        )

    def teeth_from(self, image: ImageInput, face: str | int = "largest") -> Teeth:
        """The teeth that a face shows in a photo, for edits of other photos of the same person.

        Raises:
            UsageError: It shows too few of them, is turned too far or too small, or there is no face model.
            NoFaceFound: There is no face, or none that can be edited.
            UnreadableImage: The photo cannot be decoded.
        """
        from exprgan.edit.teeth import own_teeth_of
        from exprgan.face_model.teeth import Teeth

        if self.face_model is None:
            raise UsageError(
                "Teeth are shown by the face model alone; edit with the model corrections or face_model."
            )
        scene = self.prepare(image, face, teeth=DENTITIONS[0])
        one = scene.faces[0]
        found = own_teeth_of(
            srgb_uint8(scene.photo),
            scene.outcomes[one.index].face,
            one.matrix,
            self.face_model,
            Teeth(),
            for_other_light=True,
        )
        if found is None:
            raise UsageError(
                "The photo shows too little of the upper teeth; give one in which the person smiles widely, from the "
                "front, with a face at least 200 px wide."
            )
        return found

    def _propose(self, face: PreparedFace, expression: Expression, strength: float) -> Proposal:
        if self.face_model is not None:
            from exprgan.face_model.amounts import amounts_for

            amounts = amounts_for(self.face_model.basis, expression, strength)
            return by_face_model(self.face_model, self.generator, face, amounts)
        assert self.generator is not None and expression.class_name is not None
        share = expression.classes[expression.class_name]
        return by_generator(self.generator, face, expression.class_name, share * strength)


def wanted(
    to: str | Expression | None,
    controls: Mapping[str, float] | None = None,
    region: str | Sequence[str] | None = None,
) -> Expression:
    """The expression that the words of `Editor.edit` mean.

    Raises:
        UsageError: A word is unknown.
    """
    if not isinstance(to, Expression | str | None):
        raise UsageError(
            f"An edit takes one expression, not {type(to).__name__}; blend several as 'happy:.6+surprise:.4', or edit "
            "once for each."
        )
    if to is None and not controls:
        to = "happy"
    if not isinstance(to, Expression):
        return Expression.parse(to, controls, region)
    if controls:
        to = to + replace(Expression.parse(None, controls), regions=to.regions)
    return to if region is None else replace(to, regions=Expression.parse(None, None, region).regions)
