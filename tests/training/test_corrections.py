"""Training of the generator on the prior: discriminators beside paired supervision."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from exprgan.errors import UsageError
from exprgan.models.corrections import CorrectionGenerator, CorrectionsEndToEnd, PriorMaps
from exprgan.models.critics import VIEWS, FaceCritics
from exprgan.models.registry import build
from exprgan.samples.prior_pairs import PriorMix
from exprgan.training.corrections import (
    CorrectionConfig,
    CorrectionLossWeights,
    CorrectionSystem,
    CorrectionTask,
    corrections_of,
    prior_of,
)
from exprgan.training.loop import LoopConfig, Trainer

SMALL = {"global_widths": (16, 16), "local_widths": (16, 16)}
ADVERSARIAL = CorrectionConfig(
    loss=CorrectionLossWeights(lambda_adv=0.1, lambda_matching=1.0), mix=PriorMix(reals=2), **SMALL
)


def batch(size: int = 3) -> dict[str, Tensor]:
    """Random samples, the first with an answer, the last one not to be compared."""
    random = torch.Generator().manual_seed(0)
    channels = {**PriorMaps(2, 1, 2, 1, 1, 5, 1)._asdict()}
    arrays: dict[str, Any] = {
        name: torch.randint(0, 256, (size, count, 192, 192), generator=random, dtype=torch.uint8)
        for name, count in {"source": 3, "seen": 3, "target": 3, "regions": 3, "real": 3}.items()
    }
    arrays |= {
        name: torch.full((size, 1, 192, 192), 255, dtype=torch.uint8)
        for name in ("importance", "real_importance")
    }
    arrays |= {
        f"prior_{name}": torch.randn(size, count, 192, 192, generator=random) * 0.1
        for name, count in channels.items()
    }
    arrays["labels"] = torch.randint(0, 22, (size, 192, 192), generator=random, dtype=torch.uint8)
    arrays["true_flow_px"] = torch.zeros(size, 2, 96, 96)
    arrays["true_flow_weight"] = torch.zeros(size, 1, 96, 96)
    arrays["coefficients"], arrays["extent"] = torch.ones(size, 109), torch.ones(size)
    arrays["answered"] = torch.tensor([1.0, *[0.0] * (size - 1)])
    arrays["compared"] = torch.tensor([*[1.0] * (size - 1), 0.0])
    return arrays


@pytest.fixture
def task() -> CorrectionTask:
    return CorrectionTask(None, ADVERSARIAL)  # type: ignore[arg-type]


def trained(task: CorrectionTask) -> CorrectionSystem:
    """A system whose generator corrects something."""
    torch.manual_seed(0)
    system = task.build()
    assert isinstance(system, CorrectionSystem)
    for name, weight in system.generator.named_parameters():
        if name.endswith("head.weight"):
            torch.nn.init.normal_(weight, std=0.02)
    return system


def test_critics_see_parts_of_the_window_through_the_mask_of_the_face() -> None:
    critics = FaceCritics(widths=(16, 16, 16)).eval()
    picture, face = torch.rand(2, 3, 192, 192), torch.ones(2, 1, 192, 192)
    answers = critics(picture, face)
    assert list(answers) == list(VIEWS)
    forehead = picture.clone()
    forehead[:, :, 20:40, 60:100] = 0
    assert torch.equal(critics(forehead, face)["mouth"][0], answers["mouth"][0])
    assert not torch.equal(critics(forehead, face)["brows"][0], answers["brows"][0])
    assert torch.equal(critics(forehead, face * 0)["brows"][0], critics(picture, face * 0)["brows"][0])
    assert list(FaceCritics(local=False).critics) == ["face"]


def test_there_are_two_turns_with_critics_and_one_without(task: CorrectionTask) -> None:
    assert [turn.name for turn in task.turns(trained(task))] == ["D", "G"]
    plain = CorrectionTask(None, replace(ADVERSARIAL, loss=CorrectionLossWeights()))  # type: ignore[arg-type]
    assert [turn.name for turn in plain.turns(trained(plain))] == ["G"]


def test_discriminators_learn_to_tell_edits_from_photographs(task: CorrectionTask) -> None:
    system, samples = trained(task), batch()
    samples["real"] = samples["real"] // 8
    (discriminator, _) = task.turns(system)
    optimiser = torch.optim.Adam(system.critics.parameters(), 2e-3)  # type: ignore[union-attr]
    before = [weight.clone() for weight in system.generator.parameters()]
    gaps = []
    for _ in range(8):
        optimiser.zero_grad()
        loss, terms = discriminator.loss(samples)
        loss.backward()
        optimiser.step()
        gaps.append(float(terms["gap_face"]))
    assert gaps[-1] > gaps[0] + 0.1
    assert all(torch.equal(old, new) for old, new in zip(before, system.generator.parameters(), strict=True))
    assert float(system.critics.anchors.abs().max()) > 0  # type: ignore[union-attr]


def test_discriminators_move_light_and_folds_and_not_places(task: CorrectionTask) -> None:
    weights = CorrectionLossWeights(
        lambda_flow=0, lambda_image=0, lambda_gradient=0, lambda_size=0, lambda_adv=1
    )
    alone = CorrectionTask(None, replace(ADVERSARIAL, loss=weights))  # type: ignore[arg-type]
    system = trained(alone)
    loss, terms = alone.g_loss(system, batch())
    loss.backward()
    gradient = system.generator.global_branch.head.weight.grad  # type: ignore[union-attr]
    assert float(gradient[:8].abs().max()) == 0  # type: ignore[index]
    assert float(gradient[8:].abs().min(dim=0).values.max()) > 0  # type: ignore[index]
    assert {"G_adv", "deepening"} <= terms.keys()


def test_what_has_no_answer_costs_nothing_but_its_size(task: CorrectionTask) -> None:
    samples = batch()
    samples["answered"][:] = 0
    _, terms = task.g_loss(trained(task), samples)
    assert float(terms["image"].detach()) == float(terms["flow"].detach()) == 0
    assert "matching" not in terms
    samples["compared"][:] = 0
    loss, terms = task.d_loss(trained(task), samples)
    assert float(loss.detach()) == 0
    assert not terms


@pytest.mark.parametrize("segmenter_training", ["frozen", "joint"])
def test_losses_of_the_picture_reach_the_segmenter_that_takes_part(segmenter_training: str) -> None:
    config = replace(
        ADVERSARIAL, segmenter_training=segmenter_training, loss=replace(ADVERSARIAL.loss, lambda_seg=0)
    )
    task = CorrectionTask(None, config)  # type: ignore[arg-type]
    system = trained_end_to_end(task).train()
    assert not system.generator.segmenter.training  # type: ignore[union-attr]
    _, generator = task.turns(system)
    moved = {id(weight) for group in generator.groups() for weight in group["params"]}
    own = list(system.generator.segmenter.parameters())  # type: ignore[union-attr]
    assert {id(weight) in moved for weight in own} == {segmenter_training == "joint"}
    loss, terms = task.g_loss(system, batch())
    loss.backward()
    assert own[0].grad is not None
    assert float(own[0].grad.abs().max()) > 0
    assert ("S" in terms) == (segmenter_training == "joint")
    assert {"area_eyes", "area_nose", "area_mouth"} <= terms.keys()


def test_a_segmenter_that_takes_part_learns_its_own_labels() -> None:
    weights = CorrectionLossWeights(
        lambda_flow=0, lambda_image=0, lambda_gradient=0, lambda_size=0, lambda_seg=1
    )
    task = CorrectionTask(None, CorrectionConfig(loss=weights, segmenter_training="joint", **SMALL))  # type: ignore[arg-type]
    system, samples = trained_end_to_end(task), batch(2)
    samples["labels"][:] = 3
    (turn,) = task.turns(system)
    optimiser = torch.optim.Adam(system.generator.segmenter.parameters(), 1e-2)  # type: ignore[union-attr]
    seen = []
    for _ in range(4):
        optimiser.zero_grad()
        loss, terms = turn.loss(samples)
        loss.backward()
        optimiser.step()
        seen.append(float(terms["S"].detach()))
    assert seen[-1] < 0.95 * seen[0]


def trained_end_to_end(task: CorrectionTask) -> CorrectionSystem:
    torch.manual_seed(0)
    system = task.build()
    assert isinstance(system, CorrectionSystem)
    assert isinstance(system.generator, CorrectionsEndToEnd)
    for name, weight in system.generator.generator.named_parameters():
        if name.endswith("head.weight"):
            torch.nn.init.normal_(weight, std=0.02)
    return system


def test_a_run_with_a_segmenter_starts_from_a_generator_alone(tmp_path: Path) -> None:
    alone = build("corrections", **SMALL)
    torch.nn.init.normal_(alone.global_branch.head.weight, std=0.02)  # type: ignore[union-attr,arg-type]
    save_file(alone.state_dict(), tmp_path / "alone.safetensors")
    segmenter = build("unet").state_dict()
    config = CorrectionConfig(segmenter_training="joint", **SMALL)
    trainer = Trainer(CorrectionTask(None, config, segmenter), LoopConfig(), tmp_path / "run")  # type: ignore[arg-type]
    trainer.load_weights(tmp_path / "alone.safetensors")
    state = trainer.ema.state_dict()
    assert all(torch.equal(state[f"generator.{name}"], value) for name, value in alone.state_dict().items())
    assert all(torch.equal(state[f"segmenter.{name}"], value) for name, value in segmenter.items())
    described = trainer._description()
    assert described["architecture"] == "corrections_end_to_end"
    build(described["architecture"], **described["arguments"]).load_state_dict(state)


@pytest.mark.parametrize("masks", ["hard", "box"])
def test_hard_masks_and_boxes_are_part_of_the_generator(masks: str) -> None:
    config = CorrectionConfig(masks=masks, **SMALL)
    task = CorrectionTask(None, config)  # type: ignore[arg-type]
    system, samples = trained(task), batch()
    assert isinstance(system.generator, CorrectionGenerator)
    faint = {**samples, "regions": samples["regions"] // 4}
    none = {**samples, "regions": samples["regions"] * 0}
    first, second = (corrections_of(system.generator, each, prior_of(each)) for each in (faint, none))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    system.generator.masks = "soft"
    soft = corrections_of(system.generator, faint, prior_of(faint))
    assert not torch.equal(soft.shade, second.shade)


def test_without_local_branches_regions_reach_the_global_one_alone() -> None:
    config = CorrectionConfig(local_branches=False, **SMALL)
    system = CorrectionTask(None, config).build()  # type: ignore[arg-type]
    assert isinstance(system, CorrectionSystem)
    assert len(system.generator.local_branches) == 0  # type: ignore[arg-type]
    assert config.description["arguments"]["local_widths"] == ()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"masks": "round"}, "soft, hard, box"), ({"segmenter_training": "on"}, "none, frozen, joint")],
)
def test_unknown_settings_are_refused(wrong: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        CorrectionConfig(**wrong)  # type: ignore[arg-type]
