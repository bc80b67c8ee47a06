"""Series of strengths, and the table of a set of edits."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from exprgan.edit.design import design_of, load_design
from exprgan.edit.manifest import sha256_of
from exprgan.edit.plan import MOST_STEPS, asked_for, parse_strengths
from exprgan.edit.table import COLUMNS, Table
from exprgan.errors import ExprganError, UsageError
from exprgan.face_model.expression import Expression
from tests.conftest import RunCli


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("0.6", [0.6]),
        ("0,0.5,1", [0, 0.5, 1]),
        ("0:1:0.25", [0, 0.25, 0.5, 0.75, 1]),
        ("0:1:0.1", [round(0.1 * step, 9) for step in range(11)]),
        ("0.2:0.5:0.2", [0.2, 0.4]),
        ("1:1:1", [1]),
    ],
)
def test_words_for_strengths(word: str, expected: list[float]) -> None:
    assert parse_strengths(word) == expected


@pytest.mark.parametrize(
    "word",
    [
        "",
        "much",
        "0:1",
        "0:1:0",
        "0:1:-1",
        "1:0:0.1",
        "0:inf:1",
        "0,,1",
        "nan",
        "2",
        "-0.1",
        "1,1",
        "0:1:1e-6",
    ],
)
def test_words_that_are_no_strengths(word: str) -> None:
    with pytest.raises(UsageError):
        parse_strengths(word)


def test_names_of_a_series_sort_in_its_order() -> None:
    expressions = {name: Expression.parse(name) for name in ("happy", "sad")}
    assert list(asked_for(expressions, [0.5])) == ["happy", "sad"]
    assert MOST_STEPS <= 1000
    labels = list(asked_for(expressions, [step / 100 for step in range(101)]))
    assert labels[:2] == ["happy-000", "happy-001"]
    assert labels == sorted(labels)


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as picture:
        return np.asarray(picture)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_series_with_its_table(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    table = tmp_path / "edits.csv"
    words = ("edit", sample_path, "--to", "happy", "--strength", "0:1:0.5", "--model", "face_model")
    result = run_cli(*words, "-o", tmp_path / "out", "--table", table, "--format", "json")
    assert result.code == 0, result.stderr
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["strength"] for record in records] == [0, 0.5, 1]
    files = [tmp_path / "out" / f"portrait-happy-{number:02d}.jpg" for number in range(3)]
    assert [Path(record["output"]) for record in records] == files
    rows = rows_of(table)
    assert list(rows[0]) == list(COLUMNS)
    assert [row["output"] for row in rows] == [str(path) for path in files]
    assert [row["output_sha256"] for row in rows] == [sha256_of(path.read_bytes()) for path in files]
    assert {row["input_sha256"] for row in rows} == {sha256_of(sample_path.read_bytes())}
    assert {row["expression"] for row in rows} == {"happy"}
    smiles = [float(row["after_AU12"]) for row in rows]
    assert smiles[0] < smiles[1] < smiles[2]
    assert {row["before_AU12"] for row in rows} == {rows[0]["before_AU12"]}
    assert abs(smiles[0] - float(rows[0]["before_AU12"])) < 0.05
    alike = [float(row["identity_cosine"]) for row in rows]
    assert 1 >= alike[0] > alike[2] > 0.8
    assert float(rows[2]["residual_after_cm"]) < 0.05
    assert rows[0]["weights"].startswith("face_model ")
    assert rows[0]["region"] == "all"


def test_strength_0_of_a_series_is_the_photo(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.open(sample_path).save(photo)
    result = run_cli(
        "edit", photo, "--to", "sad", "--strength", "0,1", "-o", tmp_path / "out", "--model", "face_model"
    )
    assert result.code == 0, result.stderr
    first, last = (np.asarray(Image.open(tmp_path / "out" / f"photo-sad-0{number}.png")) for number in (0, 1))
    np.testing.assert_array_equal(first, np.asarray(Image.open(photo)))
    assert (last != first).any()


def test_a_batch_goes_on_with_its_table(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    photos, out, table = tmp_path / "photos", tmp_path / "out", tmp_path / "edits.csv"
    photos.mkdir()
    shutil.copy(sample_path, photos / "a.jpg")
    words = ("edit", photos, "-o", out, "--table", table, "--model", "face_model", "--skip-existing")
    assert run_cli(*words).code == 0
    with table.open("a") as file:
        file.write("torn line")
    shutil.copy(sample_path, photos / "b.jpg")
    assert run_cli(*words).code == 0
    assert [Path(row["output"]).name for row in rows_of(table)] == ["a-happy.jpg", "b-happy.jpg"]
    (out / "a-happy.jpg").unlink()
    assert run_cli(*words).code == 0  # made again: one row of it is left
    assert [Path(row["output"]).name for row in rows_of(table)] == ["a-happy.jpg", "b-happy.jpg"]


def row(output: str, note: str = "") -> dict[str, str]:
    return {"output": output, "face": "0", "note": note}


def test_a_table_that_exists_is_not_replaced_unasked(tmp_path: Path) -> None:
    path = tmp_path / "edits.csv"
    path.write_text("my,own\n1,2\n")
    with pytest.raises(UsageError, match="--overwrite or name another --table"):
        Table(path)
    with pytest.raises(UsageError, match="no table of this version"):
        Table(path, resume=True)
    assert path.read_text() == "my,own\n1,2\n"
    Table(path, overwrite=True).close()
    assert rows_of(path) == []
    with pytest.raises(UsageError, match="cannot be written"):
        Table(tmp_path / "none" / "edits.csv")


def test_rows_are_on_disk_at_once_and_in_order_at_the_end(tmp_path: Path) -> None:
    table = Table(tmp_path / "edits.csv")
    table.add([row("b", 'with "quotes", and\na line')])
    table.add([row("a"), row("c")])
    assert [each["output"] for each in rows_of(table.path)] == ["b", "a", "c"]
    table.add([row("c", "again")])
    table.drop(Path("a"))
    table.close()
    found = [(each["output"], each["note"]) for each in rows_of(table.path)]
    assert found == [("b", 'with "quotes", and\na line'), ("c", "again")]


def test_a_result_that_cannot_be_written_leaves_no_row(
    run_cli: RunCli, sample_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, data: bytes) -> None:
        raise ExprganError("the disk is full")

    monkeypatch.setattr("exprgan.photos.image_io.write_atomic", fail)
    table = tmp_path / "edits.csv"
    result = run_cli("edit", sample_path, "-o", tmp_path / "a.jpg", "--table", table, "--model", "face_model")
    assert result.code == 1
    assert "the disk is full" in result.stderr
    assert rows_of(table) == []


DESIGN = """
strengths = [0.5, 1]
regions = ["all", "eyes"]
neutral = true
crop_px = 128

