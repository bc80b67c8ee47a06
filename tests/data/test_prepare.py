"""Preparing sets: crops, masks, labels and splits; stopped runs that go on; the same result by any way."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from exprgan.action_units import ACTION_UNITS
from exprgan.data.crops import CropConfig, warp_mask
from exprgan.data.face_set import open_set
from exprgan.data.prepare import JOURNAL, prepare
from exprgan.data.readers import Record
from exprgan.data.splits import split_of
from exprgan.errors import ExprganError, UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.faces.align import crop_matrix
from exprgan.faces.detectors import open_detector
from tests import made_sets


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the journal, whose order depends on chance."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != JOURNAL
    }


@pytest.fixture(scope="module")
def class_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    made_sets.make_class_folders(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(class_folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of classes, prepared at one go by one process."""
    output = tmp_path_factory.mktemp("prepared") / "set"
    prepare("folder", class_folders, output)
    return output


def test_crops_and_labels_come_in_the_readers_order(prepared: Path) -> None:
    data = open_set(prepared)
    assert data.name == "folder"
    assert [EXPRESSIONS[label] for label in data.expressions] == [
        "happy",
        "anger",
        "neutral",
        "neutral",
        "surprise",
    ]
    assert all(data.image(row).shape == (256, 256, 3) for row in range(len(data)))
    assert data.mask(0) is None
    assert np.isnan(data.action_units).all()


def test_faces_are_aligned_as_the_template_has_them(prepared: Path) -> None:
    """The renders are aligned; pasted at another place and cut out again, they are where they were."""
    crop = open_set(prepared).image(4).astype(np.float32)
    original = made_sets.render("0087_surprise").astype(np.float32)
    inner = slice(64, 208)
    shift, _ = cv2.phaseCorrelate(crop[inner, inner, 1], original[inner, inner, 1])
    assert np.hypot(*shift) < 6
    assert np.abs(crop - original)[inner, inner].mean() < 12


def test_what_gives_no_crop_is_named(prepared: Path) -> None:
    with (prepared / "problems.csv").open(newline="") as file:
        problems = {row["name"]: row["reason"] for row in csv.DictReader(file)}
    assert problems == {
        "grumpyish/": "the folder's name is no expression",
        "stray.jpg": "the picture lies in no folder of an expression",
        "angry/nobody.jpg": "no face was found",
        "angry/torn.jpg": "the picture cannot be decoded",
    }


def test_a_second_run_makes_nothing_anew(class_folders: Path, prepared: Path) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in (prepared / "images").rglob("*.jpg")}
    again = prepare("folder", class_folders, prepared)
    assert (again.faces, again.kept) == (5, 5)
    assert {path: path.stat().st_mtime_ns for path in (prepared / "images").rglob("*.jpg")} == stamps


