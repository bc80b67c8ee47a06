"""`exprgan data check` and `exprgan data prepare`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from exprgan.data.face_set import open_set
from exprgan.data.readers import SETS
from exprgan.faces.choice import MAX_YAW_DEG
from tests import made_sets
from tests.conftest import RunCli


def test_check_counts_and_names_what_does_not_fit(run_cli: RunCli, tmp_path: Path) -> None:
    made_sets.make_kdef(tmp_path)
    result = run_cli("data", "check", "kdef", tmp_path)
    assert result.code == 0
    assert "kdef: 7 pictures can be used" in result.stdout
    assert "1 left out, the name is none of KDEF's: KDEF/AF31/AF31V.JPG" in result.stderr
    people = next(line for line in result.stdout.splitlines() if "people" in line)
    assert sum(int(cell) for cell in people.split()[1:]) == 2


def test_check_in_json(run_cli: RunCli, tmp_path: Path) -> None:
    made_sets.make_celebamask_hq(tmp_path)
    result = run_cli("data", "check", "celebamask-hq", tmp_path, "--format", "json")
    assert (result.code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {
        "set": "celebamask-hq",
        "usable": 5,
        "left_out": 3,
        "expressions": {"test": {"unlabelled": 1}, "train": {"unlabelled": 3}, "val": {"unlabelled": 1}},
        "subjects": {"train": 1},
        "masks": 5,
        "action_units": 0,
        "problems": {
            "no file of its mask is there": ["CelebA-HQ-img/4.jpg"],
            "not in the mapping to CelebA": ["CelebA-HQ-img/5.jpg"],
            "the name is none of CelebAMask-HQ's": ["CelebA-HQ-img/contact-sheet.jpg"],
        },
    }


def test_check_shortens_long_lists_of_names(run_cli: RunCli, tmp_path: Path) -> None:
    made_sets.save(tmp_path / "happy" / "a.jpg", made_sets.render(made_sets.RENDERS[1]))
    for number in range(8):
        (tmp_path / f"stray{number}.jpg").touch()
    short = run_cli("data", "check", "folder", tmp_path)
    assert "and 3 more (--verbose names them)" in short.stderr
    assert "stray7.jpg" not in short.stderr
    assert "stray7.jpg" in run_cli("data", "check", "folder", tmp_path, "--verbose").stderr


def test_check_ends_with_2_when_nothing_can_be_used(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    result = run_cli("data", "check", "rafd", tmp_path)
    assert result.code == 2
    assert "no picture of rafd that can be used" in result.stderr
    as_json = run_cli("data", "check", "rafd", tmp_path, "--format", "json")
    assert as_json.code == 2
    assert json.loads(as_json.stdout)["usable"] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("check", "affectnot", "."), "did you mean affectnet?"),
        (("check", "rafd", "nowhere"), "There is no folder"),
        (("prepare", "affectnet", ".", "--output", "out"), "give the folder that AffectNet was unpacked to"),
        (("prepare", "rafd", ".", "--output", "out", "--action-units", "no.csv"), "cannot be read"),
        (("prepare", "rafd", ".", "--output", "out", "--detector", "keen"), "no picture of rafd"),
        (("prepare", "rafd", ".", "--output", "out", "--max-yaw", "100"), "less than or equal to 90"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_cli("data", *arguments)
    assert result.code == 2
    assert told in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_prepare_tells_what_it_did(run_cli: RunCli, tmp_path: Path) -> None:
    made_sets.make_rafd(tmp_path / "rafd")
    arguments = ("data", "prepare", "rafd", tmp_path / "rafd", "--output", tmp_path / "set", "--jobs", 1)
    result = run_cli(*arguments)
    assert result.code == 0
    assert f"{tmp_path / 'set'}: 6 faces" in result.stdout
    assert "1 left out: the name is none of RaFD's" in result.stdout
    data = open_set(tmp_path / "set")
    assert len(data) == 6
    for who in ("28", "57", "61"):
        assert len(set(data.splits[data.subjects == who].tolist())) == 1
    again = run_cli(*arguments, "--format", "json")
    assert json.loads(again.stdout) == {
        "output": str(tmp_path / "set"),
        "faces": 6,
        "kept": 6,
        "left_out": {
            "a profile, which shows half a face": 1,
            "bored is no expression of RaFD's": 1,
            "the name is none of RaFD's": 1,
        },
    }


def test_prepare_packs_shards_with_units_of_openface(run_cli: RunCli, tmp_path: Path) -> None:
    made_sets.make_synthetic_faces(tmp_path / "renders")
    (tmp_path / "csv").mkdir()
    for name in made_sets.RENDERS:
        (tmp_path / "csv" / f"{name}.csv").write_text("face, confidence, AU12_r\n0, 0.9, 2.5\n")
    result = run_cli(
        *("data", "prepare", "synthetic-faces", tmp_path / "renders", "--output", tmp_path / "set"),
        *("--shards", 2, "--action-units", tmp_path / "csv"),
    )
    assert (result.code, result.stderr) == (0, "")
    data = open_set(tmp_path / "set")
    assert (data.action_units[:, 8] == 0.5).all()
    assert len(list((tmp_path / "set").glob("*.tar"))) == 2


def test_the_help_names_every_set_and_the_limit_of_yaw(run_cli: RunCli) -> None:
    text = " ".join(run_cli("data", "prepare", "--help").stdout.split())
    assert all(name in text for name in SETS)
    assert f"({MAX_YAW_DEG:.0f})" in text


def test_help_and_completion_load_no_heavy_library(root: Path) -> None:
    code = (
        "import sys; sys.argv = ['exprgan', 'data', 'check', '--help']; from exprgan.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    print('heavy', sorted({'torch', 'cv2', 'numpy', 'PIL'} & set(sys.modules)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "heavy []" in run.stdout
