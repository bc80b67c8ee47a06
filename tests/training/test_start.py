"""Training by name: settings, files, and a run through the command line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from exprgan.cli.train import NETWORKS
from exprgan.errors import UsageError
from exprgan.training import start
from exprgan.training.loop import LoopConfig
from exprgan.training.segmenter import SegmenterConfig
from exprgan.training.task import Task, TrainingFiles
from tests.conftest import RunCli


class LineTask(Task):
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
    recipe = start.Recipe(lambda files, config: LineTask(), SegmenterConfig(), loop)
    monkeypatch.setitem(start.RECIPES, "unet", recipe)


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


def test_settings_of_loop_and_task_are_read_by_their_type() -> None:
    words = ["batch_size=7", "learning_rate=1e-4", "bf16=False", "lambda_score=2", "widths=8,16,24"]
    chosen = start.configure("landmarks", words, device="cpu", max_minutes=3.0)
    defaults = start.RECIPES["landmarks"]
    expected = replace(defaults.loop, batch_size=7, learning_rate=1e-4, bf16=False, max_minutes=3.0)
    assert chosen.loop == expected
    task = defaults.task
    assert chosen.task == replace(task, lambda_score=2.0, net=replace(task.net, widths=(8, 16, 24)))


@pytest.mark.parametrize("word", ["batch_size", "batch_size=big", "bf16=perhaps", "nonsense=1", "widths=a,b"])
def test_settings_that_cannot_be_are_errors_of_use(word: str) -> None:
    with pytest.raises(UsageError):
        start.configure("landmarks", [word], device="cpu")


def test_the_command_line_knows_the_recipes() -> None:
    assert set(NETWORKS) == set(start.RECIPES)


def test_the_nearest_setting_is_named() -> None:
    with pytest.raises(UsageError, match="did you mean batch_size"):
        start.configure("unet", ["batchsize=3"], device="cpu")


def test_unknown_networks_are_refused_before_training_is_imported(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "exprgan.training.start")
    result = run_cli("train", "gan", "--data", tmp_path, "--output", tmp_path / "run")
    assert (result.code, "choose from unified" in result.stderr) == (2, True)
    assert "exprgan.training.start" not in sys.modules


def test_missing_folders_are_errors_of_use(tmp_path: Path) -> None:
    files = TrainingFiles((str(tmp_path / "none"),), tmp_path / "run")
    with pytest.raises(UsageError, match="does not exist"):
        start.train(files, start.configure("unet", device="cpu"))
    with pytest.raises(UsageError, match="holds no faces"):
        start.train(replace(files, data=(str(tmp_path),)), start.configure("unified", device="cpu"))
    assert not (tmp_path / "run").exists()


def test_a_dry_run_shows_the_plan_whatever_is_missing(tmp_path: Path, run_cli: RunCli) -> None:
    result = run_cli("train", "unified", "--data", tmp_path, "--output", tmp_path / "run", "--dry-run")
    assert (result.code, "faces.csv" in result.stderr) == (2, True)
    assert json.loads(result.stdout)["network"] == "unified"
    (tmp_path / "open-faces").mkdir()
    result = run_cli("train", "unified", "--data", tmp_path, "--output", tmp_path / "run", "--dry-run")
    assert (result.code, "judging which faces" in result.stderr) == (0, True)
    assert json.loads(result.stdout)["task"]["mix"]
    assert not (tmp_path / "run").exists()
