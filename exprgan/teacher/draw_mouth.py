"""Draws the inside of a mouth, this project's own picture of teeth, gums and tongue.

    python -m exprgan.teacher.draw_mouth exprgan/models/mouth_interior.png

The picture is the chart that `exprgan.models.mouth_interior` describes. Nothing in it comes from a photograph: teeth
are drawn from the mean sizes of crowns in anatomy books, with the light falling from the front and above.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.models.mouth_interior import CHART_CM, LOWER_EDGE_CM, PX_PER_CM, UPPER_EDGE_CM

SUPERSAMPLE = 3
TOOTH = np.array([226, 214, 196], np.float32)
TOOTH_EDGE = np.array([212, 208, 203], np.float32)
TOOTH_NECK = np.array([208, 184, 150], np.float32)
GUM = np.array([186, 104, 100], np.float32)
CONTACT = np.array([128, 96, 82], np.float32)
CAVITY = np.array([44, 17, 16], np.float32)
TONGUE = np.array([172, 88, 84], np.float32)


@dataclass(frozen=True)
class Tooth:
    """One crown: centre and width along the arch, height of the crown, how far its edge stands back; cm."""

    centre: float
    width: float
    height: float
    set_back: float
    point: float  # how much the edge is a cusp, 0 to 1
    roundness: float  # exponent of the outline: larger is more rectangular
    whiteness: float  # factor on the colour


def row_of_teeth(crowns: list[tuple[float, float, float, float, float, float]]) -> list[Tooth]:
    """Both halves of an arch from (width, height, set-back, point, roundness, whiteness) of one half."""
    teeth: list[Tooth] = []
    start = 0.0
    for width, height, set_back, point, roundness, whiteness in crowns:
        centre = start + width / 2
        start += width
        for side in (-1, 1):
            teeth.append(Tooth(side * centre, width, height, set_back, point, roundness, whiteness))
    return teeth


UPPER = row_of_teeth(
    [
        (0.85, 1.06, 0.00, 0.00, 4.5, 1.00),
        (0.66, 0.92, 0.08, 0.05, 3.6, 0.98),
        (0.76, 1.02, 0.02, 0.45, 3.2, 0.95),
        (0.70, 0.88, 0.07, 0.40, 3.0, 0.93),
        (0.68, 0.80, 0.11, 0.35, 3.0, 0.91),
        (1.00, 0.74, 0.14, 0.25, 3.4, 0.89),
    ]
)
LOWER = row_of_teeth(
    [
        (0.53, 0.90, 0.00, 0.00, 4.2, 0.97),
        (0.58, 0.92, 0.01, 0.03, 3.8, 0.97),
        (0.69, 1.02, -0.03, 0.40, 3.2, 0.94),
        (0.70, 0.86, 0.06, 0.40, 3.0, 0.92),
        (0.71, 0.80, 0.10, 0.30, 3.0, 0.90),
        (1.10, 0.74, 0.13, 0.25, 3.4, 0.88),
    ]
)


def draw() -> NDArray[np.uint8]:
    """The chart, uint8 RGB (rows of `CHART_CM[1]`, columns of `CHART_CM[0]`, at `PX_PER_CM`)."""
    scale = PX_PER_CM * SUPERSAMPLE
    width, height = (round(length * scale) for length in CHART_CM)
    along = (np.arange(width, dtype=np.float32) + 0.5) / scale - CHART_CM[0] / 2
    down = (np.arange(height, dtype=np.float32) + 0.5) / scale
    u, v = (grid.astype(np.float32) for grid in np.meshgrid(along, down))
    picture = _cavity(u, v)
    _draw_arch(picture, u, UPPER_EDGE_CM - v, UPPER)
    _draw_arch(picture, u, v - LOWER_EDGE_CM, LOWER)
    picture *= (1 - 0.10 * _smooth(v, LOWER_EDGE_CM - 0.1, LOWER_EDGE_CM + 0.1))[..., None]
    # less light comes to the side teeth, which stand behind the corners of the mouth
    picture *= (1 - 0.62 * _smooth(np.abs(u), 1.5, 4.1))[..., None]
    size = (width // SUPERSAMPLE, height // SUPERSAMPLE)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _smooth(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    t = np.clip((values - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _noise(shape: tuple[int, int], sigma_px: float, seed: int) -> NDArray[np.float32]:
    """Smooth noise of deviation 1."""
    field = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), sigma_px)
    return (field / field.std()).astype(np.float32)


def _cavity(u: NDArray[np.float32], v: NDArray[np.float32]) -> NDArray[np.float32]:
    """Dark throat, and the tongue's back rising from behind the lower teeth."""
    depth = (v - UPPER_EDGE_CM) / (LOWER_EDGE_CM - UPPER_EDGE_CM)  # 0 at the upper teeth, 1 at the lower ones
    picture = CAVITY * (1 + 0.35 * _smooth(depth, 0.1, 0.6))[..., None]
    top = 0.46 + 0.10 * (np.abs(u) / 1.6) ** 3 + 0.03 * np.exp(-((u / 0.22) ** 2))
    cover = _smooth(depth - top, -0.03, 0.06)
    rise = np.clip((depth - top) / 0.5, 0, 1)
    light = 0.34 + 0.62 * np.sqrt(rise) * (1 - 0.30 * _smooth(depth, 0.80, 1.0))
    light = (
        light
        * (1 - 0.20 * np.exp(-((u / 0.10) ** 2)) * (1 - rise))
        * (1 - 0.35 * np.clip(np.abs(u) / 2.2, 0, 1) ** 2)
    )
    light = light * (1 + 0.035 * _noise(u.shape, 3.0, 1) + 0.03 * _noise(u.shape, 9.0, 2))
    gloss = 16 * np.exp(-(((depth - 0.78) / 0.07) ** 2) - ((np.abs(u) - 0.62) / 0.35) ** 2)
    tongue = TONGUE * light[..., None] + gloss[..., None]
    return (picture + cover[..., None] * (tongue - picture)).astype(np.float32)


