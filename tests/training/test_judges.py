"""The evaluation's judges: what they see, how they learn, what the bundled ones say."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exprgan.data.open_faces import OpenFaces
from exprgan.data.synthetic_faces import SyntheticFaces
from exprgan.evaluation.judges import report_of, verification
from exprgan.evaluation.judging import NAMES, Judges
from exprgan.expressions import EXPRESSIONS
from exprgan.models.judges import EXPRESSION_SQUARE, INPUT_PX, ExpressionJudge, IdentityJudge, cut
from exprgan.models.pixels import to_tensor
from exprgan.models.registry import build
from exprgan.training.judges import (
    IdentityConfig,
    IdentityNetConfig,
    IdentityTask,
    JudgeConfig,
    JudgeTask,
    LabelledFace,
    make_task,
    photos,
    renders,
    view,
)
from exprgan.training.loop import LoopConfig, Trainer
from exprgan.training.publish import Notes, classes_tested, confusion_table, publish
from exprgan.training.task import TrainingFiles
from exprgan.weights import find, read_manifest
from tests.made_sets import RENDERS, make_open_faces, make_synthetic_faces, render

SMALL: dict[str, Any] = {"stem": 16, "widths": (16, 16, 16), "num_blocks": (1, 1, 1)}
CONTEMPT = EXPRESSIONS.index("contempt")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """open-faces and synthetic-faces in miniature."""
    folder = tmp_path_factory.mktemp("sets")
    make_open_faces(folder / "open-faces")
    make_synthetic_faces(folder / "synthetic-faces")
    return folder


def face(expression: int, person: int, scores: float = float("nan")) -> LabelledFace:
    image = np.full((160, 160, 3), 40 * (person % 6), np.uint8)
    image[:, :80] += 20  # not symmetric
    return LabelledFace(
        image, np.eye(8, dtype=np.float32)[expression], np.full(10, scores, np.float32), person
    )


@pytest.mark.parametrize(
    "judge", [ExpressionJudge(**SMALL), IdentityJudge(**SMALL)], ids=["expression", "identity"]
)
def test_judges_treat_each_face_alone_and_learn_everywhere(judge: nn.Module) -> None:
    torch.manual_seed(0)
    square = torch.rand(4, 3, INPUT_PX, INPUT_PX) * 2 - 1
    found = judge.train()(square)
    outputs = found if isinstance(found, tuple) else (found,)
    sum(
        output.square().sum() if output.ndim and output.shape[1] != 128 else output[:, 0].sum()
        for output in outputs
    ).backward()
    for name, weight in judge.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name
    judge.eval()
    whole, alone = judge(square), judge(square[1:2])
    pairs = zip(whole, alone, strict=True) if isinstance(whole, tuple) else [(whole, alone)]
    for one, other in pairs:
        torch.testing.assert_close(one[1:2], other, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_identity_is_a_unit_vector_and_features_are_not_negative() -> None:
    image = torch.rand(2, 3, 256, 256) * 2 - 1
    torch.testing.assert_close(IdentityJudge(**SMALL).eval().embed(image).norm(dim=1), torch.ones(2))
    logits, scores, features = ExpressionJudge(**SMALL).eval().judge(image)
    assert (logits.shape, scores.shape, features.shape) == ((2, 8), (2, 10), (2, 96))
    assert float(features.min()) >= 0


@pytest.mark.parametrize("size", [128, 256, 512])
def test_cut_takes_the_same_square_at_every_size(size: int) -> None:
    left, top, share = EXPRESSION_SQUARE
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    place = torch.stack([(x + 0.5) / size, (y + 0.5) / size, torch.zeros(size, size)])[None].float()
    part = cut(place, EXPRESSION_SQUARE)
    assert part.shape == (1, 3, INPUT_PX, INPUT_PX)
    centre = part[0, :, INPUT_PX // 2 - 1 : INPUT_PX // 2 + 1, INPUT_PX // 2 - 1 : INPUT_PX // 2 + 1].mean(
        (1, 2)
    )
    torch.testing.assert_close(
        centre[:2], torch.tensor([left + share / 2, top + share / 2]), atol=0.7 / size + 1e-3, rtol=0
    )


def test_views_show_the_square_and_repeat_with_their_generator() -> None:
    image = np.zeros((160, 160, 3), np.uint8)
    image[40:56, 72:88] = 255  # at the middle of the square's width, a third down
    square = (0.25, 0.15, 0.5)
    views = [view(image, np.random.default_rng(n), square=square, warp_px=1.0) for n in range(20)]
    assert all(one.shape == (3, INPUT_PX, INPUT_PX) for one in views)
    np.testing.assert_array_equal(views[3], view(image, np.random.default_rng(3), square=square, warp_px=1.0))
    bright = np.mean([one.mean(0) for one in views], axis=0)
    y, x = np.unravel_index(bright.argmax(), bright.shape)
    assert abs(x - 56) < 15
    assert abs(y - (48 - 24) / 80 * INPUT_PX) < 15


def test_samples_are_a_pure_function_and_draw_rare_expressions_more_often() -> None:
    faces = [face(1, number) for number in range(90)] + [face(3, 90 + number) for number in range(10)]
    task = JudgeTask(faces)
    first, again = task.sample(2, 7), task.sample(2, 7)
    assert all(np.array_equal(first[key], again[key], equal_nan=True) for key in first)
    drawn = [int(task.sample(0, number)["probabilities"].argmax()) for number in range(300)]
    assert 0.2 < drawn.count(3) / len(drawn) < 0.4  # 0.1 without balance, 0.5 with all of it
    assert first["probabilities"].sum() == pytest.approx(1)


def test_contempt_is_never_mirrored_and_unknown_classes_stay_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def keep(image: np.ndarray, rng: object, **_: object) -> np.ndarray:
        seen.append(bool(image[0, 0, 0] > image[0, -1, 0]))
        return np.zeros((3, INPUT_PX, INPUT_PX), np.uint8)

    monkeypatch.setattr("exprgan.training.judges.view", keep)
    for number in range(40):
        JudgeTask([face(CONTEMPT, 1)]).sample(0, number)
    assert all(seen)
    seen.clear()
    photographs = JudgeTask([face(1, 1)], [name for name in EXPRESSIONS if name != "contempt"])
    samples = [photographs.sample(0, number) for number in range(40)]
    assert 5 < sum(seen) < 35
    assert all(sample["probabilities"][CONTEMPT] == 0 for sample in samples)


class _Says(nn.Module):
    """Gives fixed outputs."""

    def __init__(self, *outputs: Tensor) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, _: Tensor) -> Any:
        return self.outputs if len(self.outputs) > 1 else self.outputs[0]


def test_expression_loss_leaves_out_unknown_scores() -> None:
    task = JudgeTask([face(0, 0)], config=JudgeConfig(lambda_score=1.0))
    scores = torch.full((2, 10), torch.nan)
    scores[0] = 1
    batch = {
        "image": torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        "probabilities": torch.eye(8)[:2],
        "scores": scores,
    }
    outputs = (torch.zeros(2, 8), torch.zeros(2, 10), torch.zeros(2, 4))
    loss, terms = task.loss(_Says(*outputs), batch)
    assert float(terms["cls"]) == pytest.approx(np.log(8))
    assert float(terms["score"]) == pytest.approx(np.log(2))
    assert float(loss) == pytest.approx(np.log(8) + np.log(2))


def test_identity_loss_does_not_push_pictures_of_one_person_apart() -> None:
    task = IdentityTask([face(0, 0), face(1, 0)], IdentityConfig(temperature=1.0))
    vectors = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    batch = {
        "first": torch.zeros(3, 3, 8, 8, dtype=torch.uint8),
        "second": torch.zeros(3, 3, 8, 8, dtype=torch.uint8),
        "person": torch.tensor([4, 4, 5]),
    }
    loss, terms = task.loss(_Says(torch.cat([vectors, vectors])), batch)
    one_other = np.log(1 + np.exp(-1))  # rows 0 and 1 have one other person, row 2 has two
    assert float(loss) == pytest.approx((2 * one_other + np.log(1 + 2 * np.exp(-1))) / 3)
    assert float(terms["top1"]) == 1


def test_identity_pairs_come_from_two_pictures_where_there_are_two(data: Path) -> None:
    task = make_task(TrainingFiles((str(data),), data), IdentityConfig(several_share=1.0))
    assert isinstance(task, IdentityTask)
    london = [person for person in task.people if len(task.people[person]) == 3]
    assert task.several == london
    assert {int(task.sample(0, number)["person"]) for number in range(6)} == set(london)


def test_readers_give_labels_and_scores(data: Path) -> None:
    open_faces = OpenFaces(data / "open-faces")
    read = photos(open_faces, open_faces.indices("train"))
    assert len(read) == 11
    assert EXPRESSIONS[int(read[0].probabilities.argmax())] == "neutral"
    assert np.isfinite(read[0].scores).all()
    assert len({one.person for one in read}) == 9  # three are of one sitter
    rendered = renders(SyntheticFaces(data / "synthetic-faces"), "train", first_person=100)
    assert [one.person for one in rendered] == [100, 101, 102]
    assert np.isnan(rendered[0].scores).all()


@pytest.mark.parametrize("name", ["judge", "judge_rendered", "judge_identity"])
def test_a_judge_trains_and_is_published_with_its_figures(name: str, data: Path, tmp_path: Path) -> None:
    files = TrainingFiles((str(data),), tmp_path / "run")
    if name == "judge_identity":
        task = make_task(files, IdentityConfig(net=IdentityNetConfig(**SMALL)))
    else:
        config = JudgeConfig(rendered=name == "judge_rendered")
        task = make_task(files, replace(config, net=replace(config.net, **SMALL)))
    loop = LoopConfig(duration_kimg=0.016, batch_size=8, bf16=False, threads=1, log_kimg=0.008)
    assert Trainer(task, loop, tmp_path / "run").run()
    if name == "judge_identity":  # the made sets have no held-out person with two pictures
        report = {"synthetic-faces test": verification(torch.eye(3)[[0, 0, 1]], ["a", "a", "b"])}
    else:
        report = report_of(find(tmp_path / "run"), data)
        assert report["synthetic-faces test"]["n"] == 1
    publish(tmp_path / "run", tmp_path / "weights", name=name, notes=Notes(report))
    card = (tmp_path / "weights" / f"{name}.md").read_text()
    assert "Held-out figures" in card
    assert (
        max(len(line) for line in card.splitlines() if not line.startswith(("|", "- ", "synth", "open")))
        <= 120
    )
    record = read_manifest(tmp_path / "weights")[name]
    assert record.metrics
    assert len(record.data) == (1 if name == "judge" else 2)  # one has seen no render
    assert ("Contempt and most of disgust" in card) == (name == "judge_rendered")
    stored = find(name, tmp_path / "weights")
    assert stored.config["report"] == report
    assert ("tested_classes" in stored.config) == (name != "judge_identity")
    stored.load()


def test_verification_of_known_vectors() -> None:
    vectors = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    found = verification(vectors, ["a", "a", "b", "b"], others=torch.tensor([[-1.0, 0]]))
    assert (found["auc"], found["eer"]) == (1, 0)
    assert (found["same_pairs"], found["different_pairs"]) == (2, 4 + 4)


def test_tested_classes_have_held_out_labels_of_the_kind_that_a_judge_has_learned_from() -> None:
    counts = np.zeros((8, 8), int)
    counts[0, 1], counts[1, 1] = 2, 1
    report = {
        "open-faces val": {"confusion": counts.tolist()},
        "synthetic-faces test": {"confusion": np.eye(8, dtype=int).tolist()},
    }
    assert classes_tested(EXPRESSIONS[:-1], report) == ["neutral"]
    assert classes_tested(EXPRESSIONS, report) == []


def test_confusion_table_shows_what_occurs() -> None:
    counts = np.zeros((8, 8), int)
    counts[0, 1] = 3
    assert confusion_table(counts.tolist()).splitlines() == [
        "| label \\ judged | neutral | happy |",
        "|---|---|---|",
        "| neutral | 0 | 3 |",
    ]


@pytest.fixture(scope="module")
def bundled() -> Judges:
    return Judges()


def test_bundled_judges_know_rendered_expressions(bundled: Judges) -> None:
    images = torch.cat([to_tensor(render(name)) for name in RENDERS])
    found = bundled(images)
    asked = [name.split("_")[1] for name in RENDERS]
    told = [EXPRESSIONS[number] for number in found.expression_rendered]
    assert told[:3] == asked[:3]  # the fourth is a faint anger
    assert ((found.scores >= 0) & (found.scores <= 1)).all()


def test_bundled_identity_judge_tells_people_apart_in_other_light(bundled: Judges) -> None:
    images = torch.cat([to_tensor(render(name)) for name in RENDERS])
    darker = images * 0.8 - 0.1
    cosine = bundled(images).embedding @ bundled(darker).embedding.T
    assert float(cosine.diagonal().min()) > 0.8
    assert float((cosine - torch.diag(cosine.diagonal())).max()) < 0.7


def test_bundled_cards_state_the_held_out_figures(root: Path) -> None:
    for name in NAMES:
        config = json.loads((root / "weights" / f"{name}.json").read_text())
        card = (root / "weights" / f"{name}.md").read_text()
        for figures in config["report"].values():
            for key in ("accuracy", "auc"):
                if key in figures:
                    assert f"{figures[key]:.3f}" in card
        network = build(config["architecture"], **config["arguments"])
        assert (root / "weights" / f"{name}.safetensors").stat().st_size < 4e6
        assert sum(weight.numel() for weight in network.parameters()) < 2e6
