"""What a photo costs on a Ray cluster: CPU seconds a photo, against the local batch, and with a node killed.

    python -m exprgan.bench.cluster_work --photos photos/ --copies 400

Every batch is the real command; its CPU time is that of all processes it has begun, Ray's own included, read in /proc
(Linux alone). CPU time stays comparable on a machine that others use, wall-clock time does not. Batches of a tenth
of the photos tell the work of a photo from the start-up: a line through both.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from exprgan.bench.batch_speed import make_copies
from exprgan.bench.speed import machine
from exprgan.edit.manifest import recorded
from exprgan.errors import ExprganError

SIDES_PX = (448, 512)
"""Longer sides of the small photos, all in between in turn, so that no two copies of a photo are the same."""
_MARK = "EXPRGAN_BENCH_MARK"
_POLL_S = 0.2
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class ProcessTimes:
    """CPU time and memory of all processes that have a mark in their environment, as it was last seen."""

    def __init__(self, mark: str) -> None:
        self._mark = f"{_MARK}={mark}".encode()
        self._ours: dict[int, bool] = {}
        self._seconds: dict[tuple[int, str], float] = {}
        self._mib: dict[tuple[int, str], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> ProcessTimes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def cpu_s(self) -> dict[str, float]:
        """Seconds by kind: workers, command, and Ray's own processes."""
        kinds: Counter[str] = Counter()
        for (_, kind), seconds in self._seconds.items():
            kinds[kind] += seconds  # type: ignore[assignment]
        return {kind: round(float(seconds), 2) for kind, seconds in kinds.items()}

    def peak_mib(self) -> dict[str, float]:
        """Largest resident set of a process of each kind, MiB."""
        peaks: dict[str, float] = {}
        for (_, kind), mib in self._mib.items():
            peaks[kind] = max(peaks.get(kind, 0.0), mib)
        return {kind: round(mib) for kind, mib in peaks.items()}

    def _watch(self) -> None:
        while not self._stop.wait(_POLL_S):
            for path in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError, IndexError, ValueError):
                    self._look(path)

    def _look(self, path: Path) -> None:
        pid = int(path.name)
        if pid not in self._ours:
            self._ours[pid] = self._mark in (path / "environ").read_bytes()
        if not self._ours[pid]:
            return
        words = (path / "cmdline").read_bytes()
        kind = _kind(words)
        fields = (path / "stat").read_text().rpartition(")")[2].split()
        if fields[0] == "Z" or not words:
            return
        for key in [key for key in self._seconds if key[0] == pid and key[1] != kind]:
            del self._seconds[key]  # Ray renames its processes
        self._seconds[pid, kind] = (int(fields[11]) + int(fields[12])) / _TICKS
        for line in (path / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                self._mib[pid, kind] = int(line.split()[1]) / 1024


def _kind(command: bytes) -> str:
    if b"ray::" in command:
        return "workers" if b"_Worker" in command else "Ray"
    if b"-m\0exprgan\0edit" in command:
        return "command"
    return "Ray"


def make_small(photos: Path, num_copies: int, folder: Path) -> None:
    """Small copies of the photos of a folder, in turn, each of another size or photo."""
    first, last = SIDES_PX
    for number, path in enumerate(make_copies(photos, num_copies, folder)):
        with Image.open(path) as photo:
            side = first + number % (last - first + 1)
            scale = side / max(photo.size)
            small = photo.convert("RGB").resize(
                (round(photo.width * scale), round(photo.height * scale)), Image.Resampling.LANCZOS
            )
        path.unlink()
        small.save(path.with_suffix(".jpg"), quality=90)


@contextlib.contextmanager
def marked() -> Iterator[str]:
    """A mark in this process's environment, which its children get."""
    mark = uuid.uuid4().hex
    os.environ[_MARK] = mark
    try:
        yield mark
    finally:
        del os.environ[_MARK]


def time_command(folder: Path, output: Path, *more: str) -> dict[str, Any]:
    """CPU seconds and memory of the processes of one batch."""
    started = time.perf_counter()
    with marked() as mark, ProcessTimes(mark) as times:
        _begin(folder, output, *more).wait()
        time.sleep(1)
    return {
        "cpu_s": times.cpu_s(),
        "peak_mib": times.peak_mib(),
        "wall_s": round(time.perf_counter() - started, 1),
        "results": _results(output),
    }


def time_killed(folder: Path, output: Path, num_copies: int) -> dict[str, Any]:
    """The same on a cluster of two nodes, one of which is killed when a third of the results is there.

    Raises:
        ExprganError: The batch ended before.
    """
    from ray.cluster_utils import Cluster

    with marked() as mark, ProcessTimes(mark) as times:
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        nodes = [made.add_node(num_cpus=1, object_store_memory=80 * 2**20) for _ in range(2)]
        made.wait_for_nodes()
        process = _begin(folder, output, "--engine", "ray", "--ray-address", made.address)
        while len(list(output.glob("*.jpg"))) < num_copies // 3:
            if process.poll() is not None:
                raise ExprganError(f"The batch ended with {process.returncode} before a node was killed.")
            time.sleep(_POLL_S)
        at_kill = times.cpu_s()
        made.remove_node(nodes[1], allow_graceful=False)
        code = process.wait()
        time.sleep(1)
        cpu_s, peak_mib = times.cpu_s(), times.peak_mib()
        made.shutdown()
    lines = Counter(entry.output for entry in recorded(output))
    return {
        "exit code": code,
        "cpu_s": cpu_s,
        "cpu_s when the node was killed": at_kill,
        "peak_mib": peak_mib,
        "results": _results(output),
        "results recorded twice": sum(count > 1 for count in lines.values()),
    }


def digest_of(output: Path) -> str:
    """One hash over the names and bytes of all results."""
    whole = hashlib.sha256()
    for path in sorted(output.glob("*.jpg")):
        whole.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]


