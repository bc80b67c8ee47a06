"""Scenes put together from cut-out faces and made backgrounds, with the truth known, to measure detection.

Scene n of a seed is a pure function of (seed, n) and the cut-outs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_parts import FACE_CLASSES, class_ids
from exprgan.faces.align import transform_points


@dataclass(frozen=True)
class Cutout:
    """A face that can be pasted.

    Attributes:
        image: uint8 RGB (H, W, 3).
        alpha: float32 (H, W), 1 on the head, feathered to 0.
        box_xyxy: (4,) box of the bare face.
        eyes_xy: (2, 2) centres of the subject's right and left eye.
    """

    image: NDArray[np.uint8]
    alpha: NDArray[np.float32]
    box_xyxy: NDArray[np.float64]
    eyes_xy: NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """A made picture and the faces in it.

    Attributes:
        image: uint8 RGB (H, W, 3).
        centres_xy: (N, 2) centres of the faces' boxes, in pixels.
        sizes_px: (N,) heights of the faces' boxes before they were turned.
        eyes_xy: (N, 2, 2) centres of the subjects' right and left eyes.
    """

    image: NDArray[np.uint8]
    centres_xy: NDArray[np.float64]
    sizes_px: NDArray[np.float64]
    eyes_xy: NDArray[np.float64]


@dataclass(frozen=True)
class SceneConfig:
    """What scenes are like."""

    smallest_side_px: int = 480  # of a scene
    largest_side_px: int = 1400  # of a scene
    smallest_face_px: float = 40.0  # height of a bare face
    largest_face_px: float = 600.0  # height of a bare face
    most_faces: int = 5  # in one scene
    empty_share: float = 0.1  # scenes without a face
    roll_degrees: float = 30.0  # largest turn in the picture, each way
    border_share: float = 0.2  # faces that are cut by up to a seventh by the scene's edge


def cutout_from_masks(image: NDArray[np.uint8], classes: NDArray[np.uint8]) -> Cutout:
    """Cut the head out of a render by its class mask (H, W), CelebAMask-HQ's order."""
    rows, columns = np.nonzero(np.isin(classes, class_ids(FACE_CLASSES)))
    # hands' breadths of skin at the neck do not occur; the neck has a class of its own
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()], np.float64)
    head = ~np.isin(classes, class_ids(("background", "cloth")))
    eyes = [np.argwhere(classes == value).mean(0)[::-1] for value in class_ids(("r_eye", "l_eye"))]
    return Cutout(image, _feather(head.astype(np.float32)), box, np.array(eyes))


def cutout_from_landmarks(image: NDArray[np.uint8], landmarks_xy: NDArray[np.floating]) -> Cutout:
    """Cut an oval around the head out of a picture by its landmarks (478, 2)."""
    height, width = image.shape[:2]
    low, high = landmarks_xy.min(0), landmarks_xy.max(0)
    middle, half = (low + high) / 2, (high - low) / 2
    oval = np.zeros((height, width), np.float32)
    centre = (int(middle[0]), int(middle[1] - 0.15 * half[1]))
    cv2.ellipse(oval, centre, (int(1.35 * half[0]), int(1.45 * half[1])), 0, 0, 360, 1.0, -1)
    eyes = landmarks_xy[[468, 473]].astype(np.float64)
    box = np.concatenate([low, high]).astype(np.float64)
    return Cutout(image, _feather(oval), box, eyes)


