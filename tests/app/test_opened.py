"""Open photos: faces, previews, and files that are those of `exprgan edit`."""

from __future__ import annotations

import io
import shlex
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from exprgan.app import opened as module
from exprgan.app.look import Look
from exprgan.app.opened import ALL, Opened
from exprgan.edit.editor import Editor
from exprgan.errors import NoFaceFound, UnreadableImage, UsageError
from exprgan.face_model.expression import Expression
from exprgan.photos import image_io
from tests.conftest import RunCli

SMILE = Look.of({"shares": {"happy": 0.7}, "amounts": {"AU4L": 0.3, "gaze_x": -0.4}})


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.from_pretrained(device="cpu")


@pytest.fixture(scope="module")
def group(sample_path: Path) -> bytes:
    """A photo of two faces, the larger one to the right, with metadata."""
    with Image.open(sample_path) as portrait:
        picture = Image.new("RGB", (1400, 720), (90, 100, 110))
        picture.paste(portrait.resize((420, 420)), (60, 120))
        picture.paste(portrait.resize((700, 700)), (640, 10))
    exif = Image.Exif()
    exif[0x010F] = "Made by a test"
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=93, exif=exif)
    return data.getvalue()


@pytest.fixture(scope="module")
def two(editor: Editor, group: bytes) -> Opened:
    return Opened(editor, group, "our group.jpg", threading.Lock())


def pixels(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture.convert("RGB"))


def test_faces_have_the_numbers_of_the_command_line(
    run_cli: RunCli, two: Opened, group: bytes, tmp_path: Path
) -> None:
    (tmp_path / "group.jpg").write_bytes(group)
    listed = run_cli("faces", tmp_path / "group.jpg", "--format", "json")
    assert [row.number for row in two.faces()] == [0, 1]
    boxes = [row.box for row in two.faces()]
    assert '"index": 0' in listed.stdout
    largest = int(two.first_face())
    assert boxes[largest][0] > 0.4
    assert boxes[largest][2] > boxes[1 - largest][2]


@pytest.mark.parametrize("face", ["0", "1", ALL])
def test_a_file_is_that_of_the_command_line(
    run_cli: RunCli, two: Opened, group: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, face: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(two.name).write_bytes(group)
    words = shlex.split(SMILE.command(two.name, two.face_option(face)))
    assert run_cli(*words[1:], "--device", "cpu").code == 0
    result = two.result(SMILE, face)
    assert Path(result.name).read_bytes() == result.data
    changed = np.asarray(
        (np.abs(pixels(result.data).astype(int) - pixels(group)) > 30).any(axis=2)
    )  # not by JPEG
    assert changed[:, 700:].any() == (face in (ALL, two.first_face()))
    with Image.open(io.BytesIO(result.data)) as picture:
        assert picture.format == "JPEG"
        assert picture.getexif()[0x010F] == "Made by a test"


def test_a_file_of_drawn_teeth_is_that_of_the_command_line(
    run_cli: RunCli, editor: Editor, sample_path: Path, tmp_path: Path
) -> None:
    photo = Opened(editor, sample_path.read_bytes(), sample_path.name, threading.Lock())
    look = Look.of({"amounts": {"AU27": 1, "AU12": 0.5}, "strength": 0.9, "teeth": "gapped"})
    words = look.words(str(sample_path), photo.face_option("0"))
    assert run_cli(*words[1:], "--device", "cpu", "--output", tmp_path / "a.jpg").code == 0
    assert (tmp_path / "a.jpg").read_bytes() == photo.result(look, "0").data
    auto = photo.result(Look.of({**look.values(), "teeth": "auto"}), "0").data
    assert auto != photo.result(look, "0").data


@pytest.mark.parametrize(("name", "saved"), [("a.png", "a-happy.png"), ("a.tif", "a-happy.tif")])
def test_a_file_keeps_its_format_and_its_depth(
    editor: Editor, sample_path: Path, tmp_path: Path, name: str, saved: str
) -> None:
    photo = image_io.read(sample_path)
    deep = image_io.Photo(pixels=photo.pixels.astype(np.uint16) * 257, format="PNG", mode="RGB;16")
    (tmp_path / name).write_bytes(image_io.encode(deep, deep.pixels, image_io.EXTENSIONS[f".{name[2:]}"]))
    opened = Opened(editor, (tmp_path / name).read_bytes(), name, threading.Lock())
    result = opened.result(Look.of({"shares": {"happy": 1}}), ALL)
    assert result.name == saved
    again = image_io.read(result.data)
    assert again.pixels.dtype == np.uint16
    assert again.format == {"png": "PNG", "tif": "TIFF"}[name[2:]]
    assert pixels(opened.before("0", "photo")).dtype == np.uint8


@pytest.mark.parametrize("view", ["photo", "near"])
def test_a_preview_shows_the_edit_of_the_file(
    two: Opened, group: bytes, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    face = two.first_face()
    small, before = (
        pixels(jpeg).astype(int) for jpeg in (two.preview(SMILE, face, view).jpeg, two.before(face, view))
    )
    assert small.shape == before.shape
    assert max(small.shape) <= module.PREVIEW_PX
    full = pixels(two.result(SMILE, face).data)
    if view == "near":
        rows, columns = module._around([two._chosen(face).faces[0].matrix], full.shape)
        full, whole = full[rows, columns], pixels(group)[rows, columns]
    else:
        whole = pixels(group)
    size = (small.shape[1], small.shape[0])
    expected, original = (
        np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX)).astype(int)
        for picture in (full, whole)
    )
    changes = np.abs(expected - original).max(axis=2) > 20
    assert changes.mean() > 0.005
    apart = np.abs(small - expected).max(axis=2)
    assert apart[changes].mean() < 0.35 * np.abs(expected - original).max(axis=2)[changes].mean()
    assert np.abs(small - before).max(axis=2)[~changes].mean() < 4


