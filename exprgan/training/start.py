"""Which networks can be trained by name, with which defaults, and how a run is begun."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from exprgan.device import memory_errors, resolve_device
from exprgan.errors import UsageError
from exprgan.samples.labelled import LabelledMix
from exprgan.training import (
    adversarial,
    corrections,
    distributed,
    face_proposer,
    features,
    judges,
    landmarks,
    segmenter,
    settings,
    transfer,
    unified,
)
from exprgan.training.adversarial import AdversarialConfig
from exprgan.training.judges import IdentityConfig, JudgeConfig
from exprgan.training.loop import LoopConfig, Record, Trainer
from exprgan.training.segmenter import SegmenterConfig
from exprgan.training.task import Task, TrainingFiles


@dataclass(frozen=True)
class Recipe:
    """How a network is trained."""

    make_task: Callable[[TrainingFiles, Any], Task]  # from the task's settings; reads the data sets
    task: Any  # the task's own settings, by default
    loop: LoopConfig  # the loop's


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
        UsageError: A setting is unknown, or a value is not of its type.
        DeviceError: The device is not there.
    """
    recipe = RECIPES[network]
    loop = replace(recipe.loop, **{"device": resolve_device(device), **loop_changes})
    loop, left = settings.changed(loop, words)
    task, unknown = settings.changed(recipe.task, left)
    settings.refuse(unknown, loop, task)
    return Settings(network, loop, task)


FROM_TEACHER = ("unified", "features", "transfer")
"""Networks that learn from the geometry teacher's renders, whether its basis is named or not."""


def judges_first(files: TrainingFiles, network: str) -> bool:
    """Whether a run would begin by judging which faces the teacher can do, about two minutes for open-faces."""
    cache = files.cache or files.output / "teacher-cache"
    has_faces = any((Path(source) / "open-faces").exists() for source in files.data)
    learns = network in FROM_TEACHER or files.teacher is not None
    return learns and has_faces and not (cache / "usable.json").exists()


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
    task = RECIPES[chosen.network].make_task(files, chosen.task)
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
_GAN_LOOP_OF_8 = replace(_GAN_LOOP, batch_size=8, duration_kimg=1600.0)

_JUDGE_LOOP = LoopConfig(
    duration_kimg=48.0, batch_size=32, learning_rate=1.5e-3, weight_decay=2e-2, clip_norm=5.0
)

RECIPES = {
    "unified": Recipe(
        unified.make_task,
        unified.UnifiedConfig(),
        LoopConfig(
            duration_kimg=34.0,
            batch_size=8,
            learning_rate=8e-4,
            warmup_kimg=0.5,
            ema_kimg=1.0,
            clip_norm=10.0,
            workers=1,
        ),
    ),
    "corrections": Recipe(
        corrections.make_task,
        corrections.CorrectionConfig(),
        LoopConfig(
            duration_kimg=60.0,
            batch_size=16,
            learning_rate=1e-3,
            warmup_kimg=0.5,
            ema_kimg=2.0,
            clip_norm=10.0,
            workers=1,
        ),
    ),
    "hierarchical": Recipe(adversarial.make_task, AdversarialConfig(architecture="hierarchical"), _GAN_LOOP),
    "unified_end_to_end": Recipe(
        adversarial.make_task,
        AdversarialConfig(architecture="unified_end_to_end", mix=LabelledMix(image_size=256)),
        replace(_GAN_LOOP, batch_size=8, duration_kimg=100.0),
    ),
    "stargan": Recipe(adversarial.make_task, AdversarialConfig(architecture="stargan"), _GAN_LOOP),
    "sargan": Recipe(
        adversarial.make_task, AdversarialConfig(architecture="sargan", lambda_rec=1.0), _GAN_LOOP_OF_8
    ),
    "usgan": Recipe(
        adversarial.make_task, AdversarialConfig(architecture="usgan", lambda_rec=1.0), _GAN_LOOP_OF_8
    ),
    "transfer": Recipe(
        transfer.make_task,
        transfer.TransferConfig(),
        LoopConfig(
            duration_kimg=20.0,
            batch_size=4,
            learning_rate=1e-3,
            warmup_kimg=0.3,
            ema_kimg=0.6,
            clip_norm=10.0,
        ),
    ),
    "unet": Recipe(segmenter.make_task, SegmenterConfig(architecture="unet"), _SEGMENTER_LOOP),
    "bisenet": Recipe(segmenter.make_task, SegmenterConfig(architecture="bisenet"), _SEGMENTER_LOOP),
    "landmarks": Recipe(
        landmarks.make_task,
        landmarks.LandmarkTrainingConfig(),
        LoopConfig(duration_kimg=160.0, batch_size=32, learning_rate=2e-3, ema_kimg=4.0, seed=1),
    ),
    "face_proposer": Recipe(
        face_proposer.make_task,
        face_proposer.ProposerTrainingConfig(),
        LoopConfig(duration_kimg=45.0, learning_rate=2e-3, seed=1),
    ),
    "features": Recipe(
        features.make_task,
        features.FeatureConfig(),
        LoopConfig(duration_kimg=14.0, batch_size=32, learning_rate=8e-4, clip_norm=10.0, seed=1),
    ),
    "judge": Recipe(judges.make_task, JudgeConfig(), _JUDGE_LOOP),
    "judge_rendered": Recipe(
        judges.make_task, JudgeConfig(rendered=True), replace(_JUDGE_LOOP, duration_kimg=38.0)
    ),
    "judge_identity": Recipe(
        judges.make_task, IdentityConfig(), replace(_JUDGE_LOOP, duration_kimg=20.0, batch_size=64)
    ),
}
"""What `exprgan train` knows. Settings are the papers' where a paper has them, else those that the bundled weights were
made with; docs/training-queue.md says with which the bundled weights of the papers' systems were made.
"""
