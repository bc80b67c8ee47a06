"""What all tests share: no network, the bundled sample, the data folder."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from exprgan.evaluation.made_scenes import Cutout
    from exprgan.samples.picture import Picture

ROOT = Path(__file__).resolve().parent.parent
FACES = ROOT / "tests" / "data" / "faces"


@pytest.fixture(autouse=True)
def no_network(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail every attempt to reach another machine, unless the test is marked `network`."""
    if "network" in request.keywords:
        return
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: object) -> None:
        if self.family != getattr(socket, "AF_UNIX", None):
            raise OSError(f"a test tried to reach {address}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def sample_path() -> Path:
    """The bundled portrait."""
    return ROOT / "docs" / "samples" / "portrait.jpg"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with open-faces and synthetic-faces; the test is skipped where there is none."""
    folder = Path(os.environ.get("EXPRGAN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no training data in {folder}; name its folder by EXPRGAN_DATA")
    return folder


@pytest.fixture(scope="session")
def teacher_dir(root: Path) -> Path:
    """The folder with the geometry teacher's basis; the test is skipped where there is none."""
    folder = Path(os.environ.get("EXPRGAN_TEACHER", root.parent / "shared/prototypes/geometry_teacher"))
    if not (folder / "geometry_basis.npz").exists():
        pytest.skip(f"no geometry basis in {folder}; name its folder by EXPRGAN_TEACHER")
    return folder


@pytest.fixture(scope="session")
def face_pictures() -> list[Picture]:
    """Four rendered faces with their landmarks."""
    from exprgan.samples.picture import Picture

    made = np.load(FACES / "landmarks.npz")
    return [
        Picture(_pixels(FACES / f"{name}.jpg"), landmarks_xy, (0.0, 5.0))
        for name, landmarks_xy in zip(made["names"], made["landmarks_xy"], strict=True)
    ]


@pytest.fixture(scope="session")
def face_cutouts() -> list[Cutout]:
    """The renders cut out by their masks."""
    from exprgan.evaluation.made_scenes import cutout_from_masks

    return [
        cutout_from_masks(_pixels(path), _pixels(path.with_suffix(".png")))
        for path in sorted(FACES.glob("*.jpg"))
    ]


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        return np.asarray(file)


class CliResult(NamedTuple):
    """What a run of the command line gave."""

    code: int
    stdout: str
    stderr: str


RunCli = Callable[..., CliResult]


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunCli:
    """Runs `exprgan ARGUMENTS...` in this process."""
    from exprgan.cli import main

    def run(*arguments: object) -> CliResult:
        monkeypatch.setattr(sys, "argv", ["exprgan", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        code = end.value.code
        return CliResult(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run
