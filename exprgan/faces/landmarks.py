"""From rough squares around faces to dense landmarks, by looking several times."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.faces.align import square_matrix, transform_points, warp_crop
from exprgan.faces.mesh import BLENDSHAPE_MIRROR, MIRROR, face_square
from exprgan.weights.runtime import Network, as_network, signed

if TYPE_CHECKING:
    from torch import nn

SETTLING_SCALES = (0.9, 1.0, 1.1)
"""Sizes of the squares of the last look; their mean is 2 % nearer to the truth than one of them."""


STEPS = 4096
"""Squares and landmarks lie on a grid of so many steps across a face, or up to twice as many; coefficients on one of so
many steps from 0 to 1. What another runtime, device or number of threads changes in the last digits would else grow
from look to look, as crops are sampled in steps, and grow again in what is fitted to them and drawn from that."""
ALIGNING_STEPS = 256
"""The same for the points that a crop is aligned by: all that is drawn moves with these, and where they lie
matters little, so their steps are wide and hardly ever are two runtimes on two sides of an edge."""
ROLL_STEPS = 64
"""The same for the roll of a square, steps a degree."""


def on_grid(
    values: NDArray[np.floating], size_px: NDArray[np.floating] | float, steps: int = STEPS
) -> NDArray[np.float64]:
    """Values in pixels, rounded to the grid of a face of a size (or of several, broadcast)."""
    step = 2.0 ** np.floor(np.log2(np.maximum(size_px, 1.0))) / steps
    return np.round(np.asarray(values, np.float64) / step) * step


@dataclass(frozen=True)
class Looks:
    """What the network sees in N squares of a photo.

    Attributes:
        landmarks_xy: (N, 478, 2) float64 photo pixels.
        turn: (N, 2) pitch and yaw in degrees.
        scores: (N,) in 0 to 1, how sure the network is of a face.
        depth_px: (N, 478) depth in photo pixels, growing away from the camera; None if the network does not say.
        blendshapes: (N, 51) coefficients in 0 to 1 in the order of `mesh.BLENDSHAPES`; None likewise.
    """

    landmarks_xy: NDArray[np.float64]
    turn: NDArray[np.float64]
    scores: NDArray[np.float64]
    depth_px: NDArray[np.float64] | None = None
    blendshapes: NDArray[np.float64] | None = None

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Looks:
        more = (None if part is None else part[rows] for part in (self.depth_px, self.blendshapes))
        return Looks(self.landmarks_xy[rows], self.turn[rows], self.scores[rows], *more)

    def squares(self) -> NDArray[np.float64]:
        """The square (N, 4) around each face, where to look next."""
        return np.array([face_square(points) for points in self.landmarks_xy]).reshape(-1, 4)

    def sorted_above(self, min_score: float) -> Looks:
        """Those of at least a score, the highest first."""
        order = np.argsort(-self.scores)
        return self[order[self.scores[order] >= min_score]]


class Landmarker:
    """Finds landmarks in turned squares of a photo.

    Args:
        net: A network in the role "landmarks", or a `LandmarkNet` in eval mode.
        device: Where the latter is.
        crop_px: Side of its crops; None asks the module.
    """

    def __init__(self, net: Network | nn.Module, device: str = "cpu", crop_px: int | None = None) -> None:
        self.net = as_network(net, "landmarks", device)
        self.crop_px = crop_px or int(cast(Any, net).crop_px)

    def look(
        self, image: NDArray[np.uint8], squares: NDArray[np.floating], *, mirrored: bool = False
    ) -> Looks:
        """One pass of the network over squares (N, 4): centre x, centre y, side in pixels, roll in degrees.

        Args:
            image: uint8 RGB (H, W, 3), original photo frame.
            squares: As `mesh.face_square` gives them.
            mirrored: Also look at the mirrored crops and take the mean.
        """
        if not len(squares):
            return Looks(np.zeros((0, len(MIRROR), 2)), np.zeros((0, 2)), np.zeros(0))
        size, squares = self.crop_px, np.asarray(squares, np.float64)
        squares = np.column_stack(
            [on_grid(squares[:, :3], squares[:, 2:3]), np.round(squares[:, 3] * ROLL_STEPS) / ROLL_STEPS]
        )
        matrices = [square_matrix(square, size) for square in squares]
        batch = signed(_crops(image, matrices, size))
        points, turn, logits, depth, blendshapes = map(_double, self.net(batch))
        if mirrored:
            points2, turn2, logits2, depth2, blendshapes2 = map(_double, self.net(batch[..., ::-1]))
            points = (points + points2[:, MIRROR] * (-1, 1)) / 2
            turn = (turn + turn2 * (1, -1)) / 2
            logits = (logits + logits2) / 2
            depth = None if depth is None else (depth + depth2[:, MIRROR]) / 2
            if blendshapes is not None:
                blendshapes = (blendshapes + blendshapes2[:, BLENDSHAPE_MIRROR]) / 2
        if depth is not None:
            depth = depth * np.asarray(squares)[:, 2:3] / 2
        pixels = ((points + 1) * size - 1) / 2
        inverses = [cv2.invertAffineTransform(m) for m in matrices]
        landmarks = np.stack([transform_points(p, m) for p, m in zip(pixels, inverses, strict=True)])
        return Looks(landmarks, turn * 30, 1 / (1 + np.exp(-logits)), depth, blendshapes)

    def settle(self, image: NDArray[np.uint8], squares: NDArray[np.floating]) -> Looks:
        """The mean of what is seen in squares (N, 4) and in slightly smaller and larger ones, also mirrored."""
        if not len(squares):
            return self.look(image, squares)
        around = [np.asarray(squares) * (1, 1, scale, 1) for scale in SETTLING_SCALES]
        looks = self.look(image, np.concatenate(around), mirrored=True)
        parts = (len(around), len(squares))
        odds = np.log(looks.scores + 1e-9) - np.log1p(1e-9 - looks.scores)
        size_px = np.asarray(squares)[:, 2]
        depth, blendshapes = (
            None if part is None else part.reshape(*parts, -1).mean(0)
            for part in (looks.depth_px, looks.blendshapes)
        )
        return Looks(
            on_grid(looks.landmarks_xy.reshape(*parts, -1, 2).mean(0), size_px[:, None, None]),
            looks.turn.reshape(*parts, 2).mean(0),
            1 / (1 + np.exp(-odds.reshape(parts).mean(0))),
            None if depth is None else on_grid(depth, size_px[:, None]),
            None if blendshapes is None else np.round(blendshapes * STEPS) / STEPS,
        )

    def refine(
        self,
        image: NDArray[np.uint8],
        squares: NDArray[np.floating],
        *,
        num_looks: int = 3,
        min_score: float = 0.0,
    ) -> Looks:
        """Look, place the square anew by the points found, look again; the last one settles.

        Args:
            image: uint8 RGB (H, W, 3), original photo frame.
            squares: (N, 4) rough squares.
            num_looks: Passes in all.
            min_score: Squares whose score falls below it on any pass but the last are given up.
        """
        for _ in range(num_looks - 1):
            looks = self.look(image, squares)
            squares = looks[looks.scores >= min_score].squares()
        return self.settle(image, squares)


def _double(part: Any) -> Any:
    return None if part is None else part.astype(np.float64)


def _crops(image: NDArray[np.uint8], matrices: list[NDArray[np.float64]], size: int) -> NDArray[np.uint8]:
    """The crops (N, size, size, 3), side by side on as many threads as OpenCV may use.

    OpenCV cuts one crop on one thread, and that of a large face touches most of a large photo.
    """
    with ThreadPoolExecutor(max(1, cv2.getNumThreads())) as pool:
        return np.stack(
            list(pool.map(lambda m: warp_crop(image, m, size, border=cv2.BORDER_REPLICATE), matrices))
        )
