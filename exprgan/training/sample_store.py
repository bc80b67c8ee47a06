"""Samples made once and drawn again and again, for training that is faster than its samples are made.

    python -m exprgan.training.fill_store NETWORK --data DIR --output STORE --count 12000 --processes 16 [--set ...]
    exprgan train NETWORK --data DIR --output RUN --set store=STORE --set stored=12000 [--set ...]

What is drawn is a pure function of the run's seed and the sample's number, so runs are resumed exactly; several runs
may share a store if their samples are the same. Samples that are missing are made when they are drawn. How little such
repetition costs while a sample comes back a few times is said by Choi et al., "Faster Neural Network Training with Data
Echoing" (arXiv 1907.05550).
"""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from exprgan.errors import ExprganError, UsageError
from exprgan.files import being_written, write_whole
from exprgan.training.task import Task

STORE_SEED = 2_000_003
"""Seed of the stored samples, whatever the seed of a run."""
SETTINGS = "samples.json"


class SampleStore:
    """A folder of samples of a task.

    Args:
        task: Makes the samples.
        folder: Where they are; made if it is not there.
        count: How many they are.

    Raises:
        UsageError: The folder holds samples of another kind.
    """

    def __init__(self, task: Task, folder: Path, count: int) -> None:
        self.task, self.folder, self.count = task, folder, count
        folder.mkdir(parents=True, exist_ok=True)
        path, settings = folder / SETTINGS, task.sample_settings()
        if not path.exists():
            write_whole(path, json.dumps(settings).encode())
        elif json.loads(path.read_text(encoding="utf-8")) != settings:
            raise UsageError(
                f"{folder} holds samples made with other settings; name an empty folder by --set store=DIR."
            )

    def __call__(self, seed: int, number: int) -> dict[str, Any]:
        """What a run of a seed draws as its sample `number`."""
        return self.stored(int(np.random.default_rng((seed, number)).integers(self.count)))

    def stored(self, place: int) -> dict[str, Any]:
        """Sample `place` of the store; it is made if it is not there."""
        from safetensors.numpy import load_file

        path = self._path(place)
        if path.exists():
            arrays: dict[str, Any] = load_file(path)
            return arrays
        return self._make(place)

    def fill(self, places: range) -> int:
        """Make what is missing of some places; how many that were."""
        missing = [place for place in places if not self._path(place).exists()]
        for place in missing:
            self._make(place)
        return len(missing)

    def _make(self, place: int) -> dict[str, Any]:
        from safetensors.numpy import save_file

        sample = self.task.sample(STORE_SEED, place)
        arrays = {name: np.ascontiguousarray(value) for name, value in sample.items()}
        # 0-d arrays are made 1-d by ascontiguousarray
        arrays = {name: value.reshape(np.shape(sample[name])) for name, value in arrays.items()}
        path = self._path(place)
        path.parent.mkdir(exist_ok=True)
        with being_written(path) as partial:
            save_file(arrays, partial)
        return arrays

    def _path(self, place: int) -> Path:
        return self.folder / f"{place // 1000:04d}" / f"{place:07d}.safetensors"


def _fill(store: SampleStore, places: range) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    store.fill(places)


def fill(store: SampleStore, processes: int) -> None:
    """Make all that is missing, by several processes.

    Raises:
        ExprganError: A process ended with an error.
    """
    parts = [range(first, store.count, processes) for first in range(processes)]
    started = [multiprocessing.Process(target=_fill, args=(store, part)) for part in parts]
    for process in started:
        process.start()
    for process in started:
        process.join()
    if any(process.exitcode for process in started):
        raise ExprganError(
            "A process that makes samples failed; what it made is kept, so run the command again."
        )
