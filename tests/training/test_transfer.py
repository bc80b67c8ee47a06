"""Training of expression transfer: pairs with true answers, losses, and learning of 16 pairs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from exprgan.action_units import ACTION_UNITS
from exprgan.data.open_faces import OpenFaces
from exprgan.face_model.vocabulary import class_recipes
from exprgan.models.transfer import TransferNet
from exprgan.models.unified import warp
from exprgan.samples.pairs import HALF, Pair
from exprgan.samples.transfer_pairs import (
    PHOTO,
    TransferMix,
    TransferPairs,
    augment_pair,
    recipe_units,
)
from exprgan.teacher.cache import TeacherCache
from exprgan.teacher.mixed_renders import NUM_MIXTURES, VARIANTS_PER_FACE, MixedRenders, mixture, mixtures_of
from exprgan.training.loop import LoopConfig, Trainer
from exprgan.training.start import configure
from exprgan.training.transfer import TransferConfig, TransferLossWeights, TransferTask, both
from tests.made_faces import DrawnFaces

SMALL = TransferConfig(
    depth=1, channels=32, code_channels=16, decoder_widths=(16, 16, 16), unpaired_share=0.5, critic_every=1
)
LOOP = LoopConfig(
    duration_kimg=0.12,
    batch_size=2,
    learning_rate=3e-3,
    schedule="constant",
    warmup_kimg=0.008,
    clip_norm=10.0,
    log_kimg=0.02,
    ema_kimg=0.01,
    bf16=False,
)


class DrawnPairs:
    """16 pairs of drawn pictures, two people in four expressions; the answers are known."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int], dict[str, Any]] = {}
        self.faces, self.seen = DrawnFaces(), (0, 0, HALF, HALF)

    def level_weights(self) -> np.ndarray:
        return np.ones((len(ACTION_UNITS), 4), np.float32)

    def __call__(self, seed: int, number: int) -> dict[str, Any]:
        one, two = np.random.default_rng((seed, number)).integers(4, size=2).tolist()
        if (one, two) not in self._made:
            answers = self._answer(0, one, two), self._answer(1, two, one)
            sample = augment_pair(answers, Still(), self.seen)  # type: ignore[arg-type]
            units = np.arange(len(ACTION_UNITS))
            sample["levels"] = np.stack([(units + one) % 4, (units + two) % 4]).astype(np.int64)
            self._made[one, two] = sample
        return self._made[one, two]

    def _answer(self, person: int, has: int, wanted: int) -> Pair:
        zeros = np.zeros((HALF, HALF, 2), np.float32)
        nothing = np.zeros((2 * HALF, 2 * HALF), np.uint8)
        return Pair(
            source=self.faces.image(8 * person + has),
            target=self.faces.image(8 * person + wanted),
            flow_px=zeros,
            flow_weight=zeros[..., 0],
            mouth=nothing,
            place_cm=zeros,
            mouth_known=nothing,
            importance=nothing + 128,
            is_known=True,
            units=np.full(len(ACTION_UNITS), np.nan, np.float32),
        )


class Still:
    """A generator of chance that never changes anything."""

    def random(self) -> float:
        return 0.99

    def normal(self, mean: float, _: float, size: int | None = None) -> Any:
        return np.zeros(size) if size else 0.0


def make(config: TransferConfig = SMALL) -> TransferTask:
    return TransferTask(DrawnPairs(), config)  # type: ignore[arg-type]


def batch_of(task: TransferTask, count: int = 4) -> dict[str, torch.Tensor]:
    collated: dict[str, torch.Tensor] = torch.utils.data.default_collate(
        [task.sample(0, number) for number in range(count)]
    )
    return collated


@pytest.mark.parametrize("decoder", ["edit", pytest.param("pixels", marks=pytest.mark.slow)])
def test_it_learns_16_pairs(tmp_path: Path, decoder: str) -> None:
    task = make(
        replace(SMALL, decoder=decoder, unpaired_share=0.0, loss=TransferLossWeights(lambda_swap=0.0))
    )
    Trainer(task, LOOP, tmp_path).run()
    first, *_, last = (json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines())
    assert last["image"] < 0.7 * first["image"]
    if decoder == "edit":  # its code has learned to tell the expressions apart by then
        assert last["units"] < 0.3 * first["units"]
    description = json.loads((tmp_path / "network.json").read_text())
    assert description["architecture"] == "transfer" and description["image_size"] == 128


