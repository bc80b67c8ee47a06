"""`exprgan edit`: photos in, photos with another expression out."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, Output, start
from exprgan.edit.plan import (
    PIPE,
    Job,
    Plan,
    PlanOptions,
    asked_for,
    parse_amounts,
    parse_strengths,
    plan_jobs,
    wanted_expressions,
)
from exprgan.errors import ExprganError, UsageError
from exprgan.weights.find import DEFAULT_SYSTEM, FACE_MODEL_SYSTEMS

if TYPE_CHECKING:
    from exprgan.edit.batch import PhotoReport, PhotoWork
    from exprgan.edit.editor import Editor
    from exprgan.face_model.expression import Expression
    from exprgan.face_model.teeth import Teeth
    from exprgan.weights import NetworkFiles

INTERRUPTED = 130


def edit(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO...",
            help="Photos, folders of photos, patterns such as 'photos/*.jpg', or - for stdin to stdout.",
            show_default=False,
        ),
    ],
    to: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="EXPRESSION",
            help="happy, sad ..., a blend such as happy:0.6+surprise:0.4, or all; may be repeated. Without it: happy.",
            show_default=False,
            autocompletion=options.complete_expression,
        ),
    ] = None,
    au: options.AuOption = None,
    control: options.ControlOption = None,
    recipe: options.RecipeOption = None,
    save_recipe: Annotated[
        Path | None,
        typer.Option(metavar="LOOK.toml", help="Also write the expression to a file.", show_default=False),
    ] = None,
    region: options.RegionOption = None,
    strength: Annotated[
        str,
        typer.Option(
            metavar="NUMBER",
            help="Factor on all of it, from 0 (the input) to 1.5; several as 0,0.5,1 or 0:1:0.1 give numbered files.",
        ),
    ] = "1",
    face: options.FaceOption = "largest",
    teeth: options.TeethOption = "auto",
    teeth_from: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTO", help="Take the teeth from this photo of the same person.", show_default=False
        ),
    ] = None,
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
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="EDITS.csv",
            help="Also write a row for each result: what was asked, action units before and after, hashes.",
            show_default=False,
        ),
    ] = None,
    overwrite: options.OverwriteOption = False,
    skip_existing: options.SkipExistingOption = False,
    recursive: options.RecursiveOption = True,
    dry_run: options.DryRunOption = False,
    jobs: options.JobsOption = None,
    fail_fast: options.FailFastOption = False,
    strip_metadata: options.StripMetadataOption = False,
    no_provenance: options.NoProvenanceOption = False,
    device: options.DeviceOption = "auto",
    weights: options.WeightsOption = None,
    model: options.ModelOption = DEFAULT_SYSTEM,
    detector: options.DetectorOption = "builtin",
    weights_dir: options.DetectorWeightsOption = None,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Give the faces of photos another expression; the rest of a photo stays as it is."""
    out = start(format, quiet, verbose)
    amounts = parse_amounts(au or [], control or [])
    expressions = wanted_expressions(to or [], controls=amounts, recipe=recipe, region=region)
    asked = asked_for(expressions, parse_strengths(strength))
    if save_recipe is not None:
        _check_recipe(save_recipe, expressions, overwrite=overwrite)
    plan_options = PlanOptions(
        expressions=list(asked),
        output=output,
        compare=compare,
        with_sheet=any(word.strip().lower() == "all" for word in to or []),
        recursive=recursive,
        overwrite=overwrite,
        skip_existing=skip_existing,
    )
    is_piped = str(PIPE) in sources
    if is_piped:
        _check_pipe(sources, plan_options, out, dry_run=dry_run)
        plan = Plan((Job(PIPE, {next(iter(asked)): output or PIPE}),), is_single=True)
    else:
        plan = plan_jobs(sources, plan_options)

    from exprgan.edit.batch import EditSettings, PhotoWork, weights_hash
    from exprgan.edit.manifest import Manifest, sha256_of
    from exprgan.photos import image_io
    from exprgan.weights import find_system

    files = find_system(model, weights)  # refuses a wrong name before anything else is done
    for expression, factor in asked.values():
        expression.check(factor, only_eight=files.architecture not in FACE_MODEL_SYSTEMS)
    check_teeth_options(teeth, teeth_from, shows_teeth=files.architecture in FACE_MODEL_SYSTEMS)
    is_recorded = plan.folder is not None and (not plan.is_single or skip_existing)
    manifest = Manifest(plan.folder) if is_recorded and plan.folder is not None else None
    source_of_teeth = None if teeth_from is None else image_io.read_bytes(teeth_from)
    editor = None if dry_run else load_editor(files, device, detector, weights_dir, out)
    work = PhotoWork(
        editor,
        EditSettings(
            face,
            detector,
            not no_provenance,
            strip_metadata,
            model,
            teeth if source_of_teeth is None else f"sha256 {sha256_of(source_of_teeth)}",
        ),
        asked=asked,
        manifest=manifest,
        weights=weights_hash(files) if manifest else "",
        overwrite=overwrite or (is_piped and output is None),
        skip_existing=skip_existing,
        teeth=_teeth_from(editor, source_of_teeth) if editor and source_of_teeth else None,
        read=_read_stdin if is_piped else image_io.read_bytes,
        write=_write_stdout if is_piped and output is None else image_io.write_atomic,
    )
    if dry_run:
        show_dry_run(plan, work, out)
        return
    if save_recipe is not None:
        next(iter(expressions.values())).save(save_recipe)
    with rows_in(table, work, files) if table is not None else nullcontext():
        if plan.is_single:
            _edit_single(plan, work, out)
        else:
            edit_batch(plan, work, jobs, fail_fast, out)


