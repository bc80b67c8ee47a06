"""One training loop for every network.

A task says how to make sample number n and what the loss of a batch is; the loop does the rest. Sample
n is a pure function of (seed, n), so a run is resumed exactly by going on at the next number, whatever
the number of workers.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from exprgan.errors import ExprganError, UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoopConfig:
    """How long, how fast and where a network is trained."""

    duration_kimg: float = 100.0  # thousand samples in all
    batch_size: int = 16  # samples a step
    learning_rate: float = 1e-3  # Adam's, after the warm-up
    warmup_kimg: float = 1.0  # linear warm-up from 0
    final_lr_share: float = 0.02  # the rate falls along a half cosine to this share at the end
    ema_kimg: float = 2.0  # half-life of the average of the weights
    weight_decay: float = 1e-4  # AdamW's
    clip_norm: float = 1.0  # limit of the gradient's norm
    seed: int = 0  # of initialisation and samples
    workers: int = 0  # processes that make samples; 0 makes them in this one
    threads: int = 0  # torch's CPU threads; 0 leaves torch's choice
    device: str = "cpu"  # cpu, cuda, cuda:1 ...
    bf16: bool = True  # bfloat16 autocast; on CPUs with AMX and on CUDA about 3 times as fast
    log_kimg: float = 0.5  # interval of log lines
    checkpoint_minutes: float = 5.0  # interval of checkpoints
    max_minutes: float = math.inf  # end cleanly, with a checkpoint, after this time


class Task(Protocol):
    """What a network brings to the loop."""

    def build(self) -> nn.Module:
        """The network to train, with fresh weights."""

    def sample(self, seed: int, number: int) -> dict[str, Any]:
        """Sample `number` of the endless stream of a seed: arrays or tensors by name."""

    def loss(self, model: Any, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss to minimise of a batch on the model's device, and its terms for the log."""


class _Stream(Dataset[dict[str, Any]]):
    def __init__(self, task: Task, seed: int, first: int, end: int) -> None:
        self.task, self.seed, self.first, self.end = task, seed, first, end

    def __len__(self) -> int:
        return self.end - self.first

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.task.sample(self.seed, self.first + index)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


