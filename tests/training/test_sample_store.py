"""Samples made once and drawn again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exprgan.errors import UsageError
from exprgan.training.loop import Trainer
from exprgan.training.sample_store import STORE_SEED, SampleStore, fill
from exprgan.training.task import Task
from tests.made_faces import LOOP, TASK, small_task


class Counted(Task):
    """Numbers as samples; notes which were made."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        self.made.append(number)
        return {
            "number": np.float32(number + seed),
            "picture": np.full((3, 4, 4), number, np.uint8),
            "known": torch.tensor([number % 2 == 0]),
        }


def test_a_sample_is_made_once_and_comes_back_as_it_was(tmp_path: Path) -> None:
    task = Counted()
    store = SampleStore(task, tmp_path / "store", 5)
    drawn = [store(3, number) for number in range(40)]
    assert sorted(task.made) == [0, 1, 2, 3, 4]
    for first, second in zip(drawn, [store(3, number) for number in range(40)], strict=True):
        assert first.keys() == second.keys() == {"number", "picture", "known"}
        for name in first:
            assert first[name].dtype == second[name].dtype
            np.testing.assert_array_equal(first[name], second[name])
    assert len(task.made) == 5
    assert drawn[0]["number"].shape == ()
    assert float(drawn[0]["number"]) - STORE_SEED in range(5)
    orders = [[int(store(seed, number)["picture"][0, 0, 0]) for number in range(40)] for seed in (3, 4)]
    assert orders[0] != orders[1]
    assert set(orders[0]) == set(range(5))


def test_samples_of_other_settings_are_refused(tmp_path: Path) -> None:
    SampleStore(small_task(), tmp_path, 4)
    SampleStore(small_task(), tmp_path, 8)
    with pytest.raises(UsageError, match="other settings"):
        SampleStore(small_task(replace(TASK, width=16)), tmp_path, 4)


def test_several_processes_fill_a_store(tmp_path: Path) -> None:
    task = Counted()
    store = SampleStore(task, tmp_path, 7)
    store.stored(2)
    fill(store, 2)
    assert task.made == [2]  # the others were made by the processes
    assert [int(store.stored(place)["picture"].max()) for place in range(7)] == list(range(7))
    assert task.made == [2]


def test_a_run_from_a_store_goes_on_exactly(tmp_path: Path) -> None:
    def run(name: str, minutes: float) -> dict[str, torch.Tensor]:
        config = replace(LOOP, stored=6, store=str(tmp_path / "store"), max_minutes=minutes)
        trainer = Trainer(small_task(), config, tmp_path / name)
        while not trainer.run():
            trainer = Trainer(small_task(), config, tmp_path / name)
        return dict(trainer.ema.state_dict())

    whole, parts = run("whole", 100), run("parts", 0)
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    assert len(list((tmp_path / "store").rglob("*.safetensors"))) == 6
