"""From what an expression asks for to the shape that one face takes, and how far it may go."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from exprgan.face_model.amounts import Amounts, region_of
from exprgan.face_model.basis import FaceBasis, lip_gap
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.folds import amount_of
from exprgan.face_model.prior import PAIRED_RIMS, folded_share, target_points
from exprgan.faces import mesh

MAX_FOLDED_SHARE = 0.015
"""Share of the skin that may turn over before an expression is held back."""
CLOSERS = (("mouthRollLower",), ("mouthRollUpper",), ("mouthPress_L", "mouthPress_R"))
"""Shapes that bring lips together, however far apart they are in the photo; a pair by its mean."""
SHUT_EYE = (0.32, 0.42)
"""Score of a blink from which on an eye widens less, and from which on it stays as it is, since what lids hide is not
known. The scores of our own network: it gives eyes that are shut .3 to .5, and others .15 to .3."""
MOST_WIDENED = 1.7
"""Opening of an eye by that in the photo, at most."""
PARTED_LIPS_CM = (0.25, 0.1)
"""Own gap of the lips from which they are parted, and up to which they touch."""
GAZE_CM = {"In": (0.5, 0.0), "Out": (0.5, 0.0), "Up": (0.0, 0.32), "Down": (0.0, 0.38)}
"""Way of the iris' centre, sideways and up or down, at amount 1 of `eyeLook...`; about 30 degrees of the eyeball."""
EYES = (list(mesh.RIGHT_EYE), list(mesh.LEFT_EYE))
BROWS_OVER_LIDS = (([52, 65, 53], [159, 158, 160]), ([282, 295, 283], [386, 385, 387]))
"""Lower edge of a brow and the lid's rim below it, right and left."""
FREE_LIDS, LEAST_LIDS = 0.7, 0.4
"""Share of its height at which the skin between brow and lid begins to resist a brow that comes down, and what it keeps
however far that goes. In renders of full anger it is .75, and .82 in disgust (medians of 150 of synthetic-faces)."""
MIDDLE_CM = 1.0
"""Half of the width over which what holds the right brow passes into what holds the left one."""


def displacement(basis: FaceBasis, amounts: Amounts) -> NDArray[np.float64]:
    """Motion (468, 3) in cm that the amounts add to a face."""
    total = np.zeros((468, 3))
    for name, amount in amounts.measured.items():
        total += amount * basis.measured[basis.measured_names.index(name)]
    for name, amount in amounts.sculpted.items():
        total += amount * basis.sculpted[basis.sculpted_names.index(name)]
    return total


def neutral_of(basis: FaceBasis, analysis: FaceAnalysis, regions: Sequence[str]) -> NDArray[np.float64]:
    """The face's shape (468, 3) without its own expression in some regions; none named means all."""
    if not regions:
        return analysis.neutral_cm
    inside = np.array([region_of(name) in regions for name in basis.measured_names])
    scores = np.where(inside, analysis.scores, basis.neutral_scores)
    return basis.neutral_shape(analysis.shape_cm, scores, shut_lips="mouth" in regions)


def target_shape(basis: FaceBasis, analysis: FaceAnalysis, amounts: Amounts) -> NDArray[np.float64]:
    """Canonical shape (468, 3) in cm of a face with an expression; nothing asked is the photo as it is."""
    own, share = analysis.shape_cm, amounts.replaced
    shape = own + displacement(basis, amounts)
    if share > 0:
        shape = shape + share * (neutral_of(basis, analysis, amounts.regions) - own)
    if not amounts.parts_lips and (not amounts.regions or "mouth" in amounts.regions):
        own_gap = lip_gap(own) - basis.closed_lip_gap
        # where nothing is replaced, lips that touch go on to touch, and others are left to what moves them
        most, least = PARTED_LIPS_CM
        touch = 1.0 if share > 0 else float(np.clip((most - own_gap.max()) / (most - least), 0, 1))
        sizes = [sum(amounts.sculpted.get(name, 0.0) for name in names) / len(names) for names in CLOSERS]
        closed = min(1.0, max(0.0, *sizes))
        touch = max(touch, closed)
        if touch > 0:
            shut = basis.close_lips(shape, damping=0.1, open_by=(1 - share) * (1 - closed) * own_gap)
            shape = shape + touch * (shut - shape)
    elif amounts.lips_apart_cm:
        apart = share * np.array(amounts.lips_apart_cm) + (1 - share) * (lip_gap(own) - basis.closed_lip_gap)
        shape = basis.close_lips(shape, damping=0.1, open_by=apart)
    return _close_lids(basis, analysis, shape, amounts)


