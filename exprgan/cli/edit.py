"""`exprgan edit`: photos in, photos with another expression out."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exprgan.cli import options
from exprgan.cli.edit_plan import Job, plan_jobs, wanted_expressions
from exprgan.cli.output import Format, Output, start
from exprgan.errors import DeviceError, ExprganError, UsageError

if TYPE_CHECKING:
    from exprgan.editor import Editor, EditResult

EXAMPLES = """
Examples:\n
  exprgan edit photo.jpg --to happy\n
  exprgan edit photo.jpg --to sad --strength 0.6 --face all --output sad.jpg --compare sheet.png\n
  exprgan edit photo.jpg --to all --output sheet/\n
  exprgan edit photos/ --to happy --output edited/
"""


def edit(
    source: Annotated[
        Path, typer.Argument(metavar="PHOTO", help="A photo, or a folder of photos.", show_default=False)
    ],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="EXPRESSION",
            help="happy, sad ... or all; may be repeated. Without it: happy.",
            show_default=False,
        ),
    ] = None,
    strength: Annotated[float, typer.Option(metavar="NUMBER", help="From 0 (the input) to 1.")] = 1.0,
    face: options.FaceOption = "largest",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="File or folder to write. Without it: photo-happy.jpg beside photo.jpg.",
            show_default=False,
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            metavar="SHEET.png", help="Also write before and after side by side.", show_default=False
        ),
    ] = None,
    overwrite: options.OverwriteOption = False,
    device: options.DeviceOption = "auto",
    weights: options.WeightsOption = None,
    detector: options.DetectorOption = "builtin",
    weights_dir: options.DetectorWeightsOption = None,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Give the faces of a photo another expression; the rest of the photo stays as it is."""
    out = start(format, quiet, verbose)
    expressions = wanted_expressions(to or ["happy"])
    if not 0 <= strength <= 1:
        raise UsageError(f"The strength is {strength:g}; give a number from 0 to 1.")
    with_sheet = any(word.strip().lower() == "all" for word in to or [])
    jobs = plan_jobs(source, expressions, output, compare, overwrite=overwrite, with_sheet=with_sheet)

    from exprgan.editor import Editor

    started = time.perf_counter()
    editor = Editor.from_pretrained(weights, device, detector, detector_weights=weights_dir)
    out.detail(f"Loaded {editor.weights} on {editor.device} in {time.perf_counter() - started:.2f} s.")
    if not source.is_dir():
        _edit_photo(editor, jobs[0], strength, face, out)
        return
    failed = 0
    for job in jobs:
        try:
            _edit_photo(editor, job, strength, face, out)
        except DeviceError:
            raise
        except Exception as error:  # one bad photo must not stop the others
            if os.environ.get("EXPRGAN_DEBUG") == "1" and not isinstance(error, ExprganError):
                raise
            failed += 1
            out.error(error, source=str(job.source))
    out.note(f"{len(jobs) - failed} of {len(jobs)} photos edited, {failed} failed.")
    if failed:
        raise typer.Exit(1)


edit.__doc__ = f"{edit.__doc__}\n{EXAMPLES}"


def _edit_photo(editor: Editor, job: Job, strength: float, face: str, out: Output) -> None:
    started = time.perf_counter()
    scene = editor.prepare(job.source, face)
    for note in scene.photo.notes:
        out.note(f"{job.source}: {note}")
    for outcome in scene.outcomes:
        if outcome.reason and outcome.reason != "not chosen":
            out.note(f"{job.source}: face {outcome.index} is left as it is: {outcome.reason}.")
    results = []
    for expression, path in job.outputs.items():
        result = editor.edit(scene, expression, strength)
        path.parent.mkdir(parents=True, exist_ok=True)
        result.save(path)
        results.append(result)
        out.data(_record(job, path, result), str(path))
    if job.sheet is not None:
        from exprgan.contact_sheet import write_sheet

        job.sheet.parent.mkdir(parents=True, exist_ok=True)
        write_sheet(job.sheet, results)
        out.data({"input": str(job.source), "sheet": str(job.sheet)}, str(job.sheet))
    out.detail(f"{job.source}: {len(results)} edits in {time.perf_counter() - started:.2f} s.")


def _record(job: Job, path: Path, result: EditResult) -> dict[str, object]:
    return {
        "input": str(job.source),
        "output": str(path),
        "expression": result.expression,
        "strength": result.strength,
        "faces": [
            {"index": outcome.index, "edited": outcome.edited, "reason": outcome.reason or None}
            for outcome in result.faces
        ],
    }
