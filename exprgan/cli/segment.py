"""`exprgan segment`: the regions of faces as a label map or as colours over the photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start
from exprgan.errors import NoFaceFound, UsageError


def segment(
    source: Annotated[Path, typer.Argument(metavar="PHOTO", help="A photo.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="PNG to write.", show_default="photo-regions.png beside it"),
    ] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay", help="Colour the photo instead of writing class numbers.")
    ] = False,
    face: options.FaceOption = "all",
    overwrite: options.OverwriteOption = False,
    device: options.DeviceOption = "auto",
    weights: options.WeightsOption = None,
    detector: options.DetectorOption = "builtin",
    weights_dir: options.DetectorWeightsOption = None,
    runtime: options.RuntimeOption = "auto",
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Write the face regions of a photo: an 8-bit PNG of CelebAMask-HQ's 19 class numbers, or an overlay."""
    out = start(format, quiet, verbose)
    target = output or source.with_name(f"{source.stem}-regions.png")
    if target.suffix.lower() != ".png":
        raise UsageError(
            f"{target} is no PNG, which `segment` writes; name a file that ends in .png with --output."
        )
    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists; allow to replace it with --overwrite or choose another --output.")

    import numpy as np

    from exprgan.device import memory_errors
    from exprgan.edit.regions import find_segmenter, label_map
    from exprgan.face_parts import CLASS_NAMES
    from exprgan.faces.choice import check_choice, choose_faces
    from exprgan.faces.detectors import open_detector
    from exprgan.photos import colour
    from exprgan.photos.image_io import read
    from exprgan.weights.runtime import resolve_runtime

    check_choice(face)
    photo = read(source)
    runtime, device = resolve_runtime(runtime, device)
    image = colour.srgb_uint8(photo)
    finder = open_detector(
        detector, device=device, folder=weights, detector_weights=weights_dir, runtime=runtime
    )
    with memory_errors(device):
        found = finder.detect(image)
        if not found:
            raise NoFaceFound(f"No face was found in {source}; use a photo that shows one from the front.")
        everything = face.strip().lower() == "all"
        chosen = found if everything else [found[i] for i in choose_faces(found, face, photo.size_hw)]
        labels = label_map(image, chosen, find_segmenter(weights).open(device, runtime))
    _write_png(target, image, labels, overlay)
    present = [CLASS_NAMES[index] for index in np.unique(labels)]
    out.data({"input": str(source), "output": str(target), "classes": present}, str(target))


def _write_png(target: Path, image: Any, labels: Any, overlay: bool) -> None:
    from io import BytesIO

    from PIL import Image

    from exprgan.edit.regions import overlay as draw_overlay
    from exprgan.photos.image_io import write_atomic

    buffer = BytesIO()
    Image.fromarray(draw_overlay(image, labels) if overlay else labels).save(buffer, "PNG")
    write_atomic(target, buffer.getvalue())
