"""A batch on a Ray cluster: the work of `exprgan.edit.batch`, done by workers on several machines.

The one driver hands out jobs and keeps count, each worker is a process with the networks loaded once. A worker writes
results, and its own part of the record, itself; only names and reports pass between the two. A worker that is lost
with a photo in work is replaced, and the photo done again. What the record's part of the lost one says was written
is replaced then, so that it is neither lost nor refused.
"""

from __future__ import annotations

import itertools
import logging
import os
import pickle
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exprgan.edit.batch import EditSettings, PhotoReport, PhotoWork, make_folder, weights_hash
from exprgan.edit.manifest import PARTS, Entry, Manifest, new_part, recorded
from exprgan.edit.plan import Asked, Job
from exprgan.errors import ExprganError, UsageError
from exprgan.photos import image_io, places
from exprgan.version import __version__

if TYPE_CHECKING:
    from exprgan.edit.editor import Editor
    from exprgan.weights import NetworkFiles

MOST_LOSSES = 3
"""A photo whose worker was lost so often is taken for the cause, and has failed."""
MOST_FAILED_STARTS = 5
"""Workers lost before they were ready, one after the other, from which on no more are begun."""
_OBJECT_STORE_BYTES = 80 * 2**20  # Ray's least; nothing large passes through it
_ANSWER_S = 5.0
_TICK_S = 0.5  # in which Ctrl-C is seen while nothing is finished
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class Task:
    """A job as a worker gets it."""

    job: Job
    recorded: tuple[Entry, ...] = ()  # what earlier runs have recorded of its results
    lost: tuple[Entry, ...] = ()  # what workers of this run had recorded of them when they were lost
    num_losses: int = 0


Work = Callable[[Task], PhotoReport]


@dataclass(frozen=True)
class Order:
    """All that a worker must know to do the photos of a batch; calling it loads the networks and gives the work.

    Attributes:
        settings, asked, overwrite, skip_existing: As for `PhotoWork`.
        output: The folder of the results.
        run: Names the batch.
        model, weights, device, detector, detector_weights, runtime: As for `Editor.from_pretrained`.
        weights_sha256: `weights_hash` of the driver's.
        teeth: A photo that teeth are taken from.
        folder: The driver's working directory, which relative names start from.
    """

    settings: EditSettings
    asked: Mapping[str, Asked]
    output: Path
    run: str
    weights_sha256: str
    model: Path | str
    weights: Path | None = None
    device: str = "cpu"
    detector: str = "builtin"
    detector_weights: Path | None = None
    runtime: str = "auto"
    overwrite: bool = False
    skip_existing: bool = False
    teeth: bytes | None = None
    folder: Path = Path()
    version: str = __version__

    @contextmanager
    def sign(self) -> Iterator[None]:
        """Inside the block the output folder has a sign, by which workers know that theirs is the same.

        Raises:
            UsageError: It cannot be written.
        """
        if places.is_remote(self.output):
            yield
            return
        make_folder(self._sign.parent)
        image_io.write_atomic(self._sign, b"")
        try:
            yield
        finally:
            with suppress(OSError):
                self._sign.unlink()
                self._sign.parent.rmdir()  # where there are no parts

    def __call__(self, part: str) -> Work:
        """The work of a worker that writes a part of the record.

        Raises:
            UsageError: The machine sees another output folder, or has another exprgan or other weights.
            WeightsError, DeviceError: As for `Editor.from_pretrained`.
        """
        from exprgan.device import use_one_thread
        from exprgan.weights import find_system

        node = socket.gethostname()
        with suppress(OSError):
            os.chdir(self.folder)
        if self.version != __version__:
            raise UsageError(
                f"The machine {node} has exprgan {__version__}, not {self.version}; install the same one on all."
            )
        if not places.is_remote(self.output) and not self._sign.exists():
            raise UsageError(
                f"The machine {node} does not see --output {self.output}; name a folder that all machines share, or "
                "one in a store, such as s3://bucket/folder."
            )
        files = find_system(self.model, self.weights)
        if weights_hash(files) != self.weights_sha256:
            raise UsageError(
                f"The machine {node} has other weights in {files.weights}; install the same ones on all machines."
            )
        editor = self.editor(files)
        use_one_thread()  # so that bytes do not depend on the number of cores
        manifest = Manifest(self.output, part=part, entries=())
        work = PhotoWork(
            editor,
            self.settings,
            asked=self.asked,
            manifest=manifest,
            weights=self.weights_sha256,
            overwrite=self.overwrite,
            skip_existing=self.skip_existing,
            teeth=None if self.teeth is None else editor.teeth_from(self.teeth),
        )

        def do(task: Task) -> PhotoReport:
            manifest.know(task.lost)
            written = task.job.targets if task.lost else []
            work.ours = frozenset(path for path in written if places.exists(path) and manifest.is_whole(path))
            manifest.know(task.recorded)
            return work(task.job)

        return do

    def editor(self, files: NetworkFiles) -> Editor:
        """The editor of a worker.

        Raises: as `Editor.from_pretrained` does.
        """
        from exprgan.edit.editor import Editor

        return Editor.from_pretrained(
            None,
            self.device,
            self.detector,
            model=files,
            detector_weights=self.detector_weights,
            runtime=self.runtime,
        )

    @property
    def _sign(self) -> Path:
        return self.output / PARTS / f".{self.run}"


