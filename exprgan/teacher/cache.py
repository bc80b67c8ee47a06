"""Renders of the geometry teacher, kept on disk.

A variant is one render of a face: variants 0 to 7 are the eight expressions at strength 1, later ones have an
expression and a strength that depend on (face, variant). What is stored is a pure function of the set, so a
cache may be filled ahead of the training (`exprgan.teacher.fill`), during it, or by several processes at once.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.open_faces import OpenFaces
from exprgan.data.pictures import decode_rgb
from exprgan.expressions import EXPRESSIONS
from exprgan.face_model.fit import FaceAnalysis
from exprgan.face_model.vocabulary import Recipe, class_recipes
from exprgan.files import write_whole
from exprgan.teacher.geometry_teacher import GeometryTeacher

FLOW_SCALE = 256
"""Flow is stored as int16 in 1/256 px."""
WEAKEST = 0.15


@dataclass(frozen=True)
class TeacherRender:
    """A face with an expression, in the 256-px crop.

    image: uint8 RGB (256, 256, 3). flow_px: float32 (128, 128, 2), backward flow (x, y) in px of the 256-px
    crop, at half of its resolution. valid: uint8 (128, 128), 255 where the flow is a true correspondence.
    mouth: uint8 (256, 256), 255 where the mouth's interior was put in. place_cm: float32 (128, 128, 2), place on
    the chart of `exprgan.models.mouth_interior` in and around that interior, 0 elsewhere. points_xy: float32 (468, 2).
    """

    image: NDArray[np.uint8]
    flow_px: NDArray[np.float32]
    valid: NDArray[np.uint8]
    mouth: NDArray[np.uint8]
    place_cm: NDArray[np.float32]
    points_xy: NDArray[np.float32]


def variant_of(face: int, variant: int) -> tuple[str, float]:
    """Expression and strength of a variant of a face."""
    if variant < len(EXPRESSIONS):
        return EXPRESSIONS[variant], 1.0
    strength = float(np.random.default_rng((face, variant)).uniform(WEAKEST, 0.95))
    return EXPRESSIONS[(face + 3 * variant) % len(EXPRESSIONS)], strength


class TeacherCache:
    """Renders by (face, variant), made when first asked for.

    Args:
        faces: The open-faces set.
        teacher_dir: Folder with geometry_basis.npz; None takes the bundled basis.
        cache_dir: Where renders are kept; it grows by about 100 kB a render.
    """

    recipes: ClassVar[Mapping[str, Recipe]] = class_recipes()

    def __init__(self, faces: OpenFaces, teacher_dir: Path | None, cache_dir: Path) -> None:
        self.faces, self.teacher_dir, self.cache_dir = faces, teacher_dir, cache_dir
        self._teacher: GeometryTeacher | None = None
        self._analysis: tuple[int, FaceAnalysis] | None = None
        cache_dir.mkdir(parents=True, exist_ok=True)

    @property
    def teacher(self) -> GeometryTeacher:
        """The teacher, loaded when first needed."""
        if self._teacher is None:
            self._teacher = GeometryTeacher(self.teacher_dir, self.recipes)
        return self._teacher

    def usable(self) -> list[int]:
        """Rows that the teacher can handle, in a shuffled order that never changes.

        Judged once, in about two minutes, and kept as usable.json.
        """
        path = self.cache_dir / "usable.json"
        if not path.exists():
            rows = [
                face
                for face in range(len(self.faces.rows))
                if self.teacher.usable(self._analyse(face, np.zeros((256, 256, 3), np.uint8)))[0]
            ]
            write_whole(path, json.dumps(rows).encode())
        rows_kept = np.array(json.loads(path.read_text()), np.int64)
        return [int(row) for row in np.random.default_rng(0).permutation(rows_kept)]

    def get(self, face: int, variant: int) -> TeacherRender:
        """The render of a variant, from disk or made now."""
        path = self.cache_dir / f"{face:05d}" / f"{variant:02d}.npz"
        if not path.exists():
            self._make(face, variant, path)
        with np.load(path) as stored:
            return TeacherRender(
                image=decode_rgb(stored["image"].tobytes()),
                flow_px=stored["flow"].astype(np.float32) / FLOW_SCALE,
                valid=_decode_grey(stored["valid"]),
                mouth=_decode_grey(stored["mouth"]),
                place_cm=_unpack(stored["place"], stored["place_corner"]),
                points_xy=stored["points"].astype(np.float32),
            )

    def picture(self, face: int, variant: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Image and points of the render of a variant alone, which reads a tenth of what `get` does."""
        path = self.cache_dir / f"{face:05d}" / f"{variant:02d}.npz"
        if not path.exists():
            self._make(face, variant, path)
        with np.load(path) as stored:
            return decode_rgb(stored["image"].tobytes()), stored["points"].astype(np.float32)

    def _analyse(self, face: int, image: NDArray[np.uint8]) -> FaceAnalysis:
        if self._analysis is None or self._analysis[0] != face:
            landmarks = self.faces.landmarks_px(face)
            self._analysis = face, self.teacher.analyse(image, landmarks, self.faces.scores(face))
        return self._analysis[1]

    def expression_of(self, face: int, variant: int) -> tuple[str, float]:
        """Expression, a name of the teacher's recipes, and strength of a variant of a face."""
        return variant_of(face, variant)

    def _make(self, face: int, variant: int, path: Path) -> None:
        expression, strength = self.expression_of(face, variant)
        image = self.faces.image(face)
        result = self.teacher.render(image, self._analyse(face, image), expression, strength)
        prior = result.prior
        flow, mouth = prior.whole_flow(), prior.mouth
        cover, place_cm = np.zeros(flow.shape[:2], np.float32), np.zeros_like(flow)
        if mouth is not None and mouth.interior is not None:
            cover, place_cm = prior.cover(mouth), mouth.on_chart()[..., :2]
        valid = cv2.resize(prior.valid().astype(np.float32), (128, 128), interpolation=cv2.INTER_AREA)
        place, place_corner = _pack(_half_of_known(place_cm))
        buffer = io.BytesIO()
        np.savez(
            buffer,
            image=_encode(".jpg", cv2.cvtColor(result.image, cv2.COLOR_RGB2BGR)),
            flow=np.rint(cv2.resize(flow, (128, 128), interpolation=cv2.INTER_AREA) * FLOW_SCALE).astype(
                np.int16
            ),
            valid=_encode(".png", np.where(valid > 0.99, 255, 0).astype(np.uint8)),
            mouth=_encode(".png", np.rint(cover * 255).astype(np.uint8)),
            place=place,
            place_corner=place_corner,
            points=prior.target_px[:, :2].astype(np.float16),
        )
        path.parent.mkdir(exist_ok=True)
        write_whole(path, buffer.getvalue())


