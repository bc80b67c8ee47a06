"""Pictures with dense landmarks, and the endless stream of altered crops that the landmark network learns from.

Sample number n of a seed is a pure function of (seed, n) and of the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.faces.align import square_matrix, transform_points
from exprgan.faces.mesh import BLENDSHAPE_MIRROR, BLENDSHAPES, MIRROR, face_square
from exprgan.samples.augment import jpeg
from exprgan.samples.picture import Picture
from exprgan.samples.posed import BLIND, read_posed
from exprgan.samples.turned import turned_pictures

BORDERS = (cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT, cv2.BORDER_CONSTANT)


@dataclass(frozen=True)
class JitterConfig:
    """How far training crops stray from the face's own square, and how often pictures are spoilt."""

    shift: float = 0.18  # of the square's side, each way
    scale: float = 1.25  # largest factor and divisor
    roll_degrees: float = 45.0  # each way
    narrow_share: float = 0.45  # crops with a quarter of this jitter, as the second look at a face has
    negative_share: float = 0.25  # crops without a face
    cut_share: float = 0.12  # faces cut by the picture's edge
    occluder_share: float = 0.2  # faces with something in front


def read_open_faces(folder: Path, split: str) -> list[Picture]:
    """The pictures of open-faces, split train or val."""
    data = OpenFaces(folder)
    pictures = []
    for index in data.indices(split):
        row, image = data.rows[index], data.photo(index)
        points = data.landmarks_px(index, image.shape[0]).astype(np.float32)
        turn = (float(row["pitch_deg"]), float(row["yaw_deg"]))
        scores = data.scores(index)
        blendshapes = np.array(
            [np.nan if name.startswith(BLIND) else scores[name] for name in BLENDSHAPES], np.float32
        )
        pictures.append(Picture(image, points[:, :2], turn, points[:, 2], blendshapes))
    return pictures


def read_synthetic_faces(folder: Path, labels: Path, split: str) -> list[Picture]:
    """The renders of synthetic-faces, split train or test, with landmarks made by `exprgan.data.mediapipe_faces`."""
    data = SyntheticFaces(folder)
    made = np.load(labels)
    points = {
        str(name): xy
        for name, xy, found in zip(made["names"], made["landmarks_xy"], made["found"], strict=True)
        if found
    }
    # set.csv counts yaw towards the picture's left, we towards its right
    return [
        Picture(data.image(index), points[name], (float(row["pitch"]), -float(row["yaw"])))
        for index, row in ((index, data.rows[index]) for index in data.indices(split))
        if (name := Path(row["image"]).name) in points
    ]


def read_pictures(
    data: Path, split: str, synthetic_labels: Path | None, *, num_turned: int = 800
) -> list[Picture]:
    """open-faces, turned versions of it and, where they have been made, posed ones and landmarks of synthetic-faces.

    Args:
        data: Folder that contains open-faces/, synthetic-faces/ and, for split train, posed/ (`exprgan.samples.posed`).
        split: train or val; synthetic-faces' split test stands in for val.
        synthetic_labels: File that `exprgan.data.mediapipe_faces` wrote for synthetic-faces/img; None leaves them out.
        num_turned: Pictures of heads turned up to the profile that are made of split train.

    Raises:
        UsageError: A folder is not there.
    """
    pictures = read_open_faces(data / "open-faces", split)
    if num_turned and split == "train":
        pictures += turned_pictures(pictures, num_turned)
    if split == "train" and (data / "posed" / "labels.npz").exists():
        pictures += read_posed(data / "posed", OpenFaces(data / "open-faces"))
    if synthetic_labels is not None:
        pictures += read_synthetic_faces(
            data / "synthetic-faces", synthetic_labels, "test" if split == "val" else split
        )
    return pictures