def _draw_arch(
    picture: NDArray[np.float32], u: NDArray[np.float32], up: NDArray[np.float32], teeth: list[Tooth]
) -> None:
    """Gums and teeth of one arch in place; `up` is the height above the incisal edge in cm."""
    _draw_gums(picture, u, up, teeth)
    # neighbours touch from here up: no throat is seen between them
    between = _smooth(up, 0.30, 0.42) * (1 - _smooth(up, 0.70, 0.78))
    picture += between[..., None] * (CONTACT - picture)
    for tooth in sorted(teeth, key=lambda one: -abs(one.centre)):
        _draw_tooth(picture, u, up, tooth)


def _draw_gums(
    picture: NDArray[np.float32], u: NDArray[np.float32], up: NDArray[np.float32], teeth: list[Tooth]
) -> None:
    margin = np.full(u.shape[1], 0.9, np.float32)
    for tooth in teeth:
        a = (u[0] - tooth.centre) / (tooth.width / 2)
        inside = np.abs(a) <= 1
        # papillae reach down between the crowns
        margin[inside] = (tooth.set_back + tooth.height - 0.10 - 0.34 * np.abs(a) ** 2.4)[inside]
    margin = cv2.GaussianBlur(margin[None], (0, 0), 2.0)[0]
    above = up - margin[None]
    cover = _smooth(above, -0.02, 0.02) * (up > 0)
    light = 0.80 + 0.26 * np.exp(-(((above - 0.10) / 0.09) ** 2)) - 0.34 * _smooth(above, 0.15, 0.9)
    light = light * (1 + 0.025 * _noise(u.shape, 2.2, 3))
    colour = GUM * light[..., None]
    picture += cover[..., None] * (colour - picture)


def _draw_tooth(
    picture: NDArray[np.float32], u: NDArray[np.float32], up: NDArray[np.float32], tooth: Tooth
) -> None:
    reach = tooth.width / 2 + 0.05
    columns = np.flatnonzero(np.abs(u[0] - tooth.centre) < reach)
    rows = np.flatnonzero(
        (up[:, 0] > tooth.set_back - 0.1) & (up[:, 0] < tooth.set_back + tooth.height + 0.1)
    )
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    a = (u[box] - tooth.centre) / (tooth.width / 2)
    b = (up[box] - tooth.set_back) / tooth.height  # 0 at the edge, 1 at the neck
    a_out = a * np.sign(tooth.centre)  # positive away from the midline
    half = 1.0 - 0.20 * _smooth(b, 0.35, 1.15) - 0.05 * _smooth(0.25 - b, 0.0, 0.25) * (a_out > 0)
    edge = 0.20 * tooth.point * np.abs(a - 0.08 * np.sign(tooth.centre)) ** 1.3
    edge = edge + 0.05 * np.clip(a_out, 0, 1) ** 3  # the outer corner is rounder
    middle = (1 + edge) / 2
    across = np.abs(a / half)
    along = np.abs((b - middle) / ((1 - edge) / 2))
    outline = across**tooth.roundness + along ** (tooth.roundness + 1.5)
    thickness = 0.045 / min(tooth.width, tooth.height)
    cover = 1 - _smooth(outline ** (1 / tooth.roundness), 1 - thickness * 1.2, 1 + thickness * 0.4)

    colour = TOOTH + (TOOTH_NECK - TOOTH) * (0.75 * _smooth(b, 0.55, 1.05))[..., None]
    translucent = 0.55 * _smooth(0.22 - b + 0.02, 0.0, 0.2) * (0.5 if tooth.point > 0.1 else 1.0)
    colour = colour + (TOOTH_EDGE - colour) * translucent[..., None]
    # curvature: light falls off towards the sides, more on the side away from the midline
    light = 1.0 - 0.30 * across**3.5 - 0.05 * np.clip(a_out, 0, 1)
    light = light - 0.10 * _smooth(b, 0.75, 1.1) - 0.05 * _smooth(0.12 - b, 0, 0.12)
    lobes = np.cos(a * np.pi * 1.5) * 0.012 * (1 - _smooth(b, 0.3, 0.8))
    light = (light + lobes) * tooth.whiteness
    gloss = 20 * np.exp(-(((a + 0.18) / 0.20) ** 2) - ((b - 0.52) / 0.20) ** 2)
    gloss = gloss + 8 * np.exp(-(((a - 0.35) / 0.12) ** 2) - ((b - 0.45) / 0.22) ** 2)
    shade = light * (1 + 0.008 * _noise(a.shape, 4.0, round(tooth.centre * 100) % 97))
    finished = colour * shade[..., None] + gloss[..., None]
    picture[box] += cover[..., None] * (finished - picture[box])


def main() -> None:
    """Write the chart."""
    parser = argparse.ArgumentParser(description="draw the chart of the inside of a mouth")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    encoded = cv2.imencode(".png", cv2.cvtColor(draw(), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])
    arguments.output.write_bytes(encoded[1].tobytes())


if __name__ == "__main__":
    main()
