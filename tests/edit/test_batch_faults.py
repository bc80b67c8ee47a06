"""Batches under faults: killed at any moment, a full disk, no network.

After each of them the inputs are as they were, every result that is there is whole, and the same command with
--skip-existing completes the batch to the bytes of an undisturbed run.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exprgan.edit.manifest import MANIFEST_NAME
from tests.conftest import ROOT, RunCli
from tests.edit.test_batch import MadeEditor

NUM_PHOTOS = 12


def make_photos(folder: Path) -> dict[str, bytes]:
    """Noise, large enough that writing takes a while."""
    rng = np.random.default_rng(7)
    for number in range(NUM_PHOTOS):
        path = folder / f"{'ab'[number % 2]}/{number}.{('png', 'jpg')[number % 3 == 0]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (300, 400, 3), np.uint8)).save(path)
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the record and half-written ones."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def assert_whole(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert set(found) <= set(expected)
    assert all(expected[name] == data for name, data in found.items())


def forked(arguments: list[str]) -> int:
    """Run the command line in a child of this process; its process id."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # Python 3.12 warns of forks beside threads; the child uses none of them
        child = os.fork()
    if child:
        return child
    code = 70
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests side by side run with it ignored
    with contextlib.suppress(BaseException):
        sys.argv = ["exprgan", *arguments]
        sys.stdout = sys.stderr = io.StringIO()
        from exprgan.cli import main

        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    os._exit(code)


def kill_after(child: int, out: Path, num_results: int, delay_s: float) -> int:
    """Kill a child a moment after so many results are there, if it has not ended by then; its status."""
    while sum(1 for _ in out.glob("*/[!.]*")) < num_results:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.001)
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)  # not yet waited for, so the number is still its own
    return os.waitpid(child, 0)[1]


@pytest.fixture
def made_editor(monkeypatch: pytest.MonkeyPatch) -> MadeEditor:
    made = MadeEditor(before=lambda photo: time.sleep(0.004))
    monkeypatch.setattr("exprgan.edit.editor.Editor.from_pretrained", lambda *_, **__: made)
    return made


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills children by fork")
@pytest.mark.parametrize("num_kills", [8, pytest.param(120, marks=pytest.mark.slow)])
def test_a_killed_batch_goes_on_to_the_same_bytes(
    run_cli: RunCli, tmp_path: Path, made_editor: MadeEditor, num_kills: int
) -> None:
    photos = tmp_path / "photos"
    originals = make_photos(photos)
    assert run_cli("edit", photos, "--to", "happy", "--to", "sad", "-o", tmp_path / "whole").code == 0
    expected = contents(tmp_path / "whole")
    chance = random.Random(11)
    num_partial = killed = attempt = 0
    while killed < num_kills:
        out = tmp_path / f"out{attempt}"
        attempt += 1
        command = ["edit", str(photos), "--to", "happy", "--to", "sad", "-o", str(out), "--skip-existing"]
        for _ in range(4):  # each goes on where the last one was killed
            child = forked([*command, "--jobs", str(chance.choice([1, 2, 3]))])
            status = kill_after(
                child, out, len(contents(out)) + chance.randrange(7), chance.uniform(0, 0.008)
            )
            assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
            killed += os.WIFSIGNALED(status)
            assert contents(photos) == originals
            found = contents(out)
            assert_whole(found, expected)
            num_partial += 0 < len(found) < len(expected)
        result = run_cli(*command)
        assert result.code == 0, result.stderr
        assert contents(out) == expected
        shutil.rmtree(out)
    assert num_partial > 0  # some kills met a batch in the middle


