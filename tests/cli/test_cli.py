"""The command line without weights: help, exit codes, errors as text and as JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import exprgan
from exprgan.errors import DeviceError, NoFaceFound
from exprgan.photos.photo import Photo
from exprgan.weights import find_weights_dir, read_manifest
from tests.conftest import RunCli


@pytest.mark.parametrize("command", [[], ["edit"], ["weights", "list"], ["train"]])
def test_help_does_not_import_the_heavy_packages(command: list[str]) -> None:
    code = (
        "import sys; from exprgan.cli import main; sys.argv = ['exprgan', *sys.argv[1:], '--help']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'cv2', 'numpy', 'PIL', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    run = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Usage: exprgan" in run.stdout


def test_version(run_cli: RunCli) -> None:
    assert run_cli("--version") == (0, f"exprgan {exprgan.__version__}\n", "")


def test_all_names_what_the_package_gives() -> None:
    for name in exprgan.__all__:
        assert getattr(exprgan, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        _ = exprgan.nothing


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["edit", "none.jpg"], 4, "none.jpg does not exist"),
        (["edit", "none.jpg", "--to", "hapy"], 2, "did you mean happy?"),
        (["edit", "none.jpg", "--strength", "1.6"], 2, "from 0 to 1.5"),
        (["edit", "none.jpg", "--nonsense"], 2, "No such option"),
        (["edit"], 2, "Missing argument"),
        (["faces", "none.jpg"], 4, "none.jpg does not exist"),
        (["segment", "none.jpg", "--output", "x.jpg"], 2, "no PNG"),
        (["weights", "list", "--weights", "none"], 5, "no folder of weights"),
        (["weights", "verify", "--weights", "net.pth"], 5, "pickles"),
        (["train", "unet", "--data", "none", "--output", "run"], 2, "none does not exist"),
        (
            ["train", "unet", "--data", ".", "--output", "run", "--set", "batchsize=3"],
            2,
            "did you mean batch_size",
        ),
        (["train", "unet", "--data", ".", "--output", "run", "--set", "batch_size=x"], 2, "a whole number"),
    ],
)
def test_each_error_has_its_exit_code_and_goes_to_stderr(
    run_cli: RunCli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_cli(*arguments)
    assert result.code == code
    assert message in result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())


def test_an_error_in_json_names_its_class(run_cli: RunCli) -> None:
    result = run_cli("edit", "none.jpg", "--format", "json")
    assert json.loads(result.stderr)["error"] == "UnreadableImage"


def test_a_fault_of_our_own_is_one_line_unless_debugging(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("odd")

    monkeypatch.setattr("exprgan.cli.edit.plan_jobs", fail)
    result = run_cli("edit", tmp_path / "none.jpg")
    assert result.code == 1
    assert result.stderr.count("\n") == 1
    assert "ZeroDivisionError: odd" in result.stderr
    monkeypatch.setenv("EXPRGAN_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run_cli("edit", tmp_path / "none.jpg")


def test_a_fault_with_one_photo_of_a_folder_does_not_stop_the_others(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sample_path: Path
) -> None:
    tried = []

    def fail(editor: object, photo: Photo, face: str, teeth: str) -> None:
        tried.append(photo.path.name)
        raise ZeroDivisionError("odd") if photo.path.name == "a.jpg" else NoFaceFound("no face")

    editor = type("MadeEditor", (), {"prepare": fail, "weights": "", "device": "cpu"})()
    monkeypatch.setattr("exprgan.edit.editor.Editor.from_pretrained", lambda *_, **__: editor)
    for name in ("a.jpg", "b.jpg"):
        shutil.copy(sample_path, tmp_path / name)
    result = run_cli("edit", tmp_path, "--output", tmp_path / "out", "--jobs", "1")
    assert (result.code, tried) == (1, ["a.jpg", "b.jpg"])
    assert "ZeroDivisionError" in result.stderr
    assert re.search(r"failed: NoFaceFound +1", result.stderr)


def test_ctrl_c_ends_with_130(run_cli: RunCli, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("exprgan.cli.edit.plan_jobs", interrupt)
    assert run_cli("edit", "none.jpg").code == 130


def test_a_device_that_is_not_there_is_exit_code_6(run_cli: RunCli, tmp_path: Path) -> None:
    result = run_cli("train", "unet", "--data", tmp_path, "--output", tmp_path / "run", "--device", "cuda:99")
    assert result.code == DeviceError.exit_code
    assert "--device cpu" in result.stderr or "numbered from 0" in result.stderr


def test_dry_run_of_training_prints_the_settings_and_writes_nothing(
    run_cli: RunCli, tmp_path: Path, data_dir: Path
) -> None:
    result = run_cli(
        *("train", "unet", "--data", data_dir, "--output", tmp_path / "run", "--dry-run"),
        *("--set", "batch_size=4", "--set", "bf16=false", "--minutes", "3", "--device", "cpu"),
    )
    settings = json.loads(result.stdout)
    assert (settings["batch_size"], settings["bf16"], settings["max_minutes"]) == (4, False, 3.0)
    assert settings["parameters"]["network"] > 1e6
    assert settings["sample"]["image"] == [160, 160, 3]
    assert not (tmp_path / "run").exists()


def test_python_dash_m_is_the_command(root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "exprgan", "--version"]
    assert subprocess.check_output(command, env=environment, text=True) == f"exprgan {exprgan.__version__}\n"


def test_doctor_names_weights_with_hash_and_licence_and_hides_tokens(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    monkeypatch.setenv("EXPRGAN_DEBUG", "0")
    records = read_manifest(find_weights_dir())
    result = run_cli("doctor", "--format", "json")
    checks = {line["check"]: line["value"] for line in map(json.loads, result.stdout.splitlines())}
    for name, record in records.items():
        assert f"{name} {record.sha256[:12]} ({record.licence})" in checks["weights"]
    assert "HF_TOKEN=..." in checks["environment"]
    assert "EXPRGAN_DEBUG=0" in checks["environment"]
    assert "secret" not in result.stdout
