"""Animations and series under faults: a full disk, a folder that may not be written to, Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exprgan.edit.scene import EditResult, Scene
from exprgan.face_model.expression import Expression
from tests.conftest import RunCli
from tests.edit.test_batch import MadeEditor
from tests.edit.test_batch_faults import assert_whole, contents, forked

DESIGN = 'strengths = [0.5, 1]\n[expressions]\nhappy = "happy"\nsad = "sad"\n'
FORMATS = ("gif", "webp", "png", "mp4")


class FrameEditor(MadeEditor):
    """Shades frames, too."""

    face_model = SimpleNamespace()

    def edit(self, scene: Scene, expression: Expression, strength: float = 1.0) -> EditResult:
        self.before(scene.photo)
        return super().edit(scene, expression, strength)


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> FrameEditor:
    made = FrameEditor()
    monkeypatch.setattr("exprgan.edit.editor.Editor.from_pretrained", lambda *_, **__: made)
    monkeypatch.setattr("exprgan.cli.series.rows_in", lambda *_: nullcontext())  # it measures real faces
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(np.random.default_rng(5).integers(0, 255, (90, 120, 3), np.uint8)).save(path)
    return path


@pytest.fixture
def people(tmp_path: Path) -> Path:
    folder = tmp_path / "people"
    folder.mkdir()
    rng = np.random.default_rng(6)
    for number in range(8):
        Image.fromarray(rng.integers(0, 255, (60, 80, 3), np.uint8)).save(folder / f"{number}.png")
    (tmp_path / "design.toml").write_text(DESIGN)
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def animate(photo: Path, output: Path) -> list[str]:
    return ["animate", str(photo), "--to", "happy", "--fps", "10", "--output", str(output)]


def interrupt(child: int, begun: Path) -> int:
    """Press Ctrl-C in a child once it has begun; its exit code."""
    while not begun.exists():
        time.sleep(0.005)
    os.kill(child, signal.SIGINT)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_full_disk_leaves_no_part_of_an_animation(
    run_cli: RunCli, editor: FrameEditor, photo: Path, out: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    if suffix == "mp4":
        pytest.importorskip("av")

    def full(*_: object, **__: object) -> None:
        (part,) = out.iterdir()
        part.write_bytes(b"as far as there was room")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("exprgan.photos.moving._write_mp4" if suffix == "mp4" else "PIL.Image.Image.save", full)
        result = run_cli(*animate(photo, out / f"a.{suffix}"))
    assert result.code == 1
    assert "cannot be written (No space left on device)" in result.stderr
    assert list(out.iterdir()) == []
    assert run_cli(*animate(photo, out / f"a.{suffix}")).code == 0


def test_a_failed_animation_leaves_the_one_that_was_there(
    run_cli: RunCli, editor: FrameEditor, photo: Path, out: Path
) -> None:
    (out / "a.gif").write_bytes(b"an earlier one")

    def fail(_: object) -> None:
        if len(editor.prepared) > 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    editor.before = fail
    assert run_cli(*animate(photo, out / "a.gif"), "--overwrite").code == 1
    assert contents(out) == {"a.gif": b"an earlier one"}
    assert len(list(out.iterdir())) == 1


@pytest.mark.parametrize("command", ["animate", "series"])
def test_a_place_that_cannot_be_written_to_is_the_users_to_mend(
    run_cli: RunCli, editor: FrameEditor, photo: Path, people: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").write_text("no folder")
    nowhere = tmp_path / "file" / "set"
    of_series = ["series", str(people), "--design", str(tmp_path / "design.toml"), "--output", str(nowhere)]
    words = of_series if command == "series" else animate(photo, nowhere / "a.gif")
    result = run_cli(*words)
    assert result.code == 2, result.stderr
    assert "choose another --output" in result.stderr
    assert (tmp_path / "file").read_text() == "no folder"


def test_a_folder_without_rights_is_the_users_to_mend(
    run_cli: RunCli, editor: FrameEditor, photo: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    result = run_cli(*animate(photo, out / "a.gif"))
    assert result.code == 2
    assert "Permission denied" in result.stderr
    assert list(out.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="interrupts a child by fork")
@pytest.mark.parametrize("suffix", FORMATS[:3])
def test_ctrl_c_leaves_no_part_of_an_animation(
    run_cli: RunCli, editor: FrameEditor, photo: Path, out: Path, tmp_path: Path, suffix: str
) -> None:
    begun = tmp_path / "begun"

    def slow(_: object) -> None:
        if any(path.name.endswith(".part") for path in out.iterdir()):
            begun.touch()
        time.sleep(0.05)

    editor.before = slow
    assert interrupt(forked(animate(photo, out / f"a.{suffix}")), begun) == 130
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("room", [0, 5, 17])
def test_a_full_disk_stops_a_series_which_goes_on_to_the_same_bytes(
    run_cli: RunCli,
    editor: FrameEditor,
    people: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    room: int,
) -> None:
    words = ("series", people, "--design", tmp_path / "design.toml", "--skip-existing", "-o")
    assert run_cli(*words, tmp_path / "whole").code == 0
    expected = contents(tmp_path / "whole")
    assert len(expected) == 8 * 5  # two expressions at two strengths, and a sheet
    left = room

    def sync(handle: int) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.ftruncate(handle, max(0, os.fstat(handle).st_size - 20))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        result = run_cli(*words, tmp_path / "out", "--jobs", "2")
    assert result.code == 1
    assert "The disk is full" in result.stderr
    assert_whole(contents(tmp_path / "out"), expected)
    assert not list((tmp_path / "out").rglob("*.part"))
    assert run_cli(*words, tmp_path / "out").code == 0
    assert contents(tmp_path / "out") == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="interrupts a child by fork")
def test_an_interrupted_series_finishes_what_is_in_work_and_goes_on(
    run_cli: RunCli, editor: FrameEditor, people: Path, tmp_path: Path
) -> None:
    words = ["series", str(people), "--design", str(tmp_path / "design.toml"), "--skip-existing", "-o"]
    assert run_cli(*words, tmp_path / "whole").code == 0
    expected = contents(tmp_path / "whole")
    begun = tmp_path / "begun"

    def slow(_: object) -> None:
        begun.touch()
        time.sleep(0.02)

    editor.before = slow
    assert interrupt(forked([*words, str(tmp_path / "out"), "--jobs", "1"]), begun) == 130
    found = contents(tmp_path / "out")
    assert_whole(found, expected)
    assert 0 < len(found) < len(expected)
    assert len(found) % 5 == 0  # all of a person, or nothing
    assert run_cli(*words, tmp_path / "out").code == 0
    assert contents(tmp_path / "out") == expected
