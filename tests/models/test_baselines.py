"""The baseline networks are those of the papers: parameter counts, forms, golden values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exprgan.models.registry import build
from exprgan.models.sargan import SARB, SARGAN, SEDN, USGAN
from exprgan.models.stargan import PatchDiscriminator, StarGAN, with_expression

SMALL: dict[str, Callable[[], nn.Module]] = {
    "stargan": lambda: StarGAN(num_classes=8, width=4, num_blocks=2),
    "sargan": lambda: SARGAN(num_classes=8, width=4),
    "usgan": lambda: USGAN(num_classes=8, width=4),
}


def filled(module: nn.Module) -> Any:
    """The module with weights that depend on nothing but their order: no generator's version matters."""
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            values = np.sin(np.arange(parameter.numel()) * 0.7 + i)
            scale = 1.5 / np.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 1
            parameter.copy_(torch.from_numpy(values.reshape(parameter.shape) * scale))
    return module


def pictures(num: int = 2, size: int = 32) -> Tensor:
    values = np.sin(np.arange(num * 3 * size * size) * 0.37 + 0.2)
    return torch.from_numpy(values.reshape(num, 3, size, size)).float()


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("name", "expected"), [("stargan", 8_436_800), ("usgan", 2_533_440), ("sargan", 3_014_145)]
)
def test_generators_have_the_published_number_of_parameters(name: str, expected: int) -> None:
    with torch.device("meta"):
        assert count(build(name, num_classes=7)) == expected


