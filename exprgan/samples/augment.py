"""Changes of place, light, colour, sharpness and surroundings that make training pictures more varied.

Images are uint8 RGB (H, W, 3); each function returns a new one of the same size.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_parts import CROP_PX

Image = NDArray[np.uint8]


def photometric(image: Image, rng: np.random.Generator, strength: float = 1.0) -> Image:
    """Colour, gamma, contrast, greyness, blur, low resolution, noise and JPEG, each with some probability.

    Args:
        image: uint8 RGB (H, W, 3).
        rng: Source of all choices.
        strength: 1 for renders; less for photographs, which have such flaws already.

    Returns:
        uint8 RGB (H, W, 3).
    """
    image = _colour(image, rng, strength)
    if rng.random() < 0.1:
        image = to_grey(image)
    if rng.random() < 0.35 * strength:
        image = _soften(image, rng)
    if rng.random() < 0.5 * strength:
        image = _noise(image, rng)
    if rng.random() < 0.35:
        image = jpeg(image, int(rng.integers(25, 95)))
    return image


def _colour(image: Image, rng: np.random.Generator, strength: float) -> Image:
    """A curve for each channel (gamma, gain, offset) and a change of saturation."""
    levels = np.linspace(0, 1, 256)
    gamma = np.exp(rng.uniform(-0.5, 0.5) * strength)
    contrast = np.exp(rng.uniform(-0.35, 0.35) * strength)
    offset = rng.uniform(-0.1, 0.1) * strength
    tint = np.exp(rng.normal(0, 0.08, 3) * strength)
    curves = [(levels**gamma * gain - 0.5) * contrast + 0.5 + offset for gain in tint]
    table = np.round(np.clip(np.stack(curves, axis=-1), 0, 1) * 255).astype(np.uint8)
    image = cv2.LUT(image, table[None]).astype(np.uint8)
    saturation = np.exp(rng.uniform(-0.5, 0.4) * strength)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    grey_rgb = np.repeat(grey, 3, axis=2)
    return cv2.addWeighted(image, saturation, grey_rgb, 1 - saturation, 0).astype(np.uint8)


def _soften(image: Image, rng: np.random.Generator) -> Image:
    """Gaussian blur, or the loss of detail of a small face that was enlarged."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.0)).astype(np.uint8)
    share = rng.uniform(0.2, 0.7)
    small = cv2.resize(image, (int(width * share), int(height * share)), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _noise(image: Image, rng: np.random.Generator) -> Image:
    """Sensor noise, grey or coloured; the pattern is drawn once and shifted for speed."""
    sigma = rng.uniform(1, 9)
    channels = 1 if rng.random() < 0.5 else 3
    noise = rng.standard_normal((*image.shape[:2], channels), dtype=np.float32) * np.float32(sigma)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def shade(image: Image, rng: np.random.Generator) -> Image:
    """Light that falls off over the picture, or a cast shadow with a straight or round edge."""
    height, width = image.shape[:2]
    x, y = np.meshgrid(
        np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    )
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    if rng.random() < 0.6:
        light = 1 + rng.uniform(0.1, 0.5) * along
    else:
        softness = rng.uniform(0.02, 0.3)
        edge = along - rng.uniform(-0.5, 0.5) + rng.uniform(-0.3, 0.3) * (x * x + y * y)
        light = 1 - rng.uniform(0.1, 0.3) * (1 + np.tanh(edge / (2 * softness)))
    return np.clip(image * light[..., None].astype(np.float32), 0, 255).astype(np.uint8)


def procedural_background(rng: np.random.Generator, size: int) -> Image:
    """A made-up surrounding: plain, gradient, blotches at several scales, or shapes out of focus."""
    base = rng.uniform(0, 255, 3)
    other = rng.uniform(0, 255, 3)
    kind = rng.random()
    if kind < 0.2:
        mix = np.zeros((size, size), np.float32)
    elif kind < 0.4:
        ramp = np.linspace(0, 1, size, dtype=np.float32)
        mix = np.add.outer(ramp * rng.uniform(-1, 1), ramp * rng.uniform(-1, 1)) + np.float32(0.5)
    else:
        mix = np.zeros((size, size), np.float32)
        for cells in (3, 8, 24, 64):
            layer = rng.random((cells, cells), dtype=np.float32)
            weight = rng.uniform(0, 1) / cells**0.3
            mix += np.float32(weight) * cv2.resize(layer, (size, size), interpolation=cv2.INTER_CUBIC)
    picture = base + np.clip(mix, 0, 1)[..., None] * (other - base)
    backdrop = np.clip(picture, 0, 255).astype(np.uint8)
    if kind > 0.6:
        for _ in range(int(rng.integers(2, 9))):
            _paint_shape(backdrop, rng)
        backdrop = cv2.GaussianBlur(backdrop, (0, 0), rng.uniform(0.5, 6)).astype(np.uint8)
    return backdrop


def _paint_shape(picture: Image, rng: np.random.Generator) -> None:
    size = picture.shape[0]
    colour = tuple(int(value) for value in rng.integers(0, 256, 3))
    centre = tuple(int(value) for value in rng.integers(0, size, 2))
    axes = tuple(int(value) for value in rng.integers(size // 20, size // 3, 2))
    if rng.random() < 0.5:
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1)
    else:
        box = cv2.boxPoints((centre, (float(axes[0]), 3.0 * axes[1]), float(rng.uniform(0, 180))))
        cv2.fillPoly(picture, [box.astype(np.int32)], colour)


def occlude(image: Image, rng: np.random.Generator) -> tuple[Image, NDArray[np.bool_]]:
    """A thing in front of the face: the changed image, and where it is, bool (H, W)."""
    size = image.shape[0]
    covered = np.zeros((size, size), np.uint8)
    angle = rng.uniform(0, 2 * np.pi)
    distance = rng.uniform(0.1, 0.45) * size
    centre = (size / 2 + distance * np.cos(angle), size / 2 + distance * np.sin(angle))
    corners = rng.integers(4, 9)
    radii = rng.uniform(0.05, 0.2, corners) * size
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    points = np.stack([centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles)], axis=1)
    cv2.fillPoly(covered, [points.astype(np.int32)], 1)
    texture = procedural_background(rng, size)
    return np.where(covered[..., None] > 0, texture, image), covered > 0


def jitter_matrix(rng: np.random.Generator, *, can_mirror: bool) -> NDArray[np.float64]:
    """Similarity (2, 3) about the middle of the crop, as errors of the five points make it."""
    angle, scale = np.radians(rng.normal(0, 2.5)), float(np.exp(rng.normal(0, 0.04)))
    shift = rng.normal(0, 3.0, 2)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos, -sin], [sin, cos]])
    if can_mirror and rng.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    middle = np.full(2, (CROP_PX - 1) / 2)
    return np.hstack([linear, (middle - linear @ middle + shift)[:, None]])


