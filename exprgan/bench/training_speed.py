"""How fast StarGAN trains: our loop's step beside the same networks and losses in plain code, in turns.

    python -m exprgan.bench.training_speed [--threads 1] [--rounds 5] [--device cpu] [--output speed.json]

A turn is five steps, of which one moves the generator: the whole rhythm of the training. Batches are made before, so
that data cost nothing on either side. Our step is `Trainer.train_step` with the settings of `exprgan train stargan`,
its moving average and its checks included. Contestants take turns (A, B, C, A, B ...), so that a change of the
machine's load falls on all; ratios are medians of the rounds' ratios. On a CUDA device the share of the matmul ceiling
is given too: the multiplications that a turn needs in the time that a large matrix product would do them in.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from exprgan.bench.plain_stargan import N_CRITIC, PlainStarGAN
from exprgan.device import resolve_device
from exprgan.expressions import EXPRESSIONS
from exprgan.models.pixels import signed_channels_last
from exprgan.training.adversarial import AdversarialTask
from exprgan.training.loop import Trainer
from exprgan.training.start import configure

Turn = Callable[..., None]
"""Takes so many steps, `N_CRITIC` without a number."""
MATMUL_SIDE = 8192
PLAIN = "plain"


@dataclass(frozen=True)
class Setup:
    """What is trained, and where."""

    batch_size: int = 16
    image_size: int = 128
    width: int = 64  # channels of both networks' first layers
    critic_layers: int = 6
    threads: int = 0  # torch's CPU threads; 0 leaves torch's choice
    device: str = "cpu"

    def batches(self, count: int = N_CRITIC) -> list[dict[str, Tensor]]:
        """Batches of noise with labels, on the device."""
        generator = torch.Generator().manual_seed(0)
        size = (self.batch_size, 3, self.image_size, self.image_size)

        def one() -> dict[str, Tensor]:
            labels = torch.randint(len(EXPRESSIONS), (2, self.batch_size), generator=generator)
            return {
                "image": torch.randint(256, size, generator=generator, dtype=torch.uint8).to(self.device),
                "expression": labels[0].to(self.device),
                "target": labels[1].to(self.device),
                "alpha": torch.rand(self.batch_size, generator=generator).to(self.device),
            }

        return [one() for _ in range(count)]


@dataclass(frozen=True)
class Turns:
    """Times of a contestant's turns, one a round."""

    wall_s: list[float]
    cpu_s: list[float]

    def images_per_s(self, setup: Setup) -> float:
        """Images a second, by the median turn; each step's batch counts once."""
        return N_CRITIC * setup.batch_size / statistics.median(self.wall_s)


def ours(setup: Setup, folder: Path, *, bf16: bool, compiled: bool = False) -> Turn:
    """A turn of our loop: five steps of `Trainer.train_step`."""
    words = [
        f"batch_size={setup.batch_size}",
        f"bf16={str(bf16).lower()}",
        f"compile={str(compiled).lower()}",
        f"threads={setup.threads}",
        f"width={setup.width}",
        f"critic_width={setup.width}",
        f"critic_layers={setup.critic_layers}",
        f"image_size={setup.image_size}",
    ]
    chosen = configure("stargan", words, device=setup.device)
    trainer = Trainer(AdversarialTask(_no_samples, chosen.task), chosen.loop, folder)  # type: ignore[arg-type]
    batches = setup.batches()

    def turn(steps: int = N_CRITIC) -> None:
        for batch in batches[:steps]:
            trainer.train_step(batch)

    return turn


def plain(setup: Setup) -> Turn:
    """A turn of the plain code."""
    system = PlainStarGAN(
        num_classes=len(EXPRESSIONS),
        image_size=setup.image_size,
        width=setup.width,
        num_layers=setup.critic_layers,
        device=setup.device,
    )
    batches = setup.batches()

    def turn(steps: int = N_CRITIC) -> None:
        for batch in batches[:steps]:
            image = signed_channels_last(batch["image"]).contiguous()
            system.step(image, batch["expression"], batch["target"], batch["alpha"])

    return turn


def _no_samples(seed: int, number: int) -> dict[str, Any]:
    raise RuntimeError("batches are given")


def contestants(setup: Setup, folder: Path) -> dict[str, Turn]:
    """Turns by name: the plain code, ours in both precisions and, on CUDA, compiled."""
    turns = {
        PLAIN: plain(setup),
        "ours, bf16": ours(setup, folder, bf16=True),
        "ours, fp32": ours(setup, folder, bf16=False),
    }
    if setup.device.startswith("cuda"):
        turns["ours, bf16, compiled"] = ours(setup, folder, bf16=True, compiled=True)
    return turns


