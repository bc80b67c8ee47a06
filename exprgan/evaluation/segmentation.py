"""Intersection over union of a segmenter, on rendered faces and on photographs with partial labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from exprgan.data.face_set import FaceSet
from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.edit.regions import segment_crop
from exprgan.evaluation import metrics
from exprgan.face_parts import CLASS_NAMES, REGION_CLASSES, class_ids
from exprgan.samples.segmentation import aligned_photo, class_sets
from exprgan.weights import NetworkFiles

NUM_CLASSES = len(CLASS_NAMES)
EDITED_CLASSES = tuple(name for members in REGION_CLASSES.values() for name in members)


@dataclass(frozen=True)
class SegmentationScores:
    """Intersection over union, 0 to 1, of classes that occur in the labels."""

    class_iou: dict[str, float]  # by class name
    region_iou: dict[str, float]  # the classes of a region taken as one

    @property
    def mean_iou(self) -> float:
        """Mean over all classes that occur."""
        return float(np.mean(list(self.class_iou.values())))

    @property
    def edited_iou(self) -> float:
        """Mean over the classes of the edited regions: eyes, brows, nose, lips, inner mouth."""
        return float(np.mean([self.class_iou[n] for n in EDITED_CLASSES if n in self.class_iou]))


class IouCounter:
    """Counts pixels of (label, prediction) and turns them into scores.

    A prediction outside the set of a partial label counts as a false positive of the predicted class;
    inside the set it counts for nothing.
    """

    def __init__(self) -> None:
        self.confusion = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64)  # [label, prediction]
        self.impossible = np.zeros(NUM_CLASSES, np.int64)  # predictions that a partial label rules out
        self._sets = class_sets() > 0

    def add(self, labels: NDArray[np.uint8], predicted: NDArray[np.uint8]) -> None:
        """Count one image: labels and predictions uint8 (H, W); labels as in `draw_partial_labels`."""
        exact = labels < NUM_CLASSES
        pairs = labels[exact].astype(np.int64) * NUM_CLASSES + predicted[exact]
        self.confusion += np.bincount(pairs, minlength=NUM_CLASSES**2).reshape(self.confusion.shape)
        for number, members in enumerate(self._sets):
            found = np.bincount(predicted[labels == NUM_CLASSES + number], minlength=NUM_CLASSES)
            self.impossible += np.where(members, 0, found)

    def iou(self, classes: Iterable[str]) -> float:
        """Intersection over union of several classes taken as one; NaN where none occurs."""
        members = class_ids(classes)
        both = self.confusion[np.ix_(members, members)].sum()
        labelled = self.confusion[members].sum()
        predicted = self.confusion[:, members].sum() + self.impossible[members].sum()
        return float(both / (labelled + predicted - both)) if labelled else float("nan")

    def scores(self, names: Iterable[str] = CLASS_NAMES) -> SegmentationScores:
        """Scores of the classes among `names` that occur, and of the edited regions."""
        occurring = [n for n in names if self.confusion[CLASS_NAMES.index(n)].sum()]
        return SegmentationScores(
            {name: self.iou([name]) for name in occurring},
            {region: self.iou(members) for region, members in REGION_CLASSES.items()},
        )


def count_masks(segmenter: nn.Module, data: FaceSet, rows: Sequence[int]) -> tuple[NDArray[np.int64], int]:
    """Pixels (19, 19) by [label, predicted] of the rows that have masks, and how many those are."""
    counts, num_images = np.zeros((NUM_CLASSES, NUM_CLASSES), np.int64), 0
    for row in rows:
        mask = data.mask(row)
        if mask is None:
            continue
        predicted, labels = segment_crop(segmenter, data.image(row)), mask.astype(np.int64)
        labels[labels >= NUM_CLASSES] = -1  # pixels without a label
        counts += metrics.confusion(predicted.ravel().astype(np.int64), labels.ravel(), NUM_CLASSES)
        num_images += 1
    return counts, num_images


def mask_record(counts: NDArray[np.int64]) -> dict[str, Any]:
    """Figures of `count_masks` for JSON: mIoU over the classes that occur, pixel accuracy, and both by class."""
    iou, found = metrics.class_iou(counts), metrics.class_accuracy(counts)
    present = [number for number in range(NUM_CLASSES) if np.isfinite(iou[number])]
    return {
        "mean_iou": metrics.rounded(float(iou[present].mean())),
        "pixel_accuracy": metrics.rounded(metrics.pixel_accuracy(counts)),
        "class_iou": {CLASS_NAMES[number]: metrics.rounded(float(iou[number])) for number in present},
        "class_accuracy": {CLASS_NAMES[number]: metrics.rounded(float(found[number])) for number in present},
    }


def evaluate_renders(segmenter: nn.Module, data: SyntheticFaces) -> SegmentationScores:
    """Scores on the rendered test frames with exact masks, all classes."""
    counter = IouCounter()
    for row in data.indices("test"):
        counter.add(data.mask(row), segment_crop(segmenter, data.image(row)))
    return counter.scores()


def evaluate_photos(segmenter: nn.Module, data: OpenFaces) -> SegmentationScores:
    """Scores on photographs of split val, of the classes that landmarks outline."""
    counter = IouCounter()
    for row in data.indices("val"):
        crop, labels = aligned_photo(data, row)
        counter.add(labels, segment_crop(segmenter, crop))
    return counter.scores(EDITED_CLASSES)


def scores_record(scores: SegmentationScores) -> dict[str, Any]:
    """Scores as plain rounded numbers, for JSON."""
    return {
        "mean_iou": round(scores.mean_iou, 4),
        "edited_iou": round(scores.edited_iou, 4),
        "region_iou": {name: round(value, 4) for name, value in scores.region_iou.items()},
        "class_iou": {name: round(value, 4) for name, value in scores.class_iou.items()},
    }


def report_of(files: NetworkFiles, data: Path) -> dict[str, Any]:
    """Scores by set.

    Args:
        files: The segmenter.
        data: Folder with open-faces and synthetic-faces.
    """
    segmenter = files.load()
    return {
        "synthetic_test": scores_record(
            evaluate_renders(segmenter, SyntheticFaces(data / "synthetic-faces"))
        ),
        "open_val": scores_record(evaluate_photos(segmenter, OpenFaces(data / "open-faces"))),
    }
