"""Intersection over union of a segmenter, on rendered faces and on photographs with partial labels.

Run as `python -m exprgan.evaluation.segmentation --data DIR --name unet`, where DIR holds the folders
synthetic-faces and open-faces.
"""

from __future__ import annotations

import argparse
import json
import sys
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
from exprgan.models import build
from exprgan.models.segmenters import CLASS_NAMES, REGION_CLASSES
from exprgan.samples.segmentation import aligned_photo, class_sets
from exprgan.weights import load_model, save_weights

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


HEADLINES = ("mean_iou", "edited_iou")
ARGUMENTS: dict[str, dict[str, Any]] = {
    "unet": {"width": 16, "patch": 2},
    "bisenet": {"width": 16, "context_channels": 48},
}
"""Constructor arguments of the shipped networks."""
DATA_SOURCES = (
    "synthetic-faces, train split (renders of this project; asset licences in its LICENSES.txt)",
    "open-faces, train split: sfhq and sfhq_t2i (MIT), pixabay (Pixabay licence), fairface (CC BY 4.0), "
    "london (CC BY 4.0, DeBruine & Jones 2017, Face Research Lab London Set), faker (CC0 1.0)",
)

CARD = """# {name}: face regions in 19 classes

Architecture `{name}` of `exprgan.models.segmenters`, {parameters:.2f} million parameters. Takes an aligned
256-px crop, RGB in [-1, 1]; gives logits of CelebAMask-HQ's 19 classes in their official order.

Licence of the weights: Apache-2.0. Trained from nothing on
{sources}

Photographs have landmarks only: brows, eyes, nose and lips drawn from them are hard labels, elsewhere a label
says no more than which classes are possible. Glasses, ears, hair, neck, clothes and background are learned
from renders alone; hats, earrings and necklaces occur in neither set, so those classes are never predicted.

Intersection over union:

| set | all classes | edited classes | eyes and brows | nose | mouth |
|---|---|---|---|---|---|
{rows}

Classes that occur among the renders but are hardly ever found (below 0.1 there): {missed}.

Not meant for telling people apart, nor for a judgement about a person. Renders cover 14 skins and adults
only; children, profiles beyond about 40 degrees, hands before the face and opaque sunglasses are weak points.
"""


def scores_record(scores: SegmentationScores) -> dict[str, Any]:
    """Scores as plain rounded numbers, for JSON."""
    return {
        "mean_iou": round(scores.mean_iou, 4),
        "edited_iou": round(scores.edited_iou, 4),
        "region_iou": {name: round(value, 4) for name, value in scores.region_iou.items()},
        "class_iou": {name: round(value, 4) for name, value in scores.class_iou.items()},
    }


def save_run(
    segmenter: nn.Module, name: str, report: dict[str, Any], folder: Path, training: dict[str, Any]
) -> None:
    """Write a trained segmenter with its card and scores to a folder of weights.

    Args:
        segmenter: The network, as `build(name)` makes it.
        name: unet or bisenet.
        report: `scores_record` by name of the set.
        folder: Folder of weights.
        training: What the config file keeps of the training.
    """
    rows = [
        f"| {title} | {record['mean_iou']:.3f} | {record['edited_iou']:.3f} | "
        + " | ".join(f"{record['region_iou'][region]:.3f}" for region in REGION_CLASSES)
        + " |"
        for title, record in report.items()
    ]
    renders = report.get("synthetic_test", {"class_iou": {}})
    missed = [class_name for class_name, iou in renders["class_iou"].items() if iou < 0.1]
    card = CARD.format(
        name=name,
        parameters=sum(p.numel() for p in segmenter.parameters()) / 1e6,
        sources="\n".join(f"- {source}" for source in DATA_SOURCES),
        rows="\n".join(rows),
        missed=", ".join(missed) or "none",
    )
    metrics = {f"{title}_{key}": record[key] for title, record in report.items() for key in HEADLINES}
    config = {
        "architecture": name,
        "arguments": ARGUMENTS[name],
        "data": list(DATA_SOURCES),
        "metrics": metrics,
        "training": training,
    }
    save_weights(folder, name, segmenter.state_dict(), config, card)


def load_run(run: Path, name: str) -> nn.Module:
    """The averaged network of a run folder, in eval mode."""
    from safetensors.torch import load_file

    segmenter = build(name, **ARGUMENTS[name])
    segmenter.load_state_dict(load_file(run / "ema.safetensors"))
    return segmenter.eval()


def main() -> None:
    """Print the scores of one segmenter as JSON; with --save, put a run's network among the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", choices=sorted(ARGUMENTS), default="unet")
    parser.add_argument("--weights", type=Path, help="folder of weights; the bundled ones without it")
    parser.add_argument("--run", type=Path, help="run folder, instead of weights")
    parser.add_argument("--save", type=Path, help="folder of weights that the run's network is written to")
    options = parser.parse_args()
    if options.save and not options.run:
        parser.error("--save needs --run, the folder of the run to save")
    name = options.name
    segmenter = load_run(options.run, name) if options.run else load_model(name, options.weights)
    renders = SyntheticFaces(options.data / "synthetic-faces")
    photos = OpenFaces(options.data / "open-faces")
    report = {
        "synthetic_test": scores_record(evaluate_renders(segmenter, renders)),
        "open_val": scores_record(evaluate_photos(segmenter, photos)),
    }
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    if options.save:
        training = json.loads((options.run / "options.json").read_text())
        save_run(segmenter, name, report, options.save, training)


if __name__ == "__main__":
    main()
