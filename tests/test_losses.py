"""Losses in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from exprgan import losses


def test_weighted_mean_counts_only_weighted_places() -> None:
    values = torch.tensor([[[[1.0, 2.0], [3.0, 100.0]]]])
    weight = torch.tensor([[[[1.0, 1.0], [2.0, 0.0]]]])
    assert float(losses.weighted_mean(values, weight)) == pytest.approx(9 / 4)
    assert float(losses.weighted_mean(values, torch.zeros_like(weight))) == 0


def test_flow_loss_is_the_end_point_error() -> None:
    flow = torch.zeros(1, 2, 4, 4)
    true = torch.stack([torch.full((4, 4), 3.0), torch.full((4, 4), 4.0)])[None]
    assert float(losses.flow_loss(flow, true, torch.ones(1, 1, 4, 4))) == pytest.approx(4.9, abs=0.01)
    assert float(losses.flow_loss(true, true, torch.ones(1, 1, 4, 4))) == pytest.approx(0, abs=1e-6)


def test_mask_loss_is_cross_entropy() -> None:
    mask = torch.full((1, 1, 2, 2), 0.25)
    target = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    expected = (-math.log(0.25) - 3 * math.log(0.75)) / 4
    assert float(losses.mask_loss(mask, target, torch.ones_like(mask))) == pytest.approx(expected)


def test_roughness_of_a_ramp_is_its_slope() -> None:
    ramp = torch.arange(5.0).repeat(1, 1, 5, 1)
    assert float(losses.roughness(ramp)) == pytest.approx(1)
    assert float(losses.roughness(torch.ones(1, 2, 3, 3))) == 0


def test_psnr_of_a_known_error() -> None:
    image = torch.zeros(2, 3, 4, 4)
    target = image.clone()
    target[1] = 0.2  # 0.1 of the full range
    value = losses.psnr(image, target, torch.ones(2, 1, 4, 4))
    assert float(value[0]) == pytest.approx(100)
    assert float(value[1]) == pytest.approx(20, abs=1e-3)
