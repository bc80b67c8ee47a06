"""One training loop for every network and every system of networks.

A task (`exprgan.training.task`) says how to make sample number n and which turns a step has; the loop does the rest.
Sample n is a pure function of (seed, n), so a run is resumed exactly by going on at the next number, whatever
the number of workers, and several processes share a batch by taking their parts of its numbers.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from exprgan.device import has_fast_bfloat16
from exprgan.errors import ExprganError, UsageError
from exprgan.files import being_written
from exprgan.models.registry import full_arguments
from exprgan.training import distributed
from exprgan.training.sample_store import SampleStore
from exprgan.training.task import Task, Turn

log = logging.getLogger(__name__)

Record = dict[str, float]
SCHEDULES = ("cosine", "linear", "constant")
PREVIEW_SEED = 1_000_003  # added to the run's seed: the pictures' samples are not those of training
NUM_PREVIEW = 8


@dataclass(frozen=True)
class LoopConfig:
    """How long, how fast and where a network is trained."""

    duration_kimg: float = 100.0  # thousand samples in all
    batch_size: int = 16  # samples a step, of all processes together
    accumulate: int = 1  # parts in which a batch goes through the networks
    learning_rate: float = 1e-3  # Adam's, after the warm-up
    schedule: str = "cosine"  # cosine, linear (over the second half) or constant, down to final_lr_share
    warmup_kimg: float = 1.0  # linear warm-up from 0
    final_lr_share: float = 0.02  # share of the rate that is left at the end
    beta1: float = 0.9  # Adam's
    beta2: float = 0.99  # Adam's
    weight_decay: float = 1e-4  # AdamW's
    ema_kimg: float = 2.0  # half-life of the average of the weights
    clip_norm: float = 1.0  # limit of the gradient's norm; inf for none
    seed: int = 0  # of initialisation and samples
    stored: int = 0  # draw from so many samples, which are made once and kept; 0 makes each anew
    store: str = ""  # folder of the kept samples; RUN/samples by default
    workers: int = 0  # processes that make samples; 0 makes them in this one
    threads: int = 0  # torch's CPU threads; 0 leaves torch's choice
    device: str = "cpu"  # cpu, cuda, cuda:1 ...
    bf16: bool = (
        True  # bfloat16 autocast where the device has it (AMX, AVX512-BF16, CUDA): about 3 times as fast
    )
    compile: bool = False  # torch.compile of the averaged part
    log_kimg: float = 0.5  # interval of log lines
    picture_kimg: float = 2.0  # interval of sample pictures
    snapshot_kimg: float = math.inf  # interval of copies of the averaged weights that are kept
    checkpoint_minutes: float = 5.0  # interval of checkpoints
    max_minutes: float = math.inf  # end cleanly, with a checkpoint, after this time


class _Stream(Dataset[dict[str, Any]]):
    """A process's samples of a run: its share of every batch, in order."""

    def __init__(
        self,
        sample: Callable[[int, int], dict[str, Any]],
        config: LoopConfig,
        world: distributed.World,
        steps: range,
    ) -> None:
        self.sample, self.config, self.world, self.steps = sample, config, world, steps
        self.share = config.batch_size // world.size

    def __len__(self) -> int:
        return len(self.steps) * self.share

    def __getitem__(self, index: int) -> dict[str, Any]:
        step, place = divmod(index, self.share)
        number = self.steps[step] * self.config.batch_size + self.world.rank * self.share + place
        return self.sample(self.config.seed, number)


def _one_thread(_: int) -> None:
    torch.set_num_threads(1)