def _half_of_known(place_cm: NDArray[np.float32]) -> NDArray[np.float32]:
    """Places at half of the resolution, averaged over the pixels that have one; 0 where none has."""
    known = (place_cm[..., 1:] > 0).astype(np.float32)
    share = cv2.resize(known, (128, 128), interpolation=cv2.INTER_AREA)[..., None]
    total = cv2.resize(place_cm * known, (128, 128), interpolation=cv2.INTER_AREA)
    return np.where(share > 0, total / np.maximum(share, 1e-6), 0).astype(np.float32)


def _pack(place_cm: NDArray[np.float32]) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
    """The part of a map that is not 0, and its upper left corner."""
    rows, columns = np.nonzero(place_cm[..., 1])
    if not len(rows):
        return np.zeros((0, 0, 2), np.float16), np.zeros(2, np.int64)
    top, left = rows.min(), columns.min()
    return place_cm[top : rows.max() + 1, left : columns.max() + 1].astype(np.float16), np.array([top, left])


def _unpack(part: NDArray[np.float16], corner: NDArray[np.int64]) -> NDArray[np.float32]:
    place = np.zeros((128, 128, 2), np.float32)
    top, left = corner
    place[top : top + part.shape[0], left : left + part.shape[1]] = part
    return place


def _encode(suffix: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    return cv2.imencode(suffix, image, quality if suffix == ".jpg" else [])[1].ravel()


def _decode_grey(encoded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)
