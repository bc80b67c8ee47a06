"""`exprgan doctor`: what this installation has, for a look and for bug reports."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start

_PACKAGES = (
    "torch",
    "onnxruntime",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "safetensors",
    "huggingface-hub",
    "facexlib",
    "torchvision",
    "pillow-heif",
    "c2pa-python",
)
_NOT_NEEDED = {
    "onnxruntime": "only --runtime onnx needs it: pip install 'exprgan[onnx]'",
    "facexlib": "only --detector retinaface needs it: pip install 'exprgan[retinaface]'",
    "torchvision": "only --detector retinaface needs it",
    "pillow-heif": "only HEIC photos need it: pip install 'exprgan[heif]'",
    "c2pa-python": "only signed results need it: pip install 'exprgan[c2pa]'",
}


def doctor(
    weights: options.WeightsOption = None,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show versions, devices, formats and weights; exit code 1 when something that is needed is not there."""
    out = start(format, quiet, verbose)
    from exprgan.version import __version__

    checks: list[tuple[str, Callable[[], str]]] = [
        ("exprgan", lambda: __version__),
        ("python", lambda: f"{platform.python_version()} on {platform.platform()} ({sys.executable})"),
        *[(name, lambda name=name: _version(name)) for name in _PACKAGES],
        ("opencv", _opencv),
        ("devices", _devices),
        ("formats", _formats),
        ("weights", lambda: _weights(weights)),
        ("hub", _hub),
        ("environment", _environment),
        ("terminal", _terminal),
    ]
    healthy = True
    for name, check in checks:
        try:
            text, fine = check(), True
        except Exception as error:  # a broken part must not hide the others
            text, fine = f"{type(error).__name__}: {error}", False
        healthy = healthy and fine
        out.data({"check": name, "ok": fine, "value": text}, f"{'ok  ' if fine else 'FAIL'} {name:14} {text}")
    if not healthy:
        raise typer.Exit(1)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        if package in _NOT_NEEDED:
            return f"not installed ({_NOT_NEEDED[package]})"
        if package == "opencv-python-headless":  # the same with windows, as facexlib brings it
            return f"{metadata.version('opencv-python')} (with windows)"
        if package == "torch" and importlib.util.find_spec("onnxruntime"):
            return "not installed (edits go by ONNX Runtime; training and the baselines need it)"
        raise


def _opencv() -> str:
    try:
        import cv2
    except ImportError as error:
        if "libGL" in str(error) or "libglib" in str(error) or "libgthread" in str(error):
            raise ImportError(
                f"{error}; on Debian or Ubuntu: apt-get install -y libgl1 libglib2.0-0"
            ) from error
        raise
    if not hasattr(cv2, "CascadeClassifier"):
        raise ImportError(
            "this OpenCV has no CascadeClassifier; pip install 'opencv-python-headless>=4.8,<5'"
        )
    return f"{cv2.__version__} with cascades"


def _devices() -> str:
    if not importlib.util.find_spec("torch"):
        import onnxruntime

        return f"by ONNX Runtime: {', '.join(onnxruntime.get_available_providers())}"
    import torch

    cpu = [f"{torch.get_num_threads()} threads", *_memory(), torch.backends.cpu.get_cpu_capability()]
    devices = [f"cpu ({', '.join([*cpu, *_half_precision_units()])})"]
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        devices.append(f"cuda:{index} ({card.name}, {card.total_memory / 1e9:.1f} GB)")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return f"{', '.join(devices)}; torch is built for {_torch_build()}"


def _torch_build() -> str:
    import torch

    if torch.version.cuda:
        return f"CUDA {torch.version.cuda}"
    return f"ROCm {torch.version.hip}" if torch.version.hip else "CPUs alone"


def _memory() -> list[str]:
    try:
        return [f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9:.1f} GB"]
    except (AttributeError, ValueError, OSError):  # not told on Windows
        return []


def _half_precision_units(cpu_info: Path = Path("/proc/cpuinfo")) -> list[str]:
    """What the processor has for bfloat16, as Linux names it; nothing where that is not told."""
    try:
        lines = cpu_info.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    flags = next((line.split() for line in lines if line.startswith(("flags", "Features"))), [])
    return [flag for flag in ("avx512_bf16", "amx_bf16", "bf16") if flag in flags]


def _environment() -> str:
    starts, others = ("EXPRGAN_", "HF_", "OMP_"), ("COLUMNS", "NO_COLOR", "TERM")
    names = sorted(name for name in os.environ if name.startswith(starts) or name in others)
    hidden = ("TOKEN", "KEY", "PASSPHRASE")  # never in a bug report
    return (
        ", ".join(f"{name}={'...' if name.endswith(hidden) else os.environ[name]}" for name in names)
        or "no variables set"
    )


def _terminal() -> str:
    streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    shown = [name for name, stream in streams.items() if stream is not None and stream.isatty()]
    return f"{', '.join(shown) or 'none'}; stdout in {sys.stdout.encoding}"


def _formats() -> str:
    from PIL import features

    known = {"webp": "WebP", "avif": "AVIF", "jpg": "JPEG", "zlib": "PNG", "libtiff": "compressed TIFF"}
    have = [label for name, label in known.items() if features.check(name)]
    lack = [label for label in known.values() if label not in have]
    if importlib.util.find_spec("pillow_heif"):
        have.append("HEIC (to read)")
    else:
        lack.append("HEIC")
    return ", ".join(have) + (f"; without {', '.join(lack)}" if lack else "")


def _hub() -> str:
    from huggingface_hub import constants

    state = (
        "offline: the cache alone" if constants.HF_HUB_OFFLINE else "asked by `weights download` and `push`"
    )
    return f"{state}; cache in {constants.HF_HUB_CACHE}"


def _weights(folder: object) -> str:
    from exprgan.weights import find_weights_dir, read_manifest, verify_weights

    found = find_weights_dir(folder)  # type: ignore[arg-type]
    records = read_manifest(found)
    for name in {*records, "landmarks", "unified"}:
        verify_weights(name, found)
    listed = ", ".join(
        f"{name} {records[name].sha256[:12]} ({records[name].licence})" for name in sorted(records)
    )
    return f"{listed} in {found}, all as recorded"
