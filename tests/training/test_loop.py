"""The training loop: exact resume, learning, clear stops."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exprgan.errors import ExprganError, UsageError
from exprgan.training.loop import LoopConfig, Trainer
from exprgan.training.task import Task

CONFIG = LoopConfig(
    duration_kimg=0.064, batch_size=4, learning_rate=0.05, warmup_kimg=0.004, log_kimg=0.016, bf16=False
)


class Line(Task):
    """Learns y = 2 x + 1."""

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken

    def build(self) -> nn.Module:
        return nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 1))

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        x = np.random.default_rng((seed, number)).normal(size=1).astype(np.float32)
        return {"x": x, "y": 2 * x + 1}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        error = (model(batch["x"]) - batch["y"]).square().mean()
        return (error * float("nan") if self.broken else error), {"error": error}


def weights(trainer: Trainer) -> dict[str, Tensor]:
    return {**trainer.model.state_dict(), **{"ema." + k: v for k, v in trainer.ema.state_dict().items()}}


def test_fresh_weights_are_those_of_the_seed_and_the_average_starts_from_them(tmp_path: Path) -> None:
    trainer = Trainer(Line(), CONFIG, tmp_path)
    torch.manual_seed(CONFIG.seed)
    for name, value in Line().build().state_dict().items():
        mine, average = trainer.model.state_dict()[name], trainer.ema.state_dict()[name]
        assert torch.equal(mine, value) and torch.equal(average, value)
        assert average.data_ptr() != mine.data_ptr()


def test_run_learns(tmp_path: Path) -> None:
    trainer = Trainer(Line(), replace(CONFIG, duration_kimg=0.8), tmp_path)
    assert trainer.run()
    first, *_, last = (tmp_path / "log.jsonl").read_text().splitlines()
    assert json.loads(last)["error"] < 0.5 * json.loads(first)["error"]


@pytest.mark.parametrize("workers", [0, 1])
def test_stopped_and_resumed_run_equals_an_undisturbed_one(tmp_path: Path, workers: int) -> None:
    whole = Trainer(Line(), CONFIG, tmp_path / "whole")
    whole.run()

    stopped = Trainer(Line(), replace(CONFIG, max_minutes=0), tmp_path / "parts")
    while not stopped.run():
        torch.manual_seed(99)  # whatever happens between the parts must not count
        stopped = Trainer(Line(), replace(CONFIG, max_minutes=0, workers=workers), tmp_path / "parts")
    assert stopped.step == whole.step == 16
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(stopped)[name], value, rtol=0, atol=0)


def test_finished_run_does_nothing_more(tmp_path: Path) -> None:
    Trainer(Line(), CONFIG, tmp_path).run()
    again = Trainer(Line(), CONFIG, tmp_path)
    assert again.run()
    assert again.step == 16


def test_divergence_stops_with_a_message(tmp_path: Path) -> None:
    with pytest.raises(ExprganError, match="diverged"):
        Trainer(Line(broken=True), CONFIG, tmp_path).run()


def test_other_batch_size_is_refused_on_resume(tmp_path: Path) -> None:
    Trainer(Line(), CONFIG, tmp_path).run()
    with pytest.raises(UsageError, match="batch_size"):
        Trainer(Line(), replace(CONFIG, batch_size=8), tmp_path).run()


def test_learning_rate_warms_up_and_falls(tmp_path: Path) -> None:
    trainer = Trainer(Line(), replace(CONFIG, warmup_kimg=0.016), tmp_path)
    rates = []
    for step in range(17):
        trainer.step = step
        rates.append(trainer.learning_rate())
    assert rates[0] == pytest.approx(0.05 / 4)
    assert max(rates) > 0.04
    assert rates[16] == pytest.approx(0.05 * CONFIG.final_lr_share)