def test_two_turns_move_their_own_networks_only() -> None:
    task = make()
    model = task.build()
    generator, critics = task.turns(model)
    owned = [{id(p) for group in turn.groups() for p in group["params"]} for turn in (generator, critics)]
    assert not owned[0] & owned[1]
    assert owned[0] == {id(p) for p in model.generator.parameters()}
    batch = batch_of(task)
    critics.loss(batch)[0].backward()
    assert all(p.grad is None for p in model.generator.parameters())
    assert all(p.grad is not None for p in model.swap_critic.parameters())
    assert all(p.grad is not None for p in model.feature_critic.parameters())


@pytest.mark.parametrize("decoder", ["edit", "pixels"])
def test_every_term_is_switched_off_by_its_weight(decoder: str) -> None:
    names = {"self", "cycle", "units", "units_swapped", "multi_class", "swap", "image", "gradient"}
    for switched_off, missing in (
        ({}, set()),
        ({"lambda_multi_class": 0.0}, {"multi_class"}),
        ({"lambda_swap": 0.0}, {"swap"}),
        ({"lambda_paired": 0.0}, {"image", "gradient"}),
        ({"lambda_cycle": 0.0, "lambda_units_swapped": 0.0}, {"cycle", "units_swapped"}),
    ):
        task = make(replace(SMALL, decoder=decoder, loss=TransferLossWeights(**switched_off)))
        loss, terms = task.generator_loss(task.build(), batch_of(task, 2))
        assert names & set(terms) == names - missing
        assert loss.isfinite()


def test_without_adversaries_there_is_one_turn() -> None:
    task = make(replace(SMALL, loss=TransferLossWeights(lambda_multi_class=0.0, lambda_swap=0.0)))
    assert [turn.name for turn in task.turns(task.build())] == ["generator"]


def test_unknown_levels_do_not_count() -> None:
    task = make()
    logits = torch.randn(2, len(ACTION_UNITS), 4, generator=torch.Generator().manual_seed(0))
    levels = torch.zeros(2, len(ACTION_UNITS), dtype=torch.int64)
    some = levels.clone()
    some[:, 3:] = -1
    known = task._unit_loss(logits, some)
    expected = -logits.log_softmax(-1)[:, :3, 0].mean()
    torch.testing.assert_close(known, expected)
    assert task._unit_loss(logits, levels - 1) == 0


def test_picture_shows_both_directions() -> None:
    task = make()
    model = task.build().eval()
    picture = task.picture(model.generator, batch_of(task, 2))
    assert picture.dtype == torch.uint8 and picture.shape == (3, 2 * 96, 2 * 5 * 96)


def test_settings_are_named_on_the_command_line() -> None:
    chosen = configure(
        "transfer", ["lambda_swap=0", "mixed=0.5", "decoder=pixels", "batch_size=2"], device="cpu"
    )
    assert chosen.task.loss.lambda_swap == 0 and chosen.task.mix.mixed == 0.5
    assert chosen.task.decoder == "pixels" and chosen.loop.batch_size == 2


def test_units_of_recipes_are_those_that_the_expressions_are_known_by() -> None:
    def units(name: str) -> dict[str, float]:
        return dict(zip(ACTION_UNITS, recipe_units(class_recipes()[name]).tolist(), strict=True))

    assert max(units("neutral").values()) == 0
    assert units("happy")["AU12"] > 0.8 and units("happy")["AU26"] < 0.2
    assert units("surprise")["AU02"] > 0.8 and units("surprise")["AU26"] > 0.5
    assert units("contempt")["AU12"] == pytest.approx(0.32)  # on one side alone
    assert units("anger")["AU04"] > 0.9


