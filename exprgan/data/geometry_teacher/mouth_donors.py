"""Mouth interiors lent by other photos, for faces whose own mouth is shut.

`mouth_donors.npz` holds small RGB patches around the inner lips of photographs of the open-faces set
(split `train`, never the source `london`). Build it anew with

    python -m exprgan.data.geometry_teacher.mouth_donors --faces DIR --basis geometry_basis.npz --out mouth_donors.npz
"""

from __future__ import annotations

import argparse
import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from scipy.interpolate import RBFInterpolator

from exprgan.data.geometry_teacher import mesh
from exprgan.data.geometry_teacher.face_basis import FaceBasis, lip_gap
from exprgan.data.geometry_teacher.fit import CM_PER_UNIT, FaceAnalysis, fit_pose

log = logging.getLogger(__name__)

PATCH_MARGIN_PX = 6
DONOR_SMOOTHING = 2.56
CANONICAL_DONORS = {
    "happy": "faker_00015.jpg",
    "surprise": "sfhq_t2i_00947.jpg",
    "fear": "faker_00127.jpg",
    "disgust": "sfhq_00134.jpg",
}
"""One clean, frontal, openly licensed image-model mouth (CC0 or MIT) an expression."""
CHOICE = 4
"""The seed picks among this many best donors."""


@dataclass(frozen=True)
class Donor:
    """A lent mouth: RGB patch (h, w, 3) uint8, inner-mouth points (20, 2) in patch pixels, skin statistics."""

    file: str
    patch: np.ndarray
    points_px: np.ndarray
    outline_cm: np.ndarray
    yaw_deg: float
    sharpness: float
    skin_lightness: float
    skin_chroma: float
    unit_px: float


def outline_of(shape_cm: np.ndarray) -> np.ndarray:
    """Inner-mouth outline (20, 2) in cm about the middle of the mouth corners."""
    centre = (shape_cm[mesh.MOUTH_CORNERS[0]] + shape_cm[mesh.MOUTH_CORNERS[1]]) / 2
    return (shape_cm[mesh.INNER_MOUTH] - centre)[:, :2]


def skin_statistics(image: np.ndarray, landmarks_px: np.ndarray) -> tuple[float, float]:
    """Mean lightness (Lab, 0..255) and relative chroma of the cheeks of an RGB photo."""
    cheeks = mesh.cheek_mask(image.shape, landmarks_px)
    if not cheeks.any():
        return 128.0, 0.3
    lightness = float(cv2.cvtColor(image, cv2.COLOR_RGB2LAB)[..., 0][cheeks].astype(float).mean())
    colours = image[cheeks].astype(np.float32)
    chroma = float((colours.max(axis=1) - colours.min(axis=1)).mean() / max(colours.mean(), 1))
    return lightness, chroma


class MouthDonors:
    """The stored donors, choice among them and transfer of their colours."""

    def __init__(self, path: str | Path) -> None:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        self.donors: list[Donor] = []
        for place in range(len(arrays["donor_file"])):
            height, width = arrays["patch_size"][place]
            start = arrays["patch_start"][place]
            patch = arrays["patch_values"][start : start + height * width * 3].reshape(height, width, 3)
            self.donors.append(
                Donor(
                    file=str(arrays["donor_file"][place]),
                    patch=patch,
                    points_px=arrays["points_px"][place].astype(float),
                    outline_cm=arrays["outline_cm"][place].astype(float),
                    yaw_deg=float(arrays["yaw_deg"][place]),
                    sharpness=float(arrays["sharpness"][place]),
                    skin_lightness=float(arrays["skin_lightness"][place]),
                    skin_chroma=float(arrays["skin_chroma"][place]),
                    unit_px=float(arrays["unit_px"][place]),
                )
            )
        self._outlines = np.array([donor.outline_cm for donor in self.donors])
        self._yaws = np.array([donor.yaw_deg for donor in self.donors])
        self._blur_penalty = np.array([0.5 * min(1.0, 30 / donor.sharpness) for donor in self.donors])

    def canonical(self, expression: str) -> Donor | None:
        """The donor of `CANONICAL_DONORS`, or None where the expression has none or it is not stored."""
        file = CANONICAL_DONORS.get(expression)
        return next((donor for donor in self.donors if donor.file == file), None)

    def choose(self, shape_cm: np.ndarray, yaw_deg: float, seed: int, avoid: str | None = None) -> Donor:
        """The donor for a target shape (468, 3): like outline, like yaw, sharp; never the file `avoid`."""
        distance = np.sqrt(((self._outlines - outline_of(shape_cm)) ** 2).sum(axis=2).mean(axis=1))
        score = distance / 0.2 + np.abs(self._yaws - yaw_deg) / 25 + self._blur_penalty
        if avoid is not None:
            score = score + np.array([1000.0 * (donor.file == avoid) for donor in self.donors])
        best = np.argsort(score)[:CHOICE]
        return self.donors[best[seed % CHOICE]]


