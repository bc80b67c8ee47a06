"""How good the judges are on held-out faces, and their publication with that in the card.

python -m exprgan.evaluation.judges RUN --data DIR [--name judge] [--save weights]
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from exprgan.action_units import JUDGED_SCORES, SCORES, column
from exprgan.data.face_set import FaceSet
from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.evaluation import metrics
from exprgan.expressions import EXPRESSIONS
from exprgan.models import build
from exprgan.models.judges import ExpressionJudge, IdentityJudge
from exprgan.models.pixels import to_tensor
from exprgan.weights import save_weights

PHOTO_SOURCES = (
    "open-faces, train split: sfhq and sfhq_t2i (MIT), pixabay (Pixabay licence), fairface (CC BY 4.0), "
    "london (CC BY 4.0, DeBruine & Jones 2017, Face Research Lab London Set), faker (CC0 1.0)"
)
RENDER_SOURCE = "synthetic-faces, train split (renders of this project; asset licences in its LICENSES.txt)"
HEADLINES = ("accuracy", "balanced_accuracy", "auc", "eer")
LEAST_TESTED = 2
"""Labelled held-out photographs of an expression that make it a tested class."""


@torch.inference_mode()
def examine_expressions(judge: ExpressionJudge, data: FaceSet, split: str) -> dict[str, Any]:
    """Accuracy, its mean over the classes that occur, and confusion on the labelled faces of a split."""
    rows = np.flatnonzero((data.splits == split) & (data.expressions >= 0))
    logits = torch.cat([judge.judge(to_tensor(data.image(int(row))))[0] for row in rows])
    counts = metrics.confusion(logits.argmax(1).numpy(), data.expressions[rows], len(EXPRESSIONS))
    return {
        "n": len(rows),
        "accuracy": metrics.rounded(metrics.pixel_accuracy(counts)),
        "balanced_accuracy": metrics.rounded(float(np.nanmean(metrics.class_accuracy(counts)))),
        "confusion": counts.tolist(),
    }


@torch.inference_mode()
def examine_scores(judge: ExpressionJudge, data: OpenFaces, split: str) -> dict[str, float | None]:
    """Correlation of each score with MediaPipe's over a split; empty for fewer than three faces."""
    rows = data.indices(split)
    if len(rows) < 3:
        return {}
    judged = torch.cat([judge.judge(to_tensor(data.image(row)))[1] for row in rows]).sigmoid().numpy()
    known = [[column(data.scores(row), SCORES[name]) for name in JUDGED_SCORES] for row in rows]
    together = np.corrcoef(judged.T, np.array(known).T)
    return {
        name: metrics.rounded(together[n, len(JUDGED_SCORES) + n]) for n, name in enumerate(JUDGED_SCORES)
    }


@torch.inference_mode()
def embeddings(judge: IdentityJudge, images: Sequence[NDArray[np.uint8]]) -> Tensor:
    """Unit vectors (N, D) of crops."""
    return torch.cat([judge.embed(to_tensor(image)) for image in images])


def verification(vectors: Tensor, people: Sequence[str], others: Tensor | None = None) -> dict[str, Any]:
    """Area under the ROC curve and equal error rate of all pairs, by cosine.

    Args:
        vectors: (N, D) unit vectors.
        people: Who each is of.
        others: (M, D), vectors of further people, each another one.
    """
    cosine = (vectors @ vectors.T).numpy()
    pairs = list(combinations(range(len(people)), 2))
    same = np.array([cosine[i, j] for i, j in pairs if people[i] == people[j]])
    different = np.array([cosine[i, j] for i, j in pairs if people[i] != people[j]])
    if others is not None:
        different = np.concatenate([different, (vectors @ others.T).numpy().ravel()])
    return {
        "same_pairs": len(same),
        "different_pairs": len(different),
        "auc": metrics.rounded(metrics.roc_auc(same, different)),
        "eer": metrics.rounded(metrics.equal_error_rate(same, different)),
        "cosine_same": metrics.rounded(float(same.mean())),
        "cosine_different": metrics.rounded(float(different.mean())),
    }


def examine_identity(judge: IdentityJudge, photos: OpenFaces, renders: SyntheticFaces) -> dict[str, Any]:
    """Verification of held-out people: rendered ones in eight expressions, London sitters neutral and smiling."""
    rows = renders.indices("test")
    rendered = embeddings(judge, [renders.image(row) for row in rows])
    val = photos.indices("val")
    sitters = [row for row in val if photos.rows[row]["subject"]]
    strangers = [row for row in val if not photos.rows[row]["subject"]]
    photographed = embeddings(judge, [photos.image(row) for row in sitters])
    unknown = embeddings(judge, [photos.image(row) for row in strangers])
    return {
        "synthetic-faces test": verification(rendered, renders.subjects[rows].tolist()),
        "open-faces val, London sitters": verification(
            photographed, [photos.rows[row]["subject"] for row in sitters], unknown
        ),
    }


def report_of(judge: nn.Module, data: Path) -> dict[str, Any]:
    """All held-out figures of a judge.

    Args:
        judge: In eval mode.
        data: Folder with open-faces and synthetic-faces.
    """
    photos, renders = OpenFaces(data / "open-faces"), SyntheticFaces(data / "synthetic-faces")
    if isinstance(judge, IdentityJudge):
        return examine_identity(judge, photos, renders)
    assert isinstance(judge, ExpressionJudge)
    return {
        "open-faces val": examine_expressions(judge, photos, "val"),
        "synthetic-faces test": examine_expressions(judge, renders, "test"),
        "correlation with MediaPipe's scores, open-faces val": examine_scores(judge, photos, "val"),
    }


