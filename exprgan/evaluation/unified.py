"""The generator against its teacher and against rendered truth, on data it was not trained on.

    python -m exprgan.evaluation.unified --data DIR --teacher DIR --cache DIR [--weights DIR] [--output DIR]

open-faces val: end-point error of the flow inside the face and peak signal-to-noise ratio inside the face, against
the geometry teacher. synthetic-faces test: the same ratio against the true render, beside that of doing nothing.
`exprgan eval` measures all else, and other systems.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.expressions import EXPRESSIONS
from exprgan.models.pixels import to_tensor
from exprgan.models.unified import EditMaps, apply_maps
from exprgan.samples.pairs import Pair, PairMix, PairSamples
from exprgan.teacher.cache import TeacherCache
from exprgan.training import losses


def face_weight(pair: Pair) -> Tensor:
    """1 inside the face of source or target, (1, 1, 256, 256)."""
    return torch.from_numpy((pair.importance > 64).astype(np.float32))[None, None]


class Judge:
    """Runs the generator on pairs; masks come from the segmenter as in an edit, or from the pair.

    Args:
        generator: The generator, in eval mode.
        segmenter: The segmenter whose masks condition it; None takes the pair's own masks.
    """

    def __init__(self, generator: nn.Module, segmenter: nn.Module | None) -> None:
        self.generator, self.segmenter = generator, segmenter

    @torch.inference_mode()
    def edit(self, pair: Pair) -> tuple[EditMaps, Tensor]:
        """Maps and edited crop (1, 3, 256, 256) in [-1, 1]."""
        image = to_tensor(pair.source)
        if self.segmenter is None:
            assert pair.regions is not None  # PairSamples give them
            regions = torch.from_numpy(pair.regions.transpose(2, 0, 1).astype(np.float32) / 255)[None]
        else:
            from exprgan.models.segmenters import region_masks

            regions = region_masks(self.segmenter(image))
        maps = self.generator(
            image,
            regions,
            torch.tensor([pair.expression]),
            torch.tensor([pair.strength], dtype=torch.float32),
        )
        return maps, apply_maps(image, maps).clamp(-1, 1)

    def against_teacher(self, pair: Pair) -> dict[str, float]:
        """Flow error in px and PSNR in dB inside the face, with those of doing nothing."""
        maps, fake = self.edit(pair)
        weight, target = face_weight(pair), to_tensor(pair.target)
        flow_true = torch.from_numpy(pair.flow_px.transpose(2, 0, 1))[None]
        flow = losses.downsample(maps.flow_px, 2)
        flow_weight = losses.downsample(weight, 2) * torch.from_numpy(pair.flow_weight)[None, None]
        error = (flow - flow_true).norm(dim=1, keepdim=True)
        still = flow_true.norm(dim=1, keepdim=True)
        return {
            "epe_px": float(losses.weighted_mean(error, flow_weight)),
            "epe_none_px": float(losses.weighted_mean(still, flow_weight)),
            "psnr_db": float(losses.psnr(fake, target, weight)),
            "psnr_none_db": float(losses.psnr(to_tensor(pair.source), target, weight)),
        }

    def against_render(self, pair: Pair) -> dict[str, float]:
        """PSNR inside the face against a true render, with that of doing nothing."""
        _, fake = self.edit(pair)
        weight, target = face_weight(pair), to_tensor(pair.target)
        return {
            "psnr_db": float(losses.psnr(fake, target, weight)),
            "psnr_none_db": float(losses.psnr(to_tensor(pair.source), target, weight)),
        }


def _mean_rows(rows: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    means = {
        name: {key: float(np.mean([row[key] for row in group])) for key in group[0]}
        for name, group in rows.items()
    }
    everything = [row for group in rows.values() for row in group]
    means["all"] = {key: float(np.mean([row[key] for row in everything])) for key in everything[0]}
    means["all"]["pairs"] = len(everything)
    return means


def evaluate_teacher(judge: Judge, samples: PairSamples, faces: list[int]) -> dict[str, dict[str, float]]:
    """Means by expression over full-strength pairs of the given faces."""
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for face in faces:
        for variant, expression in enumerate(EXPRESSIONS):
            pair = samples.photo_pair(face, variant)
            rows[expression].append(judge.against_teacher(pair))
    return _mean_rows(rows)


def evaluate_synthetic(judge: Judge, synthetic: SyntheticFaces, samples: PairSamples) -> dict[str, Any]:
    """Means by expression over all pairs neutral -> expression of the test identities."""
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for person in synthetic.identities("test"):
        for expression, frames in person.items():
            for frame in frames if expression != "neutral" else []:
                pair = samples.render_pair(
                    person["neutral"][0], frame, expression, synthetic.intensity(frame)
                )
                rows[expression].append(judge.against_render(pair))
    return _mean_rows(rows)


def as_table(rows: dict[str, dict[str, float]]) -> str:
    """Markdown table of means by expression."""
    keys = [key for key in next(iter(rows.values())) if key != "pairs"]
    lines = ["| expression | " + " | ".join(keys) + " |", "|" + "---|" * (len(keys) + 1)]
    lines += [
        f"| {name} | " + " | ".join(f"{row[key]:.2f}" for key in keys) + " |" for name, row in rows.items()
    ]
    return "\n".join(lines)


def load_checkpoint(path: Path) -> nn.Module:
    """The averaged generator of a run folder's ema.safetensors."""
    from safetensors.torch import load_file

    from exprgan.models import build

    generator = build("unified").eval()
    generator.load_state_dict(load_file(path))
    return generator


