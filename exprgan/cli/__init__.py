"""The command line. `main` is the one place where every error becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Annotated, NamedTuple

import typer

from exprgan.cli import options, output
from exprgan.errors import ExprganError


def _show_version(wanted: bool) -> None:
    if wanted:
        from exprgan.version import __version__

        typer.echo(f"exprgan {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Change the expression of the faces in a photo and leave the rest of the photo alone."""


class Command(NamedTuple):
    """A command: what runs it, as module:function of this package, and its help."""

    runs: str
    short_help: str
    examples: tuple[str, ...]


COMMANDS = {
    "edit": Command(
        "edit:edit",
        "Change expressions in a photo or a folder of them.",
        (
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
    ),
    "animate": Command(
        "animate:animate",
        "Make a moving picture of a photo.",
        (
            "exprgan animate photo.jpg --to happy",
            "exprgan animate photo.jpg --to happy --to sad --output moods.mp4",
            "exprgan animate photo.jpg --control gaze_x=1 --blink --output look.webp",
        ),
    ),
    "series": Command(
        "series:series",
        "Make a set of stimuli, or a grid of two expressions.",
        (
            "exprgan series people/ --design design.toml --output set/",
            "exprgan series photo.jpg --grid happy,surprise",
        ),
    ),
    "app": Command(
        "app_command:app",
        "Edit a photo by sliders, in the browser.",
        (
            "exprgan app --open",
            "exprgan app --port 8000 --max-mb 20",
        ),
    ),
    "expressions": Command(
        "expressions:expressions",
        "List what faces can be asked to show.",
        (
            "exprgan expressions",
            "exprgan expressions --format json",
        ),
    ),
    "transfer": Command(
        "transfer:transfer",
        "Give a face the expression of another photo's.",
        (
            "exprgan transfer laughing.jpg portrait.jpg",
            "exprgan transfer a.jpg b.jpg --swap --output swapped/",
            "exprgan transfer a.jpg group.jpg --face 2 --strength 0.7 --output out.jpg",
        ),
    ),
    "faces": Command(
        "faces:faces",
        "List the faces of a photo.",
        (
            "exprgan faces photo.jpg",
            "exprgan faces photo.jpg --format json",
        ),
    ),
    "segment": Command(
        "segment:segment",
        "Write the face regions of a photo.",
        (
            "exprgan segment photo.jpg --output regions.png",
            "exprgan segment photo.jpg --overlay --output look.png",
        ),
    ),
    "train": Command(
        "train:train",
        "Train a network.",
        (
            "exprgan train unet --data DATA --output runs/unet --minutes 60",
            "exprgan train unet --data DATA --output run --set batch_size=8 --dry-run",
        ),
    ),
    "eval": Command(
        "eval:evaluate",
        "Measure trained systems side by side.",
        (
            "exprgan eval unified --data DATA --output report",
            "exprgan eval --compare unified stargan runs/mine --data DATA --output report",
            "exprgan eval unet bisenet --data DATA --output report",
        ),
    ),
    "export": Command(
        "export:export",
        "Write the networks as ONNX files.",
        (
            "exprgan export --output onnx/",
            "exprgan export corrections --output onnx/",
        ),
    ),
    "doctor": Command(
        "doctor:doctor",
        "Show versions, devices and weights.",
        (
            "exprgan doctor",
            "exprgan doctor --format json > doctor.json",
        ),
    ),
}
GROUPS = ("data", "weights")
"""Modules with commands of their own."""


def build(called: str | None = None) -> typer.Typer:
    """The command line, of one command alone if only that is called: reading all of them takes a third of a second."""
    app = typer.Typer(
        name="exprgan",
        help="Change the expression of the faces in a photo and leave the rest of the photo alone.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(root)
    for name, command in COMMANDS.items():
        if called in (None, name):
            module, function = command.runs.split(":")
            run = getattr(import_module(f"exprgan.cli.{module}"), function)
            epilog = options.examples(*command.examples)
            app.command(name, short_help=command.short_help, epilog=epilog)(run)
    for name in GROUPS:
        if called in (None, name):
            app.add_typer(import_module(f"exprgan.cli.{name}").app, name=name)
    return app


def main() -> None:
    """Run the command line; exit codes are those of docs/cli.md."""
    # threads that wait must not spin: where another program keeps a core busy, spinning takes many times
    # longer than the work (GNU OpenMP reads this when torch is imported)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    called = first if first in COMMANDS or first in GROUPS else None  # none by the shell's completion
    try:
        build(called)(prog_name="exprgan")
    except Exception as error:  # the one blanket except: everything becomes a message and an exit code
        if os.environ.get("EXPRGAN_DEBUG") == "1":
            raise
        output.current().error(error)
        sys.exit(error.exit_code if isinstance(error, ExprganError) else 1)