def test_discriminator_has_the_published_number_of_parameters() -> None:
    with torch.device("meta"):
        assert count(PatchDiscriminator(num_classes=7, image_size=128)) == 44_778_432


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("size", [32, 48])
def test_generators_keep_the_size(name: str, size: int) -> None:
    y = SMALL[name]()(pictures(2, size), torch.tensor([1, 5]))
    assert y.shape == (2, 3, size, size) and y.dtype == torch.float32


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("training", [True, False])
def test_each_picture_is_edited_on_its_own(name: str, training: bool) -> None:
    network = filled(SMALL[name]()).train(training)
    x, c = pictures(3), torch.tensor([1, 5, 2])
    together = network(x, c)
    alone = torch.cat([network(x[i : i + 1], c[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SMALL)
def test_expression_changes_the_result(name: str) -> None:
    network = filled(SMALL[name]()).eval()
    x = pictures(1)
    assert (network(x, torch.tensor([1])) - network(x, torch.tensor([2]))).abs().max() > 1e-3


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter(name: str) -> None:
    network = filled(SMALL[name]())
    network(pictures(), torch.tensor([1, 5])).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", ["sargan", "usgan"])
def test_ultimate_skip_adds_the_input_to_a_bounded_residual(name: str) -> None:
    network = filled(SMALL[name]()).eval()
    x, c = pictures() * 0.5, torch.tensor([1, 5])
    y = network(x, c)
    assert (y - x).abs().max() <= 1 + 1e-6
    half = network(x, c, torch.tensor([0.5, 0.0]))
    torch.testing.assert_close(half[0], (x + (y - x) / 2)[0])
    assert torch.equal(half[1], x[1])
    nn.init.zeros_(network.main[-2].weight)  # the last convolution
    assert torch.equal(network(x, c), x)


def test_stargan_has_no_skip() -> None:
    network = filled(SMALL["stargan"]()).eval()
    nn.init.zeros_(network.main[-2].weight)
    assert network(pictures(), torch.tensor([1, 5])).abs().max() == 0


def test_attention_is_one_soft_map_and_scales_the_residual() -> None:
    block = filled(SARB(8, 4)).eval()
    h = pictures(2, 16).repeat(1, 3, 1, 1)[:, :8]
    attention = block.attention(block.residual(h))
    assert attention.shape == (2, 1, 16, 16)
    assert attention.min() > 0 and attention.max() < 1 and attention.std() > 0
    nn.init.zeros_(block.attention.out.weight)
    nn.init.constant_(block.attention.out.bias, -100.0)
    assert torch.equal(block(h), h)


def test_attention_network_reflects_at_the_border() -> None:
    padded = [m for m in SEDN(8, 4).modules() if isinstance(m, nn.Conv2d)]
    assert len(padded) == 8 and all(m.padding_mode == "reflect" for m in padded)
    assert [m.bias is not None for m in padded].count(True) == 1


@pytest.mark.parametrize("name", SMALL)
def test_state_goes_through_a_state_dict(name: str) -> None:
    network, other = filled(SMALL[name]()), SMALL[name]()
    network(pictures(), torch.tensor([1, 5]))  # moves the running statistics
    other.load_state_dict(network.state_dict())
    x, c = pictures(), torch.tensor([3, 0])
    assert torch.equal(network.eval()(x, c), other.eval()(x, c))


def test_discriminator_gives_patches_and_classes() -> None:
    network = PatchDiscriminator(num_classes=8, image_size=64, width=4, num_layers=4)
    source, classes = network(pictures(2, 64))
    assert source.shape == (2, 1, 4, 4) and classes.shape == (2, 8)
    with pytest.raises(ValueError, match="multiple of 64"):
        PatchDiscriminator(image_size=100)


GOLDEN = {
    "stargan": [0.02161, 0.29732, 0.00942, 0.02914, 0.1886],
    "sargan": [-0.00076, 1.41348, 0.19791, 0.07751, 0.72755],
    "usgan": [0.06842, 1.34565, 0.20508, 0.05823, 0.74662],
    "discriminator": [-1.1071, -1.07525, -1.06248, -0.34392, 0.02591, 0.00379, -0.03342],
}


@pytest.mark.parametrize("name", [*SMALL, "discriminator"])
def test_golden_values(name: str) -> None:
    if name == "discriminator":
        network = filled(PatchDiscriminator(num_classes=3, image_size=32, width=4, num_layers=3)).eval()
        source, classes = network(pictures(1))
        got = torch.cat([source.flatten()[:4], classes.flatten()])
    else:
        y = filled(SMALL[name]()).train()(pictures(), torch.tensor([1, 5]))
        got = torch.stack([y[0, 0, 0, 0], y[0, 2, 16, 7], y[1, 1, 31, 31], y.mean(), y.std()])
    torch.testing.assert_close(got, torch.tensor(GOLDEN[name]), rtol=2e-3, atol=2e-4)


def test_the_tiled_label_is_lost_in_the_first_norm_and_the_window_is_not() -> None:
    """Why `label_map` is there: what two labels change after the first layer, in the middle against the border."""
    torch.manual_seed(0)
    ratios = {}
    for label_map in ("tiled", "window"):
        network = StarGAN(width=16, label_map=label_map).eval()
        x = pictures(2, 64).clamp(-1, 1)
        with torch.no_grad():
            one, other = (
                network.main[0](with_expression(x, torch.tensor([c, c]), 8, label_map)) for c in (1, 3)
            )
        difference = (one - other).abs().mean(dim=(0, 1))
        border = torch.cat([difference[:3].flatten(), difference[-3:].flatten()]).mean()
        ratios[label_map] = float(difference[20:-20, 20:-20].mean() / border)
    assert ratios["tiled"] < 0.2
    assert ratios["window"] > 0.5


def test_the_skip_can_be_left_out() -> None:
    network = SARGAN(width=4, skip=False).eval()
    with_skip = SARGAN(width=4).eval()
    with_skip.load_state_dict(network.state_dict())
    x, c = pictures(1), torch.tensor([2])
    torch.testing.assert_close(with_skip(x, c), network(x, c) + x)


def test_usgan_is_sargan_without_attention() -> None:
    one, other = USGAN(width=4), SARGAN(width=4, attention=False)
    assert one.state_dict().keys() == other.state_dict().keys()
    assert not any("attention" in name for name in one.state_dict())


def test_he_weights_keep_the_discriminators_signal() -> None:
    torch.manual_seed(0)
    x = torch.rand(4, 3, 64, 64) * 2 - 1
    spread = {}
    for he_init in (False, True):
        network = PatchDiscriminator(image_size=64, width=8, num_layers=5, he_init=he_init)
        spread[he_init] = float(network.main(x).detach().std())
    assert spread[True] > 0.3 > 10 * spread[False]
