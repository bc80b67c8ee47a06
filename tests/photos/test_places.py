"""Photos in stores: paths, reading and writing, and whole batches through fsspec; no network."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from exprgan.edit.manifest import PARTS, recorded
from exprgan.errors import ExprganError, UnreadableImage
from exprgan.photos import image_io, places
from exprgan.photos.places import RemotePath, place
from tests.conftest import RunCli
from tests.edit.test_batch import MadeEditor


@pytest.fixture
def memory() -> Iterator[Any]:
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield store
    store.store.clear()


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store dir:// that is a folder, and needs folders and renaming as sftp:// does."""
    (tmp_path / "store").mkdir()
    monkeypatch.setenv("FSSPEC_DIR_PATH", str(tmp_path / "store"))
    monkeypatch.setenv("FSSPEC_DIR_TARGET_PROTOCOL", "file")
    fsspec.config.set_conf_env(fsspec.config.conf)
    fsspec.get_filesystem_class("dir").clear_instance_cache()
    yield tmp_path / "store"
    fsspec.config.conf.pop("dir", None)
    fsspec.get_filesystem_class("dir").clear_instance_cache()


@pytest.fixture
def editor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("exprgan.edit.editor.Editor.from_pretrained", lambda *_, **__: MadeEditor())


def photo_bytes(number: int, tmp_path: Path, suffix: str = ".png") -> bytes:
    path = tmp_path / f"made{number}{suffix}"
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (40, 50, 3), np.uint8)).save(path)
    return path.read_bytes()


def test_names_split_and_join_like_paths() -> None:
    path = place("s3://bucket/photos/a b.jpg")
    assert isinstance(path, RemotePath) and places.is_remote(path)
    assert str(path.with_name("x.png")) == "s3://bucket/photos/x.png"
    assert str(path.parent / "y" / "z.png") == "s3://bucket/photos/y/z.png"
    name = path.relative_to(place("s3://bucket"))
    assert str(name) == "photos/a b.jpg"
    assert str(place("memory://out") / name) == "memory://out/photos/a b.jpg"
    assert Path("out") / name == Path("out/photos/a b.jpg")
    assert pickle.loads(pickle.dumps(path)) == path and len({path, place(str(path))}) == 1
    assert str(place("s3://bucket/photos/")) == "s3://bucket/photos"


def test_what_is_no_url_is_on_the_disk() -> None:
    for word in ("photo.jpg", "a:b/c.jpg", "C:/x.jpg", "s3:/bucket/x.jpg"):
        assert place(word) == Path(word) and not places.is_remote(place(word))
    assert place("file:///tmp/x.jpg") == Path("/tmp/x.jpg")


@pytest.mark.parametrize("root", ["memory://photos", "dir://photos"])
def test_reading_writing_and_listing(memory: Any, shared: Path, root: str) -> None:
    folder = place(root)
    for name in ("a.png", "sub/b.png", ".hidden/c.png", ".d.png"):
        places.write_remote(folder / name, name.encode())
    assert places.read(folder / "sub/b.png") == b"sub/b.png"
    assert [str(path.relative_to(folder)) for path in places.walk(folder)] == ["a.png", "sub/b.png"]
    assert [path.name for path in places.walk(folder, recursive=False)] == ["a.png"]
    assert [str(path) for path in places.matching(f"{root}/*/*.png")] == [f"{root}/sub/b.png"]
    assert places.exists(folder / "a.png") and places.is_file(folder / "a.png")
    assert places.is_folder(folder / "sub") and not places.is_file(folder / "sub")
    assert not places.exists(folder / "none")
    places.write_remote(folder / "a.png", b"new")
    assert places.read(folder / "a.png") == b"new"
    assert not list(shared.rglob("*.part"))
    with pytest.raises(OSError, match="more than"):
        places.read(folder / "a.png", most_bytes=2)
    with pytest.raises(FileNotFoundError):
        places.read(folder / "none.png")


