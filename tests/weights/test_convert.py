"""Conversion of checkpoints: tensors find their place or the file is refused with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from exprgan import weights
from exprgan.errors import ExprganError, UsageError, WeightsError
from exprgan.models import registry
from exprgan.weights.convert import convert
from tests.conftest import RunCli

SMALL = {"width": 4}


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(registry.build("unet", **SMALL).state_dict())


def same_as(state: dict[str, torch.Tensor], folder: Path, name: str) -> None:
    loaded = weights.find(name, folder).load().state_dict()
    assert loaded.keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(loaded[key], value.half().float() if value.is_floating_point() else value), key


@pytest.mark.parametrize("entry", [None, "params_ema", "state_dict", "net_g"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
def test_tensors_are_found_and_come_back(
    tmp_path: Path, state: dict[str, torch.Tensor], entry: str | None, prefix: str
) -> None:
    saved: dict[str, object] = {prefix + key: value for key, value in state.items()}
    if entry:
        saved = {"epoch": 3, "optimiser": {"state": {}, "lr": 0.1}, entry: saved}
    torch.save(saved, tmp_path / "net.pth")
    done = convert(tmp_path / "net.pth", tmp_path / "w", architecture="unet", arguments=SMALL)
    assert (done.name, done.key, done.tensors) == ("net", entry or "", len(state))
    assert done.left_out == (("epoch", "optimiser") if entry else ())
    same_as(state, tmp_path / "w", "net")


def test_averaged_tensors_go_before_others_unless_named(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    other = {key: torch.zeros_like(value) for key, value in state.items()}
    torch.save({"params": other, "params_ema": state}, tmp_path / "net.pth")
    assert convert(tmp_path / "net.pth", tmp_path, architecture="unet", arguments=SMALL).key == "params_ema"
    same_as(state, tmp_path, "net")
    convert(
        tmp_path / "net.pth", tmp_path, architecture="unet", arguments=SMALL, key="params", overwrite=True
    )
    same_as(other, tmp_path, "net")


class Bomb:
    """A pickle of it would create the file when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_runs_code_is_refused_with_the_reason(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "net.pth"
    bomb = {"state_dict": {}, "args": Bomb(tmp_path / "exploded")}
    torch.save(bomb, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="could run code") as refused:
        convert(path, tmp_path / "w", architecture="unet")
    assert "Path" in str(refused.value) or "getattr" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "exploded").exists()
    assert not (tmp_path / "w").exists()


def test_what_does_not_fit_is_named(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    first, second, third = list(state)[:3]
    wrong = {**state, "extra.weight": torch.ones(1), second: torch.ones(7, 7)}
    del wrong[first]
    torch.save(wrong, tmp_path / "net.pth")
    with pytest.raises(WeightsError) as refused:
        convert(tmp_path / "net.pth", tmp_path / "w", architecture="unet", arguments=SMALL)
    message = str(refused.value)
    assert f"lacks {first};" in message
    assert "too many extra.weight;" in message
    assert f"{second} [7, 7] instead of {list(state[second].shape)}" in message
    assert third not in message
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    "content", [b"", b"no checkpoint", b"PK\3\4 half", b"\x80\x02}q\0.", b"\x80\x02K\1."]
)
def test_damaged_files_are_an_error_of_the_weights(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"net\.pth"):
        convert(tmp_path / "net.pth", tmp_path / "w", architecture="unet")


def test_what_cannot_work_says_what_would(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "net.pth"
    torch.save({"a": state, "b": state}, path)
    cases: list[tuple[dict[str, object], type[ExprganError], str]] = [
        ({"architecture": "vgg"}, UsageError, "choose from"),
        ({"architecture": "unet"}, WeightsError, r"--key \(there are: a, b\)"),
        ({"architecture": "unet", "key": "c"}, WeightsError, "there are: a, b"),
        ({"architecture": "unet", "key": "a", "arguments": {"wide": 4}}, UsageError, "wide.*--set"),
        ({"architecture": "unet", "key": "a", "name": "../up"}, UsageError, "--name"),
        ({"architecture": "unet", "key": "a", "name": "manifest"}, UsageError, "--name"),
    ]
    for arguments, error, message in cases:
        if "key" not in arguments and arguments["architecture"] == "vgg":
            arguments["key"] = "a"
        with pytest.raises(error, match=message):
            convert(path, tmp_path / "w", **arguments)
    with pytest.raises(WeightsError, match="check the path"):
        convert(tmp_path / "none.pth", tmp_path / "w", architecture="unet")
    assert not (tmp_path / "w").exists()


def test_convert_command(run_cli: RunCli, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({"epoch": 1, "model": state}, tmp_path / "net.pth")
    words: tuple[object, ...] = ("weights", "convert", tmp_path / "net.pth", "--architecture", "unet")
    words += ("--set", "width=4", "--name", "mine", "--licence", "MIT", "--output", tmp_path / "w")
    result = run_cli(*words, "--format", "json")
    assert result.code == 0, result.stderr
    assert json.loads(result.stdout)["name"] == "mine"
    assert "epoch" in result.stderr
    same_as(state, tmp_path / "w", "mine")
    record = weights.read_manifest(tmp_path / "w")["mine"]
    assert (record.licence, record.architecture, record.data) == ("MIT", "unet", [])
    assert "MIT" in (tmp_path / "w" / record.card).read_text()
    assert weights.find("mine", tmp_path / "w").config["converted_from"]["file"] == "net.pth"
    again = run_cli(*words)
    assert again.code == 2
    assert "--overwrite" in again.stderr
    assert run_cli(*words, "--overwrite").code == 0
    assert run_cli("weights", "verify", "--weights", tmp_path / "w").code == 0
    assert run_cli(*words, "--overwrite", "--set", "width").code == 2