[expressions]
happy = "happy"
wary = { to = "fear:0.5", controls = { AU4 = 0.5 } }
"""


def test_a_design_crosses_its_factors(tmp_path: Path) -> None:
    path = tmp_path / "design.toml"
    path.write_text(DESIGN)
    design = load_design(path)
    assert list(design.asked) == [
        "neutral",
        *(
            f"{name}-{region}-0{n}"
            for name in ("happy", "wary")
            for region in ("all", "eyes")
            for n in (0, 1)
        ),
    ]
    expression, strength = design.asked["wary-eyes-01"]
    assert strength == 1.0
    assert expression.text == "fear:0.5 AU4=0.5 @eyes"
    assert design.crop_px == 128
    plain = design_of({"expressions": {"smile": "happy"}, "strengths": "0:1:0.5"})
    assert list(plain.asked) == ["smile-00", "smile-01", "smile-02"]
    assert design_of({"expressions": {"smile": "happy"}}).asked["smile"].strength == 1.0


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, r"\[expressions\] is missing"),
        ({"expressions": {"a": "happy"}, "sizes": 3}, "no key 'sizes'; a design has"),
        ({"expressions": {"a": "hapy"}}, "happy"),
        ({"expressions": {"a/b": "happy"}}, "cannot be part of a file's name"),
        ({"expressions": {"a": 3}}, "is no expression; write"),
        ({"expressions": {"a": {"too": "happy"}}}, "is no expression; write"),
        ({"expressions": {"a": "happy"}, "strengths": [2]}, "from 0 to 1.5"),
        ({"expressions": {"a": "happy"}, "strengths": [True]}, "no list of numbers"),
        ({"expressions": {"a": "happy"}, "regions": "eyes"}, "no list of names"),
        ({"expressions": {"a": "happy"}, "regions": ["ears"]}, "ears"),
        ({"expressions": {"a": "happy"}, "crop_px": 10}, "give 64 to 2048"),
        ({"expressions": {"a": "happy"}, "crop_px": 1.5}, "give a whole number"),
        ({"expressions": {"neutral": "happy"}, "neutral": True}, "would be called neutral"),
        (
            {"expressions": {"a": "happy"}, "strengths": "0:1:0.001", "regions": ["all", "eyes"]},
            "more than 1000",
        ),
    ],
)
def test_designs_that_mean_nothing(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        design_of(entries)


def test_a_set_of_stimuli(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    design, out = tmp_path / "design.toml", tmp_path / "set"
    design.write_text(DESIGN)
    words = (
        "series",
        sample_path,
        "--design",
        design,
        "--output",
        out,
        "--model",
        "face_model",
        "--skip-existing",
    )
    result = run_cli(*words)
    assert result.code == 0, result.stderr
    rows = rows_of(out / "table.csv")
    assert len(rows) == 9
    assert {row["region"] for row in rows} == {"all", "eyes"}
    assert all(Path(row["output"]).exists() for row in rows)
    crops = [pixels_of(Path(row["output"])) for row in rows]
    assert {crop.shape for crop in crops} == {(128, 128, 3)}
    assert pixels_of(out / "portrait-sheet.png").shape[1] > 1000
    eyes_only = pixels_of(out / "portrait-happy-eyes-01.png").astype(int)
    whole, neutral = (
        pixels_of(out / f"portrait-{name}.png").astype(int) for name in ("happy-all-01", "neutral")
    )
    assert (
        np.abs(whole - neutral)[85:].sum() > 2 * np.abs(eyes_only - neutral)[85:].sum()
    )  # the mouth is below
    made = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix == ".png"}
    (out / "portrait-neutral.png").unlink()
    assert run_cli(*words).code == 0
    again = {path.name: path.stat().st_mtime_ns for path in out.iterdir() if path.suffix == ".png"}
    assert {name for name in made if made[name] != again[name]} == {"portrait-neutral.png"}
    assert len(rows_of(out / "table.csv")) == 9


def test_a_grid_of_two_expressions(run_cli: RunCli, sample_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "grid.png"
    words = (
        "series",
        sample_path,
        "--grid",
        "happy,surprise",
        "--steps",
        "2",
        "-o",
        path,
        "--model",
        "face_model",
    )
    result = run_cli(*words, "--format", "json")
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout)["shares"] == [0, 1]
    assert min(pixels_of(path).shape[:2]) > 400
    assert run_cli(*words).code == 2  # exists


@pytest.fixture
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "either --design DESIGN.toml or --grid"),
        (("--grid", "happy"), "name two expressions"),
        (("--grid", "happy,happy"), "one expression twice"),
        (("--design", "none.toml", "--output", "set"), "cannot be read"),
        (("--design", "none.toml"), "--output FOLDER"),
        (("--grid", "happy,sad", "--model", "unified"), "needs the face model"),
        (("--grid", "happy,sad", "--output", "grid.tiff"), "end --output in"),
    ],
)
def test_mistakes_with_series(
    run_cli: RunCli, sample_path: Path, in_folder: Path, words: tuple[str, ...], message: str
) -> None:
    result = run_cli("series", sample_path, *words)
    assert result.code == 2
    assert message in result.stderr
    assert list(in_folder.iterdir()) == []
