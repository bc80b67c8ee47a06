"""`exprgan series`: sets of stimuli by a design, and grids of two expressions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exprgan.cli import options
from exprgan.cli.edit import check_teeth_options, edit_batch, load_editor, rows_in
from exprgan.cli.edit_batch import show_dry_run
from exprgan.cli.output import Format, Output, start
from exprgan.cli.signing import check_results, results_of, signer_of
from exprgan.edit.plan import PlanOptions, plan_jobs
from exprgan.errors import UsageError
from exprgan.weights.find import DEFAULT_SYSTEM, FACE_MODEL_SYSTEMS

if TYPE_CHECKING:
    from exprgan.edit.editor import Editor
    from exprgan.face_model.expression import Expression

TABLE = "table.csv"


def series(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="PHOTO...", help="Photos, folders or patterns; one photo for --grid.", show_default=False
        ),
    ],
    design: Annotated[
        Path | None,
        typer.Option(
            metavar="DESIGN.toml", help="Expressions, strengths and regions to cross.", show_default=False
        ),
    ] = None,
    grid: Annotated[
        str | None,
        typer.Option(
            metavar="A,B",
            help="Instead: draw all blends of two expressions as one picture.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[int, typer.Option(metavar="N", min=2, max=12, help="Rows and columns of the grid.")] = 5,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="Folder of the set, or file of the grid. Without it: photo-A-B-grid.png beside the photo.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="EDITS.csv", help="Without it: table.csv in the folder of the set.", show_default=False
        ),
    ] = None,
    face: options.FaceOption = "largest",
    teeth: options.TeethOption = "auto",
    overwrite: options.OverwriteOption = False,
    skip_existing: options.SkipExistingOption = False,
    recursive: options.RecursiveOption = True,
    dry_run: options.DryRunOption = False,
    jobs: options.JobsOption = None,
    fail_fast: options.FailFastOption = False,
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
    """Make a set of stimuli from photos, with a table and sheets, or a grid of two expressions."""
    out = start(format, quiet, verbose)
    if (design is None) == (grid is None):
        raise UsageError("Give either --design DESIGN.toml or --grid A,B.")
    from exprgan.edit.design import grid_of, load_design
    from exprgan.weights import find_system

    files = find_system(model, weights)
    if files.architecture not in FACE_MODEL_SYSTEMS:
        raise UsageError("series needs the face model; leave out --model, or give corrections or face_model.")
    check_teeth_options(teeth, shows_teeth=True)
    signer = signer_of(c2pa_cert, c2pa_key, c2pa_timestamp, no_provenance=no_provenance, dry_run=dry_run)
    if grid is not None:
        if signer is not None:
            raise UsageError(
                "A grid is a drawing of many edits and is not signed; leave out --c2pa-cert and its key."
            )
        path = _grid_path(sources, grid, output, overwrite=overwrite)
        shares = [round(number / (steps - 1), 3) for number in range(steps)]
        blends = grid_of(grid, shares)
        editor = load_editor(files, device, detector, weights_dir, runtime, out)
        _draw_grid(Path(sources[0]), editor, (face, teeth), blends, shares, path, out)
        return
    assert design is not None
    if output is None or output.suffix:
        raise UsageError("A set needs --output FOLDER.")
    from exprgan.edit.batch import EditSettings, PhotoWork, make_folder, weights_hash
    from exprgan.edit.manifest import Manifest

    wanted = load_design(design)
    if wanted.crop_px and face.strip().lower() == "all":
        raise UsageError(
            "Aligned crops show one face; give one with --face, or leave crop_px out of the design."
        )
    plan = plan_jobs(
        sources,
        PlanOptions(
            expressions=list(wanted.asked),
            output=output,
            with_sheet=True,
            suffix=".png" if wanted.crop_px else "",
            recursive=recursive,
            overwrite=overwrite,
            skip_existing=skip_existing,
        ),
    )
    check_results(signer, results_of(plan))
    manifest = Manifest(output)
    settings = EditSettings(
        face,
        detector,
        not no_provenance,
        strip_metadata,
        model,
        teeth,
        crop_px=wanted.crop_px,
        signed_by=signer.fingerprint if signer else "",
    )
    work = PhotoWork(
        None if dry_run else load_editor(files, device, detector, weights_dir, runtime, out),
        settings,
        asked=wanted.asked,
        manifest=manifest,
        weights=weights_hash(files),
        overwrite=overwrite,
        skip_existing=skip_existing,
        signer=signer,
    )
    if dry_run:
        show_dry_run(plan.jobs, work, out)
        return
    make_folder(output)
    with rows_in(table or output / TABLE, work, files):
        edit_batch(plan, work, jobs, fail_fast, out)


def _grid_path(sources: list[str], words: str, output: Path | None, *, overwrite: bool) -> Path:
    if len(sources) != 1 or os.path.isdir(sources[0]):
        raise UsageError("--grid takes one photo.")
    source = Path(sources[0])
    name = f"{source.stem}-{words.replace(',', '-').replace(' ', '')}-grid.png"
    path = source.with_name(name) if output is None else output / name if os.path.isdir(output) else output
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UsageError(f"{path} names no picture; end --output in .png, .jpg or .webp.")
    if os.path.exists(path) and not overwrite:
        raise UsageError(f"{path} exists; allow to replace it with --overwrite or choose another --output.")
    return path


def _draw_grid(
    source: Path,
    editor: Editor,
    face_and_teeth: tuple[str, str],
    blends: tuple[tuple[Expression, Expression], list[list[Expression]]],
    shares: list[float],
    path: Path,
    out: Output,
) -> None:
    from exprgan.device import one_thread
    from exprgan.edit.batch import left_alone, make_folder
    from exprgan.edit.sheet import encode_grid
    from exprgan.photos import image_io

    (first, second), rows = blends
    face, teeth = face_and_teeth
    with one_thread():
        scene = editor.prepare(image_io.read(source), face, teeth=teeth)
        with out.progress(len(shares) ** 2, "drawing") as advance:
            results = []
            for row in rows:
                results.append([editor.edit(scene, expression) for expression in row])
                for _ in row:
                    advance()
    notes = list(dict.fromkeys(note for row in results for one in row for note in left_alone(one.faces)))
    for note in notes:
        out.note(f"{source}: {note}")
    make_folder(path.parent)
    image_io.write_atomic(path, encode_grid(path, results, (first.label, second.label), shares))
    record = {
        "status": "drawn",
        "input": str(source),
        "output": str(path),
        "columns": first.label,
        "rows": second.label,
    }
    out.data({**record, "shares": shares, "notes": notes}, str(path))
