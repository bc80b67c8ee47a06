"""What was measured as figures with intervals: means over edits, distances of sets, tables by expression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from exprgan.action_units import JUDGED_SCORES, SCORES
from exprgan.evaluation import metrics
from exprgan.evaluation.cases import Cases
from exprgan.evaluation.metrics import Figure
from exprgan.evaluation.protocol import NUM, Array, Measured
from exprgan.expressions import EXPRESSIONS

POORLY_JUDGED = ("mouthFrown",)
"""Of the judged scores, those whose estimate correlates by less than 0.4 with MediaPipe's score on held-out faces."""

LEAST_LIKE = 30
"""Fewer photographs that show an expression by their label make no reference for it."""

WANTED = {
    "happy": ("mouthSmile",),
    "sad": ("browInnerUp", "mouthFrown"),
    "surprise": ("browInnerUp", "browOuterUp", "jawOpen"),
    "fear": ("browInnerUp", "mouthStretch", "eyeWide"),
    "disgust": ("browDown", "mouthUpperUp"),
    "anger": ("browDown", "eyeSquint"),
    "contempt": ("smile R-L",),
}
"""Columns that an expression should raise, after EMFACS; neutral raises none."""


@dataclass(frozen=True)
class Summary:
    """Figures of a contestant with intervals, ready for the report."""

    figures: dict[str, Figure]
    by_expression: dict[str, dict[str, Figure]]  # figure -> expression -> value
    confusion: NDArray[np.int64]  # [asked for, judged], by the photographs' judge
    confusion_rendered: NDArray[np.int64]
    scores: dict[str, dict[str, float]]  # expression -> column -> mean change, by the photographs' judge
    landmarker_scores: dict[str, dict[str, float]] | None


def summarise(
    measured: Measured,
    cases: Cases,
    tested: Sequence[int],
    reference: Tensor,
    seed: int,
    reference_inception: Tensor | None = None,
) -> Summary:
    """Means, intervals and tables of what was measured.

    Args:
        measured: Of `Protocol.measure`.
        cases: The cases.
        tested: Expressions that the photographs' judge was tested on; others do not count for its accuracy.
        reference: Features of the reference.
        seed: Of the bootstrap.
        reference_inception: The same in the FID Inception, or None.
    """
    values = per_edit(measured, tested)
    persons = [f"{case.set_name} {case.person}" for case in cases.faces]
    groups = np.repeat(persons, NUM).tolist()
    figures = {key: metrics.bootstrap_mean(value.ravel(), groups, seed=seed) for key, value in values.items()}
    figures |= {key: metrics.bootstrap_mean(value, persons, seed=seed) for key, value in measured.own.items()}
    figures |= {
        key: metrics.bootstrap_mean(value, [pair.person for pair in cases.pairs], seed=seed)
        for key, value in measured.pairs.items()
    }
    figures |= _distances(measured.features, reference, seed)
    if measured.inception is not None and reference_inception is not None:
        figures |= _published_distances(measured.inception, reference_inception)
    by_expression = {
        key: {
            name: metrics.bootstrap_mean(value[:, number], persons, seed=seed)
            for number, name in enumerate(EXPRESSIONS)
        }
        for key, value in values.items()
    }
    by_expression["kid"] = {
        name: kernel_distance(measured.features[:, number : number + 1], reference, seed)
        for number, name in enumerate(EXPRESSIONS)
    }
    shown = cases.reference_expressions
    by_expression["kid_like"] = {
        name: kernel_distance(measured.features[:, number : number + 1], reference[shown == number], seed)
        if (shown == number).sum() >= LEAST_LIKE
        else Figure(np.nan, np.nan, np.nan, 0)
        for number, name in enumerate(EXPRESSIONS)
    }
    like = [one.value for one in by_expression["kid_like"].values() if one.count]
    figures["kid_like"] = Figure(float(np.mean(like)) if like else np.nan, np.nan, np.nan, len(like))
    for key, value in measured.pairs.items():
        kinds = np.array([pair.expression for pair in cases.pairs])
        people = np.array([pair.person for pair in cases.pairs])
        by_expression[key] = {
            name: metrics.bootstrap_mean(value[kinds == number], people[kinds == number].tolist(), seed=seed)
            for number, name in enumerate(EXPRESSIONS)
        }
    asked = np.broadcast_to(np.arange(NUM), measured.predicted.shape)
    changes = measured.landmarker_changes
    return Summary(
        figures=figures,
        by_expression=by_expression,
        confusion=_confusion(measured.predicted, asked),
        confusion_rendered=_confusion(measured.predicted_rendered, asked),
        scores=_score_table(measured.score_changes, JUDGED_SCORES),
        landmarker_scores=None if changes is None else _score_table(changes, tuple(SCORES)),
    )


