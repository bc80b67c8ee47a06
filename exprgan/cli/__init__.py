"""The command line. `main` is the one place where every error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from exprgan.cli import (
    animate,
    app_command,
    data,
    doctor,
    edit,
    eval,
    export,
    expressions,
    faces,
    options,
    output,
    segment,
    series,
    train,
    transfer,
    weights,
)
from exprgan.errors import ExprganError

app = typer.Typer(
    name="exprgan",
    help="Change the expression of the faces in a photo and leave the rest of the photo alone.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from exprgan.version import __version__

        typer.echo(f"exprgan {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Change the expression of the faces in a photo and leave the rest of the photo alone."""


app.command(
    "edit",
    short_help="Change expressions in a photo or a folder of them.",
    epilog=options.examples(
        "exprgan edit photo.jpg --to happy",
        "exprgan edit photo.jpg --to sad --strength 0.6 --face all --output sad.jpg",
        "exprgan edit photo.jpg --to happy:0.6+sad:0.4 --compare before-after.png",
        "exprgan edit photo.jpg --au 12=0.8 --au 4L=0.3 --control gaze_x=-0.4",
        "exprgan edit photo.jpg --to happy --region mouth",
        "exprgan edit photo.jpg --to all --output sheet/",
        "exprgan edit photos/ --to happy --output edited/ --skip-existing",
        "exprgan edit s3://me/photos --output s3://me/edited --engine ray",
        "exprgan edit - --to happy < photo.jpg > happy.jpg",
    ),
)(edit.edit)
app.command(
    "animate",
    short_help="Make a moving picture of a photo.",
    epilog=options.examples(
        "exprgan animate photo.jpg --to happy",
        "exprgan animate photo.jpg --to happy --to sad --output moods.mp4",
        "exprgan animate photo.jpg --control gaze_x=1 --blink --output look.webp",
    ),
)(animate.animate)
app.command(
    "series",
    short_help="Make a set of stimuli, or a grid of two expressions.",
    epilog=options.examples(
        "exprgan series people/ --design design.toml --output set/",
        "exprgan series photo.jpg --grid happy,surprise",
    ),
)(series.series)
app.command(
    "app",
    short_help="Edit a photo by sliders, in the browser.",
    epilog=options.examples("exprgan app --open", "exprgan app --port 8000 --max-mb 20"),
)(app_command.app)
app.command(
    "expressions",
    short_help="List what faces can be asked to show.",
    epilog=options.examples("exprgan expressions", "exprgan expressions --format json"),
)(expressions.expressions)
app.command(
    "transfer",
    short_help="Give a face the expression of another photo's.",
    epilog=options.examples(
        "exprgan transfer laughing.jpg portrait.jpg",
        "exprgan transfer a.jpg b.jpg --swap --output swapped/",
        "exprgan transfer a.jpg group.jpg --face 2 --strength 0.7 --output out.jpg",
    ),
)(transfer.transfer)
app.command(
    "faces",
    short_help="List the faces of a photo.",
    epilog=options.examples("exprgan faces photo.jpg", "exprgan faces photo.jpg --format json"),
)(faces.faces)
app.command(
    "segment",
    short_help="Write the face regions of a photo.",
    epilog=options.examples(
        "exprgan segment photo.jpg --output regions.png",
        "exprgan segment photo.jpg --overlay --output look.png",
    ),
)(segment.segment)
app.command(
    "train",
    short_help="Train a network.",
    epilog=options.examples(
        "exprgan train unet --data DATA --output runs/unet --minutes 60",
        "exprgan train unet --data DATA --output run --set batch_size=8 --dry-run",
    ),
)(train.train)
app.command(
    "eval",
    short_help="Measure trained systems side by side.",
    epilog=options.examples(
        "exprgan eval unified --data DATA --output report",
        "exprgan eval --compare unified stargan runs/mine --data DATA --output report",
        "exprgan eval unet bisenet --data DATA --output report",
    ),
)(eval.evaluate)
app.command(
    "export",
    short_help="Write the networks as ONNX files.",
    epilog=options.examples("exprgan export --output onnx/", "exprgan export corrections --output onnx/"),
)(export.export)
app.command(
    "doctor",
    short_help="Show versions, devices and weights.",
    epilog=options.examples("exprgan doctor", "exprgan doctor --format json > doctor.json"),
)(doctor.doctor)
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")


def main() -> None:
    """Run the command line; exit codes are those of docs/cli.md."""
    # threads that wait must not spin: where another program keeps a core busy, spinning takes many times
    # longer than the work (GNU OpenMP reads this when torch is imported)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        app(prog_name="exprgan")
    except Exception as error:  # the one blanket except: everything becomes a message and an exit code
        if os.environ.get("EXPRGAN_DEBUG") == "1":
            raise
        output.current().error(error)
        sys.exit(error.exit_code if isinstance(error, ExprganError) else 1)