def test_several_processes_give_the_same_files(class_folders: Path, prepared: Path, tmp_path: Path) -> None:
    prepare("folder", class_folders, tmp_path / "set", jobs=2)
    assert contents(tmp_path / "set") == contents(prepared)


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been_killed(
    class_folders: Path, prepared: Path, tmp_path: Path, root: Path
) -> None:
    output = tmp_path / "set"
    code = (
        "import sys; from pathlib import Path; from exprgan.data.prepare import prepare\n"
        "prepare('folder', Path(sys.argv[1]), Path(sys.argv[2]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.Popen([sys.executable, "-c", code, str(class_folders), str(output)], env=environment)
    journal = output / JOURNAL
    end = time.monotonic() + 120
    while not (journal.is_file() and journal.read_bytes().count(b"\n") >= 2):
        assert run.poll() is None and time.monotonic() < end
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    made = {path: path.stat().st_mtime_ns for path in (output / "images").rglob("*.jpg")}
    assert made
    with pytest.raises(UsageError, match="is not finished"):
        open_set(output)
    journal.write_bytes(journal.read_bytes() + b'{"key": "neutral/an')  # as if stopped within a line
    done = prepare("folder", class_folders, output)
    assert 1 <= done.kept < done.faces == 5
    kept = [path for path, stamp in made.items() if path.stat().st_mtime_ns == stamp]
    assert len(kept) >= done.kept
    assert contents(output) == contents(prepared)


@pytest.mark.parametrize("damage", ["removed", "cut short", "other source"])
def test_lost_or_damaged_crops_are_made_again(
    class_folders: Path, prepared: Path, tmp_path: Path, damage: str
) -> None:
    output = tmp_path / "set"
    shutil.copytree(prepared, output)
    victim = output / "images" / "angry" / "a.jpg"
    if damage == "removed":
        victim.unlink()
    elif damage == "cut short":
        victim.write_bytes(victim.read_bytes()[:100])
    else:  # the key stands for another picture now
        journal = (output / JOURNAL).read_text().replace("angry/a.webp", "angry/b.webp")
        (output / JOURNAL).write_text(journal)
    assert prepare("folder", class_folders, output).kept == 4
    assert contents(output) == contents(prepared)


def test_other_settings_do_not_mix_with_what_is_there(
    class_folders: Path, prepared: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"max_yaw_deg 40.0 and not 20"):
        prepare("folder", class_folders, prepared, config=CropConfig(max_yaw_deg=20))
    (tmp_path / "letter.txt").touch()
    with pytest.raises(UsageError, match="holds other files"):
        prepare("folder", class_folders, tmp_path)


def test_the_output_may_not_lie_in_the_set_itself(class_folders: Path) -> None:
    with pytest.raises(UsageError, match="lies in the data set itself"):
        prepare("folder", class_folders, class_folders / "prepared")
    assert not (class_folders / "prepared").exists()


def test_shards_do_not_go_among_other_files(class_folders: Path, prepared: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds other files"):
        prepare("folder", class_folders, prepared, shards=2)
    assert not (prepared / "crops").exists()


def test_a_process_that_dies_is_told_and_what_is_done_is_kept(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from concurrent.futures.process import BrokenProcessPool

    from exprgan.data import crop_pool

    class Dying:
        def __init__(self, *arguments: object) -> None:
            pass

        def submit(self, work: object, chunk: object) -> object:
            raise BrokenProcessPool("a child process terminated abruptly")

        def shutdown(self, **options: object) -> None:
            pass

    monkeypatch.setattr(crop_pool, "ProcessPoolExecutor", Dying)
    with pytest.raises(ExprganError, match="with fewer --jobs"):
        prepare("folder", class_folders, tmp_path / "set", jobs=2)
    monkeypatch.undo()
    assert prepare("folder", class_folders, tmp_path / "set").faces == 5


def test_a_set_without_a_usable_face_is_refused(tmp_path: Path) -> None:
    made_sets.blank(tmp_path / "set" / "happy" / "wall.jpg")
    with pytest.raises(UsageError, match="Not one picture gave a face"):
        prepare("folder", tmp_path / "set", tmp_path / "out")
    with pytest.raises(UsageError, match="exprgan data check rafd"):
        prepare("rafd", tmp_path / "set", tmp_path / "out2")


def test_a_disk_that_is_full_is_told(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ExprganError, match=r"No space left.*run the same command again"):
        prepare("folder", class_folders, tmp_path / "set")


def test_masks_move_along_with_the_portraits(tmp_path: Path) -> None:
    made_sets.make_celebamask_hq(tmp_path / "celeb")
    done = prepare("celebamask-hq", tmp_path / "celeb", tmp_path / "set")
    assert done.faces == 5
    data = open_set(tmp_path / "set")
    assert data.splits.tolist() == ["train", "train", "val", "test", "train"]
    assert set(data.expressions.tolist()) == {-1}
    detector = open_detector()
    for row, name in enumerate(made_sets.RENDERS):
        with Image.open(tmp_path / "celeb" / "CelebA-HQ-img" / f"{row}.jpg") as file:
            portrait = np.asarray(file)
        matrix = crop_matrix(detector.detect(portrait)[0].points5_xy)
        # pixel by pixel back to the portrait of 1024 px, and from there to the render of 256 px
        grid_xy = np.stack(np.meshgrid(np.arange(256), np.arange(256)), axis=-1)
        photo_xy = (grid_xy - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
        x, y = np.moveaxis(np.floor((photo_xy + 0.5) / 4).astype(int), -1, 0)
        inside = (x >= 0) & (y >= 0) & (x < 256) & (y < 256)
        expected = np.full((256, 256), 255, np.uint8)
        expected[inside] = made_sets.render_mask(name)[y[inside], x[inside]]
        mask = data.mask(row)
        assert mask is not None
        assert (mask == expected).mean() > 0.985, name  # all but pixels on the classes' borders


def test_a_mask_of_another_size_is_moved_by_its_own_pixels() -> None:
    labels = np.arange(16, dtype=np.uint8).reshape(4, 4).repeat(64, 0).repeat(64, 1)
    same = np.array([[1.0, 0, 0], [0, 1, 0]])
    assert (warp_mask(labels, (256, 256), same) == labels).all()
    assert (warp_mask(labels[::2, ::2], (256, 256), same) == labels).all()
    moved = warp_mask(labels, (256, 256), np.array([[1.0, 0, 64], [0, 1, 0]]))
    assert (moved[:, :64] == 255).all()
    assert (moved[:, 64:] == labels[:, :192]).all()
    big = np.array([[0.25, 0, -0.375], [0, 0.25, -0.375]])  # from a picture of 1024 px
    assert (warp_mask(labels, (1024, 1024), big) == labels).all()


def test_the_face_in_affectnets_box_is_taken(tmp_path: Path) -> None:
    made_sets.make_affectnet_lists(tmp_path / "affectnet")
    prepare("affectnet", tmp_path / "affectnet", tmp_path / "set")
    data = open_set(tmp_path / "set")
    assert [EXPRESSIONS[label] for label in data.expressions] == ["neutral", "anger", "happy"]
    distance = {
        name: np.abs(data.image(0).astype(float) - made_sets.render(name)).mean()
        for name in made_sets.RENDERS
    }
    assert min(distance, key=lambda name: distance[name]) == "0007_neutral"  # the happy one is beside it


def test_videos_give_their_frames_also_where_they_lie_on_their_side(tmp_path: Path) -> None:
    made_sets.make_mmi(tmp_path / "mmi")
    done = prepare("mmi", tmp_path / "mmi", tmp_path / "set")
    data = open_set(tmp_path / "set")
    assert done.faces == len(data) == 5
    for row, name in enumerate(("0007_neutral", "0047_happy", "0007_neutral", "0087_surprise", "0134_anger")):
        distance = {
            other: np.abs(data.image(row).astype(float) - made_sets.render(other)).mean()
            for other in made_sets.RENDERS
        }
        assert min(distance, key=lambda other: distance[other]) == name
    assert data.action_units[1, ACTION_UNITS.index("AU12")] == 1
    assert np.isnan(data.action_units[2:4]).all()
    assert len(set(data.splits[data.subjects == "S001"].tolist())) == 1


def test_aligned_crops_keep_their_bytes(tmp_path: Path) -> None:
    made_sets.make_synthetic_faces(tmp_path / "renders")
    prepare("synthetic-faces", tmp_path / "renders", tmp_path / "set")
    before, after = open_set(tmp_path / "renders"), open_set(tmp_path / "set")
    for row in range(4):
        assert (before.image(row) == after.image(row)).all()
        assert (before.mask(row) == after.mask(row)).all()
    assert (before.splits == after.splits).all()
    assert (before.subjects == after.subjects).all()
    assert (before.expressions == after.expressions).all()
    np.testing.assert_allclose(before.action_units, after.action_units, atol=1e-3)


def test_faces_turned_too_far_aside_are_left_out(class_folders: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Not one picture"):
        prepare("folder", class_folders, tmp_path / "set", config=CropConfig(max_yaw_deg=0))
    assert "turned aside by more than 0°" in (tmp_path / "set" / "problems.csv").read_text(encoding="utf-8")


def test_openface_units_are_matched_by_path_then_by_name(class_folders: Path, tmp_path: Path) -> None:
    zeros = np.zeros(len(ACTION_UNITS), np.float32)
    units = {
        "neutral/anna.png": zeros + 0.25,
        "anna": zeros + 1,  # two pictures are called so
        "s": zeros + 0.5,
        "a.webp": zeros + 0.75,
        "unheard-of": zeros,
    }
    prepare("folder", class_folders, tmp_path / "set", units=units)
    data = open_set(tmp_path / "set")
    assert [str(value) for value in data.action_units[:, 0]] == ["nan", "0.75", "nan", "0.25", "0.5"]
    with pytest.raises(UsageError, match="name no picture of the set"):
        prepare("folder", class_folders, tmp_path / "other", units={"x": zeros})


def test_splits_are_by_subject_and_the_same_everywhere() -> None:
    def split(subject: str, key: str = "a", name: str = "kdef") -> str:
        return split_of(name, Record(key, Path("x"), subject=subject))

    people = [f"F{number:02d}" for number in range(2000)]
    assert all(split(who, "a") == split(who, "b") for who in people)
    shares = {
        name: sum(split(who) == name for who in people) / len(people) for name in ("train", "val", "test")
    }
    assert shares["train"] == pytest.approx(0.8, abs=0.03)
    assert shares["val"] == pytest.approx(0.1, abs=0.02)
    assert [split(who, name="kdef") for who in people] != [split(who, name="rafd") for who in people]
    # written down, so that no later version moves people between splits
    drawn = " ".join(split(f"F{number:02d}") for number in range(1, 13))
    assert drawn == "test train train train train train train train val train train test"
    assert len({split("", f"{number}") for number in range(200)}) == 3  # nobody knows who: by picture
    assert split_of("x", Record("k", Path("x"), subject="F01", split="val")) == "val"


def test_units_are_measured_where_mediapipe_is_at_hand(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from exprgan.data import mediapipe_faces

    class Meter:
        def __init__(self, model: Path) -> None:
            assert model.name == "model.task"

        def __call__(self, crop: np.ndarray) -> tuple[float, ...] | None:
            assert crop.shape == (256, 256, 3)
            return (0.5,) * len(ACTION_UNITS)

    monkeypatch.setattr(mediapipe_faces, "ActionUnitMeter", Meter)
    config = CropConfig(face_landmarker="model.task")
    first = prepare("folder", class_folders, tmp_path / "set", config=config)
    again = prepare("folder", class_folders, tmp_path / "set", config=config)  # from the journal
    assert (first.kept, again.kept) == (0, 5)
    assert (open_set(tmp_path / "set").action_units == 0.5).all()


def test_without_mediapipe_one_sentence_says_what_to_do(
    class_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "face_landmarker.task"
    with pytest.raises(UsageError, match="There is no file"):
        prepare("folder", class_folders, tmp_path / "a", config=CropConfig(face_landmarker=str(model)))
    model.touch()
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(UsageError, match="pip install mediapipe"):
        prepare("folder", class_folders, tmp_path / "b", config=CropConfig(face_landmarker=str(model)))


def test_the_notes_say_how_the_set_was_made(prepared: Path) -> None:
    notes = json.loads((prepared / "prepared.json").read_text())
    assert (notes["set"], notes["size_px"], notes["detector"]) == ("folder", 256, "builtin")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("key,image", "key,picture", "no column 'image'"),
        (",surprise,", ",amazed,", "damaged in line 6"),
        (",train,", ",training,", "damaged in line"),
    ],
)
def test_a_damaged_table_is_an_error_of_ours(
    prepared: Path, tmp_path: Path, old: str, new: str, told: str
) -> None:
    shutil.copytree(prepared, tmp_path / "set")
    table = tmp_path / "set" / "index.csv"
    assert old in table.read_text(encoding="utf-8")
    table.write_text(table.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(UsageError, match=told):
        open_set(tmp_path / "set")


def test_a_crop_that_is_gone_is_an_error_of_ours(prepared: Path, tmp_path: Path) -> None:
    shutil.copytree(prepared, tmp_path / "set")
    shutil.rmtree(tmp_path / "set" / "images")
    with pytest.raises(UsageError, match="prepare the set anew"):
        open_set(tmp_path / "set").image(0)
