"""Batches on a Ray cluster of this machine: the bytes of the local batch, also where workers and nodes are lost.

Most use a made editor; workers begin in seconds all the same, for which the tests share one cluster of one node.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exprgan.edit import batch, cluster
from exprgan.edit.cluster import Order, Task
from exprgan.edit.long_plan import LongPlan
from exprgan.edit.manifest import recorded
from exprgan.edit.plan import Job, PlanOptions, asked_for, plan_jobs, wanted_expressions
from exprgan.errors import ExprganError, UsageError, WeightsError
from exprgan.photos.photo import Photo
from exprgan.weights import find_system
from exprgan.weights.find import DEFAULT_SYSTEM
from tests.conftest import ROOT, RunCli
from tests.edit.test_batch import MadeEditor

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'exprgan[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")

ASKED = asked_for(wanted_expressions(["happy", "sad"]), [1.0])


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ray's processes talk on this machine, and nothing beyond."""
    connect = socket.socket.connect
    own = {"127.0.0.1", "::1", "localhost", ray.util.get_node_ip_address()}

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and self.type == socket.SOCK_STREAM:
            assert address[0] in own, f"a test tried to reach {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module", autouse=True)
def paths_of_workers() -> Iterator[None]:
    """Workers import the tests' modules, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        yield


@pytest.fixture(scope="module")
def one_node(paths_of_workers: None) -> Iterator[None]:
    """A connected cluster of one node, with room for four workers."""
    with cluster.connected(None, 4):
        yield


@dataclass(frozen=True)
class MadeOrder(Order):
    """Workers edit with a made editor, which takes a while, and fall at photos of certain names."""

    marks: Path = Path()
    seconds: float = 0.0

    def editor(self, files: object) -> Any:
        def before(photo: Photo) -> None:
            time.sleep(self.seconds)
            name = photo.path.name if photo.path else ""
            if name.startswith("once") and not (self.marks / name).exists():
                (self.marks / name).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            if name.startswith("always"):
                os.kill(os.getpid(), signal.SIGKILL)

        return MadeEditor(before)


def make_photos(folder: Path, names: list[str]) -> Path:
    rng = np.random.default_rng(5)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).save(folder / name)
    return folder


def order_for(output: Path, marks: Path, **changes: Any) -> MadeOrder:
    order = MadeOrder(
        batch.EditSettings(),
        ASKED,
        output,
        "run",
        batch.weights_hash(find_system(DEFAULT_SYSTEM)),
        DEFAULT_SYSTEM,
        folder=Path.cwd(),
        marks=marks,
    )
    return replace(order, **changes)


def tasks_of(photos: Path, output: Path, **options: Any) -> tuple[LongPlan, list[Task]]:
    plan = LongPlan([str(photos)], PlanOptions(list(ASKED), output, **options))
    return plan, [Task(job, tuple(plan.recorded(job))) for job in plan.jobs()]


def on_ray(photos: Path, output: Path, marks: Path, num_workers: int = 2, **options: Any) -> list[Any]:
    """The reports of a batch on the cluster, by name of the photo."""
    changes = {name: value for name, value in options.items() if name not in ("fail_fast", "stop")}
    order = order_for(output, marks, **changes)
    known = {name: options[name] for name in ("overwrite", "skip_existing") if name in options}
    plan, tasks = tasks_of(photos, output, **known)
    control = {name: options[name] for name in ("fail_fast", "stop") if name in options}
    plan.close()
    with order.sign():
        return list(cluster.run(tasks, order, output, num_workers=num_workers, **control))


def locally(photos: Path, output: Path) -> list[Any]:
    from exprgan.edit.manifest import Manifest

    plan = plan_jobs([str(photos)], PlanOptions(list(ASKED), output))
    work = batch.PhotoWork(
        MadeEditor(),
        batch.EditSettings(),
        asked=ASKED,
        manifest=Manifest(output),
        weights=batch.weights_hash(find_system(DEFAULT_SYSTEM)),
    )
    return list(batch.run(plan.jobs, work))


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    inside = {path.relative_to(folder): path.read_bytes() for path in files}
    return {path.as_posix(): data for path, data in inside.items() if not path.parts[0].startswith(".")}


def lines(folder: Path) -> set[tuple[str, str, str]]:
    return {(entry.output, entry.sha256, entry.origin.input_sha256) for entry in recorded(folder)}


def test_results_record_and_failures_are_those_of_the_local_batch(one_node: None, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", ["a.png", "b.jpg", "sub/a.png", "sub/ü.webp", "noface.png"])
    (photos / "bad.jpg").write_bytes(b"nonsense")
    mine, theirs = on_ray(photos, tmp_path / "ray", tmp_path), locally(photos, tmp_path / "local")
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert len(contents(tmp_path / "ray")) == 8
    assert lines(tmp_path / "ray") == lines(tmp_path / "local")

    def told(reports: list[Any]) -> dict[str, tuple[str, str, str, int]]:
        return {
            report.job.source.name + str(report.job.source.parent): (
                report.status,
                type(report.error).__name__,
                str(report.error),
                len(report.faces),
            )
            for report in reports
        }

    assert told(mine) == told(theirs)
    assert Counter(report.status for report in mine) == {"edited": 4, "failed": 2}
    assert not list((tmp_path / "ray").rglob(".run"))  # the sign is gone


@pytest.mark.slow
def test_each_engine_goes_on_where_the_other_was_ended(
    one_node: None, run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photos = make_photos(tmp_path / "photos", [f"{number}.png" for number in range(4)])
    monkeypatch.setattr("exprgan.edit.editor.Editor.from_pretrained", lambda *_, **__: MadeEditor())
    out = tmp_path / "out"
    on_ray(photos, out, tmp_path)
    arguments = [
        "edit",
        photos,
        "--to",
        "happy",
        "--to",
        "sad",
        "-o",
        out,
        "--skip-existing",
        "--format",
        "json",
    ]
    result = run_cli(*arguments)
    assert (result.code, result.stdout.count('"skipped"')) == (0, 8)
    (out / "1-sad.png").unlink()
    (out / "2-happy.png").write_bytes(b"changed")
    reports = {report.job.source.name: report for report in on_ray(photos, out, tmp_path, skip_existing=True)}
    assert {name: report.status for name, report in reports.items()} == {
        "0.png": "skipped",
        "1.png": "edited",
        "2.png": "failed",
        "3.png": "skipped",
    }
    assert list(reports["1.png"].results) == ["sad"]
    assert "has changed since" in str(reports["2.png"].error)


@pytest.mark.slow
def test_a_lost_worker_is_replaced_and_its_photo_done_again(one_node: None, tmp_path: Path) -> None:
    names = ["once0.png", "once1.png", "always.png", *(f"{number}.png" for number in range(5))]
    photos = make_photos(tmp_path / "photos", names)
    reports = on_ray(photos, tmp_path / "out", tmp_path)
    assert sorted(report.job.source.name for report in reports) == sorted(names)  # none twice
    (failed,) = (report for report in reports if report.error is not None)
    assert failed.job.source.name == "always.png"
    assert isinstance(failed.error, ExprganError) and "given up after 3 workers" in str(failed.error)
    assert len(contents(tmp_path / "out")) == 2 * 7


def test_what_a_lost_worker_had_written_is_made_again_and_nothing_else(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", ["a.png"])
    out = tmp_path / "out"
    order = order_for(out, tmp_path)
    plan, (task,) = tasks_of(photos, out)
    plan.close()
    with order.sign():
        begin, second, third = (order(name) for name in ("first", "second", "third"))
    first = begin(task)
    assert first.status == "edited"
    found = tuple(recorded(out, "first"))
    assert len(found) == 2
    again = second(replace(task, lost=found))
    assert (again.status, again.results) == ("edited", first.results)
    (out / "a-sad.png").write_bytes(b"somebody else's")
    refused = third(replace(task, lost=found))
    assert isinstance(refused.error, UsageError) and "exists" in str(refused.error)
    assert (out / "a-sad.png").read_bytes() == b"somebody else's"


@pytest.mark.slow
def test_fail_fast_and_stop_begin_no_further_photo(one_node: None, tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", [f"{number}.png" for number in range(6)])
    (photos / "00.png").write_bytes(b"nonsense")
    reports = on_ray(photos, tmp_path / "out", tmp_path, num_workers=1, fail_fast=True)
    assert [report.status for report in reports].count("failed") == 1 and len(reports) < 7
    stop = threading.Event()
    stop.set()
    assert on_ray(photos, tmp_path / "out2", tmp_path, stop=stop) == []


@dataclass(frozen=True)
class BrokenOrder(MadeOrder):
    def editor(self, files: object) -> Any:
        if self.seconds < 0:
            os._exit(3)
        raise WeightsError("The weights are missing; fetch them.")


def test_a_worker_that_would_make_other_bytes_or_write_elsewhere_does_not_begin(tmp_path: Path) -> None:
    order = order_for(tmp_path / "out", tmp_path)
    with order.sign():
        for other, words in (
            (replace(order, run="other"), "does not see --output"),
            (replace(order, version="0.0"), "not 0.0; install the same"),
            (replace(order, weights_sha256="0"), "has other weights"),
        ):
            with pytest.raises(UsageError, match=words):
                other("part")
    assert not list((tmp_path / "out").iterdir())
    with pytest.raises(UsageError, match="does not see"):
        order("part")


@pytest.mark.slow
def test_workers_that_cannot_begin_are_the_commands_error(one_node: None, tmp_path: Path) -> None:
    output = tmp_path / "out"
    broken = BrokenOrder(**order_for(output, tmp_path).__dict__)
    tasks = [Task(Job(tmp_path / "a.png", {"happy": output / "a.png"}))]
    for order, kind, words in (
        (broken, WeightsError, "The weights are missing"),
        (replace(broken, seconds=-1.0), ExprganError, "Workers cannot begin on the cluster"),
    ):
        with order.sign(), pytest.raises(kind, match=words):
            list(cluster.run(iter(tasks), order, output, num_workers=2))


def test_tasks_are_taken_no_faster_than_they_are_done(one_node: None, tmp_path: Path) -> None:
    num_taken = num_done = most = 0
    output = tmp_path / "out"

    def tasks() -> Iterator[Task]:
        nonlocal num_taken
        for number in range(200):
            num_taken += 1
            yield Task(Job(tmp_path / f"{number}.png", {}))

    for report in cluster.run(tasks(), Refusing(), output, num_workers=2):
        num_done += 1
        most = max(most, num_taken - num_done)
        assert str(report.error) == "no"
    assert num_done == 200 and most <= 2


def test_a_cluster_without_a_free_core_is_told_of_and_can_be_left(
    one_node: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE_S", 0.2)
    stop, notes = threading.Event(), []

    def note(text: str) -> None:
        notes.append(text)
        stop.set()

    tasks = [Task(Job(tmp_path / "a.png", {}))]
    assert (
        list(cluster.run(tasks, Refusing(), tmp_path, num_workers=1, num_gpus=1, stop=stop, note=note)) == []
    )
    assert len(notes) == 1 and "no free core" in notes[0]


class Refusing:
    def __call__(self, part: str) -> Any:
        def do(task: Task) -> batch.PhotoReport:
            return batch.PhotoReport(task.job, error=UsageError("no"))

        return do


class Stubborn(Exception):
    def __init__(self, one: int, two: int) -> None:  # cannot be unpickled
        super().__init__("stubborn")


def test_causes_and_strange_errors_reach_the_driver() -> None:
    def work(task: Task) -> batch.PhotoReport:
        report = batch.PhotoReport(task.job)
        try:
            try:
                raise OSError(28, "No space left on device")
            except OSError as error:
                raise ExprganError("full") from error
        except ExprganError as error:
            report.error = error
        return report

    worker = cluster._Worker(lambda part: work, "x")
    assert worker.ready() is None
    _, cause = worker.do(Task(Job(Path("a"), {})))
    assert getattr(cause, "errno", 0) == 28
    assert "Stubborn: stubborn" in str(cluster._sendable(Stubborn(1, 2)))


@pytest.fixture
def three_nodes(paths_of_workers: None) -> Iterator[Any]:
    """A cluster of three nodes of one core each, and a driver's node without any."""
    if ray.is_initialized():
        ray.shutdown()
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        nodes = [made.add_node(num_cpus=1, object_store_memory=80 * 2**20) for _ in range(3)]
        made.wait_for_nodes()
        try:
            yield made, nodes
        finally:
            ray.shutdown()
            made.shutdown()


