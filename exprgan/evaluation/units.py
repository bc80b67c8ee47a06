"""Edits by single action units, measured as those by expressions are, for the systems that know action units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from exprgan.action_units import JUDGED_SCORES, SCORES
from exprgan.edit.systems import FaceModelSystem
from exprgan.evaluation import metrics
from exprgan.evaluation.contestants import Contestant, Network
from exprgan.evaluation.controls import meant_scores
from exprgan.evaluation.metrics import Figure
from exprgan.evaluation.protocol import Array, Protocol
from exprgan.evaluation.summary import kernel_distance
from exprgan.face_model.amounts import amounts_for
from exprgan.face_model.expression import Expression
from exprgan.models.pixels import to_tensor

UNITS = (
    *("AU1", "AU2", "AU4", "AU5", "AU6", "AU9"),
    *("AU12", "AU15", "AU17", "AU20", "AU25", "AU26"),
)
"""The twelve of DISFA (Mavadati et al. 2013), each asked for at amount 1 on both sides."""


def judged_score(unit: str) -> str | None:
    """The score of the photographs' judge that a unit should raise, None where it estimates none.

    >>> judged_score("AU26"), judged_score("AU9")
    ('jawOpen', None)
    """
    meant = set(meant_scores(unit))
    return next((name for name in JUDGED_SCORES if set(SCORES[name]) == meant), None)


def units_of(contestant: Contestant) -> FaceModelSystem | None:
    """The system of a contestant that knows action units, else None."""
    call = contestant.call if isinstance(contestant, Network) else None
    return call if isinstance(call, FaceModelSystem) else None


def measure_units(
    protocol: Protocol,
    system: FaceModelSystem,
    reference: Tensor,
    *,
    seed: int,
    units: Sequence[str] = UNITS,
    on_face: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, Any]]:
    """Figures by action unit: kid, cosine and psnr_out as for expressions, change of the score that is meant.

    Args:
        protocol: Its faces and judges.
        system: What edits.
        reference: Features (R, F) that KID is measured to.
        seed: Of the intervals.
        units: Names of action units.
        on_face: Called after each face.
    """
    values: dict[str, dict[str, list[float]]] = {
        unit: {key: [] for key in ("cosine", "psnr_out", "change")} for unit in units
    }
    features: dict[str, list[Tensor]] = {unit: [] for unit in units}
    persons = []
    for number, case in enumerate(protocol.cases.faces):
        pixels = protocol.pixels(number)
        face = system.prepare(pixels)
        if face is not None:
            persons.append(f"{case.set_name} {case.person}")
            for unit in units:
                asked = amounts_for(system.face_model.basis, Expression.parse(None, {unit: 1.0}))
                edited = to_tensor(system.edit(pixels, face, asked))
                found, judgement, changes = protocol.measure_edit(number, edited)
                score = judged_score(unit)
                found["change"] = changes[:, JUDGED_SCORES.index(score)] if score else np.array([np.nan])
                for key, rows in values[unit].items():
                    rows.append(float(found[key][0]))
                features[unit].append(judgement.features)
        on_face()
    return {
        unit: {
            "score": judged_score(unit),
            **{key: _figure(np.array(rows), persons, seed).record() for key, rows in values[unit].items()},
            "kid": kernel_distance(_stacked(features[unit], reference), reference, seed).record(),
        }
        for unit in units
    }


def _figure(values: Array, persons: Sequence[str], seed: int) -> Figure:
    return metrics.bootstrap_mean(values, list(persons), seed=seed)


def _stacked(features: Sequence[Tensor], reference: Tensor) -> Tensor:
    return torch.stack(list(features)) if features else torch.zeros(0, 1, reference.shape[1])
