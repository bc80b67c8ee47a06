"""Timelines, frames and files of animations."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from exprgan.edit.animation import BLINK_EVERY_S, Timeline, frames, resized
from exprgan.edit.editor import Editor
from exprgan.errors import ExprganError, UsageError
from exprgan.face_model.expression import Expression
from exprgan.photos import moving
from tests.conftest import RunCli

HAPPY, SURPRISE = Expression.parse("happy"), Expression.parse("surprise")


def shares(timeline: Timeline, fps: float, name: str) -> list[float]:
    return [shown.classes.get(name, 0.0) for shown in timeline.expressions(fps)]


def test_a_ramp_rises_holds_and_falls() -> None:
    linear = shares(Timeline([HAPPY], seconds=2.4, hold=0.4, ease="linear"), 10, "happy")
    np.testing.assert_allclose(linear[:11], np.arange(11) / 10, atol=1e-6)
    assert linear[10:15] == [1.0] * 5
    np.testing.assert_allclose(linear[14:], 1 - np.arange(10) / 10, atol=1e-6)
    sine = shares(Timeline([HAPPY], seconds=2.4, hold=0.4), 10, "happy")
    assert sine[0] == 0
    assert sine[5] == pytest.approx(0.5)
    steps = np.diff(sine[:11])
    assert steps[0] < steps[2] < steps[4]
    assert steps[-1] < steps[5]


def test_one_that_does_not_return_ends_with_the_expression() -> None:
    timeline = Timeline([HAPPY], seconds=1.0, hold=0.2, returns=False, strength=0.8)
    shown = shares(timeline, 10, "happy")
    assert shown[0] == 0
    assert shown[-1] == pytest.approx(0.8)
    assert all(later >= earlier for earlier, later in pairwise(shown))


def test_several_expressions_pass_into_each_other() -> None:
    timeline = Timeline([HAPPY, SURPRISE], seconds=3.4, hold=0.2, ease="linear")
    both = np.array([shares(timeline, 20, name) for name in ("happy", "surprise")])
    assert both.max(axis=1).tolist() == [1.0, 1.0]
    between = both[:, 24:44]
    np.testing.assert_allclose(between.sum(axis=0), 1, atol=1e-6)
    assert both[:, 0].tolist() == [0.0, 0.0]


def test_blinks_come_and_go_beside_what_is_shown() -> None:
    lids = [
        shown.controls.get("AU45", 0.0)
        for shown in Timeline([], seconds=BLINK_EVERY_S, blinks=True).expressions(50)
    ]
    shut = np.flatnonzero(np.array(lids) > 0)
    assert lids[0] == 0
    assert max(lids) == 1.0
    assert 0.2 < len(shut) / 50 < 0.5
    assert (np.diff(shut) == 1).all()


@pytest.mark.parametrize(
    ("words", "fps", "message"),
    [
        ({"stops": []}, 25, "needs an expression or blinks"),
        ({"stops": [HAPPY], "ease": "bounce"}, 25, "choose sine or linear"),
        ({"stops": [HAPPY]}, 0.5, "give 1 to 60"),
        ({"stops": [HAPPY], "seconds": float("nan")}, 25, "no length"),
        ({"stops": [HAPPY], "hold": -1}, 25, "give 0 or more"),
        ({"stops": [HAPPY], "seconds": 1000}, 25, "lower --seconds or --fps"),
        ({"stops": [HAPPY, SURPRISE], "seconds": 0.5}, 25, "leaves no time to change"),
    ],
)
def test_impossible_timelines_are_refused(words: dict, fps: float, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(UsageError, match=message):
        Timeline(**words).expressions(fps)


@pytest.fixture(scope="module")
def editor() -> Editor:
    return Editor.from_pretrained(device="cpu", model="face_model")


@pytest.fixture(scope="module")
def still(sample_path: Path) -> NDArray[np.uint8]:
    return resized(np.asarray(Image.open(sample_path).convert("RGB")), 300)


@pytest.fixture(scope="module")
def film(editor: Editor, still: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    shown = Timeline([HAPPY], seconds=1.4).expressions(10)
    return list(frames(editor, editor.prepare(still), shown))


def test_frames_begin_with_the_photo_and_leave_its_surroundings(
    film: list[NDArray[np.uint8]], still: NDArray[np.uint8]
) -> None:
    assert len(film) == 14
    np.testing.assert_array_equal(film[0], still)
    changed = np.any([(frame != still).any(axis=2) for frame in film], axis=0)
    assert changed.any()
    assert not changed[:40].any()
    assert not changed[:, :60].any()
    most = [int(np.abs(frame.astype(int) - still).sum()) for frame in film]
    assert int(np.argmax(most)) in range(5, 10)  # while it is held
    np.testing.assert_array_equal(film[6], film[7])


def test_frames_do_not_depend_on_the_number_of_workers(
    editor: Editor, still: NDArray[np.uint8], film: list[NDArray[np.uint8]]
) -> None:
    shown = Timeline([HAPPY], seconds=1.4).expressions(10)
    again = list(frames(editor, editor.prepare(still), shown, workers=1))
    assert all((one == other).all() for one, other in zip(film, again, strict=True))


def read(path: Path) -> list[NDArray[np.uint8]]:
    with Image.open(path) as picture:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)]


@pytest.mark.parametrize(("name", "lossless"), [("a.png", False), ("a.webp", True)])
def test_lossless_files_hold_every_pixel(
    tmp_path: Path, film: list[NDArray[np.uint8]], name: str, lossless: bool
) -> None:
    path = tmp_path / name
    moving.write(path, film, len(film), 10, lossless=lossless, mark="made 123")
    shown, made = ([frame.tobytes() for frame in pictures] for pictures in (read(path), film))
    # equal neighbours may be one longer frame
    assert _changes(shown) == _changes(made)
    assert b"DigitalSourceType" in path.read_bytes()


def _changes(pictures: list[bytes]) -> list[bytes]:
    return [one for one, after in pairwise([*pictures, b""]) if one != after]


def test_a_gif_keeps_its_background_and_its_time(tmp_path: Path, film: list[NDArray[np.uint8]]) -> None:
    path = tmp_path / "a.gif"
    moving.write(path, film, len(film), 12, palette_of=[film[0], film[7]])
    still = np.all([(frame == film[0]).all(axis=2) for frame in film], axis=0)
    shown = read(path)
    for frame in shown:
        np.testing.assert_array_equal(frame[still], shown[0][still])
    assert np.abs(shown[0].astype(int) - film[0]).mean() < 8
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0
        lasts = [frame.info["duration"] for frame in ImageSequence.Iterator(picture)]
    assert sum(lasts) == round(1000 * 14 / 12 / 10) * 10


def test_an_mp4_shows_the_frames(tmp_path: Path, editor: Editor, sample_path: Path) -> None:
    av = pytest.importorskip("av")
    pixels = resized(np.asarray(Image.open(sample_path).convert("RGB")), 241, even=True)
    assert all(side % 2 == 0 for side in pixels.shape[:2])
    shown = list(frames(editor, editor.prepare(pixels), Timeline([HAPPY], seconds=1.4).expressions(10)))
    moving.write(tmp_path / "a.mp4", shown, len(shown), 10, mark="made 123")
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert "made 123" in container.metadata["comment"]
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == len(shown)
    assert all(np.abs(one.astype(int) - other).mean() < 4 for one, other in zip(decoded, shown, strict=True))


def test_a_fault_midway_leaves_no_file(tmp_path: Path, film: list[NDArray[np.uint8]]) -> None:
    def breaks() -> object:
        yield film[0]
        raise ExprganError("the editor failed")

    for name in ("a.gif", "a.webp", "a.png", "a.mp4"):
        with pytest.raises(ExprganError, match="the editor failed"):
            moving.write(tmp_path / name, breaks(), 5, 10)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match=r"choose another --output"):
        moving.write(tmp_path / "no folder" / "a.gif", film, len(film), 10)
    with pytest.raises(UsageError, match="lower --size, --fps or --seconds"):
        moving.write(tmp_path / "a.gif", film, 10**6, 10)


def test_the_command(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    quick = ("--fps", "5", "--size", "200", "--model", "face_model")
    output = tmp_path / "look.webp"
    words = ("animate", sample_path, "--to", "happy", "--to", "sad", "--blink", *quick, "--output", output)
    result = run_cli(*words, "--lossless", "--format", "json")
    assert result.code == 0, result.stderr
    assert '"frames": 19' in result.stdout
    assert '"expressions": ["happy", "sad"]' in result.stdout
    small = resized(np.asarray(Image.open(sample_path).convert("RGB")), 200)
    np.testing.assert_array_equal(read(output)[0], small)
    again = run_cli(*words)
    assert again.code == 2
    assert "--overwrite" in again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--output", "a.avi"), "end it in .gif, .webp, .png"),
        (("--output", "a.gif", "--size", "10"), "give 64 or more"),
        (("--output", "a.gif", "--strength", "2"), "1.5"),
        (("--output", "a.gif", "--to", "hapy"), "happy"),
        (("--output", "a.gif", "--ease", "fast"), "sine or linear"),
        (
            ("--output", "a.gif", "--model", "unified", "--to", "happy", "--to", "sad"),
            "eight expressions alone",
        ),
    ],
)
def test_mistakes(
    run_cli: RunCli, sample_path: Path, tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    result = run_cli("animate", sample_path, words[0], tmp_path / words[1], *words[2:])
    assert result.code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []
