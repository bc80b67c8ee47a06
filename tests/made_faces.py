"""Drawn faces in memory, and small tasks on them: what training can be tried with in seconds.

python -m tests.made_faces OUTPUT NAME=VALUE...     # train a small StarGAN, for tests that kill it or run two of it
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.samples.labelled import LabelledMix, LabelledSamples, SetSource
from exprgan.training import settings
from exprgan.training.adversarial import AdversarialConfig, AdversarialTask
from exprgan.training.loop import LoopConfig, Trainer


class DrawnFaces:
    """A `FaceSet` of two drawn people in the eight expressions: 16 pictures, told apart by mouth and brows."""

    name = "synthetic-faces"  # whose people differ by nothing but the expression

    def __init__(self) -> None:
        self.expressions = np.arange(16) % 8
        self.subjects = np.array(["a"] * 8 + ["b"] * 8)
        self.splits = np.array(["train"] * 16)
        self.action_units = np.full((16, 17), np.nan, np.float32)

    def __len__(self) -> int:
        return 16

    def image(self, row: int) -> NDArray[np.uint8]:
        person, expression = divmod(row, 8)
        skin = (205, 160, 130) if person else (120, 80, 60)
        picture = np.full((256, 256, 3), (60, 90, 120) if person else (150, 150, 90), np.uint8)
        cv2.ellipse(picture, (128, 150), (80, 100), 0, 0, 360, skin, -1)
        for side in (-1, 1):
            cv2.circle(picture, (128 + 32 * side, 121), 9, (250, 250, 250), -1)
            slope = 6 * (expression % 3 - 1) * side
            cv2.line(picture, (128 + 16 * side, 95 + slope), (128 + 48 * side, 95 - slope), (40, 30, 30), 6)
        curve, height = 16 * (expression % 4) - 24, 6 + 8 * (expression // 4)
        cv2.ellipse(picture, (128, 188 - curve // 2), (26, abs(curve) + height), 0, 0, 180 if curve > 0 else 360,
                    (150, 40, 50), 8)  # fmt: skip
        return picture

    def mask(self, row: int) -> NDArray[np.uint8]:
        labels = np.zeros((256, 256), np.uint8)
        cv2.ellipse(labels, (128, 150), (80, 100), 0, 0, 360, 1, -1)
        for side, name in ((-1, 5), (1, 4)):
            cv2.circle(labels, (128 + 32 * side, 121), 12, name, -1)
        cv2.rectangle(labels, (115, 130), (141, 165), 2, -1)
        cv2.ellipse(labels, (128, 188), (30, 18), 0, 0, 360, 11, -1)
        return labels


LOOP = LoopConfig(
    duration_kimg=0.08, batch_size=4, learning_rate=2e-3, schedule="constant", warmup_kimg=0, beta1=0.5, beta2=0.99,
    weight_decay=0, clip_norm=math.inf, ema_kimg=0.02, bf16=False, threads=1, log_kimg=0.02, picture_kimg=math.inf,
)  # fmt: skip
TASK = AdversarialConfig(
    width=8,
    critic_width=8,
    critic_layers=3,
    n_critic=2,
    mix=LabelledMix(image_size=32, jitter=0.1, mirror=False),
)


def small_task(config: AdversarialConfig = TASK, **parts: Any) -> AdversarialTask:
    """A task on the drawn faces."""
    return AdversarialTask(LabelledSamples([SetSource(DrawnFaces(), "train")], config.mix), config, **parts)


def main() -> None:
    """Train by the loop's settings in the command line, from the folder that is named first."""
    loop, unknown = settings.changed(replace(LOOP, checkpoint_minutes=0), sys.argv[2:])
    assert not unknown
    Trainer(small_task(), loop, Path(sys.argv[1])).run()


if __name__ == "__main__":
    main()