class Trainer:
    """Trains the network of a task; `state.pt` in the run folder holds all that exact resuming needs.

    Args:
        task: The network, its samples and its loss.
        config: Durations and rates.
        run_dir: Folder of the run: options.json, log.jsonl, state.pt, ema.safetensors.
    """

    def __init__(self, task: Task, config: LoopConfig, run_dir: Path) -> None:
        self.task, self.config, self.run_dir = task, config, run_dir
        cv2.setNumThreads(1)  # before the first call: forked workers would wait for OpenCV's threads for ever
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.device = torch.device(config.device)
        self.model = task.build().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = task.build().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema.load_state_dict(self.model.state_dict())
        self.ema.requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), config.learning_rate, (0.9, 0.99), weight_decay=config.weight_decay
        )
        self.step = 0
        self.total_steps = math.ceil(config.duration_kimg * 1000 / config.batch_size)

    def run(self, on_checkpoint: Callable[[Trainer], None] | None = None) -> bool:
        """Train to the end or to `max_minutes`; True when the whole duration is done.

        Raises:
            ExprganError: The loss is no longer a number; the last checkpoint is kept.
        """
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.resume()
        options = json.dumps(asdict(self.config), indent=1)
        (self.run_dir / "options.json").write_text(options + "\n")
        started = saved = logged = time.monotonic()
        sums: dict[str, Tensor] = {}
        steps_in_log = 0
        log_steps = max(1, round(self.config.log_kimg * 1000 / self.config.batch_size))
        for batch in self._batches():
            terms = self.train_step(batch)
            for name, value in terms.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value
            steps_in_log += 1
            now = time.monotonic()
            if self.step % log_steps == 0:
                means = {name: float(value) / steps_in_log for name, value in sums.items()}
                if not math.isfinite(means["loss"]):
                    raise ExprganError(
                        f"Training diverged at step {self.step}: the loss is {means['loss']}; "
                        f"lower the learning rate and resume from {self.run_dir / 'state.pt'}."
                    )
                rate = steps_in_log * self.config.batch_size / (now - logged)
                self._log({"kimg": self.step * self.config.batch_size / 1000, "img_per_s": rate, **means})
                sums, steps_in_log, logged = {}, 0, now
            out_of_time = now - started > self.config.max_minutes * 60
            if now - saved > self.config.checkpoint_minutes * 60 or out_of_time:
                self.save()
                if on_checkpoint:
                    on_checkpoint(self)
                saved = logged = time.monotonic()
            if out_of_time:
                return False
        self.save()
        if on_checkpoint:
            on_checkpoint(self)
        return True

    def train_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One optimiser step; the batch's loss terms, detached."""
        config = self.config
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.model.train()
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bf16):
            loss, terms = self.task.loss(self.model, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), config.clip_norm)
        self.optimiser.step()
        self.step += 1
        self._update_ema()
        return {"loss": loss.detach(), **{name: value.detach() for name, value in terms.items()}}

    def learning_rate(self) -> float:
        """The rate of the next step: linear warm-up, then half a cosine."""
        config = self.config
        done_kimg = (self.step + 1) * config.batch_size / 1000
        progress = min(1.0, self.step / max(1, self.total_steps))
        cosine = 0.5 + 0.5 * math.cos(math.pi * progress)
        share = config.final_lr_share + (1 - config.final_lr_share) * cosine
        return config.learning_rate * share * min(1.0, done_kimg / max(1e-9, config.warmup_kimg))

    def save(self) -> None:
        """Write `state.pt` and the averaged weights `ema.safetensors`, each in one piece."""
        from safetensors.torch import save_file

        state = {
            "step": self.step,
            "seed": self.config.seed,
            "batch_size": self.config.batch_size,
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "torch_rng": torch.get_rng_state(),
        }
        partial = self.run_dir / "state.pt.part"
        torch.save(state, partial)
        partial.replace(self.run_dir / "state.pt")
        tensors = {name: value.cpu().contiguous() for name, value in self.ema.state_dict().items()}
        partial = self.run_dir / "ema.safetensors.part"
        save_file(tensors, partial)
        partial.replace(self.run_dir / "ema.safetensors")

    def resume(self) -> None:
        """Go on from `state.pt` where there is one.

        Raises:
            UsageError: The run was begun with another seed or batch size.
        """
        path = self.run_dir / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        for name in ("seed", "batch_size"):
            if state[name] != getattr(self.config, name):
                raise UsageError(
                    f"The run in {self.run_dir} has {name} {state[name]}, not {getattr(self.config, name)}; "
                    "give the old value or another --output."
                )
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["torch_rng"].cpu())
        self.step = state["step"]
        log.info("resumed at step %d of %d", self.step, self.total_steps)

    def load_weights(self, path: Path) -> None:
        """Start from stored weights (safetensors) instead of fresh ones; a resumed run overrides them."""
        from safetensors.torch import load_file

        stored = load_file(path)
        state = {name: v.float() if v.is_floating_point() else v for name, v in stored.items()}
        self.model.load_state_dict(state)
        self.ema.load_state_dict(state)

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        config = self.config
        first, end = self.step * config.batch_size, self.total_steps * config.batch_size
        if first >= end:
            return iter(())
        loader: DataLoader[dict[str, Any]] = DataLoader(
            _Stream(self.task, config.seed, first, end),
            batch_size=config.batch_size,
            num_workers=config.workers,
            worker_init_fn=_one_thread,
            drop_last=True,
            pin_memory=self.device.type == "cuda",
            prefetch_factor=4 if config.workers else None,
            multiprocessing_context="fork" if config.workers else None,
            generator=torch.Generator(),  # a loader draws numbers: not from the generator that dropout uses
        )
        return iter(loader)

    @torch.no_grad()
    def _update_ema(self) -> None:
        config = self.config
        half_life = min(config.ema_kimg * 1000, self.step * config.batch_size / 10)
        decay = 0.5 ** (config.batch_size / max(half_life, 1e-9))
        state = self.model.state_dict()
        for name, average in self.ema.state_dict().items():
            if average.dtype.is_floating_point:
                average.lerp_(state[name], 1 - decay)
            else:
                average.copy_(state[name])

    def _log(self, record: dict[str, float]) -> None:
        rounded = {name: round(value, 5) for name, value in record.items()}
        with (self.run_dir / "log.jsonl").open("a") as file:
            file.write(json.dumps(rounded) + "\n")
        log.info(" ".join(f"{name}={value:.4g}" for name, value in rounded.items()))
