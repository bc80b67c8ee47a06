"""How well landmarks and faces are found.

Landmarks: open-faces val, each face's square jittered; error = mean distance over the 478 points in percent
of the distance between the eyes' centres. Detection: the photos, one face each, and scenes
made of renders and of open-faces val.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exprgan.errors import UsageError
from exprgan.evaluation.made_scenes import (
    Cutout,
    Scene,
    cutout_from_landmarks,
    cutout_from_masks,
    make_scene,
    match_faces,
    quarter_turned,
)
from exprgan.faces import mesh
from exprgan.faces.detect import BuiltinDetector, FaceDetector
from exprgan.faces.landmarks import Landmarker
from exprgan.faces.proposer import Proposer
from exprgan.faces.retinaface import RetinaFaceDetector, load_network
from exprgan.samples.landmarks import jittered_square, read_open_faces
from exprgan.samples.picture import Picture
from exprgan.weights import NetworkFiles, find

GROUPS = {
    "eyes": (*mesh.RIGHT_EYE, *mesh.LEFT_EYE),
    "brows": (*mesh.RIGHT_BROW, *mesh.LEFT_BROW),
    "nose": mesh.NOSE,
    "lips": (*mesh.OUTER_LIPS, *mesh.INNER_LIPS),
    "oval": mesh.FACE_OVAL,
    "irises": mesh.IRISES,
}


@dataclass(frozen=True)
class DetectionCounts:
    """Faces of a set of pictures."""

    num_pictures: int
    num_true: int  # faces that are there
    num_found: int  # of them found
    num_false: int  # found where there is none
    median_s: float  # time a picture

    @property
    def found_percent(self) -> float:
        """Share of the true faces that were found."""
        return 100 * self.num_found / max(1, self.num_true)

    @property
    def false_percent(self) -> float:
        """Share of the reported faces that are none."""
        return 100 * self.num_false / max(1, self.num_found + self.num_false)


def landmark_errors(
    landmarker: Landmarker,
    pictures: Sequence[Picture],
    *,
    num_looks: int,
    jitters_each: int = 2,
    shift: float = 0.15,
    scale: float = 1.2,
    roll_degrees: float = 30.0,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Errors (N * jitters_each, 478) in percent of the distance between the eyes' centres.

    Args:
        landmarker: The network.
        pictures: Pictures with true landmarks.
        num_looks: Passes of the network.
        jitters_each: Jittered squares a picture.
        shift: Largest shift in shares of the square's side.
        scale: Largest factor and divisor of the side.
        roll_degrees: Largest roll.
        seed: Seed of the jitter.
    """
    errors = []
    for number, picture in enumerate(pictures):
        rng = np.random.default_rng((seed, number))
        truth = picture.landmarks_xy
        squares = [jittered_square(truth, rng, shift, scale, roll_degrees) for _ in range(jitters_each)]
        if num_looks == 1:
            looks = landmarker.look(picture.image, np.array(squares))
        else:
            looks = landmarker.refine(picture.image, np.array(squares), num_looks=num_looks)
        eyes = float(np.linalg.norm(truth[mesh.RIGHT_IRIS_CENTRE] - truth[mesh.LEFT_IRIS_CENTRE]))
        errors.append(100 * np.linalg.norm(looks.landmarks_xy - truth, axis=2) / eyes)
    return np.concatenate(errors)


def count_faces(detector: FaceDetector, scenes: Sequence[Scene]) -> DetectionCounts:
    """Run a detector over scenes and compare with their truth."""
    num_true = num_found = num_false = 0
    times = []
    for scene in scenes:
        started = time.perf_counter()
        faces = detector.detect(scene.image)
        times.append(time.perf_counter() - started)
        boxes = np.array([face.box_xyxy for face in faces]).reshape(-1, 4)
        # the height across the eyes' line does not grow when the face is turned
        sizes = [mesh.face_square(face.landmarks_xy, margin=1.0)[2] for face in faces]
        pairs = match_faces(
            scene.centres_xy, scene.sizes_px, (boxes[:, :2] + boxes[:, 2:]) / 2, np.array(sizes)
        )
        num_true += len(scene.centres_xy)
        num_found += len(pairs)
        num_false += len(faces) - len(pairs)
    return DetectionCounts(len(scenes), num_true, num_found, num_false, float(np.median(times)))


