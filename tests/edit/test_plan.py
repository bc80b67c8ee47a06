"""What an edit is going to read and write."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprgan.edit.plan import Job, Plan, PlanOptions, plan_jobs, wanted_expressions
from exprgan.errors import UnreadableImage, UsageError
from exprgan.expressions import EXPRESSIONS


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.touch()
    return path


def plan(*sources: Path | str, to: tuple[str, ...] = ("happy",), **options: object) -> Plan:
    return plan_jobs([str(source) for source in sources], PlanOptions(to, **options))  # type: ignore[arg-type]


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def written(found: Plan, folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for job in found.jobs for path in job.targets}


def test_all_stands_for_the_eight_and_doubles_fall_out() -> None:
    assert list(wanted_expressions(["sad", "ALL"])) == [
        "sad",
        *(name for name in EXPRESSIONS if name != "sad"),
    ]
    with pytest.raises(UsageError, match="did you mean happy"):
        wanted_expressions(["hapy"])


def test_the_result_stands_beside_the_photo(photo: Path) -> None:
    found = plan(photo)
    assert found.jobs == (Job(photo, {"happy": photo.with_name("photo-happy.jpg")}),)
    assert found.is_single and found.folder is None


def test_output_names_a_file_for_one_expression_and_a_folder_for_several(photo: Path, tmp_path: Path) -> None:
    assert plan(photo, output=tmp_path / "x.png").jobs[0].outputs == {"happy": tmp_path / "x.png"}
    found = plan(photo, to=("sad", "fear"), output=tmp_path / "out", with_sheet=True)
    assert written(found, tmp_path / "out") == {"photo-sad.jpg", "photo-fear.jpg", "photo-sheet.png"}


def test_an_existing_folder_as_output_takes_the_result(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "a.dir").mkdir()
    assert written(plan(photo, output=tmp_path / "a.dir"), tmp_path / "a.dir") == {"photo-happy.jpg"}


def test_nothing_is_overwritten_unasked(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is the input itself.*--overwrite"):
        plan(photo, output=photo)
    link = tmp_path / "link.jpg"
    link.symlink_to(photo)
    with pytest.raises(UsageError, match="is the input itself"):
        plan(photo, output=link)
    touch(tmp_path, "sheet.png")
    with pytest.raises(UsageError, match="--overwrite"):
        plan(photo, compare=tmp_path / "sheet.png")
    assert plan(photo, output=photo, overwrite=True).jobs[0].outputs == {"happy": photo}


def test_impossible_outputs_are_refused_before_any_work(photo: Path, tmp_path: Path) -> None:
    touch(tmp_path, "file.txt")
    (tmp_path / "photo-fear.jpg").mkdir()
    for words, options in (
        ("cannot be written", {"output": tmp_path / "x.doc"}),
        ("is a file", {"to": ("sad", "fear"), "output": tmp_path / "file.txt"}),
        ("both be written", {"output": tmp_path / "x.png", "compare": tmp_path / "x.png"}),
        ("is a folder", {"to": ("fear",), "overwrite": True}),
        ("--skip-existing needs --output FOLDER", {"skip_existing": True}),
    ):
        with pytest.raises(UsageError, match=words):
            plan(photo, **options)  # type: ignore[arg-type]
    with pytest.raises(UnreadableImage, match=r"none.jpg, .*neither.jpg do not exist"):
        plan(photo, tmp_path / "none.jpg", tmp_path / "neither.jpg")


def test_names_that_grow_too_long_are_refused_before_any_work(tmp_path: Path) -> None:
    long = touch(tmp_path, f"{'a' * 249}.jpg") / f"{'a' * 249}.jpg"
    with pytest.raises(UsageError, match="longer than the 255 bytes"):
        plan(long)
    assert plan(long, output=tmp_path / "short.jpg").jobs[0].targets == [tmp_path / "short.jpg"]
    with pytest.raises(UnreadableImage, match="does not exist"):
        plan(tmp_path / f"{'b' * 300}.jpg")


def test_a_folder_is_mirrored_without_its_own_results_and_hidden_files(tmp_path: Path) -> None:
    names = ("a/1.jpg", "b/1.jpg", "b/notes.txt", "2.PNG", "live.heic")
    photos = touch(tmp_path / "photos", *names, "out/old-happy.jpg", ".hidden.jpg", ".thumbs/3.jpg")
    found = plan(photos, output=photos / "out")
    assert not found.is_single and found.folder == photos / "out"
    assert written(found, photos / "out") == {
        "a/1-happy.jpg",
        "b/1-happy.jpg",
        "2-happy.PNG",
        "live-happy.png",
    }
    flat = plan(photos, output=photos / "out", recursive=False)
    assert written(flat, photos / "out") == {"2-happy.PNG", "live-happy.png"}


def test_a_pattern_is_mirrored_from_its_fixed_part(tmp_path: Path) -> None:
    touch(tmp_path, "in/a/1.jpg", "in/b/1.jpg", "in/b/x.txt", "in/2.jpg")
    out = tmp_path / "out"
    assert written(plan(tmp_path / "in/*/*.jpg", output=out), out) == {"a/1-happy.jpg", "b/1-happy.jpg"}
    assert len(plan(tmp_path / "in/**/*", output=out).jobs) == 3
    assert len(plan(tmp_path / "in/*", output=out).jobs) == 3
    beside = plan(tmp_path / "in/*/1.jpg")
    assert [job.outputs["happy"] for job in beside.jobs] == [
        tmp_path / "in/a/1-happy.jpg",
        tmp_path / "in/b/1-happy.jpg",
    ]
    with pytest.raises(UnreadableImage, match="has no photos"):
        plan(tmp_path / "in/*.png", output=out)


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].jpg", "a1.jpg")
    assert plan(tmp_path / "a[1].jpg").jobs[0].source.name == "a[1].jpg"


def test_several_inputs_make_one_plan_and_doubles_count_once(photo: Path, tmp_path: Path) -> None:
    folder = touch(tmp_path / "more", "1.jpg", "sub/2.jpg")
    out = tmp_path / "out"
    found = plan(photo, folder, folder / "1.jpg", output=out)
    assert written(found, out) == {"photo-happy.jpg", "1-happy.jpg", "sub/2-happy.jpg"}


def test_a_folder_needs_another_folder_as_output_and_has_no_compare(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--output FOLDER"):
        plan(tmp_path)
    with pytest.raises(UsageError, match="single photo"):
        plan(tmp_path, output=tmp_path / "out", compare=tmp_path / "sheet.png")
    with pytest.raises(UsageError, match="is the folder of the photos"):
        plan(tmp_path, output=tmp_path)
    with pytest.raises(UsageError, match="is a file"):
        plan(tmp_path, output=photo)
    with pytest.raises(UnreadableImage, match="has no photos"):
        plan(touch(tmp_path / "empty", "x.txt"), output=tmp_path / "out")


def test_one_error_names_all_collisions(tmp_path: Path) -> None:
    photos = touch(tmp_path / "in", "1.heic", "1.gif", "2.heic", "2.png", "3.jpg")
    touch(tmp_path / "out", "3-happy.jpg")
    with pytest.raises(UsageError) as error:
        plan(photos, output=tmp_path / "out")
    text = str(error.value)
    assert "1-happy.png (from" in text and "2-happy.png (from" in text and "3-happy.jpg" in text


def test_existing_results_wait_for_their_turn_with_skip_existing(tmp_path: Path) -> None:
    photos = touch(tmp_path / "in", "1.jpg", "2.jpg")
    touch(tmp_path / "out", "1-happy.jpg")
    with pytest.raises(UsageError, match="--skip-existing"):
        plan(photos, output=tmp_path / "out")
    assert len(plan(photos, output=tmp_path / "out", skip_existing=True).jobs) == 2


def test_an_input_is_never_replaced_by_another_photos_result(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "1-happy.jpg")
    with pytest.raises(UsageError, match="An input would be replaced"):
        plan(tmp_path / "1.jpg", tmp_path / "1-happy.jpg", overwrite=True)


stems = st.sampled_from(["1", "1-happy", "1-sad", "1-sheet", "a"])
names = st.builds(
    lambda folders, stem, suffix: str(PurePosixPath(*folders, stem + suffix)),
    st.lists(st.sampled_from(["x", "y"]), max_size=2),
    stems,
    st.sampled_from([".jpg", ".png", ".heic", ".gif"]),
)


@given(
    found=st.sets(names, min_size=1, max_size=8),
    output=st.sampled_from(["out", "in/x", "in/out"]),
    with_sheet=st.booleans(),
    overwrite=st.booleans(),
)
def test_a_plan_writes_every_file_once_and_over_no_input(
    found: set[str], output: str, with_sheet: bool, overwrite: bool
) -> None:
    with TemporaryDirectory() as place:
        folder = Path(place)
        for name in found:
            with suppress(OSError):  # a file where another name wants a folder
                touch(folder / "in", name)
        options = PlanOptions(
            ["happy", "sad"], output=folder / output, with_sheet=with_sheet, overwrite=overwrite
        )
        try:
            made = plan_jobs([str(folder / "in")], options)
        except (UsageError, UnreadableImage):
            return
        targets = [path for job in made.jobs for path in job.targets]
        assert len(targets) == len(set(targets)) == len(made.jobs) * (3 if with_sheet else 2)
        assert not {job.source for job in made.jobs} & set(targets)
        assert all(folder / output in path.parents for path in targets)
        assert overwrite or not any(path.is_file() for path in targets)
