"""Expression transfer against true answers, on people that it was not trained on.

    python -m exprgan.evaluation.transfer --data DIR --teacher DIR --cache DIR [--run RUN]

open-faces val: a photo is given the expression of another person's render; the answer is the geometry teacher's
render of the photo in the same expression (one of the eight) or mixture. synthetic-faces test: frames of two rendered
people, the answer being a frame of nearly the same recipe. Figures are those inside the face, in the 256-px crop:
peak signal-to-noise ratio (`psnr_db`) and, where the displacement is known, its end-point error (`epe_px`), each beside
that of leaving the photo as it is (`_none`); `spread_px` is how far two displacements lie apart, at the mean, that come
of the same expression shown by two different people: 0 where nothing of who shows it gets across.

With --landmarker, MediaPipe's Face Landmarker judges pairs of photographs of open-faces val from outside: how its
scores of the result agree with those of the photo that shows the expression, by correlation over the pairs (`r`) and
mean absolute difference (`off`), each beside that of the target's own photo (`_none`). The levels of action units that
the network learned from come of the same model, on other photographs.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from exprgan.action_units import SCORES
from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.evaluation.blendshapes import Landmarker
from exprgan.expressions import EXPRESSIONS
from exprgan.models import build
from exprgan.models.pixels import to_tensor
from exprgan.models.transfer import TransferNet
from exprgan.models.unified import EditMaps, apply_maps
from exprgan.samples.pairs import Pair
from exprgan.samples.transfer_pairs import NUM_EXPRESSIONS, PHOTO, State, TransferPairs
from exprgan.teacher.cache import TeacherCache
from exprgan.teacher.mixed_renders import MixedRenders, mixtures_of
from exprgan.training import losses
from exprgan.training.transfer import MIXED_FOLDER
from exprgan.weights import load_model

SEED = 0


class TransferJudge:
    """Runs a network that makes edits on answers.

    Args:
        network: In eval mode.
    """

    def __init__(self, network: TransferNet) -> None:
        self.network = network

    @torch.inference_mode()
    def edit(self, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> tuple[EditMaps, Tensor]:
        """Maps and edited crop (1, 3, 256, 256) of uint8 RGB crops (256, 256, 3)."""
        image = to_tensor(target)
        features, shown = (
            self.network.encode(self.network.window(F.avg_pool2d(crop, 2)))
            for crop in (image, to_tensor(source))
        )
        maps = self.network.maps(features, shown.related)
        return maps, apply_maps(image, maps).clamp(-1, 1)

    def judge(self, sources: list[NDArray[np.uint8]], answer: Pair) -> dict[str, float]:
        """Figures of the first source, and how far the second one's displacement lies apart."""
        maps, result = self.edit(sources[0], answer.source)
        weight = torch.from_numpy((answer.importance > 64).astype(np.float32))[None, None]
        wanted, image = to_tensor(answer.target), to_tensor(answer.source)
        figures = {
            "psnr_db": float(losses.psnr(result, wanted, weight)),
            "psnr_none_db": float(losses.psnr(image, wanted, weight)),
        }
        if answer.flow_weight.any():
            flow, flow_true = (
                losses.downsample(maps.flow_px, 2),
                torch.from_numpy(answer.flow_px.transpose(2, 0, 1))[None],
            )
            flow_weight = losses.downsample(weight, 2) * torch.from_numpy(answer.flow_weight)[None, None]
            figures["epe_px"] = float(losses.weighted_mean(_length(flow - flow_true), flow_weight))
            figures["epe_none_px"] = float(losses.weighted_mean(_length(flow_true), flow_weight))
            other, _ = self.edit(sources[1], answer.source)
            apart = _length(other.flow_px - maps.flow_px)
            figures["spread_px"] = float(losses.weighted_mean(apart, weight))
        return figures


def evaluate_people(
    judge: TransferJudge, pairs: TransferPairs, people: list[int]
) -> dict[str, dict[str, float]]:
    """Means by expression, and over mixtures; two mixtures and all expressions for each person."""
    rng = np.random.default_rng(SEED)
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for person in people:
        for variant, name in enumerate(EXPRESSIONS):
            others = [other for other in rng.permutation(people).tolist() if other != person][:2]
            wanted: State = ("eight", variant)
            sources = [pairs.picture(other, wanted) for other in others]
            rows[name].append(judge.judge(sources, pairs.answer(person, PHOTO, wanted)))
        for variant in (0, 1):
            number = mixtures_of(person)[variant]
            others = [other for other in people if other != person and number in mixtures_of(other)]
            if len(others) > 1:
                chosen = rng.permutation(others)[:2].tolist()
                sources = [
                    pairs.picture(other, ("mixed", mixtures_of(other).index(number))) for other in chosen
                ]
                rows["mixtures"].append(judge.judge(sources, pairs.answer(person, PHOTO, ("mixed", variant))))
    return _means(rows)


