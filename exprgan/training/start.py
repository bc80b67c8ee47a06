"""Which networks can be trained by name, with which defaults, and how a run is begun."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from exprgan.device import memory_errors, resolve_device
from exprgan.errors import UsageError
from exprgan.training import distributed, settings
from exprgan.training.loop import LoopConfig, Trainer
from exprgan.training.run_log import Record
from exprgan.training.task import Task, TrainingFiles


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    loop: LoopConfig  # the loop's defaults
    module: str  # of exprgan.training: has `make_task(files, config) -> Task`
    config: str = ""  # class of that module with the task's own settings
    changes: dict[str, Any] = dataclasses.field(default_factory=dict)  # of its settings, by name

    def task_config(self) -> Any:
        """The task's own settings, by default."""
        config = getattr(self._module(), self.config)()
        for name, value in self.changes.items():
            config = settings.replaced(config, name, value)
        return config

    def make_task(self, files: TrainingFiles, config: Any) -> Task:
        """The task; reads the data sets."""
        make: Callable[[TrainingFiles, Any], Task] = self._module().make_task
        return make(files, config)

    def _module(self) -> Any:
        return importlib.import_module(f"exprgan.training.{self.module}")


@dataclass(frozen=True)
class Settings:
    """All settings of a run."""

    network: str
    loop: LoopConfig
    task: Any

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return {"network": self.network, **asdict(self.loop), "task": asdict(self.task)}


def configure(
    network: str, words: Sequence[str] = (), *, device: str = "auto", **loop_changes: Any
) -> Settings:
    """A network's settings with some changed.

    Args:
        network: A name of `RECIPES`.
        words: NAME=VALUE, for settings of the loop or of the task.
        device: As `resolve_device` takes it.
        loop_changes: Further settings of the loop.

    Raises:
        UsageError: The network or a setting is unknown, or a value is not of its type.
        DeviceError: The device is not there.
    """
    recipe = _recipe(network)
    loop = dataclasses.replace(recipe.loop, **{"device": resolve_device(device), **loop_changes})
    loop, left = settings.changed(loop, words)
    task, unknown = settings.changed(recipe.task_config(), left)
    settings.refuse(unknown, loop, task)
    return Settings(network, loop, task)


def make_trainer(files: TrainingFiles, chosen: Settings) -> Trainer:
    """The trainer of a run, its data read and its networks built.

    Raises:
        UsageError: Data are missing or a setting is impossible.
    """
    for source in files.data:
        if "://" not in source and not Path(source).exists():
            raise UsageError(
                f"{source} does not exist; name a set of faces, or a folder with sets, by --data."
            )
    task = _recipe(chosen.network).make_task(files, chosen.task)
    trainer = Trainer(task, chosen.loop, files.output)
    if files.initial is not None:
        trainer.load_weights(files.initial)
    return trainer


def train(
    files: TrainingFiles,
    chosen: Settings,
    *,
    command: Sequence[str] = (),
    on_record: Callable[[Record], None] | None = None,
) -> bool:
    """Train a network, or go on with the run in the output folder; True when the whole duration is done.

    Args:
        files: Data and results.
        chosen: What `configure` gave.
        command: What to note in command.json for the record.
        on_record: Called with each record of the log.

    Raises:
        UsageError: Data are missing or a setting is impossible.
        DeviceError: The device's memory does not suffice.
        ExprganError: Training diverged.
    """
    try:
        with memory_errors(chosen.loop.device):
            trainer = make_trainer(files, chosen)
            if trainer.world.is_main:
                files.output.mkdir(parents=True, exist_ok=True)
                record = {"command": list(command), **chosen.as_dict()}
                (files.output / "command.json").write_text(json.dumps(record) + "\n", encoding="utf-8")
            return trainer.run(on_record=on_record)
    finally:
        distributed.leave()


def _recipe(network: str) -> Recipe:
    if network not in RECIPES:
        raise UsageError(f"There is no network {network!r} to train; choose from {', '.join(RECIPES)}.")
    return RECIPES[network]


