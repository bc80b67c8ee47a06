"""What a run writes down: log.jsonl, and TensorBoard's files where that package is installed."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)
Record = dict[str, float]


class RunLog:
    """Writes the records of a run, by thousand images seen.

    Args:
        folder: Folder of the run.
        on_record: Called with each record too, for a progress bar.
    """

    def __init__(self, folder: Path, on_record: Callable[[Record], None] | None = None) -> None:
        self.folder, self.on_record = folder, on_record
        self._board = _summary_writer(folder / "tensorboard")

    def write(self, record: Record) -> None:
        """Append a record; it has "kimg" and any number of other figures."""
        rounded = {name: float(f"{value:.6g}") for name, value in record.items()}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")
        if self._board is not None:
            images = round(record["kimg"] * 1000)
            for name, value in record.items():
                if name != "kimg":
                    self._board.add_scalar(name, value, images)
            self._board.flush()
        log.info(" ".join(f"{name}={value:.4g}" for name, value in rounded.items()))
        if self.on_record is not None:
            self.on_record(record)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()


def _summary_writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
