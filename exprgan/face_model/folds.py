"""Folds and shading that come with an expression, as a ratio image on the mesh's texture chart.

A ratio image is the natural log of the luminance ratio expression / neutral, (192, 192) float32,
row 0 at the forehead. Sources: how photographs of smiles differ from others, measured for smooth and for creased
skin (`exprgan.samples.smile_shading`), or the median log ratio of true smiles where that is not at hand; the
change of the normals and of the concavity of the sculpted skin surface under a fixed light from the front and above;
drawn lines for brow, forehead and nasolabial folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_model.amounts import Amounts
from exprgan.face_model.basis import FaceBasis
from exprgan.faces import mesh

LIGHT = np.array([0.0, 0.62, 0.78])
"""Direction to the light, canonical frame, length 1: 38 degrees above the camera, as in rooms and outdoors."""
SMILE_SCORE_OF_RATIO = 0.62
"""Score of the measured smile that the median of true smiles stands for."""
SCORE_PER_SCULPTED, MOST_SMILE = 0.5, 1.0
"""Score of the sculpted smile, and the score beyond which skin does not fold deeper."""
SMILE_LIGHT, SMILE_LINE = 0.85, (0.12, 0.3)
"""Share of the measured light that a smile gets, and depth of a line along its fold, which means over people lack, on
smooth and on creased skin. Less of both is nearer to photographs of happy faces by our own features (KID, split
train), more is nearer to them in mean light and in the fold's finest contrasts."""
FROWN_DEPTH = 0.21
"""Depth of the drawn frown lines; deeper ones look painted."""
NOSE_WING, BESIDE_MOUTH = 129, 216


def amount_of(amounts: Amounts, shape: str, side: str) -> float:
    """Amount of a shape on a side, R or L, over both bases, at most 1.4."""
    long_side = "Right" if side == "R" else "Left"
    names = (shape, f"{shape}{long_side}", f"{shape}_{side}")
    total = sum(part.get(name, 0.0) for part in (amounts.measured, amounts.sculpted) for name in names)
    return min(1.4, total)