def donor_colours(
    donor: Donor,
    image: np.ndarray,
    analysis: FaceAnalysis,
    fit_px: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    """Interior colours (n, 3) of a donor at output pixels, matched to the skin of the photo.

    fit_px (468, 2+) are the image points onto which the donor's inner lips are laid.
    """
    unit = analysis.pose.unit_px
    sampled = _sample(donor, fit_px / unit, rows / unit, columns / unit)
    lightness, chroma = skin_statistics(image, analysis.landmarks_px)
    brightness = sampled.mean(axis=1, keepdims=True)
    teeth = np.clip((brightness - 70) / 60, 0, 1)
    sampled = brightness + (sampled - brightness) * (1 - 0.3 * teeth)
    chroma_factor = np.clip(chroma / max(0.05, donor.skin_chroma), 0, 1.1)
    sampled = brightness + (sampled - brightness) * chroma_factor
    exposure = np.clip((lightness / donor.skin_lightness) ** 0.8, 0.6, 1.25)
    return sampled * exposure


def _sample(donor: Donor, fit: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Read the donor through a smooth map from output positions to patch pixels, held inside its lips.

    fit, rows and columns are image positions divided by `Pose.unit_px`, so that the smoothing does
    not depend on the size of the image.
    """
    jitter = np.random.default_rng(0).normal(0, 0.01, (len(mesh.INNER_MOUTH), 2))
    centre = donor.points_px.mean(axis=0)
    shrunk = centre + (donor.points_px - centre) * 0.97
    to_patch = RBFInterpolator(
        fit[mesh.INNER_MOUTH, :2] + jitter, shrunk, kernel="thin_plate_spline", smoothing=DONOR_SMOOTHING
    )
    position = to_patch(np.stack([columns, rows], axis=1).astype(float)).astype(np.float32)
    place = {vertex: row for row, vertex in enumerate(mesh.INNER_MOUTH)}
    right_corner = donor.points_px[place[mesh.MOUTH_CORNERS[0]], 0]
    left_corner = donor.points_px[place[mesh.MOUTH_CORNERS[1]], 0]
    source_x = np.clip(position[:, 0], right_corner + 1, left_corner - 1)
    upper_rows = [place[vertex] for vertex in mesh.UPPER_INNER_CURVE]
    lower_rows = [place[vertex] for vertex in mesh.LOWER_INNER_CURVE]
    upper, lower = mesh.curves_at(donor.points_px, upper_rows, lower_rows, source_x)
    middle = (upper + lower) / 2
    inset = 1.3 * donor.unit_px
    source_y = np.clip(position[:, 1], np.minimum(upper + inset, middle), np.maximum(lower - inset, middle))
    sampled = cv2.remap(
        donor.patch, source_x.astype(np.float32)[None], source_y.astype(np.float32)[None], cv2.INTER_CUBIC
    )
    return sampled[0].astype(np.float32)


def is_good_donor(image: np.ndarray, landmarks_px: np.ndarray) -> bool:
    """Whether the mouth interior is large, sharp, of natural colour and shows teeth or a dark cavity."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB).astype(float)
    inside = (
        mesh.polygon_mask(image.shape[0], image.shape[1], landmarks_px[mesh.INNER_MOUTH_OUTLINE, :2]) > 0.9
    )
    if inside.sum() < 60:
        return False
    lightness = lab[..., 0][inside]
    red, yellow = lab[..., 1][inside] - 128, lab[..., 2][inside] - 128
    if np.median(yellow) < -1 or np.percentile(red, 85) > 34:
        return False
    if (lightness > 250).mean() > 0.15 or (yellow < -6).mean() >= 0.15:
        return False
    if np.percentile(lightness, 95) > 120:
        teeth = lightness > 0.72 * np.percentile(lightness, 97)
        if not -1 <= np.median(yellow[teeth]) <= 17 or np.median(red[teeth]) > 16:
            return False
    lips = mesh.polygon_mask(image.shape[0], image.shape[1], landmarks_px[mesh.OUTER_LIPS, :2]) > 0.9
    lips &= (
        mesh.polygon_mask(image.shape[0], image.shape[1], landmarks_px[mesh.INNER_MOUTH_OUTLINE, :2]) < 0.01
    )
    lip_lightness = np.median(lab[..., 0][lips])
    lip_red = np.median(lab[..., 1][lips]) - 128
    teeth_share = ((lightness > 1.08 * lip_lightness) & (red < lip_red - 4)).mean()
    cavity_share = (lightness < 0.55 * lip_lightness).mean()
    if teeth_share <= 0.3 and (cavity_share <= 0.35 or teeth_share + cavity_share <= 0.45):
        return False
    detail = cv2.Laplacian(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.CV_32F)[inside].std()
    return bool(detail / max(20, lightness.mean()) >= 0.05)


def build(faces: Path, basis_path: Path, out: Path, rejected: set[str]) -> int:
    """Collect donors from the open-faces folder into `out`, but for rejected files; returns their number."""
    basis = FaceBasis(basis_path)
    landmarks = np.load(faces / "annotations.npz")["landmarks_px"]
    with open(faces / "faces.csv", newline="") as table:
        rows = list(csv.DictReader(table))
    columns: dict[str, list] = {}
    patches: list[np.ndarray] = []
    for row, points in zip(rows, landmarks.astype(float), strict=True):
        if row["split"] != "train" or row["source"] == "london" or row["file"] in rejected:
            continue
        if abs(float(row["yaw_deg"])) > 22 or abs(float(row["pitch_deg"])) > 20:
            continue
        if float(row["face_px"]) < 170 or float(row["sharpness"]) < 25:
            continue
        pose = fit_pose(basis, points)
        shape = pose.to_canonical(points[:468])
        if lip_gap(shape).mean() < 0.28:
            continue
        image = np.asarray(cv2.imread(str(faces / "faces" / row["file"])))[..., ::-1].copy()
        saturation = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[80:280, 80:240, 1].mean()
        if saturation < 25 or not is_good_donor(image, points):
            continue
        inner = points[mesh.INNER_MOUTH, :2]
        x0, y0 = np.maximum(np.floor(inner.min(axis=0)).astype(int) - PATCH_MARGIN_PX, 0)
        x1, y1 = np.ceil(inner.max(axis=0)).astype(int) + PATCH_MARGIN_PX
        patch = image[y0:y1, x0:x1]
        lightness, chroma = skin_statistics(image, points)
        values = {
            "donor_file": row["file"],
            "source": row["source"],
            "patch_size": patch.shape[:2],
            "points_px": inner - (x0, y0),
            "outline_cm": outline_of(shape),
            "yaw_deg": pose.pitch_yaw_roll()[1],
            "sharpness": float(row["sharpness"]),
            "skin_lightness": lightness,
            "skin_chroma": chroma,
            "unit_px": pose.scale * CM_PER_UNIT,
        }
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
        patches.append(patch)
    sizes = np.array([patch.size for patch in patches])
    arrays = {name: np.array(values) for name, values in columns.items()}
    arrays = {name: a.astype(np.float32) if a.dtype.kind == "f" else a for name, a in arrays.items()}
    note = (
        "Mouth patches, RGB uint8 rows of patch_values: patch k is patch_values[patch_start[k]:][:h*w*3] with "
        "h, w = patch_size[k]. points_px: the 20 inner-mouth points in patch pixels; outline_cm: the same in "
        "canonical cm about the middle of the mouth corners. Pixels belong to the open-faces set: use them for "
        "training only, do not redistribute."
    )
    np.savez_compressed(
        out,
        patch_values=np.concatenate([patch.ravel() for patch in patches]),
        patch_start=np.cumsum(sizes) - sizes,
        note=np.array(note),
        **arrays,  # type: ignore[arg-type]
    )
    return len(patches)


def main() -> None:
    """Build the donors anew."""
    parser = argparse.ArgumentParser(description="collect mouth donors from the open-faces set")
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--basis", type=Path, required=True, help="geometry_basis.npz")
    parser.add_argument(
        "--rejects", type=Path, help="text file with photos turned down by eye, a name a line"
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    rejects = set(arguments.rejects.read_text().splitlines()) if arguments.rejects else set()
    count = build(arguments.faces, arguments.basis, arguments.out, rejects)
    log.info("%d donors", count)


if __name__ == "__main__":
    main()