def jittered_square(
    landmarks_xy: NDArray[np.floating],
    rng: np.random.Generator,
    shift: float,
    scale: float,
    roll_degrees: float,
) -> NDArray[np.float64]:
    """The face's square moved, scaled and turned at random, uniformly within the given limits.

    Args:
        landmarks_xy: (478, 2) pixels.
        rng: Source of chance.
        shift: Largest shift in shares of the side, in x and in y.
        scale: Largest factor; as often smaller as larger.
        roll_degrees: Largest roll *of the face in the crop*, each way.
    """
    x, y, side, roll = face_square(landmarks_xy)
    dx, dy = rng.uniform(-shift, shift, 2) * side
    factor = scale ** rng.uniform(-1, 1)
    return np.array([x + dx, y + dy, side * factor, roll + rng.uniform(-roll_degrees, roll_degrees)])


def sample_crop(
    pictures: Sequence[Picture], rng: np.random.Generator, crop_px: int, config: JitterConfig
) -> dict[str, Any]:
    """One training crop.

    Returns:
        crop (3, crop_px, crop_px) float32 RGB in [-1, 1]; points (478, 2) float32 in [-1, 1] of the crop;
        turn (2,) float32 pitch and yaw in units of 30 degrees; is_face float32 1 or 0; face_share float32,
        side of the face's square in shares of the crop; depth (478,) float32 in the unit of points, about its mean, and
        blendshapes (51,) float32, both NaN where unknown.
    """
    picture = pictures[int(rng.integers(len(pictures)))]
    if rng.random() < config.negative_share:
        crop = _negative(picture, pictures, rng, crop_px)
        points, turn, share, is_face = np.zeros((MIRROR.size, 2)), (0.0, 0.0), 1.0, 0.0
        depth, blendshapes = np.full(MIRROR.size, np.nan), np.full(len(BLENDSHAPES), np.nan)
    else:
        narrow = 0.25 if rng.random() < config.narrow_share else 1.0
        square = jittered_square(
            picture.landmarks_xy,
            rng,
            config.shift * narrow,
            config.scale**narrow,
            config.roll_degrees * narrow,
        )
        matrix = square_matrix(square, crop_px)
        image, matrix = _cut_by_edge(picture, matrix, rng, config.cut_share)
        crop = _warp(image, matrix, crop_px, rng)
        # matrix now starts from the cut picture; the points stay in the whole one
        points = (
            2 * transform_points(picture.landmarks_xy, square_matrix(square, crop_px)) + 1
        ) / crop_px - 1
        turn, share, is_face = picture.turn, face_square(picture.landmarks_xy)[2] / square[2], 1.0
        depth, blendshapes = _depth_and_blendshapes(picture, 2 / square[2])
        if rng.random() < config.occluder_share:
            _occlude(crop, pictures, rng)
    crop = spoil(crop, rng)
    if rng.random() < 0.5:
        crop = crop[:, ::-1]
        points = points[MIRROR] * (-1, 1)
        turn = (turn[0], -turn[1])
        depth, blendshapes = depth[MIRROR], blendshapes[BLENDSHAPE_MIRROR]
    return {
        "crop": np.ascontiguousarray(crop.transpose(2, 0, 1), dtype=np.float32) / 127.5 - 1,
        "points": points.astype(np.float32),
        "turn": np.array(turn, np.float32) / 30,
        "is_face": np.float32(is_face),
        "face_share": np.float32(share),
        "depth": depth.astype(np.float32),
        "blendshapes": blendshapes.astype(np.float32),
    }


