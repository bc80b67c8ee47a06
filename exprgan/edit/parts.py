"""What an edit is made by: the parts of a system, opened from disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from exprgan.edit.regions import find_segmenter
from exprgan.errors import UsageError
from exprgan.weights import NetworkFiles
from exprgan.weights.find import END_TO_END, FACE_MODEL_SYSTEMS
from exprgan.weights.runtime import ROLE_OF, Network, TorchNetwork

if TYPE_CHECKING:
    from exprgan.face_model.model import FaceModel


class Parts(NamedTuple):
    """What a system is made of, besides the detector.

    generator: In the role "edits", or "corrections" with a face model; None where the face model is alone. segmenter:
    None where there is no generator. face_model: or None.
    """

    generator: Network | None = None
    segmenter: Network | None = None
    face_model: FaceModel | None = None


def open_parts(files: NetworkFiles, device: str = "cpu", runtime: str = "torch") -> Parts:
    """The parts of a system.

    Args:
        files: Of the system.
        device: Name of the device, as the runtime has it.
        runtime: torch or onnx.

    Raises:
        WeightsError: The weights are not the recorded ones or do not fit the network.
        UsageError: The runtime is not installed or cannot run the system.
    """
    face_model = None
    if files.architecture in FACE_MODEL_SYSTEMS:
        from exprgan.face_model.fit import OWN_NETWORK
        from exprgan.face_model.model import FaceModel

        face_model = FaceModel(files.weights, OWN_NETWORK)
        if files.architecture == "face_model":
            return Parts(face_model=face_model)
    if files.architecture in END_TO_END:
        if runtime != "torch":
            raise UsageError(
                f"{files.name} needs torch, as it is not exported; leave out --runtime {runtime}."
            )
        network, role = files.load(device), ROLE_OF[files.architecture]
        return Parts(
            TorchNetwork(network.generator, role, device),  # type: ignore[arg-type]
            TorchNetwork(network.segmenter, "segmenter", device),  # type: ignore[arg-type]
            face_model,
        )
    return Parts(files.open(device, runtime), segmenter_of(files).open(device, runtime), face_model)


def segmenter_of(files: NetworkFiles) -> NetworkFiles:
    """The segmenter that goes with a system, or the first that its folder of weights has.

    Raises:
        WeightsError: There is none.
    """
    return find_segmenter(files.weights, files.config.get("segmenter"))
