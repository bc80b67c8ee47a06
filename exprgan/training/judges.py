"""Training of the evaluation's judges: expression, and who a face is.

They see train splits alone, and no edit: neither a system's results nor the geometry teacher's renders, which
some systems are trained to imitate and a judge would otherwise come to favour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from exprgan.action_units import JUDGED_SCORES, SCORES, column
from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.expressions import EXPRESSIONS
from exprgan.models.judges import (
    EXPRESSION_SQUARE,
    IDENTITY_SQUARE,
    INPUT_PX,
    ExpressionJudge,
    IdentityJudge,
    Square,
)
from exprgan.models.pixels import signed_channels_last
from exprgan.samples.augment import photometric
from exprgan.training.losses import contrast
from exprgan.training.task import Losses, Task, TrainingFiles

KEPT_PX = 160
"""Side at which the training pictures are held in memory."""


@dataclass(frozen=True)
class LabelledFace:
    """A training picture and what is known of it.

    image: uint8 RGB (160, 160, 3), aligned. probabilities: float32 (8,), of `EXPRESSIONS`. scores: float32, of
    `JUDGED_SCORES` in [0, 1], NaN where unknown. person: number of the identity.
    """

    image: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    scores: NDArray[np.float32]
    person: int


def photos(data: OpenFaces, rows: Sequence[int]) -> list[LabelledFace]:
    """Photographs with soft labels of seven expressions (contempt is not among them) and blendshape scores."""
    faces = []
    people: dict[str, int] = {}
    for row in rows:
        subject = data.rows[row]["subject"] or f"row {row}"
        soft = data.soft_expressions[row]
        probabilities = (soft / soft.sum()).astype(np.float32)
        known = data.scores(row)
        scores = np.array([column(known, SCORES[name]) for name in JUDGED_SCORES], np.float32)
        person = people.setdefault(subject, len(people))
        faces.append(LabelledFace(data.image(row, KEPT_PX), probabilities, scores, person))
    return faces


def renders(data: SyntheticFaces, split: str, first_person: int = 0) -> list[LabelledFace]:
    """Rendered frames with hard labels of eight expressions; their scores are not MediaPipe's and left out."""
    faces = []
    for number, frames in enumerate(data.identities(split)):
        for expression, rows in frames.items():
            for row in rows:
                image = cv2.resize(data.image(row), (KEPT_PX, KEPT_PX), interpolation=cv2.INTER_AREA)
                probabilities = np.eye(len(EXPRESSIONS), dtype=np.float32)[EXPRESSIONS.index(expression)]
                scores = np.full(len(JUDGED_SCORES), np.nan, np.float32)
                faces.append(
                    LabelledFace(image.astype(np.uint8), probabilities, scores, first_person + number)
                )
    return faces


def view(
    image: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    square: Square,
    warp_px: float = 0.0,
    variety: float = 0.7,
) -> NDArray[np.uint8]:
    """A square of a picture as imprecise alignment, other light and other cameras would show it.

    Args:
        image: uint8 RGB (S, S, 3).
        rng: Source of all choices.
        square: Left, top and side in shares of the picture.
        warp_px: Standard deviation of a smooth displacement, in pixels of the result.
        variety: Strength of the changes of light, colour and sharpness.

    Returns:
        uint8 RGB (3, 112, 112).
    """
    left, top, share = square
    size = INPUT_PX
    side = image.shape[0]
    scale = share * side / size * float(np.exp(rng.normal(0, 0.05)))
    angle = np.radians(rng.normal(0, 4))
    centre = np.array([left + share / 2, top + share / 2]) * side + rng.normal(0, 0.015, 2) * side
    y, x = np.mgrid[:size, :size].astype(np.float32) + np.float32(0.5 - size / 2)
    if warp_px:
        for axis in (x, y):
            coarse = rng.normal(0, warp_px, (6, 6)).astype(np.float32)
            axis += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    at_x = (cos * x - sin * y + centre[0] - 0.5).astype(np.float32)
    at_y = (sin * x + cos * y + centre[1] - 0.5).astype(np.float32)
    seen = cv2.remap(image, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT).astype(np.uint8)
    return np.ascontiguousarray(photometric(seen, rng, variety).transpose(2, 0, 1))


@dataclass(frozen=True)
class ExpressionNetConfig:
    """Size of the expression judge."""

    stem: int = 24
    widths: tuple[int, ...] = (48, 96, 192)
    num_blocks: tuple[int, ...] = (1, 2, 2)
    num_features: int = 96
    num_expressions: int = len(EXPRESSIONS)
    num_scores: int = len(JUDGED_SCORES)


@dataclass(frozen=True)
class JudgeConfig:
    """How the expression judge is trained."""

    net: ExpressionNetConfig = field(default_factory=ExpressionNetConfig)
    rendered: bool = False  # learn from renders too, which is what makes contempt known
    balance: float = 0.6  # 0 draws faces evenly, 1 expressions evenly
    lambda_score: float = 2.0  # weight of the blendshape scores
    smoothing: float = 0.05  # share of the label that is spread over the judge's classes


