"""The networks of expression transfer: forms, what each gradient reaches, golden values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from exprgan.action_units import ACTION_UNITS
from exprgan.face_parts import WINDOW
from exprgan.models.registry import build
from exprgan.models.transfer import FeatureCritic, SwapCritic, TransferNet
from exprgan.training import losses
from tests.models.test_baselines import count, filled, pictures

SMALL: dict[str, Any] = {
    "image_size": 64,
    "channels": 32,
    "depth": 1,
    "code_channels": 8,
    "decoder_widths": (16, 16, 16),
}
FORMS: dict[str, dict[str, Any]] = {"edit": {"image_size": 128}, "pixels": {"decoder": "pixels"}}


def make(form: str = "edit", **arguments: Any) -> TransferNet:
    """A small network with weights that are not near zero."""
    network = filled(build("transfer", **{**SMALL, **FORMS[form], **arguments}))
    assert isinstance(network, TransferNet)
    if form == "edit":
        with torch.no_grad():  # edits of a few pixels, smooth in space
            for parameter in network.decoder.head.parameters():
                parameter *= 0.05
    return network.eval()


def faces(network: TransferNet, num: int = 2) -> tuple[Tensor, Tensor]:
    small = pictures(2 * num, 8) * 0.8
    values = F.interpolate(small, (network.image_size,) * 2, mode="bilinear")
    return values[:num], values[num:]


def test_parameters_of_the_default_network_are_counted() -> None:
    with torch.device("meta"):
        network = build("transfer")
    assert isinstance(network, TransferNet)
    assert count(network) == 3_620_276
    assert count(network) < 4_000_000  # half precision: below 8 MB


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_picture_has_the_images_size_and_range(form: str) -> None:
    network = make(form)
    source, target = faces(network)
    result = network(source, target)
    assert result.shape == target.shape and result.dtype == torch.float32
    assert result.abs().max() <= 1
    assert (result - network(target, target)).abs().max() > 1e-3  # the source matters


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_each_pair_is_treated_on_its_own(form: str) -> None:
    network = make(form)
    source, target = faces(network, 3)
    together = network(source, target)
    alone = torch.cat([network(source[i : i + 1], target[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=2e-3, atol=2e-3)


@torch.no_grad()
def test_strength_zero_is_exactly_the_target_and_half_lies_between() -> None:
    network = make()
    source, target = faces(network)
    torch.testing.assert_close(network(source, target, torch.zeros(2)), target)
    features, other = (network.encode(network.window(each)) for each in (target, source))
    none, half, whole = (
        network.decode_edit(features, other.related, torch.full((2,), share)) for share in (0.0, 0.5, 1.0)
    )
    assert not none.flow_px.any() and not none.shade.any() and not none.mask.any()
    step = float((half.flow_px - whole.flow_px).abs().max())
    assert step > 1e-4
    full = network.decode_edit(features, other.related)
    assert (
        float((full.flow_px - whole.flow_px).abs().max()) < 0.05 * step
    )  # rounding, which processors differ in


@torch.no_grad()
def test_maps_are_those_of_a_crop_and_nothing_outside_the_window() -> None:
    network = make()
    source, target = faces(network)
    features, other = (network.encode(network.window(each)) for each in (target, source))
    maps = network.maps(features, other.related)
    assert maps.interior is not None
    assert maps.flow_px.shape == (2, 2, 256, 256) and maps.interior.shape == (2, 5, 256, 256)
    top, left, height, width = WINDOW
    outside = torch.ones(256, 256, dtype=torch.bool)
    outside[top - 1 : top + height + 1, left - 1 : left + width + 1] = False
    assert not maps.flow_px[..., outside].any() and not maps.mask[..., outside].any()
    half = network.decode_edit(features, other.related)  # of the window at half of the resolution
    inner = (..., slice(8, -8), slice(8, -8))
    for large, small in ((maps.flow_px, half.flow_px), (maps.shade, half.shade), (maps.mask, half.mask)):
        error = (network.window(F.avg_pool2d(large, 2)) - small)[inner]
        assert error.abs().mean() < 0.25 * small[inner].std()


def test_network_of_pixels_makes_no_edit() -> None:
    network = make("pixels")
    features = network.encode(faces(network)[0])
    with pytest.raises(TypeError, match="puts out pixels"):
        network.maps(features, features.related)


def test_impossible_forms_are_refused() -> None:
    with pytest.raises(ValueError, match="choose from edit, pixels"):
        TransferNet(decoder="sketch")
    with pytest.raises(ValueError, match="multiple of 32"):
        TransferNet(image_size=64)


@pytest.mark.parametrize("form", FORMS)
def test_gradient_reaches_every_parameter(form: str) -> None:
    network = make(form).train()
    source, target = faces(network)
    own, other = (network.encode(network.window(each)) for each in (target, source))
    picture = network.decode(own, other.related, network.window(target))
    (picture.square().mean() + network.unit_logits(own.related).square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_multi_class_adversary_teaches_the_free_branch_and_not_the_related_one() -> None:
    network = make("pixels").train()
    critic = filled(FeatureCritic(channels=32, size=16, num_levels=4))
    features = network.encode(faces(network)[0])
    losses.multi_class_confusion(critic(features.free)).backward()

    def taught(module: torch.nn.Module) -> list[bool]:
        return [p.grad is not None and bool(p.grad.any()) for p in module.parameters()]

    assert all(taught(network.free_branch))
    assert any(taught(network.stem))
    assert not any(taught(network.related_branch))
    assert not any(taught(network.unit_head))
    assert not any(taught(network.decoder))


def test_multi_class_critic_does_not_reach_the_encoder_through_a_detached_feature() -> None:
    network = make("pixels").train()
    critic = filled(FeatureCritic(channels=32, size=16, num_levels=4))
    levels = torch.arange(2 * len(ACTION_UNITS)).reshape(2, -1) % 4
    features = network.encode(faces(network)[0])
    losses.multi_class_critic(critic(features.free.detach()), levels).backward()
    assert all(p.grad is not None for p in critic.parameters())
    assert all(p.grad is None for p in network.parameters())


def test_unit_head_teaches_the_related_branch_and_not_the_free_one() -> None:
    network = make("pixels").train()
    network.unit_logits(network.encode(faces(network)[0]).related).square().mean().backward()
    assert all(p.grad is None for p in network.free_branch.parameters())
    assert all(p.grad is not None and p.grad.any() for p in network.related_branch.parameters())


def test_critics_give_levels_of_all_units_and_patches() -> None:
    logits = FeatureCritic(channels=32, size=24, num_levels=5)(torch.zeros(3, 32, 24, 24))
    assert logits.shape == (3, len(ACTION_UNITS), 5)
    assert SwapCritic(width=8)(torch.zeros(3, 3, 96, 96)).shape == (3, 1, 12, 12)


def test_unit_logits_have_one_row_a_unit() -> None:
    for form in FORMS:
        network = make(form, num_levels=3)
        features = network.encode(network.window(faces(network)[0]))
        assert network.unit_logits(features.related).shape == (2, len(ACTION_UNITS), 3)


def test_state_goes_through_a_state_dict() -> None:
    network, other = make(), build("transfer", **{**SMALL, "image_size": 128})
    other.load_state_dict(network.state_dict())
    source, target = faces(network)
    assert torch.equal(network(source, target), other.eval()(source, target))


GOLDEN = {
    "edit": [0.62275, 0.37229, 1.0328, 3.21424, -5.01553, -0.8733, -0.41918, 0.00014, 0.54242],
    "pixels": [0.62294, 0.37613, 0.36864, 2.08193, 2.70289, -0.2734, 0.71151, 0.27514, 0.45785],
}
"""Spread of stem, both features and unit logits, one logit, two pixels, mean and spread of the picture."""


@pytest.mark.parametrize("form", FORMS)
@torch.no_grad()
def test_golden_values(form: str) -> None:
    network = make(form)
    source, target = faces(network)
    features = network.encode(network.window(source))
    y = network(source, target)
    place = network.image_size // 2
    logits = network.unit_logits(features.related)
    got = torch.stack([
        features.stem.std(), features.free.std(), features.related.std(), logits.std(), logits[1, 3, 2],
        y[0, 0, place, place], y[1, 2, place + 3, place - 9], y.mean(), y.std(),
    ])  # fmt: skip
    torch.testing.assert_close(got, torch.tensor(GOLDEN[form]), rtol=5e-3, atol=5e-4)