@contextmanager
def rows_in(path: Path, work: PhotoWork, files: NetworkFiles) -> Iterator[None]:
    """The work's results get rows in a table, which is put in order at the end."""
    from exprgan.edit.table import Measurer, Table

    assert work.editor is not None
    measurer = Measurer(work.editor, files.weights)
    work.table = Table(path, measurer, overwrite=work.overwrite, resume=work.skip_existing)
    try:
        yield
    finally:
        work.table.close()


def _teeth_from(editor: Editor, photo: bytes) -> Teeth:
    from exprgan.device import one_thread

    with one_thread():  # so that results do not depend on the number of cores
        return editor.teeth_from(photo)


def check_teeth_options(name: str, photo: Path | None = None, *, shows_teeth: bool) -> None:
    """Raise unless the teeth of --teeth, and of --teeth-from where there is one, can be shown."""
    from exprgan.edit.teeth import check_teeth

    check_teeth(name)
    if photo is not None and name != "auto":
        raise UsageError("--teeth and --teeth-from say two things; give one of them.")
    if (photo is not None or name != "auto") and not shows_teeth:
        raise UsageError(
            "--teeth and --teeth-from go with the face model; leave out --model, or give corrections or face_model."
        )


def _check_recipe(path: Path, expressions: Mapping[str, Expression], *, overwrite: bool) -> None:
    if len(expressions) != 1:
        raise UsageError("--save-recipe writes one expression; ask for one.")
    if path.suffix != ".toml":
        raise UsageError(f"--save-recipe {path} is no name for a recipe; end it in .toml.")
    if os.path.exists(path) and not overwrite:
        raise UsageError(
            f"{path} exists; allow to replace it with --overwrite or name another --save-recipe."
        )


def load_editor(
    files: NetworkFiles, device: str, detector: str, detector_weights: Path | None, out: Output
) -> Editor:
    from exprgan.edit.editor import Editor

    started = time.perf_counter()
    editor = Editor.from_pretrained(None, device, detector, model=files, detector_weights=detector_weights)
    out.detail(f"Loaded {editor.weights} on {editor.device} in {time.perf_counter() - started:.2f} s.")
    return editor


def _read_stdin(source: Path) -> bytes:
    return sys.stdin.buffer.read()


