"""Data sets in miniature: the layouts of the closed sets, file by file, made of four rendered faces.

Each function fills a folder as the set's makers hand it out and puts a few files into it that do not fit. The
pictures are renders of this project (see tests/data/README.md).
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from exprgan.action_units import BLENDSHAPES
from exprgan.face_parts import CLASS_NAMES

FACES = Path(__file__).resolve().parent / "data" / "faces"
RENDERS = ("0007_neutral", "0047_happy", "0087_surprise", "0134_anger")
AFFECTNET_HEAD = (
    "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
)


def render(name: str) -> NDArray[np.uint8]:
    """A rendered face, uint8 RGB (256, 256, 3)."""
    with Image.open(FACES / f"{name}.jpg") as file:
        return np.asarray(file)


def render_mask(name: str) -> NDArray[np.uint8]:
    """Its class numbers, uint8 (256, 256)."""
    with Image.open(FACES / f"{name}.png") as file:
        return np.asarray(file)


def photo(
    name: str, size_wh: tuple[int, int] = (320, 400), at_xy: tuple[int, int] = (30, 60)
) -> NDArray[np.uint8]:
    """A render on a larger grey picture, its upper left corner at `at_xy`."""
    canvas = np.full((size_wh[1], size_wh[0], 3), 128, np.uint8)
    canvas[at_xy[1] : at_xy[1] + 256, at_xy[0] : at_xy[0] + 256] = render(name)
    return canvas


def save(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a picture; its folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)


def blank(path: Path) -> None:
    """A picture without a face."""
    save(path, np.full((200, 200, 3), 90, np.uint8))


def make_class_folders(folder: Path) -> None:
    """Folders by expression and alias, with odd names, a damaged picture, one without a face, and strays."""
    save(folder / "neutral" / "anna.jpg", photo(RENDERS[0]))
    save(folder / "neutral" / "anna.png", photo(RENDERS[1]))
    save(folder / "Smile" / "deep" / "Ünal 1.b.jpg", photo(RENDERS[1]))
    save(folder / "surprised" / "s.JPG", photo(RENDERS[2], at_xy=(10, 20)))
    save(folder / "angry" / "a.webp", photo(RENDERS[3]))
    blank(folder / "angry" / "nobody.jpg")
    (folder / "angry" / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 not much of a picture")
    (folder / "angry" / "notes.txt").write_text("no picture")
    save(folder / "grumpyish" / "x.jpg", photo(RENDERS[3]))
    save(folder / "stray.jpg", photo(RENDERS[0]))
    (folder / ".hidden").mkdir()


def make_split_folders(folder: Path) -> None:
    """Folders by split and then by expression."""
    for split, name in (("train", RENDERS[0]), ("valid", RENDERS[1]), ("test", RENDERS[2])):
        save(folder / split / "happy" / f"{split}.jpg", photo(name))


def make_rafd(folder: Path) -> None:
    """Names of RaFD: three cameras that see a face, a profile, and names that are none."""
    for camera, model, expression, gaze, name in (
        ("090", "28", "angry", "frontal", RENDERS[3]),
        ("090", "28", "contemptuous", "left", RENDERS[0]),
        ("045", "28", "neutral", "right", RENDERS[0]),
        ("090", "57", "happy", "frontal", RENDERS[1]),
        ("135", "57", "surprised", "frontal", RENDERS[2]),
        ("180", "57", "surprised", "frontal", RENDERS[2]),
    ):
        sex = "male" if model == "28" else "female"
        save(folder / f"Rafd{camera}_{model}_Caucasian_{sex}_{expression}_{gaze}.jpg", photo(name))
    save(folder / "Rafd090_61_Kid_female_sad_frontal.jpg", photo(RENDERS[0]))
    save(folder / "Rafd090_61_Kid_female_bored_frontal.jpg", photo(RENDERS[0]))
    save(folder / "cover.jpg", photo(RENDERS[0]))


def make_kdef(folder: Path) -> None:
    """Folders and names of KDEF: two sessions of one person, profiles, and a broken name of the release."""
    for name, face in (
        ("AF01/AF01AFS.JPG", RENDERS[2]),
        ("AF01/AF01HAS.JPG", RENDERS[1]),
        ("AF01/AF01NEHL.JPG", RENDERS[0]),
        ("AF01/AF01NEFL.JPG", RENDERS[0]),
        ("BF01/BF01SUS.JPG", RENDERS[2]),
        ("AM31/AM31ANS.JPG", RENDERS[3]),
        ("AM31/AM31DIS.JPG", RENDERS[3]),
        ("AM31/AM31SAHR.JPG", RENDERS[0]),
        ("AF31/AF31V.JPG", RENDERS[0]),
    ):
        save(folder / "KDEF" / name, photo(face, (562 // 2, 762 // 2), (12, 80)))


def make_cfd(folder: Path) -> None:
    """Folders and names of CFD 3.0, its extensions, and norming data."""
    images = folder / "CFD Version 3.0" / "Images"
    for name, face in (
        ("CFD/AF-212/CFD-AF-212-097-N.jpg", RENDERS[0]),
        ("CFD/AF-212/CFD-AF-212-100-HO.jpg", RENDERS[1]),
        ("CFD/AF-212/CFD-AF-212-101-HC.jpg", RENDERS[1]),
        ("CFD/BM-010/CFD-BM-010-003-A.jpg", RENDERS[3]),
        ("CFD/BM-010/CFD-BM-010-004-F.jpg", RENDERS[2]),
        ("CFD-MR/CFD-MF-300-002-N.jpg", RENDERS[0]),
        ("CFD-INDIA/CFD-IM-647-548-N.jpg", RENDERS[0]),
        ("CFD/AF-212/CFD-AF-212-099-X.jpg", RENDERS[0]),
    ):
        save(images / name, photo(face))
    (folder / "CFD Version 3.0" / "CFD 3.0 Norming Data and Codebook.xlsx").write_bytes(b"PK")


def make_affectnet_lists(folder: Path) -> None:
    """The full release: lists and folders; a photo of two faces, labels 8 to 10, rows that do not fit."""
    two = np.concatenate([photo(RENDERS[1]), photo(RENDERS[0])], axis=1)
    images = folder / "Manually_Annotated_Images"
    save(images / "1" / "two.jpg", two)
    save(images / "2" / "angry.jpg", photo(RENDERS[3]))
    save(images / "3" / "none.jpg", photo(RENDERS[0]))
    save(images / "689" / "happy.jpg", photo(RENDERS[1]))
    rows = [
        # the face on the right is the one that is labelled
        ("1/two.jpg", 390, 90, 180, 220, "400;150", 0, 0.0, 0.1),
        ("2/angry.jpg", 60, 90, 200, 200, "80;150", 6, -0.4, 0.5),
        ("3/none.jpg", 60, 90, 200, 200, "80;150", 8, 0, 0),
        ("3/uncertain.jpg", 60, 90, 200, 200, "80;150", 9, 0, 0),
        ("3/house.jpg", "NULL", "NULL", "NULL", "NULL", "NULL", 10, -2, -2),
        ("3/gone.jpg", 60, 90, 200, 200, "80;150", 1, 0, 0),
        ("3/odd.jpg", 60, 90, 200, 200, "80;150", "x", 0, 0),
        ("3/eleven.jpg", 60, 90, 200, 200, "80;150", 11, 0, 0),
    ]
    lists = folder / "Manually_Annotated_file_lists"
    _write_csv(lists / "training.csv", [AFFECTNET_HEAD.split(","), *rows])
    # the validation list comes without a head
    _write_csv(lists / "validation.csv", [("689/happy.jpg", 60, 90, 200, 200, "80;150", 1, 0.7, 0.1)])


def _write_csv(path: Path, rows: Iterable[Iterable[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def make_affectnet_arrays(folder: Path) -> None:
    """The smaller release: faces with a file for each annotation, and some that do not fit together."""
    for split, number, label, name in (
        ("train_set", 0, "0", RENDERS[0]),
        ("train_set", 10, "6", RENDERS[3]),
        ("train_set", 2, "3", RENDERS[2]),
        ("val_set", 1, "1", RENDERS[1]),
    ):
        small = cv2.resize(render(name), (224, 224), interpolation=cv2.INTER_AREA)
        save(folder / split / "images" / f"{number}.jpg", small)
        annotations = folder / split / "annotations"
        annotations.mkdir(exist_ok=True)
        np.save(annotations / f"{number}_exp.npy", np.array(label))
        np.save(annotations / f"{number}_val.npy", np.array("0.1"))
        np.save(annotations / f"{number}_aro.npy", np.array("0.2"))
        np.save(annotations / f"{number}_lnd.npy", np.zeros(136))
    save(folder / "train_set" / "images" / "77.jpg", render(RENDERS[0]))  # not annotated
    np.save(folder / "train_set" / "annotations" / "88_exp.npy", np.array("1"))  # without a picture
    save(folder / "train_set" / "images" / "99.jpg", render(RENDERS[0]))
    (folder / "train_set" / "annotations" / "99_exp.npy").write_bytes(b"no array")


def make_celebamask_hq(folder: Path) -> None:
    """Portraits of 1024 px, masks of 512 px a class, mapping and identities."""
    ids = {0: 119613, 1: 162770, 2: 162771, 3: 182638, 2000: 5}
    for number, name in zip((0, 1, 2, 3, 2000), (*RENDERS, RENDERS[0]), strict=True):
        portrait = cv2.resize(render(name), (1024, 1024), interpolation=cv2.INTER_CUBIC)
        save(folder / "CelebA-HQ-img" / f"{number}.jpg", portrait)
        labels = cv2.resize(render_mask(name), (512, 512), interpolation=cv2.INTER_NEAREST)
        for label in np.unique(labels[labels > 0]):
            part = np.where(labels == label, 255, 0).astype(np.uint8)
            below = folder / "CelebAMask-HQ-mask-anno" / str(number // 2000)
            save(below / f"{number:05d}_{CLASS_NAMES[label]}.png", np.dstack([part] * 3))
    save(folder / "CelebA-HQ-img" / "4.jpg", portrait)  # no mask
    save(folder / "CelebA-HQ-img" / "5.jpg", portrait)  # not in the mapping
    save(folder / "CelebA-HQ-img" / "contact-sheet.jpg", portrait)
    lines = ["idx      orig_idx     orig_file"]
    lines += [f"{n}        {original}       {original + 1:06d}.jpg" for n, original in {**ids, 4: 6}.items()]
    (folder / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(lines) + "\n")
    (folder / "identity_CelebA.txt").write_text("119614.jpg 2880\n000006.jpg 2880\n")


def make_mmi(folder: Path) -> None:
    """Sessions of MMI: a coded video, one that lies on its side, a still, a profile, and damaged ones."""
    sessions = folder / "Sessions"
    frames = [photo(RENDERS[0])] * 3 + [photo(RENDERS[1])] * 4 + [photo(RENDERS[0])] * 3
    _make_session(sessions / "1", "S001-001", emotion=4, view=0, units={"12": [3, 4, 7, 9], "L6": [4, 8]})
    make_video(sessions / "1" / "S001-001.avi", frames)
    _make_session(sessions / "2", "S002-005", emotion=6, view=0)
    lying = [np.rot90(photo(name)) for name in (RENDERS[0], RENDERS[2], RENDERS[0])]
    make_video(sessions / "2" / "S002-005.avi", lying)
    _make_session(sessions / "10", "S002-007", view=2, units={"4": [1]})
    save(sessions / "10" / "S002-007.jpg", photo(RENDERS[3]))
    _make_session(sessions / "11", "S003-001", emotion=1, view=1)
    make_video(sessions / "11" / "S003-001.avi", frames[:2])
    _make_session(sessions / "12", "S003-002", emotion=9, view=0)
    make_video(sessions / "12" / "S003-002.avi", frames[:2])
    _make_session(sessions / "13", "S003-003", view=0)
    make_video(sessions / "13" / "S003-003.avi", frames[:2])
    _make_session(sessions / "14", "S003-004", emotion=2, view=0)
    (sessions / "14" / "S003-004.avi").write_bytes(b"RIFF no video")
    _make_session(sessions / "15", "S003-005", emotion=2, view=0)
    _make_session(sessions / "16", "S003-006", emotion=2, view=0)
    make_video(sessions / "16" / "S003-006.avi", frames[:2])
    (sessions / "16" / "S003-006.xml").write_text("<Metadata>")


def make_video(path: Path, frames: list[NDArray[np.uint8]]) -> None:
    """An AVI of JPEG frames."""
    height, width = frames[0].shape[:2]
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (width, height))
    for frame in frames:
        video.write(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2BGR))
    video.release()


def _make_session(
    folder: Path,
    name: str,
    *,
    view: int,
    emotion: int | None = None,
    units: dict[str, list[int]] | None = None,
) -> None:
    folder.mkdir(parents=True)
    (folder / "session.xml").write_text(
        f'<?xml version="1.0"?><session><track type="Video" view="{view}" filename="{name}.avi"/></session>'
    )
    tags = '<Metatag Name="Subject" Value="1"/>'
    if emotion is not None:
        tags += f'<Metatag Name="Emotion" Value="{emotion}"/>'
    (folder / f"{name}.xml").write_text(f'<?xml version="1.0"?><Metadata>{tags}</Metadata>')
    if units:
        coded = "".join(
            f'<ActionUnit Number="{unit}">'
            + "".join(f'<Marker Frame="{frame}" Type="1"/>' for frame in frames)
            + "</ActionUnit>"
            for unit, frames in units.items()
        )
        (folder / f"{name}-oao_aucs.xml").write_text(f'<?xml version="1.0"?><Annotation>{coded}</Annotation>')


def make_synthetic_faces(folder: Path) -> None:
    """The renders themselves as a set synthetic-faces of four frames."""
    (folder / "img").mkdir(parents=True)
    (folder / "seg").mkdir()
    names = sorted({name for sources in BLENDSHAPES.values() for name in sources})
    rows = [
        ("row", "image", "mask", "identity", "split", "expression", "intensity", "recipe", "pitch", "yaw")
    ]
    scores = np.zeros((len(RENDERS), len(names)), np.float32)
    scores[:, names.index("jawOpen")] = (0, 0.25, 0.5, 0)
    for number, name in enumerate(RENDERS):
        shutil.copy(FACES / f"{name}.jpg", folder / "img")
        shutil.copy(FACES / f"{name}.png", folder / "seg")
        identity, expression = name.split("_")
        split = "test" if identity == "0134" else "train"
        recipe = json.dumps({"26": 0.1 * number})
        cells = (
            number,
            f"img/{name}.jpg",
            f"seg/{name}.png",
            int(identity),
            split,
            expression,
            1.0,
            recipe,
            0,
            0,
        )
        rows.append(tuple(str(cell) for cell in cells))
    _write_csv(folder / "set.csv", rows)
    shapes = {"coefs": scores[:, [names.index("jawOpen")]], "coef_names": np.array(["jawOpen"])}
    np.savez(folder / "labels.npz", arkit52=scores, arkit52_names=np.array(names), **shapes)


def make_open_faces(folder: Path) -> None:
    """The renders as a set open-faces of 320 px."""
    names = sorted({name for sources in BLENDSHAPES.values() for name in sources})
    expression_names = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"]
    head = ["file", "source", "licence", "origin", "split", "subject", "yaw_deg", "pitch_deg", "roll_deg"]
    # (source, origin, split, subject, soft labels, blendshapes)
    faces: list[tuple[str, str, str, str, dict[str, float], dict[str, float]]] = [
        ("sfhq", "a.jpg", "train", "", {"neutral": 0.9}, {}),
        ("sfhq", "b.jpg", "train", "", {"neutral": 0.9}, {"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}),
        ("sfhq", "c.jpg", "val", "", {"happiness": 0.8}, {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9}),
        ("sfhq", "d.jpg", "train", "", {"surprise": 0.7}, {"jawOpen": 0.5}),
        ("sfhq", "e.jpg", "train", "", {"surprise": 0.55}, {"jawOpen": 0.5}),
        ("sfhq", "f.jpg", "train", "", {"sadness": 0.9}, {"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.9}),
        ("sfhq", "g.jpg", "train", "", {"sadness": 0.9}, {}),
        ("sfhq", "h.jpg", "train", "", {"anger": 0.99}, {}),
        ("sfhq", "i.jpg", "train", "", {"fear": 0.99}, {}),
        ("london", "007_08.jpg", "train", "007", {"neutral": 0.9}, {}),
        ("london", "007_03.jpg", "train", "007", {"anger": 0.9}, {}),
        ("london", "007_05.jpg", "train", "007", {"neutral": 0.9}, {}),
    ]
    probabilities = np.full((len(faces), 7), 0.001, np.float32)
    scores = np.zeros((len(faces), len(names)), np.float16)
    rows = []
    for number, (source, origin, split, subject, soft, shown) in enumerate(faces):
        rows.append(
            (f"{source}_{number:05d}.jpg", source, "MIT", origin, split, subject, "1.0", "0.0", "0.0")
        )
        for name, value in soft.items():
            probabilities[number, expression_names.index(name)] = value
        for name, value in shown.items():
            scores[number, names.index(name)] = value
        crop = cv2.resize(render(RENDERS[number % 4]), (320, 320), interpolation=cv2.INTER_CUBIC)
        save(folder / "faces" / f"{source}_{number:05d}.jpg", crop)
    _write_csv(folder / "faces.csv", [head, *rows])
    np.savez(
        folder / "annotations.npz",
        landmarks_px=np.zeros((len(faces), 478, 3), np.float16),
        blendshapes=scores,
        blendshape_names=np.array(names),
        expression_probs=probabilities,
        expression_names=np.array(expression_names),
    )
