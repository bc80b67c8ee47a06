"""Turn a training run into weights with config, model card and manifest entry.

    python -m exprgan.training.publish RUN --weights weights [--name NAME] [--metrics FILE] [--note TEXT]

Works for every network of `exprgan train`. FILE holds figures of your own, or is what
`python -m exprgan.evaluation.examine RUN --data DIR --json FILE` writes. Cards are the Markdown files of the folder
`cards`, one an architecture, filled in here.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exprgan.data.face_set import open_sets
from exprgan.errors import ExprganError, UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.face_parts import REGIONS
from exprgan.weights import find, save_weights
from exprgan.weights.find import END_TO_END

CARDS = Path(__file__).parent / "cards"
DATA = {
    "open-faces": "open-faces, train split: sfhq and sfhq_t2i (MIT), pixabay (Pixabay licence), fairface (CC BY 4.0), "
    "london (CC BY 4.0, DeBruine & Jones 2017, Face Research Lab London Set), faker (CC0 1.0)",
    "teacher": "geometry teacher: ICT-FaceKit shapes (MIT), MediaPipe face mesh (Apache-2.0)",
    "synthetic-faces": "synthetic-faces, train split (renders of this project; asset licences in its LICENSES.txt)",
}
"""Lines of cards by what a run has read."""
HEADLINES = {
    "expression_judge": ("accuracy", "balanced_accuracy"),
    "identity_judge": ("auc", "eer"),
    "unet": ("mean_iou", "edited_iou"),
    "bisenet": ("mean_iou", "edited_iou"),
}
"""Figures of each data set that the manifest holds, by architecture; of others it holds all."""
JUDGES = ("expression_judge", "identity_judge")
LEAST_TESTED = 2
"""Labelled held-out faces of an expression that make it a tested class of a judge."""
LICENCE = "Apache-2.0"
NEEDED = ("network.json", "options.json", "log.jsonl", "ema.safetensors")
_LOSSES = {
    "lambda_cls": "classification",
    "lambda_rec": "cycle",
    "lambda_paired": "paired (to a render's true answer)",
    "lambda_image": "paired (to a render's true answer)",
    "lambda_matching": "feature matching",
    "lambda_perceptual": "perceptual",
    "lambda_identity": "identity",
}


@dataclass(frozen=True)
class Notes:
    """What a run's files do not say."""

    metrics: Mapping[str, Any] | None = None  # figures by name, or by data set and name
    text: str = ""  # a paragraph for the card
    start: str = ""  # what the run started from; empty for fresh weights
    data: Sequence[
        str
    ] = ()  # lines on the data and their licences; empty for what the command of the run names
    licence: str = LICENCE  # of the weights


def publish(run: Path, weights: Path, *, name: str = "", notes: Notes = Notes()) -> str:
    """Store the averaged network of a run in a folder of weights, and return the name it has there.

    Args:
        run: Folder of the run.
        weights: Folder of weights to write into.
        name: Name in the manifest; empty takes the network's, as `exprgan train` knows it.
        notes: What the run's files do not say.

    Raises:
        UsageError: The folder is of no run, a judge comes without figures, or the licences of its data are not known.
    """
    missing = [file for file in NEEDED if not (run / file).is_file()]
    if missing:
        raise UsageError(
            f"{run} has no {missing[0]}; name the folder of a run that has written a checkpoint."
        )
    files = find(run)
    command = _read(run / "command.json") if (run / "command.json").is_file() else {}
    words = command.get("command", ())
    name = name or command.get("network") or files.architecture
    if "--initial" in words and not notes.start:
        raise UsageError(f"{run} started from other weights; say in words by --start what they were.")
    report = {key: _of_all(value) for key, value in (notes.metrics or {}).items()}
    if files.architecture in JUDGES and "synthetic-faces test" not in report:
        raise UsageError(
            "Evaluations state how good their judges are; give by --metrics what "
            f"`python -m exprgan.evaluation.examine {run} --data DIR --json FILE` writes."
        )
    training = {
        **_read(run / "options.json"),
        "done_kimg": _read_lines(run / "log.jsonl")[-1]["kimg"],
        "start": notes.start or "fresh weights",
    }
    if command.get("task"):
        training["task"] = command["task"]
    config = {
        **files.config,
        "data": list(notes.data) or data_of(files.config, words),
        "metrics": headlines(files.architecture, report),
        "training": training,
        "licence": notes.licence,
    }
    if files.architecture in JUDGES:
        config["report"] = report
    if files.architecture == "expression_judge":
        config["tested_classes"] = classes_tested(files.config["classes"], report)
    state = files.state()
    save_weights(weights, name, state, config, _card(name, config, report, notes, _parameters(state)))
    return name


