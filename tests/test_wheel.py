"""The wheel carries the weights, and what it installs edits a photo far from the checkout; the sdist has all."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
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
    assert not [name for name in names if name.startswith(("exprgan/bench/", "hatch_build"))]
    assert not [name for name in names if name.endswith((".pt", ".pth", ".npz", ".part"))]


@pytest.mark.parametrize("address", ["", "https://git.example.org/someone/exprgan"])
def test_the_projects_page_has_no_link_that_leads_nowhere(root: Path, address: str) -> None:
    pytest.importorskip("hatchling", reason="hatchling is not installed; pip install -e '.[dev]'")
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GITHUB_")}
    code = (
        "from hatchling.metadata.core import ProjectMetadata; from hatchling.plugin.manager import PluginManager\n"
        "core = ProjectMetadata('.', PluginManager()).core; print(core.urls); print(core.readme)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        env={**environment, "EXPRGAN_REPOSITORY": address},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    urls, _, text = run.stdout.partition("\n")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert "exprgan edit photo.jpg --to happy" in text
    if address:
        assert urls.count(address) == 4
        assert f"{address}/blob/HEAD/docs/cli.md" in links
        assert f"![A portrait before, and edited to happy and to surprise]({address}/raw/HEAD/" in text
    else:
        assert urls == "{}"
        assert "![" not in text and "*`exprgan edit docs/samples" not in text
        assert "Options, exit codes and JSON\noutput: docs/cli.md." in text
    assert all(link.startswith("https://") for link in links)


def test_the_sdist_has_all_that_is_tracked(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="hatchling is not installed; pip install -e '.[dev]'")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("this is no checkout")
    code = BUILD.replace("build_wheel", "build_sdist")
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    with tarfile.open(tmp_path / run.stdout.split()[-1]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {name for name in listed.stdout.split("\0") if name and (root / name).is_file()}
    not_needed = (".ci/", ".gitignore")
    assert {name for name in tracked - names if not name.startswith(not_needed)} == set()
    assert names - tracked == {"PKG-INFO"}


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