def _write_stdout(path: Path, data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def show_dry_run(plan: Plan, work: PhotoWork, out: Output) -> None:
    from exprgan.cli.edit_report import show_plan
    from exprgan.edit.manifest import sha256_of

    lines, failed = [], 0
    for job in plan.jobs:
        try:
            todo = set(work.unfinished(job, sha256_of(work.read(job.source)) if work.skip_existing else ""))
        except ExprganError as error:
            out.error(error, source=str(job.source))
            failed += 1
            continue
        for name, path in job.named_targets.items():
            lines.append(("planned" if name in todo else "skipped", str(job.source), str(path), name))
    show_plan(lines, work.asked, out)
    if failed:
        raise typer.Exit(1)


def _edit_single(plan: Plan, work: PhotoWork, out: Output) -> None:
    from exprgan.cli.edit_report import show_photo
    from exprgan.device import one_thread

    with one_thread():
        report = work(plan.jobs[0])
    show_photo(report, out, is_single=True, asked=work.asked)
    if report.error is not None:
        raise report.error


def edit_batch(plan: Plan, work: PhotoWork, jobs: int | None, fail_fast: bool, out: Output) -> None:
    from exprgan.cli.edit_report import show_photo, show_summary
    from exprgan.edit.batch import default_workers, remove_stale_parts, run

    started = time.perf_counter()
    remove_stale_parts(sorted({path.parent for job in plan.jobs for path in job.targets}))
    num_workers = min(jobs or default_workers(), len(plan.jobs))
    out.detail(f"{len(plan.jobs)} photos, {num_workers} at a time.")
    reports: list[PhotoReport] = []
    with _first_interrupt_stops(out) as stop, out.progress(len(plan.jobs), "editing") as advance:
        for report in run(plan.jobs, work, num_workers=num_workers, stop=stop, fail_fast=fail_fast):
            show_photo(report, out, is_single=False, asked=work.asked)
            is_fault = report.error is not None and not isinstance(report.error, ExprganError)
            if is_fault and os.environ.get("EXPRGAN_DEBUG") == "1":
                raise report.error or RuntimeError
            reports.append(report)
            advance()
    show_summary(reports, len(plan.jobs), time.perf_counter() - started, out)
    if stop.is_set():
        raise typer.Exit(INTERRUPTED)
    if any(report.error is not None for report in reports):
        raise typer.Exit(1)


@contextmanager
def _first_interrupt_stops(out: Output) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one ends the process at once."""
    stop = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)  # files are written whole or not at all, so nothing is left half done
        stop.set()
        os.write(
            2, b"" if out.quiet else b"\nFinishing the photos in work; press Ctrl-C again to end at once.\n"
        )

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _check_pipe(sources: list[str], chosen: PlanOptions, out: Output, *, dry_run: bool) -> None:
    if len(sources) > 1:
        raise UsageError("- reads one photo from stdin; give it alone.")
    if len(chosen.expressions) > 1 or chosen.with_sheet:
        raise UsageError(
            "- makes one photo of one; name one expression and strength, or give the photo by name."
        )
    if chosen.compare is not None or chosen.skip_existing or dry_run:
        raise UsageError(
            "- goes with none of --compare, --skip-existing and --dry-run; give the photo by name."
        )
    if chosen.output is None:
        if out.format is Format.json:
            raise UsageError(
                "- writes the photo to stdout, where --format json writes; name a file with --output."
            )
        if sys.stdout.isatty():
            raise UsageError(
                "- would write a photo to the terminal; redirect stdout or name a file with --output."
            )
    elif os.path.isdir(chosen.output) or not chosen.output.suffix:
        raise UsageError(f"--output {chosen.output} names no file; name one for the photo from stdin.")
    elif os.path.exists(chosen.output) and not chosen.overwrite:
        raise UsageError(
            f"{chosen.output} exists; allow to replace it with --overwrite or choose another --output."
        )
    if sys.stdin.isatty():
        raise UsageError("- reads a photo from stdin; pipe one in, for example with < photo.jpg.")
