"""`exprgan animate`: a still photo whose faces change their expression, as a moving picture."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exprgan.cli import options
from exprgan.cli.edit import check_teeth_options
from exprgan.cli.edit_report import faces_record
from exprgan.cli.output import Format, start
from exprgan.cli.signing import signer_of
from exprgan.edit.plan import parse_amounts, wanted_expressions
from exprgan.errors import UsageError
from exprgan.weights.find import DEFAULT_SYSTEM, FACE_MODEL_SYSTEMS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from exprgan.edit.scene import EditResult
    from exprgan.face_model.expression import Expression

SUFFIX = ".gif"


def animate(
    source: Annotated[Path, typer.Argument(metavar="PHOTO", help="The photo.", show_default=False)],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="EXPRESSION",
            help="happy, sad ..., or a blend such as happy:0.6+surprise:0.4; several are shown one after the other. "
            "Without it: happy.",
            show_default=False,
            autocompletion=options.complete_expression,
        ),
    ] = None,
    au: options.AuOption = None,
    control: options.ControlOption = None,
    recipe: options.RecipeOption = None,
    region: options.RegionOption = None,
    strength: Annotated[float, typer.Option(metavar="NUMBER", help="Factor on all of it, 0 to 1.5.")] = 1.0,
    blink: Annotated[bool, typer.Option("--blink", help="Let the eyes blink now and then.")] = False,
    seconds: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Length. Without it: 1 s for each change.", show_default=False),
    ] = None,
    hold: Annotated[float, typer.Option(metavar="SECONDS", help="How long each expression stays.")] = 0.4,
    ease: Annotated[
        str, typer.Option(metavar="NAME", help="sine (slow at both ends of a change) or linear.")
    ] = "sine",
    back: Annotated[
        bool, typer.Option("--back/--no-back", help="End with the photo, to be shown over and over.")
    ] = True,
    fps: Annotated[float, typer.Option(metavar="NUMBER", help="Frames a second, 1 to 60.")] = 25.0,
    size: Annotated[
        int, typer.Option(metavar="PX", help="Longer side at most; 0 keeps the photo's size.")
    ] = 1024,
    lossless: Annotated[bool, typer.Option("--lossless", help="Keep every pixel in a WebP.")] = False,
    face: options.FaceOption = "largest",
    teeth: options.TeethOption = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write: .gif, .webp, .png (APNG) or .mp4. Without it: photo-happy.gif beside photo.jpg.",
            show_default=False,
        ),
    ] = None,
    overwrite: options.OverwriteOption = False,
    no_provenance: options.NoProvenanceOption = False,
    c2pa_cert: options.CertificateOption = None,
    c2pa_key: options.KeyOption = None,
    c2pa_timestamp: options.TimestampOption = None,
    device: options.DeviceOption = "auto",
    weights: options.WeightsOption = None,
    model: options.ModelOption = DEFAULT_SYSTEM,
    detector: options.DetectorOption = "builtin",
    weights_dir: options.DetectorWeightsOption = None,
    runtime: options.RuntimeOption = "auto",
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Move the faces of a photo from one expression to others, as a GIF, WebP, APNG or MP4."""
    out = start(format, quiet, verbose)
    stops = _stops(to or [], parse_amounts(au or [], control or []), recipe, region, blink=blink)
    for stop in stops.values():
        stop.check(strength)
    path = _output(source, list(stops) or ["blink"], output, overwrite=overwrite)
    if size < 0 or 0 < size < 64:
        raise UsageError(f"--size {size} is out of range; give 64 or more, or 0 for the photo's own size.")
    signer = signer_of(c2pa_cert, c2pa_key, c2pa_timestamp, no_provenance=no_provenance)

    from exprgan.edit.animation import Timeline, frames, resized

    changes = len(stops) + (1 if back and stops else 0)
    length = seconds if seconds is not None else changes + len(stops) * hold if stops else 2.5
    timeline = Timeline(list(stops.values()), length, hold if stops else 0.0, ease, back, blink, strength)
    shown = timeline.expressions(fps)

    from exprgan.device import one_thread
    from exprgan.edit.batch import left_alone, make_folder
    from exprgan.edit.editor import Editor
    from exprgan.photos import colour, image_io, moving
    from exprgan.photos.photo import Photo
    from exprgan.weights import find_system

    kind = moving.format_of(path)
    files = find_system(model, weights)
    only_eight = files.architecture not in FACE_MODEL_SYSTEMS
    check_teeth_options(teeth, shows_teeth=not only_eight)
    for expression in (*stops.values(), *shown):
        expression.check(1.0, only_eight=only_eight and bool(expression.classes or expression.controls))
    photo = image_io.read(source)
    started = time.perf_counter()
    editor = Editor.from_pretrained(
        None, device, detector, model=files, detector_weights=weights_dir, runtime=runtime
    )
    out.detail(f"Loaded {editor.weights} on {editor.device} in {time.perf_counter() - started:.2f} s.")
    started = time.perf_counter()
    pixels = resized(colour.srgb_uint8(photo), size or max(photo.size_hw), even=kind == "MP4")
    still = Photo(pixels=pixels, format="PNG", mode="L" if photo.is_grey else "RGB", path=source)
    with one_thread():  # so that frames do not depend on the number of cores
        scene = editor.prepare(still, face, teeth=teeth)
        results: list[EditResult] = [editor.edit(scene, stop, strength) for stop in stops.values()]
    notes = list(dict.fromkeys(note for result in results for note in left_alone(result.faces)))
    if signer is not None:
        notes += [note for note in signer.notes(photo) if note not in photo.notes]
    if photo.alpha is not None:
        notes.append("its transparency is left out; moving pictures are written without.")
    for note in notes:
        out.note(f"{source}: {note}")
    make_folder(path.parent)
    with out.progress(len(shown), "drawing") as advance:
        moving.write(
            path,
            _counted(frames(editor, scene, shown), advance),
            len(shown),
            fps,
            palette_of=[pixels, *(result.image for result in results)],
            lossless=lossless,
            mark=None if no_provenance else editor.weights,
            finish=None
            if signer is None
            else lambda data: signer.sign(
                data,
                kind,
                photo,
                title=path.name,
                edit=f"{', '.join([*stops, *(['blinks'] if blink else [])])}, strength {strength:g}",
                weights=editor.weights,
                also=["c2pa.resized"] if pixels.shape[:2] != photo.size_hw else [],
            ),
        )
    taken = time.perf_counter() - started
    record: dict[str, Any] = {
        "status": "animated",
        "input": str(source),
        "output": str(path),
        "expressions": list(stops),
        "frames": len(shown),
        "fps": fps,
        "size_px": [pixels.shape[1], pixels.shape[0]],
        "strength": strength,
        "faces": faces_record(scene.outcomes),
        "seconds": round(taken, 2),
        "notes": notes,
    }
    out.data(record, str(path))
    out.detail(f"{source}: {len(shown)} frames in {taken:.2f} s.")


