"""Batches with a made editor: skipping, resuming, going on after failures, order of memory and threads."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exprgan.edit import batch
from exprgan.edit.manifest import MANIFEST_NAME, Entry, Manifest, Origin, sha256_of
from exprgan.edit.plan import Job
from exprgan.edit.scene import EditResult, Scene
from exprgan.errors import NoFaceFound, UsageError
from exprgan.face_model.expression import Expression
from exprgan.photos import image_io
from exprgan.photos.photo import Photo
from tests.conftest import RunCli


class MadeEditor:
    """Shades the photo by expression and strength; finds no face in files called noface*."""

    device, weights, runtime = "cpu", "made 0", "torch"

    def __init__(self, before: Callable[[Photo], None] = lambda photo: None) -> None:
        self.before = before
        self.prepared: list[str] = []

    def prepare(self, photo: Photo, face: str, *, teeth: object = "auto") -> Scene:
        name = photo.path.name if photo.path else "stdin"
        self.prepared.append(name)
        self.before(photo)
        if name.startswith("noface"):
            raise NoFaceFound(f"No face was found in {name}; use another photo.")
        box = SimpleNamespace(box_xyxy=np.array([1.0, 2.0, 30.0, 40.0]), score=0.9, size_px=29.0)
        outcome = SimpleNamespace(index=0, face=box, edited=True, reason="", note="")
        return Scene(photo, (outcome,), ())

    def edit(self, scene: Scene, expression: Expression, strength: float) -> EditResult:
        image = scene.photo.pixels // 2 + np.uint8(len(expression.label) * strength)
        return EditResult(image, scene.outcomes, expression.label, strength, scene.photo, self.weights)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.png", "b.jpg", "sub/a.png", "sub/c.webp"):
        Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> MadeEditor:
    made = MadeEditor()
    monkeypatch.setattr("exprgan.edit.editor.Editor.from_pretrained", lambda *_, **__: made)
    return made


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def records(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def test_a_batch_mirrors_the_folder_and_any_number_of_jobs_gives_the_same_bytes(
    run_cli: RunCli, photos: Path, tmp_path: Path, editor: MadeEditor
) -> None:
    made = []
    for jobs in (1, 2, 5):
        out = tmp_path / f"out{jobs}"
        assert run_cli("edit", photos, "--to", "happy", "--to", "sad", "-o", out, "--jobs", jobs).code == 0
        made.append(contents(out))
    assert made[0] == made[1] == made[2]
    assert set(made[0]) >= {"a-happy.png", "sub/a-happy.png", "sub/c-sad.webp", "b-sad.jpg"}


def test_skip_existing_leaves_what_is_finished_and_makes_the_rest(
    run_cli: RunCli, photos: Path, tmp_path: Path, editor: MadeEditor
) -> None:
    out = tmp_path / "out"
    run_cli("edit", photos, "--to", "happy", "-o", out)
    (out / "a-happy.png").unlink()
    editor.prepared.clear()
    result = run_cli("edit", photos, "--to", "happy", "-o", out, "--skip-existing", "--format", "json")
    assert editor.prepared == ["a.png"]
    assert sorted(r["status"] for r in records(result.stdout)) == ["edited", "skipped", "skipped", "skipped"]
    again = run_cli("edit", photos, "--to", "all", "-o", out, "--skip-existing", "--format", "json")
    assert again.code == 0
    assert sum(r["status"] == "skipped" for r in records(again.stdout)) == 4
    assert len(contents(out)) == 4 * 9
    editor.prepared.clear()
    assert run_cli("edit", photos, "--to", "all", "-o", out, "--skip-existing").code == 0
    assert editor.prepared == []


@pytest.mark.parametrize(
    ("spoil", "arguments", "words"),
    [
        (lambda photos, out: (out / "a-happy.png").write_bytes(b"half"), [], "has changed since"),
        (lambda photos, out: (photos / "b.jpg").replace(photos / "a.png"), [], "made of another photo"),
        (lambda photos, out: None, ["--strength", "0.5"], "made with other options"),
        (lambda photos, out: (out / MANIFEST_NAME).unlink(), [], "was not made by a batch"),
    ],
)
def test_what_is_not_proven_finished_fails_alone_and_is_done_again_with_overwrite(
    run_cli: RunCli,
    photos: Path,
    tmp_path: Path,
    editor: MadeEditor,
    spoil: Callable[[Path, Path], object],
    arguments: list[str],
    words: str,
) -> None:
    out = tmp_path / "out"
    run_cli("edit", photos, "-o", out)
    before = contents(out)
    spoil(photos, out)
    command = ["edit", photos, "-o", out, "--skip-existing", *arguments]
    result = run_cli(*command)
    assert (result.code, words in result.stderr) == (1, True)
    assert run_cli(*command, "--dry-run").code == 1
    assert contents(out)["a-happy.png"] == before["a-happy.png"] or words == "has changed since"
    assert run_cli(*command, "--overwrite").code == 0
    assert run_cli(*command).code == 0


def test_a_result_of_other_weights_does_not_count(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    path = tmp_path / "x.png"
    path.write_bytes(b"x")
    origin = Origin("1", {"expression": "sad"}, "w1")
    entry = Entry("x.png", sha256_of(b"x"), 1, "x.jpg", origin, "0")
    manifest.append(entry)
    assert manifest.why_not_finished(path, origin) == ""
    assert "other weights" in Manifest(tmp_path).why_not_finished(path, Origin("1", origin.options, "w2"))


def test_the_record_names_the_runtime_and_lines_without_it_count(
    run_cli: RunCli, photos: Path, tmp_path: Path, editor: MadeEditor
) -> None:
    out = tmp_path / "out"
    command = ("edit", str(photos / "a.png"), str(photos / "b.jpg"), "--to", "happy", "--output", f"{out}/")
    assert run_cli(*command).code == 0
    lines = [json.loads(line) for line in (out / MANIFEST_NAME).read_text().splitlines()]
    assert [line.pop("runtime") for line in lines] == ["torch", "torch"]
    (out / MANIFEST_NAME).write_text("".join(json.dumps(line) + "\n" for line in lines))
    editor.prepared.clear()
    assert run_cli(*command, "--skip-existing").code == 0
    assert editor.prepared == []


def test_a_torn_last_line_is_passed_over_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    origin = Origin("1", {}, "w")
    for name in ("a", "b\udcff", "c"):
        manifest = Manifest(tmp_path)
        (tmp_path / name).write_bytes(name.encode("utf-8", "surrogateescape"))
        data = (tmp_path / name).read_bytes()
        manifest.append(Entry(name, sha256_of(data), len(data), "in", origin, "0"))
        if name != "c":
            with manifest.path.open("ab") as file:
                file.write(b'{"output": "torn", "sha2')
    last = Manifest(tmp_path)
    assert [last.why_not_finished(tmp_path / name, origin) for name in ("a", "b\udcff", "c")] == ["", "", ""]


def test_bad_photos_stop_no_other_and_are_counted_by_class(
    run_cli: RunCli, photos: Path, tmp_path: Path, editor: MadeEditor
) -> None:
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    (photos / "empty.png").touch()
    (photos / "noface.png").write_bytes((photos / "a.png").read_bytes())
    result = run_cli("edit", photos, "-o", tmp_path / "out", "--jobs", "2")
    assert result.code == 1
    assert len(contents(tmp_path / "out")) == 4
    for words in ("edited +4", "failed: UnreadableImage +2", "failed: NoFaceFound +1", "7 photos"):
        assert re.search(words, result.stderr), (words, result.stderr)
    failed = records(run_cli("edit", photos, "-o", tmp_path / "o2", "--format", "json").stdout)
    errors = {Path(r["input"]).name: r["error"] for r in failed if r["status"] == "failed"}
    assert errors == {
        "broken.jpg": "UnreadableImage",
        "empty.png": "UnreadableImage",
        "noface.png": "NoFaceFound",
    }


def test_json_gives_boxes_scores_and_times(
    run_cli: RunCli, photos: Path, tmp_path: Path, editor: MadeEditor
) -> None:
    result = run_cli("edit", photos / "a.png", "-o", tmp_path / "x.png", "--format", "json")
    (record,) = records(result.stdout)
    assert record["faces"] == [
        {
            "index": 0,
            "edited": True,
            "reason": None,
            "note": None,
            "box_xyxy": [1.0, 2.0, 30.0, 40.0],
            "score": 0.9,
        }
    ]
    assert set(record["seconds"]) == {"read", "prepare", "edit", "write"}
    (photos / "noface.png").write_bytes((photos / "a.png").read_bytes())
    result = run_cli("edit", photos / "noface.png", "-o", tmp_path / "y.png", "--format", "json")
    assert (result.code, records(result.stdout)[0]["error"]) == (3, "NoFaceFound")
    assert json.loads(result.stderr)["error"] == "NoFaceFound"


def test_fail_fast_begins_no_further_photo(
    run_cli: RunCli, photos: Path, tmp_path: Path, editor: MadeEditor
) -> None:
    (photos / "aa.png").touch()
    result = run_cli("edit", photos, "-o", tmp_path / "out", "--jobs", "1", "--fail-fast")
    assert result.code == 1
    assert editor.prepared == ["a.png"]
    assert "not begun" in result.stderr


def test_dry_run_loads_no_weights_and_writes_nothing(
    run_cli: RunCli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exprgan.edit.editor.Editor.from_pretrained", lambda *_, **__: pytest.fail("loaded"))
    result = run_cli("edit", photos, "-o", tmp_path / "out", "--dry-run", "--format", "json")
    assert [r["status"] for r in records(result.stdout)] == ["planned"] * 4
    assert result.code == 0
    assert not (tmp_path / "out").exists()


def test_quiet_is_quiet(run_cli: RunCli, photos: Path, tmp_path: Path, editor: MadeEditor) -> None:
    assert run_cli("edit", photos, "-o", tmp_path / "out", "-q") == (0, "", "")


@pytest.mark.parametrize("no_colour", ["", "1"])
def test_progress_is_shown_on_a_terminal_alone(
    run_cli: RunCli,
    photos: Path,
    tmp_path: Path,
    editor: MadeEditor,
    monkeypatch: pytest.MonkeyPatch,
    no_colour: str,
) -> None:
    result = run_cli("edit", photos, "-o", tmp_path / "plain")
    assert "\x1b" not in result.stderr and "/4" not in result.stderr
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", no_colour)
    result = run_cli("edit", photos, "-o", tmp_path / "out")
    assert "4/4" in terminal.getvalue()
    assert bool(re.search(r"\x1b\[[0-9;]*3[0-9]m", terminal.getvalue())) == (not no_colour)
    assert len(result.stdout.splitlines()) == 4


def test_no_more_photos_are_in_work_than_jobs(photos: Path, tmp_path: Path) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def work(job: Job) -> batch.PhotoReport:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return batch.PhotoReport(job)

    jobs = [Job(Path(str(number)), {}) for number in range(20)]
    assert len(list(batch.run(iter(jobs), work, num_workers=3))) == 20
    assert 1 < most <= 3


def test_ctrl_c_finishes_the_photo_in_work_and_the_batch_can_go_on(
    run_cli: RunCli, photos: Path, tmp_path: Path, editor: MadeEditor
) -> None:
    out = tmp_path / "out"
    whole = tmp_path / "whole"
    run_cli("edit", photos, "-o", whole)
    editor.before = lambda photo: os.kill(os.getpid(), signal.SIGINT)
    result = run_cli("edit", photos, "-o", out, "--jobs", "1")
    assert result.code == 130
    assert list(contents(out)) == ["a-happy.png"]
    assert "not begun" in result.stderr
    editor.before = lambda photo: None
    assert run_cli("edit", photos, "-o", out, "--skip-existing").code == 0
    assert contents(out) == contents(whole)


def piped(monkeypatch: pytest.MonkeyPatch, data: bytes) -> io.BytesIO:
    stdout = io.BytesIO()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data), isatty=lambda: False))
    writer = io.TextIOWrapper(stdout, write_through=True)
    monkeypatch.setattr(sys, "stdout", writer)
    return stdout


def test_a_pipe_gives_the_same_bytes_as_a_file(
    run_cli: RunCli, photos: Path, tmp_path: Path, editor: MadeEditor, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_cli("edit", photos / "b.jpg", "-o", tmp_path / "file.jpg")
    with monkeypatch.context() as patch:
        stdout = piped(patch, (photos / "b.jpg").read_bytes())
        assert run_cli("edit", "-").code == 0
        assert stdout.getvalue() == (tmp_path / "file.jpg").read_bytes() != b""
    with monkeypatch.context() as patch:
        piped(patch, (photos / "b.jpg").read_bytes())
        assert run_cli("edit", "-", "-o", tmp_path / "new" / "x.png").code == 0
    assert image_io.read(tmp_path / "new" / "x.png").format == "PNG"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--format", "json"],
        ["--to", "happy", "--to", "sad"],
        ["--to", "all", "-o", "x.png"],
        ["--compare", "x.png"],
        ["other.jpg"],
        ["-o", "folder"],
        ["--dry-run"],
    ],
)
def test_a_pipe_refuses_what_it_cannot_do(
    run_cli: RunCli, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdout = piped(monkeypatch, b"")
    assert run_cli("edit", "-", *arguments).code == 2
    assert stdout.getvalue() == b""


def test_metadata_and_provenance_can_be_left_out(run_cli: RunCli, tmp_path: Path, editor: MadeEditor) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    Image.new("RGB", (32, 32), "red").save(tmp_path / "p.jpg", exif=exif)
    for name, arguments, is_marked, has_exif in (
        ("1.jpg", [], True, True),
        ("2.jpg", ["--no-provenance"], False, True),
        ("3.jpg", ["--strip-metadata"], True, False),
        ("4.jpg", ["--strip-metadata", "--no-provenance"], False, False),
    ):
        run_cli("edit", tmp_path / "p.jpg", "-o", tmp_path / name, *arguments)
        data = (tmp_path / name).read_bytes()
        assert (b"DigitalSourceType" in data, b"Maker" in data) == (is_marked, has_exif), name


def test_only_old_half_written_files_are_removed(tmp_path: Path) -> None:
    old, new = tmp_path / ".exprgan-1.part", tmp_path / ".exprgan-2.part"
    for path in (old, new):
        path.touch()
    os.utime(old, (1, 1))
    batch.remove_stale_parts([tmp_path, tmp_path / "none"])
    assert [path.name for path in tmp_path.iterdir()] == [new.name]


def test_work_is_on_one_thread_and_torch_has_its_number_back() -> None:
    import torch

    before, seen = torch.get_num_threads(), []

    def work(job: Job) -> batch.PhotoReport:
        seen.append(torch.get_num_threads())
        return batch.PhotoReport(job)

    list(batch.run([Job(Path("x"), {})] * 3, work, num_workers=2))
    assert seen == [1, 1, 1]
    assert torch.get_num_threads() == before


def test_work_without_an_editor_can_be_asked_but_not_done(tmp_path: Path) -> None:
    (tmp_path / "out.png").touch()
    work = batch.PhotoWork(None, batch.EditSettings())
    with pytest.raises(UsageError, match=r"out.png exists; allow"):
        work.unfinished(Job(tmp_path / "in.png", {"happy": tmp_path / "out.png"}), b"")
