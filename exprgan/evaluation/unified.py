"""The generator against its teacher and against rendered truth, on data it was not trained on.

open-faces val: end-point error of the flow inside the face and peak signal-to-noise ratio inside the face, against
the geometry teacher. synthetic-faces test: the same ratio against the true render, beside that of doing nothing.
`exprgan eval` measures all else, and other systems.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.edit.regions import find_segmenter
from exprgan.evaluation import metrics
from exprgan.expressions import EXPRESSIONS
from exprgan.models.pixels import to_tensor
from exprgan.models.segmenters import region_masks
from exprgan.models.unified import EditMaps, apply_maps
from exprgan.samples.pairs import Pair, PairMix, PairSamples
from exprgan.teacher.cache import TeacherCache
from exprgan.training import losses
from exprgan.weights import NetworkFiles


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


def evaluate_teacher(judge: Judge, samples: PairSamples, faces: list[int]) -> dict[str, dict[str, float]]:
    """Means by expression over full-strength pairs of the given faces."""
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for face in faces:
        for variant, expression in enumerate(EXPRESSIONS):
            pair = samples.photo_pair(face, variant)
            rows[expression].append(judge.against_teacher(pair))
    return metrics.means(rows)


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
    return metrics.means(rows)


def report_of(
    files: NetworkFiles,
    data: Path,
    *,
    teacher: Path,
    cache: Path,
    segmenter: str = "unet",
    faces: int | None = None,
) -> dict[str, Any]:
    """Figures by set and expression.

    Args:
        files: The generator.
        data: Folder with open-faces and synthetic-faces.
        teacher: Folder with geometry_basis.npz.
        cache: Folder for the teacher's renders.
        segmenter: Name of the weights whose masks condition it, as in an edit; none takes the pairs' own masks.
        faces: Only so many faces of open-faces.
    """
    masks = None if segmenter == "none" else find_segmenter(files.weights, segmenter).load()
    judge = Judge(files.load(), masks)
    photos, synthetic = OpenFaces(data / "open-faces"), SyntheticFaces(data / "synthetic-faces")
    renders = TeacherCache(photos, teacher, cache)
    val = set(photos.indices("val"))
    rows = [face for face in renders.usable() if face in val][:faces]
    samples = PairSamples(renders, rows, synthetic, PairMix())
    return {
        "open-faces val": evaluate_teacher(judge, samples, rows),
        "synthetic-faces test": evaluate_synthetic(judge, synthetic, samples),
    }
