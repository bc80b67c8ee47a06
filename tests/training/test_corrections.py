"""Training of the generator on the prior: discriminators beside paired supervision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from exprgan.models.corrections import PriorMaps
from exprgan.models.critics import VIEWS, FaceCritics
from exprgan.samples.prior_pairs import PriorMix
from exprgan.training.corrections import (
    CorrectionConfig,
    CorrectionLossWeights,
    CorrectionSystem,
    CorrectionTask,
)

SMALL = {"global_widths": (16, 16), "local_widths": (16, 16)}
ADVERSARIAL = CorrectionConfig(
    loss=CorrectionLossWeights(lambda_adv=0.1, lambda_matching=1.0), mix=PriorMix(reals=2), architecture=SMALL
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
