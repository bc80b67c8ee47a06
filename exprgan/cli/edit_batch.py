"""What the engines of `exprgan edit` share: plans shown, reports shown as they come, Ctrl-C, exit codes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import typer

from exprgan.cli.output import Output
from exprgan.errors import ExprganError

if TYPE_CHECKING:
    from exprgan.edit.batch import PhotoReport, PhotoWork
    from exprgan.edit.plan import Asked, Job

INTERRUPTED = 130


def show_dry_run(jobs: Iterable[Job], work: PhotoWork, out: Output) -> None:
    from exprgan.cli.edit_report import show_plan
    from exprgan.edit.manifest import sha256_of

    failed = 0
    for job in jobs:
        try:
            todo = set(work.unfinished(job, sha256_of(work.read(job.source)) if work.skip_existing else ""))
        except ExprganError as error:
            out.error(error, source=str(job.source))
            failed += 1
            continue
        show_plan(
            [
                ("planned" if name in todo else "skipped", str(job.source), str(path), name)
                for name, path in job.named_targets.items()
            ],
            work.asked,
            out,
        )
    if failed:
        raise typer.Exit(1)


def show_batch(
    begin: Callable[[threading.Event], Iterator[PhotoReport]],
    num_jobs: int,
    asked: Mapping[str, Asked],
    out: Output,
) -> None:
    """Show the reports of a batch, which `begin` begins, as they come, and end with the exit code that they mean."""
    from exprgan.cli.edit_report import Tally, show_photo

    started, tally = time.perf_counter(), Tally()
    with _first_interrupt_stops(out) as stop, out.progress(num_jobs, "editing") as advance:
        for report in begin(stop):
            show_photo(report, out, is_single=False, asked=asked)
            is_fault = report.error is not None and not isinstance(report.error, ExprganError)
            if is_fault and os.environ.get("EXPRGAN_DEBUG") == "1":
                raise report.error or RuntimeError
            tally.add(report)
            advance()
    tally.show(num_jobs, time.perf_counter() - started, out)
    if stop.is_set():
        raise typer.Exit(INTERRUPTED)
    if tally.errors:
        raise typer.Exit(1)


@contextmanager
def _first_interrupt_stops(out: Output) -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second one ends the process at once."""
    stop = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)  # files are written whole or not at all, so nothing is left half done
        stop.set()
        os.write(
            2, b"" if out.quiet else b"\nFinishing the photos in work; press Ctrl-C again to end at once.\n"
        )

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
