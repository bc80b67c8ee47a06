"""`exprgan doctor`: what this installation has, for a look and for bug reports."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib import metadata

import typer

from exprgan.cli import options
from exprgan.cli.output import Format, start

_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "opencv-python",
    "pillow",
    "safetensors",
    "huggingface-hub",
    "facexlib",
    "pillow-heif",
)


def doctor(
    weights: options.WeightsOption = None,
    format: options.FormatOption = Format.human,
    quiet: options.QuietOption = False,
    verbose: options.VerboseOption = False,
) -> None:
    """Show versions, devices, formats and weights; exit code 1 when something that is needed is not there."""
    out = start(format, quiet, verbose)
    from exprgan import __version__

    checks: list[tuple[str, Callable[[], str]]] = [
        ("exprgan", lambda: __version__),
        ("python", lambda: f"{platform.python_version()} on {platform.platform()} ({sys.executable})"),
        *[(name, lambda name=name: _version(name)) for name in _PACKAGES],
        ("opencv", _opencv),
        ("devices", _devices),
        ("formats", _formats),
        ("weights", lambda: _weights(weights)),
        ("environment", _environment),
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
        if package == "pillow-heif":
            return "not installed (only HEIC photos need it: pip install 'exprgan[heif]')"
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
        raise ImportError("this OpenCV has no CascadeClassifier; pip install 'opencv-python>=4.8,<5'")
    return f"{cv2.__version__} with cascades"


def _devices() -> str:
    import torch

    devices = [f"cpu ({torch.get_num_threads()} threads)"]
    devices += [f"cuda:{i} ({torch.cuda.get_device_name(i)})" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return ", ".join(devices)


def _environment() -> str:
    names = sorted(name for name in os.environ if name.startswith(("EXPRGAN_", "HF_", "OMP_")))
    hidden = ("TOKEN", "KEY")  # never in a bug report
    return (
        ", ".join(f"{name}={'...' if name.endswith(hidden) else os.environ[name]}" for name in names)
        or "no variables set"
    )


def _formats() -> str:
    from PIL import features

    known = {"webp": "WebP", "avif": "AVIF", "jpg": "JPEG", "zlib": "PNG", "libtiff": "compressed TIFF"}
    have = [label for name, label in known.items() if features.check(name)]
    lack = [label for name, label in known.items() if label not in have]
    return ", ".join(have) + (f"; without {', '.join(lack)}" if lack else "")


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