class _Worker:
    """The actor: a process on some machine of the cluster."""

    def __init__(self, start: Callable[[str], Work], part: str) -> None:
        self.start, self.part = start, part

    def ready(self) -> Exception | None:
        """Load what is needed; what stands in the way, if anything does."""
        try:
            self.work = self.start(self.part)
        except Exception as error:
            return _sendable(error)
        return None

    def do(self, task: Task) -> tuple[PhotoReport, BaseException | None]:
        """The report of a photo, and the cause of its error, which pickling would lose."""
        report = self.work(task)
        cause = report.error.__cause__ if report.error is not None else None
        if report.error is not None:
            report.error = _sendable(report.error)
        return report, None if cause is None else _sendable(cause)


def _sendable(error: BaseException) -> Any:
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def check_installed() -> None:
    """Raise unless Ray is there.

    Raises:
        UsageError: It is not.
    """
    try:
        from ray import is_initialized  # noqa: F401  # a folder called ray would do for `import ray`
    except ImportError as error:
        raise UsageError(
            '--engine ray needs Ray, which is missing; pip install "exprgan[ray]" on all machines of the cluster.'
        ) from error


@contextmanager
def connected(address: str | None, num_workers: int | None) -> Iterator[int]:
    """Be part of a Ray cluster inside the block, and give the number of workers to begin there.

    Args:
        address: HOST:PORT of a running cluster, or auto for the one this machine is a node of; None takes
            `RAY_ADDRESS`, and begins a cluster of this machine alone where that is not set.
        num_workers: So many; None means one for each core of the cluster.

    Raises:
        UsageError: Ray is not installed, or no cluster answers at the address.
    """
    check_installed()
    import ray

    if ray.is_initialized():
        yield num_workers or _num_cores()
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report home
    address = address or os.environ.get("RAY_ADDRESS")
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    try:
        if address in (None, "local"):
            ray.init(
                "local",
                num_cpus=num_workers,
                include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES,
                **quiet,
            )
        else:
            _check_answer(address)
            ray.init(address, **quiet)
    except UsageError:
        raise
    except Exception as error:
        words = " ".join(str(error).split())[:160].rstrip(".")
        raise UsageError(
            f"No Ray cluster can be used at {address or 'this machine'} ({words}); run the command on a machine of the "
            "cluster, see `ray status`, or leave out --ray-address."
        ) from error
    try:
        yield num_workers or _num_cores()
    finally:
        ray.shutdown()


def _check_answer(address: str) -> None:
    """Raise unless somebody listens at HOST:PORT; Ray itself would end the process after a minute."""
    host, colon, port = address.rpartition(":")
    if address == "auto":
        return
    if "://" in address or not colon or not port.isdigit():
        raise UsageError(
            f"--ray-address {address} is no address; write HOST:PORT of the cluster's head, or auto on one of its "
            "machines."
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"No Ray cluster answers at {address} ({why}); begin one with `ray start --head`, or leave out "
            "--ray-address."
        ) from error


def _num_cores() -> int:
    import ray

    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def has_gpus() -> bool:
    """Whether the cluster that is connected has GPUs."""
    import ray

    return bool(ray.cluster_resources().get("GPU", 0) >= 1)


