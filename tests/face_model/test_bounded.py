"""Least squares within bounds, against scipy's slower way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from exprgan.face_model.bounded import solve_within


@pytest.mark.parametrize("size", [1, 7, 60])
@pytest.mark.parametrize("seed", range(8))
def test_the_solution_is_the_best_within_the_bounds(size: int, seed: int) -> None:
    chance = np.random.default_rng((size, seed))
    design = chance.normal(size=(size + 5, size)) @ np.diag(10.0 ** chance.uniform(-1, 1, size))
    answer = chance.normal(size=size + 5) * 3
    lowest = chance.uniform(-1, 0, size)
    highest = lowest + chance.uniform(0.01, 1, size)
    found = solve_within(design.T @ design, design.T @ answer, lowest, highest)
    expected = lsq_linear(design, answer, (lowest, highest), method="bvls", tol=1e-14).x
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert (found >= lowest).all() and (found <= highest).all()
    if size > 1:
        assert ((found == lowest) | (found == highest)).any()  # the bounds mattered


def test_without_bounds_in_the_way_it_is_the_plain_solution() -> None:
    normal = np.array([[2.0, 0.5], [0.5, 1.0]])
    found = solve_within(normal, np.array([1.0, 1.0]), np.full(2, -9.0), np.full(2, 9.0))
    np.testing.assert_allclose(normal @ found, (1, 1))
