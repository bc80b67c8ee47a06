"""Whether a picture has colours, or one tone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from exprgan.edit.tone import tone_of, toned

SEPIA = np.array([1.0, 0.93, 0.8])


@pytest.fixture
def grey() -> np.ndarray:
    """A smooth picture (64, 64) of many lightnesses, 20 to 220."""
    noise = np.random.default_rng(0).random((64, 64))
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 20, 220, cv2.NORM_MINMAX)


def test_grey_is_its_own_tone(grey: np.ndarray) -> None:
    tone = tone_of(np.repeat(np.rint(grey)[..., None], 3, axis=2).astype(np.uint8))
    assert tone is not None
    np.testing.assert_allclose(tone, np.repeat(np.arange(256)[:, None] / 255, 3, axis=1), atol=1e-6)


@pytest.mark.parametrize("quality", [95, 75])
def test_a_toned_picture_is_found_with_its_tone_also_after_jpeg(grey: np.ndarray, quality: int) -> None:
    picture = np.rint(grey[..., None] * SEPIA).astype(np.uint8)
    _, stored = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    loaded = np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR))
    tone = tone_of(np.ascontiguousarray(loaded[..., ::-1]))
    assert tone is not None
    shown = toned(np.float32([[0.5]]), tone)[0, 0]
    np.testing.assert_allclose(shown / shown[0], SEPIA, atol=0.03)


def test_a_picture_with_colours_has_no_tone(grey: np.ndarray) -> None:
    picture = np.rint(grey[..., None] * SEPIA).astype(np.uint8)
    picture[20:30, 20:40, 0] //= 2
    assert tone_of(picture) is None


def test_lightness_beyond_white_is_the_tones_white() -> None:
    tone = (np.arange(256)[:, None] / 255 * SEPIA).astype(np.float32)
    np.testing.assert_allclose(
        toned(np.float32([[0, 0.5, 1.4]]), tone)[0], [0 * SEPIA, SEPIA / 2, SEPIA], atol=1e-3
    )
