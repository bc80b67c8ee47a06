r"""Photographs moved by the face model into what open-faces hardly shows: crooked mouths, puffed cheeks, raised brows.

    python -m exprgan.samples.posed --data DIR --output DIR/posed
    python -m exprgan.data.mediapipe_faces --model face_landmarker.task --images DIR/posed/img \
        --output DIR/posed/labels.npz

The landmark network learns from them as from the photographs themselves. Where the points are is known, since the face
model moved them; coefficients are labelled by the same landmarker as photographs, so that they keep its scale. Of what
that landmarker is blind for, the amounts that were asked for are the labels, and it may not see lower brows where the
picture has raised them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.data.pictures import decode_rgb
from exprgan.edit.blend import Edit, apply_edit
from exprgan.errors import UsageError
from exprgan.face_model.amounts import Amounts, on_face, scaled
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.model import FaceModel
from exprgan.faces.mesh import BLENDSHAPES
from exprgan.samples.picture import Picture

BLIND = ("cheekPuff", "cheekSquint", "noseSneer")
"""Coefficients that open-faces' labels say nothing of: MediaPipe gives nearly 0 whatever the face shows."""
RARE = {
    "mouthFrown": 1.3,
    "mouthDimple": 1.3,
    "mouthLeft": 1.0,
    "mouthRight": 1.0,
    "jawLeft": 1.0,
    "jawRight": 1.0,
    "mouthStretch": 1.1,
    "mouthRollUpper": 1.0,
    "mouthRollLower": 1.0,
    "cheekPuff": 1.2,
    "cheekSquint": 1.2,
    "noseSneer": 1.2,
}
"""Shapes that a picture gets one or two of, and the largest amounts."""
RAISED = {"browInnerUp": 1.1, "browOuterUp": 1.1, "eyeWide": 1.0}
"""The same of raised brows and lids: half of the pictures have one to three of these beside them."""
RAISED_BROWS = ("browInnerUp", "browOuterUp")
COMMON = {
    "browDown": 0.8,
    "eyeSquint": 0.8,
    "mouthSmile": 0.7,
    "mouthPress": 0.8,
    "jawOpen": 0.5,
}
"""Shapes that may be there beside them."""
LEAST_SHARE = 0.5
"""Of what was asked for; faces that can show less of it are left out."""
LANDMARKER_PER_AMOUNT = 0.5
"""By so much the landmarker's score of raised brows grows for an amount of 1, in faces where it sees them."""
FILE = "{number:05d}.png"


def draw(rng: np.random.Generator) -> Amounts:
    """What a picture is to show, beside its own expression, at random."""
    sculpted: dict[str, float] = {}
    shapes = {str(name): RARE[str(name)] for name in rng.permutation(list(RARE))[: rng.integers(1, 3)]}
    shapes |= {str(name): COMMON[str(name)] for name in rng.permutation(list(COMMON))[: rng.integers(0, 3)]}
    if rng.random() < 0.5:
        shapes |= {
            str(name): RAISED[str(name)] for name in rng.permutation(list(RAISED))[: rng.integers(1, 4)]
        }
    for stem, most in shapes.items():
        amount = float(rng.uniform(0.25, 1.0) * most)
        sides = ("",) if stem.startswith("jaw") or _is_whole(stem) else ("_L", "_R")
        chosen = (str(rng.choice(sides)),) if rng.random() < 0.3 else sides
        sculpted |= {f"{stem}{side}": amount for side in chosen}
    opens = sculpted.get("jawOpen", 0.0) > 0
    return Amounts(replaced=float(rng.choice((0.0, 1.0))), sculpted=sculpted, parts_lips=opens)


def _is_whole(stem: str) -> bool:
    return stem in ("mouthLeft", "mouthRight", "mouthRollUpper", "mouthRollLower")


class Posed(NamedTuple):
    """A picture that shows amounts.

    image: uint8 RGB (256, 256, 3). points_px: (478, 3) where the face's points are in it, with depth.
    """

    image: NDArray[np.uint8]
    points_px: NDArray[np.float64]


def posed(
    face_model: FaceModel, image: NDArray[np.uint8], analysis: FaceAnalysis, amounts: Amounts
) -> Posed | None:
    """A crop that shows the amounts; None if the face can show too little of them."""
    share = face_model.possible_share(analysis, amounts)
    if share < LEAST_SHARE:
        return None
    prior = face_model.prior(image, analysis, scaled(amounts, share) if share < 1 else amounts)
    points = np.concatenate([prior.target_px, analysis.landmarks_px[468:]])
    return Posed(apply_edit(image, Edit.from_prior(prior), np.eye(2, 3)), points)


