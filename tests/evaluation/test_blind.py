"""The blind sheet and the score of its guesses."""

from __future__ import annotations

import numpy as np
import pytest

from exprgan.evaluation.blind import PARTS, score


def test_guesses_are_scored_by_kind() -> None:
    assert score("AABB", "a a b a") == {"crops": 4, "right": 0.75, "photographs": 1.0, "edits": 0.5}
    assert score("AB" * 24, "A" * 48)["right"] == 0.5
    with pytest.raises(ValueError, match="zip"):
        score("AABB", "AAB")


def test_parts_lie_in_the_crop() -> None:
    for part in PARTS.values():
        left, top, width, height = part.box
        assert np.all(np.array([left, top, 1 - left - width, 1 - top - height]) >= 0)
