"""Expression transfer against true answers, on people that it was not trained on.

open-faces val: a photo is given the expression of another person's render; the answer is the geometry teacher's
render of the photo in the same expression (one of the eight) or mixture. synthetic-faces test: frames of two rendered
people, the answer being a frame of nearly the same recipe. Figures are those inside the face, in the 256-px crop:
peak signal-to-noise ratio (`psnr_db`) and, where the displacement is known, its end-point error (`epe_px`), each beside
that of leaving the photo as it is (`_none`); `spread_px` is how far two displacements lie apart, at the mean, that come
of the same expression shown by two different people: 0 where nothing of who shows it gets across.

With a landmarker, MediaPipe's Face Landmarker judges pairs of photographs of open-faces val from outside: how its
scores of the result agree with those of the photo that shows the expression, by correlation over the pairs (`r`) and
mean absolute difference (`off`), each beside that of the target's own photo (`_none`). The levels of action units that
the network learned from come of the same model, on other photographs.
"""

from __future__ import annotations

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
from exprgan.edit.systems import FaceModelSystem, load_system
from exprgan.evaluation import metrics
from exprgan.evaluation.outside import Landmarker
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.amounts import shown_by
from exprgan.models.pixels import to_tensor, to_uint8
from exprgan.models.transfer import TransferNet
from exprgan.models.unified import EditMaps, apply_maps
from exprgan.samples.pairs import Pair
from exprgan.samples.transfer_pairs import NUM_EXPRESSIONS, PHOTO, State, TransferPairs
from exprgan.teacher.cache import TeacherCache
from exprgan.teacher.mixed_renders import MixedRenders, mixtures_of
from exprgan.training import losses
from exprgan.training.transfer import MIXED_FOLDER
from exprgan.weights import NetworkFiles

SEED = 0


class FaceModelTransfer:
    """Transfers by the face model, with a generator's corrections or alone."""

    def __init__(self, files: NetworkFiles) -> None:
        system = load_system(files)
        assert isinstance(system, FaceModelSystem)
        self.system = system

    def picture(self, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Edited crop of uint8 RGB crops (256, 256, 3); the target where a face is not found."""
        shown, face = self.system.prepare(source), self.system.prepare(target)
        if shown is None or shown.analysis is None or face is None:
            return target
        return self.system.edit(target, face, shown_by(self.system.face_model.basis, shown.analysis))


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

    def picture(self, source: NDArray[np.uint8], target: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Edited crop of uint8 RGB crops (256, 256, 3)."""
        return to_uint8(self.edit(source, target)[1][0])

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
    return metrics.means(rows)


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
    return metrics.means(rows)


def evaluate_photos(
    judge: TransferJudge | FaceModelTransfer,
    faces: OpenFaces,
    people: list[int],
    landmarker: Landmarker,
    count: int,
) -> dict[str, dict[str, float]]:
    """Agreement of the landmarker's scores over pairs of photographs, by column and over all columns."""
    rng = np.random.default_rng(SEED)
    shown: list[NDArray[np.float64]] = []
    own: list[NDArray[np.float64]] = []
    got: list[NDArray[np.float64]] = []
    for _ in range(count):
        source, target = (faces.image(people[place]) for place in rng.permutation(len(people))[:2])
        picture = judge.picture(source, target)
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


def _length(vectors: Tensor) -> Tensor:
    return vectors.norm(dim=1, keepdim=True)


def report_of_photographs(
    files: NetworkFiles, data: Path, *, landmarker: Path, faces: int | None = 60
) -> dict[str, Any]:
    """Agreement between photographs of transfer by the face model, with a generator's corrections or alone.

    Args:
        files: face_model or corrections.
        data: Folder with open-faces.
        landmarker: MediaPipe's face_landmarker.task, the judge.
        faces: Half as many as pairs.
    """
    photos = OpenFaces(data / "open-faces")
    with Landmarker(landmarker) as opened:
        people, pairs = photos.indices("val"), 2 * (faces or 60)
        return {"photographs": evaluate_photos(FaceModelTransfer(files), photos, people, opened, pairs)}


def report_of(
    files: NetworkFiles,
    data: Path,
    *,
    teacher: Path,
    cache: Path,
    faces: int = 60,
    landmarker: Path | None = None,
) -> dict[str, Any]:
    """Figures by set and expression.

    Args:
        files: The network.
        data: Folder with open-faces and synthetic-faces.
        teacher: Folder with geometry_basis.npz.
        cache: Folder for the teacher's renders.
        faces: Faces of open-faces; four times as many pairs of renders, twice as many of photographs.
        landmarker: MediaPipe's face_landmarker.task, the judge of photographs.
    """
    photos = OpenFaces(data / "open-faces")
    network = files.load()
    assert isinstance(network, TransferNet)
    eight = TeacherCache(photos, teacher, cache)
    of_split = set(photos.indices("val"))
    people = [face for face in eight.usable() if face in of_split][:faces]
    mixed = MixedRenders(photos, teacher, cache / MIXED_FOLDER)
    pairs = TransferPairs(eight, mixed, people, SyntheticFaces(data / "synthetic-faces"))
    judge = TransferJudge(network)
    figures = {
        "open-faces val": evaluate_people(judge, pairs, people),
        "synthetic-faces test": evaluate_rendered(judge, pairs, 4 * faces),
    }
    if landmarker:
        with Landmarker(landmarker) as opened:
            figures["photographs"] = evaluate_photos(judge, photos, photos.indices("val"), opened, 2 * faces)
    return figures
