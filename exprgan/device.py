"""Which device the networks run on, and what its failures mean to the user."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from exprgan.errors import DeviceError, UsageError

_MEMORY_WORDS = ("out of memory", "can't allocate memory", "insufficient memory", "failed to allocate")
_KINDS = ("auto", "cpu", "cuda", "mps")


def resolve_device(name: str = "auto") -> str:
    """torch's name of the device: auto takes the first CUDA device where there is one, else the CPU.

    Args:
        name: auto, cpu, cuda, cuda:1 ... or mps.

    Raises:
        UsageError: There is no such kind of device.
        DeviceError: The device is not there.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UsageError(
            'torch is not installed; run `pip install torch`, or `pip install "exprgan[onnx]"` and add --runtime onnx.'
        ) from error

    kind, _, number = name.partition(":")
    if kind not in _KINDS or (number and not number.isdigit()):
        raise UsageError(f"There is no device {name!r}; choose auto, cpu, cuda, cuda:1 ... or mps.")
    if kind == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if kind == "cuda":
        if not torch.cuda.is_available():
            raise DeviceError(
                "torch sees no CUDA device here; use --device cpu, or see `exprgan doctor` for what it sees."
            )
        if number and int(number) >= torch.cuda.device_count():
            raise DeviceError(
                f"There is no {name}: torch sees {torch.cuda.device_count()} CUDA devices, numbered from 0; "
                "choose one of them or --device cpu."
            )
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("torch sees no Metal device here; use --device cpu.")
    return name


def has_fast_bfloat16(device: str) -> bool:
    """Whether a device computes in bfloat16 itself; CPUs that do not are many times slower in it than in float32."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    has_mkldnn = device == "cpu" and torch.backends.mkldnn.is_available()
    return has_mkldnn and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@contextmanager
def memory_errors(device: str) -> Iterator[None]:
    """Turn a lack of memory inside the block into a `DeviceError`; other errors pass."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        lacks = isinstance(error, MemoryError) or any(word in str(error).lower() for word in _MEMORY_WORDS)
        if not lacks:
            raise
        other = "use a smaller photo" if device == "cpu" else "use --device cpu or a smaller photo"
        raise DeviceError(f"The memory of the device {device} does not suffice; {other}.") from error


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread for each operation on the CPU inside the block; nothing where torch is not imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def use_one_thread() -> None:
    """The same for good, in a thread that begins: it would begin with OpenMP's own number."""
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