def _feather(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    """A soft mask that also falls to 0 at the picture's edge."""
    radius = max(1.0, len(mask) / 100)
    mask = mask.copy()
    edge = int(3 * radius)
    mask[:edge], mask[-edge:], mask[:, :edge], mask[:, -edge:] = 0, 0, 0, 0
    return cv2.GaussianBlur(mask, (0, 0), radius)


def make_scene(
    cutouts: Sequence[Cutout],
    seed: int,
    number: int,
    *,
    backgrounds: Sequence[NDArray[np.uint8]] = (),
    config: SceneConfig | None = None,
) -> Scene:
    """Scene `number` of a seed.

    Args:
        cutouts: Faces to choose from.
        seed: Seed of the series.
        number: Number in the series.
        backgrounds: uint8 RGB pictures without faces; without them, and in half the scenes, the
            background is made of gradients, noise and shapes.
        config: What scenes are like.
    """
    config = config or SceneConfig()
    rng = np.random.default_rng((seed, number))
    width, height = (int(v) for v in rng.integers(config.smallest_side_px, config.largest_side_px + 1, 2))
    if len(backgrounds) and rng.random() < 0.5:
        image = cv2.resize(backgrounds[int(rng.integers(len(backgrounds)))], (width, height)).astype(
            np.float32
        )
    else:
        image = _made_background(rng, width, height)
    num_faces = 0 if rng.random() < config.empty_share else int(rng.integers(1, config.most_faces + 1))
    placed: list[tuple[NDArray[np.float64], float, NDArray[np.float64]]] = []
    for _ in range(num_faces):
        for _ in range(20):  # tries to find a free place
            cutout = cutouts[int(rng.integers(len(cutouts)))]
            place = _place(cutout, rng, width, height, config)
            if place and all(np.hypot(*(place[1] - c)) > 0.85 * (place[2] + s) for c, s, _ in placed):
                matrix, centre, size = place
                _paste(image, cutout, matrix)
                placed.append((centre, size, transform_points(cutout.eyes_xy, matrix)))
                break
    finished = np.clip(image + rng.normal(0, rng.uniform(0, 4), image.shape), 0, 255).astype(np.uint8)
    centres, sizes, eyes = zip(*placed, strict=True) if placed else ((), (), ())
    return Scene(
        finished, np.array(centres).reshape(-1, 2), np.array(sizes), np.array(eyes).reshape(-1, 2, 2)
    )


def _place(
    cutout: Cutout, rng: np.random.Generator, width: int, height: int, config: SceneConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """A similarity (2, 3) into the scene, the face's centre and its height there; None if it does not fit."""
    largest = min(config.largest_face_px, 0.85 * min(width, height))
    size = float(np.exp(rng.uniform(np.log(config.smallest_face_px), np.log(largest))))
    x0, y0, x1, y1 = cutout.box_xyxy
    angle = np.radians(rng.uniform(-config.roll_degrees, config.roll_degrees))
    factor = size / (y1 - y0) * np.exp(1j * angle)
    inside = 0.36 if rng.random() < config.border_share else 0.55
    if min(width, height) < 2 * inside * size:
        return None
    x, y = (float(rng.uniform(inside * size, n - inside * size)) for n in (width, height))
    offset = complex(x, y) - factor * complex(x0 + x1, y0 + y1) / 2
    matrix = np.array([[factor.real, -factor.imag, offset.real], [factor.imag, factor.real, offset.imag]])
    return matrix, np.array([x, y]), size


def _paste(image: NDArray[np.float32], cutout: Cutout, matrix: NDArray[np.float64]) -> None:
    """Blend a cut-out into the scene in place."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    source, alpha, to_scene = cutout.image, cutout.alpha, matrix.copy()
    if scale < 0.7:  # shrink by area first, so that small faces are not jagged
        size_wh = tuple(max(1, round(n * scale)) for n in alpha.shape[::-1])
        ratio = np.array([alpha.shape[1] / size_wh[0], alpha.shape[0] / size_wh[1]])
        source = cv2.resize(source, size_wh, interpolation=cv2.INTER_AREA)
        alpha = cv2.resize(alpha, size_wh, interpolation=cv2.INTER_AREA)
        to_scene[:, 2] += matrix[:, :2] @ (ratio / 2 - 0.5)
        to_scene[:, :2] *= ratio
    size_wh = (image.shape[1], image.shape[0])
    weight = cv2.warpAffine(alpha, to_scene, size_wh)[..., None]
    pasted = cv2.warpAffine(source, to_scene, size_wh, flags=cv2.INTER_LINEAR).astype(np.float32)
    image += weight * (pasted - image)


def _made_background(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Gradient, cloudy noise, and now and then stripes, discs, boxes and lines of text."""
    ramp_x, ramp_y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)
    slope = rng.uniform(-60, 60, (2, 3)).astype(np.float32)
    image = rng.uniform(30, 225, 3).astype(np.float32) + np.zeros((height, width, 3), np.float32)
    image += ramp_y[:, None, None] * slope[0] + ramp_x[None, :, None] * slope[1]
    for cells in (4, 16, 64):
        noise = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32) * np.float32(rng.uniform(0, 40))
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        period = rng.uniform(8, 80)
        along = np.add.outer(ramp_y * height, ramp_x * width * rng.uniform(-1, 1)) / period
        image += (np.sign(np.sin(along)) * rng.uniform(5, 40))[..., None].astype(np.float32)
    canvas = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 25))):
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        x, y = int(rng.integers(width)), int(rng.integers(height))
        extent = int(np.exp(rng.uniform(np.log(8), np.log(min(width, height) / 2))))
        kind = rng.integers(4)
        if kind == 0:
            cv2.circle(canvas, (x, y), extent // 2, colour, -1 if rng.random() < 0.7 else 3, cv2.LINE_AA)
        elif kind == 1:
            cv2.rectangle(canvas, (x, y), (x + extent, y + int(extent * rng.uniform(0.3, 2))), colour, -1)
        elif kind == 2:
            text = "".join(chr(int(c)) for c in rng.integers(65, 91, 8))
            cv2.putText(canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, extent / 60, colour, 2, cv2.LINE_AA)
        else:
            corners = np.array([x, y]) + rng.integers(-extent, extent + 1, (5, 2))
            cv2.fillPoly(canvas, [corners.astype(np.int32)], colour, cv2.LINE_AA)
    return canvas.astype(np.float32)


def quarter_turned(scene: Scene, quarters: int) -> Scene:
    """A scene turned counterclockwise by quarters, as a photo without its orientation."""
    height, width = scene.image.shape[:2]
    centres, eyes = scene.centres_xy, scene.eyes_xy
    for _ in range(quarters % 4):
        centres, eyes = (
            np.stack([points[..., 1], width - 1 - points[..., 0]], axis=-1) for points in (centres, eyes)
        )
        height, width = width, height
    image = np.ascontiguousarray(np.rot90(scene.image, quarters))
    return Scene(image, centres, scene.sizes_px, eyes)


def match_faces(
    truth_centres_xy: NDArray[np.floating],
    truth_sizes_px: NDArray[np.floating],
    found_centres_xy: NDArray[np.floating],
    found_sizes_px: NDArray[np.floating],
) -> list[tuple[int, int]]:
    """Pairs (true, found): each face at most once, the nearest first.

    A found face fits a true one when its centre is within 0.3 of the true size and its size is between
    0.6 and 1.7 of it.

    >>> match_faces([[10, 10]], [8], [[11, 10], [90, 90]], [9, 9])
    [(0, 0)]
    """
    candidates = []
    for t, (centre, size) in enumerate(zip(truth_centres_xy, truth_sizes_px, strict=True)):
        for f, (found, found_size) in enumerate(zip(found_centres_xy, found_sizes_px, strict=True)):
            distance = float(np.hypot(found[0] - centre[0], found[1] - centre[1])) / float(size)
            if distance < 0.3 and 0.6 < found_size / size < 1.7:
                candidates.append((distance, t, f))
    pairs: list[tuple[int, int]] = []
    for _, t, f in sorted(candidates):
        if all(t != t2 and f != f2 for t2, f2 in pairs):
            pairs.append((t, f))
    return pairs