def read_render_cutouts(data: Path) -> list[Cutout]:
    """Cut-outs of synthetic-faces' test split and of sample-portraits."""
    with (data / "synthetic-faces" / "set.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    pairs = [
        (data / "synthetic-faces" / row["image"], data / "synthetic-faces" / row["mask"]) for row in rows
    ]
    portraits = sorted((data / "sample-portraits").glob("*.jpg"))
    pairs += [(path, path.with_name(path.stem + "_mask.png")) for path in portraits]
    return [cutout_from_masks(_read_rgb(image), np.asarray(Image.open(mask))) for image, mask in pairs]


def scenes_of_photos(data: Path, labels: Path | None) -> list[Scene]:
    """The photos with one true face each, at the place `exprgan.data.mediapipe_faces` found where its file is given."""
    places = {}
    if labels is not None:
        made = np.load(labels)
        places = dict(zip(made["names"].tolist(), made["landmarks_xy"], strict=True))
    scenes = []
    for path in sorted((data / "photos").glob("*.jpg")):
        if labels is not None and path.name not in places:
            raise UsageError(f"{labels} has no landmarks of {path.name}; make it again for this folder.")
        image = _read_rgb(path)
        points = places.get(path.name)
        if points is None:  # the portraits show one face that fills about a third of the picture's middle
            height, width = image.shape[:2]
            low, high = np.array([width, height]) * 0.33, np.array([width, height]) * 0.67
            eyes = np.array([low, high])
            size = float(high[1] - low[1])
        else:
            low, high = points.min(0), points.max(0)
            eyes = points[[mesh.RIGHT_IRIS_CENTRE, mesh.LEFT_IRIS_CENTRE]]
            size = mesh.face_square(points, margin=1.0)[2]
        scenes.append(Scene(image, ((low + high) / 2)[None], np.array([size]), eyes[None]))
    return scenes


def faceless_parts(photos: Sequence[Scene], seed: int = 0) -> list[NDArray[np.uint8]]:
    """The strips of the photos beside and below their faces, as backgrounds with hair, clothes and rooms."""
    rng = np.random.default_rng(seed)
    parts = []
    for photo in photos:
        height, width = photo.image.shape[:2]
        (x, y), reach = photo.centres_xy[0], 0.85 * photo.sizes_px[0]
        for x0, y0, x1, y1 in (
            (0, 0, x - reach, height),
            (x + reach, 0, width, height),
            (0, y + reach, width, height),
        ):
            if x1 - x0 > 120 and y1 - y0 > 120:
                part = photo.image[int(y0) : int(y1), int(x0) : int(x1)]
                parts.append(part[:, ::-1] if rng.random() < 0.5 else part)
    return parts


def summarise(errors: NDArray[np.float64]) -> dict[str, float]:
    """Mean, median and 90th percentile of the faces' errors, and the means of the groups of points."""
    faces = errors.mean(1)
    whole = {"mean": faces.mean(), "median": np.median(faces), "p90": np.percentile(faces, 90)}
    groups = {name: errors[:, list(points)].mean() for name, points in GROUPS.items()}
    return {name: round(float(value), 3) for name, value in {**whole, **groups}.items()}


