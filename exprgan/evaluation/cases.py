"""Which faces an evaluation edits: held-out photographs, held-out renders with a true answer, and a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from exprgan.data.face_set import FaceSet
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.errors import UsageError
from exprgan.evaluation.judging import face_region
from exprgan.expressions import EXPRESSIONS
from exprgan.models.pixels import to_tensor

LEAST_REFERENCE = 64
"""Fewer held-out faces than this make no reference for FID and KID; the edited faces' photos stand in."""


@dataclass(frozen=True)
class Case:
    """A face to edit.

    image: float32 (1, 3, 256, 256) in [-1, 1], RGB, aligned. expression: its own, index into `EXPRESSIONS`, -1
    unknown. face: bool (256, 256), the set's own mask of the face with a margin, None where it has none.
    """

    set_name: str
    row: int
    person: str
    image: Tensor
    expression: int
    face: NDArray[np.bool_] | None

    @property
    def label(self) -> str:
        """Set and row, for tables."""
        return f"{self.set_name} {self.row}"


@dataclass(frozen=True)
class RenderPair:
    """Two frames of one rendered identity: what is edited, and the truth."""

    person: str
    source: Tensor  # float32 (1, 3, 256, 256) in [-1, 1]
    target: Tensor
    face: NDArray[np.bool_]  # bool (256, 256), the face in either frame
    expression: int
    strength: float
    shapes: dict[str, float]  # what the target was rendered with, by ICT-FaceKit's names


@dataclass(frozen=True)
class Cases:
    """Everything that all systems are measured on."""

    faces: list[Case]
    reference: list[tuple[FaceSet, int]]  # held-out photos that are not edited, for FID and KID
    pairs: list[RenderPair]
    split: dict[str, str]  # held-out split by set

    @property
    def reference_expressions(self) -> NDArray[np.int64]:
        """Labels (R,) of the reference, numbers of `EXPRESSIONS`, -1 where there is none."""
        return np.array([int(face_set.expressions[row]) for face_set, row in self.reference], np.int64)


def held_out_split(face_set: FaceSet) -> str:
    """test where the set has one, else val; empty where it has neither."""
    present = set(face_set.splits.tolist())
    return next((split for split in ("test", "val") if split in present), "")


def choose(
    sets: Sequence[FaceSet], count: int, seed: int, *, allowed: Mapping[str, Sequence[int]] | None = None
) -> Cases:
    """Faces, reference and pairs of an evaluation; the same for the same sets, count and seed.

    Photographs come from all sets but synthetic-faces, whose frames make the pairs; where there is no other set,
    its neutral frames are the faces. Rows are drawn in an order that depends on the seed alone, or in the
    order of `allowed`.

    Args:
        sets: Sets of aligned crops.
        count: Faces to edit, at most.
        seed: Of the choice.
        allowed: By set, the only rows to take, in their order: those that the geometry teacher can do.

    Raises:
        UsageError: No set has held-out faces.
    """
    split = {face_set.name: held_out_split(face_set) for face_set in sets}
    rendered = [face_set for face_set in sets if isinstance(face_set, SyntheticFaces)]
    photos = [face_set for face_set in sets if not isinstance(face_set, SyntheticFaces)]
    pairs = [pair for face_set in rendered for pair in render_pairs(face_set, split[face_set.name])]
    pool = [
        (face_set, int(row))
        for face_set in photos or rendered
        for row in np.flatnonzero(face_set.splits == split[face_set.name])
        if split[face_set.name] and (photos or face_set.expressions[row] == EXPRESSIONS.index("neutral"))
    ]
    if not pool:
        raise UsageError(
            "The data has no held-out faces (no split test or val); name a set that has some with --data."
        )
    order = np.random.default_rng(seed).permutation(len(pool))
    shuffled = [pool[place] for place in order]
    chosen = _allowed(shuffled, allowed or {})[:count]
    if not chosen:
        raise UsageError("The geometry teacher can do none of the held-out faces; leave out --teacher.")
    taken = {(face_set.name, row) for face_set, row in chosen}
    rest = [(face_set, row) for face_set, row in shuffled if (face_set.name, row) not in taken]
    reference = rest if len(rest) >= LEAST_REFERENCE else chosen
    return Cases([_case(*entry) for entry in chosen], reference, pairs, split)


def _allowed(
    pool: list[tuple[FaceSet, int]], allowed: Mapping[str, Sequence[int]]
) -> list[tuple[FaceSet, int]]:
    """Entries whose set has a list of allowed rows only where they are on it, in its order."""
    place = {(name, row): number for name, rows in allowed.items() for number, row in enumerate(rows)}
    kept = [entry for entry in pool if entry[0].name not in allowed or (entry[0].name, entry[1]) in place]
    return sorted(kept, key=lambda entry: place.get((entry[0].name, entry[1]), len(place)))


def _case(face_set: FaceSet, row: int) -> Case:
    mask = face_set.mask(row)
    return Case(
        set_name=face_set.name,
        row=row,
        person=str(face_set.subjects[row]) or f"row {row}",
        image=to_tensor(face_set.image(row)),
        expression=int(face_set.expressions[row]),
        face=None if mask is None else face_region(mask),
    )


def render_pairs(data: SyntheticFaces, split: str) -> list[RenderPair]:
    """All pairs neutral -> expression of a split's identities, at the render's own intensity."""
    pairs = []
    for person in data.identities(split):
        if not person["neutral"]:
            continue
        neutral = person["neutral"][0]
        source, before = to_tensor(data.image(neutral)), face_region(data.mask(neutral), 0)
        for expression, frames in person.items():
            for frame in frames if expression != "neutral" else []:
                pairs.append(
                    RenderPair(
                        person=str(data.subjects[frame]),
                        source=source,
                        target=to_tensor(data.image(frame)),
                        face=before | face_region(data.mask(frame), 0),
                        expression=EXPRESSIONS.index(expression),
                        strength=data.intensity(frame),
                        shapes=data.shapes(frame),
                    )
                )
    return pairs