def asked_of(amounts: Amounts, stems: tuple[str, ...]) -> NDArray[np.float32]:
    """The amounts (51,) of sculpted shapes whose names start so, by `BLENDSHAPES`; NaN for all others."""
    labels = np.full(len(BLENDSHAPES), np.nan, np.float32)
    for place, name in enumerate(BLENDSHAPES):
        if not name.startswith(stems):
            continue
        stem, side = next(
            ((name.removesuffix(end), end[0]) for end in ("Left", "Right") if name.endswith(end)), (name, "")
        )
        asked = [amounts.sculpted.get(f"{stem}_{each}", 0.0) for each in side or "LR"]
        labels[place] = sum(asked) / len(asked)
    return labels


def least_labels(amounts: Amounts, own: NDArray[np.floating]) -> NDArray[np.float32]:
    """Coefficients (51,) that the picture shows at least, with the photograph's own (51,); NaN where unknown."""
    asked = asked_of(amounts, RAISED_BROWS)
    grown = (1 - amounts.replaced) * own + LANDMARKER_PER_AMOUNT * asked
    return np.minimum(0.9, np.where(asked > 0, grown, np.nan)).astype(np.float32)


def write_posed(data: Path, output: Path, count: int, first: int = 0) -> int:
    """Write img/NNNNN.png and blind.npz of numbers `first` to `first + count`; the number of pictures written.

    Number n is a pure function of n and of the set; open-faces' split train is gone through in turn.

    Raises:
        UsageError: There is no open-faces in the folder.
    """
    faces, face_model = OpenFaces(data / "open-faces"), FaceModel()
    rows = faces.indices("train")
    (output / "img").mkdir(parents=True, exist_ok=True)
    names, blind, least, points, sources = [], [], [], [], []
    for number in range(first, first + count):
        row, rng = rows[number % len(rows)], np.random.default_rng((7, number))
        image, amounts = faces.image(row), draw(rng)
        own = faces.scores(row)
        analysis = face_model.analyse(image.shape[:2], faces.landmarks_px(row), own)
        amounts = on_face(amounts, face_model.basis, analysis.scores)
        picture = posed(face_model, image, analysis, amounts)
        if picture is None:
            continue
        names.append(FILE.format(number=number))
        blind.append(np.minimum(1, asked_of(amounts, BLIND)))
        least.append(least_labels(amounts, np.array([own[name] for name in BLENDSHAPES])))
        points.append(picture.points_px.astype(np.float32))
        sources.append(row)
        cv2.imwrite(str(output / "img" / names[-1]), picture.image[..., ::-1])
    np.savez_compressed(
        output / f"asked-{first:05d}.npz",
        names=names,
        blind=blind,
        least=least,
        points_px=points,
        rows=sources,
    )
    return len(names)


def read_posed(folder: Path, faces: OpenFaces) -> list[Picture]:
    """The pictures of a folder that both commands of this module's head have filled, in which a face was found.

    Raises:
        UsageError: An earlier version made them.
    """
    with np.load(folder / "labels.npz") as stored:
        made = {name: stored[name] for name in stored.files}
    place = {str(name): index for index, name in enumerate(made["names"])}
    pictures = []
    for path in sorted(folder.glob("asked-*.npz")):
        with np.load(path) as asked:
            columns = ("names", "blind", "least", "points_px", "rows")
            if not set(columns) <= set(asked.files):
                raise UsageError(f"{path} was made by an earlier exprgan; make the pictures again.")
            rows = list(zip(*(asked[column] for column in columns), strict=True))
        for name, blind, least, points, row in rows:
            index = place.get(str(name))
            if index is None or not made["found"][index]:
                continue
            image = decode_rgb((folder / "img" / str(name)).read_bytes())
            seen = np.fmax(made["blendshapes"][index], least)
            blendshapes = np.where(np.isnan(blind), seen, blind).astype(np.float32)
            turn = (float(faces.rows[row]["pitch_deg"]), float(faces.rows[row]["yaw_deg"]))
            pictures.append(Picture(image, points[:, :2], turn, points[:, 2], blendshapes))
    return pictures


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with open-faces")
    parser.add_argument("--output", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--count", type=int, default=3000, help="pictures to make")
    parser.add_argument("--first", type=int, default=0, help="number of the first, for several processes")
    arguments = parser.parse_args()
    write_posed(arguments.data, arguments.output, arguments.count, arguments.first)


if __name__ == "__main__":
    main()
