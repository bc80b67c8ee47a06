"""`exprgan data`: look at data sets and prepare them for training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start
from exprgan.data.readers import SETS
from exprgan.errors import UsageError

if TYPE_CHECKING:
    from exprgan.data.prepare import Preparation
    from exprgan.data.survey import Survey

app = typer.Typer(
    help="Check data sets and prepare them for training.", no_args_is_help=True, rich_markup_mode=None
)

NAMES_SHOWN = 5
"""Names of left-out files a reason that are shown without --verbose."""

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help=f"One of {', '.join(SETS)}.",
        autocompletion=lambda incomplete: [name for name in SETS if name.startswith(incomplete)],
        show_default=False,
    ),
]
FolderArgument = Annotated[
    Path, typer.Argument(metavar="FOLDER", help="The set as its makers hand it out.", show_default=False)
]


@app.command(
    "check",
    short_help="Count what a data set holds.",
    epilog=options.examples(
        "exprgan data check rafd RaFD/", "exprgan data check folder my-photos/ --format json > photos.json"
    ),
)
def check(
    name: NameArgument,
    folder: FolderArgument,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Count a set's pictures by split and expression, and name what does not fit; nothing is decoded."""
    out = start(format, quiet, verbose)
    from exprgan.data.readers import check_name, read
    from exprgan.data.survey import survey

    name = check_name(name)
    counted = survey(name, read(name, folder))
    out.data(counted.record(), _survey_text(counted))
    for line in _problem_lines(counted.problems, verbose):
        if format is not Format.json:
            out.note(line)
    if not counted.usable:
        raise UsageError(
            f"{folder} holds no picture of {name} that can be used; see docs/data.md for its layout."
        )


@app.command(
    "prepare",
    short_help="Cut aligned faces out of a data set.",
    epilog=options.examples(
        "exprgan data prepare rafd RaFD/ --output sets/rafd --jobs 8",
        "exprgan data prepare affectnet AffectNet/ --output affectnet --shards 64",
        "exprgan data prepare cfd CFD/ --output sets/cfd --action-units openface/",
    ),
)
def prepare(
    name: NameArgument,
    folder: FolderArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Folder to write or to complete.", show_default=False
        ),
    ],
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            metavar="N",
            min=1,
            help="Processes at work. Without it: one a core, 8 at most.",
            show_default=False,
        ),
    ] = None,
    shards: Annotated[
        int,
        typer.Option(
            "--shards", metavar="N", min=0, help="Pack as N tar files; 0 leaves a folder of pictures."
        ),
    ] = 0,
    action_units: Annotated[
        Path | None,
        typer.Option(
            "--action-units",
            metavar="CSV",
            help="OpenFace's csv, or a folder of them, of these pictures.",
            show_default=False,
        ),
    ] = None,
    face_landmarker: Annotated[
        Path | None,
        typer.Option(
            "--face-landmarker",
            metavar="FILE",
            help="MediaPipe's face_landmarker.task: measure action units by it where the set has none.",
            show_default=False,
        ),
    ] = None,
    max_yaw: Annotated[
        float | None,
        typer.Option(
            "--max-yaw",
            metavar="DEGREES",
            min=0,
            max=90,
            help="Leave out faces turned further aside.",
            show_default="40",
        ),
    ] = None,
    detector: options.DetectorOption = "builtin",
    weights: options.WeightsOption = None,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Cut aligned faces of 256 px out of a set, with labels, masks, subjects and splits.

    A run that was stopped goes on where it was when the same command is given again. The result is what
    --data of `train` and `eval` takes.
    """
    out = start(format, quiet, verbose)
    from exprgan.action_units import read_openface
    from exprgan.data import prepare as preparation
    from exprgan.data.crop_pool import usual_jobs
    from exprgan.data.crops import CropConfig
    from exprgan.faces.choice import MAX_YAW_DEG

    units = None if action_units is None else read_openface(action_units)
    config = CropConfig(
        detector=detector,
        weights="" if weights is None else str(weights),
        max_yaw_deg=MAX_YAW_DEG if max_yaw is None else max_yaw,
        face_landmarker="" if face_landmarker is None else str(face_landmarker),
    )
    done = preparation.prepare(
        name,
        folder,
        output,
        config=config,
        jobs=jobs or usual_jobs(),
        shards=shards,
        units=units,
        progress=lambda total: out.progress(total, "faces"),
    )
    record = {
        "output": str(done.output),
        "faces": done.faces,
        "kept": done.kept,
        "left_out": dict(done.left_out),
    }
    out.data(record, _preparation_text(done))


def _survey_text(counted: Survey) -> str:
    from exprgan.data.survey import UNLABELLED
    from exprgan.expressions import EXPRESSIONS

    lines = [f"{counted.name}: {counted.usable} pictures can be used"]
    splits = [split for split in ("train", "val", "test") if counted.counts.get(split)]
    rows = [
        word for word in (*EXPRESSIONS, UNLABELLED) if any(counted.counts[split][word] for split in splits)
    ]
    if splits:
        lines.append(" " * 12 + "".join(f"{split:>9}" for split in splits))
    for word in rows:
        lines.append(f"  {word:10}" + "".join(f"{counted.counts[split][word]:9}" for split in splits))
    if any(counted.subjects.values()):
        cells = (f"{len(counted.subjects.get(split, ())):9}" for split in splits)
        lines.append(f"  {'people':10}" + "".join(cells))
    if counted.num_masks:
        lines.append(f"  {counted.num_masks} with a mask")
    if counted.num_coded:
        lines.append(f"  {counted.num_coded} with action units")
    return "\n".join(lines)


def _problem_lines(problems: dict[str, list[str]], verbose: bool) -> list[str]:
    lines = []
    for reason, names in sorted(problems.items(), key=lambda item: -len(item[1])):
        shown = names if verbose else names[:NAMES_SHOWN]
        rest = (
            f" and {len(names) - len(shown)} more (--verbose names them)" if len(shown) < len(names) else ""
        )
        lines.append(f"{len(names)} left out, {reason}: {', '.join(shown)}{rest}")
    return lines


def _preparation_text(done: Preparation) -> str:
    lines = [
        f"{done.output}: {done.faces} faces" + (f", {done.kept} of them made before" if done.kept else "")
    ]
    lines += [f"  {count} left out: {reason}" for reason, count in sorted(done.left_out.items())]
    return "\n".join([*lines, *(["  problems.csv names them"] if done.left_out else [])])
