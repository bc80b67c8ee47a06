"""The benchmark of Ray."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from exprgan.bench import cluster_work
from exprgan.bench.cluster_work import ProcessTimes


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_the_time_of_all_processes_with_the_mark_is_counted_and_of_no_other() -> None:
    busy = "import time; started = time.process_time()\nwhile time.process_time() - started < 0.6: pass\n"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy + 'time.sleep(0.5)'!r}])"
    with subprocess.Popen([sys.executable, "-c", busy]) as other:
        with cluster_work.marked() as mark, ProcessTimes(mark) as times:
            subprocess.run([sys.executable, "-c", child], check=True)
        other.wait()
    assert 0.6 <= sum(times.cpu_s().values()) < 1.1
    assert set(times.peak_mib()) == {"Ray"}


def test_small_copies_are_small_and_all_different(tmp_path: Path, sample_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(sample_path.read_bytes())
    cluster_work.make_small(tmp_path / "photos", 4, tmp_path / "small")
    paths = sorted((tmp_path / "small").iterdir())
    assert len({path.read_bytes() for path in paths}) == 4
    sides = []
    for path in paths:
        with Image.open(path) as photo:
            sides.append(max(photo.size))
    assert sides == [448, 449, 450, 451]


def test_a_photo_costs_what_the_line_through_few_and_many_says() -> None:
    runs = [
        {"photos": 10, "cpu_s": {"workers": 12.0, "Ray": 3.0}},
        {"photos": 100, "cpu_s": {"workers": 57.0, "Ray": 3.0}},
    ]
    each, start = cluster_work.cost(runs)
    assert (round(each, 6), round(start, 6)) == (0.5, 10.0)
    hashes = {"results": {"hash": "x"}}
    report = {
        "num_copies": 100,
        "ways": {"local": [{**run, **hashes} for run in runs]},
        "killed": {"results": {"hash": "y"}},
        "machine": {},
    }
    text = cluster_work.as_text(report)
    assert "| local | 0.500 | 1.00 | 10.0 |" in text and "DIFFERENT" in text