def test_a_preview_of_nothing_is_the_photo(two: Opened) -> None:
    for look in (Look(), Look.of({"shares": {"happy": 1}, "regions": []})):
        assert two.preview(look, "0", "photo").jpeg == two.before("0", "photo")
    assert two.preview(Look.of({"shares": {"happy": 1}, "strength": 0}), "0", "photo").jpeg == two.before(
        "0", "photo"
    )


def test_a_rough_preview_is_that_of_the_face_model_alone(editor: Editor, sample_path: Path) -> None:
    data, lock = sample_path.read_bytes(), threading.Lock()
    alone = Editor.from_pretrained(device="cpu", model="face_model")
    photo, geometry = (Opened(each, data, "a.jpg", lock) for each in (editor, alone))
    rough, whole = (photo.preview(SMILE, "0", "photo", rough=each) for each in (True, False))
    assert rough == geometry.preview(SMILE, "0", "photo")
    assert rough != whole
    before = pixels(photo.before("0", "photo")).astype(int)
    moved, apart = (
        np.abs(pixels(rough.jpeg).astype(int) - other).mean() for other in (before, pixels(whole.jpeg))
    )
    assert apart < 0.5 * moved  # nobody sees it jump


def test_a_small_face_is_first_shown_from_near_and_several_are_shown_whole(
    two: Opened, editor: Editor, sample_path: Path
) -> None:
    assert two.first_view() == "photo"
    assert two.face_option("1") == "1"
    with Image.open(sample_path) as portrait:
        scene = Image.new("RGB", (1500, 900), (100, 110, 120))
        scene.paste(portrait.resize((400, 400)), (700, 300))
        for picture, view in ((portrait, "photo"), (scene, "near")):
            data = io.BytesIO()
            picture.save(data, "PNG")
            photo = Opened(editor, data.getvalue(), "a.png", threading.Lock())
            assert photo.first_view() == view
            assert photo.face_option("0") == photo.face_option(ALL) == "largest"


def test_less_than_asked_is_said(editor: Editor, sample_path: Path) -> None:
    photo = Opened(editor, sample_path.read_bytes(), "a.jpg", threading.Lock())
    much = Look.of({"amounts": {"AU4": 1.5, "browDown": 1.5, "AU9": 1.5, "eyeSquint": 1.5}, "strength": 1.5})
    notes = photo.preview(much, "0", "photo").notes
    assert any("of what was asked" in note for note in notes)


