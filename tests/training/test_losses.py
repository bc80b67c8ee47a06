"""Losses in closed form."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from exprgan.training import losses
from exprgan.training.unified import UnifiedLossWeights


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


def linear_critic(weight: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda image: (image * weight).sum(dim=(1, 2, 3))


def test_wasserstein_losses_are_differences_of_means() -> None:
    real, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.0, 6.0])
    assert float(losses.wasserstein_critic(real, fake)) == pytest.approx(1)
    assert float(losses.wasserstein_generator(fake)) == pytest.approx(-3)


def test_gradient_penalty_of_a_linear_critic_is_that_of_its_slope() -> None:
    weight = torch.zeros(3, 2, 2)
    weight[0] = 1.5  # norm 3
    real, fake = torch.rand(4, 3, 2, 2), torch.rand(4, 3, 2, 2)
    value = losses.gradient_penalty(linear_critic(weight), real, fake, torch.rand(4))
    assert float(value) == pytest.approx(4)


def test_gradient_penalty_looks_at_the_place_between() -> None:
    seen = []

    def critic(image: torch.Tensor) -> torch.Tensor:
        seen.append(image)
        return image.sum(dim=(1, 2, 3))

    losses.gradient_penalty(
        critic, torch.ones(2, 3, 2, 2), torch.zeros(2, 3, 2, 2), torch.tensor([0.0, 0.75])
    )
    assert torch.equal(seen[0][:, 0, 0, 0].detach(), torch.tensor([0.0, 0.75]))


def test_gradient_penalty_trains_the_critic() -> None:
    weight = torch.full((3, 2, 2), 0.1, requires_grad=True)
    losses.gradient_penalty(
        linear_critic(weight), torch.rand(2, 3, 2, 2), torch.rand(2, 3, 2, 2), torch.rand(2)
    ).backward()
    assert weight.grad is not None
    assert bool((weight.grad < 0).all())  # the norm .35 shall grow towards 1


def test_hinge_losses_are_flat_beyond_the_margin() -> None:
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert float(losses.hinge_critic(real, fake)) == pytest.approx(0.25 + 0.5)
    assert float(losses.hinge_generator(fake)) == pytest.approx(1.5)


def test_least_squares_losses() -> None:
    real, fake = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])
    assert float(losses.lsgan_critic(real, fake)) == pytest.approx(0.5 + 2)
    assert float(losses.lsgan_generator(fake)) == pytest.approx(1)
    assert float(losses.swap_consistency_critic(real, fake)) == pytest.approx(2.5)
    assert float(losses.swap_consistency_generator(fake)) == pytest.approx(1)


def test_classification_leaves_unknown_labels_out() -> None:
    logits = torch.tensor([[0.0, 0.0], [5.0, -5.0]], requires_grad=True)
    assert float(losses.classification(logits.detach(), torch.tensor([1, -1]))) == pytest.approx(math.log(2))
    none = losses.classification(logits, torch.tensor([-1, -1]))
    none.backward()
    assert float(none.detach()) == 0


def test_multi_class_adversary_meets_at_its_two_ends() -> None:
    even = torch.zeros(1, 2, 4)
    sure = torch.full((1, 2, 4), -50.0)
    sure[..., 1] = 50
    level = torch.tensor([[1, 1]])
    assert float(losses.multi_class_critic(sure, level)) == pytest.approx(0, abs=1e-6)
    assert float(losses.multi_class_critic(even, level)) == pytest.approx((0.75**2 + 3 * 0.25**2) / 4)
    assert float(losses.multi_class_confusion(even)) == pytest.approx(0)
    assert float(losses.multi_class_confusion(sure)) == pytest.approx((0.75**2 + 3 * 0.25**2) / 4)
    assert float(losses.multi_class_critic(even, torch.tensor([[-1, -1]]))) == 0


def test_perceptual_loss_is_relative_and_leaves_the_truth_alone() -> None:
    true = torch.full((1, 3, 2, 2), 2.0, requires_grad=True)
    image = torch.full((1, 3, 2, 2), 1.0, requires_grad=True)
    value = losses.perceptual(lambda x: [x, 10 * x], image, true)
    assert float(value.detach()) == pytest.approx(0.5)
    value.backward()
    assert image.grad is not None
    assert true.grad is None


def test_identity_loss_is_one_minus_the_cosine() -> None:
    image, true = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[3.0, 0.0], [1.0, 0.0]])
    assert float(losses.identity(lambda x: x, image, true)) == pytest.approx(0.5)


def test_hard_mean_keeps_what_is_hard_and_a_least_share() -> None:
    values = torch.tensor([0.1, 0.2, 0.9, 0.5])
    assert float(losses.hard_mean(values, limit=0.4, min_share=0.25)) == pytest.approx(0.7)
    assert float(losses.hard_mean(values, limit=5, min_share=0.25)) == pytest.approx(0.9)
    weights = torch.tensor([1.0, 1.0, 3.0, 1.0])
    assert float(losses.hard_mean(values, limit=0.4, min_share=0, weights=weights)) == pytest.approx(3.2 / 4)


def test_l1_is_the_mean_absolute_difference() -> None:
    assert float(losses.l1(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 1.0]))) == pytest.approx(1.5)


def test_edit_losses_vanish_at_the_truth_and_hold_an_unknown_warp_smooth() -> None:
    maps, one = torch.randn(2, 2, 8, 8), torch.ones(2, 1, 8, 8)
    paint, cover = torch.rand(2, 3, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    known = torch.tensor([1.0, 0.0])[:, None, None, None] * one
    interior = losses.Interior(cover, cover, one, maps, maps, one, paint, paint, one)
    terms = losses.edit_losses(maps, torch.zeros_like(paint), maps, known, one * 0.5, interior)
    assert all(float(terms[name]) < 1e-3 for name in ("flow", "mask", "place", "paint", "shade"))
    rough = torch.cat([torch.zeros_like(maps[:1]), maps[1:]])
    torch.testing.assert_close(terms["smooth"], losses.roughness(rough))
    assert set(losses.paired_factors(UnifiedLossWeights())) == set(terms) | {"image", "gradient"}
