"""`exprgan transfer`: the expression of one photo onto the face of another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from exprgan.cli import options
from exprgan.cli.edit_report import faces_record
from exprgan.cli.output import Format, Output, start
from exprgan.cli.signing import check_results, signer_of
from exprgan.edit.plan import PlanOptions, plan_jobs
from exprgan.errors import UsageError

if TYPE_CHECKING:
    from exprgan.edit.scene import EditResult, Scene


class _Work(NamedTuple):
    """One photo that gets another one's expression."""

    shown: Path  # whose expression
    target: Path
    output: Path


def transfer(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="Photo that shows the expression.", show_default=False)
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="Photo that is to get it.", show_default=False)
    ],
    swap: Annotated[
        bool, typer.Option("--swap", help="Also write SOURCE with the expression of TARGET.")
    ] = False,
    strength: Annotated[float, typer.Option(metavar="NUMBER", help="From 0 (TARGET as it is) to 1.")] = 1.0,
    face: options.FaceOption = "largest",
    source_face: Annotated[
        str,
        typer.Option(
            "--source-face",
            metavar="WHICH",
            help="Face of SOURCE: largest, center, or a number as `faces` lists them.",
            autocompletion=options.complete_one_face,
        ),
    ] = "largest",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="File or folder to write. Without it: target-like-source.jpg beside target.jpg.",
            show_default=False,
        ),
    ] = None,
    overwrite: options.OverwriteOption = False,
    strip_metadata: options.StripMetadataOption = False,
    no_provenance: options.NoProvenanceOption = False,
    c2pa_cert: options.CertificateOption = None,
    c2pa_key: options.KeyOption = None,
    c2pa_timestamp: options.TimestampOption = None,
    device: options.DeviceOption = "auto",
    weights: options.WeightsOption = None,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME",
            help="corrections, face_model (geometry alone), or transfer, the network of arXiv 1909.02967.",
            autocompletion=options.complete_transfer,
        ),
    ] = "corrections",
    detector: options.DetectorOption = "builtin",
    weights_dir: options.DetectorWeightsOption = None,
    runtime: options.RuntimeOption = "auto",
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Give the face of one photo the expression of another; the rest stays as it is."""
    out = start(format, quiet, verbose)
    if not 0 <= strength <= 1:
        raise UsageError(f"The strength is {strength:g}; give a number from 0 to 1.")
    _check_faces(face, source_face, is_swap=swap)
    work = _plan(source, target, output, overwrite=overwrite, is_swap=swap)
    signer = signer_of(c2pa_cert, c2pa_key, c2pa_timestamp, no_provenance=no_provenance)
    check_results(signer, [job.output for job in work])

    from exprgan.device import one_thread
    from exprgan.edit.batch import make_folder
    from exprgan.photos import image_io

    photos = image_io.read(source), image_io.read(target)
    from exprgan.edit.transfer import Transfer

    started = time.perf_counter()
    transfers = Transfer.from_pretrained(
        weights, device, detector, model=model, detector_weights=weights_dir, runtime=runtime
    )
    out.detail(f"Loaded {transfers.weights} on {transfers.device} in {time.perf_counter() - started:.2f} s.")
    with one_thread():
        shown, scene = transfers.prepare(photos[0], source_face), transfers.prepare(photos[1], face)
        for job in work:
            started = time.perf_counter()
            result = transfers.transfer(shown, scene, strength=strength)
            data = result.encode(
                job.output, provenance=not no_provenance, strip_metadata=strip_metadata, signer=signer
            )
            notes = (
                result.photo.notes
                if signer is None
                else signer.notes(result.photo, strip_metadata=strip_metadata)
            )
            make_folder(job.output.parent)
            image_io.write_atomic(job.output, data)
            _show(job, result, shown, notes, time.perf_counter() - started, out)
            shown, scene = scene, shown


def _check_faces(face: str, source_face: str, *, is_swap: bool) -> None:
    from exprgan.faces.choice import check_choice

    check_choice(face)
    check_choice(source_face)
    if source_face.strip().lower() == "all":
        raise UsageError("--source-face takes one face; give largest, center or a number from 0.")
    if is_swap and face.strip().lower() == "all":
        raise UsageError("--swap reads TARGET's expression from one face; give one with --face, not all.")


def _plan(source: Path, target: Path, output: Path | None, *, overwrite: bool, is_swap: bool) -> list[_Work]:
    """The photos to write, checked before any work as those of `exprgan edit` are."""
    if is_swap and output is not None and output.suffix and not output.is_dir():
        raise UsageError(f"--swap writes two photos; name a folder with --output instead of {output}.")
    work = [_job(source, target, output, overwrite=overwrite)]
    if is_swap:
        work.append(_job(target, source, output, overwrite=overwrite))
        if work[0].output == work[1].output:
            raise UsageError(
                f"Both photos would be written to {work[0].output}; rename one, or leave out --swap."
            )
    return work


def _job(shown: Path, target: Path, output: Path | None, *, overwrite: bool) -> _Work:
    name = f"like-{shown.stem}"
    plan = plan_jobs([str(target)], PlanOptions([name], output, overwrite=overwrite))
    if not plan.is_single:
        raise UsageError(f"{target} is no single photo; transfer takes one SOURCE and one TARGET.")
    return _Work(shown, target, plan.jobs[0].outputs[name])


def _show(
    job: _Work, result: EditResult, shown: Scene, notes: Sequence[str], seconds: float, out: Output
) -> None:
    from exprgan.edit.batch import left_alone

    notes = [*notes, *left_alone(result.faces)]
    for note in notes:
        out.note(f"{job.target}: {note}")
    record: dict[str, Any] = {
        "status": "edited",
        "input": str(job.target),
        "output": str(job.output),
        "source": str(job.shown),
        "source_face": shown.faces[0].index,
        "strength": result.strength,
        "faces": faces_record(result.faces),
        "seconds": round(seconds, 4),
        "notes": notes,
    }
    out.data(record, str(job.output))
