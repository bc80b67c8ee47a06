"""Figures of action units with a made landmarker and a made system."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from exprgan.evaluation.controls import as_table, meant_scores, measure
from exprgan.face_model.amounts import Amounts
from exprgan.face_model.basis import FaceBasis
from exprgan.face_model.vocabulary import control_names
from exprgan.faces.mesh import BLENDSHAPES


class MadeSystem:
    """Writes how much of a smile is asked for into a crop's pixels."""

    def __init__(self) -> None:
        self.face_model = SimpleNamespace(basis=FaceBasis.load())

    def prepare(self, image: NDArray[np.uint8]) -> Any:
        return None if not image.any() else object()

    def edit(self, image: NDArray[np.uint8], face: Any, amounts: Amounts) -> NDArray[np.uint8]:
        return image + np.uint8(round(100 * amounts.measured.get("mouthSmileLeft", 0.0)))


class MadeLandmarker:
    """Reads it there, with some of it as dimples."""

    def scores(self, image: NDArray[np.uint8]) -> dict[str, float]:
        shown = (float(image.mean()) - 50) / 100
        scores = dict.fromkeys(BLENDSHAPES, 0.0)
        return scores | {
            "mouthSmileLeft": shown,
            "mouthSmileRight": shown / 2,
            "mouthDimpleLeft": 0.49 * shown,
        }


def test_change_leak_and_correlation_are_those_of_the_edits() -> None:
    images = [np.full((256, 256, 3), value, np.uint8) for value in (50, 60, 0)]
    figures = measure(MadeSystem(), images, MadeLandmarker(), ["AU12", "jawOpen", "AU6"])  # type: ignore[arg-type]
    assert figures["AU12"]["faces"] == 2  # one has no face
    assert figures["AU12"]["change"] == pytest.approx(0.75)
    assert figures["AU12"]["r"] == pytest.approx(1)
    assert figures["AU12"]["r_face"] == pytest.approx(1)
    assert figures["AU12"]["leak"] == pytest.approx(0.49 / 49)
    assert figures["jawOpen"]["change"] == figures["jawOpen"]["leak"] == 0
    assert "r" not in figures["AU6"]
    table = as_table(figures).splitlines()
    assert "| AU12 | mouthSmile | +0.75 | 1.00 | 1.00 | 0.010 |" in table
    assert table[-1].startswith("| AU6 | – | – | – | – |")


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("AU46L", ["eyeBlinkLeft"]),
        ("gaze_x", ["eyeLookOutLeft", "eyeLookInRight"]),
        ("AU26", ["jawOpen"]),
        ("AU1", ["browInnerUp"]),
        ("AU9", []),
    ],
)
def test_names_mean_their_largest_shapes(name: str, scores: list[str]) -> None:
    assert meant_scores(name) == scores
    assert all(set(meant_scores(each)) <= set(BLENDSHAPES) for each in control_names())