def colour_tables(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Tables (256, 3): gamma, contrast, brightness and a tint for each channel."""
    x = np.linspace(0, 1, 256)[:, None]
    gamma = np.exp(rng.normal(0, 0.18))
    gain = np.exp(rng.normal(0, 0.12)) * np.exp(rng.normal(0, 0.06, 3))
    curve = np.clip(x**gamma * gain + rng.normal(0, 0.03), 0, 1)
    return np.rint(curve * 255).astype(np.uint8)


def alter_colours(image: Image, tables: Image) -> Image:
    """Each channel of an RGB image through its table."""
    return cv2.LUT(image, tables[None]).astype(np.uint8)


def to_grey(image: Image) -> Image:
    """RGB image with three equal channels."""
    return cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)


def jpeg(image: Image, quality: int) -> Image:
    """The image with the blocks of JPEG; it is coded as if BGR."""
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), np.uint8)


def spoil(image: Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur, low resolution, noise and JPEG artefacts, each now and then."""
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.6)).astype(np.uint8)
    if rng.random() < 0.15:
        size = image.shape[0]
        small = int(rng.integers(72, 200)) * size // CROP_PX
        tiny = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(tiny, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 9), image.shape).astype(np.float32)
        image = np.clip(image + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.2:
        image = jpeg(image, int(rng.integers(25, 90)))
    return image


def soften(regions: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Region masks as uncertain as a segmenter's: grown or shrunk a little and blurred."""
    size = int(rng.integers(0, 3)) * 2 + 1
    if size > 1:
        operation = cv2.MORPH_DILATE if rng.random() < 0.7 else cv2.MORPH_ERODE
        regions = cv2.morphologyEx(regions, operation, np.ones((size, size))).astype(np.uint8)
    return cv2.GaussianBlur(regions, (0, 0), rng.uniform(0.4, 2.0)).astype(np.uint8)
