"""A file appears whole or not at all, in the right format and place."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exprgan.errors import ExprganError, UsageError
from exprgan.photos import image_io
from tests.photos.made_files import edited, saved, scene, write


def test_format_follows_the_source_or_the_extension(tmp_path: Path) -> None:
    wrong = tmp_path / "really-a-png.jpg"
    wrong.write_bytes(saved(Image.fromarray(scene()), "PNG"))
    photo = image_io.read(wrong)
    assert image_io.output_format(photo, tmp_path / "x.jpg") == "PNG"
    assert image_io.output_format(photo, tmp_path / "x.tif") == "TIFF"
    assert image_io.output_format(photo, tmp_path / "x") == "PNG"
    with pytest.raises(UsageError, match="xyz"):
        image_io.output_format(photo, tmp_path / "x.xyz")
    gif = image_io.read(saved(Image.fromarray(scene()), "GIF"))
    with pytest.raises(UsageError, match="GIF"):
        image_io.output_format(gif, tmp_path / "x")
    with pytest.raises(UsageError, match="GIF"):
        image_io.encode(gif, gif.pixels)


def test_written_file_has_ordinary_permissions_and_replaces_the_old_one(tmp_path: Path) -> None:
    photo = image_io.read(saved(Image.fromarray(scene()), "PNG"))
    mask = os.umask(0o022)
    try:
        write(photo, photo.pixels, tmp_path / "out.png")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "out.png").stat().st_mode) == 0o644
    (tmp_path / "out.png").chmod(0o600)
    write(photo, edited(photo), tmp_path / "out.png")
    assert stat.S_IMODE((tmp_path / "out.png").stat().st_mode) == 0o600
    assert np.array_equal(image_io.read(tmp_path / "out.png").pixels, edited(photo))
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    image_io.write_atomic(tmp_path / "link.png", b"new")
    assert (tmp_path / "link.png").is_symlink() and (tmp_path / "real.png").read_bytes() == b"new"


def test_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.png"
    target.write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExprganError, match="No space left") as caught:
        image_io.write_atomic(target, b"new")
    assert not isinstance(caught.value, UsageError)
    assert target.read_bytes() == b"old" and [path.name for path in tmp_path.iterdir()] == ["out.png"]


def test_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        image_io.write_atomic(tmp_path / "out.png", b"new")
    assert not list(tmp_path.iterdir())


def test_missing_folder_and_impossible_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        image_io.write_atomic(tmp_path / "none" / "out.png", b"x")
    with pytest.raises((UsageError, ExprganError), match="cannot be written"):
        image_io.write_atomic(tmp_path / ("a" * 300 + ".png"), b"x")


def test_read_only_folder_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "mkstemp", refuse)
        with pytest.raises(UsageError, match="Permission denied"):
            image_io.write_atomic(tmp_path / "out.png", b"x")
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(UsageError, match="cannot be written"):
            image_io.write_atomic(tmp_path / "out.png", b"x")
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_is_not_replaced(kind: str, tmp_path: Path) -> None:
    target = tmp_path / "out.png"
    if kind == "folder":
        target.mkdir()
    elif hasattr(os, "mkfifo"):
        os.mkfifo(target)
    else:
        pytest.skip("no pipes here")
    with pytest.raises(UsageError, match="no ordinary file"):
        image_io.write_atomic(target, b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"] and not target.is_file()


def test_place_errors_are_the_users_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file" / "out.png", tmp_path / ("é" * 200 + ".png")):
        with pytest.raises(UsageError, match="cannot be written"):
            image_io.write_atomic(path, b"x")


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="no limits of file size here")
def test_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """The operating system itself refuses the write, by its limit of a file's size."""
    (tmp_path / "out.png").write_bytes(b"old")
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"
        "from pathlib import Path; from exprgan.photos import image_io; from exprgan.errors import ExprganError\n"
        "try: image_io.write_atomic(Path(sys.argv[1]), bytes(1_000_000))\n"
        "except ExprganError as error: print(error.exit_code, error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "out.png")], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("1 ") and "cannot be written (File too large)" in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["out.png"]
    assert (tmp_path / "out.png").read_bytes() == b"old"


@pytest.mark.parametrize("encoded", ["deep PNG", "deep TIFF", "TIFF", "grey PNG"])
def test_encoding_takes_little_more_than_the_pixels(encoded: str) -> None:
    channel = np.add.outer(np.arange(1500), np.arange(2000)).astype(np.uint16)
    dtype = np.uint16 if encoded.startswith("deep") else np.uint8
    pixels = np.stack([channel.astype(dtype)] * 3, axis=-1)
    mode = "L" if encoded == "grey PNG" else "RGB;16" if dtype == np.uint16 else "RGB"
    photo = image_io.Photo(pixels=pixels, format=encoded.split()[-1], mode=mode)
    tracemalloc.start()
    try:
        data = image_io.encode(photo, pixels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * len(data) + 48e6, "more than a constant beside the file"
