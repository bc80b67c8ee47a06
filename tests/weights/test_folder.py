"""Weights: what is saved comes back, and what is not the recorded file is refused."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch

from exprgan import weights
from exprgan.errors import WeightsError
from exprgan.models import registry
from exprgan.weights.cards import text_of

CONFIG = {
    "architecture": "tiny",
    "arguments": {"in_features": 3, "out_features": 2},
    "data": ["made up, CC0"],
    "metrics": {"error": 0.25},
    "training": {"kimg": 1},
}


@pytest.fixture
def linear() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)


@pytest.fixture
def folder(tmp_path: Path, linear: torch.nn.Linear) -> Path:
    weights.save_weights(tmp_path / "w", "tiny", linear.state_dict(), CONFIG, "# Tiny\n")
    return tmp_path / "w"


def test_saved_weights_come_back_as_float32_in_half_precision(folder: Path, linear: torch.nn.Linear) -> None:
    config, tensors = weights.find("tiny", folder).config, weights.find("tiny", folder).state()
    assert config == {key: CONFIG[key] for key in ("architecture", "arguments", "training")}
    assert tensors["weight"].dtype == torch.float32
    torch.testing.assert_close(tensors["weight"], linear.weight.detach().half().float(), rtol=0, atol=0)


def test_manifest_records_what_was_saved(folder: Path) -> None:
    record = weights.read_manifest(folder)["tiny"]
    assert (folder / record.file).stat().st_size == record.size_bytes
    assert record.data == ["made up, CC0"]
    assert record.metrics == {"error": 0.25}
    assert text_of((folder / record.card).read_text()) == "# Tiny\n"
    assert not list(folder.glob("*.part"))


def test_saving_one_network_keeps_the_others(folder: Path, linear: torch.nn.Linear) -> None:
    weights.save_weights(folder, "other", linear.state_dict(), CONFIG, "# Other")
    assert set(weights.read_manifest(folder)) == {"tiny", "other"}
    assert weights.verify_weights("tiny", folder) == folder / "tiny.safetensors"


def test_a_loaded_network_is_in_eval_mode_and_without_gradients(
    folder: Path, linear: torch.nn.Linear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "build", lambda _, **arguments: torch.nn.Linear(**arguments))
    model = weights.find("tiny", folder).load()
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    x = torch.ones(1, 3)
    torch.testing.assert_close(model(x), linear(x).detach(), rtol=2e-3, atol=2e-3)


def test_weights_that_do_not_fit_are_an_error_of_the_weights(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match=r"do not fit .* no network named 'tiny'"):
        weights.find("tiny", folder).load()
    for module in (torch.nn.Bilinear, lambda **arguments: torch.nn.Linear(4, 2)):
        monkeypatch.setattr(registry, "build", lambda _, module=module, **arguments: module(**arguments))
        with pytest.raises(WeightsError, match="do not fit"):
            weights.find("tiny", folder).load()


def test_one_changed_byte_is_refused(folder: Path) -> None:
    path = folder / "tiny.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="sha256"):
        weights.find("tiny", folder).state()


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "tiny.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(WeightsError, match="not the file"):
        weights.find("tiny", folder).state()


def test_a_missing_file_and_an_unknown_name_say_what_is_there(folder: Path) -> None:
    with pytest.raises(WeightsError, match="it has: tiny"):
        weights.find("unified", folder).state()
    (folder / "tiny.safetensors").unlink()
    with pytest.raises(WeightsError, match="missing"):
        weights.find("tiny", folder).state()


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".bin", ".pkl"])
def test_pickles_are_refused_unopened(tmp_path: Path, suffix: str) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "exploded",)

    path = tmp_path / f"weights{suffix}"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(WeightsError, match="pickles"):
        weights.find_weights_dir(path)
    assert not (tmp_path / "exploded").exists()


def test_a_manifest_that_names_a_pickle_or_a_path_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in ("tiny.pth", "../tiny.safetensors"):
        manifest["weights"]["tiny"]["file"] = file
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(WeightsError):
            weights.read_manifest(folder)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weights": {"tiny": {}}}', '{"weights": {"tiny": 3}}'])
def test_a_damaged_manifest_is_an_error_of_the_weights(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(WeightsError, match="damaged"):
        weights.read_manifest(tmp_path)


def test_the_named_folder_goes_before_the_environment_variable(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPRGAN_WEIGHTS", str(tmp_path / "nowhere"))
    assert weights.find_weights_dir(folder) == folder
    with pytest.raises(WeightsError, match="no folder of weights"):
        weights.find_weights_dir()
    monkeypatch.setenv("EXPRGAN_WEIGHTS", str(folder))
    assert weights.find_weights_dir() == folder


def test_values_beyond_half_precision_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="half precision"):
        weights.save_weights(tmp_path, "tiny", {"x": torch.tensor([1e6])}, CONFIG, "")
    with pytest.raises(WeightsError, match="lacks 'arguments'"):
        weights.save_weights(tmp_path, "tiny", {}, {"architecture": "tiny"}, "")


@pytest.mark.parametrize(
    ("architecture", "arguments"),
    [("unet", {"width": 4}), ("landmark_net", {"num_points": 4, "num_anchors": 4}), ("face_proposer", {})],
)
def test_loading_a_network_draws_no_random_numbers(
    tmp_path: Path, architecture: str, arguments: dict[str, int]
) -> None:
    state = registry.build(architecture, **arguments).state_dict()
    weights.save_weights(tmp_path, "w", state, {"architecture": architecture, "arguments": arguments}, "# W")
    before = torch.get_rng_state()
    loaded = weights.find("w", tmp_path).load().state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(loaded[key], value.half().to(value.dtype)) for key, value in state.items())
