"""The plain StarGAN step, and what is measured with it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from exprgan.bench import training_speed
from exprgan.bench.plain_stargan import N_CRITIC, PlainStarGAN
from exprgan.bench.training_speed import Setup, Turns
from exprgan.models.pixels import signed_channels_last
from exprgan.training.adversarial import AdversarialTask
from exprgan.training.start import configure

SETUP = Setup(batch_size=3, image_size=32, width=4, critic_layers=3)


def copy_weights(source: torch.nn.Module, target: torch.nn.Module) -> None:
    """Both have the same layers in the same order, under other names."""
    values = list(source.state_dict().values())
    names = list(target.state_dict())
    assert [value.shape for value in values] == [value.shape for value in target.state_dict().values()]
    target.load_state_dict(dict(zip(names, values, strict=True)))


def test_the_plain_code_does_the_work_of_ours() -> None:
    """Same networks, same losses, same gradients: what is compared is only how."""
    words = ["width=4", "critic_width=4", "critic_layers=3", "image_size=32"]
    task = AdversarialTask(None, configure("stargan", words, device="cpu").task)
    torch.manual_seed(0)
    system: Any = task.build()
    ours = PlainStarGAN(num_classes=8, image_size=32, width=4, num_layers=3)
    copy_weights(system.generator, ours.generator)
    copy_weights(system.critics["global"], ours.critic)
    batch = SETUP.batches()[0]
    image, rest = signed_channels_last(batch["image"]), (batch["expression"], batch["target"])
    pairs = (
        (task.d_loss(system, batch)[0], ours.critic_loss(image, *rest, batch["alpha"])),
        (task.g_loss(system, batch)[0], ours.generator_loss(image, *rest)),
    )
    for theirs, plain in pairs:
        torch.testing.assert_close(theirs, plain, rtol=1e-4, atol=1e-5)
    theirs, plain = pairs[0]
    theirs.backward()
    plain.backward()
    gradients = zip(system.critics["global"].parameters(), ours.critic.parameters(), strict=True)
    for first, second in gradients:
        torch.testing.assert_close(first.grad, second.grad, rtol=1e-3, atol=1e-5)


def test_the_full_networks_have_the_papers_number_of_parameters() -> None:
    with torch.device("meta"):
        system = PlainStarGAN(num_classes=7, device="meta")
    counts = [sum(w.numel() for w in net.parameters()) for net in (system.generator, system.critic)]
    assert counts == [8_436_800, 44_778_432]


def test_the_generator_moves_in_every_fifth_step() -> None:
    torch.manual_seed(0)
    system = PlainStarGAN(num_classes=8, image_size=32, width=4, num_layers=3)
    moved = []
    for batch in SETUP.batches(N_CRITIC):
        before = [weight.clone() for weight in (system.generator.main[0].weight, system.critic.source.weight)]
        system.step(
            signed_channels_last(batch["image"]), batch["expression"], batch["target"], batch["alpha"]
        )
        after = (system.generator.main[0].weight, system.critic.source.weight)
        moved.append([not torch.equal(a, b) for a, b in zip(before, after, strict=True)])
    assert moved == [[False, True]] * 4 + [[True, True]]


def test_contestants_take_turns_after_a_warm_up(tmp_path: Path) -> None:
    order: list[str] = []

    def turn(name: str, steps: int = N_CRITIC) -> None:
        order.append(f"{name}{steps}")

    times = training_speed.compare({name: partial(turn, name) for name in "ab"}, 2)
    assert order == ["a1", "b1", "a5", "b5", "a5", "b5"]
    assert [len(turns.wall_s) for turns in times.values()] == [2, 2]
    turns = training_speed.contestants(SETUP, tmp_path)
    assert list(turns) == ["plain", "ours, bf16", "ours, fp32"]
    for turn in turns.values():
        turn()


def test_figures_are_medians_of_rounds() -> None:
    times = {
        "plain": Turns([2.0, 4.0, 9.0], [4.0, 4.0, 4.0]),
        "ours, bf16": Turns([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]),
    }
    assert times["ours, bf16"].images_per_s(SETUP) == 5 * 3 / 2.0
    assert training_speed.ratio([2.0, 4.0, 9.0], [1.0, 2.0, 3.0]) == 2
    shown = training_speed.table(times, SETUP).splitlines()
    assert shown[0].count("|") == shown[1].count("|") == shown[2].count("|") == 7
    assert shown[3] == "| ours, bf16 | 7.50 | 2.00 | 2.00 | 2.00 | 2.00 |"
    assert training_speed.table(times, SETUP, {"plain": 0.5, "ours, bf16": 0.25}).endswith("| 25 % |")


def test_operations_of_a_turn_are_counted() -> None:
    layer = torch.nn.Conv2d(3, 5, 3, padding=1, bias=False)
    image = torch.zeros(2, 3, 8, 8)
    assert training_speed.operations(lambda: layer(image)) == 2 * 2 * 8 * 8 * 5 * 3 * 9
    whole, first = (training_speed.operations(partial(training_speed.plain(SETUP), n)) for n in (5, 1))
    assert (
        5 * first < whole < 12 * first
    )  # five discriminator steps and one of the generator, which costs more
    assert training_speed.matmul_ceiling("cpu", torch.float32, side=64, repeats=2) > 0


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:.torch.jit.script_method:DeprecationWarning")  # torch.compile's own
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_cuda_device_is_compared_with_its_matmul_ceiling(tmp_path: Path) -> None:
    setup = Setup(batch_size=4, image_size=64, width=16, critic_layers=4, device="cuda")
    turns = training_speed.contestants(setup, tmp_path)
    assert "ours, bf16, compiled" in turns
    times = training_speed.compare(turns, 1, setup.device)
    shares = training_speed.matmul_shares(turns, times, setup.device)
    assert all(0 < share < 1.2 for share in shares.values())


def test_the_command_prints_a_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["training_speed", "--rounds", "1", "--device", "cpu", "--only", "b"])
    monkeypatch.setattr(
        training_speed, "contestants", lambda *_: dict.fromkeys(("plain", "a", "b"), lambda *_: None)
    )
    training_speed.main()
    shown = capsys.readouterr().out
    assert "batch 16, 128 px, 1 rounds" in shown
    assert "| plain |" in shown
    assert "| b |" in shown
    assert "| a |" not in shown