def _card(
    name: str, config: Mapping[str, Any], report: Mapping[str, Any], notes: Notes, parameters: int
) -> str:
    """The card of an architecture, filled in."""
    architecture, classes = config["architecture"], config.get("classes", EXPRESSIONS)
    template = (CARDS / f"{architecture}.md").read_text(encoding="utf-8")
    card = template.format(
        **{
            "segmenter": "",
            "image_size": 256,
            **config,
            "name": name,
            "parameters": parameters / 1e6,
            "layers": layers_of(config["arguments"]),
            "losses": losses_of(architecture, config["training"].get("task") or {}),
            "kimg": config["training"]["done_kimg"],
            "start": f" from {notes.start}" if notes.start else " from fresh weights",
            "data": "\n".join(f"- {line}" for line in config["data"]),
            "note": f"{notes.text}\n\n" if notes.text else "",
            "metrics": figures_text(report),
            "classes": ", ".join(classes),
            "rendered": " Contempt and most of disgust are known from renders alone."
            if "contempt" in classes
            else "",
            "tested_classes": ", ".join(config.get("tested_classes", ())),
        }
    )
    while "\n\n\n" in card:
        card = card.replace("\n\n\n", "\n\n")  # left by what is empty
    return card


def headlines(architecture: str, report: Mapping[str, Any]) -> dict[str, Any]:
    """Figures for the manifest."""
    chosen = {
        f"{title}: {key}": figures[key]
        for title, figures in report.items()
        for key in HEADLINES.get(architecture, ())
        if isinstance(figures, Mapping) and key in figures
    }
    return chosen or dict(report)


def classes_tested(classes: Sequence[str], report: Mapping[str, Any]) -> list[str]:
    """Expressions that a judge was tested on: those of photographs, for one that has learned from renders of these."""
    tested = report["synthetic-faces test" if "contempt" in classes else "open-faces val"]["confusion"]
    return [label for label, row in zip(EXPRESSIONS, tested, strict=True) if sum(row) >= LEAST_TESTED]


def data_of(description: Mapping[str, Any], command: Sequence[str]) -> list[str]:
    """Lines on what a run has read, by its network and the command that began it; without one, both of our sets.

    Raises:
        UsageError: It has read a set whose licence is not known here.
    """
    words = [part for word in command for part in (word.split("=", 1) if word.startswith("--") else [word])]
    sources = [value for option, value in zip(words, words[1:], strict=False) if option == "--data"]
    try:
        names = {faces.name for faces in open_sets(sources)}
    except ExprganError:
        names = set()  # the data are no longer there, or are none of faces
    unknown = sorted(names - set(DATA))
    if unknown:
        raise UsageError(
            f"The run was trained on {', '.join(unknown)}; say by --data what each set is and its licence, and by "
            "--licence that of the weights."
        )
    names = names or {"open-faces", "synthetic-faces"}
    if "contempt" not in description.get("classes", EXPRESSIONS):
        names.discard("synthetic-faces")  # a judge of photographs alone
    if "--teacher" in words or description["architecture"] in (
        "unified",
        "corrections",
        "corrections_end_to_end",
        "features",
        "transfer",
    ):
        names.add("teacher")
    return [line for key, line in DATA.items() if key in names]


def losses_of(architecture: str, task: Mapping[str, Any]) -> str:
    """The losses of adversarial training by its settings, in words."""
    if "adversarial" not in task:
        return "the losses of its recipe"
    task = {**task, **task.get("loss", {})}
    parts = [task["adversarial"].upper().replace("HINGE", "hinge")] if task.get("lambda_adv", 1) else []
    parts += [words for key, words in _LOSSES.items() if task.get(key)]
    region = task.get("region", {})
    has_segmenter = architecture in ("hierarchical", *END_TO_END)
    own = region or task
    if has_segmenter and own.get("segmenter_training") == "joint" and own.get("lambda_seg"):
        parts.append("segmentation")
    return f"{', '.join(parts[:-1])} and {parts[-1]} losses" if len(parts) > 1 else f"the {parts[0]} loss"


def layers_of(arguments: Mapping[str, Any]) -> str:
    """What the layers of a paper's generator are beside the published ones, in words."""
    changes = []
    if arguments.get("width", 64) != 64:
        changes.append(f"{arguments['width']} channels for 64")
    if arguments.get("label_map", "tiled") != "tiled":
        changes.append("labels weighted by a window instead of everywhere alike")
    if not arguments.get("skip", True):
        changes.append("no ultimate skip")
    return f"the published layers ({', '.join(changes)})" if changes else "the published layers"