def test_a_write_that_fails_leaves_nothing(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fsspec.implementations.dirfs import DirFileSystem

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("connection lost")

    places.write_remote(place("dir://out/a.png"), b"old")
    monkeypatch.setattr(DirFileSystem, "mv", fail)
    with pytest.raises(ExprganError, match="connection lost"):
        image_io.write_atomic(place("dir://out/a.png"), b"new")
    assert [path.read_bytes() for path in (shared / "out").iterdir()] == [b"old"]


@pytest.mark.parametrize(
    ("source", "target"), [("memory", "memory"), ("memory", "dir"), ("dir", "disk"), ("disk", "memory")]
)
def test_a_batch_reads_and_writes_stores_like_folders(
    run_cli: RunCli, editor: None, memory: Any, shared: Path, tmp_path: Path, source: str, target: str
) -> None:
    photos = {
        "a.png": photo_bytes(1, tmp_path),
        "sub/b.jpg": photo_bytes(2, tmp_path, ".jpg"),
        "bad.png": b"none",
    }
    local, expected = tmp_path / "photos", tmp_path / "expected"
    root = local if source == "disk" else place(f"{source}://photos")
    for name, data in photos.items():
        (local / name).parent.mkdir(parents=True, exist_ok=True)
        (local / name).write_bytes(data)
        if source != "disk":
            places.write_remote(root / name, data)
    out = tmp_path / "out" if target == "disk" else place(f"{target}://out")
    assert run_cli("edit", local, "-o", expected).code == 1
    result = run_cli("edit", root, "-o", out)
    assert (result.code, "bad.png is not a photo" in result.stderr) == (1, True), result.stderr
    assert sorted(result.stdout.split()) == [f"{out}/a-happy.png", f"{out}/sub/b-happy.jpg"]
    for name in ("a-happy.png", "sub/b-happy.jpg"):
        assert places.read(out / name) == (expected / name).read_bytes()
    refused = run_cli("edit", root, "-o", out)
    assert (refused.code, f"There already is {out}/a-happy.png" in refused.stderr) == (2, True)
    again = run_cli("edit", root, "-o", out, "--skip-existing", "-v")
    assert again.stderr.count("is finished already") == 2
    assert {entry.output for entry in recorded(out)} == {"a-happy.png", "sub/b-happy.jpg"}
    single = run_cli("edit", root / "a.png", "-o", out / "one.png")
    assert (single.code, places.read(out / "one.png")) == (0, (expected / "a-happy.png").read_bytes())


def test_the_record_in_a_store_is_written_in_objects_of_many_lines(
    run_cli: RunCli, editor: None, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exprgan.edit.manifest.LINES_PER_OBJECT", 3)
    for number in range(7):
        places.write_remote(place(f"memory://photos/{number}.png"), photo_bytes(number, tmp_path))
    out = place("memory://out")
    assert run_cli("edit", "memory://photos", "-o", out).code == 0
    parts = list(places.walk(out / PARTS))
    assert [places.read(path).count(b"\n") for path in parts] == [3, 3, 1]
    assert len({entry.output for entry in recorded(out)}) == 7


def test_a_store_that_is_not_there_is_one_sentence(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch, memory: Any
) -> None:
    result = run_cli("edit", "nostore://x/y", "-o", "memory://out")
    assert (result.code, "There is no store nostore://" in result.stderr) == (2, True)
    result = run_cli("edit", "memory://nothing", "-o", "memory://out")
    assert (result.code, "memory://nothing does not exist" in result.stderr) == (4, True)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "s3fs", None)
        result = run_cli("edit", "s3://x/y", "-o", "memory://out")
        assert (result.code, 'pip install "exprgan[s3]"' in result.stderr) == (2, True)

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no credentials")

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.info", fail)
    result = run_cli("edit", "memory://x", "-o", "memory://out")
    assert (result.code, "cannot be reached (RuntimeError: no credentials)" in result.stderr) == (2, True)
    with pytest.raises(UnreadableImage, match="no credentials"):
        image_io.read_bytes(place("memory://x/a.png"))
