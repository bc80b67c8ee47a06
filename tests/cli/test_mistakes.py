"""Typical mistakes: each is answered by one line that says what is wrong, where, and what to do next."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest

from tests.conftest import RunCli

MISTAKES = [
    # command line, exit code, what the message names, what to do next
    ("edti photo.jpg", 2, "'edti'", "Did you mean 'edit'?"),
    ("weights lst", 2, "'lst'", "Did you mean 'list'?"),
    ("edit photo.jpg --too happy", 2, "--too", "--to"),
    ("edit photo.jpg --to", 2, "'--to'", "requires an argument"),
    ("edit photo.jpg --to hapy", 2, "'hapy'", "did you mean happy?"),
    ("edit photo.jpg --to xyz", 2, "'xyz'", "choose from neutral, happy"),
    ("edit photo.jpg --to happy,sad", 2, "'happy,sad'", "--to happy --to sad"),
    ("edit photo.jpg sad", 4, "sad does not exist", "write --to sad"),
    ("edit photo.jpg --strength strong", 2, "--strength strong", "write a number"),
    ("edit photo.jpg --strength 70", 2, "70", "from 0 to 1"),
    ("edit photo.jpg --strength nan", 2, "nan", "from 0 to 1"),
    ("edit photo.jpg --to sad --jobs 0", 2, "'--jobs'", "greater than or equal to 1"),
    ("edit photo.jpg --to sad --format xml", 2, "'xml'", "'human', 'json'"),
    ("edit photo.jpg --to sad --compare sheet.gif", 2, "*.gif", "PNG, WebP"),
    ("edit photo.jpg --to sad --compare sheet", 2, "without an extension", "with --compare"),
    ("edit photo.jpg --output new.gif", 2, "*.gif", "with --output"),
    ("edit photo.jpg", 2, "photo-happy.jpg", "--overwrite"),
    ("edit photo.jpg --output photo.jpg", 2, "the input itself", "--overwrite"),
    ("edit photo.jpg --to sad --skip-existing", 2, "--skip-existing", "--output FOLDER"),
    ("edit none.jpg", 4, "none.jpg", "check the name"),
    ("edit fotos/ --output out", 4, "fotos/", "check the name"),
    ("edit empty --output out", 4, "empty", "name a folder with"),
    ("edit none*.jpg --output out", 4, "none*.jpg", "name a folder with"),
    ("edit photos", 2, "folder of photos", "--output FOLDER"),
    ("edit photos --output photos", 2, "photos", "another one for the results"),
    ("edit photos --output new.jpg", 2, "new.jpg", "name a folder"),
    ("edit photos --output out --compare sheet.png", 2, "--compare", "a single photo"),
    ("edit photo.jpg - --to sad", 2, "stdin", "give it alone"),
    ("edit photo.jpg --to sad --device gpu", 2, "'gpu'", "choose auto, cpu"),
    ("edit photo.jpg --to sad --detector yolo", 2, "'yolo'", "builtin, retinaface"),
    ("edit photo.jpg --to sad --weights nowhere", 5, "nowhere is no folder", "leave out --weights"),
    ("edit photo.jpg --to sad --weights empty", 5, "has no manifest.json", "leave out --weights"),
    ("edit photo.jpg --to sad --weights owner/name", 5, "owner/name is no folder", "OWNER/NAME@REVISION"),
    ("edit photo.jpg --to sad --weights broken", 5, "manifest.json is damaged", "restore it"),
    ("edit photo.jpg --to sad --weights net.pth", 5, "net.pth", "exprgan weights convert"),
    ("weights verify --weights changed", 5, "sha256 differs", "restore it"),
    ("weights list --weights incomplete", 5, "incomplete", "leave out --weights"),
    ("weights download owner", 2, "'owner'", "write OWNER/NAME"),
    ("weights push empty owner/name --dry-run", 5, "empty", "name one that has"),
    ("weights convert none.pth --architecture unet --output out", 5, "none.pth", "check the path"),
    ("weights convert fake.jpg --architecture unet --output out", 5, "fake.jpg", "check the name"),
    ("weights convert net.pth --architecture unit --output out", 2, "'unit'", "choose from bisenet"),
    ("weights convert net.pth --architecture unet --output out", 5, "could run code", "ask its maker"),
    ("weights convert net.pth --architecture unet --output out --set width", 2, "width", "--set width=16"),
    ("faces photos", 4, "photos is a folder", "name a photo in it"),
    ("faces fake.jpg", 4, "fake.jpg", "give JPEG, PNG"),
    ("faces cut.jpg", 4, "cut.jpg is damaged", "another copy"),
    ("segment photo.jpg --output regions.jpg", 2, "regions.jpg", "ends in .png"),
    ("train nose --data empty --output run", 2, "'nose'", "unet"),
    ("train unified --data empty --output run", 2, "no faces.csv", "open-faces set"),
]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_path: Path, root: Path) -> Path:
    """A folder with photos and weights, some of them faulty, as the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EXPRGAN_WEIGHTS", raising=False)
    for name in ("empty", "photos", "broken", "changed", "incomplete"):
        Path(name).mkdir()
    for name in ("photo.jpg", "photo-happy.jpg", "photos/a.jpg"):
        shutil.copy(sample_path, name)
    Path("cut.jpg").write_bytes(sample_path.read_bytes()[:3000])
    Path("fake.jpg").write_text("no photo")
    Path("net.pth").write_bytes(pickle.dumps(Path("x")))
    Path("broken/manifest.json").write_text("{")
    Path("changed/net.safetensors").write_bytes(b"1234")
    record = {"file": "net.safetensors", "sha256": "0" * 64, "size_bytes": 4, "architecture": "unet"}
    Path("changed/manifest.json").write_text(json.dumps({"weights": {"net": record}}))
    shutil.copy(root / "weights" / "unet.safetensors", "incomplete")
    return tmp_path


@pytest.mark.parametrize(("line", "code", "what", "next_step"), MISTAKES, ids=[line[0] for line in MISTAKES])
def test_a_mistake_is_told_with_what_to_do_next(
    run_cli: RunCli, place: Path, line: str, code: int, what: str, next_step: str
) -> None:
    before = sorted(place.rglob("*"))
    result = run_cli(*line.split())
    assert result.code == code, result.stderr
    assert what in result.stderr
    assert next_step in result.stderr
    assert "Traceback" not in result.stderr and "inside exprgan" not in result.stderr
    assert result.stdout == ""
    if not line.startswith("train"):  # records its command in the run's folder first
        assert sorted(place.rglob("*")) == before


def test_a_face_that_is_not_there_is_told_with_those_that_are(run_cli: RunCli, place: Path) -> None:
    result = run_cli("segment", "photo.jpg", "--face", "9", "--device", "cpu")
    assert result.code == 2
    assert "There is no face 9: the photo has one face, number 0" in result.stderr


def test_weights_named_by_the_environment_are_told_so(
    run_cli: RunCli, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPRGAN_WEIGHTS", "nowhere")
    result = run_cli("edit", "photo.jpg", "--to", "sad")
    assert result.code == 5
    assert "unset EXPRGAN_WEIGHTS" in result.stderr
