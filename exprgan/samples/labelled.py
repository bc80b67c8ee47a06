"""Samples for unpaired training: a face with a known expression, and another expression that it is to get.

Sources are sets of labelled crops (`exprgan.data.face_set`) and, if wanted, renders of photographs by the geometry
teacher, which show every person in every expression: without them, some expressions occur in rendered faces alone, and
a discriminator learns to tell renders from photographs instead of expressions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from exprgan.data.face_set import FaceSet
from exprgan.errors import UsageError
from exprgan.expressions import EXPRESSIONS
from exprgan.samples.augment import jitter_matrix
from exprgan.teacher.cache import TeacherCache

CONTEMPT = EXPRESSIONS.index("contempt")


class Source(Protocol):
    """Labelled crops to draw from."""

    by_expression: dict[int, list[int]]

    def image(self, row: int) -> NDArray[np.uint8]:
        """uint8 RGB (256, 256, 3)."""

    def answer(self, row: int, expression: int) -> NDArray[np.uint8] | None:
        """The same face with an expression, where it is known."""


class SetSource:
    """The labelled crops of one split of a set; the answer is another crop of the subject in the same frame, if any."""

    def __init__(self, faces: FaceSet, split: str) -> None:
        self.faces = faces
        rows = np.flatnonzero((faces.splits == split) & (faces.expressions >= 0))
        self.by_expression: dict[int, list[int]] = defaultdict(list)
        self._of_subject: dict[tuple[str, int], list[int]] = defaultdict(list)
        for row in rows.tolist():
            self.by_expression[int(faces.expressions[row])].append(row)
            self._of_subject[str(faces.subjects[row]), int(faces.expressions[row])].append(row)

    def image(self, row: int) -> NDArray[np.uint8]:
        return self.faces.image(row)

    def answer(self, row: int, expression: int) -> NDArray[np.uint8] | None:
        if (
            self.faces.name != "synthetic-faces"
        ):  # elsewhere two pictures of a person differ in more than expression
            return None
        rows = self._of_subject.get((str(self.faces.subjects[row]), expression))
        return self.faces.image(rows[0]) if rows else None


class TeacherSource:
    """The geometry teacher's renders of photographs; every answer is known. Row = 8 face + expression."""

    def __init__(self, cache: TeacherCache, faces: Sequence[int]) -> None:
        self.cache = cache
        count = len(EXPRESSIONS)
        self.by_expression = {each: [count * face + each for face in faces] for each in range(count)}

    def image(self, row: int) -> NDArray[np.uint8]:
        return self.cache.get(*divmod(row, len(EXPRESSIONS))).image

    def answer(self, row: int, expression: int) -> NDArray[np.uint8]:
        return self.cache.get(row // len(EXPRESSIONS), expression).image


@dataclass(frozen=True)
class LabelledMix:
    """How samples are drawn."""

    image_size: int = 128  # side of the pictures in px
    jitter: float = 0.5  # share of the alignment jitter that paired training has; 0 gives none
    mirror: bool = True  # horizontal flips, but of contempt, which has a side
    answers: bool = False  # whether the target picture is part of the sample where it is known


class LabelledSamples:
    """The endless stream of samples; expressions are drawn evenly, then sources, then faces.

    Args:
        sources: Where crops come from; each counts by the number of its crops of an expression, but no more than
            `most` of them, so that small sets are seen.
        mix: How samples are drawn.

    Raises:
        UsageError: No source has a labelled face.
    """

    def __init__(
        self, sources: Sequence[Source], mix: LabelledMix = LabelledMix(), *, most: int = 1000
    ) -> None:
        self.sources, self.mix = sources, mix
        self._weights = np.array(
            [[min(most, len(s.by_expression.get(e, ()))) for s in sources] for e in range(len(EXPRESSIONS))],
            np.float64,
        ).reshape(len(EXPRESSIONS), len(sources))
        self.expressions = [e for e in range(len(EXPRESSIONS)) if self._weights[e].sum() > 0]
        if not self.expressions:
            raise UsageError(
                "The data hold no face with a known expression in the split train; see `exprgan data check`."
            )

    def __call__(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number` of the stream of a seed.

        Returns:
            image (3, S, S) uint8; expression and target int64; alpha float32 in [0, 1), the place of the gradient
            penalty; with `mix.answers` also answer (3, S, S) uint8 and known, 1 where it is known, else 0.
        """
        rng = np.random.default_rng((seed, number))
        expression = int(rng.choice(self.expressions))
        target = int(rng.choice(self.expressions))
        weights = self._weights[expression]
        source = self.sources[int(rng.choice(len(weights), p=weights / weights.sum()))]
        rows = source.by_expression[expression]
        row = rows[int(rng.integers(len(rows)))]
        can_mirror = self.mix.mirror and CONTEMPT not in (expression, target)
        matrix = self._matrix(rng, can_mirror)
        sample = {
            "image": self._crop(source.image(row), matrix),
            "expression": np.int64(expression),
            "target": np.int64(target),
            "alpha": np.float32(rng.random()),
        }
        if self.mix.answers:
            answer = source.answer(row, target)
            sample["known"] = np.float32(answer is not None)
            sample["answer"] = sample["image"] if answer is None else self._crop(answer, matrix)
        return sample

    def _matrix(self, rng: np.random.Generator, can_mirror: bool) -> NDArray[np.float64]:
        matrix = jitter_matrix(rng, can_mirror=can_mirror)
        still = np.array([[1.0, 0, 0], [0, 1, 0]])
        if np.linalg.det(matrix[:, :2]) < 0:
            still = np.array([[-1.0, 0, 255], [0, 1, 0]])
        moved = still + self.mix.jitter * (matrix - still)
        # to the smaller picture: pixel centres of the two grids differ by half a pixel
        scale = self.mix.image_size / 256
        moved[:, 2] = (moved[:, 2] + 0.5) * scale - 0.5
        moved[:, :2] *= scale
        return moved

    def _crop(self, image: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
        size = self.mix.image_size
        if size < image.shape[0]:  # a plain warp to a smaller size would alias
            image = cv2.GaussianBlur(image, (0, 0), 0.35 * image.shape[0] / size).astype(np.uint8)
        small = cv2.warpAffine(
            image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        return np.ascontiguousarray(small.transpose(2, 0, 1)).astype(np.uint8)
