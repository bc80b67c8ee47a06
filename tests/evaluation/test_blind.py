"""The blind sheet and the score of its guesses."""

from __future__ import annotations

import numpy as np
import pytest

from exprgan.errors import UsageError
from exprgan.evaluation.blind import PARTS, score


def test_guesses_are_scored_by_kind() -> None:
    assert score("AABB", "a a b a") == {"crops": 4, "right": 0.75, "photographs": 1.0, "edits": 0.5}
    assert score("AB" * 24, "A" * 48)["right"] == 0.5
    assert score("AABB", "3, 4")["right"] == 1.0
    assert score("AABB", "2,3") == {"crops": 4, "right": 0.5, "photographs": 0.5, "edits": 0.5}
    with pytest.raises(UsageError, match="4 crops and 3 guesses"):
        score("AABB", "AAB")
    with pytest.raises(UsageError, match="from 1 to 4"):
        score("AABB", "3, 5")


def test_parts_lie_in_the_crop() -> None:
    for part in PARTS.values():
        left, top, width, height = part.box
        assert np.all(np.array([left, top, 1 - left - width, 1 - top - height]) >= 0)