def test_mixtures_are_the_same_for_everybody_and_every_face_gets_some() -> None:
    assert mixture(5) == mixture(5) != mixture(8)
    seen = {number for face in range(200) for number in mixtures_of(face)}
    assert seen == set(range(NUM_MIXTURES))
    assert all(len(set(mixtures_of(face))) == VARIANTS_PER_FACE for face in range(20))


@pytest.fixture(scope="module")
def pairs(data_dir: Path, teacher_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> TransferPairs:
    faces = OpenFaces(data_dir / "open-faces")
    folders = tmp_path_factory.mktemp("eight"), tmp_path_factory.mktemp("mixed")
    eight = TeacherCache(faces, teacher_dir, folders[0])
    people = []
    for row in faces.indices("train"):
        image = faces.image(row)
        if eight.teacher.usable(eight.teacher.analyse(image, faces.landmarks_px(row), faces.scores(row)))[0]:
            people.append(row)
        if len(people) == 8:
            break
    return TransferPairs(eight, MixedRenders(faces, teacher_dir, folders[1]), people, None)


def test_samples_are_pure_functions_of_their_number(pairs: TransferPairs) -> None:
    first, again, other = pairs(0, 3), pairs(0, 3), pairs(0, 4)
    for name, value in first.items():
        np.testing.assert_array_equal(value, again[name], name)
    assert not np.array_equal(first["source"], other["source"])
    assert first["seen"].shape == (2, 3, HALF, HALF) and first["levels"].shape == (2, len(ACTION_UNITS))
    assert first["levels"].min() >= -1 and first["levels"].max() <= 3


def test_answer_is_the_image_moved_by_the_flow(pairs: TransferPairs) -> None:
    person = pairs.people[0]
    for has, wanted in ((PHOTO, ("eight", 1)), (("eight", 2), ("mixed", 0)), (("mixed", 1), ("eight", 3))):
        answer = pairs.answer(person, has, wanted)
        image, target = (
            torch.from_numpy(
                cv2.resize(each, (HALF, HALF), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
            ).float()
            for each in (answer.source, answer.target)
        )
        flow = torch.from_numpy(answer.flow_px.transpose(2, 0, 1)) / 2
        weight = torch.from_numpy(answer.flow_weight)
        before, after = ((each - target).abs() * weight for each in (image, warp(image[None], flow[None])[0]))
        assert answer.flow_weight.mean() > 0.5
        assert after.sum() < 0.6 * before.sum(), (has, wanted)


def test_same_state_needs_no_change(pairs: TransferPairs) -> None:
    answer = pairs.answer(pairs.people[1], ("eight", 3), ("eight", 3))
    np.testing.assert_array_equal(answer.source, answer.target)
    assert not answer.flow_px.any() and not answer.mouth.any() and answer.flow_weight.all()


def test_people_of_a_cross_pair_differ_and_share_the_expression(pairs: TransferPairs) -> None:
    only = TransferPairs(
        pairs.eight, pairs.mixed, pairs.people, None, mix=TransferMix(cross=1, own=0, rendered=0, mixed=0)
    )
    for number in range(6):
        first, second = only.pair(np.random.default_rng(number))
        assert first.is_known
        assert not np.array_equal(first.source, second.source)


def test_both_puts_first_faces_before_second_ones() -> None:
    values = torch.arange(6).reshape(3, 2)
    assert both(values).tolist() == [0, 2, 4, 1, 3, 5]


def test_kept_part_is_the_network_alone() -> None:
    task = make()
    model = task.build()
    assert isinstance(task.averaged(model), TransferNet)


def test_swapped_images_do_not_teach_colours_what_the_encoder_wants_to_read() -> None:
    only = {"lambda_paired": 0.0, "lambda_self": 0.0, "lambda_cycle": 0.0, "lambda_units": 0.0}
    task = make(replace(SMALL, loss=TransferLossWeights(lambda_multi_class=0.0, **only)))
    model = task.build()
    task.generator_loss(model, batch_of(task, 2))[0].backward()
    gradient = model.generator.decoder.head.weight.grad.unflatten(0, (-1, 16))  # one row for each map
    flow, shade, mask, place, light = gradient.split([2, 3, 1, 2, 3])
    assert flow.any() and mask.any()
    assert not shade.any() and not place.any() and not light.any()
