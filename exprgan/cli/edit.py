"""`exprgan edit`: photos in, photos with another expression out."""

from __future__ import annotations

import enum
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exprgan.cli import options
from exprgan.cli.edit_batch import show_batch, show_dry_run
from exprgan.cli.output import Format, Output, start
from exprgan.cli.signing import check_results, results_of, signer_of
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
from exprgan.errors import UsageError
from exprgan.photos.places import place
from exprgan.weights.find import DEFAULT_SYSTEM, FACE_MODEL_SYSTEMS

if TYPE_CHECKING:
    from exprgan.edit.batch import PhotoWork
    from exprgan.edit.editor import Editor
    from exprgan.face_model.expression import Expression
    from exprgan.face_model.teeth import Teeth
    from exprgan.weights import NetworkFiles


class Engine(str, enum.Enum):
    """What does the work of a batch."""

    local = "local"
    ray = "ray"


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
            parser=place,
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
    input_list: Annotated[
        Path | None,
        typer.Option(
            metavar="NAMES.txt",
            help="Of the one folder PHOTO edit what this file names, one a line, as it lies below the folder.",
            show_default=False,
        ),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(help="Where a batch is worked on: this process, or the workers of a Ray cluster."),
    ] = Engine.local,
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="A running Ray cluster, or auto. Without it: one on this machine, for this batch.",
            show_default=False,
        ),
    ] = None,
    strip_metadata: options.StripMetadataOption = False,
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
        names=input_list,
        overwrite=overwrite,
        skip_existing=skip_existing,
    )
    is_piped = str(PIPE) in sources
    if engine is Engine.ray:
        from exprgan.cli import edit_cluster

        edit_cluster.check(sources, table, is_signed=c2pa_cert is not None)
        plan = Plan(())  # made there
    elif ray_address is not None:
        raise UsageError("--ray-address goes with --engine ray; give both or none.")
    elif is_piped:
        _check_pipe(sources, plan_options, out, dry_run=dry_run)
        plan = Plan((Job(PIPE, {next(iter(asked)): output or PIPE}),), is_single=True)
    else:
        plan = plan_jobs(sources, plan_options)
    signer = signer_of(c2pa_cert, c2pa_key, c2pa_timestamp, no_provenance=no_provenance, dry_run=dry_run)
    check_results(signer, results_of(plan))

    from exprgan.edit.batch import EditSettings, PhotoWork, weights_hash
    from exprgan.edit.manifest import Manifest, sha256_of
    from exprgan.photos import image_io
    from exprgan.weights import find_system

    files = find_system(model, weights)  # refuses a wrong name before anything else is done
    for expression, factor in asked.values():
        expression.check(factor, only_eight=files.architecture not in FACE_MODEL_SYSTEMS)
    check_teeth_options(teeth, teeth_from, shows_teeth=files.architecture in FACE_MODEL_SYSTEMS)
    source_of_teeth = None if teeth_from is None else image_io.read_bytes(teeth_from)
    settings = EditSettings(
        face,
        detector,
        not no_provenance,
        strip_metadata,
        model,
        teeth if source_of_teeth is None else f"sha256 {sha256_of(source_of_teeth)}",
        signed_by=signer.fingerprint if signer else "",
    )
    if engine is Engine.ray:
        order = edit_cluster.order_of(
            settings,
            asked,
            plan_options,
            files,
            weights=weights,
            device=device,
            detector_weights=weights_dir,
            runtime=runtime,
            teeth=source_of_teeth,
        )
        edit_cluster.edit_on_ray(
            sources,
            plan_options,
            order,
            out,
            jobs=jobs,
            address=ray_address,
            fail_fast=fail_fast,
            dry_run=dry_run,
        )
        return
    is_recorded = plan.folder is not None and (not plan.is_single or skip_existing)
    manifest = Manifest(plan.folder) if is_recorded and plan.folder is not None else None
    editor = None if dry_run else load_editor(files, device, detector, weights_dir, runtime, out)
    work = PhotoWork(
        editor,
        settings,
        asked=asked,
        manifest=manifest,
        weights=weights_hash(files) if manifest else "",
        overwrite=overwrite or (is_piped and output is None),
        skip_existing=skip_existing,
        teeth=_teeth_from(editor, source_of_teeth) if editor and source_of_teeth else None,
        signer=signer,
        used=[image_io.read(source_of_teeth, path=teeth_from)] if signer and source_of_teeth else [],
        read=_read_stdin if is_piped else image_io.read_bytes,
        write=_write_stdout if is_piped and output is None else image_io.write_atomic,
    )
    if dry_run:
        show_dry_run(plan.jobs, work, out)
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
    files: NetworkFiles, device: str, detector: str, detector_weights: Path | None, runtime: str, out: Output
) -> Editor:
    from exprgan.edit.editor import Editor

    started = time.perf_counter()
    editor = Editor.from_pretrained(
        None, device, detector, model=files, detector_weights=detector_weights, runtime=runtime
    )
    out.detail(f"Loaded {editor.weights} on {editor.device} in {time.perf_counter() - started:.2f} s.")
    return editor


def _read_stdin(source: Path) -> bytes:
    return sys.stdin.buffer.read()


def _write_stdout(path: Path, data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _edit_single(plan: Plan, work: PhotoWork, out: Output) -> None:
    from exprgan.cli.edit_report import show_photo
    from exprgan.device import one_thread

    with one_thread():
        report = work(plan.jobs[0])
    show_photo(report, out, is_single=True, asked=work.asked)
    if report.error is not None:
        raise report.error


def edit_batch(plan: Plan, work: PhotoWork, jobs: int | None, fail_fast: bool, out: Output) -> None:
    from exprgan.edit.batch import default_workers, remove_stale_parts, run

    remove_stale_parts(sorted({path.parent for job in plan.jobs for path in job.targets}))
    num_workers = min(jobs or default_workers(), len(plan.jobs))
    out.detail(f"{len(plan.jobs)} photos, {num_workers} at a time.")
    show_batch(
        lambda stop: run(plan.jobs, work, num_workers=num_workers, stop=stop, fail_fast=fail_fast),
        len(plan.jobs),
        work.asked,
        out,
    )


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
