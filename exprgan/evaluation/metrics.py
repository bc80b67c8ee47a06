"""The figures of an evaluation as pure functions: numbers in, numbers out.

Pictures are float32 (N, 3, H, W) in [0, 1]; a mask is float32 (N, 1, H, W), 0 or 1. Per-picture figures come as
arrays (N,), NaN where a mask is empty, for `bootstrap_mean`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PSNR_LIMIT_DB = 59.0
"""What rounding to 8 bits leaves (mean square error 1/12 of a level): higher ratios cannot be told from it."""
DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Figure:
    """A mean with its bootstrap interval, and how many independent things (faces, identities) it is of."""

    value: float
    low: float
    high: float
    count: int

    def record(self) -> dict[str, float | int | None]:
        """For JSON, rounded; None stands for what is no number."""
        return {
            "value": rounded(self.value),
            "low": rounded(self.low),
            "high": rounded(self.high),
            "n": self.count,
        }


def rounded(value: float) -> float | None:
    """Five significant digits, or None for what is no finite number.

    >>> rounded(0.123456789), rounded(float("nan"))
    (0.12346, None)
    """
    return float(f"{value:.5g}") if math.isfinite(value) else None


def confusion(predicted: NDArray[np.int64], target: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Counts (num_classes, num_classes) by [target, predicted]; targets below 0 are left out."""
    known = target >= 0
    cells = target[known] * num_classes + predicted[known]
    return np.bincount(cells, minlength=num_classes**2).reshape(num_classes, num_classes).astype(np.int64)


def identity_cosine(first: Tensor, second: Tensor) -> NDArray[np.float64]:
    """Cosine of embeddings (N, D), row by row, in [-1, 1]."""
    return torch.cosine_similarity(first.double(), second.double(), dim=1).numpy()


def content_distance(first: Tensor, second: Tensor) -> NDArray[np.float64]:
    """Average content distance's L2 between embeddings (N, D), row by row; 0 to 2 for unit vectors.

    ACD is the mean over faces [Tulyakov et al., MoCoGAN, 2018, section 4.1, between two frames].
    """
    return (first.double() - second.double()).norm(dim=1).numpy()


def psnr(first: Tensor, second: Tensor, mask: Tensor) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio in dB, at most `PSNR_LIMIT_DB`."""
    return decibels(masked_mean((first - second).square(), mask))


def decibels(error: NDArray[np.float64]) -> NDArray[np.float64]:
    """Peak signal-to-noise ratio of mean square errors of pictures in [0, 1], at most `PSNR_LIMIT_DB`."""
    least = 10 ** (-PSNR_LIMIT_DB / 10)
    ratio: NDArray[np.float64] = -10 * np.log10(np.maximum(error, least))
    return ratio


def ssim_map(first: Tensor, second: Tensor) -> Tensor:
    """Structural similarity [Wang et al. 2004] by pixel and channel, float64 (N, 3, H, W).

    Gaussian window of sigma 1.5; the border is mirrored.
    """
    maps = [
        _similarity(one.permute(1, 2, 0).double().numpy(), other.permute(1, 2, 0).double().numpy())
        for one, other in zip(first, second, strict=True)
    ]
    return torch.from_numpy(np.stack(maps)).permute(0, 3, 1, 2)


def _similarity(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """SSIM of two pictures (H, W, 3); in float64, as variances are differences of near numbers."""

    def local_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT_101))

    mean_x, mean_y = local_mean(x), local_mean(y)
    variance_x, variance_y = local_mean(x * x) - mean_x**2, local_mean(y * y) - mean_y**2
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = 0.01**2, 0.03**2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    similarity: NDArray[np.float64] = luminance * (2 * covariance + c2) / (variance_x + variance_y + c2)
    return similarity


def masked_mean(values: Tensor, mask: Tensor) -> NDArray[np.float64]:
    """Means (N,) over channels and the mask's pixels; NaN where it is empty."""
    values = values.double().mean(dim=1, keepdim=True)
    weight = mask.double()
    total = weight.sum(dim=(1, 2, 3))
    mean = (values * weight).sum(dim=(1, 2, 3)) / total
    return torch.where(total > 0, mean, torch.nan).numpy()


def pixel_figures(first: Tensor, second: Tensor, masks: dict[str, Tensor]) -> dict[str, NDArray[np.float64]]:
    """PSNR in dB, SSIM and L1 in 8-bit levels, (N,) within each mask (1 or N, 1, H, W), under the mask's name."""
    difference, similarity = first - second, ssim_map(first, second)
    figures = {}
    for name, mask in masks.items():
        mask = mask.expand(len(first), -1, -1, -1)
        figures[f"psnr_{name}"] = decibels(masked_mean(difference.square(), mask))
        figures[f"ssim_{name}"] = masked_mean(similarity, mask)
        figures[f"l1_{name}"] = masked_mean(difference.abs() * 255, mask)
    return figures


class _Given(nn.Module):
    """Hands features through: torchmetrics asks for a network."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def fid(real: Tensor, fake: Tensor) -> float:
    """Fréchet distance of features (N, D) and (M, D) [Heusel et al. 2017]; 0 or more, biased upwards by small N.

    NaN where a side has fewer than two rows.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    if min(len(real), len(fake)) < 2:
        return math.nan
    metric = FrechetInceptionDistance(feature=_Given(real.shape[1])).set_dtype(torch.float64)
    metric.update(real.double(), real=True)
    metric.update(fake.double(), real=False)
    return max(0.0, float(metric.compute()))


