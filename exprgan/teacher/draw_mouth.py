"""Draws the insides of mouths, this project's own pictures of teeth, gums and tongue.

    python -m exprgan.teacher.draw_mouth exprgan/models/mouth_interiors

The pictures are the charts that `exprgan.models.mouth_interior` describes. Nothing in them comes from a photograph:
teeth are drawn from the mean sizes of crowns in anatomy books, with the light falling from the front and above; what
tells one set from another is how wide, long, rounded, worn, spaced and turned they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.face_parts import DENTITIONS
from exprgan.models.mouth_interior import CHART_CM, LOWER_EDGE_CM, PX_PER_CM, UPPER_EDGE_CM

SUPERSAMPLE = 3
TOOTH = np.array([226, 214, 196], np.float32)
TOOTH_EDGE = np.array([212, 208, 203], np.float32)
TOOTH_NECK = np.array([208, 184, 150], np.float32)
GUM = np.array([186, 104, 100], np.float32)
CONTACT = np.array([150, 122, 100], np.float32)
CAVITY = np.array([44, 17, 16], np.float32)
TONGUE = np.array([172, 88, 84], np.float32)
SQUARER_EDGE, SIDE_STAIN = 0.7, 0.4
"""By how much outlines are squarer at the edge, and how far the colour of canines and of what stands behind them goes
towards that of the necks."""


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
    tilt: float = 0.0  # how far the neck leans towards the midline, cm
    light: float = 1.0  # of teeth that stand behind their neighbours


@dataclass(frozen=True)
class Dentition:
    """What tells one set of teeth from another."""

    upper: tuple[Tooth, ...]
    lower: tuple[Tooth, ...]
    stain: float = 0.0  # how far the colour goes towards that of the necks, 0 to 1
    touch: float = 1.0  # whether neighbours touch, or the throat is seen between them
    gums: float = 0.0  # how much longer crowns look, as gums go back; cm
    seed: int = 0


UPPER = (
    (0.86, 1.22, 0.00, 0.00, 4.5, 1.00),
    (0.63, 1.04, 0.09, 0.05, 3.4, 0.97),
    (0.77, 1.18, 0.01, 0.50, 3.0, 0.93),
    (0.70, 1.02, 0.07, 0.40, 3.0, 0.94),
    (0.68, 0.94, 0.11, 0.35, 3.0, 0.93),
    (1.00, 0.88, 0.14, 0.25, 3.4, 0.92),
)
LOWER = (
    (0.53, 0.90, 0.00, 0.00, 4.2, 0.97),
    (0.58, 0.92, 0.01, 0.03, 3.8, 0.97),
    (0.69, 1.02, -0.03, 0.40, 3.2, 0.94),
    (0.70, 0.86, 0.06, 0.40, 3.0, 0.93),
    (0.71, 0.80, 0.10, 0.30, 3.0, 0.92),
    (1.10, 0.74, 0.13, 0.25, 3.4, 0.90),
)
Crowns = Sequence[Sequence[float]]
SIZES = ("width", "height", "set_back", "point", "roundness", "whiteness")


def row_of_teeth(
    crowns: Crowns,
    *,
    gaps: Sequence[float] = (),
    uneven: float = 0.0,
    seed: int = 0,
    **factors: Sequence[float],
) -> tuple[Tooth, ...]:
    """Both halves of an arch.

    Args:
        crowns: `SIZES` of the teeth of one half, from the midline out.
        gaps: Room before the first, second ... tooth of each half, cm, the first to the midline.
        uneven: Deviation of what each tooth has of its own; 1 is a crowded arch.
        seed: Of that.
        factors: On some of the sizes, from the midline out; the last factor stands for the rest.
    """
    rows = np.array(crowns, np.float64)
    for name, values in factors.items():
        rows[:, SIZES.index(name)] *= [values[min(place, len(values) - 1)] for place in range(len(rows))]
    rng = np.random.default_rng(seed)
    teeth: list[Tooth] = []
    for side in (-1, 1):
        start = 0.0
        for place, (width, height, set_back, point, roundness, whiteness) in enumerate(rows.tolist()):
            start += gaps[place] if place < len(gaps) else 0.0
            own = uneven * np.clip(rng.standard_normal(5), -1.5, 1.5)
            teeth.append(
                Tooth(
                    side * (start + width / 2),
                    width * (1 + 0.06 * own[0]),
                    height * (1 + 0.04 * own[1]),
                    set_back + 0.045 * own[2],
                    point,
                    roundness,
                    whiteness,
                    tilt=0.09 * own[3] * side,
                    light=1 - 0.07 * max(0.0, own[4]),
                )
            )
            start += width
    return tuple(teeth)


SETS = {
    "even": Dentition(row_of_teeth(UPPER), row_of_teeth(LOWER, uneven=0.45, seed=9)),
    "broad": Dentition(
        row_of_teeth(
            UPPER,
            width=(1.07, 1.08, 1.0),
            height=(0.94, 0.99, 0.95),
            roundness=(1.25, 1.3, 1.15),
            uneven=0.25,
            seed=3,
        ),
        row_of_teeth(LOWER, uneven=0.5, seed=4),
        seed=10,
    ),
    "oval": Dentition(
        row_of_teeth(
            UPPER,
            width=(0.97, 0.90, 1.0),
            height=(1.04, 0.94, 1.03),
            roundness=(0.70, 0.72, 0.85),
            set_back=(1, 1.7, 1),
            point=(1, 1, 1.3),
            uneven=0.3,
            seed=5,
        ),
        row_of_teeth(LOWER, uneven=0.6, seed=6),
        stain=0.06,
        seed=20,
    ),
    "gapped": Dentition(
        row_of_teeth(UPPER, width=(0.97,), gaps=(0.07, 0.03, 0.04, 0.02), uneven=0.4, seed=7),
        row_of_teeth(LOWER, width=(0.97,), gaps=(0.02, 0.02, 0.03), uneven=0.6, seed=8),
        stain=0.08,
        touch=0.25,
        seed=30,
    ),
    "crowded": Dentition(
        row_of_teeth(
            UPPER, width=(1, 0.95, 1), point=(1, 1, 1.3), gaps=(0, -0.06, -0.03), uneven=1.0, seed=21
        ),
        row_of_teeth(LOWER, gaps=(-0.01, -0.05, -0.05), uneven=1.4, seed=12),
        stain=0.12,
        seed=40,
    ),
    "worn": Dentition(
        row_of_teeth(
            UPPER,
            height=(0.86, 0.93, 0.88),
            point=(1, 1, 0.25),
            set_back=(1, 0.45, 0.6),
            whiteness=(0.93,),
            roundness=(1.1,),
            uneven=0.6,
            seed=13,
        ),
        row_of_teeth(
            LOWER, whiteness=(0.93,), height=(0.9,), point=(0.3,), gaps=(0, 0, 0.01), uneven=1.0, seed=14
        ),
        stain=0.38,
        touch=0.5,
        gums=0.05,
        seed=50,
    ),
    "young": Dentition(
        row_of_teeth(
            UPPER,
            width=(0.92, 0.86, 0.88, 0.9),
            height=(0.80, 0.78, 0.76, 0.8),
            point=(1, 1, 0.7),
            gaps=(0.02, 0.03, 0.04, 0.02),
            uneven=0.5,
            seed=15,
        ),
        row_of_teeth(
            LOWER, width=(0.92,), height=(0.80,), point=(0.7,), gaps=(0.01, 0.02, 0.02), uneven=0.6, seed=16
        ),
        touch=0.4,
        gums=-0.03,
        seed=60,
    ),
}
"""By the names of `exprgan.face_parts.DENTITIONS`."""


def draw(name: str) -> NDArray[np.uint8]:
    """The chart of one of `DENTITIONS`, uint8 RGB (rows of `CHART_CM[1]`, columns of `CHART_CM[0]`, at `PX_PER_CM`)."""
    scale = PX_PER_CM * SUPERSAMPLE
    width, height = (round(length * scale) for length in CHART_CM)
    along = (np.arange(width, dtype=np.float32) + 0.5) / scale - CHART_CM[0] / 2
    down = (np.arange(height, dtype=np.float32) + 0.5) / scale
    u, v = (grid.astype(np.float32) for grid in np.meshgrid(along, down))
    picture = _cavity(u, v)
    chosen = SETS[name]
    _draw_arch(picture, u, UPPER_EDGE_CM - v, chosen.upper, chosen)
    _draw_arch(picture, u, v - LOWER_EDGE_CM, chosen.lower, chosen)
    picture *= (1 - 0.28 * _smooth(v, LOWER_EDGE_CM - 0.1, LOWER_EDGE_CM + 0.1))[..., None]
    # less light comes to the side teeth, which stand behind the corners of the mouth
    picture *= (1 - 0.46 * _smooth(np.abs(u), 1.2, 4.3))[..., None]
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
    picture: NDArray[np.float32],
    u: NDArray[np.float32],
    up: NDArray[np.float32],
    teeth: tuple[Tooth, ...],
    chosen: Dentition,
) -> None:
    """Gums and teeth of one arch in place; `up` is the height above the incisal edge in cm."""
    _draw_gums(picture, u, up, teeth, chosen.gums)
    # neighbours touch from here up: no throat is seen between them
    between = chosen.touch * _smooth(up, 0.20, 0.34) * (1 - _smooth(up, 0.80, 0.90))
    picture += between[..., None] * (CONTACT - picture)
    for tooth in sorted(teeth, key=lambda one: (one.light, -abs(one.centre))):
        _draw_tooth(picture, u, up, tooth, chosen)


def _draw_gums(
    picture: NDArray[np.float32],
    u: NDArray[np.float32],
    up: NDArray[np.float32],
    teeth: tuple[Tooth, ...],
    back_cm: float,
) -> None:
    margin = np.full(u.shape[1], np.nan, np.float32)
    for tooth in teeth:
        a = (u[0] - tooth.centre) / (tooth.width / 2)
        inside = np.abs(a) <= 1
        # papillae reach down between the crowns
        margin[inside] = (tooth.set_back + tooth.height - 0.10 + back_cm - 0.34 * np.abs(a) ** 2.4)[inside]
    known = ~np.isnan(margin)  # and between teeth that do not touch, from one papilla to the next
    margin = np.interp(u[0], u[0][known], margin[known]).astype(np.float32)
    margin = cv2.GaussianBlur(margin[None], (0, 0), 2.0)[0]
    above = up - margin[None]
    cover = _smooth(above, -0.02, 0.02) * (up > 0)
    light = 0.80 + 0.26 * np.exp(-(((above - 0.10) / 0.09) ** 2)) - 0.34 * _smooth(above, 0.15, 0.9)
    light = light * (1 + 0.025 * _noise(u.shape, 2.2, 3))
    colour = GUM * light[..., None]
    picture += cover[..., None] * (colour - picture)


def _draw_tooth(
    picture: NDArray[np.float32],
    u: NDArray[np.float32],
    up: NDArray[np.float32],
    tooth: Tooth,
    chosen: Dentition,
) -> None:
    reach = tooth.width / 2 + 0.05 + abs(tooth.tilt)
    columns = np.flatnonzero(np.abs(u[0] - tooth.centre) < reach)
    height = tooth.height + chosen.gums
    rows = np.flatnonzero((up[:, 0] > tooth.set_back - 0.1) & (up[:, 0] < tooth.set_back + height + 0.1))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    b = (up[box] - tooth.set_back) / height  # 0 at the edge, 1 at the neck
    a = (u[box] - tooth.centre + tooth.tilt * (b - 0.4)) / (tooth.width / 2)
    a_out = a * np.sign(tooth.centre)  # positive away from the midline
    half = 1.0 - 0.20 * _smooth(b, 0.35, 1.15) - 0.05 * _smooth(0.25 - b, 0.0, 0.25) * (a_out > 0)
    edge = 0.20 * tooth.point * np.abs(a - 0.08 * np.sign(tooth.centre)) ** 1.3
    edge = edge + 0.07 * np.clip(a_out, 0, 1) ** 3  # the outer corner is rounder
    edge = edge + 0.09 * np.abs(a) ** 7  # and between the corners of neighbours is a notch
    middle = (1 + edge) / 2
    across = np.abs(a / half)
    along = np.abs((b - middle) / ((1 - edge) / 2))
    # corners are squarer at the edge than at the neck
    power = tooth.roundness * (1 + SQUARER_EDGE * (1 - _smooth(b, 0.3, 0.7)))
    outline = across**power + along ** (power + 1.5)
    thickness = 0.022 / min(tooth.width, height)
    cover = 1 - _smooth(outline ** (1 / power), 1 - thickness * 1.2, 1 + thickness * 0.4)

    colour = TOOTH + (TOOTH_NECK - TOOTH) * (0.75 * _smooth(b, 0.55, 1.05))[..., None]
    translucent = 0.55 * _smooth(0.22 - b + 0.02, 0.0, 0.2) * (0.5 if tooth.point > 0.1 else 1.0)
    colour = colour + (TOOTH_EDGE - colour) * translucent[..., None]
    stain = chosen.stain + SIDE_STAIN * float(np.interp(abs(tooth.centre), (0.8, 2.2), (0, 1)))
    colour = colour + stain * (TOOTH_NECK - colour)
    # curvature: light falls off towards the sides, more on the side away from the midline
    # where neighbours touch there is hardly a line; it opens towards edge and gums
    touching = _smooth(b, 0.12, 0.3) * (1 - _smooth(b, 0.45, 0.75))
    light = 1.0 - 0.02 * across**2 - (0.30 - 0.12 * touching) * across**18 - 0.03 * np.clip(a_out, 0, 1)
    light = light - 0.10 * _smooth(b, 0.75, 1.1) - 0.05 * _smooth(0.12 - b, 0, 0.12)
    lobes = np.cos(a * np.pi * 1.5) * 0.012 * (1 - _smooth(b, 0.3, 0.8))
    light = (light + lobes) * tooth.whiteness * tooth.light
    gloss = 9 * np.exp(-(((a + 0.18) / 0.20) ** 2) - ((b - 0.52) / 0.20) ** 2)
    gloss = gloss + 5 * np.exp(-(((a - 0.35) / 0.12) ** 2) - ((b - 0.45) / 0.22) ** 2)
    seed = chosen.seed + round(tooth.centre * 100) % 97
    shade = light * (1 + 0.008 * _noise(a.shape, 4.0, seed))
    finished = colour * shade[..., None] + gloss[..., None]
    picture[box] += cover[..., None] * (finished - picture[box])


def main() -> None:
    """Write the charts."""
    parser = argparse.ArgumentParser(description="draw the charts of the insides of mouths")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(exist_ok=True)
    for name in DENTITIONS:
        picture = cv2.cvtColor(draw(name), cv2.COLOR_RGB2BGR)
        encoded = cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        (folder / f"{name}.png").write_bytes(encoded[1].tobytes())


if __name__ == "__main__":
    main()
