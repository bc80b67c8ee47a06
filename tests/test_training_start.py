"""Training by name: settings, files, and a run through the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from exprgan.errors import UsageError
from exprgan.training import start
from exprgan.training.loop import LoopConfig, Trainer
from tests.conftest import RunCli


class LineTask:
    """Learns y = 2 x."""

    def build(self) -> torch.nn.Module:
        return torch.nn.Linear(1, 1)

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        x = torch.rand(1, generator=torch.Generator().manual_seed(seed * 1_000_003 + number))
        return {"x": x, "y": 2 * x}

    def loss(
        self, model: torch.nn.Module, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        loss = (model(batch["x"]).float() - batch["y"]).square().mean()
        return loss, {}


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = LoopConfig(duration_kimg=2.0, batch_size=10, learning_rate=0.1, warmup_kimg=0.0, bf16=False)

    def run(files: start.TrainingFiles, loop: LoopConfig) -> bool:
        return Trainer(LineTask(), loop, files.output).run()

    monkeypatch.setitem(start.RECIPES, "unet", start.Recipe(loop, run))


@pytest.mark.usefixtures("line")
def test_train_command_trains_and_leaves_a_record(run_cli: RunCli, tmp_path: Path) -> None:
    arguments = ("train", "unet", "--data", tmp_path, "--output", tmp_path / "run", "--device", "cpu")
    result = run_cli(*arguments, "--format", "json", "--set", "seed=3")
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout)["finished"] is True
    assert json.loads((tmp_path / "run/command.json").read_text())["network"] == "unet"
    assert json.loads((tmp_path / "run/options.json").read_text())["seed"] == 3
    weight = load_file(tmp_path / "run/ema.safetensors")["weight"]
    assert float(weight) == pytest.approx(2, abs=0.3)


@pytest.mark.usefixtures("line")
def test_a_run_that_is_out_of_time_says_so_and_goes_on(run_cli: RunCli, tmp_path: Path) -> None:
    arguments = ("train", "unet", "--data", tmp_path, "--output", tmp_path / "run", "--device", "cpu")
    result = run_cli(*arguments, "--minutes", "0")
    assert (result.code, "goes on" in result.stdout) == (0, True)
    assert "trained to the end" in run_cli(*arguments).stdout


def test_settings_are_read_by_their_type() -> None:
    changes = dict(
        map(start.parse_setting, ("batch_size=7", "learning_rate=1e-4", "bf16=False", "device=cpu"))
    )
    assert changes == {"batch_size": 7, "learning_rate": 1e-4, "bf16": False, "device": "cpu"}
    expected = replace(start.RECIPES["landmarks"].loop, batch_size=7, learning_rate=1e-4, bf16=False)
    assert start.resolve("landmarks", changes, device="cpu") == expected


@pytest.mark.parametrize("text", ["batch_size", "batch_size=big", "bf16=perhaps", "nonsense=1"])
def test_settings_that_cannot_be_are_errors_of_use(text: str) -> None:
    with pytest.raises(UsageError):
        start.parse_setting(text)


def test_unknown_networks_and_missing_folders_are_errors_of_use(tmp_path: Path) -> None:
    files = start.TrainingFiles(tmp_path / "none", tmp_path / "run")
    with pytest.raises(UsageError, match="choose from unified"):
        start.train("gan", files, LoopConfig())
    with pytest.raises(UsageError, match="is no folder"):
        start.train("unet", files, LoopConfig())
    with pytest.raises(UsageError, match="--teacher"):
        start.train("unified", start.TrainingFiles(tmp_path, tmp_path / "run"), LoopConfig())
