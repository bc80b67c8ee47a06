"""Rough places of faces by the proposer network, on a small and a large copy of the photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.weights.runtime import Network, as_network, signed

if TYPE_CHECKING:
    from torch import nn

COPY_SIZES_PX = (224, 800)
"""Longer sides of the copies: large faces are found in the first, those of 1/30 of the photo in the second."""
PAD_SHARE = 0.12
MULTIPLE_PX = 32
STRIDE_PX = 8
"""Pixels a cell of the network's answer."""
UNIT_SIDE_PX = 64.0
"""Side of a face's square that the network calls 0 on its logarithmic scale."""


class Proposer:
    """Proposes squares that may hold faces.

    Args:
        net: A network in the role "proposer", or a `FaceProposer` in eval mode.
        device: Where the latter is.
        min_score: Height of the heat map from which a place is proposed.
    """

    def __init__(self, net: Network | nn.Module, device: str = "cpu", *, min_score: float = 0.3) -> None:
        self.net, self.min_score = as_network(net, "proposer", device), min_score

    def propose(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Squares (N, 5): centre x, centre y, side in photo pixels, roll (always 0), score; the surest first.

        Args:
            image: uint8 RGB (H, W, 3), original photo frame.
        """
        longest = max(image.shape[:2])
        found = []
        source = image
        for size in sorted(COPY_SIZES_PX, reverse=True):
            # small photos are enlarged a little, so that small faces in them have enough pixels
            scale = min(2.0, size / longest)
            size_wh = tuple(max(1, round(n * scale)) for n in image.shape[1::-1])
            interpolation = cv2.INTER_AREA if source.shape[1] > size_wh[0] else cv2.INTER_LINEAR
            source = cv2.resize(source, size_wh, interpolation=interpolation)
            found.append(self._propose_in_copy(source, scale))
        squares = np.concatenate(found)
        return squares[np.argsort(-squares[:, 4])]

    def _propose_in_copy(self, small: NDArray[np.uint8], scale: float) -> NDArray[np.float64]:
        border = round(PAD_SHARE * max(small.shape[:2])) if max(small.shape[:2]) < 400 else 16
        right, bottom = (border + -(n + 2 * border) % MULTIPLE_PX for n in small.shape[1::-1])
        padded = cv2.copyMakeBorder(small, border, bottom, border, right, cv2.BORDER_REPLICATE)
        heat, offset, log_side = (np.asarray(part)[0] for part in self.net(signed(padded)))
        rows, columns = _peaks(heat, self.min_score)
        score, offset, log_side = (part.astype(np.float64) for part in (heat, offset, log_side))
        x = ((columns + 0.5 + offset[0][rows, columns]) * STRIDE_PX - border) / scale - 0.5
        y = ((rows + 0.5 + offset[1][rows, columns]) * STRIDE_PX - border) / scale - 0.5
        side = np.exp(log_side[rows, columns]) * UNIT_SIDE_PX / scale
        return np.column_stack([x, y, side, np.zeros(len(x)), score[rows, columns]])


def _peaks(heat: NDArray[np.float32], min_score: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the cells that are the highest of their 3x3 neighbourhood and high enough."""
    highest = cv2.dilate(heat, np.ones((3, 3), np.uint8))
    rows, columns = ((heat == highest) & (heat >= min_score)).nonzero()
    return rows, columns


def distinct_squares(squares: NDArray[np.float64], *, limit: int = 40) -> NDArray[np.float64]:
    """The first of the squares (N, 4 or more) at each place, at most `limit`."""
    kept: list[NDArray[np.float64]] = []
    for square in squares:
        near = False
        for other in kept:
            larger, smaller = max(square[2], other[2]), min(square[2], other[2])
            distance = np.hypot(square[0] - other[0], square[1] - other[1])
            near = near or (distance < 0.3 * larger and smaller > 0.6 * larger)
        if not near:
            kept.append(square)
        if len(kept) == limit:
            break
    return np.array(kept).reshape(-1, squares.shape[1])
