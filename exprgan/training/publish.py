"""Turn a training run into weights with config, model card and manifest entry.

    python -m exprgan.training.publish RUN --weights weights [--name NAME] [--metrics FILE] [--note TEXT]

Works for every network of `exprgan train` but the judges, which `exprgan.evaluation.judges` publishes with the figures
that an evaluation states. Cards are the Markdown files of the folder `cards`, one an architecture, filled in here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exprgan.data.face_set import open_sets
from exprgan.errors import ExprganError, UsageError
from exprgan.weights import save_weights

CARDS = Path(__file__).parent / "cards"
DATA = {
    "open-faces": "open-faces, train split: sfhq and sfhq_t2i (MIT), pixabay (Pixabay licence), fairface (CC BY 4.0), "
    "london (CC BY 4.0, DeBruine & Jones 2017, Face Research Lab London Set), faker (CC0 1.0)",
    "teacher": "geometry teacher: ICT-FaceKit shapes (MIT), MediaPipe face mesh (Apache-2.0)",
    "synthetic-faces": "synthetic-faces, train split (renders of this project; asset licences in its LICENSES.txt)",
}
"""Lines of cards by what a run has read."""
LICENCE = "Apache-2.0"
NEEDED = ("network.json", "options.json", "log.jsonl", "ema.safetensors")
_LOSSES = {
    "lambda_cls": "classification",
    "lambda_rec": "cycle",
    "lambda_paired": "paired (to a render's true answer)",
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
        UsageError: The folder is of no run, its network is published otherwise, or the licences of its data are
            not known.
    """
    from safetensors.torch import load_file

    missing = [file for file in NEEDED if not (run / file).is_file()]
    if missing:
        raise UsageError(
            f"{run} has no {missing[0]}; name the folder of a run that has written a checkpoint."
        )
    description = _read(run / "network.json")
    command = _read(run / "command.json") if (run / "command.json").is_file() else {}
    architecture = description["architecture"]
    template = CARDS / f"{architecture}.md"
    if not template.is_file():
        raise UsageError(
            f"There is no card for {architecture}; judges are published with their figures by "
            f"`python -m exprgan.evaluation.judges {run} --save {weights}`."
        )
    name = name or command.get("network") or architecture
    state = load_file(run / "ema.safetensors")
    kimg = _read_lines(run / "log.jsonl")[-1]["kimg"]
    words = command.get("command", ())
    if "--initial" in words and not notes.start:
        raise UsageError(f"{run} started from other weights; say in words by --start what they were.")
    data = list(notes.data) or data_of(architecture, words)
    metrics = _figures(notes.metrics or {})
    training = {**_read(run / "options.json"), "done_kimg": kimg, "start": notes.start or "fresh weights"}
    if command.get("task"):
        training["task"] = command["task"]
    card = template.read_text(encoding="utf-8").format(
        **{"segmenter": "", "image_size": 256, **description},
        name=name,
        licence=notes.licence,
        parameters=_parameters(state) / 1e6,
        layers=layers_of(description["arguments"]),
        losses=losses_of(architecture, command.get("task") or {}),
        kimg=kimg,
        start=f" from {notes.start}" if notes.start else " from fresh weights",
        data="\n".join(f"- {line}" for line in data),
        note=f"{notes.text}\n\n" if notes.text else "",
        metrics=metrics_list(metrics),
    )
    config = {
        **description,
        "data": data,
        "metrics": metrics,
        "training": training,
        "licence": notes.licence,
    }
    while "\n\n\n" in card:
        card = card.replace("\n\n\n", "\n\n")  # left by what is empty
    save_weights(weights, name, state, config, card)
    return name


def data_of(architecture: str, command: Sequence[str]) -> list[str]:
    """Lines on what a run has read, by the command that began it; without one, both sets of this project.

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
    if "--teacher" in words or architecture in ("unified", "features", "transfer"):
        names.add("teacher")
    return [line for key, line in DATA.items() if key in names]


def losses_of(architecture: str, task: Mapping[str, Any]) -> str:
    """The losses of adversarial training by its settings, in words."""
    if "adversarial" not in task:
        return "the losses of its recipe"
    parts = [task["adversarial"].upper().replace("HINGE", "hinge")] if task.get("lambda_adv", 1) else []
    parts += [words for key, words in _LOSSES.items() if task.get(key)]
    region = task.get("region", {})
    has_segmenter = architecture in ("hierarchical", "unified_end_to_end")
    if has_segmenter and region.get("segmenter_training") == "joint" and region.get("lambda_seg"):
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


def metrics_list(metrics: Mapping[str, Any]) -> str:
    """Markdown of figures, one line a data set or figure."""
    lines = []
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            pairs = f", {value['pairs']} pairs" if "pairs" in value else ""
            figures = ", ".join(f"{key} {_shown(one)}" for key, one in value.items() if key != "pairs")
            lines.append(f"- {name}{pairs}: {figures}")
        else:
            lines.append(f"- {name}: {_shown(value)}")
    return "\n".join(lines)


def _figures(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Figures as they are, or what `exprgan.evaluation.unified` says of all pairs."""
    return {
        name: value["all"] if isinstance(value, Mapping) and "all" in value else value
        for name, value in metrics.items()
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
    parser.add_argument("--metrics", type=Path, help="JSON of figures, {NAME: figure or {NAME: figure}}")
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