def run(
    tasks: Iterable[Task],
    start: Callable[[str], Work],
    output: Path,
    *,
    num_workers: int,
    num_gpus: int = 0,
    stop: threading.Event | None = None,
    fail_fast: bool = False,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[PhotoReport]:
    """Do all jobs on the connected cluster and give the report of each as it is finished, in no certain order.

    Args:
        tasks: What is to be done; no more are taken than there are workers.
        start: An `Order`; called in each worker with the name of its part of the record.
        output: The folder of that record.
        num_workers: Processes, of one core each; fewer work where the cluster has not that many cores free.
        num_gpus: Of each worker, 0 or 1.
        stop: Once it is set, no further job is begun; those in work are finished.
        fail_fast: Begin no further job after one has failed. A full disk always has this effect.
        note: Told what people should know.

    Raises:
        ExprganError: Workers cannot begin.
    """
    pool = _Pool(start, num_gpus)
    left, again = iter(tasks), deque[Task]()
    stop = stop or threading.Event()
    halted = is_told = False
    alive = time.monotonic()  # when a worker was last seen
    names = Manifest(output, entries=())
    try:
        while True:
            goes_on = not halted and not stop.is_set()
            while goes_on and pool.idle:
                task = again.popleft() if again else next(left, None)
                if task is None:
                    break
                pool.give(task)
            if goes_on and not pool.idle:  # there is work for one more
                pool.grow(num_workers)
            if not pool.in_work and (not goes_on or pool.idle):
                return
            for worker, task, answer in pool.finished():
                if isinstance(answer, PhotoReport):
                    halted = halted or answer.disk_is_full or (fail_fast and answer.error is not None)
                    yield answer
                elif task is not None:  # lost
                    keys = {names.key(path) for path in task.job.targets}
                    found = [entry for entry in recorded(output, worker.part) if entry.output in keys]
                    task = replace(task, lost=(*task.lost, *found), num_losses=task.num_losses + 1)
                    if task.num_losses < MOST_LOSSES:
                        note(f"{task.job.source}: its worker was lost ({answer}); it is done again.")
                        again.append(task)
                        continue
                    report = PhotoReport(task.job)
                    report.error = ExprganError(
                        f"{task.job.source} was given up after {MOST_LOSSES} workers were lost with it ({answer}); "
                        "edit it alone to see why."
                    )
                    halted = halted or fail_fast
                    yield report
            if pool.idle or pool.in_work:
                alive, is_told = time.monotonic(), False
            elif not is_told and time.monotonic() - alive > _PATIENCE_S:
                is_told = True
                note("The cluster has no free core; the batch goes on once it has. Ctrl-C ends it.")
    finally:
        pool.close()


@dataclass(frozen=True, eq=False)
class _Handle:
    """A worker as the driver knows it."""

    actor: Any
    part: str


class _Pool:
    """Workers that are begun, idle or in work."""

    def __init__(self, start: Callable[[str], Work], num_gpus: int) -> None:
        import ray

        self._ray, self._start = ray, ray.put(start)
        self._class = ray.remote(num_cpus=1, num_gpus=num_gpus, max_restarts=0)(_Worker)
        self._waiting: dict[Any, tuple[_Handle, Task | None]] = {}
        self.idle: list[_Handle] = []
        self._failed_starts = 0

    @property
    def in_work(self) -> bool:
        """Whether a worker has a photo."""
        return any(task is not None for _, task in self._waiting.values())

    def grow(self, num_workers: int) -> None:
        """Begin workers until there are so many."""
        for _ in range(num_workers - len(self.idle) - len(self._waiting)):
            part = new_part()
            actor = self._class.remote(self._start, part)
            self._waiting[actor.ready.remote()] = (_Handle(actor, part), None)

    def give(self, task: Task) -> None:
        """Let an idle worker do a task."""
        worker = self.idle.pop()
        self._waiting[worker.actor.do.remote(task)] = (worker, task)

    def finished(self) -> Iterator[tuple[_Handle, Task | None, PhotoReport | str | None]]:
        """What has become of workers within a moment: a report, why one was lost, or None for one that is ready.

        Raises:
            ExprganError: Workers cannot begin.
        """
        errors = self._ray.exceptions
        if not self._waiting:
            time.sleep(_TICK_S)
            return
        done, _ = self._ray.wait(list(self._waiting), num_returns=1, timeout=_TICK_S)
        for reference in done:
            worker, task = self._waiting.pop(reference)
            try:
                answer = self._ray.get(reference)
            except errors.RayTaskError as error:  # a fault of ours; the worker lives
                if task is None:
                    self._failed(str(error.cause))
                    continue
                report = PhotoReport(task.job)
                report.error = error.cause if isinstance(error.cause, Exception) else RuntimeError(str(error))
                self.idle.append(worker)
                yield worker, task, report
                continue
            except errors.RayError as error:
                with suppress(Exception):
                    self._ray.kill(worker.actor)
                why = _first_line(error)
                if task is None:
                    self._failed(why)
                yield worker, task, why
                continue
            if task is None:
                if answer is not None:
                    raise answer
                self._failed_starts = 0
            else:
                report, cause = answer
                if report.error is not None:
                    report.error.__cause__ = cause
                answer = report
            self.idle.append(worker)
            yield worker, task, answer

    def close(self) -> None:
        """End all workers."""
        for worker in itertools.chain(self.idle, (worker for worker, _ in self._waiting.values())):
            with suppress(Exception):
                self._ray.kill(worker.actor)

    def _failed(self, why: str) -> None:
        self._failed_starts += 1
        if self._failed_starts >= MOST_FAILED_STARTS:
            raise ExprganError(
                f"Workers cannot begin on the cluster ({why}); see that all machines have the same exprgan and Python, "
                "and enough memory."
            )


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:160].rstrip(".")
