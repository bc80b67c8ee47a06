"""How far the colour of drawn teeth is from that of the teeth that photographs show.

    python -m exprgan.evaluation.teeth --data DIR [--split val]

In each photograph of open-faces whose teeth are seen, the drawn ones are put in their place, in the light that an edit
would give them, and both are compared in CIELAB against the whites of the eyes: lightness and tint of the front teeth,
by skin tone (individual typology angle of the cheeks), and how much stronger the drawn teeth's contrasts are,
the finest and those twice as coarse.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.face_model import raster
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.model import FaceModel
from exprgan.face_model.mouth import DentalArch, contact_shadow, light_across
from exprgan.face_model.own_teeth import tooth_share
from exprgan.face_model.teeth import log_light, suiting, whites_of
from exprgan.faces import mesh

PHOTO_PX = 320
LEAST_GAP_UNITS = 2.5
MOST_YAW_DEG = 35.0
RIM_UNITS = 0.8
FRONT_CM = 1.5
DARKEST = 80
DRAWS = 4000
TONES = {"dark": (-90, 10), "middle": (10, 40), "light": (40, 90)}
"""Degrees of the individual typology angle."""


@dataclass(frozen=True)
class Seen:
    """CIELAB (3,) of one photograph's front teeth, of drawn ones in their place, of whites of eyes and cheeks.

    contrasts (2,): root mean square of drawn contrasts by that of real ones, fine and coarse.
    """

    real: NDArray[np.float64]
    drawn: NDArray[np.float64]
    whites: NDArray[np.float64]
    cheeks: NDArray[np.float64]
    contrasts: NDArray[np.float64]

    @property
    def tone(self) -> str:
        """Key of `TONES`."""
        angle = np.degrees(np.arctan2(self.cheeks[0] - 50, self.cheeks[2]))
        return next((name for name, (low, high) in TONES.items() if low <= angle < high), "light")


def seen_in(image: NDArray[np.uint8], analysis: FaceAnalysis) -> Seen | None:
    """What a photograph shows, or None where too little of teeth, cheeks or whites of eyes is seen."""
    points, unit = analysis.landmarks_px, analysis.pose.unit_px
    gap = points[mesh.LOWER_INNER_LIP, 1] - points[mesh.UPPER_INNER_LIP, 1]
    whites, skin = whites_of(image, points), image[raster.cheek_mask(image.shape, points)]
    if gap.max() < LEAST_GAP_UNITS * unit or abs(analysis.pose.pitch_yaw_roll()[1]) > MOST_YAW_DEG:
        return None
    if whites is None or not len(skin):
        return None
    opening = raster.polygon_mask(image.shape[0], image.shape[1], points[mesh.INNER_MOUTH_OUTLINE, :2])
    rows, columns = np.nonzero(opening > 0.9)
    upper, lower = raster.curves_at(points, mesh.UPPER_INNER_CURVE, mesh.LOWER_INNER_CURVE, columns)
    within = (rows > upper + RIM_UNITS * unit) & (rows < lower - RIM_UNITS * unit)
    rows, columns = rows[within], columns[within]
    if len(rows) < 30:
        return None
    cheeks, colours = np.median(_lab(skin), axis=0), _lab(image[rows, columns])
    is_tooth = colours[:, 1] < min(cheeks[1] + 1, 14)
    is_tooth &= colours[:, 0] > max(35.0, 0.55 * float(np.percentile(colours[:, 0], 95)))
    arch = DentalArch(analysis, analysis.shape_cm)
    place = arch.place(columns, rows)
    drawn = suiting(image, analysis).chart.view(place[None], arch.throat_cm, analysis.pose.scale)[0]
    # where both show teeth: throat and gums differ by the length of teeth
    front = is_tooth & (np.abs(place[:, 0]) < FRONT_CM) & (tooth_share(drawn) > 0.9) & (drawn[:, 1] > DARKEST)
    if is_tooth.mean() < 0.25 or front.sum() < 40:
        return None
    by_place = light_across(image, analysis, columns) + np.log1p(
        -contact_shadow(analysis, points, columns, rows)
    )
    light = log_light(image, points) + by_place[:, None]
    lit = np.clip(drawn * np.exp(light), 0, 255)
    edited, at_front = image.copy(), np.zeros(image.shape[:2], bool)
    edited[rows, columns], at_front[rows, columns] = lit, front
    contrasts = _contrasts(edited, at_front) / _contrasts(image, at_front)
    real, shown = np.median(colours[front], axis=0), np.median(_lab(lit[front]), axis=0)
    return Seen(real, shown, whites, cheeks, contrasts)


def _contrasts(image: NDArray[np.uint8], where: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Root mean square (2,) of the logarithm of an RGB picture between blurs of 0, 1 and 2 pixels, over a mask."""
    blurred = [np.log(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) + 8)]
    blurred += [cv2.GaussianBlur(blurred[0], (0, 0), width) for width in (1.0, 2.0)]
    bands = [blurred[0] - blurred[1], blurred[1] - blurred[2]]
    return np.array([np.sqrt(np.mean(band[where] ** 2)) for band in bands])


def report_of(faces: OpenFaces, rows: list[int]) -> dict[str, Any]:
    """Figures over photographs of open-faces, all together and by skin tone."""
    model, found = FaceModel(), []
    for row in rows:
        size = (PHOTO_PX, PHOTO_PX)
        analysis = model.analyse(size, faces.landmarks_px(row, PHOTO_PX), faces.scores(row))
        seen = seen_in(faces.photo(row), analysis)
        found += [seen] if seen is not None else []
    groups = {"all": found, **{tone: [seen for seen in found if seen.tone == tone] for tone in TONES}}
    return {name: _figures(group) for name, group in groups.items() if group}


def _figures(found: list[Seen]) -> dict[str, Any]:
    real, drawn, whites = (
        np.array([getattr(seen, name) for seen in found]) for name in ("real", "drawn", "whites")
    )
    off = drawn - real
    return {
        "photographs": len(found),
        "real_less_whites": np.round((real - whites).mean(axis=0), 1).tolist(),
        "drawn_less_whites": np.round((drawn - whites).mean(axis=0), 1).tolist(),
        "mean_difference": np.round(off.mean(axis=0), 1).tolist(),
        **_distances(np.linalg.norm(off, axis=1)),
        "contrasts_drawn_to_real": np.round(
            np.median([seen.contrasts for seen in found], axis=0), 2
        ).tolist(),
    }


def _distances(distances: NDArray[np.float64]) -> dict[str, Any]:
    """Their median and its 95 % interval over photographs, by bootstrap."""
    drawn = np.random.default_rng(0).choice(distances, (DRAWS, len(distances)))
    interval = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return {
        "median_distance": round(float(np.median(distances)), 1),
        "interval": np.round(interval, 1).tolist(),
    }


def _lab(rgb: NDArray[Any]) -> NDArray[np.float64]:
    return cv2.cvtColor((rgb[None] / 255).astype(np.float32), cv2.COLOR_RGB2LAB)[0].astype(np.float64)


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description="compare the colour of drawn teeth with real ones")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds open-faces/")
    parser.add_argument("--split", default="val", choices=("train", "val"))
    arguments = parser.parse_args()
    faces = OpenFaces(arguments.data / "open-faces")
    text = json.dumps(report_of(faces, faces.indices(arguments.split)), indent=1)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
