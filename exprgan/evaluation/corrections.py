"""The generator on the prior beside the prior alone, on photographs it was not trained on.

Both edit by the landmarks of our own network; the answer is the geometry teacher's, from the landmarks that come with
the photographs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from exprgan.data.open_faces import OpenFaces
from exprgan.evaluation import metrics
from exprgan.evaluation.transfer import report_of_photographs
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.amounts import amounts_of
from exprgan.face_model.vocabulary import class_recipes
from exprgan.models.corrections import compose, nothing_of
from exprgan.models.pixels import signed
from exprgan.samples.own_fits import Fitter
from exprgan.samples.prior_pairs import Person, PriorMix, PriorPairs
from exprgan.training import losses
from exprgan.training.corrections import corrections_of, prior_of
from exprgan.weights import NetworkFiles


@torch.inference_mode()
def report_of(
    files: NetworkFiles, data: Path, *, faces: int | None = None, landmarker: Path | None = None
) -> dict[str, Any]:
    """Means by expression at full strength: PSNR inside the face in dB, with that of the prior alone.

    With a landmarker, MediaPipe's face_landmarker.task, also the agreement of transfers between photographs.

    Args:
        files: The generator.
        data: Folder with open-faces.
        faces: Only so many photographs of its split val.
    """
    model, fitter, photos = files.load(), Fitter(files.weights), OpenFaces(data / "open-faces")
    samples = PriorPairs(photos, [], None, None, fitter.true, PriorMix())
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in EXPRESSIONS}
    for row in photos.indices("val")[:faces]:
        image, true_px = photos.image(row), photos.landmarks_px(row)
        fitted = fitter.fit(image)
        if fitted is None:
            continue
        true = fitter.true.analyse((image.shape[0], image.shape[1]), true_px, photos.scores(row)).scores
        person = Person(image, *fitted, true_px, true)
        for name in EXPRESSIONS:
            amounts = amounts_of(fitter.true.basis, class_recipes()[name], 1.0)
            sample = samples.photo_sample(person, amounts, np.random.default_rng(row))
            sample["seen"] = sample["source"]
            batch = {key: torch.from_numpy(np.asarray(value))[None] for key, value in sample.items()}
            prior = prior_of(batch)
            change = corrections_of(model, batch, prior)  # type: ignore[arg-type]
            source, target = signed(batch["source"]), signed(batch["target"])
            nothing = nothing_of(source)
            weight = (batch["importance"] > 64).float()
            shown = {"psnr_db": change, "psnr_prior_db": nothing}
            rows[name].append(
                {
                    key: float(losses.psnr(compose(source, prior, part, model.chart), target, weight))  # type: ignore[arg-type]
                    for key, part in shown.items()
                }
            )
    figures: dict[str, Any] = {"open-faces val": metrics.means(rows)}
    if landmarker:
        figures |= report_of_photographs(files, data, landmarker=landmarker, faces=faces)
    return figures
