"""`exprgan eval`: systems side by side on held-out faces, as metrics.json and report.html."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start
from exprgan.errors import UsageError

SIZES = (128, 256)


def evaluate(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="Weights by name (unified, stargan, unet ...), a folder of weights or NAME in it, or a run.",
            show_default=False,
        ),
    ],
    data: Annotated[
        list[str],
        typer.Option(
            metavar="PATH",
            help="A prepared set, open-faces, synthetic-faces, shards, or a folder of these; again for more.",
            show_default=False,
            envvar="EXPRGAN_DATA",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the report.", show_default=False),
    ],
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Show each face with all systems below each other."),
    ] = False,
    faces: Annotated[
        int, typer.Option("--faces", metavar="N", min=2, help="Held-out photographs to edit, at most.")
    ] = 60,
    size: Annotated[
        int, typer.Option("--size", metavar="PIXELS", help="128 or 256: side at which pixels are compared.")
    ] = 256,
    pictures: Annotated[
        int, typer.Option("--pictures", metavar="N", min=0, help="Faces that the report shows.")
    ] = 6,
    units: Annotated[
        bool,
        typer.Option("--units", help="Also edit by single action units, where a system knows them."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the choice of faces.")] = 0,
    teacher: Annotated[
        Path | None,
        typer.Option(
            "--teacher",
            metavar="FOLDER",
            help="The geometry teacher's basis, for its row; needs --cache.",
            show_default=False,
        ),
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", metavar="FOLDER", help="The teacher's renders.", show_default=False),
    ] = None,
    landmarker: Annotated[
        Path | None,
        typer.Option(
            "--landmarker",
            metavar="FILE",
            help="MediaPipe's face_landmarker.task, for its blendshapes.",
            show_default=False,
        ),
    ] = None,
    inception: Annotated[
        Path | None,
        typer.Option(
            "--inception",
            metavar="FILE",
            help="Weights of the FID Inception, for FID and KID as published.",
            show_default=False,
        ),
    ] = None,
    weights: options.WeightsOption = None,
    overwrite: options.OverwriteOption = False,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Measure systems on the same held-out faces, beside doing nothing and, with --teacher, the geometry teacher.

    Writes metrics.json and report.html, one file with all its pictures, which may show photographs of the data. Runs
    on the CPU, one thread.
    """
    out = start(format, quiet, verbose)
    if size not in SIZES:
        raise UsageError(f"The size is {size}; give --size 128 or --size 256.")
    if compare and len(sources) < 2:
        raise UsageError(
            "There is nothing to compare with one source; name two or more, or leave out --compare."
        )
    if (teacher is None) != (cache is None):
        raise UsageError(
            "The geometry teacher needs both its basis and its renders; give --teacher and --cache."
        )
    if teacher is not None and not (teacher / "geometry_basis.npz").is_file():
        raise UsageError(f"{teacher} has no geometry_basis.npz; name the teacher's folder with --teacher.")
    _check_output(output, overwrite)
    from exprgan.evaluation.sources import find_source

    found = [find_source(source, weights) for source in sources]
    from exprgan.evaluation.evaluate import EvalOptions
    from exprgan.evaluation.evaluate import evaluate as run

    chosen = EvalOptions(
        data=tuple(data),
        output=output,
        faces=faces,
        size=size,
        seed=seed,
        teacher=teacher,
        cache=cache,
        weights=weights,
        landmarker=landmarker,
        inception=inception,
        compare=compare,
        pictures=pictures,
        units=units,
    )
    record = run(
        found, chosen, command=["exprgan", *sys.argv[1:]], progress=lambda n: out.progress(n, "edits")
    )
    report = output / "report.html"
    out.data({"report": str(report), "metrics": str(output / "metrics.json")}, _text(record, report))


def _check_output(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file; name a folder for the report with --output.")
    present = [name for name in ("report.html", "metrics.json") if (output / name).exists()]
    if present and not overwrite:
        raise UsageError(
            f"{output / present[0]} exists; allow to replace it with --overwrite or choose another --output."
        )


def _text(record: dict[str, Any], report: Path) -> str:
    """A few figures of each system, and where the rest is."""
    lines = []
    for system in record["systems"]:
        figures = system["figures"]
        shown = [
            f"{title} {figures[key]['value'] * scale:{form}}"
            for title, key, scale, form in (
                ("accuracy", "accuracy", 100, ".1f"),
                ("of 8", "accuracy_rendered", 100, ".1f"),
                ("identity", "cosine", 1, ".3f"),
                ("FID", "fid", 1, ".2f"),
                ("outside", "psnr_out", 1, ".1f"),
                ("renders", "psnr_pair", 1, ".2f"),
            )
            if figures.get(key, {}).get("value") is not None
        ]
        lines.append(f"{system['name']:20} " + "  ".join(shown))
    lines += [
        f"{row['name']:20} mIoU {100 * row['mean_iou']:.1f} on {row['set']} ({row['labels']})"
        for row in record["segmenters"]
    ]
    return "\n".join([*lines, str(report)])
