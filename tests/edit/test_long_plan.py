"""The plan that is kept on the disk: the jobs and the refusals of the plan in memory."""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exprgan.edit.long_plan import LongPlan
from exprgan.edit.manifest import PARTS, Entry, Manifest, Origin, sha256_of
from exprgan.edit.plan import Job, PlanOptions, plan_jobs
from exprgan.errors import ExprganError, UsageError
from tests.conftest import RunCli
from tests.edit.test_batch import MadeEditor, contents, photos

__all__ = ["photos"]


def both(sources: list[str], options: PlanOptions) -> tuple[list[Job] | str, list[Job] | str]:
    """Jobs, or the message of the refusal, of both plans."""
    answers: list[list[Job] | str] = []
    for make in (
        lambda: list(plan_jobs(sources, options).jobs),
        lambda: list(LongPlan(sources, options).jobs()),
    ):
        try:
            answers.append(make())
        except ExprganError as error:
            answers.append(f"{type(error).__name__}: {error}")
    return answers[0], answers[1]


NAMES = st.sampled_from(
    [
        "a.png",
        "a.jpg",
        "a.heic",
        "a.gif",
        "a-sad.png",
        "sub/a.png",
        "sub/b.tif",
        "b.png",
        ".x.png",
        "n.txt",
        "ü.webp",
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(NAMES, min_size=1, max_size=7, unique=True),
    st.lists(st.sampled_from(["a-happy.png", "sub/a-sad.png", "b-happy.png", "a-sad.png"]), max_size=2),
    st.sampled_from(["out", "in/out", "in"]),
    st.sampled_from(
        [["in"], ["in", "in/sub"], ["in/*"], ["in", "in/b.png"], ["in/a.png", "in/sub/a.png"], ["none", "in"]]
    ),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_both_plans_say_the_same(
    names: list[str],
    results: list[str],
    output: str,
    sources: list[str],
    overwrite: bool,
    skip_existing: bool,
    is_folder: bool,
) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        for name in [*(f"in/{name}" for name in names), *(f"{output}/{name}" for name in results)]:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if is_folder and name.startswith("out/"):
                path.mkdir(exist_ok=True)
            elif not path.exists():
                path.touch()
        options = PlanOptions(
            ["happy", "sad"], root / output, overwrite=overwrite, skip_existing=skip_existing
        )
        expected, found = both([str(root / source) for source in sources], options)
        assert found == expected


def test_names_that_are_no_text_and_links_keep_their_meaning(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in (b"\xff.png", "ü'\";.png".encode()):
        (tmp_path / "in" / os.fsdecode(name)).touch()
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "in" / os.fsdecode(b"\xff.png"))
    expected, found = both([str(tmp_path / "in")], PlanOptions(["happy"], tmp_path / "out"))
    assert found == expected and len(found) == 3


def test_it_needs_a_folder_and_gives_the_folders_of_results(tmp_path: Path) -> None:
    for name in ("in/a.png", "in/x/b.png", "in/x/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match="needs --output FOLDER"):
        LongPlan([str(tmp_path / "in")], PlanOptions(["happy"]))
    plan = LongPlan([str(tmp_path / "in")], PlanOptions(["happy"], tmp_path / "out"))
    assert plan.num_jobs == 3
    assert sorted(plan.folders()) == [tmp_path / "out", tmp_path / "out/x"]
    plan.close()


def test_the_record_of_all_parts_is_looked_up_job_by_job(tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    for name in ("a.png", "b.png"):
        (source / name).touch()

    def entry(output: str, content: bytes) -> Entry:
        return Entry(output, sha256_of(content), len(content), "x", Origin("1", {}, "w"), "0")

    Manifest(out).append(entry("a-happy.png", b"old"))
    Manifest(out, part="p").append(entry("a-happy.png", b"new"))
    Manifest(out, part="q").append(entry("b-happy.png", b"b"))
    assert {path.name for path in (out / PARTS).iterdir()} == {"p.jsonl", "q.jsonl"}
    plan = LongPlan([str(source)], PlanOptions(["happy"], out, skip_existing=True))
    first, second = plan.jobs()
    assert [each.sha256 for each in plan.recorded(first)] == [sha256_of(b"old"), sha256_of(b"new")]
    assert [each.output for each in plan.recorded(second)] == ["b-happy.png"]
    plan.close()
    for content in (b"old", b"new"):  # either line proves a file
        (out / "a-happy.png").write_bytes(content)
        assert Manifest(out).why_not_finished(out / "a-happy.png", Origin("1", {}, "w")) == ""
    (out / "a-happy.png").write_bytes(b"other")
    assert "has changed" in Manifest(out).why_not_finished(out / "a-happy.png", Origin("1", {}, "w"))


def test_a_list_names_the_photos_of_a_folder(
    run_cli: RunCli, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exprgan.edit.editor.Editor.from_pretrained", lambda *_, **__: MadeEditor())
    names = tmp_path / "names.txt"
    names.write_text("sub/a.png\n\n./b.jpg\r\nsub/a.png\nnone.png\n")
    result = run_cli("edit", photos, "-o", tmp_path / "out", "--input-list", names)
    assert (result.code, "none.png does not exist" in result.stderr) == (1, True)
    assert set(contents(tmp_path / "out")) == {"sub/a-happy.png", "b-happy.jpg"}
    expected, found = both([str(photos)], PlanOptions(["happy"], tmp_path / "o2", names=names))
    assert found == expected and len(found) == 3


@pytest.mark.parametrize(
    ("lines", "sources", "words"),
    [
        ("../x.png\n", ["photos"], "Line 1 of .* leads out"),
        ("a.png\n/x.png\n", ["photos"], "Line 2 of .* leads out"),
        ("s3://b/x.png\n", ["photos"], "leads out"),
        ("\n", ["photos"], "names no photo"),
        ("a.png\n", ["photos", "photos/sub"], "one folder"),
        ("a.png\n", ["photos/a.png"], "give the folder"),
        (None, ["photos"], "cannot be read"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused(
    run_cli: RunCli, photos: Path, tmp_path: Path, lines: str | None, sources: list[str], words: str
) -> None:
    names = tmp_path / "names.txt"
    if lines is not None:
        names.write_text(lines)
    given = [tmp_path / source for source in sources]
    result = run_cli("edit", *given, "-o", tmp_path / "out", "--input-list", names, "--dry-run")
    assert result.code == 2
    assert re.search(words, result.stderr), result.stderr
