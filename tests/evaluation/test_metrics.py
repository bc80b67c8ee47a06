"""The evaluation's figures against cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from exprgan.evaluation import metrics


def pictures(*levels: float, size: int = 32) -> Tensor:
    return torch.stack([torch.full((3, size, size), level) for level in levels])


def test_confusion_counts_by_target_and_leaves_out_unknown_ones() -> None:
    counts = metrics.confusion(np.array([0, 1, 1, 2]), np.array([0, 0, 1, -1]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]


def test_identity_figures_of_known_vectors() -> None:
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    second = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    np.testing.assert_allclose(metrics.identity_cosine(first, second), [1, 0, -1], atol=1e-12)
    np.testing.assert_allclose(metrics.content_distance(first, second), [0, math.sqrt(2), 2])


def test_pixel_figures_of_flat_pictures() -> None:
    first, second = pictures(0.5, 0.5), pictures(0.5, 0.6)
    found = metrics.pixel_figures(first, second, {"all": torch.ones(1, 1, 32, 32)})
    np.testing.assert_allclose(found["l1_all"], [0, 25.5], atol=1e-4)
    np.testing.assert_allclose(found["psnr_all"], [metrics.PSNR_LIMIT_DB, 20], atol=1e-3)
    # without structure SSIM is its luminance term (2ab + c1) / (a² + b² + c1)
    luminance = (2 * 0.5 * 0.6 + 1e-4) / (0.5**2 + 0.6**2 + 1e-4)
    np.testing.assert_allclose(found["ssim_all"], [1, luminance], atol=1e-4)


def test_masks_split_a_picture_into_what_changed_and_what_did_not() -> None:
    first, second = pictures(0.2), pictures(0.2)
    second[:, :, :, :16] += 0.1
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., :16] = 1
    found = metrics.pixel_figures(
        first, second, {"in": mask, "out": 1 - mask, "none": torch.zeros_like(mask)}
    )
    np.testing.assert_allclose(found["l1_in"], [25.5], atol=1e-4)
    np.testing.assert_allclose(found["l1_out"], [0], atol=1e-6)
    np.testing.assert_allclose(found["psnr_in"], [20], atol=1e-3)
    assert found["psnr_out"] == metrics.PSNR_LIMIT_DB
    assert found["ssim_in"] < found["ssim_out"]
    assert all(np.isnan(found[f"{figure}_none"]).all() for figure in ("l1", "psnr", "ssim"))
    np.testing.assert_array_equal(metrics.psnr(first, second, mask), found["psnr_in"])


def test_means_are_of_groups_and_of_all_rows() -> None:
    rows = {"sad": [{"db": 1.0, "px": 4.0}, {"db": 3.0}], "fear": [{"db": 5.0}], "none": []}
    assert metrics.means(rows) == {
        "sad": {"db": 2.0, "px": 4.0, "pairs": 2},
        "fear": {"db": 5.0, "pairs": 1},
        "all": {"db": 3.0, "px": 4.0, "pairs": 3},
    }


def test_ssim_is_that_of_torchmetrics() -> None:
    from torchmetrics.functional.image import structural_similarity_index_measure

    generator = torch.Generator().manual_seed(0)
    first = torch.rand(2, 3, 48, 48, generator=generator, dtype=torch.float64)
    second = (first + 0.2 * torch.rand(2, 3, 48, 48, generator=generator, dtype=torch.float64)).clamp(0, 1)
    _, expected = structural_similarity_index_measure(
        first, second, data_range=1.0, return_full_image=True, reduction="none"
    )
    torch.testing.assert_close(metrics.ssim_map(first, second), expected, atol=1e-9, rtol=0)
    assert float((metrics.ssim_map(first.float(), first.float()) - 1).abs().max()) < 1e-9


def test_fid_of_two_gaussians_is_the_closed_form() -> None:
    # feature sets with exact mean and covariance: ±1 corners scaled; FID = |Δμ|² + Σ(σ1 - σ2)²
    corners = torch.tensor([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)]).repeat(250, 1)
    real, fake = corners, corners * torch.tensor([2.0, 3.0]) + torch.tensor([3.0, 4.0])
    unbiased = len(corners) / (len(corners) - 1)
    expected = 25 + ((2 - 1) ** 2 + (3 - 1) ** 2) * unbiased
    assert metrics.fid(real, fake) == pytest.approx(expected, rel=1e-6)
    assert metrics.fid(real, real) == pytest.approx(0, abs=1e-6)
    assert math.isnan(metrics.fid(real[:1], fake))


def test_kid_of_points_is_the_closed_form() -> None:
    # D = 1: kernel (x y + 1)³; real at 0 and 1, fake at 1, 1, 2
    real, fake = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [1.0], [2.0]])
    within_real = 1.0  # k(0, 1)
    within_fake = (8 + 27 + 27) / 3  # k(1, 1), k(1, 2), k(1, 2)
    between = (1 + 1 + 1 + 8 + 8 + 27) / 6
    assert metrics.kid(real, fake) == pytest.approx(within_real + within_fake - 2 * between)


def test_kid_of_one_distribution_is_zero_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [
        metrics.kid(torch.randn(40, 4, generator=generator), torch.randn(60, 4, generator=generator))
        for _ in range(60)
    ]
    spread = np.std(found) / math.sqrt(len(found))
    assert abs(np.mean(found)) < 3 * spread
    assert min(found) < 0
    assert (
        metrics.kid(torch.randn(40, 4, generator=generator), 1 + torch.randn(60, 4, generator=generator)) > 1
    )


def test_segmentation_figures_of_known_counts() -> None:
    counts = np.array([[6, 2, 0], [0, 4, 0], [0, 0, 0]])
    np.testing.assert_allclose(metrics.class_iou(counts), [6 / 8, 4 / 6, np.nan])
    np.testing.assert_allclose(metrics.class_accuracy(counts), [6 / 8, 1, np.nan])
    assert metrics.pixel_accuracy(counts) == pytest.approx(10 / 12)


def test_bootstrap_interval_of_a_mean_is_the_normal_one() -> None:
    values = np.random.default_rng(1).normal(5, 2, 400)
    figure = metrics.bootstrap_mean(values, seed=0, draws=4000)
    half = 1.96 * values.std() / math.sqrt(400)
    assert figure.value == pytest.approx(values.mean())
    assert figure.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert figure.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_bootstrap_draws_whole_groups() -> None:
    # eight equal values a face say no more than one: the interval is that of the faces
    faces = np.random.default_rng(2).normal(size=50)
    alone = metrics.bootstrap_mean(faces, seed=3)
    names = [f"face {i:02d}" for i in range(50)]
    repeated = metrics.bootstrap_mean(np.repeat(faces, 8), np.repeat(names, 8).tolist(), seed=3)
    assert repeated.count == 50
    assert (repeated.value, repeated.low, repeated.high) == pytest.approx(
        (alone.value, alone.low, alone.high)
    )


def test_bootstrap_repeats_with_its_seed_and_ignores_missing_values() -> None:
    values = np.array([1.0, 2.0, np.nan, 4.0])
    first = metrics.bootstrap_mean(values, seed=7)
    assert first == metrics.bootstrap_mean(values, seed=7)
    assert first.count == 3
    assert first.value == pytest.approx(7 / 3)
    nothing = metrics.bootstrap_mean(np.array([np.nan]), seed=0)
    assert nothing.count == 0
    assert nothing.record() == {"value": None, "low": None, "high": None, "n": 0}


def test_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(0).normal(size=200)
    figure = metrics.jackknife(lambda rows: float(values[rows].mean()), 200, seed=0, blocks=200)
    error = values.std(ddof=1) / math.sqrt(200)
    assert figure.value == pytest.approx(values.mean())
    assert figure.high - figure.value == pytest.approx(1.96 * error)
    blocks = metrics.jackknife(lambda rows: float(values[rows].mean()), 200, seed=0)
    assert blocks.high - blocks.value == pytest.approx(1.96 * error, rel=0.4)


def test_verification_figures() -> None:
    assert metrics.roc_auc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1
    assert metrics.roc_auc(np.array([1.0, 1.0]), np.array([1.0, 1.0])) == 0.5
    assert metrics.equal_error_rate(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 0
    same, different = np.arange(10.0) + 5, np.arange(10.0)  # values from 5 to 9 are in both
    assert metrics.equal_error_rate(same, different) == pytest.approx(0.25, abs=0.05)
