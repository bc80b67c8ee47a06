"""The wheel carries the weights, and what it installs edits a photo far from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from exprgan.weights import read_manifest

BUILD = "from hatchling.build import build_wheel; import sys; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="hatchling is not installed; pip install -e '.[dev]'")
    folder = tmp_path_factory.mktemp("dist")
    run = subprocess.run(
        [sys.executable, "-c", BUILD, str(folder)], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return folder / run.stdout.split()[-1]


def test_wheel_has_code_weights_and_licence_and_nothing_else(wheel: Path, root: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    for name, record in read_manifest(root / "weights").items():
        for file in (record.file, f"{name}.json", record.card):
            assert f"exprgan/_weights/{file}" in names
    assert "exprgan/_weights/manifest.json" in names
    assert "exprgan/edit/editor.py" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "docs/"))]
    assert not [name for name in names if name.endswith((".pt", ".pth", ".npz", ".part"))]


def test_an_unpacked_wheel_edits_a_photo_outside_the_checkout(
    wheel: Path, sample_path: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "portrait.jpg").write_bytes(sample_path.read_bytes())
    code = (
        "import sys; sys.path.insert(0, 'site'); import exprgan; assert 'site' in exprgan.__file__\n"
        "from exprgan.cli import main; main()"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EXPRGAN_")}
    run = subprocess.run(
        [sys.executable, "-c", code, "edit", "portrait.jpg", "--to", "happy", "--device", "cpu"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["portrait-happy.jpg"]
    with Image.open(tmp_path / "portrait-happy.jpg") as edited, Image.open(sample_path) as source:
        assert edited.size == source.size
        assert edited.tobytes() != source.tobytes()