def test_transparent_photos_are_shown_on_white(editor: Editor, sample_path: Path) -> None:
    with Image.open(sample_path) as portrait:
        picture = portrait.convert("RGBA")
    alpha = np.full((768, 768), 255, np.uint8)
    alpha[:100] = 0
    picture.putalpha(Image.fromarray(alpha))
    data = io.BytesIO()
    picture.save(data, "PNG")
    photo = Opened(editor, data.getvalue(), "a.png", threading.Lock())
    assert (pixels(photo.before("0", "photo"))[:90] >= 250).all()
    with Image.open(io.BytesIO(photo.result(SMILE, "0").data)) as saved:
        np.testing.assert_array_equal(np.asarray(saved.getchannel("A")), alpha)


def test_photos_that_do_not_do_are_refused(
    editor: Editor, sample_path: Path, monkeypatch: pytest.MonkeyPatch, two: Opened
) -> None:
    lock = threading.Lock()
    with pytest.raises(UnreadableImage, match=r"a\.jpg"):
        Opened(editor, b"no photo at all", "a.jpg", lock)
    plain = io.BytesIO()
    Image.new("RGB", (300, 300), (80, 120, 90)).save(plain, "PNG")
    with pytest.raises(NoFaceFound, match=r"No face was found in sky\.png"):
        Opened(editor, plain.getvalue(), "sky.png", lock)
    with pytest.raises(UsageError, match="no name"):
        Opened(editor, plain.getvalue(), "", lock)
    with pytest.raises(UsageError, match="Face 7 cannot be edited"):
        two.preview(SMILE, "7", "photo")
    with pytest.raises(UsageError, match="no view 'far'"):
        two.preview(SMILE, "0", "far")
    for asked in (two.result, lambda look, _: two.recipe(look)):
        with pytest.raises(UsageError, match="choose an expression or move a slider"):
            asked(Look(), "0")  # type: ignore[operator]
    monkeypatch.setattr(module, "MOST_PIXELS", 1000)
    with pytest.raises(UnreadableImage, match="smaller"):
        Opened(editor, sample_path.read_bytes(), "a.jpg", lock)
    assert not lock.locked()


def test_teeth_of_another_photo_give_the_file_of_the_command_line(
    run_cli: RunCli, editor: Editor, sample_path: Path, tmp_path: Path
) -> None:
    wide = Expression.parse(None, {"mouthUpperUp": 0.8, "smile": 1.0})
    smile = tmp_path / "smile.png"
    geometry = Editor.from_pretrained(device="cpu", model="face_model")
    Image.fromarray(geometry.edit(sample_path, wide, teeth="gapped").image).save(smile)
    opened = Opened(editor, sample_path.read_bytes(), "portrait.jpg", threading.Lock())
    happy = Look.of({"shares": {"happy": 1}})
    before = opened.preview(happy, "0", "near").jpeg
    with pytest.raises(UsageError, match="too little of the upper teeth"):
        opened.take_teeth(sample_path.read_bytes(), "shut.jpg")
    assert opened.teeth_from == ""
    assert opened.preview(happy, "0", "near").jpeg == before
    opened.take_teeth(smile.read_bytes(), "smile.png")
    assert opened.preview(happy, "0", "near").jpeg != before
    command = shlex.split(happy.command("portrait.jpg", "largest", opened.teeth_from))
    assert command[-2:] == ["--teeth-from", "smile.png"]
    words = [*command[1:2], sample_path, *command[3:-1], smile, "-o", tmp_path / "out.jpg"]
    assert run_cli(*words).code == 0
    assert opened.result(happy, "0").data == (tmp_path / "out.jpg").read_bytes()
    worn = Look.of({"shares": {"happy": 1}, "teeth": "worn"})  # a choice on the page counts for more
    assert "--teeth-from" not in worn.command("portrait.jpg", "largest", opened.teeth_from)
    assert opened.result(worn, "0").data != opened.result(happy, "0").data