def _read_rgb(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as file:
        return np.asarray(file.convert("RGB"))


def _report_detection(detector: FaceDetector, scenes: Sequence[Scene]) -> dict[str, Any]:
    counts = count_faces(detector, scenes)
    return {
        **asdict(counts),
        "found_percent": round(counts.found_percent, 2),
        "false_percent": round(counts.false_percent, 2),
    }


def _detection(
    detector: FaceDetector,
    data: Path,
    pictures: Sequence[Picture],
    photo_labels: Path | None,
    scenes: int,
    seed: int,
) -> dict[str, Any]:
    """What a detector finds on the photos and in made scenes; half as many of photographs as of renders."""
    photos = scenes_of_photos(data, photo_labels)
    backgrounds = faceless_parts(photos)
    ovals = [cutout_from_landmarks(picture.image, picture.landmarks_xy) for picture in pictures]
    return {
        "photos": _report_detection(detector, photos),
        **{
            f"made_scenes_of_{kind}": _report_detection(
                detector, [make_scene(cutouts, start, n, backgrounds=backgrounds) for n in range(count)]
            )
            for kind, cutouts, start, count in (
                ("renders", read_render_cutouts(data), seed, scenes),
                ("photographs", ovals, seed + 1000, scenes // 2),
            )
        },
        "turned_scenes_of_photographs": _report_detection(
            detector,
            [
                quarter_turned(make_scene(ovals, seed + 2000, n, backgrounds=backgrounds), 1 + n % 3)
                for n in range(scenes // 4)
            ],
        ),
    }


def _heads(landmarker: Landmarker, pictures: Sequence[Picture], seed: int) -> dict[str, Any]:
    """Depth and expression as the last of three looks tells them."""
    depths: list[float] = []
    said: list[NDArray[np.float64]] = []
    labels: list[NDArray[np.float32]] = []
    rng = np.random.default_rng(seed)
    for picture in pictures:
        square = jittered_square(picture.landmarks_xy, rng, 0.1, 1.1, 10)
        looks = landmarker.refine(picture.image, square[None])
        if looks.depth_px is None or looks.blendshapes is None:
            return {}
        assert picture.depth_px is not None and picture.blendshapes is not None
        wanted = picture.depth_px - picture.depth_px.mean()
        eyes = picture.landmarks_xy[[mesh.RIGHT_IRIS_CENTRE, mesh.LEFT_IRIS_CENTRE]]
        depths.append(float(np.abs(looks.depth_px[0] - wanted).mean() / np.linalg.norm(eyes[0] - eyes[1])))
        said.append(looks.blendshapes[0])
        labels.append(picture.blendshapes)
    known = [place for place in range(len(mesh.BLENDSHAPES)) if np.ptp(np.array(labels)[:, place]) > 0.05]
    correlations = {
        mesh.BLENDSHAPES[place]: float(
            np.corrcoef(np.array(said)[:, place], np.array(labels)[:, place])[0, 1]
        )
        for place in known
    }
    return {
        "depth": {"mean_percent": 100 * float(np.mean(depths))},
        "blendshapes_r": {"mean": float(np.mean(list(correlations.values()))), **correlations},
    }


def report_of_landmarks(
    files: NetworkFiles,
    data: Path,
    *,
    detector: str = "builtin",
    photo_labels: Path | None = None,
    scenes: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Errors of a landmark network by number of looks, and what is detected with it.

    Where the network tells depth and expression: the depths' mean error in percent of the eyes' distance, and the
    correlation of each coefficient with its label over the faces, and at the mean.

    Args:
        files: The network.
        data: Folder with open-faces, synthetic-faces, photos and sample-portraits.
        detector: What proposes faces: builtin or retinaface.
        photo_labels: Landmarks of the photos, made by `exprgan.data.mediapipe_faces`.
        scenes: Made scenes of renders.
        seed: Of jitter and scenes.
    """
    landmarker = Landmarker(files.load())
    pictures = read_open_faces(data / "open-faces", "val")
    errors = {
        f"landmarks_{looks}_looks": summarise(
            landmark_errors(landmarker, pictures, num_looks=looks, seed=seed)
        )
        for looks in (1, 2, 3)
    }
    errors |= _heads(landmarker, pictures, seed)
    opened: FaceDetector
    if detector == "retinaface":
        opened = RetinaFaceDetector(load_network(), landmarker)
    else:
        opened = BuiltinDetector(Proposer(find("face_proposer", files.weights).load()), landmarker)
    return {**errors, **_detection(opened, data, pictures, photo_labels, scenes, seed)}


def report_of_proposer(
    files: NetworkFiles, data: Path, *, photo_labels: Path | None = None, scenes: int = 200, seed: int = 0
) -> dict[str, Any]:
    """What is detected with a proposer of faces; arguments as for `report_of_landmarks`."""
    landmarker = Landmarker(find("landmarks", files.weights).load())
    detector = BuiltinDetector(Proposer(files.load()), landmarker)
    pictures = read_open_faces(data / "open-faces", "val")
    return _detection(detector, data, pictures, photo_labels, scenes, seed)
