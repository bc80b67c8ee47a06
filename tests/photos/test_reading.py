"""What can not be edited is refused in one sentence, and nothing hangs."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exprgan.errors import UnreadableImage
from exprgan.photos import image_io, png
from tests.photos.made_files import (
    EXTENSION,
    deep_png,
    deep_scene,
    deep_tiff,
    saved,
    scene,
    write,
)


@pytest.mark.parametrize("kind", [*EXTENSION, "deep PNG", "deep TIFF"])
def test_damaged_files_are_refused_in_one_sentence(kind: str) -> None:
    if kind.startswith("deep"):
        data = (deep_png if kind == "deep PNG" else deep_tiff)(deep_scene(3))
    else:
        data = saved(Image.fromarray(scene()), kind)
    for length in (0, 3, 20, len(data) // 2, len(data) * 3 // 4):
        with pytest.raises(UnreadableImage) as caught:
            image_io.read(data[:length])
        message = str(caught.value)
        assert "\n" not in message and message.endswith(".") and len(message) < 300


def test_bombs_are_refused_before_decoding() -> None:
    row = zlib.compress(bytes(1000))
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    data = png.SIGNATURE
    for name, content in ((b"IHDR", header), (b"IDAT", row), (b"IEND", b"")):
        data += (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )
    with pytest.raises(UnreadableImage, match="10000 megapixels"):
        image_io.read(data)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_files_of_several_pictures_are_refused(kind: str) -> None:
    others = [Image.fromarray(255 - scene()), Image.fromarray(scene()[::-1])]
    data = saved(Image.fromarray(scene()), kind, save_all=True, append_images=others)
    with pytest.raises(UnreadableImage, match="3 pictures"):
        image_io.read(data)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7 something", "not a photo"),
        (b"<svg xmlns=''>", "not a photo"),
    ],
)
def test_other_files_are_named_for_what_they_are(data: bytes, words: str) -> None:
    with pytest.raises(UnreadableImage, match=words):
        image_io.read(data)


def test_heic_without_its_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnreadableImage, match="exprgan\\[heif\\]"):
        image_io.read(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


def test_float_tiff_is_refused() -> None:
    data = saved(Image.fromarray(np.zeros((8, 8), np.float32)), "TIFF")
    with pytest.raises(UnreadableImage, match="32 bits"):
        image_io.read(data)


def test_missing_file_and_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImage, match="does not exist"):
        image_io.read(tmp_path / "none.jpg")
    with pytest.raises(UnreadableImage, match="is a folder"):
        image_io.read(tmp_path)


@pytest.mark.parametrize(
    "name", ["żółć 照片 😀.png", "with space & 'quotes'.png", "-dash.png", "a" * 240 + ".png"]
)
def test_odd_names_go_through(name: str, tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_bytes(saved(Image.fromarray(scene()), "PNG"))
    photo = image_io.read(source)
    (tmp_path / "out").mkdir()
    write(photo, photo.pixels, tmp_path / "out" / name)
    assert np.array_equal(image_io.read(tmp_path / "out" / name).pixels, scene())


@pytest.mark.parametrize(
    ("tags", "words"),
    [({254: 1}, "raw file"), ({50706: b"\1\4\0\0"}, "raw file")],
    ids=["first picture is a preview", "DNG"],
)
def test_raw_files_are_refused(tags: dict[int, object], words: str) -> None:
    with pytest.raises(UnreadableImage, match=words):
        image_io.read(saved(Image.fromarray(scene()), "TIFF", tiffinfo=tags))


def test_preview_after_the_picture_of_a_tiff_is_left_out_with_a_note() -> None:
    preview = Image.fromarray(scene(6, 8))
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    photo = image_io.read(saved(Image.fromarray(scene()), "TIFF", save_all=True, append_images=[preview]))
    assert np.array_equal(photo.pixels, scene()) and any("preview" in note for note in photo.notes)
    with Image.open(BytesIO(image_io.encode(photo, photo.pixels))) as out:
        assert getattr(out, "n_frames", 1) == 1


def test_deep_grey_tiff_with_alpha_is_refused() -> None:
    with pytest.raises(UnreadableImage, match="of a kind that cannot be edited"):
        image_io.read(deep_tiff(deep_scene(2)))


def test_premultiplied_deep_tiff_is_refused() -> None:
    data = deep_tiff(deep_scene(4)).replace(
        struct.pack("<HHIHH", 338, 3, 1, 2, 0), struct.pack("<HHIHH", 338, 3, 1, 1, 0)
    )
    with pytest.raises(UnreadableImage, match="multiplied by alpha"):
        image_io.read(data)


@pytest.mark.parametrize(("primaries", "transfer"), [(12, 13), (9, 16), (9, 18)], ids=["P3", "PQ", "HLG"])
def test_avif_colours_that_nothing_describes_to_us_are_refused(primaries: int, transfer: int) -> None:
    data = saved(Image.fromarray(scene()), "AVIF")
    numbers = struct.pack(">HH", primaries, transfer)
    marked = data.replace(b"colrnclx" + struct.pack(">HH", 1, 13), b"colrnclx" + numbers)
    assert marked != data
    with pytest.raises(UnreadableImage, match=f"CICP {primaries}/{transfer}"):
        image_io.read(marked)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_pipe_and_device_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero")):
        with pytest.raises(UnreadableImage, match="no ordinary file"):
            image_io.read(path)


def test_broken_link_does_not_exist(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    with pytest.raises(UnreadableImage, match="does not exist"):
        image_io.read(tmp_path / "link.jpg")
    (tmp_path / "round.jpg").symlink_to(tmp_path / "round.jpg")
    with pytest.raises(UnreadableImage, match="cannot be read"):
        image_io.read(tmp_path / "round.jpg")


def test_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.jpg").write_bytes(saved(Image.fromarray(scene()), "JPEG"))

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableImage, match="Permission denied"):
        image_io.read(tmp_path / "secret.jpg")


def test_huge_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.write(saved(Image.fromarray(scene()), "PNG"))
        file.truncate(10**12)  # sparse: takes no room
    with pytest.raises(UnreadableImage, match="1000\\.0 GB"):
        image_io.read(tmp_path / "huge.png")


def test_film_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    with (tmp_path / "film.jpg").open("wb") as file:
        file.write(b"\0\0\0\x18ftypisom" + bytes(100))
        file.truncate(3 * 10**9)
    with pytest.raises(UnreadableImage, match="not a photo"):
        image_io.read(tmp_path / "film.jpg")


@pytest.mark.parametrize("name", ["two\nlines.jpg", "bell\x07.jpg", os.fsdecode(b"latin-\xe9.jpg")])
def test_messages_stay_on_one_line_whatever_the_name(name: str, tmp_path: Path) -> None:
    try:
        (tmp_path / name).write_text("no photo")
    except OSError:
        pytest.skip("this file system has no such names")
    with pytest.raises(UnreadableImage) as caught:
        image_io.read(tmp_path / name)
    message = str(caught.value)
    assert message.isprintable() and message.encode() and "not a photo" in message
