"""`exprgan faces`: what the detector finds in a photo."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start
from exprgan.errors import NoFaceFound

if TYPE_CHECKING:
    from exprgan.faces.face import Face


def faces(
    source: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo.", show_default=False)],
    device: options.DeviceOption = "auto",
    weights: options.WeightsOption = None,
    detector: options.DetectorOption = "builtin",
    weights_dir: options.DetectorWeightsOption = None,
    runtime: options.RuntimeOption = "auto",
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """List the faces of a photo: number, box, score and pose; --format json adds landmarks and action units."""
    out = start(format, quiet, verbose)
    from exprgan.faces.choice import refusal
    from exprgan.faces.detectors import open_detector
    from exprgan.photos.colour import srgb_uint8
    from exprgan.photos.image_io import read
    from exprgan.weights.runtime import resolve_runtime

    photo = read(source)
    runtime, device = resolve_runtime(runtime, device)
    finder = open_detector(
        detector, device=device, folder=weights, detector_weights=weights_dir, runtime=runtime
    )
    found = finder.detect(srgb_uint8(photo))
    if not found:
        raise NoFaceFound(f"No face was found in {source}; use a photo that shows one from the front.")
    fit_of = _fitter(weights) if out.format is Format.json else None
    for index, face in enumerate(found):
        pitch, yaw, roll = (round(float(angle), 1) for angle in face.pose)
        box = _rounded(face.box_xyxy)
        reason = refusal(face)
        record = {
            "input": str(source),
            "index": index,
            "box_xyxy": box,
            "score": round(float(face.score), 4),
            "pose": {"pitch": pitch, "yaw": yaw, "roll": roll},
            "editable": not reason,
            "reason": reason or None,
            "points5_xy": _rounded(face.points5_xy),
            "landmarks_xy": _rounded(face.landmarks_xy),
            **(fit_of(face) if fit_of else {}),
        }
        x0, y0, x1, y1 = (round(value) for value in box)
        text = (
            f"face {index}  box {x0},{y0} to {x1},{y1}  score {face.score:.2f}  "
            f"pitch {pitch:+.0f}°  yaw {yaw:+.0f}°  roll {roll:+.0f}°"
        )
        out.data(record, f"{text}  not editable: {reason}" if reason else text)


def _fitter(weights: Path | None) -> Callable[[Face], dict[str, Any]]:
    """What the face model says of a face, for JSON: its own coefficients, action units, pose and residual."""
    from exprgan.face_model.fit import OWN_NETWORK
    from exprgan.face_model.measured import measured
    from exprgan.face_model.model import FaceModel

    model = FaceModel(weights, OWN_NETWORK)
    names = model.basis.measured_names

    def fit_of(face: Face) -> dict[str, Any]:
        found = measured(model, face)
        analysis, matrix = found.analysis, found.matrix
        return {
            "action_units": found.action_units,
            "blendshapes": dict(zip(names, analysis.scores.round(3).tolist(), strict=True)),
            "fit": {
                "residual_cm": round(analysis.residual_cm, 4),
                "px_per_cm": round(analysis.pose.scale / math.hypot(matrix[0, 0], matrix[1, 0]), 3),
            },
        }

    return fit_of


def _rounded(values: Any) -> Any:
    return [[round(v, 2) for v in row] if isinstance(row, list) else round(row, 2) for row in values.tolist()]