def compare(turns: dict[str, Turn], rounds: int, device: str = "cpu") -> dict[str, Turns]:
    """Times of all contestants, taken in turns after a warm-up: a whole turn on CUDA, else one step."""
    times = {name: Turns([], []) for name in turns}
    for turn in turns.values():
        turn(N_CRITIC if device.startswith("cuda") else 1)
    for _ in range(rounds):
        for name, turn in turns.items():
            _wait(device)
            wall, cpu = time.perf_counter(), time.process_time()
            turn()
            _wait(device)
            times[name].wall_s.append(time.perf_counter() - wall)
            times[name].cpu_s.append(time.process_time() - cpu)
    return times


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def matmul_ceiling(device: str, dtype: torch.dtype, side: int = MATMUL_SIDE, repeats: int = 10) -> float:
    """Floating-point operations a second of a product of two square matrices, by the fastest of several.

    In fp32 the product may use TF32, as convolutions do on CUDA unless they are told otherwise.
    """
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best, before = float("inf"), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if torch.backends.cudnn.allow_tf32 else "highest")
    try:
        for _ in range(repeats):
            _wait(device)
            started = time.perf_counter()
            torch.mm(a, b)
            _wait(device)
            best = min(best, time.perf_counter() - started)
    finally:
        torch.set_float32_matmul_precision(before)
    return 2 * side**3 / best


class _Counter(TorchDispatchMode):
    """Adds up the operations of convolutions and matrix products; torch's own counter has no `autograd.grad`."""

    total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=result)
        return result


def operations(turn: Turn) -> int:
    """Floating-point operations of the convolutions and matrix products of a turn, as torch counts them."""
    with _Counter() as counter:
        turn()
    return counter.total


def table(times: dict[str, Turns], setup: Setup, shares: dict[str, float] | None = None) -> str:
    """Markdown: one row a contestant."""
    head = "| step | images/s | wall s a turn | CPU s a turn | plain / it, wall | plain / it, CPU |"
    head += " share of matmul |" if shares else ""
    lines = [head, "|---" * (head.count("|") - 1) + "|"]
    for name, turns in times.items():
        cells = [
            f"{turns.images_per_s(setup):.2f}",
            f"{statistics.median(turns.wall_s):.2f}",
            f"{statistics.median(turns.cpu_s):.2f}",
            f"{ratio(times[PLAIN].wall_s, turns.wall_s):.2f}",
            f"{ratio(times[PLAIN].cpu_s, turns.cpu_s):.2f}",
        ]
        cells += [f"{100 * shares[name]:.0f} %"] if shares else []
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def ratio(of: Sequence[float], to: Sequence[float]) -> float:
    """Median of the rounds' ratios; above 1 the second one is the faster."""
    return statistics.median(a / b for a, b in zip(of, to, strict=True))


def matmul_shares(turns: dict[str, Turn], times: dict[str, Turns], device: str) -> dict[str, float]:
    """Share of the matmul ceiling of the contestant's precision that each reaches."""
    needed = operations(turns[PLAIN])
    ceiling = {dtype: matmul_ceiling(device, dtype) for dtype in (torch.float32, torch.bfloat16)}
    return {
        name: needed
        / statistics.median(turn.wall_s)
        / ceiling[torch.bfloat16 if "bf16" in name else torch.float32]
        for name, turn in times.items()
    }


def main() -> None:
    """Print the table, and write the times if a file is named."""
    parser = argparse.ArgumentParser(description="throughput of StarGAN's training step")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--only", nargs="+", default=[], help="contestants beside the plain code")
    parser.add_argument("--output", type=Path, help="JSON of all times")
    chosen = parser.parse_args()
    device = resolve_device(chosen.device)
    setup = Setup(batch_size=chosen.batch_size, threads=chosen.threads, device=device)
    if setup.threads:
        torch.set_num_threads(setup.threads)
    with tempfile.TemporaryDirectory() as folder:
        turns = contestants(setup, Path(folder))
        turns = {name: turn for name, turn in turns.items() if name in (PLAIN, *(chosen.only or turns))}
        times = compare(turns, chosen.rounds, device)
        shares = matmul_shares(turns, times, device) if device.startswith("cuda") else None
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    print(
        f"{where(device)}, batch {setup.batch_size}, {setup.image_size} px, {chosen.rounds} rounds, load {load}"
    )
    print(table(times, setup, shares))
    if chosen.output:
        record = {name: {"wall_s": t.wall_s, "cpu_s": t.cpu_s} for name, t in times.items()}
        chosen.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def where(device: str) -> str:
    """The device and torch's version, in words."""
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} thread{'s' * (threads > 1)}, torch {torch.__version__}"


if __name__ == "__main__":
    main()