class Trainer:
    """Trains the networks of a task; `state.pt` in the run folder holds all that exact resuming needs.

    Under torchrun each process makes one; they train one network (`exprgan.training.distributed`).

    Args:
        task: The networks, their samples and their losses.
        config: Durations and rates.
        run_dir: Folder of the run: options.json, network.json, log.jsonl, state.pt, ema.safetensors.

    Raises:
        UsageError: The batch cannot be shared among the processes or parts, or a setting is unknown.
    """

    def __init__(self, task: Task, config: LoopConfig, run_dir: Path) -> None:
        self.task, self.config, self.run_dir = task, config, run_dir
        self.world, device = distributed.join(config.device)
        self._check()
        cv2.setNumThreads(1)  # before the first call: forked workers would wait for OpenCV's threads for ever
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.device = torch.device(device)
        self._is_bf16 = config.bf16 and has_fast_bfloat16(device)
        model = distributed.synchronised(task.build(), self.world, self.device)
        self.model = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.averaged = task.averaged(self.model)  # the part that is kept
        self.ema = copy.deepcopy(self.averaged).requires_grad_(False)
        self.turns = task.turns(self.model)
        self.optimisers = [
            torch.optim.AdamW(
                turn.groups(),
                config.learning_rate,
                (config.beta1, config.beta2),
                weight_decay=config.weight_decay,
            )
            for turn in self.turns
        ]
        if config.compile:
            self.averaged.compile()
        self.step = 0
        self.total_steps = math.ceil(config.duration_kimg * 1000 / config.batch_size)

    def _check(self) -> None:
        config, parts = self.config, self.world.size * self.config.accumulate
        if config.batch_size % parts:
            raise UsageError(
                f"A batch of {config.batch_size} cannot be shared evenly by {self.world.size} processes in "
                f"{config.accumulate} parts each; give a batch_size that is a multiple of {parts}."
            )
        if config.schedule not in SCHEDULES:
            raise UsageError(f"There is no schedule {config.schedule!r}; choose from {', '.join(SCHEDULES)}.")

    @property
    def kimg(self) -> float:
        """Thousand samples that the run has seen."""
        return self.step * self.config.batch_size / 1000

    def run(self, on_record: Callable[[Record], None] | None = None) -> bool:
        """Train to the end or to `max_minutes`; True when the whole duration is done.

        Args:
            on_record: Called with each record of the log.

        Raises:
            ExprganError: The loss is no longer a number or the task raised its alarm; the last checkpoint is kept.
        """
        self.run_dir.mkdir(parents=True, exist_ok=True)
        self.resume()
        if not self.world.is_main:
            return self._run(None)
        self._write_json("options.json", {**asdict(self.config), "processes": self.world.size})
        self._write_json("network.json", self._description())
        with closing(RunLog(self.run_dir, on_record)) as run_log:
            return self._run(run_log)

    def _run(self, run_log: RunLog | None) -> bool:
        config = self.config
        started = saved = logged = time.monotonic()
        sums: dict[str, list[Tensor]] = {}
        log_from = self.step
        for batch in self._batches():
            for name, value in self.train_step(batch).items():
                sums.setdefault(name, []).append(value)
            now = time.monotonic()
            if self._reached(config.log_kimg):
                means = self._means(sums)
                self._judge(means)
                rate = (self.step - log_from) * config.batch_size / (now - logged)
                if run_log is not None:
                    run_log.write({"kimg": self.kimg, "img_per_s": rate, **means})
                sums, log_from, logged = {}, self.step, now
            if self.world.is_main and self._reached(config.picture_kimg):
                self.draw()
            if self.world.is_main and self._reached(config.snapshot_kimg):
                self._save_averaged(self.run_dir / f"ema-{round(self.kimg * 1000):09d}.safetensors")
            out_of_time = self.world.any(now - started > config.max_minutes * 60, self.device)
            if now - saved > config.checkpoint_minutes * 60 or out_of_time:
                self._checkpoint()
                saved = logged = time.monotonic()
                log_from = self.step
            if out_of_time:
                return self.step >= self.total_steps
        self._checkpoint()
        return True

    def _checkpoint(self) -> None:
        if self.world.is_main:
            self.save()
        self.world.wait()

    def _reached(self, interval_kimg: float) -> bool:
        """Whether the last step was the first at or past a multiple of an interval."""
        if math.isinf(interval_kimg):
            return False
        steps = max(1, round(interval_kimg * 1000 / self.config.batch_size))
        return self.step % steps == 0

    def _means(self, sums: dict[str, list[Tensor]]) -> dict[str, float]:
        means = {name: torch.stack(values).mean() for name, values in sums.items()}
        self.world.average(means.values())
        return {name: float(value) for name, value in means.items()}

    def _judge(self, means: dict[str, float]) -> None:
        wrong = [name for name, value in means.items() if not math.isfinite(value)]
        if wrong:
            self._stop(f"{wrong[0]} is {means[wrong[0]]}")
        reason = self.task.alarm(means)
        if reason:
            self._stop(reason)

    def _stop(self, reason: str) -> None:
        raise ExprganError(
            f"Training diverged at step {self.step}: {reason}; lower the learning rate "
            f"and resume from {self.run_dir / 'state.pt'}."
        )

    def train_step(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """One step, all its turns; the batch's loss terms, detached.

        Raises:
            ExprganError: The loss is no number (looked at in each step on a CPU, at log lines elsewhere).
        """
        rate = self.learning_rate()
        self.model.train()
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        record: dict[str, Tensor] = {}
        for turn, optimiser in zip(self.turns, self.optimisers, strict=True):
            if self.step % turn.every != turn.every - 1:
                continue
            for group in optimiser.param_groups:
                group["lr"] = rate * group.get("lr_share", 1.0)
            record |= self._take(turn, optimiser, batch)
        self.step += 1
        self.world.average(distributed.running_statistics(self.model))
        self._update_ema()
        return record

    def _take(
        self, turn: Turn, optimiser: torch.optim.Optimizer, batch: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """One turn: gradients over all parts of the batch, and a step of its optimiser."""
        config, parts = self.config, self.config.accumulate
        weights = [weight for group in optimiser.param_groups for weight in group["params"]]
        if len(self.turns) > 1:
            self.model.requires_grad_(False)  # the other players' gradients are not needed
            for weight in weights:
                weight.requires_grad_(True)
        optimiser.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for part in _parts(batch, parts):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._is_bf16):
                loss, terms = turn.loss(part)
            name = f"loss_{turn.name}" if turn.name else "loss"
            terms = {name: loss, **terms}
            if self.device.type == "cpu" and not math.isfinite(float(loss.detach())):
                self._stop(f"{name} is {float(loss.detach())}")  # a backward pass of NaN can crash on CPUs
            (loss / parts).backward()
            for key, value in terms.items():
                sums[key] = sums.get(key, 0) + value.detach() / parts
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        self.world.average(gradients)
        if math.isfinite(config.clip_norm):
            norm = nn.utils.clip_grad_norm_(weights, config.clip_norm)
            sums[f"grad_norm_{turn.name}" if turn.name else "grad_norm"] = norm
        optimiser.step()
        return sums

    def learning_rate(self) -> float:
        """The rate of the next step: linear warm-up, then the schedule."""
        config = self.config
        done_kimg = (self.step + 1) * config.batch_size / 1000
        progress = min(1.0, self.step / max(1, self.total_steps))
        left = {
            "cosine": 0.5 + 0.5 * math.cos(math.pi * progress),
            "linear": min(1.0, 2 - 2 * progress),
            "constant": 1.0,
        }[config.schedule]
        share = config.final_lr_share + (1 - config.final_lr_share) * left
        return config.learning_rate * share * min(1.0, done_kimg / max(1e-9, config.warmup_kimg))

    def save(self) -> None:
        """Write `state.pt` and the averaged weights `ema.safetensors`, each in one piece."""
        state = {
            "step": self.step,
            "seed": self.config.seed,
            "batch_size": self.config.batch_size,
            "model": self.model.state_dict(),
            "ema": self.ema.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "torch_rng": torch.get_rng_state(),
        }
        with being_written(self.run_dir / "state.pt") as partial:
            torch.save(state, partial)
        self._save_averaged(self.run_dir / "ema.safetensors")

    def _save_averaged(self, path: Path) -> None:
        from safetensors.torch import save_file

        tensors = {name: value.cpu().contiguous() for name, value in self.ema.state_dict().items()}
        with being_written(path) as partial:
            save_file(tensors, partial)

    def resume(self) -> None:
        """Go on from `state.pt` where there is one.

        Raises:
            UsageError: The run was begun with another seed, batch size or network, or the processes of a distributed
                run do not see the same folder.
        """
        path = self.run_dir / "state.pt"
        step = 0
        if path.exists():
            # to the CPU: a state on the device would take its memory twice
            state = torch.load(path, map_location="cpu", weights_only=True)
            self._load(state)
            step = state["step"]
        if not self.world.same(step, self.device):
            raise UsageError(
                f"The processes do not see the same {path}; put --output on storage that all machines share."
            )
        if step:
            log.info("resumed at step %d of %d", self.step, self.total_steps)

    def _load(self, state: dict[str, Any]) -> None:
        for name in ("seed", "batch_size"):
            if state[name] != getattr(self.config, name):
                raise UsageError(
                    f"The run in {self.run_dir} has {name} {state[name]}, not {getattr(self.config, name)}; "
                    "give the old value or another --output."
                )
        try:
            self.model.load_state_dict(state["model"])
            self.ema.load_state_dict(state["ema"])
            for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
        except (RuntimeError, ValueError, KeyError) as error:
            raise UsageError(
                f"The run in {self.run_dir} is of another network or other settings; give those of its "
                "command.json or another --output."
            ) from error
        torch.set_rng_state(state["torch_rng"])
        self.step = state["step"]

    def load_weights(self, path: Path) -> None:
        """Start from stored weights (safetensors) instead of fresh ones; a resumed run overrides them.

        Raises:
            UsageError: The file does not hold weights of this network.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            fresh = self.averaged.state_dict()
            kept = {name: value for name, value in fresh.items() if name.startswith(self.task.may_stay_fresh)}
            state = {**kept, **self.task.as_start(load_file(path))}
            self.averaged.load_state_dict(state)
        except (OSError, SafetensorError, RuntimeError) as error:
            raise UsageError(
                f"{path} holds no weights of this network; name a safetensors file of the same architecture by "
                "--initial or leave it out."
            ) from error
        self.ema.load_state_dict(state)

    def draw(self) -> None:
        """Write samples-KIMG.png, the task's picture of samples that training does not use, if it has one."""
        from PIL import Image

        samples = [self.task.sample(self.config.seed + PREVIEW_SEED, n) for n in range(NUM_PREVIEW)]
        batch = torch.utils.data.default_collate(samples)
        with torch.no_grad():
            self.ema.eval()
            picture = self.task.picture(
                self.ema, {name: value.to(self.device) for name, value in batch.items()}
            )
        if picture is not None:
            pixels = picture.permute(1, 2, 0).cpu().numpy()
            Image.fromarray(pixels).save(self.run_dir / f"samples-{round(self.kimg * 1000):09d}.png")

    def _batches(self) -> Iterator[dict[str, Tensor]]:
        config, world = self.config, self.world
        if self.step >= self.total_steps:
            return iter(())
        sample = self.task.sample
        if config.stored:
            sample = SampleStore(self.task, Path(config.store or self.run_dir / "samples"), config.stored)
        stream = _Stream(sample, config, world, range(self.step, self.total_steps))
        loader: DataLoader[dict[str, Any]] = DataLoader(
            stream,
            batch_size=stream.share,
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
        state = self.averaged.state_dict()
        for name, average in self.ema.state_dict().items():
            if average.dtype.is_floating_point:
                average.lerp_(state[name], 1 - decay)
            else:
                average.copy_(state[name])

    def _description(self) -> dict[str, Any]:
        description = self.task.description()
        if description:
            description["arguments"] = full_arguments(description["architecture"], **description["arguments"])
        return description

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        (self.run_dir / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _parts(batch: dict[str, Tensor], count: int) -> Iterator[dict[str, Tensor]]:
    if count == 1:
        yield batch
        return
    for part in range(count):
        yield {name: value.chunk(count)[part] for name, value in batch.items()}


class RunLog:
    """Writes the records of a run: log.jsonl, and TensorBoard's files where that package is installed.

    Args:
        folder: Folder of the run.
        on_record: Called with each record too, for a progress bar.
    """

    def __init__(self, folder: Path, on_record: Callable[[Record], None] | None = None) -> None:
        self.folder, self.on_record = folder, on_record
        self._board: Any = None
        with suppress(ImportError):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"))

    def write(self, record: Record) -> None:
        """Append a record; it has "kimg" and any number of other figures."""
        rounded = {name: float(f"{value:.6g}") for name, value in record.items()}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(rounded) + "\n")
        if self._board is not None:
            images = round(record["kimg"] * 1000)
            for name, value in record.items():
                if name != "kimg":
                    self._board.add_scalar(name, value, images)
            self._board.flush()
        log.info(" ".join(f"{name}={value:.4g}" for name, value in rounded.items()))
        if self.on_record is not None:
            self.on_record(record)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self._board is not None:
            self._board.close()
