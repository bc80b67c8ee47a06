"""Pictures of training sets to arrays and back, from and to bytes."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.errors import UnreadableImage


def decode_rgb(encoded: bytes) -> NDArray[np.uint8]:
    """A JPEG or PNG of a training set as uint8 RGB (H, W, 3).

    Raises:
        UnreadableImage: The bytes are no whole picture.
    """
    return cv2.cvtColor(_decode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB).astype(np.uint8)


def decode_grey(encoded: bytes) -> NDArray[np.uint8]:
    """A mask of one channel, uint8 (H, W), its numbers as they are stored.

    Raises:
        UnreadableImage: The bytes are no whole picture.
    """
    return _decode(encoded, cv2.IMREAD_UNCHANGED if encoded[:4] == b"\x89PNG" else cv2.IMREAD_GRAYSCALE)


def _decode(encoded: bytes, mode: int) -> NDArray[np.uint8]:
    stored = np.frombuffer(encoded, np.uint8)
    decoded = cv2.imdecode(stored, mode) if len(stored) else None
    if decoded is None:
        raise UnreadableImage("A picture of the data set is damaged; fetch or prepare the set again.")
    return np.asarray(decoded, np.uint8)