def evaluate_rendered(judge: TransferJudge, pairs: TransferPairs, count: int) -> dict[str, dict[str, float]]:
    """Means by expression over neutral test identities that get another identity's expression."""
    assert pairs.rendered is not None
    rng = np.random.default_rng(SEED)
    identities = pairs.rendered.identities("test")
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for _ in range(count):
        one, two = (identities[place] for place in rng.permutation(len(identities))[:2])
        name = EXPRESSIONS[int(rng.integers(1, NUM_EXPRESSIONS))]
        shown = two[name][int(rng.integers(len(two[name])))] if two.get(name) else None
        wanted = pairs.like(shown, one) if shown is not None else None
        if shown is not None and wanted is not None:
            answer = pairs.frame(one["neutral"][0], wanted)
            rows[name].append(judge.judge([pairs.rendered.image(shown)], answer))
    return _means(rows)


def evaluate_photos(
    judge: TransferJudge, faces: OpenFaces, people: list[int], landmarker: Landmarker, count: int
) -> dict[str, dict[str, float]]:
    """Agreement of the landmarker's scores over pairs of photographs, by column and over all columns."""
    rng = np.random.default_rng(SEED)
    shown: list[NDArray[np.float64]] = []
    own: list[NDArray[np.float64]] = []
    got: list[NDArray[np.float64]] = []
    for _ in range(count):
        source, target = (faces.image(people[place]) for place in rng.permutation(len(people))[:2])
        _, result = judge.edit(source, target)
        picture = ((result[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
        rows = [landmarker.columns(_large(image)) for image in (source, target, picture)]
        if not np.isnan(rows).any():
            for column, row in zip((shown, own, got), rows, strict=True):
                column.append(row)
    source_scores, target_scores, result_scores = (np.array(column) for column in (shown, own, got))
    figures = {}
    for place, name in enumerate(SCORES):
        wanted, before, after = (scores[:, place] for scores in (source_scores, target_scores, result_scores))
        figures[name] = {
            "r": float(np.corrcoef(after, wanted)[0, 1]),
            "r_none": float(np.corrcoef(before, wanted)[0, 1]),
            "off": float(np.abs(after - wanted).mean()),
            "off_none": float(np.abs(before - wanted).mean()),
        }
    figures["all"] = {
        key: float(np.mean([row[key] for row in figures.values()])) for key in figures["jawOpen"]
    }
    figures["all"]["pairs"] = len(shown)
    return figures


def _large(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return cv2.resize(image, (512, 512), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def _means(rows: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, float]]:
    groups = {**rows, "all": [row for group in rows.values() for row in group]}
    means = {
        name: {key: float(np.mean([row[key] for row in group if key in row])) for key in group[0]}
        for name, group in groups.items()
        if group
    }
    for name, group in groups.items():
        if group:
            means[name]["pairs"] = len(group)
    return means


def _length(vectors: Tensor) -> Tensor:
    return vectors.norm(dim=1, keepdim=True)


def load_run(run: Path) -> TransferNet:
    """The averaged network of a run folder."""
    from safetensors.torch import load_file

    description = json.loads((run / "network.json").read_text(encoding="utf-8"))
    network: Any = build(description["architecture"], **description["arguments"])
    network.load_state_dict(load_file(run / "ema.safetensors"))
    return network.eval().requires_grad_(False)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="judge expression transfer against true answers")
    parser.add_argument("--data", type=Path, required=True, help="folder of open-faces and synthetic-faces")
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="folder of weights")
    parser.add_argument("--run", type=Path, help="folder of a run, in place of weights")
    parser.add_argument("--faces", type=int, default=60)
    parser.add_argument("--landmarker", type=Path, help="MediaPipe's face_landmarker.task, an outside judge")
    parser.add_argument("--output", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    network: Any = load_run(arguments.run) if arguments.run else load_model("transfer", arguments.weights)
    faces = OpenFaces(arguments.data / "open-faces")
    eight = TeacherCache(faces, arguments.teacher, arguments.cache)
    of_split = set(faces.indices("val"))
    people = [face for face in eight.usable() if face in of_split][: arguments.faces]
    mixed = MixedRenders(faces, arguments.teacher, arguments.cache / MIXED_FOLDER)
    pairs = TransferPairs(eight, mixed, people, SyntheticFaces(arguments.data / "synthetic-faces"))
    judge = TransferJudge(network)
    figures = {
        "open-faces val": evaluate_people(judge, pairs, people),
        "synthetic-faces test": evaluate_rendered(judge, pairs, 4 * arguments.faces),
    }
    if arguments.landmarker:
        photos = faces.indices("val")
        with Landmarker(arguments.landmarker) as landmarker:
            figures["photographs"] = evaluate_photos(judge, faces, photos, landmarker, 2 * arguments.faces)
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
