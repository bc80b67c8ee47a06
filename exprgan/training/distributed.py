"""Several processes that train one network, on one machine or many, started by torchrun.

Every process takes its share of each batch; gradients and running statistics are averaged after each turn, so that
n processes take the very steps that one would take with the whole batch (up to the order of sums). Gradients are
averaged by hand, in one piece, instead of by DistributedDataParallel, whose hooks do not know gradient penalties
and turns of several optimisers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True)
class World:
    """The processes of a run: rank 0 writes, every rank trains."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    def any(self, flag: bool, device: torch.device) -> bool:
        """True in all processes if it is in one."""
        if self.size == 1:
            return flag
        total = torch.tensor(float(flag), device=device)
        dist.all_reduce(total)
        return bool(total > 0)

    def same(self, number: int, device: torch.device) -> bool:
        """Whether all processes hold the same number."""
        if self.size == 1:
            return True
        limits = torch.tensor([number, -number], device=device)
        dist.all_reduce(limits, op=dist.ReduceOp.MAX)
        return int(limits[0]) == -int(limits[1])

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their means over the processes."""
        if self.size == 1:
            return
        for group in _by_type(tensors):
            flat = torch.cat([tensor.reshape(-1) for tensor in group])
            dist.all_reduce(flat)
            flat /= self.size
            place = 0
            for tensor in group:
                tensor.copy_(flat[place : place + tensor.numel()].view(tensor.shape))
                place += tensor.numel()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()


def _by_type(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    groups: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(tensor.dtype, []).append(tensor)
    return list(groups.values())


def join(device: str) -> tuple[World, str]:
    """Join the processes that torchrun has started; the world and this process's device.

    Args:
        device: torch's name of the device; cuda becomes the device of this process's number on its machine.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return World(), device
    on_cuda = device.startswith("cuda")
    if on_cuda:
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        dist.init_process_group("nccl" if on_cuda else "gloo")
    return World(dist.get_rank(), size), device


def leave() -> None:
    """End what `join` began."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def synchronised(model: nn.Module, world: World, device: torch.device) -> nn.Module:
    """The model with batch norms over all processes' samples, where torch can (on CUDA)."""
    if world.size > 1 and device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return model


def running_statistics(model: nn.Module) -> list[Tensor]:
    """Buffers of floating point numbers, which every process moves by its own samples."""
    return [buffer for buffer in model.buffers() if buffer.is_floating_point()]
