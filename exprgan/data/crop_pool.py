"""Crops of many records by several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from exprgan.data.crops import Crop, CropConfig, Cropper, Unusable
from exprgan.data.readers import Record
from exprgan.device import one_thread
from exprgan.errors import ExprganError

CHUNK = 8
"""Pictures that a process takes at a time."""
MOST_USUAL_JOBS = 8


def usual_jobs() -> int:
    """Processes at work when none are asked for: one a core, at most `MOST_USUAL_JOBS`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_USUAL_JOBS)


def crops_of(records: Sequence[Record], config: CropConfig, jobs: int) -> Iterator[tuple[Record, Crop | str]]:
    """Crops, or why there are none, in the order of the records.

    Args:
        records: What is to be done.
        config: How faces are found.
        jobs: Processes at work; one is this process.

    Raises:
        UsageError: There is no such detector.
        WeightsError: Weights are missing.
        ExprganError: A process died.
    """
    if not records:
        return
    finds_faces = not all(record.is_aligned for record in records)
    # in this process, too: missing weights are told here and not by a dead process
    cropper = Cropper(config, finds_faces=finds_faces)
    if jobs == 1 or len(records) == 1:
        for record in records:
            with one_thread():  # as in the processes: crops do not depend on their number
                result = _attempt(cropper, record)
            yield record, result
        return
    del cropper
    chunks = [records[start : start + CHUNK] for start in range(0, len(records), CHUNK)]
    pool = ProcessPoolExecutor(
        min(jobs, len(chunks)), multiprocessing.get_context("spawn"), _begin_process, (config, finds_faces)
    )
    try:
        waiting: deque[tuple[Sequence[Record], Future[list[Crop | str]]]] = deque()
        for chunk in chunks:
            waiting.append((chunk, pool.submit(_work, chunk)))
            if len(waiting) > 2 * jobs:
                yield from _results(*waiting.popleft())
        while waiting:
            yield from _results(*waiting.popleft())
    except BrokenProcessPool as error:
        raise ExprganError(
            "A process died, maybe for want of memory; run the same command again with fewer --jobs: "
            "what is done is kept."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _results(
    chunk: Sequence[Record], future: Future[list[Crop | str]]
) -> Iterator[tuple[Record, Crop | str]]:
    yield from zip(chunk, future.result(), strict=True)


_cropper: Cropper | None = None  # of this process, where it is one of a pool


def _begin_process(config: CropConfig, finds_faces: bool) -> None:
    global _cropper
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the first process tells the others to stop
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _cropper = Cropper(config, finds_faces=finds_faces)


def _work(records: Sequence[Record]) -> list[Crop | str]:
    assert _cropper is not None
    return [_attempt(_cropper, record) for record in records]


def _attempt(cropper: Cropper, record: Record) -> Crop | str:
    try:
        return cropper(record)
    except Unusable as error:
        return str(error)