def _stops(
    words: Sequence[str], amounts: dict[str, float], recipe: Path | None, region: str | None, *, blink: bool
) -> dict[str, Expression]:
    """What the faces show one after the other, by label; nothing but blinks if these are all that is asked for."""
    if blink and not (words or amounts or recipe):
        return {}
    return wanted_expressions(words, controls=amounts, recipe=recipe, region=region)


def _output(source: Path, labels: Sequence[str], output: Path | None, *, overwrite: bool) -> Path:
    if os.path.isdir(source):
        raise UsageError(f"{source} is a folder; animate takes one photo.")
    path = source.with_name(f"{source.stem}-{'-'.join(labels)}{SUFFIX}") if output is None else output
    if os.path.isdir(path):
        path = path / f"{source.stem}-{'-'.join(labels)}{SUFFIX}"
    if os.path.realpath(path) == os.path.realpath(source):
        raise UsageError(f"{path} is the photo itself; name another --output.")
    if os.path.exists(path) and not overwrite:
        raise UsageError(f"{path} exists; allow to replace it with --overwrite or choose another --output.")
    return path


def _counted(pictures: Iterator[NDArray[np.uint8]], advance: Any) -> Iterator[NDArray[np.uint8]]:
    for picture in pictures:
        yield picture
        advance()