def _close_lids(
    basis: FaceBasis, analysis: FaceAnalysis, shape: NDArray[np.float64], amounts: Amounts
) -> NDArray[np.float64]:
    """Bring lids that blink as near to one another as the blink's amount says, however wide this face's eyes are.

    Eyes that are shut in the photo stay shut.
    """
    own = analysis.shape_cm
    for (upper, lower), side, full in zip(PAIRED_RIMS[1:], "RL", ("Right", "Left"), strict=True):
        blink = float(np.clip(amount_of(amounts, "eyeBlink", side), 0, 1))
        own_gap, gap = (each[upper, 1] - each[lower, 1] for each in (own, shape))
        # small amounts follow the shape alone
        excess = np.maximum(gap - (1 - blink) * own_gap, 0) * max(0.0, 2 * blink - 1)
        first, last = SHUT_EYE
        score = analysis.scores[basis.measured_names.index(f"eyeBlink{full}")]
        shut = float(np.clip((score - first) / (last - first), 0, 1))
        room = (1 - shut) * (MOST_WIDENED - 1) * own_gap.max()
        excess = np.maximum(excess, np.maximum(gap - own_gap - room, 0))
        if excess.any():
            shape = shape.copy()
            shape[upper, 1] -= 0.85 * excess
            shape[lower, 1] += 0.15 * excess
    return shape


def brows_held(
    own: NDArray[np.float64], target: NDArray[np.float64], brows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share (468,) of its way down or up that each point of a target shape (468, 3) goes without squeezing the lids.

    own: The photo's shape. brows (468,): how much of a brow each point is (`regions.Regions.share`).
    """
    shares = []
    for brow, lid in BROWS_OVER_LIDS:
        height, new_height = ((shape[brow, 1] - shape[lid, 1]).mean() for shape in (own, target))
        down = (own[brow, 1] - target[brow, 1]).mean()
        kept, range_ = new_height / max(height, 1e-6), FREE_LIDS - LEAST_LIDS
        if down <= 0 or kept >= FREE_LIDS:
            shares.append(1.0)
            continue
        wanted = height * (LEAST_LIDS + range_ * np.exp((kept - FREE_LIDS) / range_))
        shares.append(float(np.clip(1 - (wanted - new_height) / down, 0, 1)))
    left = np.clip(0.5 + 0.5 * own[:, 0] / MIDDLE_CM, 0, 1)
    return np.asarray(1 - brows * (1 - (shares[0] + left * (shares[1] - shares[0]))))


def without_folds(basis: FaceBasis, analysis: FaceAnalysis, target_cm: NDArray[np.float64]) -> float:
    """Share of the way from the photo's shape to a target that the skin can go without turning over, 0 to 1."""

    def folds(share: float) -> bool:
        shape = analysis.shape_cm + share * (target_cm - analysis.shape_cm)
        return folded_share(analysis, basis, target_points(analysis, shape)) > MAX_FOLDED_SHARE

    if not folds(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(5):
        middle = (low + high) / 2
        low, high = (low, middle) if folds(middle) else (middle, high)
    return low


def gaze_px(analysis: FaceAnalysis, amounts: Amounts) -> NDArray[np.float64]:
    """Way (2, 2) of the right and the left iris in px of the image."""
    ways = np.zeros((2, 2))
    for row, side in enumerate("RL"):
        outward = -1 if side == "R" else 1  # canonical x grows to the subject's left
        signs = {"In": (-outward, 1), "Out": (outward, 1), "Up": (1, 1), "Down": (1, -1)}
        way = np.zeros(3)
        for direction, size_cm in GAZE_CM.items():
            amount = amounts.sculpted.get(f"eyeLook{direction}_{side}", 0.0)
            way[:2] += amount * np.multiply(size_cm, signs[direction])
        free = 1.0 if analysis.free is None else float(analysis.free[EYES[row]].mean())
        ways[row] = free * (analysis.pose.scale * analysis.pose.rotation @ way)[:2] * (1, -1)
    return ways