class WrinkleModel:
    """Ratio images of expressions."""

    def __init__(self, basis: FaceBasis) -> None:
        self.basis = basis
        self.covered = basis.arrays["chart_covered"].astype(bool)
        self.size = self.covered.shape[0]
        self.chart_px = basis.arrays["chart_xy"].astype(np.float64) * (self.size - 1)
        of_pairs = basis.arrays["smile_log_ratio"] / SMILE_SCORE_OF_RATIO
        shading = basis.arrays.get("smile_shading", np.stack([of_pairs, of_pairs]))
        self.smile_shading = shading.astype(np.float32)
        self._skin = basis.arrays["skin_vertices"].astype(np.float32)
        self._skin_shapes = basis.arrays["skin_shapes"].astype(np.float32)
        self._quads = basis.arrays["skin_quads"].astype(int)
        self._under_pixel = basis.arrays["chart_skin_vertices"].astype(int)
        self._under_pixel_weight = basis.arrays["chart_skin_weights"].astype(np.float32)
        edges = np.concatenate([self._quads[:, [k, (k + 1) % 4]] for k in range(4)])
        both = np.concatenate([edges, edges[:, ::-1]])
        self._links = np.stack(divmod(np.unique(both @ (len(self._skin), 1)), len(self._skin)))
        self._rest_shading, self._rest_hollow = self._shade(self._skin)
        self.mask = self._build_mask()
        self._lines = self._draw_lines()
        self._smile_line = self._draw_smile_line()
        self._halves = self._build_halves()
        self._sculpted_ratio = lru_cache(maxsize=64)(self._shaded_ratio)

    def log_ratio(self, amounts: Amounts) -> NDArray[np.float32]:
        """Ratio image (192, 192) of an expression."""
        sculpted = tuple(sorted(amounts.sculpted.items()))
        ratio = self._sculpted_ratio(sculpted) + self._drawn_ratio(amounts)
        return np.clip(ratio, -0.7, 0.3).astype(np.float32)

    def shading(self, amounts: Amounts, creased: float) -> NDArray[np.float32]:
        """Light (192, 192), natural log of the luminance's ratio, of a smile on skin that is creased, 0 to 1."""
        on_smooth, on_creased = SMILE_LINE
        line = self._smile_line * (on_smooth + creased * (on_creased - on_smooth))
        scores = [min(MOST_SMILE, self._smile_share(amounts, side)) for side in "RL"]
        return SMILE_LIGHT * self.smile_light(scores, creased) + self._on_sides(scores) * line

    def smile_light(self, scores: Sequence[float], creased: float) -> NDArray[np.float32]:
        """The part of `shading` that is measured, for scores of the smile, right and left."""
        smooth, rough = self.smile_shading
        return (self._on_sides(scores) * (smooth + creased * (rough - smooth))).astype(np.float32)

    def _on_sides(self, values: Sequence[float]) -> NDArray[np.float32]:
        """A picture (192, 192) of a value for the right half and one for the left."""
        right, left = self._halves
        return (right * values[0] + left * values[1]).astype(np.float32)

    def _shaded_ratio(self, sculpted: tuple[tuple[str, float], ...]) -> NDArray[np.float32]:
        """Ratio of the sculpted skin surface under the fixed light."""
        coefficients = np.zeros(len(self.basis.sculpted_names), np.float32)
        for name, amount in sculpted:
            coefficients[self.basis.sculpted_names.index(name)] = amount
        shading, hollow = self._shade(self._skin + np.tensordot(coefficients, self._skin_shapes, 1))
        change = shading - self._rest_shading
        # normals alone miss narrow folds, whose two flanks cancel in a pixel: they are hollow, and hollows dark
        change = change + np.clip(-14 * (hollow - self._rest_hollow), -0.25, 0.15)
        ratio = np.zeros((self.size, self.size), np.float32)
        ratio[self.covered] = (change[self._under_pixel] * self._under_pixel_weight).sum(axis=1)
        # the sculpture is harder than skin, whose own scattering softens folds
        ratio = cv2.GaussianBlur(ratio, (0, 0), 1.4) * 0.65
        return (np.clip(ratio, -0.32, 0.10) * self.mask).astype(np.float32)

    def _drawn_ratio(self, amounts: Amounts) -> NDArray[np.float32]:
        """Lines finer than the sculpture."""
        ratio = np.zeros((self.size, self.size), np.float32)
        for half, side in zip(self._halves, ("R", "L"), strict=True):
            lowered, inner, outer, sneer = (
                amount_of(amounts, shape, side)
                for shape in ("browDown", "browInnerUp", "browOuterUp", "noseSneer")
            )
            # raised inner brows pull the frown apart
            ratio += (
                half
                * self._lines["frown"]
                * (FROWN_DEPTH * lowered * (1 - 0.5 * min(1.0, 2 * max(inner, 0))))
            )
            ratio += half * self._lines["forehead"] * float(np.clip(outer + 0.35 * inner, 0, 1))
            ratio += half * self._lines["sneer"] * sneer
        return ratio

    @staticmethod
    def _smile_share(amounts: Amounts, side: str) -> float:
        """Score of the smile that shows on a side."""
        measured = amounts.measured.get("mouthSmileRight" if side == "R" else "mouthSmileLeft", 0.0)
        return measured + SCORE_PER_SCULPTED * amounts.sculpted.get(f"mouthSmile_{side}", 0.0)

    def _build_halves(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Soft masks of the subject's right and left half; the right is on the chart's left."""
        right = np.zeros((self.size, self.size), np.float32)
        right[:, : self.size // 2] = 1
        right = cv2.GaussianBlur(right, (0, 0), 5)
        return right, (1 - right).astype(np.float32)

    def _shade(self, skin: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log shading (n,) and concavity (n,), positive in folds, of the skin surface (n, 3)."""
        # the cross product of a quad's diagonals is its normal times twice its area: summed at a vertex, large
        # quads count more
        first = skin[self._quads[:, 2]] - skin[self._quads[:, 0]]
        second = skin[self._quads[:, 3]] - skin[self._quads[:, 1]]
        quad_normals = np.cross(first, second)
        normals = np.stack(
            [
                np.bincount(self._quads.ravel(), np.repeat(quad_normals[:, axis], 4), len(skin))
                for axis in range(3)
            ],
            axis=1,
        )
        normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        # Lambert's law with a share of light from everywhere, so that no side is black
        shading = np.log(0.42 + 0.58 * np.maximum(0, normals @ LIGHT))
        # where the surface lies below the mean of its surroundings, two rings wide, it is hollow (cm)
        smoothed = self._neighbour_mean(self._neighbour_mean(skin))
        hollow = ((smoothed - skin) * normals).sum(axis=1)
        return shading, hollow

    def _neighbour_mean(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Mean of the points (n, 3) that each one has an edge with."""
        at, other = self._links
        degree = np.maximum(np.bincount(at, minlength=len(points)), 1)
        sums = [np.bincount(at, points[other, axis], len(points)) for axis in range(3)]
        return np.stack(sums, axis=1) / degree[:, None]

    def _build_mask(self) -> NDArray[np.float32]:
        """Where a ratio may act: not on lips, eyes and nostrils, fading at the border of the mesh."""
        mask = np.ones((self.size, self.size), np.float32)
        for outline in (mesh.OUTER_LIPS, mesh.RIGHT_EYE, mesh.LEFT_EYE, mesh.NOSTRILS):
            cv2.fillPoly(mask, [np.round(self.chart_px[list(outline)]).astype(np.int32)], 0)
        mask = cv2.erode(mask, np.ones((3, 3)))
        inner = cv2.erode(self.covered.astype(np.uint8), np.ones((9, 9))).astype(np.float32)
        return cv2.GaussianBlur(mask, (0, 0), 1.5) * cv2.GaussianBlur(inner, (0, 0), 4)

    def _stroke(self, points: list[NDArray[np.float64]], width: float, depth: float) -> NDArray[np.float32]:
        """A fold along chart points: a dark line with lighter flanks."""
        fine = np.zeros((self.size * 4, self.size * 4), np.float32)
        path = np.round(np.array(points) * 4).astype(np.int32)
        cv2.polylines(fine, [path], False, 1.0, max(1, int(width * 4)), cv2.LINE_AA)
        line = cv2.resize(fine, (self.size, self.size), interpolation=cv2.INTER_AREA)
        dark = cv2.GaussianBlur(line, (0, 0), width * 0.8)
        flank = cv2.GaussianBlur(line, (0, 0), width * 2.2)
        return -depth * dark + depth * 0.55 * flank

    def _draw_smile_line(self) -> NDArray[np.float32]:
        """A line of depth 1 on each side where the measured shading of smiles is darkest, from the nose down."""
        shading = cv2.GaussianBlur(self.smile_shading.mean(axis=0), (0, 0), 1.5)
        at, middle = self.chart_px, self.size // 2
        rows = range(round(at[NOSE_WING][1]), round(at[BESIDE_MOUTH][1]) + 1)
        right = np.array([(np.argmin(shading[row, :middle]), row) for row in rows], np.float64)
        right[:, 0] = np.polyval(np.polyfit(right[:, 1], right[:, 0], 2), right[:, 1])
        left = (self.size - 1, 0) + right * (-1, 1)
        line = self._stroke(list(right), 1.0, 1.0) + self._stroke(list(left), 1.0, 1.0)
        depth = np.maximum(-shading, 0)
        return (line * np.sqrt(depth / max(float(depth.max()), 1e-6)) * self.mask).astype(np.float32)

    def _draw_lines(self) -> dict[str, NDArray[np.float32]]:
        """Lines (192, 192) that the sculpture is too coarse for, at amount 1; offsets are chart pixels, y down."""
        at = self.chart_px
        # frown: a faint fold across the root of the nose and two upright ones between the brows
        frown = self._stroke(
            [
                (at[55] + at[8]) / 2 + (0, 4),
                at[168] + (0, -1),
                (at[285] + at[8]) / 2 + (0, 4),
            ],
            1.0,
            0.15,
        )
        half_brow = (at[336][0] - at[107][0]) / 2
        top, low = at[9], at[8]
        for side in (-1, 1):
            path = [
                np.array([top[0] + side * half_brow * 0.42, top[1] - 3]),
                np.array([top[0] + side * half_brow * 0.36, (top[1] + low[1]) / 2]),
                np.array([top[0] + side * half_brow * 0.45, low[1] + 1]),
            ]
            frown = frown + self._stroke(path, 1.1, 0.5)

        # forehead: three waves from temple to temple, along the mesh rows above the brows
        spans = (
            (104, 69, 0),
            (69, 108, 0.3),
            (108, 151, 0.5),
            (151, 337, 0.5),
            (337, 299, 0.7),
            (299, 333, 1),
        )
        across = [at[start] + (at[end] - at[start]) * part for start, end, part in spans]
        forehead = self._stroke(across, 1.2, 0.24)
        forehead = forehead + self._stroke([point + (0, -9) for point in across], 1.2, 0.22)
        forehead = forehead + self._stroke([point + (0, 7) for point in across[1:5]], 1.1, 0.18)

        # sneer: the folds from the wings of the nose to the mouth, and wrinkles over its bridge
        sneer = np.zeros((self.size, self.size), np.float32)
        for corners in ((129, 203, 206, 216), (358, 423, 426, 436)):
            sneer = sneer + self._stroke([at[vertex] for vertex in corners], 1.5, 0.42)
        for drop in (-4, 1):
            bridge = [
                at[193] + (at[417] - at[193]) * part + np.array([0, drop]) for part in (0.12, 0.5, 0.88)
            ]
            sneer = sneer + self._stroke(bridge, 1.0, 0.2)
        return {"frown": frown * self.mask, "forehead": forehead * self.mask, "sneer": sneer * self.mask}