_SEGMENTER_LOOP = LoopConfig(
    duration_kimg=14.0, batch_size=8, learning_rate=2e-3, warmup_kimg=0.5, ema_kimg=0.4
)

_GAN_LOOP = LoopConfig(
    duration_kimg=3200.0,  # 200,000 steps of the discriminator
    learning_rate=1e-4,
    schedule="constant",  # so in effect in the public code; the papers say linear over the second half
    final_lr_share=0.0,
    warmup_kimg=0.0,
    beta1=0.5,
    beta2=0.999,
    weight_decay=0.0,
    clip_norm=math.inf,
    ema_kimg=10.0,
)
_GAN_LOOP_OF_8 = dataclasses.replace(_GAN_LOOP, batch_size=8, duration_kimg=1600.0)

_JUDGE_LOOP = LoopConfig(
    duration_kimg=48.0, batch_size=32, learning_rate=1.5e-3, weight_decay=2e-2, clip_norm=5.0
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
        "unified",
        "UnifiedConfig",
    ),
    "hierarchical": Recipe(_GAN_LOOP, "adversarial", "AdversarialConfig", {"architecture": "hierarchical"}),
    "unified_end_to_end": Recipe(
        dataclasses.replace(_GAN_LOOP, batch_size=8, duration_kimg=100.0),
        "adversarial",
        "AdversarialConfig",
        {"architecture": "unified_end_to_end", "image_size": 256},
    ),
    "stargan": Recipe(_GAN_LOOP, "adversarial", "AdversarialConfig", {"architecture": "stargan"}),
    "sargan": Recipe(
        _GAN_LOOP_OF_8, "adversarial", "AdversarialConfig", {"architecture": "sargan", "lambda_rec": 1.0}
    ),
    "usgan": Recipe(
        _GAN_LOOP_OF_8, "adversarial", "AdversarialConfig", {"architecture": "usgan", "lambda_rec": 1.0}
    ),
    "transfer": Recipe(
        LoopConfig(
            duration_kimg=20.0,
            batch_size=4,
            learning_rate=1e-3,
            warmup_kimg=0.3,
            ema_kimg=0.6,
            clip_norm=10.0,
        ),
        "transfer",
        "TransferConfig",
    ),
    "unet": Recipe(_SEGMENTER_LOOP, "segmenter", "SegmenterConfig", {"architecture": "unet"}),
    "bisenet": Recipe(_SEGMENTER_LOOP, "segmenter", "SegmenterConfig", {"architecture": "bisenet"}),
    "landmarks": Recipe(
        LoopConfig(duration_kimg=160.0, batch_size=32, learning_rate=2e-3, ema_kimg=4.0, seed=1),
        "landmarks",
        "LandmarkTrainingConfig",
    ),
    "face_proposer": Recipe(
        LoopConfig(duration_kimg=45.0, learning_rate=2e-3, seed=1),
        "face_proposer",
        "ProposerTrainingConfig",
    ),
    "features": Recipe(
        LoopConfig(duration_kimg=14.0, batch_size=32, learning_rate=8e-4, clip_norm=10.0, seed=1),
        "features",
        "FeatureConfig",
    ),
    "judge": Recipe(
        _JUDGE_LOOP,
        "judges",
        "JudgeConfig",
    ),
    "judge_rendered": Recipe(
        dataclasses.replace(_JUDGE_LOOP, duration_kimg=38.0), "judges", "JudgeConfig", {"rendered": True}
    ),
    "judge_identity": Recipe(
        dataclasses.replace(_JUDGE_LOOP, duration_kimg=20.0, batch_size=64),
        "judges",
        "IdentityConfig",
    ),
}
"""What `exprgan train` knows. Settings are the papers' where a paper has them, else those that the bundled weights were
made with; docs/training-queue.md says with which the bundled weights of the papers' systems were made.
"""