@pytest.mark.slow
def test_the_real_command_killed_fifty_times_goes_on_to_the_same_bytes(
    tmp_path: Path, sample_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    with Image.open(sample_path) as portrait:
        for number in range(NUM_PHOTOS):
            portrait.resize((256 + 8 * number, 256 + 8 * number)).save(photos / f"{number}.png")
    originals = contents(photos)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "exprgan", "edit", str(photos), "--to", "happy", "--device", "cpu"]

    def start(out: Path, *more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, "-o", str(out), *more],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def finish(out: Path, *more: str) -> None:
        with start(out, *more) as process:
            process.communicate()
        assert process.returncode == 0

    finish(tmp_path / "whole", "--jobs", "1")
    expected = contents(tmp_path / "whole")
    assert len(expected) == NUM_PHOTOS
    chance = random.Random(5)
    killed = num_partial = attempt = 0
    while killed < 50:
        out = tmp_path / f"out{attempt}"
        attempt += 1
        for _ in range(5):
            with start(out, "--skip-existing", "--jobs", str(chance.choice([1, 2]))) as process:
                assert process.stdout is not None
                if chance.random() < 0.8:
                    process.stdout.readline()  # until the first photo is written, or to the end
                    time.sleep(chance.uniform(0, 0.5))
                else:
                    time.sleep(chance.uniform(0, 4))
                process.kill()
            killed += process.returncode == -signal.SIGKILL
            assert process.returncode in (0, -signal.SIGKILL)
            assert contents(photos) == originals
            found = contents(out) if out.exists() else {}
            assert_whole(found, expected)
            num_partial += 0 < len(found) < len(expected)
        finish(out, "--skip-existing")
        assert contents(out) == expected
    assert num_partial >= 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="interrupts a child by fork")
def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, made_editor: MadeEditor) -> None:
    photos, begun = tmp_path / "photos", tmp_path / "begun"
    make_photos(photos)

    def wait_long(photo: object) -> None:
        begun.touch()
        time.sleep(60)

    made_editor.before = wait_long
    child, status = forked(["edit", str(photos), "-o", str(tmp_path / "out"), "--jobs", "2"]), None
    while not begun.exists():
        time.sleep(0.005)
    while status is None:  # one Ctrl-C after the other, until it has ended
        os.kill(child, signal.SIGINT)
        time.sleep(0.05)
        ended, code = os.waitpid(child, os.WNOHANG)
        status = code if ended else None
    assert os.waitstatus_to_exitcode(status) == 130
    assert not contents(tmp_path / "out")  # the photos in work were not waited for


@pytest.mark.parametrize("room", [0, 1, 7, 12])
def test_a_full_disk_stops_the_batch_and_leaves_whole_files(
    run_cli: RunCli, tmp_path: Path, made_editor: MadeEditor, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    originals = make_photos(photos)
    assert run_cli("edit", photos, "-o", tmp_path / "whole").code == 0
    expected = contents(tmp_path / "whole")
    left = room

    def sync(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:  # as a disk that takes so many files and lines of the record, and not all of the next
            os.ftruncate(handle, os.fstat(handle).st_size - 20)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        result = run_cli("edit", photos, "-o", out, "--jobs", "2")
    assert result.code == 1
    assert "No space left" in result.stderr and "The disk is full" in result.stderr
    (not_begun,) = re.findall(r"not begun +(\d+)", result.stderr)
    assert int(not_begun) >= NUM_PHOTOS - room // 2 - 3
    assert contents(photos) == originals
    assert_whole(contents(out), expected)
    assert not list(out.rglob("*.part"))
    assert (out / MANIFEST_NAME).exists()
    assert run_cli("edit", photos, "-o", out, "--skip-existing").code == 0
    assert contents(out) == expected


def test_the_default_path_tries_no_network(
    run_cli: RunCli, tmp_path: Path, sample_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def refuse(name: str) -> object:
        def call(*arguments: object, **_: object) -> None:
            tried.append(f"{name}{arguments}")
            raise OSError("no network in this test")

        return call

    for name in ("socket", "create_connection", "getaddrinfo", "gethostbyname"):
        monkeypatch.setattr(socket, name, refuse(name))
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(sample_path, photos / name)
    result = run_cli("edit", photos, "-o", tmp_path / "out", "--device", "cpu", "--jobs", "2")
    assert result.code == 0, result.stderr
    assert tried == []
    assert len(contents(tmp_path / "out")) == 2