def kid(real: Tensor, fake: Tensor) -> float:
    """Kernel distance of features [Binkowski et al. 2018]: unbiased MMD², cubic kernel, of all rows at once.

    Zero on average, so sometimes below it, where both come from one distribution. NaN where a side has fewer
    than two rows.
    """
    from torchmetrics.image.kid import poly_kernel

    real, fake = real.double(), fake.double()
    n, m = len(real), len(fake)
    if min(n, m) < 2:
        return math.nan
    within_real, within_fake = poly_kernel(real, real), poly_kernel(fake, fake)
    return float(
        (within_real.sum() - within_real.trace()) / (n * (n - 1))
        + (within_fake.sum() - within_fake.trace()) / (m * (m - 1))
        - 2 * poly_kernel(real, fake).mean()
    )


def class_iou(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Intersection over union by class of counts [label, predicted]; NaN for classes that no label has."""
    both, labelled, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    return _share(both, labelled + predicted - both, labelled > 0)


def class_accuracy(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of each label's pixels that are predicted right; NaN for classes that no label has."""
    labelled = counts.sum(axis=1)
    return _share(np.diag(counts), labelled, labelled > 0)


def pixel_accuracy(counts: NDArray[np.int64]) -> float:
    """Share of all labelled pixels that are predicted right; NaN for none."""
    total = counts.sum()
    return float(np.trace(counts) / total) if total else math.nan


def _share(
    part: NDArray[np.int64], whole: NDArray[np.int64], known: NDArray[np.bool_]
) -> NDArray[np.float64]:
    return np.where(known, part / np.maximum(whole, 1), np.nan)


def means(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Means by figure of each group and of all rows ("all"), and how many these are ("pairs").

    A figure that some rows lack is the mean of the others; the first row of a group must have all.

    >>> means({"happy": [{"db": 1.0}, {"db": 3.0}]})["all"]
    {'db': 2.0, 'pairs': 2}
    """
    groups = {**rows, "all": [row for group in rows.values() for row in group]}
    return {
        name: {key: float(np.mean([row[key] for row in group if key in row])) for key in group[0]}
        | {"pairs": len(group)}
        for name, group in groups.items()
        if group
    }


def bootstrap_mean(
    values: NDArray[np.floating],
    groups: Sequence[str] | None = None,
    *,
    seed: int,
    draws: int = DRAWS,
    level: float = LEVEL,
) -> Figure:
    """Mean of the groups' means with a percentile interval; whole groups are drawn, as their values depend.

    Args:
        values: (N,), NaN for what does not count.
        groups: Which face or identity each value is of; None: each is its own.
        seed: Of the draws.
        draws: Number of resamples.
        level: Share of the resamples inside the interval.
    """
    values = np.asarray(values, np.float64)
    names = np.asarray(groups if groups is not None else np.arange(len(values)))
    kept = np.isfinite(values)
    _, place = np.unique(names[kept], return_inverse=True)
    if not len(place):
        return Figure(math.nan, math.nan, math.nan, 0)
    means = np.bincount(place, values[kept]) / np.bincount(place)
    rng = np.random.default_rng(seed)
    found = [means[rng.integers(len(means), size=len(means))].mean() for _ in range(draws)]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Figure(float(means.mean()), float(low), float(high), len(means))


def jackknife(
    statistic: Callable[[NDArray[np.int64]], float], count: int, *, seed: int, blocks: int = 20
) -> Figure:
    """A statistic of `count` things with a normal 95 % interval by the delete-a-block jackknife.

    For statistics of whole sets such as FID and KID, which resamples with repeated rows would distort.

    Args:
        statistic: Of the row numbers given to it.
        count: Number of rows.
        seed: Of the partition into blocks.
        blocks: Number of blocks; fewer where there are fewer rows.
    """
    rows = np.arange(count)
    value = statistic(rows)
    if count < 2:
        return Figure(value, math.nan, math.nan, count)
    parts = np.array_split(np.random.default_rng(seed).permutation(count), min(blocks, count))
    left_out = np.array([statistic(np.setdiff1d(rows, part)) for part in parts])
    deviation = math.sqrt((len(parts) - 1) / len(parts) * np.square(left_out - left_out.mean()).sum())
    return Figure(value, value - 1.96 * deviation, value + 1.96 * deviation, count)


def roc_auc(same: NDArray[np.floating], different: NDArray[np.floating]) -> float:
    """Probability that a pair of the same person is more alike than one of different people.

    >>> roc_auc(np.array([0.9, 0.4]), np.array([0.1, 0.5]))
    0.75
    """
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate([same, different]))[: len(same)]
    return float((ranks.sum() - len(same) * (len(same) + 1) / 2) / (len(same) * len(different)))


def equal_error_rate(same: NDArray[np.floating], different: NDArray[np.floating]) -> float:
    """Error where as many pairs of one person are taken for two as the other way round, 0 to 1."""
    thresholds = np.unique(np.concatenate([same, different]))
    missed = np.searchsorted(np.sort(same), thresholds, side="left") / len(same)
    accepted = 1 - np.searchsorted(np.sort(different), thresholds, side="left") / len(different)
    nearest = int(np.argmin(np.abs(missed - accepted)))
    return float((missed[nearest] + accepted[nearest]) / 2)
