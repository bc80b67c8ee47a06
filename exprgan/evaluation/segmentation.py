"""Intersection over union of a segmenter, on rendered faces and on photographs with partial labels.

Run as `python -m exprgan.evaluation.segmentation --data DIR --name unet`, where DIR holds the folders
synthetic-faces and open-faces.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from exprgan.data.segmentation import OpenFaces, SyntheticFaces, aligned_photo, class_sets
from exprgan.models.segmenters import CLASS_NAMES, REGION_CLASSES
from exprgan.segmentation_view import segment_crop

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
        members = [CLASS_NAMES.index(name) for name in classes]
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


def evaluate_renders(segmenter: nn.Module, data: SyntheticFaces) -> SegmentationScores:
    """Scores on rendered frames with exact masks, all classes."""
    counter = IouCounter()
    for index in range(len(data)):
        image, labels = data.frame(index)
        counter.add(labels, segment_crop(segmenter, image))
    return counter.scores()


def evaluate_photos(segmenter: nn.Module, data: OpenFaces) -> SegmentationScores:
    """Scores on photographs, of the classes that landmarks outline."""
    counter = IouCounter()
    for index in range(len(data)):
        crop, labels = aligned_photo(data, index)
        counter.add(labels, segment_crop(segmenter, crop))
    return counter.scores(EDITED_CLASSES)


def _load_run(run: Path, architecture: str) -> nn.Module:
    from safetensors.torch import load_file

    from exprgan.models import build

    model = build(architecture)
    model.load_state_dict(load_file(run / "ema.safetensors"))
    return model.eval()


def main() -> None:
    """Print the scores of one segmenter as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", choices=("unet", "bisenet"), default="unet")
    parser.add_argument("--weights", type=Path, help="folder of weights; the bundled ones without it")
    parser.add_argument("--run", type=Path, help="run folder, instead of weights")
    options = parser.parse_args()
    if options.run:
        segmenter = _load_run(options.run, options.name)
    else:
        from exprgan.weights import load_model

        segmenter = load_model(options.name, options.weights)
    report = {}
    renders = SyntheticFaces(options.data / "synthetic-faces", "test")
    photos = OpenFaces(options.data / "open-faces", "val")
    for title, scores in (
        ("synthetic_test", evaluate_renders(segmenter, renders)),
        ("open_val", evaluate_photos(segmenter, photos)),
    ):
        report[title] = {
            "mean_iou": round(scores.mean_iou, 4),
            "edited_iou": round(scores.edited_iou, 4),
            "region_iou": {name: round(value, 4) for name, value in scores.region_iou.items()},
            "class_iou": {name: round(value, 4) for name, value in scores.class_iou.items()},
        }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
