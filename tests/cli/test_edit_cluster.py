"""What `exprgan edit --engine ray` refuses before it asks for a cluster; Ray need not be there."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.conftest import RunCli


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").touch()
    return folder


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["photos/a.png", "-o", "out", "--engine", "ray"], "for folders and several photos"),
        (["-", "--engine", "ray"], "for folders and several photos"),
        (["photos", "--engine", "ray", "--dry-run"], "needs --output FOLDER"),
        (["photos", "-o", "out", "--engine", "ray", "--table", "x.csv"], "--table is written by one process"),
        (["photos", "-o", "out", "--ray-address", "auto"], "--ray-address goes with --engine ray"),
        (["photos", "-o", "photos", "--engine", "ray", "--dry-run"], "is the folder of the photos"),
    ],
)
def test_what_a_cluster_does_not_do_is_refused(
    run_cli: RunCli, photos: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(photos.parent)
    result = run_cli("edit", *arguments)
    assert (result.code, words in result.stderr) == (2, True), result.stderr
    assert [path.name for path in photos.parent.iterdir()] == ["photos"]


def test_without_ray_the_message_says_what_to_install(
    run_cli: RunCli, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    result = run_cli("edit", photos, "-o", photos.parent / "out", "--engine", "ray")
    assert (result.code, 'pip install "exprgan[ray]"' in result.stderr) == (2, True)
    assert not (photos.parent / "out").exists()


def test_a_dry_run_needs_no_ray(run_cli: RunCli, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    local, planned = (
        run_cli("edit", photos, "-o", photos.parent / "out", "--dry-run", "--engine", engine)
        for engine in ("local", "ray")
    )
    assert (planned.code, planned.stdout) == (0, local.stdout)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("ray://head:10001", "is no address"),
        ("head", "is no address"),
        ("127.0.0.1:7", "No Ray cluster answers at 127.0.0.1:7 (refused)"),
    ],
)
def test_an_address_where_nobody_answers_is_one_sentence(
    run_cli: RunCli, photos: Path, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'exprgan[ray]'")

    def refuse(*_: object) -> None:
        raise ConnectionRefusedError(111, "refused")

    monkeypatch.setattr(socket, "create_connection", refuse)
    out = photos.parent / "out"
    result = run_cli("edit", photos, "-o", out, "--engine", "ray", "--ray-address", address)
    assert (result.code, words in result.stderr) == (2, True), result.stderr
    assert not list(out.iterdir())
