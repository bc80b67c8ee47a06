"""What `exprgan edit` is going to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from exprgan.cli.edit_plan import Job, plan_jobs, wanted_expressions
from exprgan.errors import UnreadableImage, UsageError
from exprgan.expressions import EXPRESSIONS


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.touch()
    return path


def plan(source: Path, *expressions: str, **changes: object) -> list[Job]:
    options: dict[str, object] = {"output": None, "compare": None, "overwrite": False, **changes}
    return plan_jobs(source, list(expressions) or ["happy"], **options)  # type: ignore[arg-type]


def test_all_stands_for_the_eight_and_doubles_fall_out() -> None:
    assert wanted_expressions(["sad", "ALL"]) == ["sad", *(name for name in EXPRESSIONS if name != "sad")]
    with pytest.raises(UsageError, match="did you mean happy"):
        wanted_expressions(["hapy"])


def test_the_result_stands_beside_the_photo(photo: Path) -> None:
    assert plan(photo) == [Job(photo, {"happy": photo.with_name("photo-happy.jpg")})]


def test_output_names_a_file_for_one_expression_and_a_folder_for_several(photo: Path, tmp_path: Path) -> None:
    assert plan(photo, output=tmp_path / "x.png")[0].outputs == {"happy": tmp_path / "x.png"}
    jobs = plan(photo, "sad", "fear", output=tmp_path / "out")
    assert jobs[0].outputs == {
        "sad": tmp_path / "out/photo-sad.jpg",
        "fear": tmp_path / "out/photo-fear.jpg",
    }


def test_an_existing_folder_as_output_takes_the_result(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "a.dir").mkdir()
    assert plan(photo, output=tmp_path / "a.dir")[0].outputs["happy"] == tmp_path / "a.dir/photo-happy.jpg"


def test_nothing_is_overwritten_unasked(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--overwrite"):
        plan(photo, output=photo)
    (tmp_path / "sheet.png").touch()
    with pytest.raises(UsageError, match="--overwrite"):
        plan(photo, compare=tmp_path / "sheet.png")
    assert plan(photo, output=photo, overwrite=True)[0].outputs == {"happy": photo}


def test_impossible_outputs_are_refused_before_any_work(photo: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        plan(photo, output=tmp_path / "x.doc")
    (tmp_path / "file.txt").touch()
    with pytest.raises(UsageError, match="is a file"):
        plan(photo, "sad", "fear", output=tmp_path / "file.txt")
    with pytest.raises(UsageError, match="would both be written"):
        plan(photo, output=tmp_path / "x.png", compare=tmp_path / "x.png")
    with pytest.raises(UnreadableImage, match="does not exist"):
        plan(tmp_path / "none.jpg")


def test_a_folder_is_mirrored_without_its_own_results(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    for name in (
        "a/1.jpg",
        "b/1.jpg",
        "b/notes.txt",
        "2.PNG",
        "live.heic",
        "out/old-happy.jpg",
        ".hidden.jpg",
    ):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).touch()
    jobs = plan(photos, output=photos / "out")
    written = {path.relative_to(photos / "out").as_posix() for job in jobs for path in job.outputs.values()}
    assert written == {"a/1-happy.jpg", "b/1-happy.jpg", "2-happy.PNG", "live-happy.png"}


def test_a_folder_needs_an_output_and_has_no_sheet(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--output FOLDER"):
        plan(tmp_path)
    with pytest.raises(UsageError, match="single photo"):
        plan(tmp_path, output=tmp_path / "out", compare=tmp_path / "sheet.png")
    with pytest.raises(UnreadableImage, match="has no photos"):
        plan(tmp_path, output=tmp_path / "out")


def test_two_photos_that_would_become_one_file_are_an_error(tmp_path: Path) -> None:
    for name in ("1.heic", "1.gif"):
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="would both be written"):
        plan(tmp_path, output=tmp_path / "out")
