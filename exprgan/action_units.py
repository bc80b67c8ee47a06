"""Facial action units: the 17 that OpenFace measures and that ARKit's blendshapes can stand in for.

All are intensities in [0, 1], NaN where unknown. The two sources are not calibrated to one another: a broad
smile is about 0.9 by blendshapes and about 0.6 (3 of 5) by OpenFace. Do not mix them within one measurement.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exprgan.errors import UsageError

BLENDSHAPES: dict[str, tuple[str, ...]] = {
    "AU01": ("browInnerUp",),
    "AU02": ("browOuterUpLeft", "browOuterUpRight"),
    "AU04": ("browDownLeft", "browDownRight"),
    "AU05": ("eyeWideLeft", "eyeWideRight"),
    "AU06": ("cheekSquintLeft", "cheekSquintRight"),
    "AU07": ("eyeSquintLeft", "eyeSquintRight"),
    "AU09": ("noseSneerLeft", "noseSneerRight"),
    "AU10": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "AU12": ("mouthSmileLeft", "mouthSmileRight"),
    "AU14": ("mouthDimpleLeft", "mouthDimpleRight"),
    "AU15": ("mouthFrownLeft", "mouthFrownRight"),
    "AU17": ("mouthShrugLower",),
    "AU20": ("mouthStretchLeft", "mouthStretchRight"),
    "AU23": ("mouthPressLeft", "mouthPressRight"),
    "AU25": ("mouthLowerDownLeft", "mouthLowerDownRight"),
    "AU26": ("jawOpen",),
    "AU45": ("eyeBlinkLeft", "eyeBlinkRight"),
}
"""Blendshapes whose mean stands for an action unit; AU25 is the larger of its mean and jawOpen."""

ACTION_UNITS = tuple(BLENDSHAPES)
"""Column order of every array of action units."""

MEDIAPIPE_BLIND = ("AU06", "AU09")
"""MediaPipe's landmarker says nearly 0 for these whatever the face shows: unknown there."""

OPENFACE_MAXIMUM = 5.0
NAME_COLUMNS = ("input", "file", "filename", "name")


SCORES = {
    "mouthSmile": ("mouthSmileLeft", "mouthSmileRight"),
    "jawOpen": ("jawOpen",),
    "browDown": ("browDownLeft", "browDownRight"),
    "browInnerUp": ("browInnerUp",),
    "browOuterUp": ("browOuterUpLeft", "browOuterUpRight"),
    "mouthFrown": ("mouthFrownLeft", "mouthFrownRight"),
    "mouthUpperUp": ("mouthUpperUpLeft", "mouthUpperUpRight"),
    "mouthStretch": ("mouthStretchLeft", "mouthStretchRight"),
    "eyeWide": ("eyeWideLeft", "eyeWideRight"),
    "eyeSquint": ("eyeSquintLeft", "eyeSquintRight"),
    "smile R-L": ("mouthSmileRight", "-mouthSmileLeft"),
}
"""Name of a column -> the landmarker's scores that are averaged, or subtracted where marked by '-'."""

JUDGED_SCORES = tuple(name for name in SCORES if name != "smile R-L")
"""Columns that our own expression judge estimates: those that are scores."""


def column(scores: dict[str, float], parts: tuple[str, ...]) -> float:
    """One column from the landmarker's scores by name."""
    if any(part.startswith("-") for part in parts):
        return sum(-scores[part[1:]] if part.startswith("-") else scores[part] for part in parts)
    return float(np.mean([scores[part] for part in parts]))


def unknown(count: int) -> NDArray[np.float32]:
    """Intensities (count, 17) of which none is known."""
    return np.full((count, len(ACTION_UNITS)), np.nan, np.float32)


def from_blendshapes(
    scores: NDArray[np.floating], names: list[str], *, is_mediapipe: bool = True
) -> NDArray[np.float32]:
    """Action units of ARKit blendshape scores.

    Args:
        scores: (N, len(names)) in [0, 1].
        names: ARKit's names of the columns.
        is_mediapipe: The scores are MediaPipe's, which is blind to some units (`MEDIAPIPE_BLIND`).

    Returns:
        (N, 17) float32 in the order of `ACTION_UNITS`.
    """
    columns = {name: np.asarray(scores[:, number], np.float32) for number, name in enumerate(names)}
    units = unknown(len(scores))
    for number, (unit, sources) in enumerate(BLENDSHAPES.items()):
        if not (is_mediapipe and unit in MEDIAPIPE_BLIND):
            mean = np.mean([columns[name] for name in sources], axis=0)
            units[:, number] = np.maximum(mean, columns["jawOpen"]) if unit == "AU25" else mean
    return np.clip(units, 0, 1)


def from_openface(row: Mapping[str, str]) -> NDArray[np.float32]:
    """Action units (17,) of one row of an OpenFace csv, whose column names may begin with a blank.

    Raises:
        ValueError: A cell is no number.
    """
    cells = {key.strip(): value for key, value in row.items() if key}
    units = unknown(1)[0]
    for number, unit in enumerate(ACTION_UNITS):
        if (cell := cells.get(f"{unit}_r", "").strip()) != "":
            units[number] = float(cell) / OPENFACE_MAXIMUM
    return np.clip(units, 0, 1)


def read_openface_csv(path: Path) -> dict[str, NDArray[np.float32]]:
    """Action units by picture of a csv that OpenFace's `FaceLandmarkImg` wrote.

    The picture is named by a column of `NAME_COLUMNS`; where there is none, the csv is of the one picture that
    has its name, as OpenFace's are. Of several faces of a picture the surest is taken; one of confidence 0, or
    `success` 0, is left out.

    Raises:
        UsageError: The file is not there, or has no column of intensities such as AU12_r.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read ({error}); give a csv that OpenFace wrote.") from error
    if not rows or not any(key and key.strip() == "AU12_r" for key in rows[0]):
        raise UsageError(
            f"{path} has no column AU12_r; let OpenFace write intensities (FaceLandmarkImg -aus) and give its csv."
        )
    surest: dict[str, tuple[float, NDArray[np.float32]]] = {}
    for row in rows:
        named = next((row[key] for key in NAME_COLUMNS if row.get(key)), path.stem)
        named = named.strip().replace("\\", "/")
        try:
            confidence = float(row.get("confidence") or 1) * float(row.get("success") or 1)
            if confidence > surest.get(named, (0.0,))[0]:
                surest[named] = confidence, from_openface(row)
        except ValueError as error:
            raise UsageError(
                f"{path} holds a cell that is no number ({error}); give a csv as OpenFace writes it."
            ) from error
    return {named: units for named, (_, units) in surest.items()}


def read_openface(source: Path) -> dict[str, NDArray[np.float32]]:
    """Action units by picture of a csv, or of all csv files in a folder.

    Raises:
        UsageError: There is no csv, or one cannot be used.
    """
    paths = sorted(source.glob("**/*.csv")) if source.is_dir() else [source]
    if not paths:
        raise UsageError(f"{source} holds no csv; give the folder that OpenFace wrote to, or its csv.")
    units: dict[str, NDArray[np.float32]] = {}
    for path in paths:
        units |= read_openface_csv(path)
    return units