def _depth_and_blendshapes(picture: Picture, scale: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Depth (478,), in pixels times `scale` about its mean, and coefficients (51,); NaN where unknown."""
    depth, blendshapes = np.full(MIRROR.size, np.nan), np.full(len(BLENDSHAPES), np.nan)
    if picture.depth_px is not None:
        depth = scale * (picture.depth_px - picture.depth_px.mean()).astype(np.float64)
    if picture.blendshapes is not None:
        blendshapes = picture.blendshapes.astype(np.float64)
    return depth, blendshapes


def _warp(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A crop by `matrix`, from a picture first halved where it would be shrunk to less than half."""
    border = BORDERS[rng.choice(3, p=(0.5, 0.3, 0.2))]
    if np.hypot(matrix[0, 0], matrix[1, 0]) < 0.6:
        height, width = image.shape[0] // 2, image.shape[1] // 2
        image = cv2.resize(image[: height * 2, : width * 2], (width, height), interpolation=cv2.INTER_AREA)
        matrix = matrix @ np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1]])
    colour = tuple(int(v) for v in rng.integers(0, 256, 3))
    return cv2.warpAffine(
        image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=colour
    )


def _cut_by_edge(
    picture: Picture, matrix: NDArray[np.float64], rng: np.random.Generator, share: float
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Now and then the picture without a margin that holds up to a quarter of the face."""
    image = picture.image
    if rng.random() >= share:
        return image, matrix
    low, high = picture.landmarks_xy.min(0), picture.landmarks_xy.max(0)
    depth = rng.uniform(-0.1, 0.25) * (high - low)
    edge = int(rng.integers(4))
    height, width = image.shape[:2]
    x0 = int(np.clip(low[0] + depth[0], 0, width - 2)) if edge == 0 else 0
    y0 = int(np.clip(low[1] + depth[1], 0, height - 2)) if edge == 1 else 0
    x1 = int(np.clip(high[0] - depth[0], x0 + 1, width)) if edge == 2 else width
    y1 = int(np.clip(high[1] - depth[1], y0 + 1, height)) if edge == 3 else height
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ (x0, y0)
    return image[y0:y1, x0:x1], moved


def _negative(
    picture: Picture, pictures: Sequence[Picture], rng: np.random.Generator, size: int
) -> NDArray[np.uint8]:
    """A crop that shows no face, or one far off the middle or of quite the wrong size."""
    kind = rng.random()
    if kind < 0.1:
        return texture(rng, size)
    x, y, side, roll = face_square(picture.landmarks_xy)
    if kind < 0.2:
        # the pieces of a face in the wrong order
        whole = cv2.warpAffine(
            picture.image,
            square_matrix(np.array([x, y, side * rng.uniform(0.6, 1.2), roll]), size),
            (size, size),
        )
        grid = int(rng.integers(2, 5))
        step = size // grid
        cells = [(r * step, c * step) for r in range(grid) for c in range(grid)]
        crop = np.empty_like(whole[: step * grid, : step * grid])
        for (r, c), k in zip(cells, rng.permutation(len(cells)), strict=True):
            r2, c2 = cells[k]
            crop[r : r + step, c : c + step] = whole[r2 : r2 + step, c2 : c2 + step]
        return cv2.resize(crop, (size, size))
    if kind < 0.65:
        # beside the face
        angle = rng.uniform(0, 2 * np.pi)
        away = rng.uniform(0.55, 1.0) * side
        near = np.array([x, y]) + away * np.array([np.cos(angle), np.sin(angle)])
        scale = np.exp(rng.uniform(np.log(0.08), 0))
    elif kind < 0.9:
        # a part of the face, much too close
        near = np.array([x, y]) + rng.uniform(-0.35, 0.35, 2) * side
        scale = rng.uniform(0.12, 0.42)
    else:
        # much too wide
        near = np.array([x, y]) + rng.uniform(-0.5, 0.5, 2) * side
        scale = rng.uniform(2.3, 4.0)
    square = np.array([near[0], near[1], side * scale, rng.uniform(-180, 180)])
    return _warp(picture.image, square_matrix(square, size), size, rng)


def texture(rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """Noise of a random coarseness over a random gradient, now and then with stripes."""
    cells = int(2 ** rng.uniform(1, 6))
    noise = cv2.resize(
        rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )
    ramp = np.linspace(-1, 1, size, dtype=np.float32)
    slope = rng.uniform(-1, 1, (2, 3)).astype(np.float32)
    picture = noise * rng.uniform(0.1, 0.8) + ramp[:, None, None] * slope[0] + ramp[None, :, None] * slope[1]
    if rng.random() < 0.4:
        wave = np.sin(np.add.outer(ramp * rng.uniform(-40, 40), ramp * rng.uniform(-40, 40)))
        picture = picture + (np.sign(wave) if rng.random() < 0.5 else wave)[..., None] * rng.uniform(0.1, 0.5)
    return np.clip(picture * rng.uniform(20, 120) + rng.uniform(30, 220, 3), 0, 255).astype(np.uint8)


def _occlude(crop: NDArray[np.uint8], pictures: Sequence[Picture], rng: np.random.Generator) -> None:
    """Lay an ellipse or bar of one colour or of another picture over the crop."""
    size = crop.shape[0]
    mask = np.zeros((size, size), np.uint8)
    centre = tuple(int(v) for v in rng.uniform(0, size, 2))
    axes = tuple(int(v) for v in rng.uniform(0.06, 0.24, 2) * size)
    if rng.random() < 0.5:
        cv2.ellipse(mask, centre, axes, rng.uniform(0, 180), 0, 360, 1, -1)
    else:
        box = cv2.boxPoints((centre, (axes[0] * 2, axes[1] * 2), rng.uniform(0, 180)))
        cv2.fillPoly(mask, [box.astype(np.int32)], 1)
    if rng.random() < 0.5:
        crop[mask > 0] = rng.integers(0, 256, 3)
    else:
        other = pictures[int(rng.integers(len(pictures)))].image
        y, x = (int(rng.integers(0, max(1, n - size))) for n in other.shape[:2])
        patch = other[y : y + size, x : x + size]
        patch = patch if patch.shape[:2] == (size, size) else cv2.resize(patch, (size, size))
        crop[mask > 0] = patch[mask > 0]


def spoil(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The crop with altered light and colour, blur, a smaller size, noise and JPEG blocks, each now and then.

    A few are as dark as rooms at night, blurred by motion, or have the flat colours of paintings.
    """
    size = crop.shape[0]
    image = (_painted(crop, rng) if rng.random() < 0.06 else crop).astype(np.float32)
    if rng.random() < 0.8:
        gain = rng.uniform(0.65, 1.4) * rng.uniform(0.85, 1.15, 3)
        image = np.clip(image * gain.astype(np.float32) + np.float32(rng.uniform(-25, 25)), 0, 255)
        image = 255 * (image / 255) ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    if rng.random() < 0.08:
        image = image * np.float32(rng.uniform(0.12, 0.5))
    if rng.random() < 0.15:
        image = np.repeat(image @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, axis=2)
    if rng.random() < 0.25:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.08:
        image = _moved_while_exposed(image, rng)
    if rng.random() < 0.25:
        small = int(rng.integers(28, 90))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
        image = cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.4:
        cells = size if rng.random() < 0.6 else size // 2
        noise = rng.standard_normal((cells, cells, 3), np.float32)
        noise = noise if cells == size else cv2.resize(noise, (size, size))
        image = image + noise * np.float32(rng.uniform(2, 14))
    spoilt = np.clip(image + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        spoilt = jpeg(spoilt, int(rng.integers(20, 90)))
    return spoilt


def _painted(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Flat patches of few colours, as in paintings and drawings."""
    flat = cv2.medianBlur(np.ascontiguousarray(crop), int(rng.choice((3, 5, 7))))
    step = float(rng.uniform(8, 40))
    painted = (np.floor(flat / step) + 0.5) * step
    mixed = painted if rng.random() < 0.5 else (painted + flat) / 2
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _moved_while_exposed(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Blurred along a line."""
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1 / length
    turn = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), float(rng.uniform(0, 180)), 1.0)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(image, -1, kernel / max(float(kernel.sum()), 1e-6))