def main() -> None:
    """Print both tables and write metrics.json where --output is given."""
    from exprgan.weights import load_model

    parser = argparse.ArgumentParser(description="the generator against teacher and renders")
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with open-faces/ and synthetic-faces/"
    )
    parser.add_argument("--teacher", type=Path, required=True, help="folder with geometry_basis.npz")
    parser.add_argument("--cache", type=Path, required=True, help="folder for the teacher's renders")
    parser.add_argument("--weights", type=Path, help="folder of weights; the bundled ones by default")
    parser.add_argument("--checkpoint", type=Path, help="ema.safetensors of a run instead of stored weights")
    parser.add_argument("--segmenter", default="bundled", help="name of the segmenter's weights, or none")
    parser.add_argument("--faces", type=int, help="only so many val faces")
    parser.add_argument("--output", type=Path, help="write metrics.json here")
    arguments = parser.parse_args()

    if arguments.checkpoint:
        generator = load_checkpoint(arguments.checkpoint)
    else:
        generator = load_model("unified", arguments.weights)
    segmenter = None
    if arguments.segmenter != "none":
        name = "unet" if arguments.segmenter == "bundled" else arguments.segmenter
        segmenter = load_model(name, arguments.weights)
    faces = OpenFaces(arguments.data / "open-faces")
    cache = TeacherCache(faces, arguments.teacher, arguments.cache)
    synthetic = SyntheticFaces(arguments.data / "synthetic-faces")
    val = set(faces.indices("val"))
    rows = [face for face in cache.usable() if face in val][: arguments.faces]
    samples = PairSamples(cache, rows, synthetic, PairMix())
    judge = Judge(generator, segmenter)
    if arguments.output:
        arguments.output.mkdir(parents=True, exist_ok=True)
    teacher = evaluate_teacher(judge, samples, rows)
    print(as_table(teacher))
    rendered = evaluate_synthetic(judge, synthetic, samples)
    print(as_table(rendered))
    if arguments.output:
        metrics = {"open-faces val": teacher, "synthetic-faces test": rendered}
        (arguments.output / "metrics.json").write_text(json.dumps(metrics, indent=1) + "\n")


if __name__ == "__main__":
    main()