def figures_text(report: Mapping[str, Any]) -> str:
    """Markdown of figures: what `exprgan.evaluation.examine` writes, or {NAME: figure or {NAME: figure}}."""
    sections, lines, rows = [], [], []
    for title, value in report.items():
        if not isinstance(value, Mapping):
            lines.append(f"- {title}: {_shown(value)}")
        elif "confusion" in value:
            sections.append(
                f"{title}: accuracy {value['accuracy']:.3f} of {value['n']} labelled faces, mean over classes "
                f"{value['balanced_accuracy']:.3f}.\n\n{confusion_table(value['confusion'])}"
            )
        elif "auc" in value:
            sections.append(
                f"{title}: area under the ROC curve {value['auc']:.3f}, equal error rate {value['eer']:.3f} "
                f"({value['same_pairs']} pairs of one person, {value['different_pairs']} of two; mean cosine "
                f"{value['cosine_same']:.2f} and {value['cosine_different']:.2f})."
            )
        elif "region_iou" in value:
            figures = [
                value["mean_iou"],
                value["edited_iou"],
                *(value["region_iou"][name] for name in REGIONS),
            ]
            rows.append(f"| {title} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |")
        elif value:
            pairs = f", {value['pairs']} pairs" if "pairs" in value else ""
            figures = [f"{key} {_shown(one)}" for key, one in value.items() if key != "pairs"]
            lines.append(f"- {title}{pairs}: {', '.join(figures)}")
    if rows:
        head = "| set | all classes | edited classes | eyes and brows | nose | mouth |\n" + "|---" * 6 + "|\n"
        sections.append("Intersection over union:\n\n" + head + "\n".join(rows))
    if "synthetic_test" in report:
        missed = [name for name, iou in report["synthetic_test"]["class_iou"].items() if iou < 0.1]
        sections.append(
            "Classes that occur among the renders but are hardly ever found (below 0.1 there): "
            f"{', '.join(missed) or 'none'}."
        )
    return "\n\n".join([*sections, *(["\n".join(lines)] if lines else [])])


def confusion_table(counts: Sequence[Sequence[int]]) -> str:
    """Markdown of a confusion matrix [label, judged], without the classes that never occur."""
    kept = [n for n in range(len(EXPRESSIONS)) if sum(counts[n]) or any(row[n] for row in counts)]
    lines = [
        "| label \\ judged | " + " | ".join(EXPRESSIONS[n] for n in kept) + " |",
        "|---" * (len(kept) + 1) + "|",
    ]
    lines += [
        f"| {EXPRESSIONS[n]} | " + " | ".join(str(counts[n][m]) for m in kept) + " |"
        for n in kept
        if sum(counts[n])
    ]
    return "\n".join(lines)


def _of_all(figures: Any) -> Any:
    """What is said of all pairs, where figures are given by expression too; what is not known (NaN) is left out."""
    if not isinstance(figures, Mapping):
        return figures
    chosen = figures.get("all", figures)
    if not isinstance(chosen, Mapping):
        return chosen
    return {
        name: value for name, value in chosen.items() if not (isinstance(value, float) and math.isnan(value))
    }


def _shown(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _parameters(state: Mapping[str, Any]) -> int:
    counted = ("running_mean", "running_var", "num_batches_tracked")
    return sum(value.numel() for key, value in state.items() if not key.endswith(counted))


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}); restore it or go on with the run.") from error
    return content


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Publish a run."""
    parser = argparse.ArgumentParser(description="turn a training run into weights with config and card")
    parser.add_argument("run", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="folder of weights to write into")
    parser.add_argument("--name", default="", help="name of the weights; without it that of the network")
    parser.add_argument(
        "--metrics", type=Path, help="figures, as `python -m exprgan.evaluation.examine --json` writes them"
    )
    parser.add_argument("--note", default="", help="a paragraph for the card")
    parser.add_argument("--start", default="", help="what the run started from, in words")
    parser.add_argument("--data", action="append", default=[], help="a line on a data set and its licence")
    parser.add_argument("--licence", default=LICENCE, help="of the weights, an SPDX name")
    chosen = parser.parse_args()
    try:
        metrics = _read(chosen.metrics) if chosen.metrics else None
        notes = Notes(metrics, chosen.note, chosen.start, tuple(chosen.data), chosen.licence)
        name = publish(chosen.run, chosen.weights, name=chosen.name, notes=notes)
    except ExprganError as error:
        parser.exit(error.exit_code, f"{error}\n")
    sys.stdout.write(f"{chosen.weights / name}.safetensors\n")


if __name__ == "__main__":
    main()
