"""Least squares within bounds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

PATIENCE = 3
"""Exchanges of all entries at once without progress, before entries are exchanged one by one."""


def solve_within(
    normal: NDArray[np.float64],
    right_side: NDArray[np.float64],
    lowest: NDArray[np.float64],
    highest: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The x (n,) of least x' N x / 2 - r' x with lowest <= x <= highest, to rounding.

    Block principal pivoting (Júdice and Pires 1994, https://doi.org/10.1016/0305-0548(94)90106-6): entries go between
    being free and lying on a bound until none is out of its bounds and none on a bound would rather be off it.

    Args:
        normal: (n, n), symmetric and positive definite.
        right_side: (n,).
        lowest, highest: (n,), the former below the latter.
    """
    count = len(right_side)
    bound = np.zeros(count, np.int8)  # -1 on the lowest, 1 on the highest, 0 free
    best, patience = count + 1, PATIENCE
    while True:
        free = bound == 0
        x = np.where(bound < 0, lowest, highest)
        fixed_part = normal[np.ix_(free, ~free)] @ x[~free]
        x[free] = np.linalg.solve(normal[np.ix_(free, free)], right_side[free] - fixed_part)
        slope = normal @ x - right_side
        slack = 1e-12 * (1 + np.abs(x))
        wanted = bound.copy()
        wanted[free & (x < lowest - slack)] = -1
        wanted[free & (x > highest + slack)] = 1
        wanted[((bound < 0) & (slope < -1e-9)) | ((bound > 0) & (slope > 1e-9))] = 0
        wrong = np.flatnonzero(wanted != bound)
        if not len(wrong):
            return np.clip(x, lowest, highest)
        if len(wrong) < best:
            best, patience = len(wrong), PATIENCE
        elif patience:
            patience -= 1
        else:
            wrong = wrong[-1:]  # by the last alone the exchanges end
        bound[wrong] = wanted[wrong]