def per_edit(measured: Measured, tested: Sequence[int]) -> dict[str, Array]:
    """All figures that are means over edits, (C, 8) each."""
    known = measured.predicted >= 0
    asked = np.arange(NUM)
    right = np.where(known & np.isin(asked, list(tested)), measured.predicted == asked, np.nan)
    right_rendered = np.where(known, measured.predicted_rendered == asked, np.nan)
    values = {
        "accuracy": right,
        "accuracy_rendered": right_rendered,
        "wanted": wanted_change(measured.score_changes, JUDGED_SCORES, without=POORLY_JUDGED),
        **measured.edits,
    }
    if measured.landmarker_changes is not None:
        values["wanted_landmarker"] = wanted_change(measured.landmarker_changes, tuple(SCORES))
    return values


def wanted_change(changes: Array, columns: Sequence[str], without: Sequence[str] = ()) -> Array:
    """Mean change of the scores that an expression should raise, (C, 8); NaN where no column is known.

    Args:
        changes: (C, 8, K).
        columns: Names of the K columns.
        without: Columns that do not count.
    """
    wanted = np.full(changes.shape[:2], np.nan)
    for name, raised in WANTED.items():
        places = [columns.index(entry) for entry in raised if entry in columns and entry not in without]
        if places:
            number = EXPRESSIONS.index(name)
            wanted[:, number] = changes[:, number, places].mean(axis=1)
    return wanted


def _distances(features: Tensor, reference: Tensor, seed: int) -> dict[str, Figure]:
    """FID and KID of all edits against the reference, with jackknife intervals over faces."""
    return {
        "fid": _distance(metrics.fid, features, reference, seed),
        "kid": kernel_distance(features, reference, seed),
    }


def _distance(
    statistic: Callable[[Tensor, Tensor], float], features: Tensor, reference: Tensor, seed: int
) -> Figure:
    kept = features[features.flatten(1).isfinite().all(dim=1)]
    if not len(kept):
        return Figure(np.nan, np.nan, np.nan, 0)
    return metrics.jackknife(
        lambda rows: statistic(reference, kept[torch.from_numpy(rows)].flatten(0, 1)), len(kept), seed=seed
    )


def kernel_distance(features: Tensor, reference: Tensor, seed: int) -> Figure:
    """KID of edits (C, E, F) of C faces against a reference (R, F), with a jackknife interval over faces."""
    return _distance(metrics.kid, features, reference, seed)


def _published_distances(features: Tensor, reference: Tensor) -> dict[str, Figure]:
    """FID and KID in the FID Inception, without intervals: 21 times its square root would take minutes."""
    kept = features[features.flatten(1).isfinite().all(dim=1)]
    rows = kept.flatten(0, 1)
    return {
        key: Figure(statistic(reference, rows), np.nan, np.nan, len(kept))
        for key, statistic in (("fid_inception", metrics.fid), ("kid_inception", metrics.kid))
    }


def _confusion(predicted: NDArray[np.int64], asked: NDArray[np.int64]) -> NDArray[np.int64]:
    known = predicted.ravel() >= 0
    return metrics.confusion(predicted.ravel()[known], asked.ravel()[known], NUM)


def _score_table(changes: Array, columns: Sequence[str]) -> dict[str, dict[str, float]]:
    """Mean change by expression and column; faces that were not judged are left out."""
    known = np.isfinite(changes).all(axis=(1, 2))
    means = changes[known].mean(axis=0) if known.any() else np.full(changes.shape[1:], np.nan)
    return {
        name: dict(zip(columns, means[number].tolist(), strict=True))
        for number, name in enumerate(EXPRESSIONS)
    }


def paired_differences(
    first: Measured, second: Measured, cases: Cases, tested: Sequence[int], seed: int
) -> dict[str, Figure]:
    """Mean of second minus first over the same faces, with intervals; 0 inside one means no clear difference."""
    groups = np.repeat([f"{case.set_name} {case.person}" for case in cases.faces], NUM).tolist()
    a, b = per_edit(first, tested), per_edit(second, tested)
    differences = {key: metrics.bootstrap_mean((b[key] - a[key]).ravel(), groups, seed=seed) for key in a}
    persons = [pair.person for pair in cases.pairs]
    for key in first.pairs:
        differences[key] = metrics.bootstrap_mean(second.pairs[key] - first.pairs[key], persons, seed=seed)
    return differences
