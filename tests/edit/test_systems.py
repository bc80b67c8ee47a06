"""Trained generators by name, from folders of weights and from runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from exprgan.edit.parts import open_parts
from exprgan.edit.systems import FaceModelSystem, load_system
from exprgan.errors import ExprganError, UsageError, WeightsError
from exprgan.models.pixel_edits import PixelEdits
from exprgan.models.registry import build
from exprgan.models.segmenters import region_masks
from exprgan.weights import save_weights
from exprgan.weights.find import PIXEL_SYSTEMS, find_system
from exprgan.weights.runtime import signed
from tests.made_sets import render

SMALL: dict[str, dict[str, Any]] = {
    "stargan": {"width": 4, "num_blocks": 1},
    "sargan": {"width": 4},
    "usgan": {"width": 4},
    "hierarchical": {"width": 4, "local_width": 4, "num_blocks": 1},
}
SIZE = 64


def description(architecture: str) -> dict[str, Any]:
    return {"architecture": architecture, "arguments": SMALL[architecture], "image_size": SIZE}


def network(architecture: str) -> torch.nn.Module:
    torch.manual_seed(3)
    return build(architecture, **SMALL[architecture])


def make_run(folder: Path, name: str, **changes: Any) -> Path:
    """The files of a run that a system is loaded from."""
    folder.mkdir(parents=True)
    (folder / "network.json").write_text(json.dumps(description(name) | changes))
    save_file(network(name).state_dict(), folder / "ema.safetensors")
    return folder


def make_weights(folder: Path, *architectures: str) -> Path:
    for name in architectures:
        save_weights(folder, name, network(name).state_dict(), description(name), f"# {name}")
    return folder


def inputs(count: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image = torch.rand(count, 3, 256, 256, generator=generator) * 1.6 - 0.8
    return image, torch.arange(count) % 8, torch.ones(count)


@pytest.mark.parametrize("architecture", PIXEL_SYSTEMS)
def test_a_run_is_a_system(architecture: str, tmp_path: Path) -> None:
    system = load_system(make_run(tmp_path / "mine", architecture))
    image, expression, strength = inputs()
    edited = system(image, expression, strength)
    assert (system.name, system.description["architecture"]) == ("mine", architecture)
    assert (edited.shape, edited.dtype) == (image.shape, torch.float32)
    assert float(edited.abs().max()) <= 1
    assert float((edited - image).abs().mean()) > 0.01
    torch.testing.assert_close(system(image, expression, torch.zeros(2)), image)
    one = system(image[1:], expression[1:], strength[1:])
    torch.testing.assert_close(one, edited[1:], atol=1e-5, rtol=0)


def test_the_change_of_the_small_picture_is_carried_over_by_strength() -> None:
    class Brighter(torch.nn.Module):
        def forward(self, image: torch.Tensor, expression: torch.Tensor) -> torch.Tensor:
            assert image.shape[-2:] == (SIZE, SIZE)
            return image + 0.1 * expression[:, None, None, None]

    image, _, _ = inputs()
    image = image.clamp(-0.7, 0.7)
    change = PixelEdits(Brighter(), SIZE).change(image, torch.tensor([1, 2]), torch.tensor([1.0, 0.5]))
    torch.testing.assert_close(change, torch.full_like(image, 0.1))


def test_weights_are_found_by_name_folder_and_file(tmp_path: Path) -> None:
    folder = make_weights(tmp_path / "w", "sargan", "usgan")
    image, expression, strength = inputs(1)
    expected = load_system("sargan", weights=folder)(image, expression, strength)
    for source in (folder / "sargan", folder / "sargan.safetensors", str(folder / "sargan")):
        torch.testing.assert_close(load_system(source)(image, expression, strength), expected, rtol=0, atol=0)
    single = make_weights(tmp_path / "single", "sargan")
    torch.testing.assert_close(load_system(single)(image, expression, strength), expected, rtol=0, atol=0)


def test_a_name_of_a_system_is_not_taken_for_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "sargan", "usgan")
    weights = make_weights(tmp_path / "w", "sargan")
    assert find_system("sargan", weights).architecture == "sargan"
    assert find_system("./sargan", weights).architecture == "usgan"


def test_files_of_a_run_know_its_hash(tmp_path: Path) -> None:
    first = find_system(make_run(tmp_path / "a", "usgan"))
    second = find_system(make_run(tmp_path / "b", "sargan"))
    assert first.sha256 != second.sha256
    assert first.run == tmp_path / "a"


@pytest.mark.parametrize(
    ("source", "error", "words"),
    [
        ("sargam", UsageError, "did you mean sargan?"),
        ("zzz", UsageError, "choose from corrections, corrections_end_to_end, face_model, unified"),
        ("stargan", WeightsError, "exprgan train stargan"),
        ("unet", UsageError, "network 'unet'"),
        ("w", UsageError, "several systems"),
        ("empty", WeightsError, "holds no system"),
        ("nothing/there", UsageError, "no folder nothing/there"),
        ("bare", WeightsError, "no network.json"),
        ("no-tensors", WeightsError, "no ema.safetensors"),
        ("of-segmenter", UsageError, "network 'unet'"),
        ("no-size", WeightsError, "image_size"),
        ("torn", WeightsError, "damaged"),
        ("other-width", WeightsError, "does not hold the network"),
        ("net.pth", WeightsError, "pickles"),
    ],
)
def test_what_is_no_system_is_refused_in_one_sentence(
    source: str, error: type[ExprganError], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = make_weights(Path("w"), "sargan", "usgan")
    unet = build("unet", width=4).state_dict()
    for folder in (weights, Path("empty")):
        save_weights(folder, "unet", unet, {"architecture": "unet", "arguments": {"width": 4}}, "# unet")
    Path("bare").mkdir()
    (make_run(Path("no-tensors"), "usgan") / "ema.safetensors").unlink()
    make_run(Path("of-segmenter"), "usgan", architecture="unet")
    make_run(Path("no-size"), "usgan", image_size=None)
    (make_run(Path("torn"), "usgan") / "network.json").write_text("{")
    make_run(Path("other-width"), "usgan", arguments={"width": 8})
    with pytest.raises(error, match=words) as caught:
        load_system(source, weights=weights)
    assert "\n" not in str(caught.value)


def test_bundled_unified_edits_at_once_as_the_network_alone(root: Path) -> None:
    system = load_system("unified", weights=root / "weights")
    image, expression, strength = inputs()
    edited = system(image, expression, strength)
    assert edited.shape == image.shape
    changed = (edited - image).abs().amax(dim=(1, 2, 3))
    assert float(changed.min()) > 0.01
    same = system(image, expression, torch.zeros(2))
    torch.testing.assert_close(same, image, atol=1e-4, rtol=0)


def test_corrections_with_their_own_segmenter_edit_like_its_two_parts(root: Path, tmp_path: Path) -> None:
    arguments = {"segmenter": "unet", "generator": {"global_widths": [8, 8, 8], "local_widths": [8, 8]}}
    torch.manual_seed(0)
    whole: Any = build("corrections_end_to_end", **arguments).eval()
    with torch.no_grad():
        whole.generator.global_branch.head.weight.normal_(0, 0.05)
        whole.generator.local_branches["mouth"].head.weight.normal_(0, 0.05)
    described = {"architecture": "corrections_end_to_end", "arguments": arguments}
    (tmp_path / "network.json").write_text(json.dumps(described))
    save_file(whole.state_dict(), tmp_path / "ema.safetensors")
    system = load_system(tmp_path, weights=root / "weights")
    assert isinstance(system, FaceModelSystem)
    assert system.generator is not None
    assert system.segmenter is not None
    prepared = system.prepare(render("0007_neutral"))
    assert prepared is not None
    with torch.inference_mode():
        expected = region_masks(whole.segmenter(torch.from_numpy(signed(prepared.pixels))))
    torch.testing.assert_close(torch.as_tensor(prepared.regions), expected)
    with pytest.raises(UsageError, match="needs torch"):
        open_parts(find_system(tmp_path, root / "weights"), runtime="onnx")


def test_the_edits_of_a_system_with_its_own_segmenter_are_those_of_the_whole_network(tmp_path: Path) -> None:
    arguments = {"segmenter": "unet", "generator": {"global_widths": [8, 8, 8], "local_widths": [8, 8]}}
    torch.manual_seed(0)
    whole = build("unified_end_to_end", **arguments).eval()
    with torch.no_grad():
        whole.generator.global_branch.head.weight.normal_(0, 0.05)
    described = {"architecture": "unified_end_to_end", "arguments": arguments, "image_size": 256}
    (tmp_path / "network.json").write_text(json.dumps(described))
    save_file(whole.state_dict(), tmp_path / "ema.safetensors")
    image, expression, strength = inputs()
    with torch.inference_mode():
        expected = whole(image, expression).clamp(-1, 1)
    edited = load_system(tmp_path)(image, expression, strength)
    torch.testing.assert_close(edited, expected)
    assert float((edited - image).abs().max()) > 0.01
