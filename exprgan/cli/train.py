"""`exprgan train`: the training loop with a network's task, from the command line."""

from __future__ import annotations

import json
import math
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start
from exprgan.errors import UsageError

if TYPE_CHECKING:
    from exprgan.training.loop import LoopConfig, Record, Trainer

NETWORKS = (
    *(
        "unified",
        "corrections",
        "hierarchical",
        "unified_end_to_end",
        "stargan",
        "sargan",
        "usgan",
        "transfer",
    ),
    *("unet", "bisenet", "landmarks", "face_proposer", "features"),
    *("judge", "judge_rendered", "judge_identity"),
)
"""The names of `exprgan.training.start.RECIPES`, without torch."""


def _folder(help_text: str, envvar: str | None = None) -> Any:
    return typer.Option(metavar="PATH", help=help_text, show_default=False, envvar=envvar)


def train(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help=f"{', '.join(NETWORKS[:-1])} or {NETWORKS[-1]}.",
            show_default=False,
            autocompletion=lambda incomplete: [name for name in NETWORKS if name.startswith(incomplete)],
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
    output: Annotated[Path, _folder("Folder of the run; a run in it is resumed.")],
    teacher: Annotated[Path | None, _folder("Geometry teacher's basis, if not the bundled one.")] = None,
    cache: Annotated[Path | None, _folder("Folder for the teacher's renders.")] = None,
    synthetic_labels: Annotated[
        Path | None, _folder("Dense landmarks of synthetic-faces (landmarks).")
    ] = None,
    initial: Annotated[Path | None, _folder("Weights (safetensors) that a new run starts from.")] = None,
    weights: options.WeightsOption = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            "--max-minutes",
            metavar="NUMBER",
            help="End after this time, with a checkpoint.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Change a setting; --dry-run shows all.", show_default=False
        ),
    ] = None,
    device: options.DeviceOption = "auto",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Read the data, build the networks, print all settings and stop."),
    ] = False,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Train a network; the same command goes on exactly where a stopped run ended.

    Several GPUs or machines: torchrun --nproc-per-node N -m exprgan train ...
    """
    out = start(format, quiet, verbose)
    if network not in NETWORKS:
        raise UsageError(f"There is no network {network!r} to train; choose from {', '.join(NETWORKS)}.")
    from exprgan.training import start as training
    from exprgan.training.task import TrainingFiles

    loop_changes = {} if minutes is None else {"max_minutes": minutes}
    chosen = training.configure(network, settings or [], device=device, **loop_changes)
    files = TrainingFiles(tuple(data), output, teacher, cache, synthetic_labels, initial, weights)
    if dry_run:
        plan, waits = _finite(chosen.as_dict()), training.judges_first(files, network)
        try:
            plan |= {} if waits else _sizes(training.make_trainer(files, chosen))
        finally:  # where something is missing, the error says what
            out.data(plan, json.dumps(plan, indent=1))
        if waits:
            out.note("The run begins by judging which faces the teacher can do; sizes are not known before.")
        return
    show = sys.stderr.isatty() and format is Format.human and not quiet and not verbose
    with _Progress(chosen.loop) if show else nullcontext() as progress:
        finished = training.train(files, chosen, command=sys.argv, on_record=progress)
    text = "trained to the end" if finished else "stopped in time; the same command goes on"
    out.data({"network": network, "output": str(output), "finished": finished}, f"{output}: {text}")


def _finite(settings: dict[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and math.isinf(value) else value
        for key, value in settings.items()
    }


def _sizes(trainer: Trainer) -> dict[str, Any]:
    """Parameters by network, and the shapes of a sample."""
    parts = dict(trainer.model.named_children()) if len(trainer.turns) > 1 else {"network": trainer.model}
    sample = trainer.task.sample(trainer.config.seed, 0)
    return {
        "parameters": {
            name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()
        },
        "sample": {name: list(getattr(value, "shape", ())) for name, value in sample.items()},
    }


class _Progress:
    """A bar with the time that is left, and the losses beside it."""

    def __init__(self, loop: LoopConfig) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[figures]}"),
            console=Console(stderr=True),
        )
        self.row = self.bar.add_task("images", total=round(loop.duration_kimg * 1000), figures="")

    def __enter__(self) -> _Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def __call__(self, record: Record) -> None:
        figures = " ".join(f"{name} {value:.3g}" for name, value in list(record.items())[1:6])
        self.bar.update(self.row, completed=round(record["kimg"] * 1000), figures=figures)
