"""`exprgan doctor`: every part has its line, a broken one hides no other."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from exprgan.cli import doctor
from tests.conftest import RunCli


def _checks(run_cli: RunCli, *arguments: object) -> tuple[int, dict[str, dict[str, Any]]]:
    result = run_cli("doctor", "--format", "json", *arguments)
    return result.code, {line["check"]: line for line in map(json.loads, result.stdout.splitlines())}


def test_a_healthy_installation_tells_devices_formats_hub_and_terminal(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    code, checks = _checks(run_cli)
    assert code == 0
    assert all(line["ok"] for line in checks.values())
    assert "cpu (" in checks["devices"]["value"] and "torch is built for" in checks["devices"]["value"]
    for name in ("JPEG", "PNG", "WebP", "HEIC (to read)"):
        assert name in checks["formats"]["value"]
    assert "cache in" in checks["hub"]["value"]
    assert "NO_COLOR=1" in checks["environment"]["value"]
    assert checks["terminal"]["value"].endswith(f"stdout in {sys.stdout.encoding}")


def test_a_changed_file_of_weights_fails_alone(run_cli: RunCli, tmp_path: Path, root: Path) -> None:
    folder = shutil.copytree(root / "weights", tmp_path / "weights")
    with (folder / "unet.safetensors").open("ab") as file:
        file.write(b"x")
    code, checks = _checks(run_cli, "--weights", folder)
    assert code == 1
    assert [name for name, line in checks.items() if not line["ok"]] == ["weights"]
    assert "unet.safetensors is not the file" in checks["weights"]["value"]


def test_a_package_that_is_missing_fails_and_what_can_be_done_without_does_not(
    run_cli: RunCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    version, find_spec = importlib.metadata.version, importlib.util.find_spec

    def lacking(name: str) -> str:
        if name == "opencv-python":
            return "4.9"
        if name in ("safetensors", "facexlib", "pillow-heif", "c2pa-python", "opencv-python-headless"):
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(importlib.metadata, "version", lacking)
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *more: None if name == "pillow_heif" else find_spec(name, *more),
    )
    code, checks = _checks(run_cli)
    assert code == 1
    assert [name for name, line in checks.items() if not line["ok"]] == ["safetensors"]
    assert "exprgan[retinaface]" in checks["facexlib"]["value"]
    assert "exprgan[heif]" in checks["pillow-heif"]["value"]
    assert "exprgan[c2pa]" in checks["c2pa-python"]["value"]
    assert checks["opencv-python-headless"]["value"] == "4.9 (with windows)"
    assert checks["formats"]["value"].endswith("without HEIC")


@pytest.mark.parametrize(
    ("text", "units"),
    [
        ("model name : X\nflags : fpu avx512_bf16 amx_tile amx_bf16\n", ["avx512_bf16", "amx_bf16"]),
        ("Features : fp asimd bf16\n", ["bf16"]),
        ("model name : bf16\n", []),
        (None, []),
    ],
)
def test_units_for_half_precision_are_those_linux_names(
    tmp_path: Path, text: str | None, units: list[str]
) -> None:
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert doctor._half_precision_units(tmp_path / "cpuinfo") == units
