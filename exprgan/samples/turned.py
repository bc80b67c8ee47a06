"""Pictures of strongly turned heads, made from frontal ones by turning their landmarks in depth.

The idea of "face profiling" (Zhu et al. 2016, https://arxiv.org/abs/1511.07212, section 4): the picture is
carried along by a mesh of the landmarks, of rings of the head around them and of the fixed picture's edge.
The hidden cheek and ear are not invented; near the profile the picture is only roughly right.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from exprgan.face_model.raster import interpolate, rasterise
from exprgan.faces.mesh import FACE_OVAL
from exprgan.samples.picture import Picture

NUM_MESH = 468
RINGS = ((1.18, 0.45, 1.0), (1.42, 0.75, 0.7), (1.75, 0.8, 0.25))
"""Radius in shares of the oval's, depth behind the oval in shares of the face's height, share of the turn."""


class HeadTurner:
    """Turns heads in pictures.

    Args:
        mean_shape: (478, 3) mean of aligned frontal landmarks; its x and y give the triangles.
    """

    def __init__(self, mean_shape: NDArray[np.floating]) -> None:
        flat = self._extended(np.asarray(mean_shape[:NUM_MESH], np.float64), 320, 320)
        self._triangles = Delaunay(flat[:, :2]).simplices.astype(np.int64)

    def turn(
        self,
        image: NDArray[np.uint8],
        landmarks: NDArray[np.floating],
        pitch_yaw: tuple[float, float],
        by: float,
        blendshapes: NDArray[np.float32] | None = None,
    ) -> Picture:
        """The picture with the head turned by `by` degrees, positive to the subject's left.

        Args:
            image: uint8 RGB (H, W, 3).
            landmarks: (478, 3) x, y and depth (growing away from the camera) in pixels.
            pitch_yaw: Turn of the head in the given picture, degrees.
            by: Degrees to add to the yaw.
            blendshapes: The face's expression, which a turn does not change.
        """
        height, width = image.shape[:2]
        points = np.asarray(landmarks, np.float64)
        source = self._extended(points[:NUM_MESH], height, width)
        shares = np.ones(len(source))
        count = len(FACE_OVAL)
        for ring, (_, _, share) in enumerate(RINGS):
            shares[NUM_MESH + ring * count : NUM_MESH + (ring + 1) * count] = share
        shares[NUM_MESH + len(RINGS) * count :] = 0
        pivot = self._pivot(points)
        turned = source + shares[:, None] * (_turned(source, pivot, by) - source)
        map_xy = _inverse_map(source, turned, self._triangles, height, width)
        moved = cv2.remap(image, map_xy, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        landmarks = _turned(points, pivot, by).astype(np.float32)
        pitch_yaw = (pitch_yaw[0], pitch_yaw[1] + by)
        return Picture(np.asarray(moved, np.uint8), landmarks[:, :2], pitch_yaw, landmarks[:, 2], blendshapes)

    @staticmethod
    def _pivot(points: NDArray[np.float64]) -> NDArray[np.float64]:
        """A point on the axis of the neck: half a face's height behind the oval."""
        oval = points[list(FACE_OVAL)]
        return oval.mean(0) + (0, 0, 0.25 * np.ptp(oval[:, 1]))

    @staticmethod
    def _extended(mesh: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
        """The mesh's points, those of the rings around it and those of the picture's edge, (n, 3)."""
        oval = mesh[list(FACE_OVAL)]
        middle, tall = oval.mean(0), float(np.ptp(oval[:, 1]))
        rings = []
        for radius, depth, _ in RINGS:
            ring = middle + radius * (oval - middle)
            # the skull curves back more slowly above the forehead than beside the ears
            up = np.clip((middle[1] - oval[:, 1]) / (0.5 * tall), 0, 1)
            ring[:, 2] = middle[2] + depth * tall * (1 - 0.75 * up)
            rings.append(ring)
        xs, ys = np.linspace(0, width - 1, 6), np.linspace(0, height - 1, 6)
        edge = [(x, y) for x in xs for y in (0, height - 1)] + [
            (x, y) for y in ys[1:-1] for x in (0, width - 1)
        ]
        far = np.column_stack([np.array(edge), np.full(len(edge), middle[2] + 3 * tall)])
        return np.concatenate([mesh, *rings, far])


def _turned(points: NDArray[np.float64], pivot: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Points (n, 3) turned about the picture's vertical through `pivot`; positive moves the nose right."""
    angle = np.radians(degrees)
    x, z = points[:, 0] - pivot[0], points[:, 2] - pivot[2]
    turned = points.copy()
    turned[:, 0] = pivot[0] + np.cos(angle) * x - np.sin(angle) * z
    turned[:, 2] = pivot[2] + np.sin(angle) * x + np.cos(angle) * z
    return turned


def _inverse_map(
    source: NDArray[np.float64],
    turned: NDArray[np.float64],
    triangles: NDArray[np.int64],
    height: int,
    width: int,
) -> NDArray[np.float32]:
    """Where each pixel of the turned picture comes from, (H, W, 2): triangles painted from far to near."""
    triangles = triangles[np.argsort(-turned[triangles, 2].mean(1))]
    triangle_map, weights = rasterise(height, width, turned, triangles)
    covered, samples = interpolate(triangle_map, weights, triangles, source[:, :2])
    map_xy = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float32)
    map_xy[covered] = samples
    return map_xy


def turned_pictures(
    pictures: list[Picture],
    count: int,
    *,
    smallest: float = 15.0,
    largest_yaw: float = 78.0,
    seed: int = 0,
) -> list[Picture]:
    """`count` turned versions of the pictures, yaws spread evenly up to the largest.

    Args:
        pictures: Frontal pictures, with depth.
        count: How many to make.
        smallest: Least turn that is added, degrees.
        largest_yaw: Largest yaw of the result, degrees.
        seed: Seed of the choice.
    """
    full = [np.column_stack([p.landmarks_xy, p.depth_px]) for p in pictures if p.depth_px is not None]
    frontal = [points for p, points in zip(pictures, full, strict=True) if abs(p.turn[1]) < 5]
    turner = HeadTurner(np.mean(frontal, axis=0))
    rng = np.random.default_rng((seed, 77))
    made: list[Picture] = []
    while len(made) < count:
        number = int(rng.integers(len(pictures)))
        picture, yaw = pictures[number], float(rng.uniform(-largest_yaw, largest_yaw))
        by = yaw - picture.turn[1]
        # a head is turned further away from the camera, not back through it: that side was not seen
        if abs(by) < smallest or yaw * picture.turn[1] < -100:
            continue
        made.append(turner.turn(picture.image, full[number], picture.turn, by, picture.blendshapes))
    return made