CARD = """# {name}: {title}

Architecture `{architecture}` of `exprgan.models.judges`, {parameters:.2f} million parameters, a small residual
network of our own. Takes {takes} of an aligned crop, RGB in [-1, 1].
It serves `exprgan eval` alone: no system is trained with it, and it has seen no system's edits and no render of the
geometry teacher.

Licence of the weights: Apache-2.0. Trained from nothing, {kimg:.0f} thousand samples, on
{data}

{knows}

Held-out figures:

{figures}

Not for telling people apart outside an evaluation, nor for a judgement about a person: expressions here are
stereotypes, not emotions felt.
"""


def confusion_table(counts: Sequence[Sequence[int]]) -> str:
    """Markdown of a confusion matrix, without the classes that never occur."""
    rows = np.array(counts)
    kept = [n for n in range(len(EXPRESSIONS)) if rows[n].sum() or rows[:, n].sum()]
    lines = [
        "| label \\ judged | " + " | ".join(EXPRESSIONS[n] for n in kept) + " |",
        "|---" * (len(kept) + 1) + "|",
    ]
    lines += [
        f"| {EXPRESSIONS[n]} | " + " | ".join(str(rows[n, m]) for m in kept) + " |"
        for n in kept
        if rows[n].sum()
    ]
    return "\n".join(lines)


def _figures(report: dict[str, Any]) -> str:
    parts = []
    for title, figures in report.items():
        if "confusion" in figures:
            parts.append(
                f"{title}: accuracy {figures['accuracy']:.3f} of {figures['n']} labelled faces, mean over classes "
                f"{figures['balanced_accuracy']:.3f}.\n\n{confusion_table(figures['confusion'])}"
            )
        elif "auc" in figures:
            parts.append(
                f"{title}: area under the ROC curve {figures['auc']:.3f}, equal error rate {figures['eer']:.3f} "
                f"({figures['same_pairs']} pairs of one person, {figures['different_pairs']} of two; mean cosine "
                f"{figures['cosine_same']:.2f} and {figures['cosine_different']:.2f})."
            )
        elif figures:
            parts.append(
                f"{title}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()) + "."
            )
    return "\n\n".join(parts)


def publish(name: str, run: Path, report: dict[str, Any], folder: Path) -> None:
    """Write a run's judge with its card and held-out figures to a folder of weights.

    Args:
        name: judge, judge_rendered or judge_identity.
        run: Folder of the run.
        report: Of `report_of`.
        folder: Folder of weights.
    """
    network = json.loads((run / "network.json").read_text())
    kimg = json.loads((run / "log.jsonl").read_text().splitlines()[-1])["kimg"]
    state = load_file(run / "ema.safetensors")
    data = [PHOTO_SOURCES] if name == "judge" else [PHOTO_SOURCES, RENDER_SOURCE]
    config = {
        **network,
        "data": data,
        "metrics": {
            f"{title}: {key}": figures[key]
            for title, figures in report.items()
            for key in HEADLINES
            if key in figures
        },
        "report": report,
        "training": {**json.loads((run / "options.json").read_text()), "done_kimg": kimg},
    }
    if "confusion" in report["synthetic-faces test"]:
        tested = report["open-faces val" if name == "judge" else "synthetic-faces test"]["confusion"]
        config["tested_classes"] = [
            label for label, row in zip(EXPRESSIONS, tested, strict=True) if sum(row) >= LEAST_TESTED
        ]
        knows = (
            f"Classes with labels in training: {', '.join(network['classes'])}. Labels of photographs are soft and "
            "come from other classifiers: good for happy and neutral, fair for surprise and sad, poor for the others"
            + (". Contempt and most of disgust are known from renders alone." if name != "judge" else ".")
            + f" Tested classes: {', '.join(config['tested_classes'])}."
        )
        title, takes = "an expression judge for evaluation", "a square from the forehead to below the chin"
    else:
        knows = (
            "Two views of a photo, two frames of a rendered identity and two photographs of a London sitter are the "
            "same person; views differ by light, colour, sharpness, place and a smooth displacement. The tests below "
            "are easy: pictures of one person share camera, light and hair there, so they do not show how it does "
            "on photos of different days."
        )
        title, takes = "an identity judge for evaluation", "a square from the brows to the chin"
    parameters = sum(
        value.numel() for key, value in state.items() if "running" not in key and "num_batches" not in key
    )
    knows = textwrap.fill(knows, 118)
    card = CARD.format(
        name=name,
        title=title,
        architecture=network["architecture"],
        parameters=parameters / 1e6,
        takes=takes,
        kimg=kimg,
        data="\n".join(textwrap.fill(f"- {line}", 118, subsequent_indent="  ") for line in data),
        knows=knows,
        figures=_figures(report),
    )
    save_weights(folder, name, state, config, card)


def load_run(run: Path) -> nn.Module:
    """The averaged judge of a run folder, in eval mode."""
    network = json.loads((run / "network.json").read_text())
    judge = build(network["architecture"], **network["arguments"])
    judge.load_state_dict(load_file(run / "ema.safetensors"))
    return judge.eval()


def main() -> None:
    """Print a run's held-out figures as JSON; with --save, put it among the weights."""
    parser = argparse.ArgumentParser(description="held-out figures of a judge")
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with open-faces and synthetic-faces")
    parser.add_argument("--name", choices=("judge", "judge_rendered", "judge_identity"), required=True)
    parser.add_argument("--save", type=Path, help="folder of weights to write to")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    report = report_of(load_run(arguments.run), arguments.data)
    sys.stdout.write(json.dumps(report, indent=1) + "\n")
    if arguments.save:
        publish(arguments.name, arguments.run, report, arguments.save)


if __name__ == "__main__":
    main()