def _results(output: Path) -> dict[str, Any]:
    return {"number": len(list(output.glob("*.jpg"))), "hash": digest_of(output)}


def _begin(folder: Path, output: Path, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "exprgan", "edit", str(folder), "--output", str(output), *more]
    return subprocess.Popen(
        [*command, "--to", "happy", "--quiet", "--device", "cpu"], stdout=subprocess.DEVNULL
    )


def measure(
    photos: Path, *, num_copies: int, local: list[int], workers: list[int], rounds: int, kills: bool
) -> dict[str, Any]:
    """Figures of each way of working, for all photos and for a tenth of them."""
    figures: dict[str, list[dict[str, Any]]] = {}
    counts = (num_copies // 10, num_copies)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        for count in counts:
            make_small(photos, count, root / f"photos{count}")
        ways: dict[str, tuple[str, ...]] = {
            f"local, --jobs {number}": ("--jobs", str(number)) for number in local
        }
        for number in workers:
            ways[f"ray, --jobs {number}"] = ("--engine", "ray", "--jobs", str(number))
        for turn in range(rounds):
            for name, words in ways.items():
                for count in counts:
                    output = root / f"out{turn}" / name.replace(" ", "") / str(count)
                    found = time_command(root / f"photos{count}", output, *words)
                    figures.setdefault(name, []).append({"photos": count, **found})
                    print(name, json.dumps(figures[name][-1]), file=sys.stderr, flush=True)
        report: dict[str, Any] = {"num_copies": num_copies, "ways": figures}
        if kills:
            report["killed"] = time_killed(root / f"photos{num_copies}", root / "killed", num_copies)
    return report


def cost(runs: list[dict[str, Any]]) -> tuple[float, float]:
    """CPU seconds of a photo, and those of the start-up, by the line through the runs of few and of many photos."""
    sums: dict[int, list[float]] = {}
    for run in runs:
        sums.setdefault(run["photos"], []).append(sum(run["cpu_s"].values()))
    (few, few_s), (many, many_s) = sorted((count, sum(all_s) / len(all_s)) for count, all_s in sums.items())
    each = (many_s - few_s) / (many - few)
    return each, few_s - few * each


def as_text(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    ways, base = report["ways"], cost(next(iter(report["ways"].values())))[0]
    lines = ["| way | CPU s a photo | against the first | CPU s of start-up |", "|---|---|---|---|"]
    for name, runs in ways.items():
        each, start = cost(runs)
        lines.append(f"| {name} | {each:.3f} | {each / base:.2f} | {start:.1f} |")
    whole = [run for runs in ways.values() for run in runs if run["photos"] == report["num_copies"]]
    if "killed" in report:
        whole.append(report["killed"])
        lines += ["", f"One node of two killed at a third: {json.dumps(report['killed'])}"]
    same = len({run["results"]["hash"] for run in whole}) == 1
    lines += ["", f"All ways gave {'the same bytes' if same else 'DIFFERENT bytes'}."]
    return "\n".join([*lines, f"Machine: {json.dumps(report['machine'])}"]) + "\n"


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m exprgan.bench.cluster_work", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--photos", type=Path, required=True, help="folder of photos to copy")
    parser.add_argument("--copies", type=int, default=400, help="photos in the batch, at least 30")
    parser.add_argument("--local", type=int, nargs="+", default=[1, 2], help="values of --jobs without Ray")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4], help="values of --jobs with it")
    parser.add_argument("--no-kill", action="store_true", help="leave out the batch whose node is killed")
    parser.add_argument("--rounds", type=int, default=1, help="turns of each way")
    parser.add_argument("--output", type=Path, default=Path("out/cluster-work.json"), help="figures as JSON")
    options = parser.parse_args()
    if not Path("/proc/self/stat").exists():
        parser.error("this reads CPU times in /proc; run it on Linux")
    report = measure(
        options.photos,
        num_copies=options.copies,
        local=options.local,
        workers=options.workers,
        rounds=options.rounds,
        kills=not options.no_kill,
    )
    report["machine"] = machine()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    sys.stdout.write(as_text(report))


if __name__ == "__main__":
    main()