@pytest.mark.slow
def test_a_node_killed_midway_loses_nothing_and_does_nothing_twice(three_nodes: Any, tmp_path: Path) -> None:
    made, nodes = three_nodes
    names = [f"{number % 3}/{number}.png" for number in range(30)]
    photos, out = make_photos(tmp_path / "photos", names), tmp_path / "out"
    order = order_for(out, tmp_path, seconds=0.5)
    plan, tasks = tasks_of(photos, out)
    plan.close()
    notes: list[str] = []
    with order.sign(), cluster.connected(made.address, None) as num_workers:
        assert num_workers == 3
        reports, parts = [], set()
        for report in cluster.run(iter(tasks), order, out, num_workers=3, note=notes.append):
            reports.append(report)
            parts |= {path.name for path in (out / ".exprgan-manifest").glob("*.jsonl")}
            if len(parts) == 3 and len(nodes) == 3:  # each node has done something
                made.remove_node(nodes.pop(), allow_graceful=False)
    assert sorted(str(report.job.source.relative_to(photos)) for report in reports) == sorted(names)
    assert all(report.error is None and len(report.results) == 2 for report in reports)
    assert any("its worker was lost" in note for note in notes)
    locally(photos, tmp_path / "local")
    assert contents(out) == contents(tmp_path / "local")
    assert lines(out) == lines(tmp_path / "local")
    doubled = Counter(entry.output for entry in recorded(out))
    assert sum(count - 1 for count in doubled.values()) <= 2  # the photo that was in work there


