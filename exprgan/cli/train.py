"""`exprgan train`: the training loop with a network's task, from the command line."""

from __future__ import annotations

import enum
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start


class Network(str, enum.Enum):
    """What can be trained."""

    unified = "unified"
    landmarks = "landmarks"
    unet = "unet"
    bisenet = "bisenet"


def _folder(help_text: str, envvar: str | None = None) -> Any:
    return typer.Option(metavar="PATH", help=help_text, show_default=False, envvar=envvar)


def train(
    network: Annotated[
        Network,
        typer.Argument(metavar="NETWORK", help="unified, landmarks, unet or bisenet.", show_default=False),
    ],
    data: Annotated[Path, _folder("Folder with open-faces and synthetic-faces.", envvar="EXPRGAN_DATA")],
    output: Annotated[Path, _folder("Folder of the run; a run in it is resumed.")],
    teacher: Annotated[Path | None, _folder("Folder of the geometry teacher's basis (unified).")] = None,
    cache: Annotated[Path | None, _folder("Folder for the teacher's renders (unified).")] = None,
    synthetic_labels: Annotated[
        Path | None, _folder("Dense landmarks of synthetic-faces (landmarks).")
    ] = None,
    initial: Annotated[Path | None, _folder("Weights (safetensors) that a new run starts from.")] = None,
    minutes: Annotated[
        float | None,
        typer.Option(metavar="NUMBER", help="End after this time, with a checkpoint.", show_default=False),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a setting of the loop.", show_default=False),
    ] = None,
    device: options.DeviceOption = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the settings and stop.")] = False,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Train a network; the same command goes on exactly where a stopped run ended."""
    out = start(format, quiet, verbose or not quiet)
    from exprgan.training.start import TrainingFiles, parse_setting, resolve
    from exprgan.training.start import train as run_training

    changes = dict(parse_setting(text) for text in settings or [])
    if minutes is not None:
        changes["max_minutes"] = minutes
    loop = resolve(network.value, changes, device=device)
    if dry_run:
        settings_of_loop = {
            key: None if isinstance(value, float) and math.isinf(value) else value
            for key, value in asdict(loop).items()
        }
        record = {"network": network.value, "data": str(data), "output": str(output), **settings_of_loop}
        out.data(record, json.dumps(record, indent=1))
        return
    files = TrainingFiles(data, output, teacher, cache, synthetic_labels, initial)
    finished = run_training(network.value, files, loop, command=sys.argv)
    text = "trained to the end" if finished else "stopped in time; the same command goes on"
    out.data({"network": network.value, "output": str(output), "finished": finished}, f"{output}: {text}")
