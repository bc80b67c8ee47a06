"""The protocol: every contestant edits the same faces, and the same judges and figures are applied to all.

Each face is edited into all eight expressions at full strength, each pair of rendered frames at the truth's own
intensity. Edits are rounded to 8 bits before anything is measured, as a file would be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from exprgan.evaluation import metrics
from exprgan.evaluation.cases import Case, Cases, RenderPair
from exprgan.evaluation.contestants import Contestant, Cost, Teacher
from exprgan.evaluation.judging import Judgement, Judges
from exprgan.evaluation.outside import Inception, Landmarker
from exprgan.expressions import EXPRESSIONS
from exprgan.models.pixels import signed, to_tensor, unsigned

NUM = len(EXPRESSIONS)
ALL = tuple(range(NUM))
Array = NDArray[np.float64]


@dataclass
class Measured:
    """Raw figures of one contestant; rows are the faces, columns the eight expressions.

    Attributes:
        name: Of the contestant.
        facts: What is known of it.
        cost: Time and size, None for baselines.
        edits: (C, 8) by figure, NaN where it does not apply.
        own: (C,) by figure of self-reconstruction: the edit to the expression that the face has.
        pairs: (P,) by figure, against true renders.
        predicted, predicted_rendered: (C, 8) expressions by either judge.
        features: (C, 8, F) for FID and KID.
        score_changes: (C, 8, K) of `JUDGED_SCORES`, by the photographs' judge.
        landmarker_changes: (C, 8, len(SCORES)) by MediaPipe, or None.
        inception: (C, 8, 2048) features of the FID Inception, or None.
        pictures: uint8 RGB (8, 256, 256, 3) of the first faces.
    """

    name: str
    facts: dict[str, Any]
    cost: Cost | None
    edits: dict[str, Array]
    own: dict[str, Array]
    pairs: dict[str, Array]
    predicted: NDArray[np.int64]
    predicted_rendered: NDArray[np.int64]
    features: Tensor
    score_changes: Array
    landmarker_changes: Array | None
    inception: Tensor | None = None
    pictures: list[NDArray[np.uint8]] = field(default_factory=list)


def rounded_to_8_bits(image: Tensor) -> NDArray[np.uint8]:
    """Crops (N, 3, H, W) in [-1, 1] as uint8 RGB (N, H, W, 3)."""
    levels = unsigned(image.float().clamp(-1, 1))
    return levels.permute(0, 2, 3, 1).contiguous().numpy()


def _unit(images: NDArray[np.uint8] | Tensor, size: int) -> Tensor:
    """8-bit or signed crops as float32 (N, 3, size, size) in [0, 1]."""
    if isinstance(images, Tensor):
        images = rounded_to_8_bits(images)
    unit = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    return unit if unit.shape[-1] == size else F.interpolate(unit, (size, size), mode="area")


def _mask(face: NDArray[np.bool_], size: int) -> Tensor:
    """A mask as float32 (1, 1, size, size), 0 or 1."""
    mask = torch.from_numpy(face.astype(np.float32))[None, None]
    return (F.interpolate(mask, (size, size), mode="area") > 0.5).float()


class Protocol:
    """Measures contestants on chosen cases.

    Args:
        cases: Faces, reference and pairs.
        judges: Expression, identity, features.
        size: Side at which pixels are compared, 256 or 128.
        teacher: The geometry teacher, for how near edits come to its renders.
        landmarker: MediaPipe's, or None.
        inception: The FID Inception, or None.
        num_pictures: Of how many faces the edits are kept for the report.
        on_face: Called after each face and each pair that a contestant has edited.
    """

    def __init__(
        self,
        cases: Cases,
        judges: Judges,
        *,
        size: int = 256,
        teacher: Teacher | None = None,
        landmarker: Landmarker | None = None,
        inception: Inception | None = None,
        num_pictures: int = 6,
        on_face: Callable[[], None] = lambda: None,
    ) -> None:
        self.cases, self.judges, self.size = cases, judges, size
        self.teacher, self.landmarker, self.num_pictures = teacher, landmarker, num_pictures
        self.inception, self.on_face = inception, on_face
        self.masks = [self._face_mask(case) for case in cases.faces]
        self.before = [judges(case.image) for case in cases.faces]
        self.before_columns = [self._columns(case.image) for case in cases.faces]

    def _face_mask(self, case: Case) -> Tensor:
        face = case.face if case.face is not None else self.judges.face_mask(case.image)
        return _mask(face, self.size)

    def _columns(self, image: Tensor) -> Array:
        """MediaPipe's columns of crops (N, 3, 256, 256), (N, len(SCORES)); empty without it."""
        if self.landmarker is None:
            return np.zeros((len(image), 0))
        return np.stack([self.landmarker.columns(crop) for crop in rounded_to_8_bits(image)])

    def reference_features(self) -> Tensor:
        """Features (R, F) of the held-out photographs that are not edited."""
        rows = [
            self.judges(to_tensor(face_set.image(row))).features for face_set, row in self.cases.reference
        ]
        return torch.cat(rows)

    def reference_inception(self) -> Tensor | None:
        """The same in the FID Inception, or None."""
        if self.inception is None:
            return None
        crops = [face_set.image(row)[None] for face_set, row in self.cases.reference]
        return self.inception.features(np.concatenate(crops))

    def measure(self, contestant: Contestant) -> Measured:
        """All figures of a contestant; NaN for what it cannot do."""
        rows = [self._face(contestant, number) for number in range(len(self.cases.faces))]
        pairs = [self._pair(contestant, pair) for pair in self.cases.pairs]
        has_columns = self.landmarker is not None
        return Measured(
            name=contestant.name,
            facts=dict(contestant.facts),
            cost=contestant.cost(self.cases.faces[0].image),
            edits={key: np.stack([row.edits[key] for row in rows]) for key in rows[0].edits},
            own={key: np.array([row.own[key] for row in rows]) for key in rows[0].own},
            pairs={key: np.array([pair[key] for pair in pairs]) for key in (pairs[0] if pairs else {})},
            predicted=np.stack([row.judgement.expression for row in rows]),
            predicted_rendered=np.stack([row.judgement.expression_rendered for row in rows]),
            features=torch.stack([row.judgement.features for row in rows]),
            score_changes=np.stack([row.score_changes for row in rows]),
            landmarker_changes=np.stack([row.columns for row in rows]) if has_columns else None,
            inception=None
            if rows[0].inception is None
            else torch.stack([row.inception for row in rows if row.inception is not None]),
            pictures=[row.pictures for row in rows[: self.num_pictures]],
        )

    def pixels(self, number: int) -> NDArray[np.uint8]:
        """A face's crop, uint8 RGB (256, 256, 3)."""
        return rounded_to_8_bits(self.cases.faces[number].image)[0]

    def measure_edit(self, number: int, edited: Tensor) -> tuple[dict[str, Array], Judgement, Array]:
        """Figures (E,) by name of edits (E, 3, 256, 256) of a face, what the judges say, and how scores change."""
        mask, before, count = self.masks[number], self.before[number], len(edited)
        judgement = self.judges(edited)
        source = _unit(self.cases.faces[number].image, self.size).expand(count, -1, -1, -1)
        embedding = before.embedding.expand(count, -1)
        after = torch.cat([_mask(self.judges.face_mask(each[None]), self.size) for each in edited])
        parts = {
            "in": mask,
            "out": 1 - mask,
            "beyond": (1 - mask) * (1 - after),
            "whole": torch.ones_like(mask),
        }
        figures = {
            "cosine": metrics.identity_cosine(judgement.embedding, embedding),
            "acd": metrics.content_distance(judgement.embedding, embedding),
            **metrics.pixel_figures(_unit(edited, self.size), source, parts),
        }
        return figures, judgement, judgement.scores - before.scores

    def _face(self, contestant: Contestant, number: int) -> _FaceRow:
        case, mask = self.cases.faces[number], self.masks[number]
        edited = contestant.edit(case, ALL)
        if edited is None:
            edited = torch.full((NUM, *case.image.shape[1:]), torch.nan)
        pictures = rounded_to_8_bits(edited.nan_to_num())
        seen = signed(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        edits, judgement, score_changes = self.measure_edit(number, seen)
        after = _unit(pictures, self.size)
        if self.teacher is not None:
            target = self.teacher.edit(case, ALL)
            edits["teacher_psnr"] = (
                np.full(NUM, np.nan)
                if target is None
                else metrics.psnr(after, _unit(target, self.size), mask.expand(NUM, -1, -1, -1))
            )
        own = {f"own_{key}": np.nan for key in ("psnr", "ssim", "l1", "cosine")}
        if case.expression >= 0:
            own = {
                f"own_{key.removesuffix('_whole')}": float(edits[key][case.expression])
                for key in ("psnr_whole", "ssim_whole", "l1_whole", "cosine")
            }
        row = _FaceRow(
            edits=edits,
            own=own,
            judgement=judgement,
            score_changes=score_changes,
            columns=self._columns(seen) - self.before_columns[number],
            pictures=pictures,
            inception=None if self.inception is None else self.inception.features(pictures),
        )
        self.on_face()
        return row if bool(edited.isfinite().all()) else row.unknown()

    def _pair(self, contestant: Contestant, pair: RenderPair) -> dict[str, float]:
        figures: dict[str, float] = {}
        edits = {
            "pair": contestant.edit_crop(pair.source, pair.expression, pair.strength),
            "shapes": contestant.edit_by_shapes(pair.source, pair.shapes),
        }
        self.on_face()
        target, face = _unit(pair.target, self.size), _mask(pair.face, self.size)
        for name, edited in edits.items():
            if edited is None:
                figures |= {f"{key}_{name}": np.nan for key in ("psnr", "ssim", "l1")}
            else:
                found = metrics.pixel_figures(_unit(edited, self.size), target, {name: face})
                figures |= {key: float(value[0]) for key, value in found.items()}
        return figures


@dataclass
class _FaceRow:
    """What `Measured` holds, of one face."""

    edits: dict[str, Array]
    own: dict[str, float]
    judgement: Judgement
    score_changes: Array
    columns: Array
    pictures: NDArray[np.uint8]
    inception: Tensor | None

    def unknown(self) -> _FaceRow:
        """The row of a face that the contestant could not edit: nothing counts."""
        unknown = np.full(NUM, -1)
        judgement = Judgement(
            unknown,
            unknown,
            self.judgement.embedding * torch.nan,
            self.judgement.features * torch.nan,
            self.judgement.scores * np.nan,
        )
        return _FaceRow(
            {key: value * np.nan for key, value in self.edits.items()},
            dict.fromkeys(self.own, np.nan),
            judgement,
            self.score_changes * np.nan,
            self.columns * np.nan,
            self.pictures,
            None if self.inception is None else self.inception * torch.nan,
        )