def command(photos: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """The real command line with the real editor."""
    return subprocess.Popen(
        [sys.executable, "-m", "exprgan", "edit", str(photos), "-o", str(out), "--device", "cpu", *more],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def ray_processes() -> dict[int, bytes]:
    """Processes of Ray on this machine, and their command lines."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if b"raylet" in words or b"gcs_server" in words or b"ray::" in words:
                found[int(path.parent.name)] = words[:200]
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="looks for processes in /proc")
def test_the_real_command_interrupted_and_killed_goes_on_to_the_same_bytes(
    tmp_path: Path, sample_path: Path
) -> None:
    photos, before = tmp_path / "photos", ray_processes()
    photos.mkdir()
    with Image.open(sample_path) as portrait:
        for number in range(9):
            portrait.resize((256 + 8 * number, 256 + 8 * number)).save(photos / f"{number}.png")
    with command(photos, tmp_path / "local", "--jobs", "1") as process:
        assert process.wait() == 0
    out = tmp_path / "out"
    arguments = ("--engine", "ray", "--jobs", "2", "--skip-existing")
    with command(photos, out, *arguments) as process:  # Ctrl-C reaches all processes of the terminal
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.read()
        told = process.stderr.read()
        assert process.wait() == 130, told
        assert "not begun" in told and "Traceback" not in told
    num_done = len(contents(out))
    assert 1 <= num_done <= 3
    with command(photos, out, *arguments) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert num_done < len(contents(out)) < 9
    with command(photos, out, *arguments) as process:
        told = process.communicate()[1]
        assert process.returncode == 0, told
    assert contents(out) == contents(tmp_path / "local")
    for _ in range(300):  # Ray's own processes end soon after
        if not (left := ray_processes().keys() - before):
            break
        time.sleep(0.2)
    assert not left, ray_processes()


@pytest.mark.slow
def test_the_real_command_reads_and_writes_a_store(
    tmp_path: Path, sample_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSSPEC_DIR_PATH", str(tmp_path))  # what dir:// means, in the workers, too
    monkeypatch.setenv("FSSPEC_DIR_TARGET_PROTOCOL", "file")
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    with Image.open(sample_path) as portrait:
        portrait.resize((300, 300)).save(photos / "a.png")
        portrait.resize((320, 320)).save(photos / "sub" / "b.jpg")
    with command(photos, tmp_path / "local") as process:
        assert process.wait() == 0
    arguments = ("-o", "dir://out", "--device", "cpu", "--engine", "ray", "--jobs", "2")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for more, words in (((), "edited +2"), (("--skip-existing",), "skipped +2")):
        run = subprocess.run(
            [sys.executable, "-m", "exprgan", "edit", "dir://photos", *arguments, *more],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        assert re.search(words, run.stderr), run.stderr
    assert contents(tmp_path / "out") == contents(tmp_path / "local") != {}