class JudgeTask(Task):
    """The expression judge for `training.loop.Trainer`.

    Args:
        faces: Training faces.
        known: Classes that the labels hold; the others are never right.
        config: Network and loss weights.
    """

    def __init__(
        self,
        faces: Sequence[LabelledFace],
        known: Sequence[str] = EXPRESSIONS,
        config: JudgeConfig | None = None,
    ) -> None:
        self.faces, self.known, self.config = faces, tuple(known), config or JudgeConfig()
        classes = np.array([face.probabilities.argmax() for face in faces])
        counts = np.bincount(classes, minlength=len(EXPRESSIONS)).astype(np.float64)
        weights = counts[classes] ** -self.config.balance
        self.places = np.cumsum(weights / weights.sum())
        spread = np.isin(EXPRESSIONS, self.known).astype(np.float32)
        self.spread = spread / spread.sum()

    def build(self) -> nn.Module:
        """The judge with fresh weights."""
        return ExpressionJudge(**asdict(self.config.net))

    def description(self) -> dict[str, Any]:
        """How to build the judge, and which classes it knows."""
        return {
            "architecture": "expression_judge",
            "arguments": asdict(self.config.net),
            "classes": list(self.known),
            "scores": list(JUDGED_SCORES),
        }

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """A view of a face, mirrored half of the time unless it shows contempt, which is one-sided here."""
        rng = np.random.default_rng((seed, number))
        face = self.faces[min(int(np.searchsorted(self.places, rng.random())), len(self.faces) - 1)]
        image = face.image
        if rng.random() < 0.5 and face.probabilities[EXPRESSIONS.index("contempt")] < 0.5:
            image = np.ascontiguousarray(image[:, ::-1])
        smoothing = self.config.smoothing
        return {
            "image": view(image, rng, square=EXPRESSION_SQUARE),
            "probabilities": face.probabilities * (1 - smoothing) + smoothing * self.spread,
            "scores": face.scores,
        }

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Losses:
        """Cross-entropy with soft labels and, where known, of the scores."""
        logits, score_logits, _ = model(signed_channels_last(batch["image"]))
        target, scores = batch["probabilities"], batch["scores"]
        loss_cls = -(target * F.log_softmax(logits.float(), dim=1)).sum(1).mean()
        known = scores.isfinite()
        pointwise = F.binary_cross_entropy_with_logits(
            score_logits.float(), scores.nan_to_num(), reduction="none"
        )
        loss_score = (pointwise * known).sum() / known.sum().clamp(min=1)
        right = (logits.argmax(1) == target.argmax(1)).float().mean()
        loss = loss_cls + self.config.lambda_score * loss_score
        return loss, {"cls": loss_cls, "score": loss_score, "accuracy": right}


@dataclass(frozen=True)
class IdentityNetConfig:
    """Size of the identity judge."""

    stem: int = 24
    widths: tuple[int, ...] = (48, 96, 192)
    num_blocks: tuple[int, ...] = (1, 2, 2)
    num_dimensions: int = 128


@dataclass(frozen=True)
class IdentityConfig:
    """How the identity judge is trained."""

    net: IdentityNetConfig = field(default_factory=IdentityNetConfig)
    temperature: float = 0.1  # of the contrast
    warp_px: float = 1.2  # smooth displacement of views, so that small changes of shape do not count
    several_share: float = 0.4  # share of people with several pictures among the samples


class IdentityTask(Task):
    """The identity judge: two views of a person, of two pictures where there are two, against all others.

    Args:
        faces: Training faces.
        config: Network and contrast.
    """

    def __init__(self, faces: Sequence[LabelledFace], config: IdentityConfig | None = None) -> None:
        self.config = config or IdentityConfig()
        people: dict[int, list[NDArray[np.uint8]]] = {}
        for face in faces:
            people.setdefault(face.person, []).append(face.image)
        self.several = [person for person in people if len(people[person]) > 1]
        self.single = [person for person in people if len(people[person]) == 1]
        self.people = people

    def build(self) -> nn.Module:
        """The judge with fresh weights."""
        return IdentityJudge(**asdict(self.config.net))

    def description(self) -> dict[str, Any]:
        """How to build the judge."""
        return {"architecture": "identity_judge", "arguments": asdict(self.config.net)}

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Two views of a person, mirrored together half of the time."""
        rng = np.random.default_rng((seed, number))
        group = self.several if rng.random() < self.config.several_share or not self.single else self.single
        person = group[rng.integers(len(group))]
        pictures = self.people[person]
        chosen = [pictures[i] for i in rng.choice(len(pictures), min(2, len(pictures)), replace=False)]
        first, second = chosen[0], chosen[-1]
        if rng.random() < 0.5:
            first, second = np.ascontiguousarray(first[:, ::-1]), np.ascontiguousarray(second[:, ::-1])
        views = [
            view(image, rng, square=IDENTITY_SQUARE, warp_px=self.config.warp_px, variety=1.0)
            for image in (first, second)
        ]
        return {"first": views[0], "second": views[1], "person": np.int64(person)}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Losses:
        """InfoNCE over the batch, both ways; other samples of the same person do not count."""
        both = model(signed_channels_last(torch.cat([batch["first"], batch["second"]])))
        first, second = both.chunk(2)
        loss, top1 = contrast(first, second, batch["person"], self.config.temperature)
        return loss, {"top1": top1}


def make_task(files: TrainingFiles, config: JudgeConfig | IdentityConfig) -> Task:
    """A judge's task on the train splits of open-faces and, unless it is of photographs alone, synthetic-faces."""
    data = OpenFaces(files.folder / "open-faces")
    faces = photos(data, data.indices("train"))
    if isinstance(config, JudgeConfig) and not config.rendered:
        return JudgeTask(faces, [name for name in EXPRESSIONS if name != "contempt"], config)
    faces += renders(SyntheticFaces(files.folder / "synthetic-faces"), "train", first_person=len(faces))
    return (
        JudgeTask(faces, EXPRESSIONS, config)
        if isinstance(config, JudgeConfig)
        else IdentityTask(faces, config)
    )
