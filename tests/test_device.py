"""Devices: which is taken, and how their failures are told."""

from __future__ import annotations

import pytest
import torch

from exprgan.device import memory_errors, resolve_device
from exprgan.errors import DeviceError, UsageError


def test_auto_takes_what_is_there() -> None:
    assert resolve_device("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    assert resolve_device("cpu") == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "CPU "])
def test_unknown_names_are_errors_of_use(name: str) -> None:
    with pytest.raises(UsageError, match="choose auto, cpu"):
        resolve_device(name)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_cuda_device_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceError, match="--device cpu"):
        resolve_device("cuda")


def test_cuda_devices_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == "cuda:1"
    with pytest.raises(DeviceError, match="2 CUDA devices"):
        resolve_device("cuda:2")


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_a_lack_of_memory_is_an_error_of_the_device(error: Exception) -> None:
    with pytest.raises(DeviceError, match="smaller photo"), memory_errors("cuda"):
        raise error


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_errors("cpu"):
        raise RuntimeError("shapes do not match")
