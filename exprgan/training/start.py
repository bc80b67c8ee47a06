"""Which networks can be trained by name, with which defaults, and how their settings are changed."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exprgan.device import memory_errors, resolve_device
from exprgan.errors import UsageError
from exprgan.training.loop import LoopConfig, Trainer

_KINDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a word"}


@dataclass(frozen=True)
class TrainingFiles:
    """Where a training run finds its data and puts its results."""

    data: Path  # folder that contains open-faces and synthetic-faces
    output: Path  # folder of the run
    teacher: Path | None = None  # folder with the geometry teacher's basis; unified alone
    cache: Path | None = None  # folder for the teacher's renders; unified alone
    synthetic_labels: Path | None = None  # landmarks made by exprgan.data.mediapipe_labels; landmarks alone
    initial: Path | None = None  # weights (safetensors) that a new run starts from


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    loop: LoopConfig  # the defaults
    run: Callable[[TrainingFiles, LoopConfig], bool]  # True when the whole duration is done


def train(network: str, files: TrainingFiles, loop: LoopConfig, *, command: Sequence[str] = ()) -> bool:
    """Train a network, or go on with the run in the output folder; True when the whole duration is done.

    Args:
        network: A name of `RECIPES`.
        files: Data and results.
        loop: Settings of the loop.
        command: What to note in command.json for the record.

    Raises:
        UsageError: The network is unknown or a folder is not there.
        DeviceError: The device's memory does not suffice.
    """
    recipe = _recipe(network)
    if not files.data.is_dir():
        raise UsageError(
            f"{files.data} is no folder; name the one with open-faces and synthetic-faces by --data."
        )
    files.output.mkdir(parents=True, exist_ok=True)
    record = {"network": network, "command": list(command)}
    (files.output / "command.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
    with memory_errors(loop.device):
        return recipe.run(files, loop)


def resolve(network: str, changes: dict[str, Any], *, device: str = "auto") -> LoopConfig:
    """The loop's settings of a network with some changed.

    Raises:
        UsageError: There is no such network.
        DeviceError: The device is not there.
    """
    defaults = _recipe(network).loop
    return dataclasses.replace(defaults, **{"device": resolve_device(device), **changes})


def parse_setting(text: str) -> tuple[str, Any]:
    """Name and value of a word NAME=VALUE.

    Raises:
        UsageError: The word is no NAME=VALUE, or the loop has no such setting or not of that type.

    >>> parse_setting("batch_size=32")
    ('batch_size', 32)
    """
    name, equals, value = text.partition("=")
    known = {entry.name: entry.default for entry in dataclasses.fields(LoopConfig)}
    if not equals:
        raise UsageError(f"--set {text} is no NAME=VALUE; for example --set batch_size=32.")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
        raise UsageError(f"The training loop has no setting {name!r}; {hint}")
    kind: type = type(known[name])
    try:
        if kind is bool:
            return name, {"true": True, "false": False, "1": True, "0": False}[value.lower()]
        return name, kind(value)
    except (ValueError, KeyError) as error:
        raise UsageError(f"--set {text}: {name} takes {_KINDS[kind]}, for example {known[name]}.") from error


def _recipe(network: str) -> Recipe:
    if network not in RECIPES:
        raise UsageError(f"There is no network {network!r} to train; choose from {', '.join(RECIPES)}.")
    return RECIPES[network]


def _train_unified(files: TrainingFiles, loop: LoopConfig) -> bool:
    from exprgan.training.unified import UnifiedConfig
    from exprgan.training.unified import train as train_unified

    if files.teacher is None:
        raise UsageError("The generator is trained by the geometry teacher; name its folder with --teacher.")
    return train_unified(
        files.data,
        files.output,
        teacher=files.teacher,
        cache=files.cache or files.output / "teacher-cache",
        config=UnifiedConfig(loop=loop),
        start=files.initial,
    )


def _train_landmarks(files: TrainingFiles, loop: LoopConfig) -> bool:
    from exprgan.data.landmark_pictures import read_pictures
    from exprgan.training.landmarks import LandmarkTask

    pictures = read_pictures(files.data, "train", files.synthetic_labels)
    return _run(Trainer(LandmarkTask(pictures), loop, files.output), files)


def _train_segmenter(architecture: str) -> Callable[[TrainingFiles, LoopConfig], bool]:
    def run(files: TrainingFiles, loop: LoopConfig) -> bool:
        from exprgan.training.segmenter import SegmenterConfig, SegmenterTask

        task = SegmenterTask(SegmenterConfig(architecture=architecture), files.data)
        return _run(Trainer(task, loop, files.output), files)

    return run


def _run(trainer: Trainer, files: TrainingFiles) -> bool:
    if files.initial is not None:
        trainer.load_weights(files.initial)
    return trainer.run()


_SEGMENTER_LOOP = LoopConfig(
    duration_kimg=14.0, batch_size=8, learning_rate=2e-3, warmup_kimg=0.5, ema_kimg=0.4
)

RECIPES = {
    "unified": Recipe(
        LoopConfig(
            duration_kimg=34.0,
            batch_size=8,
            learning_rate=8e-4,
            warmup_kimg=0.5,
            ema_kimg=1.0,
            clip_norm=10.0,
            workers=1,
        ),
        _train_unified,
    ),
    "landmarks": Recipe(
        LoopConfig(duration_kimg=160.0, batch_size=32, learning_rate=2e-3, ema_kimg=4.0, seed=1),
        _train_landmarks,
    ),
    "unet": Recipe(_SEGMENTER_LOOP, _train_segmenter("unet")),
    "bisenet": Recipe(_SEGMENTER_LOOP, _train_segmenter("bisenet")),
}
"""What `exprgan train` knows, with the settings that the bundled weights were made with."""
