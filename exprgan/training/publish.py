"""Turn a run of the generator into bundled weights with config, model card and manifest entry.

python -m exprgan.training.publish RUN --weights weights [--metrics metrics.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from exprgan.weights import save_weights

DATA = [
    "open-faces, train split: sfhq and sfhq_t2i (MIT), pixabay (Pixabay licence), fairface (CC BY 4.0), "
    "london (CC BY 4.0, DeBruine & Jones 2017, Face Research Lab London Set), faker (CC0 1.0)",
    "geometry teacher: ICT-FaceKit shapes (MIT), MediaPipe face mesh (Apache-2.0)",
    "synthetic-faces, train split (renders of this project; asset licences in its LICENSES.txt)",
]
CARD = """# unified: the expression generator

Architecture `unified` of `exprgan.models.unified`: a global and three local generators (eyes with brows, nose,
mouth) conditioned by soft segmentation masks. It is a reconstruction of the idea of arXiv 2112.04603 from its
abstract, with displacement, shading and mask heads of our own; it does not reproduce that paper's results.

Takes an aligned 256-px crop (RGB in [-1, 1]), soft masks of eyes, nose and mouth from the `{segmenter}` weights,
an expression (neutral, happy, sad, surprise, fear, disgust, anger, contempt) and a strength in [0, 1]; gives an edit.

Licence of the weights: Apache-2.0. Trained with paired supervision only, {kimg:.0f} thousand samples{start}, on
{data}

The teacher's targets come from geometry: its recipes decide what an expression looks like here, and the eight
expressions are stereotypes, not emotions felt. Teeth and tongue of a mouth that was shut are this project's own
drawing (`exprgan.mouth_interior`), the same for everybody; the network says where on it each pixel lies and how
bright it is. A mouth that is open in the photo keeps its own teeth where it can.

{metrics}

Made for changing photos with the consent of the people shown. Not for telling people apart or judging them.
Weak points: profiles beyond about 30 degrees, hands or objects before the mouth, dark glasses, broad open laughs
turned into other expressions.
"""


def metrics_table(metrics: dict[str, Any]) -> str:
    """Markdown of the figures of `exprgan.evaluation.unified`, one line a data set."""
    lines = []
    for name, rows in metrics.items():
        means = {key: value for key, value in rows["all"].items() if key != "pairs"}
        figures = ", ".join(f"{key} {value:.2f}" for key, value in means.items())
        lines.append(f"- {name}, {rows['all']['pairs']} pairs: {figures}")
    return "\n".join(lines)


def publish(
    run: Path, weights: Path, metrics: dict[str, Any], *, segmenter: str = "unet", start: str = ""
) -> None:
    """Store the averaged generator of a run folder as the weights `unified`.

    Args:
        run: Folder with ema.safetensors, options.json and log.jsonl.
        weights: Folder of weights to write into.
        metrics: What `exprgan.evaluation.unified` wrote, or {}.
        segmenter: Name of the segmenter's weights that go with it.
        start: What the run started from, for the card; empty for fresh weights.
    """
    options = json.loads((run / "options.json").read_text())
    kimg = json.loads((run / "log.jsonl").read_text().splitlines()[-1])["kimg"]
    config = {
        "architecture": "unified",
        "arguments": {},
        "segmenter": segmenter,
        "data": DATA,
        "metrics": {name: rows["all"] for name, rows in metrics.items()},
        "training": {**options, "done_kimg": kimg, "start": start or "fresh weights"},
    }
    data = "\n".join(f"- {line}" for line in DATA)
    from_what = f" from {start}" if start else " from fresh weights"
    table = metrics_table(metrics)
    card = CARD.format(segmenter=segmenter, kimg=kimg, start=from_what, data=data, metrics=table)
    save_weights(weights, "unified", load_file(run / "ema.safetensors"), config, card)


def main() -> None:
    """Publish a run."""
    parser = argparse.ArgumentParser(description="turn a run of the generator into bundled weights")
    parser.add_argument("run", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--metrics", type=Path, help="metrics.json of exprgan.evaluation.unified")
    parser.add_argument("--segmenter", default="unet")
    parser.add_argument("--start", default="", help="what the run started from, in words")
    arguments = parser.parse_args()
    metrics = json.loads(arguments.metrics.read_text()) if arguments.metrics else {}
    publish(arguments.run, arguments.weights, metrics, segmenter=arguments.segmenter, start=arguments.start)


if __name__ == "__main__":
    main()
